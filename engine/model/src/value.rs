//! Values: known, unknown and withheld, with their marks.
//!
//! The one decision: marks and unknowns belong to the value, not to the printer. `Debug` redacts a
//! marked value, and [`Value::reveal`] is the one function that takes the marks off. Shared parts
//! are behind `Arc`, so cloning a value of any size costs a few machine words; what is true of all
//! parts together is gathered once, when a value is made (see `facts`). Operations of the language
//! (arithmetic, comparison, conversion of conditions) are in the language crate.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::{UnicodeNormalization, is_nfc};

mod facts;
mod fields;
mod marks;
mod order;

pub use fields::Fields;
pub use marks::Marks;

use facts::Facts;

use crate::{Fingerprint, Number, Type};

/// What a value is, apart from its marks.
#[derive(Clone, PartialEq)]
pub enum Kind {
    /// Nothing, of a type.
    Null(Type),
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text, in normalisation form C.
    String(Arc<str>),
    /// A sequence of one element type.
    List(Type, Arc<[Value]>),
    /// Distinct elements in the order of [`Value::total_cmp`].
    Set(Type, Arc<[Value]>),
    /// A sequence in which each element has a type of its own.
    Tuple(Arc<[Value]>),
    /// Keys to values of one element type.
    Map(Type, Fields),
    /// Named attributes.
    Object(Fields),
    /// A value that is not known yet, of a type (`Dynamic` when not even that is known).
    Unknown(Type),
    /// A secret that state remembers but does not hold: equality by fingerprint only.
    Withheld(Type, Fingerprint),
}

/// A value of the language: what it is, and its marks.
#[derive(Clone, PartialEq)]
pub struct Value {
    facts: Facts,
    kind: Kind,
    marks: Marks,
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { facts: Facts::of(&kind), kind, marks: Marks::NONE }
    }
}

impl Value {
    /// `null` of any type.
    pub const NULL: Self = Self { facts: Facts::LEAF, kind: Kind::Null(Type::Dynamic), marks: Marks::NONE };

    /// `null` of a type.
    pub fn null(ty: Type) -> Self {
        Kind::Null(ty).into()
    }

    /// A truth value.
    pub fn bool(value: bool) -> Self {
        Kind::Bool(value).into()
    }

    /// A number.
    pub fn number(value: impl Into<Number>) -> Self {
        Kind::Number(value.into()).into()
    }

    /// Text; brought into normalisation form C.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        if is_nfc(&text) {
            Kind::String(text).into()
        } else {
            Kind::String(text.nfc().collect::<String>().into()).into()
        }
    }

    /// A list; the caller has made all elements of type `element`.
    pub fn list(element: Type, items: impl Into<Arc<[Self]>>) -> Self {
        Kind::List(element, items.into()).into()
    }

    /// A list of strings.
    pub fn strings<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list(Type::String, items.into_iter().map(Self::string).collect::<Vec<_>>())
    }

    /// A set: sorts and removes duplicates. Marks of elements move to the whole set, since a set's
    /// order and size could tell about them.
    pub fn set(element: Type, items: impl IntoIterator<Item = Self>) -> Self {
        let mut marks = Marks::NONE;
        let mut items: Vec<Self> = items
            .into_iter()
            .map(|v| {
                let (v, m) = v.reveal_deep();
                marks = marks.union(m);
                v
            })
            .collect();
        items.sort_by(Self::total_cmp);
        items.dedup_by(|a, b| a.is_wholly_known() && a.total_cmp(b).is_eq());
        Self::from(Kind::Set(element, items.into())).mark(marks)
    }

    /// A tuple.
    pub fn tuple(items: impl Into<Arc<[Self]>>) -> Self {
        Kind::Tuple(items.into()).into()
    }

    /// A map; the caller has made all values of type `element`.
    pub fn map(element: Type, fields: Fields) -> Self {
        Kind::Map(element, fields).into()
    }

    /// An object.
    pub fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Kind::Object(entries.into_iter().collect()).into()
    }

    /// An object from ready fields.
    pub fn from_fields(fields: Fields) -> Self {
        Kind::Object(fields).into()
    }

    /// A value that is not known yet.
    pub fn unknown(ty: Type) -> Self {
        Kind::Unknown(ty).into()
    }

    /// A secret that is remembered by fingerprint only; always sensitive.
    pub fn withheld(ty: Type, fingerprint: Fingerprint) -> Self {
        Self::from(Kind::Withheld(ty, fingerprint)).sensitive()
    }

    /// What the value is. Reading a leaf through this is for operations and providers; whoever
    /// prints goes through [`crate::render`] or `Debug`, which redact.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The marks of this value itself (elements may have their own).
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The marks of this value and of everything in it.
    pub fn all_marks(&self) -> Marks {
        self.facts.marks.union(self.marks)
    }

    /// With `marks` added.
    #[must_use]
    pub fn mark(mut self, marks: Marks) -> Self {
        self.marks = self.marks.union(marks);
        self
    }

    /// Marked sensitive.
    #[must_use]
    pub fn sensitive(self) -> Self {
        self.mark(Marks::SENSITIVE)
    }

    /// The one way to take marks off: the bare value and what it was marked with (elements keep
    /// theirs).
    pub fn reveal(&self) -> (Self, Marks) {
        (Self { marks: Marks::NONE, ..self.clone() }, self.marks)
    }

    /// Like [`Value::reveal`], for the value and everything in it.
    pub fn reveal_deep(&self) -> (Self, Marks) {
        let marks = self.all_marks();
        if marks.is_empty() {
            return (self.clone(), marks);
        }
        let bare = if self.facts.marks.is_empty() { self.clone() } else { self.map_children(&|v| v.reveal_deep().0) };
        (Self { marks: Marks::NONE, ..bare }, marks)
    }

    /// The type; a null or unknown value of unknown type gives [`Type::Dynamic`].
    pub fn ty(&self) -> Type {
        match &self.kind {
            Kind::Null(t) | Kind::Unknown(t) | Kind::Withheld(t, _) => t.clone(),
            Kind::Bool(_) => Type::Bool,
            Kind::Number(_) => Type::Number,
            Kind::String(_) => Type::String,
            Kind::List(t, _) => Type::list(t.clone()),
            Kind::Set(t, _) => Type::set(t.clone()),
            Kind::Map(t, _) => Type::map(t.clone()),
            Kind::Tuple(items) => Type::tuple(items.iter().map(Self::ty)),
            Kind::Object(fields) => Type::object(fields.iter().map(|(k, v)| (k.clone(), v.ty()))),
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null(_))
    }

    /// Whether this itself is unknown.
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown(_))
    }

    /// Whether this itself is withheld.
    pub fn is_withheld(&self) -> bool {
        matches!(self.kind, Kind::Withheld(..))
    }

    /// Whether nothing in this value is unknown.
    pub fn is_wholly_known(&self) -> bool {
        !self.facts.unknown
    }

    /// Whether something in this value is withheld.
    pub fn has_withheld(&self) -> bool {
        self.facts.withheld
    }

    /// How large the value is when it is written out, in bytes: 64 for each part and the length of its
    /// texts, where a part that is shared counts as often as it occurs. For limits: what is small in
    /// memory may be too large to walk. At most `u32::MAX`.
    pub fn size(&self) -> usize {
        self.facts.size as usize
    }

    /// How many levels of values are in each other, or of types where that is more: 1 for a leaf.
    pub fn depth(&self) -> usize {
        usize::from(self.facts.depth)
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        if let Kind::String(s) = &self.kind { Some(s) } else { None }
    }

    /// The truth of a bool value.
    pub fn as_bool(&self) -> Option<bool> {
        if let Kind::Bool(b) = &self.kind { Some(*b) } else { None }
    }

    /// The number of a number value.
    pub fn as_number(&self) -> Option<&Number> {
        if let Kind::Number(n) = &self.kind { Some(n) } else { None }
    }

    /// The number as an integer, when it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::to_i64)
    }

    /// The fields of an object or map.
    pub fn as_fields(&self) -> Option<&Fields> {
        if let Kind::Object(f) | Kind::Map(_, f) = &self.kind { Some(f) } else { None }
    }

    /// The elements of a list, set or tuple.
    pub fn as_items(&self) -> Option<&Arc<[Self]>> {
        if let Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) = &self.kind { Some(i) } else { None }
    }

    /// The value of an attribute or map key; `None` where there is none. Marks of the container
    /// are handed on by the caller.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_fields().and_then(|f| f.get(name))
    }

    /// Text of the attribute `name`, when it is a known string.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::as_str)
    }

    /// A copy of an object (or map) in which `name` has `value`; anything else is returned as is.
    #[must_use]
    pub fn with(&self, name: &str, value: Self) -> Self {
        let kind = match &self.kind {
            Kind::Object(f) => Kind::Object(f.with(name, value)),
            Kind::Map(t, f) => Kind::Map(t.clone(), f.with(name, value)),
            _ => return self.clone(),
        };
        Self::from(kind).mark(self.marks)
    }

    /// Direct parts: elements or attribute values.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.kind {
            Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => Box::new(i.iter()),
            Kind::Map(_, f) | Kind::Object(f) => Box::new(f.values()),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// A copy in which each direct part went through `f`; leaves come back as they are.
    #[must_use]
    pub fn map_children(&self, f: &dyn Fn(&Self) -> Self) -> Self {
        let items = |i: &Arc<[Self]>| i.iter().map(f).collect::<Arc<[Self]>>();
        let fields = |x: &Fields| Fields(x.0.iter().map(|(k, v)| (k.clone(), f(v))).collect());
        let kind = match &self.kind {
            Kind::List(t, i) => Kind::List(t.clone(), items(i)),
            Kind::Set(t, i) => Kind::Set(t.clone(), items(i)),
            Kind::Tuple(i) => Kind::Tuple(items(i)),
            Kind::Map(t, x) => Kind::Map(t.clone(), fields(x)),
            Kind::Object(x) => Kind::Object(fields(x)),
            leaf => leaf.clone(),
        };
        Self::from(kind).mark(self.marks)
    }

    /// The same value, whatever its marks; unknown values are never the same as anything.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Unknown(_), _) | (_, Kind::Unknown(_)) => false,
            (Kind::Null(_), Kind::Null(_)) => true,
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Number(a), Kind::Number(b)) => a == b,
            (Kind::String(a), Kind::String(b)) => a == b,
            (Kind::Withheld(_, a), Kind::Withheld(_, b)) => a == b,
            (Kind::List(_, a) | Kind::Tuple(a), Kind::List(_, b) | Kind::Tuple(b))
            | (Kind::Set(_, a), Kind::Set(_, b)) => {
                Arc::ptr_eq(a, b) && self.is_wholly_known()
                    || a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.same(y))
            }
            (Kind::Map(_, a) | Kind::Object(a), Kind::Map(_, b) | Kind::Object(b)) => {
                Arc::ptr_eq(&a.0, &b.0) && self.is_wholly_known()
                    || a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, x), (l, y))| k == l && x.same(y))
            }
            _ => false,
        }
    }

    /// Whether the containers of two values that are the same are also of the same kinds: a list is not a
    /// tuple, a map not an object. For what is declared as any type, where the kind is part of the value.
    pub fn same_kinds(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::List(_, a), Kind::List(_, b))
            | (Kind::Tuple(a), Kind::Tuple(b))
            | (Kind::Set(_, a), Kind::Set(_, b)) => {
                Arc::ptr_eq(a, b) || a.iter().zip(b.iter()).all(|(x, y)| x.same_kinds(y))
            }
            (Kind::Map(_, a), Kind::Map(_, b)) | (Kind::Object(a), Kind::Object(b)) => {
                a.values().zip(b.values()).all(|(x, y)| x.same_kinds(y))
            }
            // The kind of what is withheld is not known.
            (Kind::Withheld(..), _) | (_, Kind::Withheld(..)) => true,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// Redacts: a sensitive or ephemeral value shows only that it is one.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::render::inline(self))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Value::from(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_redacts_marked_values() {
        let v = Value::object([("pin", Value::string("1234-canary").sensitive()), ("user", Value::string("bob"))]);
        let text = format!("{v:?} {:?}", v.as_fields());
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("bob"), "{text}");
    }

    #[test]
    fn a_set_takes_the_marks_of_its_elements_and_drops_duplicates() {
        let s = Value::set(Type::String, [Value::string("b"), Value::string("a").sensitive(), Value::string("b")]);
        assert!(s.marks().sensitive());
        assert_eq!(s.as_items().map(|i| i.len()), Some(2));
    }

    #[test]
    fn strings_are_normalised() {
        assert_eq!(Value::string("e\u{301}").as_str(), Some("\u{e9}"));
    }
}
