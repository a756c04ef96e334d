//! Explains the same batch again whenever it is told to, and says how long that took: what `tools/bench_peers.py` times.
//!
//! `cargo run --release -p lrp-tests --bin steady -- MODEL.onnx RECIPE INPUT.npy [--exact] [--low-memory] [--threads N] [--forward] [--layers] [--out R.npy]`
//!
//! Model and rules are prepared first. Then, for every line on standard input, the forward pass, the walk and the ledger of one batch; one
//! line of JSON each with the seconds, and the peak memory of the process so far in bytes (Linux). With `--forward` the forward pass
//! alone. With `--layers` milliseconds of each node, forward and in the walk, on standard error. With `--out` the relevance goes
//! to a file.

use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lrp_config::Recipe;
use lrp_core::profile::{NodeProfile, Profile};
use lrp_core::{Plan, Start, Target, Tensor};
use lrp_tests::presets::{as_usual, load};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    lrp_core::memory::keep();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str, values: usize| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.drain(at..=at + values).next_back()
    };
    let [exact, forward, layers] = ["--exact", "--forward", "--layers"].map(|name| flag(name, 0).is_some());
    let low_memory = flag("--low-memory", 0).is_some();
    let (threads, out) = (flag("--threads", 1), flag("--out", 1));
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    }
    let [model, recipe, input] = arguments.as_slice() else {
        return Err(
            "MODEL.onnx RECIPE INPUT.npy [--exact] [--low-memory] [--threads N] [--forward] [--layers] [--out R.npy]"
                .into(),
        );
    };
    let model = load::<f32>(Path::new(model))?;
    let model = match (low_memory, exact) {
        (true, _) => Arc::new(model.low_memory()),
        (false, true) => model,
        (false, false) => as_usual(model),
    };
    let assignment = Recipe::find(recipe)?.resolve(&model)?.assignment();
    let plan = Plan::new(model, &assignment)?;
    let x = ndarray_npy::read_npy(input)?;
    println!("{}", serde_json::json!({ "ready": true }));

    // In a thread of the pool, as `lrp explain` does it: no pass has to wake one up.
    rayon::scope(|_| explain_on_demand(&plan, &x, [forward, layers], out.as_deref()))
}

/// Explains `x` once for every line on standard input.
fn explain_on_demand(
    plan: &Plan<f32>,
    x: &Tensor<f32>,
    [forward, layers]: [bool; 2],
    out: Option<&str>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let mut profile = Profile::default();
        let record = profile.record(plan, std::slice::from_ref(x))?;
        let sum = if forward {
            record.output().sum()
        } else {
            let start = record.seed(&Target::Argmax, Start::Logit)?;
            let explanation = profile.propagate_last(record, start, &mut |_, _| {});
            if let Some(path) = out {
                ndarray_npy::write_npy(path, explanation.input_relevance())?;
            }
            explanation.input_relevance().sum()
        };
        let seconds = start.elapsed().as_secs_f64();
        if layers {
            for ((id, node), NodeProfile { forward, walk, .. }) in plan.model().nodes().zip(profile.nodes) {
                let (op, rule) = (node.op().map(|op| op.detail()).unwrap_or_default(), plan.behaviour(id));
                eprintln!("{:8.2} {:8.2}  {} {} {op} {rule}", 1e3 * forward, 1e3 * walk, node.name, node.kind_name());
            }
        }
        let memory = lrp_core::memory::peak().unwrap_or_default();
        println!("{}", serde_json::json!({ "seconds": seconds, "memory": memory, "sum": sum }));
    }
    Ok(())
}
