//! Interpolation: enlargement or reduction along axes, as an affine operator.

use std::borrow::Cow;
use std::sync::Arc;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::map_samples;
use crate::operator::{Affine, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples, volume};

/// The inputs that one output position along an axis is made of, with their weights.
pub type Taps<T> = Vec<(usize, T)>;

/// Linear (or cubic) interpolation along axes: every output is a weighted sum of a few inputs.
#[derive(Debug, Clone)]
pub struct Resize<T> {
    weights: Arc<Weights<T>>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

/// The weights of a resize.
#[derive(Debug, Clone)]
enum Weights<T> {
    /// For each axis and each output position along it its taps. A weight is the product of those along all axes, so that the
    /// axes can be interpolated one after the other.
    Axes(Vec<Vec<Taps<T>>>),
    /// For each output position (of one sample) its taps: functions of the products, which are no products any more.
    Table(Vec<Taps<T>>),
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
        Ok(Self { weights: Arc::new(Weights::Axes(axes.to_vec())), input_shape: one(input), output_shape })
    }

    /// The taps of every output position of one sample, with `f` of their weights.
    fn table(&self, f: &dyn Fn(T) -> T) -> Vec<Taps<T>> {
        let mapped = |taps: &Taps<T>| taps.iter().map(|&(i, w)| (i, f(w))).collect();
        let axes = match self.weights.as_ref() {
            Weights::Table(table) => return table.iter().map(mapped).collect(),
            Weights::Axes(axes) => axes,
        };
        let mut table: Vec<Taps<T>> = vec![vec![(0, T::one())]];
        for (outputs, &length) in axes.iter().zip(&self.input_shape[0]) {
            let extended = |prefix: &Taps<T>, along: &Taps<T>| -> Taps<T> {
                let each = |&(p, v): &(usize, T)| along.iter().map(move |&(i, w)| (p * length + i, v * w));
                prefix.iter().flat_map(each).collect()
            };
            table = table.iter().flat_map(|prefix| outputs.iter().map(move |along| extended(prefix, along))).collect();
        }
        table.iter().map(mapped).collect()
    }

    /// Whether an axis is left as it is.
    fn is_whole(&self, axes: &[Vec<Taps<T>>], axis: usize) -> bool {
        let (taps, length) = (&axes[axis], self.input_shape[0][axis]);
        taps.len() == length
            && taps.iter().enumerate().all(|(o, taps)| matches!(taps[..], [(i, w)] if i == o && w.is_one()))
    }
}

/// Interpolates `[outer, input, inner]` to `[outer, output, inner]`.
fn along<T: Scalar>(x: &[T], taps: &[Taps<T>], length: usize, inner: usize) -> Vec<T> {
    let outer = x.len() / (length * inner);
    let mut y = vec![T::zero(); outer * taps.len() * inner];
    for (x, y) in x.chunks(length * inner).zip(y.chunks_mut(taps.len() * inner)) {
        for (taps, y) in taps.iter().zip(y.chunks_mut(inner)) {
            for &(i, w) in taps {
                y.iter_mut().zip(&x[i * inner..]).for_each(|(y, &x)| *y += w * x);
            }
        }
    }
    y
}

/// The adjoint of [`along`]: `[outer, output, inner]` to `[outer, input, inner]`.
fn back_along<T: Scalar>(s: &[T], taps: &[Taps<T>], length: usize, inner: usize) -> Vec<T> {
    let outer = s.len() / (taps.len() * inner);
    let mut g = vec![T::zero(); outer * length * inner];
    for (s, g) in s.chunks(taps.len() * inner).zip(g.chunks_mut(length * inner)) {
        for (taps, s) in taps.iter().zip(s.chunks(inner)) {
            for &(i, w) in taps {
                g[i * inner..].iter_mut().zip(s).for_each(|(g, &s)| *g += w * s);
            }
        }
    }
    g
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
        let positive = |taps: &Taps<T>| taps.iter().all(|(_, w)| *w >= T::zero());
        inputs.iter().all(|&i| i)
            && match self.weights.as_ref() {
                Weights::Axes(axes) => axes.iter().flatten().all(positive),
                Weights::Table(table) => table.iter().all(positive),
            }
    }

    fn detail(&self) -> String {
        "by interpolation".into()
    }
}

impl<T: Scalar> Affine<T> for Resize<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let (input, output) = (&self.input_shape[0], &self.output_shape);
        let y = map_samples(&elements(x), volume(input), volume(output), |x, y| match self.weights.as_ref() {
            Weights::Axes(axes) => {
                let mut now = Cow::Borrowed(x);
                for axis in (0..input.len()).filter(|&axis| !self.is_whole(axes, axis)) {
                    now = Cow::Owned(along(&now, &axes[axis], input[axis], volume(&input[axis + 1..])));
                }
                y.copy_from_slice(&now);
            }
            Weights::Table(table) => {
                let sum = |taps: &Taps<T>| taps.iter().fold(T::zero(), |sum, &(i, w)| sum + w * x[i]);
                y.iter_mut().zip(table).for_each(|(y, taps)| *y = sum(taps));
            }
        });
        from_elements(&batch_shape(samples(x), output), y)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        let (input, output) = (&self.input_shape[0], &self.output_shape);
        let g = map_samples(&elements(s), volume(output), volume(input), |s, g| match self.weights.as_ref() {
            Weights::Axes(axes) => {
                let mut now = Cow::Borrowed(s);
                for axis in (0..input.len()).rev().filter(|&axis| !self.is_whole(axes, axis)) {
                    now = Cow::Owned(back_along(&now, &axes[axis], input[axis], volume(&input[axis + 1..])));
                }
                g.copy_from_slice(&now);
            }
            Weights::Table(table) => {
                for (&s, taps) in s.iter().zip(table) {
                    taps.iter().for_each(|&(i, w)| g[i] += w * s);
                }
            }
        });
        vec![from_elements(&batch_shape(samples(s), input), g)]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weights: Arc::new(Weights::Table(self.table(f))), ..self.clone() })
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

    #[test]
    fn axis_by_axis_or_by_a_table_of_all_weights() {
        let half = |d: usize| -> Vec<Taps<f64>> {
            let between =
                |i: usize| if i.is_multiple_of(2) { vec![(i / 2, 1.0)] } else { vec![(i / 2, -0.5), (i / 2 + 1, 1.5)] };
            (0..2 * d - 1).map(between).collect()
        };
        let whole = vec![vec![(0, 1.0)], vec![(1, 1.0)]];
        let op = Resize::new(&[half(3), whole, half(2)], &[3, 2, 2]).unwrap();
        let table = op.map_weights(&|w| w);
        let squared = op.map_weights(&|w| w * w).map_weights(&f64::sqrt);
        let x =
            Tensor::from_shape_fn(vec![2, 3, 2, 2], |i| ((i[0] * 31 + i[1] * 7 + i[2] * 5 + i[3]) % 11) as f64 - 5.0);
        let (y, z) = (op.apply(&[&x]), table.apply(&[&x]));
        assert!((&y - &z).iter().all(|d| d.abs() < 1e-12));
        assert!((&y - &squared.apply(&[&x])).iter().any(|d| d.abs() > 0.1), "the sign of weights is lost");
        assert!((&op.adjoint(&y)[0] - &table.adjoint(&y)[0]).iter().all(|d| d.abs() < 1e-12));
    }
}
