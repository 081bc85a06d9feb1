//! YAML for `yamldecode` and `yamlencode`.
//!
//! The one decision: values are built from the parser's events, because those still know quotes, tags
//! and the exact text of numbers, which a deserializer throws away. Aliases share what they refer to;
//! their expanded size is counted, so nested aliases cannot blow up what is later written out.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use super::*;

mod scalar;
mod write;

pub(super) use write::encode;

/// The value that one YAML document means.
pub(super) fn decode(text: &str) -> Outcome {
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, Options::default()),
        anchors: HashMap::new(),
        size: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart, _) => {}
            (Event::DocumentStart(..), _) => break,
            (_, span) => return Err(at(&span, "there is no document")),
        }
    }
    let (event, span) = reader.next()?;
    let value = reader.node(event, &span, 0)?;
    loop {
        match reader.next()? {
            (Event::DocumentEnd, _) => {}
            (Event::StreamEnd, _) => return Ok(value),
            (_, span) => return Err(at(&span, "only one document is read")),
        }
    }
}

fn at(span: &Span, what: impl std::fmt::Display) -> CallError {
    CallError::new(format!("on line {}, column {}: {what}", span.start.line(), span.start.col() + 1))
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What each anchor stands for and how many values that is; `None` while it is being read.
    anchors: HashMap<usize, Option<(Value, usize)>>,
    size: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), CallError> {
        match self.parser.next_event() {
            Some(Ok((Event::Comment(..), _))) => self.next(),
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => Err(CallError::new(e.to_string())),
            None => Err(CallError::new("unexpected end of text")),
        }
    }

    fn count(&mut self, more: usize) -> Result<(), CallError> {
        self.size = self.size.saturating_add(more);
        if self.size > MAX_ITEMS { Err(sequence::too_many()) } else { Ok(()) }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Outcome {
        if depth >= MAX_DEPTH {
            return Err(at(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let before = self.size;
        self.count(1)?;
        let (anchor, value) = match event {
            Event::Alias(id) => {
                let Some(Some((value, size))) = self.anchors.get(&id).cloned() else {
                    return Err(at(span, "an anchor cannot be used inside of what it names"));
                };
                self.count(size)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (anchor, leaf(&text, plain, tag.as_deref()).map_err(|e| at(span, e.message))?)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.container(anchor, tag.as_deref(), "seq", "sequence").map_err(|e| at(span, e.message))?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, &span, depth + 1)?),
                    }
                }
                (anchor, Value::tuple(items))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.container(anchor, tag.as_deref(), "map", "mapping").map_err(|e| at(span, e.message))?;
                (anchor, self.mapping(depth)?)
            }
            _ => return Err(at(span, "a value should begin here")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, Some((value.clone(), self.size - before)));
        }
        Ok(value)
    }

    fn container(&mut self, anchor: usize, tag: Option<&Tag>, own: &str, what: &str) -> Result<(), CallError> {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        match tag.map(kind) {
            None | Some(Ok("" | "!")) => Ok(()),
            Some(Ok(name)) if name == own => Ok(()),
            Some(Ok(name)) => Err(CallError::new(format!("a {what} cannot be a !!{name}"))),
            Some(Err(other)) => Err(CallError::new(format!("the tag {other:?} is not supported"))),
        }
    }

    fn mapping(&mut self, depth: usize) -> Outcome {
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::object(entries));
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, &value_span, depth + 1)?;
            if merge {
                let Some(fields) = value.as_fields() else {
                    return Err(at(&span, format!("<< takes in a mapping, not {}", value.ty().friendly())));
                };
                entries.extend(fields.iter().map(|(k, v)| (k.clone(), v.clone())));
                continue;
            }
            if key.is_null() {
                return Err(at(&span, "a key cannot be null"));
            }
            let key = convert(&key, &Type::String).ok();
            let Some(Kind::String(key)) = key.as_ref().map(Value::kind) else {
                return Err(at(&span, "a key must be a text"));
            };
            entries.push((key.clone(), value));
        }
    }
}

/// The short name of a tag of YAML itself, or the whole text of another.
fn kind(tag: &Tag) -> Result<&str, String> {
    match tag.handle() {
        "tag:yaml.org,2002:" => Ok(tag.suffix()),
        "!" | "" if tag.suffix().is_empty() => Ok("!"),
        _ => Err(tag.original()),
    }
}

fn leaf(text: &str, plain: bool, tag: Option<&Tag>) -> Outcome {
    let string = || Ok(Value::string(text));
    let Some(tag) = tag else {
        return if plain { scalar::resolve(text) } else { string() };
    };
    let name = kind(tag).map_err(|other| CallError::new(format!("the tag {other:?} is not supported")))?;
    if !plain {
        return string();
    }
    let wrong = || CallError::new(format!("{text:?} is no !!{name}"));
    match name {
        "str" | "binary" | "!" => string(),
        "null" => Ok(Value::NULL),
        "int" | "float" => scalar::number(text).map(Value::number).ok_or_else(wrong),
        "bool" => scalar::resolve(text).ok().filter(|v| v.as_bool().is_some()).ok_or_else(wrong),
        "timestamp" => scalar::time(text).ok_or_else(wrong),
        _ => Err(CallError::new(format!("the tag !!{name} is not supported"))),
    }
}
