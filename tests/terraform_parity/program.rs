//! One of the two programs in a folder of its own, and its answers in one form.
//!
//! The one decision: everything is read from the JSON that both programs write, never from words. Ids are
//! random, so each is named after the address that had it first; what is sensitive is not shown, as mesh
//! never shows it; of errors only the lines count.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::case::Step;

/// Which program, where.
pub(crate) struct Program<'p> {
    path: &'p Path,
    mesh: bool,
    folder: tempfile::TempDir,
    /// Ids that were seen, with their names; how many each address had.
    ids: BTreeMap<String, String>,
    generations: HashMap<String, usize>,
    /// Whether modules have to be looked up before the next command of terraform.
    stale: bool,
    calls_modules: bool,
    /// Whether there are checks: those that do not hold after an apply are warnings.
    checks: bool,
}

struct Said {
    code: i32,
    out: String,
}

impl<'p> Program<'p> {
    pub(crate) fn new(path: &'p Path, mesh: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ids, generations) = Default::default();
        Self { path, mesh, folder, ids, generations, stale: false, calls_modules: false, checks: false }
    }

    /// Writes the files of a step and runs its command.
    pub(crate) fn answer(&mut self, step: &Step) -> Vec<String> {
        for (name, text) in &step.files {
            let path = self.folder.path().join(self.named(name));
            match text {
                Some(text) => {
                    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                    let text = if self.mesh { text.replace("terraform {", "mesh {") } else { text.clone() };
                    std::fs::write(path, text).expect("writes");
                }
                None => std::fs::remove_file(path).expect("removes"),
            }
            self.stale = true;
            self.checks |= text.as_ref().is_some_and(|t| t.contains("check \""));
            self.calls_modules |= text.as_ref().is_some_and(|t| t.contains("module \"") || t.contains("\"module\""));
        }
        let words: Vec<&str> = step.command.split(' ').collect();
        let at = words.iter().position(|w| !w.contains('=')).expect("a command");
        let (env, arguments) = (&words[..at], &words[at + 1..]);
        let env: Vec<(String, &str)> = env
            .iter()
            .filter_map(|w| w.split_once('='))
            .map(|(n, v)| (format!("{}_VAR_{n}", if self.mesh { "MESH" } else { "TF" }), v))
            .collect();
        if std::mem::take(&mut self.stale) && self.calls_modules && !self.mesh {
            // What is wrong with the files is said again by the command.
            self.run(&env, &["get"], &[]);
        }
        let mut lines = Vec::new();
        match words[at] {
            "validate" => {
                let said = self.run(&env, &["validate", "-json"], arguments);
                lines.push(format!("validate {}", said.code));
                let found = object(&said.out);
                self.diagnostics(array(&found["diagnostics"]), false, &mut lines);
            }
            "output" => {
                let said = self.run(&env, &["output", "-json"], arguments);
                lines.push(format!("output {}", said.code));
                if said.code == 0 {
                    let mut value = object(&said.out);
                    for output in value.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
                        // What mesh says more.
                        output.as_object_mut().map(|o| o.remove("withheld"));
                    }
                    let fields = value.as_object().into_iter().flatten();
                    let hidden = |o: &Json| json!({ "value": o["sensitive"], "type": o["sensitive"] });
                    let secret: Json = fields.map(|(n, o)| (n.clone(), hidden(o))).collect();
                    lines.push(format!("  {}", self.shown(&value, &Json::Null, &secret)));
                }
            }
            command => {
                let destroy: &[&str] = if command == "destroy" { &["-destroy"] } else { &[] };
                let planned = self.plan(&env, &[arguments, destroy].concat(), &mut lines);
                match command {
                    "destroy" => self.apply(&env, &[&["destroy", "-auto-approve"], arguments].concat(), &mut lines),
                    "apply" if planned => self.apply(&env, &["apply", "made.plan"], &mut lines),
                    "apply" | "plan" => {}
                    other => panic!("no command {other}"),
                }
            }
        }
        lines
    }

    /// The name of a file for this program.
    fn named(&self, name: &str) -> PathBuf {
        if !self.mesh {
            return name.into();
        }
        let endings = [
            ("terraform.tfvars", "mesh.meshvars.hcl"),
            (".auto.tfvars", ".auto.meshvars.hcl"),
            (".tf.json", ".mesh.json"),
            (".tf", ".mesh.hcl"),
        ];
        let renamed = endings.iter().find_map(|(from, to)| Some(format!("{}{to}", name.strip_suffix(from)?)));
        renamed.unwrap_or_else(|| name.to_owned()).into()
    }

    fn run(&self, env: &[(String, &str)], command: &[&str], arguments: &[&str]) -> Said {
        let output = Command::new(self.path)
            .args(command)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", "/home/ada")
            .env("CHECKPOINT_DISABLE", "1")
            .env("NO_COLOR", "1")
            .envs(env.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{command:?}: {errors}");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out }
    }

    /// Plans into a file; whether there is something to apply.
    fn plan(&mut self, env: &[(String, &str)], arguments: &[&str], lines: &mut Vec<String>) -> bool {
        let command = ["plan", "-json", "-input=false", "-detailed-exitcode", "-out=made.plan"];
        let said = self.run(env, &command, arguments);
        lines.push(format!("plan {}", said.code));
        if said.code != 1 {
            let plan = object(&self.run(env, &["show", "-json", "made.plan"], &[]).out);
            let mut changes: Vec<String> =
                array(&plan["resource_changes"]).iter().filter_map(|c| self.change(c)).collect();
            changes.sort();
            lines.append(&mut changes);
            let outputs = plan["output_changes"].as_object().into_iter().flatten();
            let mut outputs: Vec<String> = outputs
                .map(|(name, o)| (name, actions(o)))
                .filter(|(_, actions)| actions != "no-op")
                .map(|(name, actions)| format!("  {actions} output.{name}"))
                .collect();
            outputs.sort();
            lines.append(&mut outputs);
            for check in array(&plan["checks"]).iter().filter(|c| c["address"]["kind"] == "check") {
                for instance in array(&check["instances"]) {
                    let (address, status) = (text(&instance["address"]["to_display"]), text(&instance["status"]));
                    lines.push(format!("  {address} {status}"));
                }
            }
        }
        self.stream(&said.out, false, lines);
        said.code != 1
    }

    /// Applies; then what state is.
    fn apply(&mut self, env: &[(String, &str)], command: &[&str], lines: &mut Vec<String>) {
        let said = self.run(env, &[command[0], "-json", "-input=false"], &command[1..]);
        lines.push(format!("{} {}", command[0], said.code));
        let state = object(&self.run(env, &["show", "-json"], &[]).out);
        let mut objects = Vec::new();
        resources(&state["values"]["root_module"], &mut objects);
        objects.sort_by_key(|o| o["address"].to_string());
        for object in &objects {
            let id = text(&object["values"]["id"]);
            if !id.is_empty() && !self.ids.contains_key(id) {
                let address = text(&object["address"]);
                let generation = self.generations.entry(address.to_owned()).or_default();
                *generation += 1;
                self.ids.insert(id.to_owned(), format!("<{address}#{generation}>"));
            }
        }
        for object in &objects {
            let mut line = format!("  {}", text(&object["address"]));
            for word in ["tainted", "deposed_key"] {
                if object.get(word).is_some_and(|v| v != &Json::Bool(false)) {
                    push(&mut line, word);
                }
            }
            push(&mut line, &self.shown(&object["values"]["id"], &Json::Null, &Json::Null));
            self.values(&object["values"], &Json::Null, &object["sensitive_values"], &mut line);
            lines.push(line);
        }
        for (name, output) in state["values"]["outputs"].as_object().into_iter().flatten() {
            // The shape of a secret is a secret.
            let value = self.shown(&output["value"], &Json::Null, &output["sensitive"]);
            let ty = self.shown(&output["type"], &Json::Null, &output["sensitive"]).replace('"', "");
            lines.push(format!("  output.{name} {ty} {value}"));
        }
        self.stream(&said.out, self.checks, lines);
    }

    /// The line of one planned change; none where nothing happens.
    fn change(&self, c: &Json) -> Option<String> {
        let actions = actions(&c["change"]);
        let (from, import) = (text(&c["previous_address"]), &c["change"]["importing"]);
        if actions == "no-op" && from.is_empty() && import.is_null() {
            return None;
        }
        let mut line = format!("  {actions} {}", text(&c["address"]));
        if !from.is_empty() {
            push(&mut line, &format!("from {from}"));
        }
        if !import.is_null() {
            push(&mut line, "imported");
        }
        if c.get("deposed").is_some() {
            push(&mut line, "deposed");
        }
        let reason = text(&c["action_reason"]);
        if !reason.is_empty() {
            push(&mut line, &format!("({reason})"));
        }
        let change = &c["change"];
        self.values(&change["after"], &change["after_unknown"], &change["after_sensitive"], &mut line);
        Some(line)
    }

    /// What is configured of an object.
    fn values(&self, values: &Json, unknown: &Json, sensitive: &Json, line: &mut String) {
        for name in ["input", "triggers_replace"] {
            let value = self.shown(&values[name], &unknown[name], &sensitive[name]);
            if value != "null" {
                push(line, &format!("{name}={value}"));
            }
        }
    }

    /// A value with the names of ids, and without what is unknown or sensitive.
    fn shown(&self, value: &Json, unknown: &Json, sensitive: &Json) -> String {
        fn merged(value: &Json, unknown: &Json, sensitive: &Json) -> Json {
            if sensitive == &Json::Bool(true) {
                return "<sensitive>".into();
            }
            if unknown == &Json::Bool(true) {
                return "<unknown>".into();
            }
            match value {
                Json::Array(items) => {
                    items.iter().enumerate().map(|(i, v)| merged(v, &unknown[i], &sensitive[i])).collect()
                }
                // What is unknown is absent in one and null in the other; keys are sorted by collecting.
                Json::Object(fields) => {
                    let hidden = unknown.as_object().into_iter().flatten().filter(|(_, u)| **u == Json::Bool(true));
                    let names = fields.keys().chain(hidden.map(|(k, _)| k));
                    let all: BTreeMap<&String, Json> =
                        names.map(|k| (k, merged(&value[k], &unknown[k], &sensitive[k]))).collect();
                    serde_json::to_value(all).expect("an object")
                }
                other => other.clone(),
            }
        }
        let mut text = merged(value, unknown, sensitive).to_string();
        for (id, name) in &self.ids {
            text = text.replace(id, name);
        }
        text
    }

    /// The diagnostics of a stream.
    fn stream(&self, out: &str, warnings: bool, lines: &mut Vec<String>) {
        let found: Vec<Json> = out.lines().map(object).filter(|l| l["type"] == "diagnostic").collect();
        let found: Vec<Json> = found.iter().map(|l| l["diagnostic"].clone()).collect();
        self.diagnostics(&found, warnings, lines);
    }

    fn diagnostics(&self, found: &[Json], warnings: bool, lines: &mut Vec<String>) {
        let mut places: Vec<String> = found
            .iter()
            // A warning without a place is about the command, not the configuration.
            .filter(|d| d["severity"] == "error" || warnings && d["range"].is_object())
            .map(|d| {
                let range = &d["range"];
                let place = match range["start"]["line"].as_u64() {
                    // Text of the command line is no file.
                    Some(line) if !text(&range["filename"]).starts_with('<') => {
                        let file =
                            text(&range["filename"]).replace(".mesh.hcl", ".tf").replace(".mesh.json", ".tf.json");
                        format!(" {file}:{line}")
                    }
                    _ => String::new(),
                };
                format!("  {}{place}", text(&d["severity"]))
            })
            .collect();
        places.sort();
        // How many things are wrong with one line is told apart differently.
        places.dedup();
        lines.append(&mut places);
    }
}

/// All objects of a module and those in it.
fn resources<'j>(module: &'j Json, out: &mut Vec<&'j Json>) {
    out.extend(array(&module["resources"]));
    for child in array(&module["child_modules"]) {
        resources(child, out);
    }
}

fn actions(change: &Json) -> String {
    array(&change["actions"]).iter().map(text).collect::<Vec<_>>().join("+")
}

fn push(line: &mut String, word: &str) {
    line.push(' ');
    line.push_str(word);
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Json) -> &[Json] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// JSON; null where a program wrote something else.
fn object(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}
