//! Both directions of every kind of convolution against the definition, on every instruction set of the machine.

use proptest::prelude::*;

use super::*;
use crate::tests::{noise, windows};
use crate::window::WindowSpec;

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

/// Makes three of four elements zero.
fn thin<T: Scalar>(values: &mut [T]) {
    let chosen = noise(values.len(), 4);
    values.iter_mut().zip(chosen).filter(|(_, chosen)| *chosen < 0.25).for_each(|(v, _)| *v = T::zero());
}

/// Whether `found` is `expected` up to rounding of sums whose terms have the total size `size`.
fn assert_close<T: Scalar>(found: &[T], (expected, size): &(Vec<f64>, Vec<f64>), what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, (e, s))) in found.iter().zip(expected.iter().zip(size)).enumerate() {
        let tolerance = 64.0 * T::epsilon().wide() * s;
        assert!((f.wide() - e).abs() <= tolerance, "{what}: element {i} is {f}, not {e}");
    }
}

/// A block epilogue segment by segment, with one result and two, gives the same as afterwards.
fn check_pieces<T: Scalar>(kernel: &ConvKernel<T>, x: &[T], what: &str) {
    let (b, factors) = (narrow::<T>(&noise(kernel.outputs, 5)), narrow::<T>(&noise(kernel.outputs, 6)));
    let positions = kernel.window.output_len();
    let mut y = kernel.forward(x);
    y.chunks_mut(positions).zip(b.iter().cycle()).for_each(|(y, &b)| y.iter_mut().for_each(|y| *y += b));
    let other: Vec<T> = y.iter().map(|&y| T::one() - y).collect();
    let (once, sums) = kernel.forward_blockwise(x, &b, None, &Indices);
    assert!(once == y, "{what}");
    let sample = kernel.outputs * positions;
    let both: Vec<T> = y.chunks(sample).zip(other.chunks(sample)).flat_map(|(y, other)| [y, other].concat()).collect();
    let (twice, all_sums) = kernel.forward_blockwise(x, &b, Some(&factors), &Indices);
    assert!(twice == both, "{what}");
    for (i, (all, sums)) in all_sums.iter().zip(&sums).enumerate() {
        assert_eq!(all.stabilizer, sums.stabilizer, "{what}");
        assert_eq!(all.zero_denominator, sums.zero_denominator, "{what}");
        let share = |of: &[T], biases: &[T]| {
            let terms = of[i * sample..][..sample].chunks(positions).zip(biases);
            let terms = terms.flat_map(|(of, b)| of.iter().map(|v| v.wide() * b.wide()));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        let ((first, size), (second, other_size)) = (share(&y, &b), share(&other, &factors));
        assert!((sums.bias - first).abs() <= 1e-12 * size, "{what}: {} is not {first}", sums.bias);
        let (sum, size) = (first + second, size + other_size);
        assert!((all.bias - sum).abs() <= 1e-12 * size, "{what}: {} is not {sum}", all.bias);
    }
}

fn check<T: Scalar>(case: &Case) {
    let Ok(window) = Window::new(&case.spec, &case.space) else { return };
    let w = narrow::<T>(&noise(case.outputs * case.inputs / case.groups * window.taps(), 1));
    // One element more in front: slices that are aligned to nothing.
    let mut x = narrow::<T>(&noise(1 + case.samples * case.inputs * window.input_len(), 2));
    let mut s = narrow::<T>(&noise(1 + case.samples * case.outputs * window.output_len(), 3));
    // Zeros in every sample but the first.
    thin(&mut x[1 + case.inputs * window.input_len()..]);
    thin(&mut s[1 + case.outputs * window.output_len()..]);
    let wide = |values: &[T]| values.iter().map(|v| v.wide()).collect::<Vec<_>>();
    let expected_y = forward(case, &window, &wide(&w), &wide(&x[1..]));
    let expected_g = adjoint(case, &window, &wide(&w), &wide(&s[1..]));
    // What a kernel with concatenated outputs makes backwards of `s` and of its negative: the second half has other weights.
    let halves = s[1..].chunks(case.outputs * window.output_len());
    let halves: Vec<T> = halves.flat_map(|s| s.iter().copied().chain(s.iter().map(|&s| -s))).collect();
    let doubled_g = (expected_g.0.iter().map(|g| 3.0 * g).collect(), expected_g.1.iter().map(|g| 3.0 * g).collect());
    let kernel = ConvKernel::new(w, case.inputs, case.outputs, case.groups, window);
    for isa in Isa::available() {
        let kernel = kernel.with_isa(isa);
        assert_close(&kernel.forward(&x[1..]), &expected_y, &format!("{isa:?} {} forward of {case:?}", T::NAME));
        assert_close(&kernel.adjoint(&s[1..]), &expected_g, &format!("{isa:?} {} adjoint of {case:?}", T::NAME));
        // Above, zeros are skipped in no sample: there is too little work. Here, in all and in some.
        for share in [1.1, 0.6] {
            let (kernel, what) = (kernel.with_sparse(share), format!("{isa:?} {} sparse {share} of {case:?}", T::NAME));
            assert_close(&kernel.forward(&x[1..]), &expected_y, &what);
            assert_close(&kernel.adjoint(&s[1..]), &expected_g, &what);
            if let Some(both) = kernel.concat_outputs(&|w| w, &|w| T::of(-2.0) * w) {
                assert_close(&both.adjoint(&halves), &doubled_g, &what);
            }
            check_pieces(&kernel, &x[1..], &what);
        }
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
            check_pieces(&kernel, &x[1..], &what);
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

/// Rows of any width are done in parts, the last of which may be narrow. Of narrow parts, more rows fit where sums are kept.
#[test]
fn zeros_in_rows_of_any_width() {
    for (width, kernel) in (216..=232).chain([449]).flat_map(|width| [(width, 1), (width, 3)]) {
        let spec = WindowSpec::new(&[kernel, kernel]).pad(kernel / 2);
        let window = Window::new(&spec, &[90, width]).unwrap();
        let w = narrow::<f32>(&noise(3 * 64 * window.taps(), 1));
        let mut x = narrow::<f32>(&noise(3 * window.input_len(), 2));
        thin(&mut x);
        let kernel = ConvKernel::new(w, 3, 64, 1, window);
        for isa in Isa::available() {
            let kernel = kernel.with_isa(isa);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let [sparse, dense] = [1.1, 0.0].map(|share| pool.install(|| kernel.with_sparse(share).forward(&x)));
            let far = sparse.iter().zip(&dense).filter(|(sparse, dense)| (*sparse - *dense).abs() > 1e-4);
            assert_eq!(far.count(), 0, "{isa:?}, {width}");
        }
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

/// `z + b`; the sums of that and of where it stands.
struct Indices;

impl<T: Scalar> BlockEpilogue<T> for Indices {
    fn apply(&self, segment: &mut [T], second: &mut [T], [b, c]: [T; 2], first: usize) -> Accounts {
        let mut sums = Accounts::default();
        for (i, z) in segment.iter_mut().enumerate() {
            *z += b;
            sums += Accounts { stabilizer: (first + i) as f64, zero_denominator: z.wide(), bias: b.wide() * z.wide() };
        }
        for (second, &z) in second.iter_mut().zip(&*segment) {
            *second = T::one() - z;
            sums.bias += c.wide() * second.wide();
        }
        sums
    }
}

#[test]
fn samples_with_and_without_zeros_are_each_what_they_are_alone() {
    for (kernel, size) in [(3, 56), (1, 56), (1, 20)] {
        let mut case = case(64, 80, 1, &[kernel, kernel], &[size, size]);
        case.spec = case.spec.pad(kernel / 2);
        let window = Window::new(&case.spec, &case.space).unwrap();
        let (ins, outs) = (case.inputs * window.input_len(), case.outputs * window.output_len());
        let w = narrow::<f32>(&noise(64 * 80 * window.taps(), 1));
        let b = narrow::<f32>(&noise(80, 5));
        let (mut x, mut s) = (narrow::<f32>(&noise(5 * ins, 2)), narrow::<f32>(&noise(5 * outs, 3)));
        for sample in [0, 1, 3] {
            thin(&mut x[sample * ins..][..ins]);
            thin(&mut s[sample * outs..][..outs]);
        }
        let plain = ConvKernel::new(w, case.inputs, case.outputs, 1, window);
        for kernel in [plain.with_sparse(0.6), plain.with_algorithm(Algorithm::Winograd4).with_sparse(0.6)] {
            let all = |x: &[f32], s: &[f32], beside: &[f32]| {
                let back = kernel.adjoint_then(s, ElementEpilogue::Times(beside));
                let onto = kernel.adjoint_then(s, ElementEpilogue::TimesOnto(beside, &back));
                (
                    kernel.forward_then(x, ElementEpilogue::Add(&b)),
                    kernel.forward_blockwise(x, &b, Some(&b), &Indices),
                    back,
                    onto,
                )
            };
            let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let together = pool(1).install(|| all(&x, &s, &x));
            assert!(pool(3).install(|| all(&x, &s, &x)) == together, "{case:?}");
            for sample in 0..5 {
                let (inside, outside) = (sample * ins..(sample + 1) * ins, sample * outs..(sample + 1) * outs);
                let (y, (segments, sums), back, onto) =
                    all(&x[inside.clone()], &s[outside.clone()], &x[inside.clone()]);
                assert!(y == together.0[outside.clone()], "{case:?}");
                assert!(segments == together.1.0[2 * outside.start..2 * outside.end], "{case:?}");
                assert!(back == together.2[inside.clone()] && onto == together.3[inside], "{case:?}");
                // Indices are those of the whole batch.
                let mut alone = sums[0];
                alone.stabilizer += outside.map(|i| i as f64).sum::<f64>() - (0..outs).map(|i| i as f64).sum::<f64>();
                assert_eq!(alone, together.1.1[sample], "{case:?}");
            }
        }
    }
}

#[test]
fn zeros_are_left_out_where_there_are_enough_of_them_and_enough_to_do() {
    let window = Window::new(&WindowSpec::new(&[3, 3]).pad(1), &[56, 56]).unwrap();
    let kernel = ConvKernel::new(narrow::<f32>(&noise(64 * 64 * 9, 1)), 64, 64, 1, window);
    let mut x = narrow::<f32>(&noise(2 * 64 * 56 * 56, 2));
    thin(&mut x[64 * 56 * 56..]);
    let runs = |kernel: &ConvKernel<f32>| -> Vec<(usize, bool)> {
        kernel.runs(&x, Direction::Forward).iter().map(|run| (run.samples, run.sparse)).collect()
    };
    assert_eq!(runs(&kernel), [(1, false), (1, true)]);
    assert_eq!(runs(&kernel.with_sparse(0.0)), [(2, false)]);
    assert_eq!(runs(&kernel.with_algorithm(Algorithm::Winograd2)), [(1, false), (1, true)]);
    let few = Window::new(&WindowSpec::new(&[3, 3]).pad(1), &[7, 7]).unwrap();
    let few = ConvKernel::new(narrow::<f32>(&noise(64 * 64 * 9, 1)), 64, 64, 1, few);
    assert!(few.runs(&x, Direction::Forward).iter().all(|run| !run.sparse));
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
