//! Input statistics from the first batch norm of a network: mean and variance, per channel, of its input in training.
//!
//! Batch norms are folded into their neighbours by the passes, so this is taken from the graph as the file has it, with the few operators
//! between the input and the batch norm. Files whose exporter has folded the batch norms tell nothing.

use lrp_core::operator::{Group, Kind};
use lrp_core::{Scalar, Tensor};

use crate::graph::{Body, Graph, Node};

/// An input this many standard deviations from the mean of training is nothing that the network has seen.
pub const SIGMAS: f64 = 6.0;

/// So many operators at most lie between the input and the batch norm.
const OPERATORS: usize = 8;

/// So many parameters at most do these have: they are kept beside the model.
const PARAMETERS: usize = 1 << 22;

/// A batch norm as the file states it.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    pub name: String,
    /// The node whose values it normalises.
    pub input: usize,
    pub mean: Vec<f64>,
    /// With epsilon.
    pub variance: Vec<f64>,
}

/// The statistics of the first batch norm, and the operators before it.
#[derive(Debug, Clone)]
pub struct InputStatistics<T: Scalar> {
    /// The name of the batch norm in the file.
    pub batch_norm: String,
    /// The running mean of each channel.
    pub mean: Vec<f64>,
    /// The running standard deviation of each channel.
    pub std: Vec<f64>,
    /// The input and what follows up to the batch norm, whose ids are indices.
    nodes: Vec<Node<T>>,
}

/// The deviation of values from statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Distance {
    /// Values in all.
    pub values: usize,
    /// Values that are more than [`SIGMAS`] standard deviations from the mean.
    pub outside: usize,
    /// The channel and the value that is the farthest from its mean, and by how many standard deviations.
    pub worst: Option<(usize, f64, f64)>,
}

impl Distance {
    /// The share of the values that are outside.
    pub fn share(&self) -> f64 {
        if self.values == 0 { 0.0 } else { self.outside as f64 / self.values as f64 }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.values += other.values;
        self.outside += other.outside;
        let sigmas = |distance: &Self| distance.worst.map_or(0.0, |(_, _, sigmas)| sigmas);
        if sigmas(other) > sigmas(self) {
            self.worst = other.worst;
        }
    }
}

impl<T: Scalar> InputStatistics<T> {
    /// Those of a graph that no pass has changed, where at most one layer with weights lies between the one input and its batch norm.
    pub(crate) fn new(graph: &Graph<T>, norm: BatchNorm) -> Option<Self> {
        let mut ids = vec![norm.input];
        let mut at = 0;
        while let Some(&id) = ids.get(at) {
            let more: Vec<usize> = graph.nodes.get(id)?.inputs.iter().copied().filter(|i| !ids.contains(i)).collect();
            ids.extend(more);
            at += 1;
            if ids.len() > OPERATORS + 1 {
                return None;
            }
        }
        ids.sort_unstable();
        let mut nodes = Vec::new();
        for &id in &ids {
            let mut node = graph.nodes.get(id)?.clone();
            for input in &mut node.inputs {
                *input = ids.binary_search(input).ok()?;
            }
            nodes.push(node);
        }
        let operators = || nodes.iter().filter_map(Node::op);
        let inputs = nodes.iter().filter(|node| matches!(node.body, Body::Input { .. })).count();
        let weighted = operators()
            .filter(|op| op.kind().group() == Group::Weighted && !matches!(op.kind(), Kind::BatchNorm | Kind::Scale))
            .count();
        let alone =
            inputs == 1 && graph.nodes.iter().filter(|node| matches!(node.body, Body::Input { .. })).count() == 1;
        let plain = nodes.iter().all(|node| !matches!(node.body, Body::Constant(_)));
        let small = operators().map(|op| op.parameters()).sum::<usize>() <= PARAMETERS;
        let channels = nodes.last()?.shape.first().copied()?;
        let fits = norm.mean.len() == channels && norm.variance.len() == channels;
        (alone && plain && small && weighted <= 1 && fits).then(|| Self {
            batch_norm: norm.name,
            mean: norm.mean,
            std: norm.variance.into_iter().map(f64::sqrt).collect(),
            nodes,
        })
    }

    /// Whether the batch norm stands directly at the input, and so normalises it.
    pub fn of_the_input(&self) -> bool {
        self.nodes.iter().filter_map(Node::op).all(|op| op.kind().group() != Group::Weighted)
    }

    /// The deviation of the values of these samples `[N, …]` from the statistics.
    pub fn distance(&self, x: &Tensor<T>) -> Distance {
        let mut values: Vec<Tensor<T>> = Vec::new();
        for node in &self.nodes {
            let value = match &node.body {
                Body::Operator(op, _) => {
                    op.forward(&node.inputs.iter().filter_map(|&input| values.get(input)).collect::<Vec<_>>())
                }
                _ => x.as_standard_layout().into_owned(),
            };
            values.push(value);
        }
        let mut distance = Distance::default();
        let Some(last) = values.pop() else { return distance };
        for sample in last.outer_iter() {
            for (channel, (values, (mean, std))) in sample.outer_iter().zip(self.mean.iter().zip(&self.std)).enumerate()
            {
                distance.values += values.len();
                for value in values.iter().map(|value| value.wide()) {
                    let sigmas = (value - mean).abs() / std;
                    // What is no number is far from any.
                    if sigmas.is_nan() || sigmas > SIGMAS {
                        distance.outside += 1;
                        if distance.worst.is_none_or(|(_, _, most)| sigmas > most) {
                            distance.worst = Some((channel, value, sigmas));
                        }
                    }
                }
            }
        }
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, varied};

    /// The statistics' own mean, and that plus seven standard deviations in channel 1.
    fn at_the_mean(statistics: &InputStatistics<f64>, size: usize) -> [Tensor<f64>; 2] {
        let channels = statistics.mean.len();
        let mean = Tensor::from_shape_fn(vec![1, channels, size, size], |i| statistics.mean[i[1]]);
        let mut far = mean.clone();
        far.index_axis_mut(ndarray::Axis(1), 1).mapv_inplace(|v| v + 7.0 * statistics.std[1]);
        [mean, far]
    }

    #[test]
    fn a_batch_norm_at_the_input_is_about_the_input() {
        for pads in [[0; 4], [1; 4]] {
            let mut net = Net::new(&[2, 5, 5]);
            let w = net.weight(&[3, 2, 3, 3]);
            let z = net.batch_norm("x", 2);
            net.op("Conv", &[&z, &w], &[("pads", Attr::Ints(&pads))]);
            let statistics = net.import().unwrap().input_statistics.unwrap();
            assert!(statistics.of_the_input());
            let [mean, far] = at_the_mean(&statistics, 5);
            assert_eq!(statistics.distance(&mean), Distance { values: 50, outside: 0, worst: None });
            let distance = statistics.distance(&far);
            assert_eq!((distance.outside, distance.share()), (25, 0.5));
            let (channel, _, sigmas) = distance.worst.unwrap();
            assert!(channel == 1 && (sigmas - 7.0).abs() < 1e-9);
        }
    }

    #[test]
    fn behind_a_convolution_its_output_counts_though_the_batch_norm_is_folded() {
        let mut net = Net::new(&[2, 5, 5]);
        let w = net.weight(&[3, 2, 3, 3]);
        let z = net.op("Conv", &["x", &w], &[]);
        let z = net.batch_norm(&z, 3);
        net.op("Relu", &[&z], &[]);
        let import = net.import().unwrap();
        assert!(import.model.nodes().all(|(_, node)| node.kind_name() != "batch-norm"));
        let statistics = import.input_statistics.unwrap();
        assert!(!statistics.of_the_input());
        // By hand: the convolution alone, each value against its channel's mean and deviation.
        let x = varied(&[2, 2, 5, 5]).mapv(|v| 30.0 * v);
        let mut alone = Net::new(&[2, 5, 5]);
        let again = alone.weight(&[3, 2, 3, 3]);
        alone.op("Conv", &["x", &again], &[]);
        let z = crate::testing::forward(&alone.import().unwrap().model, &x);
        let outside = z
            .indexed_iter()
            .filter(|(i, v)| (**v - statistics.mean[i[1]]).abs() > SIGMAS * statistics.std[i[1]])
            .count();
        let distance = statistics.distance(&x);
        assert_eq!((distance.values, distance.outside), (z.len(), outside));
        assert!(outside > 0);
    }

    #[test]
    fn there_are_none_where_nothing_is_said_of_the_input() {
        let mut net = Net::new(&[4]);
        let (w, v) = (net.weight(&[4, 3]), net.weight(&[3, 3]));
        let z = net.op("MatMul", &["x", &w], &[]);
        let y = net.op("MatMul", &[&z, &v], &[]);
        assert!(net.import().unwrap().input_statistics.is_none());
        // Behind the second layer.
        net.batch_norm(&y, 3);
        assert!(net.import().unwrap().input_statistics.is_none());
    }
}
