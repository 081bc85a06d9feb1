//! What the store said, as an error with a way out.
//!
//! The one decision: of an answer only its code and its message are shown; the rest may repeat what was signed.

use mesh_state::StateError;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The text of an element of an error, as S3 writes it.
    fn element(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    }

    /// The code of an error; empty without one.
    pub(crate) fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the same request may be sent again: what reads may always be, a write that was turned away unseen.
    pub(crate) fn passes(&self, reads: bool) -> bool {
        let status = self.status.as_u16();
        status == 429 || reads && status >= 500 && status != 501 || status == 503 && self.code() == "SlowDown"
    }

    /// Whether it says that there is no such object. A request without a body in its answer cannot tell more.
    pub(crate) fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.code() != "NoSuchBucket"
    }

    /// Two writes of one object met, and this one lost.
    pub(crate) fn is_raced(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }

    /// For people.
    pub(crate) fn error(&self, doing: &'static str, place: &str) -> StateError {
        let code = self.code();
        let region = self.header("x-amz-bucket-region").filter(|_| self.status.is_redirection());
        let region = region.map(|r| format!(" (the bucket is in {r})")).unwrap_or_default();
        let said = match self.element("Message") {
            Some(message) => format!("{} {code}: {}{region}", self.status.as_u16(), message.trim_end_matches('.')),
            None => format!("{}{region}", self.status),
        };
        let unusable = |way_out: &str| StateError::Unusable {
            place: place.to_owned(),
            why: format!("{doing} it was refused; the store said: {said}"),
            way_out: way_out.to_owned(),
        };
        match (self.status.as_u16(), &*code) {
            (_, "NoSuchBucket") => {
                unusable("Make the bucket, or correct the settings `bucket`, `region` and `endpoint`.")
            }
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken") | (401, _) => {
                unusable(
                    "Give credentials that are valid now: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, \
                 AWS_SESSION_TOKEN.",
                )
            }
            (_, "RequestTimeTooSkewed") => unusable("Set the clock of this machine."),
            (403, _) => unusable(
                "Grant the account s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on all \
                 keys with this prefix.",
            ),
            (300..=399, _) | (_, "AuthorizationHeaderMalformed") => {
                unusable("Correct the settings `region` and `endpoint`.")
            }
            (400 | 404 | 405 | 411 | 501, _) => unusable("Look at the settings of the backend and at the store."),
            _ => StateError::remote(doing, place, format!("the store said: {said}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Answer {
        let body = format!(
            "<?xml?><Error><Code>{code}</Code><Message>so it is.</Message><StringToSign>canary</StringToSign></Error>"
        );
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: HeaderMap::new(), body: if code.is_empty() { Vec::new() } else { body.into_bytes() } }
    }

    #[test]
    fn what_can_be_put_right_says_how_and_shows_nothing_that_was_signed() {
        for (status, code, words) in [
            (404, "NoSuchBucket", "Make the bucket"),
            (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (403, "AccessDenied", "s3:PutObject"),
            (403, "", "s3:ListBucket"),
            (301, "PermanentRedirect", "`region`"),
            (400, "AuthorizationHeaderMalformed", "`region`"),
            (403, "RequestTimeTooSkewed", "clock"),
        ] {
            let error = answer(status, code).error("writing", "s3 bucket b").to_string();
            assert!(error.contains(words) && !error.contains("canary"), "{error}");
        }
        let error = answer(500, "InternalError").error("writing", "s3 bucket b").to_string();
        assert!(error.contains("run the same command again"), "{error}");
    }

    #[test]
    fn only_what_was_not_done_is_sent_again() {
        assert!(answer(500, "InternalError").passes(true) && !answer(500, "InternalError").passes(false));
        assert!(answer(503, "SlowDown").passes(false) && !answer(503, "ServiceUnavailable").passes(false));
        assert!(
            answer(404, "").is_absent()
                && answer(404, "NoSuchKey").is_absent()
                && !answer(404, "NoSuchBucket").is_absent()
        );
    }
}
