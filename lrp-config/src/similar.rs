//! The target `{ similarity = … }`: how similar the output, an embedding, is to the embedding of another input.

use std::fmt;
use std::path::PathBuf;

use lrp_core::Tensor;
use lrp_core::target::{Similarity, Target};
use schemars::JsonSchema;

use crate::misfit::{Misfit, unread};

/// The embedding that an output is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimilarTo {
    /// The file of the other input: one sample, or one for each that is explained.
    pub input: PathBuf,
    /// The output of the model that is its embedding; the explained one unless it is named.
    pub output: Option<String>,
    /// How similar two embeddings are.
    pub measure: Measure,
}

/// `measure = …`: how similar two embeddings are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The cosine of the angle between them.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
}

impl SimilarTo {
    /// The similarity of outputs of this sample shape to the embeddings `[M, …]` of the other input: of its only sample, or of one for each that is
    /// explained.
    ///
    /// # Errors
    /// When the embeddings were not computed, have another shape, or one of them has no direction.
    pub(crate) fn of_output(&self, shape: &[usize], embeddings: Option<&Tensor<f64>>) -> Result<Target, Misfit> {
        let shown = self.input.display();
        let embeddings = embeddings.ok_or_else(|| unread(&self.input))?;
        let own = embeddings.shape().get(1..).unwrap_or_default();
        if own != shape || embeddings.is_empty() {
            let message = format!(
                "the embedding of '{shown}' has the shape {own:?}, and samples of the model's output have the shape {shape:?}"
            );
            let help = "embeddings of one shape can be compared: `output` names that of the other input";
            return Err(Misfit { message, help: help.to_owned() });
        }
        let is_cosine = self.measure == Measure::Cosine;
        let measure = if is_cosine { "similarity" } else { "dot product" };
        let name = self.input.file_name().map_or_else(|| shown.to_string(), |name| name.to_string_lossy().into_owned());
        let several = embeddings.shape().first().is_some_and(|samples| *samples > 1);
        let mut targets = Vec::new();
        for (i, embedding) in embeddings.outer_iter().enumerate() {
            let of_sample = if several { format!(" [{i}]") } else { String::new() };
            if embedding.iter().any(|e| !e.is_finite()) || embedding.iter().all(|e| *e == 0.0) {
                let message = format!("the embedding of '{shown}'{of_sample} is zero, or not finite");
                return Err(Misfit {
                    message,
                    help: "choose another input, whose embedding has a direction".to_owned(),
                });
            }
            let other = embedding.iter().copied().collect();
            let name = format!("{measure} to {name}{of_sample}");
            targets.push(Target::Similarity(Similarity { other, is_cosine, name }));
        }
        match targets.len() {
            1 => Ok(targets.swap_remove(0)),
            _ => Ok(Target::PerSample(targets.into())),
        }
    }
}

/// As a recipe writes it.
impl fmt::Display for SimilarTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ similarity = {:?}", self.input.display().to_string())?;
        self.output.as_ref().map_or(Ok(()), |output| write!(f, ", output = {output:?}"))?;
        f.write_str(if self.measure == Measure::Dot { ", measure = \"dot\" }" } else { " }" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn similarities_to_one_embedding_or_to_one_for_each_sample() {
        let of = |measure, embeddings: Tensor<f64>| {
            let to = SimilarTo { input: "a/cat.png".into(), output: None, measure };
            to.of_output(&[2], Some(&embeddings))
        };
        let similar = |other: [f64; 2], is_cosine, name: &str| {
            Target::Similarity(Similarity { other: other.into(), is_cosine, name: name.to_owned() })
        };
        let one = array![[1.0, -2.0]].into_dyn();
        assert_eq!(of(Measure::Cosine, one.clone()), Ok(similar([1.0, -2.0], true, "similarity to cat.png")));
        assert_eq!(of(Measure::Dot, one), Ok(similar([1.0, -2.0], false, "dot product to cat.png")));
        let two = of(Measure::Cosine, array![[1.0, 0.0], [0.0, 1.0]].into_dyn()).unwrap();
        let Target::PerSample(two) = two else { panic!("{two:?}") };
        assert_eq!(two[1], similar([0.0, 1.0], true, "similarity to cat.png [1]"));
        let wrong = |embeddings| of(Measure::Cosine, embeddings).unwrap_err().message;
        assert!(wrong(array![[1.0, 2.0], [0.0, 0.0]].into_dyn()).contains("'a/cat.png' [1] is zero"));
        assert!(wrong(array![[1.0, 2.0, 3.0]].into_dyn()).contains("has the shape [3], and samples"));
    }
}
