//! Numbers for the verbs of `format`.
//!
//! The one decision: every number is turned into its exact decimal digits once (a binary float always
//! has finitely many), and rounding half to even happens on those.

use dashu_int::IBig;
use dashu_int::ops::Abs;
use mesh_model::Number;

use super::Verb;
use crate::functions::float;

/// `0.digits * 10^point`, without leading or trailing zeros; no digits for zero.
struct Decimal {
    digits: Vec<u8>,
    point: i64,
}

/// All decimal digits of a binary number, and how many of them stand behind the point.
fn binary(significand: IBig, exponent: isize) -> (String, i64) {
    let power = exponent.unsigned_abs();
    if exponent >= 0 {
        ((significand << power).to_string(), 0)
    } else {
        ((significand * IBig::from(5).pow(power)).to_string(), power as i64)
    }
}

impl Decimal {
    /// All digits, or the fewest that read back as the same number.
    fn of(number: &Number, shortest: bool) -> Self {
        let (text, scale) = match number {
            Number::Float(x) if !shortest => {
                let (mantissa, exponent) = float::parts(x.abs());
                binary(mantissa.into(), exponent)
            }
            Number::Big(big) if !shortest => binary(big.repr().significand().clone().abs(), big.repr().exponent()),
            other => {
                let text = other.abs().to_string();
                let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64);
                (text.replace('.', ""), scale)
            }
        };
        let lead = text.len() - text.trim_start_matches('0').len();
        let point = (text.len() - lead) as i64 - scale;
        Self { digits: text.trim_matches('0').bytes().collect(), point }.normal()
    }

    fn normal(mut self) -> Self {
        if self.digits.is_empty() {
            self.point = 0;
        }
        self
    }

    /// Keeps `count` digits (none when negative), rounding half to even.
    fn round(&mut self, count: i64) {
        let Ok(count) = usize::try_from(count) else {
            self.digits.clear();
            self.point = 0;
            return;
        };
        if count >= self.digits.len() {
            return;
        }
        let up = match self.digits[count].cmp(&b'5') {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            // Beyond the five there is nothing (trailing zeros are cut): a tie.
            std::cmp::Ordering::Equal => {
                self.digits.len() > count + 1 || count.checked_sub(1).is_some_and(|i| (self.digits[i] - b'0') % 2 == 1)
            }
        };
        self.digits.truncate(count);
        if up {
            while self.digits.last() == Some(&b'9') {
                self.digits.pop();
            }
            match self.digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    self.digits.push(b'1');
                    self.point += 1;
                }
            }
        }
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    fn digit(&self, index: i64) -> char {
        usize::try_from(index).ok().and_then(|i| self.digits.get(i)).map_or('0', |d| char::from(*d))
    }

    /// `12.340` with a fixed number of decimals.
    fn fixed(&self, decimals: i64) -> String {
        let mut out: String =
            if self.point > 0 { (0..self.point).map(|i| self.digit(i)).collect() } else { "0".into() };
        if decimals > 0 {
            out.push('.');
            out.extend((0..decimals).map(|i| self.digit(self.point + i)));
        }
        out
    }

    /// `1.234e+01` with a fixed number of decimals.
    fn exponent(&self, decimals: i64) -> String {
        let mut out = String::from(self.digit(0));
        if decimals > 0 {
            out.push('.');
            out.extend((1..=decimals).map(|i| self.digit(i)));
        }
        let exponent = if self.digits.is_empty() { 0 } else { self.point - 1 };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{out}e{sign}{:02}", exponent.unsigned_abs())
    }
}

/// `%g`: few digits, with an exponent where the number is very large or small.
pub(super) fn general(number: &Number, precision: Option<usize>, upper: bool) -> String {
    let sign = if number.minus() { "-" } else { "" };
    if number.is_infinite() {
        return if number.is_negative() { "-Inf".into() } else { "+Inf".into() };
    }
    let mut decimal = Decimal::of(number, precision.is_none());
    let mut limit = 6;
    if let Some(precision) = precision {
        let precision = precision.max(1) as i64;
        decimal.round(precision);
        limit = precision;
        let have = decimal.digits.len() as i64;
        if limit > have && have >= decimal.point {
            limit = have;
        }
    }
    let exponent = decimal.point - 1;
    let have = decimal.digits.len() as i64;
    let text = if !decimal.digits.is_empty() && (exponent < -4 || exponent >= limit) {
        decimal.exponent(have - 1)
    } else {
        decimal.fixed((have - decimal.point).max(0))
    };
    let text = format!("{sign}{text}");
    if upper { text.to_uppercase() } else { text }
}

/// Writes a number by a numeric verb.
pub(super) fn write(out: &mut String, verb: &Verb<'_>, number: &Number) -> Result<(), String> {
    let mut prefix = String::new();
    // Integers have no zero with a minus.
    let negative = if "bdoxX".contains(verb.letter) { number.is_negative() } else { number.minus() };
    let body = match verb.letter {
        'b' | 'd' | 'o' | 'x' | 'X' => {
            if !number.is_integer() {
                return Err("a whole number is needed".into());
            }
            let int = match number {
                Number::Int(n) => IBig::from(*n),
                Number::NegativeZero => IBig::ZERO,
                Number::Float(x) => {
                    let (mantissa, exponent) = float::parts(x.abs());
                    let size = IBig::from(mantissa);
                    // An integer has no fraction to lose.
                    if exponent < 0 { size >> exponent.unsigned_abs() } else { size << exponent.unsigned_abs() }
                }
                // An integer's exponent is never negative.
                Number::Big(big) => big.repr().significand() << big.repr().exponent().unsigned_abs(),
            };
            let (radix, mark) = match verb.letter {
                'b' => (2, "0b"),
                'o' => (8, "0"),
                'x' => (16, "0x"),
                'X' => (16, "0X"),
                _ => (10, ""),
            };
            if verb.sharp {
                prefix.push_str(mark);
            }
            let digits = int.abs().in_radix(radix).to_string();
            let digits = if verb.letter == 'X' { digits.to_uppercase() } else { digits };
            let least = verb.precision.unwrap_or(0);
            format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())))
        }
        _ if number.is_infinite() => "Inf".into(),
        'e' | 'E' => {
            let decimals = verb.precision.unwrap_or(6) as i64;
            let mut decimal = Decimal::of(number, false);
            decimal.round(decimals + 1);
            let text = decimal.exponent(decimals);
            if verb.letter == 'E' { text.to_uppercase() } else { text }
        }
        'f' => {
            let decimals = verb.precision.unwrap_or(6) as i64;
            let mut decimal = Decimal::of(number, false);
            decimal.round(decimal.point + decimals);
            decimal.fixed(decimals)
        }
        _ => general(&number.abs(), verb.precision, verb.letter == 'G'),
    };
    let infinite = number.is_infinite();
    let sign = match (negative, verb.plus || infinite && !verb.space, verb.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let fill = verb.width.saturating_sub(sign.len() + prefix.len() + body.len());
    let digits_given = verb.precision.is_some() && "bdoxX".contains(verb.letter);
    let zeros = verb.zero && !verb.minus && !infinite && !digits_given;
    if !verb.minus && !zeros {
        out.extend(std::iter::repeat_n(' ', fill));
    }
    out.push_str(sign);
    out.push_str(&prefix);
    if zeros {
        out.extend(std::iter::repeat_n('0', fill));
    }
    out.push_str(&body);
    if verb.minus {
        out.extend(std::iter::repeat_n(' ', fill));
    }
    Ok(())
}
