//! Templates: text with `${...}`, `%{if}` and `%{for}`.
//!
//! The one decision: `~` and the indentation of `<<-` are worked off while lowering, so that evaluating
//! only joins texts. As in the field, a marker takes white space from the literal next to it; in a heredoc
//! a literal ends with its line, in quotes it does not.

use std::collections::VecDeque;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::template::{Directive, Element, Strip, Template};
use mesh_model::convert::convert;
use mesh_model::{Diagnostic, Fields, Kind, Marks, Span, Type, Value};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::eval::{Env, Outcome, a_type, condition_truth, fail, forget};
use super::lower::Lower;
use super::repeat::elements_of;
use super::{Node, Op, Part, Scope, Subject};
use crate::functions::{CallError, Context};
use crate::limits::{self, MAX_TEXT};

/// Literal texts of a template in the order of the source, ready to be joined.
type Literals = VecDeque<String>;

/// How the literals of a template are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// In quotes.
    Quoted,
    /// In quotes, made from a text of JSON: a template as a file is.
    Json,
    /// `<<EOT`, or a whole file.
    Heredoc,
    /// `<<-EOT`: the smallest indentation is taken from all lines.
    Indented,
}

impl Lower {
    /// A text that is a template as a whole, as in a file.
    pub(crate) fn whole_template(&mut self, template: &Template, span: Span) -> Node {
        self.template(&elements(template), Style::Heredoc, span)
    }

    pub(super) fn template(&mut self, template: &[&Element], style: Style, span: Span) -> Node {
        // One interpolation and nothing else is its value, whatever its type.
        if let [Element::Interpolation(only)] = template {
            return Node { span, ..self.node(&only.expr) };
        }
        let mut literals = self.literals(template, style);
        let parts = self.parts(template, &mut literals);
        match parts.as_ref() {
            [] => Node { span, op: Op::Const(Value::string("")) },
            [Part::Text(text)] => Node { span, op: Op::Const(Value::string(text.clone())) },
            _ => Node { span, op: Op::Template(parts) },
        }
    }

    fn parts(&mut self, elements: &[&Element], literals: &mut Literals) -> Box<[Part]> {
        let mut out = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Element::Literal(_) => {
                    if let Some(text) = literals.pop_front().filter(|t| !t.is_empty()) {
                        out.push(Part::Text(text.into()));
                    }
                }
                Element::Interpolation(value) => out.push(Part::Value(self.node(&value.expr))),
                Element::Directive(directive) => out.push(self.directive(directive, literals)),
            }
        }
        out.into()
    }

    fn directive(&mut self, directive: &Directive, literals: &mut Literals) -> Part {
        match directive {
            Directive::If(d) => {
                let condition = self.node(&d.if_expr.cond_expr);
                let then = self.parts(&elements(&d.if_expr.template), literals);
                let otherwise =
                    d.else_expr.as_ref().map(|e| self.parts(&elements(&e.template), literals)).unwrap_or_default();
                Part::If { condition, then, otherwise }
            }
            Directive::For(d) => {
                let collection = self.node(&d.for_expr.collection_expr);
                let key = d.for_expr.key_var.as_ref().map(|k| self.name(k.as_str()));
                let value = self.name(d.for_expr.value_var.as_str());
                let with_key = key.is_some();
                let body = self.with_slots(key.into_iter().chain([value]), |lower| {
                    lower.parts(&elements(&d.for_expr.template), literals)
                });
                Part::For { collection, with_key, body }
            }
        }
    }

    /// All literals with `~` and indentation worked off. The field does both on a flat list of
    /// tokens, in which every line of a heredoc is one.
    fn literals(&self, template: &[&Element], style: Style) -> Literals {
        let mut tokens = Vec::new();
        self.flatten(template, style, false, &mut tokens);
        for i in 0..tokens.len() {
            let Token::Marker { before, after } = tokens[i] else { continue };
            if before && let Some(Token::Line { text, .. }) = i.checked_sub(1).and_then(|j| tokens.get_mut(j)) {
                text.truncate(text.trim_end().len());
            }
            if after && let Some(Token::Line { text, .. }) = tokens.get_mut(i + 1) {
                *text = text.trim_start().to_owned();
            }
        }
        if style == Style::Indented {
            dedent(&mut tokens);
        }
        let mut literals = Literals::new();
        for token in tokens {
            let Token::Line { text, first } = token else { continue };
            match literals.back_mut() {
                Some(last) if !first => last.push_str(&text),
                _ => literals.push_back(text),
            }
        }
        literals
    }

    fn flatten(&self, template: &[&Element], style: Style, nested: bool, tokens: &mut Vec<Token>) {
        for element in template {
            match element {
                Element::Literal(literal) => {
                    // The parser takes the indentation of the outermost literals only, and leaves escapes in
                    // those of directives.
                    let text = match (style, self.text(literal.span())) {
                        (Style::Indented, Some(source)) => source.replace("$${", "${").replace("%%{", "%{"),
                        (Style::Quoted | Style::Json, Some(source)) if nested => unescaped(source),
                        _ => literal.to_string(),
                    };
                    if style == Style::Quoted || text.is_empty() {
                        tokens.push(Token::Line { text, first: true });
                    } else {
                        let lines = text.split_inclusive('\n').enumerate();
                        tokens.extend(lines.map(|(i, l)| Token::Line { text: l.to_owned(), first: i == 0 }));
                    }
                }
                Element::Interpolation(i) => tokens.push(Token::marker(i.strip)),
                Element::Directive(directive) => match &**directive {
                    Directive::If(d) => {
                        tokens.push(Token::marker(d.if_expr.strip));
                        self.flatten(&elements(&d.if_expr.template), style, true, tokens);
                        if let Some(e) = &d.else_expr {
                            tokens.push(Token::marker(e.strip));
                            self.flatten(&elements(&e.template), style, true, tokens);
                        }
                        tokens.push(Token::marker(d.endif_expr.strip));
                    }
                    Directive::For(d) => {
                        tokens.push(Token::marker(d.for_expr.strip));
                        self.flatten(&elements(&d.for_expr.template), style, true, tokens);
                        tokens.push(Token::marker(d.endfor_expr.strip));
                    }
                },
            }
        }
    }
}

/// What stands in quotes, with its escapes worked off.
fn unescaped(source: &str) -> String {
    match format!("\"{source}\"").parse::<Expression>() {
        Ok(Expression::String(text)) => text.value().to_string(),
        _ => source.to_owned(),
    }
}

/// The elements of a template.
pub(super) fn elements(template: &Template) -> Vec<&Element> {
    template.iter().collect()
}

/// A piece of a template as the field's scanner cuts it.
enum Token {
    /// Text; `first`: of its literal.
    Line { text: String, first: bool },
    /// `${...}` or a directive, and whether it takes white space before and after it.
    Marker { before: bool, after: bool },
}

impl Token {
    fn marker(strip: Strip) -> Self {
        Self::Marker {
            before: matches!(strip, Strip::Start | Strip::Both),
            after: matches!(strip, Strip::End | Strip::Both),
        }
    }
}

/// Takes the smallest indentation from all lines; blank lines neither count nor change.
fn dedent(tokens: &mut [Token]) {
    let mut least = usize::MAX;
    let mut starts = Vec::new();
    let mut newline = true;
    for (i, token) in tokens.iter().enumerate() {
        let Token::Line { text, .. } = token else {
            if std::mem::take(&mut newline) {
                least = 0;
            }
            continue;
        };
        if newline {
            let blank = text.len() - text.trim_start().len();
            if blank < text.len() || !text.ends_with('\n') {
                least = least.min(text[..blank].chars().count());
                starts.push(i);
            }
        }
        newline = text.ends_with('\n');
    }
    for i in starts {
        if let Some(Token::Line { text, .. }) = tokens.get_mut(i) {
            *text = text.chars().skip(least).collect();
        }
    }
}

/// What a template has become so far.
struct Text {
    out: String,
    marks: Marks,
    unknown: bool,
    /// The whole template.
    span: Span,
}

impl Text {
    fn push(&mut self, text: &str) -> Result<(), mesh_model::Diagnostics> {
        if self.out.len() + text.len() > MAX_TEXT {
            return Err(limits::text_too_long(self.span));
        }
        self.out.push_str(text);
        Ok(())
    }
}

impl Env<'_> {
    pub(super) fn template(&mut self, parts: &[Part], span: Span) -> Outcome {
        let mut text = Text { out: String::new(), marks: Marks::NONE, unknown: false, span };
        self.join(parts, &mut text)?;
        let value = if text.unknown {
            Value::unknown(Type::String)
        } else if is_nfc(&text.out) {
            Kind::String(text.out.into()).into()
        } else {
            Kind::String(text.out.nfc().collect::<String>().into()).into()
        };
        Ok(value.mark(text.marks))
    }

    /// The marks of a text that is not used.
    fn marks_of(&mut self, parts: &[Part], span: Span) -> Marks {
        let mut unused = Text { out: String::new(), marks: Marks::NONE, unknown: false, span };
        // What fails has marks nevertheless: those up to there.
        let _ = self.join(parts, &mut unused);
        unused.marks
    }

    fn join(&mut self, parts: &[Part], text: &mut Text) -> Result<(), mesh_model::Diagnostics> {
        for part in parts {
            match part {
                Part::Text(t) => text.push(t)?,
                Part::Value(node) => {
                    let value = forget(self.eval(node)?);
                    text.marks = text.marks.union(value.marks());
                    self.count(limits::cost(&value), node.span)?;
                    append(&value, text, node.span)?;
                }
                Part::If { condition, then, otherwise } => {
                    let value = forget(self.eval(condition)?);
                    text.marks = text.marks.union(value.marks());
                    match condition_truth(&value, condition.span)? {
                        // As in a condition, marks of what is not taken count, errors do not.
                        Some(truth) => {
                            let (taken, other) = if truth { (then, otherwise) } else { (otherwise, then) };
                            text.marks = text.marks.union(self.marks_of(other, text.span));
                            self.join(taken, text)?;
                        }
                        None => {
                            text.marks = text
                                .marks
                                .union(self.marks_of(then, text.span))
                                .union(self.marks_of(otherwise, text.span));
                            text.unknown = true;
                        }
                    }
                }
                Part::For { collection, with_key, body } => {
                    let value = self.eval(collection)?;
                    let (found, marks) = elements_of(value, collection.span)?;
                    text.marks = text.marks.union(marks);
                    match found {
                        None => text.unknown = true,
                        Some(pairs) => {
                            self.count(pairs.len() as u64, collection.span)?;
                            self.each(pairs, *with_key, |env| env.join(body, text))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn append(value: &Value, text: &mut Text, span: Span) -> Result<(), mesh_model::Diagnostics> {
    match value.kind() {
        Kind::String(s) => text.push(s)?,
        Kind::Null(_) => {
            let detail = "This value is null, which cannot stand in a text. Use coalesce() or a condition.";
            return Err(fail("Value has no text form", detail, span));
        }
        Kind::Unknown(_) => text.unknown = true,
        _ => match convert(value, &Type::String) {
            Ok(v) => match v.as_str() {
                Some(s) => text.push(s)?,
                None => text.unknown = true,
            },
            Err(_) => {
                let detail =
                    format!("This is {}, which cannot stand in a text. Use jsonencode() or join().", a_type(value));
                return Err(fail("Value has no text form", detail, span));
            }
        },
    }
    Ok(())
}

/// Renders a template text with variables that stand in it by their bare names; what `templatefile`
/// and `templatestring` do. For [`Context::template`].
pub fn render_template(context: &Context, text: &str, name: &str, vars: &Fields) -> Result<Value, CallError> {
    crate::syntax::on_large_stack(|| {
        let names: Vec<Arc<str>> = vars.keys().cloned().collect();
        let (node, errors, sources) = crate::syntax::parse_template(text, name, &names)
            .map_err(|message| CallError { argument: None, message })?;
        let first = |diagnostics: &mesh_model::Diagnostics| {
            diagnostics.0.first().map_or_else(String::new, |d| {
                let place = d.span.map_or_else(|| name.to_owned(), |s| sources.position(s));
                format!("{place}: {}: {}", d.summary, d.detail.trim_end_matches('.'))
            })
        };
        if errors.has_errors() {
            return Err(CallError { argument: None, message: first(&errors) });
        }
        let scope = TemplateScope(context);
        let mut env = Env::new(Some(&scope));
        env.slots = vars.values().cloned().collect();
        env.left = context.steps.left();
        let value = env.eval(&node);
        context.steps.set(env.left);
        value.map_err(|d| CallError { argument: None, message: first(&d) })
    })
}

/// A template sees its variables only.
struct TemplateScope<'c>(&'c Context);

impl Scope for TemplateScope<'_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let detail = format!("{subject} is not among the variables that the template was given.");
        Err(Diagnostic::error("lang::reference", "Invalid reference", detail).at(span))
    }

    fn functions(&self) -> &Context {
        self.0
    }
}
