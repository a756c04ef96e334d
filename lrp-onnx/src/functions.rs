//! Model-local functions: operators that a file defines by other operators. Every call is replaced by the function's nodes
//! before the graph is sorted, so that nothing after this step knows of functions. [Fused operators](crate::fused) are replaced in the same way.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::error::{ErrorKind, shown};
use crate::fused::{is_fused, written_out};
use crate::ops::SUPPORTED;
use crate::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// The maximum depth of functions that call functions, and of graphs within graphs.
pub(crate) const MAX_DEPTH: usize = 32;

/// The maximum number of nodes, and the maximum size in bytes, of all functions written out.
const MAX: (usize, usize) = (100_000, 64 << 20);

/// The graph with every call of a model-local function replaced by the function's nodes.
///
/// # Errors
/// When a function calls itself, or the functions are absurdly large once they are written out.
pub(crate) fn inlined<'a>(model: &'a ModelProto, graph: &'a GraphProto) -> Result<Cow<'a, GraphProto>, ErrorKind> {
    if model.functions.is_empty() && !has_fused(graph) {
        return Ok(Cow::Borrowed(graph));
    }
    let key = |f: &'a FunctionProto| (domain(&f.domain), f.name.as_str(), f.overload.as_str());
    // An operator of ONNX's own that can be read as it is keeps its meaning.
    let is_known = |f: &&FunctionProto| domain(&f.domain).is_empty() && SUPPORTED.contains(&f.name.as_str());
    let functions = model.functions.iter().filter(|f| !is_known(f)).map(|f| (key(f), f)).collect();
    let mut inliner =
        Inliner { functions, outer: graph, taken: names_in(graph), calls: 0, left: MAX, active: Vec::new() };
    let graph = inliner.graph(graph, &mut Scope::default(), 0)?;
    Ok(Cow::Owned(graph))
}

fn domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Whether a graph, or one within it, has an operator that is written out.
fn has_fused(graph: &GraphProto) -> bool {
    let mut open = vec![graph];
    while let Some(graph) = open.pop() {
        if graph.node.iter().any(is_fused) {
            return true;
        }
        open.extend(graph.node.iter().flat_map(NodeProto::graphs));
    }
    false
}

/// The names of all tensors of a graph and the graphs within it.
fn names_in(graph: &GraphProto) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut open = vec![graph];
    while let Some(graph) = open.pop() {
        let values = graph.input.iter().chain(&graph.output).map(|v| &v.name);
        names.extend(values.chain(graph.initializer.iter().map(|t| &t.name)).cloned());
        for node in &graph.node {
            names.extend(node.input.iter().chain(&node.output).cloned());
            open.extend(node.graphs());
        }
    }
    names
}

/// What the names and attributes in a function's body stand for in one call of it.
#[derive(Default)]
struct Scope {
    /// The function's name and the number of the call; none outside of functions.
    prefix: Option<String>,
    names: HashMap<String, String>,
    attributes: HashMap<String, AttributeProto>,
    /// The node that calls.
    call: NodeProto,
}

struct Inliner<'a> {
    functions: HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
    /// The graph of the file, which tells types of inputs.
    outer: &'a GraphProto,
    taken: HashSet<String>,
    calls: usize,
    /// Nodes and bytes.
    left: (usize, usize),
    /// The functions that are being written out, from the outermost in.
    active: Vec<&'a FunctionProto>,
}

impl<'a> Inliner<'a> {
    fn nodes(
        &mut self,
        nodes: &[NodeProto],
        scope: &mut Scope,
        depth: usize,
        into: &mut Vec<NodeProto>,
    ) -> Result<(), ErrorKind> {
        for node in nodes {
            let node = self.node(node, scope, depth)?;
            let key = (domain(&node.domain), node.op_type.as_str(), node.overload.as_str());
            match self.functions.get(&key).copied() {
                Some(function) => self.call(node, function, depth + 1, into)?,
                None if is_fused(&node) => self.write_out(node, into)?,
                None => into.push(node),
            }
        }
        Ok(())
    }

    /// A fused operator, written out.
    fn write_out(&mut self, node: NodeProto, into: &mut Vec<NodeProto>) -> Result<(), ErrorKind> {
        let mut prefix;
        loop {
            self.calls += 1;
            prefix = format!("{}#{}", node.op_type, self.calls);
            if !self.taken.contains(&format!("{prefix}/0")) {
                break;
            }
        }
        let Some(nodes) = written_out(&node, &prefix, Some(self.outer)) else { return Ok(()) };
        for part in nodes.map_err(|reason| refused(&node, reason))? {
            self.charge(&part)?;
            into.push(part);
        }
        Ok(())
    }

    /// A call of a function, written out.
    fn call(
        &mut self,
        call: NodeProto,
        function: &'a FunctionProto,
        depth: usize,
        into: &mut Vec<NodeProto>,
    ) -> Result<(), ErrorKind> {
        if self.active.iter().any(|active| std::ptr::eq(*active, function)) {
            return Err(refused(&call, "it is a function of the file that calls itself".into()));
        }
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(refused(
                &call,
                "it has more inputs or outputs than the function of this name in the file".into(),
            ));
        }
        self.calls += 1;
        let mut scope = Scope { prefix: Some(format!("{}#{}", function.name, self.calls)), ..Scope::default() };
        let actual = |actual: &[String], i: usize| actual.get(i).cloned().unwrap_or_default();
        for (i, formal) in function.input.iter().enumerate() {
            scope.names.insert(formal.clone(), actual(&call.input, i));
        }
        let mut passed = Vec::new();
        for (i, formal) in function.output.iter().enumerate() {
            let actual = actual(&call.output, i);
            match scope.names.get(formal) {
                // An input that is an output, too.
                Some(input) => passed.push((input.clone(), actual)),
                None if actual.is_empty() => {}
                None => _ = scope.names.insert(formal.clone(), actual),
            }
        }
        let defaults = function.attribute_proto.iter().chain(&call.attribute);
        scope.attributes = defaults.map(|a| (a.name.clone(), a.clone())).collect();
        scope.call = call;
        self.active.push(function);
        self.nodes(&function.node, &mut scope, depth, into)?;
        self.active.pop();
        for (input, output) in passed.into_iter().filter(|(_, output)| !output.is_empty()) {
            let (input, output) = (vec![input], vec![output]);
            let name = scope.call.name.clone();
            into.push(NodeProto { name, op_type: "Identity".into(), input, output, ..NodeProto::default() });
        }
        Ok(())
    }

    /// A node with the names and attributes of its scope.
    fn node(&mut self, node: &NodeProto, scope: &mut Scope, depth: usize) -> Result<NodeProto, ErrorKind> {
        if depth > MAX_DEPTH {
            return Err(refused(
                node,
                format!("functions and graphs within each other are more than {MAX_DEPTH} deep"),
            ));
        }
        let mut attribute = Vec::with_capacity(node.attribute.len());
        for a in &node.attribute {
            let value = if a.ref_attr_name.is_empty() { Some(a) } else { scope.attributes.get(&a.ref_attr_name) };
            // An attribute that the call leaves out, and that has no default, is left out here.
            let Some(value) = value.cloned() else { continue };
            attribute.push(self.attribute(AttributeProto { name: a.name.clone(), ..value }, scope, depth)?);
        }
        let mut resolved = NodeProto {
            input: node.input.iter().map(|name| self.name(name, scope)).collect(),
            output: node.output.iter().map(|name| self.name(name, scope)).collect(),
            attribute,
            name: node.name.clone(),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
            metadata_props: node.metadata_props.clone(),
        };
        if scope.prefix.is_some() {
            let outer = if scope.call.name.is_empty() { &scope.call.op_type } else { &scope.call.name };
            let own = if node.name.is_empty() { &node.op_type } else { &node.name };
            resolved.name = format!("{outer}/{own}");
            // PyTorch's dynamo exporter records the module at the call.
            if resolved.metadata_props.is_empty() {
                resolved.metadata_props.clone_from(&scope.call.metadata_props);
            }
            self.charge(&resolved)?;
        }
        Ok(resolved)
    }

    /// An attribute whose graphs are in the same scope.
    fn attribute(&mut self, a: AttributeProto, scope: &mut Scope, depth: usize) -> Result<AttributeProto, ErrorKind> {
        let mut a = AttributeProto { ref_attr_name: String::new(), ..a };
        if let Some(graph) = a.g.take() {
            a.g = Some(Box::new(self.graph(&graph, scope, depth + 1)?));
        }
        for graph in &mut a.graphs {
            *graph = self.graph(graph, scope, depth + 1)?;
        }
        Ok(a)
    }

    fn graph(&mut self, graph: &GraphProto, scope: &mut Scope, depth: usize) -> Result<GraphProto, ErrorKind> {
        let mut copy = shallow(graph);
        let values = copy.input.iter_mut().chain(&mut copy.output).map(|v| &mut v.name);
        for name in values.chain(copy.initializer.iter_mut().map(|t| &mut t.name)) {
            *name = self.name(name, scope);
        }
        self.nodes(&graph.node, scope, depth, &mut copy.node)?;
        Ok(copy)
    }

    /// The name of a tensor outside of the call.
    fn name(&mut self, name: &str, scope: &mut Scope) -> String {
        let Some(prefix) = scope.prefix.as_ref().filter(|_| !name.is_empty()) else { return name.to_owned() };
        if let Some(known) = scope.names.get(name) {
            return known.clone();
        }
        let mut new = format!("{prefix}/{name}");
        while !self.taken.insert(new.clone()) {
            new.push('_');
        }
        scope.names.insert(name.to_owned(), new.clone());
        new
    }

    /// Accounts for a node that is written out.
    fn charge(&mut self, node: &NodeProto) -> Result<(), ErrorKind> {
        let texts = node.input.iter().chain(&node.output).map(String::len).sum::<usize>();
        let attributes = node.attribute.iter().map(attribute_size).sum::<usize>();
        let left = self.left.0.checked_sub(1).zip(self.left.1.checked_sub(256 + 2 * texts + attributes));
        self.left = left.ok_or_else(|| {
            refused(
                node,
                format!("the functions of the file, written out, are more than {} nodes, or absurdly large", MAX.0),
            )
        })?;
        Ok(())
    }
}

/// A graph without its nodes.
fn shallow(graph: &GraphProto) -> GraphProto {
    GraphProto {
        node: Vec::new(),
        initializer: graph.initializer.clone(),
        input: graph.input.clone(),
        output: graph.output.clone(),
    }
}

/// The bytes that a copy of an attribute takes.
fn attribute_size(a: &AttributeProto) -> usize {
    let graphs = a.g.as_deref().into_iter().chain(&a.graphs);
    let initializers: usize = graphs.flat_map(|g| &g.initializer).map(tensor_size).sum();
    let lists = 4 * a.floats.len() + 8 * a.ints.len() + 32 * a.strings.len();
    a.name.len() + 128 + lists + initializers + a.t.as_deref().map_or(0, tensor_size)
}

/// The bytes that a copy of a tensor takes; raw data are shared.
fn tensor_size(t: &TensorProto) -> usize {
    let small = 4 * (t.float_data.len() + t.int32_data.len());
    let large = 8 * (t.int64_data.len() + t.double_data.len() + t.uint64_data.len() + t.dims.len());
    128 + t.name.len() + small + large
}

fn refused(node: &NodeProto, reason: String) -> ErrorKind {
    ErrorKind::Node { node: shown(&node.name), op_type: shown(&node.op_type), reason, before: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, varied};

    /// A net whose single node calls `double_or(x) = leaky_relu(x + x, slope)`, or whatever `body` makes of that.
    fn calling(attributes: &[(&str, Attr<'_>)], body: impl FnOnce(&mut FunctionProto)) -> Net {
        let mut inner = Net::new(&[2]);
        let sum = inner.op("Add", &["a", "a"], &[]);
        inner.op("LeakyRelu", &[&sum], &[("alpha", Attr::Float(9.0))]);
        inner.graph().node[1].attribute[0].f = None;
        inner.graph().node[1].attribute[0].ref_attr_name = "slope".into();
        let default = AttributeProto { name: "slope".into(), f: Some(0.25), ..AttributeProto::default() };
        let mut function = FunctionProto {
            name: "double_or".into(),
            domain: "local".into(),
            input: vec!["a".into()],
            output: vec!["t1".into()],
            node: inner.graph().node.clone(),
            attribute_proto: vec![default],
            ..FunctionProto::default()
        };
        body(&mut function);
        let mut net = Net::new(&[2]);
        net.op("double_or", &["x"], attributes);
        net.graph().node[0].domain = "local".into();
        net.graph().node[0].name = "call".into();
        net.proto.functions.push(function);
        net
    }

    #[test]
    fn attributes_come_from_the_call_or_the_default() {
        let x = ndarray::array![[-2.0, 3.0]].into_dyn();
        assert_eq!(calling(&[], |_| ()).run(&x), ndarray::array![[-1.0, 6.0]].into_dyn());
        let given = calling(&[("slope", Attr::Float(0.5))], |_| ());
        assert_eq!(given.run(&x), ndarray::array![[-2.0, 6.0]].into_dyn());
        let names: Vec<String> = given.raw().nodes.iter().map(|n| n.name.clone()).collect();
        assert_eq!(names, ["x", "call/add0", "call/leakyrelu1"]);
        // Without a default the operator's own: 0.01.
        let without = calling(&[], |f| f.attribute_proto.clear());
        assert!((without.run(&x)[[0, 0]] + 0.04).abs() < 1e-9);
    }

    #[test]
    fn functions_that_call_functions_keep_their_names_apart() {
        // twice(a) = double_or(double_or(a)); inner names are the same in both calls and in the graph.
        let mut net = calling(&[], |_| ());
        let call = |input: &str, output: &str| NodeProto {
            input: vec![input.into()],
            output: vec![output.into()],
            op_type: "double_or".into(),
            domain: "local".into(),
            ..NodeProto::default()
        };
        net.proto.functions.push(FunctionProto {
            name: "twice".into(),
            domain: "local".into(),
            input: vec!["t0".into()],
            output: vec!["t1".into()],
            node: vec![call("t0", "sum"), call("sum", "t1")],
            ..FunctionProto::default()
        });
        net.graph().node[0].op_type = "twice".into();
        net.op("Add", &["t0", "x"], &[]);
        let x = ndarray::array![[-2.0, 3.0]].into_dyn();
        // -2 → -1 → -0.5, 3 → 6 → 12; and x once more.
        assert_eq!(net.run(&x), ndarray::array![[-2.5, 15.0]].into_dyn());
    }

    #[test]
    fn an_input_can_be_an_output() {
        let net = calling(&[], |f| f.output = vec!["a".into()]);
        let x = varied(&[3, 2]);
        assert_eq!(net.run(&x), x);
    }

    #[test]
    fn functions_without_an_end_are_refused() {
        let net = calling(&[], |f| {
            let again = &mut f.node[1];
            (again.op_type, again.domain) = ("double_or".into(), "local".into());
        });
        assert!(net.error().contains("calls itself"), "{}", net.error());
        // Thirty functions, each of which calls the next one twice.
        let mut net = calling(&[], |_| ());
        for level in 0..30 {
            let call = |input: &str, output: &str| NodeProto {
                input: vec![input.into()],
                output: vec![output.into()],
                op_type: if level == 29 { "double_or".into() } else { format!("f{}", level + 1) },
                domain: "local".into(),
                ..NodeProto::default()
            };
            net.proto.functions.push(FunctionProto {
                name: format!("f{level}"),
                domain: "local".into(),
                input: vec!["a".into()],
                output: vec!["c".into()],
                node: vec![call("a", "b"), call("b", "c")],
                ..FunctionProto::default()
            });
        }
        net.graph().node[0].op_type = "f0".into();
        assert!(net.error().contains("more than 100000 nodes"), "{}", net.error());
        let deep = calling(&[], |f| {
            let mut graph = GraphProto { node: std::mem::take(&mut f.node), ..GraphProto::default() };
            for _ in 0..20 {
                let a = AttributeProto { name: "body".into(), g: Some(Box::new(graph)), ..AttributeProto::default() };
                let node = NodeProto { op_type: "If".into(), attribute: vec![a], ..NodeProto::default() };
                graph = GraphProto { node: vec![node], ..GraphProto::default() };
            }
            f.node = graph.node;
        });
        // Twenty are fine here; that nothing computes the output is found later.
        assert!(deep.error().contains("no node computes"), "{}", deep.error());
        let text = calling(&[], |f| f.input.clear()).error();
        assert!(text.contains("more inputs or outputs than the function"), "{text}");
    }
}
