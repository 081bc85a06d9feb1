//! A network between a client and a server that can be slow, cut and mended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

const OPEN: u8 = 0;
const STALLED: u8 = 1;
const CUT: u8 = 2;
const OVER: u8 = 3;

/// Passes on what goes to one address, as long as it may.
pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<AtomicU8>,
}

impl Proxy {
    /// In front of `127.0.0.1:port`.
    pub(super) fn new(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let state = Arc::new(AtomicU8::new(OPEN));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                match shared.load(Ordering::SeqCst) {
                    OVER => return,
                    CUT => {}
                    _ => {
                        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                        let (c, s) = (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                        for (from, to) in [(client, server), (s, c)] {
                            let state = shared.clone();
                            std::thread::spawn(move || pass(from, to, &state));
                        }
                    }
                }
            }
        });
        Self { port: own, state }
    }

    /// Nothing arrives any more, and nothing is lost.
    pub(super) fn stall(&self) {
        self.state.store(STALLED, Ordering::SeqCst);
    }

    /// Every connection ends, and no new one is made.
    pub(super) fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
    }

    pub(super) fn mend(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.store(OVER, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0; 16 << 10];
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
    loop {
        match state.load(Ordering::SeqCst) {
            OPEN => {}
            STALLED => {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            _ => break,
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                // A byte that arrives in the last moment is not passed on.
                while state.load(Ordering::SeqCst) == STALLED {
                    std::thread::sleep(Duration::from_millis(10));
                }
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    // They may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
