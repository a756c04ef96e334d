//! The same bits for one thread and two, for batches and singles, run after run, for all rules over random networks.

use std::sync::{Arc, OnceLock};

use lrp_core::operator::Group;
use lrp_core::{Assignment, Explanation, Model, Plan, Rule, Scalar, Start, Target, Tensor};
use lrp_rules::{BiasMode, Epsilon, EpsilonValue};
use lrp_testing::compare::same_bits;
use lrp_testing::network::{ANYTHING, Net, nets};
use lrp_testing::{cases, rules};
use ndarray::{Axis, Slice};
use proptest::prelude::*;
use rayon::ThreadPool;

/// The rule for weighted layers, and ε for the others.
fn plan<T: Scalar>(net: &Net, rule: &Arc<dyn Rule<T>>) -> Plan<T> {
    plan_of(net.build(), rule)
}

fn plan_of<T: Scalar>(model: Model<T>, rule: &Arc<dyn Rule<T>>) -> Plan<T> {
    let model = Arc::new(model);
    let epsilon: Arc<dyn Rule<T>> = Arc::new(Epsilon { epsilon: EpsilonValue::Absolute(1e-6), bias: BiasMode::Absorb });
    let rule_for = |group| match group {
        Group::Weighted => Some(Arc::clone(rule)),
        Group::Weightless => Some(Arc::clone(&epsilon)),
        _ => None,
    };
    let rules: Assignment<T> = model.nodes().filter_map(|(id, n)| Some((id, rule_for(n.kind()?.group())?))).collect();
    Plan::new(model, &rules).unwrap()
}

fn explain<T: Scalar>(plan: &Plan<T>, xs: &[Tensor<T>]) -> Explanation<T> {
    plan.record_all(xs).unwrap().explain(&Target::Argmax, Start::Logit).unwrap()
}

/// Relevance, outputs and all accounts.
fn same<T: Scalar>(a: &Explanation<T>, b: &Explanation<T>) -> bool {
    a.relevance.iter().zip(&b.relevance).all(|(a, b)| same_bits(a, b))
        && same_bits(&a.output, &b.output)
        && format!("{:?}", a.ledger) == format!("{:?}", b.ledger)
}

/// Pools of one thread and of two.
fn pools() -> &'static [ThreadPool; 2] {
    static POOLS: OnceLock<[ThreadPool; 2]> = OnceLock::new();
    POOLS.get_or_init(|| [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn one_thread_and_two_give_the_same_bits(rule in rules::any_affine(), net in nets(ANYTHING)) {
        let xs = net.inputs::<f64>(4, -1.0, 1.0);
        let [one, two] = pools();
        // Rules are prepared inside the pool as well.
        let run = || explain(&plan(&net, &rule), &xs);
        prop_assert!(same(&one.install(run), &two.install(run)), "{rule}");
    }

    /// In f32, where a different order of summation would show at once.
    #[test]
    fn one_thread_and_two_give_the_same_bits_in_f32(rule in rules::alpha_beta(), net in nets(ANYTHING)) {
        let xs = net.inputs::<f32>(4, -1.0, 1.0);
        let rule: Arc<dyn Rule<f32>> = Arc::new(rule);
        let [one, two] = pools();
        let run = || explain(&plan(&net, &rule), &xs);
        prop_assert!(same(&one.install(run), &two.install(run)), "{rule}");
    }

    /// A plan can be used again, for other targets in between, and made again.
    #[test]
    fn runs_do_not_remember(rule in rules::any_affine(), net in nets(ANYTHING)) {
        let xs = net.inputs::<f64>(3, -1.0, 1.0);
        let first_plan = plan(&net, &rule);
        let first = explain(&first_plan, &xs);
        let record = first_plan.record_all(&xs).unwrap();
        record.explain(&Target::Class(net.classes - 1), Start::One).unwrap();
        explain(&first_plan, &net.inputs(1, 0.0, 1.0));
        prop_assert!(same(&first, &explain(&first_plan, &xs)), "{rule}");
        prop_assert!(same(&first, &record.explain(&Target::Argmax, Start::Logit).unwrap()), "{rule}");
        prop_assert!(same(&first, &explain(&plan(&net, &rule), &xs)), "{rule}");
        let start = record.seed(&Target::Argmax, Start::Logit).unwrap();
        prop_assert!(same(&first, &record.propagate_last(start, &mut |_, _| {})), "{rule}");
    }

    /// Memory that is saved costs time and no bit.
    #[test]
    fn thrift_changes_nothing(rule in rules::any_affine(), net in nets(ANYTHING)) {
        let xs = net.inputs::<f64>(2, -1.0, 1.0);
        let thrifty = plan_of(net.build().low_memory(), &rule);
        prop_assert!(same(&explain(&plan(&net, &rule), &xs), &explain(&thrifty, &xs)), "{rule}");
    }

    /// Any part of a batch gives what the batch gives, on two threads as on one.
    #[test]
    fn parts_of_a_batch_give_the_same_bits(rule in rules::any_affine(), net in nets(ANYTHING), start in 0..6usize, len in 1..6usize) {
        let xs = net.inputs::<f64>(6, -1.0, 1.0);
        let plan = plan(&net, &rule);
        let [one, two] = pools();
        let whole = two.install(|| explain(&plan, &xs));
        let range = start..(start + len).min(6);
        let part = |ts: &[Tensor<f64>]| -> Vec<Tensor<f64>> {
            ts.iter().map(|t| t.slice_axis(Axis(0), Slice::from(range.clone())).to_owned()).collect()
        };
        let alone = one.install(|| explain(&plan, &part(&xs)));
        prop_assert!(part(&whole.relevance).iter().zip(&alone.relevance).all(|(a, b)| same_bits(a, b)), "{rule}");
        for (i, sample) in range.enumerate() {
            prop_assert_eq!(format!("{:?}", whole.ledger.totals(sample)), format!("{:?}", alone.ledger.totals(i)));
        }
    }
}
