//! Tables as the first version left them: brought up to date and gone on with on a real server.
//!
//! `cargo test -p mesh-state-postgres record_the_fixtures -- --ignored` recorded them, once.

use std::fs;
use std::path::PathBuf;

use mesh_state::document;

use super::*;
use crate::schema::VERSION;

/// The schema that the file makes.
const SCHEMA: &str = "first_version";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/v1").join(name)
}

/// Two serials and a stage that does not end; the lock is held.
async fn life(backend: &PostgresBackend) -> Result<Box<dyn Writer>, StateError> {
    let held = LockInfo { pid: 4711, process: None, ..info() };
    let writer = backend.lock(held, Duration::from_secs(5)).await?;
    writer.begin("first", "mesh apply").await?;
    for n in [1, 2] {
        let seq = writer.intend(intent(n)).await?;
        writer.record(Some(seq), put(n)).await?;
    }
    let output =
        |n: usize| mesh_model::snapshot::StoredOutput { value: Value::number(n), sensitive: false, sealed: None };
    writer.finish([("o".into(), output(1))].into(), Summary::default()).await?;
    writer.record(None, Record::Depose { address: address(2), key: "d".into() }).await?;
    writer.finish([("o".into(), output(2))].into(), Summary::default()).await?;
    writer.begin("third", "mesh apply").await?;
    let seq = writer.intend(intent(3)).await?;
    writer.record(Some(seq), put(3)).await?;
    writer.intend(intent(4)).await?;
    Ok(writer)
}

/// The rows of a table as statements.
async fn dump(client: &Client, table: &str, columns: &[&str]) -> Result<String, Failure> {
    let list = columns.join(", ");
    // Bytes are text here, but for keys.
    let literals = columns.iter().map(|c| match *c {
        "snapshot" => "format('convert_to(%L, ''UTF8'')', convert_from(snapshot, 'UTF8'))".to_owned(),
        c => format!("format('%L', {c})"),
    });
    let literals = literals.collect::<Vec<_>>().join(" || ', ' || ");
    let text = format!("SELECT {literals} FROM {SCHEMA}.{table} ORDER BY 1");
    let rows = client.query(&text, &[]).await?;
    let values = rows.iter().map(|row| {
        let values: String = row.get(0);
        format!("INSERT INTO {SCHEMA}.{table} ({list}) VALUES ({values});\n")
    });
    Ok(values.collect())
}

#[tokio::test]
#[ignore = "writes the fixtures of the first version"]
async fn record_the_fixtures() -> Result<(), Failure> {
    let file = fixture("postgres.sql");
    assert!(!file.exists(), "{} is there: what a version has written is never written again", file.display());
    let folder = tempfile::tempdir()?;
    let (backend, admin) = (backend(SCHEMA, folder.path()), admin("postgres").await?);
    let writer = life(&backend).await?;
    let first = crate::schema::STEPS[0].replace('@', SCHEMA).replace("(0)", "(1)");
    let mut text = format!("CREATE SCHEMA {SCHEMA};\n{}\n", first.trim());
    let state = ["name", "lineage", "serial", "seq", "unfinished", "command", "meta", "token", "holder"];
    for (table, columns) in [
        ("state", &state[..]),
        ("instance", &["state", "id", "address", "deposed", "row"]),
        ("output", &["state", "name", "row"]),
        ("intent", &["state", "seq", "row"]),
        ("history", &["state", "serial", "meta", "bytes", "snapshot"]),
    ] {
        text += &dump(&admin, table, columns).await?;
    }
    fs::copy(folder.path().join("state.key"), fixture("postgres.key"))?;
    fs::write(fixture("postgres.state"), document::write(&backend.snapshot().await?)?)?;
    for serial in [1, 2] {
        fs::write(fixture(&format!("postgres-{serial}.state")), document::write(&backend.at(serial).await?)?)?;
    }
    fs::write(file, text)?;
    writer.release().await?;
    Ok(())
}

/// Nothing but what the document says.
fn same(now: &mesh_model::Snapshot, name: &str) -> Result<(), Failure> {
    let file = fixture(name);
    let want = document::read(&fs::read(&file)?, &file.display().to_string())?;
    assert_eq!((now.serial, &now.lineage, &now.unfinished), (want.serial, &want.lineage, &want.unfinished), "{name}");
    assert_eq!((document::difference(&want, now), &now.open), (Vec::new(), &want.open), "{name}");
    Ok(())
}

async fn version(admin: &Client) -> Result<i64, Failure> {
    Ok(admin.query_one(&format!("SELECT version FROM {SCHEMA}.format"), &[]).await?.get(0))
}

#[tokio::test]
async fn tables_of_the_first_version_are_read_brought_up_to_date_and_gone_on_with() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let admin = admin("postgres").await?;
    admin.batch_execute(&fs::read_to_string(fixture("postgres.sql"))?).await?;
    fs::copy(fixture("postgres.key"), folder.path().join("state.key"))?;
    let backend = backend(SCHEMA, folder.path());
    let before = backend.snapshot().await?;
    same(&before, "postgres.state")?;
    assert!(before.open.len() == 1 && before.deposed.len() == 1 && before.unfinished.is_some());
    let history = backend.history().await?;
    assert!(history.iter().map(|e| (e.serial, &*e.who)).eq([(1, "ada@host7"), (2, "ada@host7")]), "{history:?}");
    let left = backend.lock_info().await?.ok_or("a holder")?;
    assert!(left.dead && left.pid == 4711, "{left:?}");
    assert_eq!(version(&admin).await?, 1, "a reader changes nothing");

    let writer = lock(&backend).await?;
    assert_eq!(writer.taken_over().map(|i| &i.id), Some(&left.id));
    assert_eq!(version(&admin).await?, i64::try_from(VERSION)?);
    admin.execute(&format!("SELECT sealed FROM {SCHEMA}.keys"), &[]).await?;
    same(&writer.snapshot().await?, "postgres.state")?;
    for (seq, _) in writer.open().await? {
        writer.record(Some(seq), put(4)).await?;
    }
    writer.finish(before.outputs.clone(), Summary::default()).await?;
    writer.release().await?;
    let now = backend.snapshot().await?;
    assert_eq!((now.serial, now.instances.len(), now.open.len()), (before.serial + 1, before.instances.len() + 1, 0));
    assert!(before.instances.iter().all(|(a, i)| now.instances.get(a) == Some(i)) && now.deposed == before.deposed);
    for serial in [1, 2] {
        same(&backend.at(serial).await?, &format!("postgres-{serial}.state"))?;
    }
    assert_eq!(backend.history().await?.len(), history.len() + 1);
    newer(&backend, &admin).await
}

/// A later version, and more in rows than is known here: refused with a word about it; what is there stays.
async fn newer(backend: &PostgresBackend, admin: &Client) -> Result<(), Failure> {
    let rows = async |table: &str, column: &str| -> Result<Vec<String>, Failure> {
        let text = format!("SELECT {column}::text FROM {SCHEMA}.{table} ORDER BY 1");
        Ok(admin.query(&text, &[]).await?.iter().map(|row| row.get(0)).collect())
    };
    let all = async || -> Result<Vec<String>, Failure> {
        let mut all = rows("format", "version").await?;
        all.extend(rows("state", "row(name, lineage, serial, seq, unfinished, command, meta, holder)").await?);
        for table in ["instance", "output", "intent", "history", "keys"] {
            all.extend(rows(table, table).await?);
        }
        Ok(all)
    };
    let instance = "UPDATE @.instance SET row = regexp_replace(row, '^\\{', '{\"zone\":7,')";
    let output = "UPDATE @.output SET row = regexp_replace(row, '^\\{', '{\"zone\":7,')";
    let meta = "UPDATE @.state SET meta = regexp_replace(meta, '^\\{', '{\"zone\":7,')";
    let format = "UPDATE @.format SET version = version + 1";
    for change in [instance, output, meta, format] {
        let set = change.replace('@', SCHEMA);
        let back = match change {
            c if c == format => set.replace("+ 1", "- 1"),
            c if c == meta => format!("UPDATE {SCHEMA}.state SET meta = replace(meta, '\"zone\":7,', '')"),
            _ => set
                .split(" SET ")
                .next()
                .map(|u| format!("{u} SET row = replace(row, '\"zone\":7,', '')"))
                .unwrap_or_default(),
        };
        let whole = document::write(&backend.snapshot().await?)?;
        admin.batch_execute(&set).await?;
        let there = all().await?;
        for error in [backend.snapshot().await.err(), lock(backend).await.err()] {
            let error = error.ok_or_else(|| format!("{change}: nobody has noticed"))?;
            let text = error.to_string();
            assert!(text.contains("newer") && error.code() != "state::corrupt", "{change}: {text}");
        }
        assert_eq!(all().await?, there, "{change}: something was changed");
        admin.batch_execute(&back).await?;
        assert_eq!(document::write(&backend.snapshot().await?)?, whole, "{change}");
    }
    Ok(())
}
