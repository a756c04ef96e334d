//! The speed of the kernels, as a share of the peak of the machine.
//!
//! ```sh
//! cargo bench -p lrp-core                                    # every layer
//! cargo bench -p lrp-core -- vgg16 --threads 1 --batch 8     # those whose name contains a word
//! cargo bench -p lrp-core -- --isa avx2 --f64
//! cargo bench -p lrp-core -- 3×3 vgg16 --winograd 4       # or 2: outputs of a patch along an axis
//! cargo bench -p lrp-core -- vgg16 --percent 25              # a quarter of the source is nonzero, zeros are skipped
//! cargo bench -p lrp-core -- 3×3 vgg16 --errors              # rounding errors instead of times
//! ```
//!
//! The ceiling is a loop of multiply-adds without memory on as many threads, timed before and after every measurement in the same run: on
//! a machine with other load the ratio says more than either number. Times are the best of many; with `--cpu` they are the processor time
//! of all threads over their number, which a foreign load does not lengthen (and which does not see threads that wait).

#![allow(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use lrp_core::Scalar;
use lrp_core::kernels::conv::{Algorithm, ConvKernel};
use lrp_core::kernels::dense::DenseKernel;
use lrp_core::kernels::simd::{Isa, ceiling};
use lrp_core::kernels::window::{Window, WindowSpec};
use lrp_core::weights::stored;
use rayon::prelude::*;

/// A convolution layer: name, input channels, output channels, groups, input size, kernel, stride.
type ConvLayer = (&'static str, usize, usize, usize, usize, usize, usize);

const CONVOLUTIONS: &[ConvLayer] = &[
    ("vgg16 conv1_1", 3, 64, 1, 224, 3, 1),
    ("vgg16 conv1_2", 64, 64, 1, 224, 3, 1),
    ("vgg16 conv2_1", 64, 128, 1, 112, 3, 1),
    ("vgg16 conv2_2", 128, 128, 1, 112, 3, 1),
    ("vgg16 conv3_1", 128, 256, 1, 56, 3, 1),
    ("vgg16 conv3_2", 256, 256, 1, 56, 3, 1),
    ("vgg16 conv4_1", 256, 512, 1, 28, 3, 1),
    ("vgg16 conv4_2", 512, 512, 1, 28, 3, 1),
    ("vgg16 conv5", 512, 512, 1, 14, 3, 1),
    ("resnet50 stem", 3, 64, 1, 224, 7, 2),
    ("resnet50 1×1 64→64 @56", 64, 64, 1, 56, 1, 1),
    ("resnet50 1×1 64→256 @56", 64, 256, 1, 56, 1, 1),
    ("resnet50 1×1 256→64 @56", 256, 64, 1, 56, 1, 1),
    ("resnet50 3×3 64 @56", 64, 64, 1, 56, 3, 1),
    ("resnet50 3×3 s2 128 @56", 128, 128, 1, 56, 3, 2),
    ("resnet50 1×1 s2 256→512 @56", 256, 512, 1, 56, 1, 2),
    ("resnet50 1×1 s2 1024→2048 @14", 1024, 2048, 1, 14, 1, 2),
    ("resnet50 1×1 512→128 @28", 512, 128, 1, 28, 1, 1),
    ("resnet50 3×3 128 @28", 128, 128, 1, 28, 3, 1),
    ("resnet50 1×1 1024→256 @14", 1024, 256, 1, 14, 1, 1),
    ("resnet50 1×1 256→1024 @14", 256, 1024, 1, 14, 1, 1),
    ("resnet50 3×3 256 @14", 256, 256, 1, 14, 3, 1),
    ("resnet50 3×3 s2 512 @14", 512, 512, 1, 14, 3, 2),
    ("resnet50 1×1 2048→512 @7", 2048, 512, 1, 7, 1, 1),
    ("resnet50 1×1 512→2048 @7", 512, 2048, 1, 7, 1, 1),
    ("resnet50 3×3 512 @7", 512, 512, 1, 7, 3, 1),
    ("mobilenet depthwise 32 @112", 1, 1, 32, 112, 3, 1),
    ("mobilenet depthwise s2 96 @112", 1, 1, 96, 112, 3, 2),
    ("mobilenet depthwise 144 @56", 1, 1, 144, 56, 3, 1),
    ("mobilenet depthwise 384 @14", 1, 1, 384, 14, 3, 1),
    ("mobilenet depthwise 960 @7", 1, 1, 960, 7, 3, 1),
    ("mobilenet 1×1 16→96 @112", 16, 96, 1, 112, 1, 1),
    ("mobilenet 1×1 96→24 @56", 96, 24, 1, 56, 1, 1),
    ("resnext grouped 32×4 @56", 4, 4, 32, 56, 3, 1),
];

/// A fully connected layer: name, inputs, outputs.
type DenseLayer = (&'static str, usize, usize);

const DENSE: &[DenseLayer] = &[
    ("vgg16 dense 25088→4096", 25088, 4096),
    ("vgg16 dense 4096→4096", 4096, 4096),
    ("resnet50 dense 2048→1000", 2048, 1000),
    ("mnist dense 784→128", 784, 128),
];

struct Options {
    words: Vec<String>,
    threads: Vec<usize>,
    batch: Vec<usize>,
    isa: Isa,
    double: bool,
    cpu: bool,
    errors: bool,
    algorithm: Algorithm,
    /// The share of nonzero inputs; below one, zeros are skipped.
    share: f64,
}

fn options() -> Options {
    let mut options = Options {
        words: Vec::new(),
        threads: vec![1, 2],
        batch: vec![1],
        isa: Isa::best(),
        double: false,
        cpu: false,
        errors: false,
        algorithm: Algorithm::Direct,
        share: 1.0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut numbers = || {
            let list = arguments.next().unwrap_or_default();
            list.split(',').filter_map(|n| n.parse().ok()).collect::<Vec<usize>>()
        };
        match argument.as_str() {
            "--bench" | "--test" => {}
            "--threads" => options.threads = numbers(),
            "--batch" => options.batch = numbers(),
            "--errors" => options.errors = true,
            "--winograd" => {
                let two = numbers().first() == Some(&2);
                options.algorithm = if two { Algorithm::Winograd2 } else { Algorithm::Winograd4 };
            }
            "--percent" => options.share = numbers().first().map_or(1.0, |&percent| percent as f64 / 100.0),
            "--cpu" => options.cpu = true,
            "--f64" => options.double = true,
            "--isa" => {
                let name = arguments.next().unwrap_or_default();
                let found = Isa::available().into_iter().find(|isa| format!("{isa:?}").eq_ignore_ascii_case(&name));
                options.isa = found.unwrap_or_else(Isa::best);
            }
            word => options.words.push(word.to_string()),
        }
    }
    options
}

/// Numbers in −0.5..0.5 from a linear congruential generator.
fn noise<T: Scalar>(len: usize) -> Vec<T> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / 16_777_216.0 - 0.5
    };
    (0..len).map(|_| T::of(next())).collect()
}

/// The same with zeros.
fn thin<T: Scalar>(options: &Options, mut numbers: Vec<T>) -> Vec<T> {
    // Other numbers than those that are made zero.
    let chosen = noise::<f64>(numbers.len() + 1);
    numbers.iter_mut().zip(&chosen[1..]).filter(|(_, c)| **c + 0.5 >= options.share).for_each(|(v, _)| *v = T::zero());
    numbers
}

/// Seconds that all threads of this process have computed.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Seconds of the best of many calls, and the best ceiling seen around them, in operations per second.
fn best<T: Scalar>(options: &Options, threads: usize, mut f: impl FnMut() -> Vec<T>) -> (f64, f64) {
    let (mut seconds, mut ceiling) = (f64::INFINITY, 0.0f64);
    let begin = Instant::now();
    black_box(f());
    while begin.elapsed() < Duration::from_millis(400) {
        let flops: f64 = (0..threads).into_par_iter().map(|_| ceiling::flops::<T>(options.isa)).sum();
        ceiling = ceiling.max(flops);
        for _ in 0..5 {
            let (start, cpu) = (Instant::now(), processor_time());
            black_box(f());
            let (wall, cpu) = (start.elapsed().as_secs_f64(), (processor_time() - cpu) / threads as f64);
            seconds = seconds.min(if options.cpu { cpu } else { wall });
        }
    }
    (seconds, ceiling)
}

/// Prints a row: for every batch size and number of threads, forward and adjoint.
fn row<T: Scalar>(
    options: &Options,
    name: &str,
    flops: f64,
    mut forward: impl FnMut(usize) -> Vec<T> + Send,
    mut adjoint: impl FnMut(usize) -> Vec<T> + Send,
) {
    print!("{name:<32}");
    for &batch in &options.batch {
        for &threads in &options.threads {
            let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else { continue };
            let forward = pool.install(|| best(options, threads, || forward(batch)));
            let adjoint = pool.install(|| best(options, threads, || adjoint(batch)));
            for (seconds, ceiling) in [forward, adjoint] {
                let rate = flops * batch as f64 / seconds;
                print!(" │ {:9.3} {:6.1} {:4.0}", 1e3 * seconds, rate / 1e9, 100.0 * rate / ceiling);
            }
        }
    }
    println!();
}

fn header(options: &Options) {
    print!("{:<32}", format!("{:?} {}", options.isa, if options.double { "f64" } else { "f32" }));
    for &batch in &options.batch {
        for &threads in &options.threads {
            for way in ["forward", "adjoint"] {
                print!(" │ {:<21}", format!("{way} b{batch} t{threads}"));
            }
        }
    }
    print!("\n{:<32}", "");
    for _ in 0..2 * options.batch.len() * options.threads.len() {
        print!(" │ {:>9} {:>6} {:>4}", "ms", "GF/s", "%");
    }
    println!();
}

fn run<T: Scalar>(options: &Options) {
    header(options);
    let wanted = |name: &str| options.words.is_empty() || options.words.iter().any(|word| name.contains(word));
    for &(name, inputs, outputs, groups, size, kernel, stride) in CONVOLUTIONS.iter().filter(|layer| wanted(layer.0)) {
        let spec = WindowSpec::new(&[kernel, kernel]).stride(stride).pad(kernel / 2);
        let Ok(window) = Window::new(&spec, &[size, size]) else { continue };
        let flops = (2 * inputs * outputs * groups * window.taps() * window.output_len()) as f64;
        let (in_len, out_len) = (inputs * groups * window.input_len(), outputs * groups * window.output_len());
        let weights = noise::<T>(inputs * outputs * groups * window.taps());
        let kernel = ConvKernel::new(weights, inputs * groups, outputs * groups, groups, window)
            .with_isa(options.isa)
            .with_algorithm(options.algorithm)
            .with_sparse(if options.share < 1.0 { 1.0 } else { 0.0 });
        if kernel.algorithm() != options.algorithm {
            continue;
        }
        let most = options.batch.iter().max().copied().unwrap_or(1);
        let (x, s) = (thin(options, noise::<T>(most * in_len)), thin(options, noise::<T>(most * out_len)));
        row(options, name, flops, |n| kernel.forward(&x[..n * in_len]), |n| kernel.adjoint(&s[..n * out_len]));
    }
    for &(name, inputs, outputs) in DENSE.iter().filter(|layer| wanted(layer.0)) {
        let weights = noise::<T>(inputs * outputs);
        let kernel = DenseKernel::new(stored(&weights), inputs).with_isa(options.isa);
        let most = options.batch.iter().max().copied().unwrap_or(1);
        let (x, s) = (noise::<T>(most * inputs), noise::<T>(most * outputs));
        let flops = (2 * inputs * outputs) as f64;
        row(options, name, flops, |n| kernel.forward(&x[..n * inputs]), |n| kernel.adjoint(&s[..n * outputs]));
    }
}

/// Prints how far f32 is from f64, relative to the root mean square, for numbers of both signs and of one: direct, pixel by pixel (the way that
/// leaves zeros out; here there are none) and Winograd.
fn errors(options: &Options) {
    println!("{:<32} │ {:<45} │ {:<45}", "relative RMS errors, f32", "both signs", "one sign");
    let ways = format!("{:>9} {:>9} {:>12} {:>12}", "direct", "by pixel", "Winograd 2×2", "Winograd 4×4");
    println!("{:<32} │ {ways} │ {ways}", "");
    let wanted = |name: &str| options.words.is_empty() || options.words.iter().any(|word| name.contains(word));
    for &(name, inputs, outputs, groups, size, kernel, stride) in CONVOLUTIONS.iter().filter(|layer| wanted(layer.0)) {
        let spec = WindowSpec::new(&[kernel, kernel]).stride(stride).pad(kernel / 2);
        let Ok(window) = Window::new(&spec, &[size, size]) else { continue };
        let mut found = Vec::new();
        for one_sign in [false, true] {
            let numbers = |len| {
                let numbers = noise::<f32>(len);
                if one_sign { numbers.into_iter().map(f32::abs).collect() } else { numbers }
            };
            let w = numbers(inputs * outputs * groups * window.taps());
            let x = numbers(inputs * groups * window.input_len());
            let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect::<Vec<_>>();
            let (ins, outs) = (inputs * groups, outputs * groups);
            let exact = ConvKernel::new(wide(&w), ins, outs, groups, window.clone()).forward(&wide(&x));
            let kernel = ConvKernel::new(w, ins, outs, groups, window.clone());
            let ways =
                [Algorithm::Direct, Algorithm::Winograd2, Algorithm::Winograd4].map(|way| kernel.with_algorithm(way));
            for kernel in [&ways[0].with_sparse(0.0), &kernel.with_sparse(2.0), &ways[1], &ways[2]] {
                let y = kernel.forward(&x);
                let square: f64 = y.iter().zip(&exact).map(|(&y, e)| (f64::from(y) - e).powi(2)).sum();
                found.push((square / exact.iter().map(|e| e * e).sum::<f64>()).sqrt());
            }
        }
        if kernel == 3 && stride == 1 {
            let side = |f: &[f64]| format!("{:9.1e} {:9.1e} {:12.1e} {:12.1e}", f[0], f[1], f[2], f[3]);
            println!("{name:<32} │ {} │ {}", side(&found[..4]), side(&found[4..]));
        }
    }
}

fn main() {
    // Fresh pages cost more than some layers: memory that was freed once is kept, as a program that runs many layers keeps it.
    // SAFETY: sets two parameters of the allocator before any thread is started.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
    let options = options();
    if options.errors {
        errors(&options);
    } else if options.double {
        run::<f64>(&options)
    } else {
        run::<f32>(&options)
    }
}
