//! `data "mesh_artifact"`: a file from elsewhere, verified before anybody uses it.
//!
//! The one decision: a data source, since nothing is owned: it takes a file as it is, checks it and
//! keeps a copy in the cache under its digest, so that what was reviewed is what is used even when
//! the source changes meanwhile. It does not download: on an isolated site the file is there, and
//! elsewhere one `curl` brings it.

mod signature;
mod unpack;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ErrorKind, ProviderError, Services, async_trait};
use sha2::{Digest, Sha256};

use crate::Client;
use crate::files::{self, failed};

pub(crate) struct Artifact;

fn invalid(attribute: &'static str, detail: String) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, "The artifact cannot be verified", detail).at(attribute)
}

/// The local path of a source.
fn local(root: &Path, source: &str) -> Result<PathBuf, ProviderError> {
    let path = source.strip_prefix("file://").unwrap_or(source);
    if path.contains("://") {
        return Err(invalid(
            "source",
            format!("{source} is not a local file. Download it first (`curl -O`) and give its path."),
        ));
    }
    Ok(root.join(path))
}

/// Copies the source into the cache while hashing it; gives digest, size and the copy's path.
fn keep(source: &Path, cache: &Path) -> Result<(String, u64, PathBuf), ProviderError> {
    if !files::present(&std::fs::canonicalize(source).unwrap_or_else(|_| source.to_owned()))? {
        let detail = format!("There is no file {}. Put it there, or correct `source`.", source.display());
        return Err(ProviderError::new(ErrorKind::Missing, "The artifact is missing", detail).at("source"));
    }
    let folder = cache.join("artifacts");
    let copy = || -> std::io::Result<(String, u64, PathBuf)> {
        std::fs::create_dir_all(&folder)?;
        let mut input = std::fs::File::open(source)?;
        let mut output = tempfile::NamedTempFile::new_in(&folder)?;
        let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let n = input.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            output.write_all(&buffer[..n])?;
            size += n as u64;
        }
        let digest = mesh_x509::hex(&hasher.finalize());
        let name = source.file_name().map_or_else(|| "artifact".into(), ToOwned::to_owned);
        let kept = folder.join(&digest).join(name);
        std::fs::create_dir_all(folder.join(&digest))?;
        output.persist(&kept).map_err(|e| e.error)?;
        Ok((digest, size, kept))
    };
    copy().map_err(|e| failed("The artifact could not be copied", source, &e))
}

fn read(client: &Client, config: &Value) -> Result<Value, ProviderError> {
    let text = |name| config.get_str(name);
    let source = local(&client.root, text("source").unwrap_or_default())?;
    let signed = match (text("signature"), text("public_key")) {
        (Some(signature), Some(key)) => Some((local(&client.root, signature)?, key)),
        (None, None) if text("sha256").is_some() => None,
        (None, None) => {
            let detail = "Nothing says what the file must be. Give `sha256`, or `signature` and `public_key`.";
            return Err(invalid("sha256", detail.into()));
        }
        (Some(_), None) => return Err(invalid("public_key", "`signature` needs a `public_key`.".into())),
        (None, Some(_)) => return Err(invalid("signature", "`public_key` needs a `signature`.".into())),
    };
    let (digest, size, path) = keep(&source, &client.cache)?;
    if let Some(wanted) = text("sha256")
        && !wanted.trim().eq_ignore_ascii_case(&digest)
    {
        let detail = format!(
            "{} has the SHA-256 {digest}, expected is {}. It is another version or was changed: do not use it before \
             you know which.",
            source.display(),
            wanted.trim()
        );
        return Err(invalid("sha256", detail));
    }
    if let Some((signature, key)) = signed {
        let file = |path: &Path| std::fs::read(path).map_err(|e| failed("The file could not be read", path, &e));
        signature::verify(key, &file(&path)?, &file(&signature)?).map_err(|why| {
            let detail = format!("{} and its signature {}: {why}.", source.display(), signature.display());
            invalid("signature", detail)
        })?;
    }
    let extracted = match config.get("extract").and_then(Value::as_bool) {
        Some(true) => {
            let folder = unpack::unpack(&path).map_err(|why| {
                let detail = format!("{}: {why}.", source.display());
                ProviderError::new(ErrorKind::Invalid, "The artifact could not be extracted", detail).at("extract")
            })?;
            Value::string(folder.to_string_lossy())
        }
        _ => Value::null(Type::String),
    };
    Ok(config
        .with("path", Value::string(path.to_string_lossy()))
        .with("digest", Value::string(digest))
        .with("size", Value::number(i64::try_from(size).unwrap_or(i64::MAX)))
        .with("extracted_path", extracted))
}

#[async_trait]
impl DataSource<Client> for Artifact {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "mesh_artifact",
            version: 0,
            doc: "A file from elsewhere whose digest or signature is verified; as `openssl dgst -sha256 -verify` does. \
                  Others use the copy in the cache, which is named by its digest.",
            example: r#"data "mesh_artifact" "release" {
  source     = "release.tar.gz"
  signature  = "release.tar.gz.sig"
  public_key = file("release-key.pem")
  extract    = true
}"#,
            schema: Schema::of([
                Attribute::required(
                    "source",
                    Type::String,
                    "A local path or `file://` address; a relative path starts from the root module's folder.",
                ),
                Attribute::optional("sha256", Type::String, "The SHA-256 that it must have, hexadecimal."),
                Attribute::optional("signature", Type::String, "Path of its detached signature (DER) over SHA-256."),
                Attribute::optional(
                    "public_key",
                    Type::String,
                    "The signer's public key, PEM: ECDSA on P-256 or P-384, or RSA from 2048 bits.",
                ),
                Attribute::optional("extract", Type::Bool, "Whether to extract it; it must be a tar.gz then.")
                    .default(Value::bool(false)),
                Attribute::computed("path", Type::String, "The verified copy."),
                Attribute::computed("digest", Type::String, "Its SHA-256, hexadecimal."),
                Attribute::computed("size", Type::Number, "Its size in bytes."),
                Attribute::computed("extracted_path", Type::String, "The folder of its content; null unless asked."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, client: &Client, config: &Value, _services: &Services) -> Result<Value, ProviderError> {
        let (client, config) = (client.clone(), config.clone());
        tokio::task::spawn_blocking(move || read(&client, &config)).await.unwrap_or_else(|e| {
            Err(ProviderError::new(ErrorKind::Other, "The artifact could not be read", e.to_string()))
        })
    }
}
