//! Records of a model's nodes: the rule of each, and the rows of a ledger.

use std::borrow::Cow;
use std::collections::HashSet;

use lrp_config::Resolved;
use lrp_core::kernels::conv::Algorithm;
use lrp_core::{Model, NodeId, Scalar};
use serde::{Deserialize, Serialize};

/// The rule of one node.
#[derive(Debug, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Its index among the weighted layers, if it is one.
    pub index: Option<usize>,
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: Cow<'static, str>,
    /// The algorithm, if there is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Cow<'static, str>>,
    /// The rule, or the operator's fixed behaviour.
    pub rule: String,
    /// The recipe entry that chose the rule, if one did.
    pub origin: Option<String>,
    /// For a product: the decision of the importer on its two inputs, and the reason. A rule of the recipe overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<String>,
}

impl LayerRecord {
    /// All operators of a model in topological order.
    pub fn list<T: Scalar>(model: &Model<T>, resolved: &Resolved<T>) -> Vec<Self> {
        let operators = model.nodes().filter_map(|(id, node)| Some((id, node, node.op()?)));
        operators
            .map(|(id, node, op)| {
                let choice = resolved.choices.get(&id);
                LayerRecord {
                    index: model.layer_index(id),
                    name: node.name.clone(),
                    op: node.kind_name().into(),
                    algorithm: op.algorithm().map(|algorithm| algorithm.name().into()),
                    rule: choice.map_or_else(|| op.fixed().name().to_owned(), |c| c.rule.to_string()),
                    origin: choice.map(|c| c.origin.to_string()),
                    factors: op.factors(),
                }
            })
            .collect()
    }

    /// The operator, and how it is computed unless that is the usual way.
    pub fn operator(&self) -> String {
        match &self.algorithm {
            Some(algorithm) if algorithm != Algorithm::default().name() => format!("{} ({algorithm})", self.op),
            _ => self.op.clone().into_owned(),
        }
    }
}

/// A node inside the network whose relevance is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsideRecord {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub op: Cow<'static, str>,
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// Its name in the names of files: `STEM.at.KEY.npy`.
    pub key: String,
    /// Where the shape is `[C, positions…]`, the number of axes of positions: 2 of a map `[C, H, W]`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub positions: usize,
}

impl InsideRecord {
    /// Whether it is a map that can be laid over an image.
    pub fn is_map(&self) -> bool {
        self.positions == 2 && matches!(self.shape[..], [_, height, width] if height > 1 || width > 1)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A node that relevance passes: a row of a ledger file, whose columns are received, propagated, bias,
/// stabilizer and rule.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerNode {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: Cow<'static, str>,
    /// The nodes that its inputs come from.
    pub inputs: Vec<String>,
}

impl LedgerNode {
    /// The nodes that a node, mostly the output, depends on, in the order in which the walk passes them.
    pub fn list<T: Scalar>(model: &Model<T>, from: Option<NodeId>) -> Vec<Self> {
        let mut reached = HashSet::from([from.unwrap_or(model.output())]);
        let mut list = Vec::new();
        for (id, node) in model.nodes().rev() {
            if reached.contains(&id) {
                reached.extend(&node.inputs);
                let inputs = node.inputs.iter().map(|&input| model.node(input).name.clone()).collect();
                list.push(Self { name: node.name.clone(), op: node.kind_name().into(), inputs });
            }
        }
        list
    }
}
