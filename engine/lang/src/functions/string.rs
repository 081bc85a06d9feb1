//! Functions of text.
//!
//! The one decision: what users see as one character (a grapheme cluster) is one character for
//! `substr`, `strrev` and `length`; everything else works on code points.

use unicode_segmentation::UnicodeSegmentation;

use super::*;

const STR: Param = Param::new("str", Ty::String);

const fn plain(
    name: &'static str,
    params: &'static [Param],
    result: Ty,
    body: fn(&Context, &[Value]) -> Outcome,
    doc: &'static str,
) -> Function {
    Function::new(name, params, result, body, doc)
}

pub(super) const FUNCTIONS: &[Function] = &[
    plain(
        "chomp",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).trim_end_matches(['\r', '\n']))),
        "The text without line ends at its end.",
    ),
    plain(
        "endswith",
        &[STR, Param::new("suffix", Ty::String)],
        Ty::Bool,
        |_, a| Ok(Value::bool(text(a, 0).ends_with(text(a, 1)))),
        "Whether the text ends with the suffix.",
    ),
    plain(
        "indent",
        &[Param::new("spaces", Ty::Number), STR],
        Ty::String,
        indent,
        "The text with spaces before every line but the first.",
    ),
    plain(
        "join",
        &[Param::new("separator", Ty::String)],
        Ty::String,
        join,
        "All elements of the lists as one text with the separator between them.",
    )
    .variadic(Param::new("lists", Ty::Strings)),
    plain(
        "lower",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(map_chars(text(a, 0), to_lower))),
        "The text in lower case.",
    ),
    plain(
        "split",
        &[Param::new("separator", Ty::String), STR],
        Ty::Strings,
        |_, a| split(text(a, 0), text(a, 1)),
        "The pieces of a text between separators.",
    ),
    plain(
        "startswith",
        &[STR, Param::new("prefix", Ty::String)],
        Ty::Bool,
        |_, a| Ok(Value::bool(text(a, 0).starts_with(text(a, 1)))),
        "Whether the text begins with the prefix.",
    ),
    plain(
        "strcontains",
        &[STR, Param::new("substr", Ty::String)],
        Ty::Bool,
        |_, a| Ok(Value::bool(text(a, 0).contains(text(a, 1)))),
        "Whether the second text occurs in the first.",
    ),
    plain(
        "strrev",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).graphemes(true).rev().collect::<String>())),
        "The characters in reverse order.",
    ),
    plain(
        "substr",
        &[STR, Param::new("offset", Ty::Number), Param::new("length", Ty::Number)],
        Ty::String,
        substr,
        "A part of the text by offset and length in characters; -1 as length means up to the end.",
    ),
    plain(
        "templatestring",
        &[Param::new("template", Ty::Any), Param::new("vars", Ty::Any).parts().marked()],
        Ty::Any,
        |c, a| {
            // As in the field, nothing is made a text here.
            let template = a[0].as_str().ok_or_else(|| CallError::at(0, "a text is needed"))?;
            filesystem::render(c, template, "<templatestring argument>", a.get(1), 1)
        },
        "The text of a template that is itself a value.",
    ),
    plain(
        "title",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(title(text(a, 0)))),
        "The text with each word capitalised.",
    ),
    plain(
        "trim",
        &[STR, Param::new("cutset", Ty::String)],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).trim_matches(|c| text(a, 1).contains(c)))),
        "The text without any of the given characters at both ends.",
    ),
    plain(
        "trimprefix",
        &[STR, Param::new("prefix", Ty::String)],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).strip_prefix(text(a, 1)).unwrap_or(text(a, 0)))),
        "The text without a prefix.",
    ),
    plain(
        "trimspace",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).trim())),
        "The text without space at both ends.",
    ),
    plain(
        "trimsuffix",
        &[STR, Param::new("suffix", Ty::String)],
        Ty::String,
        |_, a| Ok(Value::string(text(a, 0).strip_suffix(text(a, 1)).unwrap_or(text(a, 0)))),
        "The text without a suffix.",
    ),
    plain(
        "upper",
        &[STR],
        Ty::String,
        |_, a| Ok(Value::string(map_chars(text(a, 0), to_upper))),
        "The text in upper case.",
    ),
];

/// Case mapping is by single code points ("ß" has no upper case), as in the field: where the full mapping
/// is longer, the simple one of the character table counts.
fn to_lower(c: char) -> char {
    if c == '\u{130}' { 'i' } else { single(c.to_lowercase(), c) }
}

fn to_upper(c: char) -> char {
    let simple = match u32::from(c) {
        // Greek with a subscript iota: each row of eight small letters has its capitals in the next.
        n @ 0x1f80..=0x1faf if n & 8 == 0 => n + 8,
        n @ (0x1fb3 | 0x1fc3 | 0x1ff3) => n + 9,
        _ => return single(c.to_uppercase(), c),
    };
    char::from_u32(simple).unwrap_or(c)
}

fn single(mut mapped: impl Iterator<Item = char>, or: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(c), None) => c,
        _ => or,
    }
}

fn map_chars(text: &str, f: impl Fn(char) -> char) -> String {
    text.chars().map(f).collect()
}

fn title(text: &str) -> String {
    let mut before = ' ';
    map_words(text, &mut before)
}

fn map_words(text: &str, before: &mut char) -> String {
    text.chars()
        .map(|c| {
            let separator = if before.is_ascii() {
                !before.is_ascii_alphanumeric() && *before != '_'
            } else {
                before.is_whitespace()
            };
            *before = c;
            if separator { title_case(c) } else { c }
        })
        .collect()
}

/// Upper case, except for the digraphs that have a title case of their own.
fn title_case(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        c => to_upper(c),
    }
}

fn indent(_: &Context, args: &[Value]) -> Outcome {
    let spaces = whole(args, 0)?;
    let Ok(spaces) = usize::try_from(spaces) else {
        return Err(CallError::at(0, "it cannot be negative"));
    };
    let text = text(args, 1);
    let lines = text.matches('\n').count();
    if lines.saturating_mul(spaces).saturating_add(text.len()) > MAX_TEXT {
        return Err(too_long());
    }
    Ok(Value::string(text.replace('\n', &format!("\n{}", if lines > 0 { " ".repeat(spaces) } else { String::new() }))))
}

fn join(_: &Context, args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return Err(CallError::new("give at least one list"));
    }
    let mut out = String::new();
    let mut first = true;
    for index in 1..args.len() {
        for (n, item) in items(args, index).iter().enumerate() {
            let Some(item) = item.as_str() else {
                return Err(CallError::at(index, format!("element {n} is null; compact removes nulls")));
            };
            if !first {
                out.push_str(text(args, 0));
            }
            first = false;
            out.push_str(item);
            if out.len() > MAX_TEXT {
                return Err(too_long());
            }
        }
    }
    bounded(out)
}

fn split(separator: &str, text: &str) -> Outcome {
    let pieces: Vec<&str> = if separator.is_empty() {
        text.split_inclusive(|_| true).take(MAX_ITEMS + 1).collect()
    } else {
        text.split(separator).take(MAX_ITEMS + 1).collect()
    };
    if pieces.len() > MAX_ITEMS { Err(sequence::too_many()) } else { Ok(Value::strings(pieces)) }
}

fn substr(_: &Context, args: &[Value]) -> Outcome {
    let (offset, length) = (whole(args, 1)?, whole(args, 2)?);
    let whole = text(args, 0);
    let start = match usize::try_from(offset) {
        Ok(n) => n,
        Err(_) => {
            let back = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            whole.graphemes(true).count().saturating_sub(back)
        }
    };
    let from = |text: &str, n: usize| text.grapheme_indices(true).nth(n).map_or(text.len(), |(at, _)| at);
    let rest = &whole[from(whole, start)..];
    // As in the field: from the end, a length of zero is all that is left.
    let length = if offset < 0 && length == 0 { -1 } else { length };
    Ok(Value::string(usize::try_from(length).map_or(rest, |n| &rest[..from(rest, n)])))
}
