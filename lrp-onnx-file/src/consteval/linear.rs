//! Products of matrices, and sums of products by a formula.

use std::collections::BTreeMap;

use ndarray::{ArrayD, ArrayView, Axis, Dimension, Ix2, IxDyn};

use super::select::shaped;
use super::{Evaluation, joint_shape, overflow};
use crate::error::Problem;
use crate::tensor::{Array, volume};

impl Evaluation<'_> {
    pub(super) fn mat_mul(&mut self) -> Result<Array, Problem> {
        let (a, b) = (self.array(0)?, self.array(1)?);
        self.product(a, b)
    }

    /// A product of stacks of matrices; a vector is a row on the left, a column on the right.
    fn product(&mut self, a: Array, b: Array) -> Result<Array, Problem> {
        let (a_shape, b_shape) = (a.shape().to_vec(), b.shape().to_vec());
        let wrong = || Problem::invalid(format!("{a_shape:?} times {b_shape:?} is no product of matrices"));
        let (row, column) = (a_shape.len() == 1, b_shape.len() == 1);
        let wide = |s: &[usize], at: usize| {
            let mut s = s.to_vec();
            if s.len() == 1 {
                s.insert(at, 1);
            }
            s
        };
        let (a_wide, b_wide) = (wide(&a_shape, 0), wide(&b_shape, 1));
        let ([a_stack @ .., m, k], [b_stack @ .., l, n]) = (a_wide.as_slice(), b_wide.as_slice()) else {
            return Err(wrong());
        };
        if k != l {
            return Err(wrong());
        }
        let stack = joint_shape(a_stack, b_stack)?;
        let full: Vec<usize> = stack.iter().copied().chain([*m, *n]).collect();
        self.budget.charge(&full)?;
        self.budget.charge_products(&[full.as_slice(), &[*k]].concat())?;
        let size = (*m, *k, *n);
        let result = match (a, b) {
            (Array::Int(a), Array::Int(b)) => {
                let product = stacked(&a, &a_wide, &b, &b_wide, &stack, |a, b| integers(a, b, size))?;
                Array::Int(shaped(&full, product)?)
            }
            (a, b) => {
                let (a, b) = (a.into_floats(), b.into_floats());
                let product = stacked(&a, &a_wide, &b, &b_wide, &stack, |a, b| Ok(a.dot(b).iter().copied().collect()))?;
                Array::Float(shaped(&full, product)?)
            }
        };
        // The axes of vectors go.
        Ok(super::each!(result, a => {
            let rank = a.ndim();
            let a = if column { a.index_axis_move(Axis(rank - 1), 0) } else { a };
            if row { a.index_axis_move(Axis(rank - 2), 0) } else { a }
        }))
    }

    /// `alpha · A B + beta · C`.
    pub(super) fn gemm(&mut self) -> Result<Array, Problem> {
        let factor = |a: Array, transposed: bool| match a.into_floats() {
            a if a.ndim() != 2 => Err(Problem::invalid("one of its factors is no matrix")),
            a if transposed => Ok(a.reversed_axes()),
            a => Ok(a),
        };
        let flag = |name: &str| self.node.int(name).unwrap_or(0) != 0;
        let number = |name: &str| self.node.float(name).unwrap_or(1.0);
        let ([turn_a, turn_b], [alpha, beta]) = (["transA", "transB"].map(flag), ["alpha", "beta"].map(number));
        let (a, b) = (factor(self.array(0)?, turn_a)?, factor(self.array(1)?, turn_b)?);
        let product = self.product(Array::Float(a), Array::Float(b))?.into_floats() * alpha;
        if !self.has(2) {
            return Ok(Array::Float(product));
        }
        let c = self.array(2)?.into_floats();
        if joint_shape(product.shape(), c.shape())? != product.shape() {
            return Err(Problem::invalid("what it adds does not fit its product"));
        }
        Ok(Array::Float(product + c * beta))
    }

    /// A sum of products over the letters of a formula that its result does not have.
    pub(super) fn einsum(&mut self) -> Result<Array, Problem> {
        let formula = self.node.text("equation").unwrap_or_default().replace(' ', "");
        let unreadable = || Problem::unsupported(format!("by the formula '{}'", crate::error::shown(&formula)));
        let (inputs, output) = match formula.split_once("->") {
            Some((inputs, output)) => (inputs, output.to_owned()),
            // The letters that occur once, in alphabetical order.
            None => {
                let mut counts: BTreeMap<char, usize> = BTreeMap::new();
                formula.chars().filter(|c| c.is_alphabetic()).for_each(|c| *counts.entry(c).or_default() += 1);
                (formula.as_str(), counts.into_iter().filter(|(_, n)| *n == 1).map(|(c, _)| c).collect())
            }
        };
        let terms: Vec<&str> = inputs.split(',').collect();
        if terms.len() != self.inputs.len()
            || !terms.iter().chain([&output.as_str()]).all(|t| t.chars().all(char::is_alphabetic))
        {
            return Err(unreadable());
        }
        let mut letters: Vec<Letter> = Vec::new();
        let mut operands = Vec::new();
        for (i, term) in terms.iter().enumerate() {
            let x = self.array(i)?.into_floats();
            if x.ndim() != term.chars().count() {
                return Err(Problem::invalid(format!("'{term}' does not fit {:?}", x.shape())));
            }
            let mut stride = 1;
            for (name, &length) in term.chars().rev().zip(x.shape().iter().rev()) {
                if !letters.iter().any(|l| l.name == name) {
                    letters.push(Letter { name, length, strides: vec![0; terms.len() + 1] });
                }
                let letter = letters.iter_mut().find(|l| l.name == name).ok_or_else(unreadable)?;
                if letter.length != length {
                    return Err(Problem::invalid(format!("'{name}' has the lengths {} and {length}", letter.length)));
                }
                if let Some(slot) = letter.strides.get_mut(i) {
                    *slot += stride;
                }
                stride *= length;
            }
            operands.push(x.iter().copied().collect::<Vec<f64>>());
        }
        let mut shape = Vec::new();
        let mut stride = 1usize;
        for name in output.chars().rev() {
            let letter = letters.iter_mut().find(|l| l.name == name).ok_or_else(unreadable)?;
            match letter.strides.last_mut() {
                Some(slot @ 0) => *slot = stride,
                _ => return Err(unreadable()),
            }
            shape.insert(0, letter.length);
            stride = stride.checked_mul(letter.length).filter(|n| *n > 0).ok_or_else(unreadable)?;
        }
        self.budget.charge(&shape)?;
        let lengths: Vec<usize> = letters.iter().map(|l| l.length).collect();
        self.budget.charge_products(&lengths)?;
        let mut result = vec![0.0; stride];
        let mut places = vec![0usize; letters.len()];
        for _ in 0..volume(&lengths).unwrap_or(0) {
            let at = |operand: usize| {
                let stride = |l: &Letter| l.strides.get(operand).copied().unwrap_or(0);
                letters.iter().zip(&places).map(|(l, place)| stride(l) * place).sum::<usize>()
            };
            let factors = operands.iter().enumerate().map(|(i, values)| values.get(at(i)).copied().unwrap_or(0.0));
            let product: f64 = factors.product();
            if let Some(slot) = result.get_mut(at(operands.len())) {
                *slot += product;
            }
            // The next combination, counted as numbers are.
            for (place, length) in places.iter_mut().zip(&lengths) {
                *place += 1;
                if *place < *length {
                    break;
                }
                *place = 0;
            }
        }
        shaped(&shape, result).map(Array::Float)
    }
}

/// An index of a sum of products.
struct Letter {
    name: char,
    length: usize,
    /// In each input, and last in the result.
    strides: Vec<usize>,
}

/// The matrix products of two stacks that are broadcast to one, behind each other.
fn stacked<A: Copy, F>(
    a: &ArrayD<A>,
    a_wide: &[usize],
    b: &ArrayD<A>,
    b_wide: &[usize],
    stack: &[usize],
    product: F,
) -> Result<Vec<A>, Problem>
where
    F: Fn(&ArrayView<'_, A, Ix2>, &ArrayView<'_, A, Ix2>) -> Result<Vec<A>, Problem>,
{
    let wrong = || Problem::invalid("its factors cannot be broadcast");
    let (a, b) = (a.to_shape(a_wide).map_err(|_| wrong())?, b.to_shape(b_wide).map_err(|_| wrong())?);
    let wide = |own: &[usize]| -> Vec<usize> {
        stack.iter().chain(own.get(own.len().saturating_sub(2)..).unwrap_or_default()).copied().collect()
    };
    let a = a.broadcast(IxDyn(&wide(a_wide))).ok_or_else(wrong)?;
    let b = b.broadcast(IxDyn(&wide(b_wide))).ok_or_else(wrong)?;
    let mut result = Vec::new();
    for at in ndarray::indices(IxDyn(stack)) {
        let (mut a, mut b) = (a.view(), b.view());
        for &i in at.slice() {
            (a, b) = (a.index_axis_move(Axis(0), i), b.index_axis_move(Axis(0), i));
        }
        let matrix = |_| wrong();
        let (a, b) = (a.into_dimensionality::<Ix2>().map_err(matrix)?, b.into_dimensionality::<Ix2>().map_err(matrix)?);
        result.extend(product(&a, &b)?);
    }
    Ok(result)
}

/// A product of matrices of integers.
fn integers(
    a: &ArrayView<'_, i64, Ix2>,
    b: &ArrayView<'_, i64, Ix2>,
    (m, _, n): (usize, usize, usize),
) -> Result<Vec<i64>, Problem> {
    let mut result = Vec::with_capacity(m * n);
    for row in a.rows() {
        for column in b.columns() {
            let sum = row.iter().zip(&column).try_fold(0i64, |sum, (a, b)| sum.checked_add(a.checked_mul(*b)?));
            result.push(sum.ok_or_else(overflow)?);
        }
    }
    Ok(result)
}
