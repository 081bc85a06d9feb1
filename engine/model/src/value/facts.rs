//! What is true of a value and all its parts together: size, depth, marks, whether something is unknown or withheld.
//!
//! The one decision: it is gathered once, from the facts of the direct parts, when a value is made, because walking a
//! value in which parts are shared many times over can take forever.

use super::{Kind, Marks, Value};

/// What is true of a value and everything in it together.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Facts {
    pub(super) size: u32,
    pub(super) depth: u16,
    /// Of the parts; those of the value itself stand beside it.
    pub(super) marks: Marks,
    pub(super) unknown: bool,
    pub(super) withheld: bool,
}

impl Facts {
    pub(super) const LEAF: Self = Self { size: PART, depth: 1, marks: Marks::NONE, unknown: false, withheld: false };

    pub(super) fn of(kind: &Kind) -> Self {
        let mut facts = Self::LEAF;
        match kind {
            Kind::Bool(_) => {}
            Kind::Number(n) => facts.text(n.text_len()),
            Kind::String(s) => facts.text(s.len()),
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
                items.iter().for_each(|v| facts.part(v));
            }
            Kind::Map(_, fields) | Kind::Object(fields) => {
                for (name, value) in fields.iter() {
                    facts.text(name.len());
                    facts.part(value);
                }
            }
            Kind::Null(ty) | Kind::Unknown(ty) | Kind::Withheld(ty, _) => {
                facts.unknown = matches!(kind, Kind::Unknown(_));
                facts.withheld = matches!(kind, Kind::Withheld(..));
                if !ty.is_primitive() {
                    let (parts, depth) = ty.extent();
                    facts.size = PART.saturating_mul(u32::try_from(parts).unwrap_or(u32::MAX));
                    facts.depth = u16::try_from(depth).unwrap_or(u16::MAX);
                }
            }
        }
        facts
    }

    fn text(&mut self, length: usize) {
        self.size = self.size.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn part(&mut self, value: &Value) {
        let part = value.facts;
        self.size = self.size.saturating_add(part.size);
        self.depth = self.depth.max(part.depth.saturating_add(1));
        self.marks = self.marks.union(part.marks).union(value.marks);
        self.unknown |= part.unknown;
        self.withheld |= part.withheld;
    }
}

/// What each part of a value counts for in [`Value::size`], beside its text.
const PART: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;

    #[test]
    fn what_is_shared_many_times_is_measured_at_once() {
        let mut v = Value::tuple(vec![Value::string("x").sensitive(), Value::unknown(Type::String)]);
        assert_eq!((v.size(), v.depth()), (64 + 65 + 64, 2));
        for _ in 0..60 {
            v = Value::object([("a", v.clone()), ("b", v)]);
        }
        assert_eq!((v.size(), v.depth()), (u32::MAX as usize, 62));
        assert!(v.all_marks().sensitive() && !v.marks().sensitive());
        assert!(!v.is_wholly_known() && !v.has_withheld());
        let known = Value::tuple(vec![Value::tuple(Vec::new()); 2]);
        let known = (0..60).fold(known, |v, _| Value::tuple(vec![v; 2]));
        assert!(known.same(&known.clone()) && known.total_cmp(&known.clone()).is_eq());
    }

    #[test]
    fn types_of_null_values_count() {
        let ty = (0..9).fold(Type::String, |t, _| Type::list(t));
        let v = Value::tuple(vec![Value::null(ty)]);
        assert_eq!((v.size(), v.depth()), (64 + 64 * 10, 11));
        let ty = (0..60).fold(Type::String, |t, _| Type::tuple([t.clone(), t]));
        assert_eq!(Value::null(ty).depth(), u16::MAX as usize);
    }
}
