//! The target: the output that is explained, and the relevance that the walk starts with.
//!
//! Every target is a weighted sum of output elements, chosen sample by sample: its score is `Σ weight · output`.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// The output to explain. Elements of outputs of any shape are numbered in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The largest output of each sample (the first of equals).
    Argmax,
    /// One output, the same for every sample.
    Class(usize),
    /// The `rank`-th largest output of each sample; 0 is the largest.
    Rank(usize),
    /// The evidence for the first output rather than the second: `+` relevance on one, `−` on the other.
    Contrast(usize, usize),
    /// Of outputs `[…, C]`: a class at one position of the leading axes.
    At {
        /// An index for each leading axis.
        position: Vec<usize>,
        /// The class there.
        class: Pick,
    },
    /// Of outputs `[…, C]`: a class at every position of the leading axes, summed.
    Each {
        /// The class.
        class: Pick,
        /// Positions with this class are left out: the blank of CTC.
        skip: Option<usize>,
    },
    /// The `rank`-th largest of the elements that score boxes, each a class of a box.
    Boxes {
        /// 0 is the largest.
        rank: usize,
        /// The elements.
        scores: Arc<BoxScores>,
    },
    /// A weighted sum that is the same for every sample.
    Weighted(Weighted),
    /// The similarity of the output to another one.
    Similarity(Similarity),
    /// A target for each sample of the batch, in order.
    PerSample(Arc<[Target]>),
}

/// A class of the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The largest (the first of equals).
    Argmax,
    /// This one.
    Class(usize),
}

/// Output elements and their weights.
pub type Weights = Arc<[(usize, f64)]>;

/// A weighted sum of output elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    /// The elements, by number, and their weights.
    pub weights: Weights,
    /// The class that all of them belong to, if there is one.
    pub class: Option<usize>,
    /// The sum in words.
    pub name: String,
    /// Whether the weights are the relevance to start with, whatever [`Start`] says.
    pub is_relevance: bool,
}

/// The similarity of an output `z`, an embedding, to another one, `e`: `Σ_k z_k e_k`, over both norms where only directions count. Then `e` and
/// both norms are constants, as in the rules of normalizations, and the similarity is the sum of the relevance that the walk starts with,
/// `R_k = z_k e_k / (|z| |e|)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarity {
    /// The other embedding.
    pub other: Arc<[f64]>,
    /// Whether it is the cosine of the angle between them; otherwise their dot product.
    pub is_cosine: bool,
    /// The similarity in words.
    pub name: String,
}

impl Similarity {
    /// The weight of each output element. The cosine with a vector of zeros is 0.
    fn weights<T: Scalar>(&self, output: &[T]) -> Weights {
        let norm = |squares: f64| if self.is_cosine { squares.sqrt() } else { 1.0 };
        let norms = norm(output.iter().map(|z| z.wide().powi(2)).sum()) * norm(self.other.iter().map(|e| e * e).sum());
        let weight = |e: &f64| if norms > 0.0 { e / norms } else { 0.0 };
        self.other.iter().map(weight).enumerate().collect()
    }
}

/// The elements of a detector's output that score boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxScores {
    /// Number of boxes.
    pub boxes: usize,
    /// The channels that are scores of classes, among those of a box.
    pub classes: Range<usize>,
    /// The distance of neighbouring boxes in row-major order.
    pub box_step: usize,
    /// The distance of neighbouring channels.
    pub channel_step: usize,
}

/// The relevance that the walk starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The target's own value.
    #[default]
    Logit,
    /// One.
    One,
}

/// The part of one sample's output that a target means.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The elements, by number, and their weights.
    pub weights: Weights,
    /// The class, if it is one: the number of the element, or where [`place`](Self::place) says more, an index along the axis of classes.
    pub class: Option<usize>,
    /// Of a contrast: the class it is contrasted with.
    pub against: Option<usize>,
    /// Where in the output, in words; none for a class of the output as a whole.
    pub place: Option<String>,
    /// Whether the weights are the relevance to start with.
    pub is_relevance: bool,
}

impl Chosen {
    /// `Σ weight · output`, given the elements of the sample's output.
    pub fn score<T: Scalar>(&self, output: &[T]) -> f64 {
        let value = |element: usize| output.get(element).map_or(f64::NAN, |value| value.wide());
        self.weights.iter().map(|&(element, weight)| weight * value(element)).sum()
    }

    fn class(class: usize) -> Self {
        Self { weights: [(class, 1.0)].into(), class: Some(class), against: None, place: None, is_relevance: false }
    }
}

impl Target {
    /// The elements explained in each sample, given the outputs `[N, …]`.
    ///
    /// # Errors
    /// When a class or a position does not exist.
    pub fn chosen<T: Scalar>(&self, output: &Tensor<T>) -> Result<Vec<Chosen>, Error> {
        let n = samples(output);
        let shape = output.shape().get(1..).unwrap_or_default();
        let values = elements(output);
        let count: usize = shape.iter().product();
        if let Target::PerSample(targets) = self
            && targets.len() != n
        {
            let reason = format!("is given for {} samples, and there are {n}", targets.len());
            return Err(Error::TargetShape { reason, shape: shape.to_vec() });
        }
        let sample = |i: usize| {
            let target = match self {
                Target::PerSample(targets) => targets.get(i).unwrap_or(self),
                one => one,
            };
            target.of_sample(values.get(i * count..(i + 1) * count).unwrap_or_default(), shape)
        };
        (0..n).map(sample).collect()
    }

    /// The target of some of the samples.
    #[must_use]
    pub fn part(&self, samples: Range<usize>) -> Self {
        match self {
            Target::PerSample(targets) => Target::PerSample(targets.get(samples).unwrap_or_default().into()),
            one => one.clone(),
        }
    }

    fn of_sample<T: Scalar>(&self, output: &[T], shape: &[usize]) -> Result<Chosen, Error> {
        let classes = shape.last().copied().unwrap_or(1);
        let check = |class: usize, classes: usize| {
            if class < classes { Ok(class) } else { Err(Error::Target { target: class, classes }) }
        };
        let misfit = |reason: String| Err(Error::TargetShape { reason, shape: shape.to_vec() });
        let ranked = |rank| ranking(output.iter().copied()).get(rank).copied().unwrap_or_default();
        match self {
            Target::Argmax => Target::Rank(0).of_sample(output, shape),
            Target::Class(class) => Ok(Chosen::class(check(*class, output.len())?)),
            Target::Rank(rank) => {
                check(*rank, output.len())?;
                Ok(Chosen::class(ranked(*rank)))
            }
            Target::Contrast(class, other) => {
                let (class, other) = (check(*class, output.len())?, check(*other, output.len())?);
                let weights = [(class, 1.0), (other, -1.0)].into();
                Ok(Chosen { weights, against: Some(other), ..Chosen::class(class) })
            }
            Target::At { position, class } => {
                let leading = shape.split_last().map_or(&[][..], |(_, leading)| leading);
                let inside = position.len() == leading.len() && position.iter().zip(leading).all(|(i, n)| i < n);
                if !inside {
                    return misfit(format!("is at the position {position:?} of all axes but the last"));
                }
                let row = position.iter().zip(leading).fold(0, |row, (i, n)| row * n + i);
                let class = class.of(row_of(output, row, classes))?;
                let place = match position.as_slice() {
                    [] => None,
                    [step] => Some(format!("t={step}")),
                    many => Some(format!("{many:?}")),
                };
                Ok(Chosen { weights: [(row * classes + class, 1.0)].into(), place, ..Chosen::class(class) })
            }
            Target::Each { class, skip } => {
                let rows = output.len() / classes.max(1);
                let mut weights = Vec::new();
                for row in 0..rows {
                    let class = class.of(row_of(output, row, classes))?;
                    if Some(class) != *skip {
                        weights.push((row * classes + class, 1.0));
                    }
                }
                let place = Some(format!("{} of {rows} positions", weights.len()));
                let class = if let Pick::Class(class) = class { Some(*class) } else { None };
                Ok(Chosen { weights: weights.into(), class, against: None, place, is_relevance: false })
            }
            Target::Boxes { rank, scores } => {
                let elements = scores.elements();
                if elements.iter().any(|element| *element >= output.len()) || *rank >= elements.len() {
                    return misfit(format!("is box score {rank} of {} boxes", scores.boxes));
                }
                let order = ranking(elements.iter().filter_map(|element| output.get(*element).copied()));
                let at = order.get(*rank).copied().unwrap_or_default();
                let width = scores.classes.len().max(1);
                let place = Some(format!("box {}", at / width));
                let weights = [(elements.get(at).copied().unwrap_or_default(), 1.0)].into();
                Ok(Chosen { weights, place, ..Chosen::class(at % width) })
            }
            Target::Weighted(Weighted { weights, class, name, is_relevance }) => {
                match weights.iter().find(|(element, _)| *element >= output.len()) {
                    Some((element, _)) => misfit(format!("has the element {element}")),
                    None => Ok(Chosen {
                        weights: Arc::clone(weights),
                        class: *class,
                        against: None,
                        place: Some(name.clone()),
                        is_relevance: *is_relevance,
                    }),
                }
            }
            Target::Similarity(similarity) if similarity.other.len() != output.len() => {
                misfit(format!("is the similarity to an embedding of {} numbers", similarity.other.len()))
            }
            Target::Similarity(similarity) => Ok(Chosen {
                weights: similarity.weights(output),
                class: None,
                against: None,
                place: Some(similarity.name.clone()),
                is_relevance: false,
            }),
            Target::PerSample(_) => misfit("is given for several samples".to_owned()),
        }
    }

    /// Starting relevance of the output's shape.
    pub(crate) fn seed<T: Scalar>(&self, output: &Tensor<T>, start: Start) -> Result<Tensor<T>, Error> {
        let chosen = self.chosen(output)?;
        let values = elements(output);
        let count = values.len() / chosen.len().max(1);
        let mut seed = vec![T::zero(); values.len()];
        for (sample, chosen) in chosen.iter().enumerate() {
            for &(element, weight) in chosen.weights.iter() {
                let i = sample * count + element;
                seed[i] += match start {
                    Start::Logit if !chosen.is_relevance => T::of(weight) * values[i],
                    _ => T::of(weight),
                };
            }
        }
        Ok(from_elements(&batch_shape(chosen.len(), &output.shape()[1..]), seed))
    }
}

impl Pick {
    /// The class of a row of scores.
    fn of<T: Scalar>(self, row: &[T]) -> Result<usize, Error> {
        match self {
            Pick::Argmax => Ok(ranking(row.iter().copied()).first().copied().unwrap_or_default()),
            Pick::Class(class) if class < row.len() => Ok(class),
            Pick::Class(class) => Err(Error::Target { target: class, classes: row.len() }),
        }
    }
}

impl BoxScores {
    /// The elements, box by box.
    fn elements(&self) -> Vec<usize> {
        let of_box =
            |b: usize| self.classes.clone().map(move |channel| b * self.box_step + channel * self.channel_step);
        (0..self.boxes).flat_map(of_box).collect()
    }
}

fn row_of<T>(output: &[T], row: usize, classes: usize) -> &[T] {
    output.get(row * classes..(row + 1) * classes).unwrap_or_default()
}

/// Indices from the largest value to the smallest; equals keep their order.
pub fn ranking<T: Scalar>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let values: Vec<T> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].partial_cmp(&values[a]).unwrap_or(std::cmp::Ordering::Equal));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn seeds_by_hand() {
        let output = array![[1.0, 5.0, 5.0], [4.0, -2.0, 3.0]].into_dyn();
        let seed = |target: Target, start| target.seed(&output, start).unwrap();
        assert_eq!(seed(Target::Argmax, Start::Logit), array![[0.0, 5.0, 0.0], [4.0, 0.0, 0.0]].into_dyn());
        assert_eq!(seed(Target::Rank(1), Start::One), array![[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]].into_dyn());
        assert_eq!(seed(Target::Contrast(0, 1), Start::Logit), array![[1.0, -5.0, 0.0], [4.0, 2.0, 0.0]].into_dyn());
        assert_eq!(Target::Class(3).chosen(&output), Err(Error::Target { target: 3, classes: 3 }));
    }

    /// Two samples of two steps and three classes.
    fn sequences() -> Tensor<f64> {
        array![[[1.0, 5.0, 2.0], [7.0, 0.0, 3.0]], [[9.0, 8.0, 1.0], [2.0, 4.0, 6.0]]].into_dyn()
    }

    #[test]
    fn a_class_at_a_position() {
        let at = |step: usize, class| Target::At { position: vec![step], class };
        let chosen = at(1, Pick::Argmax).chosen(&sequences()).unwrap();
        assert_eq!(chosen.iter().map(|c| c.class).collect::<Vec<_>>(), [Some(0), Some(2)]);
        assert_eq!(chosen[0].place.as_deref(), Some("t=1"));
        assert_eq!(chosen[1].weights[..], [(5, 1.0)]);
        let seed = at(0, Pick::Class(2)).seed(&sequences(), Start::Logit).unwrap();
        assert_eq!(seed, array![[[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]].into_dyn());
        let error = at(2, Pick::Argmax).chosen(&sequences()).unwrap_err();
        assert!(error.to_string().ends_with("the model's output has the shape [2, 3]"), "{error}");
        assert_eq!(at(0, Pick::Class(3)).chosen(&sequences()), Err(Error::Target { target: 3, classes: 3 }));
    }

    #[test]
    fn a_class_at_every_position_but_blanks() {
        let target = Target::Each { class: Pick::Argmax, skip: Some(0) };
        let chosen = target.chosen(&sequences()).unwrap();
        assert_eq!((&chosen[0].weights[..], &chosen[1].weights[..]), (&[(1, 1.0)][..], &[(5, 1.0)][..]));
        assert_eq!(chosen[0].place.as_deref(), Some("1 of 2 positions"));
        let all = Target::Each { class: Pick::Argmax, skip: None }.chosen(&sequences()).unwrap();
        assert_eq!(all[0].score(&[1.0, 5.0, 2.0, 7.0, 0.0, 3.0]), 12.0);
    }

    #[test]
    fn weights_are_relevance_or_factors() {
        let target = |is_relevance| {
            let (weights, name) = ([(0, 2.0), (4, -0.5)].into(), "r.npy".to_owned());
            Target::Weighted(Weighted { weights, class: None, name, is_relevance })
        };
        let one = sequences().slice_axis(ndarray::Axis(0), (0..1).into()).to_owned();
        let seed = |relevance, start| elements(&target(relevance).seed(&one, start).unwrap()).to_vec();
        assert_eq!(seed(true, Start::Logit), [2.0, 0.0, 0.0, 0.0, -0.5, 0.0]);
        assert_eq!(seed(false, Start::One), seed(true, Start::Logit));
        assert_eq!(seed(false, Start::Logit), [2.0, 0.0, 0.0, 0.0, -0.0, 0.0]);
        let beyond = Weighted { weights: [(6, 1.0)].into(), class: None, name: String::new(), is_relevance: false };
        assert!(Target::Weighted(beyond).chosen(&one).is_err());
    }

    #[test]
    fn similarities_by_hand() {
        let output = array![[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]].into_dyn();
        let to = |other: &[f64], is_cosine| {
            Target::Similarity(Similarity { other: other.into(), is_cosine, name: "a".to_owned() })
        };
        // The norms are 5 and 3: (3·1 + 4·2) / 15.
        let (cosine, dot) = (to(&[1.0, 2.0, 2.0], true), to(&[1.0, 2.0, 2.0], false));
        let close =
            |a: &Tensor<f64>, b: [[f64; 3]; 2]| a.iter().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(close(&cosine.seed(&output, Start::Logit).unwrap(), [[0.2, 8.0 / 15.0, 0.0], [0.0; 3]]));
        assert!(close(&cosine.seed(&output, Start::One).unwrap(), [[1.0 / 15.0, 2.0 / 15.0, 2.0 / 15.0], [0.0; 3]]));
        assert!(close(&dot.seed(&output, Start::Logit).unwrap(), [[3.0, 8.0, 0.0], [0.0; 3]]));
        let chosen = cosine.chosen(&output).unwrap();
        assert!(
            (chosen[0].score(&[3.0, 4.0, 0.0]) - 11.0 / 15.0).abs() < 1e-15 && chosen[0].place.as_deref() == Some("a")
        );
        assert!(to(&[1.0], true).chosen(&output).unwrap_err().to_string().contains("an embedding of 1 numbers"));
    }

    #[test]
    fn boxes_are_ranked_by_the_scores_of_their_classes() {
        // Three boxes with one coordinate and two classes, boxes last: [[coordinates], [class 0], [class 1]].
        let output = array![[[99.0, 98.0, 97.0], [1.0, 5.0, 2.0], [7.0, 0.0, 3.0]]].into_dyn();
        let scores = Arc::new(BoxScores { boxes: 3, classes: 1..3, box_step: 1, channel_step: 3 });
        let of = |rank| Target::Boxes { rank, scores: Arc::clone(&scores) }.chosen(&output).map(|mut c| c.remove(0));
        let (first, second) = (of(0).unwrap(), of(1).unwrap());
        assert_eq!(
            (first.place.as_deref(), first.class, &first.weights[..]),
            (Some("box 0"), Some(1), &[(6, 1.0)][..])
        );
        assert_eq!(
            (second.place.as_deref(), second.class, &second.weights[..]),
            (Some("box 1"), Some(0), &[(4, 1.0)][..])
        );
        assert!(of(6).is_err());
    }

    #[test]
    fn every_sample_has_its_target() {
        let target = Target::PerSample([Target::Class(5), Target::Argmax].into());
        let chosen =
            |target: &Target| target.chosen(&sequences()).map(|c| c.iter().map(|c| c.class).collect::<Vec<_>>());
        assert_eq!(chosen(&target), Ok(vec![Some(5), Some(0)]));
        assert_eq!(target.part(1..2), Target::PerSample([Target::Argmax].into()));
        assert_eq!(Target::Class(1).part(1..2), Target::Class(1));
        let error = chosen(&target.part(0..1)).unwrap_err().to_string();
        assert!(error.contains("for 1 samples, and there are 2"), "{error}");
        assert!(chosen(&Target::PerSample([target.clone(), target].into())).is_err());
    }
}
