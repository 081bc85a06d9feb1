//! What a backend says of itself before there is one: its name, its settings, and how they open it.
//!
//! The one decision: settings arrive as one converted object, and what they miss is taken from an environment that is
//! plain data. So a backend reads no configuration, and its settings are documented like any other schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_model::{Schema, Value};

use crate::keyring::KeyPlace;
use crate::local::workspace_file;
use crate::seal::Encryption;
use crate::{Home, Keyring, LocalBackend, Retention, STATE};

/// A type of backend: a row of the table of backends.
pub struct BackendKind {
    /// The label of its block: `mesh { backend "local" { ... } }`.
    pub name: &'static str,
    /// What it is, for people.
    pub doc: &'static str,
    /// A `mesh` block with it.
    pub example: &'static str,
    /// Its settings.
    pub settings: Schema,
    /// Opens a state; touches nothing.
    pub open: fn(&Settings<'_>) -> Result<Arc<dyn Home>, BadSetting>,
}

/// The settings of one backend.
pub struct Settings<'s> {
    /// An object with all settings of the schema, converted; null where one is not given.
    pub values: &'s Value,
    /// The environment of the program.
    pub env: &'s BTreeMap<String, String>,
    /// For whom the keys of the state are sealed.
    pub encryption: Option<&'s Encryption>,
    /// Another workspace than the default one: a DNS label.
    pub workspace: Option<&'s str>,
    /// How much history is kept.
    pub retention: Retention,
}

impl<'s> Settings<'s> {
    /// Of the default workspace, without encryption.
    pub fn new(values: &'s Value, env: &'s BTreeMap<String, String>) -> Self {
        Self { values, env, encryption: None, workspace: None, retention: Retention::default() }
    }

    /// A text that is given and not empty.
    pub fn text(&self, name: &str) -> Option<&'s str> {
        self.values.get_str(name).filter(|text| !text.is_empty())
    }

    /// A flag that is given.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.values.get(name).and_then(Value::as_bool)
    }

    /// The files of a state, its keys sealed as configured.
    pub fn local(&self, path: impl Into<PathBuf>) -> LocalBackend {
        let mut backend = LocalBackend::new(path).retaining(self.retention);
        if let Some(workspace) = self.workspace {
            backend = backend.workspace(workspace);
        }
        match self.encryption {
            Some(encryption) => backend.encrypted(encryption.clone()),
            None => backend,
        }
    }

    /// The keys of a state that lies elsewhere: sealed at `place`, else in a file of the root folder.
    pub fn keyring(&self, place: Arc<dyn KeyPlace>) -> Keyring {
        let file = self.workspace.map_or_else(|| PathBuf::from(STATE), |name| workspace_file(Path::new(STATE), name));
        Keyring::elsewhere(file, self.encryption.cloned(), place)
    }

    /// The files of a certificate to show to a server, and of its key: the settings `client_cert_file` and
    /// `client_key_file`, where they are not given what was said in another way.
    ///
    /// # Errors
    /// One without the other.
    pub fn client_certificate<'a>(
        &self,
        certificate: Option<&'a str>,
        key: Option<&'a str>,
    ) -> Result<Option<(&'a str, &'a str)>, BadSetting>
    where
        's: 'a,
    {
        match (self.text("client_cert_file").or(certificate), self.text("client_key_file").or(key)) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            _ => {
                let why = "client_cert_file and client_key_file go together: set both or none.";
                Err(BadSetting::of("client_cert_file", why))
            }
        }
    }

    /// A variable of the environment that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&'s str> {
        self.env.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// Why settings open nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadSetting {
    /// Which one, where it is one.
    pub setting: Option<&'static str>,
    /// What is wrong and what to write; without secrets.
    pub why: String,
}

impl BadSetting {
    /// About one setting.
    pub fn of(setting: &'static str, why: impl Into<String>) -> Self {
        Self { setting: Some(setting), why: why.into() }
    }

    /// About all of them.
    pub fn all(why: impl Into<String>) -> Self {
        Self { setting: None, why: why.into() }
    }
}
