//! Names, ports and loopback addresses that nobody else has.
//!
//! A sandbox owns two /24 of the loopback network, `127.0.<2s>.0` for its nodes and `127.0.<2s+1>.0` for VIPs, so that
//! two sandboxes may use the same node ports. The claim on slot `s` is a bound socket: the kernel gives it up when the
//! owner dies, whatever way, and it holds between users who share no folder.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// Outside of the kernel's own choice (32768-60999) and of the node ports (30000-32767).
const SLOT_PORT: u16 = 61_917;
/// The host of `127.0.<2s>.0/24` on which the claim is bound; nodes start at 10.
const SLOT_HOST: u8 = 9;
const FIRST_NODE: u8 = 10;
/// `127.0.1.1` is the machine's own name on Debian.
const FIRST_VIP: u8 = 10;

/// A claim on two networks.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u8,
    next_vip: AtomicU32,
    _claim: TcpListener,
}

impl Slot {
    /// The lowest free slot; the first sandbox has nodes at 127.0.0.10-12 and VIPs from 127.0.1.10.
    pub(crate) fn claim() -> Result<Self> {
        for number in 0..127u8 {
            let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, number * 2, SLOT_HOST), SLOT_PORT);
            if let Ok(claim) = TcpListener::bind(address) {
                return Ok(Self { number, next_vip: AtomicU32::new(u32::from(FIRST_VIP)), _claim: claim });
            }
        }
        Err(Error::NotThere(
            "all 127 loopback networks are in use by sandboxes: stop one with `mesh sandbox down`".to_owned(),
        ))
    }

    /// The address of the node with this index (0, 1, 2).
    pub(crate) fn node(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.number * 2, FIRST_NODE + index)
    }

    /// A VIP that was not given out before.
    pub(crate) fn vip(&self) -> Result<Ipv4Addr> {
        let host = self.next_vip.fetch_add(1, Ordering::Relaxed);
        match u8::try_from(host) {
            Ok(host @ ..=254) => Ok(Ipv4Addr::new(127, 0, self.number * 2 + 1, host)),
            _ => Err(Error::NotThere("this sandbox has given out all its 245 VIPs".to_owned())),
        }
    }
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// The system has none.
pub fn free_port() -> Result<u16> {
    let address = (Ipv4Addr::LOCALHOST, 0);
    let bound = TcpListener::bind(address).and_then(|socket| socket.local_addr());
    crate::error::at("127.0.0.1:0", bound).map(|address| address.port())
}

/// Ten lower-case hexadecimal digits.
pub(crate) fn word() -> String {
    let mut word = secret();
    word.truncate(10);
    word
}

/// 128 random bits as lower-case hexadecimal digits.
pub(crate) fn secret() -> String {
    let mut bytes = [0u8; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => {}
        // Linux has answered this call since 3.17; without it no TLS library in this process works either.
        Err(error) => panic!("the system gives no random numbers: {error}"),
    }
    hex(&bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
