//! The backend: reading, and taking the lock.
//!
//! The one decision: everything that is read is read in one transaction that sees one moment; a writer has a session of its own, which is its lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_model::Snapshot;
use mesh_state::api::expect_empty;
use mesh_state::rows::{self, Header, Ledger, Stock};
use mesh_state::{
    Backend, BadSetting, Capabilities, HistoryEntry, Home, Keyring, Keys, LockInfo, Retention, Settings, StateError,
    Writer,
};
use tokio_postgres::GenericClient;

use crate::error::failure;
use crate::keys::StoredKeys;
use crate::lock::Attempt;
use crate::session::Readers;
use crate::settings::{Target, target};
use crate::writer::PostgresWriter;

/// How often a lock is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// State in a PostgreSQL database.
pub struct PostgresBackend {
    target: Arc<Target>,
    keyring: Keyring,
    retention: Retention,
    readers: Arc<Readers>,
}

impl PostgresBackend {
    /// As the settings of a configuration say, with the keys in the root folder. Touches nothing.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn open(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        let target = Arc::new(target(settings)?);
        let readers = Arc::new(Readers::new(target.clone()));
        let keyring = settings.keyring(Arc::new(StoredKeys(readers.clone())));
        Ok(Self { target, keyring, retention: settings.retention, readers })
    }

    /// With keys that nothing seals in the file `FILE.key`.
    #[cfg(test)]
    pub(crate) fn keyed_at(self, file: impl Into<std::path::PathBuf>) -> Self {
        let keyring = Keyring::elsewhere(file, None, Arc::new(StoredKeys(self.readers.clone())));
        Self { keyring, ..self }
    }

    /// With other limits for the history.
    #[cfg(test)]
    pub(crate) fn retaining(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    #[cfg(test)]
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

impl Target {
    /// What is no row of its own; `None` where nothing is.
    async fn header(&self, client: &(impl GenericClient + Sync)) -> Result<Option<Header>, StateError> {
        if self.version(client).await? == 0 {
            return Ok(None);
        }
        let failed = |e| failure("reading", &self.place, &e);
        let text = "SELECT lineage, serial, seq, unfinished, command, meta FROM @.state WHERE name = $1";
        let Some(row) = client.query_opt(&self.sql(text), &[&self.name]).await.map_err(failed)? else {
            return Ok(None);
        };
        let number = |i| row.try_get::<_, i64>(i).map(|n| u64::try_from(n).unwrap_or_default()).map_err(failed);
        let text = |i| row.try_get::<_, Option<String>>(i).map_err(failed);
        Ok(Some(Header {
            lineage: text(0)?.unwrap_or_default(),
            serial: number(1)?,
            seq: number(2)?,
            unfinished: text(3)?,
            command: text(4)?,
            meta: text(5)?,
        }))
    }

    /// The rows of a state.
    pub(crate) async fn ledger(
        &self,
        client: &(impl GenericClient + Sync),
        header: &Header,
    ) -> Result<Ledger, StateError> {
        let failed = |e| failure("reading", &self.place, &e);
        let of = |text: &str| self.sql(text);
        let (objects, outputs, intents) = (
            of("SELECT row FROM @.instance WHERE state = $1"),
            of("SELECT row FROM @.output WHERE state = $1"),
            of("SELECT row, seq FROM @.intent WHERE state = $1 ORDER BY seq"),
        );
        let objects = client.query(&objects, &[&self.name]).await.map_err(failed)?;
        let outputs = client.query(&outputs, &[&self.name]).await.map_err(failed)?;
        let intents = client.query(&intents, &[&self.name]).await.map_err(failed)?;
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        let stock = Stock {
            objects: objects.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>().map_err(failed)?,
            outputs: outputs.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>().map_err(failed)?,
            intents: intents
                .iter()
                .map(|r| Ok((number(r.try_get(1)?), r.try_get(0)?)))
                .collect::<Result<_, _>>()
                .map_err(failed)?,
        };
        Ledger::read(&self.place, header, &stock)
    }
}

#[async_trait]
impl Home for PostgresBackend {
    fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    async fn lineage(&self) -> Result<Option<String>, StateError> {
        let mut reader = self.readers.one().await?;
        let view = reader.view().await?;
        Ok(self.target.header(&view).await?.map(|h| h.lineage).filter(|l| !l.is_empty()))
    }

    async fn workspaces(&self) -> Result<Vec<String>, StateError> {
        let (mut reader, target) = (self.readers.one().await?, &self.target);
        let view = reader.view().await?;
        if target.version(&view).await? == 0 {
            return Ok(Vec::new());
        }
        let failed = |e| failure("listing the workspaces of", &target.place, &e);
        let text = target.sql("SELECT split_part(name, '/', 2) FROM @.state WHERE starts_with(name, $1) AND lineage IS NOT NULL ORDER BY name");
        let base = format!("{}/", target.name.split('/').next().unwrap_or_default());
        let rows = view.query(&text, &[&base]).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    async fn delete(&self, info: LockInfo, force: bool) -> Result<(), StateError> {
        let target = &self.target;
        let mut client = target.connect().await?;
        target.migrate(&mut client).await?;
        let info = match target.try_take(&mut client, &info).await? {
            Attempt::Taken { info, .. } => info,
            Attempt::Held(holder) => return Err(StateError::Locked { place: target.place.clone(), holder }),
        };
        let known = if force { Ok(()) } else { self.snapshot().await.and_then(|s| expect_empty(&s, &target.place)) };
        if let Err(error) = known {
            // The first error is the one to tell.
            let _ = target.give_back(&client, i64::try_from(info.token).unwrap_or_default()).await;
            return Err(error);
        }
        let failed = |e| failure("removing", &target.place, &e);
        let transaction = client.transaction().await.map_err(failed)?;
        for table in ["instance", "output", "intent", "history", "keys"] {
            let text = target.sql(&format!("DELETE FROM @.{table} WHERE state = $1"));
            transaction.execute(&text, &[&target.name]).await.map_err(failed)?;
        }
        // The token stays, so that nobody who held a lock before ever has the token of a state to come.
        let text = target.sql(
            "UPDATE @.state SET (lineage, serial, seq, unfinished, command, meta, holder) = (NULL, 0, 0, NULL, NULL, NULL, NULL)
             WHERE name = $1",
        );
        transaction.execute(&text, &[&target.name]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.keyring.remove_file()
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    fn describe(&self) -> String {
        self.target.place.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { fencing: true, per_operation_journal: true, history: true }
    }

    async fn keys(&self) -> Result<Keys, StateError> {
        self.keyring.open(self.lineage().await?, false).await.map(|(_, keys)| keys)
    }

    async fn snapshot(&self) -> Result<Snapshot, StateError> {
        {
            let mut reader = self.readers.one().await?;
            let view = reader.view().await?;
            if let Some(header) = self.target.header(&view).await?.filter(|h| !h.lineage.is_empty()) {
                return Ok(self.target.ledger(&view, &header).await?.into_snapshot());
            }
        }
        // Who looks for keys is a reader, too.
        let lineage = self.keyring.lineage().await?.unwrap_or_default();
        Ok(Snapshot { lineage, ..Snapshot::default() })
    }

    async fn lock(&self, info: LockInfo, wait: Duration) -> Result<Box<dyn Writer>, StateError> {
        // Before the first change: who cannot open the keys changes nothing.
        let (lineage, _) = self.keyring.open(self.lineage().await?, true).await?;
        let mut client = self.target.connect().await?;
        self.target.migrate(&mut client).await?;
        let deadline = Instant::now() + wait;
        let (info, taken_over) = loop {
            match self.target.try_take(&mut client, &info).await? {
                Attempt::Taken { info, taken_over } => break (*info, taken_over),
                Attempt::Held(holder) if Instant::now() >= deadline => {
                    return Err(StateError::Locked { place: self.target.place.clone(), holder });
                }
                Attempt::Held(_) => tokio::time::sleep(RETRY).await,
            }
        };
        let ready = async {
            let mut header = self.target.header(&client).await?.unwrap_or_default();
            if header.lineage.is_empty() {
                header.lineage = lineage.to_string();
            } else if *header.lineage != *lineage {
                // Made by another machine while we waited.
                self.keyring.open(Some(header.lineage.clone()), true).await?;
            }
            self.target.ledger(&client, &header).await
        };
        match ready.await {
            Ok(ledger) => {
                let target = self.target.clone();
                Ok(Box::new(PostgresWriter::start(target, client, ledger, info, taken_over, self.retention).await?))
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.target.give_back(&client, i64::try_from(info.token).unwrap_or_default()).await;
                Err(error)
            }
        }
    }

    async fn lock_info(&self) -> Result<Option<LockInfo>, StateError> {
        let mut reader = self.readers.one().await?;
        let view = reader.view().await?;
        self.target.lock_info(&view).await
    }

    async fn unlock(&self, id: &str) -> Result<(), StateError> {
        let mut reader = self.readers.one().await?;
        self.target.break_lock(reader.client()?, id).await
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, StateError> {
        let (mut reader, target) = (self.readers.one().await?, &self.target);
        let view = reader.view().await?;
        if target.version(&view).await? == 0 {
            return Ok(Vec::new());
        }
        let failed = |e| failure("reading the history of", &target.place, &e);
        let text = target.sql("SELECT serial, meta FROM @.history WHERE state = $1 ORDER BY serial");
        let rows = view.query(&text, &[&target.name]).await.map_err(failed)?;
        let entry = |row: &tokio_postgres::Row| {
            let serial = u64::try_from(row.try_get::<_, i64>(0).map_err(failed)?).unwrap_or_default();
            rows::history_entry(&target.place, serial, row.try_get(1).map_err(failed)?)
        };
        rows.iter().map(entry).collect()
    }

    async fn at(&self, serial: u64) -> Result<Snapshot, StateError> {
        let (mut reader, target) = (self.readers.one().await?, &self.target);
        let view = reader.view().await?;
        let none = |range| StateError::NoSuchSerial { place: target.place.clone(), serial, range };
        if target.version(&view).await? == 0 {
            return Err(none(None));
        }
        let failed = |e| failure("reading the history of", &target.place, &e);
        let number = i64::try_from(serial).unwrap_or(i64::MAX);
        let text = target.sql("SELECT snapshot FROM @.history WHERE state = $1 AND serial = $2");
        if let Some(row) = view.query_opt(&text, &[&target.name, &number]).await.map_err(failed)? {
            return rows::at(&target.place, serial, row.try_get(0).map_err(failed)?);
        }
        let text = target.sql("SELECT min(serial), max(serial) FROM @.history WHERE state = $1");
        let row = view.query_one(&text, &[&target.name]).await.map_err(failed)?;
        let edge = |i| row.try_get::<_, Option<i64>>(i).map(|n| n.and_then(|n| u64::try_from(n).ok())).map_err(failed);
        Err(none(edge(0)?.zip(edge(1)?)))
    }
}
