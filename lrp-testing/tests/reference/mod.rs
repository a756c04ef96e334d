//! Every rule, derived a second time: slow sums over inputs `j` and outputs `k`, written from the papers' formulas over an explicit matrix of
//! the operator, compared with `lrp-rules` on random operators of every affine kind; likewise the fixed behaviours of operators
//! that are not affine. Nothing here uses the code that it checks.

mod fixed;
mod formulas;
mod matrix;

use std::sync::Arc;

use lrp_core::operator::Io;
use lrp_core::{Rule, Tensor};
use lrp_rules::{
    AlphaBeta, BiasMode, Branch, Epsilon, EpsilonValue, Flat, Gains, Gamma, Gradient, Norm, Pass, Residual, Side,
    WSquare, ZBox, ZPlus, Zero,
};
use lrp_testing::operators::{Applied, affine, applied, sum};
use lrp_testing::{cases, rules};
use ndarray::Axis;
use proptest::prelude::*;

use formulas::{Bias, Expected, Formula, Stabilizer};
use matrix::Matrix;

/// Relative to the largest amount that was moved.
const TOLERANCE: f64 = 1e-9;

fn shared(rule: impl Rule<f64> + 'static) -> Arc<dyn Rule<f64>> {
    Arc::new(rule)
}

fn bias(mode: BiasMode) -> Bias {
    match mode {
        BiasMode::Absorb => Bias::Absorb,
        BiasMode::Ignore => Bias::Ignore,
        BiasMode::Distribute => Bias::Distribute,
    }
}

/// One sample of every input, flattened, one input after the other.
fn flat(xs: &[Tensor<f64>], sample: usize) -> Vec<f64> {
    xs.iter().flat_map(|x| x.index_axis(Axis(0), sample).iter().copied().collect::<Vec<_>>()).collect()
}

/// Compares the rule with the formula on every sample.
fn agree(rule: &Arc<dyn Rule<f64>>, formula: &Formula, case: &Applied) -> Result<(), TestCaseError> {
    let op = case.bound.build::<f64>();
    let Ok(prepared) = rule.prepare(&case.layer(&op)) else { return Ok(()) };
    let matrix = Matrix::of(op.as_affine().unwrap());
    let xs: Vec<&Tensor<f64>> = case.xs.iter().collect();
    let output = op.forward(&xs);
    // Where a denominator is zero but for rounding, either result is as good: there is no relevance.
    let mut r = case.r.clone();
    for (sample, mut r) in r.axis_iter_mut(Axis(0)).enumerate() {
        let x = flat(&case.xs, sample);
        r.iter_mut().enumerate().filter(|(k, _)| formula.cancels(&matrix, &x, *k)).for_each(|(_, r)| *r = 0.0);
    }
    let out = prepared.propagate(Io { inputs: &xs, output: &output }, &r);
    for (sample, r) in r.axis_iter(Axis(0)).enumerate() {
        let x = flat(&case.xs, sample);
        let expected = formula.relevance(&matrix, &x, &r.iter().copied().collect::<Vec<_>>());
        let Expected { relevance, bias, stabilizer, rule: lost, moved } = &expected;
        let got = flat(&out.relevance, sample);
        let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * moved.max(1e-300);
        prop_assert_eq!(got.len(), relevance.len());
        prop_assert!(
            got.iter().zip(relevance).all(|(a, b)| near(*a, *b)),
            "{rule}: {got:?}, by the formula {relevance:?}"
        );
        let accounts = [out.bias[sample], out.stabilizer[sample], out.rule[sample]];
        prop_assert!(
            near(accounts[0], *bias) && near(accounts[1], *stabilizer) && near(accounts[2], *lost),
            "{rule}: took {accounts:?}, by the formula {:?}",
            [bias, stabilizer, lost]
        );
    }
    Ok(())
}

/// A rule with its formula.
type Pair = (Arc<dyn Rule<f64>>, Formula);

fn factor() -> impl Strategy<Value = f64> {
    (0..=24u32).prop_map(|n| f64::from(n) / 8.0)
}

fn zero() -> impl Strategy<Value = Pair> {
    rules::bias_modes()
        .prop_map(|mode| (shared(Zero { bias: mode }), Formula::epsilon(Stabilizer::Absolute(0.0), bias(mode))))
}

fn epsilon() -> impl Strategy<Value = Pair> {
    (rules::stabilizers(), factor(), any::<bool>(), rules::bias_modes()).prop_map(|(small, large, relative, mode)| {
        let (value, stabilizer) = if relative {
            (EpsilonValue::Relative(large), Stabilizer::Relative(large))
        } else {
            (EpsilonValue::Absolute(small), Stabilizer::Absolute(small))
        };
        (shared(Epsilon { epsilon: value, bias: mode }), Formula::epsilon(stabilizer, bias(mode)))
    })
}

fn gamma() -> impl Strategy<Value = Pair> {
    (factor(), rules::stabilizers(), rules::bias_modes()).prop_map(|(g, e, mode)| {
        (shared(Gamma { gamma: g, stabilizer: e, bias: mode }), Formula::gamma(g, e, bias(mode)))
    })
}

fn alpha_beta() -> impl Strategy<Value = Pair> {
    (factor(), rules::stabilizers(), rules::bias_modes()).prop_map(|(beta, e, mode)| {
        (
            shared(AlphaBeta { alpha: 1.0 + beta, beta, stabilizer: e, bias: mode }),
            Formula::alpha_beta(beta, e, bias(mode)),
        )
    })
}

fn z_plus() -> impl Strategy<Value = Pair> {
    (rules::stabilizers(), rules::bias_modes())
        .prop_map(|(e, mode)| (shared(ZPlus { stabilizer: e, bias: mode }), Formula::alpha_beta(0.0, e, bias(mode))))
}

fn gains() -> impl Strategy<Value = Pair> {
    (rules::branches(), rules::stabilizers(), rules::bias_modes()).prop_map(|(branches, e, mode)| {
        let side = |side| match side {
            Side::All => None,
            Side::Nonnegative => Some(true),
            Side::Negative => Some(false),
        };
        let parts = branches.iter().map(|b| (side(b.outputs), b.coefficient, b.positive, b.negative)).collect();
        let rule = Gains { branches, stabilizer: EpsilonValue::Absolute(e), bias: mode };
        (shared(rule), Formula::gains(parts, e, bias(mode)))
    })
}

/// A rule, and the same as branches.
fn rule_and_gains() -> impl Strategy<Value = [Arc<dyn Rule<f64>>; 2]> {
    let side = |outputs, positive, negative| Branch { outputs, ..Branch::all(positive, negative) };
    let branches = move |which, f: f64| match which {
        0 => vec![Branch::all(1.0, 1.0)],
        1 => vec![side(Side::Nonnegative, 1.0 + f, 1.0), side(Side::Negative, 1.0, 1.0 + f)],
        2 => vec![
            Branch { coefficient: 1.0 + f, ..Branch::all(1.0, 0.0) },
            Branch { coefficient: -f, ..Branch::all(0.0, 1.0) },
        ],
        _ => vec![Branch::all(1.0, 0.0)],
    };
    let written = move |which, f: f64, e, mode| match which {
        0 => shared(Epsilon { epsilon: EpsilonValue::Absolute(e), bias: mode }),
        1 => shared(Gamma { gamma: f, stabilizer: e, bias: mode }),
        2 => shared(AlphaBeta { alpha: 1.0 + f, beta: f, stabilizer: e, bias: mode }),
        _ => shared(ZPlus { stabilizer: e, bias: mode }),
    };
    (0..4usize, factor(), rules::stabilizers(), rules::bias_modes()).prop_map(move |(which, f, e, mode)| {
        let gains = Gains { branches: branches(which, f), stabilizer: EpsilonValue::Absolute(e), bias: mode };
        [written(which, f, e, mode), shared(gains)]
    })
}

fn w_square() -> impl Strategy<Value = Pair> {
    (rules::stabilizers(), rules::bias_modes())
        .prop_map(|(e, mode)| (shared(WSquare { stabilizer: e, bias: mode }), Formula::w_square(e, bias(mode))))
}

fn flat_rule() -> impl Strategy<Value = Pair> {
    rules::stabilizers().prop_map(|e| (shared(Flat { stabilizer: e }), Formula::flat(e)))
}

fn z_box() -> impl Strategy<Value = Pair> {
    (factor(), factor(), rules::stabilizers()).prop_map(|(low, width, e)| {
        let (low, high) = (-low, width - low);
        (shared(ZBox { low: Some(vec![low]), high: Some(vec![high]), stabilizer: e }), Formula::z_box(low, high, e))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// Bach et al. 2015, eq. 56.
    #[test]
    fn zero_is_its_formula((rule, formula) in zero(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Bach et al. 2015, eq. 58; relative ε as in Montavon et al. 2019.
    #[test]
    fn epsilon_is_its_formula((rule, formula) in epsilon(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Montavon et al. 2019, Table 10.1, generalized by Andéol et al. 2021.
    #[test]
    fn gamma_is_its_formula((rule, formula) in gamma(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Bach et al. 2015, eq. 60.
    #[test]
    fn alpha_beta_is_its_formula((rule, formula) in alpha_beta(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Montavon et al. 2017, eq. 15.
    #[test]
    fn z_plus_is_its_formula((rule, formula) in z_plus(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Branches with any gains.
    #[test]
    fn gains_are_their_formula((rule, formula) in gains(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// ε, γ, αβ and z⁺ written as branches.
    #[test]
    fn gains_of_a_rule_are_that_rule(pair in rule_and_gains(), case in applied(affine())) {
        let op = case.bound.build::<f64>();
        let xs: Vec<&Tensor<f64>> = case.xs.iter().collect();
        let output = op.forward(&xs);
        let [rule, gains] = pair.each_ref().map(|rule| {
            rule.prepare(&case.layer(&op)).unwrap().propagate(Io { inputs: &xs, output: &output }, &case.r)
        });
        let pairs = rule.relevance.iter().flatten().zip(gains.relevance.iter().flatten());
        for (a, b) in pairs {
            prop_assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{}: {a}, {}: {b}", pair[0], pair[1]);
        }
    }

    /// Montavon et al. 2017, eq. 12.
    #[test]
    fn w_square_is_its_formula((rule, formula) in w_square(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Lapuschkin et al. 2019.
    #[test]
    fn flat_is_its_formula((rule, formula) in flat_rule(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// Montavon et al. 2017, eq. 20.
    #[test]
    fn z_box_is_its_formula((rule, formula) in z_box(), case in applied(affine())) {
        agree(&rule, &formula, &case)?;
    }

    /// The policies of sums: signed, by size, equal, all to one side. The first summand is the skip connection.
    #[test]
    fn norm_is_its_formula(policy in 0..5usize, e in rules::stabilizers(), case in applied(sum())) {
        let (residual, formula) = match policy {
            0 => (Residual::Signed, Formula::epsilon(Stabilizer::Absolute(e), Bias::Absorb)),
            1 => (Residual::Absolute, Formula::by_size(e)),
            2 => (Residual::Equal, Formula::summands(|_| true)),
            3 => (Residual::SkipOnly, Formula::summands(|i| i == 0)),
            _ => (Residual::BranchOnly, Formula::summands(|i| i > 0)),
        };
        agree(&shared(Norm { stabilizer: e, residual }), &formula, &case)?;
    }

    /// `Σ_k w_jk R_k`, and the rule's account what that creates or loses.
    #[test]
    fn gradient_is_its_formula(case in applied(affine())) {
        agree(&shared(Gradient), &Formula::gradient(), &case)?;
    }

    /// `R_j`, where input and output have the same shape.
    #[test]
    fn pass_is_its_formula(case in applied(affine())) {
        agree(&shared(Pass), &Formula::pass(), &case)?;
    }
}
