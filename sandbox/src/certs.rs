//! A server's own CA and certificate, the key of a cluster's service accounts, and certificates of clients.
//!
//! A CA of its own with a proper server certificate, and not the one that the apiserver makes for itself: that one is
//! a CA certificate, which rustls refuses for a server.

use std::path::{Path, PathBuf};

use crate::error::{Result, at};
use crate::process::run;

pub(crate) struct Certs {
    pub(crate) ca: PathBuf,
    pub(crate) ca_key: PathBuf,
    pub(crate) serving: PathBuf,
    pub(crate) serving_key: PathBuf,
    pub(crate) accounts_key: PathBuf,
}

/// A CA, a server on loopback and a client, for a test's own server.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The CA's certificate (PEM).
    pub ca: PathBuf,
    /// Certificate and key of the server.
    pub server: (PathBuf, PathBuf),
    /// Certificate and key of the client.
    pub client: (PathBuf, PathBuf),
}

impl Certificates {
    /// Makes them in a folder, with the `openssl` of the path.
    ///
    /// # Errors
    /// Its own words.
    pub fn new(folder: &Path) -> Result<Self> {
        let openssl = Path::new("openssl");
        let made = make(openssl, folder)?;
        Ok(Self { ca: made.ca, server: (made.serving, made.serving_key), client: client(openssl, folder, "client")? })
    }
}

/// Our own, so that the distribution's `openssl.cnf` decides nothing.
const CONFIG: &str = "\
[req]
distinguished_name = dn
prompt = no
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[serving]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, IP:10.96.0.1, DNS:localhost, DNS:kubernetes, DNS:kubernetes.default, \
DNS:kubernetes.default.svc, DNS:kubernetes.default.svc.cluster.local
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

const ISSUER: [&str; 4] = ["-CA", "ca.pem", "-CAkey", "ca.key"];

/// Makes a key and its certificate; `rest` says which.
fn certificate(openssl: &Path, folder: &Path, rest: &[&str]) -> Result<()> {
    let key =
        ["-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"];
    run(openssl, &[&["req", "-x509"], &key[..], rest].concat(), &[], folder).map(drop)
}

/// Makes a certificate for a client called `name` in a folder that [`make`] has filled; the certificate and its key.
pub(crate) fn client(openssl: &Path, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
    let (subject, out, keyout) = (format!("/CN={name}"), format!("{name}.pem"), format!("{name}.key"));
    let own = ["-subj", &*subject, "-extensions", "client", "-keyout", &*keyout, "-out", &*out];
    certificate(openssl, folder, &[&ISSUER[..], &own].concat())?;
    Ok((folder.join(out), folder.join(keyout)))
}

/// Makes all files in `folder`.
pub(crate) fn make(openssl: &Path, folder: &Path) -> Result<Certs> {
    let config = folder.join("openssl.cnf");
    at(&config, std::fs::write(&config, CONFIG))?;
    let ca = ["-subj", "/CN=sandbox-ca", "-extensions", "ca", "-keyout", "ca.key", "-out", "ca.pem"];
    certificate(openssl, folder, &ca)?;
    let serving =
        ["-subj", "/CN=kube-apiserver", "-extensions", "serving", "-keyout", "serving.key", "-out", "serving.pem"];
    certificate(openssl, folder, &[&ISSUER[..], &serving].concat())?;
    let accounts = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "accounts.key"];
    run(openssl, &accounts, &[], folder)?;
    Ok(Certs {
        ca: folder.join("ca.pem"),
        ca_key: folder.join("ca.key"),
        serving: folder.join("serving.pem"),
        serving_key: folder.join("serving.key"),
        accounts_key: folder.join("accounts.key"),
    })
}
