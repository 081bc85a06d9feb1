//! A server of bytes on loopback: enough for archives, redirects, tokens and a repository of plain files.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a path answers.
#[derive(Clone)]
pub(super) enum Answer {
    Bytes(Vec<u8>),
    Redirect(String),
    /// The beginning, and then nothing more for a long time.
    Half(Vec<u8>),
}

/// The server; it ends with the process.
pub(super) struct Server {
    pub(super) port: u16,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    /// Request lines, and what stood in `Authorization`.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self { port, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (server.answers.clone(), server.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (answers.clone(), asked.clone());
                std::thread::spawn(move || answer(stream, &answers, &asked));
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What a path answers from now on.
    pub(super) fn put(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("no panic").insert(format!("/{path}"), answer);
    }

    /// What was asked since the last time.
    pub(super) fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

fn answer(
    mut stream: std::net::TcpStream,
    answers: &Mutex<BTreeMap<String, Answer>>,
    asked: &Mutex<Vec<(String, String)>>,
) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut authorization = String::new();
    for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = value.to_owned();
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().expect("no panic").push((target.clone(), authorization));
    let path = target.split('?').next().unwrap_or_default();
    let found = answers.lock().expect("no panic").get(path).cloned();
    let head =
        |status: &str, length: usize| format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    // Whoever asked may have gone.
    let _ = match found {
        Some(Answer::Bytes(bytes)) => stream
            .write_all(format!("{}\r\n", head("200 OK", bytes.len())).as_bytes())
            .and_then(|()| stream.write_all(&bytes)),
        Some(Answer::Redirect(to)) => {
            stream.write_all(format!("{}Location: {to}\r\n\r\n", head("302 Found", 0)).as_bytes())
        }
        Some(Answer::Half(bytes)) => {
            let sent = stream
                .write_all(format!("{}\r\n", head("200 OK", bytes.len() * 2)).as_bytes())
                .and_then(|()| stream.write_all(&bytes));
            std::thread::sleep(Duration::from_secs(120));
            sent
        }
        None => stream.write_all(format!("{}\r\n", head("404 Not Found", 0)).as_bytes()),
    };
}
