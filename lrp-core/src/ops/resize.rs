//! Interpolation: enlargement or reduction along axes, as an affine operator.

use std::sync::Arc;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Affine, Kind, Operator, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples, volume};

/// The inputs that one output position along an axis is made of, with their weights.
pub type Taps<T> = Vec<(usize, T)>;

/// Linear (or cubic) interpolation along axes: every output is a weighted sum of a few inputs.
#[derive(Debug, Clone)]
pub struct Resize<T> {
    /// For each output position (of one sample) the input positions it sees, with their weights.
    taps: Arc<Vec<Taps<T>>>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl<T: Scalar> Resize<T> {
    /// `axes[a][o]` are the taps of output `o` along axis `a` of the sample shape `input`; a position's weight is the product of
    /// its weights along all axes.
    ///
    /// # Errors
    /// When a tap is beyond its axis.
    pub fn new(axes: &[Vec<Taps<T>>], input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        if axes.len() != input.len() {
            return Err(OperatorError::new(format!("taps for {} axes of {}", axes.len(), input.len())));
        }
        for (outputs, &length) in axes.iter().zip(input) {
            if let Some((index, _)) = outputs.iter().flatten().find(|(i, _)| *i >= length) {
                return Err(OperatorError::new(format!("the tap {index} is beyond an axis of length {length}")));
            }
        }
        let output_shape: Vec<usize> = axes.iter().map(Vec::len).collect();
        check_shape(&output_shape)?;
        let mut taps: Vec<Taps<T>> = vec![vec![(0, T::one())]];
        for (outputs, &length) in axes.iter().zip(input) {
            let extend = |prefix: &Taps<T>, along: &Taps<T>| -> Taps<T> {
                let mut taps = Vec::with_capacity(prefix.len() * along.len());
                for &(p, v) in prefix {
                    taps.extend(along.iter().map(|&(i, w)| (p * length + i, v * w)));
                }
                taps
            };
            // Not collected: a list that grows takes three times its size while it does.
            let mut longer = Vec::with_capacity(taps.len() * outputs.len());
            for prefix in &taps {
                longer.extend(outputs.iter().map(|along| extend(prefix, along)));
            }
            taps = longer;
        }
        Ok(Self { taps: Arc::new(taps), input_shape: one(input), output_shape })
    }
}

impl<T: Scalar> Operator<T> for Resize<T> {
    fn kind(&self) -> Kind {
        Kind::Resize
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    affine_methods!();

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) && self.taps.iter().flatten().all(|(_, w)| *w >= T::zero())
    }

    fn detail(&self) -> String {
        "by interpolation".into()
    }
}

impl<T: Scalar> Affine<T> for Resize<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let in_len = volume(&self.input_shape[0]);
        let sum = |x: &[T], taps: &Taps<T>| taps.iter().fold(T::zero(), |sum, &(i, w)| sum + w * x[i]);
        let y = xs.first().map_or_else(Vec::new, |x| {
            elements(x).chunks(in_len).flat_map(|x| self.taps.iter().map(move |taps| sum(x, taps))).collect()
        });
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        let in_len = volume(&self.input_shape[0]);
        let mut g = vec![T::zero(); samples(s) * in_len];
        for (s, g) in elements(s).chunks(self.taps.len()).zip(g.chunks_mut(in_len)) {
            for (&s, taps) in s.iter().zip(self.taps.iter()) {
                taps.iter().for_each(|&(i, w)| g[i] += w * s);
            }
        }
        vec![from_elements(&batch_shape(samples(s), &self.input_shape[0]), g)]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        let taps = self.taps.iter().map(|taps| taps.iter().map(|&(i, w)| (i, f(w))).collect()).collect();
        Arc::new(Self { taps: Arc::new(taps), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let between = vec![vec![(0, 1.0)], vec![(0, 0.5), (1, 0.5)], vec![(1, 1.0)]];
        let op = Resize::new(&[vec![vec![(0, 1.0)]], between.clone()], &[1, 2]).unwrap();
        let x = array![[[2.0, 6.0]]].into_dyn();
        assert_eq!(op.forward(&[&x]), array![[[2.0, 4.0, 6.0]]].into_dyn());
        assert_eq!(op.adjoint(&array![[[1.0, 1.0, 1.0]]].into_dyn()), vec![array![[[1.5, 1.5]]].into_dyn()]);
        assert!(Resize::new(&[between], &[1]).is_err());
    }
}
