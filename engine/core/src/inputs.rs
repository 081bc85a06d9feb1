//! Values for the variables of the root module.

use std::collections::BTreeMap;

use mesh_lang::{Variable, parse_expression};
use mesh_model::{Diagnostic, Diagnostics, Sources, Value};

/// A value as it was given.
#[derive(Clone)]
pub enum Input {
    /// Text from the command line or the environment: taken as it is for a string, else read as an
    /// expression.
    Text {
        /// The text.
        text: String,
        /// Where it came from: `-var`, `MESH_VAR_x`.
        origin: String,
    },
    /// A value from a file of variables.
    Value(Value),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input(..)")
    }
}

/// By name; later sources have overwritten earlier ones already.
pub type Inputs = BTreeMap<String, Input>;

/// The value of a root variable: what was given, else the default.
///
/// # Errors
/// No value for a required variable, or one that does not fit its type.
pub fn value(variable: &Variable, input: Option<&Input>) -> Result<Value, Diagnostics> {
    let given = match input {
        None => None,
        Some(Input::Value(v)) => Some(v.clone()),
        Some(Input::Text { text, origin }) => Some(parse(variable, text, origin)?),
    };
    let value = match given {
        Some(v) if !v.is_null() || variable.nullable => v,
        _ => match &variable.default {
            Some(default) => default.clone(),
            None => return Err(missing(variable).into()),
        },
    };
    convert(variable, &value).map_err(Diagnostics::from)
}

/// A value in the type of a variable, with the marks that the variable asks for.
pub(crate) fn convert(variable: &Variable, value: &Value) -> Result<Value, Diagnostic> {
    let mut value = variable.ty.convert(value).map_err(|e| {
        // The reason may quote no part of a sensitive value: it speaks about types only.
        Diagnostic::error(
            "plan::variable_type",
            "Invalid value for a variable",
            format!("The value given for {:?} does not fit its type: {e}.", variable.name),
        )
        .at(variable.span)
    })?;
    if variable.sensitive {
        value = value.sensitive();
    }
    if variable.ephemeral {
        value = value.mark(mesh_model::Marks::EPHEMERAL);
    }
    if value.is_null() && !variable.nullable {
        return Err(Diagnostic::error(
            "plan::variable_null",
            "A variable must not be null",
            format!("{:?} has nullable = false.", variable.name),
        )
        .at(variable.span));
    }
    Ok(value)
}

fn parse(variable: &Variable, text: &str, origin: &str) -> Result<Value, Diagnostics> {
    if variable.literal {
        return Ok(Value::string(text));
    }
    let bad = |what: &str| {
        Diagnostic::error(
            "plan::variable_text",
            "Invalid value for a variable",
            format!("The value given by {origin} for {:?} {what}. It must be a constant expression, such as [\"a\", \"b\"] or {{ a = 1 }}.", variable.name),
        )
        .at(variable.span)
    };
    let mut scratch = Sources::default();
    let expr = parse_expression(text, origin, &mut scratch).map_err(|_| bad("cannot be read"))?;
    expr.constant().ok_or_else(|| bad("is not a constant").into())
}

fn missing(variable: &Variable) -> Diagnostic {
    let what = variable.description.as_deref().map(|d| format!(" ({d})")).unwrap_or_default();
    Diagnostic::error(
        "plan::variable_missing",
        "No value for a required variable",
        format!(
            "The variable {:?}{what} has no default. Give it with -var '{}=...', in a file given with -var-file, or as MESH_VAR_{} in the environment.",
            variable.name, variable.name, variable.name
        ),
    )
    .at(variable.span)
}
