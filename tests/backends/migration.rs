//! A state goes from backend to backend and back, with its workspaces, keys and secrets; and what is not the state that
//! was seen last is noticed.

use std::collections::BTreeMap;

use super::{http, kubernetes, postgres, s3};
use crate::site::{Folder, Output, mesh};

const SPEC: &str = r#"
variable "phrase" { sensitive = true }
resource "local_file" "f" {
  filename = "${mesh.workspace}.txt"
  content  = "x"
}
resource "terraform_data" "t" {
  input = var.phrase
}
output "o" {
  value     = var.phrase
  sensitive = true
}
"#;

const SEALED: &str =
    "  encryption {\n    recipient \"passphrase\" \"p\" {\n      passphrase = var.phrase\n    }\n  }\n}\n";

fn words(output: &Output) -> String {
    output.text().split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "")
}

fn moves(encrypted: bool) {
    let folder = Folder::new("");
    let mut env = BTreeMap::from([("MESH_VAR_phrase".to_owned(), "canary canary canary".to_owned())]);
    let write = |block: &str| {
        let block =
            if encrypted { block.replacen("  }\n}\n", &format!("  }}\n{SEALED}"), 1) } else { block.to_owned() };
        std::fs::write(folder.path().join("main.mesh.hcl"), format!("{block}{SPEC}")).expect("writes");
    };
    let local = "mesh {\n  backend \"local\" {\n    path = \"mesh.state\"\n  }\n}\n";
    let mut places = vec![s3(), postgres()];
    if !encrypted {
        // Opening sealed keys takes its time, and once through a store says what there is to say.
        places.push(kubernetes());
    }
    for place in &places {
        env.extend(place.direct.clone());
    }
    // What is sensitive in a place that is left comes from the environment.
    let connection = env["MESH_VAR_connection"].clone();
    env.insert("DATABASE_URL".into(), connection);
    let run = |arguments: &[&str]| mesh(folder.path(), arguments, &env);
    write(local);
    run(&["apply", "-auto-approve"]).expect(0, "apply");
    run(&["workspace", "new", "eu"]).expect(0, "new");
    run(&["apply", "-auto-approve"]).expect(0, "apply");
    run(&["workspace", "select", "default"]).expect(0, "select");
    let blocks: Vec<&str> = places.iter().map(|p| p.block.as_str()).chain([local]).collect();
    for (at, block) in blocks.iter().enumerate() {
        if at == places.len() {
            // It comes back to where it was: what lies there is moved away first.
            for place in [folder.path().to_owned(), folder.path().join("mesh.state.d/eu")] {
                for name in ["mesh.state", "mesh.state.history", "mesh.state.lock"] {
                    std::fs::rename(place.join(name), place.join(format!("old-{name}"))).expect("moves");
                }
                if encrypted {
                    std::fs::remove_file(place.join("mesh.state.key")).expect("removes");
                }
            }
        }
        write(block);
        let unseen = words(&run(&["plan"]).expect(1, "the state is not there"));
        assert!(unseen.contains("there is none now") && unseen.contains("-migrate-state"), "{unseen}");
        let due = words(&run(&["init"]).expect(1, "it is said"));
        assert!(due.contains("The backend was changed"), "{due}");
        let asked = words(&run(&["init", "-migrate-state"]).expect(1, "nobody can be asked"));
        assert!(asked.contains("-force-copy"), "{asked}");
        let done = words(&run(&["init", "-force-copy"]).expect(0, "copied"));
        assert!(done.contains("default (serial 1, 2 objects)") && done.contains("eu (serial 2, 2 objects)"), "{done}");
        run(&["plan", "-detailed-exitcode"]).expect(0, "everything is known there");
        if encrypted {
            assert_eq!(run(&["output", "-raw", "o"]).expect(0, "sealed there").stdout, "canary canary canary");
        }
        run(&["workspace", "select", "eu"]).expect(0, "select");
        run(&["plan", "-detailed-exitcode"]).expect(0, "everything is known there");
        run(&["workspace", "select", "default"]).expect(0, "select");
        let again = words(&run(&["init", "-migrate-state"]).expect(0, "again"));
        assert!(again.contains("there is nothing to migrate"), "{again}");
    }
    let wrong = folder.path().join(".mesh/seen.json");
    let seen = std::fs::read_to_string(wrong).expect("remembers");
    assert!(!seen.contains("canary") && !seen.contains("postgres"), "{seen}");
}

#[test]
fn a_state_goes_through_all_backends_with_its_key() {
    moves(false);
}

#[test]
fn a_state_goes_through_all_backends_with_sealed_keys() {
    moves(true);
}

/// Whole states behind the http protocol come and go as well, one for each address.
fn through_http(encrypted: bool) {
    let (server, store, folder) = (http(), s3(), Folder::new(""));
    let write = |block: &str| {
        let block =
            if encrypted { block.replacen("  }\n}\n", &format!("  }}\n{SEALED}"), 1) } else { block.to_owned() };
        std::fs::write(folder.path().join("main.mesh.hcl"), format!("{block}{SPEC}")).expect("writes");
    };
    let mut env = BTreeMap::from([("MESH_VAR_phrase".to_owned(), "canary canary canary".to_owned())]);
    env.extend(store.direct.clone());
    env.extend(server.direct.clone());
    let run = |arguments: &[&str]| mesh(folder.path(), arguments, &env);
    write("mesh {\n  backend \"local\" {\n    path = \"mesh.state\"\n  }\n}\n");
    run(&["apply", "-auto-approve"]).expect(0, "apply");
    run(&["workspace", "new", "eu"]).expect(0, "new");
    run(&["workspace", "select", "default"]).expect(0, "select");
    write(&server.block);
    let one = words(&run(&["init", "-force-copy"]).expect(1, "two states do not go to one address"));
    assert!(one.contains("there is no workspace \"eu\" here"), "{one}");
    std::fs::remove_dir_all(folder.path().join("mesh.state.d")).expect("removes");
    for block in [&server.block, &store.block] {
        write(block);
        run(&["init", "-force-copy"]).expect(0, "copied");
        run(&["plan", "-detailed-exitcode"]).expect(0, "everything is known there");
        run(&["apply", "-auto-approve"]).expect(0, "nothing to do");
        if encrypted {
            assert_eq!(run(&["output", "-raw", "o"]).expect(0, "sealed there").stdout, "canary canary canary");
        }
    }
}

#[test]
fn a_state_goes_over_http_with_its_key() {
    through_http(false);
}

#[test]
fn a_state_goes_over_http_with_sealed_keys() {
    through_http(true);
}

#[test]
fn what_is_open_or_taken_is_not_migrated() {
    let folder = Folder::new(
        "mesh {\n  backend \"local\" {\n    path = \"a.state\"\n  }\n}\nresource \"terraform_data\" \"t\" {}\n",
    );
    let run = |arguments: &[&str]| mesh(folder.path(), arguments, &BTreeMap::new());
    let write = |file: &str, rest: &str| {
        let block = format!("mesh {{\n  backend \"local\" {{\n    path = \"{file}\"\n  }}\n}}\n{rest}");
        std::fs::write(folder.path().join("main.mesh.hcl"), block).expect("writes");
    };
    let fails = "resource \"terraform_data\" \"t\" {}\nresource \"local_file\" \"f\" {\n  filename = \"/proc/no\"\n  content  = \"x\"\n}\n";
    write("a.state", fails);
    run(&["apply", "-auto-approve"]).expect(1, "one of two fails");
    write("b.state", fails);
    let unfinished = words(&run(&["init", "-force-copy"]).expect(1, "not finished"));
    assert!(unfinished.contains("an apply is not finished"), "{unfinished}");
    assert!(!folder.path().join("b.state").exists());
    write("a.state", "resource \"terraform_data\" \"t\" {}\n");
    run(&["apply", "-auto-approve"]).expect(0, "finished");
    write("b.state", "resource \"terraform_data\" \"t\" {}\n");
    run(&["init", "-reconfigure"]).expect(0, "a new stack begins");
    run(&["apply", "-auto-approve"]).expect(0, "apply");
    write("a.state", "resource \"terraform_data\" \"t\" {}\n");
    let taken = words(&run(&["init", "-force-copy"]).expect(1, "there is another one"));
    assert!(taken.contains("there is a state in the local file a.state already"), "{taken}");
    run(&["plan", "-detailed-exitcode"]).expect(1, "it is still noticed");
    run(&["init", "-reconfigure"]).expect(0, "accepted");
    run(&["plan", "-detailed-exitcode"]).expect(0, "as it is");
}

#[test]
fn an_older_state_is_noticed_and_accepted_only_when_it_is_said() {
    let spec = "variable \"n\" {}\nresource \"terraform_data\" \"t\" {\n  count = var.n\n}\n";
    let folder = Folder::new(spec);
    let run = |arguments: &[&str]| mesh(folder.path(), arguments, &BTreeMap::new());
    let files = ["mesh.state", "mesh.state.lock"];
    run(&["apply", "-auto-approve", "-var=n=1"]).expect(0, "one");
    for name in files {
        std::fs::copy(folder.path().join(name), folder.path().join(format!("old-{name}"))).expect("copies");
    }
    run(&["apply", "-auto-approve", "-var=n=2"]).expect(0, "two");
    for name in files {
        std::fs::copy(folder.path().join(format!("old-{name}")), folder.path().join(name)).expect("copies");
    }
    for command in [&["plan", "-var=n=2"][..], &["apply", "-auto-approve", "-var=n=2"]] {
        let older = words(&run(command).expect(1, "older"));
        assert!(older.contains("it has serial 1, and this machine has seen serial 2"), "{older}");
    }
    run(&["state", "history"]).expect(0, "who looks for the right one is not stopped");
    run(&["init", "-reconfigure", "-var=n=2"]).expect(0, "accepted");
    run(&["plan", "-detailed-exitcode", "-var=n=2"]).expect(2, "from the older one");
}
