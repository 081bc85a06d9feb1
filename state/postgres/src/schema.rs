//! The tables, and how they came to be.
//!
//! The one decision: a table with the version, and one script from each version to the next; only who locks runs them.
//! A key over addresses is a digest, since an index takes no long texts.

use mesh_state::StateError;
use tokio_postgres::{Client, GenericClient};

use crate::error::failure;
use crate::lock::key;
use crate::settings::Target;

/// From each version to the next; `@` is the schema.
pub(crate) const STEPS: &[&str] = &[
    "
CREATE TABLE @.format (version bigint NOT NULL);
CREATE TABLE @.state (name text PRIMARY KEY, lineage text, serial bigint NOT NULL DEFAULT 0,
  seq bigint NOT NULL DEFAULT 0, unfinished text, command text, meta text,
  token bigint NOT NULL DEFAULT 0, holder text) WITH (fillfactor = 50);
CREATE TABLE @.instance (state text, id bytea, address text NOT NULL, deposed text NOT NULL, row text NOT NULL,
  PRIMARY KEY (state, id));
CREATE TABLE @.output (state text, name text, row text NOT NULL, PRIMARY KEY (state, name));
CREATE TABLE @.intent (state text, seq bigint, row text NOT NULL, PRIMARY KEY (state, seq));
CREATE TABLE @.history (state text, serial bigint, meta text NOT NULL, bytes bigint NOT NULL, snapshot bytea NOT NULL,
  PRIMARY KEY (state, serial));
INSERT INTO @.format VALUES (0);
",
    "
CREATE TABLE @.keys (state text PRIMARY KEY, sealed bytea NOT NULL);
",
];

/// The newest version that is known here.
pub(crate) const VERSION: u64 = STEPS.len() as u64;

impl Target {
    /// A statement with `@` as the schema.
    pub(crate) fn sql(&self, text: &str) -> String {
        text.replace('@', &format!("\"{}\"", self.schema))
    }

    /// The version of the tables; 0 where there are none.
    ///
    /// # Errors
    /// [`StateError::Newer`].
    pub(crate) async fn version(&self, client: &(impl GenericClient + Sync)) -> Result<u64, StateError> {
        let failed = |e| failure("reading", &self.place, &e);
        let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.sql("@.format")]).await;
        if !there.and_then(|row| row.try_get::<_, bool>(0)).map_err(failed)? {
            return Ok(0);
        }
        let row = client.query_one(&self.sql("SELECT max(version) FROM @.format"), &[]).await;
        let version = row.and_then(|row| row.try_get::<_, Option<i64>>(0)).map_err(failed)?;
        let version = version.and_then(|v| u64::try_from(v).ok()).unwrap_or_default();
        if version > VERSION {
            return Err(StateError::Newer { place: self.place.clone(), version, known: VERSION });
        }
        Ok(version)
    }

    /// Brings the tables to the newest version.
    pub(crate) async fn migrate(&self, client: &mut Client) -> Result<(), StateError> {
        if self.version(client).await? == VERSION {
            return Ok(());
        }
        let failed = |e| failure("making the tables of", &self.place, &e);
        let transaction = client.transaction().await.map_err(failed)?;
        // One at a time; who comes second finds it done.
        let one_at_a_time = key(&[&self.schema, "migration"]);
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&one_at_a_time]).await.map_err(failed)?;
        let there = transaction.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&self.schema]).await;
        if there.map_err(failed)?.is_none() {
            transaction.batch_execute(&self.sql("CREATE SCHEMA @")).await.map_err(failed)?;
        }
        let version = self.version(&transaction).await?;
        for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(STEPS.len())) {
            transaction.batch_execute(&self.sql(step)).await.map_err(failed)?;
        }
        let now = i64::try_from(VERSION).unwrap_or(i64::MAX);
        transaction.execute(&self.sql("UPDATE @.format SET version = $1"), &[&now]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}
