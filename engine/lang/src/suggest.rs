//! "Did you mean": the one candidate that is close to what was written.
//!
//! The one decision: an edit distance of at most a third of the name (at least one), so that a hint
//! is a typo's cure and never a guess.

/// The candidate nearest to `given`, when it is near enough.
pub fn suggestion<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| *c != given)
        .map(|c| (distance(given, c, limit), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// ` Did you mean "x"?`, or nothing.
pub(crate) fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    suggestion(given, candidates).map_or_else(String::new, |s| format!(" Did you mean {s:?}?"))
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`; anything above `limit` may
/// come back as `limit + 1`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_typos_only() {
        let names = ["region", "cluster_name", "vip"];
        assert_eq!(suggestion("regoin", names), Some("region"));
        assert_eq!(suggestion("clustername", names), Some("cluster_name"));
        assert_eq!(suggestion("zone", names), None);
        assert_eq!(suggestion("vpi", names), Some("vip"));
    }
}
