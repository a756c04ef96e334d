//! Small networks that the tests resolve recipes against. Weights do not matter: all are one.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "every test file uses some of them")]

use lrp_config::{Recipe, RecipeError, Resolved};
use lrp_core::kernels::window::WindowSpec;
use lrp_core::ops::{Activation, Add, Conv, Dense, Function, MaxPool, Mean, Mul, Reshape};
use lrp_core::{Builder, Model, NodeId, Tensor};

type Net = Builder<f64>;

fn dense(net: &mut Net, name: &str, x: NodeId, outputs: usize) -> NodeId {
    let shape = net.shape(x).to_vec();
    let op = Dense::new(Tensor::ones(vec![outputs, shape[0]]), None, &shape).unwrap();
    net.add(name, op, &[x]).unwrap()
}

fn conv(net: &mut Net, name: &str, x: NodeId, outputs: usize) -> NodeId {
    let shape = net.shape(x).to_vec();
    let weights = Tensor::ones(vec![outputs, shape[0], 3, 3]);
    let op = Conv::new(weights, Some(vec![0.1; outputs]), &WindowSpec::new(&[3, 3]).pad(1), 1, &shape).unwrap();
    net.add(name, op, &[x]).unwrap()
}

fn relu(net: &mut Net, name: &str, x: NodeId) -> NodeId {
    let op = Activation::new(Function::Relu, net.shape(x)).unwrap();
    net.add(name, op, &[x]).unwrap()
}

/// Convolutions with a residual connection, pooling, and two dense layers; weighted layers are conv1, conv2, fc1, fc2.
pub fn cnn() -> Model<f64> {
    let mut net = Net::new();
    let x = net.input("image", &[2, 4, 4]);
    let conv1 = conv(&mut net, "/features/conv1/Conv", x, 3);
    let relu1 = relu(&mut net, "/features/relu1/Relu", conv1);
    let conv2 = conv(&mut net, "/features/conv2/Conv", relu1, 3);
    let add = net.add("/features/Add", Add::new(2, &[3, 4, 4]).unwrap(), &[conv2, relu1]).unwrap();
    let pool = MaxPool::new(&WindowSpec::new(&[2, 2]).stride(2), &[3, 4, 4]).unwrap();
    let pool = net.add("/features/MaxPool", pool, &[add]).unwrap();
    let mean = net.add("/Mean", Mean::new(&[2, 3], true, &[3, 2, 2]).unwrap(), &[pool]).unwrap();
    let flat = net.add("/Flatten", Reshape::new(&[3, 1, 1], &[3]).unwrap(), &[mean]).unwrap();
    let fc1 = dense(&mut net, "/classifier/fc1/Gemm", flat, 4);
    let relu2 = relu(&mut net, "/classifier/Relu", fc1);
    let fc2 = dense(&mut net, "/classifier/fc2/Gemm", relu2, 3);
    net.finish(fc2).unwrap()
}

/// Five dense layers `fc0` to `fc4`, with a ReLU between each two.
pub fn mlp() -> Model<f64> {
    chain(5)
}

/// As [`mlp`], with so many layers.
pub fn chain(layers: usize) -> Model<f64> {
    let mut net = Net::new();
    let mut x = net.input("x", &[2]);
    for i in 0..layers {
        x = dense(&mut net, &format!("fc{i}"), x, 2);
        if i + 1 < layers {
            x = relu(&mut net, &format!("relu{i}"), x);
        }
    }
    net.finish(x).unwrap()
}

/// Two branches, `a1 → a2` and `b1`, that are added up; the file lists `b1` after the deeper `a2`.
pub fn branches() -> Model<f64> {
    let mut net = Net::new();
    let x = net.input("x", &[2]);
    let a1 = dense(&mut net, "a1", x, 2);
    let a2 = dense(&mut net, "a2", a1, 2);
    let b1 = dense(&mut net, "b1", x, 2);
    let sum = net.add("sum", Add::new(2, &[2]).unwrap(), &[a2, b1]).unwrap();
    net.finish(sum).unwrap()
}

/// A dense layer whose output is multiplied with a gate, and another dense layer.
pub fn gated() -> Model<f64> {
    let mut net = Net::new();
    let x = net.input("x", &[2]);
    let signal = dense(&mut net, "signal", x, 2);
    let gate = net.add("gate", Activation::new(Function::Sigmoid, &[2]).unwrap(), &[x]).unwrap();
    let product = net.add("gated", Mul::new(Some(1), &[2]).unwrap(), &[signal, gate]).unwrap();
    let end = dense(&mut net, "end", product, 2);
    net.finish(end).unwrap()
}

/// `relu(conv_a(stem))` times `sigmoid(conv_b(stem))`, all of them dense layers.
pub fn gated_far() -> Model<f64> {
    let mut net = Net::new();
    let x = net.input("x", &[2]);
    let stem = dense(&mut net, "stem", x, 2);
    let a = dense(&mut net, "conv_a", stem, 2);
    let a = relu(&mut net, "relu", a);
    let b = dense(&mut net, "conv_b", stem, 2);
    let b = net.add("sigmoid", Activation::new(Function::Sigmoid, &[2]).unwrap(), &[b]).unwrap();
    let product = net.add("product", Mul::new(None, &[2]).unwrap(), &[a, b]).unwrap();
    net.finish(product).unwrap()
}

/// Reads a recipe whose file is called `test.toml`; `schema` is put in front.
pub fn recipe(text: &str) -> Result<Recipe, RecipeError> {
    Recipe::parse(&format!("schema = 1\n{text}"), "test.toml", "")
}

/// `name: rule` for every node that has a rule, in topological order.
pub fn rules(model: &Model<f64>, resolved: &Resolved<f64>) -> Vec<String> {
    resolved.choices.iter().map(|(id, choice)| format!("{}: {}", model.node(*id).name, choice.rule)).collect()
}

/// The names of the nodes whose rule has this name.
pub fn nodes_with(model: &Model<f64>, resolved: &Resolved<f64>, rule: &str) -> Vec<String> {
    let has = |text: String| text.split(' ').next() == Some(rule);
    let nodes = resolved.choices.iter().filter(|(_, choice)| has(choice.rule.to_string()));
    nodes.map(|(id, _)| model.node(*id).name.clone()).collect()
}
