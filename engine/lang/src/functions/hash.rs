//! Digests and identifiers.
//!
//! The one decision: one generic function over the digest, so that a row names only the algorithm, the
//! source (text or file) and the notation (hex or base64).

use base64::Engine as _;
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

use super::*;

const STR: &[Param] = &[Param::new("str", Ty::String)];
const PATH: &[Param] = &[Param::new("path", Ty::String)];

const fn row(
    name: &'static str,
    params: &'static [Param],
    body: fn(&Context, &[Value]) -> Outcome,
    doc: &'static str,
) -> Function {
    Function::new(name, params, Ty::String, body, doc)
}

pub(super) const FUNCTIONS: &[Function] = &[
    row("base64sha256", STR, |_, a| base64(&Sha256::digest(text(a, 0))), "The SHA-256 of a text, in base64."),
    row("base64sha512", STR, |_, a| base64(&Sha512::digest(text(a, 0))), "The SHA-512 of a text, in base64."),
    row("filebase64sha256", PATH, |c, a| base64(&Sha256::digest(read(c, a)?)), "The SHA-256 of a file, in base64."),
    row("filebase64sha512", PATH, |c, a| base64(&Sha512::digest(read(c, a)?)), "The SHA-512 of a file, in base64."),
    row("filemd5", PATH, |c, a| hex(&md5::Md5::digest(read(c, a)?)), "The MD5 of a file, in hex; not for security."),
    row(
        "filesha1",
        PATH,
        |c, a| hex(&sha1::Sha1::digest(read(c, a)?)),
        "The SHA-1 of a file, in hex; not for security.",
    ),
    row("filesha256", PATH, |c, a| hex(&Sha256::digest(read(c, a)?)), "The SHA-256 of a file, in hex."),
    row("filesha512", PATH, |c, a| hex(&Sha512::digest(read(c, a)?)), "The SHA-512 of a file, in hex."),
    row("md5", STR, |_, a| hex(&md5::Md5::digest(text(a, 0))), "The MD5 of a text, in hex; not for security."),
    row("sha1", STR, |_, a| hex(&sha1::Sha1::digest(text(a, 0))), "The SHA-1 of a text, in hex; not for security."),
    row("sha256", STR, |_, a| hex(&Sha256::digest(text(a, 0))), "The SHA-256 of a text, in hex."),
    row("sha512", STR, |_, a| hex(&Sha512::digest(text(a, 0))), "The SHA-512 of a text, in hex."),
    row(
        "uuid",
        &[],
        |c, _| {
            let known = c.timestamp.is_some();
            Ok(if known { Value::string(Uuid::new_v4().to_string()) } else { Value::unknown(Type::String) })
        },
        "A random identifier, a new one at each apply; unknown in a plan.",
    ),
    row(
        "uuidv5",
        &[Param::new("namespace", Ty::String), Param::new("name", Ty::String)],
        uuidv5,
        "The identifier of a name in a namespace: `dns`, `url`, `oid`, `x500` or an identifier.",
    ),
];

fn read(context: &Context, args: &[Value]) -> Result<Arc<[u8]>, CallError> {
    filesystem::open(context, text(args, 0))
}

fn hex(bytes: &[u8]) -> Outcome {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    Ok(Value::string(out))
}

fn base64(bytes: &[u8]) -> Outcome {
    Ok(Value::string(encoding::BASE64.encode(bytes)))
}

fn uuidv5(_: &Context, args: &[Value]) -> Outcome {
    let name = text(args, 0);
    let namespace = match name {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::parse_str(other)
            .map_err(|_| CallError::at(0, format!("{other:?} is no namespace: dns, url, oid, x500 or a UUID")))?,
    };
    Ok(Value::string(Uuid::new_v5(&namespace, text(args, 1).as_bytes()).to_string()))
}
