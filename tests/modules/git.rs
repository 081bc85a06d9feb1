//! Repositories made with git.

use std::path::Path;
use std::process::Command;

use super::serve::{Answer, Server};
use super::{cached, calls, module, planned, refused, write};
use crate::site::Folder;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t.test"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a commit of these files, and a bare one beside it.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("work")).expect("made");
        let repository = Self(folder);
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit(files);
        git(repository.0.path(), &["clone", "-q", "--bare", "work", "bare.git"]);
        repository.git(&["remote", "add", "origin", "../bare.git"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.0.path().join("work"), arguments)
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            write(&self.0.path().join("work").join(name), text);
        }
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", "a change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Moves a tag to where the work is, and publishes everything.
    fn tag(&self, name: &str) {
        self.git(&["tag", "-f", "-a", "-m", name, name]);
        self.git(&["push", "-q", "-f", "--all"]);
        self.git(&["push", "-q", "-f", "--tags"]);
    }

    fn bare(&self) -> std::path::PathBuf {
        self.0.path().join("bare.git")
    }

    fn source(&self, rest: &str) -> String {
        format!("git::file://{}{rest}", self.bare().display())
    }

    /// As if the network had gone.
    fn vanish(&self) {
        std::fs::rename(self.bare(), self.0.path().join("gone")).expect("renamed");
    }
}

#[test]
fn once_installed_it_works_without_the_repository_on_another_machine_too() {
    let repository = Repository::new(&[
        (
            "mods/a/main.mesh.hcl",
            "module \"b\" { source = \"../b\" }\noutput \"x\" { value = \"${module.b.x} ${file(\"${path.module}/t.txt\")}\" }\n",
        ),
        ("mods/a/t.txt", "text"),
        ("mods/b/main.mesh.hcl", &module("b")),
        // What would change an export does not: the commit is taken as it is.
        (".gitattributes", "mods/a/t.txt export-ignore\n*.hcl text eol=crlf\n"),
    ]);
    repository.tag("v1");
    let folder = Folder::new(&calls(&repository.source("//mods/a?ref=v1")));
    refused(folder.run(&["plan"]), &["Module not installed", "Run mesh init", "main.mesh.hcl:1:23"]);
    let init = folder.run(&["init"]).expect(0, "init").stdout;
    let commit = repository.git(&["rev-parse", "HEAD"]);
    assert!(init.contains(&format!("(fetched: git:{commit})")), "{init}");
    let lock = folder.text("mesh.lock.hcl");
    assert!(lock.contains(&format!("resolved = \"git:{commit}\"")) && lock.contains("tree1:"), "{lock}");
    repository.vanish();
    let again = folder.run(&["init", "-lockfile=readonly"]).expect(0, "init asks nobody").stdout;
    assert!(again.contains("already here") && !again.contains("Fetching"), "{again}");
    assert_eq!(folder.text("mesh.lock.hcl"), lock);
    planned(&folder, "b text", &[]);
    for command in [&["validate"][..], &["graph"], &["drift"], &["apply", "-auto-approve"], &["output"]] {
        folder.run(command).expect(0, command[0]);
    }
    let other = Folder::new(&folder.text("main.mesh.hcl"));
    std::fs::copy(folder.path().join("mesh.lock.hcl"), other.path().join("mesh.lock.hcl")).expect("copied");
    refused(other.run(&["plan"]), &["Module not installed", "it is not in .mesh/modules"]);
    let copied = Command::new("cp").args(["-r", ".mesh"]).arg(other.path()).current_dir(folder.path()).status();
    assert!(copied.expect("cp runs").success());
    planned(&other, "b text", &[]);
    // What is no longer used goes from the lock file.
    write(&folder.path().join("main.mesh.hcl"), "output \"x\" { value = 1 }\n");
    folder.run(&["init"]).expect(0, "init");
    assert!(!folder.text("mesh.lock.hcl").contains("git::"));
}

#[test]
fn a_changed_copy_is_refused_with_both_digests_and_fetched_again_by_init() {
    let repository = Repository::new(&[("main.mesh.hcl", &module("1"))]);
    let folder = Folder::new(&calls(&repository.source("")));
    folder.run(&["init"]).expect(0, "init");
    let digest = cached(&folder).remove(0);
    let file = folder.path().join(".mesh/modules").join(&digest).join("main.mesh.hcl");
    write(&file, &module("changed"));
    let plan = folder.run(&["plan"]);
    let text = super::words(&plan);
    assert_eq!(text.matches("tree1:").count(), 2, "{text}");
    refused(plan, &["Module differs from the lock file", &digest, "Run mesh init"]);
    let lock = folder.text("mesh.lock.hcl");
    folder.run(&["init"]).expect(0, "init");
    assert_eq!((folder.text("mesh.lock.hcl"), cached(&folder).len()), (lock, 1));
    planned(&folder, "1", &[]);
}

#[test]
fn a_moved_tag_stays_where_the_lock_file_has_it_until_upgrade() {
    let repository = Repository::new(&[("main.mesh.hcl", &module("first"))]);
    repository.tag("v1");
    let first = repository.git(&["rev-parse", "HEAD"]);
    let folder = Folder::new(&calls(&repository.source("?ref=v1")));
    folder.run(&["init"]).expect(0, "init");
    let second = repository.commit(&[("main.mesh.hcl", &module("second"))]);
    repository.tag("v1");
    std::fs::remove_dir_all(folder.path().join(".mesh")).expect("removed");
    let init = folder.run(&["init"]).expect(0, "init without a cache").stdout;
    assert!(init.contains(&format!("fetched: git:{first}")), "{init}");
    planned(&folder, "first", &[]);
    refused(folder.run(&["init", "-upgrade", "-lockfile=readonly"]), &["The lock file would change"]);
    let init = folder.run(&["init", "-upgrade"]).expect(0, "init").stdout;
    assert!(init.contains(&format!("fetched: git:{second}")), "{init}");
    planned(&folder, "second", &[]);
    // A commit and the beginning of one are references too.
    for reference in [first.as_str(), &first[..8]] {
        let folder = Folder::new(&calls(&repository.source(&format!("?ref={reference}&depth=1"))));
        folder.run(&["init"]).expect(0, "init");
        planned(&folder, "first", &[]);
    }
}

#[test]
fn what_is_not_there_is_said_in_its_own_words() {
    let repository = Repository::new(&[("mods/a/main.mesh.hcl", &module("1"))]);
    repository.tag("v1");
    let folder = Folder::new("");
    for (source, wanted) in [
        (repository.source("?ref=v9"), "no branch, tag or commit \"v9\" (there is \"v1\")"),
        (repository.source("?ref=0123456789"), "no commit \"0123456789\""),
        (
            repository.source("//mods/z?ref=v1"),
            "holds no folder \"mods/z\", which the source asks for after \"//\". Folders at its top: mods.",
        ),
        (repository.source("?ref=v1"), "holds no *.mesh.hcl or *.mesh.json file"),
        ("git::file:///nowhere/r.git".to_owned(), "does not appear to be a git repository"),
        ("git::https://nowhere.invalid/r.git".to_owned(), "Could not resolve host: nowhere.invalid"),
        ("ns/name/provider".to_owned(), "registries of modules are not supported"),
        ("git::https://me:secret@h/r.git".to_owned(), "credential helper"),
    ] {
        write(&folder.path().join("main.mesh.hcl"), &calls(&source));
        refused(folder.run(&["init"]), &[wanted]);
        assert!(!folder.path().join("mesh.lock.hcl").exists());
    }
}

#[test]
fn sources_are_made_of_variables_and_each_is_fetched_once() {
    let inner = Repository::new(&[("main.mesh.hcl", &module("inner"))]);
    let outer = Repository::new(&[
        (
            "a/main.mesh.hcl",
            "variable \"at\" {}\nmodule \"i\" { source = \"git::file://${var.at}\" }\noutput \"x\" { value = module.i.x }\n",
        ),
        ("b/main.mesh.hcl", &module("b")),
    ]);
    outer.tag("v1");
    let text = format!(
        "variable \"ref\" {{}}\nvariable \"at\" {{ default = \"{}\" }}\nlocals {{ repo = \"git::file://{}\" }}\n\
         module \"a\" {{\n  source = \"${{local.repo}}//a?ref=${{var.ref}}\"\n  at     = var.at\n}}\n\
         module \"again\" {{\n  source = \"${{local.repo}}//a?ref=${{var.ref}}\"\n  at     = var.at\n}}\n\
         module \"b\" {{ source = \"${{local.repo}}//b?ref=${{var.ref}}\" }}\noutput \"x\" {{ value = \"${{module.a.x}} ${{module.b.x}}\" }}\n",
        inner.bare().display(),
        outer.bare().display()
    );
    let folder = Folder::new(&text);
    for command in ["init", "validate", "plan"] {
        refused(folder.run(&[command]), &["No value for a required variable", "\"ref\""]);
        let wanted = if command == "init" { "No such variable" } else { "Module not installed" };
        refused(folder.run(&[command, "-var", "ref=v1", "-var", "rev=x"]), &[wanted]);
    }
    std::fs::remove_dir_all(folder.path().join(".mesh")).expect("removed");
    let init = folder.run(&["init", "-var", "ref=v1"]).expect(0, "init").stdout;
    assert_eq!(init.matches("Fetching").count(), 2, "{init}");
    write(&folder.path().join("mesh.meshvars.hcl"), "ref = \"v1\"\n");
    inner.vanish();
    outer.vanish();
    folder.run(&["init", "-lockfile=readonly"]).expect(0, "init asks nobody");
    folder.run(&["validate"]).expect(0, "validate");
    planned(&folder, "inner b", &[]);
    // A saved plan has its modules and the values that name them.
    folder.run(&["plan", "-out", "p"]).expect(0, "plan");
    for name in ["main.mesh.hcl", "mesh.meshvars.hcl", "mesh.lock.hcl"] {
        std::fs::remove_file(folder.path().join(name)).expect("removed");
    }
    std::fs::remove_dir_all(folder.path().join(".mesh")).expect("removed");
    folder.run(&["apply", "p"]).expect(0, "the saved plan");
    assert_eq!(folder.run(&["output", "-raw", "x"]).expect(0, "output").stdout, "inner b");
}

#[test]
fn a_repository_of_plain_files_behind_http_is_enough() {
    let repository = Repository::new(&[("main.mesh.hcl", &module("dumb"))]);
    repository.tag("v1");
    git(&repository.bare(), &["update-server-info"]);
    let server = Server::start();
    let mut folders = vec![repository.bare()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(repository.0.path()).expect("within").display().to_string();
                server.put(&name, Answer::Bytes(std::fs::read(&path).expect("read")));
            }
        }
    }
    let folder = Folder::new(&calls(&format!("git::{}?ref=v1", server.url("bare.git"))));
    folder.run(&["init"]).expect(0, "init");
    planned(&folder, "dumb", &[]);
    server.asked();
    folder.run(&["init"]).expect(0, "init");
    folder.run(&["plan"]).expect(0, "plan");
    assert!(server.asked().is_empty(), "what is there is not asked for");
}
