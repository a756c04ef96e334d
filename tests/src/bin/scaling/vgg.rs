//! Networks like VGG (Simonyan and Zisserman 2015), of any depth, width and image size, with random weights.

use std::error::Error;
use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::ops::{Activation, Conv, Dense, Function, MaxPool, Reshape};
use lrp_core::{Builder, Model, NodeId};
use lrp_tests::Random;

/// The shape of a network.
#[derive(Debug, Clone, Copy)]
pub struct Vgg {
    /// Number of weighted layers: 11, 13, 16 or 19.
    pub depth: usize,
    /// Height and width of images, a multiple of 32.
    pub image: usize,
    /// How many times fewer channels and hidden neurons than in the paper.
    pub narrow: usize,
}

impl Vgg {
    /// Number of convolutions before each of the five poolings.
    fn convolutions(self) -> [usize; 5] {
        match self.depth {
            11 => [1, 1, 2, 2, 2],
            13 => [2, 2, 2, 2, 2],
            16 => [2, 2, 3, 3, 3],
            19 => [2, 2, 4, 4, 4],
            depth => panic!("there is no VGG-{depth}"),
        }
    }

    /// The network, computed as the program computes it.
    pub fn build(self) -> Result<Arc<Model<f32>>, Box<dyn Error>> {
        let mut net = Net { builder: Builder::new(), random: Random(self.depth as u64) };
        let mut x = net.builder.input("image", &[3, self.image, self.image]);
        for (block, (convolutions, channels)) in
            self.convolutions().into_iter().zip([64, 128, 256, 512, 512]).enumerate()
        {
            for i in 0..convolutions {
                x = net.conv(&format!("{}_{}", block + 1, i + 1), x, channels / self.narrow)?;
            }
            let pool = MaxPool::new(&WindowSpec::new(&[2, 2]).stride(2), net.builder.shape(x))?;
            x = net.builder.add(format!("pool{}", block + 1), pool, &[x])?;
        }
        let shape = net.builder.shape(x);
        let flatten = Reshape::new(shape, &[shape.iter().product()])?;
        x = net.builder.add("flatten", flatten, &[x])?;
        for hidden in ["1", "2"] {
            x = net.dense(hidden, x, 4096 / self.narrow)?;
            x = net.relu(hidden, x)?;
        }
        x = net.dense("3", x, 1000 / self.narrow)?;
        Ok(Arc::new(net.builder.finish(x)?.fastest()))
    }

    /// Floating-point operations of one forward pass of one image.
    pub fn operations(model: &Model<f32>) -> f64 {
        let layers = model.layers().iter().map(|&id| model.node(id));
        let operations = |node: &lrp_core::graph::Node<f32>| {
            let positions: usize = node.shape.iter().skip(1).product();
            2 * positions * node.op().map_or(0, |op| op.parameters())
        };
        layers.map(operations).sum::<usize>() as f64
    }
}

struct Net {
    builder: Builder<f32>,
    random: Random,
}

impl Net {
    /// Weights that keep the size of activations (He et al. 2015).
    fn weights(&mut self, shape: &[usize]) -> lrp_core::Tensor<f32> {
        let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        self.random.tensor(shape, -bound, bound)
    }

    fn conv(&mut self, name: &str, x: NodeId, channels: usize) -> Result<NodeId, Box<dyn Error>> {
        let shape = self.builder.shape(x).to_vec();
        let weights = self.weights(&[channels, shape[0], 3, 3]);
        let conv = Conv::new(weights, Some(vec![0.0; channels]), &WindowSpec::new(&[3, 3]).pad(1), 1, &shape)?;
        let y = self.builder.add(format!("conv{name}"), conv, &[x])?;
        self.relu(name, y)
    }

    fn dense(&mut self, name: &str, x: NodeId, outputs: usize) -> Result<NodeId, Box<dyn Error>> {
        let shape = self.builder.shape(x).to_vec();
        let weights = self.weights(&[outputs, shape[0]]);
        Ok(self.builder.add(format!("dense{name}"), Dense::new(weights, Some(vec![0.0; outputs]), &shape)?, &[x])?)
    }

    fn relu(&mut self, name: &str, x: NodeId) -> Result<NodeId, Box<dyn Error>> {
        let relu = Activation::new(Function::Relu, self.builder.shape(x))?;
        Ok(self.builder.add(format!("relu{name}"), relu, &[x])?)
    }
}
