//! Type constraints: `list(object({ name = string, port = optional(number, 80) }))`.
//!
//! The one decision: defaults of optional attributes stand beside the type, not in it, and are put
//! in before conversion, so that conversion itself stays the one of the whole language.

use std::collections::BTreeMap;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, FuncCall, Object, ObjectKey};
use mesh_model::convert::{ConvertError, convert};
use mesh_model::types::ObjectType;
use mesh_model::{Fields, Kind, Type, Value};

use crate::expr::Lower;
use crate::suggest::hint;

/// A type and the defaults of its optional attributes.
#[derive(Clone, Debug)]
pub struct TypeConstraint {
    /// The type.
    pub ty: Type,
    /// Defaults of optional attributes; `None` where there is none anywhere in the type.
    pub defaults: Option<Arc<Defaults>>,
}

/// Defaults within a type.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Of the attributes of this object.
    pub values: BTreeMap<Arc<str>, Value>,
    /// Within attributes (objects) and positions (tuples, by number as text).
    pub children: BTreeMap<Arc<str>, Self>,
    /// Within every element (list, set, map).
    pub element: Option<Box<Self>>,
}

impl Default for TypeConstraint {
    fn default() -> Self {
        Self::any()
    }
}

impl TypeConstraint {
    /// Any type.
    pub const fn any() -> Self {
        Self { ty: Type::Dynamic, defaults: None }
    }

    /// A type without defaults.
    pub const fn of(ty: Type) -> Self {
        Self { ty, defaults: None }
    }

    /// `value` with defaults filled in, as a value of the type.
    pub fn convert(&self, value: &Value) -> Result<Value, ConvertError> {
        match &self.defaults {
            Some(defaults) => convert(&defaults.apply(value), &self.ty),
            None => convert(value, &self.ty),
        }
    }
}

impl Defaults {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.children.is_empty() && self.element.is_none()
    }

    /// Fills in what `value` leaves out or gives as null; what does not fit is left to conversion.
    fn apply(&self, value: &Value) -> Value {
        let kind = match (value.kind(), &self.element) {
            (Kind::List(_, items) | Kind::Tuple(items) | Kind::Set(_, items), Some(element)) => {
                Kind::Tuple(items.iter().map(|v| element.apply(v)).collect())
            }
            (Kind::Map(_, fields) | Kind::Object(fields), Some(element)) => {
                Kind::Object(fields.iter().map(|(k, v)| (k.clone(), element.apply(v))).collect())
            }
            (Kind::Tuple(items), None) => Kind::Tuple(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, v)| self.children.get(&*i.to_string()).map_or_else(|| v.clone(), |d| d.apply(v)))
                    .collect(),
            ),
            (Kind::Map(_, fields) | Kind::Object(fields), None) => Kind::Object(self.apply_object(fields)),
            _ => return value.clone(),
        };
        Value::from(kind).mark(value.marks())
    }

    fn apply_object(&self, fields: &Fields) -> Fields {
        let missing = self
            .values
            .iter()
            .filter(|(k, _)| fields.get(k).is_none_or(Value::is_null))
            .map(|(k, v)| (k.clone(), v.clone()));
        fields
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .chain(missing)
            .map(|(k, v)| {
                let v = self.children.get(&k).map_or_else(|| v.clone(), |d| d.apply(&v));
                (k, v)
            })
            .collect()
    }
}

impl Lower {
    /// The constraint that an expression of the language writes.
    pub(crate) fn type_constraint(&mut self, expr: &Expression) -> Option<TypeConstraint> {
        let (ty, defaults) = self.type_of(expr)?;
        Some(TypeConstraint { ty, defaults: (!defaults.is_empty()).then(|| Arc::new(defaults)) })
    }

    fn bad_type(&mut self, expr: &Expression, detail: impl Into<String>) -> Option<(Type, Defaults)> {
        let span = self.span(expr.span());
        self.error("lang::type", "Invalid type specification", detail, span);
        None
    }

    fn type_of(&mut self, expr: &Expression) -> Option<(Type, Defaults)> {
        match expr {
            Expression::Variable(name) => {
                let ty = match name.as_str() {
                    "any" => Type::Dynamic,
                    "string" => Type::String,
                    "number" => Type::Number,
                    "bool" => Type::Bool,
                    "list" => Type::list(Type::Dynamic),
                    "map" => Type::map(Type::Dynamic),
                    name @ ("set" | "tuple" | "object") => {
                        return self
                            .bad_type(expr, format!("{name} needs what it holds in parentheses: {}.", example(name)));
                    }
                    name => {
                        let near = hint(name, NAMES);
                        return self.bad_type(expr, format!("{name:?} is not a type.{near}"));
                    }
                };
                Some((ty, Defaults::default()))
            }
            Expression::FuncCall(call) => self.type_call(expr, call),
            Expression::String(text) if self.places.is_some() => {
                self.bad_type(expr, format!("{:?} is not a type: write \"string\" or \"list(string)\".", text.as_str()))
            }
            Expression::String(text) => {
                self.bad_type(expr, format!("A type is written without quotes: type = {}", text.value()))
            }
            _ => {
                self.bad_type(expr, "A type is a name such as string, or one with what it holds, such as list(string).")
            }
        }
    }

    fn type_call(&mut self, expr: &Expression, call: &FuncCall) -> Option<(Type, Defaults)> {
        let name = call.name.name.as_str();
        let args: Vec<&Expression> = call.args.iter().collect();
        match (name, args.as_slice()) {
            ("list" | "set" | "map", [element]) => {
                let (element, defaults) = self.type_of(element)?;
                let ty = match name {
                    "list" => Type::list(element),
                    "set" => Type::set(element),
                    _ => Type::map(element),
                };
                let element = (!defaults.is_empty()).then(|| Box::new(defaults));
                Some((ty, Defaults { element, ..Defaults::default() }))
            }
            ("tuple", [Expression::Array(elements)]) => {
                let mut defaults = Defaults::default();
                let mut types = Vec::new();
                for (i, element) in elements.iter().enumerate() {
                    let (ty, inner) = self.type_of(element)?;
                    types.push(ty);
                    if !inner.is_empty() {
                        defaults.children.insert(i.to_string().into(), inner);
                    }
                }
                Some((Type::tuple(types), defaults))
            }
            ("object", [Expression::Object(object)]) => self.type_object(object),
            ("list" | "set" | "map" | "tuple" | "object", _) => {
                self.bad_type(expr, format!("{name} is written as {}.", example(name)))
            }
            ("optional", _) => self.bad_type(expr, "optional(...) can be written only for an attribute of an object."),
            _ => {
                let near = hint(name, NAMES);
                self.bad_type(expr, format!("{name:?} is not a type.{near}"))
            }
        }
    }

    fn type_object(&mut self, object: &Object) -> Option<(Type, Defaults)> {
        let mut ty = ObjectType::default();
        let mut defaults = Defaults::default();
        for (key, value) in object.iter() {
            let name = match key {
                ObjectKey::Ident(name) => self.name(name.as_str()),
                ObjectKey::Expression(Expression::Variable(name)) => self.name(name.as_str()),
                ObjectKey::Expression(other) => {
                    self.bad_type(other, "The name of an attribute must be a bare name.")?;
                    continue;
                }
            };
            let value = value.expr();
            let optional = match value {
                Expression::FuncCall(call) if call.name.name.as_str() == "optional" => Some(call),
                _ => None,
            };
            let Some(call) = optional else {
                let (attribute, inner) = self.type_of(value)?;
                add(&mut ty, &mut defaults, name, attribute, inner);
                continue;
            };
            let args: Vec<&Expression> = call.args.iter().collect();
            let (Some(given), true) = (args.first(), args.len() <= 2) else {
                return self.bad_type(value, "optional is written as optional(type) or optional(type, default).");
            };
            let (attribute, inner) = self.type_of(given)?;
            if let Some(default) = args.get(1) {
                let expr = self.expr(default);
                let constant = self.diagnostics.take(expr.eval_constant())?;
                let constraint = TypeConstraint {
                    ty: attribute.clone(),
                    defaults: (!inner.is_empty()).then(|| Arc::new(inner.clone())),
                };
                match constraint.convert(&constant) {
                    Ok(default) => {
                        defaults.values.insert(name.clone(), default);
                    }
                    Err(error) => {
                        return self.bad_type(default, format!("The default does not fit its type: {error}."));
                    }
                }
            }
            ty.optional.push(name.clone());
            add(&mut ty, &mut defaults, name, attribute, inner);
        }
        Some((Type::Object(Arc::new(ty)), defaults))
    }
}

fn add(ty: &mut ObjectType, defaults: &mut Defaults, name: Arc<str>, attribute: Type, inner: Defaults) {
    if !inner.is_empty() {
        defaults.children.insert(name.clone(), inner);
    }
    ty.attributes.insert(name, attribute);
}

const NAMES: [&str; 9] = ["any", "string", "number", "bool", "list", "set", "map", "tuple", "object"];

fn example(name: &str) -> String {
    match name {
        "tuple" => "tuple([string, number])".into(),
        "object" => "object({ name = string, port = optional(number, 80) })".into(),
        name => format!("{name}(string)"),
    }
}
