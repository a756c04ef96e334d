//! `STEM.relevance.npz`: `relevance` (of several explained inputs `relevance.NAME` for each), `classes` and `scores`; `at.NODE`, relevance
//! inside the network, and `channels.NODE`, its sums over each channel.

use std::path::Path;

use lrp::Error;
use ndarray_npy::{NpzWriter, WritableElement};

use super::Results;
use crate::files;

/// Writes the results of an input.
pub fn write<T: WritableElement>(path: &Path, results: &Results<T>) -> Result<(), Error> {
    files::write(path, |file| {
        let mut npz = NpzWriter::new_compressed(file);
        results.relevance.iter().try_for_each(|(name, relevance)| npz.add_array(name.as_str(), relevance))?;
        npz.add_array("classes", &results.classes)?;
        npz.add_array("scores", &results.scores)?;
        for (name, relevance) in &results.inside {
            npz.add_array(name.as_str(), relevance)?;
        }
        npz.finish().map(drop)
    })
}
