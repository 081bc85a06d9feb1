//! Functions of numbers.
//!
//! The one decision: `log` and `pow` compute in 64-bit floats, as the field does; a result that is no
//! integer is taken by its shortest decimal text, so that it prints and reads back as the same number.

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
        |_, a| float(num(a, 0).to_f64().ln() / num(a, 1).to_f64().ln()),
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
        |_, a| power(&num(a, 0), &num(a, 1)),
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

/// Whole powers of whole numbers are exact, as far as the floating-point result is finite.
fn power(base: &Number, exponent: &Number) -> Outcome {
    let approximate = base.to_f64().powf(exponent.to_f64());
    let times = exponent.to_i64().filter(|n| (0..=1024).contains(n) && base.is_integer() && approximate.is_finite());
    let exact = times.and_then(|n| (0..n).try_fold(Number::Int(1), |product, _| product.mul(base)));
    exact.map_or_else(|| float(approximate), |n| Ok(Value::number(n)))
}

fn float(result: f64) -> Outcome {
    if result.is_nan() {
        return Err(CallError::new("the result is not a number"));
    }
    let infinity = |sign: i64| Number::Int(sign).div(&Number::Int(0));
    let number = if result.is_infinite() {
        infinity(if result > 0.0 { 1 } else { -1 })
    } else if result.fract() == 0.0 {
        Number::from_f64(result)
    } else {
        format!("{result}").parse().ok()
    };
    number.map(Value::number).ok_or_else(|| CallError::new("the result is not a number"))
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
    Ok(Value::number(if negative { sum.neg() } else { sum }))
}
