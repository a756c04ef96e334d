//! Contributions `(x − l) w⁺ + (x − h) w⁻` of inputs within bounds, which is `x w − l w⁺ − h w⁻` without its cancellations: an input at its bound
//! contributes exactly nothing, whatever the stabilizer makes of its denominator.

use std::sync::Arc;

use super::bias::Bias;
use super::difference::{LEFT, has_many_weights};
use super::maps::{Gains, Maps};
use super::quotient::epsilons;
use super::signed::{Signed, SignedInputs, nothing_yet};
use crate::error::RuleError;
use crate::formula::{BiasMode, Bounds, Stabilizer};
use crate::operator::{Affine, Io};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, samples, update_sums, zip_sums};

pub(super) struct Bounded<T: Scalar> {
    /// One tensor for each input, `[1, …]`.
    low: Vec<Tensor<T>>,
    high: Vec<Tensor<T>>,
    contributions: Signed<T>,
    /// Where a pass can be saved.
    recorded: Option<Recorded<T>>,
    no_bias: Bias<T>,
    stabilizer: Stabilizer,
}

impl<T: Scalar> Bounded<T> {
    pub(super) fn new(op: &Arc<dyn Affine<T>>, bounds: &Bounds, stabilizer: Stabilizer) -> Result<Self, RuleError> {
        if matches!(stabilizer, Stabilizer::Relative(_)) {
            return Err(RuleError::new("a relative stabilizer goes with branches only"));
        }
        let shapes = op.input_shapes();
        let (low, high): (Vec<_>, Vec<_>) = match bounds {
            Bounds::Channels { low, high } => {
                let of = |values: &[f64]| shapes.iter().map(|shape| filled(values, shape)).collect::<Result<_, _>>();
                (of(low)?, of(high)?)
            }
            Bounds::Elements(bounds) => {
                if !bounds.iter().map(|[low, _]| low.shape()).eq(shapes.iter().map(|shape| batch_shape(1, shape))) {
                    return Err(RuleError::new("its bounds are for inputs of other shapes"));
                }
                let narrow = |bound: &Tensor<f64>| bound.mapv(T::of);
                bounds.iter().map(|[low, high]| (narrow(low), narrow(high))).unzip()
            }
        };
        let contributions = Signed::new(&Maps::new(op), Gains::positive_only());
        let [mut lows, mut highs] = bounds.all();
        let around_zero = !lows.any(|low| low > 0.0) && !highs.any(|high| high < 0.0);
        Ok(Self {
            recorded: (around_zero && has_many_weights(op.as_ref()))
                .then(|| Recorded::new(op.as_ref(), &contributions, &low, &high)),
            low,
            high,
            contributions,
            no_bias: Bias::new(op.as_ref(), BiasMode::Ignore),
            stabilizer,
        })
    }
}

/// A tensor `[1, shape…]` with one value everywhere, or one per channel.
fn filled<T: Scalar>(values: &[f64], shape: &[usize]) -> Result<Tensor<T>, RuleError> {
    let channels = shape.first().copied().unwrap_or(1);
    if values.len() != 1 && values.len() != channels {
        let message = format!("its bounds have {} numbers, the input has {channels} channels", values.len());
        return Err(RuleError::new(message));
    }
    let value = |index: ndarray::IxDyn| values.get(index[1] % values.len()).copied().unwrap_or(0.0);
    Ok(Tensor::from_shape_fn(batch_shape(1, shape), |index| T::of(value(index))))
}

/// Computes the sums from the recorded output `z = x w + b`: they are `z − b − (l w⁺ + h w⁻)`. With `l ≤ 0 ≤ h`, all products in brackets have one
/// sign, so that their size shows how much has cancelled.
struct Recorded<T: Scalar> {
    /// `b + l w⁺ + h w⁻`, `[1, …]`.
    shift: Tensor<T>,
    /// The smallest sums that are exact enough.
    least: Tensor<T>,
}

impl<T: Scalar> Recorded<T> {
    fn new(op: &dyn Affine<T>, contributions: &Signed<T>, low: &[Tensor<T>], high: &[Tensor<T>]) -> Self {
        let bounds = SignedInputs::above_and_below(low.to_vec(), high.to_vec());
        let mask = Tensor::ones(batch_shape(1, op.output_shape()));
        let constants = contributions.apply(&bounds, None, &mask);
        let left = T::of(LEFT);
        match op.bias() {
            Some(b) => Self { least: (constants.mapv(T::abs) + b.mapv(T::abs)) * left, shift: constants + b },
            None => Self { least: constants.mapv(T::abs) * left, shift: constants },
        }
    }

    /// The sums for the inputs `x`, inside the box, where relevance `r` is nonzero.
    fn sums(&self, z: &Tensor<T>, contributions: &Signed<T>, x: &SignedInputs<'_, T>, r: &Tensor<T>) -> Tensor<T> {
        let (mut sums, _) = zip_sums(z, &self.shift, |_| |z, shift| (z - shift, []));
        // Marked by what no sum is.
        let unknown = update_sums(&mut sums, &self.least, r, |sum, least, r| {
            let known = (sum >= least) | r.is_zero();
            (if known { sum } else { T::infinity() }, [f64::from(u8::from(!known))])
        });
        contributions.recompute(&mut sums, &unknown, x, None, r);
        sums
    }
}

impl<T: Scalar> PreparedRule<T> for Bounded<T> {
    fn needs(&self) -> Needs {
        if self.recorded.is_some() { Needs::RELEVANT } else { Needs::INPUTS }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let inside = |bounds: &[Tensor<T>]| io.inputs.iter().zip(bounds).map(|(x, b)| *x - b).collect();
        let x = SignedInputs::above_and_below(inside(&self.low), inside(&self.high));
        let epsilon = epsilons(self.stabilizer, samples(r), io.output);
        let mut result = nothing_yet(r);
        let sums = self.recorded.as_ref().map(|recorded| recorded.sums(io.output, &self.contributions, &x, r));
        let bias = (&self.no_bias, None);
        self.contributions.add_shares(sums.as_ref(), bias, &epsilon, &x, (T::one(), r), &mut result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::window::WindowSpec;
    use crate::ops::{Conv, Dense};

    fn bounds(low: &[f64], high: &[f64]) -> Bounds {
        Bounds::Channels { low: low.to_vec(), high: high.to_vec() }
    }

    /// Sums from the output and sums from the inputs, where they are ordinary, where they cancel, and where relevance is zero.
    #[test]
    fn sums_are_found_in_the_output() {
        let number = |i: usize| f64::from(u32::try_from(i * i % 97).unwrap()) / 48.5 - 1.0;
        let numbers = |n: usize| (0..n).map(number).collect::<Vec<f64>>();
        let relevance = [3.0, 2.0, -1.0, 0.0, 1.0, 4.0, 0.5, 0.0, 2.0];
        // The second sample is at the lower bound, where the third output, of positive weights, has nothing; the third sample is nearly.
        let low = [-0.75, -0.5];
        let at = |i: usize| low[i / 20];
        let x: Vec<f64> = numbers(40)
            .into_iter()
            .map(|v| v / 4.0)
            .chain((0..40).map(at))
            .chain((0..40).map(|i| at(i) + f64::from(2.0_f32.powi(-13))))
            .collect();
        let w: Vec<f64> = numbers(80).into_iter().chain(numbers(40).iter().map(|w| w.abs())).collect();
        let b = vec![0.75, -20.0, 0.5];
        let rule = bounds(&low, &[1.0, 1.0]);

        fn run<T: Scalar>(rule: &Bounds, [x, w, b, r]: [&[f64]; 4], recorded: bool) -> Propagated<f64> {
            let tensor = |shape: &[usize], v: &[f64]| {
                Tensor::from_shape_vec(shape, v.iter().map(|&v| T::of(v)).collect()).unwrap()
            };
            let bias = b.iter().map(|&b| T::of(b)).collect();
            let op = Conv::new(tensor(&[3, 2, 20], w), Some(bias), &WindowSpec::new(&[20]), 1, &[2, 20]).unwrap();
            let op: Arc<dyn Affine<T>> = Arc::new(op);
            let x = tensor(&[3, 2, 20], x);
            let z = op.forward(&[&x]);
            let mut prepared = Bounded::new(&op, rule, Stabilizer::Absolute(1e-6)).unwrap();
            assert!(prepared.recorded.is_some());
            prepared.recorded = prepared.recorded.filter(|_| recorded);
            let out = prepared.propagate(Io { inputs: &[&x], output: &z }, &tensor(&[3, 3, 1], r));
            let Propagated { relevance, bias, stabilizer, rule } = out;
            Propagated { relevance: relevance.iter().map(|r| r.mapv(T::wide)).collect(), bias, stabilizer, rule }
        }
        let all = [&x[..], &w, &b, &relevance];
        let expected = run::<f64>(&rule, all, false);
        for (found, tolerance) in [(run::<f64>(&rule, all, true), 1e-12), (run::<f32>(&rule, all, true), 1e-4)] {
            let pairs = found.relevance[0].iter().zip(&expected.relevance[0]);
            let pairs = pairs.chain(found.stabilizer.iter().zip(&expected.stabilizer));
            for (found, expected) in pairs {
                assert!((found - expected).abs() <= tolerance * (1e-2 + expected.abs()), "{found} {expected}");
            }
        }
    }

    /// One output sees an input at its bound, so that the stabilizer absorbs all; it must not disturb the other output's share.
    #[test]
    fn inputs_at_their_bound_contribute_exactly_nothing() {
        let w = Tensor::from_shape_vec(vec![2, 1], vec![-0.125_f32, 0.375]).unwrap();
        let op: Arc<dyn Affine<f32>> = Arc::new(Dense::new(w, None, &[1]).unwrap());
        let rule = Bounded::new(&op, &bounds(&[-0.5], &[-0.375]), Stabilizer::Absolute(1e-6)).unwrap();
        let x = Tensor::from_elem(vec![1, 1], -0.375);
        let z = op.forward(&[&x]);
        let r = Tensor::from_elem(vec![1, 2], 0.5);
        let out = rule.propagate(Io { inputs: &[&x], output: &z }, &r);
        // (x − l) w⁺ = 0.046875 at the second output.
        let expected = 0.5 * 0.046_875 / 0.046_876;
        assert!((f64::from(out.relevance[0][[0, 0]]) - expected).abs() < 1e-6, "{out:?}");
        assert!((out.stabilizer[0] - (1.0 - expected)).abs() < 1e-6, "{out:?}");
    }

    /// Bounds by element that are those of the channels give the same.
    #[test]
    fn bounds_by_element() {
        let tensor = |values: [f64; 4]| Tensor::from_shape_vec(vec![1, 2, 2], values.to_vec()).unwrap();
        let op: Arc<dyn Affine<f64>> = Arc::new(Dense::new(Tensor::ones(vec![1, 2]), None, &[2, 2]).unwrap());
        let (x, r) = (tensor([0.25, 1.0, 2.0, -0.5]), Tensor::from_elem(vec![1, 2, 1], 1.0));
        let z = op.forward(&[&x]);
        let run = |bounds: &Bounds| {
            let rule = Bounded::new(&op, bounds, Stabilizer::Absolute(0.0)).unwrap();
            rule.propagate(Io { inputs: &[&x], output: &z }, &r).relevance
        };
        let by_element = |low, high| Bounds::Elements(vec![[tensor(low), tensor(high)]]);
        let same = by_element([-1.0, -1.0, -0.5, -0.5], [2.0; 4]);
        assert_eq!(run(&same), run(&bounds(&[-1.0, -0.5], &[2.0])));
        // By hand: (0.25 + 1, 1 + 0) of their sum where the second element's lower bound is 1.
        let padded = by_element([-1.0, 1.0, -0.5, -0.5], [2.0; 4]);
        assert_eq!(run(&padded)[0].iter().copied().take(2).collect::<Vec<_>>(), [1.0, 0.0]);
        let other: Arc<dyn Affine<f64>> = Arc::new(Dense::new(Tensor::ones(vec![1, 2]), None, &[2]).unwrap());
        assert!(Bounded::new(&other, &same, Stabilizer::Absolute(0.0)).is_err());
        assert!(Bounded::new(&other, &bounds(&[0.0], &[1.0; 3]), Stabilizer::Absolute(0.0)).is_err());
    }
}
