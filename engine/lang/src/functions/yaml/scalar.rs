//! What a plain YAML scalar means.
//!
//! The one decision: the field's rules, which are neither YAML 1.1 nor 1.2: `y`, `on` and `no` are truth
//! values, `0777` is decimal, `0o17` and `0x1f` are not, dates become RFC 3339.

use mesh_model::Number;

use super::*;

/// The value of a scalar without quotes and tag.
pub(super) fn resolve(text: &str) -> Outcome {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::NULL,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::bool(false),
        ".nan" | ".NaN" | ".NAN" => return Err(CallError::new("there is no number for NaN")),
        _ => number(text).map(Value::number).or_else(|| time(text)).unwrap_or_else(|| Value::string(text)),
    })
}

pub(super) fn number(text: &str) -> Option<Number> {
    let (negative, body) = match text.strip_prefix(['-', '+']) {
        Some(body) => (text.starts_with('-'), body),
        None => (false, text),
    };
    let sign = |n: Number| if negative { n.neg() } else { n };
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Number::Int(if negative { -1 } else { 1 }).div(&Number::Int(0));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = body.strip_prefix(prefix) {
            // A sign makes it a text.
            let ok = body.len() == text.len()
                && !digits.is_empty()
                && digits.len() <= 256
                && digits.chars().all(|c| c.is_digit(radix));
            return if ok { Number::from_str_radix(digits, radix).map(sign) } else { None };
        }
    }
    let mantissa = body.split(['e', 'E']).next()?;
    if !mantissa.bytes().any(|b| b.is_ascii_digit())
        || !mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || mantissa.matches('.').count() > 1
    {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let zero = if whole.is_empty() { "0" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent = match &body[mantissa.len()..] {
        "" => "",
        e if e[1..].trim_start_matches(['-', '+']).bytes().all(|b| b.is_ascii_digit()) && e.len() > 1 => e,
        _ => return None,
    };
    format!("{zero}{whole}{point}{fraction}{exponent}").parse().ok().map(sign)
}

/// A date, or a date and a time, as RFC 3339.
pub(super) fn time(text: &str) -> Option<Value> {
    let b = text.as_bytes();
    if b.len() < 8 || !b[..4].iter().all(u8::is_ascii_digit) || b[4] != b'-' {
        return None;
    }
    if b.len() == 10 {
        let full = format!("{text}T00:00:00Z");
        return date::parse(&full).ok().map(|_| Value::string(full));
    }
    let at = text.find(['T', 't', ' '])?;
    let (day, clock) = (&text[..at], text[at + 1..].trim_start());
    let zoned = clock.ends_with(['Z', 'z']) || clock.len() > 6 && clock[clock.len() - 6..].starts_with(['+', '-']);
    let full = format!("{day}T{}{}", clock.to_uppercase(), if zoned { "" } else { "Z" });
    date::parse(&full).ok().map(|moment| Value::string(moment.rfc3339()))
}
