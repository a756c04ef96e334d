//! Polynomials, and arithmetic on the bits of numbers, for each type of number.
//!
//! Coefficients are those of minimax polynomials, computed by Remez's algorithm (Remez 1934; Muller, "Elementary functions", 2016, ch. 3) with 60
//! digits. Each polynomial's error is below a tenth of the spacing of numbers at its value.

/// What [the functions](super) need of a type of number.
pub trait Elementary: Sized {
    /// An argument whose exponential is infinite.
    const EXP_HIGH: Self;
    /// An argument whose product with its exponential is zero.
    const EXP_LOW: Self;
    /// The normal distribution function of this, negated, is zero.
    const NORMAL_END: Self;
    /// The constant `c` of [`normal_polynomial`](Self::normal_polynomial).
    const NORMAL_CENTER: Self;

    /// `x` in `EXP_LOW..=EXP_HIGH`, as `k ln 2 + r` with `|r| ≤ ln 2 / 2`: `(r, k)`, where `k` is a number whose lowest bits count.
    ///
    /// The logarithm is in two parts, of which the first has so few bits that its product with `k` is exact (Cody and Waite 1980).
    fn reduce(self) -> (Self, Self);

    /// `2ᵏ` in two factors, of which each is neither subnormal nor infinite.
    fn powers(k: Self) -> (Self, Self);

    /// `self` without the second half of its digits, whose square is exact.
    fn coarse(self) -> Self;

    /// `(eʳ − 1 − r) / r²`.
    fn exp_polynomial(r: Self) -> Self;

    /// `(tanh x / x − 1) / x²` by `s = x²`, for `x ≤ 1`.
    fn tanh_polynomial(s: Self) -> Self;

    /// `erf x / x − 1` by `s = x²`, for `x ≤ 1`.
    fn erf_polynomial(s: Self) -> Self;

    /// `(2 artanh s − 2s) / s³` by `s²`, for `s ≤ ⅓`.
    fn log_polynomial(s: Self) -> Self;

    /// `(z + c) e^(z²/2) Φ(−z)` by `u = (z − c) / (z + c)`, for `z ≥ 0`: an expansion that is good over the whole half-line (Schonfelder 1978; Shepherd and
    /// Laframboise 1981).
    fn normal_polynomial(u: Self) -> Self;
}

/// A polynomial by Horner's scheme, the constant coefficient first.
macro_rules! horner {
    ($x:ident, $last:expr $(,)?) => { $last };
    ($x:ident, $first:expr, $($others:expr),+ $(,)?) => { $first + $x * horner!($x, $($others),+) };
}

macro_rules! elementary {
    (
        $T:ident: $Bits:ident, mantissa: $mantissa:literal, bias: $bias:literal, coarse: $coarse:literal,
        ranges: [$low:literal, $high:literal, $end:literal], center: $center:literal, ln2: [$ln2_high:expr, $ln2_low:expr],
        exp: [$($exp:literal),+ $(,)?], tanh: [$($tanh:literal),+ $(,)?], erf: [$($erf:literal),+ $(,)?], log: [$($log:literal),+ $(,)?],
        normal: [$($normal:literal),+ $(,)?] $(,)?
    ) => {
        impl Elementary for $T {
            const EXP_HIGH: Self = $high;
            const EXP_LOW: Self = $low;
            const NORMAL_END: Self = $end;
            const NORMAL_CENTER: Self = $center;

            #[inline(always)]
            fn reduce(self) -> (Self, Self) {
                // Added to a number, this rounds it to a whole one, which is in the lowest bits of the sum.
                const ROUND: $T = 1.5 * (1u64 << $mantissa) as $T;
                let k = self * std::$T::consts::LOG2_E + ROUND;
                let whole = k - ROUND;
                ((self - whole * $ln2_high) - whole * $ln2_low, k)
            }

            #[inline(always)]
            fn powers(k: Self) -> (Self, Self) {
                const ROUND: $T = 1.5 * (1u64 << $mantissa) as $T;
                // Not negative, so that half of it is a shift.
                const OFFSET: $Bits = 1 << 12;
                const BIAS: $Bits = ($bias as $Bits).wrapping_sub(OFFSET / 2);
                let k = k.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(OFFSET);
                let half = k >> 1;
                let power = |k: $Bits| <$T>::from_bits(k.wrapping_add(BIAS) << $mantissa);
                (power(half), power(k.wrapping_sub(half)))
            }

            #[inline(always)]
            fn coarse(self) -> Self {
                <$T>::from_bits(self.to_bits() & (<$Bits>::MAX << $coarse))
            }

            #[inline(always)]
            fn exp_polynomial(r: Self) -> Self {
                horner!(r, $($exp),+)
            }

            #[inline(always)]
            fn tanh_polynomial(s: Self) -> Self {
                horner!(s, $($tanh),+)
            }

            #[inline(always)]
            fn erf_polynomial(s: Self) -> Self {
                horner!(s, $($erf),+)
            }

            #[inline(always)]
            fn log_polynomial(s: Self) -> Self {
                horner!(s, $($log),+)
            }

            #[inline(always)]
            fn normal_polynomial(u: Self) -> Self {
                horner!(u, $($normal),+)
            }
        }
    };
}

elementary! {
    f32: u32, mantissa: 23, bias: 127, coarse: 12,
    ranges: [-120.0, 90.0, 15.0], center: 3.0, ln2: [0.693_115_23, 3.194_618_3e-5],
    exp: [
        0.5,
        0.166_666_67,
        0.041_666_273,
        0.008_333_265,
        0.001_394_580_9,
        0.000_199_182_02,
    ],
    tanh: [
        -0.333_333_28,
        0.133_332_1,
        -0.053_953_94,
        0.021_788_139,
        -0.008_602_533_5,
        0.003_087_475_4,
        -0.000_846_651_15,
        0.000_122_857_89,
    ],
    erf: [
        0.128_379_17,
        -0.376_126_38,
        0.112_837_83,
        -0.026_865_445,
        0.005_221_074,
        -0.000_848_469_5,
        0.000_112_704_125,
        -9.679_728_5e-6,
    ],
    log: [
        0.666_666_75,
        0.399_988_83,
        0.286_167_7,
        0.214_287_28,
        0.242_973_52,
    ],
    normal: [
        0.729_083_7,
        -0.509_332,
        0.230_017_7,
        -0.047_262_687,
        -0.010_462_513,
        0.006_969_311_3,
        0.001_024_753_8,
        -0.001_032_573_4,
        -0.000_244_729_74,
        0.000_131_330_1,
        0.000_054_488_92,
    ],
}

elementary! {
    f64: u64, mantissa: 52, bias: 1023, coarse: 27,
    ranges: [-760.0, 711.0, 40.0], center: 4.0, ln2: [0.6931471805592082, 7.371002565167799e-13],
    exp: [
        0.5,
        0.166_666_666_666_666_82,
        0.041_666_666_666_666_72,
        0.008_333_333_333_317_105,
        0.001_388_888_888_885_921_7,
        0.000_198_412_698_963_058_4,
        2.480_158_737_257_505e-5,
        2.755_723_488_321_978_6e-6,
        2.755_723_417_648_347_5e-7,
        2.511_204_173_670_940_4e-8,
        2.092_672_716_587_771_3e-9,
    ],
    tanh: [
        -0.333_333_333_333_333,
        0.133_333_333_333_294_03,
        -0.053_968_253_966_602_56,
        0.021_869_488_500_866_535,
        -0.008_863_235_078_595_435,
        0.003_592_124_251_066_481_3,
        -0.001_455_812_333_861_408,
        0.000_589_934_776_632_195_4,
        -0.000_238_841_099_888_584_63,
        9.624_217_538_126_519e-5,
        -3.808_306_935_500_156e-5,
        1.429_859_844_743_404_5e-5,
        -4.770_960_644_383_635e-6,
        1.277_334_688_892_881_2e-6,
        -2.346_895_262_112_404_3e-7,
        2.151_719_463_834_357e-8,
    ],
    erf: [
        0.128_379_167_095_512_57,
        -0.376_126_389_031_837_5,
        0.112_837_916_709_548_85,
        -0.026_866_170_645_077_823,
        0.005_223_977_624_827_903,
        -0.000_854_832_698_139_416,
        0.000_120_553_311_317_715_16,
        -1.492_559_574_277_612e-5,
        1.646_100_799_112_410_2e-6,
        -1.635_039_090_707_461_7e-7,
        1.466_029_193_668_709_5e-8,
        -1.137_480_964_433_333_9e-9,
        5.960_431_765_560_01e-11,
    ],
    log: [
        0.666_666_666_666_666_7,
        0.399_999_999_999_941_35,
        0.285_714_285_724_904_6,
        0.222_222_221_267_371_6,
        0.181_818_231_544_057_07,
        0.153_844_531_048_716_37,
        0.133_367_874_355_372_15,
        0.117_161_372_398_777_68,
        0.109_713_836_561_168_7,
        0.069_985_088_749_788_65,
        0.164_609_774_911_305_35,
    ],
    normal: [
        0.755_285_130_415_751_5,
        -0.607_896_641_971_892_1,
        0.387_137_400_742_214_75,
        -0.186_521_857_959_657_26,
        0.060_396_574_890_923_246,
        -0.007_540_188_966_734_708,
        -0.003_479_692_367_092_884_7,
        0.001_630_818_457_850_083_2,
        0.000_133_344_308_944_942_55,
        -0.000_231_094_938_816_969_42,
        -1.908_235_412_501_864_4e-6,
        3.514_471_390_493_608e-5,
        7.165_721_544_929_796e-7,
        -5.920_302_081_181_194e-6,
        -6.294_571_003_601_206e-7,
        1.021_930_282_719_712_7e-6,
        2.714_377_738_096_476_3e-7,
        -1.556_644_147_170_699e-7,
        -8.511_655_678_312_128e-8,
        1.408_324_356_365_725_5e-8,
        1.958_345_308_188_318_7e-8,
        1.400_330_948_646_559_6e-9,
        -2.633_282_709_308_647e-9,
        -5.823_327_517_286_402e-10,
        5.791_198_053_195_701e-11,
    ],
}
