//! Runs [formulas](crate::formula) on affine operators: the one place where speed tricks for rules live.
//!
//! - Denominators: `z` is recorded, and one computed pass gives all others as differences. Cancelled outputs are recomputed.
//! - Weights: each map is made once for a layer and shared by its branches.
//! - Zeros: negative parts of inputs are skipped where there are none, and so are branches and outputs without relevance.
//! - Passes: both signs of an input, or both signs of outputs, need one pass if the operator can
//!   [pack](crate::operator::fused::Packing) two maps; by the sizes of contributions, they need one; quotient, bias and product with the input are [epilogues](crate::operator::fused::Epilogue).
//!
//! **The choice of the computation for a sample depends on that sample alone** (and on known properties of the layer, the same for all): so the
//! bits depend on neither the batch nor the threads. Where a whole batch decides, the choices differ by exact zeros only.

mod bias;
mod bounded;
mod branches;
mod by_sign;
mod by_size;
mod difference;
mod fixed;
mod maps;
mod proportional;
mod quotient;
mod signed;

use self::bounded::Bounded;
use self::branches::Branches;
use self::by_sign::BySign;
use self::by_size::BySize;
use self::fixed::Fixed;
use self::proportional::Proportional;
use crate::error::RuleError;
use crate::formula::{Branch, Contributions, Formula};
use crate::prepared::{Layer, PreparedRule};
use crate::scalar::Scalar;

/// Makes a formula ready for a layer: modified weights are made here, once.
///
/// # Errors
/// When the layer is not affine, the formula has no branch with a coefficient that is not 0 or a number that is not finite, or its bounds are not those of the layer's inputs.
pub fn prepare<T: Scalar>(formula: &Formula, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
    let op = layer.affine()?;
    let Formula { contributions, stabilizer, bias } = formula;
    let (stabilizer, bias) = (*stabilizer, *bias);
    let branches = match contributions {
        Contributions::Box(bounds) => return Ok(Box::new(Bounded::new(&op, bounds, stabilizer)?)),
        Contributions::Weights(weights) => return Ok(Box::new(Fixed::new(op.as_ref(), *weights, stabilizer, bias))),
        Contributions::Branches(branches) => branches,
    };
    let numbers = branches.iter().flat_map(|branch| [branch.coefficient, branch.positive, branch.negative]);
    // A branch without relevance plays no part.
    let active: Vec<Branch> = branches.iter().copied().filter(|branch| branch.coefficient != 0.0).collect();
    if active.is_empty() || !numbers.into_iter().all(f64::is_finite) {
        return Err(RuleError::new("a formula needs a branch with relevance, and finite coefficients and gains"));
    }
    if active == [Branch::all(1.0, 1.0)] {
        return Ok(Box::new(Proportional::new(op, stabilizer, bias, formula.needs())));
    }
    let nonnegative = [layer.nonnegative_inputs, layer.nonnegative_outputs];
    let modes = (stabilizer, bias, formula.needs());
    if let Some(by_size) = BySize::new(&op, &active, modes) {
        return Ok(Box::new(by_size));
    }
    if let Some(by_sign) = BySign::new(&op, &active, modes, nonnegative) {
        return Ok(Box::new(by_sign));
    }
    Ok(Box::new(Branches::new(op, &active, (stabilizer, bias), layer.nonnegative_inputs)))
}

#[cfg(test)]
mod tests;
