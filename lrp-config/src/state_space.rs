//! The parameters of a state space `h ← exp(ΔA)·h + ΔB·x, y = C·h`, by the structure of the model: names differ, and exporters drop them.

use std::collections::BTreeSet;

use lrp_core::graph::Node;
use lrp_core::operator::{Group, Kind};
use lrp_core::{Model, NodeId, Scalar, carriers};

/// The exponentials that a state is multiplied with, and the weighted layers that Δ, B and C come from. With these constant, the signal and the
/// state receive all relevance (Jafari et al. 2024).
///
/// # Errors
/// A product of which both factors carry relevance even then: its parameter and its signal come from the same layer.
pub fn parameters<T: Scalar>(model: &Model<T>) -> Result<BTreeSet<NodeId>, NodeId> {
    let space = StateSpace::of(model);
    let decays_alone = carriers(model, &|id| space.decays.contains(&id));
    let mut constants = space.decays.clone();
    let mut carries = decays_alone.clone();
    for layer in space.next_layers() {
        let trial = carriers(model, &|id| id == layer || constants.contains(&id));
        if space.is_parameter(&decays_alone, &trial) {
            constants.insert(layer);
            carries = trial;
        }
    }
    match space.products.iter().find(|id| model.node(**id).inputs.iter().all(|factor| carries[factor.index()])) {
        Some(unclear) => Err(*unclear),
        None => Ok(constants),
    }
}

struct StateSpace<'a, T: Scalar> {
    model: &'a Model<T>,
    /// The exponentials.
    decays: BTreeSet<NodeId>,
    /// The products of a decay and the state.
    updates: BTreeSet<NodeId>,
    /// The products of a parameter and something else: the updates, `ΔB·x` and `C·h`.
    products: BTreeSet<NodeId>,
}

impl<'a, T: Scalar> StateSpace<'a, T> {
    fn of(model: &'a Model<T>) -> Self {
        let mut space = Self { model, decays: BTreeSet::new(), updates: BTreeSet::new(), products: BTreeSet::new() };
        space.find_updates();
        if space.updates.is_empty() {
            return space;
        }
        // What is added to the state is itself the state of the first step.
        let is_state = space.made_of(&space.updates);
        let added: Vec<NodeId> = model
            .nodes()
            .filter(|(id, node)| is_state[id.index()] && node.kind() == Some(Kind::Add))
            .flat_map(|(_, node)| node.inputs.iter().copied())
            .filter(|input| !is_state[input.index()])
            .collect();
        let is_state = space.made_of(&added.iter().copied().chain(space.updates.iter().copied()).collect());
        for input in added {
            space.products.extend(space.behind([input], &keeps_parameters).products);
        }
        let outputs = model.nodes().filter(|(_, node)| {
            node.kind().is_some_and(is_product) && node.inputs.iter().any(|factor| is_state[factor.index()])
        });
        space.products.extend(outputs.filter(|(_, node)| !has_gate(node)).map(|(id, _)| id));
        space
    }

    fn find_updates(&mut self) {
        let mut is_decay: Vec<bool> = Vec::new();
        for (id, node) in self.model.nodes() {
            let decays = |input: &NodeId| is_decay[input.index()];
            is_decay.push(match node.kind() {
                Some(Kind::Exp) => true,
                Some(kind) if kind.group() == Group::Structural => node.inputs.iter().any(decays),
                // The product of the decays of two steps is that of both.
                Some(kind) if is_product(kind) && node.inputs.iter().all(decays) => true,
                Some(kind) => {
                    if is_product(kind) && node.inputs.iter().any(decays) {
                        self.updates.insert(id);
                    }
                    false
                }
                None => false,
            });
        }
        let factors = self.updates.iter().flat_map(|id| self.model.node(*id).inputs.iter().copied());
        let decays = self.behind(factors.filter(|factor| is_decay[factor.index()]), &keeps_decay).ends;
        self.decays = decays.into_iter().filter(|id| self.model.node(*id).kind() == Some(Kind::Exp)).collect();
    }

    /// For each node, whether its value is one of these, or made of one without a sum over the state.
    fn made_of(&self, seeds: &BTreeSet<NodeId>) -> Vec<bool> {
        let mut made: Vec<bool> = Vec::new();
        for (id, node) in self.model.nodes() {
            let keeps =
                |kind: Kind| matches!(kind, Kind::Add | Kind::Mul | Kind::Scale) || kind.group() == Group::Structural;
            let of_these = node.kind().is_some_and(keeps) && node.inputs.iter().any(|input| made[input.index()]);
            made.push(of_these || seeds.contains(&id));
        }
        made
    }

    /// Goes back from values through the operators that `passes` allows.
    fn behind(&self, from: impl IntoIterator<Item = NodeId>, passes: &dyn Fn(Kind) -> bool) -> Behind {
        let mut behind = Behind { ends: BTreeSet::new(), products: BTreeSet::new() };
        let mut open: Vec<NodeId> = from.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let node = self.model.node(id);
            match node.kind().filter(|kind| passes(*kind) && !has_gate(node)) {
                _ if !seen.insert(id) => {}
                None => {
                    behind.ends.insert(id);
                }
                Some(kind) => {
                    if is_product(kind) {
                        behind.products.insert(id);
                    }
                    open.extend(&node.inputs);
                }
            }
        }
        behind
    }

    /// The weighted layers next to the exponentials, and next to the products; the last ones first, since parameters are made of the signal.
    fn next_layers(&self) -> Vec<NodeId> {
        let inputs = |ids: &BTreeSet<NodeId>| -> Vec<NodeId> {
            ids.iter().flat_map(|id| self.model.node(*id).inputs.iter().copied()).collect()
        };
        let not_weighted = |kind: Kind| kind.group() != Group::Weighted;
        let mut layers = self.behind(inputs(&self.decays), &not_weighted).ends;
        layers.extend(self.behind(inputs(&self.products), &keeps_parameters).ends);
        layers.into_iter().rev().filter(|id| self.model.layer_index(*id).is_some()).collect()
    }

    /// Whether a layer has parameters only: with its output constant, the state still carries relevance, and constants are factors only.
    fn is_parameter(&self, before: &[bool], after: &[bool]) -> bool {
        let carried = |input: &NodeId| after[input.index()];
        let lost = |input: &NodeId| before[input.index()] && !after[input.index()];
        let only_factors = self.model.nodes().all(|(id, node)| {
            node.kind().is_some_and(is_product) || !after[id.index()] || !node.inputs.iter().any(lost)
        });
        only_factors
            && !lost(&self.model.output())
            && self.updates.iter().all(|id| self.model.node(*id).inputs.iter().any(carried))
    }
}

/// What is found on a way back.
struct Behind {
    /// The nodes where it ends.
    ends: BTreeSet<NodeId>,
    /// The products that it passes.
    products: BTreeSet<NodeId>,
}

fn is_product(kind: Kind) -> bool {
    matches!(kind, Kind::Mul | Kind::MatMul)
}

/// Whether the graph says of a product which factor is the gate.
fn has_gate<T: Scalar>(node: &Node<T>) -> bool {
    node.op().is_some_and(|op| op.gate_input().is_some())
}

fn keeps_decay(kind: Kind) -> bool {
    is_product(kind) || kind.group() == Group::Structural
}

/// Whether a parameter is still one after an operator of this kind. What an activation made is a signal, but for Δ, which the exponentials lead to.
fn keeps_parameters(kind: Kind) -> bool {
    keeps_decay(kind) || matches!(kind, Kind::Scale | Kind::RmsNorm | Kind::LayerNorm | Kind::Normalize)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lrp_core::operator::Kind;
    use lrp_core::ops::{Activation, Add, Dense, Function, Mean, Mul, Select};
    use lrp_core::{Builder, Model, NodeId, Tensor};

    const WIDTH: usize = 3;

    struct Net {
        builder: Builder<f64>,
    }

    impl Net {
        fn layer(&mut self, name: &str, input: NodeId, width: usize) -> NodeId {
            let from = self.builder.shape(input).iter().product();
            self.builder
                .add(name, Dense::new(Tensor::ones(vec![width, from]), None, &[from]).unwrap(), &[input])
                .unwrap()
        }

        fn function(&mut self, name: &str, function: Function, input: NodeId) -> NodeId {
            self.builder.add(name, Activation::new(function, &[WIDTH]).unwrap(), &[input]).unwrap()
        }

        fn product(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
            self.builder.add(name, Mul::new(None, &[WIDTH]).unwrap(), &[a, b]).unwrap()
        }

        fn sum(&mut self, name: &str, a: NodeId, b: NodeId) -> NodeId {
            self.builder.add(name, Add::new(2, &[WIDTH]).unwrap(), &[a, b]).unwrap()
        }

        /// Two steps, `h = ΔB·x` and `h ← exp(Δ)·h + ΔB·x`, summed over the state after a product with C.
        fn steps(&mut self, [delta, b, c, x]: [NodeId; 4]) -> NodeId {
            let delta = self.function("softplus", Function::Softplus, delta);
            let decay = self.function("exp", Function::Exp, delta);
            let scaled = self.product("scaled", delta, b);
            let added = self.product("added", scaled, x);
            let kept = self.product("kept", decay, added);
            let state = self.sum("state", kept, added);
            let read = self.product("read", state, c);
            self.builder.add("output", Mean::new(&[1], true, &[WIDTH]).unwrap(), &[read]).unwrap()
        }
    }

    fn names(model: &Model<f64>) -> Result<Vec<&str>, &str> {
        let name = |id: NodeId| model.node(id).name.as_str();
        super::parameters(model).map(|ids| ids.into_iter().map(name).collect()).map_err(name)
    }

    fn with_input() -> (Net, NodeId) {
        let mut net = Net { builder: Builder::new() };
        let input = net.builder.input("input", &[WIDTH]);
        (net, input)
    }

    #[test]
    fn layers_of_parameters_are_found_and_that_of_the_signal_is_not() {
        let (mut net, input) = with_input();
        let x = net.layer("x", input, WIDTH);
        let parameters = ["delta", "b", "c"].map(|name| net.layer(name, x, WIDTH));
        let [delta, b, c] = parameters;
        let y = net.steps([delta, b, c, x]);
        let model: Arc<Model<f64>> = Arc::new(net.builder.finish(y).unwrap());
        assert_eq!(names(&model), Ok(vec!["delta", "b", "c", "exp"]));
    }

    #[test]
    fn one_layer_may_have_all_parameters() {
        let (mut net, input) = with_input();
        let x = net.layer("x", input, WIDTH);
        let all = net.layer("all", x, 3 * WIDTH);
        let [delta, b, c] = [0, 1, 2].map(|i| {
            let places: Vec<usize> = (i * WIDTH..(i + 1) * WIDTH).collect();
            let part = Select::new(Kind::Slice, String::new(), &[places], &[3 * WIDTH]).unwrap();
            net.builder.add(format!("part {i}"), part, &[all]).unwrap()
        });
        let y = net.steps([delta, b, c, x]);
        let model = net.builder.finish(y).unwrap();
        assert_eq!(names(&model), Ok(vec!["all", "exp"]));
    }

    #[test]
    fn a_layer_with_parameters_and_signal_is_unclear() {
        let (mut net, input) = with_input();
        let all = net.layer("all", input, WIDTH);
        let y = net.steps([all, all, all, all]);
        let model = net.builder.finish(y).unwrap();
        assert!(names(&model).is_err());
    }

    #[test]
    fn a_model_without_a_state_has_none() {
        let (mut net, input) = with_input();
        let x = net.layer("x", input, WIDTH);
        let y = net.function("exp", Function::Exp, x);
        let model = net.builder.finish(y).unwrap();
        assert_eq!(names(&model), Ok(vec![]));
    }
}
