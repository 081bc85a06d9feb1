//! Against a real MinIO: one for the process, a bucket a test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use mesh_model::Value;
use mesh_sandbox::{Minio, Options, Part, Sandbox};
use mesh_state::remote::{Expected, RemoteBackend, Store as _, Version};
use mesh_state::{Backend, Settings, StateError, conformance};

use crate::S3Store;

#[expect(clippy::disallowed_methods, reason = "a test looks for servers where its user has them")]
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var(name).unwrap_or_default().into()
}

/// The store of this process; the kernel ends it with the process.
fn minio() -> &'static Minio {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| {
        let cache = mesh_sandbox::default_cache(Path::new(&variable("HOME")));
        let options = Options::temporary(cache, &variable("PATH"), [Part::Minio]);
        Sandbox::start(options, &|_: &mesh_sandbox::Event| {}).expect("a store starts")
    });
    sandbox.minio().expect("has a store")
}

/// Settings and an environment with the root account's credentials.
struct Given {
    values: Vec<(&'static str, Value)>,
    env: BTreeMap<String, String>,
}

impl Given {
    fn new(bucket: &str, prefix: &str) -> Self {
        let minio = minio();
        let values = [
            ("bucket", bucket),
            ("prefix", prefix),
            ("endpoint", &minio.address),
            ("ca_cert_file", &minio.ca_file.display().to_string()),
        ];
        let credentials = [("AWS_ACCESS_KEY_ID", &*minio.access_key), ("AWS_SECRET_ACCESS_KEY", minio.secret_key())];
        Self {
            values: values.map(|(k, v)| (k, Value::string(v))).into(),
            env: credentials.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.values.push((name, Value::string(value)));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn try_store(&self) -> Result<S3Store, mesh_state::BadSetting> {
        let values = Value::object(self.values.iter().map(|(k, v)| (*k, v.clone())));
        S3Store::new(&Settings::new(&values, &self.env))
    }

    fn store(&self) -> S3Store {
        self.try_store().expect("settings")
    }
}

fn bucket() -> String {
    minio().bucket("state").expect("a bucket")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite() {
    let (bucket, folder) = (bucket(), tempfile::tempdir().expect("a folder"));
    let open = |name: &str| -> Arc<dyn Backend> {
        let store = Given::new(&bucket, &format!("team/{name}")).store();
        Arc::new(RemoteBackend::new(Arc::new(store), folder.path().join(name), None))
    };
    conformance::run(&open).await.expect("every promise is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_written_over_what_was_seen_and_listed_beyond_a_page() {
    let store = Given::new(&bucket(), "p").store();
    assert!(store.get("head").await.expect("asks").is_none() && store.version("head").await.expect("asks").is_none());
    let first = store.put("head", b"1".to_vec(), Expected::Absent).await.expect("writes").expect("was absent");
    assert_eq!(store.put("head", b"2".to_vec(), Expected::Absent).await.expect("asks"), None);
    let second = store.put("head", b"2".to_vec(), Expected::Is(first.clone())).await.expect("writes").expect("was it");
    assert_eq!(store.put("head", b"3".to_vec(), Expected::Is(first)).await.expect("asks"), None);
    let gone = Expected::Is(Version("\"0123\"".into()));
    assert_eq!(store.put("nothing", b"3".to_vec(), gone).await.expect("asks"), None);
    let blob = store.get("head").await.expect("reads").expect("is there");
    assert_eq!((blob.bytes, blob.version.clone()), (b"2".to_vec(), second));
    assert_eq!(store.version("head").await.expect("reads"), Some(blob.version));
    for n in 0..1050 {
        let put = store.put(&format!("journal/{n:08}"), Vec::new(), Expected::Absent).await;
        put.expect("writes").expect("was absent");
    }
    let names = store.list("journal/").await.expect("lists");
    assert!(
        names.iter().eq((0..1050).map(|n| format!("journal/{n:08}")).collect::<Vec<_>>().iter()),
        "{}",
        names.len()
    );
    store.remove("head").await.expect("removes");
    store.remove("head").await.expect("is gone");
    assert!(store.get("head").await.expect("asks").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_at_once_one_wins() {
    let bucket = bucket();
    let writers = (0..12_u8).map(|n| {
        let store = Given::new(&bucket, "p").store();
        tokio::spawn(async move { store.put("segment", vec![n; 100], Expected::Absent).await })
    });
    let mut won = Vec::new();
    for (n, writer) in writers.collect::<Vec<_>>().into_iter().enumerate() {
        if writer.await.expect("ends").expect("an answer").is_some() {
            won.push(n);
        }
    }
    let blob = Given::new(&bucket, "p").store().get("segment").await.expect("reads").expect("is there");
    assert_eq!(won.iter().map(|n| vec![*n as u8; 100]).collect::<Vec<_>>(), [blob.bytes]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_place_the_reason_and_the_way_out() {
    let bucket = bucket();
    let unusable = |error: StateError, words: &[&str]| {
        let text = error.to_string();
        assert!(matches!(error, StateError::Unusable { .. }), "{text}");
        assert!(words.iter().all(|w| text.contains(w)) && !text.contains(minio().secret_key()), "{text}");
        assert!(!text.contains("X-Amz"), "what was signed is shown: {text}");
    };
    let store = Given::new("no-such-bucket", "p").store();
    for error in [store.get("head").await.err(), store.list("").await.err()] {
        unusable(error.expect("no bucket"), &["no-such-bucket", "NoSuchBucket", "Make the bucket"]);
    }
    let error = store.put("lock", Vec::new(), Expected::Absent).await.expect_err("no bucket");
    unusable(error, &["Make the bucket"]);
    let wrong = Given::new(&bucket, "p").variable("AWS_SECRET_ACCESS_KEY", "wrong-canary").store();
    unusable(wrong.get("head").await.expect_err("refused"), &["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"]);

    let read = format!(
        "{{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[\"arn:aws:s3:::{bucket}\",\"arn:aws:s3:::{bucket}/*\"]}}"
    );
    let mut given = Given::new(&bucket, "p");
    given.env.extend(minio().session(&read).expect("credentials").into_iter().map(|(k, v)| (k.to_owned(), v)));
    let reader = given.store();
    assert!(
        reader.get("head").await.expect("may read").is_none() && reader.list("").await.expect("may list").is_empty()
    );
    let error = reader.put("lock", Vec::new(), Expected::Absent).await.expect_err("may not write");
    unusable(error, &["AccessDenied", "s3:PutObject", "prefix p"]);

    let down = Given::new(&bucket, "p").with("endpoint", "https://127.0.0.1:1").store();
    let error = down.get("head").await.expect_err("nobody is there");
    assert!(matches!(&error, StateError::Io { .. }) && error.to_string().contains("onnect"), "{error}");
    let strange = Given { values: Given::new(&bucket, "p").values, ..Given::new(&bucket, "p") };
    let strange =
        Given { values: strange.values.into_iter().filter(|(k, _)| *k != "ca_cert_file").collect(), ..strange };
    let error = strange.store().get("head").await.expect_err("another CA");
    assert!(error.to_string().contains("ertificate"), "{error}");
}

#[test]
fn settings_that_cannot_be_used_say_which_and_why() {
    for (setting, value, words) in [
        ("bucket", "a/b", "not the name of a bucket"),
        ("bucket", "..", "not the name of a bucket"),
        ("prefix", "a/../b", "cannot be used"),
        ("endpoint", "ftp://x", "no address"),
        ("endpoint", "not a url", "no address"),
        ("endpoint", "https://ada:canary@h:99999", "no address"),
        ("endpoint", "https://ada:canary@h", "no password"),
        ("ca_cert_file", "/no/such/file", "/no/such/file"),
        ("access_key", "x", "go together"),
        ("session_token", "x", "goes with"),
    ] {
        let error = Given::new("bucket", "p").with(setting, value).try_store().err().expect(setting);
        assert!(error.setting == Some(setting) && error.why.contains(words), "{error:?}");
        assert!(!error.why.contains("canary"), "{error:?}");
    }
    let none = Given::new("bucket", "p").variable("AWS_ACCESS_KEY_ID", "").try_store().err().expect("no credentials");
    assert!(none.why.contains("AWS_SECRET_ACCESS_KEY"));
}
