//! The provider's side of the worker: starting it, asking it, ending it.
//!
//! The one decision: one call at a time, each with a time limit; a worker that does not answer or
//! ends is killed and the next call starts another. A call that is cut off (by a limit or because
//! nobody waits any more) takes its worker with it, so an answer can never be taken for another's.
//!
//! PIN rules: tried once per start, never again in this process once a token refused it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use mesh_sdk::ProviderError;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use crate::failure::{CallError, pin_refused};
use crate::protocol::{
    Bytes, Call, Class, Fault, FaultKind, MARKER, Object, Reply, Request, Response, Secret, SecretBytes, Token,
};

/// Serial numbers of tokens that refused a PIN in this process: one wrong try is enough.
static REFUSED: Mutex<BTreeSet<String>> = Mutex::const_new(BTreeSet::new());

/// How to start a worker: a program and arguments that lead to [`crate::worker_main`].
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// What a worker is started with. Not `Debug`: the environment may hold secrets of others.
pub(crate) struct Settings {
    pub(crate) command: WorkerCommand,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) library: String,
    pub(crate) token_label: String,
    pub(crate) token_serial: Option<String>,
    pub(crate) pin: Option<Secret>,
    pub(crate) crypto_user: bool,
    pub(crate) limit: Duration,
}

/// One token through its worker.
pub(crate) struct Client {
    settings: Settings,
    token: Token,
    worker: Mutex<Option<Worker>>,
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u64,
    /// A call was sent and its answer is not here.
    busy: bool,
}

/// An idle worker ends by itself when its input does, and closes its session with the token; one
/// that is in a call might never, so it is killed.
impl Drop for Worker {
    fn drop(&mut self) {
        if self.busy {
            let _ = self.child.start_kill();
        }
    }
}

impl Client {
    /// Starts a worker, finds the token and logs in.
    pub(crate) async fn open(settings: Settings) -> Result<Self, ProviderError> {
        let (worker, token) = Worker::start(&settings).await.map_err(|e| e.provider_error("Opening the token"))?;
        Ok(Self { settings, token, worker: Mutex::new(Some(worker)) })
    }

    /// What the token said about itself when it was opened.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// One call. A read whose worker was lost is tried once more with a fresh one.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, CallError> {
        match self.once(call).await {
            Err(CallError::Lost(_)) if !call.is_write() => self.once(call).await,
            other => other,
        }
    }

    async fn once(&self, call: &Call) -> Result<Reply, CallError> {
        let mut place = self.worker.lock().await;
        let mut worker = match place.take() {
            Some(worker) => worker,
            None => {
                let (worker, token) = Worker::start(&self.settings).await.map_err(CallError::not_started)?;
                if token.serial != self.token.serial {
                    return Err(CallError::Fault(Fault::new(
                        FaultKind::Token,
                        format!(
                            "The token was exchanged: its serial number was {} and is {}.",
                            self.token.serial, token.serial
                        ),
                    )));
                }
                worker
            }
        };
        let answer = worker.ask(call, self.settings.limit).await;
        match &answer {
            // After a device error the next call gets a fresh session.
            Err(CallError::Lost(_)) => {}
            Err(CallError::Fault(f)) if f.kind == FaultKind::Device => {}
            _ => *place = Some(worker),
        }
        answer
    }

    /// All objects of a class, or those with an id.
    pub(crate) async fn find(&self, class: Class, id: Option<&[u8]>) -> Result<Vec<Object>, ProviderError> {
        let call = Call::Find { class, id: id.map(|id| Bytes(id.to_vec())) };
        match self.call(&call).await {
            Ok(Reply::Objects(objects)) => Ok(objects),
            Ok(_) => Err(CallError::odd().provider_error("Looking at the token")),
            Err(e) => Err(e.provider_error("Looking at the token")),
        }
    }

    /// Decrypted, signed or random bytes.
    pub(crate) async fn bytes(&self, call: &Call, what: &'static str) -> Result<SecretBytes, ProviderError> {
        match self.call(call).await {
            Ok(Reply::Bytes(bytes)) => Ok(bytes),
            Ok(_) => Err(CallError::odd().provider_error(what)),
            Err(e) => Err(e.provider_error(what)),
        }
    }
}

impl Worker {
    async fn start(settings: &Settings) -> Result<(Self, Token), CallError> {
        let mut child = Command::new(&settings.command.program)
            .args(&settings.command.args)
            .env_clear()
            .envs(&settings.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the whole group; calls in flight are to be finished.
            .process_group(0)
            .spawn()
            .map_err(|e| {
                CallError::library(format!("{} cannot be started: {e}.", settings.command.program.display()))
            })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CallError::library("The worker has no pipes.".into()));
        };
        let mut worker = Self { child, input, output: BufReader::new(output), next: 0, busy: false };
        let open = Call::Open {
            library: settings.library.clone(),
            label: settings.token_label.clone(),
            serial: settings.token_serial.clone(),
        };
        let Reply::Token(token) = worker.ask(&open, settings.limit).await? else { return Err(CallError::odd()) };
        if let Some(pin) = &settings.pin {
            worker.login(pin, settings, &token).await?;
        }
        Ok((worker, token))
    }

    async fn login(&mut self, pin: &Secret, settings: &Settings, token: &Token) -> Result<(), CallError> {
        // Held during the try, so that two sessions cannot both try a wrong PIN.
        let mut refused = REFUSED.lock().await;
        if refused.contains(&token.serial) {
            return Err(CallError::Fault(Fault::new(
                FaultKind::Pin,
                format!(
                    "The PIN was not tried: the token \"{}\" (serial {}) refused it before, and each wrong PIN brings a \
                     token closer to locking itself. Correct the PIN and start the command again.",
                    token.label, token.serial
                ),
            )));
        }
        let login = Call::Login { pin: pin.clone(), crypto_user: settings.crypto_user };
        match self.ask(&login, settings.limit).await {
            Ok(_) => Ok(()),
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::Pin => {
                refused.insert(token.serial.clone());
                Err(CallError::Fault(pin_refused(&fault, token)))
            }
            Err(other) => Err(other),
        }
    }

    /// Sends a call and waits for its answer.
    async fn ask(&mut self, call: &Call, limit: Duration) -> Result<Reply, CallError> {
        self.next += 1;
        let id = self.next;
        let request = Request { id, call: call.clone() };
        let mut line =
            Zeroizing::new(serde_json::to_string(&request).map_err(|e| CallError::library(format!("BUG: {e}")))?);
        line.push('\n');
        self.busy = true;
        let exchange = async {
            self.input.write_all(line.as_bytes()).await.map_err(|e| e.to_string())?;
            self.input.flush().await.map_err(|e| e.to_string())?;
            let mut text = Zeroizing::new(String::new());
            loop {
                text.zeroize();
                if self.output.read_line(&mut text).await.map_err(|e| e.to_string())? == 0 {
                    return Err("it ended".to_owned());
                }
                // Anything else on the line was printed by the library.
                let Some((_, json)) = text.split_once(MARKER) else { continue };
                let response: Response = serde_json::from_str(json).map_err(|_| "its answer is garbled".to_owned())?;
                if response.id == id {
                    return Ok(response.result);
                }
            }
        };
        match timeout(limit, exchange).await {
            Ok(Ok(result)) => {
                self.busy = false;
                result.map_err(CallError::Fault)
            }
            Ok(Err(why)) => Err(CallError::Lost(self.obituary(why).await)),
            Err(_) => {
                let _ = self.child.start_kill();
                Err(CallError::Lost(format!(
                    "the PKCS#11 library did not answer within {} seconds and its worker was ended",
                    limit.as_secs_f32()
                )))
            }
        }
    }

    /// How the worker ended, as far as that shows within a moment.
    async fn obituary(&mut self, why: String) -> String {
        match timeout(Duration::from_secs(1), self.child.wait()).await {
            Ok(Ok(status)) => format!("the worker with the PKCS#11 library was lost: {why} ({status})"),
            _ => format!("the worker with the PKCS#11 library was lost: {why}"),
        }
    }
}
