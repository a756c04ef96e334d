//! Which values carry relevance: those that depend on an explained input through more than step functions.
//!
//! A mask, a length, or an input that the caller does not want explained is *given*: it has a value for each sample, and relevance that
//! reaches it is not divided further. In a product with a value that carries relevance, it is the gate.

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};

use crate::graph::{Body, Graph};
use crate::inputs::{InputInfo, Role};

/// Decides which inputs are explained, of those that are given for each sample: `sources`, or by default floating-point numbers, 8-bit and
/// 16-bit integers (pixels, bytes), and ids that go through an embedding, but for numbers of positions and of sentences. Where that is none of them, all are.
pub(crate) fn decide_roles<T: Scalar>(graph: &mut Graph<T>, inputs: &mut [InputInfo], sources: Option<&[String]>) {
    let embedded = embedded(graph);
    let nodes = graph.nodes.iter().enumerate().filter(|(_, node)| matches!(node.body, Body::Input { .. }));
    let nodes: Vec<usize> = nodes.map(|(id, _)| id).collect();
    let mut given: Vec<&mut InputInfo> = inputs.iter_mut().filter(|input| input.role == Role::Explained).collect();
    let by_default = |id: usize, input: &InputInfo| {
        let name = input.name.to_lowercase();
        let is_about_tokens = ["position", "token_type", "segment"].iter().any(|part| name.contains(part));
        let is_data =
            ["int8", "uint8", "int16", "uint16"].contains(&input.dtype) || (embedded.contains(&id) && !is_about_tokens);
        !input.is_integer() || is_data
    };
    let explained: Vec<bool> = match sources {
        Some(names) => given.iter().map(|input| names.contains(&input.name)).collect(),
        None => nodes.iter().zip(&given).map(|(&id, input)| by_default(id, input)).collect(),
    };
    let all = !explained.contains(&true);
    for ((&id, input), explained) in nodes.iter().zip(&mut given).zip(explained) {
        let explained = explained || all;
        if !explained {
            input.role = Role::Given;
        }
        if let Some(node) = graph.nodes.get_mut(id) {
            node.body = Body::Input { explained };
        }
    }
}

/// The inputs whose values are numbers of rows of a table, but for steps that move elements.
fn embedded<T: Scalar>(graph: &Graph<T>) -> Vec<usize> {
    let mut found = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.kind() == Some(Kind::Embedding)) {
        let mut ids = node.inputs.first().copied();
        while let Some(id) = ids
            && let Some(node) = graph.nodes.get(id)
        {
            if matches!(node.body, Body::Input { .. }) {
                found.push(id);
            }
            // Inputs stand before the node, so this ends.
            let moves = node.kind().is_none_or(|kind| kind.group() == Group::Structural);
            ids = node.inputs.first().copied().filter(|_| moves);
        }
    }
    found
}

/// Whether a node carries relevance, given which nodes before it do.
pub(crate) fn carries<T: Scalar>(node: &crate::graph::Node<T>, before: &[bool]) -> bool {
    match &node.body {
        Body::Input { explained } => *explained,
        Body::Constant(_) => false,
        Body::Operator(op, _) if op.kind().group() == Group::Step => false,
        _ => node.inputs.iter().any(|&input| before.get(input) == Some(&true)),
    }
}

#[cfg(test)]
mod tests {
    use crate::inputs::Role;
    use crate::testing::{Net, input};
    use crate::{Options, from_bytes};

    /// A model of token ids, a mask and a vector: `(table[ids]·[1, 1]) ⊙ mask + vector`.
    fn net() -> Net {
        let mut net = Net::new(&[3]);
        let mut ids = input("ids", &[-1, 3]);
        ids.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        let mut mask = ids.clone();
        mask.name = "mask".into();
        net.graph().input.extend([ids, mask]);
        let (table, ones) = (net.weight(&[5, 2]), net.floats(&[2, 1], &[1.0, 1.0]));
        let rows = net.op("Gather", &[&table, "ids"], &[]);
        let summed = net.op("MatMul", &[&rows, &ones], &[]);
        let flat = net.op("Flatten", &[&summed], &[]);
        let floats = net.op("Cast", &["mask"], &[("to", crate::testing::Attr::Int(1))]);
        let masked = net.op("Mul", &[&floats, &flat], &[]);
        net.op("Add", &[&masked, "x"], &[]);
        net
    }

    #[test]
    fn ids_and_numbers_are_explained_and_a_mask_is_given() {
        let roles = |sources: Option<&[&str]>| {
            let sources = sources.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let options = Options { sources, ..Options::default() };
            let import = from_bytes::<f64>("test.onnx", net().bytes(), &options).unwrap();
            let product = import.model.nodes().find(|(_, node)| node.kind() == Some(lrp_core::operator::Kind::Mul));
            let gate = product.unwrap().1.op().unwrap().gate_input();
            (import.inputs.iter().map(|input| input.role).collect::<Vec<_>>(), gate)
        };
        let (explained, given) = (Role::Explained, Role::Given);
        assert_eq!(roles(None), (vec![explained, explained, given], Some(0)));
        assert_eq!(roles(Some(&["mask"])), (vec![given, given, explained], Some(1)));
        assert_eq!(roles(Some(&["mask", "ids"])), (vec![given, explained, explained], None));
        assert_eq!(roles(Some(&["x"])), (vec![explained, given, given], None));
    }

    #[test]
    fn alone_a_list_of_integers_is_explained() {
        let mut net = Net::new(&[3]);
        net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        let floats = net.op("Cast", &["x"], &[("to", crate::testing::Attr::Int(1))]);
        let w = net.weight(&[3, 2]);
        net.op("MatMul", &[&floats, &w], &[]);
        assert_eq!(net.import().unwrap().inputs[0].role, Role::Explained);
    }
}
