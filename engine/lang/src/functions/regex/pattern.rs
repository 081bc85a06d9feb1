//! RE2 syntax as Go reads it, rewritten for the regex crate.
//!
//! The one decision: nothing is passed through unread. Each construct is either known, and written in a
//! form that means the same there, or refused with the part that is at fault.

use std::fmt::Write as _;

type Wrong = Result<(), String>;

/// The largest count of a repetition.
const MAX_REPEAT: u32 = 1000;

/// `source` in the dialect of the regex crate.
pub(super) fn translate(source: &str) -> Result<String, String> {
    let mut t = Translator { source, at: 0, out: String::with_capacity(source.len() + 8), groups: 0 };
    t.run()?;
    Ok(t.out)
}

struct Translator<'s> {
    source: &'s str,
    at: usize,
    out: String,
    groups: usize,
}

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = "\\t\\n\\x0c\\r ";

impl<'s> Translator<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() || !c.is_ascii() {
            self.out.push(c);
        } else {
            let _ = write!(self.out, "\\x{{{:x}}}", u32::from(c));
        }
    }

    fn run(&mut self) -> Wrong {
        // Where the last repetition operator is, and whether something can be repeated.
        let mut repeated: Option<usize> = None;
        let mut operand = false;
        while let Some(c) = self.peek() {
            let start = self.at;
            let mut now_repeated = None;
            match c {
                '*' | '+' | '?' | '{' => {
                    let Some(counts) = self.repetition()? else {
                        self.at += 1;
                        self.literal('{');
                        operand = true;
                        repeated = None;
                        continue;
                    };
                    let written = &self.source[start..self.at];
                    if let Some(from) = repeated {
                        return Err(format!("{} repeats a repetition", &self.source[from..self.at]));
                    }
                    if !operand {
                        return Err(format!("{written} has nothing to repeat"));
                    }
                    self.out.push_str(&counts);
                    if self.peek() == Some('?') {
                        self.at += 1;
                        self.out.push('?');
                    }
                    now_repeated = Some(start);
                }
                '(' => {
                    self.open()?;
                    operand = false;
                    repeated = None;
                    continue;
                }
                ')' => {
                    if self.groups == 0 {
                        return Err(") has no (".into());
                    }
                    self.groups -= 1;
                    self.at += 1;
                    self.out.push(')');
                }
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                    operand = false;
                    repeated = None;
                    continue;
                }
                '[' => self.class()?,
                '\\' => self.escape()?,
                '.' | '^' | '$' => {
                    self.at += 1;
                    self.out.push(c);
                }
                c => {
                    self.at += c.len_utf8();
                    self.literal(c);
                }
            }
            operand = true;
            repeated = now_repeated;
        }
        if self.groups > 0 { Err("( is not closed".into()) } else { Ok(()) }
    }

    /// The operator as it is written there; `None` where a brace is only a brace.
    fn repetition(&mut self) -> Result<Option<String>, String> {
        let rest = self.rest();
        if !rest.starts_with('{') {
            return Ok(self.next().map(String::from));
        }
        let Some(end) = rest.find('}') else { return Ok(None) };
        let inside = &rest[1..end];
        let (low, high) = match inside.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inside, None),
        };
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !high.is_none_or(|h| h.is_empty() || digits(h)) {
            return Ok(None);
        }
        let count = |s: &str| s.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT);
        let ok = match (count(low), high) {
            (Some(n), Some(h)) if !h.is_empty() => count(h).is_some_and(|m| m >= n),
            (n, _) => n.is_some(),
        };
        if !ok {
            return Err(format!("{} counts beyond {MAX_REPEAT}, or down", &rest[..=end]));
        }
        self.at += end + 1;
        Ok(Some(rest[..=end].to_owned()))
    }

    fn open(&mut self) -> Wrong {
        let rest = self.rest();
        self.groups += 1;
        if !rest.starts_with("(?") {
            self.at += 1;
            self.out.push('(');
            return Ok(());
        }
        if let Some(name) = rest.strip_prefix("(?P<").or_else(|| rest.strip_prefix("(?<")) {
            let Some(end) = name.find('>') else { return Err("the name of a group does not end with >".into()) };
            let name = &name[..end];
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let whole = rest.find('>').map_or(rest, |e| &rest[..=e]);
                return Err(format!("{whole} is no name for a group: letters, digits and _"));
            }
            let _ = write!(self.out, "(?P<{name}>");
            self.at += rest.find('>').map_or(rest.len(), |e| e + 1);
            return Ok(());
        }
        for (i, c) in rest.char_indices().skip(2) {
            match c {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' | ')' => {
                    self.out.push_str(&rest[..=i]);
                    self.at += i + 1;
                    if c == ')' {
                        self.groups -= 1;
                    }
                    return Ok(());
                }
                _ => return Err(format!("{} is not supported", &rest[..i + c.len_utf8()])),
            }
        }
        Err("( is not closed".into())
    }

    fn escape(&mut self) -> Wrong {
        let rest = self.rest();
        match rest[1..].chars().next() {
            None => return Err("it ends with a backslash".into()),
            Some('A') => self.out.push_str("\\A"),
            Some('z') => self.out.push_str("\\z"),
            Some('b') => self.out.push_str("(?-u:\\b)"),
            Some('B') => self.out.push_str("(?-u:\\B)"),
            Some('d') => self.perl(DIGIT, false),
            Some('D') => self.perl(DIGIT, true),
            Some('w') => self.perl(WORD, false),
            Some('W') => self.perl(WORD, true),
            Some('s') => self.perl(SPACE, false),
            Some('S') => self.perl(SPACE, true),
            Some('p' | 'P') => {
                self.property()?;
                return Ok(());
            }
            Some('Q') => {
                let body = &rest[2..];
                let (body, skip) = body.find("\\E").map_or((body, body.len()), |e| (&body[..e], e + 2));
                for c in body.chars() {
                    self.literal(c);
                }
                self.at += 2 + skip;
                return Ok(());
            }
            Some(_) => {
                let c = self.character()?;
                self.literal(c);
                return Ok(());
            }
        }
        self.at += 2;
        Ok(())
    }

    fn perl(&mut self, set: &str, negated: bool) {
        let _ = write!(self.out, "[{}{set}]", if negated { "^" } else { "" });
    }

    /// `\pL`, `\p{Greek}`, and their negations: the same there.
    fn property(&mut self) -> Wrong {
        let rest = self.rest();
        let end = match rest[2..].chars().next() {
            Some('{') => rest.find('}').map(|e| e + 1),
            Some(c) => Some(2 + c.len_utf8()),
            None => None,
        };
        let Some(end) = end else { return Err(format!("{rest} names no characters")) };
        let text = &rest[..end];
        // The field negates with `\p{^Greek}` too.
        match text[2..].strip_prefix("{^") {
            Some(name) => {
                let _ = write!(self.out, "\\{}{{{name}", if text.starts_with("\\p") { 'P' } else { 'p' });
            }
            None => self.out.push_str(text),
        }
        self.at += end;
        Ok(())
    }

    /// One character after a backslash.
    fn character(&mut self) -> Result<char, String> {
        let rest = self.rest();
        let mut chars = rest.char_indices().skip(1);
        let Some((_, c)) = chars.next() else { return Err("it ends with a backslash".into()) };
        let wrong = || Err(format!("{} is no escape", &rest[..1 + c.len_utf8()]));
        let (value, length) = match c {
            'a' => (7, 2),
            'f' => (12, 2),
            'n' => (10, 2),
            'r' => (13, 2),
            't' => (9, 2),
            'v' => (11, 2),
            '0'..='7' => {
                let digits = rest[1..].bytes().take(3).take_while(|b| (b'0'..b'8').contains(b)).count();
                if c != '0' && digits == 1 {
                    return wrong();
                }
                (u32::from_str_radix(&rest[1..=digits], 8).unwrap_or(0), 1 + digits)
            }
            'x' => {
                let (hex, length) = match rest[2..].strip_prefix('{') {
                    Some(body) => match body.find('}') {
                        Some(e) => (&body[..e], 4 + e),
                        None => return wrong(),
                    },
                    None => (rest.get(2..4).unwrap_or(""), 4),
                };
                match u32::from_str_radix(hex, 16) {
                    Ok(n) => (n, length),
                    Err(_) => return wrong(),
                }
            }
            c if c.is_ascii_punctuation() => (u32::from(c), 1 + c.len_utf8()),
            _ => return wrong(),
        };
        self.at += length;
        char::from_u32(value).map_or_else(wrong, Ok)
    }

    fn class(&mut self) -> Wrong {
        self.at += 1;
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let from = self.at;
            match self.peek() {
                None => return Err("[ is not closed".into()),
                Some(']') if !first => {
                    self.at += 1;
                    self.out.push(']');
                    return Ok(());
                }
                Some('[') if self.rest().starts_with("[:") && self.rest().contains(":]") => {
                    let end = self.rest().find(":]").map_or(0, |e| e + 2);
                    let text = &self.rest()[..end];
                    const NAMES: [&str; 14] = [
                        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
                        "space", "upper", "word", "xdigit",
                    ];
                    if !NAMES.contains(&text[2..end - 2].trim_start_matches('^')) {
                        return Err(format!("{text} names no characters"));
                    }
                    self.out.push_str(text);
                    self.at += end;
                }
                Some('\\') => match self.rest()[1..].chars().next() {
                    Some('d' | 'D' | 'w' | 'W' | 's' | 'S') => self.escape()?,
                    Some('p' | 'P') => self.property()?,
                    _ => self.range(from)?,
                },
                Some(_) => self.range(from)?,
            }
            first = false;
        }
    }

    /// One character, or a range of them.
    fn range(&mut self, from: usize) -> Wrong {
        let low = self.one()?;
        let mut high = low;
        let mut after = self.rest().chars();
        if after.next() == Some('-') && after.next().is_some_and(|c| c != ']') {
            self.at += 1;
            high = self.one()?;
            if high < low {
                return Err(format!("{} runs down", &self.source[from..self.at]));
            }
        }
        let _ = write!(self.out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
        Ok(())
    }

    fn one(&mut self) -> Result<char, String> {
        if self.peek() == Some('\\') {
            return self.character();
        }
        self.next().ok_or_else(|| "[ is not closed".into())
    }
}
