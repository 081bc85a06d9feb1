//! Fetching one commit with the `git` program.
//!
//! The one decision: there is no checkout. One commit is fetched into a bare repository and written out
//! with `git archive` through our own unpacker, so the same limits hold for all sources, and neither hooks nor
//! filters nor the user's settings for line ends change what comes out. Submodules are left out.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mesh_lang::suggestion;

use crate::{process, unpack};

/// For one call that speaks to a server.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Variables by which a git around us would make ours work on its repository.
const FOREIGN: [&str; 11] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];
/// The bytes of the repository and all of them, whatever its own attributes say.
const ATTRIBUTES: &str = "* -export-ignore -export-subst -text -filter -ident -working-tree-encoding\n";
/// Where the wanted commit is kept.
const WANTED: &str = "refs/mesh/wanted";

/// Writes one commit into the empty folder `module` and gives its name.
///
/// `commit`: the one that is wanted, whatever `reference` means by now.
///
/// # Errors
/// What went wrong, without a final stop.
pub(crate) fn fetch(
    (url, transport): (&str, &str),
    reference: Option<&str>,
    commit: Option<&str>,
    module: &Path,
    work: &Path,
) -> Result<String, String> {
    let git = Git { transport, repository: work.join("git") };
    let wanted = match commit {
        Some(commit) if is_commit(commit) => Wanted::Commit(commit.to_owned()),
        Some(_) => return Err("the lock file names no commit for it".to_owned()),
        None => git.resolve(url, reference)?,
    };
    git.run(Command::new("git").args(["init", "--quiet", "--bare", "--template="]).arg(&git.repository))?;
    let commit = git.get(url, &wanted)?;
    git.write(&commit, module)?;
    Ok(commit)
}

enum Wanted {
    /// The full name of a branch or tag.
    Name(String),
    /// A commit, or the beginning of its name.
    Commit(String),
}

struct Git<'g> {
    transport: &'g str,
    repository: PathBuf,
}

impl Git<'_> {
    /// A call within the repository.
    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.repository);
        command
    }

    fn prepare(&self, command: &mut Command) {
        for name in FOREIGN {
            command.env_remove(name);
        }
        // Redirects included: nothing but the transport that was asked for.
        command.env("GIT_ALLOW_PROTOCOL", self.transport).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    }

    /// Runs git; gives its output.
    fn run(&self, command: &mut Command) -> Result<String, String> {
        self.prepare(command);
        let ended = process::run(command, "", TIMEOUT).map_err(|e| format!("git: {e}"))?;
        if ended.status.success() { Ok(ended.stdout) } else { Err(explained(&ended.said)) }
    }

    /// What a branch, a tag or the default branch means now.
    fn resolve(&self, url: &str, reference: Option<&str>) -> Result<Wanted, String> {
        let listed = self.run(Command::new("git").args(["ls-remote", "--quiet", "--", url]))?;
        let names: Vec<&str> = listed.lines().filter_map(|line| Some(line.split_once('\t')?.1)).collect();
        let Some(reference) = reference else {
            return match names.contains(&"HEAD") {
                true => Ok(Wanted::Name("HEAD".to_owned())),
                false => {
                    Err("the repository has no default branch; name a branch, a tag or a commit with ?ref=".into())
                }
            };
        };
        let full = [format!("refs/tags/{reference}"), format!("refs/heads/{reference}"), reference.to_owned()];
        if let Some(name) = full.into_iter().find(|name| name.starts_with("refs/") && names.contains(&name.as_str())) {
            return Ok(Wanted::Name(name));
        }
        if reference.len() >= 7 && reference.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Wanted::Commit(reference.to_owned()));
        }
        let short = names.iter().filter_map(|n| n.strip_prefix("refs/tags/").or_else(|| n.strip_prefix("refs/heads/")));
        let near = suggestion(reference, short).map(|s| format!(" (there is {s:?})")).unwrap_or_default();
        Err(format!("the repository has no branch, tag or commit {reference:?}{near}"))
    }

    /// Fetches what is wanted and gives the commit's full name.
    fn get(&self, url: &str, wanted: &Wanted) -> Result<String, String> {
        let fetch = |depth: &[&str], what: &[&str]| {
            let mut command = self.command();
            command.args(["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]);
            self.run(command.args(depth).args(["--", url]).args(what))
        };
        let name = match wanted {
            Wanted::Name(name) => {
                let what = format!("+{name}:{WANTED}");
                match fetch(&["--depth=1"], &[&what]) {
                    // A server of plain files has no way to leave anything out.
                    Err(said) if said.contains("shallow") => fetch(&[], &[&what])?,
                    other => other?,
                };
                WANTED
            }
            Wanted::Commit(commit) => {
                // Not every server gives a commit by its name, and none by the beginning of it.
                let alone = is_commit(commit) && fetch(&["--depth=1"], &[&format!("+{commit}:{WANTED}")]).is_ok();
                if !alone {
                    fetch(&[], &["+refs/heads/*:refs/mesh/heads/*", "+refs/tags/*:refs/mesh/tags/*"])?;
                }
                commit
            }
        };
        let found = self.run(self.command().args(["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]));
        match found.as_deref().map(str::trim) {
            Ok(commit) if is_commit(commit) => Ok(commit.to_owned()),
            _ => Err(match wanted {
                Wanted::Name(name) => format!("{name} of the repository is no commit"),
                Wanted::Commit(commit) => format!("the repository has no commit {commit:?} in any branch or tag"),
            }),
        }
    }

    /// Writes the files of a commit.
    fn write(&self, commit: &str, module: &Path) -> Result<(), String> {
        let info = self.repository.join("info");
        fs::create_dir_all(&info)
            .and_then(|()| fs::write(info.join("attributes"), ATTRIBUTES))
            .map_err(|e| format!("the repository cannot be written: {e}"))?;
        let mut command = self.command();
        command.args(["archive", "--format=tar", commit]);
        self.prepare(&mut command);
        let mut child = process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let mut stdout = child.stdout.take().ok_or("git gave no output")?;
        let unpacked = unpack::tar(&mut stdout, module);
        // What fills the archive up; git must be able to write it.
        let _ = io::copy(&mut stdout.take(1 << 20), &mut io::sink());
        let mut said = String::new();
        if unpacked.is_err() {
            let _ = child.kill();
        } else if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(64 << 10).read_to_string(&mut said);
        }
        let status = child.wait().map_err(|e| format!("git cannot be waited for: {e}"))?;
        unpacked?;
        if status.success() { Ok(()) } else { Err(explained(&process::last(&said))) }
    }
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What git said, with the way out where it is known.
fn explained(said: &str) -> String {
    let way = if said.contains("terminal prompts disabled") || said.contains("Authentication failed") {
        "; give git the user and password of this host with a credential helper (git help credentials)"
    } else if said.contains("Permission denied (") || said.contains("Host key verification failed") {
        "; ssh must reach this host without a question: check its key in known_hosts and your key in ssh-agent"
    } else {
        ""
    };
    format!("git says: {said}{way}")
}
