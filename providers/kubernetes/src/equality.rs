//! When two scalars of an object mean the same to Kubernetes.
//!
//! Only spellings that the server itself rewrites count: quantities, and base64 in Secrets. A
//! difference that is missed here is not wrong, it only costs a dry run.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use mesh_model::Value;

/// Fields whose direct children are quantities.
const QUANTITY_MAPS: &[&str] =
    &["limits", "requests", "capacity", "hard", "allocatable", "default", "defaultRequest", "max", "min", "podFixed"];
/// Fields that are quantities themselves.
const QUANTITIES: &[&str] = &["sizeLimit", "averageValue", "divisor", "storage", "memory", "cpu"];

/// Whether two scalars under `key` of `parent` mean the same.
pub(crate) fn scalar(a: &Value, b: &Value, parent: &str, key: &str, base64_text: bool) -> bool {
    if a.same(b) {
        return true;
    }
    if QUANTITY_MAPS.contains(&parent) || QUANTITIES.contains(&key) {
        let text = |v: &Value| v.as_str().map(str::to_owned).or_else(|| v.as_number().map(ToString::to_string));
        if let (Some(x), Some(y)) = (text(a), text(b)) {
            return matches!((quantity(&x), quantity(&y)), (Some(x), Some(y)) if x == y);
        }
    }
    if base64_text && let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return matches!((decode(x), decode(y)), (Some(x), Some(y)) if x == y);
    }
    false
}

/// A quantity in units of 10^-9.
pub(crate) fn quantity(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (numerator, denominator): (i128, i128) = match suffix {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "" => (1, 1),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent if exponent.starts_with(['e', 'E']) => {
            let exponent: i32 = exponent[1..].parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
        _ => return None,
    };
    let negative = number.starts_with('-');
    let digits = number.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 || digits.contains(['+', '-']) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nano: i128 = format!("{fraction:0<9}").parse().ok()?;
    let value = whole.checked_mul(1_000_000_000)?.checked_add(nano)?.checked_mul(numerator)? / denominator;
    Some(if negative { -value } else { value })
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Bytes of base64 text, line breaks allowed.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    LENIENT.decode(text).ok()
}

/// Base64 as Secrets have it.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_in_every_spelling() {
        for (a, b) in [("1000m", "1"), ("1Gi", "1073741824"), ("0.5", "500m"), ("1e3", "1k"), (".5Ki", "512")] {
            assert_eq!(quantity(a), quantity(b), "{a} {b}");
            assert!(quantity(a).is_some(), "{a}");
        }
        for bad in ["", "x", "1x", "1-2", "1eE"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_where_the_server_rewrites() {
        let (a, b) = (Value::string("1000m"), Value::string("1"));
        assert!(scalar(&a, &b, "limits", "cpu", false));
        assert!(scalar(&Value::number(1), &b, "requests", "nvidia.com/gpu", false));
        assert!(!scalar(&a, &b, "data", "x", false));
        assert!(scalar(&Value::string("YQ\n=="), &Value::string("YQ=="), "data", "x", true));
        assert!(!scalar(&Value::string("YQ=="), &Value::string("Yg=="), "data", "x", true));
    }
}
