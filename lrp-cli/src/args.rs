//! The command line. Its doc comments are what `--help` prints: `[model]` is a section of a recipe there, no link.

#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lrp::check::Limit;
use lrp_config::{
    Begin, Channels, Colormap, FixedInput, InputPreset, Kind, NameGlob, OnUnknown, Precision, Resize, Save, Scale,
    Size, Target,
};

/// Layer-wise relevance propagation: which parts of an input a neural network's prediction rests on.
#[derive(Debug, Parser)]
#[command(name = "lrp", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 a check did not hold, 2 the input was wrong, 3 an internal error, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment file
    Run(RunArgs),
    /// Explain inputs: relevance, heatmaps and a manifest
    Explain(ExplainArgs),
    /// Show the model as imported: index, name, operator, shapes, parameters
    Layers(LayersArgs),
    /// Show the rule of every layer and the recipe entry that chose it, without running anything
    Plan(PlanArgs),
    /// Show the ledger layer by layer and test the invariants; exit 1 if one does not hold
    Check(CheckArgs),
    /// Draw one figure: inputs down, recipes across
    Compare(CompareArgs),
    /// Make a report of explained inputs: one HTML file to share
    Report(ReportArgs),
    /// List the rules and their parameters
    Rules(Listing),
    /// List the presets, or print one
    Presets(PresetsArgs),
    /// List the colour maps, or draw them
    Palette(PaletteArgs),
    /// Print the JSON Schema of recipes, for editors, or their reference page
    Schema(SchemaArgs),
    /// Write a commented recipe for a model
    Init(InitArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(ManArgs),
}

impl Command {
    /// Whether the output is for machines.
    pub fn json(&self) -> bool {
        match self {
            Command::Run(args) => args.output.json,
            Command::Explain(args) => args.output.json,
            Command::Layers(args) => args.listing.json,
            Command::Plan(args) => args.listing.json,
            Command::Check(args) => args.listing.json,
            Command::Rules(listing) => listing.json,
            Command::Presets(args) => args.listing.json,
            Command::Palette(args) => args.listing.json,
            Command::Report(args) => args.listing.json,
            Command::Compare(_) | Command::Schema(_) | Command::Init(_) | Command::Completions(_) | Command::Man(_) => {
                false
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The model, an ONNX file
    #[arg(short, long)]
    pub model: PathBuf,
    /// The input's shape without the batch axis, where the model leaves axes open
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub input_shape: Vec<usize>,
    /// The output to explain, where the model has several [default: the first that holds no classes]
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
    /// Images, .npy, .npz or .csv files, folders or globs; for a model with several inputs, NAME=FILE for each, or .npz files with an array
    /// for each
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

/// A model, a recipe and inputs.
#[derive(Debug, Args)]
pub struct WhatArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A recipe file, or the name of a preset
    #[arg(short, long)]
    pub recipe: String,
    /// Images, .npy, .npz or .csv files, folders or globs; for a model with several inputs, NAME=FILE for each, or .npz files with an array
    /// for each
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
    /// The output to explain, where the model has several [default: the first that holds no classes]
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
    #[command(flatten)]
    pub prepare: PrepareArgs,
}

/// A fixed input: its name and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix(pub String, pub FixedInput);

/// Scaling of pixels; overrides the recipe's [input].
#[derive(Debug, Args, Default)]
pub struct PixelArgs {
    /// Pixel scaling of the model, by name: imagenet (torchvision), keras-caffe, keras-tf or mnist. Sets range, mean, std and channels,
    /// which other flags override
    #[arg(long, value_name = "NAME", value_parser = input_preset)]
    pub input_preset: Option<InputPreset>,
    /// Values of the darkest and the brightest pixel before mean and std, as 0,255 or -1,1; or a pair for each channel [default: 0,1]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = range)]
    pub range: Option<Ranges>,
    /// Subtracted from pixels, in the units of the range: a number, or one for each channel, as 0.485,0.456,0.406 [default: 0]
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, value_parser = numbers)]
    pub mean: Option<Numbers>,
    /// Divisor of the difference: a number, or one for each channel, as 0.229,0.224,0.225 [default: 1]
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, value_parser = positive)]
    pub std: Option<Numbers>,
    /// The model's channels in its order: rgb, bgr or grey [default: rgb, or grey if it has one channel]
    #[arg(long, value_parser = channels)]
    pub channels: Option<Channels>,
}

/// Numbers with commas between them: one for all channels, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(pub Vec<f64>);

/// Lowest and highest value, for all channels or for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges(pub Vec<[f64; 2]>);

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

/// Format of a listing.
#[derive(Debug, Args, Clone, Copy)]
pub struct Listing {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
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

fn choose<V: Copy>(text: &str, choices: &[(&str, V)]) -> Result<V, String> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("expected {} or {last}", others.join(", ")),
            _ => format!("expected {}", names.join("")),
        }
    })
}

fn fixed(text: &str) -> Result<Fix, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let help = "not a value\n  give a number, [numbers], zeros, ones, or an .npy or .npz file";
            Ok(Fix(name.to_owned(), value.parse().map_err(|_| help.to_owned())?))
        }
        _ => Err("expected NAME=VALUE\n  give the name of an input of the model, and its value".to_owned()),
    }
}

fn target(text: &str) -> Result<Target, String> {
    // The value itself is named by the message around this one.
    text.parse().map_err(|why: String| in_lines(why.split_once(" is no target: ").map_or(why.as_str(), |(_, why)| why)))
}

/// A message in lines that fit on a screen, set in, unless it is short.
fn in_lines(message: &str) -> String {
    const WIDTH: usize = 90;
    if message.chars().count() <= WIDTH / 2 {
        return message.to_owned();
    }
    let mut lines: Vec<String> = Vec::new();
    for word in message.split_whitespace() {
        match lines.last_mut() {
            // What comes before the first line is long already.
            Some(line) if lines_fit(line, word, WIDTH) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    format!("\n  {}", lines.join("\n  "))
}

/// Whether a line has room for a word.
fn lines_fit(line: &str, word: &str, width: usize) -> bool {
    line.chars().count() + 1 + word.chars().count() <= width
}

fn node_glob(text: &str) -> Result<NameGlob, String> {
    text.parse()
}

fn start(text: &str) -> Result<Begin, String> {
    text.parse()
}

fn precision(text: &str) -> Result<Precision, String> {
    choose(text, &[("f32", Precision::F32), ("f64", Precision::F64)])
}

fn resize(text: &str) -> Result<Resize, String> {
    choose(text, &[("crop", Resize::Crop), ("stretch", Resize::Stretch)])
}

fn input_preset(text: &str) -> Result<InputPreset, String> {
    choose(text, &InputPreset::ALL.map(|preset| (preset.name(), preset)))
}

fn channels(text: &str) -> Result<Channels, String> {
    choose(text, &[Channels::Rgb, Channels::Bgr, Channels::Grey].map(|channels| (channels.name(), channels)))
}

fn numbers(text: &str) -> Result<Numbers, String> {
    // Brackets, as recipes write them, do no harm.
    let plain = text.replace(['[', ']'], "");
    let numbers = plain.split(',').map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite()));
    let numbers = numbers.collect::<Option<Vec<f64>>>();
    numbers.map(Numbers).ok_or_else(|| "expected a number, or one for each channel with commas between them".to_owned())
}

fn positive(text: &str) -> Result<Numbers, String> {
    let numbers = numbers(text)?;
    match numbers.0.iter().all(|number| *number > 0.0) {
        true => Ok(numbers),
        false => Err("expected numbers greater than 0: pixels are divided by them".to_owned()),
    }
}

fn range(text: &str) -> Result<Ranges, String> {
    let wrong = || "expected LOW,HIGH with LOW below HIGH, as 0,255; or such a pair for each channel".to_owned();
    let Numbers(numbers) = numbers(text).map_err(|_| wrong())?;
    let pairs: Vec<[f64; 2]> = numbers.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).collect();
    let fits = 2 * pairs.len() == numbers.len() && pairs.iter().all(|[low, high]| low < high);
    if fits { Ok(Ranges(pairs)) } else { Err(wrong()) }
}

fn save(text: &str) -> Result<Save, String> {
    let choices = [
        ("npy", Save::Npy),
        ("npz", Save::Npz),
        ("safetensors", Save::Safetensors),
        ("png", Save::Png),
        ("svg", Save::Svg),
        ("json", Save::Json),
        ("html", Save::Html),
        ("quantus", Save::Quantus),
        ("virelay", Save::Virelay),
    ];
    choose(text, &choices)
}

fn save_picture(text: &str) -> Result<Save, String> {
    choose(text, &[("png", Save::Png), ("svg", Save::Svg)])
}

fn kind(text: &str) -> Result<Kind, String> {
    let choices =
        [("image", Kind::Image), ("series", Kind::Series), ("series-last", Kind::SeriesLast), ("tokens", Kind::Tokens)];
    choose(text, &choices)
}

fn scale(text: &str) -> Result<Scale, String> {
    choose(text, &[("symmetric", Scale::Symmetric), ("positive", Scale::Positive)])
}

fn colormap(text: &str) -> Result<Colormap, String> {
    text.parse().map_err(|why: String| indented(&why))
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|why: String| indented(&why))
}

/// The error, and indented below it the valid values.
fn indented(why: &str) -> String {
    let (wrong, right) = why.split_once('\n').unwrap_or((why, ""));
    let options = textwrap::Options::new(100).initial_indent("  ").subsequent_indent("  ");
    format!("{wrong}\n{}", textwrap::fill(right, options))
}

fn percentile(text: &str) -> Result<f64, String> {
    above_zero(text, 100.0)
}

fn opacity(text: &str) -> Result<f64, String> {
    above_zero(text, 1.0)
}

fn above_zero(text: &str, most: f64) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| *value > 0.0 && *value <= most);
    value.ok_or_else(|| format!("expected a number greater than 0 and at most {most}"))
}
