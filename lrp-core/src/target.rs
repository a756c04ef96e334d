//! The target: the output that is explained, and the relevance that the walk starts with.

use ndarray::Axis;

use crate::error::Error;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// The output to explain. Outputs of any shape are numbered in row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The largest output of each sample (the first of equals).
    Argmax,
    /// One output, the same for every sample.
    Class(usize),
    /// The `rank`-th largest output of each sample; 0 is the largest.
    Rank(usize),
    /// The evidence for the first output rather than the second: `+` relevance on one, `−` on the other.
    Contrast(usize, usize),
}

/// The relevance that the walk starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The target's own value.
    #[default]
    Logit,
    /// One.
    One,
}

impl Target {
    /// The class explained in each sample, given the outputs `[N, …]`: of a contrast, the first.
    ///
    /// # Errors
    /// When a class does not exist.
    pub fn classes<T: Scalar>(&self, output: &Tensor<T>) -> Result<Vec<usize>, Error> {
        let n = samples(output);
        let count = output.len() / n.max(1);
        let check = |class: usize| {
            if class < count { Ok(class) } else { Err(Error::Target { target: class, classes: count }) }
        };
        match *self {
            Target::Argmax => Target::Rank(0).classes(output),
            Target::Class(class) => Ok(vec![check(class)?; n]),
            Target::Contrast(class, other) => {
                check(other)?;
                Ok(vec![check(class)?; n])
            }
            Target::Rank(rank) => {
                check(rank)?;
                Ok(output.axis_iter(Axis(0)).map(|sample| ranking(sample.iter().copied())[rank]).collect())
            }
        }
    }

    /// Starting relevance of the output's shape.
    pub(crate) fn seed<T: Scalar>(&self, output: &Tensor<T>, start: Start) -> Result<Tensor<T>, Error> {
        let classes = self.classes(output)?;
        let values = elements(output);
        let count = values.len() / classes.len().max(1);
        let mut seed = vec![T::zero(); values.len()];
        let amount = |i: usize| match start {
            Start::Logit => values[i],
            Start::One => T::one(),
        };
        for (sample, &class) in classes.iter().enumerate() {
            seed[sample * count + class] += amount(sample * count + class);
            if let Target::Contrast(_, other) = *self {
                seed[sample * count + other] -= amount(sample * count + other);
            }
        }
        Ok(from_elements(&batch_shape(classes.len(), &output.shape()[1..]), seed))
    }
}

/// Indices from the largest value to the smallest; equals keep their order.
pub fn ranking<T: Scalar>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let values: Vec<T> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].partial_cmp(&values[a]).unwrap_or(std::cmp::Ordering::Equal));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn seeds_by_hand() {
        let output = array![[1.0, 5.0, 5.0], [4.0, -2.0, 3.0]].into_dyn();
        let seed = |target: Target, start| target.seed(&output, start).unwrap();
        assert_eq!(seed(Target::Argmax, Start::Logit), array![[0.0, 5.0, 0.0], [4.0, 0.0, 0.0]].into_dyn());
        assert_eq!(seed(Target::Rank(1), Start::One), array![[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]].into_dyn());
        assert_eq!(seed(Target::Contrast(0, 1), Start::Logit), array![[1.0, -5.0, 0.0], [4.0, 2.0, 0.0]].into_dyn());
        assert_eq!(Target::Class(3).classes(&output), Err(Error::Target { target: 3, classes: 3 }));
    }
}
