//! An affine operator as the explicit matrix of its weights.

use lrp_core::Tensor;
use lrp_core::operator::Affine;
use lrp_core::tensor::batch_shape;

/// `z_k = Σ_j x_j w_jk + b_k`, with the elements of all inputs numbered one after the other.
pub struct Matrix {
    /// `weights[j][k]`.
    pub weights: Vec<Vec<f64>>,
    /// Whether output `k` sees input `j`, however small the weight; padding is seen by nobody.
    pub connected: Vec<Vec<bool>>,
    /// `b_k`, where there is a bias.
    pub bias: Option<Vec<f64>>,
    /// Which of the operator's inputs element `j` belongs to, and how many there are.
    pub input_of: Vec<usize>,
    /// Number of outputs.
    pub outputs: usize,
}

impl Matrix {
    /// The operator's matrix: what it makes of one unit vector after the other.
    pub fn of(op: &dyn Affine<f64>) -> Self {
        let outputs: usize = op.output_shape().iter().product();
        let ones = op.map_weights(&|_| 1.0);
        let (mut weights, mut connected, mut input_of) = (Vec::new(), Vec::new(), Vec::new());
        for (i, shape) in op.input_shapes().iter().enumerate() {
            for j in 0..shape.iter().product() {
                let unit: Vec<Tensor<f64>> = op
                    .input_shapes()
                    .iter()
                    .enumerate()
                    .map(|(other, shape)| {
                        let mut x = Tensor::zeros(batch_shape(1, shape));
                        if other == i {
                            x.as_slice_mut().unwrap()[j] = 1.0;
                        }
                        x
                    })
                    .collect();
                let unit: Vec<&Tensor<f64>> = unit.iter().collect();
                weights.push(op.apply(&unit).iter().copied().collect());
                connected.push(ones.apply(&unit).iter().map(|&n| n != 0.0).collect());
                input_of.push(i);
            }
        }
        // The whole output for inputs of zero.
        let bias = op.bias().map(|_| {
            let zeros: Vec<Tensor<f64>> =
                op.input_shapes().iter().map(|shape| Tensor::zeros(batch_shape(1, shape))).collect();
            op.forward(&zeros.iter().collect::<Vec<_>>()).iter().copied().collect()
        });
        Self { weights, connected, bias, input_of, outputs }
    }

    /// Number of input elements.
    pub fn inputs(&self) -> usize {
        self.weights.len()
    }
}
