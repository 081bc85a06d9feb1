//! A server of Terraform's http protocol, in memory, on loopback, which forgets nothing that it was sent.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[derive(Default)]
struct Kept {
    /// Who is let in, as it stands in a request.
    user: String,
    /// The versions of each state; the highest number is the state.
    states: HashMap<String, BTreeMap<u64, Arc<[u8]>>>,
    locks: HashMap<String, String>,
    requests: Vec<(String, Arc<[u8]>)>,
    refuses: bool,
    loses_answers: bool,
}

pub(crate) struct Server {
    pub(crate) address: String,
    kept: Arc<Mutex<Kept>>,
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// For `ada`.
    pub(crate) fn start(password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let user = format!("Basic {}", STANDARD.encode(format!("ada:{password}")));
        let kept = Arc::new(Mutex::new(Kept { user, ..Kept::default() }));
        let shared = kept.clone();
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, kept }
    }

    pub(crate) fn content(&self, path: &str) -> Option<Vec<u8>> {
        locked(&self.kept).states.get(path)?.values().last().map(|state| state.to_vec())
    }

    pub(crate) fn hold(&self, path: &str, lock: &str) {
        locked(&self.kept).locks.insert(path.to_owned(), lock.to_owned());
    }

    pub(crate) fn refuse_writes(&self, refuses: bool) {
        locked(&self.kept).refuses = refuses;
    }

    /// Keeps what is written from now on, and says that it has failed.
    pub(crate) fn lose_answers(&self) {
        locked(&self.kept).loses_answers = true;
    }

    /// Keeps a state that nobody has sent.
    pub(crate) fn keep(&self, path: &str, state: Vec<u8>) {
        locked(&self.kept).states.entry(path.to_owned()).or_default().insert(0, state.into());
    }

    /// Methods and addresses of all requests.
    pub(crate) fn log(&self) -> Vec<String> {
        locked(&self.kept).requests.iter().map(|(line, _)| line.clone()).collect()
    }

    /// All requests with what was sent; without what they log in with, since the server is meant to know it.
    pub(crate) fn requests(&self) -> Vec<(String, Vec<u8>)> {
        locked(&self.kept).requests.iter().map(|(line, body)| (line.clone(), body.to_vec())).collect()
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut user) = (String::new(), 0, String::new());
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).is_ok_and(|n| n > 2) {
            let (name, value) = header.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => value.trim().clone_into(&mut user),
                _ => {}
            }
            header.clear();
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, answer) = answer(&mut locked(kept), method, target, &user, body.into());
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", answer.len());
        let mut stream = stream;
        if stream.write_all(&[head.into_bytes(), answer].concat()).is_err() {
            return;
        }
    }
}

fn answer(kept: &mut Kept, method: &str, target: &str, user: &str, body: Arc<[u8]>) -> (u16, Vec<u8>) {
    kept.requests.push((format!("{method} {target}"), body.clone()));
    if user != kept.user {
        return (401, b"who are you?".to_vec());
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let id = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        json["ID"].as_str().unwrap_or_default().to_owned()
    };
    // GitLab's way to lock: an address of its own, and another code.
    let (path, method, conflict) = match (path.strip_suffix("/lock"), method) {
        (Some(state), "POST") => (state, "LOCK", 409),
        (Some(state), "DELETE") => (state, "UNLOCK", 409),
        _ => (path, method, 423),
    };
    let held = kept.locks.get(path).cloned();
    match (method, held) {
        ("GET", _) => match kept.states.get(path).and_then(|versions| versions.values().last()) {
            Some(state) => (200, state.to_vec()),
            None => (404, Vec::new()),
        },
        ("LOCK", Some(lock)) => (conflict, lock.into_bytes()),
        ("LOCK", None) => {
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let all = ["ID", "Operation", "Info", "Who", "Version", "Created", "Path"];
            if let Some(missing) = all.into_iter().find(|name| !json[name].is_string()) {
                return (400, format!("{missing} is missing").into_bytes());
            }
            kept.locks.insert(path.to_owned(), String::from_utf8_lossy(&body).into_owned());
            (200, Vec::new())
        }
        ("UNLOCK", held) => {
            let asked = id(&String::from_utf8_lossy(&body));
            if held.is_some_and(|lock| id(&lock) != asked && !asked.is_empty()) {
                return (409, b"another lock".to_vec());
            }
            kept.locks.remove(path);
            (200, Vec::new())
        }
        ("POST", _) if kept.refuses => (507, b"no space".to_vec()),
        ("POST", Some(lock)) if query != format!("ID={}", id(&lock)) => (423, lock.into_bytes()),
        ("POST", _) => {
            // As strict as GitLab, which parses what it keeps and numbers its versions by it.
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            let Ok(json) = json else { return (400, b"message body does not match declared format".to_vec()) };
            let Some(serial) = json["serial"].as_u64() else { return (500, b"a version has no number".to_vec()) };
            let versions = kept.states.entry(path.to_owned()).or_default();
            if versions.contains_key(&serial) {
                return (422, b"duplicate key value violates unique constraint".to_vec());
            }
            versions.insert(serial, body);
            if kept.loses_answers { (503, b"who knows".to_vec()) } else { (200, Vec::new()) }
        }
        _ => (405, Vec::new()),
    }
}
