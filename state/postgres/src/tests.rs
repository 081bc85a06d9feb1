//! Against a real PostgreSQL: one for the process, a schema a test.

mod cost;
mod crash;
mod fixtures;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mesh_model::Value;
use mesh_sandbox::{Options, Part, Postgres, Sandbox};
use mesh_state::conformance::plain::{address, intent, put};
use mesh_state::{
    Backend, BadSetting, LockInfo, Outputs, Record, Retention, Settings, StateError, Summary, Writer, conformance,
};
use tokio_postgres::{Client, NoTls};

use crate::PostgresBackend;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "a test looks for servers where its user has them")]
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var(name).unwrap_or_default().into()
}

fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache = mesh_sandbox::default_cache(Path::new(&variable("HOME")));
        let options = Options::temporary(cache, &variable("PATH"), [Part::Postgres]);
        Sandbox::start(options, &|_: &mesh_sandbox::Event| {}).unwrap_or_else(|e| panic!("a database starts: {e}"))
    })
}

/// The database of this process; the kernel ends it with the process.
fn postgres() -> &'static Postgres {
    sandbox().postgres().expect("has a database")
}

fn open(values: &[(&str, &str)], env: &[(&str, &str)]) -> Result<PostgresBackend, BadSetting> {
    let values = Value::object(values.iter().map(|(k, v)| (*k, Value::string(*v))));
    let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    PostgresBackend::open(&Settings::new(&values, &env))
}

/// The state with a name in a schema, with its keys in `folder`.
fn backend_at(connection: &str, schema: &str, name: &str, folder: &Path) -> PostgresBackend {
    let ca_file = folder.join("ca.pem").display().to_string();
    let mut values = vec![("connection", connection), ("schema", schema), ("name", name)];
    if folder.join("ca.pem").exists() {
        values.push(("ca_cert_file", &ca_file));
    }
    open(&values, &[]).expect("settings").keyed_at(folder.join(name))
}

fn backend(schema: &str, folder: &Path) -> PostgresBackend {
    backend_at(&postgres().connection("postgres", "disable"), schema, "state", folder)
}

fn info() -> LockInfo {
    LockInfo::new("mesh apply", "ada", "host7")
}

async fn lock(backend: &PostgresBackend) -> Result<Box<dyn Writer>, StateError> {
    backend.lock(info(), Duration::from_secs(5)).await
}

/// A session beside the backend's.
async fn admin(database: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(&postgres().connection(database, "disable"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(&postgres().ca_file, folder.path().join("ca.pem"))?;
    let root = folder.path().to_owned();
    let connection = postgres().connection("postgres", "verify-full");
    conformance::run(&move |name| Arc::new(backend_at(&connection, "suite", name, &root))).await?;
    Ok(())
}

#[tokio::test]
async fn a_reader_makes_nothing_and_a_newer_schema_is_refused() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (backend, admin) = (backend("newer", folder.path()), admin("postgres").await?);
    backend.keys().await?;
    assert_eq!(backend.snapshot().await?.serial, 0);
    assert!(backend.history().await?.is_empty() && backend.lock_info().await?.is_none());
    assert!(matches!(backend.unlock("x").await, Err(StateError::NoSuchLock { holder: None, .. })));
    let there = "SELECT FROM pg_namespace WHERE nspname = 'newer'";
    assert!(admin.query_opt(there, &[]).await?.is_none(), "a reader made the schema");
    lock(&backend).await?.release().await?;
    assert!(admin.query_opt(there, &[]).await?.is_some());
    admin.execute("UPDATE newer.format SET version = 7", &[]).await?;
    for error in [backend.snapshot().await.err(), lock(&backend).await.err(), backend.history().await.err()] {
        assert!(
            matches!(error, Some(StateError::Newer { version: 7, known: crate::schema::VERSION, .. })),
            "{error:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn settings_are_checked_and_passwords_stay_inside() -> Result<(), Failure> {
    let why = |values: &[(&str, &str)]| open(values, &[]).err().expect("it is refused");
    assert_eq!(why(&[]).setting, None);
    for connection in [
        "nonsense",
        "postgresql://u:canary@h:x/d",
        "user=u password=canary",
        "host=h password=canary",
        "host=h user='canary",
    ] {
        let bad = why(&[("connection", connection)]);
        assert!(bad.setting == Some("connection") && !bad.why.contains("canary"), "{connection}: {}", bad.why);
    }
    for (mode, hint) in [("allow", "prefer"), ("verify-ca", "verify-full")] {
        assert!(why(&[("connection", &format!("postgresql://u@h/d?sslmode={mode}"))]).why.contains(hint));
    }
    let good = ("connection", "postgresql://u@h/d");
    for (name, bad) in [("schema", "pg_x"), ("schema", "a\"b"), ("name", "A"), ("ca_cert_file", "/nowhere")] {
        let bad = why(&[("connection", "postgresql://u@h/d?sslmode=verify-full"), (name, bad)]);
        assert_eq!(bad.setting, Some(name), "{}", bad.why);
    }
    assert_eq!(open(&[good], &[]).expect("settings").describe(), "PostgreSQL database d at h:5432, state mesh.default");
    assert_eq!(
        open(&[], &[("DATABASE_URL", "host=/run/p user=u")]).expect("settings").describe(),
        "PostgreSQL database u at /run/p, state mesh.default"
    );
    let wrong = format!("postgresql://sandbox@127.0.0.1:{}/postgres", postgres().port);
    let error = open(&[("connection", &wrong), ("password", "canary")], &[])
        .expect("settings")
        .snapshot()
        .await
        .expect_err("refused");
    assert!(matches!(error, StateError::Unusable { .. }) && !error.to_string().contains("canary"), "{error}");
    let env = [("PGPASSWORD", postgres().password())];
    open(&[("connection", &wrong), ("schema", "nothing")], &env).expect("settings").snapshot().await?;
    let error =
        open(&[("connection", &wrong.replace("/postgres", "/nowhere"))], &env).expect("settings").snapshot().await;
    assert!(matches!(error, Err(StateError::Unusable { ref way_out, .. }) if way_out.contains("UTF8")), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn sslmode_means_what_it_says() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let other = sandbox().extra_postgres()?;
    let encrypted = async |mode: &str, ca_file: Option<&Path>| -> Result<bool, Failure> {
        let connection = postgres().connection("postgres", mode);
        let ca_file = ca_file.map(|file| file.display().to_string());
        let mut values = vec![("connection", &*connection)];
        values.extend(ca_file.as_deref().map(|file| ("ca_cert_file", file)));
        let backend = open(&values, &[]).map_err(|bad| bad.why)?.keyed_at(folder.path().join("x"));
        let client = backend.target().connect().await?;
        Ok(client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?.get(0))
    };
    let (good, wrong) = (&*postgres().ca_file, &*other.ca_file);
    assert!(!encrypted("disable", None).await?);
    assert!(encrypted("prefer", None).await?);
    assert!(encrypted("require", None).await?);
    assert!(encrypted("require", Some(good)).await?);
    assert!(encrypted("verify-full", Some(good)).await?);
    for (mode, ca_file) in [("require", Some(wrong)), ("verify-full", Some(wrong)), ("verify-full", None)] {
        let error = encrypted(mode, ca_file).await.expect_err("the server is not known").to_string();
        assert!(error.contains("certificate"), "{mode}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_stands_for_a_password() -> Result<(), Failure> {
    let admin = backend("certified", tempfile::tempdir()?.path()).target().connect().await?;
    let (role, server) = (postgres().certified(), postgres());
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE postgres TO {role}")).await?;
    let (certificate, key) = server.certificate()?;
    let (certificate, key, ca) = (certificate.display(), key.display(), server.ca_file.display().to_string());
    let connection = format!("postgresql://{role}@127.0.0.1:{}/postgres?sslmode=verify-full", server.port);
    let folder = tempfile::tempdir()?;
    let (certificate, key) = (certificate.to_string(), key.to_string());
    let files = [("client_cert_file", &*certificate), ("client_key_file", &*key)];
    let own = [("connection", &*connection), ("ca_cert_file", &*ca), ("schema", "certified")];
    let backend = open(&[&own[..], &files].concat(), &[]).map_err(|bad| bad.why)?.keyed_at(folder.path().join("k"));
    let writer = lock(&backend).await?;
    writer.record(None, put(1)).await?;
    writer.finish(Outputs::new(), Summary::default()).await?;
    writer.release().await?;
    // The words of the database's own tools.
    let all = format!("{connection}&sslcert={certificate}&sslkey={key}&sslrootcert={ca}");
    let same = open(&[("connection", &all), ("schema", "certified")], &[]).map_err(|bad| bad.why)?;
    assert_eq!(same.keyed_at(folder.path().join("k")).snapshot().await?.instances.len(), 1);
    let without = open(&own, &[]).map_err(|bad| bad.why)?.snapshot().await.expect_err("no certificate");
    assert!(without.to_string().contains("certificate"), "{without}");
    for (given, words) in [
        (&files[..1], "go together"),
        (&[files[0], ("client_key_file", &*ca)], "no unencrypted key"),
        (&[("client_cert_file", "/nowhere"), files[1]], "/nowhere cannot be used"),
        (&[("client_cert_file", &*ca), files[1]], "not the key of the certificate"),
    ] {
        let bad = open(&[&own[..], given].concat(), &[]).err().expect(words);
        assert!(bad.why.contains(words), "{}", bad.why);
    }
    Ok(())
}

#[tokio::test]
async fn history_stays_within_its_limits() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let backend = backend("retention", folder.path()).retaining(Retention { entries: 3, bytes: u64::MAX });
    let writer = lock(&backend).await?;
    for n in 0..6 {
        writer.record(None, put(n)).await?;
        writer.finish(Outputs::new(), Summary::default()).await?;
    }
    writer.release().await?;
    assert!(backend.history().await?.iter().map(|e| e.serial).eq([4, 5, 6]));
    let few = backend.retaining(Retention { entries: 50, bytes: 1 });
    let writer = lock(&few).await?;
    writer.finish(Outputs::new(), Summary::default()).await?;
    writer.release().await?;
    assert!(few.history().await?.iter().map(|e| e.serial).eq([6, 7]), "the two newest stay");
    assert_eq!(few.at(6).await?.instances.len(), 6);
    assert!(matches!(few.at(3).await, Err(StateError::NoSuchSerial { range: Some((6, 7)), .. })));
    Ok(())
}

#[tokio::test]
async fn two_machines_with_two_keys_do_not_mix() -> Result<(), Failure> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (a, b) = (backend("keys", one.path()), backend("keys", two.path()));
    // Both have planned, so both have made keys.
    a.keys().await?;
    b.keys().await?;
    let writer = lock(&a).await?;
    let waiting = async { b.lock(info(), Duration::from_secs(5)).await };
    let first = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        writer.record(None, put(1)).await?;
        writer.release().await
    };
    let (waited, released) = tokio::join!(waiting, first);
    released?;
    let error = waited.err().expect("another lineage's key was taken");
    assert!(matches!(error, StateError::Key { .. }) && error.to_string().contains("keys.state"), "{error}");
    assert!(a.lock_info().await?.is_none(), "who had the wrong key left the lock");
    Ok(())
}
