//! What the parts of an expression were when it failed: the first question of whoever reads the error.
//!
//! The one decision: only on the way out of a failure, and in words that show no secret and no more of
//! a big value than its size. Variables of `for` are not shown: they had many values.

use std::fmt::Write as _;

use mesh_model::{Diagnostic, Diagnostics, Kind, Step, Value};

use hcl_edit::expr::BinaryOperator;

use super::{Env, Expr, Node, Op, Reference, Scope, Subject};

/// More parts than this help nobody.
const MOST: usize = 6;
/// Longer texts are cut.
const LONGEST: usize = 120;

impl Expr {
    /// The diagnostic with the values of what this expression refers to.
    #[must_use]
    pub fn explain(&self, mut diagnostic: Diagnostic, scope: &dyn Scope) -> Diagnostic {
        let own = self.span();
        let here = diagnostic.span.filter(|s| s.file == own.file && own.start <= s.start && s.end <= own.end);
        let Some(here) = here else { return diagnostic };
        if !diagnostic.values.is_empty() {
            return diagnostic;
        }
        let all = self.references();
        let near: Vec<&Reference> = all.iter().filter(|r| r.span.start < here.end && here.start < r.span.end).collect();
        let list = if near.is_empty() { all.iter().collect() } else { near };
        for reference in list {
            let Some((value, steps)) = value(reference, scope) else { continue };
            let line = (written(&reference.subject, steps), describe(&value));
            if !diagnostic.values.contains(&line) && diagnostic.values.len() < MOST {
                diagnostic.values.push(line);
            }
        }
        diagnostic
    }

    /// The two sides of a comparison that does not hold, or of the first such part of an `&&`. `None` for
    /// any other expression.
    pub fn sides(&self, scope: &dyn Scope) -> Option<(Value, Value)> {
        let value = |node: &Node| Env::new(Some(scope)).eval(node).ok();
        let mut node = self.node();
        while let Op::Binary(BinaryOperator::And, parts) = &node.op {
            let holds = value(&parts.0)?.reveal().0.as_bool() == Some(true);
            node = if holds { &parts.1 } else { &parts.0 };
        }
        match &node.op {
            Op::Binary(
                BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Less
                | BinaryOperator::LessEq
                | BinaryOperator::Greater
                | BinaryOperator::GreaterEq,
                parts,
            ) => Some((value(&parts.0)?, value(&parts.1)?)),
            _ => None,
        }
    }

    pub(crate) fn explain_all(&self, diagnostics: Diagnostics, scope: Option<&dyn Scope>) -> Diagnostics {
        let Some(scope) = scope else { return diagnostics };
        Diagnostics(diagnostics.into_iter().map(|d| self.explain(d, scope)).collect())
    }
}

/// The value of a reference, as far as its steps lead, and those steps.
fn value<'r>(reference: &'r Reference, scope: &dyn Scope) -> Option<(Value, &'r [Step])> {
    if matches!(reference.subject, Subject::PathModule | Subject::PathRoot | Subject::PathCwd) {
        return None;
    }
    let mut value = scope.resolve(&reference.subject, reference.span).ok()?;
    for (i, step) in reference.rest.iter().enumerate() {
        let marks = value.marks();
        let next = match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.as_items().and_then(|items| items.get(*index)),
        };
        let Some(next) = next else { return Some((value, &reference.rest[..i])) };
        value = next.clone().mark(marks);
    }
    Some((value, &reference.rest))
}

fn written(subject: &Subject, steps: &[Step]) -> String {
    let mut out = subject.to_string();
    for step in steps {
        let _ = match step {
            Step::Key(key) if mesh_model::path::is_identifier(key) => write!(out, ".{key}"),
            Step::Key(key) => write!(out, "[{key:?}]"),
            Step::Index(index) => write!(out, "[{index}]"),
        };
    }
    out
}

/// `is "x"`, `is a list of 3 elements`, `has a sensitive value`.
fn describe(value: &Value) -> String {
    let marks = value.all_marks();
    if marks.sensitive() {
        return "has a sensitive value".to_owned();
    }
    if marks.ephemeral() {
        return "has an ephemeral value".to_owned();
    }
    let many = |what: &str, n: usize, each: &str| match n {
        0 => format!("is an empty {what}"),
        1 => format!("is {} of 1 {each}", article(what)),
        n => format!("is {} of {n} {each}s", article(what)),
    };
    match value.kind() {
        Kind::Null(_) => "is null".to_owned(),
        Kind::Bool(b) => format!("is {b}"),
        Kind::Number(n) => format!("is {}", n.to_string().chars().take(LONGEST).collect::<String>()),
        Kind::String(s) if s.chars().count() > LONGEST => {
            format!("is {:?}... ({} characters)", s.chars().take(LONGEST).collect::<String>(), s.chars().count())
        }
        Kind::String(s) => format!("is {:?}", &**s),
        Kind::List(_, items) => many("list", items.len(), "element"),
        Kind::Tuple(items) => many("tuple", items.len(), "element"),
        Kind::Set(_, items) => many("set", items.len(), "element"),
        Kind::Map(_, fields) => many("map", fields.len(), "element"),
        Kind::Object(fields) => many("object", fields.len(), "attribute"),
        Kind::Unknown(_) => "is known only after apply".to_owned(),
        Kind::Withheld(..) => "has a sensitive value".to_owned(),
    }
}

fn article(what: &str) -> String {
    format!("{} {what}", if what.starts_with('o') { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use mesh_model::Sources;

    use crate::expr::TestScope;

    fn explained(text: &str) -> Vec<String> {
        let expr = crate::parse_expression(text, "test", &mut Sources::default()).expect("it parses");
        let errors = expr.eval(&TestScope::new()).expect_err("it fails");
        errors.0.into_iter().flat_map(|d| d.values).map(|(what, is)| format!("{what} {is}")).collect()
    }

    #[test]
    fn the_parts_that_matter_are_shown_without_secrets() {
        assert_eq!(explained("1 + local.str"), ["local.str is \"hello\""]);
        assert_eq!(explained("local.list[7]"), ["local.list is a list of 3 elements"]);
        assert_eq!(explained("local.obj.zz"), ["local.obj is an object of 3 attributes"]);
        assert_eq!(explained("upper(local.nul)"), ["local.nul is null"]);
        assert_eq!(explained("var.secret + 1"), ["var.secret has a sensitive value"]);
    }
}
