//! Softmax and layer normalisation.

use ndarray::{ArrayD, Axis, IxDyn};

use super::{Evaluation, broadcast, joint_shape};
use crate::error::Problem;
use crate::tensor::{Array, volume};

impl Evaluation<'_> {
    pub(super) fn softmax(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        // Before operator set 13 the default was axis 1, and the axis and all after it were taken as one.
        let axis = self.axis(if self.opset < 13 { 1 } else { -1 }, x.ndim())?;
        let logarithm = self.node.op_type == "LogSoftmax";
        let shape = x.shape().to_vec();
        let (mut x, along) = match self.opset {
            ..13 => (as_rows(x, axis)?, 1),
            _ => (x, axis),
        };
        for mut lane in x.lanes_mut(Axis(along)) {
            let largest = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = lane.iter().map(|v| (v - largest).exp()).sum();
            lane.mapv_inplace(|v| if logarithm { v - largest - sum.ln() } else { (v - largest).exp() / sum });
        }
        let shaped = x.into_shape_with_order(IxDyn(&shape));
        shaped.map(Array::Float).map_err(|_| Problem::invalid("its result cannot be shaped"))
    }

    /// Over the axes from `axis` on, with a scale and a shift.
    pub(super) fn layer_normalization(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let axis = self.axis(-1, x.ndim())?;
        let epsilon = self.node.float("epsilon").unwrap_or(1e-5);
        let shape = x.shape().to_vec();
        let mut rows = as_rows(x, axis)?;
        for mut row in rows.lanes_mut(Axis(1)) {
            let n = row.len() as f64;
            let mean = row.sum() / n;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            row.mapv_inplace(|v| (v - mean) / (variance + epsilon).sqrt());
        }
        let x = rows.into_shape_with_order(IxDyn(&shape)).map_err(|_| Problem::invalid("it cannot be shaped"))?;
        let mut x = x;
        for (index, is_scale) in [(1, true), (2, false)] {
            if !self.has(index) {
                continue;
            }
            let other = self.array(index)?.into_floats();
            if joint_shape(&shape, other.shape())? != shape {
                return Err(Problem::invalid("its scale or its bias does not fit its input"));
            }
            let other = broadcast(&other, &shape)?;
            x = if is_scale { x * other } else { x + other };
        }
        Ok(Array::Float(x))
    }
}

impl Evaluation<'_> {
    /// Batch normalisation by the statistics that are given, or in training mode by those of its input: weights are standardised
    /// by it. And instance normalisation, for each of the first axis as well.
    pub(super) fn channel_normalization(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let wrong = || Problem::invalid("its parameters do not fit its input");
        let &[samples, channels, ..] = x.shape() else { return Err(wrong()) };
        let by_instance = self.node.op_type == "InstanceNormalization";
        let training = by_instance || self.node.int("training_mode").unwrap_or(0) != 0;
        let epsilon = self.node.float("epsilon").unwrap_or(1e-5);
        let mut parameter = |index: usize| -> Result<Vec<f64>, Problem> {
            let values: Vec<f64> = self.array(index)?.into_floats().iter().copied().collect();
            if values.len() == channels { Ok(values) } else { Err(wrong()) }
        };
        let (scale, shift) = (parameter(1)?, parameter(2)?);
        let given = if training { None } else { Some((parameter(3)?, parameter(4)?)) };
        let shape = x.shape().to_vec();
        let inner = volume(shape.get(2..).unwrap_or_default()).unwrap_or(0);
        let x = x.as_standard_layout().into_owned();
        let mut x = x.into_shape_with_order((samples, channels, inner)).map_err(|_| wrong())?;
        let at = |list: &[f64], i: usize| list.get(i).copied().unwrap_or(0.0);
        for (c, mut channel) in x.axis_iter_mut(Axis(1)).enumerate() {
            let one = |values: &mut dyn Iterator<Item = &mut f64>| {
                let values: Vec<&mut f64> = values.collect();
                let n = values.len() as f64;
                let (mean, variance) = match &given {
                    Some((means, variances)) => (at(means, c), at(variances, c)),
                    None => {
                        let mean = values.iter().map(|v| **v).sum::<f64>() / n;
                        (mean, values.iter().map(|v| (**v - mean) * (**v - mean)).sum::<f64>() / n)
                    }
                };
                for v in values {
                    *v = (*v - mean) / (variance + epsilon).sqrt() * at(&scale, c) + at(&shift, c);
                }
            };
            match by_instance {
                true => channel.outer_iter_mut().for_each(|mut row| one(&mut row.iter_mut())),
                false => one(&mut channel.iter_mut()),
            }
        }
        let shaped = x.into_shape_with_order(IxDyn(&shape));
        shaped.map(Array::Float).map_err(|_| Problem::invalid("its result cannot be shaped"))
    }
}

/// A matrix of the axes before and from `axis`.
fn as_rows(x: ArrayD<f64>, axis: usize) -> Result<ArrayD<f64>, Problem> {
    let (outer, inner) = x.shape().split_at_checked(axis).unwrap_or_default();
    let rows = [volume(outer).unwrap_or(0), volume(inner).unwrap_or(0)];
    let x = x.as_standard_layout().into_owned();
    x.into_shape_with_order(IxDyn(&rows)).map_err(|_| Problem::invalid("its input cannot be shaped"))
}
