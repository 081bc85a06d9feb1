//! From an object of Terraform's state to one that the engine can look at.
//!
//! The one decision: what Terraform remembers only says which object is meant and how its values are spelled; what the
//! attributes of a type mean is that type's affair ([`Rules::foreign`]). Secrets are withheld before anything else.

use std::sync::Arc;

use mesh_core::Engine;
use mesh_core::stage::takeover::{Foreign, mark};
use mesh_lang::Config;
use mesh_model::convert::convert;
use mesh_model::json::reveal_json;
use mesh_model::snapshot::Identity;
use mesh_model::{Address, Fingerprinter, Instance, Mode, Schema, Type, Value};
use mesh_sdk::marks::mark_sensitive;
use mesh_sdk::{IdentityHint, Imported, Rules};

use super::file::Object;

/// Attributes that every type of Terraform has, and that say nothing of the object.
const COMMON: [&str; 2] = ["id", "timeouts"];

/// An object that can be looked at.
pub(super) struct Known {
    pub(super) foreign: Foreign,
    /// Names of attributes that hold something and that our type does not have.
    pub(super) passed: Vec<Arc<str>>,
    /// Whether a block declares it, as far as that can be said of a block.
    pub(super) declared: bool,
}

/// Which object it is, and what is known of it.
///
/// # Errors
/// Why it cannot be taken over, as the end of a sentence.
pub(super) fn known(
    engine: &Engine,
    config: &Config,
    fingerprinter: &Fingerprinter,
    object: &Object,
) -> Result<Known, String> {
    let Address { mode, ty, .. } = &object.address;
    if *mode != Mode::Managed {
        return Err("data sources are read anew by every run".to_owned());
    }
    let found = engine.provider_of(*mode, ty).zip(engine.schema(*mode, ty)).zip(engine.rules(*mode, ty));
    let Some(((provider, schema), rules)) = found else {
        let near = mesh_lang::suggestion(ty, engine.type_names(*mode));
        let near = near.map(|s| format!("; mesh import takes objects into a {s}")).unwrap_or_default();
        return Err(format!("mesh has no type {ty}{near}"));
    };
    let name = provider.schema().name;
    let declared = declared(config, &object.address);
    if !declared && !has_provider(config, name, &object.alias) {
        return Err(format!("there is no provider {name}{} in the configuration", object.alias));
    }
    let Some(attributes) = &object.attributes else {
        return Err("its attributes stand there in the form of Terraform 0.11".to_owned());
    };
    let id = attributes.get_str("id").map(str::to_owned);
    let attributes = mark(&typed(&schema.schema, attributes)?, &object.sensitive);
    let theirs = rules.foreign(attributes)?;
    let (values, passed) = shaped(&schema.schema, &theirs.values);
    let identity = match theirs.identity {
        Some(identity) => identity,
        None => identity(rules, &values, id.as_deref())?,
    };
    let dependencies = object.dependencies.iter().filter_map(|d| d.parse::<Address>().ok());
    let dependencies = dependencies.filter(|d| d.mode == Mode::Managed).map(|d| d.resource().to_string().into());
    let instance = Instance {
        provider: format!("{name}{}", object.alias).into(),
        schema_version: schema.version,
        values: fingerprinter.withhold(&rules.mark(mark_sensitive(&schema.schema, &values))),
        identity: Some(identity),
        target: None,
        dependencies: dependencies.collect(),
        protected: schema.protected,
        create_before_destroy: object.create_before_destroy,
        tainted: object.tainted,
        adopted: false,
        kept: false,
        private: None,
    };
    Ok(Known { foreign: Foreign { instance, sensitive: object.sensitive.clone() }, passed, declared })
}

/// Whether there is a block for it in the configuration, which then says which provider it has.
fn declared(config: &Config, address: &Address) -> bool {
    let names = address.module.names();
    let module = config.modules.iter().find(|m| m.path == names);
    module.is_some_and(|m| m.resource(address.mode, &address.ty, &address.name).is_some())
}

/// Whether there is a provider under this alias (`.eu`, `.eu["a"]`); without one, it can do without a block.
fn has_provider(config: &Config, name: &str, alias: &str) -> bool {
    let alias = alias.trim_start_matches('.').split('[').next().unwrap_or_default();
    let same = |p: &&mesh_lang::ProviderConfig| *p.name == *name && p.alias.as_deref() == Some(alias);
    alias.is_empty() || config.root().providers.iter().any(|p| same(&p))
}

fn identity(rules: &dyn Rules, values: &Value, id: Option<&str>) -> Result<Identity, String> {
    match (rules.identity(values), id) {
        (IdentityHint::Known(identity), _) => Ok(identity),
        (IdentityHint::Assigned, Some(id)) => match rules.import(id, values)? {
            Imported::At(identity) => Ok(identity),
            Imported::Only(object) => Ok(object.identity),
        },
        (IdentityHint::Unknown | IdentityHint::Assigned, _) => {
            Err("its attributes do not say which object it is".to_owned())
        }
    }
}

/// Attributes of any type stand with their type beside them.
fn typed(schema: &Schema, attributes: &Value) -> Result<Value, String> {
    let mut out = attributes.clone();
    for attribute in schema.attributes.iter().filter(|a| a.ty == Type::Dynamic) {
        let Some(there) = attributes.get(attribute.name).filter(|v| !v.is_null()) else { continue };
        let ty = there.get("type").and_then(|t| Type::from_json(&reveal_json(t)));
        let value = there.get("value").zip(ty).and_then(|(value, ty)| convert(value, &ty).ok());
        let value = value.ok_or_else(|| format!("its attribute {} does not fit the type beside it", attribute.name))?;
        out = out.with(attribute.name, value);
    }
    Ok(out)
}

/// The attributes that the schema has, in its types; and the names of others that hold something.
fn shaped(schema: &Schema, theirs: &Value) -> (Value, Vec<Arc<str>>) {
    let Type::Object(whole) = schema.ty() else { return (Value::NULL, Vec::new()) };
    let fitting = |name: &str, ty: &Type| theirs.get(name).and_then(|v| convert(v, ty).ok());
    let values = whole.attributes.iter().map(|(name, ty)| {
        let default = || schema.attribute(name).and_then(|a| a.default.clone());
        let value = fitting(name, ty).filter(|v| !v.is_null()).or_else(default);
        (name.clone(), value.unwrap_or_else(|| Value::null(ty.clone())))
    });
    let lost = |name: &str, value: &Value| {
        let fits = whole.attributes.get(name).is_some_and(|ty| fitting(name, ty).is_some());
        !fits && !COMMON.contains(&name) && holds(value)
    };
    let fields = theirs.as_fields().into_iter().flat_map(|f| f.iter());
    let passed = fields.filter(|(name, value)| lost(name, value)).map(|(name, _)| name.clone()).collect();
    (Value::object(values), passed)
}

/// Whether somebody may have said this: zero values stand where nothing was said.
fn holds(value: &Value) -> bool {
    let value = value.reveal().0;
    !(value.is_null()
        || value.as_str() == Some("")
        || value.as_bool() == Some(false)
        || value.as_i64() == Some(0)
        || value.as_items().is_some_and(|i| i.is_empty())
        || value.as_fields().is_some_and(mesh_model::Fields::is_empty))
}
