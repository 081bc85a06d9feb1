//! Artifacts that are verified with keys and signatures of the real openssl, and archives.

use std::path::Path;
use std::process::Command;

use mesh_model::Value;

use super::{session, text};

fn openssl(folder: &Path, args: &str) {
    let out = Command::new("openssl").args(args.split(' ')).current_dir(folder).output().expect("openssl runs");
    assert!(out.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&out.stderr));
}

fn archive(path: &Path, entries: &[(&str, Option<&str>)]) {
    let file = std::fs::File::create(path).expect("made");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    for (name, link) in entries {
        let mut header = tar::Header::new_gnu();
        // The name is set as bytes, since the builder itself refuses the bad ones.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        let body: &[u8] = if link.is_some() { b"" } else { b"content" };
        header.set_size(body.len() as u64);
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(link).expect("fits");
        }
        header.set_cksum();
        tar.append(&header, body).expect("added");
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("written");
}

fn config(entries: &[(&'static str, Value)]) -> Value {
    Value::object(entries.iter().cloned())
}

#[tokio::test]
async fn signatures_of_openssl_verify_and_others_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    std::fs::write(folder.path().join("a.bin"), "release").expect("written");
    std::fs::write(folder.path().join("b.bin"), "another").expect("written");
    for (name, key) in [
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        openssl(folder.path(), &format!("{key} -out {name}.key"));
        openssl(folder.path(), &format!("pkey -in {name}.key -pubout -out {name}.pub"));
        openssl(folder.path(), &format!("dgst -sha256 -sign {name}.key -out {name}.sig a.bin"));
    }
    let read = async |source: &str, key: &str, signature: &str| {
        let key = std::fs::read_to_string(folder.path().join(format!("{key}.pub"))).expect("read");
        let config = config(&[
            ("source", text(source)),
            ("signature", text(&format!("{signature}.sig"))),
            ("public_key", text(&key)),
        ]);
        session.read("mesh_artifact", &config).await
    };
    for key in ["p256", "p384", "rsa"] {
        let values = read("a.bin", key, key).await.expect("it verifies");
        let path = values.get_str("path").expect("given");
        assert_eq!(std::fs::read_to_string(path).expect("the copy"), "release");
        assert!(path.contains(values.get_str("digest").expect("given")));
        assert!(read("b.bin", key, key).await.is_err(), "another file");
    }
    assert!(read("a.bin", "p256", "p384").await.is_err(), "another key");
}

#[tokio::test]
async fn a_digest_is_checked_and_something_must_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    std::fs::write(folder.path().join("abc"), "abc").expect("written");
    let digest = "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let read = async |entries: &[(&'static str, Value)]| session.read("mesh_artifact", &config(entries)).await;
    let source = format!("file://{}", folder.path().join("abc").display());
    let values = read(&[("source", text(&source)), ("sha256", text(digest))]).await.expect("it fits");
    assert_eq!(values.get("size").and_then(Value::as_i64), Some(3));
    let why = async |entries: &[(&'static str, Value)]| read(entries).await.expect_err("refused").to_string();
    assert!(why(&[("source", text("abc")), ("sha256", text("00"))]).await.contains("expected is 00"));
    assert!(why(&[("source", text("abc"))]).await.contains("Nothing says"));
    assert!(why(&[("source", text("https://example.com/x")), ("sha256", text("00"))]).await.contains("Download"));
    assert!(why(&[("source", text("none")), ("sha256", text("00"))]).await.contains("no file"));
}

#[tokio::test]
async fn archives_are_extracted_and_may_not_leave_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    let extract = async |name: &str, entries: &[(&str, Option<&str>)]| {
        let path = folder.path().join(name);
        archive(&path, entries);
        let digest = crate::digest::sha256(&std::fs::read(&path).expect("read"));
        let config = config(&[("source", text(name)), ("sha256", text(&digest)), ("extract", Value::bool(true))]);
        session.read("mesh_artifact", &config).await
    };
    let good = [("chart/values.yaml", None), ("chart/link", Some("values.yaml"))];
    for _ in 0..2 {
        let values = extract("good.tgz", &good).await.expect("extracted");
        let content = Path::new(values.get_str("extracted_path").expect("given")).join("chart/link");
        assert_eq!(std::fs::read_to_string(content).expect("read"), "content");
    }
    for bad in [("../evil", None), ("/evil", None), ("a/link", Some("../../x")), ("link", Some("/etc/passwd"))] {
        let error = extract("bad.tgz", &[bad]).await.expect_err("refused");
        assert!(error.detail.contains("outside of its folder"), "{error}");
    }
    assert!(!folder.path().join("evil").exists() && !folder.path().join("cache/evil").exists());
}

#[tokio::test]
async fn a_chain_is_judged_and_its_absence_is_a_problem_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    let at = folder.path();
    openssl(at, "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=root -days 30");
    openssl(at, "req -new -newkey rsa:2048 -nodes -keyout ca.key -out csr.pem -subj /CN=istiod");
    std::fs::write(at.join("ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
        .expect("written");
    openssl(
        at,
        "x509 -req -in csr.pem -CA root.pem -CAkey root.key -CAcreateserial -days 9 -extfile ext -out good.pem",
    );
    openssl(at, "x509 -req -in csr.pem -CA root.pem -CAkey root.key -CAcreateserial -days 9 -out plain.pem");
    let file = |name: &str| std::fs::read_to_string(at.join(name)).expect("read");
    let judge = async |chain: Value| {
        let config =
            config(&[("csr_pem", text(&file("csr.pem"))), ("chain_pem", chain), ("root_pem", text(&file("root.pem")))]);
        session.read("mesh_certificate_chain", &config).await.expect("an answer")
    };
    let valid = |v: &Value| v.get("valid").and_then(Value::as_bool);
    let good = judge(text(&(file("good.pem") + &file("root.pem")))).await;
    assert_eq!(valid(&good), Some(true), "{good:?}");
    assert!(good.get_str("csr_sha256").is_some_and(|d| d.len() == 64));
    for bad in [Value::NULL, text(" \n"), text("garbage"), text(&(file("plain.pem") + &file("root.pem")))] {
        let judged = judge(bad).await;
        assert_eq!(valid(&judged), Some(false));
        assert!(judged.get("problems").and_then(Value::as_items).is_some_and(|p| !p.is_empty()));
    }
}

#[tokio::test]
async fn a_probe_names_what_does_not_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, session) = session(folder.path()).await;
    let open = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let (up, down) = (open.local_addr().expect("bound"), closed.local_addr().expect("bound"));
    drop(closed);
    let probe = async |targets: &[String]| {
        let targets = Value::strings(targets.iter().map(String::as_str));
        let config = config(&[("targets", targets), ("timeout", text("1s")), ("attempts", Value::number(2))]);
        session.read("mesh_tcp_probe", &config).await.expect("an answer")
    };
    let both = probe(&[up.to_string(), down.to_string()]).await;
    assert_eq!(both.get("reachable").and_then(Value::as_bool), Some(false));
    let failures = both.get("failures").and_then(Value::as_items).expect("given");
    assert!(failures.len() == 1 && failures[0].as_str().is_some_and(|f| f.starts_with(&down.to_string())));
    assert_eq!(probe(&[up.to_string()]).await.get("reachable").and_then(Value::as_bool), Some(true));
}
