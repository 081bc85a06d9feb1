//! A server of the http backend that keeps every body that it is ever sent.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
struct Kept {
    states: HashMap<String, Vec<u8>>,
    locks: HashMap<String, Vec<u8>>,
    all: Vec<(String, Vec<u8>)>,
}

pub(super) struct Server {
    pub(super) address: String,
    kept: Arc<Mutex<Kept>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let kept = Arc::<Mutex<Kept>>::default();
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

    /// All requests with their bodies; what they log in with is left out, since the server is meant to know it.
    pub(super) fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Kept>) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let (mut line, mut length, mut header) = (String::new(), 0, String::new());
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        while reader.read_line(&mut header).is_ok_and(|n| n > 2) {
            if let Some((_, value)) = header.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("content-length")) {
                length = value.trim().parse().unwrap_or(0);
            }
            header.clear();
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, answer) = answer(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), &line, body);
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", answer.len());
        if writer.write_all(&[head.into_bytes(), answer].concat()).is_err() {
            return;
        }
    }
}

fn answer(kept: &mut Kept, line: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    kept.all.push((line.to_owned(), body.clone()));
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    match method {
        "GET" => kept.states.get(&path).map_or((404, Vec::new()), |state| (200, state.clone())),
        "LOCK" => match kept.locks.get(&path) {
            Some(lock) => (423, lock.clone()),
            None => {
                kept.locks.insert(path, body);
                (200, Vec::new())
            }
        },
        "UNLOCK" => {
            kept.locks.remove(&path);
            (200, Vec::new())
        }
        _ => {
            kept.states.insert(path, body);
            (200, Vec::new())
        }
    }
}
