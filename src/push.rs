//! Appending formatted text to a `String`, which cannot fail.

/// `push!(text, "{name} = {value}\n")`.
macro_rules! push {
    ($text:expr, $($format:tt)*) => {{
        use std::fmt::Write as _;
        // Writing to a String has no error.
        let _ = write!($text, $($format)*);
    }};
}
