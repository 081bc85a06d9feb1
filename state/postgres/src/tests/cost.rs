//! What an operation costs, counted by the server: statements and rows, no time.

use std::sync::Arc;
use std::time::Duration;

use mesh_state::{Backend, Record, Summary, Writer};
use tokio_postgres::Client;

use super::{Failure, admin, backend, intent, lock, put};
use crate::PostgresBackend;

const OPERATIONS: usize = 50;

/// How often the state's row was written, and all rows that were read or written in the schema.
async fn counted(admin: &Client, schema: &str) -> Result<(i64, i64), Failure> {
    let text = "SELECT coalesce(sum(n_tup_upd) FILTER (WHERE relname = 'state'), 0)::bigint,
        coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
        FROM pg_stat_user_tables WHERE schemaname = $1";
    let row = admin.query_one(text, &[&schema]).await?;
    Ok((row.get(0), row.get(1)))
}

/// What a writer did that locks, does this and releases. The server counts when a session has ended.
async fn cost(
    backend: &PostgresBackend,
    admin: &Client,
    work: impl AsyncFnOnce(&Arc<dyn Writer>) -> Result<(), Failure>,
) -> Result<(i64, i64), Failure> {
    let schema = &*backend.target().schema;
    let before = counted(admin, schema).await?;
    let writer: Arc<dyn Writer> = lock(backend).await?.into();
    work(&writer).await?;
    drop(writer);
    let mut last = before;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let now = counted(admin, schema).await?;
        if now == last && now != before {
            return Ok((now.0 - before.0, now.1 - before.1));
        }
        last = now;
    }
    Err("the server does not count".into())
}

/// Statements and rows of `OPERATIONS` operations on a state with `size` instances, one after the other.
async fn per_operation(schema: &str, size: usize) -> Result<(i64, i64), Failure> {
    let folder = tempfile::tempdir()?;
    let (backend, admin) = (backend(schema, folder.path()), admin("postgres").await?);
    let writer = lock(&backend).await?;
    writer.edit((0..size).map(put).collect(), 0, Summary::default()).await?;
    writer.release().await?;
    cost(&backend, &admin, async |_| Ok(())).await?;
    let idle = cost(&backend, &admin, async |_| Ok(())).await?;
    let busy = cost(&backend, &admin, async |writer| {
        for n in 0..OPERATIONS {
            let seq = writer.intend(intent(n)).await?;
            writer.record(Some(seq), if n % 2 == 0 { put(n) } else { put(size + n) }).await?;
        }
        Ok(())
    });
    let busy = busy.await?;
    Ok((busy.0 - idle.0, busy.1 - idle.1))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_costs_the_same_at_any_size() -> Result<(), Failure> {
    let (small, large) = tokio::try_join!(per_operation("small", 10), per_operation("large", 10_000))?;
    let operations = i64::try_from(OPERATIONS)?;
    assert_eq!((small.0, large.0), (2 * operations, 2 * operations), "an intent or a result is not one statement");
    assert!(large.1 <= 16 * operations, "{} rows for {operations} operations on a large state", large.1);
    writeln(&format!("{OPERATIONS} operations: statements and rows {small:?} at 10, {large:?} at 10,000 instances"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_together_is_written_together() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (backend, admin) = (backend("group", folder.path()), admin("postgres").await?);
    lock(&backend).await?.release().await?;
    let (statements, _) = cost(&backend, &admin, async |writer| {
        let lanes: Vec<_> = (0..400)
            .map(|n| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    let seq = writer.intend(intent(n)).await?;
                    writer.record(Some(seq), put(n)).await?;
                    writer.record(None, Record::Move { from: super::address(n), to: super::address(1000 + n) }).await
                })
            })
            .collect();
        for lane in lanes {
            lane.await??;
        }
        Ok(())
    })
    .await?;
    assert!(statements < 200, "{statements} statements for 1200 entries");
    let seen = backend.snapshot().await?;
    assert!(seen.open.is_empty() && seen.instances.len() == 400 && seen.instances.contains_key(&super::address(1399)));
    writeln(&format!("1200 entries that arrive together: {statements} statements"))
}

/// For who runs it with `--nocapture`.
fn writeln(line: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
