//! What the API server or the way to it said, as an error with a way out.
//!
//! The one decision: what people can put right (rights, a namespace, credentials) is told apart from what passes by
//! itself, which is the same command again.

use kube::core::Status;
use mesh_state::StateError;

/// An error and all its causes; a cause that repeats what was said is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// The answer of a server that said no.
pub(crate) fn status(error: &kube::Error) -> Option<&Status> {
    if let kube::Error::Api(status) = error { Some(status) } else { None }
}

/// Whether it is the object itself that is not there, and not its namespace.
pub(crate) fn is_gone(error: &kube::Error) -> bool {
    status(error).is_some_and(|s| s.code == 404 && !is_namespace(s))
}

/// Whether somebody else has written in between, or has made it before.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    status(error).is_some_and(|s| s.code == 409)
}

fn is_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|d| d.kind == "namespaces")
}

/// Whether the same request may be sent again: what reads may always be, a write where the server refused to look.
pub(crate) fn passes(error: &kube::Error, reads: bool) -> bool {
    match status(error) {
        Some(status) => status.code == 429 || reads && status.code >= 500,
        None => reads || chain(error).contains("(Connect)"),
    }
}

/// For people: what was being done, in which namespace.
pub(crate) fn failed(doing: &'static str, place: &str, namespace: &str, error: &kube::Error) -> StateError {
    let Some(status) = status(error) else { return StateError::remote(doing, place, chain(error)) };
    let said = status.message.trim_end_matches('.');
    let unusable = |way_out: String| StateError::Unusable {
        place: place.to_owned(),
        why: format!("{doing} it was refused; the API server said: {said}"),
        way_out,
    };
    match status.code {
        401 => unusable("Give the kubeconfig credentials that are valid now.".to_owned()),
        403 => unusable(format!(
            "Grant the account get, list, create, update and delete on secrets, and get, create, update and delete on \
             leases.coordination.k8s.io, in namespace {namespace} (see `kubectl auth can-i --list -n {namespace}`); a \
             quota or an admission policy is widened by whoever set it."
        )),
        404 if is_namespace(status) => unusable(format!(
            "Make it with `kubectl create namespace {namespace}`, or correct the setting `namespace`."
        )),
        400 | 404 | 405 | 413 | 422 => unusable("Look at the settings of the backend and at the cluster.".to_owned()),
        _ => StateError::remote(doing, place, format!("the API server said: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, kind: &str) -> kube::Error {
        let mut status = Status::failure("it said so.", "Reason").with_code(code);
        status.details = serde_json::from_value(serde_json::json!({ "kind": kind })).ok();
        kube::Error::Api(status.boxed())
    }

    #[test]
    fn what_can_be_put_right_says_how() {
        for (code, kind, words) in [
            (401, "", "credentials that are valid now"),
            (403, "secrets", "in namespace ns (see"),
            (404, "namespaces", "kubectl create namespace ns"),
            (422, "secrets", "Look at the settings"),
        ] {
            let error = failed("writing", "kubernetes", "ns", &answer(code, kind));
            assert!(matches!(error, StateError::Unusable { .. }), "{error}");
            assert!(error.to_string().contains(words) && error.to_string().contains("it said so."), "{error}");
        }
        let error = failed("writing", "kubernetes", "ns", &answer(500, ""));
        assert!(error.to_string().contains("run the same command again"), "{error}");
    }

    #[test]
    fn a_namespace_that_is_not_there_is_no_missing_blob() {
        assert!(is_gone(&answer(404, "secrets")) && !is_gone(&answer(404, "namespaces")));
        assert!(passes(&answer(503, ""), true) && !passes(&answer(503, ""), false) && passes(&answer(429, ""), false));
    }
}
