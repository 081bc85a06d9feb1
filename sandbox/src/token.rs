//! SoftHSM tokens: any number, each with its own folder and configuration.
//!
//! One configuration per token, because SoftHSM reads `SOFTHSM2_CONF` once per process: a test that needs two tokens
//! in one process asks for both in one folder by calling twice with the same folder.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, at};
use crate::folder::write_private;
use crate::process::run;

/// Where Debian and others put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
];

/// An initialised token.
#[derive(Clone)]
pub struct SoftToken {
    /// For `SOFTHSM2_CONF`.
    pub conf_path: PathBuf,
    /// The PKCS#11 module.
    pub module_path: PathBuf,
    /// Its label.
    pub label: String,
    /// The user PIN, without a newline, mode 0600.
    pub pin_file: PathBuf,
    /// 16 characters, as `C_GetTokenInfo` gives it.
    pub serial: String,
}

impl fmt::Debug for SoftToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftToken").field("label", &self.label).field("serial", &self.serial).finish_non_exhaustive()
    }
}

pub(crate) fn module_path() -> Option<PathBuf> {
    MODULES.iter().map(PathBuf::from).find(|file| file.exists())
}

/// Makes a token in `folder` (created if needed).
pub(crate) fn make(
    util: &Path,
    module: PathBuf,
    folder: &Path,
    label: &str,
    so_pin: &str,
    pin: &str,
) -> Result<SoftToken> {
    let tokens = folder.join("tokens");
    at(&tokens, std::fs::create_dir_all(&tokens))?;
    let conf_path = folder.join("softhsm2.conf");
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    write_private(&conf_path, &conf)?;
    let env = [("SOFTHSM2_CONF", conf_path.as_path())];
    run(util, &["--init-token", "--free", "--label", label, "--so-pin", so_pin, "--pin", pin], &env, folder)?;
    let slots = run(util, &["--show-slots"], &env, folder)?;
    let serial = serial_of(&slots, label).ok_or_else(|| Error::Program {
        program: util.display().to_string(),
        words: format!("it made the token `{label}` and does not show it"),
    })?;
    let pin_file = folder.join(format!("{label}.pin"));
    write_private(&pin_file, pin)?;
    Ok(SoftToken { conf_path, module_path: module, label: label.to_owned(), pin_file, serial })
}

/// The serial number that stands in the same block as the label (`--show-slots` prints it before the label).
fn serial_of(slots: &str, label: &str) -> Option<String> {
    let mut serial = None;
    for line in slots.lines() {
        match line.trim().split_once(':') {
            Some(("Serial number", value)) => serial = Some(value.trim().to_owned()),
            Some(("Label", value)) if value.trim() == label => return serial,
            _ => {}
        }
    }
    None
}
