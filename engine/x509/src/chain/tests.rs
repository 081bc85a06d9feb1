//! Chains made by the `openssl` command line, judged here and there.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `None` (and a line that says so) where there is no openssl.
    fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: the openssl command is not installed");
            }
            return None;
        }
        Some(Self { folder: tempfile::tempdir().expect("a temporary folder") })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn openssl(&self, arguments: &str) {
        let out = Command::new("openssl").args(arguments.split(' ')).current_dir(self.path()).output().expect("runs");
        assert!(out.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("was written")
    }

    fn key(&self, name: &str, algorithm: &str) {
        match algorithm.strip_prefix("rsa") {
            Some(bits) => {
                self.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {name}.key"))
            }
            None => {
                self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{algorithm} -out {name}.key"))
            }
        }
    }

    fn root(&self, name: &str, algorithm: &str, extensions: &str, digest: &str) {
        self.key(name, algorithm);
        self.openssl(&format!("req -new -key {name}.key -subj /C=DE/O=Example/CN={name} -out {name}.csr"));
        std::fs::write(self.path().join("ext"), extensions).expect("writes");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -signkey {name}.key {digest} -days 3650 -extfile ext -out {name}.pem"
        ));
    }

    fn request(&self, name: &str, algorithm: &str) {
        self.key(name, algorithm);
        self.openssl(&format!("req -new -key {name}.key -subj /O=cluster.local/CN={name} -out {name}.csr"));
    }

    fn sign(&self, name: &str, issuer: &str, extensions: &str, options: &str) {
        std::fs::write(self.path().join("ext"), extensions).expect("writes");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 365 {options} -extfile ext -out {name}.pem"
        ));
    }

    fn judge(&self, chain: &[&str], root: &str) -> ChainReport {
        let text: String = chain.iter().map(|n| self.read(&format!("{n}.pem"))).collect();
        self.judge_text(&text, root, 60)
    }

    fn judge_text(&self, chain: &str, root: &str, seconds: i64) -> ChainReport {
        verify_chain(&ChainRequest {
            csr_pem: &self.read("leaf.csr"),
            chain_pem: chain,
            root_pem: &self.read(&format!("{root}.pem")),
            now_unix: now() + seconds,
            previous_spki_sha256: None,
        })
    }

    /// Root R, intermediate I, request `leaf` signed by I.
    fn three(&self, algorithm: &str) {
        self.root("R", algorithm, CA, "-sha256");
        self.request("I", algorithm);
        self.sign("I", "R", CA, "-sha256");
        self.request("leaf", algorithm);
        self.sign("leaf", "I", &CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"), "-sha256");
    }
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_secs()).expect("fits")
}

#[track_caller]
fn one(report: &ChainReport, start: &str) {
    assert_eq!(report.problems.len(), 1, "{:#?}", report.problems);
    assert!(report.problems[0].starts_with(start), "{:#?}", report.problems);
}

#[test]
fn good_chains_of_every_algorithm_open_the_gate() {
    let Some(b) = Bench::new() else { return };
    for (algorithm, options) in [
        ("rsa2048", "-sha256"),
        ("rsa3072", "-sha384"),
        ("rsa4096", "-sha512"),
        ("P-256", "-sha256"),
        ("P-384", "-sha384"),
        ("P-384", "-sha256"),
        ("rsa2048", "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"),
    ] {
        b.root("R", algorithm, CA, options);
        b.request("leaf", algorithm);
        b.sign("leaf", "R", &CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"), options);
        let report = b.judge(&["leaf", "R"], "R");
        assert!(report.is_good(), "{algorithm} {options}: {:#?}", report.problems);
        b.openssl("verify -CAfile R.pem leaf.pem");
        assert_eq!(report.subject.as_deref(), Some("CN=leaf,O=cluster.local"));
        assert_eq!(report.issuer.as_deref(), Some("CN=R,O=Example,C=DE"));
        assert!(report.certificates[0].is_ca && report.certificates[0].pathlen == Some(0));
    }
}

#[test]
fn a_chain_with_text_between_the_blocks_and_a_reissued_root_is_good() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    std::fs::copy(b.path().join("R.pem"), b.path().join("old.pem")).expect("copies");
    std::fs::write(b.path().join("ext"), CA).expect("writes");
    b.openssl("x509 -req -in R.csr -signkey R.key -sha256 -days 4000 -extfile ext -out R.pem");
    assert_ne!(b.read("R.pem"), b.read("old.pem"));
    let text = format!("subject=x\n{}\r\n\n{}issuer=y\n{}", b.read("leaf.pem"), b.read("I.pem"), b.read("old.pem"));
    let report = b.judge_text(&text, "R", 60);
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(report.certificates.len(), 3);
}

#[test]
fn what_is_no_chain_is_refused() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    for (text, start) in [
        ("", "The chain is not readable: the text is empty"),
        ("hello", "The chain is not readable: the text has no PEM block"),
        ("-----BEGIN CERTIFICATE-----\nAAAA", "The chain is not readable: the PEM block"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "The chain is not readable: a certificate"),
    ] {
        one(&b.judge_text(text, "R", 60), start);
    }
}

#[test]
fn a_wrong_key_and_a_changed_request_are_told_apart() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    let chain: String = ["leaf", "I", "R"].iter().map(|n| b.read(&format!("{n}.pem"))).collect();
    let exported = parse_csr(&b.read("leaf.csr")).expect("parses");
    assert!(exported.signature_valid);
    b.request("leaf", "P-256");
    one(&b.judge_text(&chain, "R", 60), "Wrong key: no certificate of the chain has the public key of the CSR");
    let report = verify_chain(&ChainRequest {
        csr_pem: &b.read("leaf.csr"),
        chain_pem: &chain,
        root_pem: &b.read("R.pem"),
        now_unix: now(),
        previous_spki_sha256: Some(&exported.spki_sha256),
    });
    one(&report, "The CSR changed since the export: sign the new one");
}

#[test]
fn what_cannot_sign_is_refused() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    b.sign("leaf", "I", "subjectKeyIdentifier=hash\n", "-sha256");
    one(&b.judge(&["leaf", "I", "R"], "R"), "Not a CA certificate: \"CN=leaf,O=cluster.local\" lacks");
    b.sign("leaf", "I", "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature\n", "-sha256");
    one(
        &b.judge(&["leaf", "I", "R"], "R"),
        "\"CN=leaf,O=cluster.local\" may not sign certificates: its keyUsage lacks",
    );
    b.sign("leaf", "I", "basicConstraints=critical,CA:TRUE\n", "-sha256");
    one(
        &b.judge(&["leaf", "I", "R"], "R"),
        "\"CN=leaf,O=cluster.local\" may not sign certificates: it has no keyUsage",
    );
    b.sign("I", "R", &CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"), "-sha256");
    b.sign("leaf", "I", CA, "-sha256");
    one(&b.judge(&["leaf", "I", "R"], "R"), "Wrong pathlen: \"CN=I,O=cluster.local\" allows 0 authorities");
}

#[test]
fn order_and_root_are_checked() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    let right = "Wrong order: each certificate must be followed by the one that signed it. The right order is \
                 \"CN=leaf,O=cluster.local\", \"CN=I,O=cluster.local\", \"CN=R,O=Example,C=DE\".";
    one(&b.judge(&["R", "I", "leaf"], "R"), right);
    one(&b.judge(&["leaf", "R", "I"], "R"), right);
    one(&b.judge(&["I", "R", "leaf"], "R"), right);
    one(&b.judge(&["leaf", "I", "R", "R"], "R"), "The certificate \"CN=R,O=Example,C=DE\" stands in the chain twice");
    one(&b.judge(&["leaf", "I"], "R"), "The root is missing: the chain ends with \"CN=I,O=cluster.local\"; append");
    let report = b.judge(&["leaf", "R"], "R");
    one(&report, "The chain is broken: \"CN=leaf,O=cluster.local\" was issued by \"CN=I,O=cluster.local\"");
    b.root("F", "P-256", CA, "-sha256");
    one(&b.judge(&["leaf", "I", "R"], "F"), "Foreign root: the chain ends with \"CN=R,O=Example,C=DE\"");
    one(&b.judge(&["leaf"], "R"), "Foreign root: the chain ends with \"CN=leaf,O=cluster.local\"");
}

#[test]
fn a_bad_signature_is_refused() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    let good = parse_certificates(&b.read("leaf.pem")).expect("parses").remove(0);
    let mut der = good.der.clone();
    // A byte of the serial number: the names stay, the signature no longer fits.
    let at = der.windows(good.serial_der.len()).position(|w| w == good.serial_der).expect("has its serial number");
    der[at + good.serial_der.len() - 1] ^= 1;
    let bad = crate::pem::encode("CERTIFICATE", &der);
    let report = b.judge_text(&format!("{bad}{}{}", b.read("I.pem"), b.read("R.pem")), "R", 60);
    one(&report, "Bad signature: \"CN=leaf,O=cluster.local\" is not signed by \"CN=I,O=cluster.local\"");
    // Another authority of the same name.
    b.request("I", "P-256");
    b.sign("I", "R", CA, "-sha256");
    one(&b.judge(&["leaf", "I", "R"], "R"), "Bad signature: \"CN=leaf,O=cluster.local\"");
}

#[test]
fn time_is_checked_for_every_certificate() {
    let Some(b) = Bench::new() else { return };
    b.three("P-256");
    let chain: String = ["leaf", "I", "R"].iter().map(|n| b.read(&format!("{n}.pem"))).collect();
    let late = b.judge_text(&chain, "R", 400 * 86400);
    assert_eq!(late.problems.len(), 2, "{:#?}", late.problems);
    assert!(late.problems.iter().all(|p| p.starts_with("Expired: ")), "{:#?}", late.problems);
    let early = b.judge_text(&chain, "R", -86400);
    assert_eq!(early.problems.len(), 3, "{:#?}", early.problems);
    assert!(early.problems.iter().all(|p| p.starts_with("Not yet valid: ")), "{:#?}", early.problems);
}

/// What the issuing side makes is judged by openssl too.
#[test]
fn an_issued_intermediate_is_accepted_by_openssl() {
    use crate::{SignatureScheme, Template};
    let Some(b) = Bench::new() else { return };
    for (issuer_key, request_key, digest) in [("rsa3072", "P-384", "-sha256"), ("P-384", "rsa4096", "-sha384")] {
        b.root("R", issuer_key, CA, digest);
        b.request("leaf", request_key);
        let root = parse_certificates(&b.read("R.pem")).expect("parses").remove(0);
        let csr = parse_csr(&b.read("leaf.csr")).expect("parses");
        let template = Template {
            subject_der: csr.subject_der,
            spki_der: csr.spki_der,
            issuer_spki_der: root.spki_der.clone(),
            scheme: SignatureScheme::of_key(&root.spki_der).expect("a known key"),
            issuer: Some(root),
            serial: vec![0x11; 16],
            not_before_unix: now() - 60,
            not_after_unix: now() + 86400,
            pathlen: Some(0),
            is_ca: true,
        };
        let unsigned = template.to_be_signed().expect("builds");
        assert!(template.to_be_signed().expect("builds").assemble(&[1, 2, 3]).is_err());
        std::fs::write(b.path().join("tbs"), unsigned.bytes()).expect("writes");
        b.openssl(&format!("dgst {digest} -sign R.key -out sig tbs"));
        let issued = unsigned.assemble(&std::fs::read(b.path().join("sig")).expect("reads")).expect("assembles");
        std::fs::write(b.path().join("leaf.pem"), issued.pem()).expect("writes");
        b.openssl("verify -x509_strict -CAfile R.pem leaf.pem");
        let report = b.judge(&["leaf", "R"], "R");
        assert!(report.is_good(), "{:#?}", report.problems);
    }
}
