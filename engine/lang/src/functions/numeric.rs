//! Functions of numbers.
//!
//! The one decision: `log` and `pow` compute in 64-bit floats, as the field does, and give such a float.

use std::cmp::Ordering;

use mesh_model::Number;

use super::*;

const NUM: Param = Param::new("num", Ty::Number);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abs", &[NUM], Ty::Number, |_, a| Ok(Value::number(num(a, 0).abs())), "The number without its sign."),
    Function::new(
        "ceil",
        &[NUM],
        Ty::Number,
        |_, a| Ok(Value::number(num(a, 0).ceil())),
        "The least integer that is not below the number.",
    ),
    Function::new(
        "floor",
        &[NUM],
        Ty::Number,
        |_, a| Ok(Value::number(num(a, 0).floor())),
        "The greatest integer that is not above the number.",
    ),
    Function::new(
        "log",
        &[NUM, Param::new("base", Ty::Number)],
        Ty::Number,
        |_, a| float(float::ln(num(a, 0).to_f64()) / float::ln(num(a, 1).to_f64())),
        "The logarithm of a number in a base.",
    ),
    Function::new(
        "max",
        &[],
        Ty::Number,
        |_, a| extreme(a, Ordering::Greater),
        "The greatest of the numbers; expand a list with `...`.",
    )
    .variadic(Param::new("numbers", Ty::Number)),
    Function::new(
        "min",
        &[],
        Ty::Number,
        |_, a| extreme(a, Ordering::Less),
        "The least of the numbers; expand a list with `...`.",
    )
    .variadic(Param::new("numbers", Ty::Number)),
    Function::new(
        "parseint",
        &[Param::new("number", Ty::Any), Param::new("base", Ty::Number)],
        Ty::Number,
        parseint,
        "The integer that a text means in a base from 2 to 62.",
    ),
    Function::new(
        "pow",
        &[NUM, Param::new("power", Ty::Number)],
        Ty::Number,
        |_, a| float(float::pow(num(a, 0).to_f64(), num(a, 1).to_f64())),
        "The first number raised to the power of the second.",
    ),
    Function::new(
        "signum",
        &[NUM],
        Ty::Number,
        |_, a| whole(a, 0).map(|n| Value::number(n.signum())),
        "-1, 0 or 1: the sign of a whole number.",
    ),
];

fn num(args: &[Value], index: usize) -> Number {
    args.get(index).and_then(Value::as_number).cloned().unwrap_or(Number::Int(0))
}

fn float(result: f64) -> Outcome {
    Number::from_float(result).map(Value::number).ok_or_else(|| CallError::new("the result is not a number"))
}

fn extreme(args: &[Value], side: Ordering) -> Outcome {
    let best = args
        .iter()
        .filter_map(Value::as_number)
        .fold(None, |best: Option<&Number>, n| if best.is_none_or(|b| n.cmp(b) == side) { Some(n) } else { best });
    best.cloned()
        .map(Value::number)
        .ok_or_else(|| CallError::new("give at least one number; a list is expanded by three dots behind it"))
}

fn parseint(_: &Context, args: &[Value]) -> Outcome {
    let Some(text) = args.first().and_then(Value::as_str) else {
        let have = args.first().map_or_else(String::new, |v| v.ty().friendly());
        return Err(CallError::at(0, format!("a text is needed, not {have}")));
    };
    let base = whole(args, 1)?;
    if !(2..=62).contains(&base) {
        return Err(CallError::at(1, "bases go from 2 to 62"));
    }
    let wrong = || CallError::at(0, format!("{text:?} is no integer in base {base}"));
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    // More digits than the precision holds cannot come out right, and would take quadratic time.
    if digits.is_empty() || digits.len() > 4096 {
        return Err(wrong());
    }
    let big = Number::Int(base);
    let mut sum = Number::Int(0);
    for c in digits.chars() {
        let digit = match c {
            '0'..='9' => i64::from(c as u32 - '0' as u32),
            'a'..='z' => i64::from(c as u32 - 'a' as u32) + 10,
            'A'..='Z' => i64::from(c as u32 - 'A' as u32) + if base <= 36 { 10 } else { 36 },
            _ => return Err(wrong()),
        };
        if digit >= base {
            return Err(wrong());
        }
        sum = sum.mul(&big).and_then(|s| s.add(&Number::Int(digit))).ok_or_else(wrong)?;
    }
    Ok(Value::number(if negative && !sum.is_zero() { sum.neg() } else { sum }))
}
