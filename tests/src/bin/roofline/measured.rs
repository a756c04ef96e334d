//! A layer of a network with the times that it takes.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use lrp_core::Tensor;
use lrp_core::operator::Affine;
use lrp_tests::Random;

use crate::layers::Layer;
use crate::machine::Machine;

/// How often a layer is timed in one round, after once untimed.
const REPEATS: usize = 3;

/// The ways through a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Forward, every product made.
    Forward,
    /// The adjoint pass, every product made.
    Adjoint,
    /// The adjoint pass by Winograd, where the program does it that way.
    Winograd,
}

/// All of them.
pub const WAYS: [Way; 3] = [Way::Forward, Way::Adjoint, Way::Winograd];

impl Way {
    /// Its name in tables and in the figure.
    pub fn name(self) -> &'static str {
        match self {
            Way::Forward => "forward",
            Way::Adjoint => "adjoint",
            Way::Winograd => "adjoint by Winograd",
        }
    }
}

/// A layer that occurs `count` times in its network.
pub struct Measured {
    pub layer: Layer,
    pub count: usize,
    /// Floating-point operations of one way, without Winograd.
    pub operations: f64,
    /// Operations per byte that has to be moved.
    pub intensity: f64,
    bytes: f64,
    op: Arc<dyn Affine<f32>>,
    winograd: Option<Arc<dyn Affine<f32>>>,
    x: Tensor<f32>,
    s: Tensor<f32>,
    /// The best of each way so far, in seconds.
    best: [f64; 3],
}

impl Measured {
    /// With nothing measured.
    pub fn new(layer: Layer, count: usize) -> Result<Self, Box<dyn Error>> {
        let op = layer.operator()?;
        // As the program would compute it, if that is another way.
        let winograd = op.fastest().and_then(|op| op.into_affine());
        let (operations, bytes) = (Layer::operations(op.as_ref()), Layer::bytes(op.as_ref()));
        let mut random = Random(2);
        let mut noise = |shape: &[usize]| random.tensor(&[&[1], shape].concat(), -0.5, 0.5);
        let (x, s) = (noise(&op.input_shapes()[0]), noise(op.output_shape()));
        let best = [f64::INFINITY; 3];
        Ok(Self { layer, count, operations, intensity: operations / bytes, bytes, op, winograd, x, s, best })
    }

    /// Measures all ways once more.
    pub fn measure(&mut self) {
        for way in WAYS {
            let run = || match (way, &self.winograd) {
                (Way::Forward, _) => drop(black_box(self.op.apply(&[&self.x]))),
                (Way::Adjoint, _) => drop(black_box(self.op.adjoint(&self.s))),
                (Way::Winograd, Some(op)) => drop(black_box(op.adjoint(&self.s))),
                (Way::Winograd, None) => {}
            };
            if way == Way::Winograd && self.winograd.is_none() {
                continue;
            }
            run();
            for _ in 0..REPEATS {
                let start = Instant::now();
                run();
                let best = &mut self.best[way as usize];
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
    }

    /// Seconds of a way, if the layer is ever computed in it.
    pub fn seconds(&self, way: Way) -> Option<f64> {
        Some(self.best[way as usize]).filter(|seconds| seconds.is_finite())
    }

    /// Operations per second of a way; those that Winograd saves are counted.
    pub fn rate(&self, way: Way) -> Option<f64> {
        Some(self.operations / self.seconds(way)?)
    }

    /// The most operations per second that the machine allows for.
    pub fn roof(&self, machine: &Machine) -> f64 {
        machine.roof(self.intensity, self.bytes)
    }
}
