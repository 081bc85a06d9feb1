//! CSV for `csvdecode`.
//!
//! The one decision: an own reader of RFC 4180, because a stray or missing quote must be an error (the
//! usual crates guess), and rows become objects of text.

use std::collections::HashSet;

use super::*;

/// The rows under the header line.
pub(super) fn decode(text: &str) -> Outcome {
    let rows = rows(text)?;
    let Some((_, header)) = rows.first() else {
        return Err(CallError::new("the text is empty; its first line must name the columns"));
    };
    let mut seen = HashSet::new();
    for name in header {
        if !seen.insert(name) {
            return Err(CallError::new(format!("two columns are called {name:?}")));
        }
    }
    let mut out = Vec::with_capacity(rows.len());
    for (line, row) in &rows[1..] {
        if row.len() != header.len() {
            return Err(CallError::new(format!(
                "line {line} has {} fields, the header has {}",
                row.len(),
                header.len()
            )));
        }
        out.push(Value::object(header.iter().zip(row).map(|(k, v)| (k.as_str(), Value::string(v.as_str())))));
    }
    let ty = Type::object(header.iter().map(|k| (k.as_str(), Type::String)));
    Ok(Value::list(ty, out))
}

type Row = (usize, Vec<String>);

fn rows(text: &str) -> Result<Vec<Row>, CallError> {
    let wrong = |line: usize, what: &str| CallError::new(format!("line {line}: {what}"));
    let mut rows = Vec::new();
    let (mut line, mut count) = (1, 0);
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) {
            rest = after;
            line += 1;
            continue;
        }
        let (start, mut row) = (line, Vec::new());
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                Some(inner) => quoted(inner, &mut line)
                    .ok_or_else(|| wrong(line, "a quoted field does not end, or goes on behind its quotes"))?,
                None => {
                    let end = rest.find([',', '\n']).unwrap_or(rest.len());
                    let raw = &rest[..end];
                    let raw = if rest[end..].starts_with('\n') { raw.strip_suffix('\r').unwrap_or(raw) } else { raw };
                    if raw.contains('"') {
                        return Err(wrong(
                            line,
                            "a quote inside of a field; quote the whole field and double the quote",
                        ));
                    }
                    (raw.to_owned(), &rest[end..])
                }
            };
            row.push(field);
            count += 1;
            if count > MAX_ITEMS {
                return Err(sequence::too_many());
            }
            rest = after;
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None => break,
            }
        }
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
        line += 1;
        rows.push((start, row));
    }
    Ok(rows)
}

/// A field after its opening quote, and what follows its closing one.
fn quoted<'t>(text: &'t str, line: &mut usize) -> Option<(String, &'t str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        *line += rest[..end].matches('\n').count();
        out.push_str(&rest[..end].replace("\r\n", "\n"));
        rest = &rest[end + 1..];
        if let Some(after) = rest.strip_prefix('"') {
            out.push('"');
            rest = after;
        } else if rest.is_empty() || rest.starts_with([',', '\n']) || rest.starts_with("\r\n") {
            return Some((out, rest));
        } else {
            return None;
        }
    }
}
