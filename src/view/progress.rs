//! Progress of a run for people.
//!
//! The one decision: what is done is a line on stdout, always, as Terraform's; on a terminal there are
//! moving bars on stderr besides, for what is in flight. Losing a line (nobody reads any more) never
//! stops an apply.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mesh_core::{Event, Phase, Sink};
use mesh_model::{Action, Address};

use super::style::{BOLD, DIM, RED, YELLOW, paint, visible};
use super::words::{elapsed, ephemeral, operation};

/// A sink for people. `W` is where lines go.
pub(crate) struct Progress {
    lines: Mutex<Box<dyn Write + Send>>,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    total: Mutex<Option<ProgressBar>>,
    running: Mutex<HashMap<String, ProgressBar>>,
}

impl Progress {
    /// Lines only.
    pub(crate) fn lines(out: Box<dyn Write + Send>) -> Self {
        Self { lines: Mutex::new(out), bars: None }
    }

    /// With bars on stderr, which is a terminal.
    pub(crate) fn bars(out: Box<dyn Write + Send>) -> Self {
        let bars = Bars { all: MultiProgress::new(), total: Mutex::default(), running: Mutex::default() };
        Self { lines: Mutex::new(out), bars: Some(bars) }
    }

    fn say(&self, text: &str) {
        let write = || {
            let mut out = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        };
        match &self.bars {
            Some(bars) => bars.all.suspend(write),
            None => write(),
        }
    }

    /// Takes the bars away: before a question, and at the end.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            for (_, bar) in locked(&bars.running).drain() {
                bar.finish_and_clear();
            }
            if let Some(total) = locked(&bars.total).take() {
                total.finish_and_clear();
            }
        }
    }

    fn spin(&self, key: &str, message: String) {
        let Some(bars) = &self.bars else { return };
        let bar = ProgressBar::new_spinner().with_message(message).with_style(spinner());
        let bar = match &*locked(&bars.total) {
            Some(total) => bars.all.insert_before(total, bar),
            None => bars.all.add(bar),
        };
        bar.enable_steady_tick(Duration::from_millis(120));
        locked(&bars.running).insert(key.to_owned(), bar);
    }

    fn stop(&self, key: &str, step: bool) {
        let Some(bars) = &self.bars else { return };
        if let Some(bar) = locked(&bars.running).remove(key) {
            bar.finish_and_clear();
        }
        if step && let Some(total) = &*locked(&bars.total) {
            total.inc(1);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bars draw themselves, so what `anstream` takes off elsewhere is left out here.
fn coloured() -> bool {
    anstream::ColorChoice::global() != anstream::ColorChoice::Never
}

fn spinner() -> ProgressStyle {
    let template = if coloured() { "  {spinner:.cyan} {msg} {elapsed:.dim}" } else { "  {spinner} {msg} {elapsed}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn total() -> ProgressStyle {
    let template =
        if coloured() { "  [{bar:30.green}] {pos}/{len} {elapsed:.dim}" } else { "  [{bar:30}] {pos}/{len} {elapsed}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn key(address: &Address, action: Action) -> String {
    format!("{address} {action:?}")
}

impl Sink for Progress {
    fn event(&self, event: Event) {
        match &event {
            Event::Configuring { provider } => self.spin(provider, format!("{provider}: connecting")),
            Event::Observing { provider, objects } => {
                self.stop(provider, false);
                self.spin(
                    provider,
                    format!("{provider}: looking at {objects} object{}", if *objects == 1 { "" } else { "s" }),
                );
            }
            Event::Observed { provider, .. } => self.stop(provider, false),
            Event::Reading { address } => self.spin(&key(address, Action::Read), format!("{address}: reading")),
            Event::Read { address, .. } => self.stop(&key(address, Action::Read), false),
            Event::Ephemeral { address, operation, phase } => {
                let (doing, _, _) = ephemeral(*operation);
                match phase {
                    Phase::Started => {
                        self.spin(&format!("{address} {doing}"), format!("{address}: {}", doing.to_lowercase()));
                    }
                    Phase::Running(_) => {}
                    Phase::Done(_) | Phase::Failed(..) => self.stop(&format!("{address} {doing}"), false),
                }
            }
            Event::StageStarted { operations, .. } => {
                if let Some(bars) = &self.bars {
                    for (_, bar) in locked(&bars.running).drain() {
                        bar.finish_and_clear();
                    }
                    let length = u64::try_from(*operations).unwrap_or(u64::MAX);
                    *locked(&bars.total) = Some(bars.all.add(ProgressBar::new(length).with_style(total())));
                }
            }
            Event::Started { address, action, .. } => {
                self.spin(&key(address, *action), format!("{address}: {}", operation(*action).0.to_lowercase()));
            }
            Event::Done { address, action, .. } | Event::Failed { address, action, .. } => {
                self.stop(&key(address, *action), true)
            }
            Event::Running { .. }
            | Event::Skipped { .. }
            | Event::Waiting { .. }
            | Event::Warning(_)
            | Event::Refreshing { .. }
            | Event::Refreshed { .. } => {}
        }
        if let Some(line) = line(&event) {
            self.say(&line);
        }
    }
}

/// The line of an event; `None` for one that is not worth a line.
pub(crate) fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { address, action, identity } => {
            let id = identity.as_ref().map(|id| format!(" [id={id}]")).unwrap_or_default();
            paint(BOLD, format!("{address}: {}...{id}", operation(*action).0))
        }
        Event::Running { address, action, elapsed: time } => paint(
            BOLD,
            format!("{address}: Still {}... [{} elapsed]", operation(*action).0.to_lowercase(), elapsed(*time)),
        ),
        Event::Done { address, action, elapsed: time, identity } => {
            let id = identity.as_ref().map(|i| format!(" [id={}]", visible(i))).unwrap_or_default();
            paint(BOLD, format!("{address}: {} complete after {}{id}", operation(*action).1, elapsed(*time)))
        }
        Event::Failed { address, action, elapsed: time, diagnostic } => {
            let head = format!("{address}: {} failed after {}:", operation(*action).1, elapsed(*time));
            format!("{} {}", paint(RED.bold(), head), diagnostic.summary)
        }
        Event::Ephemeral { address, operation, phase } => {
            let (doing, done, _) = ephemeral(*operation);
            match phase {
                Phase::Started => paint(BOLD, format!("{address}: {doing}...")),
                Phase::Running(time) => {
                    paint(BOLD, format!("{address}: Still {}... [{} elapsed]", doing.to_lowercase(), elapsed(*time)))
                }
                Phase::Done(time) => paint(BOLD, format!("{address}: {done} complete after {}", elapsed(*time))),
                Phase::Failed(time, diagnostic) => {
                    let head = format!("{address}: {done} failed after {}:", elapsed(*time));
                    format!("{} {}", paint(RED.bold(), head), diagnostic.summary)
                }
            }
        }
        Event::Skipped { address, because, .. } => {
            format!("{} {}", paint(YELLOW.bold(), format!("{address}: Skipped:")), visible(because))
        }
        Event::Waiting { address, waiting_for, left } => {
            let head = paint(YELLOW.bold(), format!("{address}: Waiting for"));
            format!("{head} {} [{} left]", visible(waiting_for), elapsed(*left))
        }
        Event::Warning(d) => {
            let place = d.address.as_ref().map(|a| format!("{a}: ")).unwrap_or_default();
            format!("{} {place}{}: {}", paint(YELLOW.bold(), "Warning:"), d.summary, visible(&d.detail))
        }
        Event::StageStarted { stage, .. } if *stage > 1 => paint(DIM, format!("Stage {stage}:")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::EphemeralOperation;
    use mesh_model::Diagnostic;

    use super::*;
    use crate::view::style::plain;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            locked(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_terraforms() {
        let out = Shared::default();
        let progress = Progress::lines(Box::new(out.clone()));
        let address: Address = "vault_policy.a[0]".parse().expect("an address");
        let at = address.clone();
        let opening = |phase| {
            let address = "ephemeral.vault_token.t".parse().expect("an address");
            Event::Ephemeral { address, operation: EphemeralOperation::Open, phase }
        };
        let time = Duration::from_secs(61);
        for event in [
            Event::Observing { provider: "vault".into(), objects: 3 },
            Event::StageStarted { stage: 1, operations: 3 },
            Event::Started { address: address.clone(), action: Action::Create, identity: None },
            Event::Running { address: address.clone(), action: Action::Create, elapsed: Duration::from_secs(10) },
            Event::Done {
                address: address.clone(),
                action: Action::Create,
                elapsed: time,
                identity: Some("ns/a".into()),
            },
            Event::Failed {
                address: address.clone(),
                action: Action::Update,
                elapsed: time,
                diagnostic: Diagnostic::error("vault::denied", "Permission denied", "long"),
            },
            Event::Skipped { address, action: Action::Delete, because: "it needs x, which failed".into() },
            Event::StageStarted { stage: 2, operations: 1 },
            opening(Phase::Started),
            opening(Phase::Running(Duration::from_secs(10))),
            opening(Phase::Done(time)),
            opening(Phase::Failed(time, Diagnostic::error("vault::denied", "Permission denied", "long"))),
            Event::Warning(Diagnostic::warning("a::b", "The server has a warning", "old API").on(&at)),
        ] {
            progress.event(event);
        }
        let text = plain(&String::from_utf8_lossy(&locked(&out.0)));
        assert_eq!(
            text,
            "vault_policy.a[0]: Creating...\n\
             vault_policy.a[0]: Still creating... [10s elapsed]\n\
             vault_policy.a[0]: Creation complete after 1m1s [id=ns/a]\n\
             vault_policy.a[0]: Modifications failed after 1m1s: Permission denied\n\
             vault_policy.a[0]: Skipped: it needs x, which failed\n\
             Stage 2:\n\
             ephemeral.vault_token.t: Opening...\n\
             ephemeral.vault_token.t: Still opening... [10s elapsed]\n\
             ephemeral.vault_token.t: Opening complete after 1m1s\n\
             ephemeral.vault_token.t: Opening failed after 1m1s: Permission denied\n\
             Warning: vault_policy.a[0]: The server has a warning: old API\n"
        );
    }
}
