//! The behaviour of a rule at a layer: a [formula](crate::formula), or one of the few behaviours that are none.

use std::sync::Arc;

use ndarray::Zip;

use crate::claims::{Claims, Positive};
use crate::engine;
use crate::error::RuleError;
use crate::formula::Formula;
use crate::kernels::entrance;
use crate::operator::{Affine, Fixed, Group, Io, Kind, Operator, apply_to_ones};
use crate::prepared::{Layer, PreparedRule};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, positive, samples, sums};

/// The behaviour of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// It divides relevance in proportion to contributions, which the [engine] computes.
    Formula(Formula),
    /// Relevance is passed on unchanged; input and output have the same shape.
    Pass,
    /// The vector-Jacobian product `Σ_k R_k ∂z_k/∂x_j`, on any operator.
    Gradient,
    /// At activations: the gradient of positive relevance, `φ′(x)·R⁺`.
    GuidedBackprop,
    /// At activations: positive relevance `R⁺`, whatever the input was.
    Deconvnet,
    /// Each input of a sum gets a fixed share.
    Shares(Shares),
    /// At products of two activations: relevance is divided between the factors.
    Product {
        /// The fraction of each.
        division: Division,
        /// Of a matrix product, whose outputs are sums: added to them, with their sign.
        stabilizer: f64,
    },
    /// At layer normalisations: what the operator does by itself, with the standard deviation taken as a constant.
    Normalization {
        /// Added to the outputs, with their sign.
        stabilizer: f64,
    },
    /// The output is taken as a constant, on any operator: its inputs receive nothing, and what arrives is recorded as that of a bias.
    Constant,
    /// At a softmax: the first-order Taylor expansion (Achtibat et al. 2024, Proposition 3.1).
    Taylor,
    /// Something else: the rule has a [`prepare`](crate::Rule::prepare) of its own.
    Custom,
}

/// The shares of the inputs of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    /// The same to each.
    Equal,
    /// All to the skip connection.
    SkipOnly,
    /// All to the branches, in equal parts.
    BranchOnly,
}

/// The division of relevance between the factors of a product of two activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Division {
    /// Nothing to the gate that the graph tells of, all to the other factor.
    #[default]
    KnownGate,
    /// Nothing to this input (0 or 1), whatever the graph says.
    Gate(usize),
    /// All to this input (0 or 1), whatever the graph says.
    Signal(usize),
    /// Half to each.
    Uniform,
}

impl Behaviour {
    /// The properties of the rule.
    pub fn claims(&self) -> Claims {
        let moves = Claims {
            positive: Positive::Always,
            input_independent: true,
            amplification: Some(1.0),
            ..Claims::default()
        };
        match self {
            Behaviour::Formula(formula) => formula.claims(),
            Behaviour::Pass | Behaviour::Shares(_) => Claims { conserving: true, ..moves },
            // Matrix products are divided by their values.
            Behaviour::Product { .. } | Behaviour::Normalization { .. } => {
                Claims { conserving: true, ..Claims::default() }
            }
            Behaviour::Constant => Claims { conserving: true, ..moves },
            Behaviour::Deconvnet => Claims { linear: false, ..moves },
            Behaviour::GuidedBackprop => Claims { linear: false, ..Claims::default() },
            Behaviour::Gradient | Behaviour::Taylor | Behaviour::Custom => Claims::default(),
        }
    }

    /// Makes it ready for a layer.
    ///
    /// # Errors
    /// When it and the operator do not go together.
    pub fn prepare<T: Scalar>(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        T::enter::<Entrance>((self, layer))
    }

    /// What [`Behaviour::Constant`] does at an operator.
    pub(crate) fn constant<T: Scalar>(op: &dyn Operator<T>) -> Box<dyn PreparedRule<T>> {
        Box::new(Constant { inputs: op.input_shapes().to_vec() })
    }

    fn prepared<T: Scalar>(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(match self {
            Behaviour::Formula(formula) => engine::prepare(formula, layer)?,
            Behaviour::Pass => Box::new(pass(layer)?),
            Behaviour::Gradient => match layer.affine() {
                Ok(op) => Box::new(GradientOfAffine { column_sums: apply_to_ones(op.as_ref()), op }),
                Err(_) => Box::new(Gradient { op: Arc::clone(layer.op) }),
            },
            Behaviour::GuidedBackprop => Box::new(GuidedBackprop { op: activation(layer)? }),
            Behaviour::Deconvnet => {
                activation(layer)?;
                Box::new(Deconvnet)
            }
            Behaviour::Shares(shares) => Box::new(FixedShares { shares: shares.of(layer)? }),
            Behaviour::Normalization { stabilizer } => match (layer.op.kind(), layer.op.with_stabilizer(*stabilizer)) {
                (Kind::LayerNorm, Some(op)) => Box::new(OwnBehaviour { op }),
                // Without centring each output is a multiple of one input, which has no denominator.
                (kind, _) => {
                    let message =
                        format!("of the normalizations it is for those that centre, and this is '{kind}'; use pass");
                    return Err(RuleError::new(message));
                }
            },
            Behaviour::Product { division, stabilizer } => {
                let shares = division.shares(layer)?;
                match layer.op.with_shares(shares).map(|op| op.with_stabilizer(*stabilizer).unwrap_or(op)) {
                    Some(op) => Box::new(OwnBehaviour { op }),
                    None => Box::new(FixedShares { shares: shares.to_vec() }),
                }
            }
            Behaviour::Constant => Self::constant(layer.op.as_ref()),
            Behaviour::Taylor if layer.op.kind() == Kind::Softmax => {
                Box::new(OwnBehaviour { op: Arc::clone(layer.op) })
            }
            Behaviour::Taylor => {
                let message = format!("it is for a softmax inside the model, and this is '{}'", layer.op.kind());
                return Err(RuleError::new(message));
            }
            Behaviour::Custom => return Err(RuleError::new("the rule neither says what it does nor prepares itself")),
        })
    }
}

entrance!(
    Entrance<'p, 'a, T>: (&'a Behaviour, &'a Layer<'a, T>) => Result<Box<dyn PreparedRule<T>>, RuleError>,
    |(behaviour, layer)| Behaviour::prepared(behaviour, layer)
);

impl Shares {
    /// The share of each input of a layer.
    fn of<T: Scalar>(self, layer: &Layer<'_, T>) -> Result<Vec<f64>, RuleError> {
        let n = layer.op.input_shapes().len();
        if layer.op.input_shapes().iter().any(|shape| shape != layer.op.output_shape()) {
            return Err(RuleError::new("fixed shares are for sums of inputs of the output's shape"));
        }
        let skip = || {
            layer.skip_input.ok_or_else(|| {
                RuleError::new(
                    "the graph does not tell which summand is the skip connection; use signed, absolute or equal",
                )
            })
        };
        let shares: Vec<f64> = match self {
            Shares::Equal => vec![1.0; n],
            Shares::SkipOnly => skip().map(|s| (0..n).map(|i| f64::from(u8::from(i == s))).collect())?,
            Shares::BranchOnly => skip().map(|s| (0..n).map(|i| f64::from(u8::from(i != s))).collect())?,
        };
        let total: f64 = shares.iter().sum();
        Ok(shares.into_iter().map(|share| share / total).collect())
    }
}

impl Division {
    /// The shares of the two factors.
    fn shares<T: Scalar>(self, layer: &Layer<'_, T>) -> Result<[f64; 2], RuleError> {
        if layer.op.kind().group() != Group::Product {
            let message = format!("it is for products of two activations, and this is '{}'", layer.op.kind());
            return Err(RuleError::new(message));
        }
        let gate = match self {
            Division::Uniform => return Ok([0.5; 2]),
            Division::Gate(input @ 0..2) => input,
            Division::Signal(input @ 0..2) => 1 - input,
            Division::Gate(input) | Division::Signal(input) => {
                return Err(RuleError::new(format!("a product has the inputs 0 and 1, got {input}")));
            }
            Division::KnownGate => layer.op.gate_input().ok_or_else(|| {
                let found = layer.op.factors().unwrap_or_else(|| "uniform".to_owned());
                RuleError::new(format!(
                    "no gate was found here ({found}); name the input that takes the relevance, as in \
                     {{ type = \"product\", signal = 0 }}, or the gate, or give half to each with factors = \"uniform\""
                ))
            })?,
        };
        Ok([0, 1].map(|input| f64::from(u8::from(input != gate))))
    }
}

/// What an operator does by itself.
struct OwnBehaviour<T: Scalar> {
    op: Arc<dyn Operator<T>>,
}

impl<T: Scalar> PreparedRule<T> for OwnBehaviour<T> {
    fn needs(&self) -> Needs {
        if let Fixed::Own { needs, .. } = self.op.fixed() { needs } else { Needs::BOTH }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        self.op.propagate(io, r)
    }
}

struct Pass;

fn pass<T: Scalar>(layer: &Layer<'_, T>) -> Result<Pass, RuleError> {
    match layer.op.input_shapes() {
        [input] if input == layer.op.output_shape() => Ok(Pass),
        [input] => Err(RuleError::new(format!(
            "input {input:?} and output {:?} must have the same shape",
            layer.op.output_shape()
        ))),
        inputs => Err(RuleError::new(format!("it takes one input, this operator has {}", inputs.len()))),
    }
}

impl<T: Scalar> PreparedRule<T> for Pass {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(vec![r.clone()])
    }
}

struct Constant {
    /// Sample shapes of the inputs.
    inputs: Vec<Vec<usize>>,
}

impl<T: Scalar> PreparedRule<T> for Constant {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let nothing = |shape: &Vec<usize>| Tensor::zeros(batch_shape(samples(r), shape));
        let mut result = Propagated::lossless(self.inputs.iter().map(nothing).collect());
        result.bias = sums(r);
        result
    }
}

struct FixedShares {
    shares: Vec<f64>,
}

impl<T: Scalar> PreparedRule<T> for FixedShares {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(self.shares.iter().map(|&share| r * T::of(share)).collect())
    }
}

/// `Aᵀ R`. Its sum is `Σ_k R_k Σ_j w_jk`, so that the loss can be computed without reading the result.
struct GradientOfAffine<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// `Σ_j w_jk`, `[1, …]`.
    column_sums: Tensor<T>,
}

impl<T: Scalar> PreparedRule<T> for GradientOfAffine<T> {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let mut result = Propagated::lossless(self.op.adjoint(r));
        if let Some(sums_k) = self.column_sums.broadcast(r.raw_dim()) {
            result.rule = sums(&Zip::from(r).and(&sums_k).map_collect(|&r, &w| r * (T::one() - w)));
        }
        result
    }
}

struct Gradient<T: Scalar> {
    op: Arc<dyn Operator<T>>,
}

impl<T: Scalar> PreparedRule<T> for Gradient<T> {
    fn needs(&self) -> Needs {
        if self.op.vjp_needs_inputs() { Needs::INPUTS } else { Needs::NOTHING }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let gradient = self.op.vjp(io, r);
        let mut result = Propagated::lossless(gradient);
        result.bias = self.op.constant_share(r);
        match (self.op.kind().group(), result.relevance.as_slice()) {
            // Σ R (1 − φ′), element by element.
            (Group::Activation, [g]) => result.rule = sums(&(r - g)),
            // Products, normalisations, recurrent layers and the like have no closed form other than the difference.
            (Group::Step | Group::Product | Group::Normalization | Group::Recurrent | Group::Undefined, parts) => {
                result.rule = parts.iter().fold(sums(r), |left, part| minus(left, &sums(part)));
            }
            // Operators that only move elements lose nothing.
            _ => {}
        }
        result
    }
}

fn minus(mut account: Vec<f64>, amounts: &[f64]) -> Vec<f64> {
    account.iter_mut().zip(amounts).for_each(|(left, amount)| *left -= amount);
    account
}

struct GuidedBackprop<T: Scalar> {
    op: Arc<dyn Operator<T>>,
}

impl<T: Scalar> PreparedRule<T> for GuidedBackprop<T> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        masked(r, self.op.vjp(io, &positive(r)))
    }
}

struct Deconvnet;

impl<T: Scalar> PreparedRule<T> for Deconvnet {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        masked(r, vec![positive(r)])
    }
}

/// The layer's operator, if it is an activation.
fn activation<T: Scalar>(layer: &Layer<'_, T>) -> Result<Arc<dyn Operator<T>>, RuleError> {
    if layer.op.kind().group() == Group::Activation {
        Ok(Arc::clone(layer.op))
    } else {
        Err(RuleError::new(format!("the rule is for activations (relu, …), and this is '{}'", layer.op.kind())))
    }
}

/// `relevance`; the difference to `r`, element by element, is recorded as lost by the rule.
fn masked<T: Scalar>(r: &Tensor<T>, relevance: Vec<Tensor<T>>) -> Propagated<T> {
    let mut result = Propagated::lossless(relevance);
    if let [kept] = result.relevance.as_slice() {
        result.rule = sums(&(r - kept));
    }
    result
}
