//! One writer at a time on a token, over all processes of this machine.
//!
//! The one decision: a worker whose program was killed still ends the call that it is in (cutting a token off could
//! leave half a key pair), so whoever comes next waits for it before it looks at the token: a key that is still being
//! made is not to be seen yet, and would be made twice. What is held is a name of the kernel's, which goes with the
//! process and lies on no disk. Another machine, or a container with a network of its own, is not waited for.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use crate::protocol::{Fault, FaultKind};

/// Between two tries. The program that asks has a time limit, and ends this process when it is over.
const PAUSE: Duration = Duration::from_millis(20);

/// Held while a token is written to.
pub(super) struct Alone {
    _name: UnixListener,
}

impl Alone {
    /// Waits until no other process writes to the token of this serial number.
    pub(super) fn on(serial: &str) -> Result<Self, Fault> {
        let fault = |e: std::io::Error| {
            let detail = format!("Whether another process writes to the token {serial} could not be found out: {e}.");
            Fault::new(FaultKind::Token, detail)
        };
        let name = SocketAddr::from_abstract_name(format!("mesh-hsm-writes-{serial}")).map_err(fault)?;
        loop {
            match UnixListener::bind_addr(&name) {
                Ok(name) => return Ok(Self { _name: name }),
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
                Err(e) => return Err(fault(e)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other() {
        let serial = format!("test-{}", std::process::id());
        let held = Alone::on(&serial).expect("nobody writes");
        drop(Alone::on(&format!("{serial}-b")).expect("another token"));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Alone::on(&serial).map(drop));
            std::thread::sleep(3 * PAUSE);
            assert!(!second.is_finished(), "it did not wait");
            drop(held);
            second.join().expect("ends").expect("it is free");
        });
    }
}
