//! Both directions of every kind of convolution against the definition, on every instruction set of the machine.

use proptest::prelude::*;

use super::*;
use crate::kernels::tests::{noise, windows};
use crate::kernels::window::WindowSpec;

/// A convolution to be tried.
#[derive(Debug, Clone)]
struct Case {
    inputs: usize,
    outputs: usize,
    groups: usize,
    spec: WindowSpec,
    space: Vec<usize>,
    samples: usize,
}

/// `W x` and the sum of magnitudes of its terms, connection by connection.
fn forward(case: &Case, window: &Window, w: &[f64], x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (in_len, out_len, taps) = (window.input_len(), window.output_len(), window.taps());
    let (ins, outs) = (case.inputs / case.groups, case.outputs / case.groups);
    let mut y = vec![0.0; case.samples * case.outputs * out_len];
    let mut size = y.clone();
    for (n, o) in (0..case.samples).flat_map(|n| (0..case.outputs).map(move |o| (n, o))) {
        for i in 0..ins {
            let channel = o / outs * ins + i;
            window.for_each_row(|row| {
                for (q, p) in row.pairs() {
                    let term = w[(o * ins + i) * taps + row.tap] * x[(n * case.inputs + channel) * in_len + p];
                    y[(n * case.outputs + o) * out_len + q] += term;
                    size[(n * case.outputs + o) * out_len + q] += term.abs();
                }
            });
        }
    }
    (y, size)
}

/// The adjoint in the same way.
fn adjoint(case: &Case, window: &Window, w: &[f64], s: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (in_len, out_len, taps) = (window.input_len(), window.output_len(), window.taps());
    let (ins, outs) = (case.inputs / case.groups, case.outputs / case.groups);
    let mut g = vec![0.0; case.samples * case.inputs * in_len];
    let mut size = g.clone();
    for (n, o) in (0..case.samples).flat_map(|n| (0..case.outputs).map(move |o| (n, o))) {
        for i in 0..ins {
            let channel = o / outs * ins + i;
            window.for_each_row(|row| {
                for (q, p) in row.pairs() {
                    let term = w[(o * ins + i) * taps + row.tap] * s[(n * case.outputs + o) * out_len + q];
                    g[(n * case.inputs + channel) * in_len + p] += term;
                    size[(n * case.inputs + channel) * in_len + p] += term.abs();
                }
            });
        }
    }
    (g, size)
}

fn narrow<T: Scalar>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::of(v)).collect()
}

/// Whether `found` is `expected` up to rounding of sums whose terms have the total size `size`.
fn assert_close<T: Scalar>(found: &[T], (expected, size): &(Vec<f64>, Vec<f64>), what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, (e, s))) in found.iter().zip(expected.iter().zip(size)).enumerate() {
        let tolerance = 64.0 * T::epsilon().wide() * s;
        assert!((f.wide() - e).abs() <= tolerance, "{what}: element {i} is {f}, not {e}");
    }
}

fn check<T: Scalar>(case: &Case) {
    let Ok(window) = Window::new(&case.spec, &case.space) else { return };
    let w = narrow::<T>(&noise(case.outputs * case.inputs / case.groups * window.taps(), 1));
    // One element more in front: slices that are aligned to nothing.
    let x = narrow::<T>(&noise(1 + case.samples * case.inputs * window.input_len(), 2));
    let s = narrow::<T>(&noise(1 + case.samples * case.outputs * window.output_len(), 3));
    let wide = |values: &[T]| values.iter().map(|v| v.wide()).collect::<Vec<_>>();
    let expected_y = forward(case, &window, &wide(&w), &wide(&x[1..]));
    let expected_g = adjoint(case, &window, &wide(&w), &wide(&s[1..]));
    let kernel = ConvKernel::new(w, case.inputs, case.outputs, case.groups, window);
    for isa in Isa::available() {
        let kernel = kernel.with_isa(isa);
        assert_close(&kernel.forward(&x[1..]), &expected_y, &format!("{isa:?} {} forward of {case:?}", T::NAME));
        assert_close(&kernel.adjoint(&s[1..]), &expected_g, &format!("{isa:?} {} adjoint of {case:?}", T::NAME));
        for (algorithm, factor) in [(Algorithm::Winograd2, 1.0), (Algorithm::Winograd4, 8.0)] {
            let kernel = kernel.with_algorithm(algorithm);
            if kernel.algorithm() != algorithm {
                continue;
            }
            // Its errors are those of its largest intermediate numbers, wherever they go.
            let worst = |(y, size): &(Vec<f64>, Vec<f64>)| {
                let largest = size.iter().fold(0.0f64, |a, &b| a.max(b));
                (y.clone(), vec![factor * largest; size.len()])
            };
            let what = format!("{isa:?} {} {algorithm:?} of {case:?}", T::NAME);
            assert_close(&kernel.forward(&x[1..]), &worst(&expected_y), &what);
            assert_close(&kernel.adjoint(&s[1..]), &worst(&expected_g), &what);
        }
    }
}

fn case(inputs: usize, outputs: usize, groups: usize, kernel: &[usize], space: &[usize]) -> Case {
    let (spec, space) = (WindowSpec::new(kernel), space.to_vec());
    Case { inputs: inputs * groups, outputs: outputs * groups, groups, spec, space, samples: 1 }
}

fn cases() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![3 => 1..6usize, 2 => 1..41usize];
    let groups = prop_oneof![4 => Just(1usize), 1 => 2..5usize];
    (channels.clone(), channels, groups, windows(), 1..3usize).prop_map(
        |(inputs, outputs, groups, (spec, space), samples)| {
            let (inputs, outputs, spec) = (inputs * groups, outputs * groups, WindowSpec { ceil_mode: false, ..spec });
            Case { inputs, outputs, groups, spec, space, samples }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_convolution_is_its_definition(case in cases()) {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

#[test]
fn shapes_of_real_networks() {
    let wide = |mut case: Case, stride: usize, pad: usize| {
        case.spec = case.spec.stride(stride).pad(pad);
        case
    };
    for case in [
        wide(case(3, 64, 1, &[7, 7], &[57, 57]), 2, 3),
        wide(case(3, 64, 1, &[3, 3], &[40, 40]), 1, 1),
        wide(case(64, 3, 1, &[3, 3], &[33, 45]), 1, 1),
        wide(case(64, 96, 1, &[3, 3], &[14, 14]), 1, 1),
        wide(case(64, 64, 1, &[3, 3], &[28, 28]), 2, 1),
        wide(case(96, 130, 1, &[1, 1], &[14, 14]), 1, 0),
        wide(case(96, 64, 1, &[1, 1], &[14, 14]), 2, 0),
        wide(case(1, 1, 40, &[3, 3], &[30, 30]), 1, 1),
        wide(case(1, 1, 40, &[5, 5], &[30, 30]), 2, 2),
        wide(case(4, 4, 8, &[3, 3], &[14, 14]), 1, 1),
        wide(case(700, 1, 1, &[9], &[999]), 1, 4),
        wide(case(400, 40, 1, &[9], &[999]), 1, 4),
        wide(case(40, 400, 1, &[1], &[1]), 1, 0),
    ] {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

#[test]
fn winograd_at_any_size() {
    for (height, width) in [(1, 1), (3, 4), (5, 7), (14, 14), (33, 70)] {
        for (begin, end) in [(0, 2), (1, 1), (2, 2), (2, 0)] {
            for (inputs, outputs, groups) in [(3, 40, 1), (20, 5, 3)] {
                let mut case = case(inputs, outputs, groups, &[3, 3], &[height, width]);
                (case.spec.pad_begin, case.spec.pad_end) = (vec![begin; 2], vec![end; 2]);
                case.samples = 2;
                check::<f32>(&case);
                check::<f64>(&case);
            }
        }
    }
}

#[test]
fn neither_threads_nor_batch_change_a_bit() {
    let (direct, winograd_2, winograd_4) = (Algorithm::Direct, Algorithm::Winograd2, Algorithm::Winograd4);
    for (inputs, outputs, groups, kernel, space, stride, algorithm) in [
        (40, 70, 1, 3, 31, 1, direct),
        (40, 70, 1, 3, 31, 1, winograd_2),
        (40, 70, 1, 3, 31, 1, winograd_4),
        (40, 70, 1, 3, 31, 2, direct),
        (200, 64, 1, 1, 31, 1, direct),
        (1, 1, 60, 3, 31, 1, direct),
        (64, 3, 1, 3, 60, 1, direct),
    ] {
        let mut case = case(inputs, outputs, groups, &[kernel, kernel], &[space, space]);
        case.spec = case.spec.stride(stride).pad(kernel / 2);
        let window = Window::new(&case.spec, &case.space).unwrap();
        let w = narrow::<f32>(&noise(inputs * outputs * groups * window.taps(), 1));
        let x = narrow::<f32>(&noise(3 * case.inputs * window.input_len(), 2));
        let s = narrow::<f32>(&noise(3 * case.outputs * window.output_len(), 3));
        let kernel = ConvKernel::new(w, case.inputs, case.outputs, groups, window.clone());
        let kernel = kernel.with_algorithm(algorithm);
        let both = || (kernel.forward(&x), kernel.adjoint(&s));
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let one = pool(1).install(both);
        for threads in [2, 3, 7] {
            assert_eq!(pool(threads).install(both), one, "{threads} threads, {case:?}");
        }
        let singly = (
            x.chunks(case.inputs * window.input_len()).flat_map(|x| kernel.forward(x)).collect::<Vec<_>>(),
            s.chunks(case.outputs * window.output_len()).flat_map(|s| kernel.adjoint(s)).collect::<Vec<_>>(),
        );
        assert_eq!(singly, one, "{case:?}");
    }
}

#[test]
fn taps_that_see_only_padding_cost_no_memory() {
    let mut far = case(1, 20, 1, &[3], &[1]);
    far.spec = far.spec.pad(1 << 29).dilation(1 << 29);
    check::<f32>(&far);
    let mut nothing = case(2, 2, 1, &[1], &[2]);
    nothing.spec = nothing.spec.pad(3).stride(7);
    check::<f64>(&nothing);
}
