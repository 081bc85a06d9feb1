//! `mesh state rekey`: a new data key, and all keys of a state sealed for those who are configured now.
//!
//! The one decision: the fingerprint key stays, since fingerprints would tell nothing otherwise, and old data keys stay
//! for what the history holds; what is sealed in state is sealed again. So whoever could open the keys once and kept a
//! copy opens what he has a copy of, and nothing that comes after.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::sealed_place;
use mesh_model::{Diagnostic, Snapshot};
use mesh_state::seal::Sealer;
use mesh_state::{Outputs, Record, Summary};

use crate::commands::options::StateArgs;
use crate::commands::output::unopened;
use crate::commands::project::lock_info;
use crate::commands::running::runtime;
use crate::commands::saved;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::style::out;

/// Make a new data key and seal the keys of the state for the recipients that are configured now
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let backend = saved::backend(ui, &args.state, &[])?;
    let runtime = runtime()?;
    let Some(lineage) = runtime.block_on(backend.lineage())? else {
        return Err(Diagnostic::error(
            "cli::rekey",
            "There is no state",
            "Keys are made with the first plan or apply.",
        )
        .into());
    };
    let writer = runtime.block_on(backend.lock(lock_info(ui, "state rekey"), Duration::ZERO))?;
    let done = runtime.block_on(async {
        backend.keyring().rekey(Some(lineage)).await?;
        let (snapshot, sealer) = (writer.snapshot().await?, backend.keys().await?.sealer);
        let Some(sealer) = sealer else { return Ok(None) };
        let (outputs, count) = sealed_again(&snapshot, &sealer)?;
        if count > 0 {
            let summary = Summary { edited: count, complete: true, ..Summary::default() };
            writer.edit(vec![Record::Outputs(outputs)], 0, summary).await?;
        }
        Ok::<_, Failure>(Some(count))
    });
    runtime.block_on(writer.release())?;
    out(&match done? {
        Some(count) => format!(
            "There is a new data key; outputs that were sealed again with it: {count}. The keys of the state are sealed for the recipients of the \
             encryption block, and for nobody else.\n"
        ),
        None => "No encryption is configured, so the keys of the state stay in a file that only its owner can read.\n"
            .to_owned(),
    })?;
    Ok(0)
}

/// The outputs with what is sealed sealed again, and how many these are.
fn sealed_again(snapshot: &Snapshot, sealer: &Sealer) -> Result<(Outputs, usize), Failure> {
    let (mut outputs, mut count) = (snapshot.outputs.clone(), 0);
    for (name, output) in &mut outputs {
        let Some(sealed) = &output.sealed else { continue };
        let place = sealed_place(&snapshot.lineage, name);
        let plain = sealer.open(&place, sealed).ok_or_else(|| unopened(name))?;
        output.sealed = Some(Arc::from(sealer.seal(&place, &plain)?));
        count += 1;
    }
    Ok((outputs, count))
}
