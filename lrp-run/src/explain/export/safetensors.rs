//! `STEM.relevance.safetensors`: `relevance` (of several explained inputs `relevance.NAME` for each), `classes` and `scores`, with the inputs
//! they were made from; `at.NODE`, relevance inside the network, and `channels.NODE`, its sums over each channel.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use lrp::Error;
use lrp_core::Scalar;
use ndarray_npy::WritableElement;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

use super::Results;
use crate::files;

/// Writes the results of an input.
pub fn write<T: Scalar + WritableElement>(
    path: &Path,
    results: &Results<T>,
    facts: Vec<(&'static str, String)>,
) -> Result<(), Error> {
    let broken = |e: &dyn std::fmt::Display| Error::Internal(format!("safetensors: {e}"));
    let mut of_inputs = Vec::new();
    for (name, relevance) in results.relevance.iter().chain(&results.inside) {
        let mut bytes = Vec::new();
        let rows = relevance.as_standard_layout();
        T::write_slice(rows.as_slice().unwrap_or_default(), &mut bytes).map_err(|e| broken(&e))?;
        of_inputs.push((name.as_str(), relevance.shape().to_vec(), bytes));
    }
    let classes: Vec<u8> = results.classes.iter().flat_map(|class| class.to_le_bytes()).collect();
    let scores: Vec<u8> = results.scores.iter().flat_map(|score| score.to_le_bytes()).collect();
    let dtype = if T::NAME == "f64" { Dtype::F64 } else { Dtype::F32 };
    let relevance = of_inputs.iter().map(|(name, shape, bytes)| (*name, TensorView::new(dtype, shape.clone(), bytes)));
    let others = [
        ("classes", TensorView::new(Dtype::I64, results.classes.shape().to_vec(), &classes)),
        ("scores", TensorView::new(Dtype::F64, results.scores.shape().to_vec(), &scores)),
    ];
    let tensors = relevance.chain(others).map(|(name, view)| view.map(|view| (name, view)));
    let tensors = tensors.collect::<Result<Vec<_>, _>>().map_err(|e| broken(&e))?;
    let facts = facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut whole = serialize(tensors, Some(facts)).map_err(|e| broken(&e))?;
    sort_header(&mut whole).ok_or_else(|| broken(&"the header is not as expected"))?;
    files::write(path, |file| file.write_all(&whole))
}

/// Brings the header, which the crate writes in the order of a hash map, into alphabetical order: the same results are the same bytes.
fn sort_header(file: &mut [u8]) -> Option<()> {
    let length = u64::from_le_bytes(file.get(..8)?.try_into().ok()?);
    let header = file.get_mut(8..)?.get_mut(..usize::try_from(length).ok()?)?;
    let sorted: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(header).ok()?;
    let sorted = serde_json::to_vec(&sorted).ok()?;
    // What follows is padding.
    let (text, rest) = header.split_at_mut_checked(sorted.len())?;
    text.copy_from_slice(&sorted);
    rest.fill(b' ');
    Some(())
}
