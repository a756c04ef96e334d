//! Elements at positions that the model computes.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, per_sample, samples, volume};

/// Slices at computed positions, for two inputs: positions `[…, K]`, each with a number for each of the first `K` axes of the data
/// `[D₁, …, D_K, rest…]`, which are the second input. The result is `[…, rest…]`, as that of ONNX's `GatherND`.
///
/// Negative numbers count from the end; a position that is no whole number, or beyond the data, gives a slice of NaN. Relevance goes to the
/// elements that were taken, and none to the positions: they decide which elements these are, and have no part in their values.
#[derive(Debug, Clone)]
pub struct Pick {
    /// The shapes of a sample of the positions and of the data.
    shapes: [Vec<usize>; 2],
    output_shape: Vec<usize>,
    /// The number of axes that a position names.
    named: usize,
    /// The number of elements of a slice.
    width: usize,
}

impl Pick {
    /// For positions and data of these sample shapes.
    ///
    /// # Errors
    /// When a shape is empty or too large, or a position has no number or more than the data have axes.
    pub fn new(positions: &[usize], data: &[usize]) -> Result<Self, OperatorError> {
        check_shape(positions)?;
        check_shape(data)?;
        let parts = positions.split_last().filter(|(named, _)| (1..=data.len()).contains(*named));
        let Some((&named, places)) = parts else {
            return Err(OperatorError::new(format!("positions of shape {positions:?} in data of shape {data:?}")));
        };
        let rest = &data[named..];
        let output_shape = [places, rest].concat();
        check_shape(&output_shape)?;
        Ok(Self { shapes: [positions.to_vec(), data.to_vec()], output_shape, named, width: volume(rest) })
    }

    /// The first element of the slice at a position.
    fn start<T: Scalar>(&self, position: &[T]) -> Option<usize> {
        let slice = position.iter().zip(&self.shapes[1]).try_fold(0, |slice, (&at, &length)| {
            let at = at.wide();
            let at = if at < 0.0 { at + length as f64 } else { at };
            // Whole and below the length, so exact.
            (at.fract() == 0.0 && (0.0..length as f64).contains(&at)).then(|| slice * length + at as usize)
        });
        slice.map(|slice| slice * self.width)
    }
}

impl<T: Scalar> Operator<T> for Pick {
    fn kind(&self) -> Kind {
        Kind::Pick
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let &[positions, data] = xs else { return crate::tensor::empty() };
        let (data_all, stride) = (elements(data), per_sample(data));
        let mut values = Vec::with_capacity(samples(data) * volume(&self.output_shape));
        for (position, sample) in self.of_samples(&elements(positions)) {
            match self.start(position) {
                Some(start) => values.extend_from_slice(&data_all[sample * stride + start..][..self.width]),
                None => values.extend(std::iter::repeat_n(T::nan(), self.width)),
            }
        }
        from_elements(&batch_shape(samples(data), &self.output_shape), values)
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let &[positions, _] = io.inputs else { return Vec::new() };
        let (n, stride, g_all) = (samples(g), volume(&self.shapes[1]), elements(g));
        let mut routed = vec![T::zero(); n * stride];
        for ((position, sample), g) in self.of_samples(&elements(positions)).zip(g_all.chunks(self.width)) {
            if let Some(start) = self.start(position) {
                routed[sample * stride + start..].iter_mut().zip(g).for_each(|(to, &g)| *to += g);
            }
        }
        vec![Tensor::zeros(positions.raw_dim()), from_elements(&batch_shape(n, &self.shapes[1]), routed)]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().skip(1).all(|&i| i)
    }
}

impl Pick {
    /// The positions of all samples, each with the number of its sample.
    fn of_samples<'a, T>(&self, positions: &'a [T]) -> impl Iterator<Item = (&'a [T], usize)> {
        let of_a_sample = volume(&self.shapes[0]) / self.named;
        positions.chunks(self.named).enumerate().map(move |(i, position)| (position, i / of_a_sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn slices_at_positions_of_each_sample() {
        let op = Pick::new(&[2, 1], &[3, 2]).unwrap();
        let positions = array![[[2.0], [-3.0]], [[1.0], [1.0]]].into_dyn();
        let data = array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0], [9.0, 10.0], [11.0, 12.0]]].into_dyn();
        let xs = [&positions, &data];
        let y: Tensor<f64> = op.forward(&xs);
        assert_eq!(y, array![[[5.0, 6.0], [1.0, 2.0]], [[9.0, 10.0], [9.0, 10.0]]].into_dyn());
        let r = array![[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]].into_dyn();
        let routed = op.vjp(Io { inputs: &xs, output: &y }, &r);
        assert_eq!(routed[0], Tensor::<f64>::zeros(vec![2, 2, 1]));
        assert_eq!(
            routed[1],
            array![[[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [12.0, 14.0], [0.0, 0.0]]].into_dyn()
        );
    }

    #[test]
    fn positions_beyond_the_data() {
        let op = Pick::new(&[1, 2], &[2, 2]).unwrap();
        let data = array![[[1.0, 2.0], [3.0, 4.0]]].into_dyn();
        let value =
            |row: f64, column: f64| -> f64 { op.forward(&[&array![[[row, column]]].into_dyn(), &data])[[0, 0]] };
        assert_eq!(value(1.0, -2.0), 3.0);
        assert!(value(2.0, 0.0).is_nan() && value(0.5, 0.0).is_nan() && value(f64::NAN, 0.0).is_nan());
        assert!(Pick::new(&[1, 3], &[2, 2]).is_err());
        assert!(Pick::new(&[], &[2, 2]).is_err());
    }
}
