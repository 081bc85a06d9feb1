//! The container `hsm-plugin`: opens the token, finds the KEK, wraps istiod's signing request, and
//! checks chains against the root that was imported into the HSM.

use std::collections::BTreeMap;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use k8s_openapi::api::core::v1::Pod;
use mesh_provider_hsm::kms_format::{KekCipher, open_csr, seal_csr};

use crate::cluster::env;

/// An open session with the KEK.
pub(crate) struct Plugin {
    session: Session,
    kek: ObjectHandle,
    kek_id: String,
    root_pem: String,
}

impl Plugin {
    /// Opens the token that the pod's environment names; blocks.
    pub(crate) fn open(pod: &Pod, pin: &str) -> Result<Self, String> {
        let setting = |name: &str| env(pod, "hsm-plugin", name).ok_or_else(|| format!("the container has no {name}"));
        let (library, label, kek_id, ca_id) =
            (setting("P11_LIB")?, setting("P11_TOKEN")?, setting("HSM_KEK_ID")?, setting("HSM_CA_ID")?);
        let session = log_in(&library, &label, pin)?;
        let kek = single(
            &session,
            &[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Id(kek_id.clone().into_bytes())],
            "KEK",
        )?;
        let root = single(
            &session,
            &[Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Id(ca_id.into_bytes())],
            "root certificate",
        )?;
        let attributes = session.get_attributes(root, &[AttributeType::Value]).map_err(|e| e.to_string())?;
        let der = attributes
            .into_iter()
            .find_map(|a| if let Attribute::Value(v) = a { Some(v) } else { None })
            .ok_or("the root certificate has no value")?;
        let root_pem = mesh_x509::CertificateInfo::from_der(&der).map_err(|e| e.to_string())?.pem();
        Ok(Self { session, kek, kek_id, root_pem })
    }

    /// Makes a signing key and the wrapped request for it.
    pub(crate) fn request(&self) -> Result<BTreeMap<String, String>, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (key, csr) = (folder.path().join("key.pem"), folder.path().join("csr.pem"));
        let made = Command::new("openssl")
            .args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=cluster.local/CN=istiod-ca", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&csr)
            .output()
            .map_err(|e| e.to_string())?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        let csr = std::fs::read_to_string(csr).map_err(|e| e.to_string())?;
        let rng = aws_lc_rs::rand::SystemRandom::new();
        seal_csr(self, &self.kek_id, "csr-1", &csr, &mut |bytes| {
            aws_lc_rs::rand::SecureRandom::fill(&rng, bytes).map_err(|e| e.to_string())
        })
    }

    /// What is wrong with a chain for the wrapped request; empty when nothing is.
    pub(crate) fn problems(&self, request: &BTreeMap<String, String>, chain: &str) -> Vec<String> {
        let csr = match open_csr(self, request) {
            Ok(csr) => csr,
            Err(e) => return vec![e],
        };
        mesh_x509::verify_chain(&mesh_x509::ChainRequest {
            csr_pem: &csr,
            chain_pem: chain,
            root_pem: &self.root_pem,
            now_unix: jiff::Timestamp::now().as_second(),
            previous_spki_sha256: None,
        })
        .problems
    }
}

/// A session of a logged-in user.
fn log_in(library: &str, label: &str, pin: &str) -> Result<Session, String> {
    let module = Pkcs11::new(library).map_err(|e| e.to_string())?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(cryptoki::error::Error::Pkcs11(cryptoki::error::RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(e) => return Err(e.to_string()),
    }
    let slots = module.get_slots_with_initialized_token().map_err(|e| e.to_string())?;
    let slot = slots
        .into_iter()
        .find(|s| module.get_token_info(*s).is_ok_and(|t| t.label() == label))
        .ok_or_else(|| format!("no token is labelled {label:?}"))?;
    let session = module.open_rw_session(slot).map_err(|e| e.to_string())?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        Ok(()) | Err(cryptoki::error::Error::Pkcs11(cryptoki::error::RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(e) => Err(e.to_string()),
    }
}

/// Changes the label of a secret key.
pub(crate) fn relabel(library: &str, token: &str, pin_file: &str, id: &str, label: &str) -> Result<(), String> {
    let pin = std::fs::read_to_string(pin_file).map_err(|e| e.to_string())?;
    let session = log_in(library, token, pin.trim())?;
    let key =
        single(&session, &[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Id(id.as_bytes().to_vec())], "key")?;
    session.update_attributes(key, &[Attribute::Label(label.as_bytes().to_vec())]).map_err(|e| e.to_string())
}

fn single(session: &Session, template: &[Attribute], what: &str) -> Result<ObjectHandle, String> {
    match session.find_objects(template).map_err(|e| e.to_string())?.as_slice() {
        [one] => Ok(*one),
        found => Err(format!("{} objects are the {what}", found.len())),
    }
}

impl KekCipher for Plugin {
    fn encrypt(&self, iv: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let mut iv = iv.to_vec();
        let parameters = GcmParams::new(&mut iv, aad, 128.into()).map_err(|e| e.to_string())?;
        self.session.encrypt(&Mechanism::AesGcm(parameters), self.kek, plain).map_err(|e| e.to_string())
    }

    fn decrypt(&self, iv: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let mut iv = iv.to_vec();
        let parameters = GcmParams::new(&mut iv, aad, 128.into()).map_err(|e| e.to_string())?;
        self.session.decrypt(&Mechanism::AesGcm(parameters), self.kek, sealed).map_err(|e| e.to_string())
    }
}
