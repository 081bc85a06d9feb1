//! The binary in daily use without a server: modules, saved plans, gates, locks, and runs that are
//! killed again and again.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::site::Folder;

const VERSIONED: &str = r#"
variable "v" {}
resource "local_file" "f" {
  filename = "f.txt"
  content  = "v=${var.v}"
}
output "v" { value = var.v }
"#;

#[test]
fn a_saved_plan_keeps_its_configuration_and_values_and_is_not_replayed() {
    let folder = Folder::new(VERSIONED);
    folder.run(&["plan", "-var", "v=1", "-out", "p1"]).expect(0, "a saved plan");
    std::fs::write(folder.path().join("main.mesh.hcl"), VERSIONED.replace("v=$", "w=$")).expect("writes");
    let refused = folder.run(&["apply", "-var", "v=9", "p1"]);
    assert!(refused.code == 1 && refused.text().contains("has its variables already"), "{}", refused.text());
    folder.run(&["apply", "p1"]).expect(0, "its own configuration and values");
    assert_eq!(folder.text("f.txt"), "v=1");
    folder.run(&["apply", "p1"]).expect(0, "it is done: there is nothing to do");
    std::fs::write(folder.path().join("f.txt"), "foreign").expect("writes");
    let done = folder.run(&["apply", "p1"]);
    assert!(done.code == 1 && done.text().contains("the plan said create, now it would be update"), "{}", done.text());
    folder.run(&["apply", "-auto-approve", "-var", "v=2"]).expect(0, "another run");
    let stale = folder.run(&["apply", "p1"]);
    assert!(stale.code == 1 && stale.text().contains("another run"), "{}", stale.text());
    assert_eq!(folder.text("f.txt"), "w=2");
}

#[test]
fn a_plan_of_another_state_is_refused_and_makes_nothing() {
    let folder = Folder::new(VERSIONED);
    folder.run(&["plan", "-var", "v=1", "-out", "p1"]).expect(0, "a saved plan");
    let other = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.path().join("p1"), other.path().join("p1")).expect("copies");
    let refused = crate::site::mesh(other.path(), &["apply", "p1"], &std::collections::BTreeMap::new());
    assert!(refused.code == 1 && refused.text().contains("belongs to another state"), "{}", refused.text());
    assert_eq!(std::fs::read_dir(other.path()).expect("a folder").count(), 1, "no key, no state");
}

#[test]
fn a_saved_plan_brings_the_files_along_that_functions_read() {
    let folder = Folder::new(
        "resource \"local_file\" \"f\" {\n  filename = \"out.txt\"\n  content  = join(\" \", concat([file(\"in.txt\"), templatefile(\"t.tpl\", { a = 1 }), \
         filesha256(\"in.txt\"), tostring(fileexists(\"in.txt\"))], tolist(fileset(\".\", \"*.t??\"))))\n}\n",
    );
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
    put("in.txt", "canary-4711");
    put("t.tpl", "<${a}>");
    folder.run(&["plan", "-out", "p1"]).expect(0, "a saved plan");
    let bytes = std::fs::read(folder.path().join("p1")).expect("a plan file");
    assert!(!bytes.windows(6).any(|w| w == b"canary"), "it is sealed");
    put("in.txt", "other");
    let changed = folder.run(&["apply", "p1"]);
    assert!(changed.code == 1 && changed.text().contains("local_file.f: the new values differ"), "{}", changed.text());
    for name in ["in.txt", "t.tpl", "main.mesh.hcl"] {
        std::fs::remove_file(folder.path().join(name)).expect("is there");
    }
    folder.run(&["apply", "p1"]).expect(0, "what it needs is in it");
    let text = folder.text("out.txt");
    assert!(text.starts_with("canary-4711 <1> ") && text.ends_with(" true in.txt t.tpl"), "{text}");
}

#[test]
fn a_saved_plan_sees_the_file_that_its_gate_waited_for() {
    let folder = Folder::new(
        "resource \"mesh_gate\" \"g\" {\n  waiting_for = \"signed.txt\"\n  open_when   = fileexists(\"signed.txt\")\n  value       = try(file(\"signed.txt\"), null)\n}\n\
         resource \"local_file\" \"f\" {\n  filename = \"out.txt\"\n  content  = mesh_gate.g.output\n}\n",
    );
    folder.run(&["plan", "-out", "p1"]).expect(0, "a saved plan");
    folder.run(&["apply", "p1"]).expect(3, "the gate is closed");
    std::fs::write(folder.path().join("signed.txt"), "signed").expect("writes");
    folder.run(&["apply", "p1"]).expect(0, "the same command goes on");
    assert_eq!(folder.text("out.txt"), "signed");
}

#[test]
fn an_apply_waits_for_a_gate_that_is_polled_as_long_as_it_says() {
    let folder = Folder::new(
        "variable \"timeout\" {}\nresource \"mesh_gate\" \"g\" {\n  waiting_for = \"signed.txt\"\n  open_when   = fileexists(\"signed.txt\")\n  poll {\n    timeout  = var.timeout\n    \
         interval = \"1s\"\n  }\n}\nresource \"local_file\" \"f\" {\n  filename = \"out.txt\"\n  content  = mesh_gate.g.waiting_for\n}\n",
    );
    let over = folder.run(&["apply", "-auto-approve", "-var=timeout=3s"]).expect(3, "the time is over");
    let said = over.text().matches("Waiting for signed.txt [").count();
    assert!((1..=3).contains(&said) && !folder.path().join("out.txt").exists(), "{}", over.text());
    let file = folder.path().join("signed.txt");
    let later = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        std::fs::write(file, "signed")
    });
    folder.run(&["apply", "-auto-approve", "-var=timeout=5m"]).expect(0, "it opens meanwhile");
    later.join().expect("ends").expect("writes");
    assert_eq!(folder.text("out.txt"), "signed.txt");
}

#[test]
fn outputs_that_are_secret_or_gone_are_said_to_be() {
    let folder = Folder::new(
        "variable \"s\" {\n  default   = \"canary-77\"\n  sensitive = true\n}\noutput \"s\" {\n  value     = var.s\n  sensitive = true\n}\noutput \"a\" { value = 1 }\n",
    );
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    folder.run(&["plan", "-detailed-exitcode"]).expect(0, "the second plan is empty");
    let secret = folder.run(&["output", "-raw", "s"]);
    assert!(secret.code == 1 && secret.text().contains("only a fingerprint"), "{}", secret.text());
    let json = folder.run(&["output", "-json"]).expect(0, "output").stdout;
    assert!(json.contains("\"withheld\": true") && !json.contains("canary"), "{json}");
    std::fs::write(folder.path().join("main.mesh.hcl"), "output \"a\" { value = 1 }\n").expect("writes");
    folder.run(&["plan", "-detailed-exitcode"]).expect(2, "an output goes");
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    assert_eq!(folder.run(&["output"]).expect(0, "output").stdout, "a = 1\n");
}

#[test]
fn an_apply_that_waits_at_a_gate_ends_even_when_something_changes_with_every_plan() {
    let folder = Folder::new(
        "resource \"terraform_data\" \"now\" { input = timestamp() }\nresource \"mesh_gate\" \"g\" {\n  waiting_for  = \"it\"\n  instructions = \"wait\"\n  open_when    = false\n}\n",
    );
    let waiting = folder.run(&["apply", "-auto-approve"]).expect(3, "waits");
    assert!(waiting.stdout.contains("1 added, 0 changed"), "{}", waiting.stdout);
}

#[test]
fn a_data_source_that_waits_is_shown_as_one() {
    let folder = Folder::new(
        "resource \"terraform_data\" \"t\" { input = 1 }\ndata \"local_file\" \"d\" {\n  count = length(terraform_data.t.id) > 0 ? 1 : 0\n  path  = \"x\"\n}\n",
    );
    let plan = folder.run(&["plan"]).expect(0, "plan").stdout;
    assert!(plan.contains("data \"local_file\" \"d\" {") && !plan.contains("resource \"local_file\""), "{plan}");
}

#[test]
fn unlock_wants_the_lock_that_is_there() {
    let folder = Folder::new(VERSIONED);
    let none = folder.run(&["unlock", "-force", "4711"]);
    assert!(none.code == 1 && none.text().contains("not locked"), "{}", none.text());
}

const MANY: &str = r#"
variable "v" {}
variable "n" {}
resource "local_file" "f" {
  count    = var.n
  filename = "out/f${count.index}.txt"
  content  = "v=${var.v}"
}
resource "terraform_data" "t" {
  count            = var.n
  input            = local_file.f[count.index].filename
  triggers_replace = var.v
}
resource "local_file" "r" {
  for_each = toset([for i in range(var.n / 2) : "k${i}"])
  filename = "out/${each.key}-${var.v}.txt"
  content  = terraform_data.t[0].id
  lifecycle { create_before_destroy = true }
}
"#;

#[test]
fn killed_again_and_again_the_same_command_finishes() {
    let folder = Folder::new(MANY);
    let binary = env!("CARGO_BIN_EXE_mesh");
    for (round, (v, n)) in [(1, 80), (2, 80), (3, 30), (3, 90), (4, 0)].into_iter().enumerate() {
        let (v, n) = (format!("v={v}"), n);
        let count = format!("n={n}");
        let arguments = ["apply", "-auto-approve", "-input=false", "-var", &v, "-var", &count];
        for attempt in 0..4_u64 {
            let mut child = Command::new(binary)
                .args(arguments)
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts");
            std::thread::sleep(Duration::from_millis(25 + 40 * attempt + 7 * round as u64));
            let _ = child.kill();
            child.wait().expect("ends");
        }
        folder.run(&arguments).expect(0, "the same command finishes");
        folder.run(&["plan", "-detailed-exitcode", "-var", &v, "-var", &count]).expect(0, "the second plan is empty");
        let there: BTreeSet<String> = std::fs::read_dir(folder.path().join("out"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        let version = &v[2..];
        let want: BTreeSet<String> =
            (0..n).map(|i| format!("f{i}.txt")).chain((0..n / 2).map(|i| format!("k{i}-{version}.txt"))).collect();
        assert_eq!(there, want, "no orphan, nothing missing");
        let known = folder.run(&["state", "list"]).expect(0, "state list").stdout;
        assert_eq!(known.lines().count(), n * 2 + n / 2, "{known}");
        assert!(!known.contains("deposed"), "{known}");
    }
}

#[test]
fn files_are_looked_up_in_the_folder_that_chdir_names() {
    let folder = Folder::new("");
    std::fs::create_dir_all(folder.path().join("site/parts")).expect("a folder");
    std::fs::write(folder.path().join("beside.txt"), "beside").expect("writes");
    std::fs::write(folder.path().join("site/parts/a.tftpl"), "${x}!").expect("writes");
    let text = "output \"o\" {\n  value = [\n    file(\"${path.module}/../beside.txt\"),\n    fileexists(\"../beside.txt\"),\n    fileset(\"parts\", \"*\"),\n    \
                templatefile(\"parts/a.tftpl\", { x = 1 }),\n    abspath(\"q\") == \"${path.cwd}/site/q\",\n  ]\n}\n";
    std::fs::write(folder.path().join("site/main.mesh.hcl"), text).expect("writes");
    folder.run(&["-chdir=site", "apply", "-auto-approve"]).expect(0, "apply");
    let said = folder.run(&["-chdir=site", "output", "-json", "o"]).expect(0, "output").stdout;
    assert_eq!(said.trim(), "[\"beside\",true,[\"a.tftpl\"],\"1!\",true]");
}
