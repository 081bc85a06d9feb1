//! The sources of module calls: their text before anything is planned, and the folder it means.
//!
//! The one decision: a source is an ordinary expression, evaluated by the ordinary evaluator in a scope
//! that knows only what is known this early: root variables as given, local values, and variables of a
//! child whose argument is itself known. Everything else is an error where it is referred to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use mesh_model::convert::convert;
use mesh_model::{Diagnostic, Diagnostics, Span, Type, Value};

use super::check::reference_error;
use super::{Folder, Loader, RootValues, normal};
use crate::expr::Used;
use crate::functions::Context;
use crate::{Expr, Module, Scope, Subject, Variable};

impl Loader<'_> {
    /// The folder that a call in `modules[index]`, which lies in `folder`, means; `None` after an error.
    pub(super) fn place(&mut self, folder: &Folder, index: usize, source: &Expr) -> Option<Folder> {
        let scope = Early::new(&self.modules, index, self.options.variables);
        let text = self.diagnostics.take(scope.source(source))?;
        let span = source.span();
        let refused = |detail: String| Diagnostic::error("lang::module", "Unsupported module source", detail).at(span);
        if is_local(&text) {
            let (dir, display) = (normal(&folder.dir.join(&*text)), normal(&folder.display.join(&*text)));
            if let Some(package) = &folder.package
                && !dir.starts_with(package)
            {
                self.diagnostics.push(refused(format!(
                    "{text:?} leaves what was fetched with this module. A fetched module reaches its own repository \
                     or archive only; give anything else a source of its own."
                )));
                return None;
            }
            return Some(Folder { dir, display, package: folder.package.clone() });
        }
        let Some(modules) = self.options.modules else {
            self.diagnostics.push(refused(format!(
                "{text:?} is not a folder relative to this one, such as \"./modules/name\", and modules from \
                 elsewhere cannot be had here."
            )));
            return None;
        };
        match modules.find(&text) {
            Ok(found) => Some(Folder {
                dir: normal(&found.dir),
                display: normal(found.display.as_ref()),
                package: Some(normal(&found.package)),
            }),
            Err(error) => {
                self.diagnostics.push(error.at_default(Some(span)));
                None
            }
        }
    }
}

fn is_local(source: &str) -> bool {
    source.starts_with("./") || source.starts_with("../") || source == "." || source == ".."
}

/// Longer chains of local values are a mistake.
const MAX_LOCALS: usize = 200;

/// Local values by module and name; `None` while one is being evaluated.
type Locals = HashMap<(usize, Arc<str>), Option<Value>>;

/// What is known before anything is planned, as seen from one module.
struct Early<'e> {
    modules: &'e [Module],
    index: usize,
    root: Option<&'e dyn RootValues>,
    locals: Rc<RefCell<Locals>>,
    /// How many of them are being evaluated.
    depth: Rc<Cell<usize>>,
    context: Context,
}

/// What sources may refer to, in every refusal.
const ALLOWED: &str = "Before anything is planned only variables and local values made of them are known";

impl<'e> Early<'e> {
    fn new(modules: &'e [Module], index: usize, root: Option<&'e dyn RootValues>) -> Self {
        Self { modules, index, root, locals: Rc::default(), depth: Rc::default(), context: Context::new(".") }
    }

    /// The same knowledge, seen from another module.
    fn at(&self, index: usize) -> Self {
        Self { locals: self.locals.clone(), depth: self.depth.clone(), ..Self::new(self.modules, index, self.root) }
    }

    fn source(&self, source: &Expr) -> Result<Arc<str>, Diagnostics> {
        let value = self.eval(source)?;
        let wrong =
            |detail: String| Diagnostic::error("lang::module", "Invalid module source", detail).at(source.span());
        let text = convert(&value, &Type::String).map_err(|e| wrong(format!("The source must be a text: {e}.")))?;
        match text.as_str() {
            Some(text) if text.chars().any(|c| c.is_control()) => {
                Err(wrong("The source must be one line without control characters.".to_owned()).into())
            }
            Some(text) if !text.is_empty() => Ok(text.into()),
            _ if text.is_unknown() => Err(wrong(format!("The source is not known yet. {ALLOWED}.")).into()),
            _ => Err(wrong("The source is null or empty.".to_owned()).into()),
        }
    }

    /// The value of an expression of this module. Everything it refers to is looked at first, so that no
    /// `try` hides what cannot be known.
    fn eval(&self, expr: &Expr) -> Result<Value, Diagnostics> {
        let mut found = Diagnostics::new();
        for reference in expr.references() {
            let used = Used { subject: reference.subject, attribute: None, keyed: false, span: reference.span };
            if !matches!(used.subject, Subject::Variable(_) | Subject::Local(_)) {
                let detail = format!("{} cannot be used for the source of a module. {ALLOWED}.", used.subject);
                found.push(Diagnostic::error("lang::reference", "Reference not possible here", detail).at(used.span));
            } else if let Some(error) = reference_error(self.modules, &self.modules[self.index], &used, true) {
                found.push(error);
            }
        }
        if found.has_errors() { Err(found) } else { expr.eval(self) }
    }

    fn variable(&self, variable: &Variable, span: Span) -> Result<Value, Diagnostic> {
        let module = &self.modules[self.index];
        let first = |found: Diagnostics| found.into_iter().next().unwrap_or_else(|| missing(variable, span));
        let argument = match (module.parent, self.root) {
            (None, Some(root)) => {
                let value = root.value(variable).map_err(first)?;
                return Ok(marked(variable, value));
            }
            (None, None) => None,
            (Some(parent), _) => {
                let call = self.modules[parent].calls.iter().find(|c| Some(&c.name) == module.path.last());
                let argument = call.and_then(|c| c.inputs.iter().find(|(name, _)| *name == variable.name));
                let outside = self.at(parent);
                argument
                    .map(|(_, expr)| {
                        let value = outside
                            .eval(expr)
                            .map_err(|found| first(found).with(span, "the source of a module needs it"))?;
                        variable.ty.convert(&value).map_err(|error| {
                            let detail = format!("The value does not fit the variable {:?}: {error}.", &*variable.name);
                            Diagnostic::error("lang::type", "Invalid value for input variable", detail).at(expr.span())
                        })
                    })
                    .transpose()?
            }
        };
        let value = match argument {
            Some(value) if variable.nullable || !value.is_null() => Some(value),
            _ => variable.default.clone(),
        };
        value.map(|v| marked(variable, v)).ok_or_else(|| missing(variable, span))
    }

    fn local(&self, name: &Arc<str>, span: Span) -> Result<Value, Diagnostic> {
        let key = (self.index, name.clone());
        let known = self.locals.borrow().get(&key).cloned();
        if let Some(known) = known {
            return known.ok_or_else(|| {
                let detail = format!("local.{name} needs itself, directly or through others.");
                Diagnostic::error("lang::reference", "Local value refers to itself", detail).at(span)
            });
        }
        let local = self.modules[self.index].locals.iter().find(|l| l.name == *name);
        let Some(local) = local else { return Ok(Value::unknown(Type::Dynamic)) };
        if self.depth.get() >= MAX_LOCALS {
            let detail =
                format!("The source of this module needs more than {MAX_LOCALS} local values one through the other.");
            return Err(Diagnostic::error("lang::reference", "Local values too deep", detail).at(span));
        }
        self.depth.set(self.depth.get() + 1);
        self.locals.borrow_mut().insert(key.clone(), None);
        let value = self.eval(&local.value).map_err(|found| {
            let error = found.into_iter().next();
            let error = error.unwrap_or_else(|| Diagnostic::error("lang::module", "Invalid module source", ""));
            error.with(span, "the source of a module needs it")
        })?;
        self.depth.set(self.depth.get() - 1);
        self.locals.borrow_mut().insert(key, Some(value.clone()));
        Ok(value)
    }
}

fn marked(variable: &Variable, value: Value) -> Value {
    let value = if variable.sensitive { value.sensitive() } else { value };
    if variable.ephemeral { value.mark(mesh_model::Marks::EPHEMERAL) } else { value }
}

fn missing(variable: &Variable, span: Span) -> Diagnostic {
    let detail = format!("The source of this module needs var.{}, which has no value.", variable.name);
    Diagnostic::error("lang::missing", "No value for a module source", detail)
        .at(span)
        .with(variable.span, "the variable is declared here")
}

impl Scope for Early<'_> {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let module = &self.modules[self.index];
        let value = match subject {
            Subject::Variable(name) => match module.variable(name) {
                Some(variable) => self.variable(variable, span)?,
                None => Value::unknown(Type::Dynamic),
            },
            Subject::Local(name) => self.local(name, span)?,
            _ => Value::unknown(Type::Dynamic),
        };
        if !value.all_marks().is_empty() {
            let detail = format!(
                "{subject} is sensitive or ephemeral, and sources of modules are shown and kept in the lock file."
            );
            return Err(Diagnostic::error("lang::reference", "Reference not possible here", detail).at(span));
        }
        if !value.is_wholly_known() {
            let detail = format!("{subject} is not known yet. {ALLOWED}.");
            return Err(Diagnostic::error("lang::reference", "Reference not possible here", detail).at(span));
        }
        Ok(value)
    }

    fn functions(&self) -> &Context {
        &self.context
    }

    fn refuses(&self, function: &str) -> Option<&'static str> {
        const OUTSIDE: [&str; 7] =
            ["abspath", "bcrypt", "pathexpand", "plantimestamp", "templatefile", "timestamp", "uuid"];
        let outside = function.starts_with("file") || OUTSIDE.contains(&function);
        outside.then_some(
            "the source of a module must be the same whenever and wherever it is looked at, so functions that look \
             at files, the time or chance have no place in it",
        )
    }
}

#[cfg(test)]
mod tests;
