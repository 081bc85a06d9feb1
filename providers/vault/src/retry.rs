//! When a call is worth another try, and after how long.
//!
//! The one decision: a pure table with the habits of Vault's own Go client (two more tries at 429 and at 5xx but 501,
//! `Retry-After` honoured), except that a sealed Vault fails at once, since waiting does not unseal it. What follows
//! right after a mount and an Enterprise standby that lags get more and shorter tries.

use std::time::Duration;

/// Tries after which the two short-lived conditions are believed to last.
const BRIEF: u32 = 10;
/// `Retry-After` beyond this is not waited for.
const LONGEST: u64 = 60;

/// How long to wait before try `tried + 1`; `None` when the answer stands. `retries` is how many more tries usual
/// failures get.
pub(crate) fn after_answer(
    status: u16,
    words: &str,
    tried: u32,
    retries: u32,
    retry_after: Option<u64>,
) -> Option<Duration> {
    match status {
        // KV v2 moves its data right after it was mounted.
        400 if words.contains("Upgrading from non-versioned") => brief(tried),
        412 => brief(tried),
        429 if tried < retries => match retry_after {
            Some(seconds) if seconds > LONGEST => None,
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => Some(pause(tried)),
        },
        501 => None,
        503 if words.contains("sealed") => None,
        500.. if tried < retries => Some(pause(tried)),
        _ => None,
    }
}

/// How long to wait after try number `tried` got no answer.
pub(crate) fn after_silence(tried: u32, retries: u32) -> Option<Duration> {
    (tried < retries).then(|| pause(tried))
}

fn pause(tried: u32) -> Duration {
    Duration::from_millis(1000 + 250 * u64::from(tried.min(4)))
}

fn brief(tried: u32) -> Option<Duration> {
    (tried < BRIEF).then(|| Duration::from_millis((50 << tried.min(5)).min(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let wait = |status, words, tried, after| after_answer(status, words, tried, 2, after).map(|d| d.as_millis());
        assert_eq!(wait(429, "", 0, Some(3)), Some(3000));
        assert_eq!(wait(429, "", 0, Some(3600)), None, "too long to wait for");
        assert_eq!(wait(500, "", 0, None), Some(1000));
        assert_eq!(wait(500, "", 2, None), None, "two more tries");
        assert_eq!(wait(501, "", 0, None), None);
        assert_eq!(wait(503, "Vault is sealed", 0, None), None);
        assert_eq!(wait(503, "", 0, None), Some(1000));
        assert_eq!(wait(412, "", 9, None), Some(1000));
        assert_eq!(wait(400, "Upgrading from non-versioned to versioned data.", 0, None), Some(50));
        assert_eq!(wait(400, "other", 0, None), None);
        assert_eq!(wait(403, "", 0, None), None);
    }
}
