//! Normalisation inside the model: `(x − μ) / σ`, `x / 255`, a batch norm on the input, and whatever else is elementwise and affine there.

use std::sync::Arc;

use ndarray::{ArrayD, Zip};

use super::Scale;
use crate::error::OperatorError;
use crate::operator::{Affine, Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, sums};

/// `z = w ⊙ x + b` between the model's input and its first layers.
///
/// Relevance passes it unchanged: a picture that is normalised inside the model gets the map that it gets when it is normalised
/// outside. Only where `w` is 0 does `z` not depend on the picture at all: its relevance is recorded as bias, as it is for
/// padding. A rule that is assigned sees the affine operator, a [`Scale`].
#[derive(Debug, Clone)]
pub struct Preprocessing<T: Scalar> {
    /// The operator that rules see.
    scale: Scale<T>,
    /// `w` and `b`, rounded once. Pixels near `μ` cancel in `w x + b`; double precision leaves them as exact as they are outside.
    weight: ArrayD<f64>,
    bias: ArrayD<f64>,
    /// 0 where `w` is 0, 1 elsewhere; none where `w` is nowhere 0.
    alive: Option<Tensor<T>>,
}

impl<T: Scalar> Preprocessing<T> {
    /// A product with `weight`, a sum with `bias`, or both; either broadcasts to `input`, the sample shape.
    ///
    /// # Errors
    /// When a constant does not broadcast to the sample shape.
    pub fn new(weight: Option<ArrayD<f64>>, bias: Option<ArrayD<f64>>, input: &[usize]) -> Result<Self, OperatorError> {
        let narrow = |constant: &Option<ArrayD<f64>>| constant.as_ref().map(|c| c.mapv(T::of));
        let scale = Scale::new(narrow(&weight), narrow(&bias), input)?;
        let number = |value| ArrayD::from_elem(vec![1; input.len()], value);
        let weight = weight.unwrap_or_else(|| number(1.0));
        let bias = bias.unwrap_or_else(|| number(0.0));
        let has_zero = weight.iter().any(|w| *w == 0.0);
        let alive = has_zero.then(|| weight.mapv(|w| if w == 0.0 { T::zero() } else { T::one() }));
        Ok(Self { scale, weight, bias, alive })
    }
}

impl<T: Scalar> Operator<T> for Preprocessing<T> {
    fn kind(&self) -> Kind {
        Kind::Preprocessing
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        self.scale.input_shapes()
    }

    fn output_shape(&self) -> &[usize] {
        self.scale.output_shape()
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let scaled = |x: &T, w: &f64, b: &f64| T::of(x.wide() * w + b);
        Zip::from(*x).and_broadcast(&self.weight).and_broadcast(&self.bias).map_collect(scaled)
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        self.scale.adjoint(g)
    }

    fn as_affine(&self) -> Option<&dyn Affine<T>> {
        Some(self)
    }

    fn into_affine(self: Arc<Self>) -> Option<Arc<dyn Affine<T>>> {
        Some(self)
    }

    fn fixed(&self) -> Fixed {
        match self.alive {
            Some(_) => Fixed::Own { name: Fixed::Pass.name(), needs: Needs::NOTHING },
            None => Fixed::Pass,
        }
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Some(alive) = &self.alive else { return Propagated::lossless(vec![r.clone()]) };
        let passed = r * alive;
        // The difference, element by element, rather than the difference of two sums.
        let bias = sums(&(r - &passed));
        Propagated { bias, ..Propagated::lossless(vec![passed]) }
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        self.scale.nonnegative(inputs)
    }

    fn detail(&self) -> String {
        self.scale.detail()
    }
}

impl<T: Scalar> Affine<T> for Preprocessing<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        self.scale.apply(xs)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        self.scale.adjoint(s)
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        self.scale.bias()
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        self.scale.map_weights(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn io(tensor: &Tensor<f64>) -> Io<'_, f64> {
        Io { inputs: &[], output: tensor }
    }

    #[test]
    fn by_hand() {
        let weight = array![[[2.0]], [[-1.0]]].into_dyn();
        let op =
            Preprocessing::<f64>::new(Some(weight), Some(array![[[1.0]], [[0.5]]].into_dyn()), &[2, 1, 2]).unwrap();
        let x = array![[[[1.0, 2.0]], [[3.0, 4.0]]]].into_dyn();
        assert_eq!(op.forward(&[&x]), array![[[[3.0, 5.0]], [[-2.5, -3.5]]]].into_dyn());
        assert_eq!(op.fixed(), Fixed::Pass);
        assert_eq!(op.detail(), "× 2×1×1 + 2×1×1");
        assert_eq!(op.adjoint(&x), [array![[[[2.0, 4.0]], [[-3.0, -4.0]]]].into_dyn()]);
        assert!(Preprocessing::<f64>::new(Some(ArrayD::zeros(vec![3])), None, &[2]).is_err());
    }

    /// A pixel that is multiplied by 0 decides nothing, and gets nothing.
    #[test]
    fn relevance_of_elements_with_zero_weight_is_bias() {
        let op = Preprocessing::<f64>::new(Some(array![1.0, 0.0, -3.0].into_dyn()), None, &[3]).unwrap();
        assert_eq!(op.fixed().name(), "pass");
        let r = array![[1.0, 2.0, 4.0], [0.5, -1.0, 0.0]].into_dyn();
        let passed = op.propagate(io(&r), &r);
        assert_eq!(passed.relevance, [array![[1.0, 0.0, 4.0], [0.5, 0.0, 0.0]].into_dyn()]);
        assert_eq!(passed.bias, [2.0, -1.0]);
        assert_eq!((passed.stabilizer, passed.rule), (vec![0.0; 2], vec![0.0; 2]));
    }

    /// Close to `μ`, single precision in the product would leave nothing but rounding.
    #[test]
    fn single_precision_is_rounded_once() {
        let (mu, sigma) = (0.485, 0.229);
        let constant = |v: f64| Some(array![v].into_dyn());
        let op = Preprocessing::<f32>::new(constant(1.0 / sigma), constant(-mu / sigma), &[1]).unwrap();
        let pixel = 0.485_001_f32;
        let exact = (f64::from(pixel) - mu) / sigma;
        let got = op.forward(&[&array![[pixel]].into_dyn()]);
        assert!((f64::from(got[[0, 0]]) / exact - 1.0).abs() < 1e-7, "{got:?} {exact}");
    }
}
