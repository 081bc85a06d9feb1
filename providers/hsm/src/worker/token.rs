//! The library, the token and the login.
//!
//! The one decision: a token is found by label (and serial number) on every start, never by slot,
//! since slot numbers change; and nothing is said about objects without a login, since a token
//! shows no private object then instead of refusing.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::protocol::{Fault, FaultKind, Secret, Token};

/// Vendor-defined user type of Luna's Crypto User.
const CRYPTO_USER: u32 = 0x8000_0001;

/// The open token.
pub(super) struct Holder {
    pkcs11: Pkcs11,
    slot: Slot,
    /// Read-only and kept for the whole life: logging out anywhere would log out everywhere.
    session: Session,
}

/// A PKCS#11 error in words: the function, the code, and what kind of failure it is.
pub(super) fn fault(error: &Error) -> Fault {
    let Error::Pkcs11(code, function) = error else {
        return Fault::new(FaultKind::Refused, format!("The PKCS#11 library said: {error}."));
    };
    let kind = match code {
        RvError::UserNotLoggedIn => FaultKind::NotLoggedIn,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => FaultKind::Pin,
        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::HostMemory
        | RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::CryptokiNotInitialized => FaultKind::Device,
        _ => FaultKind::Refused,
    };
    Fault::new(kind, format!("The PKCS#11 library said {} in {}.", code_name(code), function_name(*function)))
}

/// `PinIncorrect` is `CKR_PIN_INCORRECT`.
fn code_name(code: &RvError) -> String {
    let name = format!("{code:?}");
    name.chars().fold("CKR".to_owned(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
        out
    })
}

fn function_name(function: Function) -> String {
    format!("C_{function:?}")
}

fn serial_of(info: &TokenInfo) -> String {
    info.serial_number().trim().to_owned()
}

impl Holder {
    pub(super) fn open(library: &str, label: &str, serial: Option<&str>) -> Result<Self, Fault> {
        let broken = |e: &Error| {
            Fault::new(
                FaultKind::Library,
                format!("The PKCS#11 library {library} cannot be loaded or started: {}", fault(e).detail),
            )
        };
        let pkcs11 = Pkcs11::new(library).map_err(|e| broken(&e))?;
        match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(e) => return Err(broken(&e)),
        }
        let slot = resolve(&pkcs11, label, serial)?;
        let session = pkcs11.open_ro_session(slot).map_err(|e| fault(&e))?;
        Ok(Self { pkcs11, slot, session })
    }

    pub(super) fn facts(&self) -> Result<Token, Fault> {
        let info = self.info()?;
        let mechanisms = self.pkcs11.get_mechanism_list(self.slot).map_err(|e| fault(&e))?;
        let mut mechanisms: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
        mechanisms.sort();
        Ok(Token {
            label: info.label().to_owned(),
            serial: serial_of(&info),
            model: info.model().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            firmware: info.firmware_version().to_string(),
            hardware: info.hardware_version().to_string(),
            free_private_memory: info.free_private_memory().and_then(|n| u64::try_from(n).ok()),
            pin_initialized: info.user_pin_initialized(),
            pin_count_low: info.user_pin_count_low(),
            pin_final_try: info.user_pin_final_try(),
            pin_locked: info.user_pin_locked(),
            mechanisms,
        })
    }

    /// The serial number.
    pub(super) fn serial(&self) -> Result<String, Fault> {
        self.info().map(|info| serial_of(&info))
    }

    fn info(&self) -> Result<TokenInfo, Fault> {
        self.pkcs11.get_token_info(self.slot).map_err(|e| fault(&e))
    }

    /// Tries the PIN once, unless the token says that a failure would be the last or was.
    pub(super) fn login(&self, pin: &Secret, crypto_user: bool) -> Result<(), Fault> {
        let info = self.info()?;
        let refuse = |why: &str| Err(Fault::new(FaultKind::Pin, format!("The PIN was not tried: {why}")));
        if info.user_pin_locked() {
            return refuse("the user PIN of the token is locked; the security officer must reset it.");
        }
        if info.user_pin_final_try() {
            return refuse(
                "one more wrong PIN would lock the token. Log in once with the right PIN by another tool, or let the \
                 security officer reset it.",
            );
        }
        if !info.user_pin_initialized() {
            return refuse("the token has no user PIN yet; the security officer must set one.");
        }
        let user = if crypto_user { UserType::VendorExtension(CRYPTO_USER) } else { UserType::User };
        match self.session.login(user, Some(&AuthPin::new(pin.0.as_str().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(e) => Err(fault(&e)),
        }
    }

    /// The read-only session, proven logged in.
    pub(super) fn reading(&self) -> Result<&Session, Fault> {
        let info = self.session.get_session_info().map_err(|e| fault(&e))?;
        match info.session_state() {
            SessionState::RoUser | SessionState::RwUser => Ok(&self.session),
            _ => Err(Fault::new(
                FaultKind::NotLoggedIn,
                "There is no login, and a token hides its private objects without one: nothing can be said about them.",
            )),
        }
    }

    /// A session for one change.
    pub(super) fn writing(&self) -> Result<Session, Fault> {
        self.reading()?;
        self.pkcs11.open_rw_session(self.slot).map_err(|e| fault(&e))
    }
}

fn resolve(pkcs11: &Pkcs11, label: &str, serial: Option<&str>) -> Result<Slot, Fault> {
    let slots = pkcs11.get_slots_with_initialized_token().map_err(|e| fault(&e))?;
    let mut all = Vec::new();
    for slot in slots {
        let info = pkcs11.get_token_info(slot).map_err(|e| fault(&e))?;
        all.push((slot, info.label().to_owned(), info.serial_number().trim().to_owned()));
    }
    let fits: Vec<_> =
        all.iter().filter(|(_, l, s)| l == label && serial.is_none_or(|want| s == want.trim())).collect();
    if let [(slot, ..)] = fits.as_slice() {
        return Ok(*slot);
    }
    let list = |tokens: &mut dyn Iterator<Item = &(Slot, String, String)>| {
        let lines: Vec<String> = tokens.map(|(_, l, s)| format!("\"{l}\" (serial {s})")).collect();
        if lines.is_empty() { "none".to_owned() } else { lines.join(", ") }
    };
    let wanted = match serial {
        Some(serial) => format!("with the label \"{label}\" and the serial number {serial}"),
        None => format!("with the label \"{label}\""),
    };
    Err(Fault::new(
        FaultKind::Token,
        if fits.is_empty() {
            format!("There is no token {wanted}. The library shows: {}.", list(&mut all.iter()))
        } else {
            format!("{} tokens {wanted} exist: {}. Set token_serial.", fits.len(), list(&mut fits.into_iter()))
        },
    ))
}
