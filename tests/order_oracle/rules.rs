//! What must happen before what, computed from the configurations.
//!
//! The one decision: the rules are those of the field, written as pairs of operations; where ours differ,
//! it is one rule and stands here. Needs of objects are those of the last configuration (state keeps them)
//! and of the new one.

use std::collections::{BTreeMap, BTreeSet};

use super::graphs::{Config, address};

/// What is done with an instance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Operation {
    pub(super) address: String,
    pub(super) action: String,
}

impl Operation {
    fn is_delete(&self) -> bool {
        self.action == "delete"
    }

    /// The block's address.
    fn block(&self) -> &str {
        self.address.strip_suffix(']').and_then(|a| a.rsplit_once('[')).map_or(&self.address, |(block, _)| block)
    }
}

/// Two operations, the first of which must have ended before the second begins, and why.
pub(super) type Rule<'o> = (&'o Operation, &'o Operation, &'static str);

type Needs = BTreeMap<String, BTreeSet<String>>;

/// All that each block needs, through whatever.
fn needs(configs: &[&Config]) -> Needs {
    let mut out = Needs::new();
    for config in configs {
        for (number, block) in *config {
            let own = out.entry(address(*number, block)).or_default();
            own.extend(block.needs.keys().map(|n| address(*n, &config[n])));
        }
    }
    loop {
        let before: usize = out.values().map(BTreeSet::len).sum();
        let direct = out.clone();
        for own in out.values_mut() {
            let more: Vec<String> = own.iter().filter_map(|n| direct.get(n)).flatten().cloned().collect();
            own.extend(more);
        }
        if out.values().map(BTreeSet::len).sum::<usize>() == before {
            return out;
        }
    }
}

/// Blocks that create first: those that say so, and all that they need.
fn create_first(config: &Config) -> BTreeSet<String> {
    let needs = needs(&[config]);
    let says: Vec<String> = config.iter().filter(|(_, b)| b.create_first).map(|(n, b)| address(*n, b)).collect();
    says.iter().flat_map(|b| needs[b].iter()).chain(&says).cloned().collect()
}

/// The required order of the operations that lead from one configuration to the next; `ours` with the
/// one rule that is ours.
pub(super) fn required<'o>(old: &Config, new: &Config, done: &'o BTreeSet<Operation>, ours: bool) -> Vec<Rule<'o>> {
    let (was, is, both) = (needs(&[old]), needs(&[new]), needs(&[old, new]));
    let (first_before, first_now) = (create_first(old), create_first(new));
    let makes: Vec<&Operation> = done.iter().filter(|o| !o.is_delete()).collect();
    let deletes: Vec<&Operation> = done.iter().filter(|o| o.is_delete()).collect();
    let made = |address: &str| makes.iter().any(|m| m.address == address);
    let replaced = |o: &Operation| o.is_delete() && made(&o.address);
    // What state knows of the needs of an instance: those of a changed one are merged with the new ones.
    let saved = |o: &Operation, needed: &str| {
        let in_either = |needs: &Needs| needs.get(o.block()).is_some_and(|n| n.contains(needed));
        match (o.is_delete(), o.action == "create") {
            (true, _) if !made(&o.address) => in_either(&was),
            // A new one has no state.
            (false, true) if !deletes.iter().any(|d| d.address == o.address) => false,
            _ => in_either(&was) || in_either(&is),
        }
    };
    let destroys_first: BTreeSet<&str> =
        deletes.iter().filter(|d| replaced(d) && !first_now.contains(d.block())).map(|d| d.block()).collect();
    let reaches = |from: &str, to: &str| both.get(from).is_some_and(|n| n.contains(to));
    // Ours: what goes for good goes as with create_before_destroy while something that used it is
    // changed, unless what it needs itself has to be deleted before it is made anew.
    let late = |d: &Operation| {
        ours && makes.iter().any(|m| m.block() != d.block() && reaches(m.block(), d.block()))
            && !destroys_first.iter().any(|b| reaches(d.block(), b))
    };
    let creates_first = |d: &Operation| match replaced(d) {
        true => first_now.contains(d.block()),
        false => first_before.contains(d.block()) || late(d),
    };
    let mut out = Vec::new();
    for &m in &makes {
        for &n in &makes {
            if is.get(n.block()).is_some_and(|needs| needs.contains(m.block())) {
                out.push((m, n, "what is needed is made first"));
            }
        }
        for &d in &deletes {
            if d.address == m.address {
                match creates_first(d) {
                    true => out.push((m, d, "the new object is made first")),
                    false => out.push((d, m, "the old object is deleted first")),
                }
            }
            if saved(d, m.block()) && !creates_first(d) {
                out.push((d, m, "what needs it is deleted before it is changed"));
            }
            if saved(m, d.block()) {
                match creates_first(d) {
                    true => out.push((m, d, "what used it is changed before it is deleted")),
                    false => out.push((d, m, "it is deleted before what used it is changed")),
                }
            }
        }
    }
    for &a in &deletes {
        for &b in &deletes {
            if saved(a, b.block()) {
                out.push((a, b, "what needs it is deleted first"));
            }
        }
    }
    out
}

/// Whether the rules contradict each other.
pub(super) fn is_circle(rules: &[Rule<'_>]) -> bool {
    let mut left: Vec<&Rule<'_>> = rules.iter().collect();
    loop {
        let waiting: BTreeSet<&Operation> = left.iter().map(|(_, after, _)| *after).collect();
        let before = left.len();
        left.retain(|(first, _, _)| waiting.contains(first));
        if left.len() == before {
            return !left.is_empty();
        }
    }
}
