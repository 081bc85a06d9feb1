//! The entries of objects and maps.
//!
//! The one decision: one sorted, shared slice. Objects are small and read far more often than changed, so a
//! look-up is a binary search and a clone counts one reference.

use std::fmt;
use std::sync::Arc;

use super::Value;

/// Keys with values, sorted by key, in one shared allocation.
#[derive(Clone, PartialEq)]
pub struct Fields(pub(super) Arc<[(Arc<str>, Value)]>);

impl Fields {
    /// From entries that are already sorted and distinct (checked in debug builds).
    pub fn from_sorted(entries: Vec<(Arc<str>, Value)>) -> Self {
        debug_assert!(entries.windows(2).all(|w| w[0].0 < w[1].0), "keys must be sorted and distinct");
        Self(entries.into())
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &self.0[i].1)
    }

    /// Entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|(k, _)| k)
    }

    /// Values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, v)| v)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy in which `key` has `value`.
    pub fn with(&self, key: &str, value: Value) -> Self {
        let mut entries = self.0.to_vec();
        match entries.binary_search_by(|(k, _)| (**k).cmp(key)) {
            Ok(i) => entries[i].1 = value,
            Err(i) => entries.insert(i, (Arc::from(key), value)),
        }
        Self(entries.into())
    }
}

/// Sorts; of equal keys the last wins.
impl<K: Into<Arc<str>>> FromIterator<(K, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(iter: I) -> Self {
        let mut entries: Vec<(Arc<str>, Value)> = iter.into_iter().map(|(k, v)| (k.into(), v)).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.reverse();
        entries.dedup_by(|a, b| a.0 == b.0);
        entries.reverse();
        Self(entries.into())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(k, v)| (k, v))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_keys_the_last_wins() {
        let f: Fields = [("a", Value::bool(false)), ("a", Value::bool(true))].into_iter().collect();
        assert_eq!(f.get("a").and_then(Value::as_bool), Some(true));
    }
}
