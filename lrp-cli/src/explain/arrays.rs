//! The arrays of one input: its relevance, and its ledger layer by layer.

use std::path::{Path, PathBuf};

use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;
use ndarray_npy::WritableElement;

use super::files;
use super::rows::{RowsFile, RowsShape};
use super::samples::{Explained, Line};
use crate::failure::Failure;

/// The columns of a ledger.
const ACCOUNTS: usize = size_of::<Line>() / size_of::<f64>();

/// The files that are being written.
pub struct Arrays {
    relevance: RowsFile,
    ledger: RowsFile,
}

/// What the files have room for, and where they are.
#[derive(Debug, Clone)]
pub struct ArraysOf<'a> {
    /// The folder.
    pub dir: &'a Path,
    /// What they are named after.
    pub stem: String,
    /// The number of targets, where they have an axis.
    pub targets: Option<usize>,
    /// The number of samples.
    pub samples: usize,
    /// The shape of a sample.
    pub sample: &'a [usize],
    /// How many nodes the walk passes.
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
    pub fn create<T: WritableElement>(&self) -> Result<Arrays, Failure> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        Ok(Arrays {
            relevance: RowsFile::create::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::create::<f64>(&ledger.0, ledger.1)?,
        })
    }

    /// Opens files that were not completed; of a file that was, makes one that is not again. None where both are complete.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn reopen<T>(&self) -> Result<Option<Arrays>, Failure> {
        let (relevance, ledger) = (self.relevance(), self.ledger());
        let complete = |path: &Path| !files::unfinished(path).exists();
        match (complete(&relevance.0), complete(&ledger.0)) {
            (true, true) => return Ok(None),
            // The program was killed between the two.
            (true, false) => files::reopen(&relevance.0)?,
            (false, true) => files::reopen(&ledger.0)?,
            (false, false) => {}
        }
        Ok(Some(Arrays {
            relevance: RowsFile::reopen::<T>(&relevance.0, relevance.1)?,
            ledger: RowsFile::reopen::<f64>(&ledger.0, ledger.1)?,
        }))
    }
}

impl Arrays {
    /// Writes what was explained of the samples from number `first` on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<T: Scalar + WritableElement>(
        &mut self,
        first: usize,
        explained: &Explained<T>,
    ) -> Result<(), Failure> {
        self.relevance.write(first, &explained.relevance)?;
        self.ledger.write(first, &ledgers(explained)?)
    }

    /// Gives complete files their names.
    ///
    /// # Errors
    /// When they cannot be renamed.
    pub fn finish(self) -> Result<(), Failure> {
        self.relevance.finish()?;
        self.ledger.finish()
    }

    /// Removes the files.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(self) -> Result<(), Failure> {
        self.relevance.discard()?;
        self.ledger.discard()
    }
}

/// The ledgers per target, `[n, nodes, accounts]` each.
fn ledgers<T: Scalar>(explained: &Explained<T>) -> Result<Vec<Tensor<f64>>, Failure> {
    let samples = explained.outcomes.len();
    let ledger = |k: usize| {
        let lines = explained.outcomes.iter().filter_map(|targets| targets.get(k)).flat_map(|outcome| &outcome.lines);
        let numbers: Vec<f64> = lines.flatten().copied().collect();
        let nodes = numbers.len() / ACCOUNTS / samples.max(1);
        ArrayD::from_shape_vec(vec![samples, nodes, ACCOUNTS], numbers)
            .map_err(|e| Failure::Internal(format!("ledgers of different lengths: {e}")))
    };
    (0..explained.relevance.len()).map(ledger).collect()
}
