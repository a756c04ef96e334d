//! Accuracy against `libm` in double precision, special values, and the same bits on every instruction set.

use super::*;
use crate::tensor::elementwise::with_every_isa;

/// Distance in units in the last place of the reference, as a number of type `T`: where results are subnormal, units of the smallest number.
fn ulps<T: Scalar>(found: T, reference: f64) -> f64 {
    let rounded = T::of(reference);
    if found.is_nan() || rounded.is_nan() {
        return if found.is_nan() == rounded.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if found == rounded || rounded.is_infinite() || found.is_infinite() {
        // Infinity where the reference is all but that.
        let edge = rounded.abs().wide() / T::max_value().wide() > 0.999_999;
        return if found == rounded || (edge && found.abs() >= T::max_value() * T::of(0.999_999)) {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let unit = (rounded.abs().wide() * T::epsilon().wide()).max(T::min_positive_value().wide() * T::epsilon().wide());
    // Between a half and one of these is the spacing of numbers; the smaller one counts.
    let spacing = if size_of::<T>() == 4 { 2f64.powi(unit.log2().floor() as i32) } else { unit };
    (found.wide() - reference).abs() / spacing.max(T::min_positive_value().wide() * T::epsilon().wide())
}

/// Arguments of every size and sign: dense where functions bend, and by powers of two down to subnormal numbers and up to the largest.
fn arguments<T: Scalar>() -> Vec<T> {
    let mut x = Vec::new();
    for i in -40_000..=40_000_i32 {
        x.push(T::of(f64::from(i) * 0.000_317));
        x.push(T::of(f64::from(i) * 0.002_91));
        x.push(T::of(f64::from(i) * 0.018_77));
    }
    let (mut size, largest) = (T::max_value(), T::max_value());
    while size > T::zero() {
        x.extend([size, -size, size * T::of(0.75), -size * T::of(0.75)]);
        size *= T::of(0.5);
    }
    x.extend([T::zero(), -T::zero(), T::infinity(), T::neg_infinity(), T::nan(), largest, -largest]);
    x
}

/// The largest error of `f` in units in the last place, where it is at most `limit(x)`; the bits are the same on every instruction set.
fn check<T: Scalar>(name: &str, f: impl Fn(T) -> T + Copy, reference: impl Fn(f64) -> f64, limit: impl Fn(f64) -> f64) {
    let x = arguments::<T>();
    let found = with_every_isa(&x, f);
    let (mut worst, mut at) = (0.0, T::zero());
    for (i, &x) in x.iter().enumerate() {
        let y = found[0].1[i];
        for (isa, others) in &found {
            let same = others[i].wide().to_bits() == y.wide().to_bits() || (others[i].is_nan() && y.is_nan());
            assert!(same, "{name} of {x}: {y}, but {} on {isa:?}", others[i]);
        }
        let error = ulps(y, reference(x.wide()));
        assert!(
            error <= limit(x.wide()),
            "{name} of {x} in {} is {y}, {error} units from {}",
            T::NAME,
            reference(x.wide())
        );
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    println!("{name} in {}: {worst:.2} units at {at}", T::NAME);
}

fn check_all<T: Scalar>() {
    let within = |units: f64| move |_: f64| units;
    let below_zero = |f: fn(T) -> T| move |x: T| f(if x > T::zero() { -x } else { x });
    check::<T>("exp", exp, libm::exp, within(2.0));
    check::<T>("exp_m1", below_zero(exp_m1_below_zero), |x| libm::expm1(-x.abs()), within(2.0));
    check::<T>("sigmoid", sigmoid, logistic, within(3.0));
    // Of subnormal factors, the product would have the errors.
    let of_silu =
        |x: f64| if x < -700.0 { -libm::exp(x.max(-1e4) + libm::log(x.max(-1e4).abs())) } else { x * logistic(x) };
    check::<T>("silu", silu, of_silu, |x| if x < -700.0 && x > -745.0 { 2e3 } else { 3.0 });
    check::<T>("tanh", tanh, libm::tanh, within(2.0));
    check::<T>("softplus", softplus, |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs())), within(2.0));
    check::<T>("erf", erf, libm::erf, within(2.0));
    if T::epsilon().wide() > 1e-10 {
        // In double precision, the reference of what is beyond −1 would have the rounding errors of its argument.
        let cdf = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        check::<T>("normal_cdf", normal_cdf, cdf, within(5.0));
        check::<T>("gelu", gelu, |x| x.max(-1e3) * cdf(x), within(6.0));
        check::<T>(
            "normal_density",
            normal_density,
            |x| 0.398_942_280_401_432_7 * libm::exp(-0.5 * x * x),
            within(3.0),
        );
    }
    let inner = |x: f64| 2.0 * GELU_TANH[0] * (x + GELU_TANH[1] * x * x * x);
    let of_inner = move |x: f64| 4.0 + 4.0 * if x < 0.0 { inner(x).abs().min(1e3) } else { 0.0 };
    let tanh_form = move |x: f64| x.max(-1e3) * logistic(inner(x));
    check::<T>("gelu_tanh", gelu_tanh, tanh_form, of_inner);
}

fn logistic(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

#[test]
fn single_precision() {
    check_all::<f32>();
}

#[test]
fn double_precision() {
    check_all::<f64>();
}

/// Where a reference in double precision would have the rounding errors of its argument.
#[test]
fn tails_in_double_precision() {
    for (x, expected) in TAILS {
        for (found, expected) in [(normal_cdf(x), expected), (gelu(x), x * expected)] {
            assert!((found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs(), "{x}: {found}, not {expected}");
        }
    }
}

/// `x` and `Φ(x)`, computed with 50 digits.
const TAILS: [(f64, f64); 10] = [
    (-0.1, 0.460172162722971),
    (-1.0, 0.15865525393145705),
    (-2.5, 0.006209665325776135),
    (-5.75, 4.462172453901612e-09),
    (-10.3, 3.5230650789264124e-25),
    (-20.0, 2.7536241186062337e-89),
    (-30.1, 2.4226672179857586e-199),
    (-37.4, 1.9536815616489922e-306),
    (0.7, 0.758036347776927),
    (3.3, 0.9995165758576162),
];

#[test]
fn special_values() {
    fn check<T: Scalar>() {
        let (inf, zero) = (T::infinity(), T::zero());
        let is = |found: T, expected: f64| assert!(found.wide() == expected, "{found}, not {expected}");
        is(exp(inf), f64::INFINITY);
        is(exp(-inf), 0.0);
        is(exp(zero), 1.0);
        is(sigmoid(inf), 1.0);
        is(sigmoid(-inf), 0.0);
        is(tanh(-inf), -1.0);
        is(erf(-inf), -1.0);
        is(gelu(inf), f64::INFINITY);
        is(softplus(inf), f64::INFINITY);
        is(exp_m1_below_zero(-inf), -1.0);
        for f in [tanh::<T>, erf, gelu, silu, gelu_tanh] {
            assert!(f(-zero).is_zero() && f(-zero).is_sign_negative());
        }
        for f in [exp::<T>, sigmoid, tanh, erf, gelu, silu, exp_m1_below_zero, gelu_tanh, softplus, normal_density] {
            assert!(f(T::nan()).is_nan());
        }
        is(gelu(-inf), 0.0);
        is(silu(-inf), 0.0);
    }
    check::<f32>();
    check::<f64>();
}
