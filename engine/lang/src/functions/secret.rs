//! Functions that make or open secrets.
//!
//! The one decision: the cryptography is the libraries'; here are the bounds. An error never quotes an
//! argument, marked or not.

use super::*;

/// As in the field, where lower costs become this one.
const DEFAULT_COST: u32 = 10;
/// Each step doubles the work: one more than this takes minutes for one call.
const MAX_COST: u32 = 20;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "bcrypt",
        &[Param::new("str", Ty::String)],
        Ty::String,
        bcrypt,
        "The bcrypt digest of a text with a new salt at each apply; unknown in a plan. A cost may follow, 10 without.",
    )
    .variadic(Param::new("cost", Ty::Number)),
    Function::new(
        "rsadecrypt",
        &[Param::new("ciphertext", Ty::String), Param::new("privatekey", Ty::String)],
        Ty::String,
        rsadecrypt,
        "The text that RSA with PKCS#1 v1.5 padding encrypted to base64; the key is a PEM text.",
    ),
];

fn bcrypt(context: &Context, args: &[Value]) -> Outcome {
    if context.timestamp.is_none() {
        return Ok(Value::unknown(Type::String));
    }
    if args.len() > 2 {
        return Err(CallError::at(2, "it takes a text and a cost, and no more"));
    }
    let cost = if args.len() == 2 { whole(args, 1)? } else { i64::from(DEFAULT_COST) };
    let cost = match u32::try_from(cost) {
        Ok(cost @ 4..=MAX_COST) => cost,
        Ok(0..4) | Err(_) if cost < 4 => DEFAULT_COST,
        _ => return Err(CallError::at(1, format!("a cost above {MAX_COST} takes minutes for each call"))),
    };
    let plain = text(args, 0);
    if plain.len() > 72 {
        return Err(CallError::at(0, "bcrypt takes 72 bytes at most; sha256 makes a shorter text of it"));
    }
    // Truncation begins behind 72 bytes, which is checked above.
    let parts = bcrypt::hash_with_result(plain, cost).map_err(|e| CallError::new(e.to_string()))?;
    Ok(Value::string(parts.format_for_version(bcrypt::Version::TwoA)))
}

fn rsadecrypt(_: &Context, args: &[Value]) -> Outcome {
    let secret = encoding::bytes64(text(args, 0)).ok_or_else(|| CallError::at(0, encoding::NOT_BASE64))?;
    let plain = mesh_x509::rsa_decrypt(text(args, 1), &secret).map_err(|e| {
        let argument = usize::from(matches!(e, mesh_x509::DecryptError::Key(_)));
        CallError::at(argument, e.to_string())
    })?;
    String::from_utf8(plain).map(Value::string).map_err(|_| CallError::at(0, "what was encrypted is no UTF-8 text"))
}
