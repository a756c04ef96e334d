//! Strategies over the rules of `lrp-rules`, with all their parameters.

use std::sync::Arc;

use lrp_core::Rule;
use lrp_rules::{
    AlphaBeta, BiasMode, Branch, Epsilon, EpsilonValue, Factors, Flat, Gains, Gamma, Gradient, Norm, Product, Residual,
    Side, WSquare, ZBox, ZPlus, Zero,
};
use proptest::prelude::*;

/// The bias modes.
pub fn bias_modes() -> impl Strategy<Value = BiasMode> {
    prop_oneof![Just(BiasMode::Absorb), Just(BiasMode::Ignore), Just(BiasMode::Distribute)]
}

/// Stabilizers from none to a strong one.
pub fn stabilizers() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1e-9), Just(1e-6), Just(0.125)]
}

/// Factors such as γ and β: multiples of 1/8 from nothing to three.
fn factors() -> impl Strategy<Value = f64> {
    (0..=24u32).prop_map(|n| f64::from(n) / 8.0)
}

/// [`Zero`].
pub fn zero() -> impl Strategy<Value = Zero> {
    bias_modes().prop_map(|bias| Zero { bias })
}

/// [`Epsilon`], absolute and relative.
pub fn epsilon() -> impl Strategy<Value = Epsilon> {
    let value = prop_oneof![
        stabilizers().prop_map(EpsilonValue::Absolute),
        factors().prop_map(EpsilonValue::Absolute),
        factors().prop_map(EpsilonValue::Relative),
    ];
    (value, bias_modes()).prop_map(|(epsilon, bias)| Epsilon { epsilon, bias })
}

/// [`Gamma`].
pub fn gamma() -> impl Strategy<Value = Gamma> {
    (factors(), stabilizers(), bias_modes()).prop_map(|(g, s, bias)| Gamma { gamma: g, stabilizer: s, bias })
}

/// [`AlphaBeta`].
pub fn alpha_beta() -> impl Strategy<Value = AlphaBeta> {
    (factors(), stabilizers(), bias_modes()).prop_map(|(beta, s, bias)| AlphaBeta {
        alpha: 1.0 + beta,
        beta,
        stabilizer: s,
        bias,
    })
}

/// [`ZPlus`].
pub fn z_plus() -> impl Strategy<Value = ZPlus> {
    (stabilizers(), bias_modes()).prop_map(|(s, bias)| ZPlus { stabilizer: s, bias })
}

/// Branches with any gains, most of which are no rule of a paper.
pub fn branches() -> impl Strategy<Value = Vec<Branch>> {
    let gain = || (-8..=16i32).prop_map(|n| f64::from(n) / 8.0);
    let side = prop::sample::select(vec![Side::All, Side::Nonnegative, Side::Negative]);
    let coefficient = prop_oneof![3 => Just(1.0), 1 => (-4..=8i32).prop_map(|n| f64::from(n) / 4.0)];
    let branch = (side, coefficient, gain(), gain()).prop_map(|(outputs, coefficient, positive, negative)| {
        let positive = if positive == 0.0 && negative == 0.0 { 1.0 } else { positive };
        Branch { outputs, coefficient, positive, negative }
    });
    let some = |branches: &Vec<Branch>| branches.iter().any(|branch| branch.coefficient != 0.0);
    prop::collection::vec(branch, 1..=3).prop_filter("relevance for a branch", some)
}

/// [`Gains`] with any [`branches`].
pub fn gains() -> impl Strategy<Value = Gains> {
    (branches(), stabilizers(), bias_modes()).prop_map(|(branches, s, bias)| Gains {
        branches,
        stabilizer: EpsilonValue::Absolute(s),
        bias,
    })
}

/// [`WSquare`].
pub fn w_square() -> impl Strategy<Value = WSquare> {
    (stabilizers(), bias_modes()).prop_map(|(s, bias)| WSquare { stabilizer: s, bias })
}

/// [`Flat`].
pub fn flat() -> impl Strategy<Value = Flat> {
    stabilizers().prop_map(|s| Flat { stabilizer: s })
}

/// [`ZBox`], with the same bounds for all channels.
pub fn z_box() -> impl Strategy<Value = ZBox> {
    (factors(), factors(), stabilizers()).prop_map(|(low, width, s)| ZBox {
        low: Some(vec![-low]),
        high: Some(vec![width - low]),
        stabilizer: s,
    })
}

/// [`Norm`], with every policy for residual sums.
pub fn norm() -> impl Strategy<Value = Norm> {
    let policies = [Residual::Signed, Residual::Absolute, Residual::Equal, Residual::SkipOnly, Residual::BranchOnly];
    (stabilizers(), prop::sample::select(policies.to_vec())).prop_map(|(s, residual)| Norm { stabilizer: s, residual })
}

/// [`Product`].
pub fn product() -> impl Strategy<Value = Product> {
    let named = |input: usize| [Product::gate(input), Product::signal(input)];
    let [one, two] = [named(0), named(1)];
    let all = [[Product::new(Factors::Gate), Product::new(Factors::Uniform)], one, two].concat();
    prop::sample::select(all)
}

/// Any rule that goes with every affine operator.
pub fn any_affine() -> impl Strategy<Value = Arc<dyn Rule<f64>>> {
    fn shared(rule: impl Rule<f64> + 'static) -> Arc<dyn Rule<f64>> {
        Arc::new(rule)
    }
    prop_oneof![
        zero().prop_map(shared),
        epsilon().prop_map(shared),
        gamma().prop_map(shared),
        alpha_beta().prop_map(shared),
        z_plus().prop_map(shared),
        w_square().prop_map(shared),
        flat().prop_map(shared),
        z_box().prop_map(shared),
        Just(Gradient).prop_map(shared),
    ]
}
