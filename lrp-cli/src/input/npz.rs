//! The array of an `.npz` archive, read whole: it is compressed as a rule.

use std::io::Cursor;
use std::path::Path;

use lrp_core::{Scalar, Tensor};
use ndarray_npy::{NpzReader, ReadNpyError};

use super::kind::Kind;
use super::unreadable;
use crate::failure::Failure;

/// Reads the one array of an archive, whatever its number type.
pub fn read<T: Scalar>(path: &Path, bytes: &[u8]) -> Result<Tensor<T>, Failure> {
    let name = array_name(path, bytes)?;
    let mut reason = String::new();
    for kind in Kind::all() {
        match (kind.unzip)(bytes, &name) {
            Ok(array) => return Ok(array),
            Err(ReadNpyError::WrongDescriptor(kind)) => reason = format!("its number type {kind} is not supported"),
            Err(error) => return Err(unreadable(path, error)),
        }
    }
    Err(unreadable(path, reason))
}

/// Which array to read: the only one, or one called `x`, `input` or `arr_0`.
fn array_name(path: &Path, bytes: &[u8]) -> Result<String, Failure> {
    let names = NpzReader::new(Cursor::new(bytes))
        .and_then(|mut a| a.names())
        .map_err(|e| unreadable(path, format!("it is no complete .npz archive ({e})")))?;
    let wanted = ["x", "input", "arr_0"].map(str::to_owned);
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            Err(Failure::user(format!("'{}' holds no array", path.display()), "write it with numpy.savez(file, x=…)"))
        }
        _ => wanted.into_iter().find(|name| names.contains(name)).ok_or_else(|| {
            Failure::user(
                format!("'{}' holds several arrays: {}", path.display(), names.join(", ")),
                "call the one to explain 'x', or save it alone",
            )
        }),
    }
}
