//! Layouts of `formatdate`.
//!
//! The one decision: a run of one letter is one verb, anything else stands for itself, and letters that
//! are no verb must be quoted, so that a misspelt verb is an error.

use super::Moment;

/// `+02:30` with the given separator.
pub(super) fn zone(offset: i32, separator: &str) -> String {
    let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    format!("{sign}{:02}{separator}{:02}", offset / 3600, offset / 60 % 60)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The moment in a layout.
pub(super) fn format(layout: &str, moment: &Moment) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("''") {
            out.push('\'');
            rest = after;
            continue;
        }
        if c == '\'' {
            rest = literal(rest, &mut out)?;
            continue;
        }
        let length = rest.len() - rest.trim_start_matches(c).len();
        let (run, after) = rest.split_at(if c.is_ascii_alphabetic() { length } else { c.len_utf8() });
        rest = after;
        if c.is_ascii_alphabetic() {
            out.push_str(&verb(run, moment)?);
        } else {
            out.push_str(run);
        }
    }
    Ok(out)
}

/// A part in single quotes, in which two of them are one.
fn literal<'l>(text: &'l str, out: &mut String) -> Result<&'l str, String> {
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find('\'') else { return Err("a quoted part does not end; close it with '".into()) };
        out.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                out.push('\'');
                rest = after;
            }
            None => return Ok(rest),
        }
    }
}

fn verb(run: &str, moment: &Moment) -> Result<String, String> {
    let (date, time) = (moment.local.date(), moment.local.time());
    let month = MONTHS[usize::from(date.month().unsigned_abs().saturating_sub(1)).min(11)];
    let weekday = format!("{:?}", date.weekday());
    let twelve = (time.hour() + 11) % 12 + 1;
    let half = if time.hour() >= 12 { "PM" } else { "AM" };
    let wrong = |why: &str| Err(format!("{run:?} means nothing here: {why}"));
    Ok(match run {
        "YYYY" => format!("{:04}", date.year()),
        "YY" => format!("{:02}", date.year() % 100),
        "MMMM" => month.into(),
        "MMM" => month[..3].into(),
        "MM" => format!("{:02}", date.month()),
        "M" => date.month().to_string(),
        "DD" => format!("{:02}", date.day()),
        "D" => date.day().to_string(),
        "EEEE" => weekday,
        "EEE" => weekday[..3].into(),
        "hh" => format!("{:02}", time.hour()),
        "h" => time.hour().to_string(),
        "HH" => format!("{twelve:02}"),
        "H" => twelve.to_string(),
        "mm" => format!("{:02}", time.minute()),
        "m" => time.minute().to_string(),
        "ss" => format!("{:02}", time.second()),
        "s" => time.second().to_string(),
        "AA" => half.into(),
        "aa" => half.to_lowercase(),
        "Z" if moment.offset == 0 => "Z".into(),
        "ZZZ" if moment.offset == 0 => "UTC".into(),
        "Z" | "ZZZZZ" => zone(moment.offset, ":"),
        "ZZZ" | "ZZZZ" => zone(moment.offset, ""),
        _ => {
            return match run.chars().next() {
                Some('Y') => wrong("a year is YY or YYYY"),
                Some('M') => wrong("a month is M, MM, MMM or MMMM"),
                Some('D') => wrong("a day of the month is D or DD"),
                Some('E') => wrong("a day of the week is EEE or EEEE"),
                Some('h') => wrong("an hour of 24 is h or hh"),
                Some('H') => wrong("an hour of 12 is H or HH"),
                Some('m') => wrong("a minute is m or mm"),
                Some('s') => wrong("a second is s or ss"),
                Some('A') => wrong("AM and PM are AA"),
                Some('a') => wrong("am and pm are aa"),
                Some('Z') => wrong("an offset is Z, ZZZ, ZZZZ or ZZZZZ"),
                _ => wrong("letters that stand for themselves need single quotes"),
            };
        }
    })
}
