//! Where in a value: `spec.ports[0].name`.

use std::fmt;
use std::sync::Arc;

use crate::Value;

/// One step into a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// An attribute of an object or a key of a map.
    Key(Arc<str>),
    /// An element of a list or tuple.
    Index(usize),
}

/// Steps from the outermost value inwards.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path to one attribute.
    pub fn attribute(name: impl Into<Arc<str>>) -> Self {
        Self(vec![Step::Key(name.into())])
    }

    /// This path and one more step.
    #[must_use]
    pub fn join(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The part of `value` that this path leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |v, step| match step {
            Step::Key(k) => v.get(k),
            Step::Index(i) => v.as_items().and_then(|items| items.get(*i)),
        })
    }

    /// The name of the first attribute.
    pub fn root(&self) -> Option<&str> {
        match self.0.first() {
            Some(Step::Key(k)) => Some(k),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(k) if is_identifier(k) => write!(f, "{}{k}", if i > 0 { "." } else { "" })?,
                Step::Key(k) => write!(f, "[{k:?}]")?,
                Step::Index(n) => write!(f, "[{n}]")?,
            }
        }
        Ok(())
    }
}

/// Whether `text` can stand in the language as a bare name.
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
