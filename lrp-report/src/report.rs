//! The part of a report that does not depend on the inputs.

use serde::Serialize;

/// Everything but the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The heading: the recipe's name.
    pub title: String,
    /// The model, as it was given.
    pub model: String,
    /// The layout of samples.
    pub shape: Shape,
    /// The number of samples, shown or not.
    pub samples: usize,
    /// The number of explained outputs of each sample.
    pub targets: usize,
    /// The colour maps to choose from.
    pub palettes: Vec<Palette>,
    /// The one that is chosen at first; of an unknown name, the first.
    pub palette: String,
    /// The nodes, in the order of the ledger: from the output to the input.
    pub nodes: Vec<Node>,
    /// Maps inside the network whose relevance is shown, from the input to the output.
    pub stages: Vec<Stage>,
    /// The resolved recipe.
    pub plan: Vec<Layer>,
    /// The recipe, then those it extends.
    pub recipes: Vec<Text>,
    /// Provenance: what, and its value.
    pub facts: Vec<(String, String)>,
    /// The files that were read, and their fingerprints.
    pub files: Vec<File>,
    /// Inputs that could not be explained.
    pub failed: Vec<Failed>,
    /// Other remarks.
    pub notes: Vec<String>,
}

/// The layout of a sample. Relevance and values are `[channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The form in which it is shown.
    pub kind: Kind,
    /// Number of channels.
    pub channels: usize,
    /// Rows of a picture, 1 of a series.
    pub height: usize,
    /// Columns of a picture, steps of a series.
    pub width: usize,
}

/// The form in which samples are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// As a picture.
    Picture,
    /// As curves and bars, one after the other: time series, features, tokens.
    Series,
}

/// A colour map: colours at equal steps from the most negative relevance to the most positive; zero is the middle one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    /// Its name.
    pub name: String,
    /// Red, green and blue; an odd number of colours.
    pub colors: Vec<[u8; 3]>,
}

/// A node of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Its index among the weighted layers, if it is one.
    pub index: Option<usize>,
    /// The rule, or the fixed behaviour.
    pub rule: String,
    /// The nodes that its inputs come from, as indices of the list.
    pub inputs: Vec<usize>,
}

/// A map inside the network, whose samples are `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The number of channels.
    pub channels: usize,
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
}

/// A line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its index among the weighted layers, if it is one.
    pub index: Option<usize>,
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The rule, or the fixed behaviour.
    pub rule: String,
    /// The recipe entry that chose the rule, if one did.
    pub origin: Option<String>,
}

/// A text with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// All of it, or nothing where it is not known.
    pub text: Option<String>,
}

/// A file and its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its role, such as model or recipe.
    pub role: String,
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

/// An input that could not be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The file.
    pub path: String,
    /// Why not.
    pub reason: String,
}

impl Report {
    /// A report with a heading and nothing else.
    pub fn new(title: impl Into<String>, model: impl Into<String>, shape: Shape) -> Self {
        Self {
            title: title.into(),
            model: model.into(),
            shape,
            samples: 0,
            targets: 1,
            palettes: Vec::new(),
            palette: String::new(),
            nodes: Vec::new(),
            stages: Vec::new(),
            plan: Vec::new(),
            recipes: Vec::new(),
            facts: Vec::new(),
            files: Vec::new(),
            failed: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Stage {
    /// Numbers of one channel.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }
}

impl Shape {
    /// Numbers of one channel.
    pub fn plane(self) -> usize {
        self.height * self.width
    }
}
