//! Diagonal affine operators: batch normalisation, and products and sums with constants.

use std::sync::Arc;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Affine, Fixed, Kind, Operator, Rescale};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, neg};

/// `z = w ⊙ x + b`, with `w` and `b` broadcast to the sample shape of `x`.
#[derive(Debug, Clone)]
pub struct Scale<T> {
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
    kind: Kind,
    shape: [Vec<usize>; 1],
}

impl<T: Scalar> Scale<T> {
    /// A product with `weight`, a sum with `bias`, or both; either broadcasts to `input`, the sample shape.
    ///
    /// # Errors
    /// When a constant does not broadcast to the sample shape.
    pub fn new(weight: Option<Tensor<T>>, bias: Option<Tensor<T>>, input: &[usize]) -> Result<Self, OperatorError> {
        Self::of_kind(Kind::Scale, weight, bias, input)
    }

    /// Batch normalisation with its recorded statistics, one number per channel (axis 1 of `[N, C, …]`):
    /// `γ (x − mean) / √(var + epsilon) + β`.
    ///
    /// # Errors
    /// When a parameter does not have one number per channel.
    pub fn batch_norm(
        gamma: &[T],
        beta: &[T],
        mean: &[T],
        var: &[T],
        epsilon: T,
        input: &[usize],
    ) -> Result<Self, OperatorError> {
        let channels = input.first().copied().unwrap_or(0);
        for (name, values) in [("scale", gamma), ("bias", beta), ("mean", mean), ("variance", var)] {
            if values.len() != channels {
                return Err(OperatorError::new(format!(
                    "{name} has {} elements for {channels} channels",
                    values.len()
                )));
            }
        }
        let weight: Vec<T> = gamma.iter().zip(var).map(|(&g, &v)| g / (v + epsilon).sqrt()).collect();
        if weight.iter().any(|w| !w.is_finite()) {
            return Err(OperatorError::new("a variance is negative, or zero with an epsilon of zero"));
        }
        let bias = beta.iter().zip(mean).zip(&weight).map(|((&b, &m), &w)| b - m * w).collect();
        let mut shape = vec![1; input.len()];
        shape[0] = channels;
        let tensor = |values| crate::tensor::from_elements(&shape, values);
        Self::of_kind(Kind::BatchNorm, Some(tensor(weight)), Some(tensor(bias)), input)
    }

    fn of_kind(
        kind: Kind,
        weight: Option<Tensor<T>>,
        bias: Option<Tensor<T>>,
        input: &[usize],
    ) -> Result<Self, OperatorError> {
        check_shape(input)?;
        for constant in weight.iter().chain(&bias) {
            if constant.ndim() > input.len() || constant.broadcast(input).is_none() {
                return Err(OperatorError::new(format!(
                    "a constant of shape {:?} does not broadcast to [N, {}]",
                    constant.shape(),
                    input.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
                )));
            }
        }
        let weight = weight.unwrap_or_else(|| Tensor::ones(vec![1; input.len()]));
        Ok(Self { weight, bias, kind, shape: one(input) })
    }

    /// `w` and `b`.
    pub fn constants(&self) -> (&Tensor<T>, Option<&Tensor<T>>) {
        (&self.weight, self.bias.as_ref())
    }

    /// The factor and the summand of each channel, if all positions of a channel share theirs. Not for millions of
    /// channels: a single number would have to be repeated as often, and there is no layer to take it.
    pub fn per_channel(&self) -> Option<(Vec<T>, Vec<T>)> {
        const MOST: usize = 1 << 20;
        let channels = *self.shape[0].first().filter(|&&c| c <= MOST)?;
        let rank = self.shape[0].len();
        let expand = |t: &Tensor<T>| -> Option<Vec<T>> {
            let mut shape = vec![1; rank - t.ndim()];
            shape.extend_from_slice(t.shape());
            match shape.split_first() {
                Some((&c, rest)) if rest.iter().all(|&d| d == 1) => {
                    let values = elements(t);
                    Some(if c == channels { values.into_owned() } else { vec![*values.first()?; channels] })
                }
                _ => None,
            }
        };
        let shift = match &self.bias {
            Some(bias) => expand(bias)?,
            None => vec![T::zero(); channels],
        };
        Some((expand(&self.weight)?, shift))
    }
}

impl<T: Scalar> Operator<T> for Scale<T> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    affine_methods!();

    /// Without a summand, each element is a multiple of one element: all of its relevance is that element's, and no denominator that crosses
    /// zero (a score, before a softmax) takes a part.
    fn fixed(&self) -> Fixed {
        let is_product = self.kind == Kind::Scale && self.bias.iter().flatten().all(|b| b.is_zero());
        if is_product && self.weight.iter().all(|w| !w.is_zero()) { Fixed::Pass } else { Fixed::RuleNeeded }
    }

    fn as_rescale(&self) -> Option<&dyn Rescale<T>> {
        Some(self)
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        let none = |t: &Tensor<T>, f: fn(T) -> T| t.iter().all(|&v| f(v).is_zero());
        inputs.iter().all(|&i| i) && none(&self.weight, neg) && self.bias.as_ref().is_none_or(|b| none(b, neg))
    }

    fn parameters(&self) -> usize {
        if self.kind == Kind::BatchNorm { 2 * self.weight.len() } else { 0 }
    }

    fn detail(&self) -> String {
        let constant = |t: &Tensor<T>| match t.len() {
            1 => format!("{}", t.iter().next().copied().unwrap_or_else(T::zero)),
            _ => t.shape().iter().map(usize::to_string).collect::<Vec<_>>().join("×"),
        };
        let is_one = self.weight.iter().all(|&w| w == T::one());
        match (&self.bias, is_one) {
            _ if self.kind == Kind::BatchNorm => format!("{} channels", self.weight.len()),
            (Some(b), true) => format!("+ {}", constant(b)),
            (Some(b), false) => format!("× {} + {}", constant(&self.weight), constant(b)),
            (None, _) => format!("× {}", constant(&self.weight)),
        }
    }
}

impl<T: Scalar> Affine<T> for Scale<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| *x * &self.weight)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![s * &self.weight]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weight: self.weight.mapv(f), bias: None, kind: self.kind, shape: self.shape.clone() })
    }
}

impl<T: Scalar> Rescale<T> for Scale<T> {
    fn rescale_output(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        let mut shape = vec![1; self.shape[0].len()];
        *shape.first_mut()? = scale.len();
        let scale = crate::tensor::from_elements(&shape, scale.to_vec());
        let shift = crate::tensor::from_elements(&shape, shift.to_vec());
        let bias = match &self.bias {
            Some(b) => b * &scale + &shift,
            None => shift,
        };
        let scaled = Self::of_kind(self.kind, Some(&self.weight * &scale), Some(bias), &self.shape[0]).ok()?;
        Some(Arc::new(scaled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn batch_norm_by_hand() {
        // (x − 2) / √(3 + 1) · 4 + 1 = 2x − 3
        let bn = Scale::batch_norm(&[4.0], &[1.0], &[2.0], &[3.0], 1.0, &[1, 2]).unwrap();
        let x = array![[[0.0, 5.0]]].into_dyn();
        assert_eq!(bn.forward(&[&x]), array![[[-3.0, 7.0]]].into_dyn());
        assert_eq!(bn.per_channel(), Some((vec![2.0], vec![-3.0])));
    }

    #[test]
    fn a_product_passes_relevance_and_a_sum_needs_a_rule() {
        let constant = |values: &[f64]| Some(ndarray::arr1(values).into_dyn());
        let fixed = |weight, bias| Scale::new(weight, bias, &[2]).unwrap().fixed();
        assert_eq!(fixed(constant(&[2.0, -0.5]), None), Fixed::Pass);
        assert_eq!(fixed(constant(&[2.0]), constant(&[0.0, 0.0])), Fixed::Pass);
        assert_eq!(fixed(constant(&[2.0]), constant(&[0.0, 1.0])), Fixed::RuleNeeded);
        assert_eq!(fixed(constant(&[2.0, 0.0]), None), Fixed::RuleNeeded);
        let bn = Scale::batch_norm(&[4.0], &[1.0], &[0.25], &[3.0], 1.0, &[1, 2]).unwrap();
        assert_eq!(bn.fixed(), Fixed::RuleNeeded);
    }

    #[test]
    fn a_number_is_not_repeated_for_an_absurd_number_of_channels() {
        let scale = |channels| Scale::<f64>::new(Some(Tensor::from_elem(vec![1], 2.0)), None, &[channels]).unwrap();
        assert_eq!(scale(3).per_channel(), Some((vec![2.0; 3], vec![0.0; 3])));
        assert_eq!(scale(1 << 31).per_channel(), None);
    }

    #[test]
    fn constants_that_do_not_broadcast_are_refused() {
        let wide = Tensor::<f64>::zeros(vec![3]);
        assert!(Scale::new(None, Some(wide.clone()), &[2, 3]).is_ok());
        assert!(Scale::new(None, Some(wide), &[2, 1]).is_err());
        assert!(Scale::batch_norm(&[1.0], &[0.0], &[0.0], &[0.0], 0.0, &[1]).is_err());
    }
}
