//! The requests of the protocol.
//!
//! The one decision: as Terraform sends them, byte for byte where servers look: `?ID=` of the lock behind the
//! address of a write, the lock as JSON in its names, and 423 or 409 with the holder for a lock that is held. What is
//! written is the business of [`envelope`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use mesh_state::{BadSetting, LockInfo, Settings, StateError};
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::envelope;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(120);
/// Pauses before a request that may be sent again is.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// The lock of the protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Lock {
    #[serde(rename = "ID")]
    id: String,
    operation: String,
    info: String,
    who: String,
    version: String,
    created: String,
    path: String,
}

impl Default for Lock {
    fn default() -> Self {
        let empty = String::new;
        Self {
            id: empty(),
            operation: empty(),
            info: empty(),
            who: empty(),
            version: empty(),
            created: empty(),
            path: empty(),
        }
    }
}

impl Lock {
    fn new(info: &LockInfo) -> Self {
        Self {
            id: info.id.clone(),
            operation: info.command.clone(),
            who: format!("{}@{}", info.user, info.host),
            created: info.started.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Self::default()
        }
    }

    fn holder(self) -> LockInfo {
        let (user, host) = self.who.split_once('@').unwrap_or((&self.who, "another machine"));
        let mut info = LockInfo::new(self.operation, user, host);
        info.started = self.created.parse().unwrap_or(info.started);
        (info.id, info.pid, info.process) = (self.id, 0, None);
        info
    }
}

/// A place with its method.
#[derive(Clone, Debug)]
struct Place {
    method: Method,
    url: Url,
}

/// The server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    http: Client,
    read: Place,
    write: Place,
    lock: Option<(Place, Place)>,
    user: Option<(String, Option<String>)>,
    /// Of the last write that is known to be there; `None` until the server was asked.
    serial: Arc<Mutex<Option<u64>>>,
}

fn locked(serial: &Mutex<Option<u64>>) -> MutexGuard<'_, Option<u64>> {
    serial.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A setting, or what the environment says in its place, in Terraform's words.
fn given<'s>(settings: &Settings<'s>, name: &str) -> Option<&'s str> {
    settings.text(name).or_else(|| settings.variable(&format!("TF_HTTP_{}", name.to_ascii_uppercase())))
}

fn place(
    settings: &Settings<'_>,
    address: &'static str,
    method: &'static str,
    usual: &str,
) -> Result<Option<Place>, BadSetting> {
    let Some(text) = given(settings, address) else { return Ok(None) };
    // Not shown: it may hold a password all the same.
    let url: Url = text.parse().map_err(|e| BadSetting::of(address, format!("{address} is no address: {e}.")))?;
    if !matches!(url.scheme(), "http" | "https") || url.password().is_some() {
        return Err(BadSetting::of(address, "It must be an http or https address without a password."));
    }
    let name = given(settings, method).unwrap_or(usual);
    let method = name.parse().map_err(|_| BadSetting::of(method, format!("{name:?} is no method of HTTP.")))?;
    Ok(Some(Place { method, url }))
}

/// The certificate that the server wants to see, with its key.
fn identity(certificate: &str, key: &str) -> Result<Identity, BadSetting> {
    let read = |setting, file: &str| {
        std::fs::read(file).map_err(|e| BadSetting::of(setting, format!("{file} cannot be used: {e}.")))
    };
    let mut pem = read("client_cert_file", certificate)?;
    pem.push(b'\n');
    pem.extend(read("client_key_file", key)?);
    // The library's own words may quote a piece of the key.
    Identity::from_pem(&pem).map_err(|_| {
        let why = format!("{certificate} and {key} hold no certificate with an unencrypted key in PEM.");
        BadSetting::of("client_cert_file", why)
    })
}

impl Server {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, BadSetting> {
        // Fails only when a provider is installed already; then that one serves.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut http = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(LIMIT);
        if let Some(file) = settings.text("ca_cert_file") {
            let bad = |why: String| BadSetting::of("ca_cert_file", format!("{file} cannot be used: {why}."));
            let pem = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
            http = http.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?);
        }
        if let Some((certificate, key)) = settings.client_certificate(None, None)? {
            http = http.identity(identity(certificate, key)?);
        }
        let http = http.build().map_err(|e| BadSetting::all(format!("These settings give no client: {e}.")))?;
        let none =
            || BadSetting::all("Nothing says where the state is: set address, or TF_HTTP_ADDRESS in the environment.");
        let write = place(settings, "address", "update_method", "POST")?.ok_or_else(none)?;
        let read = Place { method: Method::GET, url: write.url.clone() };
        let lock = match place(settings, "lock_address", "lock_method", "LOCK")? {
            Some(lock) => {
                let unlock = match place(settings, "unlock_address", "unlock_method", "UNLOCK")? {
                    Some(unlock) => Some(unlock),
                    None => place(settings, "lock_address", "unlock_method", "UNLOCK")?,
                };
                unlock.map(|unlock| (lock, unlock))
            }
            None => None,
        };
        let owned = |name| given(settings, name).map(str::to_owned);
        let user = owned("username").map(|user| (user, owned("password")));
        Ok(Self { http, read, write, lock, user, serial: Arc::default() })
    }

    /// For people, without what may be secret in an address.
    pub(crate) fn place(&self) -> String {
        let mut url = self.read.url.clone();
        url.set_query(None);
        format!("state behind {url}")
    }

    /// What tells states of this place from others.
    pub(crate) fn name(&self) -> &str {
        self.read.url.as_str()
    }

    /// Whether there is a lock.
    pub(crate) fn locks(&self) -> bool {
        self.lock.is_some()
    }

    fn request(&self, place: &Place) -> RequestBuilder {
        let request = self.http.request(place.method.clone(), place.url.clone());
        match &self.user {
            Some((user, password)) => request.basic_auth(user, password.as_deref()),
            None => request,
        }
    }

    async fn send(&self, doing: &'static str, make: impl Fn() -> RequestBuilder) -> Result<Response, StateError> {
        let mut pauses = PAUSES.iter();
        loop {
            let result = make().send().await;
            let again = match &result {
                Ok(response) => response.status().is_server_error(),
                Err(error) => error.is_connect(),
            };
            match (pauses.next(), result) {
                (Some(pause), _) if again => tokio::time::sleep(*pause).await,
                (_, Ok(response)) => return Ok(response),
                // The address may hold a secret.
                (_, Err(error)) => return Err(self.error(doing, error.without_url())),
            }
        }
    }

    fn error(&self, doing: &'static str, why: impl std::fmt::Display) -> StateError {
        StateError::remote(doing, &self.place(), why)
    }

    async fn refused(&self, doing: &'static str, response: Response) -> StateError {
        let status = response.status();
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => " (check username and password)",
            _ => "",
        };
        let body = response.text().await.unwrap_or_default();
        let said: String = body.chars().filter(|c| !c.is_control()).take(200).collect();
        self.error(doing, format!("the server answered {status}{hint} {said}").trim_end())
    }

    /// The state, if there is one.
    pub(crate) async fn get(&self) -> Result<Option<Vec<u8>>, StateError> {
        let response = self.send("reading", || self.request(&self.read)).await?;
        match response.status() {
            StatusCode::OK => {
                let bytes = response.bytes().await.map_err(|e| self.error("reading", e.without_url()))?.to_vec();
                let held = envelope::unwrap(bytes).map_err(|version| StateError::Unusable {
                    place: self.place(),
                    why: format!("it was written by a later version of mesh (format {version})"),
                    way_out: "Use that version.".to_owned(),
                })?;
                *locked(&self.serial) = Some(held.serial);
                Ok(Some(held.state).filter(|b| !b.is_empty()))
            }
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => {
                *locked(&self.serial) = Some(0);
                Ok(None)
            }
            _ => Err(self.refused("reading", response).await),
        }
    }

    /// Writes the state under a lock.
    pub(crate) async fn put(&self, lock: &str, state: &[u8]) -> Result<(), StateError> {
        // Unknown again until this write has ended well: it may be there all the same.
        let known = locked(&self.serial).take();
        if known.is_none() {
            self.get().await?;
        }
        let serial = known.or_else(|| locked(&self.serial).take()).unwrap_or_default() + 1;
        let bytes = envelope::wrap(serial, state).ok_or_else(|| self.error("writing", "the state is no text"))?;
        let make = || {
            let mut place = self.write.clone();
            if self.locks() {
                place.url.query_pairs_mut().append_pair("ID", lock);
            }
            let sum = STANDARD.encode(Md5::digest(&bytes));
            let request = self.request(&place).header("Content-Type", "application/json").header("Content-MD5", sum);
            request.body(bytes.clone())
        };
        let response = self.send("writing", make).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                *locked(&self.serial) = Some(serial);
                Ok(())
            }
            StatusCode::LOCKED | StatusCode::CONFLICT => Err(StateError::LockLost { place: self.place() }),
            _ => {
                let refused = self.refused("writing", response).await;
                // An earlier try may have been kept, and its answer lost.
                let kept = self.get().await.is_ok_and(|kept| kept.as_deref() == Some(state));
                if kept { Ok(()) } else { Err(refused) }
            }
        }
    }

    fn body(&self, doing: &'static str, lock: &Lock) -> Result<String, StateError> {
        serde_json::to_string(lock).map_err(|e| self.error(doing, e))
    }

    /// Takes the lock; the holder where it is held.
    pub(crate) async fn lock(&self, info: &LockInfo) -> Result<Option<LockInfo>, StateError> {
        let Some((place, _)) = &self.lock else { return Ok(None) };
        let body = self.body("locking", &Lock::new(info))?;
        let make = || self.request(place).header("Content-Type", "application/json").body(body.clone());
        let response = self.send("locking", make).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(None),
            StatusCode::LOCKED | StatusCode::CONFLICT => {
                let text = response.text().await.unwrap_or_default();
                let holder = serde_json::from_str::<Lock>(&text).unwrap_or_default().holder();
                // The answer to an earlier try was lost.
                Ok(Some(holder).filter(|h| h.id != info.id))
            }
            _ => Err(self.refused("locking", response).await),
        }
    }

    /// Gives the lock back.
    pub(crate) async fn unlock(&self, info: &LockInfo) -> Result<(), StateError> {
        let Some((_, place)) = &self.lock else { return Ok(()) };
        let body = self.body("unlocking", &Lock::new(info))?;
        let make = || self.request(place).header("Content-Type", "application/json").body(body.clone());
        let response = self.send("unlocking", make).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused("unlocking", response).await) }
    }
}
