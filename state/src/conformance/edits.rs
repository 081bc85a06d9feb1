//! Edits of state alone: many changes that are one, also where the writer vanishes.

use super::sample::{address, instance, intent, lock, outputs, put};
use super::{Open, ensure, text};
use crate::{Record, StateError, Summary, Writer};

/// What an edit does to instances 1 and 2: 1 moves to 3 with its deposed object, 2 goes, 4 comes.
fn changes() -> Vec<Record> {
    vec![
        Record::Move { from: address(1), to: address(3) },
        Record::Remove { address: address(2), deposed: None },
        put(4),
        Record::Outputs(outputs(2)),
    ]
}

/// A state of one serial with instances 1 and 2, a deposed object and an open intent.
async fn before(writer: &dyn Writer) -> Result<(), StateError> {
    writer.begin("digest-1", "mesh apply").await?;
    for record in [put(1), Record::Depose { address: address(1), key: "d".into() }, put(1), put(2)] {
        writer.record(None, record).await?;
    }
    writer.intend(intent(9)).await?;
    writer.finish(outputs(1), Summary::default()).await.map(drop)
}

fn edited() -> Summary {
    Summary { edited: 3, complete: true, ..Summary::default() }
}

pub(super) async fn are_one_serial(open: Open<'_>) -> Result<(), String> {
    let backend = open("edit");
    let writer = lock(&*backend).await.map_err(text)?;
    before(&*writer).await.map_err(text)?;
    let after = writer.edit(changes(), 0, edited()).await.map_err(text)?;
    ensure(after.serial == 2, "an edit is not the next serial")?;
    ensure(after.instances.keys().eq([&address(3), &address(4)]), "the changes were not made in their order")?;
    ensure(after.instances.get(&address(3)) == Some(&instance(1)), "a move changed the instance")?;
    ensure(after.deposed.contains_key(&(address(3), "d".into())), "the deposed object stayed behind")?;
    ensure(after.outputs == outputs(2), "the outputs were not changed")?;
    ensure(after.open == [intent(9)], "an edit closed an open intent")?;
    let far = writer.edit(vec![put(5)], 40, edited()).await.map_err(text)?;
    ensure(far.serial == 40 && far.outputs == outputs(2), "the serial that was asked for, or the outputs, are wrong")?;
    let near = writer.edit(vec![put(6)], 7, edited()).await.map_err(text)?;
    ensure(near.serial == 41, "an edit went back in serials")?;
    writer.release().await.map_err(text)?;
    let seen = open("edit").snapshot().await.map_err(text)?;
    ensure((seen.serial, seen.instances.len()) == (41, 4), "another process sees something else")?;
    if backend.capabilities().history {
        let history = open("edit").history().await.map_err(text)?;
        ensure(history.iter().map(|e| e.serial).eq([1, 2, 40, 41]), "the history lacks an edit")?;
        ensure(history[1].summary == edited() && history[1].digest.is_empty(), "the history says something else")?;
        let first = open("edit").at(1).await.map_err(text)?;
        ensure(first.instances.contains_key(&address(1)), "what was before an edit is lost")?;
    }
    Ok(())
}

pub(super) async fn are_refused_whole(open: Open<'_>) -> Result<(), String> {
    let backend = open("edit-refused");
    let writer = lock(&*backend).await.map_err(text)?;
    before(&*writer).await.map_err(text)?;
    let secret = mesh_model::Value::object([("a", mesh_model::Value::string("canary").sensitive())]);
    let leaking = mesh_model::Instance { values: secret, ..(*instance(7)).clone() };
    for last in [
        Record::Move { from: address(1), to: address(4) },
        Record::Move { from: address(8), to: address(9) },
        Record::Put { address: address(7), deposed: None, instance: leaking.into() },
    ] {
        // The changes before the last are good, and must not be made.
        let all = vec![Record::Remove { address: address(2), deposed: None }, put(4), last.clone()];
        match writer.edit(all, 0, edited()).await {
            Err(StateError::Refused { .. }) => {}
            other => return Err(format!("{last:?} gave {other:?}")),
        }
    }
    writer.release().await.map_err(text)?;
    let seen = backend.snapshot().await.map_err(text)?;
    ensure(seen.serial == 1 && seen.instances.contains_key(&address(2)), "a part of a refused edit was made")
}

/// A writer that vanishes before, after, and long after an edit; also one that edits what a stage left
/// unfinished.
pub(super) async fn crash_whole(open: Open<'_>) -> Result<(), String> {
    for crash in 0..=4 {
        let name = format!("edit-crash-{crash}");
        let writer = lock(&*open(&name)).await.map_err(text)?;
        before(&*writer).await.map_err(text)?;
        if crash > 0 {
            writer.begin("digest-2", "mesh apply").await.map_err(text)?;
        }
        if crash > 1 {
            writer.record(None, put(8)).await.map_err(text)?;
        }
        if crash > 2 {
            writer.edit(changes(), 0, edited()).await.map_err(text)?;
        }
        if crash > 3 {
            writer.record(None, put(10)).await.map_err(text)?;
        }
        drop(writer);
        let expected = match crash {
            0 => (1, 2, 1, false),
            1 => (1, 2, 1, true),
            2 => (1, 3, 1, true),
            3 => (2, 3, 1, false),
            _ => (2, 4, 1, false),
        };
        for (who, snapshot) in [
            ("a reader", open(&name).snapshot().await.map_err(text)?),
            ("the next writer", lock(&*open(&name)).await.map_err(text)?.snapshot().await.map_err(text)?),
        ] {
            let seen =
                (snapshot.serial, snapshot.instances.len(), snapshot.deposed.len(), snapshot.unfinished.is_some());
            ensure(seen == expected, format!("after {crash} steps {who} sees {seen:?}, not {expected:?}"))?;
            ensure(snapshot.open == [intent(9)], "an open intent is lost")?;
        }
    }
    Ok(())
}
