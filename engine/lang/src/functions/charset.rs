//! Character encodings by their registered names.
//!
//! The one decision: a table says which names there are (those of the registry, not those of the web, where
//! `latin1` means something else) and what each means: an encoding of the web standard where that is the same,
//! else the characters of its bytes. What it does not do: HZ.

use encoding_rs::Encoding;

/// Names, kind and data, each line for one encoding.
const TABLE: &str = include_str!("charset/table.txt");

/// One encoding.
pub(super) enum Charset {
    Standard(&'static Encoding),
    Utf16 {
        little: bool,
        mark: bool,
    },
    /// What each byte means; `U+FFFD`: nothing.
    Bytes(Vec<char>),
}

impl Charset {
    /// The encoding of a name, in any case.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let line = TABLE.lines().find(|l| l.split('\t').next().is_some_and(|n| n.split(' ').any(|n| n == name)))?;
        let mut parts = line.split('\t').skip(1);
        let (kind, data) = (parts.next()?, parts.next().unwrap_or_default());
        let bytes = |of: &dyn Fn(u8) -> char| Some(Self::Bytes((0..=u8::MAX).map(of).collect()));
        let missing = char::REPLACEMENT_CHARACTER;
        match kind {
            "standard" => Encoding::for_label(data.as_bytes()).map(Self::Standard),
            "utf16" => Some(Self::Utf16 { little: false, mark: true }),
            "utf16be" => Some(Self::Utf16 { little: false, mark: false }),
            "utf16le" => Some(Self::Utf16 { little: true, mark: false }),
            "ascii" => bytes(&|b| if b.is_ascii() { char::from(b) } else { missing }),
            "latin1" => bytes(&char::from),
            "latin5" => bytes(&|b| match b {
                0xd0 => 'Ğ',
                0xdd => 'İ',
                0xde => 'Ş',
                0xf0 => 'ğ',
                0xfd => 'ı',
                0xfe => 'ş',
                b => char::from(b),
            }),
            "page" => {
                let upper: Vec<char> = data.chars().collect();
                bytes(&|b| match b.checked_sub(0x80) {
                    None => char::from(b),
                    Some(n) => upper.get(usize::from(n)).copied().unwrap_or(missing),
                })
            }
            _ => {
                let euro = kind == "euro";
                bytes(&|b| {
                    let at = usize::from(b) * 2;
                    let code = data.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    if euro && b == 0x9f { '€' } else { code.map_or(missing, char::from) }
                })
            }
        }
    }

    /// The bytes of a text; `None` where it has a character that the encoding lacks.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Standard(encoding) if text.chars().any(|c| odd(encoding, c)) => None,
            Self::Standard(encoding) => {
                let (bytes, _, lossy) = encoding.encode(text);
                (!lossy).then(|| bytes.into_owned())
            }
            Self::Utf16 { little, mark } => {
                let to = if *little { u16::to_le_bytes } else { u16::to_be_bytes };
                let start = if *mark { vec![0xfe, 0xff] } else { Vec::new() };
                Some(start.into_iter().chain(text.encode_utf16().flat_map(to)).collect())
            }
            Self::Bytes(table) => {
                let byte = |c| table.iter().position(|t| *t == c && c != char::REPLACEMENT_CHARACTER);
                text.chars().map(|c| byte(c).and_then(|b| u8::try_from(b).ok())).collect()
            }
        }
    }

    /// The text of bytes; `None` where some mean nothing.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<String> {
        let text = match self {
            Self::Standard(encoding) => {
                let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
                if text.chars().any(|c| odd(encoding, c)) {
                    return None;
                }
                text.into_owned()
            }
            Self::Utf16 { little, mark } => {
                let (little, bytes) = match bytes {
                    [0xff, 0xfe, rest @ ..] if *mark => (true, rest),
                    [0xfe, 0xff, rest @ ..] if *mark => (false, rest),
                    bytes => (*little, bytes),
                };
                let of = if little { u16::from_le_bytes } else { u16::from_be_bytes };
                let (pairs, rest) = bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    return None;
                }
                String::from_utf16(&pairs.iter().map(|pair| of(*pair)).collect::<Vec<_>>()).ok()?
            }
            Self::Bytes(table) => bytes.iter().filter_map(|b| table.get(usize::from(*b))).collect(),
        };
        (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text)
    }
}

/// What the web standard fills the gaps of its tables with, and the registry does not.
fn odd(encoding: &'static Encoding, c: char) -> bool {
    match c {
        '\u{80}'..='\u{9f}' => encoding.is_single_byte(),
        '\u{e000}'..='\u{f8ff}' => encoding == encoding_rs::SHIFT_JIS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_encoding_that_reads_what_it_writes() {
        for line in TABLE.lines() {
            for name in line.split('\t').next().unwrap_or_default().split(' ') {
                let charset = Charset::of(name).expect(name);
                let bytes = charset.encode("a1~ Z").expect(name);
                assert_eq!(charset.decode(&bytes).as_deref(), Some("a1~ Z"), "{name}");
                if let Charset::Bytes(table) = &charset {
                    assert_eq!(table.len(), 256, "{name}");
                }
            }
        }
    }
}
