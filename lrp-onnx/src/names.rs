//! Names for nodes: by what the file's author would call them, and unique.

use std::collections::{HashMap, HashSet};

use crate::proto::NodeProto;

/// Hands out names, none of them twice.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// For each name that was wanted again, the suffix given last.
    suffixes: HashMap<String, usize>,
    /// Module paths that have submodules.
    composites: HashSet<String>,
}

impl Names {
    /// For a graph of these nodes.
    pub fn of(nodes: &[NodeProto]) -> Self {
        let mut composites = HashSet::new();
        for scopes in nodes.iter().filter_map(scopes) {
            if let [outer @ .., _, _] = scopes.as_slice() {
                composites.extend(outer.iter().cloned());
            }
        }
        Self { composites, ..Self::default() }
    }

    /// The name itself, or with the first free suffix (`_2`, `_3`, …).
    pub fn unique(&mut self, wanted: &str) -> String {
        if self.taken.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let suffix = self.suffixes.entry(wanted.to_owned()).or_insert(1);
        loop {
            *suffix += 1;
            let name = format!("{wanted}_{suffix}");
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// The name of the node at this position in the file: the module path that PyTorch's dynamo exporter records
    /// (`layer1.0.relu`), else the node's own name, else its operator and position (`Relu_7`). Not unique yet.
    pub fn of_node(&self, node: &NodeProto, position: usize) -> String {
        if let Some([.., module, leaf]) = scopes(node).as_deref() {
            return match module.as_str() {
                "" => leaf.clone(),
                // Of a module with submodules, this is one operation among others: `layer1.0.add`.
                _ if self.composites.contains(module) => format!("{module}.{leaf}"),
                _ => module.clone(),
            };
        }
        if node.name.is_empty() { format!("{}_{position}", node.op_type) } else { node.name.clone() }
    }
}

/// The scopes that PyTorch's dynamo exporter records: `['', 'layer1', 'layer1.0', 'layer1.0.relu', 'relu_3']`, the path
/// of every module around the node and then the node's own name.
fn scopes(node: &NodeProto) -> Option<Vec<String>> {
    let entry = node.metadata_props.iter().find(|p| p.key == "pkg.torch.onnx.name_scopes")?;
    let list = entry.value.trim().strip_prefix('[')?.strip_suffix(']')?;
    let scopes: Vec<String> = list.split(',').map(|s| s.trim().trim_matches(['\'', '"']).to_owned()).collect();
    (scopes.len() >= 2 && scopes.last().is_some_and(|s| !s.is_empty())).then_some(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;

    fn node(name: &str, scopes: &str) -> NodeProto {
        let entry = StringStringEntryProto { key: "pkg.torch.onnx.name_scopes".into(), value: scopes.into() };
        let metadata_props = if scopes.is_empty() { vec![] } else { vec![entry] };
        NodeProto { name: name.into(), op_type: "Relu".into(), metadata_props, ..Default::default() }
    }

    #[test]
    fn names_by_preference() {
        let nodes = [
            node("node_relu_3", "['', 'layer1', 'layer1.0', 'layer1.0.relu', 'relu_3']"),
            node("node_add", "['', 'layer1', 'layer1.0', 'add']"),
            node("node_view", "['', 'view']"),
            node("/layer1/relu/Relu", ""),
            node("", ""),
            node("x", "nonsense"),
        ];
        let names = Names::of(&nodes);
        let found: Vec<String> = nodes.iter().enumerate().map(|(i, n)| names.of_node(n, i)).collect();
        assert_eq!(found, ["layer1.0.relu", "layer1.0.add", "view", "/layer1/relu/Relu", "Relu_4", "x"]);
    }

    #[test]
    fn names_are_made_unique() {
        let mut names = Names::default();
        let given: Vec<String> = ["a", "a_2", "a", "a", "b"].iter().map(|n| names.unique(n)).collect();
        assert_eq!(given, ["a", "a_2", "a_3", "a_4", "b"]);
    }
}
