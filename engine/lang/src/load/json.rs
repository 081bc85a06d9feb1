//! Configuration in JSON: `*.mesh.json`.
//!
//! The one decision: the JSON is written out in the native syntax, with the place of everything in it, and
//! then decoded like any other file. So both syntaxes have one meaning and one set of errors. What a
//! property is, is said by the table of blocks; in the body of a resource every property is written as an
//! argument, and becomes a block where the provider's schema has one of that name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::template::{Directive, Element, Template};
use jsonc_parser::ast::{ObjectProp, StringLit, Value};
use mesh_model::path::is_identifier;
use mesh_model::{Diagnostic, Diagnostics};

use super::kinds::{FILE, Kind, NESTED, TEST_FILE};
use crate::syntax::{Places, Written, a_kind, origins, parse_json, range, scan, span, syntax_error};

/// The native text of a JSON file, with its places.
pub(super) fn native(text: &str, file: u32, diagnostics: &mut Diagnostics) -> (String, Places) {
    native_as(text, file, &FILE, diagnostics)
}

/// The same for a file of another kind.
pub(super) fn native_as(text: &str, file: u32, kind: &'static Kind, diagnostics: &mut Diagnostics) -> (String, Places) {
    let mut writer = Writer { text, file, out: Written::default(), diagnostics };
    match parse_json(text, file) {
        Ok(value) => {
            if let Some(properties) = writer.properties(&value, None) {
                writer.body(&properties, kind);
            }
        }
        Err(errors) => writer.diagnostics.extend(errors),
    }
    writer.out.finish()
}

/// How texts are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Template,
    Literal,
    Source,
}

struct Writer<'w> {
    text: &'w str,
    file: u32,
    out: Written,
    diagnostics: &'w mut Diagnostics,
}

type Property<'p> = &'p ObjectProp<'p>;

impl Writer<'_> {
    fn error(&mut self, code: &'static str, summary: &'static str, detail: impl Into<String>, at: &Range<usize>) {
        self.diagnostics.push(Diagnostic::error(code, summary, detail).at(span(self.file, at)));
    }

    fn wrong_kind(&mut self, wanted: &str, value: &Value<'_>) {
        let detail = format!("{wanted}, but this is {}.", a_kind(value));
        self.error("lang::json", "Wrong kind of JSON value", detail, &range(value));
    }

    /// All properties of an object, or of all objects of an array. `label`: what their names are, where
    /// they are labels. `None` after an error.
    fn properties<'v>(&mut self, value: &'v Value<'v>, label: Option<(&str, &str)>) -> Option<Vec<Property<'v>>> {
        let wanted = match label {
            Some((kind, label)) => {
                format!("An object is needed here, whose property names are the {label} of {kind} blocks")
            }
            None => "An object with the content is needed here".to_owned(),
        };
        match value {
            Value::NullKeyword(_) => Some(Vec::new()),
            Value::Object(object) => Some(object.properties.iter().collect()),
            Value::Array(array) => {
                let mut out = Vec::new();
                for element in &array.elements {
                    match element {
                        Value::Object(object) => out.extend(&object.properties),
                        other => {
                            self.wrong_kind(&wanted, other);
                            return None;
                        }
                    }
                }
                Some(out)
            }
            other => {
                self.wrong_kind(&wanted, other);
                None
            }
        }
    }

    /// The content of a block.
    fn body(&mut self, properties: &[Property<'_>], kind: &Kind) {
        let file = std::ptr::eq(kind, &FILE) || std::ptr::eq(kind, &TEST_FILE);
        let mut seen: HashMap<&str, Range<usize>> = HashMap::new();
        for property in properties {
            let (name, place) = (property.name.as_str(), range(&property.name));
            if name == "//" {
                continue;
            }
            if let Some(inner) = kind.block(name) {
                self.block(name, inner, &place, &property.value, &mut Vec::new());
                continue;
            }
            if !is_identifier(name) {
                let detail = format!(
                    "{name:?} is not a name: a name starts with a letter or underscore and consists of letters, digits, \
                     underscores and dashes."
                );
                self.error("lang::name", "Invalid name", detail, &place);
                continue;
            }
            if file {
                // Who decodes it says what there is instead.
                self.out.push(name, place.clone());
                self.out.push(" {}\n", place);
                continue;
            }
            let first = seen.insert(name, place.clone());
            // What can only be a block, and what is there already as one.
            if kind.open && is_block(&property.value) && (first.is_some() || holds_dynamic(&property.value)) {
                self.block(name, NESTED, &place, &property.value, &mut Vec::new());
                continue;
            }
            if let Some(first) = first {
                let detail = format!("{name:?} is already given above; a name can be given once.");
                self.diagnostics.push(
                    Diagnostic::error("lang::duplicate", "Duplicate argument", detail)
                        .at(span(self.file, &place))
                        .with(span(self.file, &first), "first here"),
                );
                continue;
            }
            let mode = if kind.literal.contains(&name) {
                Mode::Literal
            } else if kind.source.contains(&name) {
                Mode::Source
            } else {
                Mode::Template
            };
            self.out.push(name, place.clone());
            self.out.push(" = ", place.clone());
            self.value(&property.value, mode);
            self.out.push("\n", place);
        }
    }

    /// All blocks of a property: labels are names of properties within, an array is several blocks.
    fn block<'v>(
        &mut self,
        name: &str,
        kind: &'static Kind,
        place: &Range<usize>,
        value: &'v Value<'v>,
        labels: &mut Vec<(&'v str, Range<usize>)>,
    ) {
        if let Some(label) = kind.labels.get(labels.len()) {
            let Some(properties) = self.properties(value, Some((name, label))) else { return };
            if properties.is_empty() {
                let detail = format!("The {label} of the {name} block is missing: write {{\"{label}\": {{...}}}}.");
                self.error("lang::labels", "Wrong number of block labels", detail, place);
            }
            for property in properties {
                let place = range(&property.name);
                labels.push((property.name.as_str(), place.clone()));
                self.block(name, kind, &place, &property.value, labels);
                labels.pop();
            }
            return;
        }
        match value {
            Value::NullKeyword(_) => {}
            Value::Object(object) => {
                self.one_block(name, kind, place, labels, &object.properties.iter().collect::<Vec<_>>());
            }
            Value::Array(array) => {
                for element in &array.elements {
                    let start = range(element).start;
                    if let Some(properties) = self.properties(element, None) {
                        self.one_block(name, kind, &(start..start + 1), labels, &properties);
                    }
                }
            }
            other => {
                self.wrong_kind(&format!("An object is the content of a {name} block, an array that of several"), other)
            }
        }
    }

    fn one_block(
        &mut self,
        name: &str,
        kind: &'static Kind,
        place: &Range<usize>,
        labels: &[(&str, Range<usize>)],
        properties: &[Property<'_>],
    ) {
        self.out.push(name, place.clone());
        for (label, place) in labels {
            self.out.push(" ", place.clone());
            self.out.push(&quoted(label), place.clone());
        }
        self.out.push(" {\n", place.clone());
        self.body(properties, kind);
        self.out.push("}\n", place.clone());
    }

    /// An expression.
    fn value(&mut self, value: &Value<'_>, mode: Mode) {
        let place = range(value);
        match value {
            Value::NullKeyword(_) | Value::BooleanLit(_) | Value::NumberLit(_) => {
                let text = self.text.get(place.clone()).unwrap_or("null");
                self.out.push(text, place);
            }
            Value::StringLit(text) => self.string(text, mode),
            Value::Array(array) => {
                self.out.push("[", place.start..place.start + 1);
                for element in &array.elements {
                    self.value(element, mode);
                    self.out.push(", ", range(element));
                }
                self.out.push("]", place.end - 1..place.end);
            }
            Value::Object(object) => {
                self.out.push("{\n", place.start..place.start + 1);
                let mut seen: HashMap<&str, Range<usize>> = HashMap::new();
                for property in &object.properties {
                    let (name, at) = (property.name.as_str(), range(&property.name));
                    if let Some(first) = seen.insert(name, at.clone()) {
                        let detail = format!("The object has an attribute {name:?} already.");
                        self.diagnostics.push(
                            Diagnostic::error("lang::duplicate", "Duplicate attribute", detail)
                                .at(span(self.file, &at))
                                .with(span(self.file, &first), "first here"),
                        );
                        continue;
                    }
                    match &property.name {
                        jsonc_parser::ast::ObjectPropName::String(key) => self.string(key, mode),
                        jsonc_parser::ast::ObjectPropName::Word(word) => self.out.push(&quoted(word.value), at.clone()),
                    }
                    self.out.push(" = ", at.clone());
                    self.value(&property.value, mode);
                    self.out.push("\n", at);
                }
                self.out.push("}", place.end - 1..place.end);
            }
        }
    }

    fn string(&mut self, literal: &StringLit<'_>, mode: Mode) {
        let text = &*literal.value;
        let whole = range(literal);
        match mode {
            // What is no expression is left to who decodes it, who knows what belongs here.
            Mode::Source if text.parse::<Expression>().is_ok() && scan(text, 0..text.len()).comment.is_none() => {
                self.copy(text, 0..text.len(), &origins(literal, self.text));
            }
            Mode::Template if text.contains("${") || text.contains("%{") => {
                let origins = origins(literal, self.text);
                match text.parse::<Template>() {
                    Ok(template) => self.template(&template, literal, &origins),
                    Err(error) => {
                        let mut found = syntax_error(text, 0, text.len(), &error, self.file);
                        if let Some(place) = &mut found.span {
                            *place = span(self.file, &origin(&origins, &(place.start as usize..place.end as usize)));
                        }
                        self.diagnostics.push(found);
                        self.out.push("null", whole);
                    }
                }
            }
            _ => self.out.push(&quoted(text), whole),
        }
    }

    /// A template in quotes: its literal parts written anew, the rest as it is.
    fn template(&mut self, template: &Template, literal: &StringLit<'_>, origins: &[usize]) {
        let (start, end) = (literal.range.start, literal.range.end);
        let mut parts = Vec::new();
        literals(template, &mut parts);
        self.out.template();
        self.out.push("\"", start..start + 1);
        let mut at = 0;
        for (range, part) in parts {
            self.copy(&literal.value, at..range.start, origins);
            self.out.push(&escaped(part), origin(origins, &range));
            at = range.end;
        }
        self.copy(&literal.value, at..literal.value.len(), origins);
        self.out.push("\"", end - 1..end);
    }

    /// A part of a decoded text as it is, in stretches without escapes.
    fn copy(&mut self, text: &str, part: Range<usize>, origins: &[usize]) {
        let mut from = part.start;
        for at in part.clone() {
            let (Some(here), Some(next)) = (origins.get(at), origins.get(at + 1)) else { return };
            if (at + 1 == part.end || here + 1 != *next) && text.is_char_boundary(at + 1) {
                let start = origins.get(from).copied().unwrap_or_default();
                self.out.copy(text.get(from..=at).unwrap_or_default(), start);
                from = at + 1;
            }
        }
    }
}

fn origin(origins: &[usize], part: &Range<usize>) -> Range<usize> {
    let at = |n: usize| origins.get(n).or(origins.last()).copied().unwrap_or_default();
    at(part.start)..at(part.end)
}

/// The literal parts of a template, those of directives included.
fn literals<'t>(template: &'t Template, out: &mut Vec<(Range<usize>, &'t str)>) {
    for element in template {
        match element {
            Element::Literal(text) => out.extend(text.span().map(|range| (range, text.as_str()))),
            Element::Interpolation(_) => {}
            Element::Directive(directive) => match &**directive {
                Directive::If(d) => {
                    literals(&d.if_expr.template, out);
                    if let Some(otherwise) = &d.else_expr {
                        literals(&otherwise.template, out);
                    }
                }
                Directive::For(d) => literals(&d.for_expr.template, out),
            },
        }
    }
}

/// A text as the content of quotes of the native syntax.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c == '"' || c == '\\' || c == '$' || c == '%' || c.is_control()) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // No marker of a template can come of it.
            c if c == '$' || c == '%' || c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.into()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Whether this can be the content of a block or of several.
fn is_block(value: &Value<'_>) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(array) => array.elements.iter().all(|e| matches!(e, Value::Object(_))),
        _ => false,
    }
}

/// Whether a `dynamic` block stands somewhere within: no attribute looks like that.
fn holds_dynamic(value: &Value<'_>) -> bool {
    match value {
        Value::Object(object) => object.properties.iter().any(|p| match p.name.as_str() {
            "dynamic" => makes_blocks(&p.value, 1),
            _ => is_block(&p.value) && holds_dynamic(&p.value),
        }),
        Value::Array(array) => array.elements.iter().any(holds_dynamic),
        _ => false,
    }
}

/// Whether this is what `dynamic` has: types of blocks with `for_each` and `content`.
fn makes_blocks(value: &Value<'_>, labels: usize) -> bool {
    match value {
        Value::Array(array) => !array.elements.is_empty() && array.elements.iter().all(|v| makes_blocks(v, labels)),
        Value::Object(object) if labels > 0 => {
            !object.properties.is_empty() && object.properties.iter().all(|p| makes_blocks(&p.value, labels - 1))
        }
        Value::Object(object) => {
            ["for_each", "content"].iter().all(|name| object.properties.iter().any(|p| p.name.as_str() == *name))
        }
        _ => false,
    }
}
