//! The lock: an advisory lock of the session, and a row that says who holds it.
//!
//! The one decision: the key of the advisory lock is made of the fencing token. Who looks whether a holder lives asks
//! for the lock of its token; breaking a lock takes a new token, and from then on nobody asks for the old one.

use mesh_state::{LockInfo, StateError};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, GenericClient};

use crate::error::failure;
use crate::settings::Target;

/// What became of a try.
pub(crate) enum Attempt {
    /// It is ours; with the dead holder whose lock it was.
    Taken { info: Box<LockInfo>, taken_over: Option<LockInfo> },
    /// Somebody lives and holds it.
    Held(Box<LockInfo>),
}

/// The key of an advisory lock.
pub(crate) fn key(parts: &[&str]) -> i64 {
    let digest =
        parts.iter().fold(Sha256::new().chain_update("mesh"), |d, part| d.chain_update([0]).chain_update(part));
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    i64::from_be_bytes(first)
}

const HELD: &str = "\
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((classid::bigint << 32) | objid::bigint) = $1)";

impl Target {
    fn token_key(&self, token: i64) -> i64 {
        key(&[&self.schema, &self.name, &token.to_string()])
    }

    fn holder(&self, text: Option<String>) -> Result<Option<LockInfo>, StateError> {
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|e| {
            let way_out = format!(
                "If nobody uses it: UPDATE \"{}\".state SET holder = NULL, token = token + 1 WHERE name = '{}'.",
                self.schema, self.name
            );
            StateError::unread(&*self.place, None, format!("its lock cannot be read: {e}"), way_out)
        })
    }

    /// Token and holder; with `suffix` FOR UPDATE they stay as they are until the transaction ends.
    async fn look(
        &self,
        client: &(impl GenericClient + Sync),
        suffix: &str,
    ) -> Result<Option<(i64, Option<LockInfo>)>, StateError> {
        let failed = |e| failure("reading the lock of", &self.place, &e);
        let text = self.sql("SELECT token, holder FROM @.state WHERE name = $1") + suffix;
        let Some(row) = client.query_opt(&text, &[&self.name]).await.map_err(failed)? else { return Ok(None) };
        let holder = self.holder(row.try_get(1).map_err(failed)?)?;
        Ok(Some((row.try_get(0).map_err(failed)?, holder)))
    }

    async fn lives(&self, client: &(impl GenericClient + Sync), token: i64) -> Result<bool, StateError> {
        let row = client.query_one(HELD, &[&self.token_key(token)]).await;
        row.and_then(|row| row.try_get(0)).map_err(|e| failure("reading the lock of", &self.place, &e))
    }

    /// Who holds it, or died holding it.
    pub(crate) async fn lock_info(&self, client: &(impl GenericClient + Sync)) -> Result<Option<LockInfo>, StateError> {
        if self.version(client).await? == 0 {
            return Ok(None);
        }
        let Some((token, Some(holder))) = self.look(client, "").await? else { return Ok(None) };
        let dead = !self.lives(client, token).await?;
        Ok(Some(LockInfo { dead, ..holder }))
    }

    /// Tries once. After an error the session must end, since it may hold the lock already.
    pub(crate) async fn try_take(&self, client: &mut Client, info: &LockInfo) -> Result<Attempt, StateError> {
        let failed = |e| failure("locking", &self.place, &e);
        let transaction = client.transaction().await.map_err(failed)?;
        let new = self.sql("INSERT INTO @.state (name) VALUES ($1) ON CONFLICT DO NOTHING");
        transaction.execute(&new, &[&self.name]).await.map_err(failed)?;
        let (token, holder) = self.look(&transaction, " FOR UPDATE").await?.unwrap_or_default();
        if let Some(holder) = &holder
            && self.lives(&transaction, token).await?
        {
            return Ok(Attempt::Held(Box::new(holder.clone())));
        }
        let next = token + 1;
        let info = LockInfo { token: u64::try_from(next).unwrap_or_default(), ..info.clone() };
        let row = transaction.query_one("SELECT pg_try_advisory_lock($1)", &[&self.token_key(next)]).await;
        if !row.and_then(|row| row.try_get::<_, bool>(0)).map_err(failed)? {
            let why = "another program holds the advisory lock that comes next";
            return Err(StateError::remote("locking", &self.place, why));
        }
        let text = serde_json::to_string(&info).map_err(|e| StateError::remote("locking", &self.place, e))?;
        let take = self.sql("UPDATE @.state SET token = $2, holder = $3 WHERE name = $1");
        transaction.execute(&take, &[&self.name, &next, &text]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Attempt::Taken { info: Box::new(info), taken_over: holder })
    }

    /// Breaks the lock with this id, whether its holder lives or not.
    pub(crate) async fn break_lock(&self, client: &mut Client, id: &str) -> Result<(), StateError> {
        let failed = |e| failure("unlocking", &self.place, &e);
        let no_such = |holder| StateError::NoSuchLock {
            place: self.place.clone(),
            id: id.to_owned(),
            holder: Option::map(holder, Box::new),
        };
        if self.version(client).await? == 0 {
            return Err(no_such(None));
        }
        let transaction = client.transaction().await.map_err(failed)?;
        let holder = self.look(&transaction, " FOR UPDATE").await?.and_then(|(_, holder)| holder);
        if holder.as_ref().is_none_or(|h| h.id != id) {
            return Err(no_such(holder));
        }
        let free = self.sql("UPDATE @.state SET token = token + 1, holder = NULL WHERE name = $1");
        transaction.execute(&free, &[&self.name]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Gives it back, if it is still ours.
    pub(crate) async fn give_back(&self, client: &Client, token: i64) -> Result<(), StateError> {
        let free = self.sql("UPDATE @.state SET holder = NULL WHERE name = $1 AND token = $2");
        let done = client.execute(&free, &[&self.name, &token]).await;
        done.map(drop).map_err(|e| failure("unlocking", &self.place, &e))
    }
}
