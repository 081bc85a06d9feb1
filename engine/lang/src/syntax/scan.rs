//! Brackets, quotes and heredocs: where a text can be cut, and what is left open.
//!
//! The one decision: the scanner knows only what opens and closes. After something that is left open
//! it goes on at the next line that starts with the name of a top-level block, so that one missing
//! brace does not hide the errors of the rest.

use std::ops::Range;

use crate::limits::{MAX_BROKEN, MAX_ITEM_MARKS};

/// Names of blocks at which scanning goes on after an error.
const STARTS: [&str; 12] = [
    "mesh",
    "provider",
    "variable",
    "locals",
    "output",
    "resource",
    "data",
    "ephemeral",
    "module",
    "moved",
    "import",
    "check",
];

/// What the scanner found.
pub(crate) struct Scan {
    /// Pieces that can be parsed alone.
    pub(crate) items: Vec<Range<usize>>,
    pub(crate) broken: Vec<Broken>,
    /// Where the comment starts that ends the text.
    pub(crate) comment: Option<usize>,
    /// Brackets, commas, equals signs and interpolations: how much there is to parse.
    pub(crate) marks: usize,
    /// Pieces that have more of these than is parsed at once.
    pub(crate) heavy: Vec<Range<usize>>,
}

/// Something that is not closed, or closed without being open.
pub(crate) struct Broken {
    pub(crate) summary: &'static str,
    pub(crate) detail: String,
    pub(crate) range: Range<usize>,
    pub(crate) related: Option<(Range<usize>, &'static str)>,
}

enum Frame<'t> {
    Bracket(u8, usize),
    Quote(usize),
    /// Its delimiter, and where it is opened.
    Heredoc(&'t str, Range<usize>),
}

/// Scans a part of a text; offsets are those of the whole text.
pub(crate) fn scan(text: &str, range: Range<usize>) -> Scan {
    let mut scanner = Scanner {
        text,
        bytes: &text.as_bytes()[..range.end],
        at: range.start,
        item: range.start,
        stack: Vec::new(),
        comment: None,
        marks: 0,
        before: 0,
    };
    let mut found = Scan { items: Vec::new(), broken: Vec::new(), comment: None, marks: 0, heavy: Vec::new() };
    loop {
        let result = scanner.run(&mut found);
        found.marks = scanner.marks;
        match result {
            Ok(()) => {
                found.comment = scanner.comment;
                return found;
            }
            Err(broken) => {
                found.broken.push(broken);
                if found.broken.len() == MAX_BROKEN || !scanner.resume() {
                    return found;
                }
            }
        }
    }
}

/// The [`Scan::marks`] of a text that is a template as a whole.
pub(crate) fn template_marks(text: &str) -> usize {
    let stack = vec![Frame::Heredoc("\0", 0..0)];
    let mut scanner =
        Scanner { text, bytes: text.as_bytes(), at: 0, item: 0, stack, comment: None, marks: 0, before: 0 };
    let mut found = Scan { items: Vec::new(), broken: Vec::new(), comment: None, marks: 0, heavy: Vec::new() };
    // The end of the text is no error here, and any other is the parser's to find.
    let _ = scanner.run(&mut found);
    scanner.marks
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    item: usize,
    stack: Vec<Frame<'t>>,
    comment: Option<usize>,
    marks: usize,
    /// Marks before the item.
    before: usize,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn cut(&mut self, found: &mut Scan) {
        let piece = self.item..self.at;
        let content = self.bytes[piece.clone()].trim_ascii();
        // Comments on their own line need no parser.
        let comment = content.starts_with(b"#") || content.starts_with(b"//");
        if !content.is_empty() && (!comment || content.contains(&b'\n')) {
            let heavy = self.marks - self.before > MAX_ITEM_MARKS;
            if heavy { &mut found.heavy } else { &mut found.items }.push(piece);
        }
        self.item = self.at;
        self.before = self.marks;
    }

    fn run(&mut self, found: &mut Scan) -> Result<(), Broken> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match self.stack.last() {
                Some(Frame::Quote(start)) => {
                    let start = *start;
                    self.in_quote(byte, start)?;
                }
                Some(Frame::Heredoc(delimiter, _)) => {
                    let delimiter = *delimiter;
                    self.in_heredoc(byte, delimiter);
                }
                None | Some(Frame::Bracket(..)) => self.in_code(byte, found)?,
            }
        }
        match self.stack.pop() {
            None => {
                self.cut(found);
                Ok(())
            }
            Some(frame) => Err(frame.unclosed(None)),
        }
    }

    fn in_code(&mut self, byte: u8, found: &mut Scan) -> Result<(), Broken> {
        let rest = self.rest();
        match byte {
            b'\n' => {
                self.at += 1;
                if self.stack.is_empty() {
                    self.cut(found);
                }
            }
            b'#' => self.skip_line(),
            b'/' if rest.starts_with(b"//") => self.skip_line(),
            b'/' if rest.starts_with(b"/*") => {
                let Some(end) = self.text.get(self.at + 2..self.bytes.len()).and_then(|t| t.find("*/")) else {
                    let range = self.at..self.at + 2;
                    return Err(Broken {
                        summary: "Unclosed comment",
                        detail: "This comment is not closed: */ is missing.".into(),
                        range,
                        related: None,
                    });
                };
                self.at += end + 4;
            }
            b'"' => {
                self.stack.push(Frame::Quote(self.at));
                self.at += 1;
            }
            b'(' | b'[' | b'{' => {
                self.marks += 1;
                self.stack.push(Frame::Bracket(byte, self.at));
                self.at += 1;
            }
            b')' | b']' | b'}' => {
                match self.stack.pop() {
                    Some(Frame::Bracket(open, _)) if closing(open) == byte => {}
                    Some(frame) => return Err(frame.unclosed(Some((byte, self.at)))),
                    None => {
                        let range = self.at..self.at + 1;
                        return Err(Broken {
                            summary: "Unexpected closing bracket",
                            detail: format!("Nothing is open that {:?} could close.", char::from(byte)),
                            range,
                            related: None,
                        });
                    }
                }
                self.at += 1;
            }
            b'<' if rest.starts_with(b"<<") => self.heredoc_start(),
            b'.' if self.begins_item() => {
                return Err(Broken {
                    summary: "Invalid syntax",
                    detail:
                        "A line cannot start with a dot: the expression before it ended with its line. Put both on \
                             one line, or the whole in parentheses."
                            .into(),
                    range: self.at..self.at + 1,
                    related: None,
                });
            }
            b',' | b'=' | b'?' | b'+' | b'*' | b'.' => {
                self.marks += 1;
                self.at += 1;
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    /// Whether an item of a block or object begins here: the parser goes on with the one before.
    fn begins_item(&self) -> bool {
        let Some(Frame::Bracket(b'{', open)) = self.stack.last() else { return false };
        let before = |at: usize| self.bytes[..at].trim_ascii_end();
        let line_start = self.bytes[before(self.at).len()..self.at].contains(&b'\n');
        let sequence = *open > 0 && matches!(self.bytes[open - 1], b'$' | b'%');
        line_start && !sequence && !self.bytes[open + 1..].trim_ascii_start().starts_with(b"for")
    }

    fn skip_line(&mut self) {
        let start = self.at;
        self.at += self.rest().iter().position(|b| *b == b'\n').unwrap_or(self.rest().len());
        if self.at == self.bytes.len() {
            self.comment = Some(start);
        }
    }

    fn heredoc_start(&mut self) {
        let start = self.at;
        let indented = usize::from(self.rest().get(2) == Some(&b'-'));
        let name = start + 2 + indented;
        let tail = self.text.get(name..self.bytes.len()).unwrap_or_default();
        let line = tail.split('\n').next().unwrap_or_default();
        let delimiter = line.trim_end();
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if delimiter.is_empty() || !delimiter.chars().all(is_name) || line.len() == tail.len() {
            self.at += 2;
            return;
        }
        self.stack.push(Frame::Heredoc(delimiter, start..name + delimiter.len()));
        // On the newline: the content starts after it.
        self.at = name + line.len();
    }

    fn in_quote(&mut self, byte: u8, start: usize) -> Result<(), Broken> {
        match byte {
            b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
            b'"' => {
                self.stack.pop();
                self.at += 1;
            }
            b'\n' => {
                let line_end = if self.bytes[..self.at].ends_with(b"\r") { self.at - 1 } else { self.at };
                return Err(Broken {
                    summary: "Unclosed string",
                    detail: "The text in quotes is not closed on its line. For text of several lines use a heredoc \
                             (<<EOT) or \\n."
                        .into(),
                    range: start..line_end,
                    related: None,
                });
            }
            b'$' | b'%' => self.marker(byte),
            _ => self.at += 1,
        }
        Ok(())
    }

    /// `$` or `%`: an escaped or a real start of an interpolation or directive.
    fn marker(&mut self, byte: u8) {
        let rest = self.rest();
        if rest.len() > 2 && rest[1] == byte && rest[2] == b'{' {
            self.at += 3;
        } else if rest.get(1) == Some(&b'{') {
            self.stack.push(Frame::Bracket(b'{', self.at + 1));
            self.marks += 1;
            self.at += 2;
        } else {
            self.at += 1;
        }
    }

    fn in_heredoc(&mut self, byte: u8, delimiter: &str) {
        match byte {
            b'\n' => {
                self.at += 1;
                let line = self.rest();
                let blank = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                let after = &line[blank..];
                let ends = after.starts_with(delimiter.as_bytes())
                    && !after
                        .get(delimiter.len())
                        .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
                if ends {
                    self.stack.pop();
                    self.at += blank + delimiter.len();
                }
            }
            b'$' | b'%' => self.marker(byte),
            _ => self.at += 1,
        }
    }

    /// Goes on at the next line after the start of the broken item that starts a block.
    fn resume(&mut self) -> bool {
        self.stack.clear();
        let mut at = self.item;
        // The broken item itself may start with blank lines.
        while self.bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        while let Some(newline) = self.bytes.get(at..).and_then(|b| b.iter().position(|b| *b == b'\n')) {
            at += newline + 1;
            let line = &self.bytes[at..];
            let starts = STARTS.iter().any(|s| {
                line.strip_prefix(s.as_bytes()).is_some_and(|r| matches!(r.first(), Some(b' ' | b'\t' | b'{' | b'"')))
            });
            if starts {
                self.item = at;
                self.at = at;
                return true;
            }
        }
        false
    }
}

fn closing(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

impl Frame<'_> {
    fn unclosed(&self, found: Option<(u8, usize)>) -> Broken {
        let related = found.map(|(_, at)| (at..at + 1, "found this instead"));
        match self {
            Self::Bracket(open, at) => {
                let (open, close) = (char::from(*open), char::from(closing(*open)));
                let detail = match found {
                    Some((byte, _)) => {
                        format!(
                            "{open:?} is not closed: {close:?} was expected, but {:?} comes first.",
                            char::from(byte)
                        )
                    }
                    None => format!("{open:?} is not closed: {close:?} is missing."),
                };
                Broken { summary: "Unclosed bracket", detail, range: *at..at + 1, related }
            }
            Self::Quote(at) => Broken {
                summary: "Unclosed string",
                detail: "The text in quotes is not closed.".into(),
                range: *at..at + 1,
                related,
            },
            Self::Heredoc(delimiter, range) => Broken {
                summary: "Unclosed heredoc",
                detail: format!("This heredoc is not closed: a line with {delimiter} alone is missing."),
                range: range.clone(),
                related,
            },
        }
    }
}
