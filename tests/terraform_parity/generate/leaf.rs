//! Expressions without parts: names that values.hcl declares, variables in scope, and what is written out.

use super::{Any, Bool, Generator, List, Map, Number, Set, Text, Want};

const REFERENCES: &[(&str, Want)] = &[
    ("local.unk", Any),
    ("local.unkl", List),
    ("local.objs", List),
    ("local.obj", Map),
    ("local.list", List),
    ("local.set", Set),
    ("local.map", Map),
    ("local.str", Text),
    ("local.nul", Any),
    ("local.ab", List),
    ("var.secret", Text),
    ("var.seclist", List),
];

impl Generator {
    pub(super) fn leaf(&mut self, want: Want) -> String {
        if self.chance(12) {
            let all: Vec<&str> =
                REFERENCES.iter().filter(|(_, w)| want == Any || *w == want).map(|(n, _)| *n).collect();
            if !all.is_empty() {
                return self.pick(&all).into();
            }
        }
        if !self.names.is_empty() && self.chance(40) {
            let at = self.below(self.names.len());
            return self.names[at].to_owned();
        }
        match want {
            Any => {
                let want = self.pick(&[Bool, Number, Text, List, Map, Text, Number, Set]);
                self.leaf(want)
            }
            Bool => self.pick(&["true", "false"]).into(),
            Number => {
                let sign = if self.chance(15) { "-" } else { "" };
                format!("{sign}{}", self.word("numbers"))
            }
            Text => format!("\"{}\"", self.word("strings")),
            List => self
                .pick(&[
                    "[]",
                    "[1, 2]",
                    "[\"a\", \"b\"]",
                    "local.list",
                    "[true, \"x\"]",
                    "[[1], [2, 3]]",
                    "[null, \"a\"]",
                    "tolist([\"b\", \"a\"])",
                    "local.ab",
                    "[1, \"1\", true]",
                    "[\"\", \"z\"]",
                    "tolist([])",
                    "[{a = 1}, {a = 2}]",
                ])
                .into(),
            Set => self
                .pick(&[
                    "toset([])",
                    "toset([\"b\", \"a\"])",
                    "toset([10, 9])",
                    "local.set",
                    "toset([{a = 1}])",
                    "toset([[1], [10], [9]])",
                    "toset([true, false])",
                ])
                .into(),
            Map => self
                .pick(&[
                    "{}",
                    "{a = 1}",
                    "{a = 1, b = \"x\"}",
                    "local.map",
                    "tomap({x = 1})",
                    "{x = {y = [1]}}",
                    "local.obj",
                    "{a = null}",
                    "tomap({})",
                    "{b = true, a = 2}",
                ])
                .into(),
        }
    }
}
