//! A rule as data: the gains of contributions, and their denominators.
//!
//! One layer that is affine in its inputs has contributions `c_jk = x_j w_jk`; the bias is one more input of value 1. `P_k` is the sum of the
//! positive contributions to output `k`, `N_k` that of the negative ones, so that `z = P + N`. A [`Branch`] with gains `g₊` and `g₋` gives input
//! `j` the relevance `coefficient · (g₊c⁺ + g₋c⁻)_jk / stab(D_k) · R_k` with `D = g₊P + g₋N`. Every signed rule is a list of branches:
//!
//! | rule | outputs | coefficient | `g₊` | `g₋` |
//! |---|---|---|---|---|
//! | zero, epsilon, norm | all | 1 | 1 | 1 |
//! | gamma | z ≥ 0 / z < 0 | 1 / 1 | 1+γ / 1 | 1 / 1+γ |
//! | alpha-beta | all / all | α / −β | 1 / 0 | 0 / 1 |
//! | z-plus | all | 1 | 1 | 0 |
//! | by size | all | 1 | 1 | −1 |
//!
//! The claims and needs of a formula follow from these numbers. The [engine](crate::engine) runs it.

mod stabilizer;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::stabilizer::{STABILIZER, Stabilizer};
pub use crate::bounds::Bounds;
use crate::claims::{Claims, Positive};
use crate::parameter::number;
use crate::propagated::Needs;
use crate::text;

/// A rule's formula, without a number type.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// The numerators: contributions or weights.
    pub contributions: Contributions,
    /// The stabilizer of denominators.
    pub stabilizer: Stabilizer,
    /// The treatment of the bias's share.
    pub bias: BiasMode,
}

/// The numerators of a formula.
#[derive(Debug, Clone, PartialEq)]
pub enum Contributions {
    /// For their signed contributions `x_j w_jk`, in each of these branches.
    Branches(Vec<Branch>),
    /// For `(x − low) w⁺ + (x − high) w⁻`, without the bias.
    Box(Bounds),
    /// For fixed weights that are not negative, whatever the input.
    Weights(FixedWeights),
}

/// One of the sums that relevance is divided over: contributions with the gains `g₊` and `g₋`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "A branch.")]
pub struct Branch {
    /// The gain of positive contributions.
    #[serde(deserialize_with = "number")]
    #[schemars(example = 1.25)]
    pub positive: f64,
    /// The gain of negative contributions.
    #[serde(deserialize_with = "number")]
    #[schemars(example = -1.0)]
    pub negative: f64,
    /// Fraction of the relevance that it propagates; the fractions of all branches of an output should add up to 1.
    #[serde(default = "all_of_it", deserialize_with = "number")]
    #[schemars(example = 0.5)]
    pub coefficient: f64,
    /// The outputs whose relevance it propagates.
    #[serde(default)]
    #[schemars(example = Side::Nonnegative)]
    pub outputs: Side,
}

fn all_of_it() -> f64 {
    1.0
}

/// Outputs by the sign of `z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Every output.
    #[default]
    All,
    /// Outputs `z ≥ 0`.
    Nonnegative,
    /// Outputs `z < 0`.
    Negative,
}

/// Fixed weights, made from those of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedWeights {
    /// `w²`.
    Squares,
    /// One for every connection.
    Ones,
}

/// The treatment of the bias's share of the relevance. Where it is distributed, the bias is part of the denominator, and its share goes evenly to
/// the inputs that the output is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BiasMode {
    /// It is part of the denominator, and its share is recorded as absorbed.
    #[default]
    Absorb,
    /// It is not part of the denominator.
    Ignore,
    /// Its share is spread over the inputs, so that the layer conserves relevance.
    Distribute,
}

impl BiasMode {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            BiasMode::Absorb => "absorb",
            BiasMode::Ignore => "ignore",
            BiasMode::Distribute => "distribute",
        }
    }
}

impl fmt::Display for BiasMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// As a recipe writes it, without defaults.
impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outputs = (self.outputs != Side::All).then(|| format!("outputs = {:?}, ", self.outputs.name()));
        let coefficient =
            (self.coefficient != 1.0).then(|| format!("coefficient = {}, ", text::number(self.coefficient)));
        let [outputs, coefficient] = [outputs, coefficient].map(Option::unwrap_or_default);
        let [positive, negative] = [self.positive, self.negative].map(text::number);
        write!(f, "{{ {outputs}{coefficient}positive = {positive}, negative = {negative} }}")
    }
}

impl Side {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Side::All => "all",
            Side::Nonnegative => "nonnegative",
            Side::Negative => "negative",
        }
    }

    /// Whether relevance at outputs `z < 0` (`negative`), or at others, belongs to it.
    pub fn contains(self, negative: bool) -> bool {
        match self {
            Side::All => true,
            Side::Nonnegative => !negative,
            Side::Negative => negative,
        }
    }
}

impl Branch {
    /// All outputs, with these gains.
    pub fn all(positive: f64, negative: f64) -> Self {
        Self { outputs: Side::All, coefficient: 1.0, positive, negative }
    }

    /// Whether contributions of both signs keep them, so that they can cancel.
    fn is_signed(&self) -> bool {
        self.positive * self.negative > 0.0
    }

    /// `Σ_j |g₊c⁺ + g₋c⁻| / |D|` is at most this, whatever the contributions; with `bias`, one of them.
    fn amplification(&self, with_bias: bool) -> Option<f64> {
        if !self.is_signed() {
            return Some(1.0);
        }
        // The sign of z says which of P and |N| is larger, and the larger one has the larger gain. z is that of all contributions.
        let (more, less) = match self.outputs {
            Side::All => return None,
            Side::Nonnegative => (self.positive.abs(), self.negative.abs()),
            Side::Negative => (self.negative.abs(), self.positive.abs()),
        };
        (more > less && with_bias).then(|| (more + less) / (more - less))
    }
}

impl Formula {
    /// A formula of these branches.
    pub fn branches(branches: impl Into<Vec<Branch>>, stabilizer: Stabilizer, bias: BiasMode) -> Self {
        Self { contributions: Contributions::Branches(branches.into()), stabilizer, bias }
    }

    /// Relevance in proportion to contributions, `x_j w_jk / stab(z_k)`: LRP-0 and LRP-ε.
    pub fn proportional(stabilizer: Stabilizer, bias: BiasMode) -> Self {
        Self::branches([Branch::all(1.0, 1.0)], stabilizer, bias)
    }

    /// Relevance in proportion to fixed weights.
    pub fn fixed(weights: FixedWeights, stabilizer: f64, bias: BiasMode) -> Self {
        Self { contributions: Contributions::Weights(weights), stabilizer: Stabilizer::Absolute(stabilizer), bias }
    }

    /// The properties of the rule.
    pub fn claims(&self) -> Claims {
        let branches = match &self.contributions {
            Contributions::Branches(branches) => branches,
            Contributions::Box(bounds) => {
                // Inside the box of every channel; channels may have none in common. A box of a single point leaves nothing but rounding.
                let [low, high] = bounds.all();
                let (low, high) = (low.fold(f64::NEG_INFINITY, f64::max), high.fold(f64::INFINITY, f64::min));
                let positive = if low < high { Positive::Between { low, high } } else { Positive::Never };
                return Claims { conserving: true, positive, ..Claims::default() };
            }
            Contributions::Weights(_) => {
                return Claims {
                    conserving: true,
                    positive: Positive::Always,
                    input_independent: true,
                    amplification: Some(1.0),
                    ..Claims::default()
                };
            }
        };
        let sides = [false, true].map(|negative| {
            let here = |branch: &&Branch| branch.outputs.contains(negative) && branch.coefficient != 0.0;
            branches.iter().filter(here).collect::<Vec<_>>()
        });
        let all = || sides.iter().flatten();
        let nothing_is_negative = all().all(|branch| branch.coefficient >= 0.0 && !branch.is_signed());
        let with_bias = self.bias != BiasMode::Ignore;
        let mut amplifications = sides.iter().map(|branches| {
            branches.iter().map(|branch| Some(branch.coefficient.abs() * branch.amplification(with_bias)?)).sum()
        });
        let amplification = amplifications.try_fold(0.0, |most: f64, side: Option<f64>| Some(most.max(side?)));
        let betas = sides.each_ref().map(|branches| beta(branches));
        let conserving = betas.iter().all(Option::is_some);
        Claims {
            linear: true,
            conserving,
            beta: betas.into_iter().flatten().fold(0.0, f64::max),
            positive: if nothing_is_negative { Positive::Always } else { Positive::Never },
            input_independent: false,
            vanishing: self.bias != BiasMode::Distribute,
            amplification,
        }
    }

    /// The activations that it reads at most. The engine can do with less where an operator has few weights.
    pub fn needs(&self) -> Needs {
        match &self.contributions {
            Contributions::Weights(_) => Needs::NOTHING,
            Contributions::Box(_) => Needs::RELEVANT,
            Contributions::Branches(branches) => match self.stabilizer {
                Stabilizer::Relative(_) => Needs::BOTH,
                Stabilizer::Absolute(_) if branches.iter().any(|branch| branch.outputs != Side::All) => Needs::RELEVANT,
                Stabilizer::Absolute(_) => {
                    match branches.iter().filter(|branch| branch.coefficient != 0.0).collect::<Vec<_>>()[..] {
                        // Its denominators are computed from the inputs.
                        [Branch { positive, negative, .. }] if positive != negative => Needs::INPUTS,
                        _ => Needs::RELEVANT,
                    }
                }
            },
        }
    }
}

/// The β of branches that propagate all relevance of their outputs in one part, or in two, `1 + β` and `−β`; `None` where they do not.
fn beta(branches: &[&Branch]) -> Option<f64> {
    if branches.iter().any(|branch| branch.positive == 0.0 && branch.negative == 0.0) {
        return None;
    }
    let complete = |sum: f64, scale: f64| (sum - 1.0).abs() <= COMPLETE * scale;
    match branches {
        [one] => complete(one.coefficient, 1.0).then_some(0.0),
        [a, b]
            if a.coefficient * b.coefficient < 0.0 && complete(a.coefficient + b.coefficient, a.coefficient.abs()) =>
        {
            Some(-a.coefficient.min(b.coefficient))
        }
        _ => None,
    }
}

/// Coefficients whose sum is off by no more propagate all relevance.
pub(crate) const COMPLETE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    const BIASES: [BiasMode; 3] = [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute];

    fn gamma(gamma: f64) -> [Branch; 2] {
        let branch = |outputs, positive, negative| Branch { outputs, coefficient: 1.0, positive, negative };
        [branch(Side::Nonnegative, 1.0 + gamma, 1.0), branch(Side::Negative, 1.0, 1.0 + gamma)]
    }

    fn alpha_beta(beta: f64) -> [Branch; 2] {
        let branch = |coefficient, positive, negative| Branch { outputs: Side::All, coefficient, positive, negative };
        [branch(1.0 + beta, 1.0, 0.0), branch(-beta, 0.0, 1.0)]
    }

    fn claims(branches: &[Branch], bias: BiasMode) -> Claims {
        Formula::branches(branches, Stabilizer::Absolute(1e-6), bias).claims()
    }

    #[test]
    fn claims_of_the_papers_rules() {
        for bias in BIASES {
            let vanishing = bias != BiasMode::Distribute;
            let conserving = Claims { conserving: true, vanishing, ..Claims::default() };
            assert_eq!(claims(&[Branch::all(1.0, 1.0)], bias), conserving);
            assert_eq!(claims(&gamma(0.0), bias), conserving);
            // However contributions cancel, the favoured ones remain: with P ≥ |N|, (1+γ)P + |N| over (1+γ)P − |N| is at most (2+γ)/γ. Not
            // without the bias: the sign of z, which decides, is then not that of the denominator.
            let amplification = (bias != BiasMode::Ignore).then_some(1.0 + 2.0 / 0.25);
            assert_eq!(claims(&gamma(0.25), bias), Claims { amplification, ..conserving });
            let apart = Claims { amplification: Some(3.0), beta: 1.0, ..conserving };
            assert_eq!(claims(&alpha_beta(1.0), bias), apart);
            let positive = Claims { amplification: Some(1.0), positive: Positive::Always, ..conserving };
            assert_eq!(claims(&alpha_beta(0.0), bias), positive);
            assert_eq!(claims(&[Branch::all(1.0, 0.0)], bias), positive);
            assert_eq!(claims(&[Branch::all(1.0, -1.0)], bias), positive);
        }
        let fixed = Claims {
            conserving: true,
            positive: Positive::Always,
            input_independent: true,
            amplification: Some(1.0),
            ..Claims::default()
        };
        for weights in [FixedWeights::Squares, FixedWeights::Ones] {
            assert_eq!(Formula::fixed(weights, 1e-6, BiasMode::Absorb).claims(), fixed);
        }
        let within = |low: &[f64], high: &[f64]| {
            let contributions = Contributions::Box(Bounds::Channels { low: low.to_vec(), high: high.to_vec() });
            Formula { contributions, stabilizer: Stabilizer::Absolute(0.0), bias: BiasMode::Ignore }.claims()
        };
        let between = Positive::Between { low: -0.5, high: 1.0 };
        assert_eq!(
            within(&[-1.0, -0.5], &[1.0, 2.0]),
            Claims { conserving: true, positive: between, ..Claims::default() }
        );
        assert_eq!(within(&[0.0, 2.0], &[1.0, 3.0]).positive, Positive::Never);
    }

    #[test]
    fn branches_that_lose_or_create_relevance_do_not_conserve() {
        let half = Branch { coefficient: 0.5, ..Branch::all(1.0, 1.0) };
        let one_side = Branch { outputs: Side::Nonnegative, ..Branch::all(1.0, 0.0) };
        for branches in [&[half][..], &[one_side], &[Branch::all(0.0, 0.0)], &[half, half], &[]] {
            assert!(!claims(branches, BiasMode::Absorb).conserving, "{branches:?}");
        }
        assert_eq!(claims(&[half, half], BiasMode::Absorb).amplification, None);
        assert_eq!(claims(&[one_side], BiasMode::Absorb).amplification, Some(1.0));
        // Gains of which the smaller one goes with the larger sum let contributions cancel.
        let wrong = gamma(0.25).map(|branch| Branch { positive: branch.negative, negative: branch.positive, ..branch });
        assert_eq!(claims(&wrong, BiasMode::Absorb).amplification, None);
    }

    #[test]
    fn needs_of_the_papers_rules() {
        let needs = |branches: &[Branch], stabilizer| Formula::branches(branches, stabilizer, BiasMode::Absorb).needs();
        let (absolute, relative) = (Stabilizer::Absolute(0.0), Stabilizer::Relative(0.25));
        assert_eq!(needs(&[Branch::all(1.0, 1.0)], absolute), Needs::RELEVANT);
        assert_eq!(needs(&[Branch::all(1.0, 1.0)], relative), Needs::BOTH);
        assert_eq!(needs(&[Branch::all(1.0, 0.0)], absolute), Needs::INPUTS);
        assert_eq!(needs(&gamma(0.25), absolute), Needs::RELEVANT);
        assert_eq!(needs(&alpha_beta(1.0), absolute), Needs::RELEVANT);
        assert_eq!(needs(&alpha_beta(0.0), absolute), Needs::INPUTS);
        assert_eq!(Formula::fixed(FixedWeights::Ones, 0.0, BiasMode::Ignore).needs(), Needs::NOTHING);
    }
}
