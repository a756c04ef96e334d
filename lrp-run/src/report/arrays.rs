//! The arrays that an explanation has left in its folder, read sample by sample.

use std::path::Path;

use lrp::{Error, Given};

use crate::files;
use crate::input::{Npy, Rows};
use crate::manifest::{InputRecord, InsideRecord};

/// The arrays of one input.
pub struct Arrays {
    /// Of each explained input of the model; empty where no relevance was written.
    relevance: Vec<Targets>,
    /// None where no ledger was written.
    ledger: Option<Targets>,
    /// Of maps inside the network that are shown.
    stages: Vec<Targets>,
    /// The number of values of a channel of each of them.
    planes: Vec<usize>,
}

/// An array `[N, …]`, or `[targets, N, …]`.
struct Targets {
    shown: String,
    rows: Rows<f64>,
    samples: usize,
}

impl Arrays {
    /// Opens the arrays of an input: samples of these inputs of the model, ledgers of this number of nodes, and these maps inside the network, by
    /// their number among the arrays of such nodes.
    ///
    /// # Errors
    /// When an array that the manifest names cannot be read.
    pub fn open(
        dir: &Path,
        record: &InputRecord,
        given: &Given,
        (nodes, stages): (usize, &[(usize, &InsideRecord)]),
    ) -> Result<Self, Error> {
        let relevance = record.relevance_files().zip(given.explained());
        let relevance = relevance.map(|(name, input)| Targets::open(dir, name, record, &input.shape));
        let ledger = record.ledger.as_ref().map(|name| Targets::open(dir, name, record, &[nodes, 5]));
        let of_stages = stages.iter().filter_map(|(number, node)| Some((record.at.get(*number)?, *node)));
        let of_stages = of_stages.map(|(name, node)| Targets::open(dir, name, record, &node.shape));
        Ok(Self {
            relevance: relevance.collect::<Result<_, _>>()?,
            ledger: ledger.transpose()?,
            stages: of_stages.collect::<Result<_, _>>()?,
            planes: stages.iter().map(|(_, node)| node.shape.iter().skip(1).product()).collect(),
        })
    }

    /// The relevance of a sample for a target, for each explained input of the model.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn relevance(&mut self, target: usize, sample: usize) -> Result<Vec<Vec<f64>>, Error> {
        self.relevance.iter_mut().map(|array| array.read(target, sample)).collect()
    }

    /// The relevance of a sample for a target at each map inside the network, channels summed; nothing where the arrays were not written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stages(&mut self, target: usize, sample: usize) -> Result<Vec<Vec<f64>>, Error> {
        if self.stages.len() != self.planes.len() {
            return Ok(Vec::new());
        }
        let one = |(array, &plane): (&mut Targets, &usize)| {
            let mut sum = vec![0.0; plane];
            for channel in array.read(target, sample)?.chunks(plane.max(1)) {
                sum.iter_mut().zip(channel).for_each(|(sum, r)| *sum += r);
            }
            Ok(sum)
        };
        self.stages.iter_mut().zip(&self.planes).map(one).collect()
    }

    /// The ledger of a sample for a target.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ledger(&mut self, target: usize, sample: usize) -> Result<Vec<[f64; 5]>, Error> {
        let numbers = self.ledger.as_mut().map_or(Ok(Vec::new()), |array| array.read(target, sample))?;
        let (lines, _) = numbers.as_chunks::<5>();
        Ok(lines.to_vec())
    }
}

impl Targets {
    fn open(dir: &Path, name: &str, record: &InputRecord, row: &[usize]) -> Result<Self, Error> {
        let path = dir.join(name);
        let shown = path.display().to_string();
        // A manifest may come from anywhere, and is not to make this program read everywhere.
        if !files::is_plain(name) {
            let message = format!("the manifest of '{}' names the array '{name}', which is not in it", dir.display());
            return Err(Error::user(message, "give a folder as lrp explain has written it"));
        }
        let npy = Npy::open(&path).map_err(|why| unreadable(&shown, why))?;
        let samples = record.samples.len();
        let targets = record.targets();
        let expected: Vec<usize> = std::iter::once(samples).chain(row.iter().copied()).collect();
        let fits = match npy.shape() {
            [first, rest @ ..] if rest == expected => *first == targets,
            // The relevance of a sample that was given without an axis of samples.
            [first, rest @ ..] if rest == row && samples == 1 => *first == targets || *first == 1,
            shape => targets == 1 && (shape == expected || (samples == 1 && shape == row)),
        };
        if npy.is_fortran() || !fits {
            let why = format!("it has the shape {:?}, and the manifest tells of {expected:?}", npy.shape());
            return Err(unreadable(&shown, why));
        }
        Ok(Self { shown, rows: npy.rows(row.iter().product()), samples })
    }

    fn read(&mut self, target: usize, sample: usize) -> Result<Vec<f64>, Error> {
        self.rows.read(target * self.samples + sample).map_err(|why| unreadable(&self.shown, why))
    }
}

fn unreadable(shown: &str, why: impl std::fmt::Display) -> Error {
    Error::user(format!("cannot read '{shown}': {why}"), "explain the inputs again, with --save html")
}
