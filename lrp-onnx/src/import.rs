//! From the decoded file to a model: sorts the graph, binds the inputs, and walks the nodes, computing what is constant
//! and translating the rest.
//!
//! Nothing recurses but into graphs within graphs, whose depth is bounded, and every step is linear in the size of the file
//! and of what its loops are written out to, which is bounded, too; so that no graph can make it hang.

mod flow;
mod subgraphs;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use lrp_core::{Model, Scalar};

use crate::bind::{Bound, BoundInput, bind, described_inputs};
use crate::carriers::decide_roles;
use crate::consteval::{Budget, evaluate, shape_of};
use crate::error::{ErrorKind, Problem, UnsupportedNode, batch_advice, list, shown};
use crate::file::External;
use crate::functions::inlined;
use crate::graph::{Body, Graph, Node};
use crate::input_statistics::{BatchNorm, InputStatistics};
use crate::names::Names;
use crate::one_hot::recognise;
use crate::ops::quantized::translated;
use crate::ops::unsupported::{about, is_open};
use crate::ops::{ANY_BATCH_AXIS, Context, READS_ROWS, Tables, Translator, Value, contributed, translator};
use crate::outputs::described_outputs;
use crate::passes;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::quantization::{Quantization, Step};
use crate::tensor::{Constant, DType, volume};
use crate::{Import, InputInfo, Options, OutputFunction};
use subgraphs::{Scopes, Subgraphs};

/// The newest operator set that the importer was written for.
const NEWEST_OPSET: i64 = 21;

/// The operator set that gave these operators the meaning that is read here (among others, today's broadcasting).
const CHANGED: (i64, [&str; 7]) = (7, ["Add", "BatchNormalization", "Div", "Dropout", "Gemm", "Mul", "Sub"]);

/// A graph as the file has it, before any pass.
pub(crate) struct Raw<T: Scalar> {
    pub graph: Graph<T>,
    opset: i64,
    /// By the name of a node, what else it is called.
    other_names: HashMap<String, Vec<String>>,
    input_names: Vec<String>,
    inputs: Vec<InputInfo>,
    output_name: String,
    notes: Vec<String>,
    input_statistics: Option<InputStatistics<T>>,
    quantization: Quantization,
    /// Whether it is a whole run.
    whole: bool,
}

/// Imports a decoded model whose file has `file_size` bytes. If it is quantized, gives the way to read it with rounding, too.
pub(crate) fn import<T: Scalar>(
    model: &ModelProto,
    file_size: usize,
    external: &mut External,
    options: &Options,
) -> Result<(Import<T>, Option<Reading>), ErrorKind> {
    let raw = read(model, file_size, external, options)?;
    let rounded = raw.quantization.note().map(|_| Reading { whole: raw.whole, rounds: true });
    let Raw {
        graph,
        opset,
        other_names,
        input_names,
        inputs,
        output_name,
        mut notes,
        input_statistics,
        quantization,
        whole: _,
    } = raw;
    let passes::Canonized { graph, output_function, reports: passes } = passes::run(graph);
    notes.extend(quantization.note());
    notes.extend(cut_note(&graph, &passes));
    if output_function.as_ref().is_some_and(|function| !function.keeps_order) {
        notes.push(LARGEST_LOGIT.to_owned());
    }
    let output_function = output_function.and_then(|function| function.graph);
    let output_function = output_function.map(Graph::into_model).transpose()?.map(OutputFunction);
    let producer = format!("{} {}", shown(&model.producer_name), shown(&model.producer_version)).trim().to_owned();
    let outputs = model.graph.as_ref().map(described_outputs).unwrap_or_default();
    let metadata = model.metadata_props.iter().map(|entry| (shown(&entry.key), shown(&entry.value))).collect();
    let model = graph.into_model_named(&other_names)?;
    let import = Import {
        model,
        output_function,
        opset,
        producer,
        metadata,
        input_names,
        inputs,
        outputs,
        output_name,
        input_statistics,
        passes,
        quantized: None,
        notes,
    };
    Ok((import, rounded))
}

/// The graph of a quantized file as it stands, with rounding.
pub(crate) fn rounded<T: Scalar>(
    model: &ModelProto,
    file_size: usize,
    external: &mut External,
    options: &Options,
    whole: bool,
) -> Result<Model<T>, ErrorKind> {
    read_as(model, file_size, external, options, Reading { whole, rounds: true })?.graph.into_model()
}

/// Of a model whose outputs are normalised in groups, or whose heads end in different functions.
const LARGEST_LOGIT: &str = "argmax and top go by the logits; they are normalised in several groups, or differently, so that the \
                             largest logit need not be the largest output";

/// That the logit is explained, where the output was cut.
fn cut_note<T: Scalar>(graph: &Graph<T>, passes: &[crate::PassReport]) -> Option<String> {
    let cut = &passes.iter().find(|pass| pass.name == passes::CUT_OUTPUT)?.what;
    let logits = graph.nodes.get(graph.output).map_or(1, |node| node.shape.iter().product::<usize>());
    let (logit, are) = if logits == 1 { ("logit", "is") } else { ("logits", "are") };
    let them = if cut.len() == 1 { "it" } else { "them" };
    (!cut.is_empty())
        .then(|| format!("the model ends in {}; the {logit} before {them} {are} explained", cut.join(", ")))
}

/// Of a file that is read as a whole run.
const WHOLE_RUN: &str =
    "the batch is not axis 0 throughout this file; each sample runs through it alone, with a batch of 1";

/// Turns the messages into a graph: with the batch as axis 0 where it is that throughout the file, and as a [whole run](crate::whole) otherwise.
pub(crate) fn read<T: Scalar>(
    model: &ModelProto,
    file_size: usize,
    external: &mut External,
    options: &Options,
) -> Result<Raw<T>, ErrorKind> {
    let batch_first = match read_as(model, file_size, external, options, Reading::default()) {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    let depends_on_batch = matches!(
        batch_first,
        ErrorKind::Node { .. }
            | ErrorKind::Unsupported { .. }
            | ErrorKind::Graph(_)
            | ErrorKind::Input { .. }
            | ErrorKind::Shape { .. }
    );
    if !depends_on_batch {
        return Err(batch_first);
    }
    let mut raw = read_as(model, file_size, external, options, Reading { whole: true, rounds: false })?;
    raw.notes.push(WHOLE_RUN.to_owned());
    Ok(raw)
}

/// How a file is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// As a [whole run](crate::whole).
    pub whole: bool,
    /// With quantized activations rounded, as the file says.
    pub rounds: bool,
}

/// Turns the messages into a graph, in this way.
pub(crate) fn read_as<T: Scalar>(
    model: &ModelProto,
    file_size: usize,
    external: &mut External,
    options: &Options,
    reading: Reading,
) -> Result<Raw<T>, ErrorKind> {
    let mut notes = Vec::new();
    let opset = opset(model, &mut notes)?;
    let proto = model.graph.as_ref().ok_or_else(|| ErrorKind::Graph("the file has no graph".into()))?;
    let proto = inlined(model, proto)?;
    let proto = proto.as_ref();
    let sources = Sources::of(proto)?;
    let output = output(proto, options.output.as_deref(), &mut notes)?;
    let flow = Subgraphs::of(proto)?;
    let order = Order::of(proto, &sources, output, &flow)?;
    let used = |input: &&ValueInfoProto| order.is_used(&input.name);
    let (used, unused): (Vec<_>, Vec<_>) =
        proto.input.iter().filter(|i| sources.inputs.contains_key(i.name.as_str())).partition(used);
    let Bound { inputs, fixed, batch } = bind(&used, &unused, options, reading.whole, &mut notes)?;

    let mut walk = Walk {
        proto,
        order: &order,
        flow: &flow,
        size_within: 0,
        output,
        graph: Graph::default(),
        names: Names::of(&proto.node),
        whole: reading.whole,
        batch_norm: None,
        tables: Tables::default(),
        values: Scopes::default(),
        problems: Vec::new(),
        before: None,
        recurrent: proto.node.iter().any(|node| matches!(node.op_type.as_str(), "GRU" | "LSTM" | "RNN")),
        budget: Budget::for_file(file_size),
        quantization: Quantization::new(reading.rounds),
        opset,
        batch,
    };
    walk.add_inputs(&inputs);
    walk.values.extend(fixed.into_iter().map(|(name, value)| (name, Value::Constant(value))));
    walk.add_initializers(external)?;
    walk.add_nodes(external)?;
    let batch_norm = walk.batch_norm.take();
    let other_names = std::mem::take(&mut walk.names).into_others();
    let quantization = std::mem::take(&mut walk.quantization);
    let mut graph = walk.finish()?;
    recognise(&mut graph);
    let input_statistics = batch_norm.and_then(|norm| InputStatistics::new(&graph, norm));
    let input_names = inputs.iter().map(|i| i.proto.name.clone()).collect();
    let mut inputs = described_inputs(proto, &inputs, options);
    decide_roles(&mut graph, &mut inputs, options.sources.as_deref());
    Ok(Raw {
        whole: reading.whole,
        graph,
        opset,
        other_names,
        input_names,
        inputs,
        output_name: output.to_owned(),
        notes,
        input_statistics,
        quantization,
    })
}

fn opset(model: &ModelProto, notes: &mut Vec<String>) -> Result<i64, ErrorKind> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = model.opset_import.iter().filter(|o| own(&o.domain)).map(|o| o.version).max();
    let opset = opset.ok_or_else(|| ErrorKind::Graph("it does not say which operator set it is written in".into()))?;
    if opset > NEWEST_OPSET {
        notes.push(format!(
            "the model is written in operator set {opset}, newer than {NEWEST_OPSET}, up to which imports are tested"
        ));
    }
    Ok(opset)
}

/// The name of the output that is explained: the first that does not hold classes (integers, texts). Where that is a list of
/// maps from class to probability, as scikit-learn's exporter writes it, the probabilities that they are made of; and where
/// there are only classes, what they are picked from.
fn output<'a>(proto: &'a GraphProto, wanted: Option<&str>, notes: &mut Vec<String>) -> Result<&'a str, ErrorKind> {
    if let Some(wanted) = wanted {
        if let Some(found) = proto.output.iter().find(|o| o.name == wanted) {
            return Ok(scores_of(proto, &found.name).unwrap_or(&found.name));
        }
        return inner(proto, wanted).ok_or_else(|| no_output(proto, wanted));
    }
    let is_class = |o: &&ValueInfoProto| {
        let tensor = o.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        tensor.is_some_and(|t| match DType::from_code(t.elem_type) {
            Some(dtype) => !dtype.is_float(),
            None => t.elem_type == TEXT,
        })
    };
    let chosen = proto.output.iter().find(|o| !is_class(o)).or(proto.output.first());
    let chosen = chosen.ok_or_else(|| ErrorKind::Graph("the graph has no output".into()))?;
    let others = proto.output.iter().filter(|o| o.name != chosen.name);
    let others: Vec<String> = others.map(|o| format!("'{}'", shown(&o.name))).collect();
    let picked_from = scores_of(proto, &chosen.name);
    let first = picked_from.unwrap_or(&chosen.name);
    if !others.is_empty() {
        notes.push(format!(
            "the model has {} outputs; '{}' is explained, {} {} left out",
            others.len() + 1,
            shown(first),
            list(&others),
            if others.len() == 1 { "is" } else { "are" }
        ));
    } else if picked_from.is_some() {
        notes.push(format!(
            "the output '{}' is a class, or a map from classes; '{}', which it is made of, is explained",
            shown(&chosen.name),
            shown(first)
        ));
    }
    Ok(first)
}

/// A tensor inside the model, by its own name or by that of the node whose first output it is.
fn inner<'a>(proto: &'a GraphProto, wanted: &str) -> Option<&'a str> {
    let outputs = || proto.node.iter().flat_map(|node| &node.output);
    let of_node = || proto.node.iter().find(|node| node.name == wanted).and_then(|node| node.output.first());
    outputs().find(|output| *output == wanted).or_else(of_node).map(String::as_str).filter(|name| !name.is_empty())
}

/// The error for an output that the file does not have.
fn no_output(proto: &GraphProto, wanted: &str) -> ErrorKind {
    let names: Vec<String> = proto.output.iter().map(|o| format!("'{}'", shown(&o.name))).collect();
    ErrorKind::Graph(format!(
        "the file has no output '{}', and no tensor or node of this name inside; its outputs are {}",
        shown(wanted),
        list(&names)
    ))
}

/// The type of tensors of texts, in ONNX's numbering.
const TEXT: i32 = 8;

/// The maximum number of nodes between the scores and the choice of a class: a cast, a table of labels, a reshape, ….
const PICKING: usize = 32;

/// The scores that an output is made of, if that is a class that was picked by them or a map from classes to them.
fn scores_of<'a>(proto: &'a GraphProto, output: &'a str) -> Option<&'a str> {
    let is_constant = |name: &str| {
        proto.initializer.iter().any(|tensor| tensor.name == name)
            || proto.node.iter().any(|n| n.op_type == "Constant" && n.output.iter().any(|o| o == name))
    };
    let mut name = output;
    let mut scores = None;
    for _ in 0..PICKING {
        let Some((node, place)) =
            proto.node.iter().find_map(|n| Some((n, n.output.iter().position(|o| o.as_str() == name)?)))
        else {
            break;
        };
        let input = |index: usize| node.input.get(index).map(String::as_str);
        // The input that is an activation, where the others are constants.
        let only = || node.input.iter().map(String::as_str).find(|name| !name.is_empty() && !is_constant(name));
        match (node.op_type.as_str(), place) {
            ("ZipMap" | "ArgMax", _) => return input(0),
            ("LinearClassifier", 0) => return node.output.get(1).map(String::as_str).filter(|name| !name.is_empty()),
            // A threshold.
            ("Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual", _) => {
                scores = only();
                name = scores?;
            }
            (
                "Cast" | "CastLike" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Identity" | "LabelEncoder",
                _,
            ) if scores.is_none() => {
                name = input(0)?;
            }
            // A label by its number, and one of two labels.
            ("ArrayFeatureExtractor" | "Gather", _) if scores.is_none() && input(0).is_some_and(is_constant) => {
                name = input(1)?;
            }
            // Of two labels, not of two values.
            ("Where", _) if ![1, 2].into_iter().all(|i| input(i).is_some_and(is_constant)) => break,
            ("Where" | "Not", _) if scores.is_none() => name = input(0)?,
            _ => break,
        }
    }
    scores
}

/// Where each tensor comes from.
struct Sources<'a> {
    /// Position of the node that computes it.
    nodes: HashMap<&'a str, usize>,
    initializers: HashMap<&'a str, &'a TensorProto>,
    inputs: HashMap<&'a str, &'a ValueInfoProto>,
}

impl<'a> Sources<'a> {
    fn of(proto: &'a GraphProto) -> Result<Self, ErrorKind> {
        let twice = |name: &str| ErrorKind::Graph(format!("the tensor '{}' has more than one origin", shown(name)));
        let mut initializers = HashMap::new();
        for tensor in &proto.initializer {
            if initializers.insert(tensor.name.as_str(), tensor).is_some() {
                return Err(twice(&tensor.name));
            }
        }
        let mut inputs = HashMap::new();
        // Old operator sets list initializers as inputs, too.
        for input in proto.input.iter().filter(|i| !initializers.contains_key(i.name.as_str())) {
            if inputs.insert(input.name.as_str(), input).is_some() {
                return Err(twice(&input.name));
            }
        }
        let mut nodes = HashMap::new();
        for (position, node) in proto.node.iter().enumerate() {
            for name in node.output.iter().map(String::as_str).filter(|n| !n.is_empty()) {
                let before = nodes.insert(name, position);
                if before.is_some() || initializers.contains_key(name) || inputs.contains_key(name) {
                    return Err(twice(name));
                }
            }
        }
        Ok(Self { nodes, initializers, inputs })
    }

    fn has(&self, name: &str) -> bool {
        self.nodes.contains_key(name) || self.initializers.contains_key(name) || self.inputs.contains_key(name)
    }
}

/// The nodes that the output depends on, sorted so that a node's inputs come before it. The file's own order is kept
/// where it allows that.
struct Order<'a> {
    nodes: Vec<usize>,
    /// For each tensor the nodes that read it, once per use.
    readers: HashMap<&'a str, Vec<usize>>,
    outputs: HashSet<&'a str>,
}

impl<'a> Order<'a> {
    /// For the model's graph.
    fn of(
        proto: &'a GraphProto,
        sources: &Sources<'_>,
        output: &'a str,
        flow: &Subgraphs<'a>,
    ) -> Result<Self, ErrorKind> {
        if !sources.has(output) {
            return Err(ErrorKind::Graph(format!("no node computes the output '{}'", shown(output))));
        }
        Self::sorted(proto, sources, &[output], flow, |name| sources.has(name))
    }

    /// For a graph within a node; a name that it does not define is one of the graphs around it.
    fn of_inner(
        proto: &'a GraphProto,
        sources: &Sources<'_>,
        outputs: &[&'a str],
        flow: &Subgraphs<'a>,
    ) -> Result<Self, ErrorKind> {
        Self::sorted(proto, sources, outputs, flow, |_| true)
    }

    fn sorted(
        proto: &'a GraphProto,
        sources: &Sources<'_>,
        outputs: &[&'a str],
        flow: &Subgraphs<'a>,
        has: impl Fn(&str) -> bool,
    ) -> Result<Self, ErrorKind> {
        let used = |position: usize| {
            let node = proto.node.get(position).into_iter();
            let inner = node.clone().flat_map(|n| flow.reads(n)).copied();
            node.flat_map(|n| &n.input).map(String::as_str).filter(|n| !n.is_empty()).chain(inner)
        };
        let mut reached = vec![false; proto.node.len()];
        let mut open = outputs.to_vec();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        // How many inputs of a node are still to be computed.
        let mut missing = vec![0usize; proto.node.len()];
        while let Some(tensor) = open.pop() {
            let Some(&position) = sources.nodes.get(tensor) else { continue };
            if reached.get(position) != Some(&false) {
                continue;
            }
            if let Some(slot) = reached.get_mut(position) {
                *slot = true;
            }
            for name in used(position) {
                if !has(name) {
                    let node = proto.node.get(position);
                    return Err(ErrorKind::Node {
                        node: node.map(|n| shown(&n.name)).unwrap_or_default(),
                        op_type: node.map(|n| shown(&n.op_type)).unwrap_or_default(),
                        reason: format!(
                            "its input '{}' is computed by no node, and no initializer or input of the model",
                            shown(name)
                        ),
                        before: None,
                    });
                }
                readers.entry(name).or_default().push(position);
                if let (true, Some(count)) = (sources.nodes.contains_key(name), missing.get_mut(position)) {
                    *count += 1;
                }
                open.push(name);
            }
        }
        let total = reached.iter().filter(|r| **r).count();
        let ready = |p: &usize| reached.get(*p) == Some(&true) && missing.get(*p) == Some(&0);
        let mut queue: BinaryHeap<_> = (0..proto.node.len()).filter(ready).map(Reverse).collect();
        let mut nodes = Vec::with_capacity(total);
        while let Some(Reverse(position)) = queue.pop() {
            nodes.push(position);
            let outputs = proto.node.get(position).into_iter().flat_map(|n| &n.output);
            for &reader in outputs.filter_map(|o| readers.get(o.as_str())).flatten() {
                if let Some(count) = missing.get_mut(reader) {
                    *count -= 1;
                    if *count == 0 {
                        queue.push(Reverse(reader));
                    }
                }
            }
        }
        if nodes.len() < total {
            let stuck = (0..proto.node.len()).filter(|&p| reached.get(p) == Some(&true) && missing.get(p) != Some(&0));
            let names = stuck
                .filter_map(|p| proto.node.get(p))
                .map(|n| format!("'{}' ({})", shown(&n.name), shown(&n.op_type)));
            let names = list(&names.collect::<Vec<_>>());
            return Err(ErrorKind::Graph(format!("the graph runs in a circle, through or before {names}")));
        }
        Ok(Self { nodes, readers, outputs: outputs.iter().copied().collect() })
    }

    fn is_used(&self, tensor: &str) -> bool {
        self.readers.contains_key(tensor)
    }
}

/// The state of the walk over the nodes.
pub(crate) struct Walk<'a, T: Scalar> {
    proto: &'a GraphProto,
    /// Of the graph that the walk is in.
    order: &'a Order<'a>,
    /// The graphs within nodes, and how much of them was walked.
    flow: &'a Subgraphs<'a>,
    size_within: usize,
    output: &'a str,
    pub graph: Graph<T>,
    pub names: Names,
    /// Whether it is a [whole run](crate::whole).
    whole: bool,
    tables: Tables,
    /// The first batch norm.
    batch_norm: Option<BatchNorm>,
    /// The values of tensor names so far.
    values: Scopes<'a>,
    /// Errors of nodes, in their order. After one, the walk continues with the known properties of its output.
    problems: Vec<(UnsupportedNode, Problem)>,
    /// An activation that the first of these nodes reads.
    before: Option<Box<str>>,
    /// Whether the model has recurrent layers.
    recurrent: bool,
    budget: Budget,
    pub quantization: Quantization,
    opset: i64,
    batch: usize,
}

/// The domain of ONNX Runtime's own operators.
const CONTRIBUTED: &str = "com.microsoft";

/// The number of problems after which the walk ends.
const MOST_PROBLEMS: usize = 1000;

fn described(node: &NodeProto, name: &str) -> UnsupportedNode {
    let domain = if node.domain.is_empty() { String::new() } else { format!("{}:", node.domain) };
    UnsupportedNode { node: shown(name), op_type: shown(&format!("{domain}{}", node.op_type)), reason: String::new() }
}

/// The error for nodes that cannot be imported. One that is broken, alone, is an error of its own kind.
fn refusal(mut problems: Vec<(UnsupportedNode, Problem)>, before: Option<Box<str>>) -> ErrorKind {
    if let [(_, Problem::Invalid(_))] = problems.as_slice()
        && let Some((node, Problem::Invalid(reason))) = problems.pop()
    {
        return ErrorKind::Node { node: node.node, op_type: node.op_type, reason, before };
    }
    let listed = |(node, problem): (UnsupportedNode, Problem)| {
        let (Problem::Invalid(reason) | Problem::Unsupported(reason)) = problem;
        UnsupportedNode { reason, ..node }
    };
    ErrorKind::Unsupported { nodes: problems.into_iter().map(listed).collect(), before }
}

impl<'a, T: Scalar> Walk<'a, T> {
    fn add_inputs(&mut self, inputs: &[BoundInput<'a>]) {
        for input in inputs {
            let name = self.names.unique(&input.proto.name);
            let node =
                Node { name, body: Body::Input { explained: true }, inputs: Vec::new(), shape: input.shape.clone() };
            let id = self.graph.push(node);
            if input.is_integer() {
                self.quantization.keep(id, Step::INTEGERS);
            }
            let value = match (self.whole, input.leading) {
                (false, _) => Value::Data(id),
                (true, true) => Value::Folded(id, 1),
                (true, false) => Value::Whole(id),
            };
            self.values.insert(&input.proto.name, value);
        }
    }

    /// Checks the stored tensors that are used. Their values stay in the file.
    fn add_initializers(&mut self, external: &mut External) -> Result<(), ErrorKind> {
        for tensor in &self.proto.initializer {
            if self.order.is_used(&tensor.name) {
                let constant = Constant::from_proto(tensor, external)
                    .map_err(|reason| ErrorKind::Tensor { tensor: shown(&tensor.name), reason })?;
                self.values.insert(&tensor.name, Value::Constant(constant));
            }
        }
        Ok(())
    }

    /// Placeholders for the outputs of a refused node, so that the nodes after it can be checked. The graph is not used then.
    fn stand_ins(&self, node: &'a NodeProto) -> Vec<Value> {
        let inputs = node.input.iter().filter_map(|i| self.values.get(i.as_str()));
        let depends = |v: &Value| !matches!(v, Value::Constant(_) | Value::UnknownConstant);
        if !is_open(&node.op_type) && !inputs.into_iter().any(depends) {
            return vec![Value::UnknownConstant; node.output.len()];
        }
        Vec::new()
    }

    /// The outputs of a node; omitted ones are unknown.
    fn outputs(&mut self, node: &'a NodeProto, name: &str) -> Result<Vec<Value>, Problem> {
        let inputs: Vec<Option<Value>> = node
            .input
            .iter()
            .map(|i| (!i.is_empty()).then(|| self.values.get(i.as_str()).cloned()).flatten())
            .collect();
        let used = node.output.iter().map(|o| self.order.is_used(o) || self.is_output(o)).collect();
        self.apply(node, name, inputs, used)
    }

    /// The outputs of a node whose inputs have these values.
    fn apply(
        &mut self,
        node: &NodeProto,
        name: &str,
        inputs: Vec<Option<Value>>,
        used: Vec<bool>,
    ) -> Result<Vec<Value>, Problem> {
        let unknown = inputs.iter().flatten().any(|v| matches!(v, Value::Unknown | Value::UnknownConstant));
        let constant = inputs.iter().flatten().all(|v| matches!(v, Value::Constant(_) | Value::UnknownConstant));
        let is_own = matches!(node.domain.as_str(), "" | "ai.onnx");
        let is_classical = node.domain == "ai.onnx.ml"
            && ["LinearClassifier", "LinearRegressor", "Normalizer", "Scaler"].contains(&node.op_type.as_str());
        let translate = Self::translator_of(node);
        if !is_own && !is_classical && (node.domain != CONTRIBUTED || translate.is_none()) {
            return Err(Problem::unsupported(match (node.domain.as_str(), about(&node.op_type)) {
                (_, "") => "an operator that is not part of ONNX".to_owned(),
                ("ai.onnx.ml", about) => about.to_owned(),
                (_, about) => format!("an operator that is not part of ONNX: {about}"),
            }));
        }
        if self.opset < CHANGED.0 && CHANGED.1.contains(&node.op_type.as_str()) {
            return Err(Problem::unsupported(format!(
                "in operator set {} it means something else than since {}; export the model again, or convert it with \
                 onnx.version_converter",
                self.opset, CHANGED.0
            )));
        }
        let of_shape = matches!(node.op_type.as_str(), "Shape" | "Size");
        // What an operator is, is told rather than that one of its outputs is used.
        if translate.is_none() && !of_shape && (!constant || is_open(&node.op_type)) {
            return Err(Problem::unsupported(about(&node.op_type)));
        }
        if let Some((further, _)) = node.output.iter().zip(&used).skip(1).find(|(_, used)| **used)
            && !constant
            && !matches!(
                node.op_type.as_str(),
                "Split" | "LSTM" | "GRU" | "RNN" | "LinearClassifier" | "DynamicQuantizeLinear" | "DynamicQuantizeLSTM"
            )
        {
            return Err(Problem::unsupported(format!("its further output '{}' is used", shown(further))));
        }
        if constant {
            if unknown {
                return Ok(vec![Value::UnknownConstant; node.output.len()]);
            }
            let constants = inputs.into_iter().map(|v| if let Some(Value::Constant(c)) = v { Some(c) } else { None });
            let constants: Vec<_> = constants.collect();
            let results = evaluate(node, &constants, self.opset, &mut self.budget)?;
            return Ok(results.into_iter().map(Value::Constant).collect());
        }
        if of_shape {
            let (id, at) = match inputs.first() {
                Some(Some(Value::Data(id) | Value::Row(id))) => (*id, 0),
                Some(Some(Value::Moved(id, at))) => (*id, *at),
                Some(Some(Value::Whole(_) | Value::Folded(..))) => {
                    return shape_of(node, &self.whole_shape(&inputs)).map(|c| vec![Value::Constant(c)]);
                }
                _ => return Ok(vec![Value::UnknownConstant]),
            };
            let mut shape = self.graph.shape(id);
            shape.insert(at.min(shape.len()), self.batch);
            if matches!(inputs.first(), Some(Some(Value::Row(_)))) {
                shape = vec![volume(&shape).ok_or_else(|| Problem::invalid("its input is absurdly large"))?];
            }
            return shape_of(node, &shape).map(|c| vec![Value::Constant(c)]);
        }
        if translate.is_none() {
            return Err(Problem::unsupported(about(&node.op_type)));
        }
        if unknown {
            return Ok(Vec::new());
        }
        let name = self.names.unique(name);
        self.names.keep_others(&name, node);
        if self.whole {
            return self.whole_outputs(node, &name, inputs, &used);
        }
        let (inputs, batch_axis) = self.with_batch_first(node, inputs)?;
        let (values, moved) = self.translated(node, name, inputs, used, (batch_axis, self.batch))?;
        Ok(values
            .into_iter()
            .map(|v| if let (Value::Data(id), 1..) = (&v, moved) { Value::Moved(*id, moved) } else { v })
            .collect())
    }

    /// The outputs of a node whose activations have the batch at this axis, of this length; and the axis that it has afterwards.
    pub(crate) fn translated(
        &mut self,
        node: &NodeProto,
        name: String,
        inputs: Vec<Option<Value>>,
        used: Vec<bool>,
        (batch_axis, batch): (usize, usize),
    ) -> Result<(Vec<Value>, usize), Problem> {
        let translate = Self::translator_of(node);
        let translate = translate.ok_or_else(|| Problem::unsupported(about(&node.op_type)))?;
        let mut context = Context {
            graph: &mut self.graph,
            names: &mut self.names,
            tables: &mut self.tables,
            budget: &mut self.budget,
            quantization: &mut self.quantization,
            batch_norm: &mut self.batch_norm,
            node,
            name,
            inputs,
            used,
            further: Vec::new(),
            opset: self.opset,
            batch,
            batch_axis,
        };
        let first = translated(&mut context, translate)?;
        let moved = context.batch_axis;
        Ok((std::iter::once(first).chain(context.further).collect(), moved))
    }

    /// The function that translates a node, if there is one.
    fn translator_of(node: &NodeProto) -> Option<Translator<T>> {
        if node.domain == CONTRIBUTED { contributed(&node.op_type) } else { translator(&node.op_type) }
    }

    /// The inputs as they are stored, batch first, and the axis that the file has the batch as in all of them.
    fn with_batch_first(
        &self,
        node: &NodeProto,
        inputs: Vec<Option<Value>>,
    ) -> Result<(Vec<Option<Value>>, usize), Problem> {
        let readable = usize::from(READS_ROWS.contains(&node.op_type.as_str()));
        if inputs.iter().skip(readable).flatten().any(|v| matches!(v, Value::Row(_))) {
            return Err(Problem::invalid(
                "a Reshape before it puts the whole batch on a single axis; axis 0 must be the batch, and samples must \
                 stay independent of each other",
            ));
        }
        let rank = |id: usize| self.graph.nodes.get(id).map_or(0, |n| n.shape.len());
        let mut found = inputs.iter().flatten().filter_map(|v| match v {
            Value::Data(id) => Some((0, rank(*id))),
            Value::Moved(id, at) => Some((*at, rank(*id))),
            _ => None,
        });
        let (at, first) = found.next().unwrap_or_default();
        let differs = found.any(|(a, r)| a != at || (at > 0 && r != first));
        if !inputs.iter().flatten().any(|v| matches!(v, Value::Moved(..))) {
            return Ok((inputs, 0));
        }
        let with_constant =
            node.op_type == "Concat" && inputs.iter().flatten().any(|v| matches!(v, Value::Constant(_)));
        if differs || with_constant || !ANY_BATCH_AXIS.contains(&node.op_type.as_str()) {
            let at = inputs.iter().flatten().map(|v| if let Value::Moved(_, at) = v { *at } else { 0 }).max();
            return Err(Problem::invalid(format!(
                "a transposition or a recurrent layer before it moves the batch axis, to axis {} of its input; here axis 0 \
                 must be the batch ({})",
                at.unwrap_or_default(),
                batch_advice(self.recurrent)
            )));
        }
        let stored = |v| if let Value::Moved(id, _) = v { Value::Data(id) } else { v };
        Ok((inputs.into_iter().map(|v| v.map(stored)).collect(), at))
    }

    fn finish(mut self) -> Result<Graph<T>, ErrorKind> {
        if !self.problems.is_empty() {
            return Err(refusal(self.problems, self.before));
        }
        match self.values.get(self.output) {
            Some(Value::Data(id)) => {
                self.graph.output = *id;
                Ok(self.graph)
            }
            Some(value @ (Value::Whole(_) | Value::Folded(..))) => {
                let value = value.clone();
                let broken = |problem: Problem| {
                    let (Problem::Invalid(reason) | Problem::Unsupported(reason)) = problem;
                    ErrorKind::Graph(reason)
                };
                self.finish_whole(&value).map_err(broken)?;
                Ok(self.graph)
            }
            Some(Value::Moved(_, at)) => Err(ErrorKind::Graph(format!(
                "a transposition or a recurrent layer moves the batch axis, to axis {at} of the output '{}'; axis 0 must be \
                 the batch ({})",
                shown(self.output),
                batch_advice(self.recurrent)
            ))),
            Some(Value::Row(_)) => Err(ErrorKind::Graph(format!(
                "the output '{}' has the whole batch on a single axis; axis 0 must be the batch, and samples must stay \
                 independent of each other",
                shown(self.output)
            ))),
            // What has no value and no error of its own is the one output that is left out where it is made.
            Some(Value::Unknown) => Err(ErrorKind::Graph(
                "the output depends on the cell state (Y_c) of an LSTM; explain its hidden state or its outputs instead".into(),
            )),
            _ => Err(ErrorKind::Graph("the output depends on no input".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{OperatorSetIdProto, StringStringEntryProto};
    use crate::testing::{Attr, Net, forward, input, varied};

    fn mlp() -> Net {
        let mut net = Net::new(&[4]);
        let (w, b, v) = (net.weight(&[4, 3]), net.weight(&[3]), net.weight(&[2, 3]));
        let z = net.op("Gemm", &["x", &w, &b], &[]);
        let a = net.op("Relu", &[&z], &[]);
        net.op("Gemm", &[&a, &v], &[("transB", Attr::Int(1))]);
        net
    }

    fn with_shape(net: &Net, shape: &[usize]) -> Result<Import<f64>, crate::Error> {
        crate::from_bytes(
            "test.onnx",
            net.bytes(),
            &Options { sample_shape: Some(shape.to_vec()), ..Options::default() },
        )
    }

    #[test]
    fn what_an_import_tells() {
        let mut net = mlp();
        net.proto.producer_name = "pytorch".into();
        net.proto.producer_version = "2.9".into();
        let range = StringStringEntryProto { key: "Image.NominalPixelRange".into(), value: "Normalized_0_1".into() };
        net.proto.metadata_props = vec![range];
        let import = net.import().unwrap();
        assert_eq!((import.opset, import.producer.as_str()), (17, "pytorch 2.9"));
        assert_eq!(import.metadata, [("Image.NominalPixelRange".to_owned(), "Normalized_0_1".to_owned())]);
        assert_eq!((import.input_names, import.output_name.as_str()), (vec!["x".to_owned()], "t2"));
        assert_eq!(import.passes.len(), 16);
        assert!(import.notes.is_empty());
        assert_eq!(import.model.layers().len(), 2);
    }

    #[test]
    fn the_order_in_the_file_does_not_matter() {
        let net = mlp();
        let mut reversed = mlp();
        reversed.graph().node.reverse();
        let x = varied(&[5, 4]);
        assert_eq!(net.run(&x), reversed.run(&x));
    }

    #[test]
    fn a_fixed_batch_does_not_bind_the_model() {
        let mut net = Net::with_batch(1, &[2, 3]);
        let target = net.ints(&[1, 6]);
        net.op("Reshape", &["x", &target], &[]);
        assert_eq!(net.run(&varied(&[4, 2, 3])).shape(), [4, 6]);
    }

    #[test]
    fn open_axes_need_a_shape() {
        let mut net = Net::new(&[3, -1]);
        net.op("Relu", &["x"], &[]);
        let text = net.error();
        assert!(text.contains("input 'x' has the shape [batch, 3, 'N'], whose axis 2 has no fixed length"), "{text}");
        assert!(text.contains("--input-shape 3,16"), "{text}");
        let import = with_shape(&net, &[3, 7]).unwrap();
        assert_eq!(import.model.node(import.model.inputs()[0]).shape, [3, 7]);
        for shape in [&[4, 7][..], &[3], &[3, 0], &[3, 1 << 40]] {
            assert!(with_shape(&net, shape).is_err(), "{shape:?}");
        }
        net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape = None;
        assert!(net.error().contains("has no shape in the file"), "{}", net.error());
        assert!(with_shape(&net, &[3, 7]).is_ok());
    }

    #[test]
    fn inputs_that_cannot_be_explained() {
        let retyped = |code: i32| {
            let mut net = mlp();
            net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = code;
            net.error()
        };
        assert!(retyped(8).contains("input 'x' does not hold numbers"), "{}", retyped(8));
        let mut net = Net::new(&[-7]);
        net.op("Relu", &["x"], &[]);
        net.graph().input[0] = input("x", &[]);
        assert!(
            net.error().contains("is a single number, and cannot be explained; give it a value: --fix x=VALUE"),
            "{}",
            net.error()
        );
        net.graph().input.clear();
        assert!(net.error().contains("is computed by no node"), "{}", net.error());
        let mut net = Net::new(&[2]);
        let c = net.weight(&[2]);
        net.op("Neg", &[&c], &[]);
        assert!(net.error().contains("depends on no input"), "{}", net.error());
    }

    #[test]
    fn several_inputs_and_outputs() {
        let mut net = Net::new(&[2]);
        net.graph().input.extend([input("y", &[-1, 2]), input("unused", &[-1, 5])]);
        let sum = net.op("Add", &["x", "y"], &[]);
        net.op("Relu", &[&sum], &[]);
        let relu = net.graph().output.remove(0);
        net.graph().output = vec![ValueInfoProto { name: sum, r#type: None }, relu];
        let import = net.import().unwrap();
        assert_eq!(import.input_names, ["x", "y"]);
        assert_eq!(import.notes.len(), 2);
        assert!(import.notes[0].contains("2 outputs; 't0' is explained, 't1' is left out"), "{:?}", import.notes);
        assert!(import.notes[1].contains("'unused', which is left out"), "{:?}", import.notes);
        assert_eq!(import.model.inputs().len(), 2);
    }

    #[test]
    fn the_classes_that_scikit_learn_adds() {
        let mut net = mlp();
        net.op("Softmax", &["t2"], &[]);
        net.op("ArgMax", &["t3"], &[]);
        let mut class = input("t4", &[-1]);
        class.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        net.op("ZipMap", &["t3"], &[]);
        let maps = net.graph().output.remove(0);
        net.graph().output = vec![class, maps];
        let import = net.import().unwrap();
        assert_eq!(import.output_name, "t3");
        assert!(import.notes[0].contains("2 outputs; 't3' is explained, 't4' is left out"), "{:?}", import.notes);
        assert!(import.notes[1].contains("ends in Softmax"), "{:?}", import.notes);
    }

    /// The classes alone, as texts or numbers, in the ways of skl2onnx and of people.
    #[test]
    fn what_classes_are_picked_from_is_explained() {
        let explained = |append: &dyn Fn(&mut Net)| {
            let mut net = mlp();
            net.op("Sigmoid", &["t2"], &[]);
            append(&mut net);
            let import = net.import().unwrap();
            assert!(import.notes[0].contains("is made of, is explained"), "{:?}", import.notes);
            import.output_name
        };
        let by_table = |net: &mut Net| {
            let labels = net.ints(&[7, 9]);
            let class = net.op("ArgMax", &["t3"], &[]);
            let label = net.op("ArrayFeatureExtractor", &[&labels, &class], &[]);
            net.graph().node[5].domain = "ai.onnx.ml".into();
            let label = net.op("Cast", &[&label], &[("to", Attr::Int(7))]);
            let flat = net.ints(&[-1]);
            net.op("Reshape", &[&label, &flat], &[]);
        };
        let by_threshold = |net: &mut Net| {
            let (half, one, zero) = (net.floats(&[], &[0.5]), net.ints(&[1]), net.ints(&[0]));
            let above = net.op("Greater", &["t3", &half], &[]);
            net.op("Where", &[&above, &one, &zero], &[]);
        };
        assert_eq!(explained(&|net| _ = net.op("ArgMax", &["t3"], &[])), "t3");
        assert_eq!(explained(&by_table), "t3");
        assert_eq!(explained(&by_threshold), "t3");
        assert_eq!(explained(&|net| _ = net.op("ZipMap", &["t3"], &[])), "t3");
        // Labels that are texts come first, and are not explained.
        let mut net = mlp();
        let mut labels = input("t1", &[-1]);
        labels.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 8;
        net.graph().output.insert(0, labels);
        assert_eq!(net.import().unwrap().output_name, "t2");
    }

    #[test]
    fn broken_graphs_are_refused() {
        type Breaking = fn(&mut Net);
        let cases: [(Breaking, &str); 12] = [
            (|n| n.graph().node[0].input[0] = "t1".into(), "runs in a circle, through or before 'gemm0' (Gemm)"),
            (|n| n.graph().node[1].input[0] = "t1".into(), "runs in a circle"),
            (|n| n.graph().node[1].input[0] = "gone".into(), "node 'relu1' (Relu): its input 'gone' is computed by no"),
            (|n| n.graph().output.clear(), "has no output"),
            (|n| n.graph().output[0].name = "gone".into(), "no node computes the output 'gone'"),
            (|n| n.graph().node[1].output[0] = "t0".into(), "the tensor 't0' has more than one origin"),
            (|n| n.graph().node[1].output[0] = "x".into(), "the tensor 'x' has more than one origin"),
            (|n| n.graph().initializer[0].dims[0] = -4, "tensor 'c0' has a dimension of -4"),
            (|n| n.graph().initializer[0].dims[0] = 5, "tensor 'c0' has 48 bytes of data, its shape [5, 3] needs 60"),
            (|n| n.graph().initializer[0].data_location = 1, "does not say which"),
            (|n| n.proto.opset_import.clear(), "does not say which operator set"),
            (|n| n.graph().node[0].input.truncate(1), "it has no input number 2"),
        ];
        for (breaking, reason) in cases {
            let mut net = mlp();
            breaking(&mut net);
            assert!(net.error().contains(reason), "{reason}: {}", net.error());
            assert!(net.error().starts_with("test.onnx: "), "{}", net.error());
        }
    }

    #[test]
    fn all_unsupported_nodes_are_reported_at_once() {
        let mut net = Net::new(&[4]);
        let a = net.op("Det", &["x"], &[]);
        let b = net.op("Relu", &[&a], &[]);
        let shape = net.op("Shape", &[&b], &[]);
        let size = net.op("Neg", &[&shape], &[]);
        let c = net.op("Reshape", &[&b, &size], &[]);
        let d = net.op("MatMul", &["x", "x"], &[]);
        let e = net.op("Add", &[&c, &d], &[]);
        net.op("Custom", &[&e], &[]);
        net.graph().node[7].domain = "com.example".into();
        let Err(crate::Error { kind: ErrorKind::Unsupported { nodes, .. }, .. }) = net.import() else {
            panic!("must fail")
        };
        let found: Vec<_> = nodes.iter().map(|n| (n.node.as_str(), n.op_type.as_str())).collect();
        assert_eq!(found, [("det0", "Det"), ("matmul5", "MatMul"), ("custom7", "com.example:Custom")]);
    }

    #[test]
    fn a_tensor_before_an_unsupported_node_can_be_explained() {
        let mut net = Net::new(&[4]);
        let scores = net.op("Relu", &["x"], &[]);
        let name = net.graph().node[0].name.clone();
        net.op("NonMaxSuppression", &[&scores, "x"], &[]);
        let Err(crate::Error { kind: ErrorKind::Unsupported { before, .. }, .. }) = net.import() else {
            panic!("must fail")
        };
        assert_eq!(before.as_deref(), Some(scores.as_str()));
        for wanted in [scores.as_str(), name.as_str()] {
            let options = Options { output: Some(wanted.to_owned()), ..Options::default() };
            let import = net.import_with(&options).unwrap();
            assert_eq!(import.model.nodes().len(), 2, "{wanted}");
        }
        let options = Options { output: Some("nothing".to_owned()), ..Options::default() };
        let text = net.import_with(&options).unwrap_err().to_string();
        assert!(text.contains("no output 'nothing', and no tensor or node"), "{text}");
    }

    /// The nodes that an import of a net refuses, with the reasons.
    fn refused(net: &Net) -> Vec<(String, String)> {
        match net.import().map_err(|error| error.kind) {
            Err(ErrorKind::Unsupported { nodes, .. }) => nodes.into_iter().map(|n| (n.node, n.reason)).collect(),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }

    /// A block of attention on `[N, tokens, 4]`, written with the batch in front.
    fn attention(net: &mut Net, x: &str, tokens: i64) -> String {
        let w = net.weight(&[4, 4]);
        let heads = |net: &mut Net, x: &str, order: &'static [i64]| {
            let z = net.op("MatMul", &[x, &w], &[]);
            let split = net.ints(&[-1, tokens, 2, 2]);
            let z = net.op("Reshape", &[&z, &split], &[]);
            net.op("Transpose", &[&z], &[("perm", Attr::Ints(order))])
        };
        let q = heads(net, x, &[0, 2, 1, 3]);
        let k = heads(net, x, &[0, 2, 3, 1]);
        let v = heads(net, x, &[0, 2, 1, 3]);
        let scores = net.op("MatMul", &[&q, &k], &[]);
        let shares = net.op("Softmax", &[&scores], &[("axis", Attr::Int(-1))]);
        let mixed = net.op("MatMul", &[&shares, &v], &[]);
        let back = net.op("Transpose", &[&mixed], &[("perm", Attr::Ints(&[0, 2, 1, 3]))]);
        let joined = net.ints(&[-1, tokens, 4]);
        let y = net.op("Reshape", &[&back, &joined], &[]);
        let y = net.op("MatMul", &[&y, &w], &[]);
        net.op("Add", &[x, &y], &[])
    }

    #[test]
    fn attention_is_made_of_products() {
        let mut net = Net::new(&[3, 4]);
        let y = attention(&mut net, "x", 3);
        let y = attention(&mut net, &y, 3);
        let top = net.ints(&[1]);
        let best = net.op("TopK", &[&y, &top], &[]);
        let w = net.weight(&[1, 2]);
        net.op("MatMul", &[&best, &w], &[]);
        let kinds = crate::testing::kinds(&net.raw());
        let count = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
        assert_eq!([count("matmul"), count("softmax"), count("dense"), count("maximum")], [4, 2, 9, 1]);
        // What a sample gives does not depend on the others.
        let x = varied(&[2, 3, 4]);
        let one = x.slice_axis(ndarray::Axis(0), (1..2).into()).to_owned();
        assert_eq!(net.run(&x).index_axis(ndarray::Axis(0), 1), net.run(&one).index_axis(ndarray::Axis(0), 0));
    }

    #[test]
    fn attention_that_moves_the_batch_is_refused_with_advice() {
        let mut net = Net::new(&[3, 4]);
        let w = net.weight(&[4, 4]);
        let moved = net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[1, 0, 2]))]);
        let z = net.op("MatMul", &[&moved, &w], &[]);
        let q = net.op("Transpose", &[&z], &[("perm", Attr::Ints(&[1, 0, 2]))]);
        let k = net.op("Transpose", &[&z], &[("perm", Attr::Ints(&[1, 2, 0]))]);
        let scores = net.op("MatMul", &[&q, &k], &[]);
        net.op("Add", &["x", &scores], &[]);
        let advice = net.batch_first_error();
        assert!(advice.contains("'matmul1'") && !advice.contains("'matmul4'"), "{advice}");
        assert!(
            advice.contains("moves the batch whatever its batch_first is") && !advice.contains("=True"),
            "{advice}"
        );
    }

    #[test]
    fn operators_say_what_they_are() {
        let mut net = Net::new(&[4]);
        let k = net.ints(&[2]);
        let best = net.op("TopK", &["x", &k], &[]);
        net.graph().node[0].output.push("places".into());
        let places = net.op("Cast", &["places"], &[("to", Attr::Int(1))]);
        net.op("Add", &[&best, &places], &[]);
        let found = refused(&net);
        assert!(found.len() == 1 && found[0].1.contains("its further output 'places' is used"), "{found:?}");
        let mut net = Net::new(&[4]);
        let chosen = net.op("If", &["x"], &[]);
        let w = net.weight(&[4, 2]);
        let z = net.op("MatMul", &[&chosen, &w], &[]);
        let y = net.op("MatMul", &["x", &w], &[]);
        net.op("Add", &[&z, &y], &[]);
        let found = refused(&net);
        assert!(found.len() == 1 && found[0].1.contains("the computation depends on the input"), "{found:?}");
    }

    #[test]
    fn weights_that_cannot_be_computed_are_no_activations() {
        let mut net = Net::new(&[4]);
        let w = net.weight(&[4, 4]);
        let inverse = net.op("Inverse", &[&w], &[]);
        net.op("MatMul", &["x", &inverse], &[]);
        assert_eq!(refused(&net).len(), 1);
    }

    #[test]
    fn a_broken_node_does_not_hide_the_others() {
        let mut net = mlp();
        net.graph().node[0].input.truncate(1);
        net.op("Det", &["x"], &[]);
        let steps = net.op("Mod", &["x"], &[]);
        net.op("Add", &["t2", &steps], &[]);
        let names: Vec<String> = refused(&net).into_iter().map(|(node, _)| node).collect();
        assert_eq!(names, ["gemm0", "mod4"]);
    }

    #[test]
    fn a_second_output_that_is_used_is_refused() {
        let mut net = Net::new(&[1, 4]);
        let y = net.op("MaxPool", &["x"], &[("kernel_shape", Attr::Ints(&[2]))]);
        net.graph().node[0].output.push("indices".into());
        net.op("Relu", &[&y], &[]);
        assert!(net.import().is_ok());
        net.op("Add", &[&y, "indices"], &[]);
        assert!(net.error().contains("MaxPool ('maxpool0'): its further output 'indices' is used"), "{}", net.error());
    }

    #[test]
    fn old_and_new_operator_sets() {
        let text = mlp().opset(6).error();
        assert!(
            text.contains("in operator set 6 it means something else") && text.contains("version_converter"),
            "{text}"
        );
        let notes = mlp().opset(99).import().unwrap().notes;
        assert!(notes[0].contains("operator set 99, newer than 21"), "{notes:?}");
        let mut net = mlp();
        net.proto.opset_import.push(OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 });
        assert_eq!(net.import().unwrap().opset, 17);
    }

    #[test]
    fn long_chains_do_not_recurse() {
        let mut net = Net::new(&[2]);
        let mut x = "x".to_owned();
        for _ in 0..50_000 {
            x = net.op("Relu", &[&x], &[]);
        }
        assert_eq!(net.import().unwrap().model.nodes().len(), 50_001);
    }

    /// A model with a bit of everything, small enough that a mutation hits something that matters.
    fn varied_net() -> Net {
        let mut net = Net::new(&[2, 6, 6]);
        let (w, b, v) = (net.weight(&[2, 2, 3, 3]), net.weight(&[2]), net.weight(&[18, 3]));
        let pads = net.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
        let x = net.op("Pad", &["x", &pads], &[]);
        let y = net.op("Conv", &[&x, &w, &b], &[("pads", Attr::Ints(&[0; 4])), ("strides", Attr::Ints(&[1, 1]))]);
        let y = net.batch_norm(&y, 2);
        let y = net.op("Add", &[&y, "x"], &[]);
        let y = net.op("MaxPool", &[&y], &[("kernel_shape", Attr::Ints(&[2, 2])), ("strides", Attr::Ints(&[2, 2]))]);
        let shape = net.op("Shape", &[&y], &[]);
        let (zero, rest) = (net.ints(&[0]), net.ints(&[-1]));
        let n = net.op("Gather", &[&shape, &zero], &[]);
        let target = net.op("Concat", &[&n, &rest], &[("axis", Attr::Int(0))]);
        let y = net.op("Reshape", &[&y, &target], &[]);
        let y = net.op("MatMul", &[&y, &v], &[]);
        net.op("Softmax", &[&y], &[]);
        net
    }

    /// Choices, reductions, places by tables, products and normalisations, in the newest operator set.
    fn newer_net() -> Net {
        let mut net = Net::with_batch(1, &[2, 6, 6]).opset(23);
        let (bound, other) = (net.floats(&[], &[0.25]), net.weight(&[6, 1]));
        let above = net.op("Greater", &["x", &bound], &[]);
        let y = net.op("Where", &[&above, "x", &other], &[]);
        let (places, shape) = (net.ints(&[1, 0, 1, 0, 0, 1]), net.ints(&[1, 1, 6, 1]));
        let places = net.op("Reshape", &[&places, &shape], &[]);
        let picked = net.op("GatherElements", &[&y, &places], &[("axis", Attr::Int(1))]);
        let y = net.op("Sub", &[&y, &picked], &[]);
        let (places, shape, updates) = (net.ints(&[0, 1]), net.ints(&[1, 1, 2]), net.weight(&[1, 1, 6, 6]));
        let places = net.op("Reshape", &[&places, &shape], &[]);
        let y = net.op("ScatterND", &[&y, &places, &updates], &[("reduction", Attr::Text("add"))]);
        let (w, grid) = (net.weight(&[6, 6]), net.weight(&[1, 6, 6, 2]));
        let y = net.op("Einsum", &[&y, &w], &[("equation", Attr::Text("nabc,cd->nabd"))]);
        let y = net.op("GridSample", &[&y, &grid], &[("padding_mode", Attr::Text("reflection"))]);
        let (k, repeats, axis) = (net.ints(&[3]), net.ints(&[1, 1, 1, 2]), net.ints(&[2]));
        let y = net.op("TopK", &[&y, &k], &[("axis", Attr::Int(-1))]);
        let y = net.op("Tile", &[&y, &repeats], &[]);
        let y = net.op("CumSum", &[&y, &axis], &[("reverse", Attr::Int(1))]);
        let y = net.op("LRN", &[&y], &[("size", Attr::Int(3)), ("alpha", Attr::Float(0.5))]);
        let (scale, shift, gamma) = (net.positive(&[2]), net.weight(&[2]), net.positive(&[6]));
        let y = net.op("GroupNormalization", &[&y, &scale, &shift], &[("num_groups", Attr::Int(2))]);
        let y = net.op("RMSNormalization", &[&y, &gamma], &[("axis", Attr::Int(-1))]);
        let y = net.op("Trilu", &[&y, &axis], &[("upper", Attr::Int(0))]);
        let top = net.op("ReduceMax", &[&y, &axis], &[("keepdims", Attr::Int(1))]);
        let y = net.op("Add", &[&y, &top], &[]);
        let y = net.op("MatMul", &[&y, &y], &[]);
        net.op("Softsign", &[&y], &[]);
        net
    }

    /// Damaged files give an error or a model, quickly, but never a panic.
    #[test]
    fn mutations_of_a_file_do_no_harm() {
        harmless(&varied_net());
    }

    #[test]
    fn mutations_of_a_newer_file_do_no_harm() {
        harmless(&newer_net());
    }

    fn harmless(net: &Net) {
        let bytes = net.bytes();
        let whole = crate::from_bytes::<f32>("whole", bytes.clone(), &Options::default());
        assert!(whole.is_ok(), "{whole:?}");
        let (mut loaded, mut refused) = (0, 0);
        for mutant in crate::testing::mutants(&bytes, 6000) {
            match crate::from_bytes::<f32>("mutant", mutant, &Options::default()) {
                Ok(import) => {
                    loaded += 1;
                    let x = varied(&[1, 2, 6, 6]).mapv(|v| v as f32);
                    let input = import.model.node(import.model.inputs()[0]);
                    let largest = import.model.nodes().map(|(_, node)| node.shape.iter().product::<usize>()).max();
                    if import.model.inputs().len() == 1 && input.shape == [2, 6, 6] && largest < Some(1 << 20) {
                        forward(&import.model, &x);
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
}
