//! Random configurations of `terraform_data` and random changes of them.
//!
//! The one decision: a configuration is plain data (who needs whom, and how), so that what must be true
//! of an apply can be computed from it without asking any program; a seed gives the same ones everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Numbers from a seed (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap_or(0)
    }

    pub(super) fn percent(&mut self, p: usize) -> bool {
        self.below(100) < p
    }
}

/// How a block is repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    One,
    Count(usize),
    Each(BTreeSet<&'static str>),
}

/// How a block uses another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// Its id in `input`: a replace leads to an update.
    Id,
    /// Its id through a local value.
    Local,
    /// Its id in `triggers_replace`: a replace leads to a replace.
    Trigger,
    /// What is configured of it.
    Value,
    /// `depends_on`, where both are in one module; else as `Value`.
    DependsOn,
}

/// One block. Its name is its number, so that it is the same one in each step.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// 0 is the root module.
    pub(super) module: usize,
    pub(super) repeat: Repeat,
    pub(super) input: usize,
    pub(super) trigger: usize,
    pub(super) create_first: bool,
    pub(super) needs: BTreeMap<usize, How>,
}

/// A configuration: blocks by number.
pub(super) type Config = BTreeMap<usize, Block>;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const MODULES: usize = 4;

fn repeat(dice: &mut Dice) -> Repeat {
    match dice.below(10) {
        0..=5 => Repeat::One,
        6 | 7 => Repeat::Count(dice.below(4)),
        _ => Repeat::Each(KEYS.into_iter().filter(|_| dice.percent(50)).collect()),
    }
}

/// The place of a block in the order of needs: by chance, so that names say nothing about it.
fn rank(block: usize, salt: usize) -> usize {
    Dice((block * 131 + salt) as u64).below(1 << 30)
}

fn needs(dice: &mut Dice, config: &Config, me: usize, salt: usize) -> BTreeMap<usize, How> {
    let lower: Vec<usize> = config.keys().copied().filter(|b| rank(*b, salt) < rank(me, salt)).collect();
    let wanted = if lower.is_empty() { 0 } else { dice.below(4) };
    let how = |dice: &mut Dice| match dice.below(10) {
        0..=3 => How::Id,
        4 => How::Local,
        5 => How::Trigger,
        6 | 7 => How::Value,
        _ => How::DependsOn,
    };
    (0..wanted).map(|_| (lower[dice.below(lower.len())], how(dice))).collect()
}

fn block(dice: &mut Dice, create_first: usize) -> Block {
    Block {
        module: if dice.percent(70) { 0 } else { dice.below(MODULES) },
        repeat: repeat(dice),
        input: 0,
        trigger: 0,
        create_first: dice.percent(create_first),
        needs: BTreeMap::new(),
    }
}

/// Configurations that follow each other.
pub(super) fn steps(seed: u64, most: usize) -> Vec<Config> {
    let mut dice = Dice(seed);
    let salt = dice.below(1 << 20);
    let size = 2 + dice.below(most - 1);
    // Some scenarios without any, some with few, some with many.
    let create_first = [0, 10, 30][dice.below(3)];
    let mut config: Config = (0..size).map(|n| (n, block(&mut dice, create_first))).collect();
    for n in 0..size {
        let needs = needs(&mut dice, &config, n, salt);
        config.entry(n).and_modify(|b| b.needs = needs);
    }
    let mut out = vec![config.clone()];
    for step in 1..=2 {
        let rate = [10, 30, 60][dice.below(3)];
        let gone: Vec<usize> = config.keys().copied().filter(|_| dice.percent(rate / 2)).collect();
        config.retain(|n, _| !gone.contains(n));
        for b in config.values_mut() {
            b.needs.retain(|n, _| !gone.contains(n));
        }
        for n in 0..dice.below(size / 4 + 2) {
            config.insert(step * 100 + n, block(&mut dice, create_first));
        }
        let all: Vec<usize> = config.keys().copied().collect();
        for n in all {
            let new = n >= step * 100;
            let other = (new || dice.percent(rate / 2)).then(|| needs(&mut dice, &config, n, salt));
            let Some(b) = config.get_mut(&n) else { continue };
            b.input += usize::from(dice.percent(rate));
            b.trigger += usize::from(dice.percent(rate));
            if dice.percent(rate / 3) {
                b.repeat = repeat(&mut dice);
            }
            if dice.percent(rate / 6) {
                b.create_first = !b.create_first;
            }
            if let Some(other) = other {
                b.needs = other;
            }
        }
        out.push(config.clone());
    }
    out
}

/// The address of a block, without a key.
pub(super) fn address(number: usize, block: &Block) -> String {
    match block.module {
        0 => format!("terraform_data.r{number}"),
        m => format!("module.m{m}.terraform_data.r{number}"),
    }
}

/// What an attribute of all instances of a block is.
fn all(number: usize, block: &Block, attribute: &str) -> String {
    match block.repeat {
        Repeat::One => format!("terraform_data.r{number}.{attribute}"),
        Repeat::Count(_) => format!("terraform_data.r{number}[*].{attribute}"),
        Repeat::Each(_) => format!("values(terraform_data.r{number})[*].{attribute}"),
    }
}

/// The files of a configuration: path without the ending, and text.
pub(super) fn files(config: &Config) -> BTreeMap<String, String> {
    // Text of the modules, outputs and variables, each once.
    let mut texts = vec![String::new(); MODULES];
    let mut outputs: BTreeSet<(usize, String, String)> = BTreeSet::new();
    let mut variables: BTreeMap<(usize, String), String> = BTreeMap::new();
    for (number, block) in config {
        let (mut input, mut trigger) = (vec![format!("\"{}\"", block.input)], vec![format!("\"{}\"", block.trigger)]);
        let mut depends_on = Vec::new();
        let mut locals = String::new();
        for (needed, how) in &block.needs {
            let other = &config[needed];
            if *how == How::DependsOn && other.module == block.module {
                depends_on.push(format!("terraform_data.r{needed}"));
                continue;
            }
            let attribute = if matches!(how, How::Value | How::DependsOn) { "triggers_replace" } else { "id" };
            let mut text = all(*needed, other, attribute);
            if other.module != block.module {
                let name = format!("r{needed}_{attribute}");
                if other.module != 0 {
                    outputs.insert((other.module, name.clone(), text));
                    text = format!("module.m{}.{name}", other.module);
                }
                if block.module != 0 {
                    variables.insert((block.module, name.clone()), text);
                    text = format!("var.{name}");
                }
            }
            if *how == How::Local {
                let name = format!("l{number}_{needed}");
                let _ = writeln!(locals, "locals {{\n  {name} = {text}\n}}");
                text = format!("local.{name}");
            }
            if *how == How::Trigger { trigger.push(text) } else { input.push(text) }
        }
        let repeat = match &block.repeat {
            Repeat::One => String::new(),
            Repeat::Count(n) => format!("  count = {n}\n"),
            Repeat::Each(keys) => format!("  for_each = toset({keys:?})\n").replace('{', "[").replace('}', "]"),
        };
        let depends_on = match depends_on.is_empty() {
            true => String::new(),
            false => format!("  depends_on = [{}]\n", depends_on.join(", ")),
        };
        let _ = write!(
            texts[block.module],
            "{locals}resource \"terraform_data\" \"r{number}\" {{\n{repeat}  input = [{}]\n  triggers_replace = [{}]\n{depends_on}  \
             lifecycle {{\n    create_before_destroy = {}\n  }}\n}}\n",
            input.join(", "),
            trigger.join(", "),
            block.create_first
        );
    }
    for (module, name, text) in outputs {
        let _ = writeln!(texts[module], "output \"{name}\" {{\n  value = {text}\n}}");
    }
    let mut calls = vec![String::new(); MODULES];
    for ((module, name), text) in variables {
        let _ = writeln!(texts[module], "variable \"{name}\" {{}}");
        let _ = writeln!(calls[module], "  {name} = {text}");
    }
    for (m, call) in calls.into_iter().enumerate().skip(1) {
        let _ = writeln!(texts[0], "module \"m{m}\" {{\n  source = \"./m{m}\"\n{call}}}");
    }
    let name = |m| if m == 0 { "main".to_owned() } else { format!("m{m}/main") };
    texts.into_iter().enumerate().map(|(m, text)| (name(m), text)).collect()
}
