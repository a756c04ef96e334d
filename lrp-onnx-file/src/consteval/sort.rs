//! The largest elements, and those that are not zero or occur once.

use std::cmp::Ordering;

use ndarray::{Array2, ArrayD, Axis, Dimension, IxDyn};

use super::Evaluation;
use super::shapes::length;
use crate::error::Problem;
use crate::tensor::{Array, Constant};

impl Evaluation<'_> {
    /// The largest or smallest elements along an axis, and their positions.
    pub(super) fn top_k(&mut self) -> Result<Vec<Constant>, Problem> {
        let x = self.array(0)?;
        let axis = self.axis(-1, x.shape().len())?;
        let count = match self.node.int("k") {
            Some(k) => Some(k),
            None => self.ints(1)?.first().copied(),
        };
        let available = x.shape().get(axis).copied().unwrap_or(0);
        let count = count.and_then(|k| usize::try_from(k).ok()).filter(|k| *k <= available);
        let count = count.ok_or_else(|| Problem::invalid(format!("it takes more than {available} elements")))?;
        let largest = self.node.int("largest").unwrap_or(1) != 0;
        let is_int = matches!(x, Array::Int(_));
        let x = x.into_floats();
        let mut shape = x.shape().to_vec();
        if let Some(slot) = shape.get_mut(axis) {
            *slot = count;
        }
        self.budget.charge(&shape)?;
        let (mut values, mut places) = (ArrayD::<f64>::zeros(IxDyn(&shape)), ArrayD::<i64>::zeros(IxDyn(&shape)));
        let lanes = x.lanes(Axis(axis)).into_iter();
        let results = values.lanes_mut(Axis(axis)).into_iter().zip(places.lanes_mut(Axis(axis)));
        for (lane, (mut values, mut places)) in lanes.zip(results) {
            let mut order: Vec<(usize, f64)> = lane.iter().copied().enumerate().collect();
            // The first of equal ones comes first.
            order.sort_by(|a, b| {
                let by_value = a.1.total_cmp(&b.1);
                if largest { by_value.reverse() } else { by_value }.then(a.0.cmp(&b.0))
            });
            for ((value, place), (i, v)) in values.iter_mut().zip(places.iter_mut()).zip(order) {
                (*value, *place) = (v, length(i));
            }
        }
        let values = if is_int { Array::Int(values.mapv(|v| v as i64)) } else { Array::Float(values) };
        Ok(vec![values.into(), Array::Int(places).into()])
    }

    /// The positions of the elements that are not zero, a column each.
    pub(super) fn non_zero(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let found: Vec<IxDyn> = x.indexed_iter().filter(|(_, v)| **v != 0.0).map(|(at, _)| at).collect();
        self.budget.charge(&[x.ndim(), found.len()])?;
        let mut places = Array2::zeros((x.ndim(), found.len()));
        for (mut column, at) in places.columns_mut().into_iter().zip(&found) {
            for (slot, &i) in column.iter_mut().zip(at.slice()) {
                *slot = length(i);
            }
        }
        Ok(Array::Int(places.into_dyn()))
    }

    /// The different elements of a tensor: where each occurs first, which one each element is, and how often it occurs.
    pub(super) fn unique(&mut self) -> Result<Vec<Constant>, Problem> {
        if self.node.int("axis").is_some() {
            return Err(Problem::unsupported("on constants it is computed for single elements only"));
        }
        let x = self.array(0)?;
        let is_int = matches!(x, Array::Int(_));
        let flat: Vec<f64> = x.into_floats().iter().copied().collect();
        let mut order: Vec<usize> = (0..flat.len()).collect();
        let value = |i: usize| flat.get(i).copied().unwrap_or(f64::NAN);
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        // (first place, places)
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for i in order {
            match groups.last_mut() {
                Some(group) if group.first().map(|&j| value(i).total_cmp(&value(j))) == Some(Ordering::Equal) => {
                    group.push(i);
                }
                _ => groups.push(vec![i]),
            }
        }
        if self.node.int("sorted").unwrap_or(1) == 0 {
            groups.sort_by_key(|group| group.first().copied());
        }
        self.budget.charge(&[3, groups.len()])?;
        let mut inverse = vec![0; flat.len()];
        for (number, group) in groups.iter().enumerate() {
            for &i in group {
                if let Some(slot) = inverse.get_mut(i) {
                    *slot = length(number);
                }
            }
        }
        let firsts: Vec<usize> = groups.iter().filter_map(|group| group.first().copied()).collect();
        let values: Vec<f64> = firsts.iter().map(|&i| value(i)).collect();
        let vector = ndarray::Array1::from(values).into_dyn();
        let values = if is_int { Array::Int(vector.mapv(|v| v as i64)) } else { Array::Float(vector) };
        let list = |values: Vec<i64>| Constant::ints_1d(&values);
        Ok(vec![
            values.into(),
            list(firsts.into_iter().map(length).collect()),
            list(inverse),
            list(groups.iter().map(|group| length(group.len())).collect()),
        ])
    }
}
