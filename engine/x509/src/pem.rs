//! PEM blocks in a text.
//!
//! The one decision: lenient about what people paste (text between blocks as `openssl x509 -text`
//! and `openssl s_client` print it, blank lines, CRLF, lines of any length), strict about base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why a text is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// The DER bytes of every block with one of these labels, in order. A block that is not closed or
/// not base64 is an error; blocks with other labels are passed over.
pub fn blocks(text: &str, labels: &[&str]) -> Result<Vec<Vec<u8>>, Malformed> {
    Ok(select(text, |label| labels.contains(&label))?.into_iter().map(|(_, der)| der).collect())
}

/// Label and DER bytes of every block, in order; errors as in [`blocks`].
pub fn all(text: &str) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
    select(text, |_| true)
}

fn select(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        rest = &rest[at + BEGIN.len()..];
        let Some((label, body)) = rest.split_once("-----") else {
            return Err(Malformed("a PEM header line is cut off".into()));
        };
        let end = format!("-----END {label}-----");
        let Some((body, after)) = body.split_once(&end) else {
            return Err(Malformed(format!("the PEM block {label:?} has no line \"{end}\": the text is cut off")));
        };
        if wanted(label) {
            let clean: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let der =
                STANDARD.decode(clean).map_err(|e| Malformed(format!("the PEM block {label:?} is not base64: {e}")))?;
            found.push((label.to_owned(), der));
        }
        rest = after;
    }
    Ok(found)
}

/// One PEM block with lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_among_other_text() {
        let text = format!("subject=x\r\n{}\n0 s:/CN=b\n{}", encode("A", &[1; 100]), encode("B", &[2]));
        assert_eq!(blocks(&text, &["A"]), Ok(vec![vec![1; 100]]));
        assert_eq!(blocks(&text, &["A", "B"]).map(|b| b.len()), Ok(2));
        assert_eq!(blocks("nothing", &["A"]), Ok(vec![]));
        assert_eq!(all(&text), Ok(vec![("A".into(), vec![1; 100]), ("B".into(), vec![2])]));
    }

    #[test]
    fn says_what_is_wrong() {
        for text in ["-----BEGIN A-----\nAAAA", "-----BEGIN A-----\n*\n-----END A-----", "-----BEGIN A"] {
            assert!(blocks(text, &["A"]).is_err(), "{text}");
        }
    }
}
