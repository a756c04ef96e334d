//! A comparison of recipes: one figure, inputs down, recipes across.

use std::path::PathBuf;

use lrp::fit::{self, Fit};
use lrp::numbers::typeset;
use lrp::{Asked, Error, Options, Prepared, explain_samples};
use lrp_config::{Recipe, Start};
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target};
use lrp_render::{Arrangement, Canvas, Figure, Format, Heatmap, Look, Row, picture};
use ndarray::Axis;

use crate::events::Events;
use crate::files::{figure_format, save_figure};
use crate::guard::Guard;
use crate::input;
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
    /// The input files.
    pub inputs: Vec<PathBuf>,
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
    let guard = guard.with("an input", &job.inputs).with("the tokens", job.how.input.tokens.as_ref());
    let guard = job.recipes.iter().fold(guard, |guard, (_, recipe)| guard.with_recipe(recipe));
    figures.iter().try_for_each(|path| guard.check(path))?;
    loaded.notes().for_each(|note| events.note(&note));
    let shape = loaded.input_shape()?.to_vec();
    loaded.check_memory()?;
    if let Some(at) = &job.how.start_at {
        let help = "use lrp explain, whose maps start there, or leave it out";
        return Err(Error::user(format!("a figure shows whole walks, and the start is {at}"), help));
    }
    let recipe = job.recipes.first().map(|(_, recipe)| recipe);
    let targets = Targets::new(&loaded, &job.how.target, recipe, None)?;
    let target = targets.one("a figure shows")?;
    let prepared = |(_, recipe): &(String, Recipe)| Prepared::new(recipe.clone(), &loaded, job.how.on_unknown);
    let plans = job.recipes.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    if let Some(note) = Arrangement::of(&shape).note(&shape) {
        events.note(&note);
    }
    let has_images = job.inputs.iter().any(|path| input::is_image(path));
    fit::unscaled(has_images, &job.how.input, &loaded).iter().for_each(|warning| events.warning(warning));
    let mut fits: Vec<Fit<'_, T>> = plans.iter().map(|prepared| Fit::new(&loaded, prepared)).collect();
    let mut changes = Vec::new();
    let mut rows = Vec::new();
    let mut negative = false;
    let starts_with_score = plans.iter().any(|p| p.recipe.explain().start().unwrap_or(job.how.start) == Start::Logit);
    for path in &job.inputs {
        let file = input::read::<T>(path, &shape, &job.how.input)?;
        fits.iter_mut().for_each(|fit| fit.see(&file.samples));
        changes.push((path.display().to_string(), file.conversions.clone()));
        let mut explained = Vec::new();
        for prepared in &plans {
            // A recipe may say how much relevance to start with: gradient × input starts with one.
            let start = prepared.recipe.explain().start().unwrap_or(job.how.start);
            let asked = Asked::of(std::slice::from_ref(&target));
            let (options, mut profile) = (Options { start, batch: job.how.batch }, Profile::default());
            explained.push(explain_samples(&loaded, &prepared.plan, &file.samples, asked, options, &mut profile)?);
        }
        let n = lrp_core::tensor::samples(&file.samples);
        for (i, sample) in file.samples.outer_iter().enumerate() {
            let relevance = explained.iter().filter_map(|e| e.relevance.first());
            let heatmaps = relevance.map(|relevance| Heatmap::new(relevance.index_axis(Axis(0), i))).collect();
            let outcome = &explained[0].outcomes[i][0];
            let name = if n > 1 { format!("{} [{i}]", file.stem) } else { file.stem.clone() };
            let verb = if target == Target::Argmax { "predicted" } else { "target" };
            let what = outcome.explained();
            let probability = outcome.probability.map(|p| format!(", p = {}", typeset(p))).unwrap_or_default();
            let prediction = format!("{verb} {what} ({}{probability})", typeset(outcome.score));
            negative |= outcome.score < 0.0 && starts_with_score;
            let input = picture(sample.view().into_dyn(), &job.how.input);
            rows.push(Row { input, caption: [name, prediction], heatmaps });
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
