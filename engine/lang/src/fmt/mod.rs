//! The canonical style of source text.
