//! A comparison of recipes: one figure, inputs down, recipes across.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lrp::fit::{self, Fit};
use lrp::numbers::typeset;
use lrp::{Asked, Error, GivenInput, Options, Prepared, explain_samples};
use lrp_config::{FixedInput, Recipe, Start};
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target, Tensor};
use lrp_render::{Arrangement, Canvas, Figure, Format, Heatmap, Look, Row, picture};
use ndarray::Axis;

use crate::events::Events;
use crate::files::{figure_format, save_figure};
use crate::guard::Guard;
use crate::input::{self, FileSet};
use crate::job::{HowJob, ModelJob};
use crate::targets::Targets;

/// Most rows that a figure is drawn with.
const MAX_ROWS: usize = 100;

/// Everything a comparison is made of.
pub struct CompareJob {
    /// The model.
    pub model: ModelJob,
    /// Recipes with their titles.
    pub recipes: Vec<(String, Recipe)>,
    /// The inputs: each a file, or a file for each of the model's inputs.
    pub inputs: Vec<FileSet>,
    /// Target and start of the explanation, and options of the computation.
    pub how: HowJob,
    /// The appearance of heatmaps.
    pub look: Look,
    /// The figure's file, PNG or SVG.
    pub figure: PathBuf,
    /// The formats that the figure is written in, too, beside that file.
    pub formats: Vec<Format>,
}

impl CompareJob {
    /// The figure's files: the one that is named, and beside it those of the other formats.
    pub fn figures(&self) -> Vec<PathBuf> {
        let others = self.formats.iter().filter(|format| Format::of(&self.figure) != Some(**format));
        let others = others.map(|format| self.figure.with_extension(format.extension()));
        std::iter::once(self.figure.clone()).chain(others).collect()
    }
}

/// Runs the job in one number type: writes the figure, and gives it.
///
/// # Errors
/// When the model, a recipe or an input cannot be used, and when the figure would be too large or cannot be written.
pub fn compare<T: Scalar>(job: &CompareJob, events: &dyn Events) -> Result<Canvas, Error> {
    figure_format(&job.figure)?;
    let figures = job.figures();
    let loaded = job.model.load::<T>()?;
    let guard = Guard::new().with_model(&loaded).with("the labels", job.model.labels.as_ref());
    let guard = guard
        .with("an input", job.inputs.iter().flat_map(FileSet::files).map(|file| &file.path))
        .with("the tokens", job.how.input.tokens.as_ref())
        .with("the tokenizer", job.model.tokenizer.as_ref());
    let guard = guard.with("a fixed input", job.model.fixed.values().filter_map(FixedInput::file));
    let guard = job.recipes.iter().fold(guard, |guard, (_, recipe)| guard.with_recipe(recipe));
    let (given, inputs) = (&loaded.given, input::in_order(&job.inputs, &loaded.given)?);
    loaded.check_memory()?;
    let targets = Targets::new(&loaded, &job.how, job.recipes.first().map(|(_, recipe)| recipe), &inputs)?;
    let guard = guard.with("a target", targets.files().iter().map(|file| &file.path));
    figures.iter().try_for_each(|path| guard.check(path))?;
    loaded.notes().for_each(|note| events.note(&note));
    if let Some(at) = &job.how.start_at {
        let help = "use lrp explain, whose maps start there, or leave it out";
        return Err(Error::user(format!("a figure shows whole walks, and the start is {at}"), help));
    }
    let prepared = |(_, recipe): &(String, Recipe)| Prepared::new(recipe.clone(), &loaded, job.how.on_unknown);
    let plans = job.recipes.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    // Inputs of one shape have the same note.
    let drawn: BTreeSet<String> =
        given.explained().filter_map(|input| Arrangement::of(&input.shape).note(&input.shape)).collect();
    drawn.iter().for_each(|note| events.note(note));
    let has_images = inputs.iter().any(FileSet::has_images);
    fit::unscaled(has_images, &job.how.input, &loaded).iter().for_each(|warning| events.warning(warning));
    let mut fits: Vec<Fit<'_, T>> = plans.iter().map(|prepared| Fit::new(&loaded, prepared)).collect();
    let mut changes = Vec::new();
    let mut rows = Vec::new();
    let mut negative = false;
    let starts_with_score = plans.iter().any(|p| p.recipe.explain().start().unwrap_or(job.how.start) == Start::Logit);
    for (number, set) in inputs.iter().enumerate() {
        let path = set.path();
        let file = input::read::<T>(set, given, (&job.how.input, loaded.texts.as_deref()))?;
        fits.iter_mut().for_each(|fit| fit.see(&file.samples));
        changes.push((path.display().to_string(), file.conversions.clone()));
        let n = lrp_core::tensor::samples(&file.samples);
        let samples: Vec<(usize, usize)> = (0..n).map(|sample| (number, sample)).collect();
        let target = targets.one(&samples, "a figure shows")?;
        let mut explained = Vec::new();
        for prepared in &plans {
            // A recipe may say how much relevance to start with: gradient × input starts with one.
            let start = prepared.recipe.explain().start().unwrap_or(job.how.start);
            let asked = Asked::of(std::slice::from_ref(&target));
            let (options, mut profile) = (Options { start, batch: job.how.batch }, Profile::default());
            explained.push(explain_samples(&loaded, &prepared.plan, &file.samples, asked, options, &mut profile)?);
        }
        let relevance = explained.iter().filter_map(|e| e.relevance.first());
        let relevance: Vec<Vec<Tensor<T>>> = relevance.map(|r| given.split_relevance(r.clone())).collect();
        let samples = given.split(file.samples).into_iter().zip(given.all()).filter(|(_, input)| input.is_explained);
        let samples: Vec<(Tensor<T>, &GivenInput)> = samples.collect();
        for i in 0..n {
            let outcome = &explained[0].outcomes[i][0];
            let name = if n > 1 { format!("{} [{i}]", file.stem) } else { file.stem.clone() };
            let own = if let Target::PerSample(all) = &target { all.get(i) } else { Some(&target) };
            let verb = if own == Some(&Target::Argmax) { "predicted" } else { "target" };
            let what = outcome.explained();
            let probability = outcome.probability.map(|p| format!(", p = {}", typeset(p))).unwrap_or_default();
            let prediction = format!("{verb} {what} ({}{probability})", typeset(outcome.score));
            negative |= outcome.score < 0.0 && starts_with_score;
            // A row for each explained input.
            for (j, (batch, of)) in samples.iter().enumerate() {
                let of_recipes = relevance.iter().filter_map(|inputs| inputs.get(j));
                let heatmaps = of_recipes.map(|relevance| Heatmap::new(relevance.index_axis(Axis(0), i))).collect();
                let name = if samples.len() > 1 { format!("{name}, {}", of.name) } else { name.clone() };
                let input = picture(batch.index_axis(Axis(0), i), &job.how.input);
                rows.push(Row { input, caption: [name, prediction.clone()], heatmaps });
            }
        }
        if rows.len() > MAX_ROWS {
            let message = format!("a figure of more than {MAX_ROWS} samples");
            return Err(Error::user(message, "give fewer inputs, or use lrp explain"));
        }
    }
    let changes = changes.iter().map(|(path, changes)| (path.as_str(), changes.as_slice()));
    let mut warnings = fit::converted(changes, &job.how.input);
    for warning in fits.iter().flat_map(Fit::warnings) {
        // Warnings that several recipes share are shown once.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings.iter().for_each(|warning| events.warning(warning));
    let columns = job.recipes.iter().map(|(title, _)| title.clone()).collect();
    let figure = Figure { columns, rows, negative, look: job.look.clone() }.draw()?;
    figures.iter().try_for_each(|path| save_figure(&figure, path))?;
    Ok(figure)
}
