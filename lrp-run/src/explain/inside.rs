//! Nodes inside the network whose relevance is saved, and the names of their files.

use std::collections::HashSet;

use lrp::Error;
use lrp_config::{Misfit, NameGlob, Recipe, nodes_at};
use lrp_core::{Model, NodeId, Scalar};

use crate::files;
use crate::manifest::InsideRecord;

/// The nodes, in topological order.
#[derive(Debug, Default)]
pub struct Inside {
    /// Their ids.
    pub ids: Vec<NodeId>,
    /// Their records.
    pub records: Vec<InsideRecord>,
}

impl Inside {
    /// The nodes that globs match; they may come from the recipe.
    ///
    /// # Errors
    /// When a glob matches none.
    pub fn new<T: Scalar>(globs: &[NameGlob], model: &Model<T>, recipe: &Recipe) -> Result<Self, Error> {
        let ids = nodes_at(globs, model).map_err(|Misfit { message, help }| {
            match recipe.explain().at.as_deref() == Some(globs) {
                true => recipe.diagnose_key("explain.at", &message, &help, None).into(),
                false => Error::user(message, help),
            }
        })?;
        let (mut taken, maps) = (HashSet::new(), lrp_render::maps(model));
        let record = |id: &NodeId| {
            let node = model.node(*id);
            InsideRecord {
                node: node.name.clone(),
                op: node.kind_name().into(),
                shape: node.shape.clone(),
                key: key(&node.name, &mut taken),
                positions: maps.get(id).copied().unwrap_or(0),
            }
        };
        Ok(Self { records: ids.iter().map(record).collect(), ids })
    }
}

/// The name of a node as a part of file names, unlike all others, also where upper and lower case are the same.
fn key(name: &str, taken: &mut HashSet<String>) -> String {
    let plain = files::plain_part(name);
    let numbered = (2..).map(|i| format!("{plain}~{i}"));
    let key = std::iter::once(plain.clone()).chain(numbered).find(|key| taken.insert(key.to_lowercase()));
    key.unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_and_differ() {
        let mut taken = HashSet::new();
        let mut key = |name: &str| key(name, &mut taken);
        assert_eq!(key("/layer1/layer1.0/Relu"), "layer1_layer1.0_Relu");
        assert_eq!(key("layer1/layer1.0/relu"), "layer1_layer1.0_relu~2");
        assert_eq!(key("a:b*c?\u{7}"), "a_b_c__");
        assert_eq!(key("///"), "node");
        assert_eq!(key(".."), "node~2");
        let long = "x".repeat(300);
        let (one, two) = (key(&long), key(&format!("{long}y")));
        assert!(one != two && one.len() <= 100, "{one} {two}");
    }
}
