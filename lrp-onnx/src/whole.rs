//! Whole runs: files whose batch is no axis, another axis than the first, or merged with another one.
//!
//! The file's batch is bound to 1, and every axis of the file is an axis of the *sample*; N stays outside. So a model that takes time
//! first, that merges its batch with heads or windows, or that turns `[1, T, D]` into `[T, D]`, is an ordinary model of samples.
//!
//! Convolutions, pooling and other operators that read `[N, C, …]` take the file's first axis as N: a value is either
//! [whole](Value::Whole), or [folded](Value::Folded) with this axis left out. Where that is longer than one, it counts parts of the
//! sample ([`Folded`](lrp_core::ops::Folded)). Operators that can do with both prefer folded inputs where these are so already, so that a
//! network that has its batch in front for the most part is read as other networks are.

use lrp_core::Scalar;
use lrp_core::ops::{Reshape, Transpose, shared};

use crate::error::{Problem, Shape};
use crate::graph::{Body, Node, Origin};
use crate::import::Walk;
use crate::ops::{BATCH_FIRST, OUTSIDE, Value};
use crate::proto::NodeProto;

/// The operators that read a sequence: time before the batch, or after it.
const SEQUENCES: &[&str] = &["DynamicQuantizeLSTM", "GRU", "LSTM", "RNN"];

impl<T: Scalar> Walk<'_, T> {
    /// The shape of the first input, as the file has it.
    pub(crate) fn whole_shape(&self, inputs: &[Option<Value>]) -> Vec<usize> {
        inputs.iter().flatten().next().map(|value| self.file_shape(value)).unwrap_or_default()
    }

    /// The shape of an activation as the file has it.
    fn file_shape(&self, value: &Value) -> Vec<usize> {
        match value {
            Value::Folded(id, parts) => std::iter::once(*parts).chain(self.graph.shape(*id)).collect(),
            Value::Whole(id) => self.graph.shape(*id),
            _ => Vec::new(),
        }
    }

    /// The outputs of a node.
    pub(crate) fn whole_outputs(
        &mut self,
        node: &NodeProto,
        name: &str,
        inputs: Vec<Option<Value>>,
        used: &[bool],
    ) -> Result<Vec<Value>, Problem> {
        if SEQUENCES.contains(&node.op_type.as_str()) && node.int("layout").unwrap_or(0) == 0 {
            return self.outputs_of_sequence(node, name, inputs, used);
        }
        let needs_samples = [BATCH_FIRST, SEQUENCES].iter().any(|ops| ops.contains(&node.op_type.as_str()));
        let activations =
            || inputs.iter().flatten().filter(|value| matches!(value, Value::Whole(_) | Value::Folded(..)));
        let all_folded = activations().all(|value| matches!(value, Value::Folded(..)));
        let mut lengths = activations().map(|value| self.file_shape(value).first().copied());
        let parts = lengths.next().flatten();
        let same = parts.is_some() && lengths.all(|other| other == parts);
        if let Some(parts) = parts.filter(|&parts| same && (needs_samples || all_folded || parts == 1)) {
            let counted = self.quantization.counted();
            match self.outputs_of_folded(node, name, inputs.clone(), used, parts) {
                Err(problem) if needs_samples => return Err(problem),
                Err(_) => self.quantization.restore(counted),
                outputs => return outputs,
            }
        } else if needs_samples {
            return Err(Problem::invalid("its inputs have different lengths along the first axis"));
        }
        let inputs: Vec<Option<Value>> =
            inputs.into_iter().map(|value| value.map(|value| self.unfolded(value, name))).collect();
        let (values, _) = self.translated(node, name.to_owned(), inputs, used.to_vec(), (OUTSIDE, 1))?;
        let whole = |value| if let Value::Data(id) = value { Value::Whole(id) } else { value };
        Ok(values.into_iter().map(whole).collect())
    }

    /// The outputs of a node to which the first axis counts samples.
    fn outputs_of_folded(
        &mut self,
        node: &NodeProto,
        name: &str,
        inputs: Vec<Option<Value>>,
        used: &[bool],
        parts: usize,
    ) -> Result<Vec<Value>, Problem> {
        let inputs: Vec<Option<Value>> =
            inputs.into_iter().map(|value| value.map(|value| self.folded(value, name))).collect();
        let (values, at) = self.translated(node, name.to_owned(), inputs, used.to_vec(), (0, parts))?;
        let mut folded = Vec::with_capacity(values.len());
        for value in values {
            folded.push(match value {
                Value::Data(id) if at == 0 => Value::Folded(id, parts),
                Value::Constant(_) | Value::Unknown | Value::UnknownConstant => value,
                _ => return Err(Problem::invalid("it moves the first axis")),
            });
        }
        Ok(folded)
    }

    /// The outputs of a recurrent layer that reads `[T, N, K]`.
    fn outputs_of_sequence(
        &mut self,
        node: &NodeProto,
        name: &str,
        mut inputs: Vec<Option<Value>>,
        used: &[bool],
    ) -> Result<Vec<Value>, Problem> {
        let first = inputs.first_mut().and_then(Option::take);
        let Some(sequence) = first.filter(|value| matches!(value, Value::Whole(_) | Value::Folded(..))) else {
            return Err(Problem::unsupported("with a constant sequence"));
        };
        let Value::Data(x) = self.unfolded(sequence, name) else { return Ok(Vec::new()) };
        let shape = self.graph.shape(x);
        let &[steps, parts, features] = shape.as_slice() else {
            return Err(Problem::invalid(format!(
                "it needs an input of [steps, N, features], and gets {}",
                Shape(&shape)
            )));
        };
        let x = if parts == 1 {
            self.reshape(x, name, "sequence", &[steps, features])?
        } else {
            let turned = self.turn(x, name, "sequence", &[1, 0, 2])?;
            self.fold(turned, name, parts)
        };
        if let Some(slot) = inputs.first_mut() {
            *slot = Some(Value::Data(x));
        }
        let (values, moved) = self.translated(node, name.to_owned(), inputs, used.to_vec(), (1, parts))?;
        let mut whole = Vec::with_capacity(values.len());
        for value in values {
            whole.push(match value {
                Value::Data(id) => Value::Whole(self.with_parts_at(id, name, parts, moved)?),
                Value::Moved(id, at) => Value::Whole(self.with_parts_at(id, name, parts, at)?),
                other => other,
            });
        }
        Ok(whole)
    }

    /// The parts of a node that is folded, as an axis at this position.
    fn with_parts_at(&mut self, id: usize, name: &str, parts: usize, at: usize) -> Result<usize, Problem> {
        let mut shape = self.graph.shape(id);
        let at = at.min(shape.len());
        if parts == 1 {
            shape.insert(at, 1);
            return self.reshape(id, name, "output", &shape);
        }
        let unfolded = self.unfold(id, name, parts);
        let rest: Vec<usize> = (1..=shape.len()).collect();
        let order: Vec<usize> = rest.iter().take(at).copied().chain([0]).chain(rest.iter().skip(at).copied()).collect();
        if at == 0 { Ok(unfolded) } else { self.turn(unfolded, name, "output", &order) }
    }

    /// An activation as translators take it, where the first axis counts samples.
    fn folded(&mut self, value: Value, name: &str) -> Value {
        match value {
            Value::Folded(id, _) => Value::Data(id),
            Value::Whole(id) => {
                let shape = self.graph.shape(id);
                match shape.split_first() {
                    Some((&parts, _)) if parts > 1 => Value::Data(self.fold(id, name, parts)),
                    Some((_, rest)) => self.reshape(id, name, "folded", rest).map_or(Value::Unknown, Value::Data),
                    None => Value::Unknown,
                }
            }
            other => other,
        }
    }

    /// An activation as translators take it, where every axis belongs to the sample.
    fn unfolded(&mut self, value: Value, name: &str) -> Value {
        match value {
            Value::Whole(id) => Value::Data(id),
            Value::Folded(id, 1) => {
                let shape = self.file_shape(&Value::Folded(id, 1));
                self.reshape(id, name, "whole", &shape).map_or(Value::Unknown, Value::Data)
            }
            Value::Folded(id, parts) => Value::Data(self.unfold(id, name, parts)),
            other => other,
        }
    }

    /// Adds a node that leaves out the first axis.
    fn fold(&mut self, id: usize, name: &str, parts: usize) -> usize {
        let shape = self.graph.shape(id);
        let name = self.names.unique(&format!("{name}/fold"));
        let shape = shape.get(1..).unwrap_or_default().to_vec();
        self.push_after(id, Node { name, body: Body::Fold(parts), inputs: vec![id], shape })
    }

    /// Adds a node that has the first axis again.
    fn unfold(&mut self, id: usize, name: &str, parts: usize) -> usize {
        let shape = self.file_shape(&Value::Folded(id, parts));
        let name = self.names.unique(&format!("{name}/unfold"));
        self.push_after(id, Node { name, body: Body::Unfold, inputs: vec![id], shape })
    }

    /// Adds a node that only moves the elements of its input.
    fn push_after(&mut self, id: usize, node: Node<T>) -> usize {
        let moved = self.graph.push(node);
        self.quantization.follow(moved, id);
        moved
    }

    fn reshape(&mut self, id: usize, name: &str, suffix: &str, shape: &[usize]) -> Result<usize, Problem> {
        let input = self.graph.shape(id);
        // A node that was reshaped the other way is there still.
        if let Some(before) =
            self.graph.nodes.get(id).filter(|node| node.is_reshape()).and_then(|node| node.inputs.first())
            && self.graph.nodes.get(*before).is_some_and(|node| node.shape == shape)
        {
            return Ok(*before);
        }
        let op = shared(Reshape::new(&input, shape)?);
        let name = self.names.unique(&format!("{name}/{suffix}"));
        let body = Body::Operator(op, Origin::Other);
        Ok(self.push_after(id, Node { name, body, inputs: vec![id], shape: shape.to_vec() }))
    }

    /// Exchanges axes of the sample.
    fn turn(&mut self, id: usize, name: &str, suffix: &str, order: &[usize]) -> Result<usize, Problem> {
        let input = self.graph.shape(id);
        let permutation: Vec<usize> = std::iter::once(0).chain(order.iter().map(|axis| axis + 1)).collect();
        let op = shared(Transpose::new(&permutation, &input)?);
        let name = self.names.unique(&format!("{name}/{suffix}"));
        let shape = op.output_shape().to_vec();
        let body = Body::Operator(op, Origin::Transpose(permutation));
        Ok(self.push_after(id, Node { name, body, inputs: vec![id], shape }))
    }

    /// Ends the graph at this value, without a first axis of length one: that was the batch.
    pub(crate) fn finish_whole(&mut self, value: &Value) -> Result<(), Problem> {
        let shape = self.file_shape(value);
        self.graph.output = match (value, shape.as_slice()) {
            (Value::Folded(id, 1), _) => *id,
            (Value::Whole(id), [1, rest @ ..]) if !rest.is_empty() => self.reshape(*id, "output", "sample", rest)?,
            (Value::Whole(id), _) => *id,
            (Value::Folded(id, parts), _) => self.unfold(*id, "output", *parts),
            _ => return Err(Problem::invalid("the output depends on no input")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use crate::Options;
    use crate::testing::{Attr, Net, forward, kinds, varied};

    /// The output of a net for a batch, which must be that of each sample alone.
    fn run(net: &Net, sample: &[usize]) -> lrp_core::Tensor<f64> {
        let x = varied(&[&[3], sample].concat());
        let y = net.run(&x);
        for (i, sample) in x.axis_iter(Axis(0)).enumerate() {
            let alone = net.run(&sample.to_owned().insert_axis(Axis(0)));
            assert_eq!(alone.index_axis(Axis(0), 0), y.index_axis(Axis(0), i));
        }
        y
    }

    #[test]
    fn a_batch_that_is_squeezed_away_and_put_back() {
        // [1, 3, 2] → [3, 2] → [2, 3] → [1, 6]
        let mut net = Net::with_batch(1, &[3, 2]);
        let (zero, w, flat) = (net.ints(&[0]), net.weight(&[2, 2]), net.ints(&[1, 6]));
        let y = net.op("Squeeze", &["x", &zero], &[]);
        let y = net.op("MatMul", &[&y, &w], &[]);
        let y = net.op("Transpose", &[&y], &[("perm", Attr::Ints(&[1, 0]))]);
        net.op("Reshape", &[&y, &flat], &[]);
        let mut other = Net::with_batch(1, &[3, 2]);
        let (w, flat) = (other.weight(&[2, 2]), other.ints(&[0, 6]));
        let y = other.op("MatMul", &["x", &w], &[]);
        let y = other.op("Transpose", &[&y], &[("perm", Attr::Ints(&[0, 2, 1]))]);
        other.op("Reshape", &[&y, &flat], &[]);
        assert_eq!(run(&net, &[3, 2]), run(&other, &[3, 2]));
    }

    #[test]
    fn frames_that_are_merged_with_the_batch_are_parts() {
        // [N, 2, 1, 4, 4] → [2·N, 1, 4, 4] → convolutions → [N, 2, 8] → [N, 3]
        let mut net = Net::new(&[2, 1, 4, 4]);
        let (frames, joined) = (net.ints(&[-1, 1, 4, 4]), net.ints(&[-1, 16]));
        let (kernel, w) = (net.weight(&[2, 1, 3, 3]), net.weight(&[16, 3]));
        let y = net.op("Reshape", &["x", &frames], &[]);
        let y = net.op("Conv", &[&y, &kernel], &[("pads", Attr::Ints(&[1, 1, 1, 1]))]);
        let y = net.batch_norm(&y, 2);
        let y = net.op("Relu", &[&y], &[]);
        let y = net.op("MaxPool", &[&y], &[("kernel_shape", Attr::Ints(&[2, 2])), ("strides", Attr::Ints(&[2, 2]))]);
        let y = net.op("Reshape", &[&y, &joined], &[]);
        net.op("MatMul", &[&y, &w], &[]);
        let import = net.import().unwrap();
        let conv =
            import.model.nodes().find(|(_, node)| node.kind() == Some(lrp_core::operator::Kind::Conv)).unwrap().1;
        assert_eq!(conv.shape, [2, 2, 4, 4]);
        // The batch norm is folded into the convolution of each frame.
        assert!(
            import.passes.iter().any(|pass| pass.name == "fold-batch-norm" && pass.changes == 1),
            "{:?}",
            import.passes
        );
        let y = run(&net, &[2, 1, 4, 4]);
        assert_eq!(y.shape(), [3, 3]);
        // Without the dense layer, a frame is what it is alone.
        let x = varied(&[2, 2, 1, 4, 4]);
        let features = |frames: &[i64], x: &lrp_core::Tensor<f64>| {
            let mut net = Net::new(&x.shape()[1..].iter().map(|&d| d as i64).collect::<Vec<_>>());
            let frames = net.ints(frames);
            let kernel = net.weight(&[2, 1, 3, 3]);
            let y = net.op("Reshape", &["x", &frames], &[]);
            net.op("Conv", &[&y, &kernel], &[]);
            forward(&net.import().unwrap().model, x)
        };
        let together = features(&[-1, 1, 4, 4], &x);
        let alone = features(&[0, 1, 4, 4], &x.index_axis(Axis(1), 1).to_owned());
        assert_eq!(together.index_axis(Axis(1), 1), alone);
    }

    #[test]
    fn a_model_that_takes_time_first() {
        // PyTorch without batch_first: [T, N, K].
        let mut net = Net::new(&[]);
        net.graph().input[0] = crate::testing::input("x", &[4, 1, 3]);
        let (w, r, b) = (net.weight(&[1, 6, 3]), net.weight(&[1, 6, 2]), net.weight(&[1, 12]));
        let y = net.op("GRU", &["x", &w, &r, &b], &[]);
        let one = net.ints(&[1]);
        net.op("Squeeze", &[&y, &one], &[]);
        assert_eq!(run(&net, &[4, 1, 3]).shape(), [3, 4, 1, 2]);
        let mut other = Net::new(&[4, 3]);
        let (w, r, b) = (other.weight(&[1, 6, 3]), other.weight(&[1, 6, 2]), other.weight(&[1, 12]));
        let y = other.op("GRU", &["x", &w, &r, &b], &[("layout", Attr::Int(1))]);
        let two = other.ints(&[2]);
        other.op("Squeeze", &[&y, &two], &[]);
        let x = varied(&[3, 4, 3]);
        let expected = other.run(&x).insert_axis(Axis(2));
        assert_eq!(net.run(&x.insert_axis(Axis(2))), expected);
    }

    /// An open first axis that is called as time: its steps depend on each other, and it is no batch.
    #[test]
    fn steps_in_front_are_no_batch() {
        let mut net = Net::new(&[]);
        net.graph().input[0] = crate::testing::input("x", &[-1, 3]);
        let shape = net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
        shape.dim[0].dim_param = Some("sequence_length".to_owned());
        shape.dim[0].dim_value = None;
        let one = net.ints(&[1]);
        let x = net.op("Unsqueeze", &["x", &one], &[]);
        let (w, r, b) = (net.weight(&[1, 6, 3]), net.weight(&[1, 6, 2]), net.weight(&[1, 12]));
        net.op("GRU", &[&x, &w, &r, &b], &[]);
        assert!(net.error().contains("axis 0 has no fixed length"), "{}", net.error());
        let arrays = Options { array_shapes: [("x".to_owned(), vec![4, 3])].into(), ..Options::default() };
        let import = net.import_with(&arrays).unwrap();
        assert_eq!(import.inputs[0].sample, [4, 3]);
    }

    #[test]
    fn sequences_of_several_windows_are_parts() {
        // [N, 2, 3, 4] → [2·N, 3, 4] → time first → GRU → the last states.
        let mut net = Net::new(&[2, 3, 4]);
        let (windows, w, r) = (net.ints(&[-1, 3, 4]), net.weight(&[1, 6, 4]), net.weight(&[1, 6, 2]));
        let y = net.op("Reshape", &["x", &windows], &[]);
        let y = net.op("Transpose", &[&y], &[("perm", Attr::Ints(&[1, 0, 2]))]);
        net.op("GRU", &[&y, &w, &r], &[]);
        let y = run(&net, &[2, 3, 4]);
        assert_eq!(y.shape(), [3, 3, 1, 2, 2]);
        let mut other = Net::new(&[3, 4]);
        let (w, r) = (other.weight(&[1, 6, 4]), other.weight(&[1, 6, 2]));
        other.op("GRU", &["x", &w, &r], &[("layout", Attr::Int(1))]);
        let x = varied(&[3, 2, 3, 4]);
        let second = other.run(&x.index_axis(Axis(1), 1).to_owned());
        assert_eq!(y.index_axis(Axis(3), 1).to_owned(), second);
    }

    #[test]
    fn what_has_its_batch_in_front_is_no_whole_run() {
        let mut net = Net::with_batch(1, &[2, 4, 4]);
        let kernel = net.weight(&[2, 2, 3, 3]);
        net.op("Conv", &["x", &kernel], &[]);
        assert_eq!(kinds(&net.raw()), ["conv"]);
    }

    #[test]
    fn constants_of_any_rank_meet_the_sample() {
        // x has no batch: [3], and gets one by a constant of more axes.
        let mut net = Net::new(&[]);
        net.graph().input[0] = crate::testing::input("x", &[3]);
        let c = net.floats(&[2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
        let y = net.op("Mul", &["x", &c], &[]);
        net.op("ReduceSum", &[&y], &[("keepdims", Attr::Int(0))]);
        let y = net.run(&array![[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]].into_dyn());
        assert_eq!(y.iter().copied().collect::<Vec<_>>(), [33.0, 33.0]);
    }
}
