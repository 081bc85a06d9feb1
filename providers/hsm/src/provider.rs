//! The provider: its configuration and the table of its types.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_model::schema::{Equality, duration_seconds};
use mesh_model::{Attribute, ProviderSchema, Schema, Type, Value};
use mesh_sdk::{ErrorKind, Provider, ProviderError, Registry, Rules, Services, Session, TypedSession, async_trait};

use crate::client::{Client, Settings, WorkerCommand};
use crate::protocol::Secret;
use crate::wrapping::Kek;
use crate::{data, resources};

/// The hidden argument that turns the program into a worker.
pub const WORKER_ARGUMENT: &str = "__hsm-worker";

/// The provider `hsm`; its workers are this very program with [`WORKER_ARGUMENT`].
pub fn provider() -> Arc<dyn Provider> {
    let program = std::env::current_exe().unwrap_or_else(|_| "mesh".into());
    provider_with(WorkerCommand { program, args: vec![WORKER_ARGUMENT.to_owned()] })
}

/// The provider `hsm` with another way to start workers.
pub fn provider_with(command: WorkerCommand) -> Arc<dyn Provider> {
    let registry = Registry::new(
        "hsm",
        "Keys, certificates and certificate requests on a PKCS#11 token (Thales Luna, SoftHSM and others).",
        config(),
        1,
        resources::all(),
        data::all(),
    )
    .wrapper(Box::new(Kek));
    Arc::new(Hsm { registry: Arc::new(registry), command })
}

struct Hsm {
    registry: Arc<Registry<Client>>,
    command: WorkerCommand,
}

fn config() -> Schema {
    Schema::of([
        Attribute::required(
            "library",
            Type::String,
            "Path of the PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`.",
        ),
        Attribute::required(
            "token_label",
            Type::String,
            "Label of the token. Slots change their numbers, so they name nothing.",
        ),
        Attribute::optional("token_serial", Type::String, "Serial number of the token, where several have the label."),
        Attribute::optional(
            "pin",
            Type::String,
            "PIN of the user. A wrong one is tried once and never again, since tokens lock themselves.",
        )
        .sensitive(),
        Attribute::optional(
            "pin_file",
            Type::String,
            "File that holds the PIN, in place of `pin`; white space around it is dropped.",
        ),
        Attribute::optional(
            "user_type",
            Type::String,
            "`user` (default) or `crypto-user`, the read-only user of Luna.",
        )
        .default(Value::string("user")),
        Attribute::optional(
            "environment",
            Type::map(Type::String),
            "Environment variables for the library, such as `SOFTHSM2_CONF` or `ChrystokiConfigurationPath`. They are \
             set in a process of their own.",
        ),
        Attribute::optional(
            "timeout",
            Type::String,
            "How long one call may take before the library counts as hung; default `120s`.",
        )
        .default(Value::string("120s"))
        .equality(Equality::Duration),
    ])
}

#[async_trait]
impl Provider for Hsm {
    fn schema(&self) -> &ProviderSchema {
        self.registry.schema()
    }

    fn rules(&self, ty: &str) -> Option<&dyn Rules> {
        self.registry.rules(ty)
    }

    async fn configure(&self, config: &Value, services: &Services) -> Result<Arc<dyn Session>, ProviderError> {
        let settings = settings(config, services, self.command.clone())?;
        let client = Client::open(settings).await?;
        let target = Arc::from(client.token().serial.as_str());
        Ok(Arc::new(TypedSession::new(self.registry.clone(), client, Some(target), services.clone())))
    }
}

fn invalid(attribute: &'static str, detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The provider is not configured rightly", detail).at(attribute)
}

/// A path of the configuration, from the root module on; a bare file name is left to the loader.
fn path(root: &Path, text: &str) -> String {
    if text.contains('/') { root.join(text).to_string_lossy().into_owned() } else { text.to_owned() }
}

pub(crate) fn settings(config: &Value, services: &Services, command: WorkerCommand) -> Result<Settings, ProviderError> {
    let text = |name: &'static str| config.get_str(name).map(str::to_owned);
    let required = |name: &'static str| {
        text(name).filter(|t| !t.is_empty()).ok_or_else(|| invalid(name, format!("{name} must not be empty.")))
    };
    let pin = match (text("pin"), text("pin_file")) {
        (Some(_), Some(_)) => return Err(invalid("pin_file", "Both pin and pin_file are set; set one of them.")),
        (Some(pin), None) => Some(pin),
        (None, Some(file)) => {
            let file = services.root.join(file);
            let read = std::fs::read_to_string(&file)
                .map_err(|e| invalid("pin_file", format!("{} cannot be read: {e}.", file.display())))?;
            Some(read.trim().to_owned())
        }
        (None, None) => None,
    };
    if pin.as_ref().is_some_and(String::is_empty) {
        return Err(invalid("pin", "The PIN is empty."));
    }
    let crypto_user = match text("user_type").as_deref() {
        None | Some("user") => false,
        Some("crypto-user") => true,
        Some(other) => return Err(invalid("user_type", format!("{other:?} is neither \"user\" nor \"crypto-user\"."))),
    };
    let limit = text("timeout").unwrap_or_else(|| "120s".into());
    let limit = duration_seconds(&limit).filter(|s| *s > 0.0 && *s <= 86400.0).ok_or_else(|| {
        invalid("timeout", format!("{limit:?} is not a duration between 0 and 24h, such as \"120s\"."))
    })?;
    let mut environment = for_the_library(&services.env);
    if let Some(fields) = config.get("environment").and_then(Value::as_fields) {
        environment.extend(fields.iter().filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))));
    }
    Ok(Settings {
        command,
        environment,
        library: path(&services.root, &required("library")?),
        token_label: required("token_label")?,
        token_serial: text("token_serial").filter(|t| !t.is_empty()),
        pin: pin.map(Secret),
        crypto_user,
        limit: Duration::from_secs_f64(limit),
    })
}

/// The variables that a vendor's library may see: it reads its own, so no list of them can be complete,
/// but those that carry secrets of other systems are none of its business. Whatever `environment`
/// names is given in any case.
fn for_the_library(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let withheld = |name: &str| {
        ["MESH_VAR_", "VAULT_", "BAO_"].iter().any(|p| name.starts_with(p))
            || ["TOKEN", "SECRET", "PASSWORD", "PASSPHRASE"].iter().any(|w| name.to_ascii_uppercase().contains(w))
    };
    all.iter().filter(|(name, _)| !withheld(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    #[test]
    fn secrets_of_other_systems_do_not_reach_the_vendors_library() {
        let all = [
            "PATH",
            "SOFTHSM2_CONF",
            "ChrystokiConfigurationPath",
            "VAULT_TOKEN",
            "MESH_VAR_hsm_pin",
            "CI_JOB_TOKEN",
            "db_password",
        ];
        let all: BTreeMap<String, String> = all.into_iter().map(|n| (n.to_owned(), "x".to_owned())).collect();
        let seen: Vec<String> = super::for_the_library(&all).into_keys().collect();
        assert_eq!(seen, ["ChrystokiConfigurationPath", "PATH", "SOFTHSM2_CONF"]);
    }
}
