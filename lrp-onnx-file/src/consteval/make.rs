//! Tensors that are made: of a shape, a range, a list of indices.

use ndarray::{Array2, ArrayD, Dimension, IxDyn};

use super::shapes::{length, lengths};
use super::{Evaluation, each, flattened, reshaped, squeezed, unsqueezed};
use crate::error::Problem;
use crate::tensor::{Array, Constant, DType};

impl Evaluation<'_> {
    pub(super) fn constant(&self) -> Result<Constant, Problem> {
        let node = self.node;
        if let Some(tensor) = node.attribute("value").and_then(|a| a.t.as_ref()) {
            return Constant::from_proto(tensor, &mut crate::file::External::default())
                .map_err(|e| Problem::invalid(format!("its value {e}")));
        }
        if let Some(values) = node.ints("value_ints") {
            return Ok(Constant::ints_1d(values));
        }
        if let Some(values) = node.attribute("value_floats") {
            let values: Vec<f64> = values.floats.iter().map(|&v| v.into()).collect();
            return Ok(Array::Float(ArrayD::from(ndarray::Array1::from(values).into_dyn())).into());
        }
        match (node.int("value_int"), node.float("value_float")) {
            (Some(value), _) => Ok(Array::Int(ndarray::arr0(value).into_dyn()).into()),
            (_, Some(value)) => Ok(Array::Float(ndarray::arr0(value).into_dyn()).into()),
            _ => Err(Problem::unsupported("its value is neither a dense tensor nor a number")),
        }
    }

    pub(super) fn reshape(&self) -> Result<Constant, Problem> {
        let x = self.input(0)?;
        let shape = match self.node.op_type.as_str() {
            "Reshape" => reshaped(x.shape(), &self.ints(1)?, self.node.int("allowzero") == Some(1))?,
            "Flatten" => flattened(x.shape(), self.node.int("axis").unwrap_or(1))?,
            "Squeeze" => squeezed(x.shape(), self.list(1, "axes")?.as_deref())?,
            _ => unsqueezed(x.shape(), &self.list(1, "axes")?.unwrap_or_default())?,
        };
        x.reshaped(shape.clone())
            .ok_or_else(|| Problem::invalid(format!("{:?} cannot be reshaped to {shape:?}", x.shape())))
    }

    pub(super) fn constant_of_shape(&mut self) -> Result<Array, Problem> {
        let shape = lengths(&self.ints(0)?)?;
        let value = match self.node.attribute("value").and_then(|a| a.t.as_ref()) {
            Some(_) => self.constant()?.array().map_err(Problem::Invalid)?,
            None => Array::Float(ndarray::arr0(0.0).into_dyn()),
        };
        self.budget.charge(&shape)?;
        Ok(each!(value, a => ArrayD::from_elem(IxDyn(&shape), a.iter().next().copied().unwrap_or_default())))
    }

    pub(super) fn range(&mut self) -> Result<Array, Problem> {
        let ends = [self.array(0)?, self.array(1)?, self.array(2)?];
        let [start, limit, step] = ends.map(|a| match a {
            Array::Int(a) => a.iter().next().map(|&v| (v as f64, Some(v))),
            Array::Float(a) => a.iter().next().map(|&v| (v, None)),
        });
        let (Some(start), Some(limit), Some(step)) = (start, limit, step) else {
            return Err(Problem::invalid("its start, limit or step is empty"));
        };
        let steps = ((limit.0 - start.0) / step.0).ceil();
        if !steps.is_finite() {
            return Err(Problem::invalid(format!("a range from {} to {} in steps of {}", start.0, limit.0, step.0)));
        }
        // Negative numbers become 0, huge ones are more than the budget has.
        let n = steps as usize;
        self.budget.charge(&[n])?;
        Ok(match (start.1, step.1) {
            (Some(start), Some(step)) => {
                let values = (0..length(n)).map(|i| start.wrapping_add(i.wrapping_mul(step)));
                Array::Int(values.collect::<ndarray::Array1<i64>>().into_dyn())
            }
            _ => Array::Float((0..n).map(|i| start.0 + i as f64 * step.0).collect::<ndarray::Array1<f64>>().into_dyn()),
        })
    }

    /// Ones on a diagonal, in the shape of a matrix.
    pub(super) fn eye_like(&mut self) -> Result<Array, Problem> {
        let shape = self.input(0)?.shape().to_vec();
        let &[rows, columns] = shape.as_slice() else {
            return Err(Problem::invalid(format!("its input of shape {shape:?} is no matrix")));
        };
        self.budget.charge(&shape)?;
        let shift = self.node.int("k").unwrap_or(0);
        let on = |row: usize, column: usize| length(column).checked_sub(length(row)) == Some(shift);
        let is_float = match self.node.int("dtype").and_then(|code| i32::try_from(code).ok()) {
            Some(code) => DType::from_code(code).is_none_or(DType::is_float),
            None => self.input(0)?.is_float(),
        };
        let ones = Array2::from_shape_fn((rows, columns), |(row, column)| i64::from(on(row, column))).into_dyn();
        Ok(if is_float { Array::Float(ones.mapv(|v| v as f64)) } else { Array::Int(ones) })
    }

    /// For each index a vector that is `on` there and `off` elsewhere.
    pub(super) fn one_hot(&mut self) -> Result<Array, Problem> {
        let indices = self.array(0)?.into_floats();
        let depth = self.array(1)?.into_floats();
        let depth = depth.iter().next().copied().filter(|d| *d >= 1.0 && *d <= f64::from(u32::MAX));
        let depth = depth.ok_or_else(|| Problem::invalid("its depth is no positive number"))?;
        let mut shape = indices.shape().to_vec();
        let at = super::axis(self.node.int("axis").unwrap_or(-1), shape.len() + 1)?;
        shape.insert(at, depth as usize);
        self.budget.charge(&shape)?;
        let hot = |place: &[usize]| {
            let mut outer = place.to_vec();
            let own = outer.remove(at) as f64;
            let index = indices.get(IxDyn(&outer)).copied().unwrap_or(-1.0);
            own == if index < 0.0 { index + depth } else { index }
        };
        let values = self.array(2)?;
        if values.shape() != [2] {
            return Err(Problem::invalid("it has not two values"));
        }
        Ok(each!(values, v => {
            let pick = |on: bool| v.iter().nth(usize::from(on)).copied().unwrap_or_default();
            let mut filled = ArrayD::from_elem(IxDyn(&shape), pick(false));
            for (place, slot) in filled.indexed_iter_mut() {
                *slot = pick(hot(place.slice()));
            }
            filled
        }))
    }
}
