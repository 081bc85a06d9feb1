//! Numbers as text, in all the forms that are read and written.
//!
//! The one decision: what is shown and what is saved are two forms. Shown are the fewest digits that tell a number from
//! its neighbours; what is saved reads back as the same number, so a float has a mark behind its digits. The digits
//! themselves come from `decimal`.

use std::fmt;
use std::str::FromStr;

use dashu_base::{BitTest, Sign};
use dashu_float::DBig;
use dashu_float::round::mode::HalfEven;
use dashu_int::IBig;

use super::{BITS, Big, Number, decimal, exact};

/// A text that is not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotANumber;

impl Number {
    /// The text for files of our own: that of `Display`, with a mark behind a float.
    pub fn to_saved(&self) -> String {
        if let Self::Float(_) = self { format!("{self}f") } else { self.to_string() }
    }

    /// Reads what [`Number::to_saved`] wrote; `None` for anything else.
    pub fn from_saved(text: &str) -> Option<Self> {
        match text.strip_suffix('f').filter(|t| t.ends_with(|c: char| c.is_ascii_digit())) {
            Some(float) => Self::from_float(float.parse().ok()?),
            None => text.parse().ok(),
        }
    }

    /// At most ten digits, with an exponent where the number is very large or small (`1.5e+30`): the
    /// form in which sets compare the numbers within their elements.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Big(b) if b.repr().is_infinite() => if self.is_negative() { "-Inf" } else { "+Inf" }.into(),
            Self::Big(b) => decimal::short(self.is_negative(), decimal::shortest(b, BITS)),
            Self::Float(x) => decimal::short(*x < 0.0, decimal::shortest(&exact(*x), f64::MANTISSA_DIGITS as usize)),
            other => {
                let text = other.to_string();
                let digits = text.trim_start_matches('-').trim_end_matches('0');
                let zeros = text.trim_start_matches('-').len() - digits.len();
                if digits.is_empty() {
                    return text;
                }
                decimal::short(self.is_negative(), (digits.to_owned(), zeros.cast_signed()))
            }
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

    /// About how many bytes [`fmt::Display`] writes, from above.
    pub(crate) fn text_len(&self) -> usize {
        match self {
            Self::Int(_) | Self::NegativeZero => 0,
            // As many zeros as a float's exponent has.
            Self::Float(_) => 330,
            Self::Big(b) if b.repr().is_infinite() => 0,
            Self::Big(b) => {
                let bits = b.repr().significand().bit_len().saturating_add(b.repr().exponent().unsigned_abs());
                // A bit is less than a third of a digit before the point, and one digit behind it at most.
                if b.repr().exponent() < 0 { bits } else { bits / 3 }
            }
        }
    }
}

/// Decimal text, with an optional sign, fraction and exponent (`e` of ten, `p` of two), or `Inf`.
impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        if let Ok(n) = text.parse() {
            return Ok(if n == 0 { Self::zero(text.starts_with('-')) } else { Self::Int(n) });
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let negative = text.starts_with('-');
        if matches!(digits, "Inf" | "inf") {
            return Ok(Self::infinity(negative));
        }
        if let Some((mantissa, power)) = digits.split_once(['p', 'P']) {
            let power: isize = power.parse().ok().filter(|p| (-100_000..=100_000).contains(p)).ok_or(NotANumber)?;
            let plain = mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let mantissa: Self = if plain { mantissa.parse()? } else { return Err(NotANumber) };
            let shifted =
                Self::from_big(mantissa.big() * Big::from_parts(IBig::ONE, power).with_precision(BITS).value());
            return Ok(if negative { shifted.neg() } else { shifted });
        }
        // The library wants a digit before the point.
        let filled = if digits.starts_with('.') && digits.len() > 1 { format!("0{digits}") } else { digits.to_owned() };
        let digits = filled.as_str();
        // The library knows further ways to write a number.
        let known = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
        // A bound on size: nobody writes a number of a hundred thousand digits on purpose.
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.bytes().all(known) || text.len() > 10_000 {
            return Err(NotANumber);
        }
        if let Some((_, exponent)) = digits.split_once(['e', 'E'])
            && exponent.parse::<i32>().map_or(true, |e| e.abs() > 100_000)
        {
            return Err(NotANumber);
        }
        let decimal = DBig::from_str(digits).map_err(|_| NotANumber)?;
        if decimal.repr().significand().is_zero() {
            return Ok(Self::zero(negative));
        }
        let decimal = if negative { -decimal } else { decimal };
        Ok(Self::from_big(
            decimal.with_rounding::<HalfEven>().with_precision(0).value().with_base_and_precision::<2>(BITS).value(),
        ))
    }
}

/// Decimal text without exponent: the shortest that reads back as the same number, filled up with zeros.
/// Integers of up to 512 bits (154 digits) show all their digits.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let big = match self {
            Self::Int(n) => return write!(f, "{n}"),
            Self::Float(x) => {
                let (digits, exponent) = decimal::shortest(&exact(*x), f64::MANTISSA_DIGITS as usize);
                return f.write_str(&decimal::plain(*x < 0.0, &digits, exponent));
            }
            Self::NegativeZero => return f.write_str("-0"),
            Self::Big(b) if b.repr().is_infinite() => {
                return f.write_str(if self.is_negative() { "-Inf" } else { "+Inf" });
            }
            Self::Big(b) => &**b,
        };
        // The exponent of a number that is no integer is negative, so the shift cannot be large.
        if let (significand, Ok(shift)) = (big.repr().significand(), usize::try_from(big.repr().exponent()))
            && significand.bit_len().saturating_add(shift) <= BITS
        {
            return write!(f, "{}", significand << shift);
        }
        let (digits, exponent) = decimal::shortest(big, BITS);
        f.write_str(&decimal::plain(big.repr().sign() == Sign::Negative, &digits, exponent))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_is_no_number() {
        for text in [
            "",
            "a",
            "1_0",
            "0x1",
            "--1",
            "+-1",
            ".",
            "1e999999999",
            "1e1p1",
            "Infinity",
            "NaN",
            " 1",
            "1@2",
            "2@99999999",
        ] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
