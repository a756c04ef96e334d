//! Exponentials and their relatives: the functions that transformers and gated networks consist of, element by element.
//!
//! Each is arithmetic without branches, so that a loop over elements becomes vectors, compiled for the instruction set by
//! [`elementwise`](crate::tensor::elementwise). Products and sums are rounded apart, never fused: so an element has the same bits on every instruction set.
//! Errors are below 2 units in the last place where nothing else is said, subnormal results included. Methods: Cody and Waite, "Software manual for the
//! elementary functions" (1980); Muller, "Elementary functions" (2016). At −∞, functions have their limits.

mod coefficients;
#[cfg(test)]
mod tests;

pub use self::coefficients::Elementary;
use crate::simd::scalar::Scalar;

/// `a` where it is below `b`, else `b`; NaN for `a` stays.
#[inline(always)]
fn at_most<T: Scalar>(a: T, b: T) -> T {
    if a > b { b } else { a }
}

/// `a` where it is above `b`, else `b`; NaN for `a` stays.
#[inline(always)]
fn at_least<T: Scalar>(a: T, b: T) -> T {
    if a < b { b } else { a }
}

/// `eˣ` in two factors, of which the first is near one or as far from it as the second, a power of two: subnormal results are rounded once if the second
/// one is multiplied last.
#[inline(always)]
fn exp_factors<T: Scalar>(x: T) -> [T; 2] {
    let (r, k) = at_most(at_least(x, T::EXP_LOW), T::EXP_HIGH).reduce();
    let (first, second) = T::powers(k);
    [(T::one() + (r + r * r * T::exp_polynomial(r))) * first, second]
}

/// `e^(x + tail)` in two factors, for a `tail` that is small beside `ln 2`.
#[inline(always)]
fn exp_of_sum<T: Scalar>([x, tail]: [T; 2]) -> [T; 2] {
    let (r, k) = at_most(at_least(x, T::EXP_LOW), T::EXP_HIGH).reduce();
    let r = r + tail;
    let (first, second) = T::powers(k);
    [(T::one() + (r + r * r * T::exp_polynomial(r))) * first, second]
}

/// `eˣ`.
#[inline(always)]
pub fn exp<T: Scalar>(x: T) -> T {
    let [e, power] = exp_factors(x);
    e * power
}

/// `eˣ − 1` for `x ≤ 0`, as ELU has it.
#[inline(always)]
pub fn exp_m1_below_zero<T: Scalar>(x: T) -> T {
    // Below, the exponential is nothing beside one.
    let (r, k) = at_least(x, T::of(-40.0)).reduce();
    let (first, second) = T::powers(k);
    let power = first * second;
    let q = r + r * r * T::exp_polynomial(r);
    // Where the power is one, the sum is `q`, and a zero keeps its sign.
    if power == T::one() { q } else { q * power + (power - T::one()) }
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid<T: Scalar>(x: T) -> T {
    // With an exponential of at most one: nothing overflows, and results that are subnormal are right.
    let e = exp(-x.abs());
    (if x < T::zero() { e } else { T::one() }) / (T::one() + e)
}

/// `x / (1 + e⁻ˣ)`, SiLU (Elfwing et al. 2018). Errors are below 3 units in the last place.
#[inline(always)]
pub fn silu<T: Scalar>(x: T) -> T {
    let [e, power] = exp_factors(-x.abs());
    let divisor = T::one() + e * power;
    if x < T::zero() { at_least(x, T::EXP_LOW) * e / divisor * power } else { x / divisor }
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<T: Scalar>(x: T) -> T {
    let (size, square) = (x.abs(), x * x);
    let small = x * (T::one() + square * T::tanh_polynomial(square));
    let two = T::one() + T::one();
    let large = (T::one() - two / (exp(two * size) + T::one())).copysign(x);
    if size < T::one() { small } else { large }
}

/// `ln(1 + eˣ)`, softplus.
#[inline(always)]
pub fn softplus<T: Scalar>(x: T) -> T {
    // max(x, 0) + ln(1 + e^−|x|), where ln(1 + e) = 2 artanh s with s = e / (2 + e), which is e − s (e − s² P(s²)).
    let e = exp(-x.abs());
    let s = e / (T::one() + T::one() + e);
    let square = s * s;
    crate::tensor::pos(x) + (e - s * (e - square * T::log_polynomial(square)))
}

/// The standard normal distribution function of `−z` for `z ≥ 0`, in two factors as an exponential; `−z²/2` in two parts.
#[inline(always)]
fn normal_tail<T: Scalar>(z: T, square: [T; 2]) -> [T; 2] {
    let d = (z + T::NORMAL_CENTER).recip();
    let u = T::one() - (T::NORMAL_CENTER + T::NORMAL_CENTER) * d;
    let [e, power] = exp_of_sum(square);
    [e * (T::normal_polynomial(u) * d), power]
}

/// `−z²` as a coarse number and a small one: an exponential of the rounded square would have the errors of the square, times the square.
#[inline(always)]
fn negative_square<T: Scalar>(z: T) -> [T; 2] {
    let coarse = z.coarse();
    [-(coarse * coarse), -((z - coarse) * (z + coarse))]
}

/// Half of `−z²` in two parts.
#[inline(always)]
fn half_square<T: Scalar>(z: T) -> [T; 2] {
    negative_square(z).map(|part| T::of(0.5) * part)
}

/// The standard normal distribution function `Φ(x)`. Errors are below 5 units in the last place.
#[inline(always)]
pub fn normal_cdf<T: Scalar>(x: T) -> T {
    let z = at_most(x.abs(), T::NORMAL_END);
    let [tail, power] = normal_tail(z, half_square(z));
    let tail = tail * power;
    if x < T::zero() { tail } else { T::one() - tail }
}

/// The density of the standard normal distribution.
#[inline(always)]
pub fn normal_density<T: Scalar>(x: T) -> T {
    let [e, power] = exp_of_sum(half_square(at_most(x.abs(), T::NORMAL_END)));
    e * T::of(0.398_942_280_401_432_7) * power
}

/// The error function.
#[inline(always)]
pub fn erf<T: Scalar>(x: T) -> T {
    let size = at_most(x.abs(), T::of(10.0));
    let square = x * x;
    let small = x + x * T::erf_polynomial(square);
    // erfc(z) = 2 Φ(−√2 z).
    let [tail, power] = normal_tail(T::of(std::f64::consts::SQRT_2) * size, negative_square(size));
    let tail = tail * power;
    let large = (T::one() - (tail + tail)).copysign(x);
    if size < T::one() { small } else { large }
}

/// `x·Φ(x)`, GELU (Hendrycks and Gimpel 2016). Errors are below 6 units in the last place.
#[inline(always)]
pub fn gelu<T: Scalar>(x: T) -> T {
    let z = at_most(x.abs(), T::NORMAL_END);
    let [tail, power] = normal_tail(z, half_square(z));
    if x < T::zero() { at_least(x, -T::NORMAL_END) * tail * power } else { x * (T::one() - tail * power) }
}

/// `√(2/π)`, and the cubic coefficient of GELU's tanh approximation (Hendrycks and Gimpel 2016).
const GELU_TANH: [f64; 2] = [0.797_884_560_802_865_4, 0.044_715];

/// `v = 2√(2/π) (x + 0.044715 x³)`, and its derivative.
#[inline(always)]
fn gelu_tanh_inner<T: Scalar>(x: T) -> [T; 2] {
    let [scale, cubic] = GELU_TANH;
    let (two, square) = (T::of(2.0 * scale), x * x);
    [two * (x + T::of(cubic) * square * x), two * (T::one() + T::of(3.0 * cubic) * square)]
}

/// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, GELU's approximation. As `(1 + tanh v/2) / 2 = σ(v)`, it is `x σ(v)`, without the difference that cancels.
/// Errors are those of `v`, times `v`, where `x` is below zero.
#[inline(always)]
pub fn gelu_tanh<T: Scalar>(x: T) -> T {
    at_least(x, -T::NORMAL_END) * sigmoid(gelu_tanh_inner(x)[0])
}

/// The derivative of [`gelu_tanh`].
pub fn gelu_tanh_derivative<T: Scalar>(x: T) -> T {
    let [v, slope] = gelu_tanh_inner(x);
    let gate = sigmoid(v);
    gate + x * gate * (T::one() - gate) * slope
}
