//! One row for each model of a folder: whether it loads, computes what ONNX Runtime computes, keeps a balanced ledger, and what an
//! explanation costs: `cargo run --release -p lrp-tests --bin zoo [FOLDER]` (`tests/models`, or what `tools/zoo.py --out` wrote).
//!
//! With `--zennit` one row for each network whose relevance by zennit is in the folder (`NAME.zennit.npz`): how far ours is from it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use lrp_config::Recipe;
use lrp_core::{Plan, Scalar, Start, Target, Tensor};
use lrp_tests::presets::{PRESETS, array, as_usual, load, relevance};
use lrp_tests::relative_l2;
use ndarray::Axis;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How far outputs may be from ONNX Runtime's, in proportion to their range, and the tolerance of ledgers.
const BOUNDS: (f64, f64) = (1e-4, 1e-4);
/// How far relevances may be from zennit's, f64 from f64 and f32 from f32: relative L2. (Not f32 from f64: where rounding decides on
/// which side of 0 a neuron is, zennit's f32 is further from zennit's f64.)
const PARITY: f64 = 1e-3;

fn main() -> ExitCode {
    let (flags, rest): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let folder = rest.first().map_or(default, PathBuf::from);
    match flags.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => zoo(&folder),
        ["--zennit"] => parity(&folder),
        other => panic!("{other:?}: there is only --zennit"),
    }
}

/// The files of the folder whose names end like this.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    paths.sort();
    paths
}

/// The comparisons of each network.
const COMPARED: [&str; 4] =
    ["ours f64 to zennit f64", "ours f32 to zennit f32", "ours f32 to zennit f64", "zennit f32 to zennit f64"];

/// For each network and preset, the relative L2 error to zennit's relevance.
fn parity(folder: &Path) -> ExitCode {
    println!("Relevance of one image, compared with zennit's: relative L2 error.\n");
    println!("| network | compared | {} |", PRESETS.join(" | "));
    println!("|---|---|---|---|---|---|---|");
    let end = ".zennit.npz";
    let references = files(folder, end);
    let mut wrong = Vec::new();
    for path in &references {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(end, "");
        let all = errors(folder, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (computed, errors) in COMPARED.iter().zip(&all) {
            let errors: Vec<String> = errors.iter().map(|error| format!("{error:.1e}")).collect();
            println!("| {name} | {computed} | {} |", errors.join(" | "));
        }
        let [double, single, ..] = all;
        for (i, preset) in PRESETS.iter().enumerate() {
            if double[i] > PARITY || single[i] > PARITY {
                wrong.push(format!("{name} {preset}"));
            }
        }
    }
    if references.is_empty() {
        println!("\nthere is no reference in {}", folder.display());
    } else if wrong.is_empty() {
        println!("\n{} networks agree with zennit", references.len());
        return ExitCode::SUCCESS;
    } else {
        println!("\nnot in agreement: {}", wrong.join(", "));
    }
    ExitCode::FAILURE
}

/// One for each preset, in the order of [`COMPARED`].
fn errors(folder: &Path, name: &str) -> Result<[Vec<f64>; 4], String> {
    let reference = folder.join(format!("{name}.zennit.npz"));
    let double = ours::<f64>(folder, name)?;
    let single = ours::<f32>(folder, name)?;
    let mut errors = [const { Vec::new() }; 4];
    for ((preset, double), single) in PRESETS.iter().zip(&double).zip(&single) {
        let expected = array::<f64>(&reference, preset)?;
        errors[0].push(relative_l2(double, &expected));
        let theirs = array::<f32>(&reference, &format!("{preset}.f32"))?;
        errors[1].push(relative_l2(single, &theirs));
        errors[2].push(relative_l2(single, &expected));
        errors[3].push(relative_l2(&theirs, &expected));
    }
    Ok(errors)
}

/// One for each preset: relevance of the first sample.
fn ours<T: Scalar>(folder: &Path, name: &str) -> Result<Vec<Tensor<T>>, String> {
    let model = as_usual(load::<T>(&folder.join(format!("{name}.ts.onnx")))?);
    let x = array::<f32>(&folder.join(format!("{name}.npz")), "x")?;
    let x = x.slice_axis(Axis(0), (0..1).into()).mapv(|v| T::of(v.into()));
    PRESETS.iter().map(|preset| relevance(&model, preset, &x)).collect()
}

fn zoo(folder: &Path) -> ExitCode {
    let paths = files(folder, ".onnx");
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
        match row(folder, path) {
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
    Ok([array(&file, &format!("{prefix}x"))?, array(&file, &format!("{prefix}y"))?])
}

fn row(folder: &Path, path: &Path) -> Result<String, String> {
    let [x, expected] = reference(folder, path)?;
    let size = path.metadata().map_err(|e| e.to_string())?.len();
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.peak_usage();

    let start = Instant::now();
    let import = lrp_onnx::load::<f32>(path, &lrp_onnx::Options::default()).map_err(|e| e.kind.to_string())?;
    let output_function = import.output_function;
    let model = as_usual(Arc::new(import.model));
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
    let record = plan.record(&x).map_err(|e| e.to_string())?;
    let output = output_function.map_or_else(|| record.output().clone(), |function| function.of(record.output()));

    let difference = difference(output.mapv(f64::from), &expected.mapv(f64::from))?;
    let imbalance = explanation.ledger.worst_imbalance();
    if difference > BOUNDS.0 {
        return Err(format!("its output differs by {difference:.1e} of the range"));
    }
    if imbalance > BOUNDS.1 {
        return Err(format!("its ledger is out of balance by {imbalance:.1e}"));
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
fn difference(output: Tensor<f64>, expected: &Tensor<f64>) -> Result<f64, String> {
    if output.shape() != expected.shape() {
        return Err(format!("gives the shape {:?}, expected {:?}", output.shape(), expected.shape()));
    }
    let ends = expected.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    Ok(lrp_tests::max_difference(&output, expected) / (ends.1 - ends.0))
}
