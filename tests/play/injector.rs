//! istiod's injection webhook: answers admission reviews over TLS with a patch that labels the pod
//! with its revision and adds the proxy's container.

use std::process::Command;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::cluster::Cluster;

/// The most that is read of a request.
const LIMIT: usize = 4 << 20;

/// The running webhook.
pub(crate) struct Injector {
    ca_base64: String,
    revision: Arc<RwLock<String>>,
}

impl Injector {
    /// Listens on loopback with a certificate of its own.
    pub(crate) async fn start(port: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=istiod-ca -keyout ca.key -out ca.pem && \
             openssl req -new -newkey rsa:2048 -nodes -subj /CN=istiod -keyout key.pem -out csr.pem && \
             printf 'subjectAltName=IP:127.0.0.1' > ext && \
             openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem";
        let made =
            Command::new("sh").args(["-ec", script]).current_dir(folder.path()).output().map_err(|e| e.to_string())?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        let read = |name: &str| std::fs::read(folder.path().join(name)).map_err(|e| e.to_string());
        let ca_base64 = STANDARD.encode(read("ca.pem")?);
        let cert = CertificateDer::from_pem_slice(&read("cert.pem")?).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(&read("key.pem")?).map_err(|e| e.to_string())?;
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .map_err(|e| e.to_string())?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let revision = Arc::new(RwLock::new(String::new()));
        let current = revision.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let revision = current.read().unwrap_or_else(PoisonError::into_inner).clone();
                tokio::spawn(async move {
                    if let Ok(mut tls) = acceptor.accept(stream).await
                        && let Some(body) = request(&mut tls).await
                    {
                        let answer = review(&body, &revision).to_string();
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                            answer.len()
                        );
                        let _ = tls.write_all(head.as_bytes()).await;
                        let _ = tls.write_all(answer.as_bytes()).await;
                        let _ = tls.shutdown().await;
                    }
                });
            }
        });
        Ok(Self { ca_base64, revision })
    }

    /// Fills in the CA of every injector that was applied without it; `revision` is that of the
    /// istiod that is played.
    pub(crate) async fn publish(&self, cluster: &Cluster, revision: &str) {
        revision.clone_into(&mut self.revision.write().unwrap_or_else(PoisonError::into_inner));
        for (name, bundle) in cluster.injectors().await {
            if bundle.is_none_or(|b| STANDARD.encode(b) != self.ca_base64) {
                println!("injector: fills in caBundle of {name}");
                cluster.set_ca_bundle(&name, &self.ca_base64).await;
            }
        }
    }
}

/// The body of one HTTP/1.1 request.
async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length: usize = head.lines().find_map(|l| l.strip_prefix("content-length:"))?.trim().parse().ok()?;
            if length > LIMIT {
                return None;
            }
            if bytes.len() >= end + 4 + length {
                return Some(bytes[end + 4..end + 4 + length].to_vec());
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 && bytes.len() < LIMIT => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

/// Admits every pod, with the proxy of a revision injected.
fn review(body: &[u8], revision: &str) -> Value {
    let review: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let pod = &review["request"]["object"];
    let mut patch = Vec::new();
    if pod["metadata"]["labels"].is_null() {
        patch.push(json!({ "op": "add", "path": "/metadata/labels", "value": {} }));
    }
    patch.push(json!({ "op": "add", "path": "/metadata/labels/istio.io~1rev", "value": revision }));
    patch.push(
        json!({ "op": "add", "path": "/spec/containers/-", "value": { "name": "istio-proxy", "image": "proxyv2" } }),
    );
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": STANDARD.encode(Value::Array(patch).to_string()),
        }
    })
}
