//! Kubeconfig files: one user, one cluster, one context named `sandbox`.
//!
//! Tokens and not client certificates: Vault and tests need them as text anyway.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::Result;
use crate::folder::write_private;

/// Writes `<folder>/<user>.kubeconfig`. YAML readers take JSON.
pub(crate) fn write(folder: &Path, user: &str, url: &str, ca: &Path, token: &str) -> Result<PathBuf> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
    });
    let file = folder.join(format!("{user}.kubeconfig"));
    write_private(&file, &format!("{config:#}\n"))?;
    Ok(file)
}
