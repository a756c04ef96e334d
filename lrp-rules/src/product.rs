//! Products of two activations: the signal receives the relevance, the gate none.

use std::fmt;

use lrp_core::behaviour::Division;
use lrp_core::{Behaviour, Rule, Scalar};

use crate::parameter::{ParameterError, write_rule};

/// The division of relevance between the factors of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Factors {
    /// All to the gated signal, nothing to the gate (Arras et al. 2017).
    #[default]
    Gate,
    /// Half to each (Achtibat et al. 2024).
    Uniform,
}

/// The rule for products of two activations: squeeze-and-excitation gates, for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Product {
    division: Division,
}

impl Product {
    /// The rule with this division.
    pub fn new(factors: Factors) -> Self {
        Self {
            division: match factors {
                Factors::Gate => Division::KnownGate,
                Factors::Uniform => Division::Uniform,
            },
        }
    }

    /// The rule for products of which this input (0 or 1) is the gate: the other one receives all relevance, whatever the graph says.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn gate(input: usize) -> Result<Self, ParameterError> {
        Ok(Self { division: Division::Gate(factor("gate", input)?) })
    }

    /// The rule for products of which this input (0 or 1) is the signal: it receives all relevance, whatever the graph says.
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
        let (parameter, value) = match self.division {
            Division::KnownGate => ("factors", "\"gate\"".to_owned()),
            Division::Uniform => ("factors", "\"uniform\"".to_owned()),
            Division::Gate(input) => ("gate", input.to_string()),
            Division::Signal(input) => ("signal", input.to_string()),
        };
        write_rule(f, "product", [(parameter, value)])
    }
}

impl<T: Scalar> Rule<T> for Product {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Product(self.division)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use lrp_core::operator::{Io, Operator};
    use lrp_core::ops::Mul;
    use lrp_core::rule::Layer;
    use ndarray::array;

    fn shares(rule: Product, gate: Option<usize>) -> Result<Vec<f64>, String> {
        let op: Arc<dyn Operator<f64>> = Arc::new(Mul::new(gate, &[1]).unwrap().because("a reason"));
        let layer =
            Layer { name: "product", op: &op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
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
