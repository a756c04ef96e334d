//! The z^B rule: for a first layer whose inputs lie between known bounds.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{batch_shape, neg, pos, samples, update_sums, zip_sums};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

use ndarray::Axis;

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::signs::{LEFT, SignedInputs, SignedPair, add_shares, has_many_weights, no_shares};

/// z^B (Montavon et al. 2017, eq. 20): `R_j = Σ_k (x_j w_jk − l_j w⁺_jk − h_j w⁻_jk) / stab(Σ_j …) · R_k` for inputs in `[l, h]`.
///
/// The bias cancels.
#[derive(Debug, Clone, PartialEq)]
pub struct ZBox {
    bounds: Bounds,
    stabilizer: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Bounds {
    /// One number each, or one per channel, for every input of the operator.
    Channels { low: Vec<f64>, high: Vec<f64> },
    /// One number each for every element: low and high, `[1, …]`, for every input of the operator.
    Elements(Vec<[Tensor<f64>; 2]>),
}

impl ZBox {
    /// The rule with these bounds: one number each, or one per channel (axis 1 of `[N, C, …]`).
    ///
    /// # Errors
    /// When a bound is missing, not finite, or a lower one is above its upper one; or when the stabilizer is negative.
    pub fn new(low: Vec<f64>, high: Vec<f64>, stabilizer: f64) -> Result<Self, ParameterError> {
        nonnegative("stabilizer", stabilizer)?;
        for (parameter, bounds) in [("low", &low), ("high", &high)] {
            if bounds.is_empty() || bounds.iter().any(|b| !b.is_finite()) {
                let message = format!("{parameter} must be a finite number, or a list with one per channel");
                return Err(ParameterError::new(parameter, message));
            }
        }
        if low.len() > 1 && high.len() > 1 && low.len() != high.len() {
            let message = format!("low has {} numbers, high {}", low.len(), high.len());
            return Err(ParameterError::new("high", message));
        }
        let n = low.len().max(high.len());
        in_order(low.iter().cycle().zip(high.iter().cycle()).take(n))?;
        Ok(Self { bounds: Bounds::Channels { low, high }, stabilizer })
    }

    /// The rule with bounds for every element, `[1, …]`, of every input of the operator.
    ///
    /// # Errors
    /// When a bound is not finite, two shapes differ, or a lower bound is above its upper one; or when the stabilizer is negative.
    pub fn of_elements(bounds: Vec<[Tensor<f64>; 2]>, stabilizer: f64) -> Result<Self, ParameterError> {
        nonnegative("stabilizer", stabilizer)?;
        for [low, high] in &bounds {
            if low.shape() != high.shape() || low.iter().chain(high).any(|bound| !bound.is_finite()) {
                let message = "low and high must be finite, with a number for each element".to_owned();
                return Err(ParameterError::new("low", message));
            }
            in_order(low.iter().zip(high))?;
        }
        Ok(Self { bounds: Bounds::Elements(bounds), stabilizer })
    }

    /// All bounds, low and high.
    fn all(&self) -> [Box<dyn Iterator<Item = f64> + '_>; 2] {
        match &self.bounds {
            Bounds::Channels { low, high } => [Box::new(low.iter().copied()), Box::new(high.iter().copied())],
            Bounds::Elements(bounds) => [0, 1].map(|side| -> Box<dyn Iterator<Item = f64>> {
                Box::new(bounds.iter().flat_map(move |bounds| bounds[side].iter().copied()))
            }),
        }
    }
}

fn in_order<'a>(mut bounds: impl Iterator<Item = (&'a f64, &'a f64)>) -> Result<(), ParameterError> {
    match bounds.find(|(low, high)| low > high) {
        Some((l, h)) => Err(ParameterError::new("low", format!("low must not be above high, got {l} and {h}"))),
        None => Ok(()),
    }
}

impl fmt::Display for ZBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = match &self.bounds {
            Bounds::Channels { low, high } => [list(low, number), list(high, number)],
            Bounds::Elements(bounds) => {
                [0, 1].map(|side| described(&bounds.iter().map(|bounds| &bounds[side]).collect::<Vec<_>>()))
            }
        };
        write_rule(f, "z-box", &[("low", low), ("high", high), ("stabilizer", number(self.stabilizer))])
    }
}

fn list(bounds: &[f64], number: impl Fn(f64) -> String) -> String {
    match bounds {
        [one] => number(*one),
        many => format!("[{}]", many.iter().map(|&b| number(b)).collect::<Vec<_>>().join(", ")),
    }
}

/// Lists of bounds that are longer are not written out.
const MOST_CHANNELS: usize = 16;

/// Bounds of elements as one number, or one per channel, where they are; else the range in which they lie.
fn described(bounds: &[&Tensor<f64>]) -> String {
    // What was carried along in single precision has no more digits than that.
    let short = |value: f64| {
        let single = value as f32;
        let is_single = f64::from(single) == value && (1e-3..1e6).contains(&value.abs());
        if is_single { format!("{single:?}") } else { number(value) }
    };
    let all = || bounds.iter().flat_map(|bounds| bounds.iter().copied());
    if let Some(one) = the_same(all()) {
        return list(&[one], short);
    }
    let channels = |bounds: &&Tensor<f64>| -> Option<Vec<f64>> {
        (bounds.len_of(Axis(1)) <= MOST_CHANNELS)
            .then(|| bounds.axis_iter(Axis(1)).map(|channel| the_same(channel.iter().copied())).collect())?
    };
    match bounds.iter().map(channels).collect::<Option<Vec<_>>>().as_deref() {
        Some([channels, others @ ..]) if others.iter().all(|other| other == channels) => list(channels, short),
        _ => {
            let (least, most) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), b| (l.min(b), h.max(b)));
            format!("\"{} to {}, by element\"", short(least), short(most))
        }
    }
}

/// The number that all are.
fn the_same(mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

impl ZBox {
    fn prepared<T: Scalar>(&self, op: &Arc<dyn Affine<T>>) -> Result<Prepared<T>, RuleError> {
        let shapes = op.input_shapes();
        let (low, high): (Vec<_>, Vec<_>) = match &self.bounds {
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
        let contributions = SignedPair::new(op, |w, _| pos(w), |w, _| neg(w), T::zero());
        let [mut lows, mut highs] = self.all();
        let around_zero = !lows.any(|low| low > 0.0) && !highs.any(|high| high < 0.0);
        Ok(Prepared {
            from_output: (around_zero && has_many_weights(op.as_ref()))
                .then(|| FromOutput::new(op.as_ref(), &contributions, &low, &high)),
            low,
            high,
            contributions,
            no_bias: Bias::new(op.as_ref(), BiasMode::Ignore),
            stabilizer: self.stabilizer,
        })
    }
}

impl<T: Scalar> Rule<T> for ZBox {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(Box::new(self.prepared(&layer.affine()?)?))
    }

    fn claims(&self) -> Claims {
        // Inside the box of every channel; channels may have none in common. A box of a single point leaves nothing but rounding.
        let [lows, highs] = self.all();
        let (low, high) = (lows.fold(f64::NEG_INFINITY, f64::max), highs.fold(f64::INFINITY, f64::min));
        let positive = if low < high { Positive::Between { low, high } } else { Positive::Never };
        Claims { conserving: true, positive, ..Claims::default() }
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

/// Contributions are written `(x − l) w⁺ + (x − h) w⁻`, which is `x w − l w⁺ − h w⁻` without its cancellations: an input at its bound
/// contributes exactly nothing, whatever the stabilizer makes of its denominator.
struct Prepared<T: Scalar> {
    /// One tensor for each input, `[1, …]`.
    low: Vec<Tensor<T>>,
    high: Vec<Tensor<T>>,
    contributions: SignedPair<T>,
    /// Where a pass can be saved.
    from_output: Option<FromOutput<T>>,
    no_bias: Bias<T>,
    stabilizer: f64,
}

/// What finds the sums in the recorded output `z = x w + b`: they are `z − b − (l w⁺ + h w⁻)`. With `l ≤ 0 ≤ h`, all products in brackets have one
/// sign, so that they say of how many the sum is what is left.
struct FromOutput<T: Scalar> {
    /// `b + l w⁺ + h w⁻`, `[1, …]`.
    shift: Tensor<T>,
    /// The smallest sums that are exact enough.
    least: Tensor<T>,
}

impl<T: Scalar> FromOutput<T> {
    fn new(op: &dyn Affine<T>, contributions: &SignedPair<T>, low: &[Tensor<T>], high: &[Tensor<T>]) -> Self {
        let bounds = SignedInputs::above_and_below(low.to_vec(), high.to_vec());
        let wanted = Tensor::ones(batch_shape(1, op.output_shape()));
        let constants = contributions.apply(&bounds, None, &wanted);
        let left = T::of(LEFT);
        match op.bias() {
            Some(b) => Self { least: (constants.mapv(T::abs) + b.mapv(T::abs)) * left, shift: constants + b },
            None => Self { least: constants.mapv(T::abs) * left, shift: constants },
        }
    }

    /// The sums for the inputs `x`, inside the box, where relevance `r` arrives.
    fn sums(&self, z: &Tensor<T>, contributions: &SignedPair<T>, x: &SignedInputs<'_, T>, r: &Tensor<T>) -> Tensor<T> {
        let (mut sums, _) = zip_sums(z, &self.shift, |_| |z, shift| (z - shift, []));
        // Marked by what no sum is.
        let unknown = update_sums(&mut sums, &self.least, r, |sum, least, r| {
            let known = (sum >= least) | r.is_zero();
            (if known { sum } else { T::infinity() }, [f64::from(u8::from(!known))])
        });
        contributions.complete(&mut sums, &unknown, x, None, r);
        sums
    }
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        if self.from_output.is_some() { Needs::RELEVANT } else { Needs::INPUTS }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let inside = |bounds: &[Tensor<T>]| io.inputs.iter().zip(bounds).map(|(x, b)| *x - b).collect();
        let x = SignedInputs::above_and_below(inside(&self.low), inside(&self.high));
        let mut result = no_shares(samples(r));
        let bias = (&self.no_bias, None);
        let sums = self.from_output.as_ref().map(|found| found.sums(io.output, &self.contributions, &x, r));
        add_shares(&self.contributions, sums.as_ref(), bias, self.stabilizer, &x, (1.0, r), &mut result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::kernels::window::WindowSpec;
    use lrp_core::operator::Operator;
    use lrp_core::ops::{Conv, Dense};

    #[test]
    fn bounds_are_checked() {
        assert!(ZBox::new(vec![0.0], vec![1.0, 2.0], 1e-6).is_ok());
        assert!(ZBox::new(vec![0.0, 1.5], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0, 0.0], vec![1.0, 1.0, 1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0], vec![f64::NAN], 1e-6).is_err());
    }

    /// Bounds by element that are those of the channels give the same, and say so.
    #[test]
    fn bounds_by_element() {
        let tensor = |values: [f64; 4]| Tensor::from_shape_vec(vec![1, 2, 2], values.to_vec()).unwrap();
        let by_element = |low, high| ZBox::of_elements(vec![[tensor(low), tensor(high)]], 0.0);
        let rule = by_element([-1.0, -1.0, -0.5, -0.5], [2.0; 4]).unwrap();
        assert_eq!(rule.to_string(), "z-box { low = [-1.0, -0.5], high = 2.0, stabilizer = 0.0 }");
        let channels = ZBox::new(vec![-1.0, -0.5], vec![2.0], 0.0).unwrap();
        let op: Arc<dyn Operator<f64>> = Arc::new(Dense::new(Tensor::ones(vec![1, 2]), None, &[2, 2]).unwrap());
        let layer = Layer { name: "", op: &op, nonnegative_inputs: false, skip_input: None };
        let (x, r) = (tensor([0.25, 1.0, 2.0, -0.5]), Tensor::from_elem(vec![1, 2, 1], 1.0));
        let z = op.forward(&[&x]);
        let io = Io { inputs: &[&x], output: &z };
        let run = |rule: &ZBox| rule.prepare(&layer).unwrap().propagate(io, &r).relevance;
        assert_eq!(run(&rule), run(&channels));
        // By hand: (0.25 + 1, 1 + 0) of their sum where the second element's lower bound is 1.
        let padded = by_element([-1.0, 1.0, -0.5, -0.5], [2.0; 4]).unwrap();
        assert_eq!(padded.to_string(), "z-box { low = \"-1.0 to 1.0, by element\", high = 2.0, stabilizer = 0.0 }");
        assert_eq!(run(&padded)[0].iter().copied().take(2).collect::<Vec<_>>(), [1.0, 0.0]);
        assert!(by_element([0.0; 4], [0.0, 0.0, 0.0, -1.0]).is_err());
        assert!(by_element([0.0; 4], [0.0, 0.0, 0.0, f64::INFINITY]).is_err());
        let other: Arc<dyn Operator<f64>> = Arc::new(Dense::new(Tensor::ones(vec![1, 2]), None, &[2]).unwrap());
        assert!(rule.prepare(&Layer { op: &other, ..layer }).is_err());
    }

    /// Sums from the output and sums from the inputs, where they are ordinary, where they cancel, and where no relevance arrives.
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
        let rule = ZBox::new(low.to_vec(), vec![1.0, 1.0], 1e-6).unwrap();

        fn run<T: Scalar>(rule: &ZBox, [x, w, b, r]: [&[f64]; 4], from_output: bool) -> Propagated<f64> {
            let tensor = |shape: &[usize], v: &[f64]| {
                Tensor::from_shape_vec(shape, v.iter().map(|&v| T::of(v)).collect()).unwrap()
            };
            let bias = b.iter().map(|&b| T::of(b)).collect();
            let op = Conv::new(tensor(&[3, 2, 20], w), Some(bias), &WindowSpec::new(&[20]), 1, &[2, 20]).unwrap();
            let op: Arc<dyn Affine<T>> = Arc::new(op);
            let x = tensor(&[3, 2, 20], x);
            let z = op.forward(&[&x]);
            let mut prepared = rule.prepared(&op).unwrap();
            assert!(prepared.from_output.is_some());
            prepared.from_output = prepared.from_output.filter(|_| from_output);
            let out = prepared.propagate(Io { inputs: &[&x], output: &z }, &tensor(&[3, 3, 1], r));
            let Propagated { relevance, bias, stabilizer, rule } = out;
            Propagated { relevance: relevance.iter().map(|r| r.mapv(Scalar::wide)).collect(), bias, stabilizer, rule }
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

    /// One output sees an input at its bound, so that the stabilizer takes all; it must not disturb the other output's share.
    #[test]
    fn inputs_at_their_bound_contribute_exactly_nothing() {
        let w = Tensor::from_shape_vec(vec![2, 1], vec![-0.125_f32, 0.375]).unwrap();
        let op: Arc<dyn Operator<f32>> = Arc::new(Dense::new(w, None, &[1]).unwrap());
        let layer = Layer { name: "", op: &op, nonnegative_inputs: false, skip_input: None };
        let rule = ZBox::new(vec![-0.5], vec![-0.375], 1e-6).unwrap();
        let x = Tensor::from_elem(vec![1, 1], -0.375);
        let z = op.forward(&[&x]);
        let r = Tensor::from_elem(vec![1, 2], 0.5);
        let out = rule.prepare(&layer).unwrap().propagate(Io { inputs: &[&x], output: &z }, &r);
        // (x − l) w⁺ = 0.046875 at the second output.
        let expected = 0.5 * 0.046_875 / 0.046_876;
        assert!((f64::from(out.relevance[0][[0, 0]]) - expected).abs() < 1e-6, "{out:?}");
        assert!((out.stabilizer[0] - (1.0 - expected)).abs() < 1e-6, "{out:?}");
    }
}
