//! `lrp run`, `lrp explain` and `lrp compare`: from arguments to jobs.

use lrp::{Error, title};
use lrp_config::{Compared, Recipe};
use lrp_run::compare::CompareJob;
use lrp_run::job::{ExplainJob, WhatJob, formats};

use crate::args::{CompareArgs, ExplainArgs, Fix, HowArgs, OutputArgs, RunArgs};
use crate::failure::Failure;
use crate::{compare, explain, job, threads};

/// `lrp run`: a comparison where the file has `[compare]`, and an explanation where it has `[output] dir`.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    if !args.file.exists() {
        let message = format!("there is no file '{}'", args.file.display());
        let help = "give a recipe with [model], [explain] and [output], as those in configs/";
        let error = match lrp_config::closest_file(&args.file) {
            Some(file) => Error::user(message, format!("did you mean '{}'? Or {help}", file.display())),
            None => Error::user(message, help),
        };
        return Err(error.into());
    }
    let recipe = Recipe::load(&args.file)?;
    threads::start(args.how.threads)?;
    let compares = recipe.compare().recipes.is_some();
    let writes = args.output.dir.is_some() || recipe.output().dir.is_some();
    if compares || recipe.output().figure.is_some() {
        run_comparison(&recipe, &args.fix, &args.how, &args.output)?;
        if compares || !writes {
            return Ok(());
        }
    }
    run_explanation(recipe, &args.fix, args.how, args.output)
}

fn run_comparison(recipe: &Recipe, fix: &[Fix], how: &HowArgs, output: &OutputArgs) -> Result<(), Error> {
    let recipe = &job::scaled(recipe.clone(), how)?;
    let figure = recipe.output().figure.clone().ok_or_else(|| {
        Error::user("the recipe compares, but names no figure", "add figure = \"….png\" under [output]")
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
        model: job::model_for_inputs(None, fix, recipe, &inputs, how)?,
        inputs,
        how: job::how(how, recipe)?,
        look: job::look(&output.look, recipe),
        recipes,
        figure,
        formats: formats(output.save.as_ref().or(recipe.output().save.as_ref()).map_or(&[], Vec::as_slice)).collect(),
    };
    compare::compare(&job)
}

fn run_explanation(recipe: Recipe, fix: &[Fix], how: HowArgs, output: OutputArgs) -> Result<(), Failure> {
    explain_into(job::what_of_recipe(recipe, fix, &how)?, &output)
}

/// `lrp explain`.
pub fn explain(args: ExplainArgs) -> Result<(), Failure> {
    explain_into(job::what(&args.what)?, &args.output)
}

fn explain_into(what: WhatJob, args: &OutputArgs) -> Result<(), Failure> {
    let output = job::output(args, &what.recipe)?;
    explain::explain(&ExplainJob { what, output, command: command() }, args.json)
}

/// The command line, as far as it is text.
fn command() -> Vec<String> {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once("lrp".to_owned()).chain(arguments).collect()
}

/// `lrp compare`.
pub fn compare(args: CompareArgs) -> Result<(), Error> {
    threads::start(args.how.threads)?;
    if !args.title.is_empty() && args.title.len() != args.recipe.len() {
        let plural = if args.title.len() == 1 { "" } else { "s" };
        let message = format!("{} title{plural} for {} recipes", args.title.len(), args.recipe.len());
        return Err(Error::user(message, "give one --title for each -r, or none"));
    }
    let mut recipes = Vec::new();
    for (i, name) in args.recipe.iter().enumerate() {
        let recipe = job::scaled(Recipe::find(name)?, &args.how)?;
        recipes.push((args.title.get(i).cloned().unwrap_or_else(|| title(&recipe)), recipe));
    }
    // Without flags, the first recipe gives the model and its input.
    let Some((_, first)) = recipes.first() else { return Err(Error::plain("no recipe is given")) };
    let inputs = job::inputs(Some(&args.input), first)?;
    let job = CompareJob {
        model: job::model_for_inputs(Some(&args.model), &args.model.fix, first, &inputs, &args.how)?,
        inputs,
        how: job::how(&args.how, first)?,
        look: job::look(&args.look, first),
        recipes,
        figure: args.out,
        formats: formats(&args.save).collect(),
    };
    compare::compare(&job)
}
