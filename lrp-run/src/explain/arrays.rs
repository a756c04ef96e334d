//! The arrays of one input: its relevance, its ledger layer by layer, and relevance inside the network.

use std::path::{Path, PathBuf};

use lrp::{Error, Explained, Given, GivenInput, Line};
use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;
use ndarray_npy::WritableElement;

use super::rows::{RowsFile, RowsShape};
use crate::files;
use crate::manifest::InsideRecord;

/// The columns of a ledger.
const ACCOUNTS: usize = size_of::<Line>() / size_of::<f64>();

/// The files that are being written.
pub struct Arrays {
    /// One file for each explained input of the model.
    relevance: Vec<RowsFile>,
    ledger: RowsFile,
    /// One for each node.
    inside: Vec<RowsFile>,
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
    /// The nodes whose relevance is saved.
    pub inside: &'a [InsideRecord],
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

    fn inside(&self) -> impl Iterator<Item = (PathBuf, RowsShape)> {
        self.inside.iter().map(|node| {
            let path = self.dir.join(files::inside(&self.stem, &node.key));
            (
                path,
                RowsShape {
                    targets: self.targets,
                    samples: self.samples,
                    sample: node.shape.clone(),
                    is_sample: false,
                },
            )
        })
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
            inside: self.inside().map(|(path, shape)| RowsFile::create::<T>(&path, shape)).collect::<Result<_, _>>()?,
        })
    }

    /// The number of these batches, from the first on, that are in the files as they were written: `[samples, hashes of the files]`.
    pub fn examine<'h, T>(&self, batches: impl Iterator<Item = (usize, &'h [String])>) -> usize {
        let examine = |(path, shape): (PathBuf, RowsShape)| RowsFile::examine::<T>(&path, shape);
        let open = || -> std::io::Result<Arrays> {
            let ledger = self.ledger();
            Ok(Arrays {
                relevance: self.relevance().into_iter().map(examine).collect::<Result<_, _>>()?,
                ledger: RowsFile::examine::<f64>(&ledger.0, ledger.1)?,
                inside: self.inside().map(examine).collect::<Result<_, _>>()?,
            })
        };
        let Ok(mut arrays) = open() else { return 0 };
        let mut first = 0;
        let mut holds = |(samples, hashes): (usize, &[String])| {
            let same = arrays.sha256::<T>(first, samples).is_ok_and(|now| now == hashes);
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

    /// Opens files that were not completed; of a file that was, makes one that is not again. None where all are complete, and `all`
    /// samples are done.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn reopen<T>(&self, all: bool) -> Result<Option<Arrays>, Error> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let inside: Vec<_> = self.inside().collect();
        let complete = |path: &Path| !files::unfinished(path).exists();
        let paths = || relevance.iter().chain(&inside).map(|(path, _)| path).chain([&ledger.0]);
        if paths().all(|path| complete(path)) && all {
            return Ok(None);
        }
        // The program may have been killed between them.
        paths().filter(|path| complete(path)).try_for_each(|path| files::reopen(path))?;
        let relevance = relevance.into_iter().map(|(path, shape)| RowsFile::reopen::<T>(&path, shape));
        let reopened = inside.into_iter().map(|(path, shape)| RowsFile::reopen::<T>(&path, shape));
        Ok(Some(Arrays {
            relevance: relevance.collect::<Result<_, _>>()?,
            ledger: RowsFile::reopen::<f64>(&ledger.0, ledger.1)?,
            inside: reopened.collect::<Result<_, _>>()?,
        }))
    }
}

impl Arrays {
    /// Hashes of the samples from number `first` on, in each of the files.
    fn sha256<T>(&mut self, first: usize, samples: usize) -> std::io::Result<Vec<String>> {
        let mut hashes = Vec::new();
        for file in &mut self.relevance {
            hashes.push(file.sha256::<T>(first, samples)?);
        }
        hashes.push(self.ledger.sha256::<f64>(first, samples)?);
        for file in &mut self.inside {
            hashes.push(file.sha256::<T>(first, samples)?);
        }
        Ok(hashes)
    }

    /// Writes the explanations of the samples from number `first` on; returns hashes of relevance, ledger and relevance inside the network.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<T: Scalar + WritableElement>(
        &mut self,
        first: usize,
        explained: &Explained<T>,
        given: &Given,
    ) -> Result<Vec<String>, Error> {
        let ledgers = ledgers(explained, self.ledger.rows())?;
        let mut hashes = Vec::new();
        match self.relevance.as_mut_slice() {
            [only] => hashes.push(only.write(first, &explained.relevance)?),
            several => {
                // Target by target, input by input.
                let of_targets: Vec<Vec<Tensor<T>>> =
                    explained.relevance.iter().map(|relevance| given.split_relevance(relevance.clone())).collect();
                for (i, file) in several.iter_mut().enumerate() {
                    let of_input: Vec<Tensor<T>> =
                        of_targets.iter().filter_map(|of_inputs| of_inputs.get(i).cloned()).collect();
                    hashes.push(file.write(first, &of_input)?);
                }
            }
        }
        hashes.push(self.ledger.write(first, &ledgers)?);
        for (file, relevance) in self.inside.iter_mut().zip(&explained.inside) {
            hashes.push(file.write(first, relevance)?);
        }
        Ok(hashes)
    }

    /// Waits until the written bytes are on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.all().try_for_each(RowsFile::sync)
    }

    /// Gives complete files their names.
    ///
    /// # Errors
    /// When they cannot be renamed.
    pub fn finish(self) -> Result<(), Error> {
        self.into_all().try_for_each(RowsFile::finish)
    }

    /// Removes the files.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        self.into_all().try_for_each(RowsFile::discard)
    }

    fn all(&self) -> impl Iterator<Item = &RowsFile> {
        self.relevance.iter().chain([&self.ledger]).chain(&self.inside)
    }

    fn into_all(self) -> impl Iterator<Item = RowsFile> {
        self.relevance.into_iter().chain([self.ledger]).chain(self.inside)
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
