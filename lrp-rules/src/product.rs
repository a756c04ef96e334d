//! Products of two activations: who takes the relevance.

use std::fmt;

use lrp_core::operator::{Group, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

use crate::parameter::ParameterError;

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

/// How a product divides relevance between its factors, or which of its two inputs is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Division {
    By(Factors),
    Gate(usize),
    Signal(usize),
}

/// The rule for products of two activations: squeeze-and-excitation gates, for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    division: Division,
}

impl Default for Product {
    fn default() -> Self {
        Self::new(Factors::default())
    }
}

impl Product {
    /// The rule with this division.
    pub fn new(factors: Factors) -> Self {
        Self { division: Division::By(factors) }
    }

    /// The rule for products of which this input (0 or 1) is the gate: the other one takes all, whatever the graph says.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn gate(input: usize) -> Result<Self, ParameterError> {
        Ok(Self { division: Division::Gate(factor("gate", input)?) })
    }

    /// The rule for products of which this input (0 or 1) is the signal: it takes all, whatever the graph says.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn signal(input: usize) -> Result<Self, ParameterError> {
        Ok(Self { division: Division::Signal(factor("signal", input)?) })
    }
}

fn factor(parameter: &'static str, input: usize) -> Result<usize, ParameterError> {
    match input {
        0 | 1 => Ok(input),
        _ => Err(ParameterError::new(parameter, format!("a product has the inputs 0 and 1, got {input}"))),
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self.division {
            Division::By(factors) => format!("product {{ factors = {:?} }}", factors.name()),
            Division::Gate(input) => format!("product {{ gate = {input} }}"),
            Division::Signal(input) => format!("product {{ signal = {input} }}"),
        })
    }
}

impl<T: Scalar> Rule<T> for Product {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        if layer.op.kind().group() != Group::Product {
            let message = format!("it is for products of two activations, and this is '{}'", layer.op.kind());
            return Err(RuleError::new(message));
        }
        let gate = match self.division {
            Division::By(Factors::Uniform) => return Ok(Box::new(Prepared { shares: [0.5, 0.5] })),
            Division::By(Factors::Gate) => layer.op.gate_input().ok_or_else(|| {
                let found = layer.op.factors().unwrap_or_else(|| "uniform".to_owned());
                RuleError::new(format!(
                    "no gate was found here ({found}); name the input that takes the relevance, as in \
                     {{ type = \"product\", signal = 0 }}, or the gate, or give half to each with factors = \"uniform\""
                ))
            })?,
            Division::Gate(input) => input,
            Division::Signal(input) => 1 - input,
        };
        Ok(Box::new(Prepared { shares: if gate == 0 { [0.0, 1.0] } else { [1.0, 0.0] } }))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use lrp_core::operator::Operator;
    use lrp_core::ops::Mul;
    use ndarray::array;

    fn shares(rule: Product, gate: Option<usize>) -> Result<Vec<f64>, String> {
        let op: Arc<dyn Operator<f64>> = Arc::new(Mul::new(gate, &[1]).unwrap().because("a reason"));
        let layer = Layer { name: "product", op: &op, nonnegative_inputs: false, skip_input: None };
        let x = array![[3.0]].into_dyn();
        let prepared = rule.prepare(&layer).map_err(|error| error.0)?;
        let out = prepared.propagate(Io { inputs: &[&x, &x], output: &x }, &array![[1.0]].into_dyn());
        Ok(out.relevance.iter().flatten().copied().collect())
    }

    #[test]
    fn the_recipe_can_name_the_gate_or_the_signal() {
        for gate in [None, Some(0), Some(1)] {
            assert_eq!(shares(Product::signal(0).unwrap(), gate).unwrap(), [1.0, 0.0]);
            assert_eq!(shares(Product::signal(1).unwrap(), gate).unwrap(), [0.0, 1.0]);
            assert_eq!(shares(Product::gate(0).unwrap(), gate).unwrap(), [0.0, 1.0]);
            assert_eq!(shares(Product::gate(1).unwrap(), gate).unwrap(), [1.0, 0.0]);
            assert_eq!(shares(Product::new(Factors::Uniform), gate).unwrap(), [0.5, 0.5]);
        }
        assert_eq!(shares(Product::default(), Some(0)).unwrap(), [0.0, 1.0]);
        let text = shares(Product::default(), None).unwrap_err();
        assert!(text.contains("uniform: a reason") && text.contains("signal = 0"), "{text}");
        assert_eq!(Product::gate(2).unwrap_err().to_string(), "a product has the inputs 0 and 1, got 2");
        assert_eq!(Product::signal(1).unwrap().to_string(), "product { signal = 1 }");
    }
}
