//! `mesh test`: test files with what they say, word for word, and the same runs in `terraform test`.
//!
//! The one decision: a case is one file in `testing`: the files of a folder, and under `--- expected` what
//! the program wrote. The words are ours; how each run and the program end must be as in `terraform`,
//! which is asked where it is there. Cases called `mesh_*` use what it does not have.
//! `cargo test --test mesh -- --ignored record_tests` writes what is expected anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::site::{Folder, command, terraform};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testing");

struct Case {
    name: String,
    files: Vec<(String, String)>,
    arguments: Vec<String>,
    expected: String,
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(FOLDER).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|p| Case::read(p)).collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("is text");
        let name = path.file_stem().and_then(|n| n.to_str()).expect("a name").to_owned();
        let mut case = Self { name, files: Vec::new(), arguments: Vec::new(), expected: String::new() };
        let (text, expected) = text.split_once("--- expected\n").unwrap_or((&text, ""));
        case.expected = expected.to_owned();
        for part in text.split("--- ").filter(|p| !p.is_empty()) {
            let (name, content) = part.split_once('\n').expect("a name and a content");
            match name {
                "arguments" => case.arguments = content.split_whitespace().map(str::to_owned).collect(),
                _ => case.files.push((name.to_owned(), content.to_owned())),
            }
        }
        case
    }

    fn folder(&self, mesh: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in &self.files {
            let path = folder.path().join(named(name, mesh));
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("writes");
        }
        folder
    }

    fn arguments(&self, mesh: bool) -> Vec<String> {
        self.arguments.iter().map(|a| named(a, mesh)).collect()
    }

    /// Everything that mesh writes, in its order, and how it ends.
    fn said(&self) -> String {
        let folder = self.folder(true);
        let path = folder.path().join("said");
        let file = std::fs::File::create(&path).expect("a file");
        let mut command = command(folder.path(), &["test"], &BTreeMap::new());
        command.args(self.arguments(true)).stdout(file.try_clone().expect("a copy")).stderr(file);
        let code = command.status().expect("mesh runs").code().unwrap_or(-1);
        let said = std::fs::read_to_string(path).expect("is text");
        assert!(!folder.path().join("mesh.state").exists(), "{}: a state was written", self.name);
        format!("{}exit {code}\n", without_ids(&said))
    }

    /// How each run and each file ended, and the program.
    fn outcome(&self, program: &Path, mesh: bool) -> Vec<String> {
        let folder = self.folder(mesh);
        let run = |arguments: &[String]| {
            Command::new(program)
                .args(arguments)
                .current_dir(folder.path())
                .env_clear()
                .env("HOME", folder.path())
                .env("CHECKPOINT_DISABLE", "1")
                .stdin(Stdio::null())
                .output()
                .expect("runs")
        };
        if !mesh {
            let folder = self.arguments.iter().filter(|a| a.starts_with("-test-directory"));
            run(&[vec!["init".to_owned()], folder.cloned().collect()].concat());
        }
        let output = run(&[vec!["test".to_owned(), "-json".to_owned()], self.arguments(mesh)].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = Vec::new();
        for line in text.lines().filter_map(|l| serde_json::from_str::<Json>(l).ok()) {
            let kind = line["type"].as_str().unwrap_or_default().to_owned();
            let object = &line[&kind];
            let name = |key: &str| object[key].as_str().unwrap_or_default().replace(".tftest.", ".meshtest.");
            match kind.as_str() {
                "test_run" | "test_file" if object["progress"] == "complete" => {
                    lines.push(format!("{} {} {}", name("path"), name("run"), name("status")));
                }
                "test_summary" => lines.push(object.to_string()),
                _ => {}
            }
        }
        lines.push(format!("exit {}", output.status.code().unwrap_or(-1)));
        lines
    }
}

fn named(name: &str, mesh: bool) -> String {
    if mesh { name.to_owned() } else { name.replace(".meshtest.", ".tftest.").replace(".mesh.hcl", ".tf") }
}

/// Ids are random, and digests are no part of what is tested here.
fn without_ids(text: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|l| !l.starts_with("Plan digest: "));
    let text = &lines.collect::<String>();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let id = rest.get(..36).filter(|t| {
            let dash =
                |(i, b): (usize, u8)| if [8, 13, 18, 23].contains(&i) { b == b'-' } else { b.is_ascii_hexdigit() };
            t.bytes().enumerate().all(dash)
        });
        match id {
            Some(_) => {
                out.push_str("<id>");
                rest = &rest[36..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

#[test]
fn tests_say_what_is_expected() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let said = case.said();
        if said != case.expected {
            let diff = similar::TextDiff::from_lines(&case.expected, &said).unified_diff().to_string();
            wrong.push(format!("{}\n{diff}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 19, "only {} cases", cases.len());
}

#[test]
fn tests_end_as_in_terraform() {
    let Some(terraform) = terraform() else { return };
    let mesh = PathBuf::from(env!("CARGO_BIN_EXE_mesh"));
    let mut compared = 0;
    for case in cases().iter().filter(|c| !c.name.starts_with("mesh_")) {
        let (ours, theirs) = (case.outcome(&mesh, true), case.outcome(&terraform, false));
        assert_eq!(ours, theirs, "{}", case.name);
        compared += theirs.len();
    }
    assert!(compared >= 120, "only {compared} ends were compared");
}

/// Writes what is expected.
#[test]
#[ignore = "writes the expected texts anew"]
fn record_tests() {
    for case in cases() {
        let path = Path::new(FOLDER).join(format!("{}.txt", case.name));
        let text = std::fs::read_to_string(&path).expect("is text");
        let before = text.split("--- expected\n").next().unwrap_or_default();
        std::fs::write(path, format!("{before}--- expected\n{}", case.said())).expect("writes");
    }
}

const GOOD: &str = "resource \"terraform_data\" \"a\" { input = \"x\" }\n";

fn folder(test: &str) -> Folder {
    let folder = Folder::new(GOOD);
    std::fs::create_dir(folder.path().join("tests")).expect("a folder");
    std::fs::write(folder.path().join("tests/a.meshtest.hcl"), test).expect("writes");
    folder
}

#[test]
fn validate_reads_test_files_too() {
    let broken = folder(
        "run \"a\" {\n  assert {\n    condition = terraform_data.b.id == run.c.d\n    error_message = \"x\"\n  }\n}\n",
    );
    let found = broken.run(&["validate"]).expect(1, "names that nothing declares").text();
    assert!(
        found.contains("terraform_data.b") && found.contains("run.c") && found.contains("tests/a.meshtest.hcl:3"),
        "{found}"
    );
    broken.run(&["validate", "-no-tests"]).expect(0, "without tests");
    broken.run(&["validate", "-test-directory=other"]).expect(0, "tests elsewhere");
    folder("run \"a\" {}\n").run(&["validate"]).expect(0, "a good test");
    let syntax = folder("run \"a\" { comand = plan }\n").run(&["validate", "-json"]).expect(1, "a misspelled argument");
    let json: Json = serde_json::from_str(&syntax.stdout).expect("is JSON");
    assert_eq!(json["diagnostics"][0]["range"]["filename"], "tests/a.meshtest.hcl");
}

#[test]
fn programs_get_a_stream_and_a_file_of_results() {
    let folder = folder(
        "run \"good\" {}\nrun \"bad\" {\n  command = plan\n  assert {\n    condition = terraform_data.a.input == \"y\"\n    error_message = \"not y\"\n  }\n}\n",
    );
    let output = folder.run(&["test", "-json", "-verbose", "-junit-xml=out.xml"]).expect(1, "a failed assertion");
    let lines: Vec<Json> = output.stdout.lines().map(|l| serde_json::from_str(l).expect("is JSON")).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|l| l["type"].as_str()).collect();
    let expected = [
        "version",
        "test_abstract",
        "test_file",
        "test_run",
        "test_state",
        "test_run",
        "test_run",
        "test_plan",
        "test_run",
        "diagnostic",
        "test_file",
        "test_run",
        "test_file",
        "test_summary",
    ];
    assert_eq!(kinds, expected, "{}", output.stdout);
    assert_eq!(lines[1]["test_abstract"]["tests/a.meshtest.hcl"], serde_json::json!(["good", "bad"]));
    let said = &lines[9];
    assert_eq!((&said["@testrun"], &said["diagnostic"]["detail"]), (&"bad".into(), &"not y".into()));
    let sides = &said["diagnostic"]["snippet"]["test_assertion_expr"];
    assert_eq!(sides, &serde_json::json!({ "lhs": "\"x\"", "rhs": "\"y\"" }));
    let xml = folder.text("out.xml");
    for part in
        ["tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\"", "<failure message=\"not y\">", "name=\"good\""]
    {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
}

#[test]
fn a_filter_that_fits_nothing_is_said() {
    let output = folder("run \"a\" {}\n").run(&["test", "-filter=other.meshtest.hcl"]).expect(0, "nothing to run");
    assert!(output.text().contains("No such test file") && output.text().contains("0 passed, 0 failed"), "{output:?}");
}

#[test]
fn ctrl_c_destroys_what_was_made() {
    // It takes connections and says nothing: what waits for an answer waits.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let folder = Folder::new("resource \"local_file\" \"a\" {\n  filename = \"a.txt\"\n  content  = \"x\"\n}\n");
    std::fs::create_dir(folder.path().join("ask")).expect("a folder");
    let ask = format!(
        "provider \"vault\" {{\n  address = \"http://{address}\"\n  token   = \"t\"\n}}\ndata \"vault_health\" \"h\" {{}}\n"
    );
    std::fs::write(folder.path().join("ask/main.mesh.hcl"), ask).expect("writes");
    let test = "run \"made\" {}\nrun \"waits\" {\n  module { source = \"./ask\" }\n}\nrun \"later\" {}\n";
    std::fs::write(folder.path().join("a.meshtest.hcl"), test).expect("writes");
    let mut child = command(folder.path(), &["test"], &BTreeMap::new())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mesh runs");
    let _asked = listener.accept().expect("somebody asks");
    assert!(folder.path().join("a.txt").exists());
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let mut waited = 0;
    while child.try_wait().expect("is waited for").is_none() {
        waited += 1;
        assert!(waited < 600, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["run \"made\"... pass", "run \"waits\"... fail", "run \"later\"... skip", "Interrupted"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!folder.path().join("a.txt").exists(), "{text}");
}
