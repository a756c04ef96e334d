//! The samples of an input of a run, taken a few at a time from the files of all of the model's inputs.

use std::path::Path;

use lrp::text::{SEEN_PADDING, TextPart, TextReader, Texts};
use lrp::{Error, Given, GivenInput, TextError};
use lrp_config::Input;
use lrp_core::Scalar;
use lrp_core::Tensor;
use lrp_core::text::shown;

use super::set::{FileSet, Part};
use super::source::{Bad, Source};

/// Whole numbers up to here are exact in single precision.
const EXACT: f64 = 16_777_216.0;

/// Open files, one for each given input of the model.
pub struct Sources<'a, T: Scalar> {
    given: &'a Given,
    parts: Vec<Source<T>>,
    /// Of each, whether its values are pixels that the model takes as integers.
    pixels: Vec<bool>,
    samples: usize,
    /// Whether all inputs are arrays of one file.
    archive: bool,
    /// The parts of each sample that is a text.
    texts: Vec<Vec<TextPart>>,
    reader: Option<&'a TextReader>,
}

impl<'a, T: Scalar> Sources<'a, T> {
    /// Opens the files of an input of the run, for these inputs of the model. Texts need a reader.
    ///
    /// # Errors
    /// When one cannot be read or has another shape than its input, and when they do not have the same number of samples.
    pub fn open(
        set: &FileSet,
        given: &'a Given,
        (expected, reader): (&Input, Option<&'a TextReader>),
    ) -> Result<Self, Error> {
        if super::is_text(set.path()) {
            return Self::of_texts(set.path(), given, expected, reader);
        }
        let of = set.parts(given);
        let open =
            |part: &Part<'_>| Source::open_array(part.path, part.array, &part.input.shape, &stored(part, expected));
        let parts = of.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let samples = parts.first().map_or(0, Source::samples);
        if let Some((part, source)) = of.iter().zip(&parts).find(|(_, source)| source.samples() != samples) {
            let message = format!(
                "'{}' has {} samples for the input '{}', and '{}' has {samples}",
                part.path.display(),
                source.samples(),
                shown(&part.input.name),
                set.path().display()
            );
            return Err(Error::user(message, "the files of several inputs have the same number of samples"));
        }
        let pixels = of.iter().map(|part| part.input.is_integer && super::is_image(part.path)).collect();
        let archive = of.len() > set.files().count();
        Ok(Self { given, pixels, samples, archive, parts, texts: Vec::new(), reader })
    }

    /// The texts of a file: all inputs of the model are made from them.
    fn of_texts(
        path: &Path,
        given: &'a Given,
        expected: &Input,
        reader: Option<&'a TextReader>,
    ) -> Result<Self, Error> {
        let Some(reader) = reader else { return Err(TextError::NoTokenizer { file: path.to_owned() }.into()) };
        let (text, sha256) = super::texts(path)?;
        let Texts { inputs, parts: texts, sees_padding } =
            reader.read::<T>(path, &text, expected.words.unwrap_or_default())?;
        let changes = |first: bool| (first && sees_padding).then(|| SEEN_PADDING.to_owned()).into_iter().collect();
        let each = inputs.into_iter().enumerate();
        let parts = each.map(|(i, all)| Source::of_memory(path, all, sha256.clone(), changes(i == 0))).collect();
        let pixels = vec![false; given.all().len()];
        Ok(Self { given, pixels, samples: texts.len(), archive: true, parts, texts, reader: Some(reader) })
    }

    /// The parts of texts, for samples from number `first` on, joined as [`Given::join`] does; nothing if they are no texts, and there is no
    /// tokenizer that knows them by the ids of their tokens.
    pub fn text_parts(&self, first: usize, samples: &Tensor<T>) -> Vec<Vec<TextPart>> {
        let n = lrp_core::tensor::samples(samples);
        if let Some(parts) = self.texts.get(first..first + n) {
            return parts.to_vec();
        }
        let Some(reader) = self.reader else { return Vec::new() };
        let is_ids = |(_, input): &(Tensor<T>, &GivenInput)| input.is_explained && input.dtype.starts_with("int");
        let mut ids = self.given.split(samples.clone()).into_iter().zip(self.given.all()).filter(is_ids);
        let Some((ids, _)) = ids.next() else { return Vec::new() };
        ids.outer_iter().map(|sample| reader.parts(sample.iter().map(|id| id.wide()))).collect()
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The number of samples read.
    pub fn taken(&self) -> usize {
        self.parts.first().map_or(0, Source::taken)
    }

    /// The number of samples left.
    pub fn left(&self) -> usize {
        self.samples - self.taken()
    }

    /// The changes of images before their pixels were scaled, in words.
    pub fn conversions(&self) -> Vec<String> {
        self.parts.iter().flat_map(Source::conversions).cloned().collect()
    }

    /// For each explained input, whether its array is one sample, without an axis for the batch.
    pub fn are_samples(&self) -> Vec<bool> {
        let all = self.given.all().iter().zip(&self.parts);
        all.filter(|(input, _)| input.is_explained).map(|(_, source)| source.is_sample()).collect()
    }

    /// The next samples, joined as [`Given::join`] does.
    ///
    /// # Errors
    /// When they cannot be read, or NaN or infinities are among them, or fractions in integers.
    pub fn take(&mut self, n: usize) -> Result<Tensor<T>, Error> {
        let first = self.taken();
        let batches = self.parts.iter_mut().zip(&self.pixels);
        let batches = batches.map(|(source, pixels)| Ok(rounded(source.take(n)?, *pixels)));
        let batches = batches.collect::<Result<Vec<_>, Error>>()?;
        match self.not_whole(first, &batches)?.into_iter().next() {
            Some((_, failure)) => Err(failure),
            None => self.given.join(batches),
        }
    }

    /// As [`take`](Self::take), with those that cannot be explained, and the error of each of them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn take_any(&mut self, n: usize) -> Result<(Tensor<T>, Bad), Error> {
        let first = self.taken();
        let (mut batches, mut bad) = (Vec::new(), Bad::new());
        for (source, pixels) in self.parts.iter_mut().zip(&self.pixels) {
            let (batch, more) = source.take_any(n)?;
            batches.push(rounded(batch, *pixels));
            bad.extend(more);
        }
        bad.extend(self.not_whole(first, &batches)?);
        bad.sort_by_key(|(i, _)| *i);
        bad.dedup_by_key(|(i, _)| *i);
        Ok((self.given.join(batches)?, bad))
    }

    /// The samples whose integer inputs are none, or cannot be calculated with.
    fn not_whole(&self, first: usize, batches: &[Tensor<T>]) -> Result<Bad, Error> {
        let mut bad = Bad::new();
        for (input, batch) in self.given.all().iter().zip(batches).filter(|(input, _)| input.is_integer) {
            for (i, sample) in batch.outer_iter().enumerate() {
                let wrong = |v: &&T| {
                    let v = v.wide();
                    v.is_finite() && (v.fract() != 0.0 || (T::NAME == "f32" && v.abs() > EXACT))
                };
                let Some(value) = sample.iter().find(wrong).map(|v| v.wide()) else { continue };
                let message = format!(
                    "sample {} has the value {value} for the input '{}', which holds {}",
                    first + i,
                    shown(&input.name),
                    input.dtype
                );
                let help = match value.fract() == 0.0 {
                    true => "single precision holds whole numbers up to 2^24: use --precision f64",
                    false => "give whole numbers: numpy.rint(x).astype(int)",
                };
                bad.push((i, Error::user(message, help)));
            }
        }
        Ok(bad)
    }

    /// Passes over the next samples.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn skip(&mut self, n: usize) -> Result<(), Error> {
        self.parts.iter_mut().try_for_each(|source| source.skip(n))
    }

    /// SHA-256 of the files as far as they had to be read, with blanks between: of the whole files at the latest when no sample is left.
    pub fn sha256(&self) -> String {
        let files = if self.archive { self.parts.get(..1) } else { self.parts.get(..) };
        files.unwrap_or_default().iter().map(Source::sha256).collect::<Vec<_>>().join(" ")
    }
}

/// Pixels that were scaled to the range of integers, as integers.
fn rounded<T: Scalar>(batch: Tensor<T>, pixels: bool) -> Tensor<T> {
    if pixels { batch.mapv(|v| T::of(v.wide().round())) } else { batch }
}

/// The scaling of an image: pixels of a model that takes them as integers are as they are stored, unless the recipe says otherwise.
fn stored(part: &Part<'_>, expected: &Input) -> Input {
    let highest = match part.input.dtype.as_str() {
        "uint8" | "int8" | "int32" | "int64" => 255.0,
        "uint16" | "int16" => 65535.0,
        _ => return expected.clone(),
    };
    match expected.says_scale() {
        true => expected.clone(),
        false => Input { range: Some(vec![[0.0, highest]]), ..expected.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn given(inputs: &[(&str, &str, &[usize])]) -> Given {
        let one = |(name, dtype, shape): &(&str, &str, &[usize])| GivenInput {
            name: (*name).to_owned(),
            dtype: (*dtype).to_owned(),
            shape: shape.to_vec(),
            is_integer: !dtype.starts_with("float"),
            is_explained: true,
        };
        Given::of(inputs.iter().map(one).collect())
    }

    #[test]
    fn integers_are_whole_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.npy");
        let ids = given(&[("ids", "int64", &[2])]);
        ndarray_npy::write_npy(&path, &array![[1_i64, 2], [3, 1 << 30]]).unwrap();
        let set = FileSet::one(&path);
        let mut sources = Sources::<f64>::open(&set, &ids, (&Input::default(), None)).unwrap();
        assert_eq!(sources.take(2).unwrap(), array![[1.0, 2.0], [3.0, 1_073_741_824.0]].into_dyn());
        let mut sources = Sources::<f32>::open(&set, &ids, (&Input::default(), None)).unwrap();
        let (_, bad) = sources.take_any(2).unwrap();
        assert!(matches!(bad.as_slice(), [(1, error)] if error.to_string().contains("value 1073741824")), "{bad:?}");
        ndarray_npy::write_npy(&path, &array![[1.0, 2.5]]).unwrap();
        let error = Sources::<f64>::open(&set, &ids, (&Input::default(), None)).unwrap().take(1).unwrap_err();
        assert!(error.to_string().contains("value 2.5 for the input 'ids', which holds int64"), "{error}");
    }

    #[test]
    fn pixels_of_integers_are_as_they_are_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![513, 65535]).unwrap().save(&path).unwrap();
        let read = |dtype: &str, expected: &Input| {
            let given = given(&[("x", dtype, &[1, 1, 2])]);
            let mut sources = Sources::<f64>::open(&FileSet::one(&path), &given, (expected, None)).unwrap();
            sources.take(1).unwrap().iter().copied().collect::<Vec<_>>()
        };
        let close = |a: Vec<f64>, b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert_eq!(read("uint16", &Input::default()), [513.0, 65535.0]);
        assert_eq!(read("uint8", &Input::default()), [2.0, 255.0]);
        assert!(close(read("float32", &Input::default()), [513.0 / 65535.0, 1.0]));
        let range = Input { range: Some(vec![[0.0, 65535.0]]), ..Input::default() };
        assert!(close(read("float32", &range), [513.0, 65535.0]));
    }

    #[test]
    fn files_of_several_inputs_have_as_many_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ndarray_npy::write_npy(path("a.npy"), &array![[1.0], [2.0]]).unwrap();
        ndarray_npy::write_npy(path("b.npy"), &array![[3.0, 4.0], [5.0, f64::NAN]]).unwrap();
        let both = given(&[("a", "float32", &[1]), ("b", "float32", &[2])]);
        let set = FileSet::of(path("a.npy"), [path("b.npy")]);
        let mut sources = Sources::<f64>::open(&set, &both, (&Input::default(), None)).unwrap();
        assert_eq!(sources.take(1).unwrap(), array![[1.0, 3.0, 4.0]].into_dyn());
        let (samples, bad) = sources.take_any(1).unwrap();
        assert_eq!((samples.shape(), bad.len(), sources.left()), (&[1, 3][..], 1, 0));
        assert_eq!(sources.sha256().split(' ').count(), 2);
        ndarray_npy::write_npy(path("b.npy"), &array![[3.0, 4.0]]).unwrap();
        let error = Sources::<f64>::open(&set, &both, (&Input::default(), None)).err().unwrap();
        assert!(error.to_string().contains("has 1 samples for the input 'b'"), "{error}");
    }
}
