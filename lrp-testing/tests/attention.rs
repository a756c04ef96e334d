//! The invariants of attention, over random transformers with heads, masks, norms and rotary positions, in f64.

use std::sync::Arc;

use lrp_core::operator::{Group, Kind};
use lrp_core::{Assignment, Explanation, Plan, Rule, Scalar, Start, Target, Tensor};
use lrp_rules::{BiasMode, Constant, Epsilon, EpsilonValue, Factors, Norm, Product, Residual};
use lrp_testing::attention::{NormKind, Transformer, transformers};
use lrp_testing::cases;
use ndarray::{Axis, Slice};
use proptest::prelude::*;

/// Next to no stabilizers.
const EPSILON: f64 = 1e-12;

/// LRP-ε for layers and sums, half of the relevance to each factor of a product; the softmax is a constant (CP-LRP), or expanded (AttnLRP).
fn plan<T: Scalar>(net: &Transformer, epsilon: f64, constant: bool) -> Plan<T> {
    let model = Arc::new(net.build());
    let layers: Arc<dyn Rule<T>> =
        Arc::new(Epsilon { epsilon: EpsilonValue::Absolute(epsilon), bias: BiasMode::Absorb });
    let sums: Arc<dyn Rule<T>> = Arc::new(Norm { stabilizer: epsilon, residual: Residual::Signed });
    let products: Arc<dyn Rule<T>> =
        Arc::new(Product { factors: Factors::Uniform, stabilizer: Some(epsilon), ..Product::default() });
    let softmax: Arc<dyn Rule<T>> = Arc::new(Constant);
    let rule = |kind: Kind| match (kind, kind.group()) {
        (Kind::Softmax, _) => constant.then(|| Arc::clone(&softmax)),
        (Kind::MatMul, _) => Some(Arc::clone(&products)),
        (Kind::LayerNorm, _) | (_, Group::Weightless) => Some(Arc::clone(&sums)),
        (_, Group::Weighted) => Some(Arc::clone(&layers)),
        _ => None,
    };
    let rules: Assignment<T> = model.nodes().filter_map(|(id, node)| Some((id, rule(node.kind()?)?))).collect();
    Plan::new(model, &rules).unwrap()
}

fn explain<T: Scalar>(plan: &Plan<T>, x: &Tensor<T>) -> Explanation<T> {
    plan.explain(x, &Target::Class(0), Start::Logit).unwrap()
}

fn relevance_of(relevance: &Tensor<f64>, token: usize) -> impl Iterator<Item = f64> {
    relevance.index_axis(Axis(1), token).iter().copied().collect::<Vec<_>>().into_iter()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// Of what the mask hides, and of what comes later in a text, the output does not know.
    #[test]
    fn unseen_tokens_get_exactly_nothing(net in transformers(), constant: bool) {
        let out = explain(&plan::<f64>(&net, 1e-6, constant), &net.inputs(2));
        for token in (0..net.tokens).filter(|&token| net.is_unseen(token)) {
            prop_assert!(relevance_of(&out.relevance[0], token).all(|r| r == 0.0), "token {token}: {:?}", out.relevance[0]);
        }
    }

    #[test]
    fn the_ledger_balances(net in transformers(), constant: bool) {
        let out = explain(&plan::<f64>(&net, 1e-6, constant), &net.inputs(2));
        for entry in &out.ledger.entries {
            for sample in 0..2 {
                let imbalance = entry.relative_imbalance(sample).abs();
                // Weights of e⁻⁷⁰⁰ leave relevance without digits.
                let underflows = entry.imbalance(sample).abs() < 1e-300;
                prop_assert!(imbalance <= 1e-12 || underflows, "{imbalance:e} at {:?}: {entry:?}", entry.node);
            }
        }
    }

    /// Bit for bit.
    #[test]
    fn a_batch_is_its_samples(net in transformers(), constant: bool) {
        let (plan, xs) = (plan::<f32>(&net, 1e-6, constant), net.inputs(3));
        let whole = explain(&plan, &xs);
        for i in 0..3 {
            let one = explain(&plan, &xs.slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned());
            prop_assert_eq!(&one.relevance[0], &whole.relevance[0].slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned());
        }
    }

    /// Without biases, and with the softmax constant, there is nothing that relevance could be lost to.
    #[test]
    fn a_transformer_without_biases_conserves_under_cp(net in transformers()) {
        // A layer norm takes off the mean, which is a bias of a kind; a vector for each position is one.
        let norm = if net.norm == NormKind::Layer { NormKind::RootMeanSquare } else { net.norm };
        let net = Transformer { biases: false, positions: false, norm, ..net };
        let out = explain(&plan::<f64>(&net, EPSILON, true), &net.inputs(1));
        let totals = out.ledger.totals(0);
        let moved = out.ledger.entries.iter().map(|entry| entry.propagated_abs[0]).fold(totals.start.abs(), f64::max);
        let lost = (totals.start - out.relevance[0].sum()).abs();
        prop_assert!(lost <= 1e-7 * moved.max(1.0), "{lost:e} of {moved:e} are lost: {totals:?}");
    }

    /// With the softmax constant, queries and keys receive nothing.
    #[test]
    fn queries_and_keys_get_nothing_under_cp(net in transformers()) {
        let plan = plan::<f64>(&net, 1e-6, true);
        let x = net.inputs(1);
        let record = plan.record(&x).unwrap();
        let start = record.seed(&Target::Class(0), Start::Logit).unwrap();
        let mut scores = Vec::new();
        record.propagate_observed(start, &mut |id, r| {
            if plan.model().node(id).name.starts_with("scores") {
                scores.push(r.iter().any(|r| *r != 0.0));
            }
        });
        prop_assert!(scores.iter().all(|received| !received));
    }
}
