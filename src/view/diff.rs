//! What differs between two values, as lines with signs.
//!
//! The one decision: one walk over both values makes [`Line`]s; the plan text and the Markdown view
//! only differ in where they put the sign. Values come here withheld, so that no secret can be
//! printed whatever this file does. It knows no schema: an attribute that is null counts as absent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::Style;
use mesh_model::render::{key, leaf, quote};
use mesh_model::{Fields, Kind, Path, Step, Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::style::{CYAN, DIM, GREEN, RED, YELLOW, paint};
use super::text_diff;

/// How long one list or text may be compared; after that the result is coarser.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// What stands before a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    Blank,
    Add,
    Remove,
    Change,
    /// One of the longer signs of a whole block.
    Block(&'static str),
}

impl Sign {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Blank => " ",
            Self::Add => "+",
            Self::Remove => "-",
            Self::Change => "~",
            Self::Block(s) => s,
        }
    }

    pub(crate) fn style(self) -> Style {
        match self.text() {
            "+" => GREEN,
            "-" | "-/+" | "+/-" => RED,
            "~" => YELLOW,
            "<=" => CYAN,
            _ => Style::new(),
        }
    }
}

/// One line of a difference.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// How deep it stands; the block's own line is at 0.
    pub(crate) depth: usize,
    /// Its sign.
    pub(crate) sign: Sign,
    /// Its text, styled.
    pub(crate) text: String,
}

impl Line {
    /// As Terraform lays it out: the sign in the column before the text.
    pub(crate) fn render(&self) -> String {
        let sign = self.sign.text();
        let pad = (3 + 4 * self.depth).saturating_sub(sign.len());
        let line = format!(
            "{:pad$}{} {}",
            "",
            if self.sign == Sign::Blank { " ".to_owned() } else { paint(self.sign.style(), sign) },
            self.text
        );
        if self.text.is_empty() { String::new() } else { line }
    }
}

/// What to say behind a name and a value.
#[derive(Clone, Copy, Default)]
struct Tail<'t> {
    /// Directly behind: a comma in lists.
    comma: &'t str,
    /// Behind everything: `-> null`, `# forces replacement`.
    note: &'t str,
}

/// How the entries of one container are written.
#[derive(Clone, Copy)]
struct Manner {
    /// Keys in quotes, as in maps.
    quoted: bool,
    /// Null is absent.
    nulls_absent: bool,
    /// What unchanged entries are called.
    what: &'static str,
}

const ATTRIBUTES: Manner = Manner { quoted: false, nulls_absent: true, what: "attribute" };
const MAP: Manner = Manner { quoted: true, nulls_absent: false, what: "element" };
const JSON: Manner = Manner { quoted: false, nulls_absent: false, what: "attribute" };

/// Makes the lines of one change.
pub(crate) struct Differ<'d> {
    lines: Vec<Line>,
    forces: &'d [Path],
}

/// The lines of the attributes of one block, at depth 1. Both values must be withheld.
pub(crate) fn attributes(before: &Value, after: &Value, forces: &[Path]) -> Vec<Line> {
    let mut differ = Differ { lines: Vec::new(), forces };
    let none: Fields = std::iter::empty::<(Arc<str>, Value)>().collect();
    let fields = |v: &Value| v.as_fields().cloned().unwrap_or_else(|| none.clone());
    differ.fields(1, &fields(before), &fields(after), &Path::default(), ATTRIBUTES);
    differ.lines
}

/// The lines of one named value, at `depth`: for outputs. Both must be withheld.
pub(crate) fn value(name: &str, width: usize, before: &Value, after: &Value, depth: usize) -> Vec<Line> {
    let mut differ = Differ { lines: Vec::new(), forces: &[] };
    let prefix = format!("{name:width$} = ");
    match (before.is_null(), after.is_null()) {
        (true, _) => differ.whole(depth, Sign::Add, &prefix, after, Tail::default()),
        (_, true) => differ.whole(depth, Sign::Remove, &prefix, before, Tail { comma: "", note: &to("null") }),
        _ => differ.change(depth, &prefix, before, after, &Path::default(), Tail::default()),
    }
    differ.lines
}

fn to(what: &str) -> String {
    format!(" {} {}", paint(YELLOW, "->"), if what == "null" { paint(DIM, what) } else { what.to_owned() })
}

impl Differ<'_> {
    fn line(&mut self, depth: usize, sign: Sign, text: impl Into<String>) {
        self.lines.push(Line { depth, sign, text: text.into() });
    }

    fn hidden(&mut self, depth: usize, count: usize, what: &str) {
        if count > 0 {
            let s = if count == 1 { "" } else { "s" };
            self.line(depth, Sign::Blank, paint(DIM, format!("# ({count} unchanged {what}{s} hidden)")));
        }
    }

    fn note_of(&self, path: &Path) -> String {
        if self.forces.contains(path) { format!(" {}", paint(RED, "# forces replacement")) } else { String::new() }
    }

    fn fields(&mut self, depth: usize, before: &Fields, after: &Fields, path: &Path, manner: Manner) {
        let keys: BTreeSet<&Arc<str>> = before.keys().chain(after.keys()).collect();
        let mut unchanged = 0;
        let mut shown = Vec::new();
        for name in keys {
            let side = |f: &Fields| f.get(name).filter(|v| !(manner.nulls_absent && v.is_null())).cloned();
            let sides = (side(before), side(after));
            match &sides {
                (None, None) => {}
                (Some(b), Some(a)) if b.same(a) => {
                    // What people know an object by stays in sight.
                    if depth == 1 && matches!(&**name, "id" | "name") && leaf(a).is_some() {
                        shown.push((name.clone(), sides));
                    } else {
                        unchanged += 1;
                    }
                }
                _ => shown.push((name.clone(), sides)),
            }
        }
        let written = |name: &str| if manner.quoted { quote(name) } else { key(name) };
        let width = shown.iter().map(|(n, _)| written(n).chars().count()).max().unwrap_or(0);
        for (name, sides) in shown {
            let prefix = format!("{:width$} = ", written(&name));
            let here = path.join(Step::Key(name));
            let note = self.note_of(&here);
            match sides {
                (None, Some(a)) => self.whole(depth, Sign::Add, &prefix, &a, Tail { comma: "", note: &note }),
                (Some(b), None) => {
                    // Below a removed value the arrow would only repeat itself.
                    let note = format!("{}{note}", to("null"));
                    self.whole(depth, Sign::Remove, &prefix, &b, Tail { comma: "", note: &note });
                }
                (Some(b), Some(a)) if b.same(&a) => {
                    self.line(depth, Sign::Blank, format!("{prefix}{}", leaf(&a).unwrap_or_default()))
                }
                (Some(b), Some(a)) => self.change(depth, &prefix, &b, &a, &here, Tail { comma: "", note: &note }),
                (None, None) => {}
            }
        }
        self.hidden(depth, unchanged, manner.what);
    }

    /// A value that is only on one side; everything in it has the same sign.
    fn whole(&mut self, depth: usize, sign: Sign, prefix: &str, value: &Value, tail: Tail<'_>) {
        self.whole_with(depth, sign, sign, prefix, value, tail);
    }

    /// `first` is the sign of the first line, `rest` that of what is inside.
    fn whole_with(&mut self, depth: usize, first: Sign, rest: Sign, prefix: &str, value: &Value, tail: Tail<'_>) {
        let Tail { comma, note } = tail;
        if let Some(text) = leaf(value) {
            if let Some(s) = value.as_str().filter(|_| value.marks().is_empty()) {
                if let Some(inner) = parsed(s) {
                    self.line(depth, first, format!("{prefix}jsonencode("));
                    self.whole_with(depth + 1, Sign::Blank, rest, "", &inner, Tail::default());
                    self.line(depth, Sign::Blank, format!("){comma}{note}"));
                    return;
                }
                if text_diff::is_multi_line(s) {
                    self.line(depth, first, format!("{prefix}<<-EOT"));
                    for line in s.lines() {
                        self.line(depth + 1, Sign::Blank, line);
                    }
                    self.line(depth, Sign::Blank, format!("EOT{comma}{note}"));
                    return;
                }
            }
            self.line(depth, first, format!("{prefix}{text}{comma}{note}"));
            return;
        }
        match value.kind() {
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
                if items.is_empty() {
                    return self.line(depth, first, format!("{prefix}[]{comma}{note}"));
                }
                self.line(depth, first, format!("{prefix}["));
                for item in items.iter() {
                    self.whole(depth + 1, rest, "", item, Tail { comma: ",", note: "" });
                }
                self.line(depth, Sign::Blank, format!("]{comma}{note}"));
            }
            Kind::Map(_, fields) | Kind::Object(fields) => {
                let quoted = matches!(value.kind(), Kind::Map(..));
                let shown: Vec<_> = fields.iter().filter(|(_, v)| quoted || !v.is_null()).collect();
                if shown.is_empty() {
                    return self.line(depth, first, format!("{prefix}{{}}{comma}{note}"));
                }
                self.line(depth, first, format!("{prefix}{{"));
                let written = |name: &str| if quoted { quote(name) } else { key(name) };
                let width = shown.iter().map(|(n, _)| written(n).chars().count()).max().unwrap_or(0);
                for (name, v) in shown {
                    self.whole(depth + 1, rest, &format!("{:width$} = ", written(name)), v, Tail::default());
                }
                self.line(depth, Sign::Blank, format!("}}{comma}{note}"));
            }
            _ => {}
        }
    }

    /// A value that is on both sides and differs.
    fn change(&mut self, depth: usize, prefix: &str, before: &Value, after: &Value, path: &Path, tail: Tail<'_>) {
        let Tail { comma, note } = tail;
        let open = |bracket: &str| format!("{prefix}{bracket}{note}");
        match (before.kind(), after.kind()) {
            _ if !before.marks().is_empty() || !after.marks().is_empty() => {
                self.replaced(depth, prefix, before, after, tail)
            }
            (Kind::Object(b), Kind::Object(a)) => {
                self.line(depth, Sign::Change, open("{"));
                self.fields(depth + 1, b, a, path, ATTRIBUTES);
                self.line(depth, Sign::Blank, format!("}}{comma}"));
            }
            (Kind::Map(_, b) | Kind::Object(b), Kind::Map(_, a) | Kind::Object(a)) => {
                self.line(depth, Sign::Change, open("{"));
                self.fields(depth + 1, b, a, path, MAP);
                self.line(depth, Sign::Blank, format!("}}{comma}"));
            }
            (Kind::List(_, b) | Kind::Tuple(b), Kind::List(_, a) | Kind::Tuple(a)) => {
                self.line(depth, Sign::Change, open("["));
                self.elements(depth + 1, b, a, path);
                self.line(depth, Sign::Blank, format!("]{comma}"));
            }
            (Kind::Set(_, b), Kind::Set(_, a)) => {
                self.line(depth, Sign::Change, open("["));
                self.members(depth + 1, b, a);
                self.line(depth, Sign::Blank, format!("]{comma}"));
            }
            (Kind::String(b), Kind::String(a)) => self.texts(depth, prefix, b, a, before, after, tail),
            _ => self.replaced(depth, prefix, before, after, tail),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "both the texts and the values they came from are needed")]
    fn texts(&mut self, depth: usize, prefix: &str, b: &str, a: &str, before: &Value, after: &Value, tail: Tail<'_>) {
        let Tail { comma, note } = tail;
        if let (Some(x), Some(y)) = (parsed(b), parsed(a)) {
            self.line(depth, Sign::Change, format!("{prefix}jsonencode({note}"));
            if x.same(&y) {
                self.line(depth + 1, Sign::Blank, paint(DIM, "# only white space differs"));
            } else {
                self.json(depth + 1, &x, &y);
            }
            self.line(depth, Sign::Blank, format!("){comma}"));
        } else if text_diff::is_multi_line(b) || text_diff::is_multi_line(a) {
            self.line(depth, Sign::Change, format!("{prefix}<<-EOT{note}"));
            self.lines.extend(text_diff::lines(b, a, depth + 1));
            self.line(depth, Sign::Blank, format!("EOT{comma}"));
        } else {
            self.replaced(depth, prefix, before, after, tail);
        }
    }

    fn json(&mut self, depth: usize, before: &Value, after: &Value) {
        match (before.as_fields(), after.as_fields()) {
            (Some(b), Some(a)) => {
                self.line(depth, Sign::Change, "{");
                self.fields(depth + 1, b, a, &Path::default(), JSON);
                self.line(depth, Sign::Blank, "}");
            }
            _ => self.change(depth, "", before, after, &Path::default(), Tail::default()),
        }
    }

    /// Old and new side by side.
    fn replaced(&mut self, depth: usize, prefix: &str, before: &Value, after: &Value, tail: Tail<'_>) {
        let Tail { comma, note } = tail;
        match (leaf(before), leaf(after)) {
            (Some(b), Some(a)) => self.line(depth, Sign::Change, format!("{prefix}{b}{}{comma}{note}", to(&a))),
            (None, Some(a)) => {
                let note = format!("{}{note}", to(&a));
                self.whole_with(depth, Sign::Change, Sign::Remove, prefix, before, Tail { comma, note: &note });
            }
            (Some(b), None) => {
                let prefix = format!("{prefix}{b} {} ", paint(YELLOW, "->"));
                self.whole_with(depth, Sign::Change, Sign::Add, &prefix, after, tail);
            }
            (None, None) => {
                self.whole(depth, Sign::Remove, prefix, before, Tail { comma, note: "" });
                self.whole(depth, Sign::Add, prefix, after, tail);
            }
        }
    }

    /// Elements of a sequence: what is equal is found first, what differs at one place is compared.
    fn elements(&mut self, depth: usize, before: &[Value], after: &[Value], path: &Path) {
        let texts = |items: &[Value]| items.iter().map(json::canonical).collect::<Vec<_>>();
        let ops = capture_diff_slices_deadline(
            Algorithm::Myers,
            &texts(before),
            &texts(after),
            Some(Instant::now() + PATIENCE),
        );
        let comma = Tail { comma: ",", note: "" };
        let mut unchanged = 0;
        for op in ops {
            let (old, new) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { len, .. } = op {
                unchanged += len;
                continue;
            }
            let pairs = old.len().min(new.len());
            for i in 0..pairs {
                let (b, a) = (&before[old.start + i], &after[new.start + i]);
                let here = path.join(Step::Index(new.start + i));
                if leaf(b).is_some() || leaf(a).is_some() {
                    self.whole(depth, Sign::Remove, "", b, comma);
                    self.whole(depth, Sign::Add, "", a, Tail { comma: ",", note: &self.note_of(&here) });
                } else {
                    self.change(depth, "", b, a, &here, comma);
                }
            }
            for b in &before[old.start + pairs..old.end] {
                self.whole(depth, Sign::Remove, "", b, comma);
            }
            for a in &after[new.start + pairs..new.end] {
                self.whole(depth, Sign::Add, "", a, comma);
            }
        }
        self.hidden(depth, unchanged, "element");
    }

    /// Elements of a set: those that go, then those that come.
    fn members(&mut self, depth: usize, before: &[Value], after: &[Value]) {
        let comma = Tail { comma: ",", note: "" };
        let texts = |items: &[Value]| items.iter().map(json::canonical).collect::<BTreeSet<_>>();
        let (old, new) = (texts(before), texts(after));
        for b in before.iter().filter(|b| !new.contains(&json::canonical(b))) {
            self.whole(depth, Sign::Remove, "", b, comma);
        }
        for a in after.iter().filter(|a| !old.contains(&json::canonical(a))) {
            self.whole(depth, Sign::Add, "", a, comma);
        }
        self.hidden(depth, old.intersection(&new).count(), "element");
    }
}

/// The value of a text that is a JSON object or array.
fn parsed(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    (json.is_object() || json.is_array()).then(|| json::from_json(&json))
}
