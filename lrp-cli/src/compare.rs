//! `lrp compare`, and `lrp run` of a recipe with `[compare]`: one figure, inputs down, recipes across.

use std::path::{Path, PathBuf};

use image::RgbImage;
use lrp_config::{Input, Recipe};
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target};
use ndarray::{Array3, ArrayViewD, Axis};

use crate::colormap::Colormap;
use crate::explain::explain_samples;
use crate::failure::Failure;
use crate::figure::{Figure, Row, short};
use crate::heatmap::Heatmap;
use crate::input;
use crate::job::{HowJob, ModelJob};
use crate::layout::Layout;
use crate::output::say;
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
    pub colormap: Colormap,
    pub figure: PathBuf,
}

/// Runs the job in one number type.
pub fn run<T: Scalar>(job: &CompareJob) -> Result<(), Failure> {
    if !job.figure.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return Err(Failure::user(
            format!("a figure is a PNG file, and '{}' is none", job.figure.display()),
            "let its name end in .png",
        ));
    }
    let loaded = Loaded::<T>::new(&job.model)?;
    loaded.print_notes();
    let shape = loaded.input_shape()?.to_vec();
    let target = match loaded.targets(&job.how.target, job.recipes.first().map(|(_, recipe)| recipe))?.as_slice() {
        [only] => *only,
        _ => return Err(Failure::user("a figure shows one target", "choose argmax, a class or a contrast")),
    };
    let prepared = |(_, recipe): &(String, Recipe)| Prepared::new(recipe.clone(), &loaded, job.how.on_unknown);
    let plans = job.recipes.iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for path in &job.inputs {
        let file = input::read::<T>(path, &shape, &job.how.input)?;
        let mut explained = Vec::new();
        for prepared in &plans {
            // A recipe may say how much relevance to start with: gradient × input starts with one.
            let start = prepared.recipe.explain().start.unwrap_or(job.how.start);
            let how = HowJob { start, ..job.how.clone() };
            explained.push(
                explain_samples(&prepared.plan, &file.samples, &[target], &how, &mut Profile::default())
                    .map_err(|e| forward_failure(&e))?,
            );
        }
        let n = lrp_core::tensor::samples(&file.samples);
        for (i, sample) in file.samples.outer_iter().enumerate() {
            let no_picture = || {
                let message = format!("samples of shape {shape:?} cannot be drawn as pictures");
                Failure::user(message, "use lrp explain --save npy,json")
            };
            let heatmaps = explained.iter().map(|e| Heatmap::new(e.relevance.first()?.index_axis(Axis(0), i)));
            let heatmaps = heatmaps.collect::<Option<Vec<_>>>().ok_or_else(no_picture)?;
            let outcome = &explained[0].outcomes[i][0];
            let name = if n > 1 { format!("{} [{i}]", file.stem) } else { file.stem.clone() };
            let verb = if target == Target::Argmax { "predicted" } else { "target" };
            let what = loaded.explained(outcome.class, outcome.against);
            let prediction = format!("{verb} {what} ({})", short(outcome.score));
            let input = picture(sample.view().into_dyn(), &job.how.input).ok_or_else(no_picture)?;
            rows.push(Row { input, caption: [name, prediction], heatmaps });
        }
        if rows.len() > MAX_ROWS {
            let message = format!("a figure of more than {MAX_ROWS} samples");
            return Err(Failure::user(message, "give fewer inputs, or use lrp explain"));
        }
    }
    let columns = job.recipes.iter().map(|(title, _)| title.clone()).collect();
    let image = Figure { columns, rows, colormap: job.colormap }.draw()?;
    save(&image, &job.figure)?;
    say!("{} ({}×{} pixels)", input::shown(&job.figure), image.width(), image.height())
}

fn save(image: &RgbImage, path: &Path) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Failure::plain(format!("cannot make the folder '{}': {e}", folder.display())))?;
    }
    image
        .save_with_format(path, image::ImageFormat::Png)
        .map_err(|e| Failure::user(format!("cannot write '{}': {e}", path.display()), "choose another file with -o"))
}

/// A sample as a picture: `[input]` mean and std undone, and values beyond 0…1 stretched to black and white.
pub fn picture<T: Scalar>(sample: ArrayViewD<'_, T>, expected: &Input) -> Option<RgbImage> {
    let layout = Layout::of(sample.shape())?;
    let (height, width) = layout.size();
    let at = |channel: usize, y: usize, x: usize| match layout {
        Layout::ChannelsFirst { .. } => [channel, y, x].to_vec(),
        Layout::ChannelsLast { .. } => [y, x, channel].to_vec(),
        Layout::Plane { .. } => [y, x].to_vec(),
    };
    let size = (height as usize, width as usize, layout.channels());
    let pixels = Array3::from_shape_fn(size, |(y, x, channel)| {
        expected.pixel(sample.get(at(channel, y, x).as_slice()).map_or(0.0, |v| v.wide()), channel)
    });
    let (mut low, mut high) = pixels.iter().fold((0.0_f64, 1.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
    // Rounding must not make a picture of pixels a stretched one.
    if low > -1e-3 && high < 1.0 + 1e-3 {
        (low, high) = (0.0, 1.0);
    }
    Some(RgbImage::from_fn(width, height, |x, y| {
        let value = |channel: usize| {
            let pixel = pixels[(y as usize, x as usize, channel.min(layout.channels() - 1))];
            ((pixel - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        image::Rgb([value(0), value(1), value(2)])
    }))
}
