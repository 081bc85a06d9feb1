//! `required_version`: constraints such as `>= 0.1, < 2.0` or `~> 1.4`.
//!
//! The one decision: the field's own rules, not those of a package manager: `~>` lets the last written
//! number grow, missing numbers are zero, and a pre-release fits only a constraint that names one.

use std::cmp::Ordering;

/// A version with what may follow a dash.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Version {
    numbers: Vec<u64>,
    pre: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next().unwrap_or(text);
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Vec<u64> = numbers.split('.').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let whole = !pre.is_empty() || !text.ends_with('-');
        (whole && numbers.len() <= 4).then(|| Self { numbers, pre: pre.to_owned() })
    }

    fn number(&self, i: usize) -> u64 {
        self.numbers.get(i).copied().unwrap_or(0)
    }

    fn order(&self, other: &Self) -> Ordering {
        (0..4).map(|i| self.number(i).cmp(&other.number(i))).find(|o| o.is_ne()).unwrap_or_else(|| {
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.pre.cmp(&other.pre),
            }
        })
    }
}

/// Whether `version` fulfils all `constraints`; `None` where they cannot be read.
pub(super) fn fits(constraints: &str, version: &str) -> Option<bool> {
    let version = Version::parse(version)?;
    let mut all = true;
    for constraint in constraints.split(',') {
        let constraint = constraint.trim();
        let split = constraint.find(|c: char| c.is_ascii_digit() || c == 'v')?;
        let (operator, wanted) = constraint.split_at(split);
        let wanted = Version::parse(wanted.trim())?;
        let order = version.order(&wanted);
        let comparable = version.pre.is_empty() || !wanted.pre.is_empty();
        all &= match operator.trim() {
            "" | "=" => order.is_eq(),
            "!=" => order.is_ne(),
            ">" => comparable && order.is_gt(),
            ">=" => comparable && order.is_ge(),
            "<" => comparable && order.is_lt(),
            "<=" => comparable && order.is_le(),
            "~>" => {
                let fixed = wanted.numbers.len().saturating_sub(1).max(1);
                comparable && order.is_ge() && (0..fixed).all(|i| version.number(i) == wanted.number(i))
            }
            _ => return None,
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_mean_what_they_mean_in_the_field() {
        let rows = [
            (">= 0.1", "0.1.0", Some(true)),
            (">= 0.1, < 0.1", "0.1.0", Some(false)),
            ("0.1", "0.1.0", Some(true)),
            ("= 0.1.1", "0.1.0", Some(false)),
            ("!= 0.1.0", "0.1.0", Some(false)),
            ("~> 1.4", "1.9.2", Some(true)),
            ("~> 1.4", "2.0.0", Some(false)),
            ("~> 1.4.2", "1.4.9", Some(true)),
            ("~> 1.4.2", "1.5.0", Some(false)),
            ("~> 1", "1.7.0", Some(true)),
            ("~>1.4.2", "1.4.1", Some(false)),
            ("> 1.0", "1.1.0-beta1", Some(false)),
            (">= 1.1.0-alpha", "1.1.0-beta1", Some(true)),
            ("", "1.0.0", None),
            (">= x", "1.0.0", None),
            ("=> 1.0", "1.0.0", None),
            (">= 1.0 < 2.0", "1.0.0", None),
        ];
        for (constraint, version, want) in rows {
            assert_eq!(fits(constraint, version), want, "{constraint} {version}");
        }
    }
}
