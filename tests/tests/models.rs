//! Real architectures, small, as PyTorch's exporters write them (`models/`, made by `tools/zoo.py`): each loads, computes
//! what ONNX Runtime computes, and is explained with a balanced ledger.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Explanation, Plan, Scalar, Start, Target, Tensor};
use lrp_onnx::OutputFunction;
use ndarray_npy::NpzReader;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The model's file and its name without the exporter: `resnet18` for `resnet18.ts.onnx`.
struct Case {
    path: PathBuf,
    file: String,
    network: String,
}

fn cases() -> Vec<Case> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<Case> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| {
            let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let network = file.split('.').next().unwrap().to_owned();
            Case { path, file, network }
        })
        .collect();
    cases.sort_by(|a, b| a.file.cmp(&b.file));
    assert!(!cases.is_empty(), "there are no models; run tools/zoo.py --small");
    cases
}

impl Case {
    fn array(&self, key: &str) -> Tensor<f32> {
        let mut arrays = NpzReader::new(File::open(folder().join("models.npz")).unwrap()).unwrap();
        arrays.by_name(&format!("{}.{key}", self.network)).unwrap()
    }

    fn explain<T: Scalar>(&self, x: &Tensor<f32>) -> Result<Outcome<T>, String> {
        let import = lrp_onnx::load::<T>(&self.path, &lrp_onnx::Options::default()).map_err(|e| e.to_string())?;
        let output_function = import.output_function;
        let model = Arc::new(import.model);
        let recipe = Recipe::preset("epsilon-plus").unwrap();
        let assignment = recipe.resolve(&model).map_err(|e| e.to_string())?.assignment();
        let plan = Plan::new(model, &assignment).map_err(|e| e.to_string())?;
        let x = x.mapv(|v| T::of(v.into()));
        let explanation = plan.explain(&x, &Target::Argmax, Start::Logit).map_err(|e| e.to_string())?;
        Ok(Outcome { explanation, output_function })
    }

    /// Loads and explains the model in both precisions, and prints what became of the relevance.
    fn check(&self) -> Result<(), String> {
        let (x, y) = (self.array("x"), self.array("y"));
        let single = self.explain::<f32>(&x)?;
        let difference = single.difference(&y)?;
        println!("{:34} {difference:8.1e}  {}", self.file, single.shares());
        single.check(difference, 1e-4)?;
        let double = self.explain::<f64>(&x)?;
        double.check(double.difference(&y)?, 1e-9)
    }
}

struct Outcome<T: Scalar> {
    explanation: Explanation<T>,
    output_function: Option<OutputFunction<T>>,
}

impl<T: Scalar> Outcome<T> {
    /// The largest difference to the expected output, in proportion to its range.
    fn difference(&self, expected: &Tensor<f32>) -> Result<f64, String> {
        let explained = &self.explanation.output;
        let output = self.output_function.as_ref().map_or_else(|| explained.clone(), |function| function.of(explained));
        let output = output.mapv(|v| v.wide());
        if output.shape() != expected.shape() {
            return Err(format!("gives the shape {:?}, expected {:?}", output.shape(), expected.shape()));
        }
        let expected = expected.mapv(f64::from);
        let ends = expected.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        Ok(lrp_tests::max_difference(&output, &expected) / (ends.1 - ends.0))
    }

    fn check(&self, difference: f64, imbalance: f64) -> Result<(), String> {
        if difference > 1e-4 {
            return Err(format!("in {} its output differs by {difference:.1e} of the range", T::NAME));
        }
        match self.explanation.ledger.worst_imbalance() {
            worst if worst <= imbalance => Ok(()),
            worst => Err(format!("in {} its ledger is out of balance by {worst:.1e}", T::NAME)),
        }
    }

    /// Where the relevance of the first sample went, as shares of the start.
    fn shares(&self) -> String {
        let totals = self.explanation.ledger.totals(0);
        let share = |part: f64| 100.0 * part / totals.start;
        format!(
            "input {:7.1} %, bias {:7.1} %, stabilizer {:9.1e} %, rules {:9.1e} %, imbalance {:.1e}",
            share(totals.input),
            share(totals.bias),
            share(totals.stabilizer),
            share(totals.rule),
            self.explanation.ledger.worst_imbalance()
        )
    }
}

#[test]
fn every_model_is_imported_right_and_explained_with_a_balanced_ledger() {
    let cases = cases();
    let failures: Vec<String> =
        cases.iter().filter_map(|case| case.check().err().map(|error| format!("{}: {error}", case.file))).collect();
    assert!(failures.is_empty(), "{} of {} models fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Operator sets 11, 17 and 20, two exporters, batch norms folded or not: the same network gets the same relevance, but for the
/// rounding of weights that an exporter folded in f32.
#[test]
fn what_is_written_differently_is_explained_alike() {
    let cases = cases();
    let (mut variants, mut failures) = (0, Vec::new());
    for network in cases.chunk_by(|a, b| a.network == b.network).filter(|network| network.len() > 1) {
        let x = network[0].array("x");
        let relevance = |case: &Case| case.explain::<f64>(&x).map(|o| o.explanation.input_relevance().clone());
        let expected = relevance(&network[0]).unwrap_or_else(|error| panic!("{}: {error}", network[0].file));
        for case in &network[1..] {
            let error = relevance(case).map_or(f64::INFINITY, |r| lrp_tests::relative_l2(&r, &expected));
            println!("{:34} {error:8.1e}  from {}", case.file, network[0].file);
            variants += 1;
            if error > 1e-5 {
                failures.push(format!("{}: {error:.1e} from {}", case.file, network[0].file));
            }
        }
    }
    assert!(variants >= 20 && failures.is_empty(), "{} of {variants} differ:\n{}", failures.len(), failures.join("\n"));
}
