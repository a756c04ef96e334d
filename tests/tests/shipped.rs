//! Models as people ship them (`shipped/`, made by `tools/zoo.py --shipped`): several inputs, ids, states, batches in odd places, recurrent
//! cells written out, control flow, quantization. Each is explained by LRP-ε as a slow reference explains it (`tools/zoo_reference.py`), which
//! reads the file itself and shares no code with this workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Explanation, Plan, Scalar, Start, Target, Tensor};
use lrp_onnx::{Fixed, FixedValue, Import, Options};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::NpzReader;

/// The number of files.
const FILES: usize = 148;

/// Files that do not agree yet, with the reason.
const KNOWN: &[(&str, &str)] = &[
    ("instance_norm.dynamo", CHANNELS),
    ("instance_norm.ts", CHANNELS),
    ("keras_simple_rnn.tf2onnx", "a Gemm of constants with an activation as its summand is not read"),
    ("keras_text_cnn.tf2onnx", "ids that are computed from ids lose relevance to the stabilizer of sums"),
    ("normalisations.helper", CHANNELS),
    ("quantized_cnn_qoperator.ort", ROUNDED),
    ("quantized_mlp_qoperator.ort", ROUNDED),
];

const CHANNELS: &str = "instance and group norms have a stabilizer of their own for the scale and shift of channels";
const ROUNDED: &str = "weights of operators on integers are rounded to f32 when they are read";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped")
}

/// The arrays of `reference.npz`, by file: `x/NAME`, `fix/NAME`, `y`, `z`, `target`, `r/NAME`, `g/NAME`.
struct References {
    npz: NpzReader<File>,
    keys: Vec<String>,
}

impl References {
    fn open() -> Self {
        let mut npz = NpzReader::new(File::open(folder().join("reference.npz")).unwrap()).unwrap();
        let keys = npz.names().unwrap().into_iter().map(|key| key.trim_end_matches(".npy").to_owned()).collect();
        Self { npz, keys }
    }

    /// An array of any type of number.
    fn array(&mut self, key: &str) -> ArrayD<f64> {
        macro_rules! read {
            ($($type:ty),*) => {$(
                if let Ok(array) = self.npz.by_name::<ndarray::OwnedRepr<$type>, IxDyn>(key) {
                    return array.mapv(|v| v as f64);
                }
            )*};
        }
        read!(f64, f32, i64, i32, u8);
        let array: ArrayD<bool> = self.npz.by_name(key).unwrap_or_else(|error| panic!("{key}: {error}"));
        array.mapv(|v| f64::from(u8::from(v)))
    }

    /// The arrays of a file whose key begins so, by the rest of the key.
    fn all(&mut self, file: &str, kind: &str) -> BTreeMap<String, ArrayD<f64>> {
        let prefix = format!("{file}/{kind}/");
        let names: Vec<String> =
            self.keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect();
        names.into_iter().map(|name| (name.clone(), self.array(&format!("{prefix}{name}")))).collect()
    }

    fn case(&mut self, file: &str) -> Case {
        let mut array = |key: &str| self.array(&format!("{file}/{key}"));
        let (y, z, target) = (array("y"), array("z"), array("target"));
        Case {
            file: file.to_owned(),
            y,
            z,
            target: target.iter().next().map_or(0, |v| *v as usize),
            inputs: self.all(file, "x"),
            fixed: self.all(file, "fix"),
            relevance: self.all(file, "r"),
            gradient: self.all(file, "g"),
        }
    }
}

/// A file with its inputs and what the reference says of it.
struct Case {
    file: String,
    inputs: BTreeMap<String, ArrayD<f64>>,
    fixed: BTreeMap<String, ArrayD<f64>>,
    y: ArrayD<f64>,
    z: ArrayD<f64>,
    target: usize,
    relevance: BTreeMap<String, ArrayD<f64>>,
    gradient: BTreeMap<String, ArrayD<f64>>,
}

fn files() -> Vec<String> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}

impl Case {
    fn load<T: Scalar>(&self) -> Result<Import<T>, String> {
        let fixed: Fixed =
            self.fixed.iter().map(|(name, value)| (name.clone(), FixedValue::Values(value.clone()))).collect();
        let options = Options { fixed, ..Options::default() };
        lrp_onnx::load::<T>(&folder().join(format!("{}.onnx", self.file)), &options).map_err(|e| e.to_string())
    }

    /// The inputs of the model, one sample of each.
    fn samples<T: Scalar>(&self, import: &Import<T>) -> Result<Vec<Tensor<T>>, String> {
        let sample = |name: &String| {
            let x = self.inputs.get(name).ok_or_else(|| format!("the reference has no input '{name}'"))?;
            let info = import.inputs.iter().find(|info| info.name == *name).ok_or("an input that is not listed")?;
            let shape = [&[1], info.sample.as_slice()].concat();
            let values = x.iter().map(|&v| T::of(v)).collect::<Vec<T>>();
            Tensor::from_shape_vec(IxDyn(&shape), values).map_err(|_| format!("'{name}' is read as {shape:?}"))
        };
        import.input_names.iter().map(sample).collect()
    }

    fn explain<T: Scalar>(&self, preset: &str) -> Result<(Import<T>, Explanation<T>), String> {
        let import = self.load::<T>()?;
        let samples = self.samples(&import)?;
        let model = Arc::new(import.model.clone());
        let recipe = Recipe::preset(preset).unwrap();
        let assignment = recipe.resolve(&model).map_err(|e| e.to_string())?.assignment();
        let plan = Plan::new(model, &assignment).map_err(|e| e.to_string())?;
        let record = plan.record_all(&samples).map_err(|e| e.to_string())?;
        let explanation = record.explain(&Target::Class(self.target), Start::Logit).map_err(|e| e.to_string())?;
        Ok((import, explanation))
    }

    /// The largest difference of the model's own output from ONNX Runtime's, relative to the output's range.
    fn forward_error(&self) -> Result<f64, String> {
        let (import, explanation) = self.explain::<f32>("lrp-epsilon")?;
        let output = match (&import.quantized, &import.output_function) {
            (Some(quantized), _) => {
                let samples = self.samples(&import)?;
                quantized.output(&samples.iter().collect::<Vec<_>>()).ok_or("no output with rounding")?
            }
            (None, Some(function)) => function.of(&explanation.output),
            (None, None) => explanation.output.clone(),
        };
        balanced(&explanation, 1e-4)?;
        difference(&wide(&output), &self.y)
    }

    /// Compares in double precision: what is explained, the ledger, and the relevance of every explained input.
    fn relevance_error(&self) -> Result<f64, String> {
        let (import, explanation) = self.explain::<f64>("lrp-epsilon")?;
        let forward = difference(&explanation.output, &self.z)?;
        // Of constants that the file has rounded to f32, the importer takes some as they are meant: √2 in a GELU, a sixth in a hard swish.
        if forward > 1e-8 {
            return Err(format!("what is explained differs by {forward:.1e}"));
        }
        balanced(&explanation, 1e-9)?;
        largest_difference(&import, &explanation, &self.relevance)
    }

    /// The same for gradient × input, by LRP-0.
    fn gradient_error(&self) -> Result<f64, String> {
        let (import, explanation) = self.explain::<f64>("lrp-0")?;
        largest_difference(&import, &explanation, &self.gradient)
    }

    fn check(&self) -> Result<(), String> {
        let forward = self.forward_error()?;
        let relevance = self.relevance_error()?;
        let gradient = if self.gradient.is_empty() { 0.0 } else { self.gradient_error()? };
        println!("{:36} output {forward:8.1e}, relevance {relevance:8.1e}, gradient {gradient:8.1e}", self.file);
        for (what, error, limit) in
            [("output", forward, 1e-4), ("relevance", relevance, 1e-8), ("gradient × input", gradient, 1e-8)]
        {
            if error > limit {
                return Err(format!("its {what} differs by {error:.1e}"));
            }
        }
        Ok(())
    }
}

fn wide<T: Scalar>(values: &Tensor<T>) -> Tensor<f64> {
    values.mapv(|v| v.wide())
}

fn balanced<T: Scalar>(explanation: &Explanation<T>, limit: f64) -> Result<(), String> {
    match explanation.ledger.worst_imbalance() {
        worst if worst <= limit => Ok(()),
        worst => Err(format!("in {} its ledger is out of balance by {worst:.1e}", T::NAME)),
    }
}

/// The largest difference, relative to the larger of the range and the largest expected value. Shapes need not agree, numbers of elements do:
/// a file's batch is an axis of the sample in a whole run.
fn difference(values: &ArrayD<f64>, expected: &ArrayD<f64>) -> Result<f64, String> {
    if values.len() != expected.len() {
        return Err(format!("there are {:?} values, expected {:?}", values.shape(), expected.shape()));
    }
    let size = expected.iter().fold(f64::MIN_POSITIVE, |size, v| size.max(v.abs()));
    let pairs = values.iter().zip(expected);
    Ok(pairs.fold(0.0, |worst: f64, (a, b)| if a.is_finite() { worst.max((a - b).abs()) } else { f64::INFINITY })
        / size)
}

/// Relative to the largest relevance at any of the inputs.
fn largest_difference(
    import: &Import<f64>,
    explanation: &Explanation<f64>,
    expected: &BTreeMap<String, ArrayD<f64>>,
) -> Result<f64, String> {
    let (mut got, mut wanted) = (Vec::new(), Vec::new());
    for (name, expected) in expected {
        let at = import.input_names.iter().position(|n| n == name).ok_or_else(|| format!("'{name}' is no input"))?;
        let relevance = &explanation.relevance[at];
        if relevance.len() != expected.len() {
            return Err(format!("relevance of '{name}' has the shape {:?}", relevance.shape()));
        }
        got.extend(relevance.iter().copied());
        wanted.extend(expected.iter().copied());
    }
    difference(&Array1::from(got).into_dyn(), &Array1::from(wanted).into_dyn())
}

#[test]
fn there_is_a_reference_for_every_file() {
    let files = files();
    let references = References::open();
    assert_eq!(files.len(), FILES, "the number of files, which is at least 60");
    for file in &files {
        let has = |part: &str| references.keys.iter().any(|key| key.starts_with(&format!("{file}/{part}")));
        assert!(has("y") && has("z") && has("target") && has("r/"), "{file}: run tools/zoo_reference.py");
    }
    for (file, _) in KNOWN {
        assert!(files.iter().any(|name| name == file), "{file} is known and does not exist");
    }
}

#[test]
fn every_file_is_explained_as_the_reference_explains_it() {
    let mut references = References::open();
    let mut failures = Vec::new();
    for file in files() {
        let known = KNOWN.iter().find(|(name, _)| *name == file);
        match (references.case(&file).check(), known) {
            (Err(error), None) => failures.push(format!("{file}: {error}")),
            (Ok(()), Some(_)) => failures.push(format!("{file} agrees now: it is not to be listed as known")),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} files differ:\n{}", failures.len(), failures.join("\n"));
}
