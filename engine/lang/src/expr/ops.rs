//! Operators.
//!
//! The one decision: operands are converted to what the operator needs, `==` alone compares without
//! conversion. As in the field, `&&` and `||` look at both sides, whatever the left one is.

use hcl_edit::expr::{BinaryOperator, UnaryOperator};
use mesh_model::convert::convert;
use mesh_model::{Diagnostics, Kind, Number, Span, Type, Value};

use super::eval::{Outcome, a_type, fail, forget};

pub(super) fn unary(operator: UnaryOperator, value: Value, span: Span) -> Outcome {
    match operator {
        UnaryOperator::Neg => {
            let value = operand(value, &Type::Number, span)?;
            Ok(match value.as_number() {
                Some(n) => Value::number(n.neg()).mark(value.marks()),
                None => value,
            })
        }
        UnaryOperator::Not => {
            let value = operand(value, &Type::Bool, span)?;
            Ok(match value.as_bool() {
                Some(b) => Value::bool(!b).mark(value.marks()),
                None => value,
            })
        }
    }
}

/// `spans`: of the left operand, of the right one, and of the whole.
pub(super) fn binary(operator: BinaryOperator, left: Value, right: Value, spans: (Span, Span, Span)) -> Outcome {
    use BinaryOperator as B;
    let ty = match operator {
        B::Eq | B::NotEq => {
            let (equal, marks) = (equal(&left, &right), left.all_marks().union(right.all_marks()));
            let value =
                equal.map_or_else(|| Value::unknown(Type::Bool), |e| Value::bool(e == matches!(operator, B::Eq)));
            return Ok(value.mark(marks));
        }
        B::And | B::Or => Type::Bool,
        _ => Type::Number,
    };
    let (left, right) = super::eval::both(operand(left, &ty, spans.0), operand(right, &ty, spans.1))?;
    let marks = left.marks().union(right.marks());
    let value = match (left.kind(), right.kind()) {
        (Kind::Bool(a), Kind::Bool(b)) => Value::bool(if matches!(operator, B::And) { *a && *b } else { *a || *b }),
        (Kind::Number(a), Kind::Number(b)) => arithmetic(operator, a, b, spans.2)?,
        _ => match operator {
            B::Plus | B::Minus | B::Mul | B::Div | B::Mod => Value::unknown(Type::Number),
            _ => Value::unknown(Type::Bool),
        },
    };
    Ok(value.mark(marks))
}

fn arithmetic(operator: BinaryOperator, a: &Number, b: &Number, span: Span) -> Outcome {
    use BinaryOperator as B;
    let result = match operator {
        B::Plus => a.add(b),
        B::Minus => a.sub(b),
        B::Mul => a.mul(b),
        B::Div => a.div(b),
        B::Mod => a.rem(b),
        B::Less => return Ok(Value::bool(a < b)),
        B::LessEq => return Ok(Value::bool(a <= b)),
        B::Greater => return Ok(Value::bool(a > b)),
        B::GreaterEq => return Ok(Value::bool(a >= b)),
        B::Eq | B::NotEq | B::And | B::Or => None,
    };
    result.map(Value::number).ok_or_else(|| {
        let detail = "The result of this operation is not defined (such as zero divided by zero), or has more digits \
                      than numbers can have.";
        fail("Operation failed", detail, span)
    })
}

fn operand(value: Value, ty: &Type, span: Span) -> Result<Value, Diagnostics> {
    let value = forget(value);
    if value.is_null() {
        return Err(fail("Operation failed", "An operand is null. An operator takes no null value.", span));
    }
    match (value.kind(), ty) {
        (Kind::Number(_), Type::Number) | (Kind::Bool(_), Type::Bool) => Ok(value),
        _ => convert(&value, ty).map_err(|_| {
            let detail = format!("{} is required here, but this is {}.", capital(ty), a_type(&value));
            fail("Invalid operand", detail, span)
        }),
    }
}

fn capital(ty: &Type) -> &'static str {
    if matches!(ty, Type::Bool) { "A bool" } else { "A number" }
}

/// Whether two values are equal; `None`: not known yet. Marks are the caller's. Values of different
/// types are not equal; where a type is not known yet (a bare null, too), nothing is, but that types which
/// can never be one differ.
pub(super) fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a.kind(), b.kind()) {
        (Kind::Withheld(_, x), Kind::Withheld(_, y)) => return Some(x == y),
        (Kind::Null(_), Kind::Withheld(..)) | (Kind::Withheld(..), Kind::Null(_)) => return Some(false),
        (Kind::Unknown(_), Kind::Unknown(_)) => return None,
        (Kind::Unknown(x), Kind::Null(y)) | (Kind::Null(y), Kind::Unknown(x)) if differ(x, y) => return Some(false),
        (Kind::Unknown(_) | Kind::Withheld(..), _) | (_, Kind::Unknown(_) | Kind::Withheld(..)) => {
            return if differ(&a.ty(), &b.ty()) { Some(false) } else { None };
        }
        (Kind::Null(_), Kind::Null(_)) => return Some(true),
        (Kind::Null(_), _) | (_, Kind::Null(_)) => return Some(false),
        _ => {}
    }
    if [a, b].into_iter().any(open_type) {
        return if differ(&a.ty(), &b.ty()) { Some(false) } else { None };
    }
    match (a.kind(), b.kind()) {
        (Kind::Bool(x), Kind::Bool(y)) => Some(x == y),
        (Kind::Number(x), Kind::Number(y)) => Some(x == y),
        (Kind::String(x), Kind::String(y)) => Some(x == y),
        (Kind::List(s, x), Kind::List(t, y)) if s == t => sequences(x, y),
        (Kind::Tuple(x), Kind::Tuple(y)) => sequences(x, y),
        (Kind::Set(s, x), Kind::Set(t, y)) if s == t => {
            let unknown = !a.is_wholly_known() || !b.is_wholly_known();
            if unknown { None } else { sequences(x, y) }
        }
        (Kind::Map(s, x), Kind::Map(t, y)) if s == t => named(x, y),
        (Kind::Object(x), Kind::Object(y)) => named(x, y),
        _ => Some(false),
    }
}

/// Whether something unknown in a value has no type yet.
fn open_type(value: &Value) -> bool {
    matches!(value.kind(), Kind::Unknown(Type::Dynamic)) || value.children().any(open_type)
}

fn sequences(x: &[Value], y: &[Value]) -> Option<bool> {
    if x.len() != y.len() {
        return Some(false);
    }
    conjunction(x.iter().zip(y))
}

fn named(x: &mesh_model::Fields, y: &mesh_model::Fields) -> Option<bool> {
    if !x.keys().eq(y.keys()) {
        return Some(false);
    }
    conjunction(x.values().zip(y.values()))
}

/// In order, up to the first that decides or is not known.
fn conjunction<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Option<bool> {
    for (a, b) in pairs {
        // The type of a null belongs to the type of the whole.
        let nulls = matches!((a.kind(), b.kind()), (Kind::Null(s), Kind::Null(t)) if s != t);
        if nulls || !equal(a, b)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Whether no value can have both types.
fn differ(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => false,
        (Type::List(x), Type::List(y)) | (Type::Set(x), Type::Set(y)) | (Type::Map(x), Type::Map(y)) => differ(x, y),
        (Type::Tuple(x), Type::Tuple(y)) => x.len() != y.len() || x.iter().zip(y.iter()).any(|(x, y)| differ(x, y)),
        (Type::Object(x), Type::Object(y)) => {
            !x.attributes.keys().eq(y.attributes.keys())
                || x.attributes.values().zip(y.attributes.values()).any(|(x, y)| differ(x, y))
        }
        (a, b) => a != b,
    }
}
