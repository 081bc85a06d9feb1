//! The suite that every backend passes.
//!
//! The one decision: cases see a backend through its trait only, through several handles on one
//! state (as several processes would have), and say in words which promise was broken. Promises that
//! a backend does not make ([`crate::Capabilities`]) are not asked for.

mod cases;
mod crash;
mod edits;
pub mod plain;
pub(crate) mod sample;

use std::sync::Arc;

use crate::{Backend, StateError};

/// Opens a handle on the state with a name; a name that was not used before is an empty state.
pub type Open<'a> = &'a (dyn Fn(&str) -> Arc<dyn Backend> + Send + Sync);

/// Runs every case; the error says which promise was broken.
///
/// # Errors
/// The name of the case and what was wrong.
pub async fn run(open: Open<'_>) -> Result<(), String> {
    macro_rules! cases {
        ($($module:ident::$name:ident),* $(,)?) => {
            $($module::$name(open).await.map_err(|e| format!("{}: {e}", stringify!($name)))?;)*
        };
    }
    cases! {
        cases::nothing_yet,
        cases::one_stage,
        cases::locks_exclude,
        cases::waiting_for_a_lock,
        cases::a_broken_lock_fences,
        cases::no_record_loses_an_object,
        cases::secrets_are_refused,
        cases::history_of_serials,
        cases::readers_see_what_is_acknowledged,
        cases::fifty_megabytes,
        crash::at_every_step,
        edits::are_one_serial,
        edits::are_refused_whole,
        edits::crash_whole,
    }
    Ok(())
}

/// An error as a case's error.
fn text(error: StateError) -> String {
    error.to_string()
}

/// Fails unless `condition`.
fn ensure(condition: bool, what: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.into()) }
}
