//! Every operator case in `references/ops` (made by `tools/make_op_cases.py`): the imported model computes what ONNX
//! Runtime computed. And the bundled examples load.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_core::operator::{Fixed, Io, Operator};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated, Rule};
use lrp_core::{Plan, RuleError, Scalar, Tensor};
use ndarray::Axis;
use ndarray_npy::NpzReader;

/// The plain gradient: a rule for every operator, so that a plan can be made and the forward pass run.
#[derive(Debug)]
struct Gradient;

impl fmt::Display for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gradient")
    }
}

struct Prepared<T: Scalar>(Arc<dyn Operator<T>>);

impl<T: Scalar> Rule<T> for Gradient {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(Box::new(Prepared(Arc::clone(layer.op))))
    }
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        Needs::BOTH
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(self.0.vjp(io, r))
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The model's output for these inputs.
fn forward<T: Scalar>(path: &Path, xs: &[Tensor<T>]) -> Result<Tensor<T>, String> {
    let import = lrp_onnx::load::<T>(path, &lrp_onnx::Options::default()).map_err(|e| e.to_string())?;
    let model = Arc::new(import.model);
    let in_need = model.nodes().filter(|(_, node)| node.op().is_some_and(|op| op.fixed() == Fixed::RuleNeeded));
    let rules: BTreeMap<_, Arc<dyn Rule<T>>> = in_need.map(|(id, _)| (id, Arc::new(Gradient) as _)).collect();
    let plan = Plan::new(model, &rules).map_err(|e| e.to_string())?;
    let record = plan.record_all(xs).map_err(|e| e.to_string())?;
    // With what the importer cut off the end.
    let output = record.output();
    Ok(import.output_function.map_or_else(|| output.clone(), |function| function.of(output)))
}

/// Cases whose first axis is no batch: a batch of two, whose samples meet different constants, is one sample.
const WHOLE: [&str; 1] = ["concat-constant"];

/// The largest difference, relative to the range of the expected values.
fn difference(got: &Tensor<f32>, expected: &Tensor<f32>) -> Result<f32, String> {
    if got.shape() != expected.shape() {
        return Err(format!("gives shape {:?}, expected {:?}", got.shape(), expected.shape()));
    }
    let range = expected.iter().fold(0f32, |range, v| range.max(v.abs()));
    let worst = got.iter().zip(expected).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    Ok(worst / range.max(f32::MIN_POSITIVE))
}

#[test]
fn every_case_computes_what_onnx_runtime_computes() {
    let folder = root("references/ops");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "there are no cases; run tools/make_op_cases.py");
    let mut arrays = NpzReader::new(File::open(folder.join("ops.npz")).unwrap()).unwrap();
    let mut failures = Vec::new();
    for path in &cases {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let x: Tensor<f32> = arrays.by_name(&format!("{name}.x")).unwrap();
        let y: Tensor<f32> = arrays.by_name(&format!("{name}.y")).unwrap();
        let sample = |tensor: Tensor<f32>| if WHOLE.contains(&name) { tensor.insert_axis(Axis(0)) } else { tensor };
        let (x, y) = (sample(x), sample(y));
        match forward(path, &[x]).and_then(|got| difference(&got, &y)) {
            Ok(difference) if difference <= 1e-5 => {}
            Ok(difference) => failures.push(format!("{name}: differs by {difference:.1e} of the range")),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn the_bundled_examples_load() {
    for name in ["cnn.onnx", "clever-hans.onnx"] {
        let path = root("../examples/mnist").join(name);
        let x = Tensor::<f64>::from_shape_fn(vec![3, 1, 28, 28], |i| ((i[0] + i[2] * 7 + i[3]) % 11) as f64 / 11.0);
        let batch = forward(&path, std::slice::from_ref(&x)).unwrap();
        assert_eq!(batch.shape(), [3, 10]);
        let one = x.slice_axis(Axis(0), (1..2).into()).to_owned();
        let alone = forward(&path, &[one]).unwrap();
        assert_eq!(batch.index_axis(Axis(0), 1), alone.index_axis(Axis(0), 0));
    }
}
