//! Copying elements, chosen axis by axis: the kernel of slices, gathers, paddings and nearest-neighbour resizing.
//!
//! The tables are as long as the axes, not as large as the tensor.

use crate::simd::scalar::Scalar;
use crate::tensor::volume;

/// For every output position along an axis the input position that it copies, or none where it holds a constant.
pub type Sources = Vec<Option<usize>>;

/// A sample of one shape made from elements of a sample of another, chosen axis by axis.
#[derive(Debug, Clone)]
pub struct AxisMap {
    axes: Vec<Sources>,
    input: Vec<usize>,
    output: Vec<usize>,
    /// From this axis on, everything is copied as it is: one block.
    whole_from: usize,
    /// Number of input and output elements in one step along each axis.
    steps: Vec<(usize, usize)>,
}

impl AxisMap {
    /// `axes` for each axis of the sample shape `input`; every position must exist.
    pub fn new(axes: Vec<Sources>, input: &[usize]) -> Self {
        let output: Vec<usize> = axes.iter().map(Vec::len).collect();
        let is_whole = |axis: usize| axes[axis].iter().copied().eq((0..input[axis]).map(Some));
        let whole_from = (0..input.len()).rev().take_while(|&axis| is_whole(axis)).last().unwrap_or(input.len());
        let steps = (0..input.len()).map(|axis| (volume(&input[axis + 1..]), volume(&output[axis + 1..]))).collect();
        Self { axes, input: input.to_vec(), output, whole_from, steps }
    }

    /// The sample shape that comes out.
    pub fn output(&self) -> &[usize] {
        &self.output
    }

    /// Number of elements that go in and come out.
    pub fn lengths(&self) -> (usize, usize) {
        (volume(&self.input), volume(&self.output))
    }

    /// Copies one sample; constants become `fill`.
    pub fn gather<T: Scalar>(&self, x: &[T], y: &mut [T], fill: T) {
        self.for_each_block(0, 0, 0, &mut |from, to, len| match from {
            Some(from) => y[to..to + len].copy_from_slice(&x[from..from + len]),
            None => y[to..to + len].fill(fill),
        });
    }

    /// Adds every element of `r` (like an output) to the element of `routed` (like an input) that it is a copy of.
    pub fn scatter<T: Scalar>(&self, r: &[T], routed: &mut [T]) {
        self.for_each_block(0, 0, 0, &mut |from, to, len| {
            if let Some(from) = from {
                routed[from..from + len].iter_mut().zip(&r[to..to + len]).for_each(|(sum, &r)| *sum += r);
            }
        });
    }

    /// `Σ r` over the outputs that hold constants.
    pub fn constant_sum<T: Scalar>(&self, r: &[T]) -> f64 {
        let mut sum = 0.0;
        self.for_each_block(0, 0, 0, &mut |from, to, len| {
            if from.is_none() {
                sum += r[to..to + len].iter().map(|r| r.wide()).sum::<f64>();
            }
        });
        sum
    }

    /// Calls `f(start in the input, start in the output, length)` for every block that lies together, in the output's order.
    fn for_each_block(&self, axis: usize, from: usize, to: usize, f: &mut impl FnMut(Option<usize>, usize, usize)) {
        if axis == self.whole_from {
            f(Some(from), to, volume(&self.output[axis..]));
            return;
        }
        let (in_step, out_step) = self.steps[axis];
        for (position, source) in self.axes[axis].iter().enumerate() {
            let to = to + position * out_step;
            match source {
                Some(source) => self.for_each_block(axis + 1, from + source * in_step, to, f),
                None => f(None, to, out_step),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_columns_and_constants() {
        let some = |list: &[usize]| list.iter().map(|&i| Some(i)).collect::<Sources>();
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let cases: [(Vec<Sources>, Vec<f64>, Vec<f64>); 3] = [
            (
                vec![some(&[1, 1]), some(&[0, 1, 2])],
                vec![3.0, 4.0, 5.0, 3.0, 4.0, 5.0],
                vec![0.0, 0.0, 0.0, 2.0, 2.0, 2.0],
            ),
            (vec![some(&[0, 1]), some(&[2, 0])], vec![2.0, 0.0, 5.0, 3.0], vec![1.0, 0.0, 1.0, 1.0, 0.0, 1.0]),
            (
                vec![vec![None, Some(0)], vec![Some(1), None]],
                vec![9.0, 9.0, 1.0, 9.0],
                vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            ),
        ];
        for (axes, expected, counts) in cases {
            let map = AxisMap::new(axes, &[2, 3]);
            let (n, m) = map.lengths();
            assert_eq!((n, m), (6, expected.len()));
            let (mut y, mut routed) = (vec![0.0; m], vec![0.0; n]);
            map.gather(&x, &mut y, 9.0);
            map.scatter(&vec![1.0; m], &mut routed);
            assert_eq!((y, routed), (expected, counts.clone()));
            assert_eq!(map.constant_sum(&vec![1.0; m]), m as f64 - counts.iter().sum::<f64>());
        }
    }
}
