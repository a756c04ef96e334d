//! An input file whose samples are taken a few at a time.

use std::path::{Path, PathBuf};

use lrp::Error;
use lrp_config::Input;
use lrp_core::file::{self, Limit};
use lrp_core::tensor::samples;
use lrp_core::{Scalar, Tensor};
use ndarray::{Axis, Slice};

use super::npy::Npy;
use super::{csv, extension, image, npz, unreadable};
use crate::hash;

/// An open input file.
pub struct Source<T: Scalar> {
    path: PathBuf,
    /// The array within the file, where it holds several.
    array: Option<String>,
    /// Whether the file's array is one sample, without an axis for the batch.
    is_sample: bool,
    /// The input that the model expects.
    expected: Input,
    /// Number of samples in the file.
    samples: usize,
    /// The number of samples read.
    taken: usize,
    from: From<T>,
    /// The changes of an image before its pixels were scaled.
    conversions: Vec<String>,
}

/// Samples that cannot be explained, by their number among those that were taken, and why.
pub type Bad = Vec<(usize, Error)>;

/// Where samples come from.
enum From<T: Scalar> {
    /// From the file, when they are asked for.
    File(Npy<T>),
    /// From memory, with the hash of the file: images, tables, `.npz` archives, and arrays in Fortran order.
    Memory { all: Tensor<T>, sha256: String },
}

impl<T: Scalar> Source<T> {
    /// Opens a file for a model with samples of this shape. An array of exactly that shape is one sample.
    ///
    /// # Errors
    /// When the file cannot be read, or has another shape than the model's input.
    pub fn open(path: &Path, shape: &[usize], expected: &Input) -> Result<Self, Error> {
        Self::open_array(path, None, shape, expected)
    }

    /// As [`open`](Self::open), for the array of this name where the file is an archive.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is no such array.
    pub fn open_array(path: &Path, array: Option<&str>, shape: &[usize], expected: &Input) -> Result<Self, Error> {
        let mut conversions = Vec::new();
        let mut is_sample = false;
        let from = match extension(path).as_str() {
            "npy" => {
                let mut npy = Npy::open(path).map_err(|e| unreadable(path, e))?;
                is_sample = check_shape(path, npy.shape(), shape)?;
                if is_sample {
                    npy.as_sample();
                }
                match npy.is_fortran() {
                    true => {
                        let all = npy.whole().map_err(|e| unreadable(path, e))?;
                        From::Memory { all, sha256: npy.sha256() }
                    }
                    false => From::File(npy),
                }
            }
            "npz" => {
                let bytes = file::read(path, Limit::ARCHIVE).map_err(|e| unreadable(path, e))?;
                let mut all = npz::read(path, &bytes, array)?;
                is_sample = check_shape(path, all.shape(), shape)?;
                if is_sample {
                    all.insert_axis_inplace(Axis(0));
                }
                From::Memory { all, sha256: hash::of_bytes(&bytes) }
            }
            "csv" => {
                let bytes = file::read(path, Limit::TABLE).map_err(|e| csv::unreadable(path, &e))?;
                let (all, changes) = csv::read(path, &bytes, shape, expected)?;
                conversions = changes;
                From::Memory { all, sha256: hash::of_bytes(&bytes) }
            }
            _ => {
                let bytes = image(path)?;
                let (all, changes) = lrp::input::read_image(path, &bytes, shape, expected)?;
                conversions = changes;
                From::Memory { all, sha256: hash::of_bytes(&bytes) }
            }
        };
        let samples = match &from {
            From::File(npy) => npy.shape().first().copied().unwrap_or(0),
            From::Memory { all, .. } => samples(all),
        };
        let (path, array, expected) = (path.to_path_buf(), array.map(str::to_owned), expected.clone());
        Ok(Self { path, array, is_sample, expected, samples, taken: 0, from, conversions })
    }

    /// Samples `[n, …]` that were made from a file with this hash, with these changes.
    pub fn of_memory(path: &Path, all: Tensor<T>, sha256: String, conversions: Vec<String>) -> Self {
        let samples = samples(&all);
        Self {
            path: path.to_path_buf(),
            array: None,
            is_sample: false,
            expected: Input::default(),
            samples,
            taken: 0,
            from: From::Memory { all, sha256 },
            conversions,
        }
    }

    /// Whether the file's array is one sample, without an axis for the batch.
    pub fn is_sample(&self) -> bool {
        self.is_sample
    }

    /// Number of samples in the file.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The changes of an image before its pixels were scaled, in words.
    pub fn conversions(&self) -> &[String] {
        &self.conversions
    }

    /// The number of samples read.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The number of samples left.
    pub fn left(&self) -> usize {
        self.samples - self.taken
    }

    /// The next samples, `[n, …]`.
    ///
    /// # Errors
    /// When they cannot be read, or NaN or infinities are among them.
    pub fn take(&mut self, n: usize) -> Result<Tensor<T>, Error> {
        let n = n.min(self.left());
        let (first, last) = (self.taken, self.taken + n);
        let samples = match &mut self.from {
            From::File(npy) => npy.take(n).map_err(|e| unreadable(&self.path, e))?,
            From::Memory { all, .. } => all.slice_axis(Axis(0), Slice::from(first..last)).to_owned(),
        };
        check_finite(&self.path, first, &samples)
            .map_err(|failure| self.fits_double(first, &samples).unwrap_or(failure))?;
        self.taken = last;
        Ok(samples)
    }

    /// Where a value is infinite only because single precision cannot hold it: says so.
    fn fits_double(&self, first: usize, samples: &Tensor<T>) -> Option<Error> {
        let (i, sample) = samples.outer_iter().enumerate().find(|(_, sample)| sample.iter().any(|v| !v.is_finite()))?;
        let (index, value) = sample.indexed_iter().find(|(_, v)| !v.is_finite())?;
        if T::NAME != "f32" || value.is_nan() {
            return None;
        }
        let shape: Vec<usize> = samples.shape().iter().skip(1).copied().collect();
        let mut double = Source::<f64>::open_array(&self.path, self.array.as_deref(), &shape, &self.expected).ok()?;
        double.skip(first + i).ok()?;
        let value = double.take(1).ok()?.index_axis(Axis(0), 0).get(index.clone()).copied()?;
        let message = format!(
            "'{}': sample {} has the value {value:e} at {:?}, which single precision cannot hold",
            self.path.display(),
            first + i,
            ndarray::Dimension::slice(&index)
        );
        Some(Error::about(&self.path, message, "use --precision f64, or scale the input"))
    }

    /// As [`take`](Self::take), with those that hold NaN or infinities, and the error of each of them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn take_any(&mut self, n: usize) -> Result<(Tensor<T>, Bad), Error> {
        let n = n.min(self.left());
        let (first, last) = (self.taken, self.taken + n);
        let samples = match &mut self.from {
            From::File(npy) => npy.take(n).map_err(|e| unreadable(&self.path, e))?,
            From::Memory { all, .. } => all.slice_axis(Axis(0), Slice::from(first..last)).to_owned(),
        };
        self.taken = last;
        let mut bad = Vec::new();
        for (i, sample) in samples.axis_chunks_iter(Axis(0), 1).enumerate() {
            if sample.iter().any(|v| !v.is_finite())
                && let Err(failure) = check_finite(&self.path, first + i, &sample.to_owned())
            {
                bad.push((i, self.fits_double(first + i, &sample.to_owned()).unwrap_or(failure)));
            }
        }
        Ok((samples, bad))
    }

    /// Passes over the next samples.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn skip(&mut self, n: usize) -> Result<(), Error> {
        let n = n.min(self.left());
        if let From::File(npy) = &mut self.from {
            npy.skip(n).map_err(|e| unreadable(&self.path, e))?;
        }
        self.taken += n;
        Ok(())
    }

    /// SHA-256 of the file as far as it had to be read: of the whole file at the latest when no sample is left.
    pub fn sha256(&self) -> String {
        match &self.from {
            From::File(npy) => npy.sha256(),
            From::Memory { sha256, .. } => sha256.clone(),
        }
    }
}

/// Checks the shape of a file's array, and says whether it is that of one sample, without an axis for the batch.
fn check_shape(path: &Path, got: &[usize], sample: &[usize]) -> Result<bool, Error> {
    let list = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if got.len() == sample.len() + 1 && got[1..] == *sample && got[0] > 0 {
        return Ok(false);
    }
    if got == sample {
        return Ok(true);
    }
    let message =
        format!("'{}' has the shape [{}], the model expects [N, {}]", path.display(), list(got), list(sample));
    let help = if got.first() == Some(&0) {
        "it holds no samples: give at least one".to_owned()
    } else {
        format!("reshape or preprocess the array to [N, {}], N being the number of samples", list(sample))
    };
    Err(Error::user(message, help))
}

/// Names the first value that is NaN or infinite. `first` is the number of the first sample within the file.
fn check_finite<T: Scalar>(path: &Path, first: usize, samples: &Tensor<T>) -> Result<(), Error> {
    for (i, sample) in samples.outer_iter().enumerate() {
        if let Some((index, value)) = sample.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::about(
                path,
                format!(
                    "'{}': sample {} has the value {value} at {:?}",
                    path.display(),
                    first + i,
                    ndarray::Dimension::slice(&index)
                ),
                "NaN and infinite values cannot be explained: clean the array, for example with numpy.nan_to_num",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_number_type_are_read_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let array = ndarray::array![[1_u8, 2], [3, 4], [5, 6]];
        for (name, array) in
            [("c.npy", array.clone()), ("fortran.npy", array.t().as_standard_layout().into_owned().reversed_axes())]
        {
            let path = folder.path().join(name);
            ndarray_npy::write_npy(&path, &array).unwrap();
            let mut source = Source::<f32>::open(&path, &[2], &Input::default()).unwrap();
            assert_eq!(source.samples(), 3);
            assert_eq!(source.take(1).unwrap(), ndarray::array![[1.0, 2.0]].into_dyn());
            source.skip(1).unwrap();
            assert_eq!(source.take(7).unwrap(), ndarray::array![[5.0, 6.0]].into_dyn());
            assert_eq!((source.left(), source.sha256()), (0, hash::of_file(&path).unwrap()));
            assert!(Source::<f32>::open(&path, &[3], &Input::default()).is_err());
            // All of it is one sample.
            let mut source = Source::<f32>::open(&path, &[3, 2], &Input::default()).unwrap();
            assert!(source.is_sample() && source.samples() == 1);
            assert_eq!(source.take(1).unwrap(), array.mapv(f32::from).insert_axis(Axis(0)).into_dyn());
        }
    }

    #[test]
    fn a_value_that_single_precision_cannot_hold_is_not_called_infinite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        ndarray_npy::write_npy(&path, &ndarray::array![[1.0], [2.0], [-1e300]]).unwrap();
        let error = Source::<f32>::open(&path, &[1], &Input::default()).unwrap().take(3).unwrap_err();
        assert!(
            format!("{error:?}").contains("the value -1e300 at [0], which single precision cannot hold"),
            "{error:?}"
        );
        assert!(format!("{error:?}").contains("--precision f64") && !format!("{error:?}").contains("nan_to_num"));
        ndarray_npy::write_npy(&path, &ndarray::array![[f64::INFINITY]]).unwrap();
        let error = Source::<f32>::open(&path, &[1], &Input::default()).unwrap().take(3).unwrap_err();
        assert!(format!("{error:?}").contains("nan_to_num"), "{error:?}");
    }

    #[test]
    fn a_value_that_is_no_number_is_named_with_its_place_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        ndarray_npy::write_npy(&path, &ndarray::array![[1.0], [2.0], [f64::NAN]]).unwrap();
        let mut source = Source::<f64>::open(&path, &[1], &Input::default()).unwrap();
        source.take(1).unwrap();
        assert!(source.take(2).unwrap_err().to_string().contains("sample 2 has the value NaN at [0]"));
    }
}
