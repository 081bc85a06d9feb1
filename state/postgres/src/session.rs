//! Connections, and the settings of a session.
//!
//! The one decision: each session says itself what durability and locks need, so that a server's or a role's defaults
//! decide nothing: commits wait for the disk, idle sessions are kept, dead ones are noticed within half a minute.

use std::sync::Arc;

use mesh_state::StateError;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::error::failure;
use crate::settings::Target;

/// Settings that the server does not know are left alone.
const SETTINGS: &str = "\
SELECT set_config(name, wanted, false), current_setting('server_encoding') FROM pg_settings JOIN (VALUES
  ('idle_session_timeout', '0'), ('statement_timeout', '0'), ('search_path', 'pg_catalog'),
  ('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
  ('tcp_user_timeout', '30000'),
  ('synchronous_commit', CASE current_setting('synchronous_commit')
     WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END)
) AS w (name, wanted) USING (name)";

impl Target {
    /// A new session.
    pub(crate) async fn connect(&self) -> Result<Client, StateError> {
        let failed = |e| failure("connecting to", &self.place, &e);
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(failed)?;
        // It ends with the client, and what it would say is said to the client, too.
        tokio::spawn(async move { drop(connection.await) });
        let rows = client.query(SETTINGS, &[]).await.map_err(failed)?;
        let encoding = rows.first().map(|row| row.try_get::<_, String>(1)).transpose().map_err(failed)?;
        if encoding.as_deref().is_some_and(|e| e != "UTF8") {
            return Err(StateError::Unusable {
                place: self.place.clone(),
                why: format!("its encoding is {}", encoding.unwrap_or_default()),
                way_out: "Use a database with the encoding UTF8.".to_owned(),
            });
        }
        Ok(client)
    }
}

/// One session that is kept for all who read: making one takes longer than reading.
pub(crate) struct Readers {
    pub(crate) target: Arc<Target>,
    client: Mutex<Option<Client>>,
}

impl Readers {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self { target, client: Mutex::default() }
    }

    /// The session, for one reader.
    pub(crate) async fn one(&self) -> Result<Reader<'_>, StateError> {
        let mut client = self.client.lock().await;
        if client.as_ref().is_none_or(Client::is_closed) {
            *client = Some(self.target.connect().await?);
        }
        Ok(Reader { target: &self.target, client })
    }
}

/// The session, as long as one reads.
pub(crate) struct Reader<'a> {
    target: &'a Target,
    client: MutexGuard<'a, Option<Client>>,
}

impl Reader<'_> {
    pub(crate) fn client(&mut self) -> Result<&mut Client, StateError> {
        self.client.as_mut().ok_or_else(|| StateError::remote("reading", &self.target.place, "there is no connection"))
    }

    /// A transaction that sees one moment.
    pub(crate) async fn view(&mut self) -> Result<Transaction<'_>, StateError> {
        let target = self.target;
        let builder =
            self.client()?.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        builder.start().await.map_err(|e| failure("reading", &target.place, &e))
    }
}
