//! The z^B rule with bounds for every element, for a layer that the model's input reaches through other operators.

use std::fmt;

use lrp_core::formula::{BiasMode, Bounds, Contributions, Stabilizer};
use lrp_core::parameter::{nonnegative, print};
use lrp_core::text::number;
use lrp_core::{Behaviour, Formula, ParameterError, Rule, Scalar, Tensor};

/// [`ZBox`](lrp_rules::ZBox) where operators before the layer changed the bounds of the model's input. Recipes do not name it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ElementBox {
    /// Low and high, `[1, …]`, for every input of the operator.
    pub bounds: Vec<[Tensor<f64>; 2]>,
    /// Added to denominators, with their sign.
    pub stabilizer: f64,
}

impl fmt::Display for ElementBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = Bounds::Elements(self.bounds.clone()).printed();
        let parameters = [("low", low), ("high", high), ("stabilizer", number(self.stabilizer))];
        f.pad(&print("z-box", &parameters.map(|(name, value)| (name.to_owned(), value))))
    }
}

impl<T: Scalar> Rule<T> for ElementBox {
    fn behaviour(&self) -> Behaviour {
        let contributions = Contributions::Box(Bounds::Elements(self.bounds.clone()));
        let stabilizer = Stabilizer::Absolute(self.stabilizer);
        Behaviour::Formula(Formula { contributions, stabilizer, bias: BiasMode::Ignore })
    }

    fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)?;
        for [low, high] in &self.bounds {
            if low.shape() != high.shape() || low.iter().chain(high).any(|bound| !bound.is_finite()) {
                return Err(ParameterError::new("low", "low and high must be finite, with a number for each element"));
            }
        }
        match Bounds::Elements(self.bounds.clone()).out_of_order() {
            Some((l, h)) => Err(ParameterError::new("low", format!("low must not be above high, got {l} and {h}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_by_element_are_checked_and_printed() {
        let tensor = |values: [f64; 4]| Tensor::from_shape_vec(vec![1, 2, 2], values.to_vec()).unwrap();
        let by_element = |low, high| ElementBox { bounds: vec![[tensor(low), tensor(high)]], stabilizer: 0.0 };
        let rule = by_element([-1.0, -1.0, -0.5, -0.5], [2.0; 4]);
        assert_eq!(rule.to_string(), "z-box { low = [-1.0, -0.5], high = 2.0, stabilizer = 0.0 }");
        let padded = by_element([-1.0, 1.0, -0.5, -0.5], [2.0; 4]);
        assert_eq!(padded.to_string(), "z-box { low = \"-1.0 to 1.0, by element\", high = 2.0, stabilizer = 0.0 }");
        assert!(Rule::<f64>::check(&by_element([0.0; 4], [0.0, 0.0, 0.0, -1.0])).is_err());
        assert!(Rule::<f64>::check(&by_element([0.0; 4], [0.0, 0.0, 0.0, f64::INFINITY])).is_err());
    }
}
