//! Functions of dates and times.
//!
//! The one decision: a moment keeps the offset it was written with, so that `timeadd` and `formatdate`
//! answer in the time zone of their argument; calendar arithmetic is the library's.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::*;

mod layout;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "duration_seconds",
        &[Param::new("duration", Ty::String)],
        Ty::Number,
        duration_seconds,
        "The seconds in a duration such as `1h30m`, `30d` or `768h`; a bare number is seconds already.",
    ),
    Function::new(
        "formatdate",
        &[Param::new("format", Ty::String), Param::new("time", Ty::String)],
        Ty::String,
        |_, a| {
            let moment = parse(text(a, 1)).map_err(|e| CallError::at(1, e))?;
            layout::format(text(a, 0), &moment).map(Value::string).map_err(|e| CallError::at(0, e))
        },
        "A time in a layout such as `DD MMM YYYY hh:mm ZZZ`.",
    ),
    Function::new(
        "plantimestamp",
        &[],
        Ty::String,
        |c, _| Ok(Value::string(c.plan_timestamp.as_str())),
        "The time of the plan.",
    ),
    Function::new(
        "timeadd",
        &[Param::new("timestamp", Ty::String), Param::new("duration", Ty::String)],
        Ty::String,
        timeadd,
        "A time and a duration later.",
    ),
    Function::new(
        "timecmp",
        &[Param::new("timestamp_a", Ty::String), Param::new("timestamp_b", Ty::String)],
        Ty::Number,
        |_, a| {
            // Here, as in the field, a comma may stand before the fraction.
            let moment = |i| parse(&text(a, i).replace(',', ".")).map_err(|e| CallError::at(i, e));
            Ok(Value::number(moment(0)?.instant().cmp(&moment(1)?.instant()) as i64))
        },
        "-1, 0 or 1: whether the first time is before, at or after the second.",
    ),
    Function::new(
        "timestamp",
        &[],
        Ty::String,
        |c, _| Ok(c.timestamp.as_ref().map_or_else(|| Value::unknown(Type::String), |t| Value::string(t.as_str()))),
        "The time of apply; unknown in a plan.",
    ),
];

/// A moment with the offset it was written with.
pub(super) struct Moment {
    /// Date and time at the offset.
    pub(super) local: DateTime,
    /// Seconds east of UTC.
    pub(super) offset: i32,
}

impl Moment {
    /// Nanoseconds since 1970.
    fn instant(&self) -> i128 {
        let utc = self.local.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_nanos();
        utc - i128::from(self.offset) * 1_000_000_000
    }

    /// As RFC 3339, without fractions of a second.
    pub(super) fn rfc3339(&self) -> String {
        let zone = if self.offset == 0 { "Z".into() } else { layout::zone(self.offset, ":") };
        let (d, t) = (self.local.date(), self.local.time());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone}",
            d.year(),
            d.month(),
            d.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }
}

/// A time in RFC 3339, strictly.
pub(super) fn parse(text: &str) -> Result<Moment, String> {
    let wrong = |what: &str| format!("{text:?} is no time such as \"2026-01-31T12:00:00Z\": {what}");
    let mut rest = text;
    let mut number = |digits: usize, name: &str| -> Result<i16, String> {
        match rest.get(..digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok()) {
            Some(n) => {
                rest = &rest[digits..];
                Ok(n)
            }
            None if rest.is_empty() => Err(wrong(&format!("it ends before the {name}"))),
            None => Err(wrong(&format!("{rest:?} should begin with the {name}"))),
        }
    };
    let year = number(4, "year")?;
    rest = rest.strip_prefix('-').ok_or_else(|| wrong("'-' is missing behind the year"))?;
    let number = |rest: &mut &str, name: &str, low: i16, high: i16| -> Result<i16, String> {
        let n = match rest.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok()) {
            Some(n) => n,
            None if rest.is_empty() => return Err(wrong(&format!("it ends before the {name}"))),
            None => return Err(wrong(&format!("{rest:?} should begin with the {name}"))),
        };
        if !(low..=high).contains(&n) {
            return Err(wrong(&format!("the {name} goes from {low} to {high}, not to {n}")));
        }
        *rest = &rest[2..];
        Ok(n)
    };
    let month = number(&mut rest, "month", 1, 12)?;
    rest = rest.strip_prefix('-').ok_or_else(|| wrong("'-' is missing behind the month"))?;
    let day = number(&mut rest, "day", 1, 31)?;
    rest = rest.strip_prefix('T').ok_or_else(|| wrong("'T' is missing behind the day"))?;
    let hour = number(&mut rest, "hour", 0, 23)?;
    rest = rest.strip_prefix(':').ok_or_else(|| wrong("':' is missing behind the hour"))?;
    let minute = number(&mut rest, "minute", 0, 59)?;
    rest = rest.strip_prefix(':').ok_or_else(|| wrong("':' is missing behind the minute"))?;
    let second = number(&mut rest, "second", 0, 59)?;
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(wrong("digits are missing behind the point"));
        }
        let nine: String = fraction[..digits].chars().chain(std::iter::repeat('0')).take(9).collect();
        nanosecond = nine.parse().unwrap_or(0);
        rest = &fraction[digits..];
    }
    let offset = if rest == "Z" {
        0
    } else {
        let sign = match rest.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err(wrong("the offset is missing; end with Z, or with hours and minutes such as +02:00")),
        };
        rest = &rest[1..];
        let hours = number(&mut rest, "offset hours", 0, 23)?;
        rest = rest.strip_prefix(':').ok_or_else(|| wrong("':' is missing in the offset"))?;
        let minutes = number(&mut rest, "offset minutes", 0, 59)?;
        if !rest.is_empty() {
            return Err(wrong(&format!("{rest:?} stands behind the offset")));
        }
        sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)
    };
    let local = DateTime::new(year, month as i8, day as i8, hour as i8, minute as i8, second as i8, nanosecond)
        .map_err(|_| wrong("the month has no such day"))?;
    Ok(Moment { local, offset })
}

fn timeadd(_: &Context, args: &[Value]) -> Outcome {
    let mut moment = parse(text(args, 0)).map_err(|e| CallError::at(0, e))?;
    let duration = duration(text(args, 1), UNITS).map_err(|e| CallError::at(1, e))?;
    let nanos = i64::try_from(duration).map_err(|_| CallError::at(1, "the duration is out of range"))?;
    moment.local = moment
        .local
        .checked_add(SignedDuration::from_nanos(nanos))
        .map_err(|_| CallError::new("the resulting time is out of range"))?;
    Ok(Value::string(moment.rfc3339()))
}

type Units = &'static [(&'static str, i128)];

const UNITS: Units = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const UNITS_AND_DAYS: Units = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Nanoseconds of a duration such as `-1h30m5.5s`.
fn duration(text: &str, units: Units) -> Result<i128, String> {
    let invalid = || format!("{text:?} is no duration such as \"1h30m\"");
    let list = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (whole, fraction) = rest[..length].split_once('.').unwrap_or((&rest[..length], ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') || whole.len() > 18 {
            return Err(invalid());
        }
        rest = &rest[length..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return Err(format!("a number in {text:?} has no unit; the units are {}", list()));
        }
        let Some((_, unit)) = units.iter().find(|(n, _)| *n == name) else {
            return Err(format!("{text:?} has the unknown unit {name:?}; the units are {}", list()));
        };
        rest = &rest[end..];
        let fraction = &fraction[..fraction.len().min(15)];
        let part = |digits: &str| digits.parse::<i128>().unwrap_or(0);
        let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        total += part(whole) * unit + part(fraction) * unit / scale;
    }
    Ok(if negative { -total } else { total })
}

fn duration_seconds(_: &Context, args: &[Value]) -> Outcome {
    let text = text(args, 0);
    if let Some(number) = text.parse::<mesh_model::Number>().ok().filter(|n| !n.is_infinite()) {
        return Ok(Value::number(number));
    }
    let nanos = duration(text, UNITS_AND_DAYS).map_err(|e| CallError::at(0, e))?;
    let nano = |n: i128| i64::try_from(n).map(mesh_model::Number::Int);
    match (nano(nanos / 1_000_000_000), nano(nanos % 1_000_000_000)) {
        (Ok(seconds), Ok(rest)) => rest
            .div(&mesh_model::Number::Int(1_000_000_000))
            .and_then(|fraction| seconds.add(&fraction))
            .map(Value::number)
            .ok_or_else(|| CallError::new("the duration is out of range")),
        _ => Err(CallError::at(0, "the duration is out of range")),
    }
}
