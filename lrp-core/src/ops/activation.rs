//! Elementwise functions. Relevance passes through activations unchanged unless a recipe says otherwise (Achtibat et al. 2024, eq. 9); for
//! exponentials, logarithms and the like a recipe has to say.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::conv::Limits;
use crate::kernels::math;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, map, zip};

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
    /// `x·σ(x)`.
    Silu,
    /// `x·min(max(x/6 + 1/2, 0), 1)`.
    HardSwish,
    /// `min(max(αx + β, 0), 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f64,
        /// Value at zero.
        beta: f64,
    },
    /// `x·Φ(x)` with the normal distribution function Φ.
    Gelu {
        /// Whether Φ is approximated by a tanh.
        tanh: bool,
    },
    /// `x` for `x ≥ 0`, `alpha·(eˣ − 1)` below.
    Elu {
        /// Scale on the negative side.
        alpha: f64,
    },
    /// `ln(1 + eˣ)`.
    Softplus,
    /// The error function.
    Erf,
    /// `x^exponent`.
    Power {
        /// Any number; NaN comes out where a power of a negative number does not exist.
        exponent: f64,
    },
    /// `√x`.
    Sqrt,
    /// `eˣ`.
    Exp,
    /// `ln x`.
    Log,
    /// `|x|`.
    Abs,
    /// `sin x`.
    Sin,
    /// `cos x`.
    Cos,
    /// `tan x`.
    Tan,
    /// `arcsin x`.
    Asin,
    /// `arccos x`.
    Acos,
    /// `arctan x`.
    Atan,
    /// `sinh x`.
    Sinh,
    /// `cosh x`.
    Cosh,
    /// `arsinh x`.
    Asinh,
    /// `arcosh x`.
    Acosh,
    /// `artanh x`.
    Atanh,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x` for `x ≥ 0`, `alpha·(e^(x/alpha) − 1)` below.
    Celu {
        /// Scale on the negative side.
        alpha: f64,
    },
    /// `x` for `x > alpha`, zero below.
    ThresholdedRelu {
        /// The threshold.
        alpha: f64,
    },
    /// `x − bias` above `limit`, `x + bias` below `−limit`, zero between.
    Shrink {
        /// How much closer to zero.
        bias: f64,
        /// Where small begins.
        limit: f64,
    },
}

/// `x` for `x ≥ 0`, `αx` below.
fn leaky<T: Scalar>(x: T, alpha: T) -> T {
    if x < T::zero() { alpha * x } else { x }
}

/// `x` for `x ≥ 0`, `α(eˣ − 1)` below.
fn elu<T: Scalar>(x: T, alpha: T) -> T {
    let below = alpha * math::exp_m1_below_zero(x);
    if x < T::zero() { below } else { x }
}

/// `x·min(max(x/6 + 1/2, 0), 1)`.
fn hard_swish<T: Scalar>(x: T) -> T {
    x * hard_sigmoid(x, 1.0 / 6.0, 0.5)
}

/// `min(max(αx + β, 0), 1)`.
fn hard_sigmoid<T: Scalar>(x: T, alpha: f64, beta: f64) -> T {
    (T::of(alpha) * x + T::of(beta)).max(T::zero()).min(T::one())
}

impl Function {
    /// `φ(x)`.
    // Into loops over vectors, it would be copied for each lane.
    #[inline(never)]
    pub fn value<T: Scalar>(self, x: T) -> T {
        match self {
            Function::Relu => crate::tensor::pos(x),
            Function::LeakyRelu { alpha } => leaky(x, T::of(alpha)),
            Function::Sigmoid => math::sigmoid(x),
            Function::Tanh => math::tanh(x),
            Function::Clip { low, high } => Limits { low: T::of(low), high: T::of(high) }.clamp(x),
            Function::Silu => math::silu(x),
            Function::HardSwish => hard_swish(x),
            Function::HardSigmoid { alpha, beta } => hard_sigmoid(x, alpha, beta),
            Function::Gelu { tanh: false } => math::gelu(x),
            Function::Gelu { tanh: true } => math::gelu_tanh(x),
            Function::Elu { alpha } => elu(x, T::of(alpha)),
            Function::Softplus => math::softplus(x),
            Function::Erf => math::erf(x),
            Function::Power { exponent } => power(x, exponent),
            Function::Sqrt => x.sqrt(),
            Function::Exp => math::exp(x),
            Function::Log => x.ln(),
            Function::Abs => x.abs(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Tan => x.tan(),
            Function::Asin => x.asin(),
            Function::Acos => x.acos(),
            Function::Atan => x.atan(),
            Function::Sinh => x.sinh(),
            Function::Cosh => x.cosh(),
            Function::Asinh => x.asinh(),
            Function::Acosh => x.acosh(),
            Function::Atanh => x.atanh(),
            Function::Softsign => x / (T::one() + x.abs()),
            Function::Celu { alpha } if x < T::zero() => T::of(alpha) * (x / T::of(alpha)).exp_m1(),
            Function::Celu { .. } => x,
            Function::ThresholdedRelu { alpha } => step::<T>(x > T::of(alpha)) * x,
            Function::Shrink { bias, limit } => match x {
                _ if x > T::of(limit) => x - T::of(bias),
                _ if x < T::of(-limit) => x + T::of(bias),
                _ => T::zero(),
            },
        }
    }

    /// `φ′(x)`; at a kink the derivative that PyTorch takes.
    #[inline(never)]
    pub fn derivative<T: Scalar>(self, x: T) -> T {
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
                let y = math::tanh(x);
                T::one() - y * y
            }
            Function::Clip { low, high } => step(x >= T::of(low) && x <= T::of(high)),
            Function::Silu => {
                let y = math::sigmoid(x);
                y * (T::one() + x * (T::one() - y))
            }
            Function::HardSwish => {
                let gate = hard_sigmoid(x, 1.0 / 6.0, 0.5);
                let inside = x > T::of(-3.0) && x < T::of(3.0);
                gate + if inside { x / T::of(6.0) } else { T::zero() }
            }
            Function::HardSigmoid { alpha, beta } => {
                let line = T::of(alpha) * x + T::of(beta);
                step::<T>(line > T::zero() && line < T::one()) * T::of(alpha)
            }
            Function::Gelu { tanh: false } => math::normal_cdf(x) + x * math::normal_density(x),
            Function::Gelu { tanh: true } => math::gelu_tanh_derivative(x),
            Function::Elu { alpha } => {
                if x > T::zero() {
                    T::one()
                } else {
                    T::of(alpha) * math::exp(x)
                }
            }
            Function::Softplus => math::sigmoid(x),
            // 2/√π e^(−x²)
            Function::Erf => T::of(std::f64::consts::FRAC_2_SQRT_PI) * math::exp(-x * x),
            Function::Power { exponent: 0.0 } => T::zero(),
            Function::Power { exponent } => T::of(exponent) * power(x, exponent - 1.0),
            Function::Sqrt => T::of(0.5) / x.sqrt(),
            Function::Exp => math::exp(x),
            Function::Log => x.recip(),
            Function::Abs => step::<T>(x > T::zero()) - step::<T>(x < T::zero()),
            Function::Sin => x.cos(),
            Function::Cos => -x.sin(),
            Function::Tan => {
                let y = x.tan();
                T::one() + y * y
            }
            Function::Asin => (T::one() - x * x).sqrt().recip(),
            Function::Acos => -(T::one() - x * x).sqrt().recip(),
            Function::Atan => (T::one() + x * x).recip(),
            Function::Sinh => x.cosh(),
            Function::Cosh => x.sinh(),
            Function::Asinh => (x * x + T::one()).sqrt().recip(),
            Function::Acosh => (x * x - T::one()).sqrt().recip(),
            Function::Atanh => (T::one() - x * x).recip(),
            Function::Softsign => {
                let divisor = T::one() + x.abs();
                (divisor * divisor).recip()
            }
            Function::Celu { alpha } if x < T::zero() => (x / T::of(alpha)).exp(),
            Function::Celu { .. } => T::one(),
            Function::ThresholdedRelu { alpha } => step(x > T::of(alpha)),
            Function::Shrink { limit, .. } => step(x > T::of(limit) || x < T::of(-limit)),
        }
    }
}

/// `x^exponent`; whole exponents are multiplied out, as `x·x` is elsewhere.
fn power<T: Scalar>(x: T, exponent: f64) -> T {
    if exponent.fract() == 0.0 && exponent.abs() <= 16.0 { x.powi(exponent as i32) } else { x.powf(T::of(exponent)) }
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
            Function::LeakyRelu { alpha } | Function::Elu { alpha } if !alpha.is_finite() => {
                Err(OperatorError::new(format!("alpha is {alpha}, which is no slope")))
            }
            Function::HardSigmoid { alpha, beta } if !alpha.is_finite() || !beta.is_finite() => {
                Err(OperatorError::new(format!("a hard sigmoid with slope {alpha} and offset {beta}")))
            }
            Function::Celu { alpha } if !alpha.is_finite() || alpha == 0.0 => {
                Err(OperatorError::new(format!("alpha is {alpha}, which is no scale")))
            }
            Function::ThresholdedRelu { alpha } if alpha.is_nan() => {
                Err(OperatorError::new(format!("alpha is {alpha}, which is no threshold")))
            }
            Function::Shrink { bias, limit } if !bias.is_finite() || limit.is_nan() || limit < 0.0 => {
                Err(OperatorError::new(format!("shrinks by {bias} beyond {limit}")))
            }
            Function::Power { exponent } if !exponent.is_finite() => {
                Err(OperatorError::new(format!("a power of {exponent}")))
            }
            _ => Ok(Self { function, shape: one(input) }),
        }
    }
}

/// One where something holds, zero elsewhere.
#[inline(always)]
fn step<T: Scalar>(on: bool) -> T {
    if on { T::one() } else { T::zero() }
}

impl<T: Scalar> Operator<T> for Activation {
    fn kind(&self) -> Kind {
        match self.function {
            Function::Relu => Kind::Relu,
            Function::LeakyRelu { .. } => Kind::LeakyRelu,
            Function::Sigmoid => Kind::Sigmoid,
            Function::Tanh => Kind::Tanh,
            Function::Clip { .. } => Kind::Clip,
            Function::Silu => Kind::Silu,
            Function::HardSwish => Kind::HardSwish,
            Function::HardSigmoid { .. } => Kind::HardSigmoid,
            Function::Gelu { .. } => Kind::Gelu,
            Function::Elu { .. } => Kind::Elu,
            Function::Softplus => Kind::Softplus,
            Function::Erf => Kind::Erf,
            Function::Power { .. } => Kind::Power,
            Function::Sqrt => Kind::Sqrt,
            Function::Exp => Kind::Exp,
            Function::Log => Kind::Log,
            Function::Abs => Kind::Abs,
            Function::Sin => Kind::Sin,
            Function::Cos => Kind::Cos,
            Function::Tan => Kind::Tan,
            Function::Asin => Kind::Asin,
            Function::Acos => Kind::Acos,
            Function::Atan => Kind::Atan,
            Function::Sinh => Kind::Sinh,
            Function::Cosh => Kind::Cosh,
            Function::Asinh => Kind::Asinh,
            Function::Acosh => Kind::Acosh,
            Function::Atanh => Kind::Atanh,
            Function::Softsign => Kind::Softsign,
            Function::Celu { .. } => Kind::Celu,
            Function::ThresholdedRelu { .. } => Kind::ThresholdedRelu,
            Function::Shrink { .. } => Kind::Shrink,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        // The frequent ones apart: these are computed in vectors.
        match self.function {
            Function::Relu | Function::Clip { .. } => {
                self.limits().map_or_else(crate::tensor::empty, |limits| map(x, |v| limits.clamp(v)))
            }
            Function::LeakyRelu { alpha } => map(x, |v| leaky(v, T::of(alpha))),
            Function::HardSwish => map(x, hard_swish),
            Function::Sigmoid => map(x, math::sigmoid),
            Function::Tanh => map(x, math::tanh),
            Function::Silu => map(x, math::silu),
            Function::Gelu { tanh: false } => map(x, math::gelu),
            Function::Gelu { tanh: true } => map(x, math::gelu_tanh),
            Function::Elu { alpha } => map(x, |v| elu(v, T::of(alpha))),
            Function::Softplus => map(x, math::softplus),
            Function::Erf => map(x, math::erf),
            Function::Exp => map(x, math::exp),
            function => map(x, |v| function.value(v)),
        }
    }

    fn limits(&self) -> Option<Limits<T>> {
        match self.function {
            Function::Relu => Some(Limits { low: T::zero(), high: T::infinity() }),
            Function::Clip { low, high } => Some(Limits { low: T::of(low), high: T::of(high) }),
            _ => None,
        }
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let one = |x: &&Tensor<T>| match self.function {
            // Common, and simple enough to become vectors.
            Function::Relu => zip(x, g, |x, g| step::<T>(x > T::zero()) * g),
            Function::Clip { low, high } => {
                let (low, high) = (T::of(low), T::of(high));
                zip(x, g, |x, g| step::<T>((x >= low) & (x <= high)) * g)
            }
            function => zip(x, g, |x, g| function.derivative(x) * g),
        };
        io.inputs.iter().map(one).collect()
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        match self.function {
            Function::Relu
            | Function::Sigmoid
            | Function::HardSigmoid { .. }
            | Function::Softplus
            | Function::Exp
            | Function::Abs
            | Function::Cosh
            | Function::Acos
            | Function::Acosh
            | Function::Sqrt => true,
            Function::Log | Function::Sin | Function::Cos | Function::Tan => false,
            // Towards zero, and beyond it where the bias is larger than the limit.
            Function::Shrink { bias, limit } if bias > limit => false,
            Function::ThresholdedRelu { alpha } if alpha >= 0.0 => true,
            Function::Clip { low, .. } if low >= 0.0 => true,
            Function::Clip { high, .. } if high < 0.0 => false,
            _ => inputs.iter().all(|&i| i),
        }
    }

    fn exponent(&self) -> Option<f64> {
        match self.function {
            Function::Power { exponent } => Some(exponent),
            _ => None,
        }
    }

    fn detail(&self) -> String {
        match self.function {
            Function::LeakyRelu { alpha } => format!("slope {alpha}"),
            Function::Elu { alpha } | Function::Celu { alpha } => format!("alpha {alpha}"),
            Function::ThresholdedRelu { alpha } => format!("above {alpha}"),
            Function::Shrink { bias, limit } => format!("by {bias} beyond {limit}"),
            Function::HardSigmoid { alpha, beta } => format!("slope {alpha}, offset {beta}"),
            Function::Gelu { tanh: true } => "tanh approximation".into(),
            Function::Clip { low, high } => format!("{low} to {high}"),
            Function::Power { exponent } => format!("exponent {exponent}"),
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
            Function::Silu,
            Function::HardSwish,
            Function::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Function::Gelu { tanh: false },
            Function::Gelu { tanh: true },
            Function::Elu { alpha: 0.7 },
            Function::Softplus,
            Function::Erf,
            Function::Atan,
            Function::Sinh,
            Function::Cosh,
            Function::Asinh,
            Function::Softsign,
            Function::Celu { alpha: 0.7 },
            Function::ThresholdedRelu { alpha: 0.5 },
            Function::Shrink { bias: 0.4, limit: 0.5 },
        ];
        for f in functions {
            for x in [-3.3_f64, -0.7, -0.2, 0.3, 1.7, 2.6, 3.4] {
                let h = 1e-6;
                let slope = (f.value(x + h) - f.value(x - h)) / (2.0 * h);
                assert!((slope - f.derivative(x)).abs() < 1e-8, "{f:?} at {x}");
            }
        }
        let powers = [2.0, 3.0, -1.0, 0.5, 2.5, 0.0].map(|exponent| Function::Power { exponent });
        let others = [Function::Sqrt, Function::Exp, Function::Log, Function::Abs, Function::Sin, Function::Cos];
        for f in powers.into_iter().chain(others) {
            for x in [0.3_f64, 1.0, 1.7] {
                let h = 1e-6;
                let slope = (f.value(x + h) - f.value(x - h)) / (2.0 * h);
                assert!((slope - f.derivative(x)).abs() < 1e-7, "{f:?} at {x}");
            }
        }
        for f in [Function::Tan, Function::Asin, Function::Acos, Function::Atanh] {
            for x in [-0.6_f64, 0.1, 0.7] {
                let h = 1e-6;
                let slope = (f.value(x + h) - f.value(x - h)) / (2.0 * h);
                assert!((slope - f.derivative(x)).abs() < 1e-7, "{f:?} at {x}");
            }
        }
        let slope = (Function::Acosh.value(1.7 + 1e-6) - Function::Acosh.value(1.7 - 1e-6)) / 2e-6;
        assert!((slope - Function::Acosh.derivative(1.7_f64)).abs() < 1e-7);
        assert_eq!(Function::Power { exponent: 3.0 }.value(-2.0_f64), -8.0);
        assert_eq!(Function::Abs.derivative(-2.0_f64), -1.0);
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
