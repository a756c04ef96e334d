//! Why outputs cannot be explained, or named.

use std::path::PathBuf;

use lrp_config::Misfit;
use thiserror::Error;

/// Why a target or a list of labels does not go with the model's output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// There is no such class.
    #[error("target {class} does not exist: '{}' has {classes} outputs", model.display())]
    NoClass {
        /// The class.
        class: usize,
        /// The number of outputs.
        classes: usize,
        /// The model's file.
        model: PathBuf,
    },
    /// No class, or more than one, has this label.
    #[error("{reason}")]
    Label {
        /// The error.
        reason: String,
        /// The spelling that was probably meant, in a sentence.
        respelt: Option<String>,
    },
    /// More of the largest outputs are asked for than there are.
    #[error("target: the top {asked} of {classes} outputs")]
    Top {
        /// The number that is asked for.
        asked: usize,
        /// The number of outputs.
        classes: usize,
    },
    /// Elements of an output that it does not have.
    #[error("{}", .0.message)]
    Elements(Misfit),
    /// There are more or fewer labels than outputs or classes.
    #[error("'{file}' has {labels} labels, '{}' has {classes} outputs", model.display())]
    Labels {
        /// The file of the labels.
        file: String,
        /// The number of labels.
        labels: usize,
        /// The number of outputs.
        classes: usize,
        /// The model's file.
        model: PathBuf,
    },
}

impl OutputError {
    /// The remedy.
    pub fn help(&self) -> String {
        match self {
            Self::NoClass { classes, .. } => format!("give a number from 0 to {}", classes.saturating_sub(1)),
            Self::Label { respelt: Some(respelt), .. } => respelt.clone(),
            Self::Label { respelt: None, .. } => {
                "classes are numbers, or labels from the file that --labels or [model] labels names".to_owned()
            }
            Self::Top { classes, .. } => format!("ask for at most {classes}"),
            Self::Elements(misfit) => misfit.help.clone(),
            Self::Labels { .. } => "give one label on a line, in the order of the model's outputs".to_owned(),
        }
    }
}
