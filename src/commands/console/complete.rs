//! Completion in the console: functions, addresses, and the attributes of what stands before the dot.
//!
//! The one decision: what stands before the dot is evaluated, so that maps, outputs and instances
//! complete as they are; only where it is not known yet does the schema of its type answer.

use std::collections::BTreeSet;

use mesh_core::{Engine, Planning};
use mesh_lang::functions;
use mesh_model::{Mode, Sources};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::Declared;
use crate::view::explain::parts;

/// What the line editor asks about the text so far.
pub(super) struct Known<'p> {
    pub(super) planning: &'p Planning<'p>,
    pub(super) engine: &'p Engine,
}

impl Known<'_> {
    /// What may follow `base.`, or start an expression where there is no base.
    fn candidates(&self, base: &str) -> BTreeSet<String> {
        let root = self.planning.world.config.root();
        let resources = |mode| root.resources.iter().filter(move |r| r.mode == mode);
        let steps: Vec<&str> = base.split('.').collect();
        let mode = match steps[0] {
            "data" => Mode::Data,
            "ephemeral" => Mode::Ephemeral,
            _ => Mode::Managed,
        };
        let typed: &[&str] = if mode == Mode::Managed { &steps } else { &steps[1..] };
        match (steps.as_slice(), typed) {
            ([""], _) => {
                let names = functions::names().map(|n| format!("{n}("));
                let roots = ["var.", "local.", "module.", "data.", "ephemeral.", "path."].map(str::to_owned);
                let types = resources(Mode::Managed).map(|r| format!("{}.", r.ty));
                names.chain(roots).chain(types).chain(["type(".to_owned()]).collect()
            }
            (["var"], _) => root.variables.iter().map(|v| v.name.to_string()).collect(),
            (["local"], _) => root.locals.iter().map(|l| l.name.to_string()).collect(),
            (["module"], _) => root.calls.iter().map(|c| c.name.to_string()).collect(),
            (["path"], _) => ["cwd", "module", "root"].map(str::to_owned).into(),
            (["data" | "ephemeral"], _) => resources(mode).map(|r| format!("{}.", r.ty)).collect(),
            (_, [ty]) if resources(mode).any(|r| *r.ty == **ty) => {
                resources(mode).filter(|r| *r.ty == **ty).map(|r| r.name.to_string()).collect()
            }
            (_, typed) => self.fields(base).unwrap_or_else(|| self.in_schema(mode, typed)),
        }
    }

    /// The names in a value; `None` where it has none that may be seen.
    fn fields(&self, base: &str) -> Option<BTreeSet<String>> {
        let expr = mesh_lang::parse_expression(base, "completion", &mut Sources::default()).ok()?;
        let value = expr.eval(&Declared { inner: &self.planning.world.scope(0, 0), planning: self.planning }).ok()?;
        let fields = value.as_fields().filter(|_| value.marks().is_empty())?;
        Some(fields.keys().filter(|k| mesh_model::path::is_identifier(k)).map(ToString::to_string).collect())
    }

    /// The names that the schema has after `TYPE.NAME...`.
    fn in_schema(&self, mode: Mode, typed: &[&str]) -> BTreeSet<String> {
        let [ty, _, rest @ ..] = typed else { return BTreeSet::new() };
        let Some(schema) = self.engine.schema(mode, ty) else { return BTreeSet::new() };
        let mut here = schema.schema.ty();
        for step in rest {
            let name = step.split('[').next().unwrap_or(step);
            let Some((_, inner)) = parts(&here).into_iter().find(|(part, _)| part == name) else {
                return BTreeSet::new();
            };
            here = inner;
        }
        parts(&here).into_iter().map(|(name, _)| name).collect()
    }
}

/// Where the reference starts that ends the text: names, dots and indexes.
fn reference(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' if depth > 0 => depth -= 1,
            _ if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '-' | '.') => {}
            _ => return at + c.len_utf8(),
        }
    }
    0
}

impl Completer for Known<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..pos];
        let start = reference(before);
        let (base, from) = match before[start..].rfind('.') {
            Some(dot) => (&before[start..start + dot], start + dot + 1),
            None => ("", start),
        };
        let fitting = self.candidates(base).into_iter().filter(|c| c.starts_with(&before[from..]));
        Ok((from, fitting.map(|c| Pair { display: c.clone(), replacement: c }).collect()))
    }
}

impl Validator for Known<'_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = mesh_lang::is_unfinished(context.input());
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Hinter for Known<'_> {
    type Hint = String;
}

impl Highlighter for Known<'_> {}

impl Helper for Known<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_at_the_end() {
        for (text, want) in [
            ("upper(var.a", "var.a"),
            ("x.y[\"a b\"].c", "x.y[\"a b\"].c"),
            ("[local.", "local."),
            ("1 + ", ""),
            ("é(data.", "data."),
        ] {
            assert_eq!(&text[reference(text)..], want, "{text}");
        }
    }
}
