//! The `encryption` block: who can open the keys of a state.
//!
//! The one decision: a recipient is a passphrase, or a provider that has a key of its own (Vault's transit, an HSM);
//! its `connection` block is that of the provider. Settings are needed before anything is evaluated, so they
//! refer to variables only. A recipient connects when it is asked, not before.

use std::sync::Arc;

use mesh_core::Keeper;
use mesh_lang::{Block as Written, Body, Config, Scope, check_body, eval_body, suggestion};
use mesh_model::{Attribute, Block, Diagnostic, Diagnostics, Nesting, RecipientNeed, Schema, Span, Type, Value};
use mesh_sdk::{Provider, ProviderError, Services};
use mesh_state::seal::{Encryption, Key, Passphrase, Recipient};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::ui::Failure;

/// The kind of a recipient that is no provider.
const PASSPHRASE: &str = "passphrase";

/// The providers that can seal.
fn sealing() -> Vec<Arc<dyn Provider>> {
    mesh_providers::all().into_iter().filter(|p| p.schema().recipient.is_some()).collect()
}

/// What a passphrase takes.
fn phrase() -> Schema {
    let doc = "At least 16 characters; give it as a variable that is sensitive or ephemeral.";
    Schema::of([Attribute::required(PASSPHRASE, Type::String, doc).sensitive()])
}

/// What a recipient takes that is a provider's key; `None` for a provider that seals nothing.
fn held(provider: &dyn Provider) -> Option<Schema> {
    let connection = Block {
        name: "connection",
        nesting: Nesting::Single,
        min: 0,
        max: 1,
        schema: provider.schema().config.clone(),
        doc: "How to connect: what the provider block of this name takes.",
    };
    provider.schema().recipient.clone().map(|s| s.block(connection))
}

fn bad(detail: String, span: Span) -> Diagnostic {
    Diagnostic::error("cli::encryption", "Bad encryption settings", detail).at(span)
}

/// What an encryption block says.
#[derive(Clone)]
pub(crate) struct Configured {
    /// For whom keys are sealed.
    pub(crate) encryption: Encryption,
    /// The same, for the check that a stack does not manage what opens its own state.
    pub(crate) keepers: Vec<Keeper>,
}

/// The encryption of a configuration, if it has any.
///
/// # Errors
/// Everything that is wrong with the block.
pub(crate) fn encryption(
    config: &Config,
    scope: &dyn Scope,
    services: &Services,
) -> Result<Option<Configured>, Failure> {
    let Some(body) = &config.root().settings.encryption else { return Ok(None) };
    let mut found = Diagnostics::new();
    for attribute in &body.attributes {
        found.push(bad(
            format!("There is no setting {:?}; it holds recipient blocks.", &*attribute.name),
            attribute.name_span,
        ));
    }
    let mut recipients: Vec<Arc<dyn Recipient>> = Vec::new();
    let mut keepers = Vec::new();
    for block in &body.blocks {
        match recipient(block, scope, services) {
            Ok((one, _)) if recipients.iter().any(|r| r.kind() == one.kind() && r.name() == one.name()) => {
                found.push(bad(format!("There are two recipients {} {:?}.", one.kind(), one.name()), block.span));
            }
            Ok((one, needs)) => {
                keepers.push(Keeper { name: format!("{} {:?}", one.kind(), one.name()), needs });
                recipients.push(one);
            }
            Err(diagnostics) => found.extend(diagnostics),
        }
    }
    if recipients.is_empty() && !found.has_errors() {
        found.push(bad(
            "It needs at least one recipient block: recipient \"passphrase\" \"NAME\" { ... }.".to_owned(),
            body.span,
        ));
    }
    if found.has_errors() {
        Err(found.into())
    } else {
        Ok(Some(Configured { encryption: Encryption { recipients }, keepers }))
    }
}

/// What a recipient needs of the objects of its system.
type Needs = Vec<(RecipientNeed, Value)>;

fn recipient(
    block: &Written,
    scope: &dyn Scope,
    services: &Services,
) -> Result<(Arc<dyn Recipient>, Needs), Diagnostics> {
    let [kind, name] = block.labels.as_slice() else {
        return Err(
            bad("A recipient is written as: recipient \"kind\" \"name\" { ... }.".to_owned(), block.span).into()
        );
    };
    if &*block.name != "recipient" {
        return Err(bad(format!("There is no block {:?}; it holds recipient blocks.", &*block.name), block.span).into());
    }
    if &**kind == PASSPHRASE {
        let values = values(&block.body, &phrase(), scope)?;
        let text = values.get(PASSPHRASE).map(|v| v.reveal_deep().0);
        let text = Zeroizing::new(text.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned());
        let made =
            Passphrase::new(&**name, text).map_err(|why| bad(format!("Of {kind} {name:?}: {why}."), block.span))?;
        return Ok((Arc::new(made), Vec::new()));
    }
    let providers = sealing();
    let found = providers.iter().find_map(|p| Some((p.clone(), held(&**p).filter(|_| p.schema().name == &**kind)?)));
    let Some((provider, schema)) = found else {
        let kinds = || std::iter::once(PASSPHRASE).chain(providers.iter().map(|p| p.schema().name));
        let hint = suggestion(kind, kinds()).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
        let list = kinds().collect::<Vec<_>>().join(", ");
        return Err(bad(format!("There is no recipient {kind:?}.{hint} There are: {list}."), block.span).into());
    };
    let values = values(&block.body, &schema, scope)?;
    let connection = values.get("connection").filter(|v| !v.is_null()).map(|v| v.reveal_deep().0);
    let connection = connection.unwrap_or_else(|| empty(&provider.schema().config));
    let needs = provider.schema().recipient_needs.iter();
    let needs = needs.filter_map(|need| Some((*need, values.get(need.setting)?.reveal_deep().0))).collect();
    let held = Held { provider, name: name.to_string(), settings: values, connection, services: services.clone() };
    Ok((Arc::new(held), needs))
}

/// A block of which nothing is given, with its defaults.
fn empty(schema: &Schema) -> Value {
    let attributes =
        schema.attributes.iter().map(|a| (a.name, a.default.clone().unwrap_or_else(|| Value::null(a.ty.clone()))));
    let blocks = schema.blocks.iter().map(|b| (b.name, Value::NULL));
    Value::object(attributes.chain(blocks))
}

/// What a block says, all of it known.
fn values(body: &Body, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let checked = check_body(body, schema, "this recipient");
    if checked.has_errors() {
        return Err(checked);
    }
    let values = eval_body(body, schema, scope)?;
    if values.is_wholly_known() {
        return Ok(values);
    }
    Err(bad("All of it must be known before anything is planned.".to_owned(), body.span).into())
}

/// A key that a system has.
struct Held {
    provider: Arc<dyn Provider>,
    name: String,
    settings: Value,
    connection: Value,
    services: Services,
}

fn said(error: &ProviderError) -> String {
    format!("{}: {}", error.summary, error.detail.trim_end_matches('.'))
}

/// What a wrapped key is bound to.
fn context(lineage: &str) -> String {
    format!("mesh state {lineage}")
}

#[async_trait::async_trait]
impl Recipient for Held {
    fn kind(&self) -> &'static str {
        self.provider.schema().name
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, lineage: &str, key: &Key) -> Result<Json, String> {
        let session = self.provider.configure(&self.connection, &self.services).await.map_err(|e| said(&e))?;
        let wrapped = session.wrap(&self.settings, &context(lineage), key).await;
        session.close().await;
        wrapped.map(Json::String).map_err(|e| said(&e))
    }

    async fn unwrap(&self, lineage: &str, wrapped: &Json) -> Result<Key, String> {
        let text = wrapped.as_str().ok_or("what is kept for it is damaged")?;
        let session = self.provider.configure(&self.connection, &self.services).await.map_err(|e| said(&e))?;
        let key = session.unwrap(&self.settings, &context(lineage), text).await;
        session.close().await;
        key.map_err(|e| said(&e))
    }
}
