//! Products of two activations: who takes the relevance.

use std::fmt;

use lrp_core::operator::{Group, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

/// How a product divides relevance between its factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Factors {
    /// The gated signal takes all, the gate nothing (Arras et al. 2017).
    #[default]
    Gate,
    /// Half to each (Achtibat et al. 2024).
    Uniform,
}

impl Factors {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Factors::Gate => "gate",
            Factors::Uniform => "uniform",
        }
    }
}

/// The rule for products of two activations: squeeze-and-excitation gates, for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Product {
    factors: Factors,
}

impl Product {
    /// The rule with this division.
    pub fn new(factors: Factors) -> Self {
        Self { factors }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("product {{ factors = {:?} }}", self.factors.name()))
    }
}

impl<T: Scalar> Rule<T> for Product {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        if layer.op.kind().group() != Group::Product {
            let message = format!("it is for products of two activations, and this is '{}'", layer.op.kind());
            return Err(RuleError::new(message));
        }
        let shares = match (self.factors, layer.op.gate_input()) {
            (Factors::Uniform, _) => [0.5, 0.5],
            (Factors::Gate, Some(0)) => [0.0, 1.0],
            (Factors::Gate, Some(_)) => [1.0, 0.0],
            (Factors::Gate, None) => {
                return Err(RuleError::new("the graph does not tell which factor is the gate; use uniform"));
            }
        };
        Ok(Box::new(Prepared { shares }))
    }

    fn claims(&self) -> Claims {
        Claims {
            conserving: true,
            positive: Positive::Always,
            input_independent: true,
            amplification: Some(1.0),
            ..Claims::default()
        }
    }
}

struct Prepared {
    shares: [f64; 2],
}

impl<T: Scalar> PreparedRule<T> for Prepared {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(self.shares.iter().map(|&share| r * T::of(share)).collect())
    }
}
