//! The suite for rules: the properties of every rule, and the claims of a rule, on random operators and networks.
//!
//! **Every rule**, on every operator that it can be prepared for:
//! - propagates relevance of the inputs' shapes and has accounts per sample, all of them finite;
//! - keeps a balanced ledger, `R = propagated + bias + stabilizer + rule`, and absorbs nothing by the bias of an operator without one;
//! - gives the same bits for a batch as for its samples one by one, and when it is prepared again;
//! - reads no activations but those it [needs](lrp_core::rule::Needs);
//! - gives in `f32` what it gives in `f64`, where that is well-conditioned;
//! - prints itself.
//!
//! **What it [claims](lrp_core::Claims)** besides: linear, conserving, positive, independent of the input, vanishing, of
//! bounded amplification.
//!
//! A ledger that balances is not enough: a rule can record any mistake as absorbed by its stabilizer. The claim to be conserving is
//! therefore tested for one output at a time: of relevance 1 there, the stabilizer must absorb between 0 and 1. One with the wrong sign
//! propagates more than it received, and has to record a negative amount. The rule's own account must be zero wherever contributions of
//! both signs meet without cancelling; and denominators that a bias can bring near zero break the bound on the amplification.

mod layer;
mod walk;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use lrp_core::operator::Kind;
use lrp_core::{Claims, Positive, Rule};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::network::{ANYTHING, nets};
use crate::operators::{any_operator, applied};

/// The operators and claims that were verified.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The number of runs on operators of each kind.
    pub operators: BTreeMap<Kind, u32>,
    /// The kinds of operators that the rule refused, and why (the last reason).
    pub refused: BTreeMap<Kind, String>,
    /// Random networks.
    pub networks: u32,
    /// The number of times that each claim was made and checked.
    pub claims: BTreeMap<&'static str, u32>,
}

impl Report {
    /// On how many operators the rule ran.
    pub fn layers(&self) -> u32 {
        self.operators.values().sum()
    }

    fn count_claims(&mut self, claims: &Claims) {
        let made = [
            ("linear", claims.linear),
            ("conserving", claims.conserving),
            ("positive", claims.positive != Positive::Never),
            ("input-independent", claims.input_independent),
            ("vanishing", claims.vanishing),
            ("bounded amplification", claims.amplification.is_some()),
        ];
        for (name, _) in made.into_iter().filter(|(_, yes)| *yes) {
            *self.claims.entry(name).or_default() += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<K: fmt::Display>(counts: &BTreeMap<K, u32>) -> String {
            counts.iter().map(|(k, n)| format!("{k} {n}×")).collect::<Vec<_>>().join(", ")
        }
        writeln!(f, "{} operators: {}", self.layers(), list(&self.operators))?;
        writeln!(f, "{} networks", self.networks)?;
        writeln!(f, "claims: {}", list(&self.claims))?;
        if !self.refused.is_empty() {
            let refused: Vec<&str> = self.refused.keys().map(|k| k.name()).collect();
            writeln!(f, "refused: {}", refused.join(", "))?;
        }
        Ok(())
    }
}

/// The smallest case found on which a rule does not hold what it must, or what it claims.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterexample {
    /// The rule, as it prints itself.
    pub rule: String,
    /// The property that does not hold, and the deviation.
    pub broken: String,
    /// The operator with its inputs and relevance, or the network, as code.
    pub case: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counterexample { rule, broken, case } = self;
        write!(f, "the rule `{rule}` is not {broken}\n\nthe smallest case found:\n\n{case}")
    }
}

impl std::error::Error for Counterexample {}

/// The maximum number of operators that are tried, as a multiple of [`cases`](crate::cases), until the rule has accepted that many.
const ROUNDS: u8 = 32;

/// Verifies rules drawn from a strategy, on [`cases`](crate::cases) random operators that they can be prepared for and as many random
/// networks. The cases are the same in every run.
///
/// ```
/// # use lrp_testing::verify_rule;
/// let report = verify_rule(lrp_testing::rules::epsilon())?;
/// assert!(report.claims.contains_key("conserving"));
/// # Ok::<(), lrp_testing::Counterexample>(())
/// ```
///
/// # Errors
/// The smallest counterexample: shrunk in the rule's parameters, the operator, its weights, its inputs and the relevance.
pub fn verify_rule<S>(rules: S) -> Result<Report, Counterexample>
where
    S: Strategy,
    S::Value: Rule<f64> + Rule<f32> + Clone + 'static,
{
    let report = RefCell::new(Report::default());
    let layer = |(rule, case)| {
        let outcome = layer::check(&rule, &case)?;
        let mut report = report.borrow_mut();
        match outcome {
            layer::Outcome::Refused(kind, reason) => {
                report.refused.insert(kind, reason);
            }
            layer::Outcome::Held(kind) => {
                report.count_claims(&Rule::<f64>::claims(&rule));
                *report.operators.entry(kind).or_default() += 1;
            }
        }
        Ok(())
    };
    // A rule for few kinds of operators is offered more of them.
    for round in 0..ROUNDS {
        search(round, (&rules, applied(any_operator())), layer).map_err(|(broken, found)| {
            let (rule, case) = *found;
            Counterexample { rule: name(&rule), broken, case: case.to_string() }
        })?;
        if report.borrow().layers() >= crate::cases() {
            break;
        }
    }
    if report.borrow().operators.is_empty() {
        let refused: Vec<String> = report.borrow().refused.iter().map(|(k, why)| format!("{k}: {why}")).collect();
        let rule = "(any)".to_owned();
        return Err(Counterexample { rule, broken: "prepared for any operator".into(), case: refused.join("\n") });
    }
    search(0, (&rules, nets(ANYTHING)), |(rule, net)| walk::check(&rule, &net)).map_err(|(broken, found)| {
        let (rule, net) = *found;
        Counterexample { rule: name(&rule), broken, case: format!("{net:?}") }
    })?;
    let mut report = report.into_inner();
    report.networks = crate::cases();
    // A kind that is refused for some shapes only is not refused.
    let Report { operators, refused, .. } = &mut report;
    refused.retain(|kind, _| !operators.contains_key(kind));
    Ok(report)
}

/// As [`verify_rule`], for a `#[test]`.
///
/// # Panics
/// With the smallest counterexample.
pub fn assert_rule<S>(rules: S)
where
    S: Strategy,
    S::Value: Rule<f64> + Rule<f32> + Clone + 'static,
{
    if let Err(counterexample) = verify_rule(rules) {
        panic!("{counterexample}");
    }
}

fn name(rule: &impl Rule<f64>) -> String {
    rule.to_string()
}

/// The property that does not hold, as an adjective, and the numbers.
type Broken = String;

/// Looks for a value on which `holds` fails, the same values in every run, and makes it small.
fn search<S: Strategy>(
    round: u8,
    strategy: S,
    holds: impl Fn(S::Value) -> Result<(), Broken>,
) -> Result<(), (Broken, Box<S::Value>)> {
    let config =
        Config { cases: crate::cases(), failure_persistence: None, max_shrink_iters: 1 << 14, ..Config::default() };
    let mut seed = *b"layer-wise relevance propagation";
    seed[0] ^= round;
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    match runner.run(&strategy, |value| holds(value).map_err(TestCaseError::fail)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, value)) => Err((reason.message().to_owned(), Box::new(value))),
        Err(TestError::Abort(reason)) => panic!("the strategy rejects too much: {reason}"),
    }
}
