//! An array about the samples of one input, an `.npy` file that is written a few samples at a time.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lrp_core::{Scalar, Tensor};
use ndarray_npy::{WritableElement, WriteNpyError};

use super::files;
use crate::failure::Failure;

/// A file `[N, …]`, or `[targets, N, …]`, that is being written.
pub struct RowsFile {
    /// What it will be called.
    path: PathBuf,
    file: File,
    /// Where its numbers start.
    start: u64,
    shape: RowsShape,
}

/// What a file has room for.
#[derive(Debug, Clone)]
pub struct RowsShape {
    /// The number of targets, where they have an axis.
    pub targets: Option<usize>,
    /// The number of samples.
    pub samples: usize,
    /// The shape of a sample.
    pub sample: Vec<usize>,
}

impl RowsShape {
    fn axes(&self) -> Vec<usize> {
        self.targets.into_iter().chain([self.samples]).chain(self.sample.iter().copied()).collect()
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
    pub fn create<T: WritableElement>(path: &Path, shape: RowsShape) -> Result<Self, Failure> {
        let options = OpenOptions::new().write(true).create(true).truncate(true).clone();
        let mut file = Self::open(path, &options, shape)?;
        let unwritable = |e: WriteNpyError| files::unwritable(path, &e);
        ndarray_npy::write_zeroed_npy::<T, _>(&file.file, file.shape.axes()).map_err(unwritable)?;
        file.find_start::<T>()?;
        Ok(file)
    }

    /// Opens a file that was not completed.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reopen<T>(path: &Path, shape: RowsShape) -> Result<Self, Failure> {
        let mut file = Self::open(path, OpenOptions::new().write(true), shape)?;
        file.find_start::<T>()?;
        Ok(file)
    }

    fn open(path: &Path, options: &OpenOptions, shape: RowsShape) -> Result<Self, Failure> {
        let file = options.open(files::unfinished(path)).map_err(|e| files::unwritable(path, &e))?;
        Ok(Self { path: path.to_path_buf(), file, start: 0, shape })
    }

    /// The numbers are what the file ends with.
    fn find_start<T>(&mut self) -> Result<(), Failure> {
        let length = self.file.metadata().map_err(|e| files::unwritable(&self.path, &e))?.len();
        let rows = (self.shape.targets.unwrap_or(1) * self.shape.samples) as u64;
        self.start = length.saturating_sub(rows * self.shape.row::<T>());
        Ok(())
    }

    /// Writes the samples from number `first` on: `[n, …]` for each target.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write<T: Scalar + WritableElement>(&mut self, first: usize, rows: &[Tensor<T>]) -> Result<(), Failure> {
        let fail = |e: &dyn std::fmt::Display| files::unwritable(&self.path, e);
        let mut file = BufWriter::new(&self.file);
        for (k, rows) in rows.iter().enumerate() {
            let row = (k * self.shape.samples + first) as u64;
            file.seek(SeekFrom::Start(self.start + row * self.shape.row::<T>())).map_err(|e| fail(&e))?;
            let rows = rows.as_standard_layout();
            T::write_slice(rows.as_slice().unwrap_or_default(), &mut file).map_err(|e| fail(&e))?;
        }
        file.flush().map_err(|e| fail(&e))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(self) -> Result<(), Failure> {
        drop(self.file);
        files::finish(&self.path)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(self) -> Result<(), Failure> {
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
            let shape = RowsShape { targets, samples: 5, sample: vec![2, 3] };
            let array =
                ArrayD::from_shape_fn(shape.axes(), |i| ndarray::Dimension::slice(&i).iter().sum::<usize>() as f32);
            ndarray_npy::write_npy(&whole, &array).unwrap();
            let parts = |first: usize, last: usize| -> Vec<Tensor<f32>> {
                let all = if targets.is_some() { array.clone() } else { array.clone().insert_axis(Axis(0)) };
                all.outer_iter().map(|r| r.slice_axis(Axis(0), Slice::from(first..last)).to_owned()).collect()
            };
            let mut file = RowsFile::create::<f32>(&path, shape.clone()).unwrap();
            file.write(0, &parts(0, 2)).unwrap();
            drop(file);
            let mut file = RowsFile::reopen::<f32>(&path, shape).unwrap();
            file.write(2, &parts(2, 5)).unwrap();
            assert!(!path.exists());
            file.finish().unwrap();
            assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap(), "{targets:?}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
