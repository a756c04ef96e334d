//! The formulas of the rules, output by output: `R_j += share · n_jk / stab(Σ_j n_jk + n_k) · R_k`, where `n_k` is the bias's part.

use super::matrix::Matrix;

/// The bias modes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bias {
    /// Takes part, and takes its share.
    Absorb,
    /// Takes no part.
    Ignore,
    /// Takes part, and its share is spread evenly over the connected inputs.
    Distribute,
}

/// The size of ε.
#[derive(Debug, Clone, Copy)]
pub enum Stabilizer {
    /// As it is.
    Absolute(f64),
    /// Times the root mean square of the sample's denominators.
    Relative(f64),
}

/// The expected relevance and accounts.
pub struct Expected {
    /// `R_j`.
    pub relevance: Vec<f64>,
    /// Taken by the bias.
    pub bias: f64,
    /// Taken by the stabilizer.
    pub stabilizer: f64,
    /// Lost by the rule.
    pub rule: f64,
    /// The largest amount that was moved on the way.
    pub moved: f64,
}

/// The contributions that one output divides by one denominator.
pub struct Part {
    /// Of `R_k`.
    share: f64,
    /// `n_jk`.
    contributions: Vec<f64>,
    /// `n_k`.
    bias: f64,
    /// Whether nobody gets it.
    lost: bool,
}

type Parts = dyn Fn(&Matrix, &[f64], usize) -> Vec<Part>;
type Simple = dyn Fn(&Matrix, usize, usize) -> f64;

/// The division of relevance by a rule.
pub enum Formula {
    /// In proportion to contributions.
    Shares { stabilizer: Stabilizer, bias: Bias, parts: Box<Parts> },
    /// `R_j = Σ_k c_jk R_k` with constants `c_jk`.
    Constant(Box<Simple>),
}

/// The rule, which stands next to it, says it all.
impl std::fmt::Debug for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(its formula)")
    }
}

fn plus(v: f64) -> f64 {
    if v > 0.0 { v } else { 0.0 }
}

fn minus(v: f64) -> f64 {
    if v < 0.0 { v } else { 0.0 }
}

/// Builds the single part of an ordinary rule from `n_jk = f(x_j, w_jk)` and `n_k = g(b_k)`.
fn single(
    stabilizer: Stabilizer,
    bias: Bias,
    f: impl Fn(f64, f64) -> f64 + 'static,
    g: impl Fn(f64) -> f64 + 'static,
) -> Formula {
    let parts = move |m: &Matrix, x: &[f64], k: usize| {
        let contributions = (0..m.inputs()).map(|j| f(x[j], m.weights[j][k])).collect();
        vec![Part { share: 1.0, contributions, bias: m.bias.as_ref().map_or(0.0, |b| g(b[k])), lost: false }]
    };
    Formula::Shares { stabilizer, bias, parts: Box::new(parts) }
}

impl Formula {
    /// `x_j w_jk`.
    pub fn epsilon(stabilizer: Stabilizer, bias: Bias) -> Self {
        single(stabilizer, bias, |x, w| x * w, |b| b)
    }

    /// `w²_jk`.
    pub fn w_square(epsilon: f64, bias: Bias) -> Self {
        single(Stabilizer::Absolute(epsilon), bias, |_, w| w * w, |b| b * b)
    }

    /// `x_j w_jk − l w⁺_jk − h w⁻_jk`.
    pub fn z_box(low: f64, high: f64, epsilon: f64) -> Self {
        let f = move |x, w| x * w - low * plus(w) - high * minus(w);
        single(Stabilizer::Absolute(epsilon), Bias::Ignore, f, |b| b)
    }

    /// `|x_j|`, for sums.
    pub fn by_size(epsilon: f64) -> Self {
        single(Stabilizer::Absolute(epsilon), Bias::Ignore, |x, w| (x * w).abs(), |b| b)
    }

    /// 1 for every connected input.
    pub fn flat(epsilon: f64) -> Self {
        let parts = |m: &Matrix, _: &[f64], k: usize| {
            let contributions = (0..m.inputs()).map(|j| if m.connected[j][k] { 1.0 } else { 0.0 }).collect();
            vec![Part { share: 1.0, contributions, bias: 0.0, lost: false }]
        };
        Formula::Shares { stabilizer: Stabilizer::Absolute(epsilon), bias: Bias::Ignore, parts: Box::new(parts) }
    }

    /// `x⁺(w + γw⁺) + x⁻(w + γw⁻)` and `b + γb⁺` where `z ≥ 0`; `x⁺(w + γw⁻) + x⁻(w + γw⁺)` and `b + γb⁻` where `z < 0`.
    pub fn gamma(gamma: f64, epsilon: f64, bias: Bias) -> Self {
        let parts = move |m: &Matrix, x: &[f64], k: usize| {
            let b = m.bias.as_ref().map_or(0.0, |b| b[k]);
            let z: f64 = (0..m.inputs()).map(|j| x[j] * m.weights[j][k]).sum::<f64>() + b;
            let contribution = |x: f64, w: f64| {
                if z >= 0.0 {
                    plus(x) * (w + gamma * plus(w)) + minus(x) * (w + gamma * minus(w))
                } else {
                    plus(x) * (w + gamma * minus(w)) + minus(x) * (w + gamma * plus(w))
                }
            };
            let contributions = (0..m.inputs()).map(|j| contribution(x[j], m.weights[j][k])).collect();
            let bias = if z >= 0.0 { b + gamma * plus(b) } else { b + gamma * minus(b) };
            vec![Part { share: 1.0, contributions, bias, lost: false }]
        };
        Formula::Shares { stabilizer: Stabilizer::Absolute(epsilon), bias, parts: Box::new(parts) }
    }

    /// `α (x w)⁺ / z⁺ − β (x w)⁻ / z⁻` with `α = 1 + β`, each part with the bias of its sign.
    pub fn alpha_beta(beta: f64, epsilon: f64, bias: Bias) -> Self {
        let parts = move |m: &Matrix, x: &[f64], k: usize| {
            let b = m.bias.as_ref().map_or(0.0, |b| b[k]);
            let of = |share: f64, sign: fn(f64) -> f64| Part {
                share,
                contributions: (0..m.inputs()).map(|j| sign(x[j] * m.weights[j][k])).collect(),
                bias: sign(b),
                lost: false,
            };
            vec![of(1.0 + beta, plus), of(-beta, minus)]
        };
        Formula::Shares { stabilizer: Stabilizer::Absolute(epsilon), bias, parts: Box::new(parts) }
    }

    /// For each branch `(outputs, coefficient, g₊, g₋)` of the outputs with `z ≥ 0` (`Some(true)`), with `z < 0` (`Some(false)`) or all:
    /// `coefficient · (g₊ (x w)⁺ + g₋ (x w)⁻)` over the sum of the same, with the bias like an input of value 1.
    pub fn gains(branches: Vec<(Option<bool>, f64, f64, f64)>, epsilon: f64, bias: Bias) -> Self {
        let parts = move |m: &Matrix, x: &[f64], k: usize| {
            let b = m.bias.as_ref().map_or(0.0, |b| b[k]);
            let z: f64 = (0..m.inputs()).map(|j| x[j] * m.weights[j][k]).sum::<f64>() + b;
            let here = branches.iter().filter(|(outputs, ..)| outputs.is_none_or(|side| side == (z >= 0.0)));
            let mut parts: Vec<Part> = here
                .map(|&(_, share, positive, negative)| {
                    let gained = |c: f64| positive * plus(c) + negative * minus(c);
                    let contributions = (0..m.inputs()).map(|j| gained(x[j] * m.weights[j][k])).collect();
                    Part { share, contributions, bias: gained(b), lost: false }
                })
                .collect();
            // The part of no branch.
            let rest = 1.0 - parts.iter().map(|part| part.share).sum::<f64>();
            parts.push(Part { share: rest, contributions: vec![0.0; m.inputs()], bias: 0.0, lost: true });
            parts
        };
        Formula::Shares { stabilizer: Stabilizer::Absolute(epsilon), bias, parts: Box::new(parts) }
    }

    /// The same to each of these summands of a sum.
    pub fn summands(takes: impl Fn(usize) -> bool + 'static) -> Self {
        Formula::Constant(Box::new(move |m, j, k| {
            let inputs = m.input_of.last().map_or(0, |last| last + 1);
            let all = (0..inputs).filter(|&i| takes(i)).count();
            if m.connected[j][k] && takes(m.input_of[j]) { 1.0 / all as f64 } else { 0.0 }
        }))
    }

    /// `w_jk`.
    pub fn gradient() -> Self {
        Formula::Constant(Box::new(|m, j, k| m.weights[j][k]))
    }

    /// 1 for `j = k`.
    pub fn pass() -> Self {
        Formula::Constant(Box::new(|_, j, k| if j == k { 1.0 } else { 0.0 }))
    }

    /// Whether a denominator at output `k`, or the output itself, is zero but for rounding.
    pub fn cancels(&self, m: &Matrix, x: &[f64], k: usize) -> bool {
        let Formula::Shares { bias, parts, .. } = self else { return false };
        let nearly = |terms: &[f64]| {
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            size > 0.0 && terms.iter().sum::<f64>().abs() < 1e-6 * size
        };
        let b = m.bias.as_ref().map_or(0.0, |b| b[k]);
        let output: Vec<f64> = (0..m.inputs()).map(|j| x[j] * m.weights[j][k]).chain([b]).collect();
        nearly(&output)
            || parts(m, x, k).iter().any(|part| {
                let n = if *bias == Bias::Ignore { 0.0 } else { part.bias };
                nearly(&part.contributions.iter().copied().chain([n]).collect::<Vec<_>>())
            })
    }

    /// The relevance of all inputs for one sample.
    pub fn relevance(&self, m: &Matrix, x: &[f64], r: &[f64]) -> Expected {
        let start = r.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let mut expected =
            Expected { relevance: vec![0.0; m.inputs()], bias: 0.0, stabilizer: 0.0, rule: 0.0, moved: start };
        match self {
            Formula::Constant(c) => {
                for (k, &r) in r.iter().enumerate() {
                    expected.rule += r;
                    for j in 0..m.inputs() {
                        expected.relevance[j] += c(m, j, k) * r;
                        expected.rule -= c(m, j, k) * r;
                    }
                }
            }
            Formula::Shares { stabilizer, bias, parts } => {
                let all: Vec<Vec<Part>> = (0..m.outputs).map(|k| parts(m, x, k)).collect();
                let own = |part: &Part| if *bias == Bias::Ignore { 0.0 } else { part.bias };
                let denominator = |part: &Part| part.contributions.iter().sum::<f64>() + own(part);
                let epsilon = match *stabilizer {
                    Stabilizer::Absolute(epsilon) => epsilon,
                    Stabilizer::Relative(factor) => {
                        let squares: f64 = all.iter().map(|parts| denominator(&parts[0]).powi(2)).sum();
                        factor * (squares / all.len() as f64).sqrt()
                    }
                };
                for (k, parts) in all.iter().enumerate() {
                    for part in parts {
                        let received = part.share * r[k];
                        let z = denominator(part);
                        let shift = if z >= 0.0 { epsilon } else { -epsilon };
                        if z + shift == 0.0 || part.lost {
                            expected.rule += received;
                            continue;
                        }
                        let quotient = received / (z + shift);
                        for (sum, n) in expected.relevance.iter_mut().zip(&part.contributions) {
                            *sum += n * quotient;
                            expected.moved = expected.moved.max((n * quotient).abs());
                        }
                        expected.stabilizer += shift * quotient;
                        let share = own(part) * quotient;
                        expected.moved = expected.moved.max(share.abs());
                        let connected: Vec<usize> = (0..m.inputs()).filter(|&j| m.connected[j][k]).collect();
                        if *bias == Bias::Distribute && !connected.is_empty() {
                            connected.iter().for_each(|&j| expected.relevance[j] += share / connected.len() as f64);
                        } else {
                            expected.bias += share;
                        }
                    }
                }
            }
        }
        expected
    }
}
