//! Blobs as objects of a bucket.
//!
//! The one decision: the ETag is the version. It is made of the content alone in many stores, which is enough here: no
//! blob of a state is ever given the same content again, since each counts something upwards.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_state::remote::{Blob, Expected, Store, Version};
use mesh_state::{BadSetting, Settings, StateError};
use reqwest::header::{CONTENT_LENGTH, ETAG};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use rusty_s3::actions::list_objects_v2::ListObjectsV2Response;
use rusty_s3::actions::{DeleteObject, GetObject, HeadObject, ListObjectsV2, PutObject, S3Action};
use rusty_s3::{Bucket, Credentials};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::answer::Answer;
use crate::settings;

/// The blob that shows whether the store honours conditions.
const PROBE: &str = "probe";
/// An ETag that nothing has.
const NOTHING: &str = "\"00000000000000000000000000000000\"";
/// How long what was signed may be sent.
const SIGNED: Duration = Duration::from_secs(900);
/// A request takes at most this long, and longer for what it sends.
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes a second that a connection must carry.
const SLOWEST: u64 = 128 << 10;
/// Pauses before what may be sent again is.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// A state in a bucket.
pub struct S3Store {
    http: Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    /// What names of other workspaces begin with.
    workspaces: String,
    /// Once it is known that conditions are honoured.
    probed: OnceCell<()>,
}

/// What of a request does not change when it is sent again.
struct Request<'r> {
    doing: &'static str,
    method: Method,
    url: Url,
    headers: &'r [(&'static str, String)],
    body: Option<&'r [u8]>,
}

impl S3Store {
    /// What the settings describe; nothing is asked yet.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        let prefix = settings::prefix(settings)?;
        let base = settings.workspace.and_then(|name| prefix.strip_suffix(&format!("{name}/"))).map(str::to_owned);
        Ok(Self {
            workspaces: base.unwrap_or_else(|| format!("{prefix}{}", settings::WORKSPACES)),
            http: settings::client(settings)?,
            bucket: settings::bucket(settings)?,
            credentials: settings::credentials(settings)?,
            prefix,
            probed: OnceCell::new(),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn build(&self, request: &Request<'_>) -> RequestBuilder {
        let mut builder = self.http.request(request.method.clone(), request.url.clone()).timeout(LIMIT);
        for (name, value) in request.headers {
            builder = builder.header(*name, value);
        }
        match request.body {
            Some(body) => {
                let longer = Duration::from_secs(body.len() as u64 / SLOWEST);
                builder.header(CONTENT_LENGTH, body.len()).body(body.to_vec()).timeout(LIMIT + longer)
            }
            None => builder,
        }
    }

    /// An answer, whatever it says.
    async fn send(&self, request: Request<'_>) -> Result<Answer, StateError> {
        let reads = request.body.is_none();
        let mut pauses = PAUSES.iter();
        loop {
            let sent = async {
                let response = self.build(&request).send().await?;
                let (status, headers) = (response.status(), response.headers().clone());
                Ok::<_, reqwest::Error>(Answer { status, headers, body: response.bytes().await?.to_vec() })
            };
            let result = sent.await;
            let again = match &result {
                Ok(answer) => answer.passes(reads),
                Err(error) => reads || error.is_connect(),
            };
            match (pauses.next(), result) {
                (Some(pause), _) if again => tokio::time::sleep(*pause).await,
                (_, Ok(answer)) => return Ok(answer),
                // The address holds the signature.
                (_, Err(error)) => {
                    return Err(StateError::remote(request.doing, &self.place(), words(&error.without_url())));
                }
            }
        }
    }

    async fn read(&self, method: Method, url: Url) -> Result<Option<Answer>, StateError> {
        let answer = self.send(Request { doing: "reading", method, url, headers: &[], body: None }).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer)),
            _ if answer.is_absent() => Ok(None),
            _ => Err(answer.error("reading", &self.place())),
        }
    }

    fn etag(&self, answer: &Answer) -> Result<Version, StateError> {
        match answer.header(ETAG.as_str()) {
            Some(tag) if !tag.is_empty() => Ok(Version(tag.to_owned())),
            _ => Err(StateError::Unusable {
                place: self.place(),
                why: "the store names no ETag for an object".to_owned(),
                way_out: "Use a store with ETags and conditional writes, or another backend.".to_owned(),
            }),
        }
    }

    /// What begins with `prefix`; what goes on behind a `delimiter` after it is folded.
    async fn pages(&self, prefix: &str, delimiter: Option<&str>) -> Result<Vec<ListObjectsV2Response>, StateError> {
        let place = self.place();
        let mut pages: Vec<ListObjectsV2Response> = Vec::new();
        loop {
            let mut list = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            list.with_prefix(prefix.to_owned());
            if let Some(delimiter) = delimiter {
                list.with_delimiter(delimiter.to_owned());
            }
            if let Some(token) = pages.last().and_then(|page| page.next_continuation_token.clone()) {
                list.with_continuation_token(token);
            }
            let (doing, url) = ("listing", list.sign(SIGNED));
            let answer = self.send(Request { doing, method: Method::GET, url, headers: &[], body: None }).await?;
            if answer.status != StatusCode::OK {
                return Err(answer.error(doing, &place));
            }
            let text = String::from_utf8_lossy(&answer.body);
            let page = ListObjectsV2::parse_response(&text)
                .map_err(|e| StateError::remote(doing, &place, format!("the answer cannot be read: {e}")))?;
            let last = page.next_continuation_token.is_none();
            pages.push(page);
            if last {
                return Ok(pages);
            }
        }
    }

    /// One conditional write, as the store answers it.
    async fn attempt(&self, name: &str, bytes: &[u8], expected: &Expected) -> Result<Answer, StateError> {
        let key = self.key(name);
        let condition = match expected {
            Expected::Absent => ("if-none-match", "*".to_owned()),
            Expected::Is(version) => ("if-match", version.0.clone()),
        };
        // The store compares it with what arrives.
        let sum = ("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(bytes)));
        let headers = [condition, sum];
        let mut pauses = PAUSES.iter();
        loop {
            let mut put = PutObject::new(&self.bucket, Some(&self.credentials), &key);
            for (name, value) in &headers {
                put.headers_mut().insert(*name, value.clone());
            }
            let (doing, url) = ("writing", put.sign(SIGNED));
            let answer =
                self.send(Request { doing, method: Method::PUT, url, headers: &headers, body: Some(bytes) }).await?;
            match pauses.next() {
                Some(pause) if answer.is_raced() => tokio::time::sleep(*pause).await,
                _ => return Ok(answer),
            }
        }
    }

    /// Fails on a store that ignores conditions: there a lock would keep nobody apart.
    async fn probe(&self) -> Result<(), StateError> {
        let ignored = |which: &str| {
            StateError::Unusable {
            place: self.place(),
            why: format!("the store ignores the condition {which} of a write, so two runs could overwrite each other's state"),
            way_out: "Use a store with conditional writes (S3 itself, MinIO from 2024-11 on, and others), or another backend. \
                      Nothing of a state was written."
                .to_owned(),
        }
        };
        let refused = |answer: &Answer| answer.status == StatusCode::PRECONDITION_FAILED;
        let bytes = b"This object shows mesh whether the store honours conditional writes.\n";
        let first = self.attempt(PROBE, bytes, &Expected::Absent).await?;
        if !refused(&first) {
            if !first.status.is_success() {
                return Err(first.error("writing", &self.place()));
            }
            if !refused(&self.attempt(PROBE, bytes, &Expected::Absent).await?) {
                return Err(ignored("If-None-Match"));
            }
        }
        let other = Expected::Is(Version(NOTHING.to_owned()));
        if refused(&self.attempt(PROBE, bytes, &other).await?) { Ok(()) } else { Err(ignored("If-Match")) }
    }
}

/// An error and its causes.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[async_trait]
impl Store for S3Store {
    fn place(&self) -> String {
        let host = self.bucket.base_url().host_str().unwrap_or_default();
        format!("s3 bucket {}, prefix {} (at {host})", self.bucket.name(), self.prefix.trim_end_matches('/'))
    }

    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError> {
        let key = self.key(name);
        let url = GetObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED);
        match self.read(Method::GET, url).await? {
            Some(answer) => Ok(Some(Blob { version: self.etag(&answer)?, bytes: answer.body })),
            None => Ok(None),
        }
    }

    async fn version(&self, name: &str) -> Result<Option<Version>, StateError> {
        let key = self.key(name);
        let url = HeadObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED);
        self.read(Method::HEAD, url).await?.map(|answer| self.etag(&answer)).transpose()
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError> {
        self.probed.get_or_try_init(|| self.probe()).await?;
        let answer = self.attempt(name, &bytes, &expected).await?;
        match answer.status {
            StatusCode::PRECONDITION_FAILED => Ok(None),
            status if status.is_success() => self.etag(&answer).map(Some),
            // What should be replaced is gone.
            _ if answer.is_absent() && expected != Expected::Absent => Ok(None),
            _ => Err(answer.error("writing", &self.place())),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        let pages = self.pages(&self.key(prefix), None).await?;
        let keys = pages.iter().flat_map(|page| &page.contents);
        let mut names: Vec<String> = keys.filter_map(|c| c.key.strip_prefix(&self.prefix)).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        let pages = self.pages(&self.workspaces, Some("/")).await?;
        let folders = pages.iter().flat_map(|page| &page.common_prefixes);
        let name = |folder: &str| Some(folder.strip_prefix(&self.workspaces)?.trim_end_matches('/').to_owned());
        let mut names: Vec<String> = folders.filter_map(|f| name(&f.prefix)).collect();
        names.sort();
        Ok(names)
    }

    async fn remove(&self, name: &str) -> Result<(), StateError> {
        let key = self.key(name);
        let url = DeleteObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED);
        let answer =
            self.send(Request { doing: "removing", method: Method::DELETE, url, headers: &[], body: None }).await?;
        if answer.status.is_success() || answer.is_absent() {
            return Ok(());
        }
        Err(answer.error("removing", &self.place()))
    }
}
