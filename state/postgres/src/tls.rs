//! TLS for the client library, through rustls.
//!
//! The one decision: a connector of our own, sixty lines, since the ready-made one brings a second library for
//! certificates along. It offers no channel binding: who needs to know the server uses `verify-full`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mesh_state::BadSetting;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// What of a server's certificate is checked.
pub(crate) enum Check<'a> {
    /// Nothing: the connection is hidden from those who listen, not from one who answers in the server's place.
    Nothing,
    /// All of it, with the CA certificates of this system.
    System,
    /// All of it, with those of a file.
    Against(&'a str),
}

/// Makes TLS connections.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// `own`: the files with the certificate that the server is shown, and with its key.
    pub(crate) fn new(check: Check<'_>, own: Option<(&str, &str)>) -> Result<Self, BadSetting> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |e: rustls::Error| BadSetting::all(format!("TLS cannot be used: {e}."));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match check {
            Check::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
            Check::System => builder.with_platform_verifier().map_err(unusable)?,
            Check::Against(file) => builder.with_root_certificates(roots(file)?),
        };
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("client_cert_file", certificate)?;
                // The library's own words may quote a piece of the key.
                let bad = |why: &str| BadSetting::of("client_key_file", format!("{key} cannot be used: {why}."));
                let read = PrivateKeyDer::from_pem_file(key).map_err(|_| bad("it holds no unencrypted key in PEM"))?;
                builder.with_client_auth_cert(chain, read).map_err(|_| bad("it is not the key of the certificate"))?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

/// What is in a file, which must be something.
fn certificates(setting: &'static str, file: &str) -> Result<Vec<CertificateDer<'static>>, BadSetting> {
    let bad = |why: &dyn std::fmt::Display| BadSetting::of(setting, format!("{file} cannot be used: {why}."));
    let read = CertificateDer::pem_file_iter(file).map_err(|e| bad(&e))?;
    let read = read.collect::<Result<Vec<_>, _>>().map_err(|e| bad(&e))?;
    if read.is_empty() { Err(bad(&"it holds no PEM certificate")) } else { Ok(read) }
}

fn roots(file: &str) -> Result<RootCertStore, BadSetting> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_cert_file", file)? {
        let bad = |e| BadSetting::of("ca_cert_file", format!("{file} cannot be used: {e}."));
        roots.add(certificate).map_err(bad)?;
    }
    Ok(roots)
}

/// Takes every certificate, as `prefer` and `require` mean it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Connect;
    type Error = Failure;

    fn make_tls_connect(&mut self, host: &str) -> Result<Connect, Failure> {
        Ok(Connect { config: self.0.clone(), host: ServerName::try_from(host.to_owned())? })
    }
}

/// One connection to a host.
pub(crate) struct Connect {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connect {
    type Stream = Stream<S>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Failure>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = tokio_rustls::TlsConnector::from(self.config);
            Ok(Stream(connector.connect(self.host, stream).await?))
        })
    }
}

/// An encrypted stream.
pub(crate) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
