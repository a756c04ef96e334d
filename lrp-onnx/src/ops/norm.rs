//! Batch normalisation with its recorded statistics, layer normalisation and instance normalisation.

use std::sync::Arc;

use lrp_core::ops::{Scale, shared};
use lrp_core::{Scalar, Tensor};

use super::{Context, Translated};
use crate::error::{Problem, Shape};
use crate::graph::{Constants, Normalization, Origin};
use crate::input_statistics::BatchNorm;

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
    let (mean, variance) = (parameter(3)?, parameter(4)?);
    let op = Scale::batch_norm(&parameter(1)?, &parameter(2)?, &mean, &variance, epsilon, &cx.shape(x))?;
    let op = Arc::new(op);
    if cx.batch_norm.is_none() {
        *cx.batch_norm = Some(BatchNorm {
            name: cx.name.clone(),
            input: x,
            mean: mean.iter().map(|v| v.wide()).collect(),
            variance: variance.iter().map(|v| v.wide() + epsilon.wide()).collect(),
        });
    }
    cx.push_made_from(shared(op.clone()), Origin::BatchNorm(op), &[x])
}

/// Over all axes from one on, which must not be the batch.
pub(super) fn layer_norm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let first = cx.sample_axis(cx.node.int("axis").unwrap_or(-1), x)?;
    let normalized = input.get(first - 1..).unwrap_or_default().to_vec();
    cx.tables.charge(&normalized)?;
    let parameter = |index: usize| -> Result<Option<Vec<T>>, Problem> {
        let Some(constant) = cx.optional(index)? else { return Ok(None) };
        let tensor = constant.tensor::<T>();
        let tensor = tensor.map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))?;
        let values = tensor.broadcast(normalized.as_slice()).ok_or_else(|| {
            let given = constant.shape();
            Problem::invalid(format!("its input number {} has the shape {given:?}, not {normalized:?}", index + 1))
        })?;
        Ok(Some(values.iter().copied().collect()))
    };
    let gamma = parameter(1)?.ok_or_else(|| Problem::invalid("it has no scale"))?;
    let epsilon = T::of(cx.node.float("epsilon").unwrap_or(1e-5));
    let norm = Normalization { axes: normalized.len(), gamma, beta: parameter(2)?, epsilon };
    cx.push_made_from(shared(norm.build(&input)?), Origin::LayerNorm(norm), &[x])
}

/// Each channel of each sample by its own mean and variance: layer normalisation over all positions, and a factor and a
/// summand for each channel.
pub(super) fn instance_norm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let Some((&channels, positions)) = input.split_first().filter(|(_, positions)| !positions.is_empty()) else {
        return Err(Problem::invalid(format!("its input {} has no positions", Shape(&input))));
    };
    cx.tables.charge(positions)?;
    let per_channel = |index: usize| -> Result<Tensor<T>, Problem> {
        let tensor = cx.constant(index)?.tensor::<T>();
        let tensor = tensor.map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))?;
        let given = tensor.len();
        let shape: Vec<usize> = std::iter::once(channels).chain(positions.iter().map(|_| 1)).collect();
        tensor.into_shape_with_order(shape).map_err(|_| {
            Problem::invalid(format!("its input number {} has {given} elements for {channels} channels", index + 1))
        })
    };
    let constants = Constants { weight: Some(per_channel(1)?), bias: Some(per_channel(2)?) };
    let epsilon = T::of(cx.node.float("epsilon").unwrap_or(1e-5));
    let gamma = vec![T::one(); crate::tensor::volume(positions).unwrap_or(0)];
    let norm = Normalization { axes: positions.len(), gamma, beta: None, epsilon };
    let op = shared(norm.build(&input)?);
    let normalized = cx.push_extra_made_from("normalized", op, Origin::LayerNorm(norm), &[x]);
    cx.push_made_from(shared(constants.build(&input)?), Origin::Scale(constants), &[normalized])
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
    fn layer_norm_by_hand() {
        // (x − 3) / √(4 + 0) · 2 + [1, 0]
        let mut net = Net::new(&[1, 2]);
        let (g, b) = (net.floats(&[1], &[2.0]), net.floats(&[2], &[1.0, 0.0]));
        net.op("LayerNormalization", &["x", &g, &b], &[("epsilon", Attr::Float(0.0))]);
        assert_eq!(net.run(&array![[[1.0, 5.0]]].into_dyn()), array![[[-1.0, 2.0]]].into_dyn());
        for (shape, axis, reason) in [(&[3][..], -1, "has the shape [3], not [2]"), (&[2], 0, "which is the batch")] {
            let mut net = Net::new(&[1, 2]);
            let g = net.positive(shape);
            net.op("LayerNormalization", &["x", &g], &[("axis", Attr::Int(axis))]);
            assert!(net.batch_first_error().contains(reason), "{}", net.batch_first_error());
        }
    }

    #[test]
    fn instance_norm_by_hand() {
        let mut net = Net::new(&[2, 2]);
        let (g, b) = (net.floats(&[2], &[2.0, 1.0]), net.floats(&[2], &[1.0, 0.0]));
        net.op("InstanceNormalization", &["x", &g, &b], &[("epsilon", Attr::Float(0.0))]);
        let x = array![[[1.0, 5.0], [0.0, 4.0]]].into_dyn();
        assert_eq!(net.run(&x), array![[[-1.0, 3.0], [-1.0, 1.0]]].into_dyn());
        let mut net = Net::new(&[2, 2]);
        let p = net.positive(&[3]);
        net.op("InstanceNormalization", &["x", &p, &p], &[]);
        assert!(net.error().contains("3 elements for 2 channels"), "{}", net.error());
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
