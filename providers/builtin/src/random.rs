//! Random bytes and choices of the operating system.
//!
//! The one decision: a choice throws away what would make one outcome likelier than another, so that every
//! password of a length has the same chance.

use mesh_model::Value;
use mesh_sdk::{ErrorKind, ProviderError};

/// The most bytes or characters that are made at once.
pub(crate) const LONGEST: usize = 65_536;

/// So many random bytes.
pub(crate) fn bytes(count: usize) -> Result<Vec<u8>, ProviderError> {
    let mut out = vec![0; count];
    getrandom::fill(&mut out).map_err(|e| {
        ProviderError::new(ErrorKind::Other, "The system gave no random bytes", format!("Its words: {e}."))
    })?;
    Ok(out)
}

/// A number below `limit`, which is more than 0.
pub(crate) fn below(limit: usize) -> Result<usize, ProviderError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    // The largest multiple of the limit: what is beyond it would favour small numbers.
    let end = u32::MAX - u32::MAX % limit;
    loop {
        let mut four = [0; 4];
        four.copy_from_slice(&bytes(4)?);
        let number = u32::from_le_bytes(four);
        if number < end {
            return Ok(usize::try_from(number % limit).unwrap_or(0));
        }
    }
}

/// A whole number of a configuration; `None` where there is none.
pub(crate) fn number(config: &Value, name: &'static str) -> Result<Option<usize>, ProviderError> {
    let Some(value) = config.get(name).filter(|v| !v.is_null()) else { return Ok(None) };
    let number = value.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= LONGEST);
    let wrong = || invalid(name, format!("{name} is a whole number from 0 to {LONGEST}."));
    number.map(Some).ok_or_else(wrong)
}

/// The error about an attribute.
pub(crate) fn invalid(name: &'static str, detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "This cannot be made at random", detail).at(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_below_their_limit_and_reach_all_below_it() {
        for limit in [1, 2, 3, 7, 62] {
            let mut seen = vec![false; limit];
            for _ in 0..limit * 60 {
                seen[below(limit).expect("random bytes")] = true;
            }
            assert!(seen.iter().all(|s| *s), "{limit}");
        }
    }
}
