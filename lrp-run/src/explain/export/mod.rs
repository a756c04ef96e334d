//! Results for other programs, made when all is explained: archives of arrays, arrays for Quantus, a project for ViRelAy.
//!
//! They are made from the relevance files, so that a run that is resumed makes the same. The relevance of one input is in memory as a
//! whole here, and for Quantus and ViRelAy that of all inputs.

mod npz;
mod quantus;
mod safetensors;
#[cfg(feature = "hdf5")]
mod virelay;

use lrp::{Error, Given, GivenInput, Layout, Loaded};
use lrp_config::Save;
use lrp_core::{Plan, Scalar, Target};
use ndarray::{ArrayD, Axis, IxDyn};
use ndarray_npy::{ReadableElement, WritableElement};

use crate::files;
use crate::input::{FileSet, Sources};
use crate::job::ExplainJob;
use crate::manifest::{FileRecord, InputRecord, InsideRecord, ModelRecord, RecipeRecord, TargetRecord};

/// The sources of exports.
pub struct Run<'a, T: Scalar> {
    /// The job.
    pub job: &'a ExplainJob,
    /// The model.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "ViRelAy's project has the model's outputs"))]
    pub loaded: &'a Loaded<T>,
    /// Its file.
    pub model: &'a ModelRecord,
    /// The model with its rules.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "ViRelAy's project has the model's outputs"))]
    pub plan: &'a Plan<T>,
    /// The inputs of the model that are given for each sample.
    pub given: &'a Given,
    /// Whether targets have an axis of their own.
    pub several: bool,
    /// The nodes inside the network whose relevance is saved.
    pub inside: &'a [InsideRecord],
}

/// The results of one input.
struct Results<T> {
    /// `relevance`: `[N, …]`, or `[targets, N, …]`; of several explained inputs, one such array for each, `relevance.NAME`.
    relevance: Vec<(String, ArrayD<T>)>,
    /// The explained classes: `[N]`, or `[targets, N]`.
    classes: ArrayD<i64>,
    /// The model's outputs for them, in the same shape.
    scores: ArrayD<f64>,
    /// Relevance inside the network, by the name of its array: `[N, …]`, or `[targets, N, …]`; and of nodes with channels the sums of each of them,
    /// `[N, C]`, or `[targets, N, C]`.
    inside: Vec<(String, ArrayD<T>)>,
}

/// Samples of all inputs, and their results for the one target.
struct All<T> {
    /// `[N, …]`, as the model expects them.
    inputs: ArrayD<T>,
    /// `[N]`
    classes: ArrayD<i64>,
    /// `[N, …]`
    relevance: ArrayD<T>,
}

/// Refuses what cannot be exported, before anything is explained.
///
/// # Errors
/// When a program that takes one class for each sample is to get several, or one that shows images something else.
pub fn check(job: &ExplainJob, targets: &[Target], given: &Given) -> Result<(), Error> {
    let save = &job.output.save;
    let programs = [("quantus", Save::Quantus), ("virelay", Save::Virelay)];
    if let Some((name, _)) = programs.iter().find(|(_, what)| save.contains(what) && given.only().is_none()) {
        let message = format!("save: {name} takes one input for each sample, and the model has {}", given.all().len());
        return Err(Error::user(message, "fix the others with --fix NAME=VALUE, or save npz"));
    }
    if let Some((name, _)) = programs.iter().find(|(_, what)| save.contains(what) && targets.len() != 1) {
        let message = format!("save: {name} takes one target for each sample, and there are {}", targets.len());
        return Err(Error::user(message, "choose argmax, a class or a contrast, or save npz"));
    }
    if save.contains(&Save::Virelay) && !cfg!(feature = "hdf5") {
        return Err(without_hdf5());
    }
    let shape = given.shape();
    if save.contains(&Save::Virelay) && Layout::of(&shape).is_none() {
        let message = format!("save: virelay shows images, and samples have the shape {shape:?}");
        return Err(Error::user(message, "save npz or quantus"));
    }
    Ok(())
}

/// The error of a program that was built without HDF5.
fn without_hdf5() -> Error {
    let message = "save: virelay writes HDF5 files, and this program was built without the feature 'hdf5'";
    Error::user(message, "build it with that feature, which is on by default, or save npz or quantus")
}

/// The sum of each channel of `[…, C, positions…]`, given the number of axes of positions. Sums are exact to double precision before they are
/// rounded to `T`.
fn channels<T: Scalar>(array: &ArrayD<T>, positions: usize) -> ArrayD<T> {
    let shape = array.shape().get(..array.ndim().saturating_sub(positions)).unwrap_or_default();
    let places: usize = array.shape().iter().skip(shape.len()).product();
    let numbers: Vec<f64> = array.iter().map(|r| r.wide()).collect();
    let sums: Vec<T> = numbers.chunks(places.max(1)).map(|channel| T::of(channel.iter().sum())).collect();
    ArrayD::from_shape_vec(IxDyn(shape), sums).unwrap_or_else(|_| lrp_core::tensor::empty())
}

impl<T: Scalar + WritableElement + ReadableElement> Run<'_, T> {
    /// Makes what is to be saved, and names it in the records.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn export(&self, records: &mut [InputRecord]) -> Result<Vec<FileRecord>, Error> {
        let save = |what: Save| self.job.output.save.contains(&what);
        for record in records.iter_mut() {
            let stem = record.stem();
            if !save(Save::Npz) && !save(Save::Safetensors) {
                continue;
            }
            let results = self.results(record)?;
            if save(Save::Npz) {
                let name = format!("{stem}.relevance.npz");
                npz::write(&self.path(&name), &results)?;
                record.files.push(files::record(&self.job.output.dir, &name)?);
                record.exports.push(name);
            }
            if save(Save::Safetensors) {
                let name = format!("{stem}.relevance.safetensors");
                safetensors::write(&self.path(&name), &results, self.facts(record))?;
                record.files.push(files::record(&self.job.output.dir, &name)?);
                record.exports.push(name);
            }
        }
        let mut exports = Vec::new();
        if save(Save::Quantus) && !records.is_empty() {
            exports.extend(quantus::write(self, records)?);
        }
        if save(Save::Virelay) && !records.is_empty() {
            exports.extend(self.virelay(records)?);
        }
        // Arrays that nobody asked for have served.
        if !save(Save::Npy) {
            for stem in records.iter().map(InputRecord::stem) {
                let inside = self.inside.iter().map(|node| files::inside(&stem, &node.key));
                let names = self.relevance_files(&stem).into_iter().map(|(_, file)| file).chain([files::ledger(&stem)]);
                names.chain(inside).map(|name| self.path(&name)).try_for_each(|path| files::remove(&path))?;
            }
        }
        exports.iter().map(|name| files::record(&self.job.output.dir, name)).collect()
    }

    #[cfg(feature = "hdf5")]
    fn virelay(&self, records: &[InputRecord]) -> Result<Vec<String>, Error> {
        virelay::write(self, records)
    }

    #[cfg(not(feature = "hdf5"))]
    fn virelay(&self, _: &[InputRecord]) -> Result<Vec<String>, Error> {
        Err(without_hdf5())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.job.output.dir.join(name)
    }

    /// Sources and results, in words.
    fn facts(&self, record: &InputRecord) -> Vec<(&'static str, String)> {
        let what = &self.job.what;
        let recipe = RecipeRecord::new(&what.recipe);
        let sources: Vec<String> = recipe.sources.iter().map(|source| source.file.sha256.clone()).collect();
        vec![
            ("program", format!("lrp {}", env!("CARGO_PKG_VERSION"))),
            ("recipe", recipe.name),
            ("recipe_sha256", sources.join(" ")),
            ("model_sha256", self.model.file.sha256.clone()),
            ("input_sha256", record.file.sha256.clone()),
            ("target", what.how.target.to_string()),
            ("start", what.how.start_in_words()),
        ]
    }

    /// The names of the arrays of relevance in an archive, and their files.
    fn relevance_files(&self, stem: &str) -> Vec<(String, String)> {
        let names = files::input_names(self.given);
        if names.is_empty() {
            return vec![("relevance".to_owned(), files::relevance(stem))];
        }
        let named = |(input, name): (&GivenInput, &String)| {
            (format!("relevance.{}", input.name), files::relevance_of(stem, name))
        };
        self.given.explained().zip(&names).map(named).collect()
    }

    /// The results of an input, from its relevance files and its record.
    fn results(&self, record: &InputRecord) -> Result<Results<T>, Error> {
        let stem = record.stem();
        let read = |name: &str| -> Result<ArrayD<T>, Error> {
            let path = self.path(name);
            ndarray_npy::read_npy(&path)
                .map_err(|e| Error::plain(format!("cannot read '{}', which was just written: {e}", path.display())))
        };
        let mut relevance = Vec::new();
        for (name, file) in self.relevance_files(&stem) {
            relevance.push((name, read(&file)?));
        }
        let mut inside = Vec::new();
        for node in self.inside {
            let array = read(&files::inside(&stem, &node.key))?;
            if node.positions > 0 {
                inside.push((format!("channels.{}", node.key), channels(&array, node.positions)));
            }
            inside.push((format!("at.{}", node.key), array));
        }
        let several = self.several;
        let (samples, targets) = (record.samples.len(), record.targets());
        let shape = if several { vec![targets, samples] } else { vec![samples] };
        // Of a sample that could not be explained, and of a target that is no class, the class is -1.
        let per_target = |of: &dyn Fn(&TargetRecord) -> f64| {
            let value = |k: usize, i: usize| record.samples.get(i).and_then(|s| s.targets.get(k)).map_or(f64::NAN, of);
            ArrayD::from_shape_fn(IxDyn(&shape), |at| if several { value(at[0], at[1]) } else { value(0, at[0]) })
        };
        let class = |target: &TargetRecord| target.class.map_or(f64::NAN, |class| class as f64);
        let classes = per_target(&class).mapv(|class| if class.is_nan() { -1 } else { class as i64 });
        Ok(Results { relevance, classes, scores: per_target(&|target| target.score), inside })
    }

    /// Inputs, classes and relevance of all inputs, one sample after the other, without samples that could not be explained.
    fn all(&self, records: &[InputRecord]) -> Result<All<T>, Error> {
        let (mut inputs, mut classes, mut relevance) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            let path: &std::path::Path = record.file.path.as_ref();
            let mut source = Sources::<T>::open(
                &FileSet::one(path),
                self.given,
                (&self.job.what.how.input, self.loaded.texts.as_deref()),
            )?;
            let (samples, _) = source.take_any(source.left())?;
            if source.sha256() != record.file.sha256 {
                let message = format!("'{}' was written to while it was in use", path.display());
                return Err(Error::user(message, "run it again when the file is complete"));
            }
            let explained: Vec<usize> = record.explained().map(|(i, _)| i).collect();
            let results = self.results(record)?;
            // Arrays of one input: check has seen to it.
            let of_input =
                results.relevance.into_iter().next().map_or_else(lrp_core::tensor::empty, |(_, array)| array);
            let mut of_input = if self.several { of_input.index_axis_move(Axis(0), 0) } else { of_input };
            if of_input.ndim() < samples.ndim() {
                of_input.insert_axis_inplace(Axis(0));
            }
            inputs.push(samples.select(Axis(0), &explained));
            relevance.push(of_input.select(Axis(0), &explained));
            classes.extend(explained.iter().filter_map(|i| results.classes.iter().nth(*i)));
        }
        let joined = |parts: &[ArrayD<T>]| {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            ndarray::concatenate(Axis(0), &views).map_err(|e| Error::Internal(e.to_string()))
        };
        let classes = ArrayD::from_shape_vec(IxDyn(&[classes.len()]), classes);
        let classes = classes.map_err(|e| Error::Internal(e.to_string()))?;
        Ok(All { inputs: joined(&inputs)?, classes, relevance: joined(&relevance)? })
    }
}

#[cfg(test)]
mod tests {
    use super::channels;

    #[test]
    fn channels_are_summed_over_their_positions() {
        let maps = ndarray::array![[[[1.0, 2.0]], [[3.0, -5.0]]], [[[0.5, 0.0]], [[0.0, 0.0]]]].into_dyn();
        assert_eq!(channels(&maps, 2), ndarray::array![[3.0, -2.0], [0.5, 0.0]].into_dyn());
        assert_eq!(channels(&maps, 1).shape(), [2, 2, 1]);
    }
}
