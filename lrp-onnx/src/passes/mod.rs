//! Canonization: small rewrites after which rules see the network as its author meant it.
//!
//! Each pass does one thing, stands in its own file, and leaves the function that the graph computes as it is. A pass
//! takes a graph and returns the new one with a phrase for every change. To add one: write its file, list it in
//! [`all`].

mod cut_output;
mod drop_identity;
mod find_gates;
mod fold_batch_norm;
mod fuse_gelu;
mod fuse_hard_sigmoid;
mod fuse_hard_swish;
mod fuse_layer_norm;
mod fuse_matmul_add;
mod fuse_rms_norm;
mod fuse_sigmoid;
mod fuse_silu;
mod mark_preprocessing;
mod merge_pad;
mod merge_scale;
mod pattern;
mod sink_transpose;
mod statistics;

#[cfg(test)]
mod gate_maps;

use lrp_core::Scalar;

use crate::PassReport;
use crate::graph::Graph;

/// The new graph, and what was changed.
pub(crate) type Passed<T> = (Graph<T>, Vec<String>);

/// A pass and the name it is listed by.
struct Pass<T: Scalar> {
    name: &'static str,
    run: fn(Graph<T>) -> Passed<T>,
}

/// All passes, in the order in which they run. What moves out of the way of others comes first.
fn all<T: Scalar>() -> [Pass<T>; 16] {
    [
        Pass { name: "drop-identity", run: drop_identity::run },
        Pass { name: CUT_OUTPUT, run: cut_output::run },
        Pass { name: "sink-transpose", run: sink_transpose::run },
        Pass { name: "fuse-layer-norm", run: fuse_layer_norm::run },
        Pass { name: "fuse-rms-norm", run: fuse_rms_norm::run },
        Pass { name: "fuse-gelu", run: fuse_gelu::run },
        Pass { name: "fuse-sigmoid", run: fuse_sigmoid::run },
        Pass { name: "fuse-silu", run: fuse_silu::run },
        Pass { name: "fuse-hard-sigmoid", run: fuse_hard_sigmoid::run },
        Pass { name: "fuse-hard-swish", run: fuse_hard_swish::run },
        Pass { name: "find-gates", run: find_gates::run },
        Pass { name: "fuse-matmul-add", run: fuse_matmul_add::run },
        Pass { name: "mark-preprocessing", run: mark_preprocessing::run },
        Pass { name: "merge-scale", run: merge_scale::run },
        Pass { name: "merge-pad", run: merge_pad::run },
        Pass { name: "fold-batch-norm", run: fold_batch_norm::run },
    ]
}

/// The one pass that changes what the model's output is, so that the user is told.
pub(crate) const CUT_OUTPUT: &str = "cut-output";

pub(crate) use cut_output::Cut;

/// A graph after all passes.
pub(crate) struct Canonized<T: Scalar> {
    pub graph: Graph<T>,
    /// From its output to the output that it had, if they differ.
    pub output_function: Option<Cut<T>>,
    pub reports: Vec<PassReport>,
}

/// Runs all passes.
pub(crate) fn run<T: Scalar>(mut graph: Graph<T>) -> Canonized<T> {
    let mut reports = Vec::new();
    let mut output_function = None;
    for pass in all::<T>() {
        if pass.name == CUT_OUTPUT {
            output_function = cut_output::output_function(&graph);
        }
        let (next, what) = (pass.run)(graph);
        graph = next;
        reports.push(PassReport { name: pass.name, changes: what.len(), what });
    }
    Canonized { graph, output_function, reports }
}
