//! A writer that vanishes after each step of a script.

use super::sample::{address, intent, lock, outputs, put};
use super::{Open, ensure, text};
use crate::{Record, Summary, Writer};

/// Two stages: create 1 and 2, then replace 1 and delete 2.
const STEPS: usize = 14;

async fn step(writer: &dyn Writer, step: usize) -> Result<(), String> {
    // Numbers of intents are the numbers of entries, counted from 1.
    let closes = |n: u64| Some(n);
    match step {
        0 => writer.begin("digest-1", "mesh apply").await,
        1 | 2 => writer.intend(intent(step)).await.map(drop),
        3 => writer.record(closes(2), put(1)).await,
        4 => writer.record(closes(3), put(2)).await,
        5 => writer.finish(outputs(1), Summary::default()).await.map(drop),
        6 => writer.begin("digest-2", "mesh apply").await,
        7 => writer.record(None, Record::Depose { address: address(1), key: "d".into() }).await,
        8 => writer.intend(intent(1)).await.map(drop),
        9 => writer.record(closes(9), put(1)).await,
        10 => writer.intend(intent(2)).await.map(drop),
        11 => writer.record(closes(11), Record::Remove { address: address(2), deposed: None }).await,
        12 => writer.record(None, Record::Remove { address: address(1), deposed: Some("d".into()) }).await,
        _ => writer.finish(outputs(2), Summary::default()).await.map(drop),
    }
    .map_err(text)
}

/// Serial, instances, deposed, open intents, and the unfinished digest after `steps` steps.
fn expected(steps: usize) -> (u64, usize, usize, usize, Option<&'static str>) {
    match steps {
        0 => (0, 0, 0, 0, None),
        1 => (0, 0, 0, 0, Some("digest-1")),
        2 => (0, 0, 0, 1, Some("digest-1")),
        3 => (0, 0, 0, 2, Some("digest-1")),
        4 => (0, 1, 0, 1, Some("digest-1")),
        5 => (0, 2, 0, 0, Some("digest-1")),
        6 => (1, 2, 0, 0, None),
        7 => (1, 2, 0, 0, Some("digest-2")),
        8 => (1, 1, 1, 0, Some("digest-2")),
        9 => (1, 1, 1, 1, Some("digest-2")),
        10 => (1, 2, 1, 0, Some("digest-2")),
        11 => (1, 2, 1, 1, Some("digest-2")),
        12 => (1, 1, 1, 0, Some("digest-2")),
        13 => (1, 1, 0, 0, Some("digest-2")),
        _ => (2, 1, 0, 0, None),
    }
}

pub(super) async fn at_every_step(open: Open<'_>) -> Result<(), String> {
    for crash in 0..=STEPS {
        let name = format!("crash-{crash}");
        let writer = lock(&*open(&name)).await.map_err(text)?;
        for n in 0..crash {
            step(&*writer, n).await?;
        }
        drop(writer);
        for (who, snapshot) in [
            ("a reader", open(&name).snapshot().await.map_err(text)?),
            ("the next writer", lock(&*open(&name)).await.map_err(text)?.snapshot().await.map_err(text)?),
        ] {
            let digest = snapshot.unfinished.as_ref().map(|u| &*u.digest);
            let seen = (snapshot.serial, snapshot.instances.len(), snapshot.deposed.len(), snapshot.open.len(), digest);
            ensure(
                seen == expected(crash),
                format!("after {crash} steps {who} sees {seen:?}, not {:?}", expected(crash)),
            )?;
        }
        let writer = lock(&*open(&name)).await.map_err(text)?;
        for n in crash..STEPS {
            step(&*writer, n).await?;
        }
        let end = writer.snapshot().await.map_err(text)?;
        ensure(end.serial == 2 && end.instances.len() == 1 && end.open.is_empty(), "the rest did not finish")?;
        writer.release().await.map_err(text)?;
    }
    Ok(())
}
