//! One script as it runs: a world, the files as they are now, and what was reviewed.
//!
//! The one decision: each step answers in lines, errors of the configuration included; only a command that makes no
//! sense ends the test. What a line looks like is in `show`.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_model::{Sources, Type, Value};
use mesh_state::{Backend as _, LockInfo};
use tokio::sync::watch;

use super::super::Bed;
use super::super::fake::{Fault, Process, World};
use super::show;
use super::text::{Script, Step};
use crate::conform::Reviewed;
use crate::stage::{Approval, Approver, Finished, Run};
use crate::{Cancel, Input, Inputs, Mode, Options, Planning};

/// One script as it runs.
pub(super) struct Life {
    bed: Bed,
    files: BTreeMap<String, String>,
    reviewed: Option<(Reviewed, Options)>,
}

impl Life {
    /// The script with what is said now.
    pub(super) fn of(script: &Script) -> Script {
        let mut life = Self { bed: Bed::new(), files: BTreeMap::new(), reviewed: None };
        let mut said = script.clone();
        for step in &mut said.steps {
            step.answer = life.step(step).unwrap_or_else(|e| panic!("{}: {}: {e}", script.title, step.command));
        }
        said
    }

    fn step(&mut self, step: &Step) -> Result<Vec<String>, String> {
        for (name, text) in &step.files {
            match text {
                Some(text) => self.files.insert(name.clone(), text.clone()),
                None => Some(self.files.remove(name).ok_or("no such file")?),
            };
        }
        if let Some((old, new)) = step.command.strip_prefix("edit ").and_then(|e| e.split_once(" -> ")) {
            if !self.files.values().any(|t| t.contains(old)) {
                return Err(format!("no file has {old}"));
            }
            self.files.values_mut().for_each(|t| *t = t.replace(old, new));
            return Ok(Vec::new());
        }
        let mut words = step.command.split_whitespace().peekable();
        self.bed.inputs = Inputs::new();
        while let Some((name, value)) = words.peek().and_then(|w| w.split_once('=')) {
            let input = Input::Text { text: value.to_owned(), origin: "a script".to_owned() };
            self.bed.inputs.insert(name.to_owned(), input);
            words.next();
        }
        let command = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match (command, rest.as_slice()) {
            ("fault", [what @ .., kind]) if !what.is_empty() => {
                self.bed.world.state().faults.insert(what.join(" "), fault(kind)?);
                Ok(Vec::new())
            }
            ("world", []) => Ok(self.world()),
            ("world", ["rm", name]) => {
                self.bed.world.state().objects.remove(*name).map(|_| Vec::new()).ok_or("no such object".to_owned())
            }
            ("world", [name, value]) => {
                self.put(name, value);
                Ok(Vec::new())
            }
            ("state", []) => Ok(self.state()),
            ("plan" | "review", options) => {
                self.bed.options = parse(options)?;
                Ok(self.plan(command == "review"))
            }
            ("apply", [how @ ("reviewed" | "approved"), ..]) => {
                let (reviewed, options) = self.reviewed.clone().ok_or("nothing was reviewed")?;
                self.bed.options = options;
                Ok(self.apply(Some(&Reviewed { anywhere: *how == "approved", ..reviewed })))
            }
            ("apply", options) => {
                self.bed.options = parse(options)?;
                Ok(self.apply(None))
            }
            ("destroy", options) => {
                self.bed.options = Options { mode: Mode::Destroy, ..parse(options)? };
                Ok(self.apply(None))
            }
            _ => Err("no such command".to_owned()),
        }
    }

    /// Somebody else writes an object.
    fn put(&self, name: &str, value: &str) {
        let mut state = self.bed.world.state();
        let text = |t: &str| Value::string(t.to_owned());
        let new = || {
            let none = || Value::null(Type::String);
            Value::object([
                ("name", text(name)),
                ("id", text(&format!("id-{name}"))),
                ("secret", none()),
                ("password", none()),
            ])
        };
        let object = state.objects.get(name).cloned().unwrap_or_else(new);
        let object = object.with("value", text(value)).with("length", Value::number(value.len()));
        state.objects.insert(name.to_owned(), object);
    }

    fn world(&self) -> Vec<String> {
        let state = self.bed.world.state();
        let line = |(n, v): (&String, &Value)| {
            let secret = v.get_str("secret").map(|s| format!(" secret={s:?}")).unwrap_or_default();
            format!("{n} value={}{secret}", show::value(v.get("value").unwrap_or(&Value::NULL)))
        };
        let mut out: Vec<String> = state.objects.iter().map(line).collect();
        for (site, world) in &state.others {
            out.extend(world.state().objects.iter().map(|o| format!("{site}: {}", line(o))));
        }
        out
    }

    fn state(&self) -> Vec<String> {
        let snapshot = self.bed.runtime.block_on(self.bed.local().snapshot()).expect("state");
        show::state(&snapshot)
    }

    /// Does something with the configuration as it is; what is wrong with it is said.
    fn run<T>(&mut self, work: impl AsyncFnOnce(Run<'_>, &Sources) -> T) -> Result<T, Vec<String>> {
        self.bed.files = self.files.clone();
        let main = self.bed.files.remove("main.mesh.hcl").unwrap_or_default();
        self.bed.run(&self.bed.local(), &main, work).map_err(|(sources, d)| show::diagnostics(&sources, &d))
    }

    fn plan(&mut self, review: bool) -> Vec<String> {
        let reviewed = std::cell::Cell::new(None);
        let said = self.run(async |run, sources| {
            let lines = run.plan(|p| {
                if review {
                    reviewed.set(Some(Reviewed {
                        plan: p.plan.clone(),
                        digest: p.digest(),
                        serial: p.snapshot.serial,
                        anywhere: false,
                        unfinished: p.snapshot.unfinished.as_ref().map(|u| u.digest.to_string()),
                    }));
                }
                let mut lines = show::plan(&p.plan);
                lines.extend(show::diagnostics(sources, &p.diagnostics));
                lines
            });
            lines.await.unwrap_or_else(|d| show::diagnostics(sources, &d))
        });
        if let Some(plan) = reviewed.into_inner() {
            self.reviewed = Some((plan, self.bed.options.clone()));
        }
        let mut lines = calls(&self.bed.world);
        lines.extend(said.unwrap_or_else(|errors| errors));
        lines
    }

    fn apply(&mut self, reviewed: Option<&Reviewed>) -> Vec<String> {
        let (interrupts, cancel) = Cancel::new();
        let (dead, mut died) = watch::channel(false);
        self.bed.world.state().process = Some(Process { interrupts, dead });
        let mut seen = Seen { world: self.bed.world.clone(), reviewed: reviewed.is_some(), lines: Vec::new() };
        let said = self.run(async |run, sources| {
            let lock = LockInfo::new("mesh apply", "tester", "host");
            tokio::select! {
                biased;
                _ = died.wait_for(|dead| *dead) => (None, vec!["the process dies".to_owned()]),
                finished = run.apply(&mut seen, reviewed, lock, Duration::ZERO, cancel) => match finished {
                    Ok(finished) => { let lines = ended(sources, &finished); (Some(finished), lines) }
                    Err(d) => (None, [show::diagnostics(sources, &d), vec!["exit 1".to_owned()]].concat()),
                },
            }
        });
        seen.calls();
        self.bed.world.state().process = None;
        let (finished, end) = said.unwrap_or_else(|errors| (None, errors));
        let mut lines = [seen.lines, end].concat();
        match finished {
            Some(f) if f.nothing => lines.retain(|l| !l.starts_with("output.")),
            Some(f) if f.is_complete() && !f.declined => lines.extend(self.again()),
            Some(f) if f.declined => {}
            _ => lines.extend(self.state()),
        }
        lines
    }

    /// After a whole apply, planning again must find nothing; what it finds is said.
    fn again(&mut self) -> Vec<String> {
        self.bed.options.replace = Vec::new();
        let found = self.plan(false);
        let found = found.into_iter().filter(|l| {
            !l.starts_with("  > ") && !["warning", "check.", "stays", "<= "].iter().any(|w| l.starts_with(w))
        });
        found.filter(|l| l != "nothing to do").map(|l| format!("again: {l}")).collect()
    }
}

fn fault(kind: &str) -> Result<Fault, String> {
    Ok(match kind {
        "reject" => Fault::Reject,
        "transient" => Fault::Transient,
        "half" => Fault::Half,
        "lie" => Fault::Lie,
        "done-in-doubt" => Fault::DoneInDoubt,
        "lost-in-doubt" => Fault::LostInDoubt,
        "interrupt" => Fault::Interrupt,
        "abandon" => Fault::Abandon,
        "kill" => Fault::Kill,
        "kill-before" => Fault::KillBefore,
        _ => return Err("no such fault".to_owned()),
    })
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options { parallelism: 1, ..Options::default() };
    let wrong = |e: mesh_model::address::AddressError| e.to_string();
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("-destroy", _) => options.mode = Mode::Destroy,
            ("-refresh-only", _) => options.mode = Mode::RefreshOnly,
            ("-refresh", "false") => options.refresh = false,
            ("-target", address) => options.targets.push(address.parse().map_err(wrong)?),
            ("-exclude", address) => options.excludes.push(address.parse().map_err(wrong)?),
            ("-replace", address) => options.replace.push(address.parse().map_err(wrong)?),
            _ => return Err(format!("no such option: {word}")),
        }
    }
    Ok(options)
}

/// What the world was asked to do since it was looked at.
fn calls(world: &World) -> Vec<String> {
    let mut state = world.state();
    let mut lines: Vec<String> = std::mem::take(&mut state.log).into_iter().map(|l| format!("  > {l}")).collect();
    for (site, world) in &state.others {
        lines.extend(std::mem::take(&mut world.state().log).into_iter().map(|l| format!("  > {site}: {l}")));
    }
    lines
}

/// Says yes, except to stages beyond what was reviewed.
struct Seen {
    world: World,
    reviewed: bool,
    lines: Vec<String>,
}

impl Seen {
    fn calls(&mut self) {
        self.lines.extend(calls(&self.world));
    }
}

impl Approver for Seen {
    fn approve(&mut self, stage: usize, planning: &Planning<'_>, within: bool) -> Approval {
        self.calls();
        if stage > 1 {
            self.lines.push(format!("stage {stage}{}", if within { "" } else { " goes beyond what was reviewed" }));
        }
        self.lines.extend(show::plan(&planning.plan));
        if self.reviewed && !within { Approval::No } else { Approval::Yes }
    }
}

/// How an apply ended, and with which exit code the program ends then.
fn ended(sources: &Sources, finished: &Finished) -> Vec<String> {
    let mut all = finished.warnings.clone();
    for (address, diagnostic) in &finished.report.failed {
        all.push(diagnostic.clone().on(address));
    }
    all.extend(finished.report.diagnostics.clone());
    let mut lines = show::diagnostics(sources, &all);
    let skipped = finished.report.skipped.iter();
    lines.extend(skipped.map(|(a, action, why)| format!("skipped {} {a}: {why}", action.words().join("/"))));
    if finished.report.interrupted {
        lines.push("interrupted".to_owned());
    }
    if finished.report.succeeded() {
        lines.extend(show::outputs(&finished.outputs));
    }
    let failed = finished.declined || !finished.report.succeeded() || all.has_errors();
    let waits = !finished.waiting.is_empty() || !finished.deferred.is_empty();
    match (finished.nothing, failed, waits) {
        (true, false, false) => {}
        (_, true, _) => lines.push("exit 1".to_owned()),
        (_, false, true) => lines.push("exit 3".to_owned()),
        (_, false, false) => lines.push("exit 0".to_owned()),
    }
    lines
}
