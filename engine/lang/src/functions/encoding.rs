//! Functions that turn values into text of some format and back.
//!
//! The one decision: formats with code of their own have a file of their own ([`json`](super::json),
//! [`csv`](super::csv), [`yaml`](super::yaml)); here are the rows and what is one line.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::*;

/// Standard base64 with padding required; the last symbol's unused bits may be anything, as in the field.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

const STR: &[Param] = &[Param::new("str", Ty::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64decode", STR, Ty::String, |_, a| decode64(text(a, 0)), "The text that base64 stands for."),
    Function::new(
        "base64encode",
        STR,
        Ty::String,
        |_, a| Ok(Value::string(BASE64.encode(text(a, 0)))),
        "A text in base64.",
    ),
    Function::new(
        "base64gunzip",
        STR,
        Ty::String,
        |_, a| gunzip(text(a, 0)),
        "The text that base64 of gzip stands for: the inverse of `base64gzip`.",
    ),
    Function::new("base64gzip", STR, Ty::String, |_, a| gzip(text(a, 0)), "A text, compressed by gzip, in base64."),
    Function::new(
        "csvdecode",
        STR,
        Ty::Any,
        |_, a| csv::decode(text(a, 0)),
        "The rows of a CSV text as a list of objects.",
    ),
    Function::new("jsondecode", STR, Ty::Any, |_, a| json::decode(text(a, 0)), "The value that a JSON text means."),
    Function::new(
        "jsonencode",
        &[Param::new("val", Ty::Any).nullable()],
        Ty::String,
        |_, a| json::encode(&a[0]).map(Value::string),
        "A value as JSON.",
    ),
    Function::new(
        "textdecodebase64",
        &[Param::new("source", Ty::String), Param::new("encoding", Ty::String)],
        Ty::String,
        text_decode,
        "The text that base64 in a character encoding stands for.",
    ),
    Function::new(
        "textencodebase64",
        &[Param::new("string", Ty::String), Param::new("encoding", Ty::String)],
        Ty::String,
        text_encode,
        "A text in a character encoding, in base64.",
    ),
    Function::new(
        "urldecode",
        STR,
        Ty::String,
        |_, a| urldecode(text(a, 0)),
        "The text that the query of a URL stands for: the inverse of `urlencode`.",
    ),
    Function::new(
        "urlencode",
        STR,
        Ty::String,
        |_, a| Ok(Value::string(utf8_percent_encode(text(a, 0), QUERY).to_string().replace("%20", "+"))),
        "A text as it must stand in the query of a URL.",
    ),
    Function::new(
        "yamldecode",
        &[Param::new("src", Ty::String)],
        Ty::Any,
        |_, a| yaml::decode(text(a, 0)),
        "The value that a YAML document means.",
    ),
    Function::new(
        "yamlencode",
        &[Param::new("value", Ty::Any).nullable()],
        Ty::String,
        |_, a| yaml::encode(&a[0]).map(Value::string),
        "A value as YAML.",
    ),
];

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) const NOT_BASE64: &str = "it is not base64 with its padding";

pub(super) fn bytes64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace(['\r', '\n'], "")).ok()
}

fn decode64(text: &str) -> Outcome {
    let bytes = bytes64(text).ok_or_else(|| CallError::at(0, NOT_BASE64))?;
    String::from_utf8(bytes)
        .map(Value::string)
        .map_err(|_| CallError::at(0, "the bytes are no UTF-8 text; for another encoding there is textdecodebase64"))
}

fn gzip(text: &str) -> Outcome {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let done = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    done.map(|bytes| Value::string(BASE64.encode(bytes))).map_err(|e| CallError::new(e.to_string()))
}

fn gunzip(text: &str) -> Outcome {
    let packed = bytes64(text).ok_or_else(|| CallError::at(0, NOT_BASE64))?;
    let mut plain = Vec::new();
    // One byte more than allowed shows that there is more.
    flate2::read::MultiGzDecoder::new(packed.as_slice())
        .take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|e| CallError::at(0, format!("the bytes are not gzip: {e}")))?;
    if plain.len() > MAX_TEXT {
        return Err(too_long());
    }
    String::from_utf8(plain).map(Value::string).map_err(|_| CallError::at(0, "what was compressed is no UTF-8 text"))
}

fn urldecode(text: &str) -> Outcome {
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let broken = |i: usize| bytes[i] == b'%' && !(hex(bytes.get(i + 1)) && hex(bytes.get(i + 2)));
    if let Some(at) = (0..bytes.len()).find(|i| broken(*i)) {
        return Err(CallError::at(0, format!("the % at offset {at} is not followed by two hexadecimal digits")));
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(|plain| Value::string(&*plain))
        .map_err(|_| CallError::at(0, "the decoded bytes are no UTF-8 text"))
}

fn charset(name: &str) -> Result<charset::Charset, CallError> {
    charset::Charset::of(name).ok_or_else(|| {
        CallError::at(1, format!("{name:?} is no known encoding, such as \"UTF-16LE\" or \"windows-1252\""))
    })
}

fn text_encode(_: &Context, args: &[Value]) -> Outcome {
    let name = text(args, 1);
    let bytes = charset(name)?.encode(text(args, 0));
    bounded(BASE64.encode(bytes.ok_or_else(|| CallError::at(0, format!("it has characters that {name} lacks")))?))
}

fn text_decode(_: &Context, args: &[Value]) -> Outcome {
    let name = text(args, 1);
    let charset = charset(name)?;
    let bytes = bytes64(text(args, 0)).ok_or_else(|| CallError::at(0, NOT_BASE64))?;
    let plain = charset.decode(&bytes);
    plain.map(Value::string).ok_or_else(|| CallError::at(0, format!("the bytes mean nothing in {name}")))
}
