//! The arrays of one input: its relevance, and its ledger layer by layer.

use std::path::{Path, PathBuf};

use lrp::{Error, Explained, Line};
use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;
use ndarray_npy::WritableElement;

use super::rows::{RowsFile, RowsShape};
use crate::files;

/// The columns of a ledger.
const ACCOUNTS: usize = size_of::<Line>() / size_of::<f64>();

/// The files that are being written.
pub struct Arrays {
    relevance: RowsFile,
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
    /// The shape of a sample.
    pub sample: &'a [usize],
    /// The number of nodes that the walk passes.
    pub nodes: usize,
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

    /// Makes files of zeros.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create<T: WritableElement>(&self) -> Result<Arrays, Error> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        Ok(Arrays {
            relevance: RowsFile::create::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::create::<f64>(&ledger.0, ledger.1)?,
        })
    }

    /// The number of these batches, from the first on, that are in the files as they were written: `[samples, hash of relevance, hash of ledger]`.
    pub fn examine<'h, T>(&self, batches: impl Iterator<Item = (usize, &'h [String; 2])>) -> usize {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let files = RowsFile::examine::<T>(&relevance.0, relevance.1)
            .and_then(|relevance| Ok((relevance, RowsFile::examine::<f64>(&ledger.0, ledger.1)?)));
        let Ok((mut relevance, mut ledger)) = files else { return 0 };
        let mut first = 0;
        let mut holds = |(samples, [of_relevance, of_ledger]): (usize, &[String; 2])| {
            let same = relevance.sha256::<T>(first, samples).is_ok_and(|sha256| sha256 == *of_relevance)
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
        let complete = (complete(&relevance.0), complete(&ledger.0));
        if complete == (true, true) && all {
            return Ok(None);
        }
        // The program may have been killed between the two.
        if complete.0 {
            files::reopen(&relevance.0)?;
        }
        if complete.1 {
            files::reopen(&ledger.0)?;
        }
        Ok(Some(Arrays {
            relevance: RowsFile::reopen::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::reopen::<f64>(&ledger.0, ledger.1)?,
        }))
    }
}

impl Arrays {
    /// Writes the explanations of the samples from number `first` on; returns hashes of relevance and ledger.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<T: Scalar + WritableElement>(
        &mut self,
        first: usize,
        explained: &Explained<T>,
    ) -> Result<[String; 2], Error> {
        let ledgers = ledgers(explained, self.ledger.rows())?;
        Ok([self.relevance.write(first, &explained.relevance)?, self.ledger.write(first, &ledgers)?])
    }

    /// Waits until the written bytes are on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.relevance.sync()?;
        self.ledger.sync()
    }

    /// Gives complete files their names.
    ///
    /// # Errors
    /// When they cannot be renamed.
    pub fn finish(self) -> Result<(), Error> {
        self.relevance.finish()?;
        self.ledger.finish()
    }

    /// Removes the files.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        self.relevance.discard()?;
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
