//! The inputs of a model that are given for each sample, and batches of all of them as one tensor.
//!
//! A model with one given input has batches of its shape, `[n, …]`. Of a model with several, a batch is `[n, Σ volumes]`: the inputs of each
//! sample one after the other, in the order of the file. The relevance of several explained inputs is joined in the same way.

use std::path::Path;

use lrp_core::tensor::{batch_shape, empty};
use lrp_core::{Scalar, Tensor};
use lrp_onnx::{InputInfo, Role};
use ndarray::{Axis, Slice};

use crate::error::{Error, InputsError};

/// An input that is given for each sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenInput {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements, as NumPy calls it.
    pub dtype: String,
    /// The shape of a sample, without the batch axis.
    pub shape: Vec<usize>,
    /// Whether its elements are integers or truth values.
    pub is_integer: bool,
    /// Whether its relevance is wanted. That of the others is summed.
    pub is_explained: bool,
}

impl GivenInput {
    /// The number of elements of a sample.
    pub fn volume(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The inputs that are given for each sample, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    inputs: Vec<GivenInput>,
    /// The names of the file's other inputs, which the output does not depend on.
    unused: Vec<String>,
}

impl Given {
    /// The given ones among a file's inputs, which was imported with these `sources`.
    ///
    /// # Errors
    /// When a source is no input that is given for each sample.
    pub fn new(path: &Path, inputs: &[InputInfo], sources: Option<&[String]>) -> Result<Self, Error> {
        let is_given = |input: &InputInfo| matches!(input.role, Role::Explained | Role::Given);
        for source in sources.unwrap_or_default() {
            let found = inputs.iter().find(|input| input.name == *source);
            if !found.is_some_and(is_given) {
                let role = found.map(|input| input.role);
                let explained = inputs.iter().filter(|input| is_given(input)).map(|input| input.name.clone()).collect();
                return Err(
                    InputsError::NoSource { name: source.clone(), role, model: path.to_owned(), explained }.into()
                );
            }
        }
        if sources.is_some_and(<[String]>::is_empty) {
            return Err(InputsError::NoSources.into());
        }
        let given = |input: &InputInfo| GivenInput {
            name: input.name.clone(),
            dtype: input.dtype.to_owned(),
            shape: input.sample.clone(),
            is_integer: input.is_integer(),
            is_explained: input.role == Role::Explained,
        };
        let unused = inputs.iter().filter(|input| input.role == Role::Unused).map(|input| input.name.clone());
        let given = Self {
            inputs: inputs.iter().filter(|input| is_given(input)).map(given).collect(),
            unused: unused.collect(),
        };
        if given.explained().next().is_none() {
            return Err(InputsError::NoneExplained { model: path.to_owned() }.into());
        }
        Ok(given)
    }

    /// These inputs.
    pub fn of(inputs: Vec<GivenInput>) -> Self {
        Self { inputs, unused: Vec::new() }
    }

    /// Whether the file has an input of this name that the output does not depend on.
    pub fn is_unused(&self, name: &str) -> bool {
        self.unused.iter().any(|unused| unused == name)
    }

    /// All of them.
    pub fn all(&self) -> &[GivenInput] {
        &self.inputs
    }

    /// The only one, if there are no others.
    pub fn only(&self) -> Option<&GivenInput> {
        if let [only] = self.inputs.as_slice() { Some(only) } else { None }
    }

    /// Those whose relevance is wanted.
    pub fn explained(&self) -> impl Iterator<Item = &GivenInput> + Clone {
        self.inputs.iter().filter(|input| input.is_explained)
    }

    /// The names of all, for messages.
    pub fn names(&self) -> String {
        self.inputs
            .iter()
            .map(|input| format!("'{}'", lrp_core::text::shown(&input.name)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The place of an input among the explained ones.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.explained().position(|input| input.name == name)
    }

    /// The shape of a sample of all of them.
    pub fn shape(&self) -> Vec<usize> {
        joined_shape(self.inputs.iter())
    }

    /// The shape of the relevance of a sample.
    pub fn relevance_shape(&self) -> Vec<usize> {
        joined_shape(self.explained())
    }

    /// A batch of all inputs as one tensor. The only input is its own batch.
    ///
    /// # Errors
    /// When the tensors are not those of the inputs, `[n, …]` each with the same n.
    pub fn join<T: Scalar>(&self, inputs: Vec<Tensor<T>>) -> Result<Tensor<T>, Error> {
        if inputs.len() != self.inputs.len() {
            let expected = self.inputs.iter().map(|input| input.name.clone()).collect();
            return Err(InputsError::Count { expected, got: inputs.len() }.into());
        }
        let n = inputs.first().map_or(0, lrp_core::tensor::samples);
        for (input, x) in self.inputs.iter().zip(&inputs) {
            let expected = batch_shape(n, &input.shape);
            if x.shape() != expected {
                let (name, got) = (input.name.clone(), x.shape().to_vec());
                return Err(InputsError::Shape { name, got, expected }.into());
            }
        }
        joined(inputs)
    }

    /// The inputs of a batch, `[n, …]` each.
    pub fn split<T: Scalar>(&self, batch: Tensor<T>) -> Vec<Tensor<T>> {
        split(self.inputs.iter(), batch)
    }

    /// The relevance of each explained input, `[n, …]`, given that of all of them.
    pub fn split_relevance<T: Scalar>(&self, relevance: Tensor<T>) -> Vec<Tensor<T>> {
        split(self.explained(), relevance)
    }

    /// Takes the relevance of all inputs, `[n, …]` each: joins that of the explained ones, and sums that of the others over each sample, if
    /// there are others.
    ///
    /// # Errors
    /// When there is relevance of another number of inputs.
    pub(crate) fn join_relevance<T: Scalar>(
        &self,
        relevance: Vec<Tensor<T>>,
    ) -> Result<(Tensor<T>, Option<Vec<f64>>), Error> {
        if self.inputs.len() != relevance.len() {
            return Err(Error::Internal(format!("relevance of {} inputs", relevance.len())));
        }
        let (explained, others): (Vec<_>, Vec<_>) =
            self.inputs.iter().zip(relevance).partition(|(input, _)| input.is_explained);
        let sums = |r: &Tensor<T>| r.outer_iter().map(|r| r.iter().map(|v| v.wide()).sum()).collect::<Vec<f64>>();
        let others = others.iter().map(|(_, relevance)| sums(relevance));
        let others = others.reduce(|sum, part| sum.iter().zip(&part).map(|(a, b)| a + b).collect());
        Ok((joined(explained.into_iter().map(|(_, relevance)| relevance).collect())?, others))
    }
}

/// The shape of a sample of several inputs.
fn joined_shape<'a>(inputs: impl Iterator<Item = &'a GivenInput> + Clone) -> Vec<usize> {
    let mut each = inputs.clone();
    match (each.next(), each.next()) {
        (Some(only), None) => only.shape.clone(),
        _ => vec![inputs.map(GivenInput::volume).sum()],
    }
}

/// Tensors `[n, …]` as one: the only one as it is, several one after the other.
fn joined<T: Scalar>(mut parts: Vec<Tensor<T>>) -> Result<Tensor<T>, Error> {
    if parts.len() == 1 {
        return Ok(parts.swap_remove(0));
    }
    let flat = |part: Tensor<T>| {
        let n = lrp_core::tensor::samples(&part);
        let volume = part.shape().iter().skip(1).product();
        let part = if part.is_standard_layout() { part } else { part.as_standard_layout().into_owned() };
        part.into_shape_with_order(vec![n, volume])
    };
    let parts = parts.into_iter().map(flat).collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(|e| Error::Internal(e.to_string()))?;
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(1), &views).map_err(|e| Error::Internal(e.to_string()))
}

/// The parts of a tensor that [`joined`] made.
fn split<'a, T: Scalar>(inputs: impl Iterator<Item = &'a GivenInput> + Clone, batch: Tensor<T>) -> Vec<Tensor<T>> {
    if inputs.clone().count() == 1 {
        return vec![batch];
    }
    let n = lrp_core::tensor::samples(&batch);
    let mut first = 0;
    inputs
        .map(|input| {
            let last = first + input.volume();
            let part = batch.slice_axis(Axis(1), Slice::from(first..last));
            first = last;
            let part = part.as_standard_layout().into_owned();
            part.into_shape_with_order(batch_shape(n, &input.shape)).unwrap_or_else(|_| empty())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn input(name: &str, sample: &[usize], role: Role) -> InputInfo {
        InputInfo { name: name.into(), dtype: "float32", axes: Vec::new(), sample: sample.to_vec(), role }
    }

    fn of(sources: Option<&[&str]>) -> Result<Given, Error> {
        let inputs = [
            input("left", &[2], Role::Explained),
            input("mask", &[1], Role::Given),
            input("rate", &[], Role::Fixed),
            input("right", &[1, 2], Role::Explained),
        ];
        let sources: Option<Vec<String>> = sources.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Given::new("net.onnx".as_ref(), &inputs, sources.as_deref())
    }

    #[test]
    fn batches_are_joined_and_split() {
        let given = of(None).unwrap();
        assert_eq!((given.shape(), given.relevance_shape()), (vec![5], vec![4]));
        let parts: Vec<Tensor<f64>> = vec![
            array![[1.0, 2.0], [6.0, 7.0]].into_dyn(),
            array![[3.0], [8.0]].into_dyn(),
            array![[[4.0, 5.0]], [[9.0, 10.0]]].into_dyn(),
        ];
        let batch = given.join(parts.clone()).unwrap();
        assert_eq!(batch, array![[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]].into_dyn());
        assert_eq!(given.split(batch), parts);
        let (relevance, others) = given.join_relevance(parts.clone()).unwrap();
        assert_eq!(relevance, array![[1.0, 2.0, 4.0, 5.0], [6.0, 7.0, 9.0, 10.0]].into_dyn());
        assert_eq!(others, Some(vec![3.0, 8.0]));
        assert_eq!(given.split_relevance(relevance), vec![parts[0].clone(), parts[2].clone()]);
        assert!(given.join(parts[..2].to_vec()).is_err());
        let one = parts[1].slice_axis(Axis(0), Slice::from(..1)).to_owned();
        assert!(given.join(vec![parts[0].clone(), one, parts[2].clone()]).is_err());
    }

    #[test]
    fn a_source_is_given_for_each_sample() {
        assert_eq!(of(Some(&["left", "right"])).unwrap(), of(None).unwrap());
        assert_eq!(of(None).unwrap().index_of("mask"), None);
        for (name, why) in [("rate", "is fixed"), ("lift", "does not exist")] {
            let error = of(Some(&[name])).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.complaints()[0].remedy(), Some("inputs that can be explained: 'left', 'mask', 'right'"));
        }
    }
}
