//! How tests go: lines for people, the stream for programs, and a file of results for CI systems.
//!
//! The one decision: the words are Terraform's (`pass`, `fail`, `skip`, `test_run`, `test_summary`), since
//! scripts look for them. A run that could not be done is `fail` for people and `error` for programs.

use mesh_core::testing::{FileOutcome, RunOutcome, Status};
use mesh_lang::TestFile;
use mesh_model::Sources;
use serde_json::{Map, Value as Json, json};

use super::diagnostics::{self, Layout};
use super::stream::Stream;
use super::style::{DIM, GREEN, RED, paint, plain};

/// How many runs ended how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) errored: usize,
    pub(crate) skipped: usize,
    /// Whether something else went wrong: a file that cannot be read, objects that were left.
    pub(crate) broken: bool,
}

impl Tally {
    pub(crate) fn of(files: &[FileOutcome]) -> Self {
        let mut tally = Self::default();
        for file in files {
            tally.broken |= file.status > Status::Skip;
            for run in &file.runs {
                match run.status {
                    Status::Pass => tally.passed += 1,
                    Status::Fail => tally.failed += 1,
                    Status::Error => tally.errored += 1,
                    Status::Skip => tally.skipped += 1,
                }
            }
        }
        tally
    }

    pub(crate) const fn is_good(self) -> bool {
        !self.broken && self.failed == 0 && self.errored == 0
    }

    /// The last line.
    pub(crate) fn text(self) -> String {
        let word = if self.is_good() { paint(GREEN, "Success!") } else { paint(RED, "Failure!") };
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!("{word} {} passed, {} failed{skipped}.\n", self.passed, self.failed + self.errored)
    }
}

/// The word of a status; `people`: without the difference between fail and error.
pub(crate) const fn word(status: Status, people: bool) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Skip => "skip",
        Status::Error if !people => "error",
        Status::Fail | Status::Error => "fail",
    }
}

/// The same with its colour.
pub(crate) fn painted(status: Status) -> String {
    let style = match status {
        Status::Pass => GREEN,
        Status::Skip => DIM,
        Status::Fail | Status::Error => RED,
    };
    paint(style, word(status, true))
}

impl Stream {
    /// What is there to run.
    pub(crate) fn tests_found(&self, files: &[TestFile]) {
        let runs: usize = files.iter().map(|f| f.runs.len()).sum();
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let message = format!("Found {} and {}", count(files.len(), "file"), count(runs, "run block"));
        let names = |f: &TestFile| f.runs.iter().map(|r| json!(&*r.name)).collect::<Json>();
        let all: Map<String, Json> = files.iter().map(|f| (f.name.clone(), names(f))).collect();
        self.write("info", &message, "test_abstract", json!({ "test_abstract": all }));
    }

    /// How far a file is; `status` at its end.
    pub(crate) fn test_file(&self, file: &str, progress: &str, status: Option<Status>) {
        let said = match (progress, status) {
            (_, Some(status)) => word(status, true),
            ("teardown", _) => "tearing down",
            _ => "in progress",
        };
        let mut object = json!({ "path": file, "progress": progress });
        if let Some(status) = status {
            object["status"] = word(status, false).into();
        }
        self.write(
            "info",
            &format!("{file}... {said}"),
            "test_file",
            json!({ "@testfile": file, "test_file": object }),
        );
    }

    /// How far a run is; `status` at its end.
    pub(crate) fn test_run(&self, file: &str, run: &str, progress: &str, status: Option<Status>) {
        let said = match (progress, status) {
            (_, Some(status)) => word(status, true),
            ("teardown", _) => "tearing down",
            _ => "in progress",
        };
        let mut object = json!({ "path": file, "run": run, "progress": progress });
        match status {
            Some(status) => object["status"] = word(status, false).into(),
            None => object["elapsed"] = 0.into(),
        }
        let rest = json!({ "@testfile": file, "@testrun": run, "test_run": object });
        self.write("info", &format!("  {run:?}... {said}"), "test_run", rest);
    }

    /// What was said about a run or a file.
    pub(crate) fn test_diagnostics(
        &self,
        found: &mesh_model::Diagnostics,
        sources: &Sources,
        file: &str,
        run: Option<&str>,
    ) {
        for d in found.iter() {
            let (level, word) = if d.is_error() { ("error", "Error") } else { ("warn", "Warning") };
            let mut rest = json!({ "@testfile": file, "diagnostic": super::diagnostic_json::one(d, sources) });
            if let Some(run) = run {
                rest["@testrun"] = run.into();
            }
            self.write(level, &format!("{word}: {}", d.summary), "diagnostic", rest);
        }
    }

    /// What a run made: a plan or a state.
    pub(crate) fn test_made(&self, file: &str, run: &str, kind: &str, made: &Json) {
        let rest = json!({ "@testfile": file, "@testrun": run, kind: made });
        self.write("info", &format!("-verbose: {run:?}"), kind, rest);
    }

    /// The last line.
    pub(crate) fn test_summary(&self, tally: Tally) {
        let status = match tally {
            t if t.errored > 0 || (t.broken && t.failed == 0) => Status::Error,
            t if t.failed > 0 => Status::Fail,
            _ => Status::Pass,
        };
        let rest = json!({
            "status": word(status, false),
            "passed": tally.passed,
            "failed": tally.failed,
            "errored": tally.errored,
            "skipped": tally.skipped,
        });
        self.write("info", tally.text().trim_end(), "test_summary", json!({ "test_summary": rest }));
    }
}

/// The results as JUnit's XML. `started`: when each file began, in RFC 3339.
pub(crate) fn junit(files: &[FileOutcome], started: &[String], sources: &Sources) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><testsuites>\n");
    for (file, started) in files.iter().zip(started) {
        let name = escaped(&file.name);
        let count = |status| file.runs.iter().filter(|r| r.status == status).count();
        // What belongs to no run is an error of the file.
        let extra = usize::from(file.diagnostics.has_errors());
        push!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" skipped=\"{}\" failures=\"{}\" errors=\"{}\">\n",
            file.runs.len() + extra,
            count(Status::Skip),
            count(Status::Fail),
            count(Status::Error) + extra
        );
        for run in &file.runs {
            case(&mut out, &name, run, started, sources);
        }
        if extra > 0 {
            let text = cdata(&plain(&diagnostics::text(&file.diagnostics, sources, Layout::default())));
            push!(
                out,
                "    <testcase name=\"(file)\" classname=\"{name}\">\n      <error message=\"{}\">{text}</error>\n    </testcase>\n",
                escaped(file.diagnostics.iter().find(|d| d.is_error()).map_or("", |d| d.summary))
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, file: &str, run: &RunOutcome, started: &str, sources: &Sources) {
    let name = escaped(&run.name);
    let time =
        run.elapsed.map(|t| format!(" time=\"{}\" timestamp=\"{started}\"", t.as_secs_f64())).unwrap_or_default();
    push!(out, "    <testcase name=\"{name}\" classname=\"{file}\"{time}>");
    let text = || cdata(&plain(&diagnostics::text(&run.diagnostics, sources, Layout::default())));
    let first = run.diagnostics.iter().find(|d| d.is_error());
    let message =
        first.map(|d| escaped(if d.code == "test::assert" { &d.detail } else { d.summary })).unwrap_or_default();
    match run.status {
        Status::Pass => {}
        Status::Skip => {
            out.push_str("\n      <skipped message=\"A run before this one had an error\"></skipped>\n    ")
        }
        Status::Fail => push!(out, "\n      <failure message=\"{message}\">{}</failure>\n    ", text()),
        Status::Error => push!(out, "\n      <error message=\"{message}\">{}</error>\n    ", text()),
    }
    out.push_str("</testcase>\n");
}

fn escaped(text: &str) -> String {
    text.chars()
        .filter(|c| is_xml(*c))
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' => "&#10;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

fn cdata(text: &str) -> String {
    let text: String = text.chars().filter(|c| is_xml(*c)).collect();
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

/// Whether a character may stand in XML 1.0 at all.
const fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_model::{Diagnostic, Diagnostics};

    use super::*;

    #[test]
    fn results_are_xml_whatever_is_in_them() {
        let found = Diagnostic::error("test::assert", "S", "a < b & \"c\" ]]> \u{1}");
        let run = |name: &str, status, found: Diagnostics| RunOutcome {
            name: name.into(),
            status,
            diagnostics: found,
            elapsed: (status != Status::Skip).then_some(Duration::from_millis(1500)),
        };
        let file = FileOutcome {
            name: "a&b.meshtest.hcl".into(),
            status: Status::Error,
            runs: vec![
                run("good", Status::Pass, Diagnostics::new()),
                run("bad", Status::Fail, found.into()),
                run("later", Status::Skip, Diagnostics::new()),
            ],
            diagnostics: Diagnostic::error("test::left", "Left", "x").into(),
            interrupted: false,
        };
        let xml = junit(&[file], &["2026-01-01T00:00:00Z".into()], &Sources::default());
        for part in [
            "<testsuite name=\"a&amp;b.meshtest.hcl\" tests=\"4\" skipped=\"1\" failures=\"1\" errors=\"1\">",
            "<testcase name=\"good\" classname=\"a&amp;b.meshtest.hcl\" time=\"1.5\" timestamp=\"2026-01-01T00:00:00Z\"></testcase>",
            "<failure message=\"a &lt; b &amp; &quot;c&quot; ]]&gt; \"><![CDATA[",
            "]]]]><![CDATA[>",
            "<error message=\"Left\">",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
        assert!(!xml.contains('\u{1}'));
    }
}
