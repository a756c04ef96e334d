//! `virelay/`: a project that ViRelAy opens, `project.yaml` with the files that it names. Embeddings and clusters are made by CoRelAy
//! (`tools/virelay_analysis.py`).
//!
//! `dataset.h5`: `data` `[N, H, W, 3]`, the inputs as pictures, and `label` `[N]`. `attribution.h5`: `attribution` `[N, C, H, W]`,
//! `prediction` `[N, classes]`, the model's outputs, `label` `[N]`, the explained class, and `index` `[N]`.

use std::io::Write;
use std::path::Path;

use hdf5_pure::FileBuilder;
use lrp::{Error, Layout, title};
use lrp_core::{Scalar, Tensor};
use lrp_render::picture;
use ndarray::{ArrayD, Axis, Slice};
use ndarray_npy::{ReadableElement, WritableElement};
use serde_json::{Value, json};

use super::{All, Run};
use crate::files;
use crate::manifest::InputRecord;

const FOLDER: &str = files::VIRELAY;

/// Writes the project; gives the files' names.
pub fn write<T: Scalar + WritableElement + ReadableElement>(
    run: &Run<'_, T>,
    records: &[InputRecord],
) -> Result<Vec<String>, Error> {
    let folder = run.path(FOLDER);
    std::fs::create_dir_all(&folder)
        .map_err(|e| Error::plain(format!("cannot make the folder '{}': {e}", folder.display())))?;
    let All { inputs, classes, relevance } = run.all(records)?;
    let labels: Vec<u16> = classes.iter().map(|class| u16::try_from(*class).unwrap_or(u16::MAX)).collect();
    let n = labels.len();

    let pictures = pictures(run, &inputs)?;
    let mut dataset = FileBuilder::new();
    dataset.create_dataset("data").with_u8_data(&pictures.1).with_shape(&pictures.0);
    dataset.create_dataset("label").with_u16_data(&labels).with_shape(&[n as u64]);
    save(&folder.join("dataset.h5"), dataset)?;

    let outputs = outputs(run, &inputs)?;
    let channels_first = match Layout::of(&run.given.shape()) {
        Some(Layout::ChannelsLast { .. }) => relevance.permuted_axes(vec![0, 3, 1, 2]),
        Some(Layout::Plane { .. }) => relevance.insert_axis(Axis(1)),
        _ => relevance,
    };
    let (index, classes): (Vec<u32>, u64) = ((0..).take(n).collect(), (outputs.len() / n.max(1)) as u64);
    let mut attribution = FileBuilder::new();
    let shape: Vec<u64> = channels_first.shape().iter().map(|axis| *axis as u64).collect();
    attribution.create_dataset("attribution").with_f32_data(&singles(&channels_first)).with_shape(&shape);
    attribution.create_dataset("prediction").with_f32_data(&outputs).with_shape(&[n as u64, classes]);
    attribution.create_dataset("label").with_u16_data(&labels).with_shape(&[n as u64]);
    attribution.create_dataset("index").with_u32_data(&index).with_shape(&[n as u64]);
    save(&folder.join("attribution.h5"), attribution)?;

    let map: Vec<Value> = (0..run.loaded.classes())
        .map(|class| json!({ "index": class, "word_net_id": class.to_string(), "name": run.loaded.label(class) }))
        .collect();
    files::write(&folder.join("label-map.json"), |file| serde_json::to_writer_pretty(file, &map))?;
    let model = run.loaded.options.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let project = project(&title(&run.job.what.recipe), &model);
    files::write(&folder.join("project.yaml"), |file| file.write_all(project.as_bytes()))?;
    Ok(["project.yaml", "dataset.h5", "attribution.h5", "label-map.json"]
        .map(|name| format!("{FOLDER}/{name}"))
        .to_vec())
}

/// The project file. A string of JSON is one of YAML too.
fn project(recipe: &str, model: &str) -> String {
    let text = |text: &str| Value::from(text).to_string();
    format!(
        "project:\n  name: {}\n  model: {}\n  label_map: label-map.json\n  dataset:\n    name: inputs\n    type: hdf5\n    path: dataset.h5\n  \
         attributions:\n    attribution_method: {}\n    attribution_strategy: predicted_label\n    sources:\n      - attribution.h5\n",
        text(&format!("{recipe} on {model}")),
        text(model),
        text(recipe),
    )
}

/// The inputs as pictures, `[N, H, W, 3]`.
fn pictures<T: Scalar>(run: &Run<'_, T>, inputs: &Tensor<T>) -> Result<([u64; 4], Vec<u8>), Error> {
    let mut bytes = Vec::new();
    let (mut height, mut width) = (0, 0);
    for sample in inputs.outer_iter() {
        let picture = picture(sample, &run.job.what.how.input);
        (height, width) = (picture.height(), picture.width());
        bytes.extend(picture.into_raw());
    }
    Ok(([inputs.shape()[0] as u64, u64::from(height), u64::from(width), 3], bytes))
}

/// The predictions of the model, `[N, classes]`.
fn outputs<T: Scalar>(run: &Run<'_, T>, inputs: &Tensor<T>) -> Result<Vec<f32>, Error> {
    let n = lrp_core::tensor::samples(inputs);
    let batch = run.job.what.how.batch;
    let mut outputs = Vec::new();
    for first in (0..n).step_by(batch) {
        let part = inputs.slice_axis(Axis(0), Slice::from(first..n.min(first + batch))).to_owned();
        let record = run.plan.record(&part)?;
        outputs.extend(singles(record.output()));
    }
    Ok(outputs)
}

/// Numbers in single precision, in their order.
fn singles<T: Scalar>(array: &ArrayD<T>) -> Vec<f32> {
    array.iter().map(|v| v.wide() as f32).collect()
}

fn save(path: &Path, file: FileBuilder) -> Result<(), Error> {
    let bytes = file.finish().map_err(|e| Error::Internal(format!("'{}': {e}", path.display())))?;
    files::write(path, |file| file.write_all(&bytes))
}
