//! `format` and `formatlist`: text from a pattern with verbs.
//!
//! The one decision: numbers are formatted from their exact decimal digits, not through a 64-bit
//! float, so `%d` of a huge integer and `%.20f` of a third are right to the last digit. The verbs are
//! Go's subset that Terraform knows: `%v %#v %b %d %o %x %X %e %E %f %g %G %s %q %t %%`, with flags,
//! width, precision and `[n]`.

use unicode_segmentation::UnicodeSegmentation;

use super::*;

mod number;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("format", &[PATTERN], Ty::String, one, "Text from a pattern such as `%s has %d parts`.")
        .variadic(ARGS),
    Function::new(
        "formatlist",
        &[PATTERN],
        Ty::Strings,
        many,
        "A list of texts from a pattern and lists of arguments, one text for each index.",
    )
    .variadic(Param::new("args", Ty::Any).nullable().any()),
];

const PATTERN: Param = Param::new("format", Ty::String);
const ARGS: Param = Param::new("args", Ty::Any).nullable();

/// Wider or more precise than anyone needs; a bound on the result's size.
const MAX_WIDTH: usize = 100_000;

fn one(_: &Context, args: &[Value]) -> Outcome {
    bounded(render(text(args, 0), &args[1..]).map_err(|e| match e {
        Wrong::Verb(message) => CallError::new(message),
        Wrong::Extra(message) => CallError::at(1, message),
    })?)
}

fn many(_: &Context, args: &[Value]) -> Outcome {
    let mut length: Option<(usize, usize)> = None;
    for (i, arg) in args.iter().enumerate().skip(1) {
        match (arg.kind(), arg.as_items()) {
            (Kind::Unknown(t), _) if !t.is_primitive() => return Ok(Value::unknown(Ty::Strings.ty())),
            (_, Some(items)) => match length {
                None => length = Some((i, items.len())),
                Some((first, n)) if n != items.len() => {
                    let have = items.len();
                    let message = format!("it has {have} elements, but argument {first} has {n}");
                    return Err(CallError::at(i, message));
                }
                Some(_) => {}
            },
            _ => {}
        }
    }
    let count = length.map_or(1, |(_, n)| n);
    let mut out = Vec::with_capacity(count);
    let mut size = 0;
    for row in 0..count {
        let row_args: Vec<Value> =
            args[1..].iter().map(|a| a.as_items().map_or_else(|| a.clone(), |items| items[row].clone())).collect();
        if !row_args.iter().all(Value::is_wholly_known) {
            out.push(Value::unknown(Type::String));
            continue;
        }
        let done = render(text(args, 0), &row_args).map_err(|e| {
            let (Wrong::Verb(message) | Wrong::Extra(message)) = e;
            CallError::new(format!("at index {row}: {message}"))
        })?;
        size += done.len();
        if size > MAX_TEXT {
            return Err(too_long());
        }
        out.push(Value::string(done));
    }
    Ok(Value::list(Type::String, out))
}

enum Wrong {
    Verb(String),
    Extra(String),
}

/// One verb of a pattern.
#[derive(Default)]
struct Verb<'t> {
    raw: &'t str,
    letter: char,
    sharp: bool,
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    argument: Option<usize>,
}

fn render(pattern: &str, args: &[Value]) -> Result<String, Wrong> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let (mut next, mut most, mut rest) = (1, 0, pattern);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let offset = pattern.len() - rest.len() + at;
        if rest[at + 1..].starts_with('%') {
            out.push('%');
            rest = &rest[at + 2..];
            continue;
        }
        let verb = parse(pattern, offset).map_err(Wrong::Verb)?;
        rest = &pattern[offset + verb.raw.len()..];
        let index = verb.argument.unwrap_or(next);
        next = index + 1;
        most = most.max(index);
        let Some(value) = args.get(index - 1) else {
            return Err(Wrong::Verb(format!(
                "{:?} at offset {offset} takes argument {index}, and there are {}",
                verb.raw,
                args.len()
            )));
        };
        write(&mut out, &verb, value)
            .map_err(|why| Wrong::Verb(format!("{:?} at offset {offset} does not take this value: {why}", verb.raw)))?;
        if out.len() > MAX_TEXT {
            return Err(Wrong::Verb(too_long().message));
        }
    }
    out.push_str(rest);
    if most < args.len() {
        return Err(Wrong::Extra(match most {
            0 => "the pattern uses no arguments; write %s where this one should stand".into(),
            n => format!("the pattern uses {n} of {} arguments", args.len()),
        }));
    }
    Ok(out)
}

fn parse(pattern: &str, offset: usize) -> Result<Verb<'_>, String> {
    let mut verb = Verb::default();
    let mut at = offset + 1;
    let peek = |at: usize| pattern[at..].chars().next();
    let end = || format!("the verb at offset {offset} does not end; a percent sign is written %%");
    loop {
        match peek(at) {
            Some('#') => verb.sharp = true,
            Some('+') => verb.plus = true,
            Some('-') => verb.minus = true,
            Some(' ') => verb.space = true,
            Some('0') => verb.zero = true,
            _ => break,
        }
        at += 1;
    }
    let digits = |at: &mut usize| -> Result<Option<usize>, String> {
        let from = *at;
        while peek(*at).is_some_and(|c| c.is_ascii_digit()) {
            *at += 1;
        }
        if from == *at {
            return Ok(None);
        }
        match pattern[from..*at].parse() {
            Ok(n) if n <= MAX_WIDTH => Ok(Some(n)),
            _ => Err(format!("the number at offset {from} is above {MAX_WIDTH}")),
        }
    };
    verb.width = digits(&mut at)?.unwrap_or(0);
    if peek(at) == Some('.') {
        at += 1;
        verb.precision = Some(digits(&mut at)?.unwrap_or(0));
    }
    if peek(at) == Some('[') {
        at += 1;
        match peek(at) {
            Some('1'..='9') => verb.argument = digits(&mut at)?,
            Some(c) => return Err(format!("{c:?} at offset {at} cannot stand in a verb")),
            None => return Err(end()),
        }
        match peek(at) {
            Some(']') => at += 1,
            Some(c) => return Err(format!("{c:?} at offset {at} cannot stand in a verb")),
            None => return Err(end()),
        }
    }
    let Some(letter) = peek(at) else { return Err(end()) };
    if !letter.is_ascii_alphabetic() {
        return Err(format!("{letter:?} at offset {at} cannot stand in a verb"));
    }
    verb.letter = letter;
    verb.raw = &pattern[offset..at + 1];
    if !"vbdoxXeEfgGsqt".contains(letter) {
        return Err(format!("{:?} at offset {offset} is no verb", verb.raw));
    }
    Ok(verb)
}

fn write(out: &mut String, verb: &Verb<'_>, value: &Value) -> Result<(), String> {
    if value.is_null() && verb.letter != 'v' {
        return Err("it is null, which only %v shows".into());
    }
    let as_type = |ty: Type| convert(value, &ty).map_err(|e| e.to_string());
    match verb.letter {
        'v' => pad(out, verb, &as_is(value, verb.sharp)?, None),
        's' => pad(out, verb, as_type(Type::String)?.as_str().unwrap_or_default(), verb.precision),
        'q' => {
            let plain = as_type(Type::String)?;
            let plain = cut(plain.as_str().unwrap_or_default(), verb.precision);
            pad(out, verb, &json::encode(&Value::string(plain)).map_err(|e| e.message)?, None);
        }
        't' => out.push_str(if as_type(Type::Bool)?.as_bool() == Some(true) { "true" } else { "false" }),
        _ => {
            let number = as_type(Type::Number)?;
            let Some(number) = number.as_number() else { return Err("a number is needed".into()) };
            number::write(out, verb, number)?;
        }
    }
    Ok(())
}

/// `%v`: primitives as they read, anything else as JSON; `%#v`: all as JSON.
fn as_is(value: &Value, sharp: bool) -> Result<String, String> {
    match value.kind() {
        Kind::String(s) if !sharp => Ok(s.to_string()),
        Kind::Number(n) if !sharp => Ok(number::general(n, None, false)),
        Kind::Null(_) => Ok("null".into()),
        _ => json::encode(value).map_err(|e| e.message),
    }
}

/// The first characters; a precision of zero means all, as in the field.
fn cut(text: &str, precision: Option<usize>) -> &str {
    match precision {
        Some(n) if n > 0 => text.grapheme_indices(true).nth(n).map_or(text, |(i, _)| &text[..i]),
        _ => text,
    }
}

fn pad(out: &mut String, verb: &Verb<'_>, text: &str, precision: Option<usize>) {
    let text = cut(text, precision);
    let fill = verb.width.saturating_sub(if verb.width > 0 { text.graphemes(true).count() } else { 0 });
    let with = if verb.zero && !verb.minus { '0' } else { ' ' };
    if !verb.minus {
        out.extend(std::iter::repeat_n(with, fill));
    }
    out.push_str(text);
    if verb.minus {
        out.extend(std::iter::repeat_n(' ', fill));
    }
}
