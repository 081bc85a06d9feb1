//! The few requests that bringing servers up needs: JSON over HTTPS with one given CA.
//!
//! reqwest, because it is in the binary anyway; blocking, because nothing here runs beside anything else.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::Value;

use crate::error::{Error, Result, at};

/// A server with its CA and one credential header.
pub(crate) struct Http {
    client: Client,
    base: String,
    header: (&'static str, String),
}

impl Http {
    pub(crate) fn new(base: &str, ca_file: &Path, header: (&'static str, String)) -> Result<Self> {
        let pem = at(ca_file, std::fs::read(ca_file))?;
        let client = reqwest::Certificate::from_pem(&pem)
            .and_then(|ca| Client::builder().tls_certs_only([ca]).no_proxy().timeout(Duration::from_secs(10)).build());
        let client =
            client.map_err(|error| Error::Answer { what: format!("a client for {base}"), words: words(&error) })?;
        Ok(Self { client, base: base.to_owned(), header })
    }

    /// Whether a GET answers 200.
    pub(crate) fn ok(&self, path: &str) -> bool {
        let request = self.client.get(format!("{}{path}", self.base)).header(self.header.0, &self.header.1);
        request.send().is_ok_and(|answer| answer.status() == 200)
    }

    /// A request with a JSON body (a merge patch, for PATCH); the answer's JSON, null when it has none.
    pub(crate) fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let what = format!("{method} {}{path}", self.base);
        let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).header(self.header.0, &self.header.1);
        if !body.is_null() {
            request = request.header("Content-Type", content).body(body.to_string());
        }
        let answer = request.send().and_then(|answer| Ok((answer.status(), answer.text()?)));
        match answer {
            Ok((status, text)) if status.is_success() => Ok(serde_json::from_str(&text).unwrap_or(Value::Null)),
            Ok((status, text)) => Err(Error::Answer { what, words: format!("{status}: {text}") }),
            Err(error) => Err(Error::Answer { what, words: words(&error) }),
        }
    }
}

/// Runs `work` on a thread of its own: reqwest's blocking client must not live inside an async runtime.
pub(crate) fn outside_async<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
