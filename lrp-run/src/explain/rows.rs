//! An array about the samples of one input, an `.npy` file that is written a few samples at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lrp::Error;
use lrp_core::{Scalar, Tensor};
use ndarray_npy::{WritableElement, WriteNpyError};
use sha2::{Digest, Sha256};

use crate::files;
use crate::hash::{self, Written};

/// More bytes than headers have.
const HEADER: u64 = 1 << 16;

/// A file `[N, …]`, or `[targets, N, …]`, that is being written.
pub struct RowsFile {
    /// Its final name.
    path: PathBuf,
    file: File,
    /// Where its numbers start.
    start: u64,
    /// The hash of the header.
    header: Sha256,
    shape: RowsShape,
}

/// The shape of a file.
#[derive(Debug, Clone)]
pub struct RowsShape {
    /// The number of targets, where they have an axis.
    pub targets: Option<usize>,
    /// The number of samples.
    pub samples: usize,
    /// The shape of a sample.
    pub sample: Vec<usize>,
    /// Whether the only sample has no axis of samples, as its input has none.
    pub is_sample: bool,
}

impl RowsShape {
    fn axes(&self) -> Vec<usize> {
        let samples = (!self.is_sample).then_some(self.samples);
        self.targets.into_iter().chain(samples).chain(self.sample.iter().copied()).collect()
    }

    /// The bytes of one sample.
    fn row<T>(&self) -> u64 {
        (self.sample.iter().product::<usize>() * size_of::<T>()) as u64
    }
}

impl RowsFile {
    /// Makes a file of zeros.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create<T: WritableElement>(path: &Path, shape: RowsShape) -> Result<Self, Error> {
        let file = files::create(path)?;
        let mut file = Self { path: path.to_path_buf(), file, start: 0, header: Sha256::new(), shape };
        let unwritable = |e: WriteNpyError| files::unwritable(path, &e);
        ndarray_npy::write_zeroed_npy::<T, _>(&file.file, file.shape.axes()).map_err(unwritable)?;
        file.find_start::<T>()?;
        Ok(file)
    }

    /// Opens a file that was not completed.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reopen<T>(path: &Path, shape: RowsShape) -> Result<Self, Error> {
        let options = OpenOptions::new().read(true).write(true).clone();
        let file = files::open_own(&files::unfinished(path), &options).map_err(|e| files::unwritable(path, &e))?;
        let mut file = Self { path: path.to_path_buf(), file, start: 0, header: Sha256::new(), shape };
        file.find_start::<T>()?;
        Ok(file)
    }

    /// Opens a file to be compared, whether it was completed or not.
    ///
    /// # Errors
    /// When there is none, or it cannot be one that a run has written.
    pub fn examine<T>(path: &Path, shape: RowsShape) -> io::Result<Self> {
        let part = files::unfinished(path);
        let there = if part.exists() { part } else { path.to_path_buf() };
        let file = files::open_own(&there, OpenOptions::new().read(true))?;
        let mut file = Self { path: path.to_path_buf(), file, start: 0, header: Sha256::new(), shape };
        file.read_header::<T>()?;
        Ok(file)
    }

    fn find_start<T>(&mut self) -> Result<(), Error> {
        self.read_header::<T>().map_err(|e| files::unwritable(&self.path, &e))
    }

    /// The numbers are what the file ends with. Of a file that is too short or too long, the part before them is no header.
    fn read_header<T>(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let rows = (self.shape.targets.unwrap_or(1) * self.shape.samples) as u64;
        let wrong = || io::Error::other("it has another length than it should have");
        self.start = length.checked_sub(rows * self.shape.row::<T>()).filter(|s| *s <= HEADER).ok_or_else(wrong)?;
        let mut header = Vec::new();
        self.file.rewind()?;
        (&self.file).take(self.start).read_to_end(&mut header)?;
        self.header = Sha256::new_with_prefix(header);
        Ok(())
    }

    /// SHA-256 of the header and the samples from number `first` on, target after target.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn sha256<T>(&mut self, first: usize, samples: usize) -> io::Result<String> {
        let mut hash = self.header.clone();
        let mut buffer = vec![0; 1 << 16];
        for k in 0..self.shape.targets.unwrap_or(1) {
            let mut left = samples as u64 * self.shape.row::<T>();
            self.file.seek(SeekFrom::Start(self.offset::<T>(k, first)))?;
            while left > 0 {
                let n = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let Some(part) = buffer.get_mut(..n) else { break };
                self.file.read_exact(part)?;
                hash.update(part);
                left -= n as u64;
            }
        }
        Ok(hash::hex(&hash.finalize()))
    }

    /// The offset of a sample.
    fn offset<T>(&self, target: usize, sample: usize) -> u64 {
        self.start + (target * self.shape.samples + sample) as u64 * self.shape.row::<T>()
    }

    /// Writes the samples from number `first` on: `[n, …]` for each target. Returns [`sha256`](Self::sha256).
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write<T: Scalar + WritableElement>(&mut self, first: usize, rows: &[Tensor<T>]) -> Result<String, Error> {
        let fail = |e: &dyn std::fmt::Display| files::unwritable(&self.path, e);
        let mut file = Written::new(BufWriter::new(&self.file), self.header.clone());
        for (k, rows) in rows.iter().enumerate() {
            file.get_mut().seek(SeekFrom::Start(self.offset::<T>(k, first))).map_err(|e| fail(&e))?;
            let rows = rows.as_standard_layout();
            T::write_slice(rows.as_slice().unwrap_or_default(), &mut file).map_err(|e| fail(&e))?;
        }
        file.flush().map_err(|e| fail(&e))?;
        Ok(file.sha256())
    }

    /// Waits until the written bytes are on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| files::unwritable(&self.path, &e))
    }

    /// The length of a sample's first axis.
    pub fn rows(&self) -> usize {
        self.shape.sample.first().copied().unwrap_or(1)
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(self) -> Result<(), Error> {
        drop(self.file);
        files::finish(&self.path)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        drop(self.file);
        files::remove(&files::unfinished(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, Axis, Slice};

    #[test]
    fn what_is_written_in_steps_is_the_file_that_is_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole) = (folder.path().join("a.npy"), folder.path().join("whole.npy"));
        for targets in [None, Some(1), Some(3)] {
            let shape = RowsShape { targets, samples: 5, sample: vec![2, 3], is_sample: false };
            let array =
                ArrayD::from_shape_fn(shape.axes(), |i| ndarray::Dimension::slice(&i).iter().sum::<usize>() as f32);
            ndarray_npy::write_npy(&whole, &array).unwrap();
            let parts = |first: usize, last: usize| -> Vec<Tensor<f32>> {
                let all = if targets.is_some() { array.clone() } else { array.clone().insert_axis(Axis(0)) };
                all.outer_iter().map(|r| r.slice_axis(Axis(0), Slice::from(first..last)).to_owned()).collect()
            };
            let mut file = RowsFile::create::<f32>(&path, shape.clone()).unwrap();
            let hash = file.write(0, &parts(0, 2)).unwrap();
            drop(file);
            let examine = || RowsFile::examine::<f32>(&path, shape.clone()).unwrap();
            assert_eq!(examine().sha256::<f32>(0, 2).unwrap(), hash);
            // Cut by a byte, longer, other numbers, another header.
            let part = files::unfinished(&path);
            let bytes = std::fs::read(&part).unwrap();
            let changed = |at: usize| [&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat();
            let start = bytes.len() - targets.unwrap_or(1) * 5 * 24;
            let longer = [&bytes[..], &[0]].concat();
            for other in [bytes[..bytes.len() - 1].to_vec(), longer, changed(start), changed(7), vec![0; bytes.len()]] {
                std::fs::write(&part, &other).unwrap();
                let examined = RowsFile::examine::<f32>(&path, shape.clone());
                assert!(examined.and_then(|mut file| file.sha256::<f32>(0, 2)).ok() != Some(hash.clone()));
            }
            std::fs::write(&part, &bytes).unwrap();
            let mut file = RowsFile::reopen::<f32>(&path, shape).unwrap();
            file.write(2, &parts(2, 5)).unwrap();
            assert!(!path.exists());
            file.finish().unwrap();
            assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap(), "{targets:?}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
