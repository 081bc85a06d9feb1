//! The three ways to find a module: fetching it, in the cache only, as a saved plan has it.
//!
//! The one decision: a package is looked up once in a run; every further call, with whatever folder
//! within, gets the same answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use mesh_lang::{Fetched, Modules};
use mesh_model::Diagnostic;

use crate::cache::{Cache, State};
use crate::http::{self, Http, MAX_DOWNLOAD};
use crate::lock::{Entry, Lock};
use crate::source::{Kind, Source};
use crate::{git, oci, unpack};

/// Where modules from elsewhere are.
pub struct Store {
    cache: Cache,
    lock: Lock,
    mode: Mode,
    seen: Mutex<BTreeMap<String, Result<Used, Diagnostic>>>,
}

enum Mode {
    Fetching(Fetching, OnceLock<Result<Http, String>>),
    Offline,
    Recorded,
}

/// How modules are fetched.
pub struct Fetching {
    /// Whether branches and tags are looked up again, whatever the lock file says.
    pub upgrade: bool,
    /// docker's `config.json`, for registries that ask who is there.
    pub docker: Option<PathBuf>,
    /// Told the source before it is fetched.
    pub begins: fn(&str),
}

/// A module that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Used {
    /// Its source without the folder within.
    pub source: String,
    /// What the lock file says or will say.
    pub entry: Entry,
    /// Whether it was fetched in this run.
    pub fetched: bool,
}

impl Store {
    /// Fetches what the cache below `root` lacks, for `mesh init`.
    pub fn fetching(root: &Path, lock: Lock, fetching: Fetching) -> Self {
        Self::new(root, lock, Mode::Fetching(fetching, OnceLock::new()))
    }

    /// What the lock file names and the cache below `root` has.
    pub fn offline(root: &Path, lock: Lock) -> Self {
        Self::new(root, lock, Mode::Offline)
    }

    /// Where the lock file says that modules are, without a look: their files come from elsewhere.
    pub fn recorded(root: &Path, lock: Lock) -> Self {
        Self::new(root, lock, Mode::Recorded)
    }

    fn new(root: &Path, lock: Lock, mode: Mode) -> Self {
        Self { cache: Cache::new(root), lock, mode, seen: Mutex::default() }
    }

    /// What was found so far, by source.
    pub fn used(&self) -> Vec<Used> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// The lock file's part for what was found so far.
    pub fn locked(&self) -> Lock {
        Lock(self.used().into_iter().map(|used| (used.source, used.entry)).collect())
    }

    fn look_up(&self, source: &Source) -> Result<Used, Diagnostic> {
        let package = &source.package;
        let known = self.lock.0.get(package);
        let used = |entry: &Entry, fetched| Used { source: package.clone(), entry: entry.clone(), fetched };
        let fetching = match (&self.mode, known) {
            (Mode::Recorded, Some(entry)) => return Ok(used(entry, false)),
            (Mode::Fetching(fetching, _), _) => fetching,
            (Mode::Offline, Some(entry)) => {
                return match self.state(package, &entry.digest)? {
                    State::Good => Ok(used(entry, false)),
                    State::Absent => Err(not_installed(package, "it is not in .mesh/modules")),
                    State::Other(found) => Err(Diagnostic::error(
                        "modules::changed",
                        "Module differs from the lock file",
                        format!(
                            "The copy of {package:?} in .mesh/modules was changed: its digest is {found}, and the lock \
                             file has {}. Run mesh init, which fetches it again; a change belongs into its repository.",
                            entry.digest
                        ),
                    )),
                };
            }
            (_, None) => return Err(not_installed(package, "the lock file does not name it")),
        };
        let kept = known.filter(|_| !fetching.upgrade);
        if let Some(entry) = kept
            && self.state(package, &entry.digest)? == State::Good
        {
            return Ok(used(entry, false));
        }
        (fetching.begins)(package);
        let entry = self.fetch(source, kept).map_err(|why| {
            Diagnostic::error(
                "modules::fetch",
                "Module could not be fetched",
                format!("{package:?} could not be fetched: {}.", why.trim_end_matches('.')),
            )
        })?;
        match kept {
            Some(kept) if kept.digest != entry.digest => Err(Diagnostic::error(
                "modules::changed",
                "Module differs from the lock file",
                format!(
                    "What {package:?} holds now has the digest {}, and the lock file has {}. If the change is meant, \
                     run mesh init -upgrade; else somebody has replaced what was published.",
                    entry.digest, kept.digest
                ),
            )),
            // An archive that was packed anew holds the same.
            Some(kept) => Ok(used(kept, true)),
            None => Ok(used(&entry, true)),
        }
    }

    fn state(&self, package: &str, digest: &str) -> Result<State, Diagnostic> {
        self.cache.state(digest).map_err(|e| {
            let detail = format!("The copy of {package:?} in .mesh/modules cannot be read: {e}. Run mesh init.");
            Diagnostic::error("modules::cache", "Module not readable", detail)
        })
    }

    fn http(&self) -> Result<&Http, String> {
        match &self.mode {
            Mode::Fetching(_, http) => http.get_or_init(Http::new).as_ref().map_err(String::clone),
            _ => Err("nothing is fetched by this command".to_owned()),
        }
    }

    /// Fetches a package into the cache, the very one that is in the lock file, if it is there.
    fn fetch(&self, source: &Source, kept: Option<&Entry>) -> Result<Entry, String> {
        let kept = |scheme: &str| {
            let resolved = kept.map(|entry| {
                entry.resolved.strip_prefix(scheme).ok_or_else(|| {
                    format!(
                        "the lock file has it as {:?}, which is of another kind; run mesh init -upgrade",
                        entry.resolved
                    )
                })
            });
            resolved.transpose()
        };
        let (digest, resolved) = match &source.kind {
            Kind::Git { url, transport, reference } => {
                let commit = kept("git:")?;
                self.cache.add(|module, work| {
                    let commit = git::fetch((url, transport), reference.as_deref(), commit, module, work)?;
                    Ok(format!("git:{commit}"))
                })?
            }
            Kind::Archive { url, format, checksum } => {
                let http = self.http()?;
                self.cache.add(|module, work| {
                    let answer = http::send(http.get(url.clone()))?;
                    if !answer.status().is_success() {
                        return Err(format!("the server answers {}", answer.status()));
                    }
                    let path = work.join("archive");
                    let failed = |e: std::io::Error| format!("it cannot be written: {e}");
                    let mut file =
                        File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
                    let found = http::copy(answer, &mut file, MAX_DOWNLOAD)?;
                    if let Some(wanted) = checksum.as_ref().filter(|wanted| **wanted != found) {
                        return Err(format!(
                            "the archive's checksum is sha256:{found}, and the source has sha256:{wanted}"
                        ));
                    }
                    file.rewind().map_err(failed)?;
                    unpack::archive(file, *format, module)?;
                    Ok(format!("archive:sha256:{found}"))
                })?
            }
            Kind::Oci { registry, repository, reference } => {
                let http = self.http()?;
                let docker = match &self.mode {
                    Mode::Fetching(fetching, _) => fetching.docker.as_deref(),
                    _ => None,
                };
                let reference = kept("oci:")?.unwrap_or(reference);
                self.cache.add(|module, work| {
                    let digest = oci::fetch(http, docker, (registry, repository, reference), module, work)?;
                    Ok(format!("oci:{digest}"))
                })?
            }
        };
        Ok(Entry { resolved, digest })
    }
}

fn not_installed(package: &str, why: &str) -> Diagnostic {
    let detail = format!("{package:?} cannot be used: {why}. Run mesh init, which fetches modules.");
    Diagnostic::error("modules::not_installed", "Module not installed", detail)
}

impl Modules for Store {
    fn find(&self, text: &str) -> Result<Fetched, Diagnostic> {
        let source = Source::parse(text).map_err(|why| {
            Diagnostic::error(
                "modules::source",
                "Unsupported module source",
                format!("The source of the module cannot be used. {why}"),
            )
        })?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let used = match seen.get(&source.package) {
            Some(known) => known.clone(),
            None => {
                let found = self.look_up(&source);
                seen.insert(source.package.clone(), found.clone());
                found
            }
        }?;
        drop(seen);
        let (package, display) = self
            .cache
            .place(&used.entry.digest)
            .ok_or_else(|| not_installed(&source.package, "the lock file has no valid digest for it"))?;
        if source.sub.is_empty() {
            return Ok(Fetched { dir: package.clone(), package, display });
        }
        let dir = package.join(&source.sub);
        if !matches!(self.mode, Mode::Recorded) && !dir.is_dir() {
            let mut there: Vec<String> = std::fs::read_dir(&package)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            there.sort();
            there.truncate(20);
            let list = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            let detail = format!(
                "{:?} holds no folder {:?}, which the source asks for after \"//\". Folders at its top: {list}.",
                source.package, source.sub
            );
            return Err(Diagnostic::error("modules::folder", "No such folder in the module", detail));
        }
        let display = format!("{display}/{}", source.sub);
        Ok(Fetched { dir, package, display })
    }
}
