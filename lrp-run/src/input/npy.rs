//! `.npy` files, read from the front to the back in any number of steps: only the requested samples are in memory.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use lrp_core::file;
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use num_traits::ToPrimitive;
use py_literal::Value;

use super::kind::Kind;
use crate::hash::Hashing;

/// An open file, its header read.
pub struct Npy<T: Scalar> {
    file: Hashing<BufReader<File>>,
    header: Header,
    kind: Kind<T>,
}

impl<T: Scalar> Npy<T> {
    /// Reads the header, and checks it against the length of the file before memory is allocated.
    ///
    /// # Errors
    /// The error, as the end of a sentence.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = file::open(path).map_err(|e| e.to_string())?;
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        let mut file = Hashing::new(BufReader::new(file));
        let header = Header::read(&mut file)?;
        let kind = Kind::described(&header.descr).ok_or_else(|| Kind::<T>::unsupported(&header.descr))?;
        let promised = header.promised(kind.size);
        let there = u128::from(length.saturating_sub(file.passed()));
        if promised > there {
            return Err(format!(
                "it is truncated: its header announces {promised} bytes of numbers, and {there} are there"
            ));
        }
        if promised < there {
            return Err(format!("{} bytes follow the numbers that its header announces", there - promised));
        }
        Ok(Self { file, header, kind })
    }

    /// The shape of the array.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Takes the array for one sample: gives it a first axis of length 1.
    pub fn as_sample(&mut self) {
        self.header.shape.insert(0, 1);
    }

    /// Whether its first axis varies fastest: then there is no reading sample by sample.
    pub fn is_fortran(&self) -> bool {
        self.header.fortran
    }

    /// The next `samples` of the array, `[samples, …]`.
    ///
    /// # Errors
    /// The error, as the end of a sentence.
    pub fn take(&mut self, samples: usize) -> Result<Tensor<T>, String> {
        let mut shape = self.header.shape.clone();
        shape.first_mut().into_iter().for_each(|n| *n = samples);
        let numbers = shape.iter().product::<usize>();
        let mut part = (&mut self.file).take((numbers * self.kind.size) as u64);
        let numbers = (self.kind.read)(&mut part, &self.header.descr, numbers).map_err(|e| e.to_string())?;
        ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|e| e.to_string())
    }

    /// The array, if nothing of it has been taken before.
    ///
    /// # Errors
    /// The error, as the end of a sentence.
    pub fn whole(&mut self) -> Result<Tensor<T>, String> {
        fits_memory(self.header.promised(self.kind.size))?;
        let shape = self.header.shape.clone();
        let numbers = shape.iter().product();
        let numbers = (self.kind.read)(&mut self.file, &self.header.descr, numbers).map_err(|e| e.to_string())?;
        let array = ArrayD::from_shape_vec(IxDyn(&shape).set_f(self.header.fortran), numbers);
        array.map(|array| array.as_standard_layout().into_owned()).map_err(|e| e.to_string())
    }

    /// Reads past the next `samples`.
    ///
    /// # Errors
    /// The error, as the end of a sentence.
    pub fn skip(&mut self, samples: usize) -> Result<(), String> {
        let bytes = self.header.shape.iter().skip(1).product::<usize>() * self.kind.size * samples;
        let mut part = (&mut self.file).take(bytes as u64);
        std::io::copy(&mut part, &mut std::io::sink()).map(drop).map_err(|e| e.to_string())
    }

    /// SHA-256 of all that has been read of the file.
    pub fn sha256(&self) -> String {
        self.file.sha256()
    }

    /// The array in rows of this number of elements, to be read in any order. Nothing of it has been read before.
    pub fn rows(self, numbers: usize) -> Rows<T> {
        let start = self.file.passed();
        Rows { file: self.file.into_inner(), start, numbers, descr: self.header.descr, kind: self.kind }
    }
}

/// Refuses an array that is read whole and does not fit into memory: there, an allocation that fails ends the program.
pub(super) fn fits_memory(bytes: u128) -> Result<(), String> {
    // As it is read, as numbers of the type that is calculated with, and in the layout that kernels take.
    match lrp_core::memory::limit() {
        Some(limit) if 4 * bytes > u128::from(limit) => {
            let bytes = file::Bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
            Err(format!(
                "it has {bytes} of numbers, which do not fit into memory; save it with numpy.save as a C-ordered array, which is read in parts"
            ))
        }
        _ => Ok(()),
    }
}

/// An open file whose rows are read in any order.
pub struct Rows<T: Scalar> {
    file: BufReader<File>,
    /// Where its numbers start.
    start: u64,
    /// Numbers of a row.
    numbers: usize,
    descr: Value,
    kind: Kind<T>,
}

impl<T: Scalar> Rows<T> {
    /// Reads a row.
    ///
    /// # Errors
    /// The error, as the end of a sentence.
    pub fn read(&mut self, row: usize) -> Result<Vec<T>, String> {
        let bytes = (self.numbers * self.kind.size) as u64;
        self.file.seek(SeekFrom::Start(self.start + row as u64 * bytes)).map_err(|e| e.to_string())?;
        let mut part = (&mut self.file).take(bytes);
        (self.kind.read)(&mut part, &self.descr, self.numbers).map_err(|e| e.to_string())
    }
}

/// The header of an `.npy` file: `{'descr': '<f4', 'fortran_order': False, 'shape': (16, 1, 28, 28), }`.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) descr: Value,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// Bytes of a header. numpy writes about a hundred.
const LONGEST_HEADER: u64 = 1 << 16;
/// Brackets of a header: one for it all, one for the shape, a few where a type has fields.
const MOST_BRACKETS: usize = 64;

impl Header {
    /// The bytes that the numbers take, of which one has this size.
    pub(super) fn promised(&self, size: usize) -> u128 {
        self.shape.iter().fold(size as u128, |bytes, axis| bytes.saturating_mul(*axis as u128))
    }

    pub(super) fn read(file: &mut impl Read) -> Result<Self, String> {
        let mut bytes = |n: u64| {
            let mut bytes = Vec::new();
            file.by_ref().take(n).read_to_end(&mut bytes).map(|_| bytes).map_err(|e| e.to_string())
        };
        let start = bytes(8)?;
        let version = match start.as_slice() {
            [0x93, b'N', b'U', b'M', b'P', b'Y', version, _] => *version,
            [] => return Err("the file is empty".to_owned()),
            [0x93, b'N', ..] if start.len() < 8 => return Err("it is cut off within its header".to_owned()),
            _ => return Err("it is not an .npy file".to_owned()),
        };
        let mut length = bytes(if version == 1 { 2 } else { 4 })?;
        length.resize(8, 0);
        let length = length.iter().rev().fold(0, |length, byte| (length << 8) | u64::from(*byte));
        if length > LONGEST_HEADER {
            return Err("its header cannot be understood".to_owned());
        }
        let text = bytes(length)?;
        if text.is_empty() || (text.len() as u64) < length {
            return Err("it is cut off within its header".to_owned());
        }
        Self::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| "its header cannot be understood".to_owned())
    }

    fn parse(text: &str) -> Option<Self> {
        // The parser of literals goes down into brackets without a limit of its own.
        if text.matches(['(', '[', '{']).count() > MOST_BRACKETS {
            return None;
        }
        let Ok(Value::Dict(entries)) = text.trim().parse() else { return None };
        let entry = |name: &str| entries.iter().find(|(key, _)| key.as_string().is_some_and(|key| key == name));
        let (_, Value::Boolean(fortran)) = entry("fortran_order")? else { return None };
        let (_, Value::Tuple(shape)) = entry("shape")? else { return None };
        let axis = |axis: &Value| if let Value::Integer(axis) = axis { axis.to_usize() } else { None };
        Some(Self {
            descr: entry("descr")?.1.clone(),
            fortran: *fortran,
            shape: shape.iter().map(axis).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<Npy<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        Npy::open(&path)
    }

    #[test]
    fn headers_that_promise_too_much_are_refused() {
        for (shape, data) in [("(2, 3)", 6), ("(5,)", 5), ("()", 1)] {
            assert!(opened(&npy(shape, &vec![0; data])).is_ok(), "{shape}");
        }
        for (shape, why) in [
            ("(2, 4)", "truncated"),
            ("(1099511627776, 28, 28)", "truncated"),
            ("(18446744073709551615, 18446744073709551615, 18446744073709551615)", "truncated"),
            ("(36893488147419103232, 9)", "cannot be understood"),
            ("(-2, -3)", "cannot be understood"),
            ("(1, 5)", "1 bytes follow"),
            (&"(".repeat(60_000), "cannot be understood"),
        ] {
            assert!(opened(&npy(shape, &[0; 6])).err().unwrap().contains(why), "{shape}");
        }
        for bytes in [&b""[..], b"hello", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr'", b"hello, this is text"] {
            assert!(opened(bytes).is_err());
        }
    }

    #[test]
    fn what_is_taken_in_steps_is_the_array() {
        let bytes = npy("(5, 2)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let whole = opened(&bytes).unwrap().whole().unwrap();
        assert_eq!(whole[[4, 1]], 9.0);
        let mut steps = opened(&bytes).unwrap();
        assert_eq!(steps.take(2).unwrap(), whole.slice(ndarray::s![..2, ..]).into_dyn());
        steps.skip(1).unwrap();
        assert_eq!(steps.take(2).unwrap(), whole.slice(ndarray::s![3.., ..]).into_dyn());
        assert!(steps.take(1).is_err());
        assert_eq!(steps.sha256(), crate::hash::of_bytes(&bytes));
    }
}
