//! Numbers with the precision of the language: integers fast, everything else at 512 bits.
//!
//! The one decision: an `i64` path for what nearly all numbers are, and a binary float of 512 bits
//! (rounding half to even) for the rest, because that is what gives the field's answers digit for
//! digit. A big number that is an integer within `i64` is always kept as one, so equality and
//! hashing of the two forms agree.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use dashu_base::{Abs, Sign, Signed};
use dashu_float::round::mode::HalfEven;
use dashu_float::{DBig, FBig};
use dashu_int::IBig;

type Big = FBig<HalfEven, 2>;

const BITS: usize = 512;
/// More decimal digits than 512 bits can need (512 * log10 2, and two more).
const MAX_DIGITS: usize = 157;

/// A number of the language.
#[derive(Clone)]
pub enum Number {
    /// An integer that fits.
    Int(i64),
    /// Anything else; never an integer within `i64`.
    Big(Arc<Big>),
}

/// A text that is not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotANumber;

impl Number {
    fn big(&self) -> Big {
        match self {
            Self::Int(n) => Big::from(IBig::from(*n)).with_precision(BITS).value(),
            Self::Big(b) => (**b).clone(),
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
        Big::try_from(value)
            .ok()
            .filter(|b| b.repr().is_finite())
            .map(|b| Self::from_big(b.with_precision(BITS).value()))
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Int(n) => *n as f64,
            Self::Big(b) => b.to_f64().value(),
        }
    }

    /// As an integer, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        if let Self::Int(n) = self { Some(*n) } else { None }
    }

    /// Whether this is positive or negative infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self, Self::Big(b) if b.repr().is_infinite())
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Int(0))
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::Int(n) => *n < 0,
            Self::Big(b) => b.repr().sign() == Sign::Negative,
        }
    }

    /// Whether this has no fraction.
    pub fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Big(b) => b.repr().is_finite() && **b == b.trunc(),
        }
    }

    fn infinity(negative: bool) -> Self {
        Self::Big(Arc::new(if negative { Big::NEG_INFINITY } else { Big::INFINITY }))
    }

    fn sign_infinite(&self) -> Option<bool> {
        self.is_infinite().then(|| self.is_negative())
    }

    /// The sum; `None` where it is not defined (opposite infinities).
    pub fn add(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(n) = a.checked_add(*b)
        {
            return Some(Self::Int(n));
        }
        match (self.sign_infinite(), other.sign_infinite()) {
            (Some(a), Some(b)) if a != b => None,
            (Some(s), _) | (_, Some(s)) => Some(Self::infinity(s)),
            _ => Some(Self::from_big(self.big() + other.big())),
        }
    }

    /// The difference.
    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.neg())
    }

    /// The product; `None` where it is not defined (infinity times zero).
    pub fn mul(&self, other: &Self) -> Option<Self> {
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
        Some(Self::from_big(self.big() * other.big()))
    }

    /// The quotient; `None` for zero or infinity by itself. A number by zero is infinite.
    pub fn div(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && *b != 0
            && a.checked_rem(*b) == Some(0)
        {
            return a.checked_div(*b).map(Self::Int).or_else(|| Some(Self::from_big(self.big() / other.big())));
        }
        if other.is_zero() {
            return (!self.is_zero()).then(|| Self::infinity(self.is_negative()));
        }
        match (self.is_infinite(), other.is_infinite()) {
            (true, true) => None,
            (true, false) => Some(Self::infinity(self.is_negative() != other.is_negative())),
            (false, true) => Some(Self::Int(0)),
            (false, false) => Some(Self::from_big(self.big() / other.big())),
        }
    }

    /// The remainder with the sign of the dividend; by zero it is the dividend itself.
    pub fn rem(&self, other: &Self) -> Option<Self> {
        if other.is_zero() || other.is_infinite() {
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
            Self::Int(n) => n.checked_neg().map_or_else(|| Self::from_big(-self.big()), Self::Int),
            Self::Big(_) => Self::from_big(-self.big()),
        }
    }

    /// Without the sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The greatest integer not above this.
    #[must_use]
    pub fn floor(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.floor()),
            _ => self.clone(),
        }
    }

    /// The least integer not below this.
    #[must_use]
    pub fn ceil(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.ceil()),
            _ => self.clone(),
        }
    }

    /// The integer part.
    #[must_use]
    pub fn trunc(&self) -> Self {
        match self {
            Self::Big(b) if b.repr().is_finite() => Self::from_big(b.trunc()),
            _ => self.clone(),
        }
    }

    /// An integer from digits in a radix between 2 and 62 (only up to 36 is supported by the
    /// digits `0-9a-z`, in either case).
    pub fn from_str_radix(text: &str, radix: u32) -> Option<Self> {
        let int = IBig::from_str_radix(text, radix).ok()?;
        Some(
            i64::try_from(int.clone())
                .map_or_else(|_| Self::from_big(Big::from(int).with_precision(BITS).value()), Self::Int),
        )
    }
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

/// Decimal text, with an optional fraction and exponent.
impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        if let Ok(n) = text.parse() {
            return Ok(Self::Int(n));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        // A bound on size: nobody writes a number of a hundred thousand digits on purpose.
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.contains('_') || text.len() > 10_000 {
            return Err(NotANumber);
        }
        if let Some((_, exponent)) = digits.split_once(['e', 'E'])
            && exponent.parse::<i32>().map_or(true, |e| e.abs() > 100_000)
        {
            return Err(NotANumber);
        }
        let decimal = DBig::from_str(text).map_err(|_| NotANumber)?;
        Ok(Self::from_big(
            decimal.with_rounding::<HalfEven>().with_precision(0).value().with_base_and_precision::<2>(BITS).value(),
        ))
    }
}

/// Decimal text without exponent: the shortest that reads back as the same number.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let big = match self {
            Self::Int(n) => return write!(f, "{n}"),
            Self::Big(b) if b.repr().is_infinite() => {
                return f.write_str(if self.is_negative() { "-Inf" } else { "Inf" });
            }
            Self::Big(b) => b,
        };
        if self.is_integer()
            && let Ok(int) = IBig::try_from((**big).clone())
        {
            return write!(f, "{int}");
        }
        let text = |digits: usize| plain(&(**big).clone().with_base_and_precision::<10>(digits).value());
        let exact = |t: &str| t.parse::<Self>().is_ok_and(|n| n == *self);
        // Most numbers were written by people with few digits: try those before the bisection.
        let short = text(17);
        if exact(&short) {
            let least = (1..17).map(text).find(|t| exact(t)).unwrap_or(short);
            return f.write_str(&least);
        }
        let (mut low, mut high) = (17, MAX_DIGITS);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if exact(&text(middle)) { high = middle } else { low = middle }
        }
        f.write_str(&text(high))
    }
}

/// Writes significand and exponent of a decimal out in full.
fn plain(value: &FBig<HalfEven, 10>) -> String {
    let (significand, exponent) = (value.repr().significand().clone(), value.repr().exponent());
    let sign = if significand.is_negative() { "-" } else { "" };
    let digits = significand.abs().to_string();
    if exponent >= 0 {
        return format!("{sign}{digits}{}", "0".repeat(exponent.unsigned_abs()));
    }
    let places = exponent.unsigned_abs();
    if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        format!("{sign}{whole}.{fraction}")
    } else {
        format!("{sign}0.{}{digits}", "0".repeat(places - digits.len()))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
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
        assert_eq!(n("1").div(&n("0")).map(|x| x.to_string()).as_deref(), Some("Inf"));
        assert_eq!(n("0").div(&n("0")), None);
        assert_eq!(n("1e21").to_string(), "1000000000000000000000");
        assert_eq!(n("1.50").to_string(), "1.5");
        assert_eq!(n("-0.001").to_string(), "-0.001");
        assert_eq!(n("2.0"), Number::Int(2));
    }

    #[test]
    fn rejects_what_is_no_number() {
        for text in ["", "a", "1_0", "0x1", "--1", "1e999999999", "Inf", "NaN", " 1"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
