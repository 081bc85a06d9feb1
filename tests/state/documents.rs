//! A state as a document: pulled, pushed, taken to another place, and never with a secret in it.

use super::{applied, copy};
use crate::site::Folder;

#[test]
fn a_document_is_pushed_whole_or_not_at_all() {
    let folder = applied();
    let file = folder.path().join("pulled");
    let pull = || folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    let push = |text: &str, flags: &[&str]| {
        std::fs::write(&file, text).expect("writes");
        folder.run(&[&["state", "push"], flags, &["pulled"]].concat())
    };
    let first = pull();
    assert_eq!(push(&first, &[]).expect(0, "the same").stdout, "State is what the document says already.\n");
    folder.run(&["state", "rm", "terraform_data.a"]).expect(0, "rm");
    let older = push(&first, &[]).expect(1, "older");
    assert!(older.stderr.contains("The state is newer than the document"), "{}", older.stderr);
    assert!(push(&first, &["-force"]).expect(0, "forced").stdout.contains("as serial 3."));
    let edited = |text: &str| {
        let (content, _) = text.trim_end().rsplit_once('\n').expect("lines");
        format!("{content}\n{{\"sha256\":\"edited\"}}\n")
    };
    let now = pull();
    let without: String = now.lines().filter(|l| !l.contains("terraform_data.k[")).map(|l| format!("{l}\n")).collect();
    let newer = edited(&without.replace("\"serial\":3", "\"serial\":30"));
    let other = edited(&now.replacen("\"lineage\":\"", "\"lineage\":\"0", 1));
    let broken = edited(&now.replacen("terraform_data.k", "terraform data.k", 1));
    let refused: [(&str, &[&str]); 5] = [
        (&other, &[]),
        (&broken, &["-force"]),
        (&now[..now.len() - 4], &["-force"]),
        (&now.replacen("terraform_data.a", "terraform_data.c", 1), &["-force"]),
        ("{}", &["-force"]),
    ];
    for (text, flags) in refused {
        push(text, flags).expect(1, text);
        assert_eq!(pull(), now, "a refused document changed the state");
    }
    folder.run(&["state", "push", "no-such-file"]).expect(1, "no file");
    assert!(push(&newer, &[]).expect(0, "newer").stdout.contains("as serial 30."));
    assert_eq!(folder.run(&["state", "list", "terraform_data.k"]).code, 1);
    assert!(push(&other, &["-force"]).expect(0, "forced").stdout.contains("as serial 31."));
    let plan = folder.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());
}

#[test]
fn no_secret_leaves_state_or_comes_into_it() {
    let secret = "canary-4711-secret";
    let text = format!(
        "resource \"local_file\" \"p\" {{\n  filename = \"f\"\n  sensitive_content = \"{secret}\"\n}}\nresource \"terraform_data\" \"d\" {{\n  input = sensitive(\"{secret}\")\n}}\n"
    );
    let folder = Folder::new(&text);
    folder.run(&["apply", "-auto-approve"]).expect(0, "apply");
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    assert!(!pulled.contains(secret) && pulled.contains("withheld"), "{pulled}");
    let at = pulled.find("\"sensitive_content\":{").expect("a withheld result");
    // Behind the brace that closes the value.
    let mut depth = 0;
    let end = pulled[at..].find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == '}' && depth == 0
    });
    let end = at + end.expect("an end");
    let (content, _) = pulled.trim_end().rsplit_once('\n').expect("lines");
    let clear = format!(
        "{}\"sensitive_content\":\"{secret}\"{}\n{{\"sha256\":\"edited\"}}\n",
        &content[..at],
        &content[end + 1..]
    );
    std::fs::write(folder.path().join("clear"), clear).expect("writes");
    let refused = folder.run(&["state", "push", "-force", "clear"]).expect(1, "a secret in clear");
    assert!(refused.stderr.contains("local_file.p holds sensitive_content"), "{}", refused.stderr);
    assert!(!refused.text().contains(secret));
    assert_eq!(folder.run(&["state", "pull"]).stdout, pulled);
}

#[test]
fn a_state_moves_to_another_place_with_its_key() {
    let folder = applied();
    let pulled = folder.run(&["state", "pull"]).expect(0, "pull").stdout;
    for (with_key, code) in [(false, 1), (true, 0)] {
        let place = tempfile::tempdir().expect("a folder");
        copy(folder.path(), place.path());
        for name in ["mesh.state", "mesh.state.key"] {
            if name != "mesh.state.key" || !with_key {
                std::fs::remove_file(place.path().join(name)).expect("removes");
            }
        }
        std::fs::remove_dir_all(place.path().join("mesh.state.history")).expect("removes");
        std::fs::write(place.path().join("pulled"), &pulled).expect("writes");
        let run = |arguments: &[&str]| crate::site::mesh(place.path(), arguments, &std::collections::BTreeMap::new());
        let pushed = run(&["state", "push", "pulled"]).expect(code, "push");
        if with_key {
            run(&["plan", "-detailed-exitcode"]).expect(0, "everything is known there");
        } else {
            assert!(pushed.stderr.contains("copy its key"), "{}", pushed.stderr);
            assert!(run(&["state", "list"]).stdout.is_empty());
        }
    }
}
