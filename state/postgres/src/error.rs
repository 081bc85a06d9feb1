//! What the server says, as an error of a state.
//!
//! The one decision: only the message of an answer is repeated, never its detail, which may quote a row.

use std::error::Error as _;

use mesh_state::{Fault, StateError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// A failure while `doing` something with the state at `place`.
pub(crate) fn failure(doing: &'static str, place: &str, error: &Error) -> StateError {
    let Some(answer) = error.as_db_error() else {
        let (mut words, mut cause) = (error.to_string(), error.source());
        while let Some(because) = cause {
            words = format!("{words}: {because}");
            cause = because.source();
        }
        return StateError::remote(doing, place, words);
    };
    let why = format!("the server says: {}", answer.message());
    let unusable =
        |way_out: &str| StateError::Unusable { place: place.to_owned(), why: why.clone(), way_out: way_out.to_owned() };
    match answer.code() {
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            unusable("Correct the user or the password (PGPASSWORD), or what the server lets in (pg_hba.conf).")
        }
        &SqlState::INVALID_CATALOG_NAME => unusable("Make the database, with the encoding UTF8, or name another."),
        &SqlState::INSUFFICIENT_PRIVILEGE => unusable(
            "Let the account make the schema (GRANT CREATE ON DATABASE), or own the schema that is there with its tables.",
        ),
        &SqlState::READ_ONLY_SQL_TRANSACTION => {
            unusable("Planning works there, changing does not: connect to the primary server.")
        }
        &SqlState::DISK_FULL => {
            StateError::Io { doing, path: place.into(), fault: Fault::DiskFull, message: answer.message().to_owned() }
        }
        _ => StateError::remote(doing, place, why),
    }
}
