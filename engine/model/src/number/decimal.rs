//! Binary floats as decimal text.
//!
//! The one decision: whole numbers only. A float times a power of two or five is one, so the shortest
//! decimal is found exactly and without the cost of a conversion between bases for each try. What it
//! does not do: exponents; every text is written out in full.

use std::cmp::Ordering;

use dashu_base::{Abs, BitTest};
use dashu_int::IBig;

use super::Big;

/// More decimal digits than 512 bits can need (512 * log10 2, and two more).
const MAX_DIGITS: usize = 157;

/// The fewest digits that read back as the same number of so many bits, and the power of ten of the last one.
///
/// Between a number and its neighbours lies half a unit of its last bit on either side; the shortest
/// decimal in there is looked for in whole numbers, which is quick and exact.
pub(super) fn shortest(big: &Big, bits: usize) -> (String, isize) {
    let significand = big.repr().significand().clone().abs();
    // One bit more than the precision: the last bit is half a unit.
    let shift = (bits + 1).saturating_sub(significand.bit_len());
    let exponent = big.repr().exponent().saturating_sub_unsigned(shift);
    let middle = significand << shift;
    // A border belongs to the number whose significand is even.
    let inclusive = !middle.bit(1);
    let power = exponent.unsigned_abs();
    let scaled = |n: IBig| if exponent < 0 { n * IBig::from(5).pow(power) } else { n << power };
    let (low, high) = (scaled(&middle - IBig::ONE), scaled(&middle + IBig::ONE));
    let middle = scaled(middle);
    let length = middle.to_string().len();
    let ten = IBig::from(10);
    let rounded = |count: usize| {
        let unit = ten.pow(length.saturating_sub(count));
        let (quotient, rest) = (&middle / &unit, &middle % &unit);
        let (down, up) = (&middle - &rest, &middle - &rest + &unit);
        let down_fits = down > low || inclusive && down == low;
        let up_fits = up < high || inclusive && up == high;
        let nearer_up = match (&rest * IBig::from(2)).cmp(&unit) {
            Ordering::Less => false,
            Ordering::Equal => quotient.bit(0),
            Ordering::Greater => true,
        };
        match (down_fits, up_fits) {
            (true, true) if nearer_up => Some(quotient + IBig::ONE),
            (true, _) => Some(quotient),
            (false, true) => Some(quotient + IBig::ONE),
            (false, false) => None,
        }
    };
    let (mut least, mut most) = (1, length.min(MAX_DIGITS));
    while least < most {
        let count = usize::midpoint(least, most);
        if rounded(count).is_some() { most = count } else { least = count + 1 }
    }
    let digits = rounded(most).unwrap_or_default().to_string();
    let last = length.saturating_sub(most).cast_signed().saturating_add(exponent.min(0));
    // Rounding up may have made 10 of 9.
    let trimmed = digits.trim_end_matches('0');
    (trimmed.to_owned(), last.saturating_add_unsigned(digits.len() - trimmed.len()))
}

/// Writes digits and the power of ten of the last one out in full.
pub(super) fn plain(negative: bool, digits: &str, exponent: isize) -> String {
    let sign = if negative { "-" } else { "" };
    let places = exponent.unsigned_abs();
    if exponent >= 0 {
        return format!("{sign}{digits}{}", "0".repeat(places));
    }
    if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        format!("{sign}{whole}.{fraction}")
    } else {
        format!("{sign}0.{}{digits}", "0".repeat(places - digits.len()))
    }
}

/// Digits and the power of ten of the last one, rounded to ten digits, with an exponent from `1e+10` on and
/// below `1e-4`.
pub(super) fn short(negative: bool, (digits, exponent): (String, isize)) -> String {
    const MOST: usize = 10;
    let (mut digits, mut exponent) = (digits, exponent);
    if digits.len() > MOST {
        let up = digits.as_bytes()[MOST] >= b'5';
        exponent = exponent.saturating_add_unsigned(digits.len() - MOST);
        digits.truncate(MOST);
        // Ten digits always fit.
        let rounded = digits.parse::<u64>().unwrap_or_default() + u64::from(up);
        digits = rounded.to_string();
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        digits.truncate(digits.len() - zeros);
        exponent = exponent.saturating_add_unsigned(zeros);
    }
    let power = exponent.saturating_add_unsigned(digits.len() - 1);
    let limit = if exponent > 0 { MOST } else { digits.len() };
    if power >= -4 && power < limit.cast_signed() {
        return plain(negative, &digits, exponent);
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if negative { "-" } else { "" };
    format!("{sign}{first}{point}{rest}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
}
