//! Elementwise activations. Relevance passes through them unchanged unless a recipe says otherwise.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// An elementwise function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `x` for `x ≥ 0`, `alpha·x` below.
    LeakyRelu {
        /// Slope on the negative side.
        alpha: f64,
    },
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `min(max(x, low), high)`.
    Clip {
        /// Lower limit, −∞ for none.
        low: f64,
        /// Upper limit, +∞ for none.
        high: f64,
    },
}

impl Function {
    /// `φ(x)`.
    pub fn value<T: Scalar>(self, x: T) -> T {
        match self {
            Function::Relu => crate::tensor::pos(x),
            Function::LeakyRelu { alpha } => {
                if x < T::zero() {
                    T::of(alpha) * x
                } else {
                    x
                }
            }
            Function::Sigmoid => (T::one() + (-x).exp()).recip(),
            Function::Tanh => x.tanh(),
            Function::Clip { low, high } => x.max(T::of(low)).min(T::of(high)),
        }
    }

    /// `φ′(x)`; at a kink the derivative that PyTorch takes.
    pub fn derivative<T: Scalar>(self, x: T) -> T {
        let step = |on: bool| if on { T::one() } else { T::zero() };
        match self {
            Function::Relu => step(x > T::zero()),
            Function::LeakyRelu { alpha } => {
                if x > T::zero() {
                    T::one()
                } else {
                    T::of(alpha)
                }
            }
            Function::Sigmoid => {
                let y = self.value(x);
                y * (T::one() - y)
            }
            Function::Tanh => {
                let y = x.tanh();
                T::one() - y * y
            }
            Function::Clip { low, high } => step(x >= T::of(low) && x <= T::of(high)),
        }
    }
}

/// A function applied to every element.
#[derive(Debug, Clone)]
pub struct Activation {
    function: Function,
    shape: [Vec<usize>; 1],
}

impl Activation {
    /// `function` on a tensor of this sample shape.
    ///
    /// # Errors
    /// When the shape is empty or too large, or the limits of a clip are out of order.
    pub fn new(function: Function, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        match function {
            Function::Clip { low, high } if low.is_nan() || high.is_nan() || low > high => {
                Err(OperatorError::new(format!("the limits of a clip are out of order: {low} to {high}")))
            }
            Function::LeakyRelu { alpha } if !alpha.is_finite() => {
                Err(OperatorError::new(format!("the slope of a leaky ReLU is {alpha}")))
            }
            _ => Ok(Self { function, shape: one(input) }),
        }
    }
}

impl<T: Scalar> Operator<T> for Activation {
    fn kind(&self) -> Kind {
        match self.function {
            Function::Relu => Kind::Relu,
            Function::LeakyRelu { .. } => Kind::LeakyRelu,
            Function::Sigmoid => Kind::Sigmoid,
            Function::Tanh => Kind::Tanh,
            Function::Clip { .. } => Kind::Clip,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| x.mapv(|v| self.function.value(v)))
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        io.inputs
            .iter()
            .map(|x| ndarray::Zip::from(*x).and(g).map_collect(|&x, &g| self.function.derivative(x) * g))
            .collect()
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        match self.function {
            Function::Relu | Function::Sigmoid => true,
            Function::Clip { low, .. } if low >= 0.0 => true,
            Function::Clip { high, .. } if high < 0.0 => false,
            _ => inputs.iter().all(|&i| i),
        }
    }

    fn detail(&self) -> String {
        match self.function {
            Function::LeakyRelu { alpha } => format!("slope {alpha}"),
            Function::Clip { low, high } => format!("{low} to {high}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_slopes() {
        let functions = [
            Function::Relu,
            Function::LeakyRelu { alpha: 0.1 },
            Function::Sigmoid,
            Function::Tanh,
            Function::Clip { low: -0.5, high: 2.0 },
        ];
        for f in functions {
            for x in [-3.0_f64, -0.7, -0.2, 0.3, 1.7, 2.5] {
                let h = 1e-6;
                let slope = (f.value(x + h) - f.value(x - h)) / (2.0 * h);
                assert!((slope - f.derivative(x)).abs() < 1e-8, "{f:?} at {x}");
            }
        }
    }

    #[test]
    fn leaky_relu_with_a_negative_slope_is_not_called_nonnegative_by_its_input_alone() {
        let leaky = Activation::new(Function::LeakyRelu { alpha: -0.1 }, &[1]).unwrap();
        assert!(Operator::<f64>::nonnegative(&leaky, &[true]));
        assert!(!Operator::<f64>::nonnegative(&leaky, &[false]));
    }

    #[test]
    fn limits_out_of_order_are_refused() {
        assert!(Activation::new(Function::Clip { low: 1.0, high: 0.0 }, &[1]).is_err());
    }
}
