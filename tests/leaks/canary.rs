//! Canaries: texts that name their source, and the search for them in anything.
//!
//! The one decision: what is looked for are the two ends of each text, twelve letters and digits that no escaping, quoting
//! or wrapping changes, raw and as hex and base64 at each of its three alignments; and what is packed (gzip, hex, base64)
//! is unpacked and looked at again. So half a secret is found, too, and nobody has to know how a place keeps its bytes.

use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;
use sha2::{Digest as _, Sha256};

/// How often something may be packed.
const DEPTH: usize = 4;
/// Length of an end.
const END: usize = 12;

/// All canaries.
pub(super) struct Flock {
    /// What is looked for, with its source.
    needles: HashMap<Vec<u8>, String>,
    all: Option<Regex>,
    base64: Regex,
    hex: Regex,
}

/// A text for a source, the same in one run of the tests: any characters, both ends plain.
pub(super) fn text(source: &str) -> String {
    let [head, tail] = ends(source);
    format!("{head} \"quoted\" ${{x}} \\ü/+&=%?<{tail}")
}

/// The same of letters and digits alone, for PINs and tokens.
pub(super) fn word(source: &str) -> String {
    ends(source).concat()
}

fn ends(source: &str) -> [String; 2] {
    let digest = Sha256::digest(format!("{source} {}", std::process::id()));
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    // No other digest begins and goes on like this.
    [format!("Q{}", &hex[..END - 1]), format!("{}Q", &hex[END..2 * END - 1])]
}

/// Each way in which bytes may be written.
fn forms(end: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = end.iter().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![end.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for before in 0..3 {
        let padded = [&[0; 3][..before], end].concat();
        // Without the characters that neighbours have a part in.
        let (from, to) = ([0, 2, 3][before], padded.len() * 8 / 6);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            forms.push(engine.encode(&padded).into_bytes()[from..to].to_vec());
        }
    }
    forms
}

impl Flock {
    pub(super) fn new() -> Self {
        let base64 = Regex::new("[A-Za-z0-9+/]{24,}={0,2}").expect("a pattern");
        let hex = Regex::new("[0-9A-Fa-f]{24,}").expect("a pattern");
        Self { needles: HashMap::new(), all: None, base64, hex }
    }

    /// Looks for a text from now on.
    pub(super) fn add(&mut self, source: &str, text: &str) {
        assert!(text.len() >= END, "{source} is too short to be told from chance");
        let bytes = text.as_bytes();
        for end in [&bytes[..END], &bytes[bytes.len() - END..]] {
            self.needles.extend(forms(end).into_iter().map(|form| (form, source.to_owned())));
        }
        let any: Vec<String> =
            self.needles.keys().map(|n| regex::escape(std::str::from_utf8(n).expect("ends are ASCII"))).collect();
        self.all = Some(Regex::new(&any.join("|")).expect("a pattern"));
    }

    /// The sources of what is in some bytes, however it is packed or wrapped.
    pub(super) fn find(&self, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.look(bytes, DEPTH, &mut found);
        // A long word that a terminal's width broke, with what stands at the margin.
        if let Ok(text) = std::str::from_utf8(bytes) {
            let joined: String = text.chars().filter(|c| !c.is_whitespace() && !"│|╷╵".contains(*c)).collect();
            self.raw(joined.as_bytes(), &mut found);
        }
        found
    }

    fn raw(&self, bytes: &[u8], found: &mut BTreeSet<String>) {
        let matches = self.all.iter().flat_map(|all| all.find_iter(bytes));
        found.extend(matches.filter_map(|m| self.needles.get(m.as_bytes()).cloned()));
    }

    fn look(&self, bytes: &[u8], depth: usize, found: &mut BTreeSet<String>) {
        self.raw(bytes, found);
        if depth == 0 {
            return;
        }
        for (at, _) in bytes.windows(3).enumerate().filter(|(_, w)| *w == [0x1f, 0x8b, 8]) {
            let mut out = Vec::new();
            // What comes before a damaged end is looked at, too.
            let _ = flate2::read::GzDecoder::new(&bytes[at..]).take(64 << 20).read_to_end(&mut out);
            if !out.is_empty() {
                self.look(&out, depth - 1, found);
            }
        }
        for packed in self.hex.find_iter(bytes) {
            self.look(&unhex(packed.as_bytes()), depth - 1, found);
        }
        for packed in self.base64.find_iter(bytes).map(|m| m.as_bytes()) {
            let engine = if packed.ends_with(b"=") { STANDARD } else { STANDARD_NO_PAD };
            if let Ok(out) = engine.decode(packed) {
                self.look(&out, depth - 1, found);
            }
        }
    }
}

fn unhex(digits: &[u8]) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or_default();
    digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
