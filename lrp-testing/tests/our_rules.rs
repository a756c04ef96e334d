//! Every rule of `lrp-rules` holds what every rule must, and what it claims.

use std::fmt::Debug;

use lrp_core::Rule;
use lrp_rules::{Constant, Deconvnet, Gradient, GuidedBackprop, Pass};
use lrp_testing::{rules, verify_rule};
use proptest::prelude::*;

/// Verifies the rule, and that it was worth something: it ran often enough and made these claims.
#[track_caller]
fn holds<S>(strategy: S, claims: &[&str])
where
    S: Strategy,
    S::Value: Rule<f64> + Rule<f32> + Clone + Debug + 'static,
{
    let report = verify_rule(strategy).unwrap_or_else(|counterexample| panic!("{counterexample}"));
    println!("{report}");
    assert!(report.layers() >= lrp_testing::cases() / 2, "{report}");
    let made: Vec<&str> = report.claims.keys().copied().collect();
    assert_eq!(made, claims, "{report}");
}

const AMPLIFICATION: &str = "bounded amplification";
const VANISHING: &str = "vanishing";
const INDEPENDENT: &str = "input-independent";

#[test]
fn zero() {
    holds(rules::zero(), &["conserving", "linear", VANISHING]);
}

#[test]
fn epsilon() {
    holds(rules::epsilon(), &["conserving", "linear", VANISHING]);
}

#[test]
fn gamma() {
    holds(rules::gamma(), &[AMPLIFICATION, "conserving", "linear", VANISHING]);
}

#[test]
fn alpha_beta() {
    holds(rules::alpha_beta(), &[AMPLIFICATION, "conserving", "linear", "positive", VANISHING]);
}

#[test]
fn z_plus() {
    holds(rules::z_plus(), &[AMPLIFICATION, "conserving", "linear", "positive", VANISHING]);
}

/// The claims of gains that no paper has.
#[test]
fn gains() {
    holds(rules::gains(), &[AMPLIFICATION, "conserving", "linear", "positive", VANISHING]);
}

#[test]
fn w_square() {
    holds(rules::w_square(), &[AMPLIFICATION, "conserving", INDEPENDENT, "linear", "positive"]);
}

#[test]
fn flat() {
    holds(rules::flat(), &[AMPLIFICATION, "conserving", INDEPENDENT, "linear", "positive"]);
}

#[test]
fn z_box() {
    holds(rules::z_box(), &["conserving", "linear", "positive"]);
}

#[test]
fn norm() {
    holds(rules::norm(), &["conserving", "linear", VANISHING]);
}

#[test]
fn pass() {
    holds(Just(Pass), &[AMPLIFICATION, "conserving", INDEPENDENT, "linear", "positive"]);
}

#[test]
fn product() {
    holds(rules::product(), &["conserving", "linear"]);
}

#[test]
fn gradient() {
    holds(Just(Gradient), &["linear"]);
}

#[test]
fn guided_backprop() {
    holds(Just(GuidedBackprop), &[]);
}

#[test]
fn constant() {
    holds(Just(Constant), &[AMPLIFICATION, "conserving", INDEPENDENT, "linear", "positive"]);
}

#[test]
fn deconvnet() {
    holds(Just(Deconvnet), &[AMPLIFICATION, INDEPENDENT, "positive"]);
}
