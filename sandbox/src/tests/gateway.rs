//! HAProxy: our file in `conf.d`, a reload through the master socket, traffic through a VIP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{eventually, shared};
use crate::free_port;

fn ask(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the socket answers");
    // The master inherits open connections through its own restart: the one that asked for a reload never ends.
    stream.set_read_timeout(Some(Duration::from_secs(if command == "reload" { 2 } else { 10 }))).expect("set");
    stream.write_all(format!("{command}\n").as_bytes()).expect("written");
    // It answers other questions to the end only once nothing more can be asked.
    stream.shutdown(std::net::Shutdown::Write).expect("the writing side is closed");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_reload_through_the_master_socket_serves_a_vip() {
    let sandbox = shared();
    let gateway = sandbox.extra_gateway().expect("it starts");
    let node = sandbox.kubernetes().expect("a cluster").nodes[0].ip;
    let back_end = TcpListener::bind((node, 0)).expect("a node's address can be listened on");
    let port = back_end.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in back_end.incoming().flatten() {
            let _ = { stream }.write_all(b"hello from the node");
        }
    });
    let (vip, vip_port) = (sandbox.vip().expect("a VIP"), free_port().expect("a port"));
    let ours = format!("listen mesh_test\n    bind {vip}:{vip_port}\n    server one {node}:{port} check\n");
    std::fs::write(gateway.conf_dir.join("mesh.cfg"), ours).expect("written");
    let before = ask(&gateway.master_socket, "show proc");
    assert!(before.contains("[failed: 0]") || before.contains("<PID>"), "{before}");
    ask(&gateway.master_socket, "reload");
    let text = eventually("the VIP answers", Duration::from_secs(10), || {
        let mut stream = TcpStream::connect((vip, vip_port)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    });
    assert_eq!(text, "hello from the node");
    assert!(ask(&gateway.stats_socket, "show servers state mesh_test").contains(&node.to_string()));
    let mut health = TcpStream::connect(&gateway.foreign_address).expect("the foreign front end still listens");
    health.write_all(b"GET /up HTTP/1.0\r\n\r\n").expect("written");
    let mut answer = String::new();
    health.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let folder = gateway.config.parent().expect("it has one").to_owned();
    drop(gateway);
    eventually("master and workers are gone", Duration::from_secs(10), || {
        super::processes_of(&folder).is_empty().then_some(())
    });
}
