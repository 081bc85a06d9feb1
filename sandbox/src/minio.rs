//! MinIO over TLS with one drive: a store that speaks S3, with conditional writes.
//!
//! Only for tests of state in buckets, so it is no part of a usual sandbox. A bucket is a folder of the drive.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certs;
use crate::error::{Error, Result, at};
use crate::folder::write_private;
use crate::http::Http;
use crate::process::{Launcher, Program, Server, run};
use crate::unique::{free_port, secret, word};

const LIMIT: Duration = Duration::from_secs(60);

/// A running MinIO; stopped when dropped.
pub struct Minio {
    /// `https://127.0.0.1:<port>`.
    pub address: String,
    /// The CA of its certificate (PEM).
    pub ca_file: PathBuf,
    /// The access key of its root account.
    pub access_key: String,
    secret_key: String,
    drive: PathBuf,
    server: Server,
}

impl Minio {
    /// The secret of the root account.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// A new bucket with a name that nobody else uses.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn bucket(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{}", word());
        let folder = self.drive.join(&name);
        at(&folder, std::fs::create_dir(&folder))?;
        Ok(name)
    }

    /// Temporary credentials of the root account that may only do what the statements of a policy (JSON) allow: the
    /// variables in which programs look for them.
    ///
    /// # Errors
    /// The store's own words.
    pub fn session(&self, statements: &str) -> Result<[(&'static str, String); 3]> {
        let policy = format!("Policy={{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
        let root = self.drive.with_file_name("root");
        write_private(&root, &format!("user = \"{}:{}\"\n", self.access_key, self.secret_key))?;
        let (ca, root) = (self.ca_file.display().to_string(), root.display().to_string());
        let given = [&self.address, "--cacert", &ca, "--config", &root, "--aws-sigv4", "aws:amz:us-east-1:sts"];
        let asked = ["Action=AssumeRole", "Version=2011-06-15", &policy].map(|part| ["--data-urlencode", part]);
        let answer = run(Path::new("curl"), &[&["-s"], &given[..], asked.as_flattened()].concat(), &[], &self.drive)?;
        let part = |tag: &str| {
            let rest = answer.split_once(&format!("<{tag}>")).map(|(_, rest)| rest);
            let found = rest.and_then(|rest| Some(rest.split_once("</")?.0.to_owned()));
            found.ok_or_else(|| Error::Answer { what: "AssumeRole".to_owned(), words: answer.clone() })
        };
        Ok([
            ("AWS_ACCESS_KEY_ID", part("AccessKeyId")?),
            ("AWS_SECRET_ACCESS_KEY", part("SecretAccessKey")?),
            ("AWS_SESSION_TOKEN", part("SessionToken")?),
        ])
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn start(minio: &Path, openssl: &Path, launcher: &Launcher, folder: &Path) -> Result<Self> {
        let made = certs::make(openssl, folder)?;
        let (drive, tls) = (folder.join("drive"), folder.join("certs"));
        for new in [&drive, &tls] {
            at(new, std::fs::create_dir(new))?;
        }
        for (from, to) in [(&made.serving, "public.crt"), (&made.serving_key, "private.key")] {
            at(from, std::fs::copy(from, tls.join(to)))?;
        }
        let port = free_port()?;
        let (access_key, secret_key) = ("sandbox".to_owned(), secret());
        let args = [
            "server".to_owned(),
            drive.display().to_string(),
            format!("--address=127.0.0.1:{port}"),
            format!("--certs-dir={}", tls.display()),
            "--quiet".to_owned(),
        ];
        let server = launcher.launch(Program {
            name: "minio",
            program: minio,
            args: args.map(OsString::from).into(),
            env: vec![
                ("MINIO_ROOT_USER", OsString::from(&access_key)),
                // Not an argument, which everybody on the machine could read.
                ("MINIO_ROOT_PASSWORD", OsString::from(&secret_key)),
                ("MINIO_BROWSER", "off".into()),
            ],
            folder,
            log: folder.join("minio.log"),
            inherit: false,
        })?;
        let (address, ca_file) = (format!("https://127.0.0.1:{port}"), made.ca);
        let http = Http::new(&address, &ca_file, ("Accept", "*/*".to_owned()))?;
        server.wait_until(LIMIT, || http.ok("/minio/health/ready"))?;
        Ok(Self { address, ca_file, access_key, secret_key, drive, server })
    }
}

impl fmt::Debug for Minio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minio").field("address", &self.address).finish_non_exhaustive()
    }
}
