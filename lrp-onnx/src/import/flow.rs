//! Graphs within graphs: the branches of `If`, the bodies of `Loop` and `Scan`. Conditions and counts depend on shapes that
//! the walk computes, so it is the walk that enters them: a chosen branch is walked in place, and a body once for every step.
//!
//! The graphs that the walk is in form a stack, which is as deep as graphs are nested in the file.

use std::collections::HashMap;

use lrp_core::Scalar;

use super::subgraphs::Inner;
use super::{MOST_PROBLEMS, Order, Walk, described, refusal};
use crate::error::{ErrorKind, Problem};
use crate::file::External;
use crate::ops::Value;
use crate::ops::unsupported::about;
use crate::proto::{AttributeProto, GraphProto, NodeProto};
use crate::tensor::{Array, Constant};

/// The maximum number of nodes, inputs and outputs in all branches and steps that are walked.
const MAX_SIZE: usize = 500_000;

/// A graph that the walk is in.
struct Frame<'a> {
    graph: &'a GraphProto,
    order: &'a Order<'a>,
    /// The position in the order.
    next: usize,
    owner: Owner<'a>,
}

/// What the outputs of a graph are.
enum Owner<'a> {
    /// The model's.
    Model,
    /// Those of an `If`.
    Branch(&'a NodeProto),
    /// What a step of a `Loop` or a `Scan` gives.
    Step(Box<Repetition<'a>>),
}

/// A `Loop` or a `Scan` between two steps.
struct Repetition<'a> {
    node: &'a NodeProto,
    name: String,
    inner: &'a Inner<'a>,
    is_loop: bool,
    /// The maximum number of steps.
    count: Option<usize>,
    steps: usize,
    carried: Vec<Value>,
    /// The tensors that a `Scan` takes apart.
    scanned: Vec<Scanned>,
    /// For each output that is stacked, its parts.
    stacked: Vec<Vec<Value>>,
}

struct Scanned {
    value: Value,
    axis: i64,
    reversed: bool,
}

/// The value of a node after it was looked at.
enum Entered<'a> {
    Outputs(Vec<Value>),
    Frame(Frame<'a>),
}

impl<'a, T: Scalar> Walk<'a, T> {
    /// Walks over the nodes of the model's graph, and of the graphs within it that are chosen.
    pub(super) fn add_nodes(&mut self, external: &mut External) -> Result<(), ErrorKind> {
        let mut frames = vec![Frame { graph: self.proto, order: self.order, next: 0, owner: Owner::Model }];
        while let Some(frame) = frames.last_mut() {
            let Some(&position) = frame.order.nodes.get(frame.next) else {
                let Some(done) = frames.pop() else { break };
                match done.owner {
                    Owner::Model => break,
                    owner => self.leave(owner, done.graph, &mut frames, external),
                }
                continue;
            };
            frame.next += 1;
            let Some(node) = frame.graph.node.get(position) else { continue };
            let name = self.names.of_node(node, position);
            let entered = if is_flow(node) {
                self.enter(node, &name, external)
            } else {
                self.outputs(node, &name).map(Entered::Outputs)
            };
            match entered {
                Ok(Entered::Frame(frame)) => {
                    self.order = frame.order;
                    frames.push(frame);
                }
                Ok(Entered::Outputs(values)) => self.bind(node, values),
                Err(problem) => self.refuse(node, &name, problem),
            }
            if self.problems.len() >= MOST_PROBLEMS {
                return Err(refusal(std::mem::take(&mut self.problems), self.before.take()));
            }
        }
        Ok(())
    }

    /// Gives the outputs of a node their values. Those that have none are not used, or the node was refused.
    fn bind(&mut self, node: &'a NodeProto, values: Vec<Value>) {
        let values = values.into_iter().chain(std::iter::repeat(Value::Unknown));
        self.values.extend(node.output.iter().map(String::as_str).zip(values));
    }

    fn refuse(&mut self, node: &'a NodeProto, name: &str, problem: Problem) {
        if self.problems.is_empty() {
            self.before = node.input.iter().find(|input| self.is_inner(input)).map(|input| input.as_str().into());
        }
        self.problems.push((described(node, name), problem));
        let values = self.stand_ins(node);
        self.bind(node, values);
    }

    /// Whether this is the name of an activation that a node of the model's graph computes.
    fn is_inner(&self, name: &str) -> bool {
        let is_activation = matches!(
            self.values.get(name),
            Some(Value::Data(_) | Value::Moved(..) | Value::Row(_) | Value::Whole(_) | Value::Folded(..))
        );
        is_activation && self.proto.node.iter().any(|node| node.output.iter().any(|output| output == name))
    }

    fn enter(&mut self, node: &'a NodeProto, name: &str, external: &mut External) -> Result<Entered<'a>, Problem> {
        match node.op_type.as_str() {
            "If" => self.enter_branch(node, external),
            _ => self.enter_repetition(node, name, external),
        }
    }

    fn enter_branch(&mut self, node: &'a NodeProto, external: &mut External) -> Result<Entered<'a>, Problem> {
        let condition = node.input.first().and_then(|name| self.values.get(name));
        let branch = match condition {
            None => return Err(Problem::invalid("it has no condition")),
            Some(Value::Unknown | Value::UnknownConstant) => return Ok(Entered::Outputs(Vec::new())),
            Some(condition) => {
                if truth(condition, node)? {
                    "then_branch"
                } else {
                    "else_branch"
                }
            }
        };
        let graph = node.graph(branch).ok_or_else(|| Problem::invalid(format!("it has no {branch}")))?;
        let flow = self.flow;
        let inner = flow.get(graph)?;
        if graph.output.len() != node.output.len() {
            return Err(Problem::invalid(format!("its {branch} has not as many outputs as it")));
        }
        self.open(inner, external, Vec::new())?;
        Ok(Entered::Frame(Frame { graph, order: &inner.order, next: 0, owner: Owner::Branch(node) }))
    }

    /// Opens the scope of a graph whose inputs have these values.
    fn open(
        &mut self,
        inner: &'a Inner<'a>,
        external: &mut External,
        inputs: Vec<(&'a str, Value)>,
    ) -> Result<(), Problem> {
        self.size_within = self.size_within.saturating_add(inner.size);
        if self.size_within > MAX_SIZE {
            return Err(Problem::invalid(format!(
                "the branches and steps of the model, written out, have more than {MAX_SIZE} nodes, inputs and outputs"
            )));
        }
        let mut scope: HashMap<&'a str, Value> = HashMap::with_capacity(inputs.len());
        scope.extend(inner.constants(external)?.iter().map(|(name, c)| (*name, Value::Constant(c.clone()))));
        scope.extend(inputs);
        self.values.open(scope);
        Ok(())
    }

    fn enter_repetition(
        &mut self,
        node: &'a NodeProto,
        name: &str,
        external: &mut External,
    ) -> Result<Entered<'a>, Problem> {
        let is_loop = node.op_type == "Loop";
        let graph = node.graph("body").ok_or_else(|| Problem::invalid("it has no body"))?;
        let flow = self.flow;
        let inner = flow.get(graph)?;
        let mut inputs: Vec<Option<Value>> = Vec::with_capacity(node.input.len());
        for input in &node.input {
            inputs.push((!input.is_empty()).then(|| self.values.get(input).cloned().unwrap_or(Value::Unknown)));
        }
        let mut repetition = Repetition {
            node,
            name: name.to_owned(),
            inner,
            is_loop,
            count: None,
            steps: 0,
            carried: Vec::new(),
            scanned: Vec::new(),
            stacked: Vec::new(),
        };
        let mut going = true;
        if is_loop {
            let mut inputs = inputs.into_iter();
            let (count, condition) = (inputs.next().flatten(), inputs.next().flatten());
            if [&count, &condition].into_iter().flatten().any(|v| matches!(v, Value::Unknown | Value::UnknownConstant))
            {
                return Ok(Entered::Outputs(Vec::new()));
            }
            repetition.count = count.map(|v| trip_count(&v)).transpose()?;
            going = condition.map_or(Ok(true), |v| truth(&v, node))?;
            repetition.carried = inputs.map(|v| v.unwrap_or(Value::Unknown)).collect();
        } else {
            self.prepare_scan(&mut repetition, inputs.into_iter().map(|v| v.unwrap_or(Value::Unknown)).collect())?;
            if repetition.count.is_none() {
                return Ok(Entered::Outputs(Vec::new()));
            }
        }
        let own = graph.output.len().checked_sub(usize::from(is_loop));
        let stacked = own.and_then(|n| n.checked_sub(repetition.carried.len()));
        let fits = graph.input.len() == 2 * usize::from(is_loop) + repetition.carried.len() + repetition.scanned.len();
        let Some(stacked) = stacked.filter(|_| fits && own.is_some_and(|own| node.output.len() <= own)) else {
            return Err(Problem::invalid("its body has not the inputs and outputs that it needs"));
        };
        repetition.stacked = vec![Vec::new(); stacked];
        self.step_or_end(repetition, going, external)
    }

    /// Takes apart the inputs of a `Scan`: states, then what it scans. Without a count, if that is not known.
    fn prepare_scan(&mut self, scan: &mut Repetition<'a>, mut inputs: Vec<Value>) -> Result<(), Problem> {
        if self.opset < 9 {
            return Err(Problem::unsupported("before operator set 9 it means something else; export the model again"));
        }
        let count = scan.node.int("num_scan_inputs").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let states = inputs.len().checked_sub(count).filter(|_| count > 0);
        let states = states.ok_or_else(|| Problem::invalid(format!("it has not {count} inputs to scan")))?;
        let list = |name: &str, i: usize| scan.node.ints(name).and_then(|list| list.get(i).copied()).unwrap_or(0);
        let scanned = inputs.split_off(states).into_iter().enumerate();
        scan.scanned = scanned
            .map(|(i, value)| Scanned {
                value,
                axis: list("scan_input_axes", i),
                reversed: list("scan_input_directions", i) != 0,
            })
            .collect();
        scan.carried = inputs;
        for i in 0..scan.scanned.len() {
            let Some(Scanned { value, axis, .. }) = scan.scanned.get(i) else { break };
            let (value, axis) = (value.clone(), *axis);
            if matches!(value, Value::Unknown | Value::UnknownConstant) {
                scan.count = None;
                return Ok(());
            }
            let shape = self.helper("Shape", &scan.name, vec![value], Vec::new())?;
            let Value::Constant(shape) = shape else { return Ok(()) };
            let shape = shape.ints().map_err(Problem::Invalid)?;
            let axis = crate::consteval::axis(axis, shape.len())?;
            let length = shape.get(axis).and_then(|&n| usize::try_from(n).ok()).unwrap_or(0);
            if scan.count.is_some_and(|count| count != length) {
                return Err(Problem::invalid("what it scans has different lengths"));
            }
            scan.count = Some(length);
        }
        Ok(())
    }

    /// The next step, or the outputs after the last one.
    fn step_or_end(
        &mut self,
        mut repetition: Repetition<'a>,
        going: bool,
        external: &mut External,
    ) -> Result<Entered<'a>, Problem> {
        if !going || repetition.count.is_some_and(|count| repetition.steps >= count) {
            return self.end(repetition).map(Entered::Outputs);
        }
        let mut values = Vec::new();
        if repetition.is_loop {
            let step = i64::try_from(repetition.steps).unwrap_or(i64::MAX);
            values.extend([number(step), number(1)]);
        }
        values.append(&mut repetition.carried);
        for scanned in &repetition.scanned {
            let last = repetition.count.unwrap_or(0).saturating_sub(1);
            let step = if scanned.reversed { last.saturating_sub(repetition.steps) } else { repetition.steps };
            let at = number(i64::try_from(step).unwrap_or(i64::MAX));
            let axis = attribute("axis", scanned.axis);
            values.push(self.helper("Gather", &repetition.name, vec![scanned.value.clone(), at], vec![axis])?);
        }
        let inner = repetition.inner;
        let names = inner.graph.input.iter().map(|input| input.name.as_str());
        self.open(inner, external, names.zip(values).collect())?;
        repetition.steps += 1;
        let owner = Owner::Step(Box::new(repetition));
        Ok(Entered::Frame(Frame { graph: inner.graph, order: &inner.order, next: 0, owner }))
    }

    /// Closes the scope of a graph that was walked, and goes on: with the nodes after an `If`, or the next step.
    fn leave(&mut self, owner: Owner<'a>, graph: &'a GraphProto, frames: &mut Vec<Frame<'a>>, external: &mut External) {
        let outputs = graph.output.iter().map(|o| self.values.get(&o.name).cloned().unwrap_or(Value::Unknown));
        let outputs: Vec<Value> = outputs.collect();
        self.values.close();
        if let Some(outer) = frames.last() {
            self.order = outer.order;
        }
        let repetition = match owner {
            Owner::Model => return,
            Owner::Branch(node) => return self.bind(node, outputs),
            Owner::Step(repetition) => *repetition,
        };
        let (node, name) = (repetition.node, repetition.name.clone());
        match self.after_step(repetition, outputs, external) {
            Ok(Entered::Outputs(values)) => self.bind(node, values),
            Ok(Entered::Frame(frame)) => {
                self.order = frame.order;
                frames.push(frame);
            }
            Err(problem) => self.refuse(node, &name, problem),
        }
    }

    fn after_step(
        &mut self,
        mut repetition: Repetition<'a>,
        outputs: Vec<Value>,
        external: &mut External,
    ) -> Result<Entered<'a>, Problem> {
        let mut outputs = outputs.into_iter();
        let mut going = true;
        if repetition.is_loop {
            match outputs.next() {
                Some(Value::Unknown | Value::UnknownConstant) => return Ok(Entered::Outputs(Vec::new())),
                condition => going = truth(&condition.unwrap_or(Value::Unknown), repetition.node)?,
            }
        }
        // `carried` was moved into the step.
        let own = repetition.inner.graph.output.len() - usize::from(repetition.is_loop);
        let carried = own.saturating_sub(repetition.stacked.len());
        repetition.carried = outputs.by_ref().take(carried).collect();
        for (stack, value) in repetition.stacked.iter_mut().zip(outputs) {
            stack.push(value);
        }
        self.step_or_end(repetition, going, external)
    }

    /// The outputs of a `Loop` or a `Scan`: what is carried, and the stacks.
    fn end(&mut self, repetition: Repetition<'a>) -> Result<Vec<Value>, Problem> {
        let Repetition { node, name, carried, stacked, .. } = repetition;
        let mut outputs = carried;
        let list = |name: &str, i: usize| node.ints(name).and_then(|list| list.get(i).copied()).unwrap_or(0);
        for (i, mut parts) in stacked.into_iter().enumerate() {
            let used = node.output.get(outputs.len()).is_some_and(|o| self.order.is_used(o) || self.is_output(o));
            if !used {
                outputs.push(Value::Unknown);
                continue;
            }
            if parts.is_empty() {
                return Err(Problem::unsupported("it takes no step, and the empty list of its results is used"));
            }
            let axis = attribute("axis", list("scan_output_axes", i));
            if list("scan_output_directions", i) != 0 {
                parts.reverse();
            }
            let axes = Value::Constant(Constant::ints_1d(&[axis.i.unwrap_or(0)]));
            for part in &mut parts {
                let value = std::mem::replace(part, Value::Unknown);
                // An attribute up to operator set 12, an input since.
                *part = match self.opset {
                    ..13 => {
                        let axes = AttributeProto { ints: vec![axis.i.unwrap_or(0)], ..attribute("axes", 0) };
                        self.helper("Unsqueeze", &name, vec![value], vec![AttributeProto { i: None, ..axes }])?
                    }
                    _ => self.helper("Unsqueeze", &name, vec![value, axes.clone()], Vec::new())?,
                };
            }
            outputs.push(match parts.len() {
                1 => parts.swap_remove(0),
                _ => self.helper("Concat", &name, parts, vec![axis])?,
            });
        }
        Ok(outputs)
    }

    /// The output of an operator that is in no file.
    fn helper(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: Vec<Value>,
        attribute: Vec<AttributeProto>,
    ) -> Result<Value, Problem> {
        let name = format!("{name}/{}", op_type.to_lowercase());
        let node = NodeProto {
            op_type: op_type.into(),
            input: (0..inputs.len()).map(|i| format!("{name}/{i}")).collect(),
            output: vec![String::new()],
            attribute,
            ..NodeProto::default()
        };
        let values = self.apply(&node, &name, inputs.into_iter().map(Some).collect(), vec![true])?;
        Ok(values.into_iter().next().unwrap_or(Value::Unknown))
    }

    /// Whether this is an output of the graph that the walk is in.
    pub(super) fn is_output(&self, name: &str) -> bool {
        self.order.outputs.contains(name)
    }
}

/// Whether the walk enters this node.
fn is_flow(node: &NodeProto) -> bool {
    matches!(node.domain.as_str(), "" | "ai.onnx") && matches!(node.op_type.as_str(), "If" | "Loop" | "Scan")
}

/// A condition that is known.
fn truth(value: &Value, node: &NodeProto) -> Result<bool, Problem> {
    match value {
        Value::Constant(c) => match c.floats::<f64>().as_slice() {
            [value] => Ok(*value != 0.0),
            values => Err(Problem::invalid(format!("its condition has {} elements in place of one", values.len()))),
        },
        _ => Err(Problem::unsupported(about(&node.op_type))),
    }
}

/// A number of steps that is known.
fn trip_count(value: &Value) -> Result<usize, Problem> {
    match value {
        Value::Constant(c) => match c.ints().as_deref() {
            Ok([count]) => Ok(usize::try_from(*count).unwrap_or(0)),
            _ => Err(Problem::invalid("its number of steps is not one integer")),
        },
        _ => Err(Problem::unsupported(about("Loop"))),
    }
}

/// One integer.
fn number(value: i64) -> Value {
    Value::Constant(Array::Int(ndarray::arr0(value).into_dyn()).into())
}

fn attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(i), ..AttributeProto::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, forward, input, kinds, varied};
    use ndarray::array;

    /// What `build` adds to a net, as a graph within a node: its names are its own, but for those that it reads from outside.
    fn inner(inputs: &[&str], build: impl FnOnce(&mut Net) -> Vec<String>) -> GraphProto {
        let mut net = Net::new(&[]);
        let outputs = build(&mut net);
        let graph = net.graph();
        let own: Vec<String> = graph
            .node
            .iter()
            .flat_map(|n| n.output.clone())
            .chain(graph.initializer.iter().map(|t| t.name.clone()))
            .collect();
        let named = |name: &str| if own.iter().any(|o| o == name) { format!("inner_{name}") } else { name.to_owned() };
        for node in &mut graph.node {
            for name in node.input.iter_mut().chain(&mut node.output) {
                *name = named(name);
            }
        }
        for tensor in &mut graph.initializer {
            tensor.name = named(&tensor.name);
        }
        graph.input = inputs.iter().map(|name| input(name, &[])).collect();
        graph.output = outputs.iter().map(|name| input(&named(name), &[])).collect();
        graph.clone()
    }

    /// Adds a node with graphs to a net.
    fn with_graphs(
        net: &mut Net,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attr<'_>)],
        graphs: Vec<(&str, GraphProto)>,
    ) -> String {
        let output = net.op(op, inputs, attributes);
        let node = net.graph().node.last_mut().unwrap();
        node.attribute.extend(graphs.into_iter().map(|(name, graph)| AttributeProto {
            name: name.into(),
            g: Some(Box::new(graph)),
            ..AttributeProto::default()
        }));
        output
    }

    fn scaled_by(factor: f32) -> GraphProto {
        inner(&[], |net| {
            let c = net.floats(&[], &[factor]);
            vec![net.op("Mul", &["a", &c], &[])]
        })
    }

    /// `a = relu(x)`, and then one branch or the other by the rank of `a`, which is 2.
    fn branching(rank: i64, then: GraphProto, otherwise: GraphProto) -> Net {
        let mut net = Net::new(&[2]);
        net.op("Relu", &["x"], &[]);
        net.graph().node[0].output[0] = "a".into();
        let shape = net.op("Shape", &["a"], &[]);
        let size = net.op("Size", &[&shape], &[]);
        let rank = net.ints(&[rank]);
        let condition = net.op("Equal", &[&size, &rank], &[]);
        let branches = vec![("then_branch", then), ("else_branch", otherwise)];
        with_graphs(&mut net, "If", &[&condition], &[], branches);
        net
    }

    #[test]
    fn the_branch_of_a_known_condition_is_walked() {
        let x = array![[-1.0, 2.0]].into_dyn();
        let of = |rank| branching(rank, scaled_by(3.0), scaled_by(5.0)).run(&x);
        assert_eq!(of(2), array![[0.0, 6.0]].into_dyn());
        assert_eq!(of(3), array![[0.0, 10.0]].into_dyn());
        let names: Vec<String> =
            branching(2, scaled_by(3.0), scaled_by(5.0)).raw().nodes.iter().map(|n| n.name.clone()).collect();
        assert_eq!(names, ["x", "relu0", "mul0"]);
        // A branch that gives what is outside of it as it is.
        let through = inner(&[], |_| vec!["a".into()]);
        assert_eq!(branching(2, through, scaled_by(5.0)).run(&x), array![[0.0, 2.0]].into_dyn());
        // What is wrong in the other branch does not matter.
        let other = inner(&[], |net| vec![net.op("Sinh", &["a"], &[])]);
        assert_eq!(branching(2, scaled_by(3.0), other).run(&x), array![[0.0, 6.0]].into_dyn());
    }

    #[test]
    fn branches_within_branches() {
        let nested = |depth: usize| {
            let mut graph = scaled_by(3.0);
            for _ in 0..depth {
                graph = inner(&[], |net| {
                    let one = net.ints(&[1]);
                    let branches = vec![("then_branch", graph.clone()), ("else_branch", scaled_by(7.0))];
                    vec![with_graphs(net, "If", &[&one], &[], branches)]
                });
            }
            branching(2, graph, scaled_by(5.0))
        };
        for depth in [1, 5, 20] {
            assert_eq!(nested(depth).run(&array![[-1.0, 2.0]].into_dyn()), array![[0.0, 6.0]].into_dyn(), "{depth}");
        }
        // The decoder ends before our own bound.
        assert!(nested(40).import().is_err());
    }

    #[test]
    fn what_is_not_known_or_broken_is_refused() {
        let mut net = Net::new(&[1]);
        let zero = net.floats(&[], &[0.0]);
        net.op("Greater", &["x", &zero], &[]);
        let branches = vec![("then_branch", scaled_by(3.0)), ("else_branch", scaled_by(3.0))];
        net.graph().node[0].output[0] = "a".into();
        with_graphs(&mut net, "If", &["a"], &[], branches);
        assert!(net.error().contains("the computation depends on the input"), "{}", net.error());
        let mut net = Net::new(&[1]);
        let branches = vec![("then_branch", scaled_by(3.0)), ("else_branch", scaled_by(3.0))];
        net.op("Relu", &["x"], &[]);
        net.graph().node[0].output[0] = "a".into();
        with_graphs(&mut net, "If", &["a"], &[], branches);
        assert!(net.error().contains("the computation depends on the input"), "{}", net.error());
        let unknown = inner(&[], |net| vec![net.op("Relu", &["nowhere"], &[])]);
        let text = branching(2, scaled_by(3.0), unknown).error();
        assert!(text.contains("its input 'nowhere' is computed by no node"), "{text}");
        let none = inner(&[], |_| Vec::new());
        assert!(branching(2, none, scaled_by(3.0)).error().contains("not as many outputs"), "");
        let bitwise = inner(&[], |net| vec![net.op("BitwiseNot", &["a"], &[])]);
        assert!(branching(2, bitwise, scaled_by(3.0)).error().contains("BitwiseNot ('bitwisenot0')"));
    }

    /// A loop over `v ← v · 2 + step`, which stacks the numbers `10 · step`; then what `after` makes of its two outputs.
    fn looping(count: i64, after: impl FnOnce(&mut Net, &str, &str)) -> Net {
        let body = inner(&["i", "go", "v"], |net| {
            let (two, ten) = (net.floats(&[], &[2.0]), net.floats(&[], &[10.0]));
            let twice = net.op("Mul", &["v", &two], &[]);
            let step = net.op("Cast", &["i"], &[("to", Attr::Int(1))]);
            let next = net.op("Add", &[&twice, &step], &[]);
            vec![net.op("Identity", &["go"], &[]), next, net.op("Mul", &[&step, &ten], &[])]
        });
        let mut net = Net::new(&[3]);
        let count = net.ints(&[count]);
        let last = with_graphs(&mut net, "Loop", &[&count, "", "x"], &[], vec![("body", body)]);
        net.graph().node[0].output.push("stack".into());
        after(&mut net, &last, "stack");
        net
    }

    #[test]
    fn a_loop_is_written_out() {
        let x = array![[1.0, -1.0, 0.0]].into_dyn();
        // ((x·2 + 0)·2 + 1)·2 + 2
        let last = looping(3, |net, last, _| _ = net.op("Identity", &[last], &[]));
        assert_eq!(last.run(&x), array![[12.0, -4.0, 4.0]].into_dyn());
        assert_eq!(kinds(&last.raw()), [&["scale"; 6][..], &["identity"]].concat());
        let none = looping(0, |net, last, _| _ = net.op("Relu", &[last], &[]));
        assert_eq!(none.run(&x), array![[1.0, 0.0, 0.0]].into_dyn());
        let stack = looping(3, |net, last, stack| _ = net.op("Add", &[last, stack], &[]));
        assert_eq!(stack.run(&x), array![[12.0, 6.0, 24.0]].into_dyn());
        let empty = looping(0, |net, last, stack| _ = net.op("Add", &[last, stack], &[]));
        assert!(empty.error().contains("takes no step"), "{}", empty.error());
    }

    #[test]
    fn loops_are_bounded() {
        let endless = looping(i64::MAX, |net, last, _| _ = net.op("Identity", &[last], &[]));
        assert!(endless.error().contains("more than 500000 nodes"), "{}", endless.error());
        let mut net = Net::new(&[2]);
        let body = inner(&["i", "go", "v"], |_| vec!["go".into(), "v".into()]);
        with_graphs(&mut net, "Loop", &["", "", "x"], &[], vec![("body", body)]);
        assert!(net.error().contains("more than 500000 nodes"), "{}", net.error());
    }

    #[test]
    fn a_loop_ends_by_its_condition() {
        // while i < 4: v ← 2·v, where the condition is computed after the step.
        let body = inner(&["i", "go", "v"], |net| {
            let (three, twice) = (net.ints(&[3]), net.op("Add", &["v", "v"], &[]));
            vec![net.op("Less", &["i", &three], &[]), twice]
        });
        let mut net = Net::new(&[2]);
        with_graphs(&mut net, "Loop", &["", "", "x"], &[], vec![("body", body)]);
        assert_eq!(net.run(&array![[1.0, -1.0]].into_dyn()), array![[16.0, -16.0]].into_dyn());
        let body = inner(&["i", "go", "v"], |net| vec![net.op("Relu", &["v"], &[]), "v".into()]);
        let mut net = Net::new(&[2]);
        with_graphs(&mut net, "Loop", &["", "", "x"], &[], vec![("body", body)]);
        assert!(net.error().contains("the computation depends on the input"), "{}", net.error());
    }

    #[test]
    fn a_scan_over_the_steps_of_a_sequence() {
        // Running sums along axis 1, from the last step to the first.
        let body = inner(&["sum", "step"], |net| {
            let sum = net.op("Add", &["sum", "step"], &[]);
            vec![sum.clone(), net.op("Identity", &[&sum], &[])]
        });
        let mut net = Net::new(&[3, 2]);
        let (zero, axis) = (net.ints(&[0]), net.ints(&[1]));
        let first = net.op("Gather", &["x", &zero], &[("axis", Attr::Int(1))]);
        let first = net.op("Squeeze", &[&first, &axis], &[]);
        let zeros = net.op("Sub", &[&first, &first], &[]);
        let attributes = [
            ("num_scan_inputs", Attr::Int(1)),
            ("scan_input_axes", Attr::Ints(&[1])),
            ("scan_input_directions", Attr::Ints(&[1])),
            ("scan_output_axes", Attr::Ints(&[1])),
            ("scan_output_directions", Attr::Ints(&[1])),
        ];
        with_graphs(&mut net, "Scan", &[&zeros, "x"], &attributes, vec![("body", body)]);
        net.graph().node.last_mut().unwrap().output.insert(0, "last".into());
        let y = net.run(&array![[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]].into_dyn());
        assert_eq!(y, array![[[6.0, 60.0], [5.0, 50.0], [3.0, 30.0]]].into_dyn());
    }

    /// A model with a function, branches, a loop and quantized activations, small enough that a mutation hits something that matters.
    fn varied_net() -> Net {
        let branch = inner(&[], |net| {
            let (two, one) = (net.ints(&[2]), net.ints(&[1]));
            let body = inner(&["i", "go", "v"], |net| {
                let next = net.op("Sub", &["v", "a"], &[]);
                let step = net.op("Cast", &["i"], &[("to", Attr::Int(1))]);
                vec![net.op("Identity", &["go"], &[]), net.op("Add", &[&next, &step], &[])]
            });
            let looped = with_graphs(net, "Loop", &[&two, "", "a"], &[], vec![("body", body)]);
            let chosen = vec![("then_branch", inner(&[], |_| vec!["a".into()])), ("else_branch", scaled_by(2.0))];
            let other = with_graphs(net, "If", &[&one], &[], chosen);
            vec![net.op("Mul", &[&looped, &other], &[])]
        });
        let mut net = branching(2, branch, scaled_by(5.0));
        let last = net.graph().node.last().unwrap().output[0].clone();
        let (s, z, w) = (net.floats(&[], &[0.5]), net.uint8s(&[], &[7]), net.int8s(&[2, 2], &[1, 2, 3, 4]));
        let q = net.op("QuantizeLinear", &[&last, &s, &z], &[]);
        let y = net.op("MatMulInteger", &[&q, &w, &z], &[]);
        let y = net.op("Cast", &[&y], &[("to", Attr::Int(1))]);
        let q = net.op("DynamicQuantizeLinear", &[&y], &[]);
        net.last("", &["scale", "zero"]);
        let y = net.op("MatMulInteger", &[&q, &w, "zero"], &[]);
        let y = net.op("Cast", &[&y], &[("to", Attr::Int(1))]);
        let y = net.op("Mul", &[&y, "scale"], &[]);
        net.op("f", &[&y], &[("alpha", Attr::Float(0.5))]);
        net.last("local", &[]);
        let mut function = Net::new(&[2]);
        let a = function.op("LeakyRelu", &["in"], &[("alpha", Attr::Float(0.1))]);
        function.graph().node[0].attribute[0].ref_attr_name = "alpha".into();
        let out = function.op("Add", &[&a, "in"], &[]);
        net.proto.functions.push(crate::proto::FunctionProto {
            name: "f".into(),
            domain: "local".into(),
            input: vec!["in".into()],
            output: vec![out],
            attribute: vec!["alpha".into()],
            node: function.graph().node.clone(),
            ..Default::default()
        });
        net
    }

    /// Damaged files give an error or a model, quickly, but never a panic.
    #[test]
    fn mutations_of_a_file_do_no_harm() {
        let bytes = varied_net().bytes();
        let whole = crate::from_bytes::<f32>("whole", bytes.clone(), &Default::default()).unwrap();
        assert!(whole.quantized.is_some() && whole.model.layers().len() == 2);
        let (mut loaded, mut refused) = (0, 0);
        for mutant in crate::testing::mutants(&bytes, 6000) {
            match crate::from_bytes::<f32>("mutant", mutant, &Default::default()) {
                Ok(import) => {
                    loaded += 1;
                    let input = import.model.node(import.model.inputs()[0]);
                    if let (1, [n]) = (import.model.inputs().len(), input.shape.as_slice()) {
                        let x = varied(&[1, *n]).mapv(|v| v as f32);
                        forward(&import.model, &x);
                        import.quantized.map(|q| q.error().is_some() || q.output(&[&x]).is_some());
                    }
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().lines().count() <= 24, "{error}");
                }
            }
        }
        assert!(loaded > 100 && refused > 100, "{loaded} loaded, {refused} refused");
    }

    #[test]
    fn what_an_inner_graph_reads_is_computed_before_and_kept() {
        let mut net = branching(2, scaled_by(3.0), scaled_by(5.0));
        // The node that computes 'a' stands behind the branch that reads it.
        net.graph().node.rotate_left(1);
        assert_eq!(net.run(&varied(&[2, 2])).shape(), [2, 2]);
    }
}
