//! The history of a state: what it tells, how it leads back, how much of it is kept.

use serde_json::Value as Json;

use super::applied;
use crate::site::Folder;

#[test]
fn the_history_tells_who_did_what_and_leads_back() {
    let folder = applied();
    folder.run(&["state", "rm", "terraform_data.b[0]"]).expect(0, "rm");
    folder.run(&["taint", "terraform_data.a"]).expect(0, "taint");
    let shown = folder.run(&["state", "history"]).expect(0, "history").stdout;
    assert!(
        shown.starts_with("3 (current)  ") && shown.contains("\n  mesh taint terraform_data.a: 1 edited in state\n"),
        "{shown}"
    );
    let json: Json =
        serde_json::from_str(&folder.run(&["state", "history", "-json"]).expect(0, "JSON").stdout).expect("JSON");
    let serials = json["serials"].as_array().expect("a list");
    assert_eq!(serials.iter().map(|s| s["serial"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!((&serials[0]["command"], &serials[0]["summary"]["add"]), (&"mesh apply".into(), &8.into()));
    assert_eq!(
        (&serials[1]["command"], &serials[1]["summary"]["edited"]),
        (&"mesh state rm terraform_data.b[0]".into(), &1.into())
    );
    assert!(serials[0]["digest"].is_string() && serials[1]["digest"].is_null() && serials[2]["current"] == true);

    let asked = folder.run(&["state", "rollback", "1"]).expect(1, "nobody to ask");
    for part in [
        "  # terraform_data.b[0]: added\n",
        "  # terraform_data.a: changed\n  # (tainted: true -> false)\n",
        "1 added, 1 changed, 0 removed.",
        "What is added is known again, whether its object is still there or not.\n",
    ] {
        assert!(asked.stdout.contains(part), "{part}: {}", asked.stdout);
    }
    assert!(asked.stdout.ends_with("Only state changes: no object is made, changed or deleted.\n"), "{}", asked.stdout);
    assert_eq!(folder.run(&["state", "list", "terraform_data.b"]).stdout, "terraform_data.b[1]\n");
    folder.run(&["state", "rollback", "9", "-auto-approve"]).expect(1, "no such serial");
    folder.run(&["state", "rollback", "-auto-approve", "1"]).expect(0, "rollback");
    let plan = folder.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.text());
    let again = folder.run(&["state", "rollback", "-auto-approve", "1"]).expect(0, "nothing to do");
    assert!(again.stdout.contains("already"), "{}", again.stdout);
    folder.run(&["state", "rollback", "-auto-approve", "3"]).expect(0, "a rollback can be rolled back");
    assert_eq!(folder.run(&["state", "list", "terraform_data.b"]).stdout, "terraform_data.b[1]\n");
}

#[test]
fn as_much_history_is_kept_as_is_said() {
    let spec = |history: &str| {
        format!(
            "mesh {{\n  history {{\n    {history}\n  }}\n}}\nvariable \"v\" {{}}\nresource \"terraform_data\" \"t\" {{ input = var.v }}\n"
        )
    };
    let folder = Folder::new(&spec("serials = 3"));
    for n in 0..5 {
        folder.run(&["apply", "-auto-approve", &format!("-var=v={n}")]).expect(0, "apply");
    }
    let serials = |folder: &Folder| {
        let json: Json = serde_json::from_str(&folder.run(&["state", "history", "-json"]).expect(0, "history").stdout)
            .expect("is JSON");
        let rows = json["serials"].as_array().expect("serials").clone();
        rows.iter().map(|row| row["serial"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(serials(&folder), [3, 4, 5]);
    let write = |history: &str| std::fs::write(folder.path().join("main.mesh.hcl"), spec(history)).expect("writes");
    write("bytes = 1");
    folder.run(&["apply", "-auto-approve", "-var=v=9"]).expect(0, "apply");
    assert_eq!(serials(&folder), [5, 6], "the two newest always are");
    for (bad, part) in [
        ("serials = 0", "from 1 on"),
        ("serials = 1.5", "from 1 on"),
        ("serial = 1", "\"serial\" is not expected"),
        ("serials = terraform_data.t.id", "variables only"),
    ] {
        write(bad);
        let refused = folder.run(&["plan", "-var=v=9"]).expect(1, bad).text();
        assert!(refused.contains(part) && refused.contains("main.mesh.hcl:3"), "{bad}: {refused}");
    }
}
