//! Variables, locals, outputs and module calls: nodes that need no provider.

use mesh_lang::{Condition, Scope};
use mesh_model::change::OutputChange;
use mesh_model::{Action, Diagnostic, Diagnostics, InstanceKey, Marks, Value};

use super::{Mode, Planner};
use crate::graph::Node;
use crate::inputs;
use crate::world::{Expansion, ModuleInstance, Repetition, World, expand};

impl Planner<'_, '_> {
    pub(super) fn variable(&self, node: u32, module: usize, item: usize) {
        let block = &self.config.modules[module].variables[item];
        if let Some(reason) =
            block.deprecated.as_ref().filter(|_| module == 0 && self.inputs.contains_key(&*block.name))
        {
            let detail = format!("A value is given for the variable {:?}, which is deprecated: {reason}", &*block.name);
            self.say(node, Diagnostic::warning("plan::deprecated", "Deprecated variable", detail).at(block.span));
        }
        if let Err(diagnostics) = variable(&self.world, self.inputs, node, module, item) {
            self.say_all(node, diagnostics);
        }
    }

    pub(super) fn local(&self, node: u32, module: usize, item: usize) {
        if let Err(diagnostics) = local(&self.world, node, module, item) {
            self.say_all(node, diagnostics);
        }
    }

    pub(super) fn output(&self, node: u32, module: usize, item: usize) {
        if module == 0 && self.options.mode == Mode::Destroy {
            return;
        }
        if let Err(diagnostics) = output(&self.world, node, module, item) {
            self.say_all(node, diagnostics);
            return;
        }
        if module != 0 {
            return;
        }
        let name = self.config.root().outputs[item].name.clone();
        let after = self.world.get(node, 0).unwrap_or(Value::NULL);
        if self.options.mode == Mode::RefreshOnly && !after.is_wholly_known() {
            // Made from what does not exist yet: it stays as it is.
            return;
        }
        let before = self.snapshot.outputs.get(&name).map_or(Value::NULL, |o| o.value.clone());
        let action = match (before.is_null(), after.is_null()) {
            (true, true) => Action::NoOp,
            (true, false) => Action::Create,
            (false, _) if self.fingerprinter.same(&before, &after) && before.same_kinds(&after) => Action::NoOp,
            (false, _) => Action::Update,
        };
        self.out.borrow_mut().outputs.insert(name, OutputChange { before, after, action });
    }

    pub(super) fn call(&self, node: u32, module: usize, item: usize) {
        let call = &self.config.modules[module].calls[item];
        let mut instances = Vec::new();
        for (ordinal, parent) in self.world.instances(module).iter().enumerate() {
            let scope = self.world.scope(module, ordinal).repeated(&parent.repetition);
            match expand(call.count.as_ref(), call.for_each.as_ref(), &scope, instances.len()) {
                Ok(Expansion::Known(list)) => instances.extend(list.into_iter().map(|repetition| ModuleInstance {
                    path: parent.path.child(&call.name, repetition.key.clone()),
                    parent: ordinal,
                    repetition,
                })),
                Ok(Expansion::Unknown(what)) => {
                    self.defer(node, &format!("{what} of module {:?} is known only after apply", call.name));
                    return;
                }
                Err(diagnostics) => {
                    self.say_all(node, diagnostics);
                    return;
                }
            }
        }
        self.world.expand(call.module, instances);
    }
}

/// Evaluates a variable in every instance of its module.
pub(crate) fn variable(
    world: &World<'_>,
    inputs: &inputs::Inputs,
    node: u32,
    module: usize,
    item: usize,
) -> Result<(), Diagnostics> {
    let m = &world.config.modules[module];
    let variable = &m.variables[item];
    let mut diagnostics = Diagnostics::new();
    for (ordinal, instance) in world.instances(module).iter().enumerate() {
        let value = match m.parent {
            None => inputs::value(variable, inputs.get(&*variable.name)),
            Some(parent) => argument(world, parent, instance, module, variable),
        };
        let Some(value) = diagnostics.take(value) else { continue };
        world.set(node, ordinal, value);
        let scope = world.scope(module, ordinal).repeated(&instance.repetition);
        let given =
            m.parent.and_then(|p| given(world, p, module, variable)).map_or(variable.span, mesh_lang::Expr::span);
        for c in &variable.validations {
            match check(c, &scope, "plan::validation", "Invalid value for a variable") {
                // Where the value comes from is where it is mended.
                Some(d) if d.code == "plan::validation" => {
                    diagnostics.push(Diagnostic { span: Some(given), ..d }.with(c.condition.span(), "the condition"));
                }
                other => diagnostics.0.extend(other),
            }
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// What a call gives to a variable.
fn given<'c>(
    world: &World<'c>,
    parent: usize,
    module: usize,
    variable: &mesh_lang::Variable,
) -> Option<&'c mesh_lang::Expr> {
    let call = world.config.modules[parent].calls.iter().find(|c| c.module == module)?;
    call.inputs.iter().find(|(n, _)| *n == variable.name).map(|(_, e)| e)
}

fn argument(
    world: &World<'_>,
    parent: usize,
    instance: &ModuleInstance,
    module: usize,
    variable: &mesh_lang::Variable,
) -> Result<Value, Diagnostics> {
    let expr = given(world, parent, module, variable);
    let given = match expr {
        None => None,
        Some(expr) => {
            // `each` and `count` inside a call's arguments are those of the call.
            let scope = world.scope(parent, instance.parent).repeated(&instance.repetition);
            let value = expr.eval(&scope)?;
            if value.all_marks().ephemeral() && !variable.ephemeral {
                return Err(not_ephemeral(variable, expr.span()).into());
            }
            (variable.nullable || !value.is_null()).then_some(value)
        }
    };
    let value = given.or_else(|| variable.default.clone()).unwrap_or(Value::NULL);
    inputs::convert(variable, &value).map_err(|d| match expr {
        Some(expr) => {
            Diagnostics::from(Diagnostic { span: Some(expr.span()), ..d }.with(variable.span, "the variable"))
        }
        None => d.into(),
    })
}

fn not_ephemeral(variable: &mesh_lang::Variable, span: mesh_model::Span) -> Diagnostic {
    let detail = format!(
        "The value is ephemeral, and the variable {:?} may be used where values are stored. Declare it with ephemeral = true.",
        variable.name
    );
    Diagnostic::error("plan::variable_ephemeral", "A variable does not take ephemeral values", detail)
        .at(span)
        .with(variable.span, "the variable")
}

/// Evaluates a local in every instance of its module.
pub(crate) fn local(world: &World<'_>, node: u32, module: usize, item: usize) -> Result<(), Diagnostics> {
    let local = &world.config.modules[module].locals[item];
    for (ordinal, instance) in world.instances(module).iter().enumerate() {
        let scope = world.scope(module, ordinal).repeated(&instance.repetition);
        let value = local.value.eval(&scope)?;
        world.set(node, ordinal, value);
    }
    Ok(())
}

/// Evaluates an output in every instance of its module.
pub(crate) fn output(world: &World<'_>, node: u32, module: usize, item: usize) -> Result<(), Diagnostics> {
    let output = &world.config.modules[module].outputs[item];
    let mut diagnostics = Diagnostics::new();
    for (ordinal, instance) in world.instances(module).iter().enumerate() {
        let scope = world.scope(module, ordinal).repeated(&instance.repetition);
        for c in &output.preconditions {
            diagnostics.0.extend(check(c, &scope, "plan::precondition", "A precondition of an output does not hold"));
        }
        let Some(mut value) = diagnostics.take(output.value.eval(&scope)) else { continue };
        let marks = value.all_marks();
        if module == 0 && marks.sensitive() && !output.sensitive {
            diagnostics.push(
                Diagnostic::error(
                    "plan::output_sensitive",
                    "An output would show a sensitive value",
                    format!(
                        "The value of output {:?} is made from something sensitive. Write sensitive = true, or nonsensitive(...) around what may be shown.",
                        output.name
                    ),
                )
                .at(output.span)
                .with(output.value.span(), "the value"),
            );
        }
        if marks.ephemeral() && !output.ephemeral {
            diagnostics.push(
                Diagnostic::error(
                    "plan::output_ephemeral",
                    "An output would store an ephemeral value",
                    "Ephemeral values are stored nowhere. Use ephemeral = true (not in the root module).",
                )
                .at(output.value.span()),
            );
        }
        if output.sensitive {
            value = value.sensitive();
        }
        if output.ephemeral {
            value = value.mark(Marks::EPHEMERAL);
        }
        world.set(node, ordinal, value);
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// Evaluates one of the nodes of this file again, while applying.
pub(crate) fn again(world: &World<'_>, inputs: &inputs::Inputs, node: u32) -> Result<(), Diagnostics> {
    match world.graph.nodes[node as usize] {
        Node::Variable { module, item } => variable(world, inputs, node, module, item),
        Node::Local { module, item } => local(world, node, module, item),
        Node::Output { module, item } => output(world, node, module, item),
        Node::Call { module, item } => call_again(world, module, item),
        Node::Check { .. } | Node::Provider(_) | Node::Resource { .. } => Ok(()),
    }
}

/// Gives the instances of a module the `each.value` that was unknown while planning.
fn call_again(world: &World<'_>, module: usize, item: usize) -> Result<(), Diagnostics> {
    let call = &world.config.modules[module].calls[item];
    let (Some(for_each), Some(planned)) = (&call.for_each, world.expanded(call.module)) else { return Ok(()) };
    if planned.iter().all(|i| i.repetition.is_known()) {
        return Ok(());
    }
    let mut all = Vec::new();
    for (ordinal, parent) in world.instances(module).iter().enumerate() {
        all.push(for_each.eval(&world.scope(module, ordinal).repeated(&parent.repetition))?);
    }
    let now = |i: &ModuleInstance| ModuleInstance { repetition: i.repetition.among(&all[i.parent]), ..i.clone() };
    world.expand(call.module, planned.iter().map(now).collect());
    Ok(())
}

/// A diagnostic when a condition does not hold; an unknown one is left for apply.
pub(crate) fn check(
    condition: &Condition,
    scope: &dyn Scope,
    code: &'static str,
    summary: &'static str,
) -> Option<Diagnostic> {
    let value = match condition.condition.eval(scope) {
        Ok(value) => value,
        Err(diagnostics) => return diagnostics.into_iter().next(),
    };
    if value.is_unknown() {
        return None;
    }
    let (value, _) = value.reveal();
    match mesh_model::convert::convert(&value, &mesh_model::Type::Bool).ok().and_then(|v| v.as_bool()) {
        Some(true) => None,
        Some(false) => {
            let detail = match condition.error_message.eval(scope) {
                Ok(m) if m.all_marks().is_empty() => {
                    m.as_str().map_or_else(|| "The condition is false.".to_owned(), str::to_owned)
                }
                Ok(_) => {
                    "The condition is false. Its message is made from sensitive values and is not shown.".to_owned()
                }
                Err(_) => "The condition is false, and its message could not be made.".to_owned(),
            };
            let found = Diagnostic::error(code, summary, detail).at(condition.condition.span());
            Some(condition.condition.explain(found, scope))
        }
        None => Some(
            Diagnostic::error("lang::condition", "A condition is not true or false", "The condition must give a bool.")
                .at(condition.condition.span()),
        ),
    }
}

impl Repetition {
    /// Whether nothing of it waits for an apply.
    pub fn is_known(&self) -> bool {
        self.value.as_ref().is_none_or(Value::is_wholly_known)
    }

    /// The same key with its value in what `for_each` gives now.
    pub fn among(&self, for_each: &Value) -> Self {
        let value = match &self.key {
            Some(InstanceKey::Key(key)) => for_each.get(key).cloned(),
            _ => None,
        };
        Self { key: self.key.clone(), value: value.or_else(|| self.value.clone()) }
    }

    /// Whether this is the only instance of its block.
    pub fn is_single(&self) -> bool {
        self.key.is_none()
    }
}
