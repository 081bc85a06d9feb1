//! What the server keeps: a JSON document around the state.
//!
//! The one decision: servers of this protocol look into what they keep. GitLab refuses what is no JSON, and numbers its
//! versions by `serial`: each number once, the highest is the state. So the state, which is lines, is a text in a
//! document whose serial counts its writes, and as a text it also survives a server that writes JSON in its own way.
//! Lines that stand there alone, as the first version wrote them, are read too.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The version of the document that is written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document<'d> {
    mesh_http: u32,
    serial: u64,
    #[serde(default)]
    lineage: Cow<'d, str>,
    #[serde(default)]
    state: Cow<'d, str>,
}

/// A state as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Which write it was.
    pub(crate) serial: u64,
    /// Its lines.
    pub(crate) state: Vec<u8>,
}

/// The document for a state; `None` where it is no text.
pub(crate) fn wrap(serial: u64, state: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(state).ok()?;
    let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_default();
    let lineage = header["lineage"].as_str().unwrap_or_default();
    serde_json::to_vec(&Document { mesh_http: VERSION, serial, lineage: lineage.into(), state: text.into() }).ok()
}

/// The state in what a server gave.
///
/// # Errors
/// A document of a later version; the version.
pub(crate) fn unwrap(bytes: Vec<u8>) -> Result<Held, u32> {
    match serde_json::from_slice::<Document<'_>>(&bytes) {
        Ok(found) if found.mesh_http == VERSION => {
            Ok(Held { serial: found.serial, state: found.state.into_owned().into_bytes() })
        }
        Ok(later) => Err(later.mesh_http),
        // Lines, or nothing of ours, which whoever reads a state says.
        Err(_) => Ok(Held { serial: 0, state: bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &[u8] = b"{\"mesh_state\":1,\"lineage\":\"l-1\",\"serial\":7}\n{\"sha256\":\"\\u0000\"}\n";

    #[test]
    fn a_state_comes_back_from_a_document_that_servers_understand() {
        let document = wrap(41, STATE).expect("a text");
        let json: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        assert_eq!((json["serial"].as_u64(), json["lineage"].as_str()), (Some(41), Some("l-1")));
        let held = Held { serial: 41, state: STATE.to_vec() };
        assert_eq!(unwrap(document), Ok(Held { serial: 41, state: STATE.to_vec() }));
        let anew = serde_json::to_vec_pretty(&json).expect("JSON");
        assert_eq!(unwrap(anew), Ok(held), "written anew by the server");
        assert_eq!(wrap(1, b"\xff"), None);
    }

    #[test]
    fn what_stands_there_alone_is_left_as_it_is_and_a_later_version_is_refused() {
        for alone in [STATE, b"{\"version\":4,\"serial\":1}", b"", b"x"] {
            assert_eq!(unwrap(alone.to_vec()), Ok(Held { serial: 0, state: alone.to_vec() }));
        }
        let later = br#"{"mesh_http":2,"serial":1,"parts":[]}"#;
        assert_eq!(unwrap(later.to_vec()), Err(2));
    }
}
