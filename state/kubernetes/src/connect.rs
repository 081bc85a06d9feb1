//! Which cluster, and how it is reached.
//!
//! The one decision: the settings are read and checked when the backend is opened, the client is made with the first
//! request: a client needs the async runtime, and reading settings must touch nothing.

use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use mesh_state::{BadSetting, Settings};

use crate::error::chain;

/// An answer takes at most this long to go on.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which cluster.
pub(crate) enum Access {
    /// The one that a kubeconfig names, with a context.
    File(Box<Kubeconfig>, Option<String>),
    /// The one that we run in.
    InCluster,
}

impl Access {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        let context = settings.text("context");
        match (settings.text("kubeconfig"), settings.flag("in_cluster").unwrap_or(false)) {
            (Some(_), true) => Err(BadSetting::of("in_cluster", "Set kubeconfig or in_cluster, not both.")),
            (None, false) => Err(BadSetting::all(
                "Nothing says which cluster is meant. Set kubeconfig (and context), or in_cluster = true. The environment \
                 and ~/.kube/config are not looked at.",
            )),
            (None, true) => Ok(Self::InCluster),
            (Some(path), false) => {
                let file = Kubeconfig::read_from(Path::new(path)).map_err(|e| {
                    BadSetting::of("kubeconfig", format!("The kubeconfig {path} cannot be used: {}.", unread(&e)))
                })?;
                let name = context.or(file.current_context.as_deref());
                if name.is_none_or(|name| !file.contexts.iter().any(|c| c.name == name)) {
                    let names: Vec<&str> = file.contexts.iter().map(|c| &*c.name).collect();
                    let setting = if context.is_some() { "context" } else { "kubeconfig" };
                    let why = format!(
                        "The kubeconfig {path} has no context {:?}; it has: {}.",
                        name.unwrap_or_default(),
                        names.join(", ")
                    );
                    return Err(BadSetting::of(setting, why));
                }
                Ok(Self::File(Box::new(file), context.map(str::to_owned)))
            }
        }
    }

    /// A client; the error in words.
    pub(crate) async fn client(&self) -> Result<Client, String> {
        // Fails only when a provider is installed already; then that one serves.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = match self {
            Self::File(file, context) => {
                let options = KubeConfigOptions { context: context.clone(), cluster: None, user: None };
                kube::Config::from_custom_kubeconfig((**file).clone(), &options).await.map_err(|e| chain(&e))?
            }
            Self::InCluster => kube::Config::incluster_env()
                .map_err(|e| format!("in_cluster is for a run in a pod with a service account: {}", chain(&e)))?,
        };
        // The client takes for granted that the token fits into a header.
        let written = serde_json::to_value(&config.auth_info).unwrap_or_default();
        if written["token"].as_str().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(
                "the token of the kubeconfig holds characters that cannot be sent, such as a line break".to_owned()
            );
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        // A write that is repeated blindly would find its own first try.
        config.default_retry = false;
        Client::try_from(config).map_err(|e| chain(&e))
    }
}

/// Why a kubeconfig cannot be read; its parser quotes the lines that it does not understand, and those hold tokens.
fn unread(error: &KubeconfigError) -> String {
    let KubeconfigError::Parse(error) = error else { return chain(error) };
    let place = error.location().map_or_else(String::new, |l| format!(" at line {}, column {}", l.line(), l.column()));
    format!("it is not YAML with clusters, users and contexts{place}")
}
