//! Mean over whole axes: global average pooling and its relatives.

use std::sync::Arc;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Affine, Kind, Operator};
use crate::scalar::{Scalar, count};
use crate::tensor::elementwise::sum_of;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// Mean over some axes, which keep length one or vanish.
#[derive(Debug, Clone)]
pub struct Mean<T> {
    /// Axes of the batch tensor (so never 0), ascending.
    axes: Vec<usize>,
    weight: T,
    input_shape: [Vec<usize>; 1],
    /// Sample shape with the axes kept at length one.
    kept: Vec<usize>,
    output_shape: Vec<usize>,
}

impl<T: Scalar> Mean<T> {
    /// `axes` count from the batch axis, which is 0 and not allowed; `input` is the sample shape.
    ///
    /// # Errors
    /// When an axis is the batch or does not exist.
    pub fn new(axes: &[usize], keep_dims: bool, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() || axes.iter().any(|&a| a == 0 || a > input.len()) {
            return Err(OperatorError::new(format!(
                "a mean over the axes {axes:?} of a tensor of rank {} (axis 0 is the batch and must stay)",
                input.len() + 1
            )));
        }
        let n: usize = axes.iter().map(|&a| input[a - 1]).product();
        let mut kept = input.to_vec();
        axes.iter().for_each(|&a| kept[a - 1] = 1);
        let output_shape = if keep_dims {
            kept.clone()
        } else {
            (0..input.len()).filter(|i| !axes.contains(&(i + 1))).map(|i| input[i]).collect()
        };
        Ok(Self { axes, weight: T::one() / count(n), input_shape: one(input), kept, output_shape })
    }

    /// Number of elements that follow each other and have a mean of their own, if the axes are the last ones.
    fn run(&self) -> Option<usize> {
        let input = &self.input_shape[0];
        let first = self.axes.first().copied().unwrap_or(0);
        let last = first > 0 && first + self.axes.len() == input.len() + 1;
        last.then(|| input[first - 1..].iter().product()).filter(|&run| run > 0)
    }
}

impl<T: Scalar> Operator<T> for Mean<T> {
    fn kind(&self) -> Kind {
        Kind::Mean
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    affine_methods!();

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        format!("over axes {}", self.axes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl<T: Scalar> Affine<T> for Mean<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let n = samples(x);
        if let Some(run) = self.run() {
            let means = elements(x).chunks(run).map(|run| T::of(sum_of(run)) * self.weight).collect();
            return from_elements(&batch_shape(n, &self.output_shape), means);
        }
        let mut sum = (*x).clone();
        for &axis in self.axes.iter().rev() {
            sum = crate::tensor::sum_axis(&sum, axis);
        }
        sum *= self.weight;
        from_elements(&batch_shape(n, &self.output_shape), sum.iter().copied().collect())
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        let n = samples(s);
        if let Some(run) = self.run() {
            let mut all = Vec::with_capacity(s.len() * run);
            elements(s).iter().for_each(|&v| all.resize(all.len() + run, v * self.weight));
            return vec![from_elements(&batch_shape(n, &self.input_shape[0]), all)];
        }
        let scaled = s.iter().map(|&v| v * self.weight).collect();
        let kept = from_elements(&batch_shape(n, &self.kept), scaled);
        let shape = batch_shape(n, &self.input_shape[0]);
        vec![kept.broadcast(shape.as_slice()).map_or_else(|| Tensor::zeros(shape.as_slice()), |g| g.to_owned())]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weight: f(self.weight), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let x = array![[[1.0, 3.0], [5.0, 7.0]]].into_dyn();
        let mean = Mean::new(&[2], false, &[2, 2]).unwrap();
        assert_eq!(mean.forward(&[&x]), array![[2.0, 6.0]].into_dyn());
        assert_eq!(mean.adjoint(&array![[2.0, 4.0]].into_dyn()), vec![array![[[1.0, 1.0], [2.0, 2.0]]].into_dyn()]);
        let both = Mean::new(&[1, 2], true, &[2, 2]).unwrap();
        assert_eq!(both.forward(&[&x]), array![[[4.0]]].into_dyn());
        assert_eq!(both.adjoint(&array![[[4.0]]].into_dyn()), vec![array![[[1.0, 1.0], [1.0, 1.0]]].into_dyn()]);
        let first = Mean::new(&[1], false, &[2, 2]).unwrap();
        assert_eq!(first.forward(&[&x]), array![[3.0, 5.0]].into_dyn());
        assert_eq!(first.adjoint(&array![[2.0, 4.0]].into_dyn()), vec![array![[[1.0, 2.0], [1.0, 2.0]]].into_dyn()]);
        assert!(Mean::<f64>::new(&[0], false, &[2, 2]).is_err());
        assert!(Mean::<f64>::new(&[3], false, &[2, 2]).is_err());
    }
}
