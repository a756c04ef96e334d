//! The family of a network, by its operators.

use std::collections::{BTreeMap, HashSet};

use lrp_core::operator::{Fixed, Group, Kind};
use lrp_core::{Model, NodeId, Scalar};

/// A family of networks, each explained in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// At most one weighted layer.
    Linear,
    /// Dense layers, and no convolutions.
    Mlp,
    /// Convolutions, and no sums of branches.
    Cnn,
    /// Convolutions, and sums of branches.
    Residual,
    /// With matrix products of two activations: attention.
    Transformer,
    /// With layer norms (or with a softmax inside and no convolutions): relatives of transformers.
    Normalized,
    /// With LSTM or GRU.
    Recurrent,
}

/// The network at a glance.
#[derive(Debug)]
pub struct Survey {
    /// Its family.
    pub architecture: Architecture,
    /// The number of operators of each kind.
    pub counts: BTreeMap<Kind, usize>,
    /// Names of batch norms that could not be folded.
    pub batch_norms: Vec<String>,
    /// Kinds of operators without a relevance behaviour, without weighted layers.
    pub undefined: Vec<Kind>,
    /// Names of operators that change values between the input and the first layers, without scaling.
    pub before_first: Vec<String>,
}

impl Survey {
    /// Looks at a network.
    pub fn new<T: Scalar>(model: &Model<T>) -> Self {
        let mut counts = BTreeMap::new();
        let mut undefined = Vec::new();
        for op in model.nodes().filter_map(|(_, node)| node.op()) {
            *counts.entry(op.kind()).or_insert(0) += 1;
            let group = op.kind().group();
            if !matches!(group, Group::Weighted | Group::Weightless) && op.fixed() == Fixed::RuleNeeded {
                undefined.push(op.kind());
            }
        }
        undefined.sort_unstable();
        undefined.dedup();
        let named =
            |kind| model.nodes().filter(move |(_, node)| node.kind() == Some(kind)).map(|(_, node)| node.name.clone());
        let batch_norms = named(Kind::BatchNorm).collect();
        let mut survey = Self {
            architecture: Architecture::Linear,
            counts,
            batch_norms,
            undefined,
            before_first: before_first(model),
        };
        survey.architecture = survey.family(model.layers().len());
        survey
    }

    /// The number of operators of these kinds.
    pub fn count(&self, kinds: &[Kind]) -> usize {
        kinds.iter().filter_map(|kind| self.counts.get(kind)).sum()
    }

    fn family(&self, layers: usize) -> Architecture {
        let has = |kinds: &[Kind]| self.count(kinds) > 0;
        let convolutions = has(&[Kind::Conv, Kind::ConvTranspose]);
        if has(&[Kind::Lstm, Kind::Gru, Kind::Rnn]) {
            Architecture::Recurrent
        } else if has(&[Kind::MatMul]) {
            Architecture::Transformer
        } else if has(&[Kind::LayerNorm, Kind::RmsNorm]) || (has(&[Kind::Softmax]) && !convolutions) {
            Architecture::Normalized
        } else if layers <= 1 {
            Architecture::Linear
        } else if !convolutions {
            Architecture::Mlp
        } else if has(&[Kind::Add]) {
            Architecture::Residual
        } else {
            Architecture::Cnn
        }
    }

    /// Whether patches of pixels come in by a convolution.
    pub fn sees_pictures(&self) -> bool {
        self.count(&[Kind::Conv]) > 0
    }

    /// The family in words.
    pub fn name(&self) -> &'static str {
        match self.architecture {
            Architecture::Linear => "a linear model",
            Architecture::Mlp => "a multi-layer perceptron",
            Architecture::Cnn if self.count(&[Kind::Concat]) > 0 => "a convolutional network with branches",
            Architecture::Cnn => "a plain convolutional network",
            Architecture::Residual => "a residual network",
            Architecture::Transformer if self.sees_pictures() => "a vision transformer",
            Architecture::Transformer => "a transformer",
            Architecture::Normalized => "a network of the transformers' kin",
            Architecture::Recurrent => "a recurrent network",
        }
    }

    /// The property that it was recognised by.
    pub fn why(&self) -> String {
        let part = |kinds: &[Kind], one: &str, many: &str| match self.count(kinds) {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let parts = [
            part(&[Kind::Lstm, Kind::Gru, Kind::Rnn], "recurrent layer", "recurrent layers"),
            part(&[Kind::Conv, Kind::ConvTranspose], "convolution", "convolutions"),
            part(&[Kind::Dense], "dense layer", "dense layers"),
            part(&[Kind::LayerNorm], "layer norm", "layer norms"),
            part(&[Kind::RmsNorm], "division by the root mean square", "divisions by the root mean square"),
            part(&[Kind::Softmax], "softmax within", "softmaxes within"),
            part(&[Kind::MatMul], "matrix product of two activations", "matrix products of two activations"),
            part(&[Kind::Add], "sum of branches", "sums of branches"),
            part(&[Kind::Concat], "concatenation of branches", "concatenations of branches"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.split_last() {
            None => "no layers with weights".to_owned(),
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        }
    }
}

/// The nodes between the inputs and the first layers that do more than scale elements and move them around.
fn before_first<T: Scalar>(model: &Model<T>) -> Vec<String> {
    let is_layer = |id: &NodeId| model.layer_index(*id).is_some();
    // From which a layer is reached without passing another one.
    let mut leading = HashSet::new();
    for (id, _) in model.nodes().rev() {
        if model.consumers(id).iter().any(|next| is_layer(next) || leading.contains(next)) {
            leading.insert(id);
        }
    }
    let mut bare: HashSet<NodeId> = model.inputs().iter().copied().collect();
    let mut found = Vec::new();
    for (id, node) in model.nodes() {
        if !is_layer(&id) && node.inputs.iter().any(|input| bare.contains(input)) {
            bare.insert(id);
            let looked_through = |kind: Kind| matches!(kind.group(), Group::Structural | Group::Preprocessing);
            if leading.contains(&id) && node.kind().is_some_and(|kind| !looked_through(kind)) {
                found.push(node.name.clone());
            }
        }
    }
    found
}
