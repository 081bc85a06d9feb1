//! The state file of Terraform and OpenTofu, version 4.
//!
//! The one decision: a file is read whole or refused before anything is looked at, and what is said of it are places,
//! never contents, since secrets stand in it in clear. Attributes stay JSON here: what they mean is their type's affair.

use std::collections::{BTreeMap, BTreeSet};

use mesh_lang::functions::{Context, lookup};
use mesh_model::{Address, Diagnostic, InstanceKey, Mode, Path, Step, Type, Value};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// What decides how the rest is read.
#[derive(Deserialize)]
struct Head {
    version: Option<Json>,
    encrypted_data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct State<'f> {
    #[serde(borrow)]
    outputs: Option<BTreeMap<String, Output<'f>>>,
    #[serde(borrow)]
    resources: Option<Vec<Resource<'f>>>,
}

#[derive(Deserialize)]
struct Output<'f> {
    #[serde(borrow)]
    value: &'f RawValue,
    #[serde(rename = "type")]
    ty: Json,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Deserialize)]
struct Resource<'f> {
    #[serde(default)]
    module: String,
    mode: String,
    #[serde(rename = "type")]
    ty: String,
    name: String,
    #[serde(default)]
    provider: String,
    #[serde(borrow)]
    instances: Vec<Instance<'f>>,
}

#[derive(Deserialize)]
struct Instance<'f> {
    index_key: Option<Json>,
    #[serde(default)]
    status: String,
    deposed: Option<String>,
    #[serde(borrow)]
    attributes: Option<&'f RawValue>,
    #[serde(default)]
    sensitive_attributes: Vec<Vec<PathStep>>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    create_before_destroy: bool,
    // OpenTofu's, where the instances of a block have different ones.
    instance_provider: Option<String>,
}

#[derive(Deserialize)]
struct PathStep {
    #[serde(rename = "type")]
    kind: String,
    value: Json,
}

/// An object that the file knows.
pub(super) struct Object {
    pub(super) address: Address,
    /// The key of one that was replaced and not deleted yet.
    pub(super) deposed: Option<String>,
    /// Alias and key of the provider configuration, as they are written behind its name: `.eu`, or nothing.
    pub(super) alias: String,
    /// Its attributes; `None` in a form older than version 4.
    pub(super) attributes: Option<Value>,
    pub(super) sensitive: Vec<Path>,
    pub(super) dependencies: Vec<String>,
    pub(super) create_before_destroy: bool,
    pub(super) tainted: bool,
}

/// What the file knows.
pub(super) struct Known {
    pub(super) objects: Vec<Object>,
    /// Root outputs, each with whether it is sensitive.
    pub(super) outputs: BTreeMap<String, (Value, bool)>,
}

fn refused(summary: &'static str, detail: String) -> Diagnostic {
    Diagnostic::error("cli::import_terraform", summary, detail)
}

fn damaged(name: &str, why: &str) -> Diagnostic {
    let detail = format!(
        "{name}: {why}. Nothing was taken over. Get a whole file with `terraform state pull` (or `tofu state pull`)."
    );
    refused("The file is no state of Terraform, or damaged", detail)
}

/// Reads a file. `name` is what messages call it.
///
/// # Errors
/// What is no such file, is cut off, encrypted or of another version.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Known, Diagnostic> {
    // The parser's own words would quote the file.
    let place = |e: &serde_json::Error| {
        damaged(name, &format!("line {}, column {} is not as it should be", e.line(), e.column()))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged(name, "it is not UTF-8 text"))?;
    let head: Head = serde_json::from_str(text).map_err(|e| place(&e))?;
    if head.encrypted_data.is_some() {
        let detail = format!(
            "{name} was encrypted by OpenTofu, whose keys are not known here. `tofu state pull` gives it in clear; `-` reads that \
             from standard input, so that it need not be written anywhere."
        );
        return Err(refused("The file is encrypted", detail));
    }
    match head.version {
        Some(version) if version == 4 => {}
        Some(version) if version.is_number() => {
            let detail = format!(
                "{name} has version {version}, and only version 4 is read, which Terraform writes since 0.12 and OpenTofu always. Let \
                 one of them write it anew (`terraform refresh`, then `terraform state pull`)."
            );
            return Err(refused("The file has another version", detail));
        }
        _ => return Err(damaged(name, "it says no version")),
    }
    let state: State<'_> = serde_json::from_str(text).map_err(|e| place(&e))?;
    let mut known = Known { objects: Vec::new(), outputs: BTreeMap::new() };
    for (output, o) in state.outputs.unwrap_or_default() {
        let ty = Type::from_json(&o.ty);
        let value = decode(o.value.get()).zip(ty).and_then(|(v, ty)| mesh_model::convert::convert(&v, &ty).ok());
        let value = value.ok_or_else(|| damaged(name, &format!("the output {output:?} does not fit its type")))?;
        known.outputs.insert(output, (value, o.sensitive));
    }
    let mut seen = BTreeSet::new();
    for resource in state.resources.unwrap_or_default() {
        for instance in &resource.instances {
            let object = object(&resource, instance).map_err(|why| damaged(name, &why))?;
            if !seen.insert((object.address.clone(), object.deposed.clone())) {
                return Err(damaged(name, &format!("{} is in it twice", object.address)));
            }
            known.objects.push(object);
        }
    }
    Ok(known)
}

/// JSON as a value, with its numbers exact.
fn decode(json: &str) -> Option<Value> {
    lookup("jsondecode")?.call(&Context::new("."), &[Value::string(json)]).ok()
}

fn object(resource: &Resource<'_>, instance: &Instance<'_>) -> Result<Object, String> {
    let place = format!("{} {} {}", resource.module, resource.ty, resource.name);
    let block: Option<Address> = match &*resource.module {
        "" => format!("{}.{}", resource.ty, resource.name),
        module => format!("{module}.{}.{}", resource.ty, resource.name),
    }
    .parse()
    .ok();
    let block = block
        .filter(|a| *a.ty == *resource.ty && a.key.is_none() && a.mode == Mode::Managed)
        .ok_or_else(|| format!("{:?} is no address", place.trim()))?;
    let mode = match &*resource.mode {
        "managed" => Mode::Managed,
        "data" => Mode::Data,
        other => return Err(format!("{block} is {other:?}, neither managed nor data")),
    };
    let key = match &instance.index_key {
        None | Some(Json::Null) => None,
        Some(Json::String(key)) => Some(InstanceKey::Key(key.as_str().into())),
        Some(json) => match json.as_u64() {
            Some(index) => Some(InstanceKey::Index(index)),
            None => return Err(format!("the key of an instance of {block} is neither a text nor a whole number")),
        },
    };
    let address = Address { mode, key, ..block };
    let attributes = match instance.attributes.map(|a| decode(a.get())) {
        None => None,
        Some(Some(value)) if value.as_fields().is_some() => Some(value),
        Some(_) => return Err(format!("the attributes of {address} cannot be read")),
    };
    let sensitive = instance.sensitive_attributes.iter().map(|p| path(p)).collect::<Option<_>>();
    let sensitive = sensitive.ok_or_else(|| format!("what is sensitive of {address} cannot be read"))?;
    let provider = instance.instance_provider.as_ref().unwrap_or(&resource.provider);
    Ok(Object {
        address,
        deposed: instance.deposed.clone().filter(|d| !d.is_empty()),
        alias: alias(provider).to_owned(),
        attributes,
        sensitive,
        dependencies: instance.dependencies.clone(),
        create_before_destroy: instance.create_before_destroy,
        tainted: instance.status == "tainted",
    })
}

/// What stands behind the name of a provider: `.eu` of `module.m.provider["registry.example/ns/vault"].eu`.
fn alias(provider: &str) -> &str {
    let named = provider.split_once("provider[\"").map_or(provider, |(_, named)| named);
    named.split_once("\"]").map(|(_, alias)| alias).filter(|a| a.starts_with('.')).unwrap_or_default()
}

/// Where in the attributes; `None` for a step of a kind that is not known.
fn path(steps: &[PathStep]) -> Option<Path> {
    let step = |s: &PathStep| match (&*s.kind, &s.value) {
        ("get_attr", Json::String(name)) => Some(Step::Key(name.as_str().into())),
        ("index", Json::Object(typed)) => match typed.get("value")? {
            Json::String(key) => Some(Step::Key(key.as_str().into())),
            // A member of a set has no place: then the whole set is meant.
            other => Some(Step::Index(other.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX))),
        },
        _ => None,
    };
    steps.iter().map(step).collect::<Option<_>>().map(Path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(resources: &str) -> String {
        format!(
            r#"{{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"l","outputs":{{}},"resources":[{resources}]}}"#
        )
    }

    fn resource(more: &str) -> String {
        format!(
            r#"{{"mode":"managed","type":"x_y","name":"n","provider":"provider[\"h/n/x\"].eu","instances":[{{"schema_version":0,"attributes":{{"big":123456789012345678901}}{more}}}]}}"#
        )
    }

    #[test]
    fn what_stands_in_a_file_is_read() {
        let more = r#","index_key":"a.b","status":"tainted","deposed":"00ab","private":"bnVsbA==","dependencies":["x_y.o"],
            "sensitive_attributes":[[{"type":"get_attr","value":"a"},{"type":"index","value":{"value":1,"type":"number"}},
            {"type":"index","value":{"value":"k","type":"string"}}]],"create_before_destroy":true"#;
        let module = resource(more).replacen("{\"mode\"", "{\"module\":\"module.m[\\\"x.y\\\"]\",\"mode\"", 1);
        let known = read(file(&module).as_bytes(), "f").expect("it is read");
        let object = &known.objects[0];
        assert_eq!(object.address.to_string(), "module.m[\"x.y\"].x_y.n[\"a.b\"]");
        assert_eq!((object.alias.as_str(), object.deposed.as_deref()), (".eu", Some("00ab")));
        assert!(object.tainted && object.create_before_destroy);
        assert_eq!(object.sensitive[0].to_string(), "a[1].k");
        let big =
            object.attributes.as_ref().and_then(|a| a.get("big")).and_then(Value::as_number).map(ToString::to_string);
        assert_eq!(big.as_deref(), Some("123456789012345678901"));
        for (provider, want) in [
            ("provider[\"h/n/vault\"]", ""),
            ("module.m[\"x\"].provider[\"h/n/vault\"].eu", ".eu"),
            ("provider[\"h/n/vault\"].by[\"a\"]", ".by[\"a\"]"),
        ] {
            assert_eq!(alias(provider), want);
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused_without_quoting_it() {
        let whole = file(&resource(""));
        let cases = [
            ("", "column"),
            ("{}", "says no version"),
            ("[\"canary\"]", "column"),
            (&whole[..whole.len() - 2], "column"),
            (&whole.replacen("\"version\":4", "\"version\":3", 1), "has version 3"),
            (&whole.replacen("\"version\":4", "\"version\":\"canary\"", 1), "says no version"),
            (&whole.replacen("\"managed\"", "\"canary-mode\"", 1), "neither managed nor data"),
            (&whole.replacen("\"x_y\"", "\"x y\"", 1), "no address"),
            (&whole.replacen("\"x_y\"", "\"a.b\"", 1), "no address"),
            (&whole.replacen("\"big\":123", "\"big\":\"canary\",\"b\":0x", 1), "column"),
            (&file(&resource(",\"index_key\":{\"canary\":1}")), "neither a text nor"),
            (&file(&resource(",\"sensitive_attributes\":[[{\"type\":\"canary\",\"value\":1}]]")), "what is sensitive"),
            (&file(&format!("{0},{0}", resource(""))), "is in it twice"),
            (
                r#"{"serial":1,"lineage":"l","meta":{},"encrypted_data":"canary","encryption_version":"v0"}"#,
                "encrypted",
            ),
            (
                &whole.replacen("\"outputs\":{}", "\"outputs\":{\"o\":{\"value\":\"canary\",\"type\":\"number\"}}", 1),
                "does not fit",
            ),
        ];
        for (text, word) in cases {
            let error = read(text.as_bytes(), "f").err().map(|d| d.to_string()).unwrap_or_default();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.replace("canary-mode", "").contains("canary"), "{error}");
        }
        assert!(read(b"\xff", "f").is_err());
    }
}
