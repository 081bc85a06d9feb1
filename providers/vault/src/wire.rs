//! One HTTP call to Vault, raw in and out, through the client that `vaultrs` configured.
//!
//! The one decision: requests are built and sent with the client's own middleware (token, namespace, API version), but
//! the answer is taken before `vaultrs` parses it, since that loses headers, warnings and unknown fields, and shows
//! whole bodies in its errors. Retrying and the meaning of a status are the client's work.

use rustify::client::Client as _;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde_json::Value as Json;
use vaultrs::client::{Client as _, VaultClient};

use crate::failure::Failure;

/// What a call does; also the capability that it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    List,
    Post,
    Delete,
}

impl Method {
    /// The HTTP method.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// The capabilities that a policy must give.
    pub(crate) const fn capabilities(self) -> &'static str {
        match self {
            Self::Get => "\"read\"",
            Self::List => "\"list\"",
            Self::Post => "\"create\", \"update\"",
            Self::Delete => "\"delete\"",
        }
    }

    /// Whether sending it twice can change anything.
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Get | Self::List)
    }
}

/// One call. `path` has no leading slash; a query may follow a `?`.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<&'static str>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Endpoint for Call {
    type Response = Json;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        match self.method {
            Method::Get => RequestMethod::GET,
            Method::List => RequestMethod::LIST,
            Method::Post => RequestMethod::POST,
            Method::Delete => RequestMethod::DELETE,
        }
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.map(str::to_owned))
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.clone())
    }
}

/// What came back, whatever the status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    /// The JSON of the body; null for an empty one.
    pub(crate) body: Json,
    /// Whether the body was there but not JSON (a proxy's page, for example).
    pub(crate) garbled: bool,
}

impl Reply {
    /// The content without its envelope.
    pub(crate) fn data(&self) -> &Json {
        &self.body["data"]
    }

    /// What the server wants the reader to know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        texts(&self.body["warnings"])
    }

    /// The server's words about what went wrong, on one line.
    pub(crate) fn errors(&self) -> String {
        let words: Vec<String> = texts(&self.body["errors"]).iter().map(|e| one_line(e)).collect();
        words.join("; ")
    }
}

/// Vault lists several errors with line breaks, bullets and a count before them.
fn one_line(text: &str) -> String {
    let text = text.split_once("occurred:").map_or(text, |(_, rest)| rest);
    text.split(['\n', '\t'])
        .map(|part| part.trim().trim_start_matches("* "))
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn texts(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned)).collect()
}

/// Sends `call` once.
pub(crate) async fn send(client: &VaultClient, call: &Call) -> Result<Reply, Failure> {
    let request = call
        .clone()
        .with_middleware(client.middle())
        .request(client.http().base())
        .map_err(|_| Failure::unsendable(call))?;
    let response = client.http().send(request).await.map_err(|e| Failure::transport(call, &e))?;
    let body = response.body();
    let parsed = if body.is_empty() { Ok(Json::Null) } else { serde_json::from_slice(body) };
    Ok(Reply {
        status: response.status().as_u16(),
        retry_after: response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok()),
        garbled: parsed.is_err(),
        body: parsed.unwrap_or(Json::Null),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_errors_of_vault_become_one_line() {
        assert_eq!(
            one_line("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
            "permission denied, invalid token"
        );
        assert_eq!(one_line("path is already in use at x/"), "path is already in use at x/");
    }
}
