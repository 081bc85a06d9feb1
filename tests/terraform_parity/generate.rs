//! Random expressions of the language.
//!
//! The one decision: what is asked for is a type, and now and then something else is given, so that
//! most expressions have a value and all rules of conversion are met. A seed gives the same
//! expressions on every machine. Nothing here knows what an expression means; words and functions stand in
//! generate.txt.

mod leaf;

use std::collections::BTreeMap;
use std::fmt::Write as _;

const DATA: &str = include_str!("generate.txt");

/// A source of random expressions.
pub(crate) struct Generator {
    state: u64,
    /// Variables of `for` in scope.
    names: Vec<&'static str>,
    texts: BTreeMap<&'static str, Vec<&'static str>>,
    functions: Vec<Function>,
}

/// The name, the arguments, and what further ones are.
type Function = (&'static str, Vec<Arg>, Option<Arg>);

/// What an expression should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Any,
    Bool,
    Number,
    Text,
    List,
    Set,
    Map,
}

use Want::{Any, Bool, List, Map, Number, Set, Text};

/// What an argument is: something of a type, or one of some texts.
#[derive(Clone, Copy)]
enum Arg {
    Of(Want),
    From(&'static str),
}

fn arg(word: &'static str) -> Arg {
    match word {
        "number" => Arg::Of(Number),
        "text" => Arg::Of(Text),
        "list" => Arg::Of(List),
        "map" => Arg::Of(Map),
        "set" => Arg::Of(Set),
        _ => word.strip_prefix('@').map_or(Arg::Of(Any), Arg::From),
    }
}

fn function(line: &'static str) -> Option<Function> {
    let mut words = line.strip_prefix("fn ")?.split(' ');
    let name = words.next()?;
    let (more, args): (Vec<&str>, Vec<&str>) = words.partition(|w| w.starts_with('+'));
    Some((name, args.into_iter().map(arg).collect(), more.first().map(|w| arg(&w[1..]))))
}

impl Generator {
    /// Expressions that this seed stands for.
    pub(crate) fn new(seed: u64) -> Self {
        let texts = DATA.lines().filter(|l| !l.starts_with('#') && l.contains('¦'));
        let mut new = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            names: Vec::new(),
            texts: texts.filter_map(|l| l.split_once('¦')).map(|(n, all)| (n, all.split('¦').collect())).collect(),
            functions: DATA.lines().filter_map(function).collect(),
        };
        new.next();
        new
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or(0)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of the texts of a name.
    fn word(&mut self, list: &str) -> &'static str {
        let at = self.below(self.texts.get(list).map_or(0, Vec::len));
        self.texts.get(list).and_then(|l| l.get(at)).copied().unwrap_or_default()
    }

    /// One expression on one line.
    pub(crate) fn expression(&mut self) -> String {
        self.names.clear();
        let depth = 1 + self.below(3);
        self.expr(Any, depth)
    }

    fn expr(&mut self, want: Want, depth: usize) -> String {
        let want = if self.chance(6) { self.pick(&[Any, Bool, Number, Text, List, Set, Map]) } else { want };
        if self.chance(3) {
            return self
                .pick(&[
                    "null",
                    "local.nul",
                    "local.unk",
                    "tostring(null)",
                    "tolist(null)",
                    "tonumber(null)",
                    "tomap(null)",
                ])
                .into();
        }
        if depth == 0 {
            return self.leaf(want);
        }
        match self.below(if want == Any { 22 } else { 26 }) {
            0..=7 => self.call(depth),
            8 => self.conditional(want, depth),
            9 => self.template(depth),
            10 => self.index(depth),
            11 => self.splat(depth),
            12 | 13 => self.for_expr(want, depth),
            14 => format!("({})", self.expr(want, depth - 1)),
            15 => format!("try({}, {})", self.expr(want, depth - 1), self.expr(want, depth - 1)),
            16 => format!("sensitive({})", self.expr(want, depth - 1)),
            17 | 18 => self.operator(depth),
            _ => self.of(want, depth),
        }
    }

    /// Something of this type with the means of the type.
    fn of(&mut self, want: Want, depth: usize) -> String {
        match want {
            Any => {
                let want = self.pick(&[Bool, Number, Text, List, Set, Map]);
                self.of(want, depth)
            }
            Bool | Number => self.operator(depth),
            Text => self.template(depth),
            List => {
                let inner = self.sequence(depth);
                match self.below(3) {
                    0 => format!("tolist({inner})"),
                    _ => inner,
                }
            }
            Set => format!("toset({})", self.sequence(depth)),
            Map => {
                let inner = self.object(depth);
                match self.below(3) {
                    0 => format!("tomap({inner})"),
                    _ => inner,
                }
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> String {
        let want = self.pick(&[Any, Number, Text, Bool, List, Map, Text]);
        let count = self.below(4);
        let items: Vec<String> = (0..count).map(|_| self.expr(want, depth - 1)).collect();
        let comma = if count > 0 && self.chance(10) { "," } else { "" };
        format!("[{}{comma}]", items.join(", "))
    }

    fn object(&mut self, depth: usize) -> String {
        let want = self.pick(&[Any, Number, Text, Bool, List, Map, Any]);
        let count = self.below(4);
        let mut used = Vec::new();
        let mut items = Vec::new();
        for _ in 0..count {
            let key = self.word("keys");
            if used.contains(&key) {
                continue;
            }
            used.push(key);
            let written = match self.below(5) {
                0 => format!("(\"{key}\")"),
                1 if key.chars().all(|c| c.is_ascii_alphabetic()) && !key.is_empty() => {
                    format!("(tostring(\"{key}\"))")
                }
                2 | 3 if key.chars().all(|c| c.is_ascii_alphabetic()) && !key.is_empty() => key.into(),
                _ => format!("\"{key}\""),
            };
            let sign = self.pick(&["=", ":", "="]);
            items.push(format!("{written} {sign} {}", self.expr(want, depth - 1)));
        }
        format!("{{{}}}", items.join(", "))
    }

    fn operator(&mut self, depth: usize) -> String {
        let (sign, want) = self.pick(&[
            ("+", Number),
            ("-", Number),
            ("*", Number),
            ("/", Number),
            ("%", Number),
            ("==", Any),
            ("!=", Any),
            ("<", Number),
            ("<=", Number),
            (">", Number),
            (">=", Number),
            ("&&", Bool),
            ("||", Bool),
            ("!", Bool),
            ("-", Any),
            ("==", Text),
            ("==", List),
            ("!=", Map),
            ("==", Set),
        ]);
        let left = self.expr(want, depth - 1);
        match sign {
            "!" => format!("!{left}"),
            "-" if want == Any => format!("-{left}"),
            _ if self.chance(30) => {
                let (second, third) =
                    (self.pick(&["+", "*", "-", "&&", "||", "==", "<", "%"]), self.expr(want, depth - 1));
                format!("{left} {sign} {} {second} {third}", self.expr(want, depth - 1))
            }
            _ => format!("{left} {sign} {}", self.expr(want, depth - 1)),
        }
    }

    fn conditional(&mut self, want: Want, depth: usize) -> String {
        let want2 = if self.chance(50) { self.pick(&[want, Any, List, Map, Set]) } else { want };
        let condition = match self.below(4) {
            0 => "true".into(),
            1 => "false".into(),
            2 => self
                .pick(&["local.unk == 1", "tobool(local.unk)", "var.secret == \"x\"", "\"true\"", "null", "local.unk"])
                .into(),
            _ => self.expr(Bool, depth - 1),
        };
        let (then, other) = (self.expr(want, depth - 1), self.expr(want2, depth - 1));
        format!("{condition} ? {then} : {other}")
    }

    fn tilde(&mut self) -> &'static str {
        if self.chance(25) { "~" } else { "" }
    }

    fn template(&mut self, depth: usize) -> String {
        let mut out = String::from("\"");
        for _ in 0..=self.below(3) {
            self.piece(depth, &mut out);
        }
        out.push('"');
        out
    }

    fn piece(&mut self, depth: usize, out: &mut String) {
        match self.below(7) {
            0 | 1 => out.push_str(self.pick(&[
                "a", " ", " x ", "$${b}", "%%{c}", "\\n", "\\t ", "é", "$", "%", "$$", "\\u1F600", "-", "\\n  y",
                "e\\u0301",
            ])),
            2..=4 => {
                let (l, r, inner) = (self.tilde(), self.tilde(), self.expr(Text, depth - 1));
                let _ = write!(out, "${{{l} {inner} {r}}}");
            }
            5 => {
                let (a, b, c, d, e) =
                    (self.tilde(), self.tilde(), self.tilde(), self.tilde(), self.expr(Bool, depth - 1));
                let _ = write!(out, "%{{{a} if {e} {b}}}");
                self.piece(depth, out);
                if self.chance(50) {
                    let _ = write!(out, "%{{{c} else {d}}}");
                    self.piece(depth, out);
                }
                let _ = write!(out, "%{{{d} endif {a}}}");
            }
            _ => {
                let (a, b, c, d) = (self.tilde(), self.tilde(), self.tilde(), self.tilde());
                let want = self.pick(&[List, List, Set, Map]);
                let over = self.expr(want, depth - 1);
                let with_key = self.chance(30);
                let _ = write!(out, "%{{{a} for {}v in {over} {b}}}", if with_key { "k, " } else { "" });
                let before = self.names.len();
                self.names.push("v");
                if with_key {
                    self.names.push("k");
                }
                self.piece(depth, out);
                self.names.truncate(before);
                let _ = write!(out, "%{{{c} endfor {d}}}");
            }
        }
    }

    fn index(&mut self, depth: usize) -> String {
        let (list, base) =
            if self.chance(50) { (true, self.expr(List, depth - 1)) } else { (false, self.expr(Map, depth - 1)) };
        let base = if base.contains([' ', '-', '!']) || base.starts_with(|c: char| c.is_ascii_digit()) {
            format!("({base})")
        } else {
            base
        };
        match (list, self.below(4)) {
            (true, 0) => format!("{base}.{}", self.below(3)),
            (true, 1) => format!("{base}[{}]", self.expr(Number, depth - 1)),
            (true, _) => format!("{base}[{}]", self.below(3)),
            (false, 0) => format!("{base}[{}]", self.expr(Text, depth - 1)),
            (false, 1) => format!("{base}[\"{}\"]", self.word("keys")),
            (false, _) => format!("{base}.{}", self.pick(&["a", "b", "x", "y", "n"])),
        }
    }

    fn splat(&mut self, depth: usize) -> String {
        let want = self.pick(&[List, List, Set, Map, Any]);
        let base = self.expr(want, depth - 1);
        let base = if base.contains([' ', '-', '!']) || base.starts_with(|c: char| c.is_ascii_digit()) {
            format!("({base})")
        } else {
            base
        };
        let star = self.pick(&["[*]", ".*"]);
        let rest =
            self.pick(&["", "", ".a", "[0]", ".n", ".a.b", "[\"a\"]", ".n[*]", ".x[0]", ".0", ".n.*", "[*]", ".n[0]"]);
        format!("{base}{star}{rest}")
    }

    fn for_expr(&mut self, want: Want, depth: usize) -> String {
        let over = self.pick(&[List, List, Set, Map, Any]);
        let over = self.expr(over, depth - 1);
        let before = self.names.len();
        let with_key = self.chance(50);
        self.names.push("v");
        if with_key {
            self.names.push("k");
        }
        let names = if with_key { "k, v" } else { "v" };
        let object = want == Map || self.chance(40);
        let condition = if self.chance(30) { format!(" if {}", self.expr(Bool, depth - 1)) } else { String::new() };
        let out = if object {
            let (key, value) = (self.expr(Text, depth - 1), self.expr(Any, depth - 1));
            let group = if self.chance(40) { "..." } else { "" };
            format!("{{for {names} in {over} : {key} => {value}{group}{condition}}}")
        } else {
            format!("[for {names} in {over} : {}{condition}]", self.expr(Any, depth - 1))
        };
        self.names.truncate(before);
        out
    }

    fn call(&mut self, depth: usize) -> String {
        let at = self.below(self.functions.len());
        let (name, args, more) = self.functions[at].clone();
        let mut out: Vec<String> = args.iter().map(|a| self.arg(*a, depth)).collect();
        if let Some(more) = more {
            for _ in 0..self.below(3) {
                let arg = self.arg(more, depth);
                out.push(arg);
            }
        }
        let mut dots = "";
        if self.chance(4) {
            out.pop();
            out.push(self.expr(List, depth - 1));
            dots = "...";
        }
        let space = self.pick(&["core::", "", "", "", "", "", "", "", "", ""]);
        format!("{space}{name}({}{dots})", out.join(", "))
    }

    fn arg(&mut self, arg: Arg, depth: usize) -> String {
        match arg {
            Arg::Of(want) => self.expr(want, depth - 1),
            Arg::From(_) if self.chance(4) => self.expr(Any, depth - 1),
            Arg::From(texts) => {
                let text = self.word(texts);
                text.strip_prefix('#').map_or_else(|| format!("\"{text}\""), str::to_owned)
            }
        }
    }
}
