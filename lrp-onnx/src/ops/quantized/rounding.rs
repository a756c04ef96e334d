//! The rounding of a quantization, for the forward pass that the file would compute.

use lrp_core::operator::{Io, Kind, Operator};
use lrp_core::{OperatorError, Scalar, Tensor};

/// The real values after a quantization: rounded to steps, and limited to the range of the integers. Relevance would pass
/// it unchanged, but no relevance is propagated through it.
#[derive(Debug, Clone)]
pub(super) struct Rounding {
    step: Option<Fixed>,
    shape: [Vec<usize>; 1],
}

/// A step that the file fixes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fixed {
    pub scale: f64,
    pub zero: f64,
    /// The least and the largest integer.
    pub range: (f64, f64),
}

impl Fixed {
    /// The real value of the integer that is nearest to `x / scale + zero`; ties go to even numbers.
    ///
    /// The quotient is one of single precision, as files compute it: pixels and bytes over a scale such as 6/255 are ties there, and not in double
    /// precision, where the scale is a little more or less than that.
    fn rounded(self, x: f64) -> f64 {
        let quotient = f64::from(x as f32 / self.scale as f32);
        let q = (quotient.round_ties_even() + self.zero).clamp(self.range.0, self.range.1);
        (q - self.zero) * self.scale
    }

    /// That `DynamicQuantizeLinear` chooses for elements between these: to bytes, so that zero is one of them.
    fn between(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = if high > low { (high - low) / 255.0 } else { 1.0 };
        Self { scale, zero: (-low / scale).clamp(0.0, 255.0).round_ties_even(), range: (0.0, 255.0) }
    }
}

impl Rounding {
    /// By a step of the file, or by one for each sample (`None`), as `DynamicQuantizeLinear` chooses it.
    ///
    /// # Errors
    /// When the step is no positive number.
    pub fn new(step: Option<Fixed>, input: &[usize]) -> Result<Self, OperatorError> {
        match step {
            Some(Fixed { scale, zero, range: (low, high) })
                if !scale.is_finite() || scale <= 0.0 || !zero.is_finite() || low.is_nan() || low > high =>
            {
                Err(OperatorError::new(format!("it quantizes by a scale of {scale} and a zero point of {zero}")))
            }
            _ => Ok(Self { step, shape: [input.to_vec()] }),
        }
    }
}

impl<T: Scalar> Operator<T> for Rounding {
    fn kind(&self) -> Kind {
        Kind::Identity
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return Tensor::zeros(vec![0]) };
        let mut y = (*x).clone();
        for mut sample in y.outer_iter_mut() {
            let step = self.step.unwrap_or_else(|| {
                let ends =
                    sample.iter().fold((0.0f64, 0.0f64), |(low, high), v| (low.min(v.wide()), high.max(v.wide())));
                Fixed::between(ends.0, ends.1)
            });
            sample.mapv_inplace(|v| T::of(step.rounded(v.wide())));
        }
        y
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![g.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let of = |step: Option<Fixed>, x: &Tensor<f64>| Rounding::new(step, &x.shape()[1..]).unwrap().forward(&[x]);
        // 0.5 and 1.5 steps go to even numbers; bytes begin at −3 steps.
        let fixed = Fixed { scale: 0.5, zero: 3.0, range: (0.0, 255.0) };
        let x = array![[-9.0, -0.25, 0.25, 0.75, 0.9, 1000.0]].into_dyn();
        assert_eq!(of(Some(fixed), &x), array![[-1.5, 0.0, 0.0, 1.0, 1.0, 126.0]].into_dyn());
        // A tie in single precision: 3 is 127.5 steps of 6/255, and a little less of the number that is stored.
        let scale = f64::from(6.0_f32 / 255.0);
        let tie = Fixed { scale, zero: 0.0, range: (0.0, 255.0) };
        assert!(3.0 / scale < 127.5);
        assert_eq!(of(Some(tie), &array![[3.0]].into_dyn()), array![[128.0 * scale]].into_dyn());
        // From −1 to 4.1: steps of 0.02, and zero is the 50th.
        let x = array![[-1.0, 4.1, 0.031], [0.0, 0.0, 0.0]].into_dyn();
        let y = of(None, &x);
        for (a, b) in y.iter().zip([-1.0, 4.1, 0.04, 0.0, 0.0, 0.0]) {
            assert!((a - b).abs() < 1e-12, "{y}");
        }
        for scale in [0.0, -1.0, f64::NAN] {
            assert!(Rounding::new(Some(Fixed { scale, ..fixed }), &[2]).is_err());
        }
    }
}
