//! The worker: the process that holds the PKCS#11 library and answers calls, one after the other.
//!
//! The one decision: it knows nothing but the messages of [`crate::protocol`]; it ends when its
//! standard input does, after the call that it is in, so it outlives the program that started it by
//! no more than that; see [`alone`] for who waits then.

mod alone;
mod attributes;
mod objects;
mod token;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use zeroize::Zeroize;

use crate::protocol::{Call, Fault, FaultKind, MARKER, Reply, Request, Response};
use alone::Alone;
use token::Holder;

/// Serves calls from standard input until it ends. The command line calls this for its hidden
/// argument `__hsm-worker`.
pub fn worker_main() -> ExitCode {
    let mut holder: Option<Holder> = None;
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    loop {
        line.zeroize();
        match input.read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => return ExitCode::SUCCESS,
        }
        let Ok(Request { id, call }) = serde_json::from_str::<Request>(&line) else { return ExitCode::FAILURE };
        let result = serve(&mut holder, call);
        let Ok(mut text) = serde_json::to_string(&Response { id, result }) else { return ExitCode::FAILURE };
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{MARKER}{text}").and_then(|()| out.flush());
        text.zeroize();
        if written.is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn serve(holder: &mut Option<Holder>, call: Call) -> Result<Reply, Fault> {
    if let Call::Open { library, label, serial } = call {
        let opened = Holder::open(&library, &label, serial.as_deref())?;
        let facts = opened.facts()?;
        // What somebody else is still writing is there to be seen after this.
        drop(Alone::on(&facts.serial)?);
        *holder = Some(opened);
        return Ok(Reply::Token(facts));
    }
    let holder =
        holder.as_mut().ok_or_else(|| Fault::new(FaultKind::Token, "BUG: the first call must open the token."))?;
    let _alone = if call.is_write() { Some(Alone::on(&holder.serial()?)?) } else { None };
    match call {
        Call::Open { .. } => Ok(Reply::Done),
        Call::Login { pin, crypto_user } => holder.login(&pin, crypto_user).map(|()| Reply::Done),
        Call::Find { class, id } => objects::find(holder, class, id.as_ref()).map(Reply::Objects),
        Call::GenerateSecretKey { id, label, size, usage } => {
            objects::generate_secret_key(holder, &id, &label, size, usage).map(Reply::Objects)
        }
        Call::GenerateKeyPair { id, label, kind } => {
            objects::generate_key_pair(holder, &id, &label, kind).map(Reply::Objects)
        }
        Call::CreateCertificate { id, label, subject, issuer, serial, der } => {
            objects::create_certificate(holder, id, &label, [subject, issuer, serial, der]).map(Reply::Objects)
        }
        Call::Update { name, label, usage } => objects::update(holder, &name, label, usage).map(Reply::Objects),
        Call::Destroy { name } => objects::destroy(holder, &name).map(|()| Reply::Done),
        Call::Decrypt { key, iv, aad, data } => objects::decrypt(holder, &key, iv, &aad, &data).map(Reply::Bytes),
        Call::Encrypt { key, iv, aad, data } => objects::encrypt(holder, &key, iv, &aad, &data).map(Reply::Bytes),
        Call::Sign { key, scheme, data } => objects::sign(holder, &key, scheme, &data).map(Reply::Bytes),
        Call::Random { size } => objects::random(holder, size).map(Reply::Bytes),
    }
}
