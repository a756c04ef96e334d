//! Functions of single elements, of one tensor or several that are broadcast.

use lrp_core::ops::Function;
use ndarray::ArrayD;

use super::select::shaped;
use super::{Evaluation, broadcast, joint_shape, overflow, select};
use crate::error::Problem;
use crate::tensor::{Array, Constant, DType};

type Ints = fn(i64, i64) -> Option<i64>;
type Floats = fn(f64, f64) -> f64;

impl Evaluation<'_> {
    /// Whether the operator rounds to integers.
    pub(super) fn rounds(&self) -> bool {
        match self.node.op_type.as_str() {
            "Ceil" | "Floor" | "Round" => true,
            "Cast" => {
                let code = self.node.int("to").and_then(|code| i32::try_from(code).ok());
                code.and_then(DType::from_code).is_some_and(|dtype| !dtype.is_float())
            }
            _ => false,
        }
    }

    pub(super) fn elementwise(&mut self) -> Result<Array, Problem> {
        let alpha = |default: f64| self.node.float("alpha").unwrap_or(default);
        let function = match self.node.op_type.as_str() {
            "Elu" => Function::Elu { alpha: alpha(1.0) },
            "Erf" => Function::Erf,
            "Gelu" => Function::Gelu { tanh: self.node.text("approximate").as_deref() == Some("tanh") },
            "HardSigmoid" => Function::HardSigmoid { alpha: alpha(0.2), beta: self.node.float("beta").unwrap_or(0.5) },
            "HardSwish" => Function::HardSwish,
            "LeakyRelu" => Function::LeakyRelu { alpha: alpha(0.01) },
            "Sigmoid" => Function::Sigmoid,
            "Softplus" => Function::Softplus,
            "Tanh" => Function::Tanh,
            _ => return self.arithmetic(),
        };
        Ok(Array::Float(self.array(0)?.into_floats().mapv(|v| function.value(v))))
    }

    fn arithmetic(&mut self) -> Result<Array, Problem> {
        const NO: Floats = |_, _| f64::NAN;
        match self.node.op_type.as_str() {
            "Abs" => self.unary(i64::checked_abs, f64::abs),
            "Acos" => self.unary(|_| None, f64::acos),
            "Asin" => self.unary(|_| None, f64::asin),
            "Atan" => self.unary(|_| None, f64::atan),
            "Ceil" => self.unary(Some, f64::ceil),
            "Cos" => self.unary(|_| None, f64::cos),
            "Cosh" => self.unary(|_| None, f64::cosh),
            "Exp" => self.unary(|_| None, f64::exp),
            "Floor" => self.unary(Some, f64::floor),
            "Log" => self.unary(|_| None, f64::ln),
            "Neg" => self.unary(i64::checked_neg, |a| -a),
            "Not" => self.unary(|a| Some(i64::from(a == 0)), |_| f64::NAN),
            "BitwiseNot" => self.unary(|a| Some(!a), |_| f64::NAN),
            "Reciprocal" => self.unary(|_| None, f64::recip),
            "Relu" => self.unary(|a| Some(a.max(0)), |a| a.max(0.0)),
            "Round" => self.unary(Some, f64::round_ties_even),
            "Sign" => self.unary(|a| Some(a.signum()), |a| if a == 0.0 { 0.0 } else { a.signum() }),
            "Sin" => self.unary(|_| None, f64::sin),
            "Sinh" => self.unary(|_| None, f64::sinh),
            "Softsign" => self.unary(|_| None, |a| a / (1.0 + a.abs())),
            "Sqrt" => self.unary(Some, f64::sqrt),
            "Tan" => self.unary(|_| None, f64::tan),
            "IsNaN" => self.test(f64::is_nan),
            "IsInf" => {
                let found = |name: &str| self.node.int(name).unwrap_or(1) != 0;
                match (found("detect_negative"), found("detect_positive")) {
                    (true, true) => self.test(f64::is_infinite),
                    (true, false) => self.test(|a| a == f64::NEG_INFINITY),
                    (false, true) => self.test(|a| a == f64::INFINITY),
                    (false, false) => self.test(|_| false),
                }
            }
            "Add" | "Sum" => self.folded(i64::checked_add, |a, b| a + b),
            "Mean" => {
                let count = self.inputs.len() as f64;
                let sum = self.folded(i64::checked_add, |a, b| a + b)?;
                Ok(Array::Float(sum.into_floats() / count))
            }
            "Min" => self.folded(|a, b| Some(a.min(b)), f64::min),
            "Max" => self.folded(|a, b| Some(a.max(b)), f64::max),
            "Sub" => self.binary(i64::checked_sub, |a, b| a - b),
            "Mul" => self.binary(i64::checked_mul, |a, b| a * b),
            "Div" => self.binary(i64::checked_div, |a, b| a / b),
            "Mod" if self.node.int("fmod").unwrap_or(0) != 0 => self.binary(i64::checked_rem, |a, b| a % b),
            "Mod" => self.binary(modulo, |a, b| a - b * (a / b).floor()),
            "Pow" => self.power(),
            "PRelu" => self.binary(
                |a, b| if a < 0 { a.checked_mul(b) } else { Some(a) },
                |a, b| {
                    if a < 0.0 { a * b } else { a }
                },
            ),
            "Equal" => self.compare(|a, b| a == b, |a, b| a == b),
            "Less" => self.compare(|a, b| a < b, |a, b| a < b),
            "LessOrEqual" => self.compare(|a, b| a <= b, |a, b| a <= b),
            "Greater" => self.compare(|a, b| a > b, |a, b| a > b),
            "GreaterOrEqual" => self.compare(|a, b| a >= b, |a, b| a >= b),
            "And" => self.binary(|a, b| Some(i64::from(a != 0 && b != 0)), NO),
            "Or" => self.binary(|a, b| Some(i64::from(a != 0 || b != 0)), NO),
            "Xor" => self.binary(|a, b| Some(i64::from((a != 0) != (b != 0))), NO),
            "BitwiseAnd" => self.binary(|a, b| Some(a & b), NO),
            "BitwiseOr" => self.binary(|a, b| Some(a | b), NO),
            "BitwiseXor" => self.binary(|a, b| Some(a ^ b), NO),
            "BitShift" => match self.node.text("direction").as_deref() {
                Some("LEFT") => self.binary(|a, b| u32::try_from(b).ok().and_then(|b| a.checked_shl(b)), NO),
                Some("RIGHT") => self.binary(|a, b| u32::try_from(b).ok().and_then(|b| a.checked_shr(b)), NO),
                _ => Err(Problem::invalid("it does not say in which direction it shifts")),
            },
            _ => Err(Problem::unsupported("all its inputs are constants, and it is not computed on those")),
        }
    }

    /// To the type that the attribute names, or to that of the second input.
    pub(super) fn cast(&mut self) -> Result<Constant, Problem> {
        let dtype = if self.node.op_type == "CastLike" {
            let like = self.input(1)?;
            like.dtype().unwrap_or(if like.is_float() { DType::F32 } else { DType::I64 })
        } else {
            let code = self.node.int("to").unwrap_or(0);
            let dtype = i32::try_from(code).ok().and_then(DType::from_code);
            dtype.ok_or_else(|| Problem::unsupported(format!("casts to type {code}")))?
        };
        let result = match (self.array(0)?, dtype) {
            (Array::Float(a), DType::Bool) => Array::Int(a.mapv(|v| i64::from(v != 0.0))),
            (Array::Int(a), DType::Bool) => Array::Int(a.mapv(|v| i64::from(v != 0))),
            (Array::Float(a), d) if d.is_float() => Array::Float(a),
            // `as` saturates and takes NaN to 0.
            (Array::Float(a), _) => Array::Int(a.mapv(|v| v as i64)),
            (Array::Int(a), d) if d.is_float() => Array::Float(a.mapv(|v| v as f64)),
            (Array::Int(a), _) => Array::Int(a),
        };
        Ok(Constant::from(result).of_type(dtype))
    }

    /// Limits, as inputs or as attributes.
    pub(super) fn clip(&mut self) -> Result<Array, Problem> {
        let mut limit = |index: usize, name: &str| -> Result<Option<f64>, Problem> {
            match self.has(index) {
                true => Ok(self.array(index)?.into_floats().iter().next().copied()),
                false => Ok(self.node.float(name)),
            }
        };
        let (low, high) = (limit(1, "min")?, limit(2, "max")?);
        let clip = |v: f64| {
            let v = low.map_or(v, |low| v.max(low));
            high.map_or(v, |high| v.min(high))
        };
        Ok(match self.array(0)? {
            Array::Float(a) => Array::Float(a.mapv(clip)),
            Array::Int(a) => Array::Int(a.mapv(|v| clip(v as f64) as i64)),
        })
    }

    pub(super) fn choose(&mut self) -> Result<Array, Problem> {
        let (condition, yes, no) = (self.array(0)?, self.array(1)?, self.array(2)?);
        let shape = joint_shape(&joint_shape(condition.shape(), yes.shape())?, no.shape())?;
        self.budget.charge(&shape)?;
        let condition = broadcast(&condition.into_floats(), &shape)?;
        Ok(super::both!(yes, no, |yes, no| select(&condition, &broadcast(&yes, &shape)?, &broadcast(&no, &shape)?)))
    }

    /// A power has the type of its base.
    fn power(&mut self) -> Result<Array, Problem> {
        let (base, exponent) = (self.array(0)?, self.array(1)?);
        let shape = joint_shape(base.shape(), exponent.shape())?;
        self.budget.charge(&shape)?;
        Ok(match (base, exponent) {
            (Array::Int(a), Array::Int(b)) => {
                let whole = |a: i64, b: i64| match u32::try_from(b) {
                    Ok(b) => a.checked_pow(b),
                    Err(_) => Some((a as f64).powf(b as f64) as i64),
                };
                Array::Int(checked(&broadcast(&a, &shape)?, &broadcast(&b, &shape)?, whole)?)
            }
            (base, exponent) => {
                let was_int = matches!(base, Array::Int(_));
                let (a, b) = (broadcast(&base.into_floats(), &shape)?, broadcast(&exponent.into_floats(), &shape)?);
                let power = ndarray::Zip::from(&a).and(&b).map_collect(|&a, &b| a.powf(b));
                if was_int { Array::Int(power.mapv(|v| v as i64)) } else { Array::Float(power) }
            }
        })
    }

    fn unary(&mut self, ints: fn(i64) -> Option<i64>, floats: fn(f64) -> f64) -> Result<Array, Problem> {
        Ok(match self.array(0)? {
            Array::Float(a) => Array::Float(a.mapv(floats)),
            Array::Int(a) => {
                let values: Vec<i64> = a.iter().map(|&v| ints(v).ok_or_else(overflow)).collect::<Result<_, _>>()?;
                Array::Int(shaped(a.shape(), values)?)
            }
        })
    }

    fn test(&mut self, holds: fn(f64) -> bool) -> Result<Array, Problem> {
        Ok(Array::Int(self.array(0)?.into_floats().mapv(|v| i64::from(holds(v)))))
    }

    fn binary(&mut self, ints: Ints, floats: Floats) -> Result<Array, Problem> {
        if self.inputs.len() != 2 {
            return Err(Problem::invalid(format!("it has {} inputs in place of two", self.inputs.len())));
        }
        self.folded(ints, floats)
    }

    /// Of any number of inputs, from the first on.
    fn folded(&mut self, ints: Ints, floats: Floats) -> Result<Array, Problem> {
        let mut result = self.array(0)?;
        for index in 1..self.inputs.len() {
            let other = self.array(index)?;
            let shape = joint_shape(result.shape(), other.shape())?;
            self.budget.charge(&shape)?;
            result = match (result, other) {
                (Array::Int(a), Array::Int(b)) => {
                    Array::Int(checked(&broadcast(&a, &shape)?, &broadcast(&b, &shape)?, ints)?)
                }
                (a, b) => {
                    let (a, b) = (broadcast(&a.into_floats(), &shape)?, broadcast(&b.into_floats(), &shape)?);
                    Array::Float(ndarray::Zip::from(&a).and(&b).map_collect(|&a, &b| floats(a, b)))
                }
            };
        }
        Ok(result)
    }

    fn compare(&mut self, ints: fn(i64, i64) -> bool, floats: fn(f64, f64) -> bool) -> Result<Array, Problem> {
        let (a, b) = (self.array(0)?, self.array(1)?);
        let shape = joint_shape(a.shape(), b.shape())?;
        self.budget.charge(&shape)?;
        Ok(Array::Int(match (a, b) {
            (Array::Int(a), Array::Int(b)) => ndarray::Zip::from(&broadcast(&a, &shape)?)
                .and(&broadcast(&b, &shape)?)
                .map_collect(|&a, &b| i64::from(ints(a, b))),
            (a, b) => ndarray::Zip::from(&broadcast(&a.into_floats(), &shape)?)
                .and(&broadcast(&b.into_floats(), &shape)?)
                .map_collect(|&a, &b| i64::from(floats(a, b))),
        }))
    }
}

/// A function that may overflow, of two tensors of one shape.
fn checked(
    a: &ArrayD<i64>,
    b: &ArrayD<i64>,
    function: impl Fn(i64, i64) -> Option<i64>,
) -> Result<ArrayD<i64>, Problem> {
    let values = a.iter().zip(b).map(|(&a, &b)| function(a, b).ok_or_else(overflow));
    shaped(a.shape(), values.collect::<Result<_, _>>()?)
}

/// The remainder that has the sign of the divisor.
fn modulo(a: i64, b: i64) -> Option<i64> {
    let rest = a.checked_rem(b)?;
    Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
}
