//! `lrp layers`: the model as imported.

use lrp::numbers::shape;
use lrp::{Error, Import, InputInfo, OutputInfo, Role};
use lrp_core::graph::{Model, Node};
use lrp_core::text::shortened;
use lrp_core::{NodeId, Scalar};
use serde::Serialize;

use crate::args::LayersArgs;
use crate::output::{named, note, print_json, say};
use crate::{job, table, threads};

/// Maximum number of characters of the changes of a pass.
const CHANGE: usize = 400;

#[derive(Serialize)]
struct ModelReport {
    path: String,
    producer: String,
    opset: i64,
    parameters: usize,
    output: String,
    inputs: Vec<InputReport>,
    outputs: Vec<OutputReport>,
    nodes: Vec<NodeReport>,
    passes: Vec<PassReport>,
    notes: Vec<String>,
}

/// An output of the file.
#[derive(Serialize)]
struct OutputReport {
    name: String,
    dtype: &'static str,
    /// As the file has them, batch included.
    axes: Vec<String>,
    /// A sample without the batch axis; of the explained output alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
    explained: bool,
}

#[derive(Serialize)]
struct NodeReport {
    index: Option<usize>,
    name: String,
    op: &'static str,
    detail: String,
    inputs: Vec<String>,
    /// Without the batch axis.
    shape: Vec<usize>,
    parameters: usize,
}

/// An input of the file.
#[derive(Serialize)]
struct InputReport {
    name: String,
    dtype: &'static str,
    /// As the file has them: lengths, and names of open axes.
    axes: Vec<String>,
    /// A sample without the batch axis, if the input is given.
    shape: Option<Vec<usize>>,
    /// `explained`, `given`, `fixed` or `unused`.
    role: &'static str,
}

impl From<&InputInfo> for InputReport {
    fn from(input: &InputInfo) -> Self {
        let (role, is_given) = match input.role {
            Role::Explained => ("explained", true),
            Role::Given => ("given", true),
            Role::Fixed => ("fixed", false),
            Role::Unused => ("unused", false),
        };
        let (name, axes) = (input.name.clone(), input.axes.clone());
        Self { name, dtype: input.dtype, axes, shape: is_given.then(|| input.sample.clone()), role }
    }
}

#[derive(Serialize)]
struct PassReport {
    name: &'static str,
    /// Each change in words.
    changes: Vec<String>,
}

impl NodeReport {
    fn new<T: Scalar>(model: &Model<T>, id: NodeId, node: &Node<T>) -> Self {
        Self {
            index: model.layer_index(id),
            name: node.name.clone(),
            op: node.kind_name(),
            detail: node.op().map(|op| op.detail()).unwrap_or_default(),
            inputs: node.inputs.iter().map(|&i| model.node(i).name.clone()).collect(),
            shape: node.shape.clone(),
            parameters: node.op().map_or(0, |op| op.parameters()),
        }
    }
}

impl OutputReport {
    /// The outputs of the file; and the value that is explained in place of one that holds classes.
    fn list<T: Scalar>(import: &Import<T>) -> Vec<Self> {
        let model = &import.model;
        let sample = model.node(model.output()).shape.clone();
        let report = |output: &OutputInfo| {
            let OutputInfo { name, dtype, axes } = output.clone();
            let explained = name == import.output_name;
            Self { name, dtype, axes, shape: explained.then(|| sample.clone()), explained }
        };
        let mut outputs: Vec<Self> = import.outputs.iter().map(report).collect();
        if outputs.iter().all(|output| !output.explained) {
            let (name, axes) = (import.output_name.clone(), Vec::new());
            outputs.push(Self { name, dtype: "unknown", axes, shape: Some(sample), explained: true });
        }
        outputs
    }
}

/// Prints the inputs and outputs of the file.
fn print_ends(report: &ModelReport) -> Result<(), Error> {
    say!("")?;
    let mut listing = table::table(&["", "name", "type", "in the file", "sample", ""], []);
    let axes = |axes: &[String]| format!("[{}]", axes.join(", "));
    for input in &report.inputs {
        let sample = input.shape.as_deref().map(shape).unwrap_or_default();
        listing.add_row(["input", &input.name, input.dtype, &axes(&input.axes), &sample, input.role]);
    }
    for output in &report.outputs {
        let sample = output.shape.as_deref().map(shape).unwrap_or_default();
        let role = if output.explained { "explained" } else { "--model-output explains it" };
        listing.add_row(["output", &output.name, output.dtype, &axes(&output.axes), &sample, role]);
    }
    table::print(&listing)
}

/// Prints the operators that are read.
fn supported() -> Result<(), Error> {
    let mut listing = table::table(&["operator", "since", "kinds", "relevance", "limits"], [1]);
    for row in lrp::supported() {
        let behaviours = row.behaviours();
        let kinds: Vec<&str> = behaviours.iter().map(|(kind, _)| kind.name()).collect();
        let mut words: Vec<&str> = behaviours.iter().map(|(_, behaviour)| *behaviour).collect();
        words.dedup();
        listing.add_row([
            row.operator.to_owned(),
            row.since.to_string(),
            kinds.join(", "),
            words.join("; "),
            row.limits.to_owned(),
        ]);
    }
    table::print(&listing)
}

/// Prints the nodes of a model.
pub fn layers(args: &LayersArgs) -> Result<(), Error> {
    if args.supported {
        return supported();
    }
    let job = job::model(Some(&args.model), &args.model.fix, None)?;
    threads::start(None)?;
    let loaded = job.load::<f32>()?;
    let (import, model) = (&loaded.import, &loaded.model);
    let report = ModelReport {
        path: loaded.options.path.display().to_string(),
        producer: import.producer.clone(),
        opset: import.opset,
        parameters: model.parameters(),
        output: model.node(model.output()).name.clone(),
        inputs: import.inputs.iter().map(InputReport::from).collect(),
        outputs: OutputReport::list(import),
        nodes: model.nodes().map(|(id, node)| NodeReport::new(model, id, node)).collect(),
        passes: import.passes.iter().map(|p| PassReport { name: p.name, changes: p.what.clone() }).collect(),
        notes: import.notes.clone(),
    };
    if args.listing.json {
        return print_json(&report);
    }
    let mut listing = table::table(&["index", "name", "operator", "", "output", "parameters"], [0, 5]);
    for node in &report.nodes {
        listing.add_row([
            node.index.map(|i| i.to_string()).unwrap_or_default(),
            node.name.clone(),
            node.op.to_owned(),
            node.detail.clone(),
            shape(&node.shape),
            if node.parameters > 0 { node.parameters.to_string() } else { String::new() },
        ]);
    }
    table::print(&listing)?;
    say!("")?;
    let count = model.layers().len();
    say!(
        "{}: {count} weighted layer{}, {} parameters, opset {}, written by {}",
        named(&loaded.options.path),
        if count == 1 { "" } else { "s" },
        report.parameters,
        report.opset,
        if report.producer.is_empty() { "an unnamed program" } else { &report.producer }
    )?;
    print_ends(&report)?;
    if args.passes {
        say!("")?;
        for pass in &report.passes {
            let changes = if pass.changes.is_empty() { " nothing to do" } else { "" };
            say!("{}:{changes}", pass.name)?;
            pass.changes.iter().try_for_each(|change| say!("  {}", shortened(change, CHANGE)))?;
        }
    }
    loaded.notes().for_each(|text| note(&text));
    Ok(())
}
