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
    /// By the name of a node, what else it is called.
    others: HashMap<String, Vec<String>>,
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

    /// Keeps what else a node of this name is called: its name in the file, the module and the operation that PyTorch's dynamo exporter
    /// records, the module that PyTorch's TorchScript exporter writes into names, and that of its weight.
    pub fn keep_others(&mut self, name: &str, node: &NodeProto) {
        let mut others = vec![node.name.clone()];
        if let Some([.., module, leaf]) = scopes(node).as_deref() {
            let operation = if module.is_empty() { leaf.clone() } else { format!("{module}.{leaf}") };
            others.extend([module.clone(), operation, leaf.clone()]);
        }
        others.extend(module_path(&node.name));
        let weight = |input: &String| input.strip_suffix(".weight").map(str::to_owned);
        others.extend(node.input.iter().skip(1).find_map(weight));
        let mut known = HashSet::from([name.to_owned(), String::new()]);
        others.retain(|other| known.insert(other.clone()));
        if !others.is_empty() {
            self.others.insert(name.to_owned(), others);
        }
    }

    /// Other names of nodes.
    pub fn into_others(self) -> HashMap<String, Vec<String>> {
        self.others
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

/// The path of PyTorch's module, where a node has the name that the TorchScript exporter gives: of `/layer1/layer1.0/conv1/Conv`, it is
/// `layer1.0.conv1`. Scopes that repeat the one around them (`layer1`, `layer1.0`) are children of a `Sequential`.
fn module_path(name: &str) -> Option<String> {
    let (scopes, _operator) = name.strip_prefix('/')?.rsplit_once('/')?;
    let mut path: Vec<&str> = Vec::new();
    for scope in scopes.split('/') {
        let repeats = |outer: &&str| scope.strip_prefix(*outer).is_some_and(|rest| rest.starts_with('.'));
        if path.last().is_some_and(repeats) {
            path.pop();
        }
        path.push(scope);
    }
    (!path.iter().any(|scope| scope.is_empty())).then(|| path.join("."))
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

    #[test]
    fn modules_of_the_torchscript_exporter() {
        for (name, path) in [
            ("/layer1/layer1.0/conv1/Conv", Some("layer1.0.conv1")),
            ("/layer1/layer1.0/downsample/downsample.0/Conv", Some("layer1.0.downsample.0")),
            ("/features/features.0/features.0.1/Conv", Some("features.0.1")),
            ("/fc/Gemm", Some("fc")),
            ("/conv1/conv10/Conv", Some("conv1.conv10")),
            ("/Flatten", None),
            ("//Conv", None),
            ("node_Conv_291", None),
            ("layer1.0.conv1", None),
        ] {
            assert_eq!(module_path(name).as_deref(), path, "{name}");
        }
    }

    #[test]
    fn other_names_are_kept() {
        let mut dynamo = node("node_Conv_291", "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_3']");
        dynamo.input = vec!["relu".into(), "layer1.0.conv1.weight".into()];
        let script = node("/layer1/layer1.0/conv1/Conv", "");
        let mut renamed = node("Conv_7", "");
        renamed.input = vec!["x".into(), "backbone.stem.weight".into(), "backbone.stem.bias".into()];
        let mut names = Names::default();
        for (name, node) in
            [("layer1.0.conv1", &dynamo), ("/layer1/layer1.0/conv1/Conv", &script), ("Conv_7", &renamed)]
        {
            names.keep_others(name, node);
        }
        let others = names.into_others();
        assert_eq!(others["layer1.0.conv1"], ["node_Conv_291", "layer1.0.conv1.conv2d_3", "conv2d_3"]);
        assert_eq!(others["/layer1/layer1.0/conv1/Conv"], ["layer1.0.conv1"]);
        assert_eq!(others["Conv_7"], ["backbone.stem"]);
    }
}
