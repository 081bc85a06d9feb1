//! A HAProxy of its own for every test, and small back ends behind it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mesh_model::Value;

/// A running HAProxy; stopped when dropped, killed when the test dies.
pub(super) struct Haproxy {
    folder: tempfile::TempDir,
    master: Child,
}

impl Haproxy {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("conf.d")).expect("made");
        let foreign = format!(
            "global\n    maxconn 200\n    hard-stop-after 2s\n    stats socket {} mode 600 level admin expose-fd \
             listeners\ndefaults\n    mode tcp\n    timeout connect 2s\n    timeout client 5s\n    timeout server 5s\n\
             frontend site\n    mode http\n    bind 127.0.0.1:{}\n    monitor-uri /up\n",
            at("stats.sock").display(),
            free_port("127.0.0.1"),
        );
        std::fs::write(at("haproxy.cfg"), foreign).expect("written");
        let log = std::fs::File::create(at("log")).expect("made");
        let master = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/haproxy", "-W", "-db", "-S"])
            .arg(format!("{},level,admin", at("master.sock").display()))
            .arg("-f")
            .arg(at("haproxy.cfg"))
            .arg("-f")
            .arg(at("conf.d"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("haproxy and setpriv are installed");
        let this = Self { folder, master };
        eventually("HAProxy listens", || UnixStream::connect(this.folder().join("stats.sock")).ok());
        this
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder().join("conf.d").join(name)
    }

    /// The configuration of the provider, in the shape of its schema.
    pub(super) fn config(&self) -> Value {
        let text = Value::string;
        Value::object([
            ("main_config", text("haproxy.cfg")),
            ("config_dir", text("conf.d")),
            ("master_socket", text("master.sock")),
            ("stats_socket", text("stats.sock")),
            ("haproxy_binary", text("haproxy")),
            ("file_prefix", text("mesh-")),
            ("reload_timeout", text("20s")),
        ])
    }

    /// Asks the worker's command line.
    pub(super) fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.folder().join("stats.sock")).expect("it listens");
        stream.write_all(format!("{command}\n").as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let pid = i32::try_from(self.master.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.master.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// Tries until something is there.
pub(super) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nothing listens on, on an address of loopback.
pub(super) fn free_port(ip: &str) -> u16 {
    TcpListener::bind((ip, 0)).and_then(|l| l.local_addr()).expect("loopback has ports").port()
}

/// A virtual address that no other test of this process uses.
pub(super) fn vip() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(10);
    format!("127.0.1.{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Back ends on three node addresses and one port; each says its address and hangs up.
pub(super) fn back_ends() -> u16 {
    let nodes = ["127.0.0.10", "127.0.0.11", "127.0.0.12"];
    let listeners = eventually("a port free on all nodes", || {
        let port = free_port(nodes[0]);
        nodes.iter().map(|ip| TcpListener::bind((*ip, port)).ok()).collect::<Option<Vec<_>>>()
    });
    let port = listeners[0].local_addr().expect("bound").port();
    for listener in listeners {
        std::thread::spawn(move || {
            let name = listener.local_addr().map(|a| a.ip().to_string()).unwrap_or_default();
            for stream in listener.incoming().flatten() {
                let _ = { stream }.write_all(name.as_bytes());
            }
        });
    }
    port
}

/// What a connection says; `None` when it is refused or says nothing.
pub(super) fn hear(ip: &str, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((ip, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}
