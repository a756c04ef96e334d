//! Convolution in one, two or three dimensions.

use std::borrow::Cow;
use std::sync::Arc;

use super::{channels_and_space, check_shape, one};
use crate::error::OperatorError;
use crate::kernels::Accounts;
use crate::kernels::conv::{Algorithm, ConvKernel, Direction, ElementEpilogue, Limits};
use crate::kernels::window::{Window, WindowSpec};
use crate::operator::fused::{AdjointEpilogue, Epilogue, Fused, Packing};
use crate::operator::{Affine, Kind, Operator, Rescale, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, map, samples};
use crate::weights::Weights;

/// A convolution `[N, C, spatial…] → [N, O, spatial…]` with stride, padding, dilation and groups.
#[derive(Debug, Clone)]
pub struct Conv<T> {
    kernel: ConvKernel<T>,
    bias: Option<Tensor<T>>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

/// Checks what convolutions and transposed convolutions have in common and brings the bias into `[O, 1, …]`.
pub(super) fn checked_bias<T: Scalar>(
    bias: Option<Vec<T>>,
    outputs: usize,
    rank: usize,
) -> Result<Option<Tensor<T>>, OperatorError> {
    let Some(bias) = bias else { return Ok(None) };
    if bias.len() != outputs {
        return Err(OperatorError::new(format!("bias has {} elements for {outputs} output channels", bias.len())));
    }
    let mut shape = vec![1; rank + 1];
    shape[0] = outputs;
    Ok(Some(from_elements(&shape, bias)))
}

/// `scale_c·b_c + shift_c`, with a missing bias as zero.
pub(super) fn rescaled_bias<T: Scalar>(bias: Option<&Tensor<T>>, scale: &[T], shift: &[T]) -> Vec<T> {
    let own: Vec<T> = bias.map_or_else(|| vec![T::zero(); scale.len()], |b| elements(b).into_owned());
    own.iter().zip(scale).zip(shift).map(|((&b, &s), &t)| s * b + t).collect()
}

impl<T: Scalar> Conv<T> {
    /// `weights` is `[O, C / groups, taps…]`, `bias` has `O` elements, `input` is the sample shape `[C, spatial…]`.
    ///
    /// # Errors
    /// When the sizes disagree or the window does not fit.
    pub fn new(
        weights: impl Into<Weights<T>>,
        bias: Option<Vec<T>>,
        spec: &WindowSpec,
        groups: usize,
        input: &[usize],
    ) -> Result<Self, OperatorError> {
        let weights = weights.into();
        check_shape(input)?;
        check_shape(weights.shape())?;
        let (inputs, space) = channels_and_space(input)?;
        let (outputs, per_group) = match weights.shape() {
            [o, c, taps @ ..] if taps == spec.kernel.as_slice() => (*o, *c),
            shape => {
                return Err(OperatorError::new(format!("weights {shape:?} do not fit a kernel of {:?}", spec.kernel)));
            }
        };
        if groups == 0 || inputs % groups != 0 || outputs % groups != 0 || per_group != inputs / groups {
            return Err(OperatorError::new(format!(
                "weights {:?} in {groups} group(s) do not fit an input of {inputs} channels",
                weights.shape()
            )));
        }
        let window = Window::new(spec, space)?;
        let mut output_shape = vec![outputs];
        output_shape.extend(window.output());
        check_shape(&output_shape)?;
        Ok(Self {
            bias: checked_bias(bias, outputs, space.len())?,
            kernel: ConvKernel::new(weights, inputs, outputs, groups, window),
            input_shape: one(input),
            output_shape,
        })
    }

    fn run(&self, xs: &[&Tensor<T>], epilogue: ElementEpilogue<'_, T>) -> Tensor<T> {
        let y = xs.first().map_or_else(Vec::new, |x| self.kernel.forward_then(&elements(x), epilogue));
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn run_back(&self, s: &Tensor<T>, epilogue: ElementEpilogue<'_, T>) -> Vec<Tensor<T>> {
        let shape = batch_shape(samples(s), &self.input_shape[0]);
        vec![from_elements(&shape, self.kernel.adjoint_then(&elements(s), epilogue))]
    }

    fn with(&self, kernel: ConvKernel<T>, bias: Option<Tensor<T>>) -> Self {
        Self { kernel, bias, input_shape: self.input_shape.clone(), output_shape: self.output_shape.clone() }
    }

    /// Whether it is one number for each channel, `[O, 1, …]`; a row of as many columns is something else.
    fn is_by_channel(&self, b: &Tensor<T>) -> bool {
        b.ndim() == self.output_shape.len() && b.shape()[0] == self.kernel.outputs && b.len() == b.shape()[0]
    }

    /// A number for each channel, if that is what a bias has.
    fn by_channel<'b>(&self, b: Option<&'b Tensor<T>>) -> Option<Cow<'b, [T]>> {
        match b {
            None => Some(Cow::Owned(vec![T::zero(); self.kernel.outputs])),
            Some(b) => self.is_by_channel(b).then(|| elements(b)),
        }
    }

    fn bias_tensor(&self, bias: Vec<T>) -> Tensor<T> {
        let mut shape = vec![1; self.output_shape.len()];
        shape[0] = self.kernel.outputs;
        from_elements(&shape, bias)
    }
}

/// `16→32, 3×3, stride 2, pad 1, groups 4`, `64→64, 3×3, pad 1, Winograd 4×4`.
pub(super) fn describe<T: Scalar>(inputs: usize, outputs: usize, kernel: &ConvKernel<T>) -> String {
    let groups = if kernel.groups > 1 { format!(", groups {}", kernel.groups) } else { String::new() };
    let algorithm = match kernel.algorithm() {
        Algorithm::Direct => "",
        Algorithm::Winograd2 => ", Winograd 2×2",
        Algorithm::Winograd4 => ", Winograd 4×4",
    };
    format!("{inputs}→{outputs}, {}{groups}{algorithm}", kernel.window.describe())
}

impl<T: Scalar> Operator<T> for Conv<T> {
    fn kind(&self) -> Kind {
        Kind::Conv
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    affine_methods!();

    fn as_rescale(&self) -> Option<&dyn Rescale<T>> {
        Some(self)
    }

    fn forward_clamped(&self, xs: &[&Tensor<T>], limits: Limits<T>) -> Tensor<T> {
        match &self.bias {
            Some(b) => self.run(xs, ElementEpilogue::AddClamp(&elements(b), limits)),
            None => map(&self.apply(xs), |v| limits.clamp(v)),
        }
    }

    convolution_methods!(Direction::Forward);

    fn detail(&self) -> String {
        describe(self.kernel.inputs, self.kernel.outputs, &self.kernel)
    }
}

impl<T: Scalar> Affine<T> for Conv<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        self.run(xs, ElementEpilogue::Plain)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        self.run_back(s, ElementEpilogue::Plain)
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(self.with(self.kernel.map(f), None))
    }

    fn fused(&self) -> Option<&dyn Fused<T>> {
        Some(self)
    }
}

impl<T: Scalar> Fused<T> for Conv<T> {
    fn concats_inputs(&self) -> bool {
        self.kernel.groups == 1
    }

    fn pack(&self, packing: Packing<'_, T>) -> Option<Arc<dyn Affine<T>>> {
        let (mut input_shape, mut output_shape) = (self.input_shape.clone(), self.output_shape.clone());
        let kernel = match packing {
            Packing::ConcatInputs(f, g) => self.kernel.concat_inputs(f, g)?,
            Packing::ConcatOutputs(f, g) => self.kernel.concat_outputs(f, g)?,
        };
        (input_shape[0][0], output_shape[0]) = (kernel.inputs, kernel.outputs);
        Some(Arc::new(Self { kernel, bias: None, input_shape, output_shape }))
    }

    fn apply_then(&self, xs: &[&Tensor<T>], epilogue: Epilogue<'_, T>) -> Option<(Tensor<T>, Vec<Accounts>)> {
        let (b, second, quotients) = match epilogue {
            Epilogue::Add { b: None, .. } => return Some((self.apply(xs), Vec::new())),
            Epilogue::Add { b: Some(b), .. } => {
                return self.is_by_channel(b).then(|| (self.run(xs, ElementEpilogue::Add(&elements(b))), Vec::new()));
            }
            Epilogue::Divide { b, quotients } => (self.by_channel(b)?, None, quotients),
            Epilogue::DivideApart { biases, quotients } => {
                let [b, second] = biases.map_or([None; 2], |biases| biases.map(Some)).map(|b| self.by_channel(b));
                (b?, Some(second?), quotients)
            }
        };
        let (y, accounts) = self.kernel.forward_blockwise(&elements(xs.first()?), &b, second.as_deref(), quotients);
        let mut shape = batch_shape(batch_of(xs), &self.output_shape);
        shape[1] *= if second.is_some() { 2 } else { 1 };
        Some((from_elements(&shape, y), accounts))
    }

    fn apply_at(&self, xs: &[&Tensor<T>], at: &[usize]) -> Option<Vec<T>> {
        xs.first().map(|x| self.kernel.forward_at(&elements(x), at))
    }

    fn adjoint_then(&self, s: &Tensor<T>, epilogue: AdjointEpilogue<'_, T>) -> Option<Vec<Tensor<T>>> {
        match epilogue {
            AdjointEpilogue::Times(xs) => Some(self.run_back(s, ElementEpilogue::Times(&elements(xs.first()?)))),
            AdjointEpilogue::TimesOnto(xs, onto) => {
                Some(self.run_back(s, ElementEpilogue::TimesOnto(&elements(xs.first()?), &elements(onto.first()?))))
            }
        }
    }
}

impl<T: Scalar> Rescale<T> for Conv<T> {
    fn rescale_output(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        if scale.len() != self.kernel.outputs || shift.len() != self.kernel.outputs {
            return None;
        }
        let bias = rescaled_bias(self.bias.as_ref(), scale, shift);
        let kernel = self.kernel.map_by_channel(|o, _, w| scale[o] * w);
        Some(Arc::new(self.with(kernel, Some(self.bias_tensor(bias)))))
    }

    fn rescale_input(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        let k = &self.kernel;
        if scale.len() != k.inputs || shift.len() != k.inputs {
            return None;
        }
        // Padding inserts zeros after the shift: folding it into the bias would shift those too.
        if k.window.is_padded() && shift.iter().any(|t| !t.is_zero()) {
            return None;
        }
        let per_group = k.inputs / k.groups;
        let channel = |o: usize, i: usize| o / (k.outputs / k.groups) * per_group + i;
        let mut bias: Vec<T> =
            self.bias.as_ref().map_or_else(|| vec![T::zero(); k.outputs], |b| elements(b).into_owned());
        for (index, w) in k.weights.iter().enumerate() {
            let (o, i) = (index / (k.window.taps() * per_group), index / k.window.taps() % per_group);
            bias[o] += w * shift[channel(o, i)];
        }
        let kernel = k.map_by_channel(|o, i, w| scale[channel(o, i)] * w);
        Some(Arc::new(self.with(kernel, Some(self.bias_tensor(bias)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::fused::{adjoint_times, apply_biased, pack};
    use crate::tensor::into_elements;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let w = array![[[1.0, 2.0]], [[0.0, -1.0]]].into_dyn();
        let conv = Conv::new(w, Some(vec![0.0, 10.0]), &WindowSpec::new(&[2]), 1, &[1, 3]).unwrap();
        let x = array![[[1.0, 2.0, 3.0]]].into_dyn();
        assert_eq!(conv.forward(&[&x]), array![[[5.0, 8.0], [8.0, 7.0]]].into_dyn());
        let s = array![[[1.0, 0.0], [0.0, 1.0]]].into_dyn();
        assert_eq!(conv.adjoint(&s), vec![array![[[1.0, 2.0, -1.0]]].into_dyn()]);
    }

    /// A ReLU that makes zero of NaN would hide that numbers overflowed. Rows of this length are done with vectors and one by one.
    #[test]
    fn a_clamp_does_not_hide_nan() {
        for bias in [Some(vec![0.5_f32]), None] {
            let conv = Conv::new(array![[[1.0]]].into_dyn(), bias, &WindowSpec::new(&[1]), 1, &[1, 37]).unwrap();
            for limits in [Limits { low: 0.0, high: f32::INFINITY }, Limits { low: -1.0, high: 6.0 }] {
                for place in [0, 20, 36] {
                    let mut x = Tensor::from_elem(vec![1, 1, 37], -0.5);
                    x[[0, 0, place]] = f32::NAN;
                    let y = conv.forward_clamped(&[&x], limits);
                    let nan: Vec<usize> = (0..37).filter(|&i| y[[0, 0, i]].is_nan()).collect();
                    assert_eq!(nan, [place]);
                    // As before, a ReLU knows no negative zero.
                    assert!(limits.low < 0.0 || y.iter().all(|v| v.is_nan() || v.is_sign_positive()));
                }
            }
        }
    }

    #[test]
    fn a_shift_is_not_folded_under_padding() {
        let w = array![[[1.0, 2.0]]].into_dyn();
        let padded = Conv::new(w, None, &WindowSpec::new(&[2]).pad(1), 1, &[1, 3]).unwrap();
        assert!(padded.rescale_input(&[2.0], &[1.0]).is_none());
        assert!(padded.rescale_input(&[2.0], &[0.0]).is_some());
    }

    #[test]
    fn rescaling_the_input_is_exact_without_padding_and_with_groups() {
        let w = Tensor::from_shape_fn(vec![4, 2, 2], |i| (i[0] * 4 + i[1] * 2 + i[2]) as f64 - 6.5);
        let conv = Conv::new(w, Some(vec![1.0, 2.0, 3.0, 4.0]), &WindowSpec::new(&[2]), 2, &[4, 3]).unwrap();
        let (scale, shift) = ([2.0, -1.0, 0.5, 3.0], [1.0, 2.0, 3.0, -4.0]);
        let x = Tensor::from_shape_fn(vec![2, 4, 3], |i| (i[0] + 2 * i[1]) as f64 - i[2] as f64);
        let mut y = x.clone();
        for (i, v) in y.indexed_iter_mut() {
            *v = *v * scale[i[1]] + shift[i[1]];
        }
        assert_eq!(conv.rescale_input(&scale, &shift).unwrap().forward(&[&x]), conv.forward(&[&y]));
    }

    #[test]
    fn the_algorithm_is_a_choice_where_there_is_one_and_copies_keep_it() {
        let w = Tensor::from_shape_fn(vec![32, 32, 3, 3], |i| ((i[0] + 2 * i[1]) % 7) as f64 - (i[2] * i[3]) as f64);
        let spec = WindowSpec::new(&[3, 3]).pad(1);
        let conv = Conv::new(w.clone(), Some(vec![1.0; 32]), &spec, 1, &[32, 24, 25]).unwrap();
        assert_eq!(conv.algorithm(), Some(Algorithm::Direct));
        let fast = conv.fastest().unwrap();
        assert_eq!(
            (fast.algorithm(), fast.detail().as_str()),
            (Some(Algorithm::Winograd4), "32→32, 3×3, pad 1, Winograd 4×4")
        );
        let x = Tensor::from_shape_fn(vec![1, 32, 24, 25], |i| ((i[1] * i[2]) % 5) as f64 - (i[3] % 3) as f64);
        // Transforms of small integers are exact.
        assert_eq!(fast.forward(&[&x]), conv.forward(&[&x]));
        let (direct, back) = (conv.adjoint(&x), fast.as_affine().unwrap().adjoint(&x));
        assert!(back != direct && (&back[0] - &direct[0]).iter().all(|d| d.abs() < 1e-9));
        let mapped = fast.as_affine().unwrap().map_weights(&|w| w * w);
        assert_eq!(mapped.algorithm(), Some(Algorithm::Winograd4));
        let thrifty = fast.thrifty().unwrap();
        assert_eq!(thrifty.algorithm(), Some(Algorithm::Direct));
        for _ in 0..2 {
            assert_eq!(thrifty.as_affine().unwrap().adjoint(&x), direct);
        }
        let strided = Conv::new(w, None, &WindowSpec::new(&[3, 3]).stride(2), 1, &[32, 49, 49]).unwrap();
        assert!(strided.fastest().is_none());
    }

    #[test]
    fn what_is_added_is_told_apart_by_its_shape() {
        let w = Tensor::from_shape_fn(vec![3, 2, 1], |i| (i[0] + 2 * i[1]) as f64 - 1.5);
        let conv = Conv::new(w, None, &WindowSpec::new(&[1]), 1, &[2, 3]).unwrap();
        let x = Tensor::from_shape_fn(vec![2, 2, 3], |i| (i[0] * 3 + i[1]) as f64 - i[2] as f64);
        for shape in [&[3, 1][..], &[3], &[1, 3], &[3, 3], &[1, 1]] {
            let b = Tensor::from_shape_fn(shape.to_vec(), |i| {
                (0..shape.len()).map(|a| (i[a] * (a + 1)) as f64).sum::<f64>() - 0.5
            });
            assert_eq!(apply_biased(&conv, &[&x], Some(&b), None), conv.apply(&[&x]) + &b, "{shape:?}");
        }
    }

    #[test]
    fn the_fastest_way_decides_as_exactly_as_the_direct_one() {
        let number = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as f64 % 1e4 / 1e4 - 0.5;
        let w =
            Tensor::from_shape_fn(vec![64, 64, 3, 3], |i| number(((i[0] * 64 + i[1]) * 3 + i[2]) * 3 + i[3]) as f32);
        let x = Tensor::from_shape_fn(vec![1, 64, 24, 24], |i| number((i[1] * 24 + i[2]) * 24 + i[3] + 77) as f32);
        let spec = WindowSpec::new(&[3, 3]).pad(1);
        let exact = Conv::new(w.mapv(f64::from), None, &spec, 1, &[64, 24, 24]).unwrap();
        let conv = Conv::new(w, None, &spec, 1, &[64, 24, 24]).unwrap();
        let fast = conv.fastest().unwrap();
        assert_eq!(fast.algorithm(), Some(Algorithm::Winograd4));
        let error =
            |found: &Tensor<f32>, exact: Tensor<f64>| (found.mapv(f64::from) - exact).mapv(|d| d * d).sum().sqrt();
        let errors = |op: &dyn Affine<f32>| {
            let wide = x.mapv(f64::from);
            let mapped = error(&op.map_weights(&|w| w).apply(&[&x]), exact.apply(&[&wide]));
            (
                error(&op.apply(&[&x]), exact.apply(&[&wide])),
                error(&op.adjoint(&x)[0], exact.adjoint(&wide).remove(0)),
                mapped,
            )
        };
        let (direct, fast) = (errors(&conv), errors(fast.as_affine().unwrap()));
        assert!(0.5 * direct.0 < fast.0 && fast.0 < 2.0 * direct.0, "{direct:?} {fast:?}");
        // A copy that decides nothing is faster, and less exact.
        assert!(2.0 * direct.1 < fast.1 && fast.1 < 12.0 * direct.1, "{direct:?} {fast:?}");
        assert!(2.0 * direct.2 < fast.2 && fast.2 < 12.0 * direct.2, "{direct:?} {fast:?}");
        let small = Conv::new(Tensor::<f32>::zeros(vec![8, 8, 3, 3]), None, &WindowSpec::new(&[3, 3]), 1, &[8, 24, 24]);
        assert!(small.unwrap().fastest().is_none());
    }

    #[test]
    fn shares_are_added_to_what_is_there() {
        let number = |i: usize| (i * 37 % 23) as f64 / 8.0 - 1.25;
        for (outputs, inputs, stride, pad) in [(3, 2, 1, 1), (40, 34, 1, 1), (5, 3, 3, 0), (40, 34, 2, 1)] {
            let w =
                Tensor::from_shape_fn(vec![outputs, inputs, 2, 2], |i| number(i[0] * 5 + i[1] * 3 + i[2] * 2 + i[3]));
            let spec = WindowSpec::new(&[2, 2]).stride(stride).pad(pad);
            let conv = Conv::new(w, None, &spec, 1, &[inputs, 8, 9]).unwrap();
            let x = Tensor::from_shape_fn(vec![2, inputs, 8, 9], |i| number(i[0] + i[1] * 7 + i[2] * 3 + i[3]));
            let r = x.mapv(|v| v * v - 1.0);
            let s = conv.apply(&[&x]);
            let found = adjoint_times(&conv, &s, &[&x], vec![r.clone()]).remove(0);
            assert_eq!(found, r + &x * &conv.adjoint(&s)[0], "{outputs} {inputs} {stride} {pad}");
        }
    }

    /// Contributions of a part that is zero must change no bit: the numbers make rounding visible.
    #[test]
    fn two_concatenated_inputs_are_both_and_one_alone_is_itself() {
        let number = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as f32 % 1e4 / 1e4 - 0.5;
        for (inputs, outputs, size) in [(3, 5, 9), (7, 40, 11), (12, 20, 9), (170, 33, 4), (40, 48, 26)] {
            let w = Tensor::from_shape_fn(vec![outputs, inputs, 3, 3], |i| {
                number(((i[0] * inputs + i[1]) * 3 + i[2]) * 3 + i[3])
            });
            let conv = Conv::new(w, None, &WindowSpec::new(&[3, 3]).pad(1), 1, &[inputs, size, size]).unwrap();
            let conv = conv.fastest().unwrap_or_else(|| Arc::new(conv.clone()));
            let op = conv.as_affine().unwrap();
            let shape = vec![2, inputs, size, size];
            let x = Tensor::from_shape_fn(shape.clone(), |i| number((i[1] * 31 + i[2]) * 29 + i[3] + i[0]));
            let (first, second) = (|w: f32| w.max(0.0), |w: f32| w.min(0.0));
            let both = pack(op, Packing::ConcatInputs(&first, &second)).unwrap();
            let (p, n) = (op.map_weights(&first), op.map_weights(&second));
            let z = both.apply(&[&crate::tensor::concat_channels(&x, &Tensor::zeros(shape.clone()))]);
            assert_eq!(z, p.apply(&[&x]), "{inputs} {outputs} {size}");
            let y = x.mapv(|v| v * v - 0.1);
            let z = both.apply(&[&crate::tensor::concat_channels(&x, &y)]);
            let sum = p.apply(&[&x]) + n.apply(&[&y]);
            assert!((&z - &sum).iter().all(|d| d.abs() < 1e-3), "{inputs} {outputs} {size}");
            let back = both.adjoint(&sum).remove(0);
            let apart = p.adjoint(&sum)[0].clone() + &n.adjoint(&sum)[0];
            assert_eq!(crate::tensor::sum_of_halves(&back), apart, "{inputs} {outputs} {size}");
        }
    }

    #[test]
    fn some_outputs_are_those_of_all() {
        let number = |i: usize| (i * 37 % 23) as f64 / 8.0 - 1.25;
        for (groups, spec) in [
            (1, WindowSpec::new(&[3, 2]).pad(1)),
            (2, WindowSpec::new(&[3, 3]).stride(2).dilation(2).pad(3)),
            (6, WindowSpec::new(&[1, 4])),
        ] {
            let mut shape = vec![12, 6 / groups];
            shape.extend(&spec.kernel);
            let w = Tensor::from_shape_fn(shape, |i| number(i[0] * 5 + i[1] * 3 + i[2] * 2 + i[3]));
            let conv = Conv::new(w, None, &spec, groups, &[6, 7, 8]).unwrap();
            let x = Tensor::from_shape_fn(vec![1, 6, 7, 8], |i| number(i[1] * 7 + i[2] * 3 + i[3]));
            let all = into_elements(conv.apply(&[&x]));
            let at: Vec<usize> = (0..all.len()).filter(|i| i % 3 != 1).collect();
            // Multiples of 1/64: exact in any order.
            let expected: Vec<f64> = at.iter().map(|&i| all[i]).collect();
            assert_eq!(Fused::apply_at(&conv, &[&x], &at).unwrap(), expected, "{spec:?}");
        }
    }

    #[test]
    fn sizes_that_disagree_are_refused() {
        let w = Tensor::<f64>::zeros(vec![4, 3, 3, 3]);
        let spec = WindowSpec::new(&[3, 3]);
        assert!(Conv::new(w.clone(), None, &spec, 1, &[3, 8, 8]).is_ok());
        assert!(Conv::new(w.clone(), None, &spec, 1, &[2, 8, 8]).is_err());
        assert!(Conv::new(w.clone(), None, &spec, 3, &[3, 8, 8]).is_err());
        assert!(Conv::new(w.clone(), None, &spec, 0, &[3, 8, 8]).is_err());
        assert!(Conv::new(w.clone(), Some(vec![0.0]), &spec, 1, &[3, 8, 8]).is_err());
        assert!(Conv::new(w, None, &spec, 1, &[3, 2, 8]).is_err());
    }
}
