//! Views: everything that people or programs see, made from events and plain data.
//!
//! The one decision: a view is a pure function to text (or a sink of events), so each is tested with
//! text; only `style` touches stdout and stderr.

pub(crate) mod block;
pub(crate) mod configuration;
pub(crate) mod diagnostic_json;
pub(crate) mod diagnostics;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod hcl;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod page;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod sight;
pub(crate) mod state_diff;
pub(crate) mod stream;
pub(crate) mod style;
pub(crate) mod summary;
pub(crate) mod testing;
mod text_diff;
pub(crate) mod values;
mod words;

#[cfg(test)]
mod tests;
