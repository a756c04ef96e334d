//! An operator as data: it can be built in any scalar type, and printed as the code that makes it (see [`code`](crate::code)).

use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Kind, Operator};
use lrp_core::ops::{
    Activation, Add, AvgPool, Broadcast, Cell, Compare, Concat, Conv, ConvTranspose, CumSum, Dense, Direction, Div,
    Divisor, Extremum, Function, Identity, LayerNorm, MatMul, MaxPool, Mean, Mul, Normalize, PRelu, Pad, PadMode,
    Parameters, Preprocessing, Recurrent, Reducer, Reduction, Relation, Reshape, Resize, Scale, Select, Softmax, Taps,
    TopK, Transpose, Where,
};
use lrp_core::{OperatorError, Scalar, Tensor};

/// An operator with its parameters, not yet bound to the shapes of its inputs.
///
/// The parameters are those of the constructors in [`lrp_core::ops`]; see there.
#[allow(missing_docs, reason = "the fields are the parameters of the constructors")]
#[derive(Debug, Clone)]
pub enum Op {
    Dense { weights: Tensor<f64>, bias: Option<Vec<f64>> },
    Conv { weights: Tensor<f64>, bias: Option<Vec<f64>>, spec: WindowSpec, groups: usize },
    ConvTranspose { weights: Tensor<f64>, bias: Option<Vec<f64>>, spec: WindowSpec, groups: usize, space: Vec<usize> },
    BatchNorm { gamma: Vec<f64>, beta: Vec<f64>, mean: Vec<f64>, var: Vec<f64>, epsilon: f64 },
    Scale { weight: Option<Tensor<f64>>, bias: Option<Tensor<f64>> },
    Preprocessing { weight: Option<Tensor<f64>>, bias: Option<Tensor<f64>> },
    Add { inputs: usize },
    Difference,
    AvgPool { spec: WindowSpec, include_pad: bool },
    Mean { axes: Vec<usize>, keep: bool },
    Resize { axes: Vec<Vec<Taps<f64>>> },
    MaxPool { spec: WindowSpec },
    Activation { function: Function },
    PRelu { slopes: Tensor<f64> },
    Mul { gate: Option<usize> },
    LayerNorm { axes: usize, gamma: Vec<f64>, beta: Option<Vec<f64>>, epsilon: f64 },
    Softmax { axis: usize, logarithm: bool },
    Maximum { inputs: usize },
    Minimum { inputs: usize },
    Div,
    TopK { axis: usize, k: usize, largest: bool },
    Reduction { reducer: Reducer, axis: usize },
    CumSum { axis: usize, exclusive: bool, reverse: bool },
    Normalize { divisor: Divisor, axis: usize },
    MatMul { all_to: Option<usize> },
    Compare { relation: Relation },
    Where,
    Recurrent { cell: Cell, direction: Direction, parameters: Box<Parameters<f64>> },
    Slice { axis: usize, start: usize, step: i64, len: usize },
    Gather { kind: Kind, indices: Vec<Vec<usize>> },
    Concat { axis: usize },
    Reshape { to: Vec<usize> },
    Transpose { permutation: Vec<usize> },
    Pad { mode: PadMode, begin: Vec<i64>, end: Vec<i64> },
    Broadcast { to: Vec<usize> },
    Identity,
}

fn number<T: Scalar>(v: &f64) -> T {
    T::of(*v)
}

fn list<T: Scalar>(values: &[f64]) -> Vec<T> {
    values.iter().map(number).collect()
}

fn tensor<T: Scalar>(tensor: &Tensor<f64>) -> Tensor<T> {
    tensor.mapv(T::of)
}

fn maybe<T: Scalar>(bias: Option<&Vec<f64>>) -> Option<Vec<T>> {
    bias.map(|b| list(b))
}

impl Op {
    /// The operator on inputs of these sample shapes.
    ///
    /// # Errors
    /// Those of the constructor.
    ///
    /// # Panics
    /// When there is no input.
    pub fn build<T: Scalar>(&self, inputs: &[&[usize]]) -> Result<Arc<dyn Operator<T>>, OperatorError> {
        let x = *inputs.first().expect("an operator has an input");
        Ok(match self {
            Op::Dense { weights, bias } => Arc::new(Dense::new(tensor::<T>(weights), maybe(bias.as_ref()), x)?),
            Op::Conv { weights, bias, spec, groups } => {
                Arc::new(Conv::new(tensor::<T>(weights), maybe(bias.as_ref()), spec, *groups, x)?)
            }
            Op::ConvTranspose { weights, bias, spec, groups, space } => {
                Arc::new(ConvTranspose::new(tensor::<T>(weights), maybe(bias.as_ref()), spec, *groups, x, space)?)
            }
            Op::BatchNorm { gamma, beta, mean, var, epsilon } => {
                let [gamma, beta, mean, var] = [gamma, beta, mean, var].map(|v| list::<T>(v));
                Arc::new(Scale::batch_norm(&gamma, &beta, &mean, &var, T::of(*epsilon), x)?)
            }
            Op::Scale { weight, bias } => {
                Arc::new(Scale::new(weight.as_ref().map(tensor::<T>), bias.as_ref().map(tensor), x)?)
            }
            Op::PRelu { slopes } => Arc::new(PRelu::new(tensor::<T>(slopes), x)?),
            Op::Preprocessing { weight, bias } => Arc::new(Preprocessing::<T>::new(weight.clone(), bias.clone(), x)?),
            Op::Add { inputs } => Arc::new(Add::<T>::new(*inputs, x)?),
            Op::Difference => Arc::new(Add::<T>::difference(x)?),
            Op::AvgPool { spec, include_pad } => Arc::new(AvgPool::<T>::new(spec, *include_pad, x)?),
            Op::Mean { axes, keep } => Arc::new(Mean::<T>::new(axes, *keep, x)?),
            Op::Resize { axes } => {
                let taps = |taps: &Taps<f64>| taps.iter().map(|(i, w)| (*i, T::of(*w))).collect();
                let axes: Vec<Vec<Taps<T>>> = axes.iter().map(|axis| axis.iter().map(taps).collect()).collect();
                Arc::new(Resize::new(&axes, x)?)
            }
            Op::MaxPool { spec } => Arc::new(MaxPool::new(spec, x)?),
            Op::Activation { function } => Arc::new(Activation::new(*function, x)?),
            Op::Mul { gate } => Arc::new(Mul::new(*gate, x)?),
            Op::LayerNorm { axes, gamma, beta, epsilon } => {
                Arc::new(LayerNorm::<T>::new(*axes, list(gamma), maybe(beta.as_ref()), T::of(*epsilon), x)?)
            }
            Op::Softmax { axis, logarithm: false } => Arc::new(Softmax::new(*axis, x)?),
            Op::Softmax { axis, logarithm: true } => Arc::new(Softmax::new(*axis, x)?.logarithm()),
            Op::Maximum { inputs } => Arc::new(Extremum::maximum(*inputs, x)?),
            Op::Minimum { inputs } => Arc::new(Extremum::minimum(*inputs, x)?),
            Op::Div => Arc::new(Div::new(x)?),
            Op::TopK { axis, k, largest } => Arc::new(TopK::new(*axis, *k, *largest, x)?),
            Op::Reduction { reducer, axis } => Arc::new(Reduction::new(*reducer, *axis, x)?),
            Op::CumSum { axis, exclusive, reverse } => Arc::new(CumSum::<T>::new(*axis, *exclusive, *reverse, x)?),
            Op::Normalize { divisor, axis } => Arc::new(Normalize::new(*divisor, *axis, x)?),
            Op::MatMul { all_to } => {
                let op = MatMul::new(x, inputs.get(1).copied().unwrap_or_default())?;
                Arc::new(if let Some(factor) = all_to { op.all_to(*factor) } else { op })
            }
            Op::Compare { relation } => Arc::new(Compare::new(*relation, x)?),
            Op::Where => Arc::new(Where::new(x)?),
            Op::Recurrent { cell, direction, parameters: p } => {
                let parameters = Parameters {
                    input: tensor::<T>(&p.input),
                    recurrent: tensor(&p.recurrent),
                    bias: p.bias.as_ref().map(tensor),
                    hidden: p.hidden.as_ref().map(tensor),
                    cell: p.cell.as_ref().map(tensor),
                };
                Arc::new(Recurrent::new(*cell, *direction, parameters, x)?)
            }
            Op::Slice { axis, start, step, len } => Arc::new(Select::slice(*axis, *start, *step, *len, x)?),
            Op::Gather { kind, indices } => Arc::new(Select::new(*kind, String::new(), indices, x)?),
            Op::Concat { axis } => Arc::new(Concat::new(*axis, inputs)?),
            Op::Reshape { to } => Arc::new(Reshape::new(x, to)?),
            Op::Transpose { permutation } => Arc::new(Transpose::new(permutation, x)?),
            Op::Pad { mode, begin, end } => Arc::new(Pad::new(*mode, begin, end, x)?),
            Op::Broadcast { to } => Arc::new(Broadcast::new(x, to)?),
            Op::Identity => Arc::new(Identity::new(x)?),
        })
    }
}
