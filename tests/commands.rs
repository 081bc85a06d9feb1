//! The commands about the language itself, and those that only read: what they answer and how they end.
//!
//! The one decision: each case runs in `mesh`, and where `terraform` is there also in `terraform`, whose
//! answer must be the same; so nothing here is a recollection of what it does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::site::{Folder, Output, terraform};

/// A program in a folder, without any variable of the environment but a home.
pub(crate) fn run(program: &Path, folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        // Where the field finds diff.
        .env("PATH", "/usr/bin:/bin")
        .env("NO_COLOR", "1")
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // A program that needs no input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn mesh() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mesh"))
}

/// A folder whose configuration both programs read.
fn both(text: &str) -> Folder {
    let folder = Folder::new(text);
    std::fs::write(folder.path().join("main.tf"), text).expect("writes");
    folder
}

#[test]
fn explain_shows_types_blocks_and_paths() {
    let folder = Folder::new("");
    let policy = folder.run(&["explain", "vault_policy"]).expect(0, "a type").stdout;
    assert!(policy.starts_with("KIND:      resource\nNAME:      vault_policy\nPROVIDER:  vault\n"), "{policy}");
    assert!(policy.contains("  name <string> -required- (forces replacement)\n"), "{policy}");
    let json: Json = serde_json::from_str(&folder.run(&["explain", "-json", "vault_policy"]).expect(0, "JSON").stdout)
        .expect("is JSON");
    assert_eq!(json["block"]["attributes"]["policy"]["required"], true);
    let all = folder.run(&["explain"]).expect(0, "all").stdout;
    for name in ["  kubernetes_manifest ", "  data.local_file ", "  lifecycle ", "vault: Manages Vault"] {
        assert!(all.contains(name), "{name} is not in\n{all}");
    }
    assert!(all.lines().all(|l| l.chars().count() <= 100), "{all}");
    let wrong = folder.run(&["explain", "vault_polcy"]).expect(1, "a name that is none");
    assert!(wrong.stderr.contains("Did you mean \"vault_policy\"?"), "{}", wrong.stderr);
    for (shell, word) in [("bash", "explain"), ("zsh", "functions"), ("fish", "explain")] {
        assert!(folder.run(&["completion", shell]).expect(0, shell).stdout.contains(word), "{shell}");
    }
}

#[test]
fn functions_have_the_signatures_of_terraform() {
    let folder = Folder::new("");
    let unknown = folder.run(&["functions", "cidrhots"]).expect(1, "a name that is none");
    assert!(unknown.stderr.contains("Did you mean \"cidrhost\"?"), "{}", unknown.stderr);
    let Some(terraform) = terraform() else { return };
    let signatures = |output: Output| -> Json {
        let json: Json = serde_json::from_str(&output.expect(0, "JSON").stdout).expect("is JSON");
        assert_eq!(json["format_version"], "1.0");
        json["function_signatures"].clone()
    };
    let mut theirs = signatures(run(&terraform, folder.path(), &["metadata", "functions", "-json"], ""));
    let mut ours = signatures(folder.run(&["functions", "-json"]));
    for (name, theirs) in theirs.as_object_mut().expect("an object") {
        let ours = ours[name].as_object_mut().unwrap_or_else(|| panic!("{name} is missing"));
        let theirs = theirs.as_object_mut().expect("an object");
        // Where theirs depends on the arguments, ours may say more.
        if theirs["return_type"] == "dynamic" || ["contains", "core::contains"].contains(&name.as_str()) {
            ours.insert("return_type".into(), "dynamic".into());
        }
        // It makes no text of its template, as the real one, which says otherwise.
        if name.ends_with("templatestring") {
            theirs.clone_from(ours);
        }
        for side in [&mut *ours, &mut *theirs] {
            side.remove("description");
            for parameter in side.values_mut().flat_map(|v| match v {
                Json::Array(items) => items.iter_mut().collect::<Vec<_>>(),
                other => vec![other],
            }) {
                if let Some(parameter) = parameter.as_object_mut() {
                    parameter.remove("description");
                }
            }
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn schemas_have_the_shape_of_terraforms() {
    let folder = both("resource \"terraform_data\" \"x\" {}\n");
    let schemas = |program: &Path| -> Json {
        let output = run(program, folder.path(), &["providers", "schema", "-json"], "").expect(0, "schemas");
        let json: Json = serde_json::from_str(&output.stdout).expect("JSON");
        assert_eq!(json["format_version"], "1.0");
        json["provider_schemas"].clone()
    };
    let ours = schemas(&mesh());
    for (provider, kind, ty) in [
        ("vault", "resource_schemas", "vault_policy"),
        ("builtin", "data_source_schemas", "local_file"),
        ("vault", "ephemeral_resource_schemas", "vault_token"),
    ] {
        assert!(ours[provider][kind][ty]["block"]["attributes"].is_object(), "{provider} {kind} {ty}");
    }
    assert_eq!(ours["vault"]["provider"]["block"]["attributes"]["token"]["sensitive"], true);
    let Some(terraform) = terraform() else { return };
    run(&terraform, folder.path(), &["init"], "").expect(0, "prepares");
    let theirs = &schemas(&terraform)["terraform.io/builtin/terraform"]["resource_schemas"]["terraform_data"];
    let ours = &ours["builtin"]["resource_schemas"]["terraform_data"];
    assert_eq!(ours["version"], theirs["version"]);
    for (name, attribute) in theirs["block"]["attributes"].as_object().expect("attributes") {
        for field in ["type", "required", "optional", "computed", "sensitive"] {
            assert_eq!(ours["block"]["attributes"][name][field], attribute[field], "{name}.{field}");
        }
    }
}

const VALUES: &str = r#"
variable "a" { default = "hey" }
variable "s" {
  default   = "hush"
  sensitive = true
}
locals { l = [1, 2] }
resource "terraform_data" "t" { input = 1 }
"#;

#[test]
fn a_piped_console_ends_as_terraform_does() {
    let cases = [
        ("", 0, "\n"),
        ("# c\n", 1, ""),
        ("1 # c\n", 0, "1\n"),
        ("/* x */ 1\n", 0, "1\n"),
        ("1\nexit\n2\n", 0, ""),
        ("exit\nnosuch\n", 0, ""),
        ("1\nquit\n", 1, ""),
        ("1\nvar.nope\n2\n", 1, ""),
        ("var.nope\nexit\n", 1, ""),
        ("  \n  5  ", 0, "5\n"),
        ("\"a\n", 1, ""),
        ("1 +\n2\n", 1, ""),
        ("# [\n4\n", 1, ""),
        ("\"\\\"[\"\n4\n", 0, "4\n"),
        ("var.s\n", 0, "(sensitive value)\n"),
        ("terraform_data.x\n", 1, ""),
        ("type(local.l)\n", 0, "tuple([\n    number,\n    number,\n])\n"),
        ("type(var.s)\n", 0, "string\n"),
        ("(type((1))) # c\n", 0, "number\n"),
        ("type(type(1))\n", 0, "type\n"),
        ("[type(1)]\n", 1, ""),
        ("type(1, 2)\n", 1, ""),
        ("uuid() == uuid()\n", 0, "false\n"),
        ("length(timestamp())\n", 0, "20\n"),
    ];
    let folder = both(VALUES);
    let field = terraform();
    for (input, code, stdout) in cases {
        let ours = run(&mesh(), folder.path(), &["console"], input);
        assert_eq!((ours.code, ours.stdout.as_str()), (code, stdout), "{input:?}\n{}", ours.stderr);
        if let Some(terraform) = &field {
            let theirs = run(terraform, folder.path(), &["console"], input);
            assert_eq!((theirs.code, theirs.stdout.as_str()), (code, stdout), "terraform {input:?}\n{}", theirs.stderr);
        }
    }
    // What is open goes on in the next line here; there each line stands alone.
    for (input, stdout) in
        [("[1,\n2][1]\n", "2\n"), ("chomp(<<EOT\nx\nEOT\n)\n", "\"x\"\n"), ("var.a\n", "\"other\"\n")]
    {
        let ours = run(&mesh(), folder.path(), &["console", "-var", "a=other"], input);
        assert_eq!((ours.code, ours.stdout.as_str()), (0, stdout), "{input:?}\n{}", ours.stderr);
    }
    assert!(!folder.path().join(".local").exists(), "a pipe leaves no history");
}

/// The keys of an object, and the places of its diagnostics with their snippets.
fn shape(output: Output, code: i32) -> (Vec<String>, BTreeMap<String, Json>) {
    let json: Json = serde_json::from_str(&output.expect(code, "validate -json").stdout).expect("is JSON");
    let keys = json.as_object().expect("an object").keys().cloned().collect();
    let mut places = BTreeMap::new();
    for mut d in json["diagnostics"].as_array().expect("a list").clone() {
        let name = d["range"]["filename"].as_str().unwrap_or_default().to_owned();
        d["range"]["filename"] = name.replace(".mesh.hcl", ".tf").into();
        let fields = d.as_object_mut().expect("an object");
        // Words are our own; code and related places are ours alone.
        for own in ["summary", "detail"] {
            assert!(fields.remove(own).is_some_and(|v| v.is_string()), "{own} is there");
        }
        fields.remove("code");
        fields.remove("related");
        places.insert(d["range"]["start"]["byte"].to_string(), d);
    }
    (keys, places)
}

#[test]
fn validate_says_where_as_terraform_does() {
    let Some(terraform) = terraform() else { return };
    let bad = [
        "resource \"terraform_data\" \"x\" {\n  inptu = 1\n}\noutput \"ü\" {\n  value = \"é e\u{301}\" == var.nope\n}\n",
        "variable \"x\" {\n  type = strin\n  bad  = 1\n}\nlocals {\n  a = 1\n  a = 2\n}\n",
        "output \"o\" { value = 1 }\n\noutput \"o\" { value = 2 }\n",
        "locals {\n  a = terraform_data.none.id\n  b = local.zz\n}\n",
        "locals {\n  s = <<-EOT\n    é ${var.gone}\n  EOT\n}\n",
    ];
    for text in bad {
        let folder = both(text);
        run(&terraform, folder.path(), &["init"], "");
        let theirs = shape(run(&terraform, folder.path(), &["validate", "-json"], ""), 1);
        let ours = shape(run(&mesh(), folder.path(), &["validate", "-json"], ""), 1);
        assert_eq!(ours, theirs, "{text}");
    }
    let good = both("output \"o\" { value = 1 }\n");
    let theirs = run(&terraform, good.path(), &["validate", "-json"], "").expect(0, "terraform");
    let ours = run(&mesh(), good.path(), &["validate", "-json"], "").expect(0, "mesh");
    assert_eq!(ours.stdout, theirs.stdout);
}

/// Files that both programs format, each under its own names, and one that neither does.
fn messy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("sub/.hidden")).expect("a folder");
    for name in ["main", "sub/s", "sub/.hidden/h"] {
        for suffix in ["tf", "mesh.hcl"] {
            std::fs::write(folder.path().join(format!("{name}.{suffix}")), "a   = 1\nbb = 2\n").expect("writes");
        }
    }
    for name in ["x.tfvars", "x.meshvars.hcl", "notes.txt", "other.hcl", "j.tf.json", "j.mesh.json"] {
        std::fs::write(folder.path().join(name), "a   = 1\nbb = 2\n").expect("writes");
    }
    for name in ["bad.tf-", "bad.mesh.hcl-"] {
        std::fs::write(folder.path().join(name), "a = {\n").expect("writes");
    }
    folder
}

/// What became of the files with a suffix.
fn files(folder: &Path, tf: bool) -> BTreeMap<String, String> {
    fn walk(folder: &Path, below: &str, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), out);
            } else {
                out.insert(name, std::fs::read_to_string(entry.path()).expect("reads"));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, "", &mut out);
    let own = |name: &str| name.contains(".tf") == tf;
    out.into_iter().filter(|(n, _)| own(n)).map(|(n, t)| (field_name(&n), t)).collect()
}

fn field_name(text: &str) -> String {
    text.replace(".meshvars.hcl", ".tfvars").replace(".mesh.", ".tf.").replace(".tf.hcl", ".tf")
}

#[test]
fn fmt_ends_and_writes_as_terraform_does() {
    const MESSY: &str = "a   = 1\nbb = 2\n";
    let cases: &[(&[&str], &str, i32)] = &[
        (&[], "", 0),
        (&["-recursive"], "", 0),
        (&["-check"], "", 3),
        (&["-check", "-recursive"], "", 3),
        (&["-check", "-diff"], "", 3),
        (&["-diff"], "", 0),
        (&["-write=false"], "", 0),
        (&["-list=false", "-check"], "", 3),
        (&["sub"], "", 0),
        (&["main.mesh.hcl", "sub"], "", 0),
        (&["x.meshvars.hcl"], "", 0),
        (&["nosuch.mesh.hcl"], "", 2),
        (&["notes.txt"], "", 2),
        (&["other.hcl"], "", 2),
        (&["j.mesh.json"], "", 2),
        (&["main.mesh.hcl", "notes.txt"], "", 2),
        (&["-"], MESSY, 0),
        (&["-", "main.mesh.hcl"], MESSY, 0),
        (&["-check", "-"], MESSY, 3),
        (&["-check", "-"], "a = 1\n", 0),
        (&["-diff", "-"], MESSY, 0),
        (&["-"], "a = {\n", 2),
    ];
    let field = terraform();
    for (arguments, input, code) in cases {
        let ours_in = messy();
        let ours = run(&mesh(), ours_in.path(), &[&["fmt"], *arguments].concat(), input);
        assert_eq!(ours.code, *code, "{arguments:?} {input:?}\n{}", ours.text());
        let Some(terraform) = &field else { continue };
        let theirs_in = messy();
        let names: Vec<String> = arguments.iter().map(|a| field_name(a)).collect();
        let names: Vec<&str> = std::iter::once("fmt").chain(names.iter().map(String::as_str)).collect();
        let theirs = run(terraform, theirs_in.path(), &names, input);
        assert_eq!((theirs.code, field_name(&ours.stdout)), (*code, theirs.stdout), "{arguments:?} {input:?}");
        assert_eq!(
            files(ours_in.path(), false).len(),
            files(ours_in.path(), true).len() + 2,
            "notes.txt and other.hcl"
        );
        let mut ours = files(ours_in.path(), false);
        ours.retain(|name, _| !["notes.txt", "other.hcl"].contains(&name.as_str()));
        assert_eq!(ours, files(theirs_in.path(), true), "{arguments:?}");
    }
}

const OUTPUTS: &str = r#"
output "text" { value = "a\"b" }
output "lines" { value = "a\nb" }
output "empty" { value = "" }
output "number" { value = 1.50 }
output "long" { value = 123456789012345678901234567890 }
output "third" { value = 1 / 3 }
output "bool" { value = true }
output "list" { value = tolist(["a", "b"]) }
output "tuple" { value = ["a", 1, null, [], {}] }
output "map" { value = tomap({ a = 1, "b c" = 2 }) }
output "none" { value = null }
"#;

#[test]
fn outputs_are_given_as_terraform_gives_them() {
    let Some(terraform) = terraform() else { return };
    let folder = both(OUTPUTS);
    let (theirs, ours) =
        (|a: &[&str]| run(&terraform, folder.path(), a, ""), |a: &[&str]| run(&mesh(), folder.path(), a, ""));
    let same = |arguments: &[&str], code: i32| {
        let (theirs, ours) = (theirs(arguments), ours(arguments));
        assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{arguments:?}\n{}", ours.stderr);
        assert_eq!(ours.code, code, "{arguments:?}");
    };
    same(&["output", "-json"], 0);
    same(&["output", "-json", "text"], 1);
    theirs(&["init"]).expect(0, "init");
    theirs(&["apply", "-auto-approve"]).expect(0, "terraform apply");
    ours(&["apply", "-auto-approve"]).expect(0, "mesh apply");
    same(&["output"], 0);
    same(&["output", "-json"], 0);
    for name in ["text", "lines", "empty", "number", "long", "third", "bool"] {
        same(&["output", name], 0);
        same(&["output", "-raw", name], 0);
        same(&["output", "-json", name], 0);
    }
    for name in ["list", "tuple", "map"] {
        same(&["output", name], 0);
        same(&["output", "-raw", name], 1);
        same(&["output", "-json", name], 0);
    }
    for wrong in
        [&["output", "none"][..], &["output", "-raw"], &["output", "-raw", "-json", "text"], &["output", "a", "b"]]
    {
        same(wrong, 1);
    }
}

#[test]
fn graphs_name_every_block_and_what_it_needs() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/onprem-hsm-vault");
    let graph =
        |arguments: &[&str]| run(&mesh(), &example, &[&["graph"], arguments].concat(), "").expect(0, "graph").stdout;
    let dot = graph(&[]);
    let edges: Vec<(&str, &str)> =
        dot.lines().filter_map(|l| l.trim().trim_end_matches(';').split_once(" -> ")).collect();
    let nodes: Vec<&str> = dot
        .lines()
        .map(|l| l.trim().trim_end_matches(';'))
        .filter(|l| l.starts_with('"') && !l.contains(" -> "))
        .collect();
    assert!(nodes.len() > 20 && edges.len() > nodes.len() / 2, "{dot}");
    for (from, to) in &edges {
        assert!(nodes.contains(from) && nodes.contains(to), "{from} -> {to}");
    }
    let mermaid = graph(&["-format=mermaid"]);
    for node in &nodes {
        assert!(mermaid.contains(&format!("[{node}]")), "{node} is not in\n{mermaid}");
    }
    assert_eq!(mermaid.matches(" --> ").count(), edges.len());
    let folder = Folder::new(
        "module \"m\" {\n  source   = \"./m\"\n  for_each = toset([\"a\\\"b\"])\n}\nresource \"terraform_data\" \"x\" { input = module.m }\n",
    );
    std::fs::create_dir(folder.path().join("m")).expect("a folder");
    let inner = "resource \"terraform_data\" \"in\" {}\noutput \"o\" { value = terraform_data.in.id }\n";
    std::fs::write(folder.path().join("m/m.mesh.hcl"), inner).expect("writes");
    let text = folder.run(&["graph", "-format", "mermaid"]).expect(0, "a module").stdout;
    assert_eq!(text, "flowchart RL\n  n0[\"module.m.terraform_data.in\"]\n  n1[\"terraform_data.x\"]\n  n1 --> n0\n");
}
