//! `local_file`: a file on this machine.
//!
//! The one decision: the bytes decide. What is on disk is compared by its digest, so that content
//! that is not text, or text in another Unicode form, is seen as the change that it is. A change
//! of content rewrites the file in place (atomically); only another name makes a new object.

use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_model::snapshot::Identity;
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{
    IdentityHint, Observation, ObserveRequest, Observed, OnExisting, OperationRequest, Outcome, PlanRequest,
    PlanResponse, Problem, ProviderError, Resource, Rules, Verdict, async_trait, schema_plan,
};

use crate::files::{self, File};
use crate::{Client, digest};

pub(crate) struct LocalFile;

/// The attributes that can hold the content; one of them is given.
const CONTENTS: [&str; 3] = ["content", "sensitive_content", "content_base64"];

/// The name without `.` steps and doubled slashes, so that two spellings are one object.
fn clean(filename: &str) -> String {
    let path: PathBuf = Path::new(filename).components().filter(|c| *c != Component::CurDir).collect();
    path.to_string_lossy().into_owned()
}

fn mode(text: &str) -> Option<u32> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// The bytes that the values ask for; `None` while they are not known (or only remembered).
fn bytes(values: &Value) -> Option<Vec<u8>> {
    let (name, value) = CONTENTS.iter().find_map(|n| values.get(n).filter(|v| !v.is_null()).map(|v| (*n, v)))?;
    let text = value.as_str()?;
    if name == "content_base64" { STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) }
}

/// The file in the shape of the schema: the content stands in the attribute that `like` uses.
fn seen(file: &File, like: &Value) -> Value {
    let used = CONTENTS.into_iter().find(|n| like.get(n).is_some_and(|v| !v.is_null())).unwrap_or("content");
    let text = if used == "content_base64" {
        STANDARD.encode(&file.bytes)
    } else {
        String::from_utf8_lossy(&file.bytes).into_owned()
    };
    let spelling = like.get_str("file_permission").filter(|t| mode(t) == Some(file.mode));
    let permission = spelling.map_or_else(|| format!("{:04o}", file.mode), str::to_owned);
    let mut values = like
        .with("file_permission", Value::string(permission))
        .with("content_sha256", Value::string(digest::sha256(&file.bytes)));
    for name in CONTENTS {
        let value = if name == used { Value::string(text.as_str()) } else { Value::null(Type::String) };
        values = values.with(name, value);
    }
    values
}

impl Rules for LocalFile {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(name) = config.get_str("filename")
            && (clean(name).is_empty() || name.ends_with('/') || name.contains('\0'))
        {
            problems.push(Problem::at("filename", "must name a file, not a folder"));
        }
        let given: Vec<_> = CONTENTS.into_iter().filter(|n| config.get(n).is_some_and(|v| !v.is_null())).collect();
        if given.len() != 1 {
            let reason = "exactly one of `content`, `sensitive_content` and `content_base64` is needed";
            problems.push(Problem::at(given.get(1).copied().unwrap_or("content"), reason));
        }
        if let Some(text) = config.get_str("content_base64")
            && STANDARD.decode(text).is_err()
        {
            problems.push(Problem::at("content_base64", "is not base64 (RFC 4648, with padding)"));
        }
        for name in ["file_permission", "directory_permission"] {
            if config.get_str(name).is_some_and(|t| mode(t).is_none()) {
                problems.push(Problem::at(name, "must be three or four octal digits, such as \"0644\""));
            }
        }
        problems
    }

    fn identity(&self, planned: &Value) -> IdentityHint {
        planned.get_str("filename").map_or(IdentityHint::Unknown, |name| IdentityHint::known(clean(name)))
    }

    fn plan(&self, request: &PlanRequest<'_>) -> PlanResponse {
        let mut response = schema_plan(request);
        let wanted = bytes(request.desired).map(|b| digest::sha256(&b));
        let there = request.observed.and_then(|o| o.get_str("content_sha256"));
        if response.verdict == Verdict::NoOp && wanted.as_deref() != there {
            response.verdict = Verdict::Update;
        }
        if response.verdict != Verdict::NoOp {
            let digest = wanted.map_or(Value::unknown(Type::String), Value::string);
            response.after = response.after.with("content_sha256", digest);
        }
        response.before = self.mark(response.before);
        response.after = self.mark(response.after);
        response
    }

    fn mark(&self, values: Value) -> Value {
        let secret = values.get("sensitive_content").is_some_and(|v| !v.is_null());
        match values.get("content_sha256").filter(|d| secret && !d.is_null()).cloned() {
            // The plain digest of a short secret could be guessed.
            Some(digest) => values.with("content_sha256", digest.sensitive()),
            None => values,
        }
    }
}

fn look(client: &Client, request: &ObserveRequest) -> Result<Observation, ProviderError> {
    let like = request.saved.as_ref().or(request.desired.as_ref()).unwrap_or(&Value::NULL);
    let name = request.identity.as_ref().map(|i| i.0.to_string());
    let Some(name) = name.or_else(|| like.get_str("filename").map(clean)) else { return Ok(Observation::Absent) };
    Ok(match files::read(&client.root.join(&name))? {
        None => Observation::Absent,
        Some(file) => Observation::Present(Observed::new(seen(&file, &shape(like, &name)), Identity(name.into()))),
    })
}

/// All attributes, null where `like` has none: an import starts from nothing.
fn shape(like: &Value, name: &str) -> Value {
    let schema = Resource::<Client>::schema(&LocalFile).schema;
    let values = schema.attributes.iter().map(|a| {
        let value = like.get(a.name).filter(|v| !v.is_null()).cloned();
        (a.name, value.or_else(|| a.default.clone()).unwrap_or_else(|| Value::null(a.ty.clone())))
    });
    let shaped = Value::object(values);
    if like.get("filename").is_some() { shaped } else { shaped.with("filename", Value::string(name)) }
}

fn write(client: &Client, request: &OperationRequest, new: bool) -> Result<Outcome, ProviderError> {
    let after = request.after.as_ref().unwrap_or(&Value::NULL);
    let name = clean(after.get_str("filename").unwrap_or_default());
    let bytes = bytes(after).unwrap_or_default();
    let permission = |name, default| after.get_str(name).and_then(mode).unwrap_or(default);
    let file = permission("file_permission", 0o644);
    files::write(&client.root.join(&name), &bytes, file, permission("directory_permission", 0o755), new)?;
    let values = after.with("content_sha256", Value::string(digest::sha256(&bytes)));
    Ok(Outcome::applied(values, Identity(name.into())))
}

#[async_trait]
impl Resource<Client> for LocalFile {
    fn schema(&self) -> ResourceSchema {
        let text = |name, doc| Attribute::optional(name, Type::String, doc);
        ResourceSchema {
            name: "local_file",
            version: 0,
            doc: "A file on this machine. It is written atomically; a file that exists already is an error unless it is \
                  adopted. Destroying deletes the file, not the folders above it.",
            example: r#"resource "local_file" "instructions" {
  filename = "out/sign.sh"
  content  = "openssl version\n"
}"#,
            schema: Schema::of([
                Attribute::required(
                    "filename",
                    Type::String,
                    "Where it is; a relative path starts from the root module's folder. Folders above it are made.",
                )
                .force_new(),
                text("content", "Its content as UTF-8 text."),
                text("sensitive_content", "Its content as UTF-8 text that is never shown or stored.").sensitive(),
                text("content_base64", "Its content as base64, for what is not text."),
                text("file_permission", "Permission bits in octal digits.").default(Value::string("0644")),
                text("directory_permission", "Permission bits of folders that have to be made, in octal digits.")
                    .default(Value::string("0755")),
                Attribute::computed("content_sha256", Type::String, "SHA-256 of the content, in hexadecimal digits."),
            ]),
            protected: false,
        }
    }

    async fn observe(&self, client: &Client, requests: &[ObserveRequest]) -> Vec<Result<Observation, ProviderError>> {
        requests.iter().map(|r| look(client, r)).collect()
    }

    async fn create(&self, client: &Client, request: &OperationRequest) -> Outcome {
        write(client, request, request.on_existing == OnExisting::Fail).unwrap_or_else(Outcome::rejected)
    }

    async fn update(&self, client: &Client, request: &OperationRequest) -> Outcome {
        write(client, request, false).unwrap_or_else(Outcome::rejected)
    }

    async fn delete(&self, client: &Client, request: &OperationRequest) -> Outcome {
        let name = request.identity.as_ref().map(|i| i.0.to_string());
        let named = request.before.as_ref().and_then(|b| b.get_str("filename")).map(clean);
        let Some(name) = name.or(named) else { return Outcome::deleted() };
        let path = client.root.join(name);
        match files::present(&path) {
            Ok(false) => Outcome::deleted(),
            Ok(true) => match files::forget_half(&path).and_then(|()| std::fs::remove_file(&path)) {
                Ok(()) => Outcome::deleted(),
                Err(e) => Outcome::rejected(files::failed("The file could not be deleted", &path, &e)),
            },
            Err(e) => Outcome::rejected(e),
        }
    }
}
