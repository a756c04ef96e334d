//! `lrp layers`: the model as imported.

use lrp::numbers::shape;
use lrp::{Error, InputInfo, Role};
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
    outputs: Vec<String>,
    nodes: Vec<NodeReport>,
    passes: Vec<PassReport>,
    notes: Vec<String>,
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

/// The inputs and the outputs of the file, where there is more to say of them than the nodes do.
fn print_inputs(report: &ModelReport) -> Result<(), Error> {
    if let [InputReport { role: "explained", dtype: "float32" | "float64", .. }] = report.inputs.as_slice() {
        return Ok(());
    }
    let mut listing = table::table(&["input", "type", "in the file", "sample", ""], []);
    for input in &report.inputs {
        let sample = input.shape.as_deref().map(shape).unwrap_or_default();
        let (name, axes) = (input.name.clone(), format!("[{}]", input.axes.join(", ")));
        listing.add_row([name, input.dtype.to_owned(), axes, sample, input.role.to_owned()]);
    }
    say!("")?;
    table::print(&listing)
}

/// Prints the nodes of a model.
pub fn layers(args: &LayersArgs) -> Result<(), Error> {
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
        outputs: import.outputs.clone(),
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
    print_inputs(&report)?;
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
