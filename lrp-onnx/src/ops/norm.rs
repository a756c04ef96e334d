//! Batch normalisation with its recorded statistics.

use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::ops::Scale;

use super::{Context, Translated};
use crate::error::Problem;
use crate::graph::Origin;

pub(super) fn batch_norm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    if cx.node.int("training_mode").unwrap_or(0) != 0 {
        return Err(Problem::invalid("it is in training mode; call model.eval() before exporting"));
    }
    let parameter = |index: usize| -> Result<Vec<T>, Problem> {
        let tensor = cx.constant(index)?.tensor::<T>();
        let tensor = tensor.map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))?;
        Ok(tensor.iter().copied().collect())
    };
    let epsilon = T::of(cx.node.float("epsilon").unwrap_or(1e-5));
    let op = Scale::batch_norm(&parameter(1)?, &parameter(2)?, &parameter(3)?, &parameter(4)?, epsilon, &cx.shape(x))?;
    let op = Arc::new(op);
    cx.push_made_from(op.clone(), Origin::BatchNorm(op), &[x])
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    #[test]
    fn by_hand() {
        let mut net = Net::new(&[1, 2]);
        let (g, b, m, v) =
            (net.floats(&[1], &[4.0]), net.floats(&[1], &[1.0]), net.floats(&[1], &[2.0]), net.floats(&[1], &[3.0]));
        net.op("BatchNormalization", &["x", &g, &b, &m, &v], &[("epsilon", Attr::Float(1.0))]);
        assert_eq!(net.run(&array![[[0.0, 5.0]]].into_dyn()), array![[[-3.0, 7.0]]].into_dyn());
    }

    #[test]
    fn training_mode_and_wrong_sizes_are_refused() {
        let mut net = Net::new(&[2, 2]);
        let p = net.positive(&[2]);
        net.op("BatchNormalization", &["x", &p, &p, &p, &p], &[("training_mode", Attr::Int(1))]);
        assert!(net.error().contains("call model.eval() before exporting"), "{}", net.error());
        let mut net = Net::new(&[2, 2]);
        let p = net.positive(&[3]);
        net.op("BatchNormalization", &["x", &p, &p, &p, &p], &[]);
        assert!(net.error().contains("3 elements for 2 channels"), "{}", net.error());
    }
}
