//! CSV for `csvdecode`.
//!
//! The one decision: an own reader of RFC 4180, because a stray or missing quote must be an error (the
//! usual crates guess), and rows become objects of text.

use super::*;

/// The rows under the header line.
pub(super) fn decode(text: &str) -> Outcome {
    let rows = rows(text)?;
    let Some((_, header)) = rows.first() else { return Err(CallError::new("missing header line")) };
    for (i, name) in header.iter().enumerate() {
        if header[..i].contains(name) {
            return Err(CallError::new(format!("duplicate column name {name:?}")));
        }
    }
    let mut out = Vec::with_capacity(rows.len());
    for (line, row) in &rows[1..] {
        if row.len() != header.len() {
            return Err(CallError::new(format!("CSV parse error on line {line}: wrong number of fields")));
        }
        out.push(Value::object(header.iter().zip(row).map(|(k, v)| (k.as_str(), Value::string(v.as_str())))));
    }
    let ty = Type::object(header.iter().map(|k| (k.as_str(), Type::String)));
    Ok(Value::list(ty, out))
}

type Row = (usize, Vec<String>);

fn rows(text: &str) -> Result<Vec<Row>, CallError> {
    let wrong = |line: usize, what: &str| CallError::new(format!("CSV parse error on line {line}: {what}"));
    let mut rows = Vec::new();
    let mut line = 1;
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
                Some(inner) => {
                    quoted(inner, &mut line).ok_or_else(|| wrong(line, "extraneous or missing \" in quoted-field"))?
                }
                None => {
                    let end = rest.find([',', '\n']).unwrap_or(rest.len());
                    let raw = &rest[..end];
                    let raw = if rest[end..].starts_with('\n') { raw.strip_suffix('\r').unwrap_or(raw) } else { raw };
                    if raw.contains('"') {
                        return Err(wrong(line, "bare \" in non-quoted-field"));
                    }
                    (raw.to_owned(), &rest[end..])
                }
            };
            row.push(field);
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
