//! Writes the nodes of a fused operator.

use crate::proto::{AttributeProto, GraphProto, NodeProto};

/// The lowest number that single precision holds, to which softmax gives no weight.
pub(super) const MASKED: f32 = f32::MIN;

/// ONNX's numbers for types of elements.
pub(super) const FLOAT: i64 = 1;
const BOOL: i32 = 9;

/// An attribute of a written node.
pub(super) enum Value<'v> {
    Int(i64),
    Ints(&'v [i64]),
    Float(f32),
}

/// The nodes written so far for one node of the file.
pub(super) struct Writer<'a> {
    /// The node of the file.
    pub node: &'a NodeProto,
    prefix: &'a str,
    graph: Option<&'a GraphProto>,
    nodes: Vec<NodeProto>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(node: &'a NodeProto, prefix: &'a str, graph: Option<&'a GraphProto>) -> Self {
        Self { node, prefix, graph, nodes: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<NodeProto> {
        self.nodes
    }

    /// An input of the node, if it is given.
    pub(super) fn input(&self, index: usize) -> Option<String> {
        self.node.input.get(index).filter(|name| !name.is_empty()).cloned()
    }

    /// An input that the operator cannot do without.
    ///
    /// # Errors
    /// When it is missing.
    pub(super) fn required(&self, index: usize) -> Result<String, String> {
        self.input(index).ok_or_else(|| format!("it has no input number {}", index + 1))
    }

    /// That inputs which carry state from one call to the next are absent.
    ///
    /// # Errors
    /// When one is given.
    pub(super) fn refuse_cache(&self, inputs: &[usize]) -> Result<(), String> {
        match inputs.iter().any(|&index| self.input(index).is_some()) {
            true => {
                Err("it reads keys and values of earlier calls; export the model without a cache (use_cache = False)"
                    .into())
            }
            false => Ok(()),
        }
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.node.attribute.iter().find(|a| a.name == name)?.i
    }

    pub(super) fn number_of(&self, name: &str) -> Option<f32> {
        self.node.attribute.iter().find(|a| a.name == name)?.f
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.node.attribute.iter().find(|a| a.name == name).map(|a| a.ints.as_slice())
    }

    /// A number above zero.
    ///
    /// # Errors
    /// When the attribute is missing, or no such number.
    pub(super) fn positive(&self, name: &str) -> Result<i64, String> {
        self.int(name).filter(|&n| n > 0).ok_or_else(|| format!("its {name} is not a number above zero"))
    }

    /// A node with one output, whose name is returned.
    pub(super) fn op(&mut self, op_type: &str, inputs: &[&str], attributes: &[(&str, Value<'_>)]) -> String {
        let output = format!("{}/{}", self.prefix, self.nodes.len());
        self.push(op_type, inputs, vec![output.clone()], attributes);
        output
    }

    /// A node with several outputs.
    pub(super) fn ops<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: &[(&str, Value<'_>)],
    ) -> [String; N] {
        let place = self.nodes.len();
        let outputs: [String; N] = std::array::from_fn(|i| format!("{}/{place}.{i}", self.prefix));
        self.push(op_type, inputs, outputs.to_vec(), attributes);
        outputs
    }

    /// A node that makes an output of the file's node, if the file uses it.
    pub(super) fn output(&mut self, index: usize, op_type: &str, inputs: &[&str], attributes: &[(&str, Value<'_>)]) {
        if let Some(name) = self.node.output.get(index).filter(|name| !name.is_empty()) {
            self.push(op_type, inputs, vec![name.clone()], attributes);
        }
    }

    /// That the file uses no output from this one on.
    ///
    /// # Errors
    /// When it does.
    pub(super) fn only_outputs(&self, number: usize) -> Result<(), String> {
        match self.node.output.iter().skip(number).any(|name| !name.is_empty()) {
            true => Err(format!("only its first {number} outputs are read")),
            false => Ok(()),
        }
    }

    pub(super) fn number(&mut self, value: f32) -> String {
        self.op("Constant", &[], &[("value_float", Value::Float(value))])
    }

    pub(super) fn list(&mut self, values: &[i64]) -> String {
        self.op("Constant", &[], &[("value_ints", Value::Ints(values))])
    }

    pub(super) fn whole(&mut self, value: i64) -> String {
        self.op("Constant", &[], &[("value_int", Value::Int(value))])
    }

    /// The length of an axis as a list of one number.
    pub(super) fn length(&mut self, of: &str, axis: i64) -> String {
        let shape = self.op("Shape", &[of], &[]);
        let axis = self.list(&[axis]);
        self.op("Gather", &[&shape, &axis], &[("axis", Value::Int(0))])
    }

    /// `0, 1, …` up to a length, which is a list of one number.
    pub(super) fn range(&mut self, length: &str) -> String {
        let end = self.op("Squeeze", &[length], &[("axes", Value::Ints(&[0]))]);
        let (start, step) = (self.whole(0), self.whole(1));
        self.op("Range", &[&start, &end, &step], &[])
    }

    pub(super) fn unsqueeze(&mut self, x: &str, axes: &[i64]) -> String {
        self.op("Unsqueeze", &[x], &[("axes", Value::Ints(axes))])
    }

    pub(super) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.op("Transpose", &[x], &[("perm", Value::Ints(order))])
    }

    pub(super) fn float_of(&mut self, x: &str) -> String {
        self.op("Cast", &[x], &[("to", Value::Int(FLOAT))])
    }

    /// 0 where a condition holds, and a number where it does not.
    pub(super) fn unless(&mut self, condition: &str, value: f32) -> String {
        let (zero, value) = (self.number(0.0), self.number(value));
        self.op("Where", &[condition, &zero, &value], &[])
    }

    fn push(&mut self, op_type: &str, inputs: &[&str], output: Vec<String>, attributes: &[(&str, Value<'_>)]) {
        let attribute = |(name, value): &(&str, Value<'_>)| {
            let mut a = AttributeProto { name: (*name).into(), ..AttributeProto::default() };
            match value {
                Value::Int(i) => a.i = Some(*i),
                Value::Ints(ints) => a.ints = ints.to_vec(),
                Value::Float(f) => a.f = Some(*f),
            }
            a
        };
        let outer = if self.node.name.is_empty() { &self.node.op_type } else { &self.node.name };
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output,
            name: format!("{outer}/{op_type}"),
            op_type: op_type.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
            metadata_props: self.node.metadata_props.clone(),
            ..NodeProto::default()
        });
    }

    /// The number of axes of an input of the graph, or of a stored tensor.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        let graph = self.graph?;
        let stored = graph.initializer.iter().find(|t| t.name == name).map(|t| t.dims.len());
        let given = || {
            let input = graph.input.iter().find(|v| v.name == name)?;
            Some(input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.len())
        };
        stored.or_else(given)
    }

    /// The node that makes a tensor.
    pub(super) fn maker(&self, name: &str) -> Option<&'a NodeProto> {
        self.graph?.node.iter().find(|node| node.output.iter().any(|output| output == name))
    }

    /// Whether a tensor holds truth values, as far as the file tells.
    pub(super) fn is_bool(&self, name: &str) -> bool {
        const MOVES: [&str; 8] =
            ["Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];
        const TRUTHS: [&str; 10] =
            ["And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or"];
        let mut name = name.to_owned();
        for _ in 0..MOST_MOVES {
            let Some(graph) = self.graph else { return false };
            if let Some(tensor) = graph.initializer.iter().find(|t| t.name == name) {
                return tensor.data_type == BOOL;
            }
            if let Some(input) = graph.input.iter().find(|v| v.name == name) {
                return input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).is_some_and(|t| t.elem_type == BOOL);
            }
            let Some(node) = self.maker(&name) else { return false };
            match node.op_type.as_str() {
                op if TRUTHS.contains(&op) => return true,
                "Cast" => {
                    return node.attribute.iter().any(|a| a.name == "to" && a.i == Some(i64::from(BOOL)));
                }
                op if MOVES.contains(&op) => name = node.input.first().cloned().unwrap_or_default(),
                _ => return false,
            }
        }
        false
    }
}

/// How far a search for the type of a mask goes.
const MOST_MOVES: usize = 32;
