//! One row for each model of a folder: whether it loads, computes what ONNX Runtime computes, keeps balanced books, and what an
//! explanation costs: `cargo run --release -p lrp-tests --bin zoo [FOLDER]` (`tests/models`, or what `tools/zoo.py --out` wrote).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use lrp_config::Recipe;
use lrp_core::{Plan, Start, Target, Tensor};
use ndarray::Axis;
use ndarray_npy::NpzReader;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How far outputs may be from ONNX Runtime's, in proportion to their range, and how far books out of balance.
const BOUNDS: (f64, f64) = (1e-4, 1e-4);

fn main() -> ExitCode {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let folder = std::env::args().nth(1).map_or(default, PathBuf::from);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    paths.sort();

    println!(
        "Recipe epsilon-plus, f32, the class with the largest logit; shares of one sample's relevance, and its cost.\n"
    );
    println!(
        "| model | size | layers | output | imbalance | input | bias | stabilizer | rules | prepare | explain | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut right, mut wrong) = (0, Vec::new());
    for path in &paths {
        let name = path.file_stem().expect("a file").to_string_lossy();
        match row(&folder, path) {
            Ok(row) => {
                println!("| {name} | {row} |");
                right += 1;
            }
            Err(error) => {
                let error = error.lines().take(2).collect::<Vec<_>>().join(" ").replace('|', "/");
                println!("| {name} | {error} |");
                wrong.push(name.into_owned());
            }
        }
    }
    println!("\n{right} of {} models are right", paths.len());
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("not right: {}", wrong.join(", "));
    ExitCode::FAILURE
}

/// The input and the output of a network: `NAME.npz` beside it, or in the folder's `models.npz`.
fn reference(folder: &Path, path: &Path) -> Result<[Tensor<f32>; 2], String> {
    let stem = path.file_stem().and_then(|s| s.to_str()).ok_or("has no name")?;
    let name = stem.split('.').next().unwrap_or(stem);
    let own = folder.join(format!("{name}.npz"));
    let (file, prefix) =
        if own.exists() { (own, String::new()) } else { (folder.join("models.npz"), format!("{name}.")) };
    let opened = File::open(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut arrays = NpzReader::new(opened).map_err(|error| error.to_string())?;
    let mut array = |key: &str| arrays.by_name(&format!("{prefix}{key}")).map_err(|e| format!("{prefix}{key}: {e}"));
    Ok([array("x")?, array("y")?])
}

fn row(folder: &Path, path: &Path) -> Result<String, String> {
    let [x, expected] = reference(folder, path)?;
    let size = path.metadata().map_err(|e| e.to_string())?.len();
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.peak_usage();

    let start = Instant::now();
    let import = lrp_onnx::load::<f32>(path, &lrp_onnx::Options::default()).map_err(|e| e.kind.to_string())?;
    let ends_in_softmax = import.passes.iter().any(|p| p.name == "cut-softmax" && p.changes > 0);
    let model = Arc::new(import.model);
    let layers = model.layers().len();
    let recipe = Recipe::preset("epsilon-plus").map_err(|e| e.to_string())?;
    let assignment = recipe.resolve(&model).map_err(|e| e.to_string())?.assignment();
    let plan = Plan::new(model, &assignment).map_err(|e| e.to_string())?;
    let prepare = start.elapsed();

    // What one explanation costs, and whether all samples are right.
    let first = x.slice_axis(Axis(0), (0..1).into()).to_owned();
    let start = Instant::now();
    let explanation = plan.explain(&first, &Target::Argmax, Start::Logit).map_err(|e| e.to_string())?;
    let time = start.elapsed();
    let memory = ALLOCATOR.peak_usage() - before;
    let output = plan.record(&x).map_err(|e| e.to_string())?.output().mapv(f64::from);

    let difference = difference(output, &expected.mapv(f64::from), ends_in_softmax)?;
    let imbalance = explanation.ledger.worst_imbalance();
    if difference > BOUNDS.0 {
        return Err(format!("its output differs by {difference:.1e} of the range"));
    }
    if imbalance > BOUNDS.1 {
        return Err(format!("its books are out of balance by {imbalance:.1e}"));
    }
    let totals = explanation.ledger.totals(0);
    let share = |part: f64| 100.0 * part / totals.start;
    let mega =
        |bytes: f64| if bytes < 1e7 { format!("{:.2} MB", bytes / 1e6) } else { format!("{:.0} MB", bytes / 1e6) };
    Ok(format!(
        "{} | {layers} | {difference:.1e} | {imbalance:.1e} | {:.1} % | {:.1} % | {:.1e} % | {:.1e} % | {:.0} ms | {:.0} ms | {}",
        mega(size as f64),
        share(totals.input),
        share(totals.bias),
        share(totals.stabilizer),
        share(totals.rule),
        prepare.as_secs_f64() * 1e3,
        time.as_secs_f64() * 1e3,
        mega(memory as f64),
    ))
}

/// The largest difference between outputs, in proportion to the range of the expected one.
fn difference(mut output: Tensor<f64>, expected: &Tensor<f64>, softmax: bool) -> Result<f64, String> {
    if output.shape() != expected.shape() {
        return Err(format!("gives the shape {:?}, expected {:?}", output.shape(), expected.shape()));
    }
    if softmax {
        for mut row in output.rows_mut() {
            let largest = row.iter().fold(f64::MIN, |m, &v| m.max(v));
            row.mapv_inplace(|v| (v - largest).exp());
            let sum = row.sum();
            row /= sum;
        }
    }
    let ends = expected.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    Ok(lrp_tests::max_difference(&output, expected) / (ends.1 - ends.0))
}
