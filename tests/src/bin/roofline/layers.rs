//! The convolutions and dense layers of VGG-16, ResNet-50 and MobileNet-v2 (as in torchvision, images of 224×224), each shape once.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::Affine;
use lrp_core::ops::{Conv, Dense};
use lrp_core::tensor::volume;
use lrp_tests::Random;

/// The names of the networks.
pub const NETWORKS: [&str; 3] = ["VGG-16", "ResNet-50", "MobileNet-v2"];

/// The shape of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A padded convolution of square maps.
    Conv { inputs: usize, outputs: usize, groups: usize, size: usize, kernel: usize, stride: usize },
    /// A fully connected layer.
    Dense { inputs: usize, outputs: usize },
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Layer::Dense { inputs, outputs } => write!(f, "dense {inputs}→{outputs}"),
            Layer::Conv { inputs, outputs, groups, size, kernel, stride } => {
                let stride = if stride > 1 { format!(" stride {stride}") } else { String::new() };
                if groups == 1 {
                    write!(f, "{kernel}×{kernel}{stride} {inputs}→{outputs} @{size}")
                } else {
                    write!(f, "{kernel}×{kernel}{stride} depthwise {outputs} @{size}")
                }
            }
        }
    }
}

impl Layer {
    /// The layer with random weights, computed without Winograd.
    pub fn operator(self) -> Result<Arc<dyn Affine<f32>>, Box<dyn Error>> {
        let mut random = Random(1);
        match self {
            Layer::Dense { inputs, outputs } => {
                let weights = random.tensor(&[outputs, inputs], -0.5, 0.5);
                Ok(Arc::new(Dense::new(weights, None, &[inputs])?))
            }
            Layer::Conv { inputs, outputs, groups, size, kernel, stride } => {
                let weights = random.tensor(&[outputs, inputs / groups, kernel, kernel], -0.5, 0.5);
                let spec = WindowSpec::new(&[kernel, kernel]).stride(stride).pad(kernel / 2);
                Ok(Arc::new(Conv::new(weights, None, &spec, groups, &[inputs, size, size])?))
            }
        }
    }

    /// Floating-point operations, either way, without Winograd.
    pub fn operations(op: &dyn Affine<f32>) -> f64 {
        let positions = op.output_shape().iter().skip(1).product::<usize>();
        (2 * op.parameters() * positions) as f64
    }

    /// Bytes that have to be moved at least: input, weights and output, once each.
    pub fn bytes(op: &dyn Affine<f32>) -> f64 {
        (size_of::<f32>() * (volume(&op.input_shapes()[0]) + op.parameters() + volume(op.output_shape()))) as f64
    }
}

/// The layers of a network, and how often each occurs.
pub fn layers(network: &str) -> Vec<(Layer, usize)> {
    let all = match network {
        "VGG-16" => vgg16(),
        "ResNet-50" => resnet50(),
        _ => mobilenet_v2(),
    };
    let mut distinct: Vec<(Layer, usize)> = Vec::new();
    for layer in all {
        match distinct.iter_mut().find(|(known, _)| *known == layer) {
            Some((_, count)) => *count += 1,
            None => distinct.push((layer, 1)),
        }
    }
    distinct
}

fn conv(inputs: usize, outputs: usize, size: usize, kernel: usize, stride: usize) -> Layer {
    Layer::Conv { inputs, outputs, groups: 1, size, kernel, stride }
}

/// Simonyan and Zisserman 2015.
fn vgg16() -> Vec<Layer> {
    let (mut layers, mut inputs, mut size) = (Vec::new(), 3, 224);
    for (convolutions, outputs) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
        for _ in 0..convolutions {
            layers.push(conv(inputs, outputs, size, 3, 1));
            inputs = outputs;
        }
        size /= 2;
    }
    let dense = [(25088, 4096), (4096, 4096), (4096, 1000)];
    layers.extend(dense.map(|(inputs, outputs)| Layer::Dense { inputs, outputs }));
    layers
}

/// He et al. 2016, strides in the 3×3 convolutions.
fn resnet50() -> Vec<Layer> {
    let (mut layers, mut inputs, mut size) = (vec![conv(3, 64, 224, 7, 2)], 64, 56);
    for (blocks, channels, first_stride) in [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)] {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            layers.push(conv(inputs, channels, size, 1, 1));
            layers.push(conv(channels, channels, size, 3, stride));
            layers.push(conv(channels, 4 * channels, size / stride, 1, 1));
            if block == 0 {
                layers.push(conv(inputs, 4 * channels, size, 1, stride));
            }
            (inputs, size) = (4 * channels, size / stride);
        }
    }
    layers.push(Layer::Dense { inputs, outputs: 1000 });
    layers
}

/// Sandler et al. 2018, table 2.
fn mobilenet_v2() -> Vec<Layer> {
    let (mut layers, mut inputs, mut size) = (vec![conv(3, 32, 224, 3, 2)], 32, 112);
    let blocks =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expansion, outputs, repeats, first_stride) in blocks {
        for repeat in 0..repeats {
            let (stride, hidden) = (if repeat == 0 { first_stride } else { 1 }, expansion * inputs);
            if expansion > 1 {
                layers.push(conv(inputs, hidden, size, 1, 1));
            }
            layers.push(Layer::Conv { inputs: hidden, outputs: hidden, groups: hidden, size, kernel: 3, stride });
            layers.push(conv(hidden, outputs, size / stride, 1, 1));
            (inputs, size) = (outputs, size / stride);
        }
    }
    layers.extend([conv(inputs, 1280, size, 1, 1), Layer::Dense { inputs: 1280, outputs: 1000 }]);
    layers
}
