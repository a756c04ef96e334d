//! The cost of a rule at one layer, in units of one adjoint pass of the same layer.
//!
//! ```sh
//! cargo bench -p lrp-rules                                     # every rule on every layer that it goes with
//! cargo bench -p lrp-rules -- gamma depthwise                  # those where a rule or layer contains a word
//! cargo bench -p lrp-rules -- dense --threads 1 --batch 8
//! cargo bench -p lrp-rules -- --signed                         # inputs and relevance as where there are no ReLUs
//! cargo bench -p lrp-rules -- --exact                          # convolutions without Winograd
//! ```
//!
//! Rules are prepared beforehand. The adjoint pass and the rule run in turns, and the best time of each counts: on a machine with other load
//! their ratio says more than either. Inputs are those after a ReLU, and only positive outputs have relevance, unless `--signed`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Io, Operator};
use lrp_core::ops::{Activation, Add, Conv, Dense, Function, Mul};
use lrp_core::rule::Layer;
use lrp_core::{Rule, Tensor};
use lrp_rules::{
    AlphaBeta, BiasMode, Deconvnet, Epsilon, EpsilonValue, Factors, Flat, Gamma, Gradient, GuidedBackprop, Norm, Pass,
    Product, Residual, WSquare, ZBox, ZPlus, Zero,
};

type Layers = Vec<(&'static str, Arc<dyn Operator<f32>>)>;
type Rules = Vec<(&'static str, Option<Box<dyn Rule<f32>>>)>;

/// Minimum rounds and minimum time of each measurement.
const ROUNDS: usize = 15;
const LEAST: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Options {
    words: Vec<String>,
    threads: Option<usize>,
    batch: Option<usize>,
    signed: bool,
    exact: bool,
}

impl Options {
    fn of_this_run() -> Result<Self, Box<dyn Error>> {
        let mut options = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().ok_or("a number is missing")?.parse().map_err(Box::<dyn Error>::from);
            match argument.as_str() {
                "--bench" => {}
                "--threads" => options.threads = Some(number()?),
                "--batch" => options.batch = Some(number()?),
                "--signed" => options.signed = true,
                "--exact" => options.exact = true,
                word => options.words.push(word.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, layer: &str, rule: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| layer.contains(word) || rule.contains(word))
    }
}

/// Numbers in −0.5..0.5 from a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 16_777_216.0 - 0.5
    }

    fn tensor(&mut self, shape: &[usize]) -> Tensor<f32> {
        Tensor::from_shape_simple_fn(shape, || self.next())
    }
}

/// Layers as they occur in VGG-16, ResNet-50 and MobileNet-v2, and operators without weights for the rules that are for these.
fn layers() -> Result<Layers, Box<dyn Error>> {
    let mut noise = Noise(1);
    let mut conv = |inputs: usize, outputs: usize, groups: usize, kernel: usize| {
        let weights = noise.tensor(&[outputs, inputs / groups, kernel, kernel]);
        let bias = (0..outputs).map(|_| noise.next()).collect();
        let spec = WindowSpec::new(&[kernel, kernel]).pad(kernel / 2);
        Conv::new(weights, Some(bias), &spec, groups, &[inputs, 56, 56])
    };
    let (square, pointwise, depthwise) = (conv(256, 256, 1, 3)?, conv(256, 64, 1, 1)?, conv(144, 144, 144, 3)?);
    let bias = (0..4096).map(|_| noise.next()).collect();
    let shape = [256, 56, 56];
    Ok(vec![
        ("conv 3×3 256→256 @56", Arc::new(square)),
        ("conv 1×1 256→64 @56", Arc::new(pointwise)),
        ("depthwise 3×3 144 @56", Arc::new(depthwise)),
        ("dense 4096→4096", Arc::new(Dense::new(noise.tensor(&[4096, 4096]), Some(bias), &[4096])?)),
        ("relu 256 @56", Arc::new(Activation::new(Function::Relu, &shape)?)),
        ("add 256 @56", Arc::new(Add::new(2, &shape)?)),
        ("mul 256 @56", Arc::new(Mul::new(None, &shape)?)),
    ])
}

/// The rules, after the forward pass for comparison.
fn rules() -> Result<Rules, Box<dyn Error>> {
    let (stabilizer, bias) = (1e-6, BiasMode::Absorb);
    Ok(vec![
        ("(forward pass)", None),
        ("zero", Some(Box::new(Zero { bias }))),
        ("epsilon", Some(Box::new(Epsilon { epsilon: EpsilonValue::Absolute(stabilizer), bias }))),
        ("gamma", Some(Box::new(Gamma { gamma: 0.25, stabilizer, bias }))),
        ("alpha-beta", Some(Box::new(AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer, bias }))),
        ("z-plus", Some(Box::new(ZPlus { stabilizer, bias }))),
        ("w-square", Some(Box::new(WSquare { stabilizer, bias }))),
        ("flat", Some(Box::new(Flat { stabilizer }))),
        ("z-box", Some(Box::new(ZBox { low: Some(vec![-0.5]), high: Some(vec![0.5]), stabilizer }))),
        ("norm", Some(Box::new(Norm { stabilizer, residual: Residual::Signed }))),
        ("product", Some(Box::new(Product::new(Factors::Uniform)))),
        ("pass", Some(Box::new(Pass))),
        ("gradient", Some(Box::new(Gradient))),
        ("guided-backprop", Some(Box::new(GuidedBackprop))),
        ("deconvnet", Some(Box::new(Deconvnet))),
    ])
}

/// A layer with its recorded activations and the relevance at its output.
struct Bench {
    op: Arc<dyn Operator<f32>>,
    inputs: Vec<Tensor<f32>>,
    output: Tensor<f32>,
    relevance: Tensor<f32>,
    nonnegative: bool,
}

impl Bench {
    fn new(op: Arc<dyn Operator<f32>>, options: &Options) -> Self {
        let op = if options.exact { None } else { op.fastest() }.unwrap_or(op);
        let mut noise = Noise(2);
        let mut input = |shape: &Vec<usize>| {
            let x = noise.tensor(&[&[options.batch.unwrap_or(1)], shape.as_slice()].concat());
            if options.signed { x } else { x.mapv(|v| v.max(0.0)) }
        };
        let inputs: Vec<Tensor<f32>> = op.input_shapes().iter().map(&mut input).collect();
        let output = op.forward(&inputs.iter().collect::<Vec<_>>());
        let relevance = output.mapv(|z| if options.signed || z > 0.0 { noise.next() } else { 0.0 });
        Self { op, inputs, output, relevance, nonnegative: !options.signed }
    }

    /// The times of the forward pass, or of a rule if it goes with the layer: in seconds, and in adjoint passes.
    fn measure(&self, rule: Option<&dyn Rule<f32>>) -> Option<[f64; 2]> {
        let inputs: Vec<&Tensor<f32>> = self.inputs.iter().collect();
        let io = Io { inputs: &inputs, output: &self.output };
        let pass = || drop(black_box(self.op.vjp(io, &self.relevance)));
        let Some(rule) = rule else { return Some(side_by_side(pass, || drop(black_box(self.op.forward(&inputs))))) };
        let layer = Layer {
            name: "layer",
            op: &self.op,
            nonnegative_inputs: self.nonnegative,
            nonnegative_outputs: false,
            skip_input: None,
        };
        let prepared = rule.prepare(&layer).ok()?;
        Some(side_by_side(pass, || drop(black_box(prepared.propagate(io, &self.relevance)))))
    }
}

/// The seconds that `f` takes, and the ratio to those that `unit` takes.
fn side_by_side(unit: impl Fn(), f: impl Fn()) -> [f64; 2] {
    let time = |f: &dyn Fn()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    // The first time, weights are packed.
    unit();
    f();
    let (mut pass, mut own) = (f64::INFINITY, f64::INFINITY);
    let begin = Instant::now();
    for round in 0.. {
        if round >= ROUNDS && begin.elapsed() > LEAST {
            break;
        }
        pass = pass.min(time(&unit));
        own = own.min(time(&f));
    }
    [own, own / pass]
}

fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let (rules, mut layers) = (rules()?, layers()?);
    layers.retain(|(layer, _)| rules.iter().any(|(rule, _)| options.wants(layer, rule)));
    let benches: Vec<_> = layers.into_iter().map(|(name, op)| (name, Bench::new(op, options))).collect();

    println!("| rule | {} |", benches.iter().map(|(layer, _)| *layer).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(benches.len()));
    for (name, rule) in &rules {
        let cell = |(layer, bench): &(&str, Bench)| {
            let [seconds, passes] = options.wants(layer, name).then(|| bench.measure(rule.as_deref())).flatten()?;
            Some(format!("{passes:.2} ({:.3} ms)", 1e3 * seconds))
        };
        let cells: Vec<Option<String>> = benches.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    lrp_core::memory::keep();
    let options = Options::of_this_run()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads.unwrap_or(0)).build()?;
    pool.install(|| table(&options).map_err(|error| error.to_string()))?;
    Ok(())
}
