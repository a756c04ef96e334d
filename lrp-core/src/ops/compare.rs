//! Step functions of activations: comparisons, what is made of truth values, the sign, and rounding.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, map, sums, zip};

/// A step function of one or two activations. Truth values are 0 and 1; every number but 0 is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `a > b`.
    Greater,
    /// `a ≥ b`.
    GreaterOrEqual,
    /// `a < b`.
    Less,
    /// `a ≤ b`.
    LessOrEqual,
    /// `a = b`.
    Equal,
    /// Both are true.
    And,
    /// At least one is true.
    Or,
    /// One is true, the other is not.
    Xor,
    /// `a` is not true.
    Not,
    /// −1, 0 or 1: the sign of `a`.
    Sign,
    /// The next whole number below `a`.
    Floor,
    /// The next whole number above `a`.
    Ceil,
    /// The nearest whole number to `a`, and of two the even one.
    Round,
    /// The whole number next to `a` towards zero.
    Truncate,
}

impl Relation {
    /// The number of its inputs.
    pub fn inputs(self) -> usize {
        if self == Relation::Not || self.rounds() || self == Relation::Sign { 1 } else { 2 }
    }

    fn rounds(self) -> bool {
        matches!(self, Relation::Floor | Relation::Ceil | Relation::Round | Relation::Truncate)
    }

    fn name(self) -> &'static str {
        match self {
            Relation::Greater => ">",
            Relation::GreaterOrEqual => "≥",
            Relation::Less => "<",
            Relation::LessOrEqual => "≤",
            Relation::Equal => "=",
            Relation::And => "and",
            Relation::Or => "or",
            Relation::Xor => "xor",
            Relation::Not => "not",
            Relation::Sign => "sign",
            Relation::Floor => "down",
            Relation::Ceil => "up",
            Relation::Round => "to the nearest",
            Relation::Truncate => "towards zero",
        }
    }

    fn of_one<T: Scalar>(self, a: T) -> T {
        match self {
            Relation::Sign if a.is_zero() => T::zero(),
            Relation::Sign => a.signum(),
            Relation::Floor => a.floor(),
            Relation::Ceil => a.ceil(),
            Relation::Round => to_even(a),
            Relation::Truncate => a.trunc(),
            _ => truth(a.is_zero()),
        }
    }

    fn of_two<T: Scalar>(self, a: T, b: T) -> T {
        let (a_true, b_true) = (!a.is_zero(), !b.is_zero());
        truth(match self {
            Relation::Greater => a > b,
            Relation::GreaterOrEqual => a >= b,
            Relation::Less => a < b,
            Relation::LessOrEqual => a <= b,
            Relation::Equal => a == b,
            Relation::And => a_true && b_true,
            Relation::Or => a_true || b_true,
            // The others have one input.
            _ => a_true != b_true,
        })
    }
}

/// Half numbers go to the even neighbour, as ONNX rounds.
fn to_even<T: Scalar>(a: T) -> T {
    let (half, two) = (T::of(0.5), T::of(2.0));
    if (a - a.trunc()).abs() == half { (a / two).round() * two } else { a.round() }
}

fn truth<T: Scalar>(on: bool) -> T {
    if on { T::one() } else { T::zero() }
}

/// A step function, element by element. It is flat nearly everywhere: its inputs have no share in its value, and receive no relevance.
/// Relevance that it receives is recorded in the rule's account.
#[derive(Debug, Clone)]
pub struct Compare {
    relation: Relation,
    shapes: Vec<Vec<usize>>,
}

impl Compare {
    /// `relation` of inputs of this sample shape.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn new(relation: Relation, shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        Ok(Self { relation, shapes: vec![shape.to_vec(); relation.inputs()] })
    }
}

impl<T: Scalar> Operator<T> for Compare {
    fn kind(&self) -> Kind {
        match self.relation {
            Relation::Sign => Kind::Sign,
            rounds if rounds.rounds() => Kind::Round,
            _ => Kind::Compare,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let relation = self.relation;
        match xs {
            [a] => map(a, |a| relation.of_one(a)),
            [a, b] => zip(a, b, |a, b| relation.of_two(a, b)),
            _ => crate::tensor::empty(),
        }
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![Tensor::zeros(g.raw_dim()); self.shapes.len()]
    }

    fn fixed(&self) -> Fixed {
        Fixed::Own { name: "none", needs: Needs::NOTHING }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated { rule: sums(r), ..Propagated::lossless(self.vjp(io, r)) }
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        let is_truth = Operator::<T>::kind(self) == Kind::Compare;
        is_truth || inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        self.relation.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn numbers_are_rounded_as_onnx_rounds() {
        let x = array![[0.5, 1.5, -0.5, -2.5, 2.4, -2.6]].into_dyn();
        for (relation, expected) in [
            (Relation::Round, [0.0, 2.0, 0.0, -2.0, 2.0, -3.0]),
            (Relation::Floor, [0.0, 1.0, -1.0, -3.0, 2.0, -3.0]),
            (Relation::Ceil, [1.0, 2.0, 0.0, -2.0, 3.0, -2.0]),
            (Relation::Truncate, [0.0, 1.0, 0.0, -2.0, 2.0, -2.0]),
        ] {
            let op = Compare::new(relation, &[6]).unwrap();
            assert_eq!(op.forward(&[&x]).iter().copied().collect::<Vec<f64>>(), expected, "{relation:?}");
        }
    }

    #[test]
    fn by_hand() {
        let (a, b) = (array![[1.0, 0.0, -2.0]].into_dyn(), array![[0.5, 0.0, 3.0]].into_dyn());
        for (relation, expected) in [
            (Relation::Greater, [1.0, 0.0, 0.0]),
            (Relation::GreaterOrEqual, [1.0, 1.0, 0.0]),
            (Relation::Less, [0.0, 0.0, 1.0]),
            (Relation::LessOrEqual, [0.0, 1.0, 1.0]),
            (Relation::Equal, [0.0, 1.0, 0.0]),
            (Relation::And, [1.0, 0.0, 1.0]),
            (Relation::Or, [1.0, 0.0, 1.0]),
            (Relation::Xor, [0.0, 0.0, 0.0]),
            (Relation::Not, [0.0, 1.0, 0.0]),
            (Relation::Sign, [1.0, 0.0, -1.0]),
            (Relation::Floor, [1.0, 0.0, -2.0]),
        ] {
            let op = Compare::new(relation, &[3]).unwrap();
            let xs = &[&a, &b][..relation.inputs()];
            let y = op.forward(xs);
            assert_eq!(y.iter().copied().collect::<Vec<f64>>(), expected, "{relation:?}");
            let r = array![[1.0, 2.0, -5.0]].into_dyn();
            let out = op.propagate(Io { inputs: xs, output: &y }, &r);
            assert_eq!(out.relevance, vec![&r * 0.0; relation.inputs()]);
            assert_eq!(out.rule, [-2.0]);
        }
    }
}
