//! The arrays of one input: its relevance, its ledger layer by layer, and relevance inside the network.

use std::path::{Path, PathBuf};

use lrp::{Error, Explained, Line};
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
    relevance: RowsFile,
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
    /// The shape of a sample.
    pub sample: &'a [usize],
    /// The number of nodes that the walk passes.
    pub nodes: usize,
    /// The nodes whose relevance is saved.
    pub inside: &'a [InsideRecord],
}

impl ArraysOf<'_> {
    fn relevance(&self) -> (PathBuf, RowsShape) {
        let path = self.dir.join(files::relevance(&self.stem));
        (path, RowsShape { targets: self.targets, samples: self.samples, sample: self.sample.to_vec() })
    }

    fn ledger(&self) -> (PathBuf, RowsShape) {
        let path = self.dir.join(files::ledger(&self.stem));
        (path, RowsShape { targets: self.targets, samples: self.samples, sample: vec![self.nodes, ACCOUNTS] })
    }

    fn inside(&self) -> impl Iterator<Item = (PathBuf, RowsShape)> {
        self.inside.iter().map(|node| {
            let path = self.dir.join(files::inside(&self.stem, &node.key));
            (path, RowsShape { targets: self.targets, samples: self.samples, sample: node.shape.clone() })
        })
    }

    /// Makes files of zeros.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create<T: WritableElement>(&self) -> Result<Arrays, Error> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        Ok(Arrays {
            relevance: RowsFile::create::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::create::<f64>(&ledger.0, ledger.1)?,
            inside: self.inside().map(|(path, shape)| RowsFile::create::<T>(&path, shape)).collect::<Result<_, _>>()?,
        })
    }

    /// The number of these batches, from the first on, that are in the files as they were written: `[samples, hashes of the files]`.
    pub fn examine<'h, T>(&self, batches: impl Iterator<Item = (usize, &'h [String])>) -> usize {
        let open = || -> std::io::Result<Arrays> {
            let (relevance, ledger) = (self.relevance(), self.ledger());
            Ok(Arrays {
                relevance: RowsFile::examine::<T>(&relevance.0, relevance.1)?,
                ledger: RowsFile::examine::<f64>(&ledger.0, ledger.1)?,
                inside: self
                    .inside()
                    .map(|(path, shape)| RowsFile::examine::<T>(&path, shape))
                    .collect::<Result<_, _>>()?,
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
        let paths = || [&relevance.0, &ledger.0].into_iter().chain(inside.iter().map(|(path, _)| path));
        let complete: Vec<&PathBuf> = paths().filter(|path| !files::unfinished(path).exists()).collect();
        if complete.len() == paths().count() && all {
            return Ok(None);
        }
        // The program may have been killed between two of them.
        complete.into_iter().try_for_each(|path| files::reopen(path))?;
        let reopened = inside.into_iter().map(|(path, shape)| RowsFile::reopen::<T>(&path, shape));
        Ok(Some(Arrays {
            relevance: RowsFile::reopen::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::reopen::<f64>(&ledger.0, ledger.1)?,
            inside: reopened.collect::<Result<_, _>>()?,
        }))
    }
}

impl Arrays {
    /// Hashes of the samples from number `first` on, in each of the files.
    fn sha256<T>(&mut self, first: usize, samples: usize) -> std::io::Result<Vec<String>> {
        let mut hashes = vec![self.relevance.sha256::<T>(first, samples)?, self.ledger.sha256::<f64>(first, samples)?];
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
    ) -> Result<Vec<String>, Error> {
        let ledgers = ledgers(explained, self.ledger.rows())?;
        let mut hashes = vec![self.relevance.write(first, &explained.relevance)?, self.ledger.write(first, &ledgers)?];
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
        [&self.relevance, &self.ledger].into_iter().chain(&self.inside)
    }

    fn into_all(self) -> impl Iterator<Item = RowsFile> {
        [self.relevance, self.ledger].into_iter().chain(self.inside)
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
