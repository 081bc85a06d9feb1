//! Evaluating a whole configuration while nothing is known: mistakes that no value could mend.
//!
//! The one decision: every reference is unknown (a variable with its type), so what still fails would
//! fail always: `1 + "x"`, a file that is not there, the third of two elements. For `validate`; a plan
//! finds the same with real values.

use mesh_lang::functions::Context;
use mesh_lang::{Condition, Config, Expr, Module, Scope, Subject, eval_body};
use mesh_model::{Diagnostic, Diagnostics, Marks, Span, Type, Value};

use crate::engine::Engine;
use crate::world::expand;

/// Everything that fails whatever the values are.
pub fn trial(engine: &Engine, config: &Config, context: &Context) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for module in &config.modules {
        let context = Context { module: module.dir.clone(), ..context.clone() };
        let mut trial = Trial { scope: Nothing { module, context }, diagnostics: &mut diagnostics };
        trial.module(engine, config, module);
    }
    diagnostics.0.sort_by_key(|d| d.span);
    diagnostics.0.dedup();
    diagnostics
}

struct Trial<'t, 'c> {
    scope: Nothing<'c>,
    diagnostics: &'t mut Diagnostics,
}

impl Trial<'_, '_> {
    fn module(&mut self, engine: &Engine, config: &Config, module: &Module) {
        for variable in &module.variables {
            self.conditions(&variable.validations);
        }
        for local in &module.locals {
            self.eval(&local.value);
        }
        for output in &module.outputs {
            self.eval(&output.value);
            self.conditions(&output.preconditions);
        }
        for check in &module.checks {
            self.conditions(&check.asserts);
        }
        for call in &module.calls {
            self.repetition(call.count.as_ref(), call.for_each.as_ref());
            let called = &config.modules[call.module];
            for (name, expr) in &call.inputs {
                let Some(value) = self.eval(expr) else { continue };
                if let Some(Err(error)) = called.variable(name).map(|v| v.ty.convert(&value)) {
                    let detail = format!("The value does not fit the variable {name:?}: {error}.");
                    let place = expr.span_at(&error.path.0);
                    self.diagnostics
                        .push(Diagnostic::error("lang::type", "Invalid value for input variable", detail).at(place));
                }
            }
        }
        for block in &module.resources {
            self.repetition(block.count.as_ref(), block.for_each.as_ref());
            self.conditions(&block.lifecycle.preconditions);
            self.conditions(&block.lifecycle.postconditions);
            if let Some(schema) = engine.schema(block.mode, &block.ty) {
                let _ = self.diagnostics.take(eval_body(&block.body, &schema.schema, &self.scope));
            }
        }
        for block in &module.providers {
            if let Some(provider) = engine.provider(&block.name) {
                let _ = self.diagnostics.take(eval_body(&block.body, &provider.schema().config, &self.scope));
            }
        }
    }

    fn eval(&mut self, expr: &Expr) -> Option<Value> {
        self.diagnostics.take(expr.eval(&self.scope))
    }

    fn repetition(&mut self, count: Option<&Expr>, for_each: Option<&Expr>) {
        let _ = self.diagnostics.take(expand(count, for_each, &self.scope, 0));
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        for condition in conditions {
            if let Some(value) = self.eval(&condition.condition)
                && mesh_model::convert::convert(&value, &Type::Bool).is_err()
            {
                let detail = "The condition must give true or false.";
                let place = condition.condition.span();
                self.diagnostics
                    .push(Diagnostic::error("lang::condition", "A condition is not true or false", detail).at(place));
            }
            self.eval(&condition.error_message);
        }
    }
}

/// A scope in which everything exists and nothing is known.
struct Nothing<'c> {
    module: &'c Module,
    context: Context,
}

impl Scope for Nothing<'_> {
    fn resolve(&self, subject: &Subject, _: Span) -> Result<Value, Diagnostic> {
        Ok(match subject {
            Subject::Variable(name) => {
                Value::unknown(self.module.variable(name).map_or(Type::Dynamic, |v| v.ty.ty.clone()))
            }
            Subject::Count => Value::unknown(Type::Number),
            Subject::EachKey => Value::unknown(Type::String),
            Subject::PathModule => Value::string(self.context.module.to_string_lossy()),
            Subject::PathRoot => Value::string("."),
            Subject::PathCwd => Value::string(self.context.cwd.to_string_lossy()),
            Subject::Applying => Value::unknown(Type::Bool).mark(Marks::EPHEMERAL),
            Subject::Workspace => Value::string(self.context.workspace.clone()),
            Subject::Local(_)
            | Subject::Resource { .. }
            | Subject::Module(_)
            | Subject::EachValue
            | Subject::SelfRef => Value::unknown(Type::Dynamic),
        })
    }

    fn functions(&self) -> &Context {
        &self.context
    }
}
