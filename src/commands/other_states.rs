//! The outputs of other states, for configurations that name them.
//!
//! The one decision: another state is opened like one's own, from the same table and with the same recipients, but for
//! reading alone: no lock, no key that is made, nothing remembered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mesh_core::sealed_place;
use mesh_lang::suggestion;
use mesh_model::schema::Given;
use mesh_model::{Value, convert};
use mesh_sdk::{ErrorKind, OtherOutputs, OtherStates, ProviderError, async_trait};
use mesh_state::seal::Encryption;
use mesh_state::{BackendKind, Settings, StateError};

use super::backend::kind;

/// The way to them.
pub(crate) struct States {
    pub(crate) env: Arc<BTreeMap<String, String>>,
    /// Whose sensitive outputs can be opened.
    pub(crate) encryption: Option<Encryption>,
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("States")
    }
}

fn invalid(attribute: &'static str, detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The other state cannot be read", detail).at(attribute)
}

fn unreadable(error: &StateError) -> ProviderError {
    ProviderError::new(
        ErrorKind::Other,
        "The other state cannot be read",
        format!("{}: {}", error.summary(), error.detail()),
    )
}

/// All settings of a backend, from those that are given.
fn settings(kind: &BackendKind, config: &Value) -> Result<Value, ProviderError> {
    if !config.is_null() && config.as_fields().is_none() {
        return Err(invalid("config", "`config` must be an object with the settings of the backend."));
    }
    let known = || kind.settings.attributes.iter().map(|a| a.name);
    for name in config.as_fields().into_iter().flat_map(|f| f.iter()).map(|(name, _)| name) {
        if !known().any(|k| k == &**name) {
            let hint = suggestion(name, known()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
            return Err(invalid("config", format!("The backend {} has no setting {name:?}.{hint}", kind.name)));
        }
    }
    let values = kind.settings.attributes.iter().map(|a| {
        let given =
            config.get(a.name).filter(|v| !v.is_null()).map(|v| v.reveal_deep().0).or_else(|| a.default.clone());
        let Some(given) = given else {
            return match a.given {
                Given::Required => Err(invalid("config", format!("The setting {:?} is required.", a.name))),
                _ => Ok((a.name, Value::null(a.ty.clone()))),
            };
        };
        let value = convert::convert(&given, &a.ty)
            .map_err(|e| invalid("config", format!("The setting {:?}: {e}.", a.name)))?;
        Ok((a.name, value))
    });
    Ok(Value::object(values.collect::<Result<Vec<_>, _>>()?))
}

#[async_trait]
impl OtherStates for States {
    async fn outputs(
        &self,
        backend: &str,
        workspace: Option<&str>,
        config: &Value,
    ) -> Result<OtherOutputs, ProviderError> {
        let kind = kind(backend).map_err(|detail| invalid("backend", detail))?;
        let values = settings(&kind, config)?;
        let encryption = self.encryption.as_ref();
        let home = (kind.open)(&Settings { encryption, workspace, ..Settings::new(&values, &self.env) });
        let home = home.map_err(|bad| invalid("config", bad.why))?;
        let snapshot = home.snapshot().await.map_err(|e| unreadable(&e))?;
        if snapshot.serial == 0 {
            let detail = format!("There is no state in the {}, or its first apply is not complete.", home.describe());
            return Err(ProviderError::new(ErrorKind::Missing, "The other state is not there", detail));
        }
        let sealed = snapshot.outputs.values().any(|o| o.sealed.is_some());
        let sealer = match encryption.filter(|_| sealed) {
            // Those who are no recipients there are given what is not sealed.
            Some(_) => match home.keys().await {
                Ok(keys) => keys.sealer,
                Err(StateError::Key { .. }) => None,
                Err(error) => return Err(unreadable(&error)),
            },
            None => None,
        };
        let (mut outputs, mut withheld) = (Vec::new(), Vec::new());
        for (name, output) in snapshot.outputs.iter().filter(|(_, o)| !o.value.is_null()) {
            let place = sealed_place(&snapshot.lineage, name);
            let opened = output
                .sealed
                .as_ref()
                .zip(sealer.as_ref())
                .and_then(|(sealed, sealer)| sealer.open_value(&place, sealed, &output.value.ty()));
            match opened {
                Some(value) => outputs.push((name.to_string(), value)),
                None if output.value.has_withheld() => withheld.push(name.to_string()),
                None if output.sensitive => outputs.push((name.to_string(), output.value.clone().sensitive())),
                None => outputs.push((name.to_string(), output.value.clone())),
            }
        }
        Ok(OtherOutputs { outputs: Value::object(outputs), withheld })
    }
}
