//! Quantities as Kubernetes writes them.
//!
//! The one decision: the number is exact; rounding up to billionths, as an API server does with what it
//! stores, is left to it. The grammar is that of `resource.Quantity`.

use mesh_model::Number;

use super::*;

pub(super) const FUNCTIONS: &[Function] = &[Function::new(
    "k8s_quantity",
    &[Param::new("quantity", Ty::String)],
    Ty::Number,
    |_, a| quantity(text(a, 0)),
    "The number that a Kubernetes quantity such as `250m`, `1.5Gi` or `3e6` stands for.",
)];

/// Suffixes with the power of ten, or of two, that they stand for.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

fn quantity(text: &str) -> Outcome {
    let wrong = || CallError::at(0, format!("{text:?} is no quantity such as \"250m\", \"1.5Gi\" or \"3e6\""));
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // More digits than any quantity holds: what is behind them cannot be a mistake of the digits.
    if whole.len() + fraction.len() == 0 || fraction.contains('.') || digits.len() > 64 {
        return Err(wrong());
    }
    let parse = |exponent: i32| format!("{}.{}e{exponent}", zero(whole), zero(fraction)).parse::<Number>().ok();
    let power = |base: u32| parse(0).and_then(|n| n.mul(&Number::from(1_u64 << base)));
    let number = if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        parse(*exponent)
    } else if let Some((_, base)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        power(*base)
    } else {
        let exponent = suffix.strip_prefix(['e', 'E']).and_then(|e| e.parse::<i32>().ok());
        exponent.filter(|e| e.abs() <= 64).and_then(parse)
    }
    .ok_or_else(wrong)?;
    Ok(Value::number(if text.starts_with('-') { number.neg() } else { number }))
}

fn zero(digits: &str) -> &str {
    if digits.is_empty() { "0" } else { digits }
}
