//! Rows: one object, output or intent, shared by the state file and the journal.
//!
//! The one decision: fields with their usual value are left out, so that the common row is short;
//! a field that is not known here is an error.

use std::sync::Arc;

use mesh_model::snapshot::{Identity, Intent, Operation, StoredOutput};
use mesh_model::{Address, Instance, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refusal;
use super::read::{Reader, Text};
use super::write::{ValueWriter, integer, string};

/// An object, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstanceRow<'a> {
    #[serde(borrow)]
    address: Text<'a>,
    deposed: Option<Text<'a>>,
    provider: Text<'a>,
    schema: u32,
    identity: Option<Text<'a>>,
    target: Option<Text<'a>>,
    #[serde(default)]
    dependencies: Vec<Text<'a>>,
    #[serde(default)]
    protected: bool,
    #[serde(default)]
    create_before_destroy: bool,
    #[serde(default)]
    tainted: bool,
    #[serde(default)]
    adopted: bool,
    #[serde(default)]
    kept: bool,
    private: Option<Text<'a>>,
    values: &'a RawValue,
}

/// An output, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputRow<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default)]
    sensitive: bool,
    sealed: Option<Text<'a>>,
    value: &'a RawValue,
}

/// An intent, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntentRow<'a> {
    pub(crate) seq: Option<u64>,
    #[serde(borrow)]
    address: Text<'a>,
    operation: Text<'a>,
    provider: Text<'a>,
    identity: Option<Text<'a>>,
    #[serde(default)]
    dependencies: Vec<Text<'a>>,
    #[serde(default)]
    protected: bool,
    #[serde(default)]
    kept: bool,
    planned: &'a RawValue,
}

/// An object under its address, with its key if it is deposed.
pub(crate) type Object = (Address, Option<Arc<str>>, Arc<Instance>);

/// An address whose parts are shared.
pub(crate) fn address(reader: &Reader, text: &str) -> Result<Address, String> {
    let mut address: Address = text.parse().map_err(|e: mesh_model::address::AddressError| e.0)?;
    address.ty = reader.text(&address.ty);
    address.name = reader.text(&address.name);
    address.module = reader.module(address.module);
    Ok(address)
}

fn value(reader: &Reader, raw: &RawValue) -> Result<Value, String> {
    reader.value(raw.get()).map_err(|e| e.to_string())
}

fn identity(text: Option<Text<'_>>) -> Option<Identity> {
    text.map(|t| Identity(Arc::from(&*t)))
}

impl InstanceRow<'_> {
    pub(crate) fn build(self, reader: &Reader) -> Result<Object, String> {
        let instance = Instance {
            provider: reader.text(&self.provider),
            schema_version: self.schema,
            values: value(reader, self.values)?,
            identity: identity(self.identity),
            target: self.target.map(|t| reader.text(&t)),
            dependencies: reader.list(&self.dependencies),
            protected: self.protected,
            create_before_destroy: self.create_before_destroy,
            tainted: self.tainted,
            adopted: self.adopted,
            kept: self.kept,
            private: self.private.map(|p| Arc::from(&*p)),
        };
        Ok((address(reader, &self.address)?, self.deposed.map(|k| reader.text(&k)), Arc::new(instance)))
    }
}

impl OutputRow<'_> {
    pub(crate) fn build(self, reader: &Reader) -> Result<(Arc<str>, StoredOutput), String> {
        let sealed = self.sealed.map(|s| Arc::from(&*s));
        let output = StoredOutput { value: value(reader, self.value)?, sensitive: self.sensitive, sealed };
        Ok((Arc::from(&*self.name), output))
    }
}

impl IntentRow<'_> {
    pub(crate) fn build(self, reader: &Reader) -> Result<Intent, String> {
        let operation = [Operation::Create, Operation::Update, Operation::Delete]
            .into_iter()
            .find(|o| o.word() == &*self.operation)
            .ok_or("an operation that this version does not know")?;
        Ok(Intent {
            address: address(reader, &self.address)?,
            operation,
            provider: reader.text(&self.provider),
            identity: identity(self.identity),
            planned: value(reader, self.planned)?,
            dependencies: reader.list(&self.dependencies),
            protected: self.protected,
            kept: self.kept,
        })
    }
}

/// Appends `"KEY":TEXT,`.
pub(crate) fn text_field(out: &mut Vec<u8>, key: &str, text: &str) {
    string(out, key);
    out.push(b':');
    string(out, text);
    out.push(b',');
}

/// Appends `"KEY":N,`.
pub(crate) fn number_field(out: &mut Vec<u8>, key: &str, n: impl Into<i128>) {
    string(out, key);
    out.push(b':');
    integer(out, n);
    out.push(b',');
}

fn list_field(out: &mut Vec<u8>, key: &str, texts: &[Arc<str>]) {
    if texts.is_empty() {
        return;
    }
    string(out, key);
    out.extend_from_slice(b":[");
    for (i, text) in texts.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, text);
    }
    out.extend_from_slice(b"],");
}

/// Appends those that are set.
fn flags<const N: usize>(out: &mut Vec<u8>, flags: [(&str, bool); N]) {
    for (key, _) in flags.into_iter().filter(|(_, set)| *set) {
        string(out, key);
        out.extend_from_slice(b":true,");
    }
}

/// Appends an object as one JSON object.
pub(crate) fn write_instance(
    out: &mut Vec<u8>,
    writer: &mut ValueWriter<'_>,
    address: &Address,
    deposed: Option<&str>,
    instance: &Instance,
) -> Result<(), Refusal> {
    let address = address.to_string();
    out.push(b'{');
    text_field(out, "address", &address);
    let optional = |out: &mut Vec<u8>, key: &str, text: Option<&str>| {
        if let Some(text) = text {
            text_field(out, key, text);
        }
    };
    optional(out, "deposed", deposed);
    text_field(out, "provider", &instance.provider);
    number_field(out, "schema", instance.schema_version);
    optional(out, "identity", instance.identity.as_ref().map(|i| &*i.0));
    optional(out, "target", instance.target.as_deref());
    list_field(out, "dependencies", &instance.dependencies);
    flags(
        out,
        [
            ("protected", instance.protected),
            ("create_before_destroy", instance.create_before_destroy),
            ("tainted", instance.tainted),
            ("adopted", instance.adopted),
            ("kept", instance.kept),
        ],
    );
    optional(out, "private", instance.private.as_deref());
    out.extend_from_slice(b"\"values\":");
    writer.value(out, &instance.values).map_err(|e| e.under(address))?;
    out.push(b'}');
    Ok(())
}

/// Appends an output as one JSON object.
pub(crate) fn write_output(
    out: &mut Vec<u8>,
    writer: &mut ValueWriter<'_>,
    name: &str,
    output: &StoredOutput,
) -> Result<(), Refusal> {
    out.push(b'{');
    text_field(out, "name", name);
    if output.sensitive {
        out.extend_from_slice(b"\"sensitive\":true,");
    }
    if let Some(sealed) = &output.sealed {
        text_field(out, "sealed", sealed);
    }
    out.extend_from_slice(b"\"value\":");
    let value = if output.sensitive { output.value.clone().sensitive() } else { output.value.clone() };
    writer.value(out, &value).map_err(|e| e.under(format!("output.{name}")))?;
    out.push(b'}');
    Ok(())
}

/// Appends an intent as one JSON object.
pub(crate) fn write_intent(
    out: &mut Vec<u8>,
    types: Option<&mut super::write::TypeTable>,
    seq: Option<u64>,
    intent: &Intent,
) -> Result<(), Refusal> {
    let address = intent.address.to_string();
    out.push(b'{');
    if let Some(seq) = seq {
        number_field(out, "seq", seq);
    }
    text_field(out, "address", &address);
    text_field(out, "operation", intent.operation.word());
    text_field(out, "provider", &intent.provider);
    if let Some(identity) = &intent.identity {
        text_field(out, "identity", &identity.0);
    }
    list_field(out, "dependencies", &intent.dependencies);
    flags(out, [("protected", intent.protected), ("kept", intent.kept)]);
    out.extend_from_slice(b"\"planned\":");
    ValueWriter { types, unknown: true }.value(out, &intent.planned).map_err(|e| e.under(address))?;
    out.push(b'}');
    Ok(())
}
