//! The stream of `-json`, for readers that know Terraform's.
//!
//! The one decision: each case of `stream/*.txt` is a life: a configuration, and commands with what the real
//! program told. Where it is on PATH the record itself is checked. Ours must tell the same lines, words
//! included, with the same kinds in the same order; what we tell besides is named here and nowhere else.
//!
//! What differs on purpose: `log`, `apply_skipped`, `deferred_change` and `gate_closed` are ours alone, as are
//! `digest`, `complete` and the numbers of what was left out in a `change_summary`, and code and address in a
//! diagnostic; a run that fails ends with a `change_summary` here, and just ends there; independent
//! operations take turns as they like; summaries and details of errors are in our own words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::commands::run;
use crate::site::{Folder, terraform};

/// One command of a life.
struct Step {
    arguments: Vec<String>,
    /// What the configuration is from here on, where it changes.
    configuration: Option<String>,
    /// What it told, as [`told`] gives it.
    lines: Vec<String>,
}

/// A file of steps: `=== main` begins a configuration, `$` a command; what it told follows.
fn steps(text: &str) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    let (mut configuration, mut writing) = (String::new(), false);
    for line in text.lines() {
        if line == "=== main" {
            (configuration, writing) = (String::new(), true);
        } else if let Some(arguments) = line.strip_prefix("$ ") {
            let arguments = arguments.split(' ').map(str::to_owned).collect();
            let configuration = writing.then(|| std::mem::take(&mut configuration));
            out.push(Step { arguments, configuration, lines: Vec::new() });
            writing = false;
        } else if writing {
            configuration.push_str(line);
            configuration.push('\n');
        } else if let Some(step) = out.last_mut().filter(|_| !line.is_empty()) {
            step.lines.push(line.to_owned());
        }
    }
    out
}

/// What no two runs have in common, by one name.
fn common(text: &str) -> String {
    let id = |word: &str| word.len() == 36 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() || c == '-' {
            word.push(c);
            continue;
        }
        out.push_str(if id(&word) { "ID" } else { &word });
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    match out.split_once(" after ") {
        Some((before, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before} after 0{rest}")
        }
        None => out,
    }
}

/// One line of a stream without what differs by nature; `None` for one that is ours alone.
fn line(text: &str) -> Option<String> {
    let json: Json = serde_json::from_str(text).expect("each line is JSON");
    let kind = json["type"].as_str().expect("a type");
    for name in ["@level", "@message", "@module", "@timestamp"] {
        assert!(json[name].is_string(), "{name} is not in {text}");
    }
    let fields = |from: &Json, names: &[&str]| -> Json {
        let there = names.iter().filter(|n| !from[**n].is_null());
        there.map(|n| ((*n).to_owned(), from[*n].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut message = json["@message"].as_str().unwrap_or_default().to_owned();
    let mut rest = match kind {
        "log" | "apply_skipped" | "deferred_change" | "gate_closed" => return None,
        // There are no provisioners here.
        kind if kind.starts_with("provision_") => return None,
        "version" => {
            message = "PROGRAM VERSION".to_owned();
            fields(&json, &["ui"])
        }
        "planned_change" | "resource_drift" => {
            fields(&json["change"], &["resource", "previous_resource", "action", "reason", "importing"])
        }
        // What was only imported or forgotten is an operation here, and nothing there.
        kind if kind.starts_with("apply_") && json["hook"]["action"] == "remove" => return None,
        // Here all of a provider is looked at in one call, also what is forgotten; not what is imported and is
        // nowhere but in state.
        kind if kind.starts_with("refresh_") && ["forgotten:", "[id=imported"].iter().any(|n| message.contains(n)) => {
            return None;
        }
        "change_summary" => {
            // What is forgotten is counted here.
            message = message
                .split([';', '.'])
                .map(|part| match part.rsplit_once(", ") {
                    Some((rest, last)) if last.contains("forg") => rest,
                    _ => part,
                })
                .next()
                .unwrap_or_default()
                .to_owned();
            fields(&json["changes"], &["add", "change", "import", "remove", "operation"])
        }
        "outputs" => json["outputs"].clone(),
        // There it is a warning.
        "diagnostic" if json["@level"] == "warn" && json["diagnostic"]["range"].is_null() => return None,
        "diagnostic" => {
            let mut d = fields(&json["diagnostic"], &["severity", "range", "snippet"]);
            for own in ["summary", "detail"] {
                assert!(json["diagnostic"][own].is_string(), "{own} is not in {text}");
            }
            let word = message.split(':').next().unwrap_or_default().to_owned();
            message = word;
            if let Some(Json::Object(snippet)) = d.get_mut("snippet") {
                // Which function was called is said there only.
                snippet.remove("function_call");
            }
            d
        }
        kind => {
            // Why it failed is said behind it.
            if kind.ends_with("_errored") {
                message = message.split(" after ").next().unwrap_or_default().replace(" failed", " errored");
            }
            let mut hook = fields(&json["hook"], &["resource", "action", "id_key", "id_value", "elapsed_seconds"]);
            if hook["elapsed_seconds"].is_number() {
                hook["elapsed_seconds"] = json!(0);
            }
            hook
        }
    };
    if let Some(name) = rest.pointer_mut("/range/filename").filter(|n| **n == "main.mesh.hcl") {
        *name = json!("main.tf");
    }
    for name in ["resource", "previous_resource"] {
        let Some(Json::Object(resource)) = rest.get_mut(name) else { continue };
        let parts =
            ["addr", "module", "resource", "implied_provider", "resource_type", "resource_name", "resource_key"];
        assert!(parts.iter().all(|p| resource.contains_key(*p)) && resource.len() == parts.len(), "{text}");
        rest[name] = parts.map(|p| resource[p].to_string()).join(" ").replace('"', "").into();
    }
    // Keys in one order.
    let rest: std::collections::BTreeMap<String, Json> = serde_json::from_value(rest).expect("an object");
    let level = json["@level"].as_str().unwrap_or_default();
    Some(common(&format!("{kind} {level} {message:?} {}", json!(rest))))
}

/// What a command tells: the kinds in their order, then each line, sorted; the last is how it ended.
fn told(program: &Path, folder: &Path, arguments: &[String]) -> Vec<String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(program, folder, &arguments, "");
    assert!(output.stdout.lines().count() > 1, "{}", output.text());
    let all: Vec<String> = output.stdout.lines().filter_map(line).collect();
    let kind = |l: &String| match l.split(' ').next().unwrap_or_default() {
        // Operations, and objects that are looked at, take turns.
        kind if kind.starts_with("apply_") => "apply".to_owned(),
        kind if kind.starts_with("refresh_") => "refresh".to_owned(),
        kind => kind.to_owned(),
    };
    let mut order: Vec<String> = all.iter().map(kind).collect();
    order.dedup();
    // Each begins before it ends.
    for (i, l) in all.iter().enumerate() {
        for ending in ["complete", "errored"] {
            let address = |l: &str| l.split('"').nth(1).and_then(|m| m.split(": ").next()).map(str::to_owned);
            let begun = |o: &String| o.split(' ').next() == Some("apply_start") && address(o) == address(l);
            if l.starts_with(&format!("apply_{ending}")) {
                assert!(all[..i].iter().any(begun), "{l} has no beginning");
            }
        }
    }
    let lines: BTreeSet<String> = all.into_iter().collect();
    let mut out = vec![order.join(" ")];
    out.extend(lines);
    out.push(format!("exit {}", output.code));
    out
}

/// A life in one program.
fn life(program: &Path, ending: &str, steps: &[Step]) -> Vec<Vec<String>> {
    let folder = Folder::new("");
    let file = folder.path().join(format!("main.{ending}"));
    let mut out = Vec::new();
    for step in steps {
        if let Some(text) = &step.configuration {
            std::fs::write(&file, text).expect("writes");
            // What it says about a configuration that is wrong the command says, too.
            run(program, folder.path(), &["init"], "");
        }
        out.push(told(program, folder.path(), &step.arguments));
    }
    out
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stream");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("cases").flatten().map(|e| e.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn record(file: &Path, steps: &[Step], told: &[Vec<String>]) {
    let mut parts = Vec::new();
    for (step, lines) in steps.iter().zip(told) {
        parts.extend(step.configuration.iter().map(|text| format!("=== main\n{text}")));
        parts.push(format!("$ {}\n{}\n\n", step.arguments.join(" "), lines.join("\n")));
    }
    let text = parts.concat();
    std::fs::write(file, text).expect("writes");
}

/// What ours tells in a failing run besides: what was looked at in one call although its block is never come to,
/// and the summary. Taken away, and checked, where the field has none.
fn without_what_failures_add(own: &mut Vec<String>, field: &[String]) {
    let summaries = |lines: &[String]| lines[0].matches("change_summary").count();
    if own.last().is_some_and(|l| l == "exit 0") {
        return;
    }
    own.retain(|l| !l.starts_with("refresh_") || field.contains(l));
    assert!(own[0].ends_with("change_summary") || own[0].ends_with("change_summary outputs"), "{own:#?}");
    if summaries(own) == summaries(field) {
        return;
    }
    own[0] = own[0].trim_end_matches(" outputs").trim_end_matches(" change_summary").to_owned();
    let last = |l: &String| l.starts_with("change_summary ") && (l.contains(" error") || l.contains(" failed!"));
    let at = own.iter().position(last).expect("the summary of what failed");
    own.remove(at);
}

#[test]
fn streams_tell_what_terraforms_tell() {
    let field = terraform();
    let mut wrong = Vec::new();
    for file in cases() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut recorded = steps(&std::fs::read_to_string(&file).expect("reads"));
        if let Some(terraform) = &field {
            let live = life(terraform, "tf", &recorded);
            if std::env::var_os("RECORD").is_some() {
                record(&file, &recorded, &live);
                recorded = steps(&std::fs::read_to_string(&file).expect("reads"));
            }
            for (step, live) in recorded.iter().zip(&live) {
                assert_eq!(format!("{live:#?}"), format!("{:#?}", step.lines), "{name} {:?}", step.arguments);
            }
        }
        let mut own = life(Path::new(env!("CARGO_BIN_EXE_mesh")), "mesh.hcl", &recorded);
        for (step, own) in recorded.iter().zip(&mut own) {
            without_what_failures_add(own, &step.lines);
            for (lines, others, sign) in [(&step.lines, &*own, '-'), (&*own, &step.lines, '+')] {
                let differs = lines.iter().filter(|l| !others.contains(l));
                wrong.extend(differs.map(|l| format!("{sign} {name} {:?} {l}", step.arguments)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What fails there is a provisioner and here a file; what is told of them is the same.
const FAILS: [(&str, &str); 2] = [
    ("tf", "resource \"terraform_data\" \"x\" {\n  provisioner \"local-exec\" {\n    command = \"exit 1\"\n  }\n}\n"),
    ("mesh.hcl", "resource \"local_file\" \"x\" {\n  filename = \"/dev/null/x\"\n  content  = \"\"\n}\n"),
];

#[test]
fn a_failed_create_is_told_as_terraforms_is() {
    let expected: Vec<&str> = include_str!("stream/failed.recorded").lines().collect();
    let tell = |program: &Path, (ending, failing): (&str, &str)| {
        let ty = failing.split('"').nth(1).expect("a type");
        let rest = format!(
            "resource \"terraform_data\" \"later\" {{\n  depends_on = [{ty}.x]\n}}\nresource \"terraform_data\" \"free\" {{}}\n"
        );
        let steps = [Step {
            arguments: ["apply", "-json", "-auto-approve"].map(str::to_owned).to_vec(),
            configuration: Some(format!("{failing}{rest}")),
            lines: Vec::new(),
        }];
        let told = life(program, ending, &steps).remove(0);
        let same = |l: &String| {
            l.replace("local_file", "terraform_data").replace(" local terraform_data", " terraform terraform_data")
        };
        let mut lines: Vec<String> = told.iter().filter(|l| !l.starts_with("diagnostic")).map(same).collect();
        lines[1..].sort();
        lines
    };
    if let Some(terraform) = terraform() {
        assert_eq!(tell(&terraform, FAILS[0]), expected);
    }
    let mut own = tell(Path::new(env!("CARGO_BIN_EXE_mesh")), FAILS[1]);
    assert!(own[0].ends_with("diagnostic change_summary outputs"), "{own:#?}");
    own[0] = own[0].trim_end_matches(" change_summary outputs").to_owned();
    let summary = "change_summary info \"Apply failed! Resources: 1 added, 0 changed, 0 destroyed\" \
                   {\"add\":1,\"change\":0,\"import\":0,\"operation\":\"apply\",\"remove\":0}";
    let before = own.len();
    own.retain(|l| l != summary && l != "outputs info \"Outputs: 0\" {}");
    assert_eq!(own.len() + 2, before, "the summary and the outputs are told, too: {own:#?}");
    assert_eq!(own, expected);
}

/// Nothing that the real program has without a registry can drift, so the shape is that of its documentation.
#[test]
fn drift_is_told_with_its_resource_and_action() {
    let file =
        |content: &str| format!("resource \"local_file\" \"f\" {{\n  filename = \"f\"\n  content  = {content:?}\n}}\n");
    let folder = Folder::new(&file("x"));
    folder.run(&["apply", "-auto-approve"]).expect(0, "applies");
    for (change, action, code) in [(Some("y"), "update", 2), (None, "delete", 2)] {
        match change {
            Some(text) => std::fs::write(folder.path().join("f"), text).expect("writes"),
            None => std::fs::remove_file(folder.path().join("f")).expect("is there"),
        }
        let told = folder.run(&["plan", "-json", "-refresh-only", "-detailed-exitcode"]).expect(code, "drift").stdout;
        let drift = told.lines().filter_map(line).find(|l| l.starts_with("resource_drift ")).expect("drift is told");
        let expected = format!(
            "resource_drift info \"local_file.f: Drift detected ({action})\" {{\"action\":\"{action}\",\"resource\":\"local_file.f  \
             local_file.f local local_file f null\"}}"
        );
        assert_eq!(drift, expected);
    }
}
