//! What is in a certificate, and in PEM texts.
//!
//! The one decision: a function looks at the first certificate of its text, so that a chain answers for
//! its leaf; `pem_decode` gives all blocks to those who want another. Nothing is verified here.

use base64::Engine as _;
use mesh_x509::CertificateInfo;

use super::*;

const PEM: &[Param] = &[Param::new("pem", Ty::String)];

const fn fact(name: &'static str, result: Ty, body: fn(&Context, &[Value]) -> Outcome, doc: &'static str) -> Function {
    Function::new(name, PEM, result, body, doc)
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "pem_decode",
        PEM,
        Ty::Any,
        |_, a| pem_decode(text(a, 0)),
        "All blocks of a PEM text, in order, as objects with `label` and `base64` (the DER bytes).",
    )
    .typed(|_| Type::list(Type::object([("label", Type::String), ("base64", Type::String)]))),
    Function::new(
        "pem_encode",
        &[Param::new("label", Ty::String), Param::new("base64", Ty::String)],
        Ty::String,
        pem_encode,
        "One PEM block with a label such as `CERTIFICATE` around DER bytes in base64.",
    ),
    fact("x509_is_ca", Ty::Bool, |_, a| Ok(Value::bool(first(a)?.is_ca)), "Whether a certificate may be an authority."),
    fact(
        "x509_issuer",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.issuer)),
        "The issuer of a certificate, such as `CN=Root CA,O=Example`.",
    ),
    fact(
        "x509_not_after",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.not_after)),
        "Until when a certificate is valid, in RFC 3339.",
    ),
    fact(
        "x509_not_before",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.not_before)),
        "From when a certificate is valid, in RFC 3339.",
    ),
    fact(
        "x509_serial",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.serial_hex)),
        "The serial number of a certificate, in hex.",
    ),
    fact(
        "x509_sha256",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.sha256)),
        "The SHA-256 of a certificate's DER bytes, in hex.",
    ),
    fact(
        "x509_spki_sha256",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.spki_sha256)),
        "The SHA-256 of a certificate's public key (SubjectPublicKeyInfo), in hex.",
    ),
    fact(
        "x509_subject",
        Ty::String,
        |_, a| Ok(Value::string(first(a)?.subject)),
        "The subject of a certificate, such as `CN=Root CA,O=Example`.",
    ),
];

fn first(args: &[Value]) -> Result<CertificateInfo, CallError> {
    mesh_x509::parse_first_certificate(text(args, 0)).map_err(|e| CallError::at(0, e.0))
}

fn pem_decode(pem: &str) -> Outcome {
    let blocks = mesh_x509::pem::all(pem).map_err(|e| CallError::at(0, e.0))?;
    let ty = Type::object([("label", Type::String), ("base64", Type::String)]);
    let object = |(label, der): (String, Vec<u8>)| {
        Value::object([("label", Value::string(label)), ("base64", Value::string(encoding::BASE64.encode(der)))])
    };
    Ok(Value::list(ty, blocks.into_iter().map(object).collect::<Vec<_>>()))
}

fn pem_encode(_: &Context, args: &[Value]) -> Outcome {
    let label = text(args, 0);
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ';
    if label.is_empty() || !label.bytes().all(plain) {
        return Err(CallError::at(0, "a label is capitals, digits and spaces, such as \"CERTIFICATE\""));
    }
    let der = encoding::bytes64(text(args, 1)).ok_or_else(|| CallError::at(1, encoding::NOT_BASE64))?;
    bounded(mesh_x509::pem::encode(label, &der))
}
