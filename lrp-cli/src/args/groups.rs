//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use lrp_config::{Begin, Colormap, Kind, NameGlob, OnUnknown, Precision, Resize, Save, Scale, Size, Target};

use super::pixels::PixelArgs;
use super::values::{
    Fix, colormap, fixed, kind, node_glob, opacity, percentile, precision, resize, save, scale, size, start, target,
};

/// A model, a recipe and inputs.
#[derive(Debug, Args)]
pub struct WhatArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A recipe file, or the name of a preset
    #[arg(short, long)]
    pub recipe: String,
    /// Images, .npy, .npz, .csv or .txt files, folders or globs; for a model with several inputs, NAME=FILE for each, or .npz files with an
    /// array for each
    #[arg(short, long, num_args = 1.., value_name = "INPUT")]
    pub input: Vec<PathBuf>,
    #[command(flatten)]
    pub how: HowArgs,
}

/// The model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The model, an ONNX file (or the recipe's [model] path)
    #[arg(short, long)]
    pub model: Option<PathBuf>,
    /// The input's shape without the batch axis, where the model leaves axes open
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub input_shape: Vec<usize>,
    /// The output to explain, or a tensor or node inside the model [default: the first output that holds no classes]
    #[arg(long, value_name = "NAME")]
    pub model_output: Option<String>,
    /// A text file with a label for each class, one on a line
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Fix an input of the model to a value for every sample: a number, zeros, ones, [numbers], or an .npy or .npz file; one --fix for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = fixed)]
    pub fix: Vec<Fix>,
}

/// Target and start of the explanation, and options of the computation.
#[derive(Debug, Args, Default)]
pub struct HowArgs {
    /// argmax, a class (index or label), all, or a table such as "{ top = 3 }"; the forms are below [default: argmax]
    #[arg(long, value_parser = target)]
    pub target: Option<Target>,
    /// A table (.csv) with a target for each sample: columns input, target and, where an input has several samples, sample
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// Relevance that the walk starts with: the logit of the target, or one [default: logit]; the maps of a negative logit have opposite signs.
    /// "{ at = \"layer3\", channels = [17, 42] }" starts inside the network, with the relevance that these channels of a node receive
    #[arg(long, value_parser = start)]
    pub start: Option<Begin>,
    /// Numbers to calculate with: f32 or f64 [default: f32]
    #[arg(long, value_parser = precision)]
    pub precision: Option<Precision>,
    /// Number of threads [default: all cores]; results do not depend on it
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Samples explained at once [default: 32]; results do not depend on it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    #[command(flatten)]
    pub pixels: PixelArgs,
    /// Resizing of images of another size than the model's: crop or stretch [default: an error]
    #[arg(long, value_parser = resize)]
    pub resize: Option<Resize>,
    /// Kind of sample: image, series ([C, L]), series-last ([L, C]) or tokens ([L, D]) [default: by the model and the inputs]
    #[arg(long, value_parser = kind)]
    pub kind: Option<Kind>,
    /// The texts of the tokens: one on a line, an empty line between samples; or a JSON file with a list for each sample
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// The model's tokenizer.json: inputs can be .txt files then, with a sample on each line. Needs a build with --features tokenizer
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Draw the pieces of a word as one word, with the sum of their relevance; files of numbers keep each token
    #[arg(long)]
    pub words: bool,
    #[command(flatten)]
    pub prepare: PrepareArgs,
}

/// Preparation of a model and its rules.
#[derive(Debug, Args, Default, Clone, Copy)]
pub struct PrepareArgs {
    /// Rule for layers that the recipe does not reach, and for operators without a relevance rule: gradient or pass
    /// [default: an error that names them]
    #[arg(long, value_name = "RULE")]
    pub on_unknown: Option<OnUnknown>,
    /// Disable Winograd convolutions, which are faster for 3×3 kernels in f32 and slightly less accurate
    #[arg(long)]
    pub exact: bool,
    /// Use less memory and more time: pack weights for each batch, without Winograd convolutions
    #[arg(long)]
    pub low_memory: bool,
    /// Read model files completely. By default, files above 64 MiB are mapped into memory: a run ends with an error if such a file is
    /// written to, and the system may end the program (SIGBUS) if it is truncated
    #[arg(long)]
    pub no_mmap: bool,
}

/// Where results go.
#[derive(Debug, Args, Default)]
pub struct OutputArgs {
    /// The folder that results are written to
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Files to write: npy, npz, safetensors, png, svg, json, html (a report in one file, made from npy and json), quantus, virelay
    /// [default: npy,png,json]
    #[arg(long, value_delimiter = ',', value_parser = save)]
    pub save: Option<Vec<Save>>,
    /// Save relevance inside the network, too: that which a node receives, of every node whose name matches, as layer3 or '*/Softmax'
    #[arg(long, value_name = "GLOB", value_parser = node_glob)]
    pub at: Vec<NameGlob>,
    #[command(flatten)]
    pub look: LookArgs,
    /// Resume an interrupted run in this folder
    #[arg(long)]
    pub resume: bool,
    /// Start again in the folder of another run; remove its results and its journal
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Show time and memory of every layer after the run
    #[arg(long)]
    pub stats: bool,
    /// Print the manifest instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Appearance of heatmaps.
#[derive(Debug, Args, Default)]
pub struct LookArgs {
    /// Colours: a name that lrp palette lists, or colours from the most negative value to the most positive, as
    /// 00f,80:fff,f00 [default: bwr]
    #[arg(long, value_name = "NAME|COLOURS", value_parser = colormap)]
    pub colormap: Option<Colormap>,
    /// Range of the colours: symmetric, with zero in the centre, or positive, from zero up [default: symmetric]
    #[arg(long, value_parser = scale)]
    pub scale: Option<Scale>,
    /// The percentile of |R| at the ends of the colours, as 99.5 [default: 100, the maximum]
    #[arg(long, value_name = "PERCENTILE", value_parser = percentile)]
    pub clip: Option<f64>,
    /// Draw relevance over the input, with this opacity at the maximum, as 0.8 [default: the heatmap alone]
    #[arg(long, value_name = "OPACITY", value_parser = opacity)]
    pub overlay: Option<f64>,
    /// Enlarge heatmaps to at least this number of pixels on the longer side, as 448, or by a factor, as 4x [default: 224; in figures 160]
    #[arg(long, value_name = "PIXELS|FACTOR", value_parser = size)]
    pub size: Option<Size>,
}

/// Format of a listing.
#[derive(Debug, Args, Clone, Copy)]
pub struct Listing {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}
