//! Input that asks for too much: a clear error or an answer, never a stack overflow, a hang or a full
//! memory.
//!
//! The one decision: the binary runs as users run it, and the system holds it to a gigabyte of memory
//! and a minute of processor time, so that what a limit misses fails here with the name of its row.
//! What counts steps inside of one expression is tested in the crate of the language.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::site::{Output, command};

/// Address space of the child, its program text and the stacks of its threads included.
const MEMORY: u64 = 1 << 30;
/// Seconds of processor time; all rows together need less.
const TIME: u64 = 60;
const MANY: usize = 100_000;

/// Runs `mesh` in a folder with the limits on.
fn bounded(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(folder, arguments, &BTreeMap::new())
        // A little less address space for what is not ours.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mesh starts");
    let pid = Pid::from_child(&child);
    for (resource, most) in [(Resource::As, MEMORY), (Resource::Cpu, TIME), (Resource::Core, 0)] {
        // A child that has ended needs no limit.
        let _ = prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may end before it has read all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("mesh ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What comes out for one row: the summary of its first error, or the beginning of its answer.
fn gist(output: &Output) -> String {
    let text = output.text();
    if !matches!(output.code, 0..=3) || text.contains("BUG") || text.contains("panicked") {
        return format!("code {}: {}", output.code, text.chars().take(300).collect::<String>());
    }
    if text.len() > 100_000 {
        return format!("{} bytes of text", text.len());
    }
    let first = text.lines().find_map(|l| l.strip_prefix("Error: "));
    first.map_or_else(|| text.trim().chars().take(40).collect(), |summary| format!("! {summary}"))
}

/// Rows of a name, an input and the gist of the output; all that differ are told together.
fn check<'r>(rows: impl IntoIterator<Item = (&'r str, String, &'r str)>, run: impl Fn(&Path, &str) -> Output) {
    let mut wrong = String::new();
    for (name, input, expected) in rows {
        let folder = tempfile::tempdir().expect("a folder");
        let given = gist(&run(folder.path(), &input));
        if given != expected {
            let _ = writeln!(wrong, "{name}\n    => {given}\n  want {expected}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("writes");
}

/// Expressions that nest, and what is said of them.
fn nested() -> Vec<(&'static str, String, &'static str)> {
    let both = |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(MANY), close.repeat(MANY));
    let deep = "! Too deeply nested";
    vec![
        ("brackets", both("[", "", "]"), deep),
        ("parentheses", both("(", "1", ")"), deep),
        ("braces", both("{a=", "1", "}"), deep),
        ("not", both("!", "true", ""), deep),
        ("minus", both("-", "1", ""), deep),
        ("templates", both("\"${", "1", "}\""), deep),
        ("directives", format!("\"{}\"", both("%{if true}", "x", "%{endif}")), deep),
        ("for", both("[for a in ", "[]", ": a]"), deep),
        ("for in for", both("[for a in [1]: ", "1", "]"), deep),
        ("conditions", both("true ? 1 : ", "1", ""), deep),
        ("calls", both("abs(", "1", ")"), deep),
        ("sums", both("1 + ", "1", ""), "! Invalid syntax"),
        ("indexes", both("local.a[", "0", "]"), deep),
        ("steps", both("local.a", "", "").replace("local.alocal", "local.a.local"), "! Too many steps"),
        ("open brackets", "[".repeat(MANY), "! Unclosed bracket"),
    ]
}

#[test]
fn nesting_in_a_configuration() {
    check(nested(), |folder, expression| {
        write(folder, "main.mesh.hcl", &format!("locals {{\n  a = {expression}\n}}\n"));
        bounded(folder, &["validate"], "")
    });
    let heredocs = |n: usize| {
        let opened: String = (0..n).map(|i| format!("<<E{i}\n${{")).collect();
        let closed: String = (0..n).rev().map(|i| format!("}}\nE{i}\n")).collect();
        format!("locals {{\n  a = {opened}1{closed}}}\n")
    };
    let rows = [
        ("blocks", format!("{}{}", "a {\n".repeat(MANY), "}\n".repeat(MANY)), "! Too deeply nested"),
        ("open templates", format!("locals {{\n  a = {}\n}}\n", "\"${".repeat(MANY)), "! Unclosed string"),
        ("open blocks", "a {".repeat(MANY), "! Unclosed bracket"),
        ("a block on each line, none closed", "variable \"a\" {\n".repeat(MANY), "! Unclosed bracket"),
        ("heredocs", heredocs(10_000), "! Too deeply nested"),
        (
            "a type",
            format!("variable \"a\" {{\n type = {}string{}\n}}\n", "list(".repeat(MANY), ")".repeat(MANY)),
            "! Too deeply nested",
        ),
    ];
    check(rows, |folder, text| {
        write(folder, "main.mesh.hcl", text);
        bounded(folder, &["validate"], "")
    });
}

#[test]
fn nesting_in_values_and_in_the_console() {
    check(nested().into_iter().step_by(2), |folder, expression| {
        write(folder, "main.mesh.hcl", "variable \"a\" {}\n");
        write(folder, "mesh.meshvars.hcl", &format!("a = {expression}\n"));
        bounded(folder, &["plan", "-input=false"], "")
    });
    check(nested().into_iter().skip(1).step_by(2), |folder, expression| {
        write(folder, "main.mesh.hcl", "locals {}\n");
        bounded(folder, &["console"], &format!("{expression}\n"))
    });
    check([("-var", "[".repeat(MANY), "! Invalid value for a variable")], |folder, expression| {
        write(folder, "main.mesh.hcl", "variable \"a\" {\n  type = list(any)\n}\n");
        bounded(folder, &["plan", "-input=false", "-var", &format!("a={expression}")], "")
    });
}

#[test]
fn the_same_in_json() {
    let local = |value: &str| format!("{{\"locals\": {{\"a\": {value}}}}}");
    let list = |n: usize, item: &str| format!("[{}{item}]", format!("{item},").repeat(n));
    let rows = [
        ("arrays", local(&format!("{}{}", "[".repeat(MANY), "]".repeat(MANY))), "! Too deeply nested"),
        ("three hundred arrays", local(&format!("{}{}", "[".repeat(300), "]".repeat(300))), "! Too deeply nested"),
        ("objects", local(&format!("{}1{}", "{\"a\":".repeat(MANY), "}".repeat(MANY))), "! Too deeply nested"),
        ("templates", local(&format!("\"${{{}1{}}}\"", "[".repeat(MANY), "]".repeat(MANY))), "! Too deeply nested"),
        ("open arrays", "[".repeat(MANY), "! Too deeply nested"),
        ("a long text", local(&format!("\"{}\"", "x".repeat(5_000_000))), "No changes. Your infrastructure matches "),
        ("a long list", local(&list(2_500_000, "1")), "! Too much in one place"),
        ("a shorter list", local(&list(600_000, "1")), "! Too much in one place"),
    ];
    check(rows, |folder, text| {
        write(folder, "main.mesh.json", text);
        bounded(folder, &["plan", "-input=false"], "")
    });
    let values = |value: &str| format!("{{\"v\": {value}}}");
    let rows = [
        ("levels", values(&format!("{}{}", "[".repeat(300), "]".repeat(300))), "! Value nested too deeply"),
        ("elements", values(&list(2_500_000, "1")), "! Too much in one place"),
        (
            "names",
            format!("{{{}\"v\": 1}}", (0..10_000).map(|i| format!("\"a{i}\": 1, ")).collect::<String>()),
            "No changes. Your infrastructure matches ",
        ),
    ];
    check(rows, |folder, text| {
        write(folder, "main.mesh.hcl", "variable \"v\" {}\n");
        write(folder, "mesh.meshvars.json", text);
        bounded(folder, &["plan", "-input=false"], "")
    });
}

#[test]
fn much_text() {
    let nothing = "No changes. Your infrastructure matches ";
    let rows = [
        ("a long comment", format!("# {}\n", "x".repeat(50_000_000)), nothing),
        ("a long text", format!("locals {{\n  a = \"{}\"\n}}\n", "x".repeat(20_000_000)), nothing),
        ("a long list", format!("locals {{\n  a = [{}]\n}}\n", "1,".repeat(5_000_000)), "! Too much in one place"),
        ("blank lines", "\n".repeat(10_000_000), nothing),
        ("wrong lines", "a\n".repeat(1_000_000), "! Invalid syntax"),
        ("wrong arguments", (0..20_000).map(|i| format!("a{i} = 1\n")).collect(), "! Unsupported argument"),
        ("open texts", "variable \"a {\n".repeat(300_000), "! Unclosed string"),
        (
            "many locals",
            format!("locals {{\n{}}}\n", (0..20_000).map(|i| format!("a{i} = 1\n")).collect::<String>()),
            nothing,
        ),
    ];
    check(rows, |folder, text| {
        write(folder, "main.mesh.hcl", text);
        bounded(folder, &["plan", "-input=false"], "")
    });
    check([("many values", (0..20_000).map(|i| format!("a{i} = 1\n")).collect(), nothing)], |folder, text| {
        write(folder, "main.mesh.hcl", "locals {}\n");
        write(folder, "mesh.meshvars.hcl", text);
        bounded(folder, &["plan", "-input=false"], "")
    });
    check(
        [("lines of an expression", "[\n".repeat(MANY), "! An expression goes on for too many lines")],
        |folder, text| {
            write(folder, "main.mesh.hcl", "locals {}\n");
            bounded(folder, &["console"], text)
        },
    );
    check(
        [("text to format", format!("a = <<EOT\n{}EOT\n", "line\n".repeat(200_000)), "main.mesh.hcl")],
        |folder, text| {
            write(folder, "main.mesh.hcl", &format!("{text}b=1\n"));
            bounded(folder, &["fmt"], "")
        },
    );
}

/// Forty levels of ten times the level before.
fn doubling(first: &str, next: &str, levels: usize) -> String {
    let rest: String =
        (1..=levels).map(|i| format!("  l{i} = {}\n", next.replace('@', &format!("local.l{}", i - 1)))).collect();
    format!("locals {{\n  l0 = {first}\n{rest}}}\n")
}

#[test]
fn what_doubles_forty_times() {
    let output = |value: &str| format!("output \"o\" {{\n  value = {value}\n}}\n");
    let list = doubling("\"x\"", "[@,@,@,@,@,@,@,@,@,@]", 40);
    let mut rows: Vec<(&str, String, &str)> = [
        "local.l40",
        "jsonencode(local.l40)",
        "local.l40 == local.l40",
        "tostring(local.l40)",
        "toset(local.l40)",
        "flatten(local.l40)",
        "length(local.l40)",
        "true ? local.l40 : local.l39",
        "\"${local.l40}\"",
        "try(local.l40, 1)",
    ]
    .into_iter()
    .map(|value| (value, format!("{list}{}", output(value)), "! Value too large"))
    .collect();
    rows.extend([
        ("objects", doubling("{ a = 1 }", "{ a = @, b = @ }", 40) + &output("local.l40"), "! Value too large"),
        ("texts", doubling("\"0123456789\"", "\"${@}${@}\"", 40) + &output("local.l40"), "! Value too large"),
        ("for", doubling("[1]", "[for a in [1, 2, 3, 4, 5]: @]", 40) + &output("local.l40"), "! Value too large"),
        (
            "types of null",
            doubling("[1, 2]", "[true ? null : @, true ? null : @]", 40) + &output("local.l40"),
            "! Value too large",
        ),
        ("numbers", doubling("10", "@ * @", 40) + &output("local.l40"), "! Operation failed"),
        ("levels", doubling("[1]", "[@]", 5000) + &output("local.l5000"), "! Value nested too deeply"),
        (
            "a resource",
            format!("{list}resource \"terraform_data\" \"d\" {{\n  input = local.l40\n}}\n"),
            "! Value too large",
        ),
        (
            "one level within the limits",
            doubling("\"x\"", "[@,@,@,@,@,@,@,@,@,@]", 4) + &output("length(local.l4)"),
            "Changes to Outputs:",
        ),
    ]);
    check(rows, |folder, text| {
        write(folder, "main.mesh.hcl", text);
        let output = bounded(folder, &["plan", "-input=false"], "");
        Output { stdout: output.stdout.trim_start().lines().next().unwrap_or_default().to_owned(), ..output }
    });
    // The same through variables and outputs of modules.
    let folder = tempfile::tempdir().expect("a folder");
    let mut path = folder.path().to_owned();
    let call = "module \"m\" {\n  source = \"./m\"\n  v      = [@,@,@,@,@,@,@,@,@,@]\n}\noutput \"o\" {\n  value = module.m.o\n}\n";
    write(&path, "main.mesh.hcl", &call.replace('@', "1"));
    for level in 0..12 {
        path.push("m");
        std::fs::create_dir(&path).expect("a folder");
        let body =
            if level < 11 { call.replace('@', "var.v") } else { "output \"o\" {\n  value = var.v\n}\n".to_owned() };
        write(&path, "main.mesh.hcl", &format!("variable \"v\" {{}}\n{body}"));
    }
    let output = bounded(folder.path(), &["plan", "-input=false"], "");
    assert_eq!(gist(&output), "! Value too large", "{}", output.text());
}

#[test]
fn many_instances_and_modules() {
    let resource = |repeat: &str| format!("resource \"terraform_data\" \"d\" {{\n  {repeat}\n}}\n");
    let numbers = "[for i in range(400): tostring(i)]";
    let rows = [
        ("count", resource("count = 1e9"), "! Too many instances"),
        (
            "for_each",
            resource(&format!("for_each = toset([for p in setproduct({numbers}, {numbers}): join(\"-\", p)])")),
            "! Too many instances",
        ),
        ("modules", "module \"a\" {\n  source = \"./m\"\n  count = 1e12\n}\n".to_owned(), "! Too many instances"),
        ("a module that calls itself", "module \"a\" {\n  source = \"./.\"\n}\n".to_owned(), "! Module calls itself"),
        (
            "a million modules",
            (0..1000).map(|i| format!("module \"a{i}\" {{\n  source = \"./m/n\"\n}}\n")).collect(),
            "! Configuration too large",
        ),
    ];
    check(rows, |folder, text| {
        std::fs::create_dir_all(folder.join("m/n/o")).expect("a folder");
        let calls: String = (0..1000).map(|i| format!("module \"b{i}\" {{\n  source = \"./o\"\n}}\n")).collect();
        write(folder, "m/main.mesh.hcl", "locals {}\n");
        write(folder, "m/n/main.mesh.hcl", &calls);
        write(folder, "m/n/o/main.mesh.hcl", "locals {}\n");
        write(folder, "main.mesh.hcl", text);
        bounded(folder, &["plan", "-input=false"], "")
    });
    let folder = tempfile::tempdir().expect("a folder");
    for i in 0..10_000 {
        write(folder.path(), &format!("f{i}.mesh.hcl"), &format!("locals {{\n  a{i} = 1\n}}\n"));
    }
    let output = bounded(folder.path(), &["plan", "-input=false"], "");
    assert_eq!(gist(&output), "No changes. Your infrastructure matches ", "ten thousand files");
}

#[test]
fn files_without_an_end() {
    let rows = [
        ("a device", "file(\"zero\")".to_owned(), "! Invalid function argument"),
        ("a hash of a device", "filemd5(\"zero\")".to_owned(), "! Invalid function argument"),
        ("a pipe", "file(\"pipe\")".to_owned(), "! Invalid function argument"),
        ("a folder", "file(\".\")".to_owned(), "! Invalid function argument"),
        ("a big file", "file(\"big\")".to_owned(), "! Function call failed"),
        ("a template of a template of ...", "templatefile(\"t.tpl\", {})".to_owned(), "! Function call failed"),
    ];
    check(rows, |folder, expression| {
        write(folder, "main.mesh.hcl", "locals {}\n");
        write(folder, "t.tpl", "${templatefile(\"t.tpl\", {})}${templatefile(\"t.tpl\", {})}");
        std::fs::File::create(folder.join("big")).and_then(|f| f.set_len(100 << 20)).expect("a file");
        std::os::unix::fs::symlink("/dev/zero", folder.join("zero")).expect("links");
        pipe(&folder.join("pipe"));
        bounded(folder, &["console"], &format!("{expression}\n"))
    });
    let rows = [
        ("a configuration that is a device", "zero.mesh.hcl".to_owned(), "! File not readable"),
        ("values that are a device", "mesh.meshvars.hcl".to_owned(), "! File of variables not readable"),
    ];
    check(rows, |folder, name| {
        write(folder, "main.mesh.hcl", "locals {}\n");
        std::os::unix::fs::symlink("/dev/zero", folder.join(name)).expect("links");
        bounded(folder, &["plan", "-input=false", "-var-file", "/dev/zero"], "")
    });
    let rows = [("a configuration that is a pipe", "pipe.mesh.hcl".to_owned(), "! File not readable")];
    check(rows, |folder, name| {
        pipe(&folder.join(name));
        bounded(folder, &["validate"], "")
    });
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn functions_that_would_give_too_much() {
    let a = |n: usize| "a".repeat(n);
    let called = "! Function call failed";
    let argument = "! Invalid function argument";
    let rows = [
        ("range", "range(1e12)".to_owned(), called),
        ("width", "format(\"%1000000000d\", 1)".to_owned(), called),
        ("indent", "indent(1e9, \"a\\nb\")".to_owned(), called),
        ("join", "join(\"\", [for i in range(1024): format(\"%0100000d\", i)])".to_owned(), called),
        ("power", "pow(10, 1e9)".to_owned(), "+Inf"),
        ("number", format!("tonumber(\"{}\")", "9".repeat(1_000_000)), argument),
        ("parseint", format!("parseint(\"{}\", 10)", "9".repeat(1_000_000)), argument),
        ("product", "length(setproduct(range(100), range(100), range(100), range(100)))".to_owned(), called),
        ("pattern that grows", "regex(\"a{1000}{1000}{1000}\", \"a\")".to_owned(), argument),
        ("pattern that nests", format!("regex(\"{}\", \"a\")", "(".repeat(MANY)), argument),
        ("pattern that backtracks", format!("regex(\"(a+)+$\", \"{}b\")", a(MANY)), called),
        ("replace", format!("length(replace(\"{}\", \"a\", \"{}\"))", a(10_000), a(10_000)), called),
        (
            "replace by groups",
            format!("length(replace(\"{}\", \"/.*/\", \"{}\"))", a(100_000), "$0".repeat(10_000)),
            called,
        ),
        ("JSON", format!("jsondecode(\"{}\")", "[".repeat(MANY)), called),
        ("JSON numbers", format!("jsondecode(\"1{}\")", "0".repeat(MANY)), called),
        ("YAML", format!("yamldecode(\"{}\")", "- ".repeat(MANY)), called),
        ("YAML anchors", format!("yamldecode(\"{}\")", anchors(12)), called),
        (
            "CSV",
            format!("length(csvdecode(\"{}\\n\"))", (0..20_000).map(|i| format!("c{i},")).collect::<String>() + "z"),
            "0",
        ),
        ("networks", format!("cidrsubnets(\"10.0.0.0/16\"{})", ",8".repeat(2000)), argument),
        ("template", "templatestring(local.t, {t = local.t})".to_owned(), called),
        ("folders", format!("length(fileset(\".\", \"{}x\"))", "**/".repeat(MANY)), "0"),
        ("far", "substr(\"abc\", 1, 1e18)".to_owned(), "\"bc\""),
        (
            "elements of elements",
            "[for a in range(1024): [for b in range(1024): [for c in range(1024): 1]]]".to_owned(),
            "! Value too large",
        ),
    ];
    check(rows, |folder, expression| {
        write(folder, "main.mesh.hcl", "locals {\n  t = \"$${templatestring(t, {t = t})}\"\n}\n");
        bounded(folder, &["console"], &format!("{expression}\n"))
    });
}

/// A YAML document in which each list refers nine times to the one before.
fn anchors(levels: usize) -> String {
    (0..levels)
        .map(|i| {
            let inner = if i == 0 { "x".to_owned() } else { vec![format!("*a{}", i - 1); 9].join(",") };
            format!("a{i}: &a{i} [{inner}]\\n")
        })
        .collect()
}
