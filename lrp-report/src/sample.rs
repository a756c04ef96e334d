//! The part of a report that describes one sample.

use image::RgbImage;
use serde::Serialize;

/// One sample and its explanations.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// The sample itself.
    pub input: Shown,
    /// The classes with the largest outputs, the largest first.
    pub top: Vec<Score>,
    /// The explained outputs.
    pub targets: Vec<Target>,
}

/// A sample, as far as it can be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// As a picture.
    Picture(RgbImage),
    /// As numbers, `[channels, height, width]`.
    Values(Vec<f64>),
    /// Not at all, and why: the end of "The input is not shown: …".
    Nothing(String),
}

/// A class and its output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Its number.
    pub class: usize,
    /// Its label, or its number again.
    pub label: String,
    /// The model's output; the logit, where the model ends in a softmax, a sigmoid or a relative.
    pub score: f64,
    /// The model's own output, where that is not the score: the probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// One explained output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    /// The explained output, in words.
    pub title: String,
    /// The class, where the target is one of the outputs as a whole.
    pub class: Option<usize>,
    /// For a contrast: the class it is contrasted with.
    pub against: Option<usize>,
    /// The model's output, or the difference of two; of logits, where the model ends in a softmax, a sigmoid or a relative.
    pub score: f64,
    /// The model's own output, where that is not the score: the probability.
    pub probability: Option<f64>,
    /// The totals of the ledger.
    pub totals: Accounts,
    /// Relevance, `[channels, height, width]`; empty where it is not known.
    pub relevance: Vec<f64>,
    /// Relevance at each stage of the report, channels summed, `[height, width]`; empty where it is not known.
    pub stages: Vec<Vec<f64>>,
    /// A line of the ledger for each node of the report, as [`ACCOUNTS`] has them; empty where they are not known.
    pub ledger: Vec<[f64; 5]>,
}

/// The columns of a ledger.
pub const ACCOUNTS: [&str; 5] = ["received", "handed_on", "bias", "stabilizer", "rule"];

/// The totals of a ledger: `start = input + bias + stabilizer + rule`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Accounts {
    /// Relevance that the walk starts with.
    pub start: f64,
    /// Relevance received by the input.
    pub input: f64,
    /// Relevance absorbed by biases.
    pub bias: f64,
    /// Relevance absorbed by stabilizers.
    pub stabilizer: f64,
    /// Relevance lost by rules; negative if created.
    pub rule: f64,
}
