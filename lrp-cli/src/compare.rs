//! `lrp compare`, and `lrp run` of a recipe with `[compare]`: one figure, inputs down, recipes across.

use std::path::PathBuf;

use lrp_config::{Recipe, Start};
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target};
use ndarray::Axis;

use crate::arrangement::Arrangement;
use crate::explain::explain_samples;
use crate::failure::Failure;
use crate::figure::{Figure, Row, typeset};
use crate::fit::{self, Fit};
use crate::guard::Guard;
use crate::heatmap::Heatmap;
use crate::input;
use crate::job::{HowJob, ModelJob};
use crate::look::Look;
use crate::output::{report, say};
use crate::picture::{check_png, picture, save};
use crate::session::{Loaded, Prepared, forward_failure};

/// Most rows that a figure is drawn with.
const MAX_ROWS: usize = 100;

/// Everything a comparison is made of.
pub struct CompareJob {
    pub model: ModelJob,
    /// Recipes with their titles.
    pub recipes: Vec<(String, Recipe)>,
    pub inputs: Vec<PathBuf>,
    pub how: HowJob,
    pub look: Look,
    pub figure: PathBuf,
}

/// Runs the job in one number type.
pub fn run<T: Scalar>(job: &CompareJob) -> Result<(), Failure> {
    check_png(&job.figure)?;
    let loaded = Loaded::<T>::new(&job.model)?;
    let guard = Guard::new().with_model(&loaded).with("the labels", job.model.labels.as_ref());
    let guard = guard.with("an input", &job.inputs).with_tokens(&job.how);
    job.recipes.iter().fold(guard, |guard, (_, recipe)| guard.with_recipe(recipe)).check(&job.figure)?;
    loaded.print_notes();
    let shape = loaded.input_shape()?.to_vec();
    loaded.check_memory()?;
    let target = match loaded.targets(&job.how.target, job.recipes.first().map(|(_, recipe)| recipe))?.as_slice() {
        [only] => *only,
        _ => return Err(Failure::user("a figure shows one target", "choose argmax, a class or a contrast")),
    };
    let prepared = |(_, recipe): &(String, Recipe)| Prepared::new(recipe.clone(), &loaded, job.how.on_unknown);
    let plans = job.recipes.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    if let Some(note) = Arrangement::of(&shape).note(&shape) {
        report(format_args!("note: {note}\n"));
    }
    fit::print(fit::unscaled(&job.inputs, &job.how.input, &loaded).as_slice());
    let mut fits: Vec<Fit<'_, T>> = plans.iter().map(|prepared| Fit::new(&loaded, prepared)).collect();
    let mut changes = Vec::new();
    let mut rows = Vec::new();
    let mut negative = false;
    let starts_with_score = plans.iter().any(|p| p.recipe.explain().start.unwrap_or(job.how.start) == Start::Logit);
    for path in &job.inputs {
        let file = input::read::<T>(path, &shape, &job.how.input)?;
        fits.iter_mut().for_each(|fit| fit.see(&file.samples));
        changes.push((path.display().to_string(), file.conversions.clone()));
        let mut explained = Vec::new();
        for prepared in &plans {
            // A recipe may say how much relevance to start with: gradient × input starts with one.
            let start = prepared.recipe.explain().start.unwrap_or(job.how.start);
            let how = HowJob { start, ..job.how.clone() };
            explained.push(
                explain_samples(&loaded, &prepared.plan, &file.samples, &[target], &how, &mut Profile::default())
                    .map_err(|e| forward_failure(&e))?,
            );
        }
        let n = lrp_core::tensor::samples(&file.samples);
        for (i, sample) in file.samples.outer_iter().enumerate() {
            let relevance = explained.iter().filter_map(|e| e.relevance.first());
            let heatmaps = relevance.map(|relevance| Heatmap::new(relevance.index_axis(Axis(0), i))).collect();
            let outcome = &explained[0].outcomes[i][0];
            let name = if n > 1 { format!("{} [{i}]", file.stem) } else { file.stem.clone() };
            let verb = if target == Target::Argmax { "predicted" } else { "target" };
            let what = loaded.explained(outcome.class, outcome.against);
            let probability = outcome.probability.map(|p| format!(", p = {}", typeset(p))).unwrap_or_default();
            let prediction = format!("{verb} {what} ({}{probability})", typeset(outcome.score));
            negative |= outcome.score < 0.0 && starts_with_score;
            let input = picture(sample.view().into_dyn(), &job.how.input);
            rows.push(Row { input, caption: [name, prediction], heatmaps });
        }
        if rows.len() > MAX_ROWS {
            let message = format!("a figure of more than {MAX_ROWS} samples");
            return Err(Failure::user(message, "give fewer inputs, or use lrp explain"));
        }
    }
    let changes = changes.iter().map(|(path, changes)| (path.as_str(), changes.as_slice()));
    let mut warnings = fit::converted(changes, &job.how.input);
    for warning in fits.iter().flat_map(Fit::warnings) {
        // What several recipes share is said once.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    fit::print(&warnings);
    let columns = job.recipes.iter().map(|(title, _)| title.clone()).collect();
    let image = Figure { columns, rows, negative, look: job.look.clone() }.draw()?;
    save(&image, &job.figure)?;
    say!("{} ({}×{} pixels)", input::shown(&job.figure), image.width(), image.height())
}
