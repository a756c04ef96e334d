//! What to do, decided: the command line and the recipe merged into one value that the program runs on.
//!
//! Flags override what the recipe says.

use std::path::PathBuf;

use lrp_config::{Input, OnUnknown, Precision, Recipe, Save, Start, Target};

use crate::args::{HowArgs, ModelArgs, Numbers, OutputArgs, PixelArgs, PrepareArgs, Ranges, WhatArgs};
use crate::failure::Failure;
use crate::input;
use crate::look::Look;
use crate::threads;

/// Samples explained at once unless the user says otherwise.
const BATCH: usize = 32;

/// Which model, and what is known of it.
#[derive(Debug, Clone)]
pub struct ModelJob {
    /// The ONNX file.
    pub path: PathBuf,
    /// The shape of a sample, where the user states it.
    pub sample_shape: Option<Vec<usize>>,
    /// The first input that is an array: its shape serves where the model leaves axes open and the user states none.
    pub example: Option<PathBuf>,
    /// A file with a label for each class.
    pub labels: Option<PathBuf>,
    /// Whether every product is made, however slow that is.
    pub exact: bool,
    /// Whether memory counts more than time.
    pub low_memory: bool,
    /// Whether the model's files are read as a whole, however large they are.
    pub no_mmap: bool,
}

/// What is explained, and how.
#[derive(Debug, Clone)]
pub struct HowJob {
    /// The outputs.
    pub target: Target,
    /// Relevance put on them.
    pub start: Start,
    /// Numbers to calculate with.
    pub precision: Precision,
    /// Samples at once.
    pub batch: usize,
    /// How images become input.
    pub input: Input,
    /// The rule of nodes that need one and have none.
    pub on_unknown: Option<OnUnknown>,
}

/// What an explanation, or a check of one, is made of.
pub struct WhatJob {
    /// The model.
    pub model: ModelJob,
    /// The recipe.
    pub recipe: Recipe,
    /// The input files.
    pub inputs: Vec<PathBuf>,
    /// What is explained, and how.
    pub how: HowJob,
}

/// Where results go.
#[derive(Debug, Clone)]
pub struct OutputJob {
    /// The folder.
    pub dir: PathBuf,
    /// What is written.
    pub save: Vec<Save>,
    /// How heatmaps look.
    pub look: Look,
    /// Whether a run that was interrupted is continued.
    pub resume: bool,
    /// Whether what another run has left there is removed.
    pub force: bool,
    /// Whether time and memory of every layer are shown.
    pub stats: bool,
    /// Whether the manifest is printed instead of a table.
    pub json: bool,
}

impl ModelJob {
    /// The model that the flags or the recipe name.
    pub fn new(args: Option<&ModelArgs>, recipe: Option<&Recipe>) -> Result<Self, Failure> {
        let files = recipe.map(Recipe::model);
        let path = args.and_then(|a| a.model.clone()).or_else(|| files.and_then(|f| f.path.clone()));
        let path = path.ok_or_else(|| {
            let help = "let the recipe name it: path = \"….onnx\" under [model]";
            Failure::user("no model is given", flag_or(args.is_some(), "-m MODEL.onnx", help))
        })?;
        let labels = args.and_then(|a| a.labels.clone()).or_else(|| files.and_then(|f| f.labels.clone()));
        // What only the recipe names is shown in the recipe.
        for (key, wanted, flag) in [
            ("model.path", Some(&path), args.and_then(|a| a.model.as_ref())),
            ("model.labels", labels.as_ref(), args.and_then(|a| a.labels.as_ref())),
        ] {
            if let (Some(wanted), None, Some(recipe)) = (wanted, flag, recipe)
                && !wanted.exists()
            {
                return Err(recipe.missing_file(key, wanted).into());
            }
        }
        Ok(Self {
            path,
            sample_shape: args.map(|a| a.input_shape.clone()).filter(|s| !s.is_empty()),
            example: None,
            labels,
            exact: recipe.and_then(|r| r.explain().exact).unwrap_or_default(),
            low_memory: false,
            no_mmap: false,
        })
    }

    /// Computed as the flags say, or as the recipe did.
    pub fn computed(self, args: PrepareArgs) -> Self {
        // Transformed weights are the largest of all that could be kept.
        let exact = self.exact || args.exact || args.low_memory;
        Self { exact, low_memory: args.low_memory, no_mmap: args.no_mmap, ..self }
    }

    /// As [`new`](Self::new), with the inputs to take a shape from.
    pub fn for_inputs(args: Option<&ModelArgs>, recipe: &Recipe, inputs: &[PathBuf]) -> Result<Self, Failure> {
        let job = Self::new(args, Some(recipe))?;
        Ok(Self { example: inputs.iter().find(|path| input::is_array(path)).cloned(), ..job })
    }
}

/// Help for something that the recipe can name, and a flag as well where the command has one.
fn flag_or(has_flag: bool, flag: &str, help: &str) -> String {
    if has_flag { format!("pass {flag}, or {help}") } else { help.to_owned() }
}

/// The input files that the flags (where the command has them) or the recipe name.
pub fn inputs(flags: Option<&[PathBuf]>, recipe: &Recipe) -> Result<Vec<PathBuf>, Failure> {
    let listed = recipe.explain().inputs.as_deref().unwrap_or_default();
    let patterns = flags.filter(|flags| !flags.is_empty()).unwrap_or(listed);
    if patterns.is_empty() {
        let help = "let the recipe name it: inputs = [\"…\"] under [explain]";
        return Err(Failure::user("no input is given", flag_or(flags.is_some(), "-i INPUT…", help)));
    }
    let is_glob = |path: &&PathBuf| path.to_string_lossy().contains(['*', '?', '[']);
    let missing = listed.iter().find(|path| !path.exists() && !is_glob(path));
    if let Some(missing) = missing.filter(|_| flags.is_none_or(<[PathBuf]>::is_empty)) {
        return Err(recipe.missing_file("explain.inputs", missing).into());
    }
    input::expand(patterns)
}

/// What the recipe's `[input]` and these flags say of the model's input.
fn pixels(flags: &PixelArgs, recipe: &Recipe) -> Result<Input, Failure> {
    let mut input = recipe.input().clone();
    if let Some(preset) = flags.input_preset {
        input.take_preset(preset);
    }
    input.range = flags.range.clone().map(|Ranges(range)| range).or(input.range);
    input.mean = flags.mean.clone().map(|Numbers(mean)| mean).or(input.mean);
    input.std = flags.std.clone().map(|Numbers(std)| std).or(input.std);
    input.channels = flags.channels.or(input.channels);
    match input.mismatch() {
        Some(message) => {
            let help = "--range, --mean and --std override what [input] says: give one value for all channels, or one for each";
            Err(Failure::user(message, help))
        }
        None => Ok(input),
    }
}

/// The recipe with what flags say of pixels: z-box takes its bounds from that.
///
/// # Errors
/// As [`HowJob::new`].
pub fn scaled(recipe: Recipe, how: &HowArgs) -> Result<Recipe, Failure> {
    let input = pixels(&how.pixels, &recipe)?;
    Ok(recipe.replace_input(input))
}

impl HowJob {
    /// Flags over recipe over defaults.
    ///
    /// # Errors
    /// When what flags and recipe say of pixels is for different numbers of channels.
    pub fn new(args: &HowArgs, recipe: &Recipe) -> Result<Self, Failure> {
        let explain = recipe.explain();
        let mut input = pixels(&args.pixels, recipe)?;
        input.resize = args.resize.or(input.resize);
        input.kind = args.kind.or(input.kind);
        input.tokens = args.tokens.clone().or(input.tokens);
        Ok(Self {
            target: args.target.clone().or_else(|| explain.target.clone()).unwrap_or_default(),
            start: args.start.or(explain.start).unwrap_or_default(),
            precision: args.precision.or(explain.precision).unwrap_or_default(),
            batch: args.batch.map(|n| n as usize).or(explain.batch).unwrap_or(BATCH),
            input,
            on_unknown: args.prepare.on_unknown,
        })
    }
}

impl WhatJob {
    /// What the flags name, and where they are silent the recipe.
    pub fn new(args: &WhatArgs) -> Result<Self, Failure> {
        let recipe = Recipe::find(&args.recipe)?;
        threads::start(args.how.threads)?;
        let inputs = inputs(Some(&args.input), &recipe)?;
        let model = ModelJob::for_inputs(Some(&args.model), &recipe, &inputs)?.computed(args.how.prepare);
        let how = HowJob::new(&args.how, &recipe)?;
        Ok(Self { model, inputs, recipe: scaled(recipe, &args.how)?, how })
    }

    /// What a recipe names, under these flags.
    pub fn of_recipe(recipe: Recipe, how: &HowArgs) -> Result<Self, Failure> {
        let inputs = inputs(None, &recipe)?;
        let model = ModelJob::for_inputs(None, &recipe, &inputs)?.computed(how.prepare);
        let job = HowJob::new(how, &recipe)?;
        Ok(Self { model, inputs, recipe: scaled(recipe, how)?, how: job })
    }
}

impl OutputJob {
    /// Whether relevance and ledger are written: for themselves, or to make others from.
    pub fn keeps_relevance(&self) -> bool {
        self.save.iter().any(|what| !matches!(what, Save::Png | Save::Json | Save::Html))
    }

    /// Flags over recipe over defaults.
    pub fn new(args: &OutputArgs, recipe: &Recipe) -> Result<Self, Failure> {
        let output = recipe.output();
        let dir = args.dir.clone().or_else(|| output.dir.clone()).ok_or_else(|| {
            Failure::user(
                "no output folder is given",
                "pass -o DIR, or let the recipe name it: dir = \"…\" under [output]",
            )
        })?;
        let save = args.save.clone().or_else(|| output.save.clone());
        let mut save = save.unwrap_or_else(|| vec![Save::Npy, Save::Png, Save::Json]);
        if save.contains(&Save::Html) {
            // What the report is made from; `lrp report` can make it again.
            save.extend([Save::Npy, Save::Json]);
        }
        Ok(Self {
            dir,
            save,
            look: Look::new(&args.look, recipe),
            resume: args.resume,
            force: args.force,
            stats: args.stats,
            json: args.json,
        })
    }
}
