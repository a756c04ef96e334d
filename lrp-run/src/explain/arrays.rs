//! The arrays of one input: its relevance, and its ledger layer by layer.

use std::path::{Path, PathBuf};

use lrp::{Error, Explained, Given, GivenInput, Line};
use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;
use ndarray_npy::WritableElement;

use super::rows::{RowsFile, RowsShape};
use crate::files;

/// The columns of a ledger.
const ACCOUNTS: usize = size_of::<Line>() / size_of::<f64>();

/// The files that are being written.
pub struct Arrays {
    /// One file for each explained input of the model.
    relevance: Vec<RowsFile>,
    ledger: RowsFile,
}

/// The shape of the files, and their paths.
#[derive(Debug, Clone)]
pub struct ArraysOf<'a> {
    /// The folder.
    pub dir: &'a Path,
    /// Their stem.
    pub stem: String,
    /// The number of targets, where they have an axis.
    pub targets: Option<usize>,
    /// The number of samples.
    pub samples: usize,
    /// The inputs of the model.
    pub given: &'a Given,
    /// For each explained one, whether its only sample has no axis of samples.
    pub are_samples: Vec<bool>,
    /// The number of nodes that the walk passes.
    pub nodes: usize,
}

impl ArraysOf<'_> {
    fn relevance(&self) -> Vec<(PathBuf, RowsShape)> {
        let names = files::input_names(self.given);
        let one = |(i, input): (usize, &GivenInput)| {
            let name = match names.get(i) {
                Some(name) => files::relevance_of(&self.stem, name),
                None => files::relevance(&self.stem),
            };
            let is_sample = self.are_samples.get(i).copied().unwrap_or_default();
            let shape =
                RowsShape { targets: self.targets, samples: self.samples, sample: input.shape.clone(), is_sample };
            (self.dir.join(name), shape)
        };
        self.given.explained().enumerate().map(one).collect()
    }

    fn ledger(&self) -> (PathBuf, RowsShape) {
        let path = self.dir.join(files::ledger(&self.stem));
        let sample = vec![self.nodes, ACCOUNTS];
        (path, RowsShape { targets: self.targets, samples: self.samples, sample, is_sample: false })
    }

    /// Makes files of zeros.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create<T: WritableElement>(&self) -> Result<Arrays, Error> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let relevance = relevance.into_iter().map(|(path, shape)| RowsFile::create::<T>(&path, shape));
        Ok(Arrays {
            relevance: relevance.collect::<Result<_, _>>()?,
            ledger: RowsFile::create::<f64>(&ledger.0, ledger.1)?,
        })
    }

    /// The number of these batches, from the first on, that are in the files as they were written: `[samples, hash of relevance, hash of ledger]`.
    pub fn examine<'h, T>(&self, batches: impl Iterator<Item = (usize, &'h [String; 2])>) -> usize {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let relevance = relevance.into_iter().map(|(path, shape)| RowsFile::examine::<T>(&path, shape));
        let files = relevance
            .collect::<Result<Vec<_>, _>>()
            .and_then(|relevance| Ok((relevance, RowsFile::examine::<f64>(&ledger.0, ledger.1)?)));
        let Ok((mut relevance, mut ledger)) = files else { return 0 };
        let mut first = 0;
        let mut holds = |(samples, [of_relevance, of_ledger]): (usize, &[String; 2])| {
            let of_inputs = relevance.iter_mut().map(|file| file.sha256::<T>(first, samples));
            let same = of_inputs.collect::<Result<Vec<_>, _>>().is_ok_and(|sha256| sha256.join(" ") == *of_relevance)
                && ledger.sha256::<f64>(first, samples).is_ok_and(|sha256| sha256 == *of_ledger);
            first += samples;
            same
        };
        let mut count = 0;
        for batch in batches {
            if !holds(batch) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Opens files that were not completed; of a file that was, makes one that is not again. None where both are complete, and `all`
    /// samples are done.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn reopen<T>(&self, all: bool) -> Result<Option<Arrays>, Error> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let complete = |path: &Path| !files::unfinished(path).exists();
        let paths = || relevance.iter().map(|(path, _)| path).chain([&ledger.0]);
        if paths().all(|path| complete(path)) && all {
            return Ok(None);
        }
        // The program may have been killed between them.
        paths().filter(|path| complete(path)).try_for_each(|path| files::reopen(path))?;
        let relevance = relevance.into_iter().map(|(path, shape)| RowsFile::reopen::<T>(&path, shape));
        Ok(Some(Arrays {
            relevance: relevance.collect::<Result<_, _>>()?,
            ledger: RowsFile::reopen::<f64>(&ledger.0, ledger.1)?,
        }))
    }
}

impl Arrays {
    /// Writes the explanations of the samples from number `first` on; returns hashes of relevance (of several inputs with blanks between) and
    /// ledger.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<T: Scalar + WritableElement>(
        &mut self,
        first: usize,
        explained: &Explained<T>,
        given: &Given,
    ) -> Result<[String; 2], Error> {
        let ledgers = ledgers(explained, self.ledger.rows())?;
        let relevance = match self.relevance.as_mut_slice() {
            [only] => only.write(first, &explained.relevance)?,
            several => {
                // Target by target, input by input.
                let of_targets: Vec<Vec<Tensor<T>>> =
                    explained.relevance.iter().map(|relevance| given.split_relevance(relevance.clone())).collect();
                let mut hashes = Vec::new();
                for (i, file) in several.iter_mut().enumerate() {
                    let of_input: Vec<Tensor<T>> =
                        of_targets.iter().filter_map(|of_inputs| of_inputs.get(i).cloned()).collect();
                    hashes.push(file.write(first, &of_input)?);
                }
                hashes.join(" ")
            }
        };
        Ok([relevance, self.ledger.write(first, &ledgers)?])
    }

    /// Waits until the written bytes are on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.relevance.iter().try_for_each(RowsFile::sync)?;
        self.ledger.sync()
    }

    /// Gives complete files their names.
    ///
    /// # Errors
    /// When they cannot be renamed.
    pub fn finish(self) -> Result<(), Error> {
        self.relevance.into_iter().try_for_each(RowsFile::finish)?;
        self.ledger.finish()
    }

    /// Removes the files.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        self.relevance.into_iter().try_for_each(RowsFile::discard)?;
        self.ledger.discard()
    }
}

/// The ledgers per target, `[n, nodes, accounts]` each: NaN for samples that could not be explained.
fn ledgers<T: Scalar>(explained: &Explained<T>, nodes: usize) -> Result<Vec<Tensor<f64>>, Error> {
    let samples = explained.outcomes.len();
    let nothing = vec![[f64::NAN; ACCOUNTS]; nodes];
    let ledger = |k: usize| {
        let lines = explained.outcomes.iter().map(|targets| targets.get(k).map_or(&nothing, |outcome| &outcome.lines));
        let numbers: Vec<f64> = lines.flatten().flatten().copied().collect();
        ArrayD::from_shape_vec(vec![samples, nodes, ACCOUNTS], numbers)
            .map_err(|e| Error::Internal(format!("ledgers of different lengths: {e}")))
    };
    (0..explained.relevance.len()).map(ledger).collect()
}
