//! From the command line and the recipe to the jobs of `lrp-run`.
//!
//! Flags override the recipe.

use std::path::PathBuf;

use lrp::{Error, ModelOptions, Options};
use lrp_config::{Explain, FixedInputs, Input, Recipe, Save};
use lrp_render::Look;
use lrp_run::input::{self, FileSet, Pattern};
use lrp_run::job::{HowJob, ModelJob, OutputJob, WhatJob};

use crate::args::{Fix, HowArgs, LookArgs, ModelArgs, Numbers, OutputArgs, PixelArgs, PrepareArgs, Ranges, WhatArgs};
use crate::threads;

/// The model that the flags or the recipe name.
///
/// # Errors
/// When neither names one, or a file of it is not there.
pub fn model(args: Option<&ModelArgs>, fix: &[Fix], recipe: Option<&Recipe>) -> Result<ModelJob, Error> {
    let files = recipe.map(Recipe::model);
    let path = args.and_then(|a| a.model.clone()).or_else(|| files.and_then(|f| f.path.clone()));
    let path = path.ok_or_else(|| {
        let help = "let the recipe name it: path = \"….onnx\" under [model]";
        Error::user("no model is given", flag_or(args.is_some(), "-m MODEL.onnx", help))
    })?;
    let labels = args.and_then(|a| a.labels.clone()).or_else(|| files.and_then(|f| f.labels.clone()));
    // A file that only the recipe names is shown in the recipe.
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
    let of_recipe = recipe.and_then(|recipe| recipe.explain().fixed.clone()).unwrap_or_default();
    let of_flags: FixedInputs = fix.iter().map(|Fix(name, value)| (name.clone(), value.clone())).collect();
    for (name, path) in of_recipe.iter().filter_map(|(name, value)| Some((name, value.file()?))) {
        if let Some(recipe) = recipe.filter(|_| !of_flags.contains_key(name) && !path.exists()) {
            return Err(recipe.missing_file("explain.fixed", path).into());
        }
    }
    // Flags override the values of single names.
    let fixed = of_recipe.into_iter().chain(of_flags).collect();
    let options = ModelOptions {
        sample_shape: args.map(|a| a.input_shape.clone()).filter(|s| !s.is_empty()),
        output: args.and_then(|a| a.model_output.clone()).or_else(|| recipe.and_then(|r| r.explain().output.clone())),
        sources: recipe.and_then(|recipe| recipe.explain().sources.clone()),
        exact: recipe.and_then(|r| r.explain().exact).unwrap_or_default(),
        ..ModelOptions::new(path)
    };
    Ok(ModelJob { options, labels, fixed, ..ModelJob::default() })
}

/// The same, computed as the flags say, or as the recipe did.
pub fn computed(job: ModelJob, args: PrepareArgs) -> ModelJob {
    // Transformed weights are the largest of all that could be kept.
    let exact = job.options.exact || args.exact || args.low_memory;
    let options = ModelOptions { exact, low_memory: args.low_memory, no_mmap: args.no_mmap, ..job.options };
    ModelJob { options, ..job }
}

/// The model of inputs, which a shape may be taken from, with a tokenizer for texts, computed as the flags say, or as the recipe did.
pub fn model_for_inputs(
    args: Option<&ModelArgs>,
    fix: &[Fix],
    recipe: &Recipe,
    inputs: &[FileSet],
    how: &HowArgs,
) -> Result<ModelJob, Error> {
    let texts = inputs.iter().flat_map(FileSet::files).map(|file| &file.path).filter(|path| input::is_text(path));
    let job = ModelJob {
        example: example(inputs),
        tokenizer: how.tokenizer.clone().or_else(|| recipe.input().tokenizer.clone()),
        texts: texts.cloned().collect(),
        ..model(args, fix, Some(recipe))?
    };
    Ok(computed(job, how.prepare))
}

/// The first input that is an array.
pub fn example(inputs: &[FileSet]) -> Option<FileSet> {
    inputs.iter().find(|set| set.files().all(|file| input::is_array(&file.path))).cloned()
}

/// Help for something that the recipe can name, and a flag as well where the command has one.
fn flag_or(has_flag: bool, flag: &str, help: &str) -> String {
    if has_flag { format!("pass {flag}, or {help}") } else { help.to_owned() }
}

/// The inputs that the flags (where the command has them) or the recipe name.
pub fn inputs(flags: Option<&[PathBuf]>, recipe: &Recipe) -> Result<Vec<FileSet>, Error> {
    let given = flags.filter(|flags| !flags.is_empty());
    let listed = recipe.explain().inputs.as_ref();
    let patterns = match given {
        Some(flags) => flags.iter().map(|text| Pattern::parse(text)).collect(),
        None => listed.map(Pattern::of_recipe).unwrap_or_default(),
    };
    if patterns.is_empty() {
        let help = "let the recipe name it: inputs = [\"…\"] under [explain]";
        return Err(Error::user("no input is given", flag_or(flags.is_some(), "-i INPUT…", help)));
    }
    let is_glob = |path: &&PathBuf| path.to_string_lossy().contains(['*', '?', '[']);
    let missing = listed.and_then(|listed| listed.paths().find(|path| !path.exists() && !is_glob(path)));
    if let Some(missing) = missing.filter(|_| given.is_none()) {
        return Err(recipe.missing_file("explain.inputs", missing).into());
    }
    input::sets(&patterns)
}

/// The model's input, by the recipe's `[input]` and these flags.
fn pixels(flags: &PixelArgs, recipe: &Recipe) -> Result<Input, Error> {
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
            Err(Error::user(message, help))
        }
        None => Ok(input),
    }
}

/// The recipe with the pixel scaling of flags: z-box takes its bounds from that.
///
/// # Errors
/// As [`how`].
pub fn scaled(recipe: Recipe, how: &HowArgs) -> Result<Recipe, Error> {
    let input = pixels(&how.pixels, &recipe)?;
    Ok(recipe.replace_input(input))
}

/// Target, start and options: flags over recipe over defaults.
///
/// # Errors
/// When flags and recipe give pixel scales for different numbers of channels.
pub fn how(args: &HowArgs, recipe: &Recipe) -> Result<HowJob, Error> {
    let explain = recipe.explain();
    let mut input = pixels(&args.pixels, recipe)?;
    input.resize = args.resize.or(input.resize);
    input.kind = args.kind.or(input.kind);
    input.tokens = args.tokens.clone().or(input.tokens);
    input.tokenizer = args.tokenizer.clone().or(input.tokenizer);
    input.words = args.words.then_some(true).or(input.words);
    let begin = Explain { start: args.start.clone().or_else(|| explain.start.clone()), ..Explain::default() };
    Ok(HowJob {
        targets: args.targets.clone().or_else(|| explain.targets.clone()),
        target: args.target.clone().or_else(|| explain.target.clone()).unwrap_or_default(),
        start: begin.start().unwrap_or_default(),
        start_at: begin.start_at().cloned(),
        precision: args.precision.or(explain.precision).unwrap_or_default(),
        batch: args.batch.map(|n| n as usize).or(explain.batch).unwrap_or(Options::BATCH),
        input,
        on_unknown: args.prepare.on_unknown,
    })
}

/// The values of the flags, else those of the recipe.
pub fn what(args: &WhatArgs) -> Result<WhatJob, Error> {
    let recipe = Recipe::find(&args.recipe)?;
    threads::start(args.how.threads)?;
    let inputs = inputs(Some(&args.input), &recipe)?;
    let model = model_for_inputs(Some(&args.model), &args.model.fix, &recipe, &inputs, &args.how)?;
    let how = how(&args.how, &recipe)?;
    Ok(WhatJob { model, inputs, recipe: scaled(recipe, &args.how)?, how })
}

/// The values of a recipe, under these flags.
pub fn what_of_recipe(recipe: Recipe, fix: &[Fix], how: &HowArgs) -> Result<WhatJob, Error> {
    let inputs = inputs(None, &recipe)?;
    let model = model_for_inputs(None, fix, &recipe, &inputs, how)?;
    let job = self::how(how, &recipe)?;
    Ok(WhatJob { model, inputs, recipe: scaled(recipe, how)?, how: job })
}

/// Where results go: flags over recipe over defaults.
pub fn output(args: &OutputArgs, recipe: &Recipe) -> Result<OutputJob, Error> {
    let output = recipe.output();
    let dir = args.dir.clone().or_else(|| output.dir.clone()).ok_or_else(|| {
        Error::user("no output folder is given", "pass -o DIR, or let the recipe name it: dir = \"…\" under [output]")
    })?;
    let save = args.save.clone().or_else(|| output.save.clone());
    let mut save = save.unwrap_or_else(|| vec![Save::Npy, Save::Png, Save::Json]);
    if save.contains(&Save::Html) {
        // The sources of the report; `lrp report` can make it again.
        save.extend([Save::Npy, Save::Json]);
    }
    Ok(OutputJob {
        dir,
        save,
        at: match args.at.as_slice() {
            [] => recipe.explain().at.clone().unwrap_or_default(),
            at => at.to_vec(),
        },
        look: look(&args.look, recipe),
        resume: args.resume,
        force: args.force,
        stats: args.stats,
    })
}

/// The appearance of heatmaps: flags over recipe over defaults.
pub fn look(args: &LookArgs, recipe: &Recipe) -> Look {
    let look = Look::of_recipe(recipe);
    Look {
        colormap: args.colormap.clone().unwrap_or(look.colormap),
        scale: args.scale.unwrap_or(look.scale),
        clip: args.clip.map_or(look.clip, |clip| Some(clip).filter(|clip| *clip < 100.0)),
        overlay: args.overlay.or(look.overlay),
        size: args.size.or(look.size),
    }
}
