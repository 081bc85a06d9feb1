//! Connections, and the settings of a session.
//!
//! The one decision: each session says itself what durability and locks need, so that a server's or a role's defaults
//! decide nothing: commits wait for the disk, idle sessions are kept, dead ones are noticed within half a minute.

use mesh_state::StateError;
use tokio_postgres::Client;

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
