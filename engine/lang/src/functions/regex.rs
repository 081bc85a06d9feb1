//! `regex`, `regexall` and `replace`: patterns in RE2 syntax.
//!
//! The one decision: patterns are translated piece by piece ([`pattern`]) instead of being handed to the
//! regex crate, because the two dialects give different meanings to the same text (`[a&&b]`, `\d`,
//! `{,3}`). Matching time is linear in both, so a hostile pattern costs at most its size limit.

use ::regex::{Captures, Regex, RegexBuilder};

use super::*;

mod pattern;

/// Bytes that one compiled pattern may take.
const SIZE_LIMIT: usize = 4 << 20;

const PARAMS: &[Param] = &[Param::new("pattern", Ty::String), Param::new("string", Ty::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "regex",
        PARAMS,
        Ty::Any,
        |_, a| {
            let re = compile(text(a, 0))?;
            match re.captures(text(a, 1)) {
                Some(found) => Ok(value(&re, &found)),
                None => Err(CallError::new("nothing in the text matches; regexall gives an empty list then")),
            }
        },
        "The first match of a pattern: its text, or the tuple or object of its groups.",
    )
    .typed(|_| Type::Dynamic),
    Function::new("regexall", PARAMS, Ty::List, regexall, "All matches of a pattern."),
    Function::new(
        "replace",
        &[Param::new("str", Ty::String), Param::new("substr", Ty::String), Param::new("replace", Ty::String)],
        Ty::String,
        replace,
        "The text with all occurrences replaced; `/pattern/` is a regular expression, `$1` its groups.",
    ),
];

fn build(source: &str) -> Result<Regex, String> {
    let translated = pattern::translate(source)?;
    RegexBuilder::new(&translated).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build().map_err(|e| match e {
        ::regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => {
            other.to_string().lines().last().unwrap_or("it cannot be read").trim_start_matches("error: ").to_owned()
        }
    })
}

fn compile(source: &str) -> Result<Regex, CallError> {
    let re = build(source).map_err(|e| CallError::at(0, format!("the pattern is wrong: {e}")))?;
    let named = re.capture_names().flatten().count();
    if named > 0 && named + 1 < re.captures_len() {
        return Err(CallError::at(0, "either all groups of the pattern have names, or none"));
    }
    Ok(re)
}

fn value(re: &Regex, found: &Captures<'_>) -> Value {
    let group =
        |m: Option<::regex::Match<'_>>| m.map_or_else(|| Value::null(Type::String), |m| Value::string(m.as_str()));
    if re.captures_len() == 1 {
        return group(found.get(0));
    }
    if re.capture_names().any(|n| n.is_some()) {
        return Value::object(re.capture_names().flatten().map(|name| (name, group(found.name(name)))));
    }
    Value::tuple((1..re.captures_len()).map(|i| group(found.get(i))).collect::<Vec<_>>())
}

fn regexall(_: &Context, args: &[Value]) -> Outcome {
    let re = compile(text(args, 0))?;
    let mut out = Vec::new();
    for found in re.captures_iter(text(args, 1)) {
        if (out.len() + 1) * re.captures_len() > MAX_ITEMS {
            return Err(sequence::too_many());
        }
        out.push(value(&re, &found));
    }
    let element = if re.captures_len() == 1 {
        Type::String
    } else if re.capture_names().any(|n| n.is_some()) {
        Type::object(re.capture_names().flatten().map(|n| (n, Type::String)))
    } else {
        Type::tuple((1..re.captures_len()).map(|_| Type::String))
    };
    Ok(Value::list(element, out))
}

fn replace(_: &Context, args: &[Value]) -> Outcome {
    let (source, from, to) = (text(args, 0), text(args, 1), text(args, 2));
    let pattern = from.strip_prefix('/').and_then(|f| f.strip_suffix('/'));
    let Some(pattern) = pattern else {
        if source.matches(from).count().saturating_mul(to.len()).saturating_add(source.len()) > MAX_TEXT {
            return Err(too_long());
        }
        return Ok(Value::string(source.replace(from, to)));
    };
    let re = build(pattern).map_err(|e| CallError::at(1, format!("the pattern is wrong: {e}")))?;
    let mut out = String::new();
    let mut done = 0;
    for found in re.captures_iter(source) {
        let Some(all) = found.get(0) else { continue };
        out.push_str(&source[done..all.start()]);
        for piece in pieces(to) {
            found.expand(piece, &mut out);
            if out.len() > MAX_TEXT {
                return Err(too_long());
            }
        }
        done = all.end();
    }
    out.push_str(&source[done..]);
    bounded(out)
}

/// A replacement cut before each reference to a group, because each may be as long as the whole text.
fn pieces(to: &str) -> impl Iterator<Item = &str> {
    let mut rest = to;
    std::iter::from_fn(move || {
        let escaped = rest.starts_with("$$");
        let first = match rest.strip_prefix("${").and_then(|r| r.find('}')) {
            Some(end) => end + 3,
            None => usize::from(rest.starts_with('$')) + usize::from(escaped),
        };
        let end = rest.get(first..)?.find('$').map_or(rest.len(), |at| first + at);
        let piece = &rest[..end];
        rest = &rest[end..];
        (!piece.is_empty()).then_some(piece)
    })
}

/// A pattern in the dialect of the crate, of our own making.
pub(super) fn own(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).dot_matches_new_line(true).build().ok()
}
