//! Where HAProxy's files and sockets are.
//!
//! The one decision: opening contacts nobody; a socket that does not answer is an error of the call
//! that needs it, so that a plan of something else still works.

use std::path::PathBuf;
use std::time::Duration;

use mesh_model::Value;
use mesh_model::schema::duration_seconds;
use mesh_sdk::{ErrorKind, ProviderError, Services};

/// One HAProxy.
#[derive(Debug)]
pub(crate) struct Client {
    /// The foreign main file.
    pub(crate) main: PathBuf,
    /// The folder of our files, canonical.
    pub(crate) dir: PathBuf,
    pub(crate) master: PathBuf,
    pub(crate) stats: PathBuf,
    pub(crate) binary: String,
    pub(crate) reload_timeout: Duration,
    prefix: String,
}

impl Client {
    pub(crate) fn open(config: &Value, services: &Services) -> Result<Self, ProviderError> {
        let text = |name| config.get_str(name).unwrap_or_default();
        let wrong = |name, detail: String| {
            ProviderError::new(ErrorKind::Invalid, "The gateway's configuration is not usable", detail).at(name)
        };
        let path = |name| services.root.join(text(name));
        let main = path("main_config");
        if !main.is_file() {
            let detail = format!("There is no file {}: `main_config` names HAProxy's own file.", main.display());
            return Err(wrong("main_config", detail));
        }
        let dir = path("config_dir");
        let dir = match dir.canonicalize() {
            Ok(found) if found.is_dir() => found,
            _ => {
                let detail = format!(
                    "There is no folder {}. Make it, and start HAProxy with `-f {}` after its main file.",
                    dir.display(),
                    dir.display()
                );
                return Err(wrong("config_dir", detail));
            }
        };
        let prefix = text("file_prefix").to_owned();
        if prefix.is_empty() || prefix.starts_with('.') || prefix.contains('/') {
            let detail = "`file_prefix` must be the start of a file name, such as \"mesh-\".";
            return Err(wrong("file_prefix", detail.into()));
        }
        let timeout = duration_seconds(text("reload_timeout")).and_then(|s| Duration::try_from_secs_f64(s).ok());
        let reload_timeout = timeout
            .filter(|t| !t.is_zero())
            .ok_or_else(|| wrong("reload_timeout", "`reload_timeout` must be a duration such as \"30s\".".into()))?;
        Ok(Self {
            main,
            dir,
            master: path("master_socket"),
            stats: path("stats_socket"),
            binary: text("haproxy_binary").to_owned(),
            reload_timeout,
            prefix,
        })
    }

    /// The file of a load balancer.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}{name}.cfg", self.prefix))
    }
}
