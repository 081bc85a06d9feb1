//! The house: which crate may know which, which file stands where, and what must be absent.
//!
//! The one decision: the rules of ARCHITECTURE.md are read from the tree itself, so that breaking
//! one fails a test with the name of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file of the project outside build output.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, out);
                }
            } else if name.ends_with(".rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(root(), &mut out);
    out.sort();
    out
}

/// Dependencies on crates of the workspace, development ones left out.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut out = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if section == "[dependencies]" && line.starts_with("mesh-") {
            out.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    out
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("engine/model", &[][..]),
        ("engine/x509", &[]),
        ("engine/lang", &["mesh-model", "mesh-x509"]),
        ("engine/modules", &["mesh-lang", "mesh-model"]),
        ("engine/core", &["mesh-lang", "mesh-model", "mesh-sdk", "mesh-state"]),
        ("state", &["mesh-model"]),
        (
            "state/backends",
            &["mesh-state", "mesh-state-http", "mesh-state-kubernetes", "mesh-state-postgres", "mesh-state-s3"],
        ),
        ("state/http", &["mesh-model", "mesh-state"]),
        ("state/kubernetes", &["mesh-model", "mesh-state"]),
        ("state/postgres", &["mesh-model", "mesh-state"]),
        ("state/s3", &["mesh-model", "mesh-state"]),
        ("providers/sdk", &["mesh-model"]),
        ("providers/builtin", &["mesh-model", "mesh-sdk", "mesh-x509"]),
        ("providers/kubernetes", &["mesh-model", "mesh-sdk", "mesh-x509"]),
        ("providers/vault", &["mesh-model", "mesh-sdk", "mesh-x509"]),
        ("providers/hsm", &["mesh-model", "mesh-sdk", "mesh-x509"]),
        ("providers/gateway", &["mesh-model", "mesh-sdk", "mesh-x509"]),
        ("sandbox", &[]),
    ]);
    for (folder, allowed) in allowed {
        let found = dependencies(&read(&root().join(folder).join("Cargo.toml")));
        for dependency in found {
            assert!(allowed.contains(&dependency.as_str()), "{folder} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_engine_names_no_concrete_provider() {
    let concrete = ["mesh_provider_", "\"vault\"", "\"kubernetes\"", "\"hsm\"", "\"gateway\""];
    for path in sources()
        .iter()
        .filter(|p| p.starts_with(root().join("engine/core/src")) && !p.components().any(|c| c.as_os_str() == "tests"))
    {
        let text = read(path);
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let code: String = code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for name in concrete {
            assert!(!code.contains(name), "{} names {name}", path.display());
        }
    }
}

#[test]
fn deciding_is_pure() {
    let forbidden = [
        "async",
        "tokio",
        "std::fs",
        "std::net",
        "std::env",
        "std::time",
        "SystemTime",
        "Instant",
        "getrandom",
        "uuid",
        "jiff",
    ];
    let single = ["engine/core/src/decide.rs", "engine/core/src/conform.rs", "providers/sdk/src/plan.rs"];
    let parts = root().join("engine/core/src/decide");
    let (mut files, whole) = (single.map(|f| root().join(f)).to_vec(), single.len());
    files.extend(sources().into_iter().filter(|p| p.starts_with(&parts)));
    assert!(files.len() > whole, "deciding has parts in {}", parts.display());
    for file in files {
        let (text, file) = (read(&file), file.display());
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for word in forbidden {
                assert!(!line.contains(word), "{file} uses {word}: {line}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let without: Vec<String> = sources()
        .iter()
        .filter(|p| !read(p).trim_start_matches("#!").trim_start().starts_with("//!"))
        .map(|p| p.display().to_string())
        .collect();
    assert!(without.is_empty(), "files without a //! header: {without:#?}");
}

#[test]
fn every_file_is_on_a_list() {
    // A file that no `mod` names is not compiled, and so not tested.
    let mut lost = Vec::new();
    for path in sources() {
        let relative = path.strip_prefix(root()).unwrap_or(&path).to_path_buf();
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let parent = path.parent().unwrap_or(root());
        let text_of = |p: PathBuf| std::fs::read_to_string(p).unwrap_or_default();
        if ["main", "lib", "build"].contains(&name.as_str())
            || relative
                .components()
                .any(|c| matches!(c.as_os_str().to_str(), Some("examples" | "benches" | "fuzz" | "bin")))
        {
            continue;
        }
        let (holders, module) = if name == "mod" {
            let module = parent.file_name().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let above = parent.parent().unwrap_or(root());
            (candidates(above), module)
        } else {
            (candidates(parent), name.clone())
        };
        let named = holders.into_iter().map(text_of).any(|t| {
            t.lines().any(|l| {
                let l = l
                    .trim()
                    .trim_start_matches("pub ")
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub(super) ");
                l == format!("mod {module};") || l == format!("mod {module} {{")
            })
        });
        if !named {
            lost.push(relative.display().to_string());
        }
    }
    assert!(lost.is_empty(), "files that no mod names: {lost:#?}");
}

/// Files that may declare the modules of a folder.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let mut out = vec![folder.join("mod.rs"), folder.join("lib.rs"), folder.join("main.rs")];
    if let (Some(name), Some(above)) = (folder.file_name(), folder.parent()) {
        out.push(above.join(format!("{}.rs", name.to_string_lossy())));
    }
    out
}

#[test]
fn files_stay_small() {
    let mut sizes: Vec<(usize, String)> = sources()
        .iter()
        .filter(|p| !p.components().any(|c| c.as_os_str() == "tests") && !p.ends_with("tests.rs"))
        .map(|p| (read(p).lines().count(), p.strip_prefix(root()).unwrap_or(p).display().to_string()))
        .collect();
    sizes.sort();
    let long: Vec<_> = sizes.iter().filter(|(n, _)| *n > 500).collect();
    assert!(long.is_empty(), "files over 500 lines hold more than one thing: {long:?}");
    let middle = sizes[sizes.len() / 2].0;
    assert!(middle <= 150, "half of the files should be under 150 lines, the middle is {middle}");
    let most = sizes[sizes.len() * 9 / 10].0;
    assert!(most <= 450, "nearly all files should be under 450 lines, nine tenths are under {most}");
}

#[test]
fn the_project_speaks_of_itself_alone() {
    // No names of package registries' hosts: an air-gapped site has others.
    let hosts = [
        ["crates", ".io"].concat(),
        ["proxy.golang", ".org"].concat(),
        ["registry.npmjs", ".org"].concat(),
        ["pypi", ".org"].concat(),
    ];
    for path in sources() {
        let text = read(&path);
        for host in &hosts {
            assert!(!text.contains(host.as_str()), "{} names {host}", path.display());
        }
    }
}

#[test]
fn what_deny_toml_bans_is_not_built() {
    // The same rule without a tool to install: no crate under `deny` is in the tree that is built.
    let deny = read(&root().join("deny.toml"));
    let banned: Vec<&str> =
        deny.lines().filter_map(|l| l.trim().strip_prefix("{ crate = \"")?.split('"').next()).collect();
    assert!(banned.len() >= 5, "deny.toml lists what is banned");
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--workspace", "--prefix", "none", "--edges", "normal,build", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(tree.contains("rustls v"), "cargo tree names the crates:\n{tree}");
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or("");
        assert!(!banned.contains(&name), "{name} is banned by deny.toml and in the tree");
    }
}
