//! Norm: LRP-ε for operators without weights of their own, and the policies for residual sums.

use std::fmt;

use lrp_core::operator::{Group, Io, Kind};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::samples;
use lrp_core::{Claims, Rule, RuleError, Scalar, Tensor};
use ndarray::Zip;

use crate::bias::BiasMode;
use crate::epsilon::{EpsilonValue, Proportional};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::quotient::{Quotient, constant, quotient};

/// How a residual sum divides relevance among its summands. Other operators do not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residual {
    /// In proportion to the signed summands: `a / stab(Σ a)`.
    #[default]
    Signed,
    /// In proportion to their sizes: `|a| / stab(Σ |a|)`.
    Absolute,
    /// The same to each.
    Equal,
    /// All to the skip connection.
    SkipOnly,
    /// All to the branches, in equal parts.
    BranchOnly,
}

impl Residual {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Residual::Signed => "signed",
            Residual::Absolute => "absolute",
            Residual::Equal => "equal",
            Residual::SkipOnly => "skip-only",
            Residual::BranchOnly => "branch-only",
        }
    }
}

/// [`Epsilon`](crate::Epsilon) for weightless affine operators: sums, average pooling, means, constant factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    stabilizer: f64,
    residual: Residual,
}

impl Norm {
    /// The rule with this stabilizer and policy for residual sums.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64, residual: Residual) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)?, residual })
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = vec![("stabilizer", number(self.stabilizer))];
        if self.residual != Residual::Signed {
            parameters.push(("residual", format!("{:?}", self.residual.name())));
        }
        write_rule(f, "norm", &parameters)
    }
}

impl<T: Scalar> Rule<T> for Norm {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let kind = layer.op.kind();
        if kind.group() == Group::Weighted {
            let message =
                format!("it is for operators without weights (add, avg-pool, …), and this is '{kind}'; use epsilon");
            return Err(RuleError::new(message));
        }
        let n = layer.op.input_shapes().len();
        if kind != Kind::Add || n < 2 {
            return Proportional::prepare(layer, EpsilonValue::Absolute(self.stabilizer), BiasMode::Absorb);
        }
        let skip = || {
            layer.skip_input.ok_or_else(|| {
                RuleError::new(
                    "the graph does not tell which summand is the skip connection; use signed, absolute or equal",
                )
            })
        };
        // Fixed shares of each summand.
        let shares = match self.residual {
            Residual::Signed => {
                return Proportional::prepare(layer, EpsilonValue::Absolute(self.stabilizer), BiasMode::Absorb);
            }
            Residual::Absolute => return Ok(Box::new(ByAbsoluteValue { stabilizer: self.stabilizer })),
            Residual::Equal => vec![1.0; n],
            Residual::SkipOnly => skip().map(|s| (0..n).map(|i| f64::from(u8::from(i == s))).collect())?,
            Residual::BranchOnly => skip().map(|s| (0..n).map(|i| f64::from(u8::from(i != s))).collect())?,
        };
        let total: f64 = shares.iter().sum();
        Ok(Box::new(FixedShares { shares: shares.iter().map(|s| s / total).collect() }))
    }

    fn claims(&self) -> Claims {
        let vanishing = matches!(self.residual, Residual::Signed | Residual::Absolute);
        Claims { conserving: true, vanishing, ..Claims::default() }
    }
}

struct ByAbsoluteValue {
    stabilizer: f64,
}

impl<T: Scalar> PreparedRule<T> for ByAbsoluteValue {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let sum = io.inputs.iter().fold(Tensor::zeros(r.raw_dim()), |sum, a| sum + a.mapv(|a| a.abs()));
        let Quotient { s, stabilizer, dead } = quotient(r, &sum, constant(self.stabilizer));
        let relevance = io.inputs.iter().map(|a| Zip::from(*a).and(&s).map_collect(|&a, &s| a.abs() * s)).collect();
        Propagated { relevance, stabilizer, rule: dead, bias: vec![0.0; samples(r)] }
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
