//! Numbers with the precision of the language: integers fast, everything else at 512 bits.
//!
//! The one decision: an `i64` path for what nearly all numbers are, and a binary float of 512 bits
//! (rounding half to even) for the rest, because that is what gives the field's answers digit for
//! digit. A big number that is an integer within `i64` is always kept as one, so equality and
//! hashing of the two forms agree.

use std::cmp::Ordering;
use std::sync::Arc;

use dashu_base::{BitTest, Sign};
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use dashu_int::IBig;

mod decimal;
mod text;

pub use text::NotANumber;

type Big = FBig<HalfEven, 2>;

const BITS: usize = 512;
/// Above the exponent of any number that is read from text.
const MAX_EXPONENT: usize = 400_000;

/// A number of the language.
#[derive(Clone)]
pub enum Number {
    /// An integer that fits.
    Int(i64),
    /// Anything else; never an integer within `i64`.
    Big(Arc<Big>),
    /// A float of 64 bits that is no integer below 2^53, as `log` and `pow` give it: it computes with all its
    /// binary digits, and prints with the fewest that tell it from other floats.
    Float(f64),
    /// Zero with a minus, as floats have it: equal to zero, but printed as `-0`.
    NegativeZero,
}

impl Number {
    fn big(&self) -> Big {
        match self {
            Self::Int(n) => Big::from(IBig::from(*n)).with_precision(BITS).value(),
            Self::Big(b) => (**b).clone(),
            Self::Float(x) => exact(*x),
            Self::NegativeZero => Big::from(IBig::ZERO).with_precision(BITS).value(),
        }
    }

    fn from_big(big: Big) -> Self {
        if big.repr().is_finite()
            && big == big.trunc()
            && let Ok(int) = IBig::try_from(big.clone())
            && let Ok(n) = i64::try_from(int)
        {
            return Self::Int(n);
        }
        Self::Big(Arc::new(big))
    }

    /// From a float; `None` for NaN and infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        if value == 0.0 {
            return Some(Self::zero(value.is_sign_negative()));
        }
        Big::try_from(value)
            .ok()
            .filter(|b| b.repr().is_finite())
            .map(|b| Self::from_big(b.with_precision(BITS).value()))
    }

    /// The result of a computation in floats, which prints as one; `None` for NaN.
    pub fn from_float(value: f64) -> Option<Self> {
        if value.is_nan() {
            return None;
        }
        if value.is_infinite() {
            return Some(Self::infinity(value < 0.0));
        }
        if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
            Self::from_f64(value)
        } else {
            Some(Self::Float(value))
        }
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Int(n) => *n as f64,
            Self::Big(b) => b.to_f64().value(),
            Self::Float(x) => *x,
            Self::NegativeZero => -0.0,
        }
    }

    /// As an integer, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::NegativeZero => Some(0),
            Self::Float(_) => i64::try_from(IBig::try_from(self.big()).ok()?).ok(),
            Self::Big(_) => None,
        }
    }

    /// Whether this is positive or negative infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self, Self::Big(b) if b.repr().is_infinite())
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Int(0) | Self::NegativeZero)
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::Int(n) => *n < 0,
            Self::Big(b) => b.repr().sign() == Sign::Negative,
            Self::Float(x) => *x < 0.0,
            Self::NegativeZero => false,
        }
    }

    /// Whether this has a minus: what is below zero, and one of the zeros.
    pub fn minus(&self) -> bool {
        matches!(self, Self::NegativeZero) || self.is_negative()
    }

    const fn zero(minus: bool) -> Self {
        if minus { Self::NegativeZero } else { Self::Int(0) }
    }

    /// Whether this has no fraction.
    pub fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) | Self::NegativeZero => true,
            Self::Big(b) => b.repr().is_finite() && **b == b.trunc(),
            Self::Float(x) => x.fract() == 0.0,
        }
    }

    /// `None` for what has more than about a hundred thousand digits before or after the point: numbers
    /// of a few bytes whose text fills the memory.
    fn bounded(big: Big) -> Option<Self> {
        let top = big.repr().exponent().saturating_add_unsigned(big.repr().significand().bit_len());
        (top.unsigned_abs() < MAX_EXPONENT).then(|| Self::from_big(big))
    }

    fn infinity(negative: bool) -> Self {
        Self::Big(Arc::new(if negative { Big::NEG_INFINITY } else { Big::INFINITY }))
    }

    fn sign_infinite(&self) -> Option<bool> {
        self.is_infinite().then(|| self.is_negative())
    }

    /// The sum; `None` where it is not defined (opposite infinities).
    pub fn add(&self, other: &Self) -> Option<Self> {
        if matches!((self, other), (Self::NegativeZero, Self::NegativeZero)) {
            return Some(Self::NegativeZero);
        }
        if let (Self::Float(a), Self::Float(b)) = (self, other) {
            return Self::from_float(a + b);
        }
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(n) = a.checked_add(*b)
        {
            return Some(Self::Int(n));
        }
        match (self.sign_infinite(), other.sign_infinite()) {
            (Some(a), Some(b)) if a != b => None,
            (Some(s), _) | (_, Some(s)) => Some(Self::infinity(s)),
            _ => Some(Self::from_big(exact_sum(self.big(), other.big()))),
        }
    }

    /// The difference.
    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.neg())
    }

    /// The product; `None` where it is not defined (infinity times zero) or too long.
    pub fn mul(&self, other: &Self) -> Option<Self> {
        if (self.is_zero() || other.is_zero()) && !self.is_infinite() && !other.is_infinite() {
            return Some(Self::zero(self.minus() != other.minus()));
        }
        if let (Self::Float(a), Self::Float(b)) = (self, other) {
            return Self::from_float(a * b);
        }
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(n) = a.checked_mul(*b)
        {
            return Some(Self::Int(n));
        }
        if self.is_infinite() || other.is_infinite() {
            if self.is_zero() || other.is_zero() {
                return None;
            }
            return Some(Self::infinity(self.is_negative() != other.is_negative()));
        }
        Self::bounded(self.big() * other.big())
    }

    /// The quotient; `None` for zero or infinity by itself, and where it is too long. A number by zero is infinite.
    pub fn div(&self, other: &Self) -> Option<Self> {
        if (self.is_zero() && !other.is_zero()) || (other.is_infinite() && !self.is_infinite()) {
            return Some(Self::zero(self.minus() != other.minus()));
        }
        if let (Self::Float(a), Self::Float(b)) = (self, other) {
            return Self::from_float(a / b);
        }
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && *b != 0
            && a.checked_rem(*b) == Some(0)
        {
            return a.checked_div(*b).map(Self::Int).or_else(|| Some(Self::from_big(self.big() / other.big())));
        }
        if other.is_zero() {
            return (!self.is_zero()).then(|| Self::infinity(self.minus() != other.minus()));
        }
        match (self.is_infinite(), other.is_infinite()) {
            (true, true) => None,
            (true, false) => Some(Self::infinity(self.minus() != other.minus())),
            (false, _) => Self::bounded(self.big() / other.big()),
        }
    }

    /// The remainder with the sign of the dividend; by zero it is the dividend itself.
    pub fn rem(&self, other: &Self) -> Option<Self> {
        if self.is_zero() || other.is_zero() || other.is_infinite() {
            return Some(self.clone());
        }
        if self.is_infinite() {
            return None;
        }
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return Some(Self::Int(a.checked_rem(*b).unwrap_or(0)));
        }
        let (x, y) = (self.big(), other.big());
        let quotient = (x.clone() / y.clone()).trunc().with_precision(BITS).value();
        Some(Self::from_big(x - y * quotient))
    }

    /// The number with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        match self {
            Self::Int(0) => Self::NegativeZero,
            Self::NegativeZero => Self::Int(0),
            Self::Int(n) => n.checked_neg().map_or_else(|| Self::from_big(-self.big()), Self::Int),
            Self::Big(_) => Self::from_big(-self.big()),
            Self::Float(x) => Self::Float(-x),
        }
    }

    /// Without the sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.minus() { self.neg() } else { self.clone() }
    }

    /// The greatest integer not above this.
    #[must_use]
    pub fn floor(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.floor()),
            Self::Float(x) => Self::from_float(x.floor() + 0.0).unwrap_or(Self::Float(*x)),
            Self::NegativeZero => Self::Int(0),
            _ => self.clone(),
        }
    }

    /// The least integer not below this.
    #[must_use]
    pub fn ceil(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.ceil()),
            Self::Float(x) => Self::from_float(x.ceil() + 0.0).unwrap_or(Self::Float(*x)),
            Self::NegativeZero => Self::Int(0),
            _ => self.clone(),
        }
    }

    /// The integer part.
    #[must_use]
    pub fn trunc(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.trunc()),
            Self::Float(x) => Self::from_float(x.trunc() + 0.0).unwrap_or(Self::Float(*x)),
            Self::NegativeZero => Self::Int(0),
            _ => self.clone(),
        }
    }
}

/// All binary digits of a float.
fn exact(value: f64) -> Big {
    Big::try_from(value).map_or(Big::ZERO, |b| b.with_precision(BITS).value())
}

/// A sum rounded once: the library's own may miss the last bit where numbers of unlike size are subtracted.
fn exact_sum(a: Big, b: Big) -> Big {
    // Aligning numbers further apart would cost memory, and cannot change more than the rounding.
    if a.repr().exponent().abs_diff(b.repr().exponent()) > 4 * BITS {
        return a + b;
    }
    let exact = |x: Big| x.with_precision(0).value();
    (exact(a) + exact(b)).with_precision(BITS).value()
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<i32> for Number {
    fn from(n: i32) -> Self {
        Self::Int(n.into())
    }
}

impl From<u32> for Number {
    fn from(n: u32) -> Self {
        Self::Int(n.into())
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        i64::try_from(n)
            .map_or_else(|_| Self::from_big(Big::from(IBig::from(n)).with_precision(BITS).value()), Self::Int)
    }
}

impl From<usize> for Number {
    fn from(n: usize) -> Self {
        Self::from(n as u64)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            _ => self.big().cmp(&other.big()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn has_the_precision_of_the_field() {
        assert_eq!(n("0.1").add(&n("0.2")).map(|x| x.to_string()).as_deref(), Some("0.3"));
        assert_eq!(
            n("18446744073709551615").add(&n("1")).map(|x| x.to_string()).as_deref(),
            Some("18446744073709551616")
        );
        assert_eq!(n("1").div(&n("3")).map(|x| x.to_string().len()), Some(157));
        assert_eq!(n("-7").rem(&n("3")), Some(n("-1")));
        assert_eq!(n("5").rem(&n("0")), Some(n("5")));
        assert_eq!(n("1").div(&n("0")).map(|x| x.to_string()).as_deref(), Some("+Inf"));
        assert_eq!(n("0").div(&n("0")), None);
        assert_eq!(n("1e21").to_string(), "1000000000000000000000");
        assert_eq!(n("1e400").to_string(), format!("1{}", "0".repeat(400)));
        assert_eq!(n("-1e-400").to_string(), format!("-0.{}1", "0".repeat(399)));
        assert_eq!(n("1e9999").to_string().parse(), Ok(n("1e9999")));
        assert_eq!(n("1.50").to_string(), "1.5");
        assert_eq!(n("-0.001").to_string(), "-0.001");
        assert_eq!(n("1e-140").to_string(), format!("0.{}1", "0".repeat(139)));
        assert_eq!(n("2.0"), Number::Int(2));
        assert_eq!(n("1e9000").mul(&n("1e9000")).map(|x| x.to_string().len()), Some(18_001));
        let power = |x: Number| (0..40).try_fold(x, |x, _| x.mul(&x));
        assert_eq!((power(n("1e9")), power(n("1e-9"))), (None, None));
    }

    /// The last digits of integers around 512 bits, as the field shows them.
    #[test]
    fn integers_are_exact_as_far_as_the_precision_goes() {
        let nines = "9".repeat(154);
        assert_eq!(n(&nines).to_string(), nines);
        let most = "13407807929942597099574024998205846127479365820592393377723561443721764030073546976801874298166903\
                    427690031858186486050853753882811946569946433649006084095";
        assert_eq!(n(most).to_string(), most);
        let sum = |a: &str, b: &str| n(a).add(&n(b)).map(|x| x.to_string());
        assert_eq!(sum("2e60", "1"), Some(format!("2{}1", "0".repeat(59))));
        assert_eq!(sum("1e154", "1"), Some(format!("1{}1", "0".repeat(153))));
        assert_eq!(sum("1e155", "1"), Some(format!("1{}", "0".repeat(155))));
        assert_eq!(sum("1e155", "7"), Some(format!("1{}10", "0".repeat(153))));
        let third = n("-2e300").div(&n("3")).map(|x| x.to_string());
        assert_eq!(third, Some(format!("-{}7{}", "6".repeat(154), "0".repeat(145))));
    }
}
