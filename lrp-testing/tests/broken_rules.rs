//! Rules with the mistakes of others are caught by the public suite, whatever they record to make their ledger balance.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io, Kind};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{negative, positive, rms, sums, times};
use lrp_core::{Claims, Rule, RuleError, Scalar, Tensor};
use lrp_rules::Flat;
use lrp_testing::{Counterexample, verify_rule};
use proptest::prelude::*;

/// `s = R / denominator`, nothing where it is zero.
fn divide<T: Scalar>(r: &Tensor<T>, denominator: &Tensor<T>) -> Tensor<T> {
    ndarray::Zip::from(r).and(denominator).map_collect(|&r, &z| if z.is_zero() { T::zero() } else { r / z })
}

/// The rest per sample of `r` without these amounts: it hides a mistake in an account.
fn left<T: Scalar>(r: &Tensor<T>, relevance: &[Tensor<T>], taken: &[f64]) -> Vec<f64> {
    let propagated = relevance
        .iter()
        .map(sums)
        .fold(vec![0.0; taken.len()], |sum, part| sum.iter().zip(&part).map(|(a, b)| a + b).collect());
    sums(r).iter().zip(propagated).zip(taken).map(|((r, h), t)| r - h - t).collect()
}

/// The mistake of the stabilizer of an ε rule.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// `z − ε·s(z)`.
    Opposite,
    /// `z + ε`, whatever the sign of `z`.
    None,
}

/// LRP-ε with a wrong sign. The relevance absorbed by the stabilizer is computed from the wrong denominators: the ledger balances.
#[derive(Debug, Clone, Copy)]
struct WrongSign {
    epsilon: f64,
    sign: Sign,
}

impl fmt::Display for WrongSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrong-sign {{ epsilon = {}, sign = {:?} }}", self.epsilon, self.sign)
    }
}

struct PreparedWrongSign<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    rule: WrongSign,
}

impl<T: Scalar> Rule<T> for WrongSign {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(Box::new(PreparedWrongSign { op: layer.affine()?, rule: *self }))
    }

    fn claims(&self) -> Claims {
        Claims { conserving: true, ..Claims::default() }
    }
}

impl<T: Scalar> PreparedRule<T> for PreparedWrongSign<T> {
    fn needs(&self) -> Needs {
        Needs::BOTH
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let epsilon = T::of(self.rule.epsilon);
        let s = divide(
            r,
            &io.output.mapv(|z| match self.rule.sign {
                Sign::Opposite if z < T::zero() => z + epsilon,
                Sign::Opposite => z - epsilon,
                Sign::None => z + epsilon,
            }),
        );
        let relevance: Vec<Tensor<T>> = io.inputs.iter().zip(self.op.adjoint(&s)).map(|(x, c)| times(x, &c)).collect();
        let bias = self.op.bias().map_or_else(|| vec![0.0; r.shape()[0]], |b| sums(&(&s * b)));
        let stabilizer = left(r, &relevance, &bias);
        Propagated { bias, stabilizer, ..Propagated::lossless(relevance) }
    }
}

/// LRP-αβ with the whole bias in the positive and in the negative denominator.
#[derive(Debug, Clone, Copy)]
struct FullBias {
    beta: f64,
}

impl fmt::Display for FullBias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "full-bias {{ alpha = {}, beta = {} }}", 1.0 + self.beta, self.beta)
    }
}

struct PreparedFullBias<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// Weights `W⁺` and `W⁻`.
    parts: [Arc<dyn Affine<T>>; 2],
    beta: f64,
}

impl<T: Scalar> Rule<T> for FullBias {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        let parts = [op.map_weights(&|w| w.max(T::zero())), op.map_weights(&|w| w.min(T::zero()))];
        Ok(Box::new(PreparedFullBias { op, parts, beta: self.beta }))
    }

    fn claims(&self) -> Claims {
        // As LRP-αβ does, of which this is meant to be one.
        let amplification = Some(1.0 + 2.0 * self.beta);
        Claims { conserving: true, beta: self.beta, amplification, ..Claims::default() }
    }
}

impl<T: Scalar> PreparedRule<T> for PreparedFullBias<T> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let plus: Vec<Tensor<T>> = io.inputs.iter().map(|x| positive(x)).collect();
        let minus: Vec<Tensor<T>> = io.inputs.iter().map(|x| negative(x)).collect();
        let mut out = Propagated::lossless(io.inputs.iter().map(|x| Tensor::zeros(x.raw_dim())).collect());
        let [up, down] = &self.parts;
        for (share, a, b) in [(1.0 + self.beta, up, down), (-self.beta, down, up)] {
            let mut z = a.apply(&plus.iter().collect::<Vec<_>>()) + b.apply(&minus.iter().collect::<Vec<_>>());
            if let Some(bias) = self.op.bias() {
                // The mistake: it belongs to the side of its sign.
                z += bias;
            }
            let s = divide(&(r * T::of(share)), &z);
            for (op, xs) in [(a, &plus), (b, &minus)] {
                for ((sum, x), c) in out.relevance.iter_mut().zip(xs).zip(op.adjoint(&s)) {
                    *sum += &times(x, &c);
                }
            }
            let took = self.op.bias().map_or_else(|| vec![0.0; r.shape()[0]], |bias| sums(&(&s * bias)));
            out.bias.iter_mut().zip(&took).for_each(|(sum, t)| *sum += t);
            let zero_denominator =
                ndarray::Zip::from(r).and(&z).map_collect(|&r, &z| if z.is_zero() { r } else { T::zero() });
            out.rule.iter_mut().zip(sums(&zero_denominator)).for_each(|(sum, d)| *sum += share * d);
        }
        out
    }
}

/// The account in which a rule that doubles relevance at sums records it.
#[derive(Debug, Clone, Copy)]
enum Booked {
    Nowhere,
    Rule,
    Stabilizer,
    Bias,
}

/// The plain gradient at residual sums, which hands all relevance on to each summand: 2⁸ at the end of a ResNet-18.
#[derive(Debug, Clone, Copy)]
struct Doubling {
    booked: Booked,
}

impl fmt::Display for Doubling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "doubling {{ booked = {:?} }}", self.booked)
    }
}

impl<T: Scalar> Rule<T> for Doubling {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        match layer.op.kind() {
            Kind::Add => Ok(Box::new(PreparedDoubling { op: layer.affine()?, booked: self.booked })),
            kind => Err(RuleError::new(format!("the rule is for sums, not for '{kind}'"))),
        }
    }

    fn claims(&self) -> Claims {
        Claims { conserving: true, ..Claims::default() }
    }
}

struct PreparedDoubling<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    booked: Booked,
}

impl<T: Scalar> PreparedRule<T> for PreparedDoubling<T> {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let mut out = Propagated::lossless(self.op.adjoint(r));
        let created = left(r, &out.relevance, &vec![0.0; r.shape()[0]]);
        match self.booked {
            Booked::Nowhere => {}
            Booked::Rule => out.rule = created,
            Booked::Stabilizer => out.stabilizer = created,
            Booked::Bias => out.bias = created,
        }
        out
    }
}

/// Flat, which gives relevance to inputs of zero, and says that it does not.
#[derive(Debug, Clone, Copy)]
struct FalselyVanishing;

impl fmt::Display for FalselyVanishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("falsely-vanishing")
    }
}

impl<T: Scalar> Rule<T> for FalselyVanishing {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Rule::<T>::prepare(&flat(), layer)
    }

    fn claims(&self) -> Claims {
        Claims { vanishing: true, ..Claims::default() }
    }
}

fn flat() -> Flat {
    Flat { stabilizer: 0.0 }
}

/// The relevance times the mean output: it reads more than the outputs that it says it needs.
#[derive(Debug, Clone, Copy)]
struct Greedy;

impl fmt::Display for Greedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("greedy")
    }
}

impl<T: Scalar> Rule<T> for Greedy {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(Box::new(PreparedGreedy { op: layer.affine()? }))
    }
}

struct PreparedGreedy<T: Scalar> {
    op: Arc<dyn Affine<T>>,
}

impl<T: Scalar> PreparedRule<T> for PreparedGreedy<T> {
    fn needs(&self) -> Needs {
        Needs::RELEVANT
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let means = rms(io.output);
        let mut s = r.clone();
        s.outer_iter_mut().zip(means).for_each(|(mut s, mean)| s.mapv_inplace(|s| s * T::of(mean)));
        let mut out = Propagated::lossless(self.op.adjoint(&s));
        out.rule = left(r, &out.relevance, &vec![0.0; r.shape()[0]]);
        out
    }
}

/// The finding of the suite, and that the counterexample is small.
#[track_caller]
fn caught<S>(rules: S, broken: &str, operator: &str) -> Counterexample
where
    S: Strategy,
    S::Value: Rule<f64> + Rule<f32> + Clone + 'static,
{
    let found = verify_rule(rules).expect_err("a broken rule");
    println!("{found}\n");
    assert!(found.broken.starts_with(broken), "{found}");
    assert!(found.case.contains(operator), "{found}");
    assert!(found.to_string().len() < 1000, "{found}");
    found
}

/// ε as a strategy that can shrink.
fn wrong_sign(sign: Sign) -> impl Strategy<Value = WrongSign> {
    (1..=16u32).prop_map(move |n| WrongSign { epsilon: f64::from(n) / 16.0, sign })
}

const STABILIZER: &str = "conserving: of 1 at output 0 the stabilizer must take between 0 and 1; ";

#[test]
fn a_stabilizer_of_the_opposite_sign_is_caught() {
    caught(wrong_sign(Sign::Opposite), STABILIZER, "Arc::new(");
}

#[test]
fn an_unsigned_stabilizer_is_caught() {
    caught(wrong_sign(Sign::None), STABILIZER, "Arc::new(");
}

#[test]
fn a_full_bias_in_both_denominators_is_caught() {
    let rules = (0..=8u32).prop_map(|n| FullBias { beta: f64::from(n) / 8.0 });
    let found = caught(rules, "of bounded amplification: Σ|R| grows from ", "Arc::new(");
    // Without a bias there is no mistake.
    assert!(found.case.contains("Some(vec![") || found.case.contains("batch_norm"), "{found}");
}

#[test]
fn relevance_for_nothing_is_caught() {
    caught(Just(FalselyVanishing), "vanishing: an input of zero gets ", "");
}

#[test]
fn reading_outputs_without_relevance_is_caught() {
    caught(Just(Greedy), "honest about what it needs: with Needs { inputs: true, output: Relevant } alone ", "");
}

#[test]
fn doubled_residuals_are_caught_wherever_they_are_booked() {
    let rule = |booked| Just(Doubling { booked });
    caught(rule(Booked::Nowhere), "balanced: ", "Add::");
    caught(rule(Booked::Stabilizer), STABILIZER, "Add::new(");
    caught(rule(Booked::Bias), "honest about the bias: it takes [", "Add::");
    let found = caught(rule(Booked::Rule), "conserving: ", "Add::");
    // What the author sees: a sentence, and a case that is code. Its numbers are those of the search.
    let text = found.to_string();
    let expected = [
        "the rule `doubling { booked = Rule }` is not conserving: output 0 receives 1; ",
        "",
        "the smallest case found:",
        "",
        "use std::sync::Arc;",
        "use lrp_core::operator::Operator;",
        "use lrp_core::ops::Add;",
        "use lrp_core::Tensor;",
        "",
        "let op: Arc<dyn Operator<f64>> = Arc::new(Add::",
        "let x0 = Tensor::from_shape_vec(vec![",
        "let x1 = Tensor::from_shape_vec(vec![",
        "let r = Tensor::from_shape_vec(vec![",
    ];
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    assert!(text.lines().zip(expected).all(|(line, start)| line.starts_with(start)), "{text}");
}

/// The rule that these are mistaken versions of holds.
#[test]
fn the_right_sign_is_not_caught() {
    verify_rule(lrp_testing::rules::epsilon()).unwrap();
}
