//! `[model]`, `[explain]`, `[output]` and `[compare]`: the parts that make a recipe an experiment.
//!
//! The types are what the TOML is read into, and their docs are the keys' docs. Paths are relative to the recipe's folder in
//! the file, and joined to it here.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::begin::{Begin, StartAt};
use crate::colormap::Colormap;
use crate::inputs::{FixedInputs, FixedTable, InputFiles};
use crate::look::{Scale, Size, opacity, percentile};
use crate::names::NameGlob;
use crate::reference::Reference;
use crate::start::Start;
use crate::target::Target;
use crate::values::{OneOrMany, ValueError, one_or_many, positive_count};

/// `[model]`: the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFiles {
    /// The ONNX file.
    #[schemars(extend("x-default" = "none"), example = &"../examples/mnist/cnn.onnx")]
    pub path: Option<PathBuf>,
    /// A text file with the label of each class on a line of its own.
    #[schemars(extend("x-default" = "none"), example = &"labels.txt")]
    pub labels: Option<PathBuf>,
}

/// `[explain]`: inputs, outputs and computation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// Files, folders or globs; images, `.npy`, `.npz`, tables. For a model with several inputs, those of each of them by its name, or `.npz`
    /// files with an array for each.
    #[schemars(extend("x-default" = "none"), example = json!(["digits/*.png"]))]
    #[schemars(example = json!({ "left": "a.npy", "right": ["b.npy"] }))]
    pub inputs: Option<InputFiles>,
    /// The inputs of the model that are explained. The others are given, too, and their relevance is left out of the results.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<String>>", extend("x-default" = "floating-point numbers, 8-bit and 16-bit integers, and ids that go through an embedding"), example = json!(["left"]))]
    pub sources: Option<Vec<String>>,
    /// Inputs of the model that have the same value for every sample, and are not explained: a number, a list of numbers, `"zeros"`, `"ones"`,
    /// or an `.npy` or `.npz` file.
    #[schemars(with = "Option<FixedTable>", extend("x-default" = "none"))]
    #[schemars(example = json!({ "sr": 16000, "state": "zeros", "mask": "mask.npy" }))]
    pub fixed: Option<FixedInputs>,
    /// The name of the model's output to explain, or of a tensor or node inside the model.
    #[schemars(extend("x-default" = "the first that holds no classes"), example = &"logits")]
    pub output: Option<String>,
    /// Nodes inside the network whose relevance is saved, too, by globs over their names: of each that matches, the relevance that it receives.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<NameGlob>>", extend("x-default" = "none"), example = json!(["layer3", "*/Softmax"]))]
    pub at: Option<Vec<NameGlob>>,
    /// The explained outputs: `"argmax"`, a class by index or label, `"all"`, `{ top = 3 }` or `{ contrast = [0, 9] }`; of an output that is
    /// no class vector, [elements](../how-to/my-model.md#a-map-for-an-output) of it.
    #[schemars(extend("default" = "argmax"), example = 3, example = &"tabby", example = &"all")]
    #[schemars(example = json!({ "top": 3 }), example = json!({ "contrast": [0, 9] }), example = json!({ "at": -1, "class": "argmax" }))]
    pub target: Option<Target>,
    /// A table, `.csv`, with a target for each sample: columns `input` (a file's name, with or without its extension), `sample` (from 0, where
    /// a file has several) and `target` (as on the command line). Samples without a line have `target`.
    #[schemars(extend("x-default" = "none"), example = &"targets.csv")]
    pub targets: Option<PathBuf>,
    /// The relevance that the walk starts with; `{ at = "layer3", channels = [17, 42] }` starts inside the network, with the relevance that these
    /// channels of a node receive.
    #[schemars(extend("default" = Start::default()), example = Start::One, example = json!({ "at": "layer3", "channels": [17, 42] }))]
    pub start: Option<Begin>,
    /// The numbers to calculate with.
    #[schemars(extend("default" = Precision::default()), example = Precision::F64)]
    pub precision: Option<Precision>,
    /// Batch size, at least 1. Results do not depend on it.
    #[serde(default, deserialize_with = "positive_count")]
    #[schemars(extend("minimum" = 1, "x-default" = "the program's choice"), example = 16)]
    pub batch: Option<usize>,
    /// Disables Winograd convolutions, which are faster for 3×3 kernels in f32 and slightly less accurate.
    #[schemars(extend("default" = false), example = true)]
    pub exact: Option<bool>,
}

/// `precision = …`: the numbers to calculate with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, for speed.
    #[default]
    F32,
    /// Double precision, the reference.
    F64,
}

/// `[output]`: the folder of the results, and their appearance.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The folder that results are written to.
    #[schemars(extend("x-default" = "none"), example = &"out")]
    pub dir: Option<PathBuf>,
    /// Files to write: relevance and ledger as `"npy"`, relevance as `"npz"` or `"safetensors"`, heatmaps as `"png"` or `"svg"`, the manifest
    /// as `"json"`, arrays for Quantus as `"quantus"`, a project for ViRelAy as `"virelay"`, and all of it as a report, `"html"`, which
    /// `"npy"` and `"json"` are written for, too.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrMany<Save>>", extend("x-default" = "npy, png, json"), example = json!([Save::Npy, Save::Json]))]
    pub save: Option<Vec<Save>>,
    /// The colours of heatmaps: the name of a colour map, or colours from the most negative value to the most positive, at equal steps or
    /// at positions from `00` to `ff`. Zero is always at `80`, in the middle.
    #[schemars(extend("default" = Colormap::default().name()), example = &"coldnhot", example = &"00f,80:fff,f00")]
    pub colormap: Option<Colormap>,
    /// Range of the colours.
    #[schemars(extend("default" = Scale::default()), example = Scale::Positive)]
    pub scale: Option<Scale>,
    /// The percentile of |R| that the ends of the colours stand for, greater than 0 and at most 100, the maximum: a few very large values
    /// do not make all others pale.
    #[serde(default, deserialize_with = "percentile")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 100, "default" = 100), example = 99.5)]
    pub clip: Option<f64>,
    /// Draws relevance over the input, with this opacity at the maximum, greater than 0 and at most 1. Where relevance is zero, the
    /// input is seen, in grey.
    #[serde(default, deserialize_with = "opacity")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1, "x-default" = "the heatmap alone"), example = 0.8)]
    pub overlay: Option<f64>,
    /// Size of heatmaps: the minimum number of pixels on the longer side, or a factor. Pixels are enlarged by a whole factor.
    #[schemars(extend("x-default" = "224, and 160 in figures"), example = 448, example = &"1x", example = &"4x")]
    pub size: Option<Size>,
    /// A PNG or SVG file that shows every input and heatmap in one figure. If `save` lists the other of the two, the figure is written in both.
    #[serde(default, deserialize_with = "figure_path")]
    #[schemars(extend("pattern" = r"\.([pP][nN][gG]|[sS][vV][gG])$", "x-default" = "none"), example = &"figure.png")]
    pub figure: Option<PathBuf>,
}

/// An item of `save = […]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Save {
    /// Relevance, as numbers.
    Npy,
    /// Heatmaps, as pixels.
    Png,
    /// Heatmaps, as vectors; those of images have their pixels in them.
    Svg,
    /// The manifest.
    Json,
    /// The report.
    Html,
    /// Relevance, classes and scores, in an archive of arrays.
    Npz,
    /// Relevance, classes and scores, with the inputs they were made from.
    Safetensors,
    /// Inputs, classes and relevance of the whole run, as Quantus takes them.
    Quantus,
    /// A project that ViRelAy opens.
    Virelay,
}

/// `[compare]`: several recipes side by side, on the model and inputs of this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Presets or recipe files.
    #[schemars(extend("minItems" = 1, "x-default" = "none"), example = json!(["lrp-0", "composite.toml"]))]
    pub recipes: Option<Vec<Reference>>,
    /// A title for each of them.
    #[schemars(extend("x-default" = "each recipe's name"), example = json!(["LRP-0", "Composite"]))]
    pub titles: Option<Vec<String>>,
}

fn figure_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    let is = |format: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(format));
    if is("png") || is("svg") {
        Ok(Some(path))
    } else {
        let error = ValueError::new("a figure is a PNG or SVG file");
        Err(Error::custom(error.help("let its name end in .png or .svg")))
    }
}

impl ModelFiles {
    pub(crate) fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent, path, labels);
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        for path in self.path.iter_mut().chain(&mut self.labels) {
            *path = folder.join(&path);
        }
    }
}

impl Explain {
    /// The relevance that is put on the target: where the walk starts inside the network, the target's own value.
    pub fn start(&self) -> Option<Start> {
        self.start.as_ref().map(|begin| match begin {
            Begin::Output(start) => *start,
            Begin::Inside(_) => Start::Logit,
        })
    }

    /// The node inside the network where the walk starts, if it does.
    pub fn start_at(&self) -> Option<&StartAt> {
        match &self.start {
            Some(Begin::Inside(at)) => Some(at),
            _ => None,
        }
    }

    pub(crate) fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent, inputs, sources, output, at, target, targets, start, precision, batch, exact);
        // Each name by itself: a recipe can fix one more input than the one that it extends.
        for (name, value) in parent.fixed.iter().flatten() {
            self.fixed.get_or_insert_default().entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        self.inputs.iter_mut().for_each(|inputs| inputs.join(folder));
        self.fixed.iter_mut().flat_map(FixedInputs::values_mut).for_each(|value| value.join(folder));
        if let Some(path) = &mut self.targets {
            *path = folder.join(&path);
        }
        if let Some(target) = &mut self.target {
            target.join(folder);
        }
    }
}

impl Output {
    pub(crate) fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent, dir, save, colormap, scale, clip, overlay, size, figure);
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        for path in self.dir.iter_mut().chain(&mut self.figure) {
            *path = folder.join(&path);
        }
    }
}

impl Compare {
    /// Titles belong to the recipes they were written for: they come along only where the recipes do.
    pub(crate) fn inherit(&mut self, parent: &Self) {
        if self.recipes.is_none() {
            inherit!(self, parent, recipes, titles);
        }
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        self.recipes.iter_mut().flatten().for_each(|recipe| recipe.join(folder));
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let count = |length: usize, what: &str| format!("{length} {what}{}", if length == 1 { "" } else { "s" });
        match (&self.recipes, &self.titles) {
            (Some(recipes), _) if recipes.is_empty() => Err("no recipes to compare".to_owned()),
            (Some(recipes), Some(titles)) if recipes.len() != titles.len() => {
                Err(format!("{} for {}", count(titles.len(), "title"), count(recipes.len(), "recipe")))
            }
            (None, Some(_)) => Err("titles for no recipes".to_owned()),
            _ => Ok(()),
        }
    }
}
