{
use lrp_core::kernels::window::WindowSpec;
use lrp_core::ops::{Activation, Add, AvgPool, Broadcast, Cell, Concat, Conv, ConvTranspose, Dense, Direction, Function, LayerNorm, MaxPool, Mean, Mul, Pad, PadMode, Parameters, Recurrent, Reshape, Resize, Scale, Select, Softmax, Transpose};
use lrp_core::{Builder, Tensor};

let mut net = Builder::<f64>::new();
let input = net.input("input", &[2, 4]);
let conv1 = net.add("conv1", Conv::new(Tensor::from_shape_vec(vec![2, 1, 2], vec![0.125, 0.5, 1.0, -0.125])?, Some(vec![0.25, 0.375]), &WindowSpec::new(&[2]).pad(1), 2, &[2, 4])?, &[input])?;
let batch_norm2 = net.add("batch-norm2", Scale::batch_norm(&[0.875, 1.75], &[0.0, 0.0], &[-0.125, -0.375], &[1.125, 1.375], 1e-5, &[2, 5])?, &[conv1])?;
let conv3 = net.add("conv3", Conv::new(Tensor::from_shape_vec(vec![2, 2, 3], vec![0.25, 0.625, 0.375, 0.75, -0.875, -0.875, 0.0, -0.75, -0.375, -0.875, 0.0, 0.375])?, Some(vec![0.5, 0.125]), &WindowSpec::new(&[3]).pad(1), 1, &[2, 5])?, &[batch_norm2])?;
let activation4 = net.add("activation4", Activation::new(Function::Tanh, &[2, 5])?, &[conv3])?;
let add5 = net.add("add5", Add::new(2, &[2, 5])?, &[batch_norm2, activation4])?;
let max_pool6 = net.add("max-pool6", MaxPool::new(&WindowSpec::new(&[2]).stride(2), &[2, 5])?, &[add5])?;
let conv_transpose7 = net.add("conv-transpose7", ConvTranspose::new(Tensor::from_shape_vec(vec![2, 1, 2], vec![-0.125, -0.5, 0.0, 0.125])?, Some(vec![0.375]), &WindowSpec::new(&[2]).stride(2), 1, &[2, 2], &[4])?, &[max_pool6])?;
let activation8 = net.add("activation8", Activation::new(Function::Clip { low: -0.5, high: 1.0 }, &[1, 4])?, &[conv_transpose7])?;
let input9 = net.input("input9", &[1, 4]);
let join10 = net.add("join10", Concat::new(1, &[&[1, 4], &[1, 4]])?, &[activation8, input9])?;
let mean11 = net.add("mean11", Mean::new(&[2], true, &[2, 4])?, &[join10])?;
let conv12 = net.add("conv12", Conv::new(Tensor::from_shape_vec(vec![2, 2, 1], vec![0.75, 0.375, -0.5, 0.25])?, Some(vec![0.375, -0.125]), &WindowSpec::new(&[1]), 1, &[2, 1])?, &[mean11])?;
let sigmoid13 = net.add("sigmoid13", Activation::new(Function::Sigmoid, &[2, 1])?, &[conv12])?;
let broadcast14 = net.add("broadcast14", Broadcast::new(&[2, 1], &[2, 4])?, &[sigmoid13])?;
let mul15 = net.add("mul15", Mul::new(Some(1), &[2, 4])?, &[join10, broadcast14])?;
let resize16 = net.add("resize16", Resize::new(&[vec![vec![(0, 1.0)], vec![(1, 1.0)]], vec![vec![(0, 1.0)], vec![(0, 0.5), (1, 0.5)], vec![(1, 1.0)], vec![(1, 0.5), (2, 0.5)], vec![(2, 1.0)], vec![(2, 0.5), (3, 0.5)], vec![(3, 1.0)]]], &[2, 4])?, &[mul15])?;
let avg_pool17 = net.add("avg-pool17", AvgPool::new(&WindowSpec::new(&[2]).stride(2).pad(1), true, &[2, 7])?, &[resize16])?;
let scale18 = net.add("scale18", Scale::new(Some(Tensor::from_shape_vec(vec![2, 1], vec![0.75, 1.875])?), Some(Tensor::from_shape_vec(vec![2, 1], vec![0.375, -0.25])?), &[2, 4])?, &[avg_pool17])?;
let pad19 = net.add("pad19", Pad::new(PadMode::Constant(0.25), &[0, 1], &[0, 1], &[2, 4])?, &[scale18])?;
let slice20 = net.add("slice20", Select::slice(2, 5, -2, 3, &[2, 6])?, &[pad19])?;
let layer_norm21 = net.add("layer-norm21", LayerNorm::new(2, vec![0.75, 1.0, 1.875, 1.125, 0.625, 1.375], None, 0.001, &[2, 3])?, &[slice20])?;
let softmax22 = net.add("softmax22", Softmax::new(1, &[2, 3])?, &[layer_norm21])?;
let steps23 = net.add("steps23", Reshape::new(&[2, 3], &[2, 3])?, &[softmax22])?;
let transpose24 = net.add("transpose24", Transpose::new(&[0, 2, 1], &[2, 3])?, &[steps23])?;
let recurrent25 = net.add("recurrent25", Recurrent::new(Cell::Gru { linear_before_reset: true }, Direction::Forward, Parameters { input: Tensor::from_shape_vec(vec![1, 3, 2], vec![0.875, 0.75, 0.0, -0.875, 0.5, 0.125])?, recurrent: Tensor::from_shape_vec(vec![1, 3, 1], vec![0.5, -0.5, -0.875])?, bias: Some(Tensor::from_shape_vec(vec![1, 6], vec![-0.5, 0.125, -0.375, -0.375, 0.375, 0.5])?), hidden: None, cell: None }, &[3, 2])?, &[transpose24])?;
let transpose26 = net.add("transpose26", Transpose::new(&[0, 2, 3, 1], &[3, 1, 1])?, &[recurrent25])?;
let positions27 = net.add("positions27", Reshape::new(&[1, 1, 3], &[1, 3])?, &[transpose26])?;
let flatten28 = net.add("flatten28", Reshape::new(&[1, 3], &[3])?, &[positions27])?;
let dense29 = net.add("dense29", Dense::new(Tensor::from_shape_vec(vec![4, 3], vec![0.375, 0.125, 0.0, 0.25, 0.75, 0.625, -0.75, 0.25, -0.5, -0.125, 0.75, 0.375])?, Some(vec![0.25, -0.375, -0.375, 0.25]), &[3])?, &[flatten28])?;
let activation30 = net.add("activation30", Activation::new(Function::Relu, &[4])?, &[dense29])?;
let dense31 = net.add("dense31", Dense::new(Tensor::from_shape_vec(vec![2, 4], vec![-0.25, -0.75, 0.875, 0.25, -0.75, 0.75, 0.75, -1.0])?, Some(vec![0.25, 0.125]), &[4])?, &[activation30])?;
let model = net.finish(dense31)?;
model
}
