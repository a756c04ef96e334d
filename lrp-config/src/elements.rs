//! Targets for outputs that are no class vector: elements of the output, as people name them, and what they are in an output of a
//! known shape.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use lrp_core::Tensor;
use lrp_core::target::{BoxScores, Pick, Weighted, Weights};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::class::Class;
use crate::misfit::{Misfit, unread};
use crate::similar::SimilarTo;
use crate::values::ValueError;

/// Elements of the output, whose weighted sum is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// One element, by its indices; negative ones count from the end.
    Index(Vec<i64>),
    /// Of outputs `[…, C]`: a class at a position of the leading axes; negative indices count from the end.
    At {
        /// An index for each leading axis.
        position: Vec<i64>,
        /// The class there.
        class: ClassChoice,
    },
    /// Of outputs `[…, C]`: a class at every position of the leading axes, summed.
    Each {
        /// The class.
        class: ClassChoice,
        /// Positions with this class are left out.
        skip: Option<Class>,
    },
    /// Of outputs `[boxes, C]` or `[C, boxes]`: the class score of this rank, 0 is the largest.
    Boxes {
        /// The rank.
        rank: usize,
        /// The channels that are scores of classes.
        classes: Channels,
    },
    /// The elements where a mask is not zero, weighted by it: of outputs `[C, …]` those of a class, or all.
    Region {
        /// The file of the mask.
        mask: PathBuf,
        /// The class.
        class: Option<Class>,
    },
    /// The similarity of the output, an embedding, to that of another input.
    Similarity(SimilarTo),
    /// All.
    Sum,
    /// The relevance to start with, in this file.
    Seed(PathBuf),
}

/// `class = …` at a position: the largest, or one by its number or label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassChoice {
    /// The largest.
    Argmax,
    /// This one.
    Class(Class),
}

impl From<Class> for ClassChoice {
    fn from(class: Class) -> Self {
        match class {
            Class::Label(label) if label == "argmax" => ClassChoice::Argmax,
            class => ClassChoice::Class(class),
        }
    }
}

/// The channels of a detector's output that are scores of classes: `"4.."`, `"5..85"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    first: usize,
    end: Option<usize>,
}

impl Default for Channels {
    /// After four coordinates.
    fn default() -> Self {
        Self { first: 4, end: None }
    }
}

impl FromStr for Channels {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError::new(format_args!("'{}' is no range of channels", lrp_core::text::shown(text)))
                .help("write \"4..\" or \"5..85\"")
        };
        let (first, end) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let first = number(first)?;
        let end = if end.trim().is_empty() { None } else { Some(number(end)?) };
        if end.is_some_and(|end| end <= first) { Err(wrong()) } else { Ok(Self { first, end }) }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.first)?;
        self.end.map_or(Ok(()), |end| write!(f, "{end}"))
    }
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

impl JsonSchema for Channels {
    fn schema_name() -> Cow<'static, str> {
        "BoxChannels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "range", "type": "string", "pattern": r"^\s*\d+\s*\.\.\s*\d*\s*$" })
    }
}

impl Elements {
    /// The file that they are in, if they are; of a similarity, the other input, whose embedding is then needed.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Elements::Region { mask, .. } => Some(mask),
            Elements::Seed(path) => Some(path),
            Elements::Similarity(SimilarTo { input, .. }) => Some(input),
            _ => None,
        }
    }

    /// As [`file`](Self::file).
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Elements::Region { mask, .. } => Some(mask),
            Elements::Seed(path) => Some(path),
            Elements::Similarity(SimilarTo { input, .. }) => Some(input),
            _ => None,
        }
    }

    /// The elements of outputs of this sample shape. `labels` are those of classes along an axis; `file` has the numbers of
    /// [`file`](Self::file), or for a similarity the embeddings of the samples in it.
    ///
    /// # Errors
    /// When the output has other axes, a class does not exist, or the file does not fit.
    pub fn of_output(
        &self,
        labels: &[String],
        shape: &[usize],
        file: Option<&Tensor<f64>>,
    ) -> Result<lrp_core::Target, Misfit> {
        let output = Output { labels, shape };
        let classes = shape.last().copied().unwrap_or(1);
        match self {
            Elements::Index(indices) => {
                let at = output.position(indices, shape, "index")?;
                let element = at.iter().zip(shape).fold(0, |element, (i, n)| element * n + i);
                Ok(match at.as_slice() {
                    [class] => lrp_core::Target::Class(*class),
                    at => weighted([(element, 1.0)].into(), None, format!("{at:?}")),
                })
            }
            Elements::At { position, class } => {
                let leading = shape.split_last().map_or(&[][..], |(_, leading)| leading);
                let position = output.position(position, leading, "at")?;
                Ok(lrp_core::Target::At { position, class: output.pick(class, classes)? })
            }
            Elements::Each { class, skip } => {
                let skip = skip.as_ref().map(|skip| output.class(skip, classes)).transpose()?;
                Ok(lrp_core::Target::Each { class: output.pick(class, classes)?, skip })
            }
            Elements::Boxes { rank, classes } => output.boxes(*rank, classes),
            Elements::Sum => {
                let weights = (0..shape.iter().product()).map(|element| (element, 1.0)).collect();
                Ok(weighted(weights, None, "the sum of all outputs".to_owned()))
            }
            Elements::Region { mask, class } => output.region(mask, class.as_ref(), file),
            Elements::Similarity(to) => to.of_output(shape, file),
            Elements::Seed(path) => {
                let part = Part { offset: 0, shape, class: None, is_relevance: true };
                output.of_file(path, file, &part)
            }
        }
    }
}

/// The output that elements are chosen of.
struct Output<'a> {
    labels: &'a [String],
    shape: &'a [usize],
}

/// The part of the output that the numbers of a file are weights of.
struct Part<'a> {
    /// The number of its first element.
    offset: usize,
    shape: &'a [usize],
    class: Option<usize>,
    is_relevance: bool,
}

impl Output<'_> {
    fn misfit(&self, message: impl fmt::Display, help: impl Into<String>) -> Misfit {
        let message = format!("{message}, and samples of the model's output have the shape {:?}", self.shape);
        Misfit { message, help: help.into() }
    }

    /// Indices of these axes from 0 up.
    fn position(&self, indices: &[i64], axes: &[usize], key: &str) -> Result<Vec<usize>, Misfit> {
        let help = || {
            let of = if key == "at" { " but the last, which has the classes" } else { "" };
            let ranges: Vec<String> = axes.iter().map(|n| format!("0 to {}", n.saturating_sub(1))).collect();
            match axes {
                [] => "explain a class by its number".to_owned(),
                _ => format!(
                    "give an index for each axis{of}: {}; negative indices count from the end",
                    ranges.join(", ")
                ),
            }
        };
        if indices.len() != axes.len() {
            let (count, plural) = (indices.len(), if indices.len() == 1 { "index" } else { "indices" });
            return Err(self.misfit(format!("`{key}` has {count} {plural}"), help()));
        }
        let of_axis = |(&i, &n): (&i64, &usize)| {
            let from_start = if i < 0 { i64::try_from(n).ok()?.checked_add(i)? } else { i };
            usize::try_from(from_start).ok().filter(|i| *i < n)
        };
        let position: Option<Vec<usize>> = indices.iter().zip(axes).map(of_axis).collect();
        position.ok_or_else(|| {
            let shown = if let [one] = indices { one.to_string() } else { format!("{indices:?}") };
            self.misfit(format!("`{key}` = {shown} is beyond the output"), help())
        })
    }

    fn pick(&self, choice: &ClassChoice, classes: usize) -> Result<Pick, Misfit> {
        match choice {
            ClassChoice::Argmax => Ok(Pick::Argmax),
            ClassChoice::Class(class) => self.class(class, classes).map(Pick::Class),
        }
    }

    /// The number of a class along an axis with this number of classes.
    fn class(&self, class: &Class, classes: usize) -> Result<usize, Misfit> {
        // Labels of something else would be wrong names.
        let labels = if self.labels.len() == classes { self.labels } else { &[] };
        let help = || format!("give a class from 0 to {}, or a label", classes.saturating_sub(1));
        let index = class.index(labels).map_err(|message| Misfit { message, help: help() })?;
        match index < classes {
            true => Ok(index),
            false => Err(self.misfit(format!("the class {index} does not exist"), help())),
        }
    }

    fn boxes(&self, rank: usize, channels: &Channels) -> Result<lrp_core::Target, Misfit> {
        let &[first, second] = self.shape else {
            let help = "explain an element by its indices, such as { index = [0, 3] }";
            return Err(self.misfit("`box` is for outputs [boxes, channels] and [channels, boxes]", help));
        };
        // There are more boxes than channels; where there are as many, channels come last as elsewhere.
        let boxes_first = first >= second;
        let (boxes, count) = if boxes_first { (first, second) } else { (second, first) };
        let (box_step, channel_step) = if boxes_first { (count, 1) } else { (1, boxes) };
        let classes = channels.first..channels.end.unwrap_or(count);
        if classes.is_empty() || classes.end > count {
            let message = format!("classes \"{channels}\" are not among the {count} channels of a box");
            return Err(self.misfit(message, "say which channels are scores of classes: classes = \"4..\""));
        }
        let scores = classes.len().saturating_mul(boxes);
        if rank >= scores {
            let message = format!("there is no box score of rank {rank}");
            return Err(self.misfit(message, format!("ranks are 0, the largest, to {}", scores.saturating_sub(1))));
        }
        Ok(lrp_core::Target::Boxes { rank, scores: Arc::new(BoxScores { boxes, classes, box_step, channel_step }) })
    }

    fn region(
        &self,
        mask: &Path,
        class: Option<&Class>,
        file: Option<&Tensor<f64>>,
    ) -> Result<lrp_core::Target, Misfit> {
        let part = match (class, self.shape.split_first()) {
            (None, _) => Part { offset: 0, shape: self.shape, class: None, is_relevance: false },
            (Some(class), Some((classes, rest))) if !rest.is_empty() => {
                let class = self.class(class, *classes)?;
                let offset = class * rest.iter().product::<usize>();
                Part { offset, shape: rest, class: Some(class), is_relevance: false }
            }
            (Some(_), _) => {
                let help = "leave out `class`, or choose an output of maps, one for each class";
                return Err(self.misfit("`region` with a class is for outputs [C, H, W]", help));
            }
        };
        self.of_file(mask, file, &part)
    }

    /// The numbers of a file as weights: one array for all samples, or one for each.
    fn of_file(&self, path: &Path, file: Option<&Tensor<f64>>, part: &Part<'_>) -> Result<lrp_core::Target, Misfit> {
        let shown = path.display();
        let file = file.ok_or_else(|| unread(path))?;
        let name = path.file_name().map_or_else(|| shown.to_string(), |name| name.to_string_lossy().into_owned());
        let numbers = file.as_standard_layout();
        let numbers = numbers.as_slice().unwrap_or_default();
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            let help = "zero leaves an element out".to_owned();
            return Err(Misfit { message: format!("'{shown}' holds {number}"), help });
        }
        if numbers.iter().all(|number| *number == 0.0) {
            let help = "nonzero elements of the mask are the region".to_owned();
            return Err(Misfit { message: format!("'{shown}' is zero everywhere"), help });
        }
        let target = |numbers: &[f64]| {
            let nonzero = numbers.iter().enumerate().filter(|(_, number)| **number != 0.0);
            let weights: Weights = nonzero.map(|(i, number)| (part.offset + i, *number)).collect();
            let (class, is_relevance) = (part.class, part.is_relevance);
            lrp_core::Target::Weighted(Weighted { weights, class, name: name.clone(), is_relevance })
        };
        let size: usize = part.shape.iter().product();
        match file.shape() {
            shape if shape == part.shape => Ok(target(numbers)),
            [_, shape @ ..] if shape == part.shape => {
                Ok(lrp_core::Target::PerSample(numbers.chunks(size.max(1)).map(target).collect()))
            }
            shape => Err(self.misfit(
                format!("'{shown}' has the shape {shape:?}"),
                format!("give an array of the shape {:?}, or one with such an array for each sample", part.shape),
            )),
        }
    }
}

fn weighted(weights: Weights, class: Option<usize>, name: String) -> lrp_core::Target {
    lrp_core::Target::Weighted(Weighted { weights, class, name, is_relevance: false })
}

impl fmt::Display for ClassChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassChoice::Argmax => f.write_str("\"argmax\""),
            ClassChoice::Class(class) => class.fmt(f),
        }
    }
}

/// As a recipe writes it.
impl fmt::Display for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = |path: &Path| format!("{:?}", path.display().to_string());
        match self {
            Elements::Index(indices) => write!(f, "{{ index = {indices:?} }}"),
            Elements::At { position, class } => match position.as_slice() {
                [one] => write!(f, "{{ at = {one}, class = {class} }}"),
                many => write!(f, "{{ at = {many:?}, class = {class} }}"),
            },
            Elements::Each { class, skip: None } => write!(f, "{{ each = {class} }}"),
            Elements::Each { class, skip: Some(skip) } => write!(f, "{{ each = {class}, skip = {skip} }}"),
            Elements::Boxes { rank, classes } => write!(f, "{{ box = {rank}, classes = \"{classes}\" }}"),
            Elements::Region { mask, class: None } => write!(f, "{{ region = {} }}", file(mask)),
            Elements::Region { mask, class: Some(class) } => {
                write!(f, "{{ region = {}, class = {class} }}", file(mask))
            }
            Elements::Sum => f.write_str("\"sum\""),
            Elements::Similarity(to) => to.fmt(f),
            Elements::Seed(path) => write!(f, "{{ seed = {} }}", file(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::Target;
    use ndarray::array;

    fn at(position: &[i64], class: impl Into<ClassChoice>) -> Elements {
        Elements::At { position: position.to_vec(), class: class.into() }
    }

    fn weights(target: &Target) -> Vec<(usize, f64)> {
        let Target::Weighted(weighted) = target else { panic!("{target:?}") };
        weighted.weights.to_vec()
    }

    #[test]
    fn indices_count_from_either_end() {
        let of = |indices: &[i64]| Elements::Index(indices.to_vec()).of_output(&[], &[5, 2, 7], None);
        assert_eq!(weights(&of(&[3, 0, -1]).unwrap()), [(3 * 14 + 6, 1.0)]);
        assert_eq!(Elements::Index(vec![-2]).of_output(&[], &[7], None), Ok(Target::Class(5)));
        let error = of(&[3, 0]).unwrap_err();
        assert_eq!(error.message, "`index` has 2 indices, and samples of the model's output have the shape [5, 2, 7]");
        assert!(error.help.contains("0 to 4, 0 to 1, 0 to 6"), "{}", error.help);
        for beyond in [&[5, 0, 0], &[-6, 0, 0], &[0, 0, i64::MIN]] {
            assert!(of(beyond).unwrap_err().message.contains("beyond the output"));
        }
    }

    #[test]
    fn positions_and_classes() {
        let labels = ["-", "a", "b"].map(str::to_owned);
        let target = at(&[-1], Class::Label("argmax".into())).of_output(&labels, &[4, 3], None);
        assert_eq!(target, Ok(Target::At { position: vec![3], class: Pick::Argmax }));
        let target = at(&[0], Class::Label("b".into())).of_output(&labels, &[4, 3], None);
        assert_eq!(target, Ok(Target::At { position: vec![0], class: Pick::Class(2) }));
        let each = Elements::Each { class: ClassChoice::Argmax, skip: Some(Class::Label("-".into())) };
        assert_eq!(each.of_output(&labels, &[4, 3], None), Ok(Target::Each { class: Pick::Argmax, skip: Some(0) }));
        // Three labels say nothing about five classes.
        assert!(at(&[0], Class::Label("b".into())).of_output(&labels, &[4, 5], None).is_err());
        assert!(at(&[0], Class::Index(5)).of_output(&[], &[4, 5], None).unwrap_err().help.contains("0 to 4"));
        assert!(at(&[0], Class::Index(0)).of_output(&[], &[4], None).is_err());
    }

    #[test]
    fn regions_are_masks_over_the_map_of_a_class() {
        let region = |class, mask: Tensor<f64>| {
            Elements::Region { mask: "m.npy".into(), class }.of_output(&[], &[3, 1, 2], Some(&mask))
        };
        let target = region(Some(Class::Index(2)), array![[0.0, 0.5]].into_dyn()).unwrap();
        assert_eq!(weights(&target), [(5, 0.5)]);
        let Target::PerSample(targets) =
            region(Some(Class::Index(0)), array![[[1.0, 0.0]], [[1.0, 1.0]]].into_dyn()).unwrap()
        else {
            panic!()
        };
        assert_eq!((weights(&targets[0]), weights(&targets[1])), (vec![(0, 1.0)], vec![(0, 1.0), (1, 1.0)]));
        let whole = region(None, array![[[0.0, 0.0]], [[0.0, 2.0]], [[0.0, 0.0]]].into_dyn()).unwrap();
        assert_eq!(weights(&whole), [(3, 2.0)]);
        for (mask, says) in [
            (array![[1.0, 1.0, 1.0]].into_dyn(), "has the shape [1, 3]"),
            (array![[0.0, 0.0]].into_dyn(), "zero everywhere"),
            (array![[f64::NAN, 0.0]].into_dyn(), "holds NaN"),
        ] {
            let error = region(Some(Class::Index(2)), mask).unwrap_err();
            assert!(error.message.contains(says), "{}", error.message);
        }
        assert!(region(Some(Class::Index(3)), array![[1.0, 1.0]].into_dyn()).is_err());
    }

    #[test]
    fn sums_and_seeds() {
        let sum = Elements::Sum.of_output(&[], &[2, 2], None).unwrap();
        assert_eq!(weights(&sum), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        let numbers = array![[0.0, -1.5], [0.0, 3.0]].into_dyn();
        let Target::Weighted(seed) = Elements::Seed("r.npy".into()).of_output(&[], &[2, 2], Some(&numbers)).unwrap()
        else {
            panic!()
        };
        assert_eq!((&seed.weights[..], seed.is_relevance), (&[(1, -1.5), (3, 3.0)][..], true));
    }

    #[test]
    fn boxes_stand_along_either_axis() {
        let of =
            |rank, shape: &[usize]| Elements::Boxes { rank, classes: Channels::default() }.of_output(&[], shape, None);
        let scores = |shape: &[usize]| match of(0, shape) {
            Ok(Target::Boxes { scores, .. }) => {
                (scores.boxes, scores.classes.clone(), scores.box_step, scores.channel_step)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(scores(&[14, 80]), (80, 4..14, 1, 80));
        assert_eq!(scores(&[80, 14]), (80, 4..14, 14, 1));
        assert!(of(800, &[14, 80]).unwrap_err().help.contains("to 799"));
        assert!(of(0, &[4, 80]).is_err() && of(0, &[80]).is_err());
        assert_eq!("5..85".parse::<Channels>().unwrap().to_string(), "5..85");
        for wrong in ["", "5", "..5", "5..5", "a.."] {
            assert!(wrong.parse::<Channels>().is_err(), "{wrong}");
        }
    }
}
