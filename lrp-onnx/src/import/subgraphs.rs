//! Graphs within graphs, sorted before the walk; and the names that are seen from within them.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::{Order, Sources};
use crate::error::{ErrorKind, Problem, shown};
use crate::file::External;
use crate::functions::MAX_DEPTH;
use crate::ops::Value;
use crate::proto::{GraphProto, NodeProto};
use crate::tensor::Constant;

/// The values of tensor names: of the model's graph, and of the graphs within each other that the walk is in. Inner names
/// hide outer ones.
#[derive(Debug)]
pub(super) struct Scopes<'a>(Vec<HashMap<&'a str, Value>>);

impl Default for Scopes<'_> {
    fn default() -> Self {
        Self(vec![HashMap::new()])
    }
}

impl<'a> Scopes<'a> {
    /// The value of a name in the innermost graph that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Gives a name of the innermost graph its value.
    pub fn insert(&mut self, name: &'a str, value: Value) {
        if let Some(scope) = self.0.last_mut() {
            scope.insert(name, value);
        }
    }

    /// Enters a graph, some of whose names have values.
    pub fn open(&mut self, values: HashMap<&'a str, Value>) {
        self.0.push(values);
    }

    /// Leaves the innermost graph.
    pub fn close(&mut self) {
        self.0.pop();
    }

    /// Gives names of the innermost graph their values.
    pub fn extend(&mut self, values: impl Iterator<Item = (&'a str, Value)>) {
        if let Some(scope) = self.0.last_mut() {
            scope.extend(values);
        }
    }
}

/// A graph within a node.
pub(super) struct Inner<'a> {
    pub graph: &'a GraphProto,
    pub order: Order<'a>,
    /// The number of nodes, and of their inputs and outputs: the work of walking over it once.
    pub size: usize,
    constants: OnceCell<Vec<(&'a str, Constant)>>,
}

/// Every graph within a graph, sorted; and what nodes with such graphs read through them.
#[derive(Default)]
pub(super) struct Subgraphs<'a> {
    /// By the graph's address.
    inner: HashMap<*const GraphProto, Inner<'a>>,
    /// By the node's address: names outside of its graphs.
    reads: HashMap<*const NodeProto, Vec<&'a str>>,
}

impl<'a> Subgraphs<'a> {
    /// Those within a graph.
    pub fn of(graph: &'a GraphProto) -> Result<Self, ErrorKind> {
        let mut found = Self::default();
        found.within(graph, 0)?;
        Ok(found)
    }

    /// The names outside of a node's graphs that these read.
    pub fn reads(&self, node: &NodeProto) -> &[&'a str] {
        self.reads.get(&std::ptr::from_ref(node)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds the graphs within a graph. As deep as they are nested, which is bounded.
    fn within(&mut self, graph: &'a GraphProto, depth: usize) -> Result<(), ErrorKind> {
        if depth > MAX_DEPTH {
            return Err(ErrorKind::Graph(format!("it has graphs within each other, more than {MAX_DEPTH} deep")));
        }
        for node in &graph.node {
            let mut reads: Vec<&'a str> = Vec::new();
            for graph in node.graphs() {
                self.within(graph, depth + 1)?;
                let sources = Sources::of(graph)?;
                let outputs: Vec<&'a str> = graph.output.iter().map(|o| o.name.as_str()).collect();
                let order = Order::of_inner(graph, &sources, &outputs, self)?;
                let used = order.readers.keys().chain(&outputs).copied();
                reads.extend(used.filter(|name| !name.is_empty() && !sources.has(name)));
                let node = |&position: &usize| graph.node.get(position);
                let sizes = order.nodes.iter().filter_map(node).map(|n| n.input.len() + n.output.len() + 1);
                let size = sizes.sum::<usize>() + graph.output.len() + 1;
                let inner = Inner { graph, order, size, constants: OnceCell::new() };
                self.inner.insert(std::ptr::from_ref(graph), inner);
            }
            if !reads.is_empty() {
                reads.sort_unstable();
                reads.dedup();
                self.reads.insert(std::ptr::from_ref(node), reads);
            }
        }
        Ok(())
    }

    /// A graph within a node.
    pub fn get(&self, graph: &GraphProto) -> Result<&Inner<'a>, Problem> {
        self.inner.get(&std::ptr::from_ref(graph)).ok_or_else(|| Problem::invalid("its graph cannot be sorted"))
    }
}

impl<'a> Inner<'a> {
    /// The stored tensors that are used.
    pub fn constants(&self, external: &mut External) -> Result<&[(&'a str, Constant)], Problem> {
        if let Some(known) = self.constants.get() {
            return Ok(known);
        }
        let used = self.graph.initializer.iter().filter(|t| self.order.is_used(&t.name) || self.gives(&t.name));
        let read = used.map(|tensor| match Constant::from_proto(tensor, external) {
            Ok(constant) => Ok((tensor.name.as_str(), constant)),
            Err(reason) => Err(Problem::invalid(format!("its tensor '{}' {reason}", shown(&tensor.name)))),
        });
        let read = read.collect::<Result<Vec<_>, _>>()?;
        Ok(self.constants.get_or_init(|| read))
    }

    fn gives(&self, name: &str) -> bool {
        self.graph.output.iter().any(|output| output.name == name)
    }
}
