//! Random transformers for property tests: blocks of attention with heads, masks, norms and rotary positions, and multilayer perceptrons.

use std::fmt;

use lrp_core::operator::Kind;
use lrp_core::ops::{Divisor, Function};
use lrp_core::{Model, Scalar, Tensor};
use proptest::prelude::*;

use crate::draft::{Draft, Place};
use crate::op::Op;
use crate::random::Random;

/// What is added to a score that is masked: the lowest number of an f32, as exporters write it.
const MASKED: f64 = f32::MIN as f64;

/// The normalisation before attention and before the perceptron.
#[allow(missing_docs, reason = "the variants are what they are called")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    None,
    Layer,
    RootMeanSquare,
    L2,
}

/// The activation of the perceptron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perceptron {
    /// ReLU.
    Relu,
    /// GELU.
    Gelu,
    /// A product of one layer's output, through a SiLU, and another's.
    SwiGlu,
}

/// A random transformer. Its input is a vector for each token, and its output are classes by the vector of one of them.
#[derive(Clone, Copy, PartialEq)]
pub struct Transformer {
    /// Tokens of the text.
    pub tokens: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of queries for each head of keys and values (grouped-query attention above 1).
    pub group: usize,
    /// Elements of a head, an even number.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// The normalisation.
    pub norm: NormKind,
    /// The perceptron.
    pub perceptron: Perceptron,
    /// Whether a token sees only those before it.
    pub causal: bool,
    /// Tokens at the end that are padding.
    pub padding: usize,
    /// Whether queries and keys are turned by their position.
    pub rotary: bool,
    /// Whether layers have biases, and norms shifts.
    pub biases: bool,
    /// Whether a vector is added for each position.
    pub positions: bool,
    /// The token that the output is read from.
    pub read: usize,
    /// Seed of weights and inputs.
    pub seed: u64,
}

/// Random transformers.
pub fn transformers() -> impl Strategy<Value = Transformer> {
    let sizes = (1..5usize, 1..3usize, 1..3usize, 1..3usize, 1..3usize);
    let norms = prop::sample::select(vec![NormKind::None, NormKind::Layer, NormKind::RootMeanSquare, NormKind::L2]);
    let perceptrons = prop::sample::select(vec![Perceptron::Relu, Perceptron::Gelu, Perceptron::SwiGlu]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (sizes, norms, perceptrons, flags, 0..3usize, 0..4usize, any::<u64>()).prop_map(
        |((tokens, key_heads, group, half, blocks), norm, perceptron, flags, padding, read, seed)| {
            let (causal, rotary, biases, positions) = flags;
            let padding = padding.min(tokens - 1);
            let (heads, width, read) = (key_heads * group, 2 * half, read % (tokens - padding));
            Transformer {
                tokens,
                heads,
                group,
                width,
                blocks,
                norm,
                perceptron,
                causal,
                padding,
                rotary,
                biases,
                positions,
                read,
                seed,
            }
        },
    )
}

impl Transformer {
    /// Builds it in any scalar type.
    pub fn build<T: Scalar>(&self) -> Model<T> {
        self.draft().model()
    }

    /// Elements of a token's vector.
    fn size(&self) -> usize {
        self.heads * self.width
    }

    /// A batch of inputs, `[n, tokens, size]`.
    pub fn inputs<T: Scalar>(&self, n: usize) -> Tensor<T> {
        Random(self.seed ^ 0xfeed).tensor(&[n, self.tokens, self.size()], -1.0, 1.0)
    }

    /// Whether a token can have no relevance: padding, and what comes after the token that is read where attention is causal.
    pub fn is_unseen(&self, token: usize) -> bool {
        token >= self.tokens - self.padding || (self.causal && token > self.read)
    }

    /// The network as data.
    pub fn draft(&self) -> Draft {
        let mut build = Build { net: self, random: Random(self.seed), draft: Draft::new(), count: 0 };
        let (tokens, size) = (self.tokens, self.size());
        let mut x = build.draft.input("input", &[tokens, size]);
        if self.positions {
            let vectors = build.random.tensor(&[tokens, size], -1.0, 1.0);
            x = build.op("positions", Op::Scale { weight: None, bias: Some(vectors) }, &[x]);
        }
        for _ in 0..self.blocks {
            let normed = build.norm(x);
            let attended = build.attention(normed);
            x = build.op("sum", Op::Add { inputs: 2 }, &[x, attended]);
            let normed = build.norm(x);
            let up = build.perceptron(normed);
            x = build.op("sum", Op::Add { inputs: 2 }, &[x, up]);
        }
        let x = build.norm(x);
        let read = build.gather(x, vec![vec![self.read], (0..size).collect()]);
        let flat = build.op("flat", Op::Reshape { to: vec![size] }, &[read]);
        build.dense(flat, size, 3);
        build.draft
    }
}

impl fmt::Debug for Transformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transformer { tokens, heads, group, width, blocks, norm, perceptron, causal, padding, .. } = self;
        let Transformer { rotary, biases, positions, read, seed, .. } = self;
        write!(
            f,
            "\n// Transformer {{ tokens: {tokens}, heads: {heads}, group: {group}, width: {width}, blocks: {blocks}, norm: {norm:?}, \
             perceptron: {perceptron:?}, causal: {causal}, padding: {padding}, rotary: {rotary}, biases: {biases}, \
             positions: {positions}, read: {read}, seed: {seed} }}\n{}",
            self.draft()
        )
    }
}

struct Build<'a> {
    net: &'a Transformer,
    random: Random,
    draft: Draft,
    count: usize,
}

impl Build<'_> {
    fn op(&mut self, name: &str, op: Op, inputs: &[Place]) -> Place {
        self.count += 1;
        self.draft.add(format!("{name}{}", self.count), op, inputs).expect("shapes fit")
    }

    fn gather(&mut self, x: Place, indices: Vec<Vec<usize>>) -> Place {
        self.op("gather", Op::Gather { kind: Kind::Gather, indices }, &[x])
    }

    fn dense(&mut self, x: Place, from: usize, to: usize) -> Place {
        let weights = self.random.tensor(&[to, from], -1.0, 1.0);
        let bias = self.net.biases.then(|| self.random.numbers(to, -0.5, 0.5));
        self.op("dense", Op::Dense { weights, bias }, &[x])
    }

    fn norm(&mut self, x: Place) -> Place {
        let size = self.net.size();
        match self.net.norm {
            NormKind::None => x,
            NormKind::Layer => {
                let gamma = self.random.numbers(size, 0.5, 2.0);
                let beta = self.net.biases.then(|| self.random.numbers(size, -0.5, 0.5));
                self.op("norm", Op::LayerNorm { axes: 1, gamma, beta, epsilon: 1e-5 }, &[x])
            }
            NormKind::RootMeanSquare => {
                let divisor = Divisor::RootMeanSquare { epsilon: 1e-5 };
                let normed = self.op("norm", Op::Normalize { divisor, axis: 2 }, &[x]);
                let weight = Some(self.random.tensor(&[size], 0.5, 2.0));
                self.op("gamma", Op::Scale { weight, bias: None }, &[normed])
            }
            NormKind::L2 => self.op("norm", Op::Normalize { divisor: Divisor::L2, axis: 2 }, &[x]),
        }
    }

    /// Heads in front: `[heads, tokens, width]`.
    fn split(&mut self, x: Place, heads: usize) -> Place {
        let to = vec![self.net.tokens, heads, self.net.width];
        let split = self.op("split", Op::Reshape { to }, &[x]);
        self.op("turn", Op::Transpose { permutation: vec![0, 2, 1, 3] }, &[split])
    }

    /// `x · cos + [−x₂, x₁] · sin`.
    fn turned(&mut self, x: Place, heads: usize) -> Place {
        let (tokens, width) = (self.net.tokens, self.net.width);
        let half = width / 2;
        let angle = |token: usize, element: usize| token as f64 * 0.7_f64.powi((element % half) as i32);
        let table =
            |f: &dyn Fn(usize, usize) -> f64| Tensor::from_shape_fn(vec![1, tokens, width], |at| f(at[1], at[2]));
        let cos = table(&|token, element| angle(token, element).cos());
        let sin = table(&|token, element| angle(token, element).sin() * if element < half { -1.0 } else { 1.0 });
        let swapped = (0..width).map(|element| (element + half) % width).collect();
        let swapped = self.gather(x, vec![(0..heads).collect(), (0..tokens).collect(), swapped]);
        let kept = self.op("cos", Op::Scale { weight: Some(cos), bias: None }, &[x]);
        let moved = self.op("sin", Op::Scale { weight: Some(sin), bias: None }, &[swapped]);
        self.op("turned", Op::Add { inputs: 2 }, &[kept, moved])
    }

    /// Heads of keys and values, once for each head of queries.
    fn repeated(&mut self, x: Place) -> Place {
        let Transformer { tokens, heads, group, width, .. } = *self.net;
        if group == 1 {
            return x;
        }
        let apart = self.op("apart", Op::Reshape { to: vec![heads / group, 1, tokens, width] }, &[x]);
        let many = self.op("repeat", Op::Broadcast { to: vec![heads / group, group, tokens, width] }, &[apart]);
        self.op("joined", Op::Reshape { to: vec![heads, tokens, width] }, &[many])
    }

    fn attention(&mut self, x: Place) -> Place {
        let Transformer { tokens, heads, group, width, causal, padding, rotary, .. } = *self.net;
        let size = self.net.size();
        let [mut q, mut k, v] = [heads, heads / group, heads / group].map(|heads| {
            let projected = self.dense(x, size, heads * width);
            self.split(projected, heads)
        });
        if rotary {
            q = self.turned(q, heads);
            k = self.turned(k, heads / group);
        }
        let (k, v) = (self.repeated(k), self.repeated(v));
        let k = self.op("turn", Op::Transpose { permutation: vec![0, 1, 3, 2] }, &[k]);
        let scores = self.op("scores", Op::MatMul { all_to: None }, &[q, k]);
        let weight = Some(Tensor::from_elem(vec![1], 1.0 / (width as f64).sqrt()));
        let mut scores = self.op("scaled", Op::Scale { weight, bias: None }, &[scores]);
        if causal || padding > 0 {
            let hidden = |at: ndarray::IxDyn| (causal && at[2] > at[1]) || at[2] >= tokens - padding;
            let mask = Tensor::from_shape_fn(vec![1, tokens, tokens], |at| if hidden(at) { MASKED } else { 0.0 });
            scores = self.op("mask", Op::Scale { weight: None, bias: Some(mask) }, &[scores]);
        }
        let weights = self.op("softmax", Op::Softmax { axis: 3, logarithm: false }, &[scores]);
        let mixed = self.op("mixed", Op::MatMul { all_to: None }, &[weights, v]);
        let turned = self.op("turn", Op::Transpose { permutation: vec![0, 2, 1, 3] }, &[mixed]);
        let joined = self.op("join", Op::Reshape { to: vec![tokens, size] }, &[turned]);
        self.dense(joined, size, size)
    }

    fn perceptron(&mut self, x: Place) -> Place {
        let (size, hidden) = (self.net.size(), 4);
        let up = self.dense(x, size, hidden);
        let function = match self.net.perceptron {
            Perceptron::Relu => Function::Relu,
            Perceptron::Gelu => Function::Gelu { tanh: false },
            Perceptron::SwiGlu => Function::Silu,
        };
        let mut activated = self.op("activation", Op::Activation { function }, &[up]);
        if self.net.perceptron == Perceptron::SwiGlu {
            let other = self.dense(x, size, hidden);
            activated = self.op("product", Op::Mul { gate: None }, &[activated, other]);
        }
        self.dense(activated, hidden, size)
    }
}
