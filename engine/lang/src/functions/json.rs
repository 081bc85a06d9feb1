//! JSON for `jsonencode` and `jsondecode`.
//!
//! The one decision: an own reader, because the field's numbers are exact (`serde_json` reads floats of
//! 64 bits) and its messages are short; and an own writer, because it escapes `<`, `>` and `&`.

use std::fmt::Write as _;

use super::*;

/// A wholly known value as JSON with sorted keys and no spaces.
pub(super) fn encode(value: &Value) -> Result<String, CallError> {
    let mut out = String::new();
    push(value, &mut out)?;
    Ok(out)
}

fn push(value: &Value, out: &mut String) -> Result<(), CallError> {
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) | Kind::Withheld(..) => out.push_str("null"),
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) if n.is_infinite() => return Err(CallError::new("JSON has no number for infinity")),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) => push_string(s, out),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push(item, out)?;
            }
            out.push(']');
        }
        Kind::Map(_, fields) | Kind::Object(fields) => {
            out.push('{');
            for (i, (key, item)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_string(key, out);
                out.push(':');
                push(item, out)?;
            }
            out.push('}');
        }
    }
    if out.len() > MAX_TEXT { Err(too_long()) } else { Ok(()) }
}

fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The value that JSON text means: objects and tuples.
pub(super) fn decode(text: &str) -> Outcome {
    let mut reader = Reader { text, at: 0, count: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("the value has ended"));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Values so far.
    count: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn wrong(&self, what: &str) -> CallError {
        match self.peek() {
            Some(c) => CallError::new(format!("unexpected {c:?} at offset {}: {what}", self.at)),
            None => CallError::new("the text ends too early"),
        }
    }

    fn take(&mut self, c: char) -> bool {
        let hit = self.peek() == Some(c);
        if hit {
            self.at += c.len_utf8();
        }
        hit
    }

    fn value(&mut self, depth: usize) -> Outcome {
        self.count += 1;
        if self.count > MAX_ITEMS {
            return Err(sequence::too_many());
        }
        if depth >= MAX_DEPTH {
            return Err(CallError::new(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.space();
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => self.string().map(Value::string),
            Some('t') => self.word("true", Value::bool(true)),
            Some('f') => self.word("false", Value::bool(false)),
            Some('n') => self.word("null", Value::NULL),
            Some('-' | '0'..='9') => self.number(),
            Some(_) => Err(self.wrong("a value should begin here")),
            None => Err(self.wrong("")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Outcome {
        for expected in word.chars() {
            if !self.take(expected) {
                return Err(self.wrong(&format!("this should be {word}")));
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Outcome {
        let from = self.at;
        self.take('-');
        let digits = |r: &mut Self| {
            let start = r.at;
            while r.peek().is_some_and(|c| c.is_ascii_digit()) {
                r.at += 1;
            }
            if r.at > start { Ok(()) } else { Err(r.wrong("a digit should follow")) }
        };
        if !self.take('0') {
            digits(self)?;
        }
        if self.take('.') {
            digits(self)?;
        }
        if self.take('e') || self.take('E') {
            if !self.take('-') {
                self.take('+');
            }
            digits(self)?;
        }
        let text = &self.text[from..self.at];
        match text.parse::<mesh_model::Number>() {
            Ok(n) => Ok(Value::number(n)),
            Err(_) => Err(CallError::new("a number is out of range")),
        }
    }

    fn array(&mut self, depth: usize) -> Outcome {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(']') {
            return Ok(Value::tuple(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(']') {
                return Ok(Value::tuple(items));
            }
            if !self.take(',') {
                return Err(self.wrong("a comma or ] should follow"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Outcome {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.take('}') {
            return Ok(Value::object(Vec::<(&str, Value)>::new()));
        }
        loop {
            self.space();
            if self.peek() != Some('"') {
                return Err(self.wrong("a key in double quotes should follow"));
            }
            let key = Value::string(self.string()?);
            self.space();
            if !self.take(':') {
                return Err(self.wrong("a colon should follow"));
            }
            let value = self.value(depth + 1)?;
            if let Kind::String(key) = key.kind() {
                entries.push((key.clone(), value));
            }
            self.space();
            if self.take('}') {
                return Ok(Value::object(entries));
            }
            if !self.take(',') {
                return Err(self.wrong("a comma or } should follow"));
            }
        }
    }

    fn string(&mut self) -> Result<String, CallError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.wrong("")) };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\u{1f}' => {
                    self.at -= 1;
                    return Err(self.wrong("control characters in a text are escaped"));
                }
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, CallError> {
        let Some(c) = self.peek() else { return Err(self.wrong("")) };
        let plain = match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return Err(self.wrong("there is no such escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// After the backslash of `\uXXXX`; halves of a pair that stand alone become U+FFFD.
    fn unicode(&mut self) -> Result<char, CallError> {
        self.at += 1;
        let high = self.unit()?;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                let c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Result<u32, CallError> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) else {
                return Err(self.wrong("\\u takes four hex digits"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}
