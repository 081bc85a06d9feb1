//! Which paths and names may be sent.
//!
//! The one decision: what a URL would change on the way (`..`, `%`, `?`, empty segments) is refused instead of
//! escaped, so that the object that is managed is always the one that is named.

use mesh_model::Value;
use mesh_sdk::Problem;

/// In bytes; far below what HTTP libraries take.
const LONGEST: usize = 2000;

/// Why `text` cannot be a path in Vault; `None` when it can.
pub(crate) fn path_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("must not be empty");
    }
    if text.len() > LONGEST {
        return Some("is too long");
    }
    if text.starts_with('/') || text.ends_with('/') {
        return Some("must not begin or end with \"/\"");
    }
    if text.split('/').any(|s| s.is_empty() || s == "." || s == "..") {
        return Some("must not have empty, \".\" or \"..\" segments");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '%' | '?' | '#' | '\\' | '*' | '+')) {
        return Some("must not contain white space or any of % ? # \\ * +");
    }
    None
}

/// Why `text` cannot be one segment of a path.
pub(crate) fn segment_problem(text: &str) -> Option<&'static str> {
    path_problem(text).or_else(|| text.contains('/').then_some("must not contain \"/\""))
}

/// Checks the path attributes of a configuration as far as they are known.
pub(crate) fn check(config: &Value, paths: &[&str], segments: &[&str]) -> Vec<Problem> {
    let one = |name: &&str, problem: fn(&str) -> Option<&'static str>| {
        config.get_str(name).and_then(problem).map(|reason| Problem::at(name, format!("{name} {reason}.")))
    };
    // Identities stand in state and in messages.
    let hidden = |name: &&str| {
        let sensitive = config.get(name).is_some_and(|v| v.marks().sensitive());
        sensitive.then(|| {
            Problem::at(name, format!("{name} is part of the object's identity and must not be a sensitive value."))
        })
    };
    let hidden = paths.iter().chain(segments).filter_map(hidden);
    hidden
        .chain(paths.iter().filter_map(|n| one(n, path_problem)))
        .chain(segments.iter().filter_map(|n| one(n, segment_problem)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_would_change_is_refused() {
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a/../z",
            "..",
            ".",
            "a%2Fb",
            "a?b",
            "a b",
            "a\nb",
            "a#b",
            "a/*",
            &"a".repeat(3000),
        ] {
            assert!(path_problem(bad).is_some(), "{bad:?}");
        }
        for good in ["asm-c1/hsm", "kv", "a.b/c_d", "ä"] {
            assert_eq!(path_problem(good), None, "{good:?}");
        }
        assert!(segment_problem("a/b").is_some());
    }
}
