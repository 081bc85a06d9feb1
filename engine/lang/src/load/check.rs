//! Static checks of one module: what is referred to exists, inputs fit the called module.
//!
//! The one decision: every check is a look-up by name in what was decoded; nothing is evaluated. Cycles
//! are found by the engine, which orders everything.

use std::collections::HashMap;
use std::sync::Arc;

use mesh_model::{Diagnostic, Diagnostics, Mode, Span};

use crate::expr::{Subject, Used};
use crate::suggest::hint;
use crate::{Expr, Import, Module, ProviderRef, Reference, Target};

use super::version;

/// A suggestion looks at every name: the first errors get one, a flood of them stays linear.
const MAX_HINTS: usize = 20;

/// Checks `modules[index]`, whose called modules are loaded.
pub(super) fn module(modules: &[Module], index: usize, used: &[Used], generate: bool, diagnostics: &mut Diagnostics) {
    let module = &modules[index];
    let mut reported = 0;
    for reference in used {
        if let Some(diagnostic) = reference_error(modules, module, reference, reported < MAX_HINTS) {
            diagnostics.push(diagnostic);
            reported += 1;
        }
    }
    inputs(modules, module, diagnostics);
    providers(modules, module, diagnostics);
    for output in module.outputs.iter().filter(|o| o.ephemeral && index == 0) {
        let detail = "Outputs of the root module are kept in state, and what is ephemeral is kept nowhere.";
        diagnostics
            .push(Diagnostic::error("lang::output", "Ephemeral output of the root module", detail).at(output.span));
    }
    settings(module, index == 0, diagnostics);
    checks(module, used, diagnostics);
    refactoring(modules, index, generate, diagnostics);
}

fn settings(module: &Module, root: bool, diagnostics: &mut Diagnostics) {
    let settings = &module.settings;
    if let Some((constraint, span)) = &settings.required_version {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        match version::fits(constraint, VERSION) {
            Some(true) => {}
            Some(false) => {
                let detail = format!(
                    "This is mesh {VERSION}, and the module wants {constraint:?}. Use a version that fits, or change \
                     required_version after trying the configuration with this one."
                );
                diagnostics.push(Diagnostic::error("lang::version", "Unsupported version of mesh", detail).at(*span));
            }
            None => {
                let detail =
                    format!("{constraint:?} is not a version constraint. Write \">= 0.1, < 2.0\" or \"~> 1.4\".");
                diagnostics.push(Diagnostic::error("lang::version", "Invalid version constraint", detail).at(*span));
            }
        }
    }
    let of_root = settings.backend.is_some() || settings.encryption.is_some() || settings.history.is_some();
    if let Some(span) = settings.span.filter(|_| !root && of_root) {
        let detail = "Where state is kept and how it is sealed is said by the root module; here it has no effect.";
        diagnostics.push(Diagnostic::warning("lang::settings", "Settings without effect", detail).at(span));
    }
}

/// A data source of a check block belongs to that block alone.
fn checks(module: &Module, used: &[Used], diagnostics: &mut Diagnostics) {
    if module.checks.is_empty() {
        return;
    }
    for reference in used {
        let Subject::Resource { mode: Mode::Data, ty, name } = &reference.subject else { continue };
        let Some(check) = module.resource(Mode::Data, ty, name).and_then(|r| r.check) else { continue };
        let check = &module.checks[check];
        let here = |r: &Reference| (r.span.file, r.span.start) == (reference.span.file, reference.span.start);
        let inside = check
            .asserts
            .iter()
            .any(|a| a.condition.references().iter().any(here) || a.error_message.references().iter().any(here));
        if !inside {
            let detail = format!(
                "{} stands inside the check {:?}, and only that may refer to it. Put it beside the check to use it elsewhere.",
                reference.subject, &*check.name
            );
            diagnostics.push(
                Diagnostic::error("lang::reference", "Reference to a data source of a check", detail)
                    .at(reference.span)
                    .with(check.span, "the check"),
            );
        }
    }
}

/// The module that a path of calls leads to.
fn called<'m>(modules: &'m [Module], from: usize, names: impl Iterator<Item = &'m Arc<str>>) -> Option<&'m Module> {
    let mut module = &modules[from];
    for name in names {
        module = modules.get(module.call(name)?.module)?;
    }
    Some(module)
}

/// `removed` names what is gone, `import` what is there.
fn refactoring(modules: &[Module], index: usize, generate: bool, diagnostics: &mut Diagnostics) {
    let module = &modules[index];
    for removed in &module.removed {
        let exists = match &removed.from {
            Target::Module(path) => path.0.split_last().and_then(|((name, _), around)| {
                Some(called(modules, index, around.iter().map(|(n, _)| n))?.call(name)?.span)
            }),
            Target::Resource(a) => called(modules, index, a.module.0.iter().map(|(n, _)| n))
                .and_then(|m| Some(m.resource(a.mode, &a.ty, &a.name)?.span)),
        };
        if let Some(there) = exists {
            let detail = "What this block says is removed is still configured. Remove its block as well, or this one.";
            diagnostics.push(
                Diagnostic::error("lang::removed", "Removed, but still there", detail)
                    .at(there)
                    .with(removed.span, "said to be removed here"),
            );
        }
    }
    let mut imported: HashMap<String, Span> = HashMap::new();
    for import in &module.imports {
        if let Some(first) = fixed(import).and_then(|address| imported.insert(address, import.to)) {
            let detail = "Another import block brings an object to the same address, and only one can be there.";
            diagnostics.push(
                Diagnostic::error("lang::duplicate", "Imported twice", detail).at(import.to).with(first, "first here"),
            );
        }
        if index > 0 {
            let detail = "Only the root module imports: what a module is called for may exist in one stack only.";
            diagnostics.push(Diagnostic::error("lang::import", "Import in a module", detail).at(import.span));
            continue;
        }
        let resource = called(modules, index, import.module.iter().map(|(n, _)| n))
            .and_then(|m| m.resource(Mode::Managed, &import.ty, &import.name));
        let simple = import.module.is_empty() && import.key.is_none() && import.for_each.is_none();
        let detail = match resource {
            None if generate && simple => continue,
            None if generate => {
                "A block can only be generated for one object of the root module: without for_each, and with an address \
                 without a key. Write this block yourself."
                    .to_owned()
            }
            None => format!(
                "There is no block resource {:?} {:?} to import into. Write it, or have mesh plan -generate-config-out=FILE \
                 write it from what is there.",
                &*import.ty, &*import.name
            ),
            Some(r) if import.key.is_some() && r.count.is_none() && r.for_each.is_none() => {
                "The resource has neither count nor for_each, so its address has no key.".to_owned()
            }
            Some(r) if import.key.is_none() && (r.count.is_some() || r.for_each.is_some()) => {
                "The resource has several instances: say which one with a key.".to_owned()
            }
            Some(_) => continue,
        };
        diagnostics.push(Diagnostic::error("lang::import", "Import into nothing", detail).at(import.to));
    }
}

/// The address of an import without `for_each` whose keys are constants.
fn fixed(import: &Import) -> Option<String> {
    if import.for_each.is_some() {
        return None;
    }
    let key = |k: &Option<Expr>| match k {
        None => Some(String::new()),
        Some(k) => k.constant().map(|v| mesh_model::json::canonical(&v)),
    };
    let mut out = String::new();
    for (name, k) in &import.module {
        out.extend([&**name, &key(k)?, "."]);
    }
    Some(format!("{out}{}.{}{}", import.ty, import.name, key(&import.key)?))
}

fn undeclared(summary: &'static str, what: String, near: &str, span: Span) -> Option<Diagnostic> {
    Some(
        Diagnostic::error("lang::reference", summary, format!("{what} is not declared in this module.{near}")).at(span),
    )
}

pub(super) fn reference_error(modules: &[Module], module: &Module, used: &Used, hints: bool) -> Option<Diagnostic> {
    let hint =
        |given: &str, names: &mut dyn Iterator<Item = &str>| if hints { hint(given, names) } else { String::new() };
    match &used.subject {
        Subject::Variable(name) if !module.index.variables.contains_key(name) => {
            let near = hint(name, &mut module.variables.iter().map(|v| &*v.name));
            undeclared("No such variable", format!("The variable {name:?}"), &near, used.span)
        }
        Subject::Local(name) if !module.index.locals.contains_key(name) => {
            let near = hint(name, &mut module.locals.iter().map(|v| &*v.name));
            undeclared("No such local value", format!("The local value {name:?}"), &near, used.span)
        }
        Subject::Resource { mode, ty, name } if module.resource(*mode, ty, name).is_none() => {
            let near = if hints { resource_hint(module, *mode, ty, name) } else { String::new() };
            undeclared("No such resource", used.subject.to_string(), &near, used.span)
        }
        Subject::Resource { mode, ty, name } if !used.keyed && used.attribute.is_some() => {
            let block = module.resource(*mode, ty, name)?;
            let (what, key) = match (&block.count, &block.for_each) {
                (Some(_), _) => ("count", "[0]"),
                (_, Some(_)) => ("for_each", "[\"key\"]"),
                _ => return None,
            };
            let detail = format!(
                "{} has {what}, so an attribute is that of one instance, such as {}{key}, or of all of them in a for expression.",
                used.subject, used.subject
            );
            Some(
                Diagnostic::error("lang::reference", "Reference without an instance key", detail)
                    .at(used.span)
                    .with(block.span, "the block"),
            )
        }
        Subject::Module(name) => match module.call(name) {
            None => {
                let near = hint(name, &mut module.calls.iter().map(|c| &*c.name));
                undeclared("No such module call", format!("The module call {name:?}"), &near, used.span)
            }
            Some(call) => {
                let (output, span) = used.attribute.as_ref()?;
                let called = modules.get(call.module)?;
                if called.output(output).is_some() {
                    return None;
                }
                let near = hint(output, &mut called.outputs.iter().map(|o| &*o.name));
                let detail = format!("The module {name:?} has no output named {output:?}.{near}");
                Some(
                    Diagnostic::error("lang::reference", "Unsupported attribute", detail)
                        .at(*span)
                        .with(call.span, "the module is called here"),
                )
            }
        },
        _ => None,
    }
}

fn resource_hint(module: &Module, mode: Mode, ty: &Arc<str>, name: &Arc<str>) -> String {
    // The same type and name in another mode is the likeliest slip.
    if let Some(other) = [Mode::Managed, Mode::Data, Mode::Ephemeral]
        .into_iter()
        .find(|m| *m != mode && module.resource(*m, ty, name).is_some())
    {
        return format!(" Did you mean \"{}{ty}.{name}\"?", other.prefix());
    }
    let wanted = format!("{}{ty}.{name}", mode.prefix());
    let names: Vec<String> =
        module.resources.iter().map(|r| format!("{}{}.{}", r.mode.prefix(), r.ty, r.name)).collect();
    hint(&wanted, names.iter().map(String::as_str))
}

fn inputs(modules: &[Module], module: &Module, diagnostics: &mut Diagnostics) {
    for call in &module.calls {
        let Some(called) = modules.get(call.module) else { continue };
        for (name, expr) in &call.inputs {
            let Some(variable) = called.variable(name) else {
                let near = hint(name, called.variables.iter().map(|v| &*v.name));
                let detail = format!("The module {:?} has no variable named {name:?}.{near}", &*call.name);
                diagnostics.push(
                    Diagnostic::error("lang::unexpected", "Unsupported argument", detail)
                        .at(expr.span())
                        .with(call.span, "the module is called here"),
                );
                continue;
            };
            if let Some(reason) = &variable.deprecated {
                let detail = format!("The variable {name:?} of the module {:?} is deprecated: {reason}", &*call.name);
                diagnostics.push(
                    Diagnostic::warning("lang::deprecated", "Deprecated variable", detail)
                        .at(expr.span())
                        .with(variable.span, "the variable is declared here"),
                );
            }
            if let Some(Err(error)) = expr.constant().map(|v| variable.ty.convert(&v)) {
                let detail = format!("The value does not fit the variable {name:?}: {error}.");
                diagnostics.push(
                    Diagnostic::error("lang::type", "Invalid value for input variable", detail)
                        .at(expr.span_at(&error.path.0))
                        .with(variable.span, "the variable is declared here"),
                );
            }
        }
        for variable in &called.variables {
            if variable.default.is_none() && !call.inputs.iter().any(|(n, _)| *n == variable.name) {
                let detail = format!(
                    "The module {:?} needs a value for its variable {:?}, which has no default.",
                    &*call.name, &*variable.name
                );
                diagnostics.push(
                    Diagnostic::error("lang::missing", "Missing required argument", detail)
                        .at(call.span)
                        .with(variable.span, "the variable is declared here"),
                );
            }
        }
    }
}

/// Configurations with an alias must be declared here or handed in by the caller.
fn providers(modules: &[Module], module: &Module, diagnostics: &mut Diagnostics) {
    let handed: Vec<&ProviderRef> = module
        .parent
        .and_then(|p| modules[p].calls.iter().find(|c| Some(&c.name) == module.path.last()))
        .map(|call| call.providers.iter().map(|(inside, _)| inside).collect())
        .unwrap_or_default();
    let known = |r: &ProviderRef| {
        module.providers.iter().any(|p| p.name == r.name && p.alias == r.alias)
            || handed.iter().any(|h| h.name == r.name && h.alias == r.alias)
    };
    let used = module.resources.iter().filter_map(|r| r.provider.as_ref());
    let outside = module.calls.iter().flat_map(|c| c.providers.iter().map(|(_, outside)| outside));
    for reference in used.chain(outside) {
        let Some(alias) = &reference.alias else { continue };
        if known(reference) {
            continue;
        }
        let aliases = module.providers.iter().filter(|p| p.name == reference.name).filter_map(|p| p.alias.as_deref());
        let near = hint(alias, aliases);
        let detail = format!(
            "The provider {:?} has no configuration with the alias {alias:?} in this module.{near}",
            &*reference.name
        );
        diagnostics
            .push(Diagnostic::error("lang::provider", "Provider configuration not present", detail).at(reference.span));
    }
}
