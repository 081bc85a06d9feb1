//! Logarithms and powers of floats, bit for bit as the field computes them.
//!
//! The one decision: the last bit shows in the answers (`log(1000, 10)` is 2.9999999999999996), so both are
//! computed by the same classic steps instead of by the system's library: the logarithm by reduction and a
//! polynomial, the power by repeated squaring of a fraction with its exponent apart.

/// Mantissa and exponent of a float that is not negative: it is the first times two to the second.
pub(super) fn parts(x: f64) -> (u64, isize) {
    let bits = x.to_bits();
    let raw = ((bits >> 52) & 0x7ff) as isize;
    let mantissa = (bits & 0xf_ffff_ffff_ffff) | if raw > 0 { 0x10_0000_0000_0000 } else { 0 };
    (mantissa, raw.max(1) - 1075)
}

/// A fraction from one half up to one, and the power of two that it is multiplied by.
fn split(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // Numbers below the normal range are brought into it first.
    let (x, shift) = if x.abs() < f64::MIN_POSITIVE { (x * 4_503_599_627_370_496.0, -52) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52)), exponent + shift)
}

/// `x` times two to the power of `exponent`, rounded once.
fn scale(x: f64, exponent: i32) -> f64 {
    let (fraction, own) = split(x);
    let exponent = exponent.saturating_add(own);
    if fraction == 0.0 || !fraction.is_finite() {
        return x;
    }
    match exponent {
        1025.. => f64::INFINITY.copysign(x),
        -1021.. => f64::from_bits((fraction.to_bits() & !(0x7ff << 52)) | (((exponent + 1022) as u64) << 52)),
        -1075..-1021 => {
            let normal = (fraction.to_bits() & !(0x7ff << 52)) | (((exponent + 1022 + 53) as u64) << 52);
            f64::from_bits(normal) * (1.0 / 9_007_199_254_740_992.0)
        }
        _ => 0.0_f64.copysign(x),
    }
}

/// The natural logarithm.
#[expect(clippy::excessive_precision, reason = "coefficients as they were published")]
pub(super) fn ln(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238_164_90e-01;
    const LN2_LOW: f64 = 1.908_214_929_270_587_700_02e-10;
    const L: [f64; 7] = [
        6.666_666_666_666_735_130e-01,
        3.999_999_999_940_941_908e-01,
        2.857_142_874_366_239_149e-01,
        2.222_219_843_214_978_396e-01,
        1.818_357_216_161_805_012e-01,
        1.531_383_769_920_937_332e-01,
        1.479_819_860_511_658_591e-01,
    ];
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut fraction, mut exponent) = split(x);
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(exponent);
    let s = f / (2.0 + f);
    let (s2, s4) = (s * s, s * s * (s * s));
    let t1 = s2 * (L[0] + s4 * (L[2] + s4 * (L[4] + s4 * L[6])));
    let t2 = s4 * (L[1] + s4 * (L[3] + s4 * L[5]));
    let half = 0.5 * f * f;
    k * LN2_HIGH - ((half - (s * (half + t1 + t2) + k * LN2_LOW)) - f)
}

/// `x` to the power of `y`.
pub(super) fn pow(x: f64, y: f64) -> f64 {
    let special = y == 0.0 || x == 1.0 || y == 1.0 || x == 0.0 || !x.is_finite() || !y.is_finite();
    if special || y.abs() >= 9_223_372_036_854_775_808.0 {
        return x.powf(y);
    }
    if y == 0.5 {
        return x.sqrt();
    }
    if y == -0.5 {
        return 1.0 / x.sqrt();
    }
    let (mut whole, mut fraction) = (y.abs().trunc(), y.abs().fract());
    if fraction != 0.0 && x < 0.0 {
        return f64::NAN;
    }
    let (mut product, mut exponent) = (1.0, 0_i32);
    if fraction != 0.0 {
        if fraction > 0.5 {
            fraction -= 1.0;
            whole += 1.0;
        }
        product = (fraction * ln(x)).exp();
    }
    let (mut base, mut base_exponent) = split(x);
    let mut left = whole as i64;
    while left != 0 {
        if !(-4096..=4096).contains(&base_exponent) {
            // Far out of range, whatever follows.
            exponent = exponent.saturating_add(base_exponent);
            break;
        }
        if left & 1 == 1 {
            product *= base;
            exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        left >>= 1;
    }
    if y < 0.0 {
        product = 1.0 / product;
        exponent = -exponent;
    }
    scale(product, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bit_is_that_of_the_field() {
        assert_eq!(pow(1e6, 10.0).to_string(), "1000000000000000100000000000000000000000000000000000000000000");
        assert_eq!(pow(1.0001, 10000.0), 2.718_145_926_824_356);
        assert_eq!(ln(16.0) / ln(0.01), -0.602_059_991_327_962_3);
        assert_eq!(pow(2.0, -1074.0), f64::from_bits(1));
        assert_eq!(pow(2.0, -1076.0), 0.0);
        assert_eq!(pow(-2.0, 1025.0), f64::NEG_INFINITY);
    }
}
