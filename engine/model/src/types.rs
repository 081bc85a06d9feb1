//! Types of values and of constraints.
//!
//! The one decision: a type is small and cheap to clone (shared parts behind `Arc`), because every
//! collection, null and unknown value carries one. Defaults of `optional(T, default)` are not here:
//! they belong to the language's constraint.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of a value, or a constraint on one (where [`Type::Dynamic`] admits any type).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    /// Any type: as a constraint `any`; as the type of a null or unknown value "not known yet".
    Dynamic,
    /// `true` or `false`.
    Bool,
    /// A number of 512 bits of precision, see [`crate::Number`].
    Number,
    /// Unicode text in normalisation form C.
    String,
    /// An ordered sequence of one element type.
    List(Arc<Self>),
    /// A collection of distinct values of one element type, without order.
    Set(Arc<Self>),
    /// String keys to values of one element type.
    Map(Arc<Self>),
    /// An ordered sequence with a type for each element.
    Tuple(Arc<[Self]>),
    /// Named attributes, each with its type.
    Object(Arc<ObjectType>),
}

/// The attributes of an object type.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectType {
    /// Attribute names with their types.
    pub attributes: BTreeMap<Arc<str>, Type>,
    /// Names that a value converted to this type may leave out (they become null).
    pub optional: Vec<Arc<str>>,
}

/// Deeper types are not measured further.
const MAX_LEVELS: usize = 1024;

impl Type {
    /// A list of `element`.
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// A set of `element`.
    pub fn set(element: Self) -> Self {
        Self::Set(Arc::new(element))
    }

    /// A map from strings to `element`.
    pub fn map(element: Self) -> Self {
        Self::Map(Arc::new(element))
    }

    /// A tuple of the given element types.
    pub fn tuple(elements: impl IntoIterator<Item = Self>) -> Self {
        Self::Tuple(elements.into_iter().collect())
    }

    /// An object with the given attributes, none of them optional.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(Arc::new(ObjectType {
            attributes: attributes.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            optional: Vec::new(),
        }))
    }

    /// How many types this consists of and how many levels they have; from a million on the greatest
    /// numbers there are, because shared parts could be many more than anybody wants to count.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let mut left: usize = 1 << 20;
        let whole = left;
        self.measure(&mut left, 1).map_or((usize::MAX, usize::MAX), |depth| (whole - left, depth))
    }

    /// The deepest level below `depth`; `None` when the count or the depth is used up.
    fn measure(&self, left: &mut usize, depth: usize) -> Option<usize> {
        *left = left.checked_sub(1).filter(|_| depth < MAX_LEVELS)?;
        let mut deepest = depth;
        let mut inner = |t: &Self| t.measure(left, depth + 1).map(|d| deepest = deepest.max(d));
        match self {
            Self::Dynamic | Self::Bool | Self::Number | Self::String => {}
            Self::List(t) | Self::Set(t) | Self::Map(t) => inner(t)?,
            Self::Tuple(ts) => ts.iter().try_for_each(inner)?,
            Self::Object(o) => o.attributes.values().try_for_each(inner)?,
        }
        Some(deepest)
    }

    /// Whether this is [`Type::Dynamic`] or contains it.
    pub fn has_dynamic(&self) -> bool {
        match self {
            Self::Dynamic => true,
            Self::Bool | Self::Number | Self::String => false,
            Self::List(t) | Self::Set(t) | Self::Map(t) => t.has_dynamic(),
            Self::Tuple(ts) => ts.iter().any(Self::has_dynamic),
            Self::Object(o) => o.attributes.values().any(Self::has_dynamic),
        }
    }

    /// Whether this is a bool, number or string.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Self::Bool | Self::Number | Self::String)
    }

    /// The name used in messages: `list of string`, `object`, `any type`.
    pub fn friendly(&self) -> String {
        match self {
            Self::Dynamic => "any type".into(),
            Self::Bool => "bool".into(),
            Self::Number => "number".into(),
            Self::String => "string".into(),
            Self::List(t) => format!("list of {}", t.friendly()),
            Self::Set(t) => format!("set of {}", t.friendly()),
            Self::Map(t) => format!("map of {}", t.friendly()),
            Self::Tuple(_) => "tuple".into(),
            Self::Object(_) => "object".into(),
        }
    }

    /// The machine form used in state and plan files: `"string"`, `["list","string"]`,
    /// `["object",{"a":"bool"}]`, `["tuple",["bool"]]`, `"dynamic"`.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::Dynamic => json!("dynamic"),
            Self::Bool => json!("bool"),
            Self::Number => json!("number"),
            Self::String => json!("string"),
            Self::List(t) => json!(["list", t.to_json()]),
            Self::Set(t) => json!(["set", t.to_json()]),
            Self::Map(t) => json!(["map", t.to_json()]),
            Self::Tuple(ts) => json!(["tuple", ts.iter().map(Self::to_json).collect::<Vec<_>>()]),
            Self::Object(o) => {
                let attributes: serde_json::Map<String, serde_json::Value> =
                    o.attributes.iter().map(|(k, t)| (k.to_string(), t.to_json())).collect();
                if o.optional.is_empty() {
                    json!(["object", attributes])
                } else {
                    json!(["object", attributes, o.optional.iter().map(|n| &**n).collect::<Vec<_>>()])
                }
            }
        }
    }

    /// Reads what [`Type::to_json`] wrote; `None` for anything else.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        use serde_json::Value as J;
        match json {
            J::String(name) => match name.as_str() {
                "dynamic" => Some(Self::Dynamic),
                "bool" => Some(Self::Bool),
                "number" => Some(Self::Number),
                "string" => Some(Self::String),
                _ => None,
            },
            J::Array(parts) => match (parts.first()?.as_str()?, parts.get(1)?) {
                ("list", t) => Some(Self::list(Self::from_json(t)?)),
                ("set", t) => Some(Self::set(Self::from_json(t)?)),
                ("map", t) => Some(Self::map(Self::from_json(t)?)),
                ("tuple", J::Array(ts)) => ts.iter().map(Self::from_json).collect::<Option<Vec<_>>>().map(Self::tuple),
                ("object", J::Object(attributes)) => {
                    let attributes = attributes
                        .iter()
                        .map(|(k, t)| Some((Arc::from(k.as_str()), Self::from_json(t)?)))
                        .collect::<Option<BTreeMap<_, _>>>()?;
                    let optional = match parts.get(2) {
                        Some(J::Array(names)) => {
                            names.iter().map(|n| n.as_str().map(Arc::from)).collect::<Option<Vec<_>>>()?
                        }
                        Some(_) => return None,
                        None => Vec::new(),
                    };
                    Some(Self::Object(Arc::new(ObjectType { attributes, optional })))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// The form of the language: `list(string)`, `object({ a = bool })`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic => f.write_str("any"),
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(t) => write!(f, "list({t})"),
            Self::Set(t) => write!(f, "set({t})"),
            Self::Map(t) => write!(f, "map({t})"),
            Self::Tuple(ts) => {
                f.write_str("tuple([")?;
                for (i, t) in ts.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{t}")?;
                }
                f.write_str("])")
            }
            Self::Object(o) => {
                f.write_str("object({")?;
                for (i, (k, t)) in o.attributes.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    if o.optional.contains(k) {
                        write!(f, "{k}=optional({t})")?;
                    } else {
                        write!(f, "{k}={t}")?;
                    }
                }
                f.write_str("})")
            }
        }
    }
}
