//! The order of values, and of collections among each other.
//!
//! The one decision: the field orders the elements of a set that are no primitives by a text of their
//! content, so `[10]` stands before `[9]`. Here the texts are compared without being written, part by part,
//! so that what two values share is not looked at. Each part ends with a `;` and none begins as its end.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Fields, Kind, Value};

impl Value {
    /// A total order over all values, for sets and for deterministic output: by kind, then numbers
    /// by size, strings by bytes, collections by their text.
    pub fn total_cmp(&self, other: &Self) -> Ordering {
        fn rank(kind: &Kind) -> u8 {
            match kind {
                Kind::Bool(_) => 1,
                Kind::Number(_) => 2,
                Kind::String(_) => 3,
                Kind::List(..) | Kind::Tuple(_) => 4,
                Kind::Set(..) => 5,
                Kind::Map(..) | Kind::Object(_) => 6,
                // Behind all values, as in the field.
                Kind::Null(_) => 7,
                Kind::Withheld(..) => 8,
                Kind::Unknown(_) => 9,
            }
        }
        match (&self.kind, &other.kind) {
            (Kind::Bool(a), Kind::Bool(b)) => a.cmp(b),
            (Kind::Number(a), Kind::Number(b)) => a.cmp(b),
            (Kind::String(a), Kind::String(b)) => a.cmp(b),
            (a, b) if rank(a) == rank(b) && (4..=6).contains(&rank(a)) => compare(self, other),
            (Kind::Withheld(_, a), Kind::Withheld(_, b)) => a.cmp(b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

/// Compares as the texts of both would compare. Equal are only equal values of one kind.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (&a.kind, &b.kind) {
        (Kind::List(_, x) | Kind::Set(_, x), Kind::List(_, y) | Kind::Set(_, y)) => items(x, y, ']'),
        (Kind::Tuple(x), Kind::Tuple(y)) => items(x, y, '>'),
        (Kind::Map(_, x) | Kind::Object(x), Kind::Map(_, y) | Kind::Object(y)) => fields(x, y),
        (Kind::String(x), Kind::String(y)) => quoted(x, y),
        // All digits too, for numbers that the short form does not tell apart.
        (Kind::Number(x), Kind::Number(y)) => format!("{};{x};", x.short()).cmp(&format!("{};{y};", y.short())),
        (Kind::Withheld(_, x), Kind::Withheld(_, y)) => x.cmp(y),
        _ => head(a).cmp(&head(b)),
    }
}

/// The character that the text of a value begins with: digits and signs of numbers apart, one for each kind.
fn head(value: &Value) -> char {
    match &value.kind {
        Kind::Unknown(_) => '?',
        Kind::Null(_) => '~',
        Kind::Withheld(..) => '!',
        Kind::Bool(b) => {
            if *b {
                'T'
            } else {
                'F'
            }
        }
        Kind::Number(n) => n.short().chars().next().unwrap_or('0'),
        Kind::String(_) => '"',
        Kind::List(..) | Kind::Set(..) => '[',
        Kind::Tuple(_) => '<',
        Kind::Map(..) | Kind::Object(_) => '{',
    }
}

fn items(a: &Arc<[Value]>, b: &Arc<[Value]>, end: char) -> Ordering {
    if Arc::ptr_eq(a, b) {
        return Ordering::Equal;
    }
    let first = a.iter().zip(b.iter()).map(|(x, y)| compare(x, y)).find(|o| o.is_ne());
    first.unwrap_or_else(|| {
        let next = |of: &[Value], other: &[Value]| of.get(other.len()).map_or(end, head);
        next(a, b).cmp(&next(b, a))
    })
}

fn fields(a: &Fields, b: &Fields) -> Ordering {
    let first = a.iter().zip(b.iter()).map(|((k, x), (l, y))| quoted(k, l).then_with(|| compare(x, y)));
    // A further name begins with a quote, which is less than the bracket at the end.
    first.into_iter().find(|o| o.is_ne()).unwrap_or_else(|| b.len().cmp(&a.len()))
}

fn quoted(a: &str, b: &str) -> Ordering {
    a.escape_debug().chain(['"']).cmp(b.escape_debug().chain(['"']))
}
