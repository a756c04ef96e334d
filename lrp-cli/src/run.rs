//! `lrp run`, `lrp explain` and `lrp compare`: from arguments to jobs.

use lrp_config::{Compared, Recipe};

use crate::args::{CompareArgs, ExplainArgs, HowArgs, OutputArgs, RunArgs};
use crate::compare::CompareJob;
use crate::explain::ExplainJob;
use crate::failure::Failure;
use crate::job::{self, HowJob, ModelJob, OutputJob, WhatJob};
use crate::look::Look;
use crate::manifest::title;
use crate::threads;

/// Calls a function in the number type that was asked for.
macro_rules! in_precision {
    ($precision:expr, $($function:ident)::+, $($argument:expr),*) => {
        match $precision {
            lrp_config::Precision::F32 => $($function)::+::<f32>($($argument),*),
            lrp_config::Precision::F64 => $($function)::+::<f64>($($argument),*),
        }
    };
}
pub(crate) use in_precision;

/// `lrp run`: a comparison where the file has `[compare]`, and an explanation where it has `[output] dir`.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    if !args.file.exists() {
        let message = format!("there is no file '{}'", args.file.display());
        let help = "give a recipe with [model], [explain] and [output], as those in configs/";
        return Err(match lrp_config::closest_file(&args.file) {
            Some(file) => Failure::user(message, format!("did you mean '{}'? Or {help}", file.display())),
            None => Failure::user(message, help),
        });
    }
    let recipe = Recipe::load(&args.file)?;
    threads::start(args.how.threads)?;
    let compares = recipe.compare().recipes.is_some();
    let writes = args.output.dir.is_some() || recipe.output().dir.is_some();
    if compares || recipe.output().figure.is_some() {
        run_comparison(&recipe, &args.how, &args.output)?;
        if compares || !writes {
            return Ok(());
        }
    }
    run_explanation(recipe, args.how, args.output)
}

fn run_comparison(recipe: &Recipe, how: &HowArgs, output: &OutputArgs) -> Result<(), Failure> {
    let recipe = &job::scaled(recipe.clone(), how)?;
    let figure = recipe.output().figure.clone().ok_or_else(|| {
        Failure::user("the recipe compares, but names no figure", "add figure = \"….png\" under [output]")
    })?;
    // With -o, the figure goes there.
    let figure = match (&output.dir, figure.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => figure,
    };
    let mut recipes: Vec<(String, Recipe)> =
        recipe.compared()?.into_iter().map(|Compared { title, recipe }| (title, recipe)).collect();
    if recipes.is_empty() {
        recipes.push((title(recipe), recipe.clone()));
    }
    let inputs = job::inputs(None, recipe)?;
    let job = CompareJob {
        model: ModelJob::for_inputs(None, recipe, &inputs)?.computed(how.prepare),
        inputs,
        how: HowJob::new(how, recipe)?,
        look: Look::new(&output.look, recipe),
        recipes,
        figure,
    };
    in_precision!(job.how.precision, crate::compare::run, &job)
}

fn run_explanation(recipe: Recipe, how: HowArgs, output: OutputArgs) -> Result<(), Failure> {
    let what = WhatJob::of_recipe(recipe, &how)?;
    let output = OutputJob::new(&output, &what.recipe)?;
    let job = ExplainJob { what, output };
    in_precision!(job.what.how.precision, crate::explain::run, &job)
}

/// `lrp explain`.
pub fn explain(args: ExplainArgs) -> Result<(), Failure> {
    let what = WhatJob::new(&args.what)?;
    let output = OutputJob::new(&args.output, &what.recipe)?;
    let job = ExplainJob { what, output };
    in_precision!(job.what.how.precision, crate::explain::run, &job)
}

/// `lrp compare`.
pub fn compare(args: CompareArgs) -> Result<(), Failure> {
    threads::start(args.how.threads)?;
    if !args.title.is_empty() && args.title.len() != args.recipe.len() {
        let plural = if args.title.len() == 1 { "" } else { "s" };
        let message = format!("{} title{plural} for {} recipes", args.title.len(), args.recipe.len());
        return Err(Failure::user(message, "give one --title for each -r, or none"));
    }
    let mut recipes = Vec::new();
    for (i, name) in args.recipe.iter().enumerate() {
        let recipe = job::scaled(Recipe::find(name)?, &args.how)?;
        recipes.push((args.title.get(i).cloned().unwrap_or_else(|| title(&recipe)), recipe));
    }
    // What the first recipe says of the model and its input counts where flags are silent.
    let Some((_, first)) = recipes.first() else { return Err(Failure::plain("no recipe is given")) };
    let inputs = job::inputs(Some(&args.input), first)?;
    let job = CompareJob {
        model: ModelJob::for_inputs(Some(&args.model), first, &inputs)?.computed(args.how.prepare),
        inputs,
        how: HowJob::new(&args.how, first)?,
        look: Look::new(&args.look, first),
        recipes,
        figure: args.out,
    };
    in_precision!(job.how.precision, crate::compare::run, &job)
}
