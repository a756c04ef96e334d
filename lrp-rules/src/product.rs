//! Products of two activations: the signal receives the relevance, the gate none.

use lrp_core::behaviour::Division;
use lrp_core::formula::STABILIZER;
use lrp_core::parameter::{fields, nonnegative, optional_number};
use lrp_core::{Behaviour, ParameterError, Rule, Scalar};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::factors::Factors;

/// The rule for products of two activations: squeeze-and-excitation gates, for example. `F` names one of the two inputs: by its number, 0 or 1, or as recipes do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "For products of two activations, such as squeeze-and-excitation gates.", extend("x-source" = "gate: Arras et al. 2017; uniform: Achtibat et al. 2024"))]
pub struct Product<F = usize> {
    /// Division of relevance between the factors.
    #[schemars(example = Factors::Uniform)]
    pub factors: Factors,
    /// The input that is the gate, where the graph does not tell or is wrong: 0 or 1, or a glob over the names of the nodes
    /// that make it.
    #[schemars(extend("x-default" = "from the graph"), example = 1)]
    pub gate: Option<F>,
    /// The input that is the signal, which receives all relevance; written as `gate`.
    #[schemars(extend("x-default" = "from the graph"), example = 0, example = "*/conv_a/*")]
    pub signal: Option<F>,
    /// Added to the outputs of a matrix product, with their sign. Elementwise products need none.
    #[serde(deserialize_with = "optional_number")]
    #[schemars(extend("minimum" = 0, "x-default" = "from the operator: 1e-6"), example = 1e-9)]
    pub stabilizer: Option<f64>,
}

impl<F> Default for Product<F> {
    fn default() -> Self {
        Self { factors: Factors::Gate, gate: None, signal: None, stabilizer: None }
    }
}

impl Product {
    /// The rule with this division.
    pub fn new(factors: Factors) -> Self {
        Self { factors, ..Self::default() }
    }

    /// The rule for products of which this input (0 or 1) is the gate: the other one receives all relevance, whatever the graph says.
    pub fn gate(input: usize) -> Self {
        Self { gate: Some(input), ..Self::default() }
    }

    /// The rule for products of which this input (0 or 1) is the signal: it receives all relevance, whatever the graph says.
    pub fn signal(input: usize) -> Self {
        Self { signal: Some(input), ..Self::default() }
    }
}

fn parameters<F: Serialize>(product: &Product<F>) -> Vec<(String, String)> {
    let given = fields(product);
    if given.is_empty() { vec![("factors".to_owned(), "\"gate\"".to_owned())] } else { given }
}

printed!("product", Product<F>, parameters, F);

impl<T: Scalar> Rule<T> for Product {
    fn behaviour(&self) -> Behaviour {
        let division = match (self.gate, self.signal, self.factors) {
            (Some(input), ..) => Division::Gate(input),
            (None, Some(input), _) => Division::Signal(input),
            (None, None, Factors::Gate) => Division::KnownGate,
            (None, None, Factors::Uniform) => Division::Uniform,
        };
        Behaviour::Product { division, stabilizer: self.stabilizer.unwrap_or(STABILIZER) }
    }

    fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer.unwrap_or_default())?;
        let error = |parameter, message: &str| Err(ParameterError::new(parameter, message));
        match (self.gate, self.signal, self.factors) {
            (Some(_), Some(_), _) => error("signal", "gate and signal each say all: give one of them"),
            (Some(_), ..) | (_, Some(_), _) if self.factors == Factors::Uniform => {
                error("factors", "uniform gives half to each input, whichever is the gate or the signal")
            }
            (Some(input @ 2..), ..) => error("gate", &format!("a product has the inputs 0 and 1, got {input}")),
            (_, Some(input @ 2..), _) => error("signal", &format!("a product has the inputs 0 and 1, got {input}")),
            _ => Ok(()),
        }
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
        let check = |rule: Product| Rule::<f64>::check(&rule);
        let uniform = Product::new(Factors::Uniform);
        let printed = |rule: Product| rule.to_string();
        for gate in [None, Some(0), Some(1)] {
            assert_eq!(shares(Product::signal(0), gate).unwrap(), [1.0, 0.0]);
            assert_eq!(shares(Product::signal(1), gate).unwrap(), [0.0, 1.0]);
            assert_eq!(shares(Product::gate(0), gate).unwrap(), [0.0, 1.0]);
            assert_eq!(shares(Product::gate(1), gate).unwrap(), [1.0, 0.0]);
            assert_eq!(shares(uniform, gate).unwrap(), [0.5, 0.5]);
        }
        assert_eq!(check(Product::signal(2)).unwrap_err().parameter, "signal");
        assert_eq!(check(Product { factors: Factors::Uniform, ..Product::gate(1) }).unwrap_err().parameter, "factors");
        assert_eq!(check(Product { gate: Some(0), ..Product::signal(1) }).unwrap_err().parameter, "signal");
        assert_eq!(printed(Product::default()), "product { factors = \"gate\" }");
        assert_eq!(printed(uniform), "product { factors = \"uniform\" }");
        assert_eq!(shares(Product::default(), Some(0)).unwrap(), [0.0, 1.0]);
        let text = shares(Product::default(), None).unwrap_err();
        assert!(text.contains("uniform: a reason") && text.contains("signal = 0"), "{text}");
        assert_eq!(check(Product::gate(2)).unwrap_err().to_string(), "a product has the inputs 0 and 1, got 2");
        assert_eq!(Product::signal(1).to_string(), "product { signal = 1 }");
    }
}
