//! Quantized models, read as the float network that they stand for.
//!
//! Where the file has integers `q` of a quantized tensor, the graph has their real values, `(q − zero point) · scale`, without
//! the rounding. So what only moves elements, between a quantization and its inverse, needs nothing special; what this keeps
//! is the [`Step`] by which a node's integers are found again where an operator reads them as such.

use std::collections::{BTreeMap, HashMap};

/// The integers that a node stands for: `value / scale + zero`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// With one scale for all elements.
    One {
        /// The scale.
        scale: f64,
        /// The zero point.
        zero: f64,
    },
    /// With a scale for each index of an axis. Only the inverse of the quantization takes those.
    Each,
}

impl Step {
    /// Of values that are the integers themselves.
    pub const INTEGERS: Self = Self::One { scale: 1.0, zero: 0.0 };
}

/// The integers of a graph, and what is told about them.
#[derive(Debug, Default)]
pub(crate) struct Quantization {
    /// Whether operators that quantize round, as the file says; otherwise they only clip.
    pub rounds: bool,
    /// By node of the graph.
    steps: HashMap<usize, Step>,
    /// The number of nodes of each form.
    found: BTreeMap<Form, usize>,
}

/// The forms in which quantized models are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Scales that are computed from activations.
    Dynamic,
    /// Pairs of a quantization and its inverse between float operators.
    Pairs,
    /// Operators on integers, with scales for their inputs and outputs.
    Operators,
}

impl Quantization {
    /// That rounds, if `rounds`.
    pub fn new(rounds: bool) -> Self {
        Self { rounds, ..Self::default() }
    }

    /// The step of a node, if it stands for integers.
    pub fn step(&self, id: usize) -> Option<Step> {
        self.steps.get(&id).copied()
    }

    /// Remembers that a node stands for integers.
    pub fn keep(&mut self, id: usize, step: Step) {
        self.steps.insert(id, step);
    }

    /// Lets a node stand for the same integers as another one.
    pub fn follow(&mut self, id: usize, like: usize) {
        if let Some(step) = self.step(like) {
            self.keep(id, step);
        }
    }

    /// What was counted, to be restored where a node is read in another way.
    pub fn counted(&self) -> BTreeMap<Form, usize> {
        self.found.clone()
    }

    /// Forgets what was counted since.
    pub fn restore(&mut self, counted: BTreeMap<Form, usize>) {
        self.found = counted;
    }

    /// Counts a node of this form.
    pub fn count(&mut self, form: Form) {
        *self.found.entry(form).or_default() += 1;
    }

    /// A sentence for the user, if anything in the model is quantized.
    pub fn note(&self) -> Option<String> {
        if self.found.is_empty() {
            return None;
        }
        let listed = |(form, n): (&Form, &usize)| {
            let (one, many) = match form {
                Form::Dynamic => ("dynamic quantization of one layer", "dynamic quantization of {} layers"),
                Form::Pairs => ("one activation is quantized", "{} activations are quantized"),
                Form::Operators => ("one operator on integers", "{} operators on integers"),
            };
            if *n == 1 { one.to_owned() } else { many.replace("{}", &n.to_string()) }
        };
        let forms: Vec<String> = self.found.iter().map(listed).collect();
        Some(format!(
            "the model is quantized ({}); it is read as the float network it stands for: weights are multiplied by their scales, \
             and activations are limited to the range of their integers, but not rounded",
            forms.join(", ")
        ))
    }
}
