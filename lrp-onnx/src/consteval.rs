//! Computes what is constant in a graph: mostly the shape arithmetic that exporters leave behind (`x.view(x.size(0), -1)`
//! becomes Shape, Gather, Unsqueeze, Concat, Reshape), sometimes weights that are transposed or scaled first.
//!
//! Floating-point numbers are computed in `f64`. No result is made before its size was charged to a [`Budget`].

use ndarray::{ArrayD, Axis, IxDyn};

use crate::error::Problem;
use crate::proto::NodeProto;
use crate::tensor::{Array, Constant, DType, MAX_RANK, volume};

/// The maximum number of elements of all computed constants of a model together.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    /// 16 Mi elements, and one for each byte of the file.
    pub fn for_file(bytes: usize) -> Self {
        Self((1usize << 24).saturating_add(bytes))
    }

    fn charge(&mut self, shape: &[usize]) -> Result<(), Problem> {
        check_rank(shape.len())?;
        let left = volume(shape).and_then(|n| self.0.checked_sub(n.max(1)));
        self.0 = left.ok_or_else(|| {
            Problem::invalid(format!(
                "computes a constant of shape {shape:?}; all computed constants together would have more elements than \
                 is allowed (16 Mi, and one per byte of the file)"
            ))
        })?;
        Ok(())
    }
}

/// Applies an expression to the array of either type.
macro_rules! each {
    ($array:expr, $a:ident => $body:expr) => {
        match $array {
            Array::Float($a) => Array::Float($body),
            Array::Int($a) => Array::Int($body),
        }
    };
}

/// Computes a node all of whose inputs are constants (or left out).
///
/// # Errors
/// When the node is malformed, its result too large, or the operator not one of those that occur on constants.
pub(crate) fn evaluate(
    node: &NodeProto,
    inputs: &[Option<Constant>],
    budget: &mut Budget,
) -> Result<Constant, Problem> {
    Evaluation { node, inputs, budget }.run()
}

struct Evaluation<'a> {
    node: &'a NodeProto,
    inputs: &'a [Option<Constant>],
    budget: &'a mut Budget,
}

type Ints = fn(i64, i64) -> Option<i64>;
type Floats = fn(f64, f64) -> f64;

impl Evaluation<'_> {
    fn run(mut self) -> Result<Constant, Problem> {
        // What only renames or reshapes shares its data and costs nothing.
        match self.node.op_type.as_str() {
            "Identity" | "Dropout" => return self.input(0).cloned(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => return self.reshape(),
            _ => {}
        }
        let result = match self.node.op_type.as_str() {
            "Constant" => return self.constant(),
            "Shape" => {
                let shape = self.input(0)?.shape().to_vec();
                return shape_of(self.node, &shape);
            }
            "Size" => Array::Int(ndarray::arr0(length(volume(self.input(0)?.shape()).unwrap_or(0))).into_dyn()),
            "Cast" => self.cast()?,
            "ConstantOfShape" => self.constant_of_shape()?,
            "Range" => self.range()?,
            "Gather" => self.gather()?,
            "Slice" => self.slice()?,
            "Concat" => self.concat()?,
            "Transpose" => self.transpose()?,
            "Expand" => self.expand()?,
            "Where" => self.choose()?,
            "ReduceProd" => self.product()?,
            "QuantizeLinear" => self.quantize()?,
            "DequantizeLinear" => self.dequantize()?,
            "Add" => self.binary(i64::checked_add, |a, b| a + b)?,
            "Sub" => self.binary(i64::checked_sub, |a, b| a - b)?,
            "Mul" => self.binary(i64::checked_mul, |a, b| a * b)?,
            "Div" => self.binary(i64::checked_div, |a, b| a / b)?,
            "Mod" => self.binary(i64::checked_rem_euclid, |a, b| a.rem_euclid(b))?,
            "Min" => self.binary(|a, b| Some(a.min(b)), f64::min)?,
            "Max" => self.binary(|a, b| Some(a.max(b)), f64::max)?,
            "Equal" => self.compare(|a, b| a == b, |a, b| a == b)?,
            "Less" => self.compare(|a, b| a < b, |a, b| a < b)?,
            "Greater" => self.compare(|a, b| a > b, |a, b| a > b)?,
            "And" => self.binary(|a, b| Some(i64::from(a != 0 && b != 0)), |_, _| f64::NAN)?,
            "Or" => self.binary(|a, b| Some(i64::from(a != 0 || b != 0)), |_, _| f64::NAN)?,
            "Not" => self.unary(|a| Some(i64::from(a == 0)), |_| f64::NAN)?,
            "Neg" => self.unary(i64::checked_neg, |a| -a)?,
            "Abs" => self.unary(i64::checked_abs, f64::abs)?,
            "Sqrt" => self.unary(Some, f64::sqrt)?,
            "Reciprocal" => self.unary(|_| None, f64::recip)?,
            "Floor" => self.unary(Some, f64::floor)?,
            "Ceil" => self.unary(Some, f64::ceil)?,
            _ => return Err(Problem::unsupported("all its inputs are constants, and it is not computed on those")),
        };
        Ok(result.into())
    }

    fn input(&self, index: usize) -> Result<&Constant, Problem> {
        self.inputs
            .get(index)
            .and_then(Option::as_ref)
            .ok_or_else(|| Problem::invalid(format!("has no input number {}", index + 1)))
    }

    /// An input's values; copying them out is charged.
    fn array(&mut self, index: usize) -> Result<Array, Problem> {
        let constant = self.input(index)?.clone();
        self.budget.charge(constant.shape())?;
        constant.array().map_err(|e| Problem::invalid(format!("an input {e}")))
    }

    fn ints(&self, index: usize) -> Result<Vec<i64>, Problem> {
        self.input(index)?.ints().map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))
    }

    /// A list that is an attribute in old operator sets and an input in new ones.
    fn list(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Problem> {
        if let Some(values) = self.node.ints(attribute) {
            return Ok(Some(values.to_vec()));
        }
        self.inputs.get(index).and_then(Option::as_ref).map(|_| self.ints(index)).transpose()
    }

    fn constant(&self) -> Result<Constant, Problem> {
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

    fn reshape(&self) -> Result<Constant, Problem> {
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

    fn cast(&mut self) -> Result<Array, Problem> {
        let code = self.node.int("to").unwrap_or(0);
        let dtype = i32::try_from(code).ok().and_then(DType::from_code);
        let dtype = dtype.ok_or_else(|| Problem::unsupported(format!("casts to type {code}")))?;
        Ok(match (self.array(0)?, dtype) {
            (Array::Float(a), DType::Bool) => Array::Int(a.mapv(|v| i64::from(v != 0.0))),
            (Array::Int(a), DType::Bool) => Array::Int(a.mapv(|v| i64::from(v != 0))),
            (Array::Float(a), d) if d.is_float() => Array::Float(a),
            // `as` saturates and takes NaN to 0.
            (Array::Float(a), _) => Array::Int(a.mapv(|v| v as i64)),
            (Array::Int(a), d) if d.is_float() => Array::Float(a.mapv(|v| v as f64)),
            (Array::Int(a), _) => Array::Int(a),
        })
    }

    fn constant_of_shape(&mut self) -> Result<Array, Problem> {
        let shape = lengths(&self.ints(0)?)?;
        let value = match self.node.attribute("value").and_then(|a| a.t.as_ref()) {
            Some(_) => self.constant()?.array().map_err(Problem::Invalid)?,
            None => Array::Float(ndarray::arr0(0.0).into_dyn()),
        };
        self.budget.charge(&shape)?;
        Ok(each!(value, a => ArrayD::from_elem(IxDyn(&shape), a.iter().next().copied().unwrap_or_default())))
    }

    fn range(&mut self) -> Result<Array, Problem> {
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

    fn gather(&mut self) -> Result<Array, Problem> {
        let axis = axis(self.node.int("axis").unwrap_or(0), self.input(0)?.shape().len())?;
        let x = self.array(0)?;
        let indices = self.input(1)?.shape().to_vec();
        let shape = x.shape().to_vec();
        let size = shape.get(axis).copied().unwrap_or(0);
        let picked: Vec<usize> = self.ints(1)?.into_iter().map(|i| index(i, size)).collect::<Result<_, _>>()?;
        let mut result = shape;
        result.splice(axis..=axis, indices.iter().copied());
        self.budget.charge(&result)?;
        let misshapen = |_| Problem::invalid("its result cannot be shaped");
        Ok(match x {
            Array::Float(a) => Array::Float(
                ArrayD::from_shape_vec(IxDyn(&result), a.select(Axis(axis), &picked).iter().copied().collect())
                    .map_err(misshapen)?,
            ),
            Array::Int(a) => Array::Int(
                ArrayD::from_shape_vec(IxDyn(&result), a.select(Axis(axis), &picked).iter().copied().collect())
                    .map_err(misshapen)?,
            ),
        })
    }

    fn slice(&mut self) -> Result<Array, Problem> {
        let mut x = self.array(0)?;
        let slices = sliced(x.shape(), |index, name| self.list(index, name))?;
        for (axis, picked) in slices {
            x = each!(x, a => a.select(Axis(axis), &picked));
        }
        Ok(x)
    }

    fn concat(&mut self) -> Result<Array, Problem> {
        let axis = axis(self.node.int("axis").unwrap_or(0), self.input(0)?.shape().len())?;
        let parts: Vec<Array> = (0..self.inputs.len()).map(|i| self.array(i)).collect::<Result<_, _>>()?;
        let unfit = "it concatenates tensors that do not fit together";
        let mixed = |_| Problem::invalid(unfit);
        // ndarray would panic on tensors that lack the axis.
        if parts.iter().any(|p| p.shape().len() <= axis) {
            return Err(Problem::invalid(unfit));
        }
        if parts.iter().all(|p| matches!(p, Array::Int(_))) {
            let views = parts.iter().filter_map(|p| if let Array::Int(a) = p { Some(a.view()) } else { None });
            let views: Vec<_> = views.collect();
            return ndarray::concatenate(Axis(axis), &views).map(Array::Int).map_err(mixed);
        }
        let parts: Vec<ArrayD<f64>> = parts.into_iter().map(Array::into_floats).collect();
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        ndarray::concatenate(Axis(axis), &views).map(Array::Float).map_err(mixed)
    }

    fn transpose(&mut self) -> Result<Array, Problem> {
        let rank = self.input(0)?.shape().len();
        let reversed: Vec<i64> = (0..length(rank)).rev().collect();
        let permutation = self.node.ints("perm").unwrap_or(&reversed).to_vec();
        let axes: Vec<usize> = permutation.iter().map(|&p| axis(p, rank)).collect::<Result<_, _>>()?;
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(Problem::invalid(format!("{permutation:?} is no permutation of {rank} axes")));
        }
        Ok(each!(self.array(0)?, a => a.permuted_axes(axes)))
    }

    fn expand(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let shape = joint_shape(x.shape(), &lengths(&self.ints(1)?)?)?;
        self.budget.charge(&shape)?;
        Ok(each!(x, a => broadcast(&a, &shape)?))
    }

    fn choose(&mut self) -> Result<Array, Problem> {
        let (condition, yes, no) = (self.array(0)?, self.array(1)?, self.array(2)?);
        let shape = joint_shape(&joint_shape(condition.shape(), yes.shape())?, no.shape())?;
        self.budget.charge(&shape)?;
        let condition = broadcast(&condition.into_floats(), &shape)?;
        Ok(match (yes, no) {
            (Array::Int(yes), Array::Int(no)) => {
                Array::Int(select(&condition, &broadcast(&yes, &shape)?, &broadcast(&no, &shape)?))
            }
            (yes, no) => {
                let (yes, no) = (broadcast(&yes.into_floats(), &shape)?, broadcast(&no.into_floats(), &shape)?);
                Array::Float(select(&condition, &yes, &no))
            }
        })
    }

    /// The product of all elements (as `numel()` of a shape).
    fn product(&mut self) -> Result<Array, Problem> {
        if self.list(1, "axes")?.is_some_and(|axes| axes != [0]) || self.input(0)?.shape().len() > 1 {
            return Err(Problem::unsupported("on constants it is computed for vectors only"));
        }
        let keep = self.node.int("keepdims").unwrap_or(1) == 1;
        let shape = IxDyn(if keep { &[1] } else { &[] });
        Ok(match self.array(0)? {
            Array::Float(a) => Array::Float(ArrayD::from_elem(shape, a.product())),
            Array::Int(a) => {
                let product = a.iter().try_fold(1i64, |p, &v| p.checked_mul(v)).ok_or_else(overflow)?;
                Array::Int(ArrayD::from_elem(shape, product))
            }
        })
    }

    /// `(x − zero point) · scale`, by one scale or one for each index of an axis.
    fn dequantize(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let (scale, zero) = self.quantization(x.shape())?;
        Ok(Array::Float((x - zero) * scale))
    }

    /// `x / scale`, rounded to even, plus the zero point, within the range of the zero point's type.
    fn quantize(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let (scale, zero) = self.quantization(x.shape())?;
        let range = match self.inputs.get(2).and_then(Option::as_ref) {
            Some(zero) => zero.dtype().and_then(DType::range),
            None => DType::U8.range(),
        };
        let (low, high) = range.ok_or_else(|| Problem::unsupported("it quantizes to a type that is not supported"))?;
        let value = (x / scale).mapv(f64::round_ties_even) + zero;
        Ok(Array::Int(value.mapv(|v| v.clamp(low, high) as i64)))
    }

    /// Scale and zero point, in shapes that broadcast to `shape`.
    fn quantization(&mut self, shape: &[usize]) -> Result<(ArrayD<f64>, ArrayD<f64>), Problem> {
        if self.node.int("block_size").unwrap_or(0) != 0 {
            return Err(Problem::unsupported("with a scale for each of several blocks"));
        }
        let has_zero = self.inputs.get(2).is_some_and(Option::is_some);
        let mut parameter = |index: usize| -> Result<ArrayD<f64>, Problem> {
            let values = self.array(index)?.into_floats();
            let mut along = vec![1; shape.len()];
            if values.len() != 1 {
                let axis = axis(self.node.int("axis").unwrap_or(1), shape.len())?;
                if shape.get(axis) != Some(&values.len()) {
                    return Err(Problem::invalid(format!(
                        "its scale or zero point does not fit axis {axis} of {shape:?}"
                    )));
                }
                if let Some(slot) = along.get_mut(axis) {
                    *slot = values.len();
                }
            }
            values.into_shape_with_order(along).map_err(|_| Problem::invalid("its scale or zero point has no shape"))
        };
        let scale = parameter(1)?;
        let zero = if has_zero { parameter(2)? } else { ArrayD::zeros(vec![1; shape.len()]) };
        Ok((scale, zero))
    }

    fn unary(&mut self, ints: fn(i64) -> Option<i64>, floats: fn(f64) -> f64) -> Result<Array, Problem> {
        Ok(match self.array(0)? {
            Array::Float(a) => Array::Float(a.mapv(floats)),
            Array::Int(a) => {
                let values: Vec<i64> = a.iter().map(|&v| ints(v).ok_or_else(overflow)).collect::<Result<_, _>>()?;
                Array::Int(ArrayD::from_shape_vec(a.raw_dim(), values).map_err(|_| overflow())?)
            }
        })
    }

    fn binary(&mut self, ints: Ints, floats: Floats) -> Result<Array, Problem> {
        if self.inputs.len() != 2 {
            return Err(Problem::unsupported("on constants it is computed for two inputs only"));
        }
        let (a, b) = (self.array(0)?, self.array(1)?);
        let shape = joint_shape(a.shape(), b.shape())?;
        self.budget.charge(&shape)?;
        Ok(match (a, b) {
            (Array::Int(a), Array::Int(b)) => {
                let (a, b) = (broadcast(&a, &shape)?, broadcast(&b, &shape)?);
                let values = a.iter().zip(&b).map(|(&a, &b)| ints(a, b).ok_or_else(overflow));
                let values: Vec<i64> = values.collect::<Result<_, _>>()?;
                Array::Int(ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| overflow())?)
            }
            (a, b) => {
                let (a, b) = (broadcast(&a.into_floats(), &shape)?, broadcast(&b.into_floats(), &shape)?);
                Array::Float(ndarray::Zip::from(&a).and(&b).map_collect(|&a, &b| floats(a, b)))
            }
        })
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

impl Array {
    fn shape(&self) -> &[usize] {
        match self {
            Array::Float(a) => a.shape(),
            Array::Int(a) => a.shape(),
        }
    }

    fn into_floats(self) -> ArrayD<f64> {
        match self {
            Array::Float(a) => a,
            Array::Int(a) => a.mapv(|v| v as f64),
        }
    }
}

fn check_rank(rank: usize) -> Result<(), Problem> {
    if rank > MAX_RANK {
        return Err(Problem::invalid(format!("its result has {rank} axes; at most {MAX_RANK} are supported")));
    }
    Ok(())
}

/// The Shape operator on a tensor of this (full) shape.
pub(crate) fn shape_of(node: &NodeProto, shape: &[usize]) -> Result<Constant, Problem> {
    let rank = length(shape.len());
    let bound = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank);
    let start = bound(node.int("start").unwrap_or(0));
    let end = bound(node.int("end").unwrap_or(rank)).max(start);
    let all: Vec<i64> = shape.iter().map(|&d| length(d)).collect();
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    Ok(Constant::ints_1d(all.get(range).unwrap_or_default()))
}

/// The Reshape operator: 0 copies a length of the input (unless `allow_zero`), −1 takes what is left.
pub(crate) fn reshaped(input: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Problem> {
    check_rank(target.len())?;
    let wrong = || Problem::invalid(format!("{input:?} cannot be reshaped to {target:?}"));
    let total = volume(input).ok_or_else(wrong)?;
    let mut shape = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &d) in target.iter().enumerate() {
        shape.push(match d {
            0 if !allow_zero => input.get(i).copied().ok_or_else(wrong)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            d => usize::try_from(d).map_err(|_| wrong())?,
        });
    }
    let known = volume(&shape).ok_or_else(wrong)?;
    if let Some(slot) = open.and_then(|i| shape.get_mut(i)) {
        *slot = total.checked_div(known).filter(|n| n * known == total).ok_or_else(wrong)?;
    } else if known != total {
        return Err(wrong());
    }
    Ok(shape)
}

/// The Flatten operator: a matrix of the axes before and from `axis`.
pub(crate) fn flattened(input: &[usize], axis: i64) -> Result<Vec<usize>, Problem> {
    let rank = length(input.len());
    let at = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).unwrap_or(usize::MAX);
    match input.split_at_checked(at) {
        Some((before, after)) => {
            let volume = |part| volume(part).ok_or_else(overflow);
            Ok(vec![volume(before)?, volume(after)?])
        }
        None => Err(Problem::invalid(format!("it flattens from axis {axis} a tensor of rank {rank}"))),
    }
}

/// The Squeeze operator; without axes, every axis of length one goes.
pub(crate) fn squeezed(input: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, Problem> {
    let gone: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&a| axis(a, input.len())).collect::<Result<_, _>>()?,
        None => input.iter().enumerate().filter(|(_, d)| **d == 1).map(|(i, _)| i).collect(),
    };
    if let Some(&bad) = gone.iter().find(|&&i| input.get(i) != Some(&1)) {
        return Err(Problem::invalid(format!("it squeezes axis {bad} of {input:?}, which has not length 1")));
    }
    Ok(input.iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, &d)| d).collect())
}

/// The Unsqueeze operator: axes of length one at these positions of the result.
pub(crate) fn unsqueezed(input: &[usize], axes: &[i64]) -> Result<Vec<usize>, Problem> {
    let rank = input.len().saturating_add(axes.len());
    check_rank(rank)?;
    let mut new: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    new.sort_unstable();
    let mut shape = input.to_vec();
    for &at in &new {
        if at > shape.len() {
            return Err(Problem::invalid(format!("it inserts the same axis twice: {axes:?}")));
        }
        shape.insert(at, 1);
    }
    Ok(shape)
}

/// The Slice operator: along which axes it picks what. `list` reads an input that is an attribute in old operator sets.
pub(crate) fn sliced(
    shape: &[usize],
    list: impl Fn(usize, &str) -> Result<Option<Vec<i64>>, Problem>,
) -> Result<Vec<(usize, Vec<usize>)>, Problem> {
    let needed = |index: usize, name: &str| {
        list(index, name)?.ok_or_else(|| Problem::invalid(format!("it does not say where its {name} are")))
    };
    let (starts, ends) = (needed(1, "starts")?, needed(2, "ends")?);
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..length(starts.len())).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(Problem::invalid("its starts, ends, axes and steps are not equally many"));
    }
    let mut slices: Vec<(usize, Vec<usize>)> = Vec::new();
    for (((&start, &end), &along), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let along = axis(along, shape.len())?;
        if slices.iter().any(|(a, _)| *a == along) {
            return Err(Problem::invalid(format!("it slices axis {along} twice")));
        }
        slices.push((along, stepped(start, end, step, shape.get(along).copied().unwrap_or(0))?));
    }
    Ok(slices)
}

/// The positions from `start` to before `end` in steps of `step`, on an axis of this length.
fn stepped(start: i64, end: i64, step: i64, len: usize) -> Result<Vec<usize>, Problem> {
    let from_end = |v: i64| if v < 0 { v.saturating_add(length(len)) } else { v };
    let bound = |v: i64| usize::try_from(v.clamp(0, length(len))).unwrap_or(0);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    match step {
        0 => Err(Problem::invalid("it slices in steps of 0")),
        1.. => Ok((bound(from_end(start))..bound(from_end(end))).step_by(stride).collect()),
        // From `start` down to above `end`.
        _ => {
            let above = |v: i64| bound(from_end(v).saturating_add(1));
            Ok((above(end)..above(start)).rev().step_by(stride).collect())
        }
    }
}

/// The lengths that the Split operator divides an axis into: as given, or `parts` equal ones, of which the last may be
/// shorter.
pub(crate) fn split_lengths(len: usize, given: Option<&[i64]>, parts: usize) -> Result<Vec<usize>, Problem> {
    let lengths: Option<Vec<usize>> = match given {
        Some(given) => given.iter().map(|&n| usize::try_from(n).ok()).collect(),
        None => {
            let each = len.div_ceil(parts.max(1)).max(1);
            Some((0..parts.min(len)).map(|i| len.saturating_sub(i * each).min(each)).collect())
        }
    };
    let total = lengths.as_ref().and_then(|l| l.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)));
    match lengths {
        Some(lengths) if total == Some(len) && lengths.len() == parts => Ok(lengths),
        _ => Err(Problem::invalid(format!(
            "it splits an axis of length {len} into {parts} parts of {}",
            given.map_or_else(|| "equal length".to_owned(), |g| format!("{g:?}"))
        ))),
    }
}

/// The Split operator on a constant.
pub(crate) fn split(
    node: &NodeProto,
    inputs: &[Option<Constant>],
    budget: &mut Budget,
) -> Result<Vec<Constant>, Problem> {
    let mut evaluation = Evaluation { node, inputs, budget };
    let x = evaluation.array(0)?;
    let axis = axis(node.int("axis").unwrap_or(0), x.shape().len())?;
    let len = x.shape().get(axis).copied().unwrap_or(0);
    let lengths = split_lengths(len, evaluation.list(1, "split")?.as_deref(), node.output.len())?;
    let mut start = 0;
    let parts = lengths.into_iter().map(|n| {
        let picked: Vec<usize> = (start..start + n).collect();
        start += n;
        each!(&x, a => a.select(Axis(axis), &picked)).into()
    });
    Ok(parts.collect())
}

/// The shape that two shapes broadcast to.
pub(crate) fn joint_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let from = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).and_then(|i| s.get(i).copied()).unwrap_or(1);
    (0..rank)
        .map(|i| match (from(a, i), from(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Problem::invalid(format!("{a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

/// An axis of a tensor of this rank; negative ones count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Problem> {
    let from_start = if axis < 0 { axis.saturating_add(length(rank)) } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Problem::invalid(format!("axis {axis} does not exist in a tensor of rank {rank}")))
}

/// A position on an axis; negative ones count from the end.
pub(crate) fn index(i: i64, len: usize) -> Result<usize, Problem> {
    let from_start = if i < 0 { i.saturating_add(length(len)) } else { i };
    usize::try_from(from_start)
        .ok()
        .filter(|&i| i < len)
        .ok_or_else(|| Problem::invalid(format!("it takes element {i} of an axis of length {len}")))
}

/// Dimensions as lengths.
fn lengths(dims: &[i64]) -> Result<Vec<usize>, Problem> {
    check_rank(dims.len())?;
    dims.iter().map(|&d| usize::try_from(d).map_err(|_| Problem::invalid(format!("{dims:?} is no shape")))).collect()
}

/// A length as the format's integers.
fn length(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn overflow() -> Problem {
    Problem::invalid("its integer arithmetic overflows or divides by zero")
}

fn broadcast<A: Clone>(a: &ArrayD<A>, shape: &[usize]) -> Result<ArrayD<A>, Problem> {
    a.broadcast(IxDyn(shape))
        .map(|view| view.to_owned())
        .ok_or_else(|| Problem::invalid(format!("{:?} does not broadcast to {shape:?}", a.shape())))
}

/// `yes` where the condition is nonzero, `no` elsewhere; all of one shape.
fn select<A: Copy>(condition: &ArrayD<f64>, yes: &ArrayD<A>, no: &ArrayD<A>) -> ArrayD<A> {
    ndarray::Zip::from(condition).and(yes).and(no).map_collect(|&c, &y, &n| if c == 0.0 { n } else { y })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{AttributeProto, TensorProto};

    fn attribute(name: &str, i: Option<i64>, ints: &[i64]) -> AttributeProto {
        AttributeProto { name: name.into(), i, ints: ints.to_vec(), ..Default::default() }
    }

    fn eval(op_type: &str, inputs: &[&[i64]], attribute: Vec<AttributeProto>) -> Result<Vec<i64>, Problem> {
        let inputs: Vec<Option<Constant>> = inputs.iter().map(|i| Some(Constant::ints_1d(i))).collect();
        let node = NodeProto { op_type: op_type.into(), attribute, ..Default::default() };
        let result = evaluate(&node, &inputs, &mut Budget::for_file(0))?;
        result.ints().map_err(Problem::Invalid)
    }

    #[test]
    fn integers_by_hand() {
        for (op, inputs, expected) in [
            ("Add", &[&[1, 2][..], &[10]][..], &[11, 12][..]),
            ("Div", &[&[7, -7], &[2]], &[3, -3]),
            ("Mul", &[&[3], &[4]], &[12]),
            ("Concat", &[&[1], &[2, 3]], &[1, 2, 3]),
            ("Gather", &[&[5, 6, 7], &[-1, 0]], &[7, 5]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[1], &[4]], &[1, 2, 3]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[-2], &[i64::MAX], &[0], &[1]], &[3, 4]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[-1], &[i64::MIN], &[0], &[-2]], &[4, 2, 0]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[3], &[0], &[0], &[-1]], &[3, 2, 1]),
            ("Range", &[&[2], &[9], &[3]], &[2, 5, 8]),
            ("Range", &[&[3], &[0], &[-1]], &[3, 2, 1]),
            ("Range", &[&[3], &[0], &[1]], &[]),
            ("Equal", &[&[1, 2], &[1, 3]], &[1, 0]),
            ("Where", &[&[1, 0], &[5], &[6]], &[5, 6]),
            ("ReduceProd", &[&[2, 3, 4]], &[24]),
            ("Expand", &[&[7], &[3]], &[7, 7, 7]),
            ("Shape", &[&[9, 9]], &[2]),
            ("Neg", &[&[1]], &[-1]),
        ] {
            assert_eq!(eval(op, inputs, Vec::new()).unwrap(), expected, "{op} {inputs:?}");
        }
        let transposed = eval("Transpose", &[&[1, 2]], vec![attribute("perm", None, &[0])]);
        assert_eq!(transposed.unwrap(), [1, 2]);
    }

    #[test]
    fn numbers_beside_vectors_are_not_concatenated() {
        let number: Constant = Array::Int(ndarray::arr0(1).into_dyn()).into();
        let node = NodeProto { op_type: "Concat".into(), ..Default::default() };
        let inputs = [Some(Constant::ints_1d(&[2])), Some(number)];
        for inputs in [inputs.clone(), {
            let [a, b] = inputs;
            [b, a]
        }] {
            assert!(evaluate(&node, &inputs, &mut Budget::for_file(0)).is_err());
        }
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        for (op, inputs) in [
            ("Div", &[&[1][..], &[0]][..]),
            ("Add", &[&[i64::MAX], &[1]]),
            ("Neg", &[&[i64::MIN]]),
            ("Add", &[&[1, 2], &[1, 2, 3]]),
            ("Gather", &[&[1], &[1]]),
            ("Range", &[&[0], &[1], &[0]]),
            ("Slice", &[&[1], &[0], &[1], &[0], &[0]]),
            ("Slice", &[&[1], &[0], &[1], &[5]]),
            ("ConstantOfShape", &[&[-1]]),
            ("Expand", &[&[1], &[-1]]),
            ("Mul", &[&[1]]),
            ("Reshape", &[&[1, 2], &[3]]),
            ("Reshape", &[&[1, 2], &[-1, -1]]),
            ("Reshape", &[&[1, 2], &[0, 0]]),
            ("Unsqueeze", &[&[1], &[0; 40]]),
            ("NoSuchOperator", &[&[1]]),
        ] {
            assert!(eval(op, inputs, Vec::new()).is_err(), "{op} {inputs:?}");
        }
    }

    #[test]
    fn results_are_bounded_before_they_are_made() {
        for (op, inputs) in [
            ("ConstantOfShape", &[&[1 << 20, 1 << 20][..]][..]),
            ("ConstantOfShape", &[&[i64::MAX, i64::MAX]]),
            ("Expand", &[&[1], &[1 << 40]]),
            ("Range", &[&[0], &[i64::MAX], &[1]]),
        ] {
            match eval(op, inputs, Vec::new()) {
                Err(Problem::Invalid(text)) => assert!(text.contains("more elements than is allowed"), "{text}"),
                other => panic!("{op}: {other:?}"),
            }
        }
        // Many small ones add up.
        let mut budget = Budget(5);
        let node = NodeProto { op_type: "Neg".into(), ..Default::default() };
        let one = [Some(Constant::ints_1d(&[1, 2]))];
        assert!(evaluate(&node, &one, &mut budget).is_ok());
        assert!(evaluate(&node, &one, &mut budget).is_ok());
        assert!(evaluate(&node, &one, &mut budget).is_err());
    }

    #[test]
    fn constant_nodes_of_every_form() {
        let constant = |attribute| {
            let node = NodeProto { op_type: "Constant".into(), attribute: vec![attribute], ..Default::default() };
            evaluate(&node, &[], &mut Budget::for_file(0))
        };
        let tensor = TensorProto { data_type: 7, dims: vec![2], int64_data: vec![4, 5], ..Default::default() };
        let value = AttributeProto { name: "value".into(), t: Some(Box::new(tensor)), ..Default::default() };
        assert_eq!(constant(value).unwrap().ints().unwrap(), [4, 5]);
        assert_eq!(constant(attribute("value_ints", None, &[6])).unwrap().ints().unwrap(), [6]);
        assert_eq!(constant(attribute("value_int", Some(7), &[])).unwrap().ints().unwrap(), [7]);
        let value = AttributeProto { name: "value_float".into(), f: Some(0.5), ..Default::default() };
        assert_eq!(constant(value).unwrap().floats::<f64>(), [0.5]);
        assert!(constant(attribute("sparse_value", None, &[])).is_err());
    }
}
