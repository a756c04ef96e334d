//! The arguments of each command.

use std::path::PathBuf;

use clap::Args;
use lrp::check::Limit;
use lrp_config::{Colormap, InputPreset, Save};

use super::groups::{HowArgs, Listing, LookArgs, ModelArgs, OutputArgs, PrepareArgs, WhatArgs};
use super::pixels::input_preset;
use super::values::{Fix, colormap, fixed, save_picture};

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The model, an ONNX file
    #[arg(short, long)]
    pub model: PathBuf,
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
    /// Pixel scaling of the model, by name: imagenet (torchvision), keras-caffe, keras-tf or mnist
    #[arg(long, value_name = "NAME", value_parser = input_preset)]
    pub input_preset: Option<InputPreset>,
    /// Inputs that the recipe explains: images, .npy, .npz or .csv files, folders or globs; for a model with several inputs, NAME=FILE for each
    #[arg(short, long, num_args = 1.., value_name = "INPUT")]
    pub input: Vec<PathBuf>,
    /// The recipe's file; its paths are relative to it [default: standard output, with paths relative to this folder]
    #[arg(short, long, value_name = "FILE.toml")]
    pub out: Option<PathBuf>,
    /// Write over a file that is there already
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Write the schema of recipes beside the recipe, too, and name it there: editors complete and check with it
    #[arg(long, requires = "out")]
    pub schema: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// A folder: lrp.1, lrp-run.1 and so on are written there
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The experiment: a recipe with [model], [explain] and [output]
    pub file: PathBuf,
    /// Fix an input of the model to a value for every sample: a number, zeros, ones, [numbers], or an .npy or .npz file; one --fix for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = fixed)]
    pub fix: Vec<Fix>,
    #[command(flatten)]
    pub how: HowArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub what: WhatArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct LayersArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Show the changes of canonization to the graph
    #[arg(long)]
    pub passes: bool,
    /// Show the ONNX operators that are read instead of a model: kinds, behaviour of relevance, limits
    #[arg(long, conflicts_with_all = ["model", "passes", "json"])]
    pub supported: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A recipe file, or the name of a preset
    #[arg(short, long)]
    pub recipe: String,
    /// Show every node, not only those that a rule was chosen for
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub prepare: PrepareArgs,
    /// Exit 1 where there are warnings
    #[arg(long)]
    pub deny_warnings: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub what: WhatArgs,
    /// Exit 1 where a quantity is above a limit: absorbed, bias, stabilizer, rule, amplification, imbalance, f32-error
    #[arg(long, value_name = "QUANTITY=LIMIT", value_delimiter = ',')]
    pub fail_above: Vec<Limit>,
    /// Exit 1 where there are warnings
    #[arg(long)]
    pub deny_warnings: bool,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Recipe files or names of presets, one -r for each
    #[arg(short, long, required = true)]
    pub recipe: Vec<String>,
    /// Images, .npy, .npz, .csv or .txt files, folders or globs; for a model with several inputs, NAME=FILE for each, or .npz files with an
    /// array for each
    #[arg(short, long, num_args = 1.., value_name = "INPUT")]
    pub input: Vec<PathBuf>,
    /// The figure, a PNG or SVG file
    #[arg(short, long)]
    pub out: PathBuf,
    /// A title for each recipe, in their order
    #[arg(long, value_name = "TITLE")]
    pub title: Vec<String>,
    /// Formats that the figure is written in, too, beside that file: png, svg
    #[arg(long, value_delimiter = ',', value_parser = save_picture)]
    pub save: Vec<Save>,
    #[command(flatten)]
    pub look: LookArgs,
    #[command(flatten)]
    pub how: HowArgs,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder that lrp explain has written to
    pub dir: PathBuf,
    /// The report [default: report.html in that folder]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to look for inputs that are no longer where they were
    #[arg(short, long, value_name = "FOLDER")]
    pub inputs: Vec<PathBuf>,
    /// Maximum number of inputs that are shown [default: 1000]
    #[arg(long, value_name = "N")]
    pub max_samples: Option<usize>,
    /// Maximum size of the report, in megabytes [default: 64]
    #[arg(long, value_name = "MB")]
    pub max_size: Option<u32>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct PaletteArgs {
    /// Names of colour maps, or colours, as 00f,80:fff,f00 [default: all that have a name]
    #[arg(value_name = "NAME|COLOURS", value_parser = colormap)]
    pub maps: Vec<Colormap>,
    /// Draw them into this PNG or SVG file
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct PresetsArgs {
    /// Print this preset's recipe
    pub name: Option<String>,
    #[command(flatten)]
    pub listing: Listing,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the reference page of the format, in Markdown
    #[arg(long)]
    pub markdown: bool,
}
