//! One running sandbox: starts its parts side by side, hands them out, stops them.
//!
//! It lives in the process that made it; `background` runs the same code in a process of its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::build::{self, Programs};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::gateway::Gateway;
use crate::http::outside_async;
use crate::kubernetes::{Kubernetes, Parts};
use crate::minio::Minio;
use crate::needs::{missing, required};
use crate::options::{Options, Part};
use crate::postgres::{self, Postgres};
use crate::process::{Launcher, Server};
use crate::progress::{Event, Progress};
use crate::token::{self, SoftToken};
use crate::unique::{Slot, secret, word};
use crate::vault::{self, Vault};

/// How often a part is started with other ports when one was taken.
const TRIES: usize = 4;
/// The label of the sandbox's own token.
const TOKEN_LABEL: &str = "sandbox";

/// A running sandbox. Dropping it stops all servers and removes its folder.
#[derive(Debug)]
pub struct Sandbox {
    kubernetes: Option<Kubernetes>,
    vault: Option<Vault>,
    token: Option<SoftToken>,
    gateway: Option<Gateway>,
    minio: Option<Minio>,
    postgres: Option<Postgres>,
    vip: Ipv4Addr,
    options: Options,
    programs: Programs,
    launcher: Launcher,
    slot: Slot,
    // Last: dropped, and with it removed, when nothing writes into it any more.
    folder: Folder,
}

impl Sandbox {
    /// Brings up the parts of `options`: builds what is neither cached nor found, starts all side by side, and
    /// returns when everything is ready.
    ///
    /// # Errors
    /// What is missing, with the command that installs it; a failed build or server, with the end of its output; a
    /// folder that is in use or not a sandbox's.
    pub fn start(options: Options, progress: &dyn Progress) -> Result<Self> {
        outside_async(|| Self::start_here(options, progress))
    }

    fn start_here(options: Options, progress: &dyn Progress) -> Result<Self> {
        check_names(&options)?;
        let (launcher, programs) = prepare(&options, progress)?;
        let mut folder = Folder::take(&options.folder)?;
        if options.temporary {
            folder.remove_after_death(&required(&options, "flock")?)?;
        }
        let slot = Slot::claim()?;
        let vip = slot.vip()?;
        let started = Starter {
            options: &options,
            programs: &programs,
            launcher: &launcher,
            slot: &slot,
            folder: &folder,
            progress,
        }
        .all();
        match started {
            Ok((kubernetes, vault, gateway, token, minio, postgres)) => Ok(Self {
                kubernetes,
                vault,
                token,
                gateway,
                minio,
                postgres,
                vip,
                options,
                programs,
                launcher,
                slot,
                folder,
            }),
            Err(error) => {
                if matches!(error, Error::Server { .. }) {
                    folder.keep();
                }
                Err(error)
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Its folder; logs are in `<folder>/<part>/*.log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The cluster.
    ///
    /// # Errors
    /// Started without the part; so for the other parts.
    pub fn kubernetes(&self) -> Result<&Kubernetes> {
        self.kubernetes.as_ref().ok_or_else(|| without(Part::Kubernetes))
    }

    /// The Vault that everybody shares: use [`Sandbox::mount`] for paths of one's own.
    ///
    /// # Errors
    /// Started without the part.
    pub fn vault(&self) -> Result<&Vault> {
        self.vault.as_ref().ok_or_else(|| without(Part::Vault))
    }

    /// Another Vault, for a test that seals or stops it.
    ///
    /// # Errors
    /// Started without the part, or it does not start.
    pub fn extra_vault(&self) -> Result<Vault> {
        outside_async(|| self.starter(&|_: &Event| {}).vault(&format!("vault-{}", word())))
    }

    /// The token of the sandbox, labelled `sandbox`.
    ///
    /// # Errors
    /// Started without the part.
    pub fn token(&self) -> Result<&SoftToken> {
        self.token.as_ref().ok_or_else(|| without(Part::Hsm))
    }

    /// A token with its own `SOFTHSM2_CONF` in `folder`; call it again with the same folder for two tokens under one
    /// configuration.
    ///
    /// # Errors
    /// softhsm2 is not installed or refuses.
    pub fn soft_token(&self, folder: &Path, label: &str, so_pin: &str, pin: &str) -> Result<SoftToken> {
        make_token(&self.options, folder, label, so_pin, pin)
    }

    /// The HAProxy that everybody shares.
    ///
    /// # Errors
    /// Started without the part.
    pub fn gateway(&self) -> Result<&Gateway> {
        self.gateway.as_ref().ok_or_else(|| without(Part::Gateway))
    }

    /// Another HAProxy with folders and sockets of its own.
    ///
    /// # Errors
    /// haproxy is not installed or does not start.
    pub fn extra_gateway(&self) -> Result<Gateway> {
        self.starter(&|_: &Event| {}).gateway(&format!("haproxy-{}", word()))
    }

    /// The MinIO that everybody shares: use [`Minio::bucket`] for a bucket of one's own.
    ///
    /// # Errors
    /// Started without the part.
    pub fn minio(&self) -> Result<&Minio> {
        self.minio.as_ref().ok_or_else(|| without(Part::Minio))
    }

    /// The PostgreSQL that everybody shares.
    ///
    /// # Errors
    /// Started without the part.
    pub fn postgres(&self) -> Result<&Postgres> {
        self.postgres.as_ref().ok_or_else(|| without(Part::Postgres))
    }

    /// Another PostgreSQL, for a test that stops it.
    ///
    /// # Errors
    /// It does not start.
    pub fn extra_postgres(&self) -> Result<Postgres> {
        self.starter(&|_: &Event| {}).postgres(&format!("postgres-{}", word()))
    }

    /// A folder of its own below the sandbox's, private, removed with it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self, prefix: &str) -> Result<PathBuf> {
        self.folder.sub(&format!("{prefix}-{}", word()))
    }

    /// A name for a Kubernetes namespace (or anything with a DNS label for a name) that nobody else uses.
    #[must_use]
    pub fn namespace(&self, prefix: &str) -> String {
        format!("{prefix}-{}", word())
    }

    /// A path for a Vault mount or auth backend that nobody else uses, without slashes around it.
    #[must_use]
    pub fn mount(&self, prefix: &str) -> String {
        format!("{prefix}-{}", word())
    }

    /// A VIP (`127.0.<odd>.x`) that was not given out before in this sandbox; other sandboxes have other networks.
    ///
    /// # Errors
    /// All are given out.
    pub fn vip(&self) -> Result<Ipv4Addr> {
        self.slot.vip()
    }

    /// What programs need to know, as environment variables. Two of them are secrets (`VAULT_TOKEN`, the unseal key).
    ///
    /// | part | variables |
    /// |---|---|
    /// | always | `MESH_SANDBOX_NAME`, `MESH_SANDBOX_VIP` |
    /// | kubernetes | `KUBECONFIG` (admin), `MESH_SANDBOX_OPERATOR_KUBECONFIG` (and one for each other user), `MESH_SANDBOX_KUBERNETES_ADDR`, `MESH_SANDBOX_KUBERNETES_CA`, `MESH_SANDBOX_NODES` (addresses, separated by commas) |
    /// | vault | `VAULT_ADDR`, `VAULT_CACERT`, `VAULT_TOKEN` (root), `MESH_SANDBOX_VAULT_UNSEAL_KEY` |
    /// | hsm | `SOFTHSM2_CONF`, `MESH_SANDBOX_PKCS11_MODULE`, `MESH_SANDBOX_TOKEN_LABEL`, `MESH_SANDBOX_PIN_FILE` |
    /// | gateway | `MESH_SANDBOX_HAPROXY`, `MESH_SANDBOX_HAPROXY_CONFIG`, `MESH_SANDBOX_HAPROXY_CONF_DIR`, `MESH_SANDBOX_HAPROXY_MASTER_SOCKET`, `MESH_SANDBOX_HAPROXY_STATS_SOCKET` |
    #[must_use]
    pub fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: &dyn ToString| env.insert(name.to_owned(), value.to_string());
        set("MESH_SANDBOX_NAME", &self.options.name);
        set("MESH_SANDBOX_VIP", &self.vip);
        if let Some(cluster) = &self.kubernetes {
            set("KUBECONFIG", &cluster.admin_kubeconfig.display());
            set("MESH_SANDBOX_KUBERNETES_ADDR", &cluster.url);
            set("MESH_SANDBOX_KUBERNETES_CA", &cluster.ca_file.display());
            let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.ip.to_string()).collect();
            set("MESH_SANDBOX_NODES", &nodes.join(","));
            for user in &self.options.users {
                if let Ok(file) = cluster.kubeconfig(user) {
                    let user = user.to_uppercase().replace('-', "_");
                    set(&format!("MESH_SANDBOX_{user}_KUBECONFIG"), &file.display());
                }
            }
        }
        if let Some(vault) = &self.vault {
            set("VAULT_ADDR", &vault.address);
            set("VAULT_CACERT", &vault.ca_file.display());
            set("VAULT_TOKEN", &vault.root_token());
            set("MESH_SANDBOX_VAULT_UNSEAL_KEY", &vault.unseal_key());
        }
        if let Some(token) = &self.token {
            set("SOFTHSM2_CONF", &token.conf_path.display());
            set("MESH_SANDBOX_PKCS11_MODULE", &token.module_path.display());
            set("MESH_SANDBOX_TOKEN_LABEL", &token.label);
            set("MESH_SANDBOX_PIN_FILE", &token.pin_file.display());
        }
        if let Some(gateway) = &self.gateway {
            set("MESH_SANDBOX_HAPROXY", &gateway.program.display());
            set("MESH_SANDBOX_HAPROXY_CONFIG", &gateway.config.display());
            set("MESH_SANDBOX_HAPROXY_CONF_DIR", &gateway.conf_dir.display());
            set("MESH_SANDBOX_HAPROXY_MASTER_SOCKET", &gateway.master_socket.display());
            set("MESH_SANDBOX_HAPROXY_STATS_SOCKET", &gateway.stats_socket.display());
        }
        env
    }

    /// Stops all servers and removes the folder; the same as dropping it.
    pub fn stop(self) {
        drop(self);
    }

    pub(crate) fn servers(&self) -> Vec<&Server> {
        let cluster = self.kubernetes.iter().flat_map(|cluster| cluster.servers().iter().rev());
        let gateway = self.gateway.iter().map(Gateway::server);
        let minio = self.minio.iter().map(Minio::server);
        cluster.chain(self.vault.iter().map(Vault::server)).chain(gateway).chain(minio).collect()
    }

    fn starter<'a>(&'a self, progress: &'a dyn Progress) -> Starter<'a> {
        let Self { options, programs, launcher, slot, folder, .. } = self;
        Starter { options, programs, launcher, slot, folder, progress }
    }
}

/// Checks what is installed, and finds or builds the servers.
pub(crate) fn prepare(options: &Options, progress: &dyn Progress) -> Result<(Launcher, Programs)> {
    let missing = missing(options);
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    let launcher = Launcher::new(required(options, "setpriv")?, &options.path)?;
    let programs = build::programs(options, &launcher, progress)?;
    Ok((launcher, programs))
}

/// Where conftest is, which reads plans with policies: on the path, or built like the servers. Nothing is
/// started.
///
/// # Errors
/// What is missing for building it, and what the build said.
pub fn conftest(options: Options, progress: &dyn Progress) -> Result<PathBuf> {
    let options = Options { parts: [Part::Conftest].into(), ..options };
    let (_, programs) = prepare(&options, progress)?;
    programs.get("conftest").cloned().ok_or_else(|| Error::NotThere("conftest was not built".to_owned()))
}

/// Starts parts, again with other ports where one was taken.
struct Starter<'a> {
    options: &'a Options,
    programs: &'a Programs,
    launcher: &'a Launcher,
    slot: &'a Slot,
    folder: &'a Folder,
    progress: &'a dyn Progress,
}

type Started = (Option<Kubernetes>, Option<Vault>, Option<Gateway>, Option<SoftToken>, Option<Minio>, Option<Postgres>);

impl Starter<'_> {
    /// All chosen parts, side by side; when one fails, the others are stopped.
    fn all(&self) -> Result<Started> {
        let wanted = |part| self.options.parts.contains(&part);
        let (kubernetes, vault, gateway, token, minio, postgres) = std::thread::scope(|scope| {
            let kubernetes = wanted(Part::Kubernetes).then(|| scope.spawn(|| self.kubernetes()));
            let vault = wanted(Part::Vault).then(|| scope.spawn(|| self.vault("vault")));
            let gateway = wanted(Part::Gateway).then(|| self.gateway("haproxy"));
            let token = wanted(Part::Hsm).then(|| self.token(TOKEN_LABEL, &secret()[..12]));
            let minio = wanted(Part::Minio).then(|| self.minio());
            let postgres = wanted(Part::Postgres).then(|| self.postgres("postgres"));
            (kubernetes.map(joined), vault.map(joined), gateway, token, minio, postgres)
        });
        let (gateway, token, minio) = (gateway.transpose()?, token.transpose()?, minio.transpose()?);
        Ok((kubernetes.transpose()?, vault.transpose()?, gateway, token, minio, postgres.transpose()?))
    }

    fn kubernetes(&self) -> Result<Kubernetes> {
        let openssl = required(self.options, "openssl")?;
        self.again("kubernetes", |folder| {
            Kubernetes::start(&Parts {
                programs: self.programs,
                openssl: &openssl,
                launcher: self.launcher,
                slot: self.slot,
                folder,
                users: &self.options.users,
                progress: self.progress,
            })
        })
    }

    fn vault(&self, name: &str) -> Result<Vault> {
        let (vault, plugin) = vault::programs(self.programs)?;
        let setpriv = required(self.options, "setpriv")?;
        self.progress.event(&Event::Starting { server: name.to_owned() });
        let vault = self.again(name, |folder| Vault::start(name, vault, plugin, &setpriv, self.launcher, folder))?;
        self.ready(vault.server(), &vault.address);
        Ok(vault)
    }

    fn gateway(&self, name: &str) -> Result<Gateway> {
        let haproxy = required(self.options, "haproxy")?;
        self.progress.event(&Event::Starting { server: name.to_owned() });
        let gateway = self.again(name, |folder| Gateway::start(name, &haproxy, self.launcher, folder))?;
        self.ready(gateway.server(), "");
        Ok(gateway)
    }

    fn minio(&self) -> Result<Minio> {
        let program = self.programs.get("minio").ok_or_else(|| Error::NotThere("minio was not built".to_owned()))?;
        let openssl = required(self.options, "openssl")?;
        self.progress.event(&Event::Starting { server: "minio".to_owned() });
        let minio = self.again("minio", |folder| Minio::start(program, &openssl, self.launcher, folder))?;
        self.ready(minio.server(), &minio.address);
        Ok(minio)
    }

    fn postgres(&self, name: &str) -> Result<Postgres> {
        let programs = postgres::programs(self.options).ok_or_else(|| Error::Missing(missing(self.options)))?;
        let (setpriv, openssl) = (required(self.options, "setpriv")?, required(self.options, "openssl")?);
        self.progress.event(&Event::Starting { server: name.to_owned() });
        let begun = std::time::Instant::now();
        let started =
            self.again(name, |folder| Postgres::start(&programs, &setpriv, &openssl, self.launcher, folder))?;
        let (address, elapsed) = (format!("127.0.0.1:{}", started.port), begun.elapsed());
        self.progress.event(&Event::Ready { server: name.to_owned(), address, elapsed });
        Ok(started)
    }

    fn token(&self, label: &str, pin: &str) -> Result<SoftToken> {
        make_token(self.options, &self.folder.sub("hsm")?, label, &secret(), pin)
    }

    fn ready(&self, server: &Server, address: &str) {
        let (name, elapsed) = (server.name.clone(), server.started.elapsed());
        self.progress.event(&Event::Ready { server: name, address: address.to_owned(), elapsed });
    }

    /// Each try has a new folder, for a server may have left half of its data in the last one.
    fn again<T>(&self, name: &str, start: impl Fn(&Path) -> Result<T>) -> Result<T> {
        for attempt in 1..TRIES {
            let folder = self.folder.sub(&if attempt == 1 { name.to_owned() } else { format!("{name}-{attempt}") })?;
            match start(&folder) {
                Err(error) if error.port_was_taken() => {
                    self.progress.event(&Event::PortTaken { part: name.to_owned() })
                }
                result => return result,
            }
        }
        start(&self.folder.sub(&format!("{name}-{TRIES}"))?)
    }
}

fn make_token(options: &Options, folder: &Path, label: &str, so_pin: &str, pin: &str) -> Result<SoftToken> {
    let util = required(options, "softhsm2-util")?;
    let module = token::module_path().ok_or_else(|| Error::Missing(missing(options)))?;
    token::make(&util, module, folder, label, so_pin, pin)
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn without(part: Part) -> Error {
    Error::NotThere(format!("this sandbox was started without the part `{}`", part.name()))
}

/// Users become file names and a line of a CSV file.
fn check_names(options: &Options) -> Result<()> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match options.users.iter().find(|user| !plain(user)) {
        Some(user) => Err(Error::NotThere(format!("`{user}` is no user name: use a-z, 0-9 and `-`"))),
        None => Ok(()),
    }
}
