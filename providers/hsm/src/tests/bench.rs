//! A token of its own for a test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mesh_model::snapshot::{Identity, Operation};
use mesh_model::{Address, Fingerprinter, Mode, ModulePath, Value};
use mesh_sdk::conformance::Case;
use mesh_sdk::{
    Observation, ObserveRequest, OnExisting, OperationRequest, Outcome, PlanRequest, PlanResponse, Provider,
    ProviderError, Services, Session,
};

use crate::{WorkerCommand, provider_with};

pub(super) const LIBRARY: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(super) const LABEL: &str = "mesh-test";
pub(super) const PIN: &str = "pin-canary-7391";

pub(super) struct Bench {
    folder: tempfile::TempDir,
    pub(super) provider: Arc<dyn Provider>,
}

/// `None` where SoftHSM or the tools are missing, with a line that says so.
pub(super) fn bench() -> Option<Bench> {
    let tools = ["softhsm2-util", "pkcs11-tool", "openssl"];
    let missing = tools.iter().find(|t| Command::new(t).arg("--version").output().is_err());
    if missing.is_some() || !Path::new(LIBRARY).exists() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: needs the Debian packages softhsm2, opensc and openssl");
        }
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).expect("makes the folder");
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    std::fs::write(folder.path().join("softhsm2.conf"), conf).expect("writes the configuration");
    // The shell writes the worker's process id down and becomes the worker.
    let binary = std::env::current_exe().expect("knows its own path");
    let script = format!(
        "echo $$ > {0}/pid; echo started >> {0}/starts; exec {1} --ignored --exact tests::worker_entry --nocapture",
        folder.path().display(),
        binary.display()
    );
    let command = WorkerCommand { program: PathBuf::from("/bin/sh"), args: vec!["-c".into(), script] };
    let bench = Bench { folder, provider: provider_with(command) };
    bench.init_token(LABEL);
    Some(bench)
}

impl Bench {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn conf(&self) -> String {
        self.path("softhsm2.conf").display().to_string()
    }

    pub(super) fn run(&self, program: &str, args: &[&str]) -> String {
        let out = Command::new(program)
            .args(args)
            .env("SOFTHSM2_CONF", self.conf())
            .current_dir(self.folder.path())
            .output()
            .expect("the program runs");
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{program} {args:?}: {text}");
        text
    }

    pub(super) fn init_token(&self, label: &str) {
        let args = ["--init-token", "--free", "--label", label, "--so-pin", "so-pin-1234", "--pin", PIN];
        self.run("softhsm2-util", &args);
    }

    /// `pkcs11-tool`, logged in; what another program would do to the token.
    pub(super) fn foreign(&self, args: &[&str]) -> String {
        let mut all = vec!["--module", LIBRARY, "--token-label", LABEL, "--login", "--pin", PIN];
        all.extend(args);
        self.run("pkcs11-tool", &all)
    }

    pub(super) fn openssl(&self, args: &str) {
        self.run("openssl", &args.split(' ').collect::<Vec<_>>());
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// A self-signed root `name.pem` with its key outside of the token.
    pub(super) fn root(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -subj /O=Example/CN={name} \
             -days 3650 -out {name}.pem"
        ));
    }

    pub(super) fn config(&self, pin: Option<&str>, more: &[(&'static str, Value)]) -> Value {
        let mut fields = vec![
            ("library", Value::string(LIBRARY)),
            ("token_label", Value::string(LABEL)),
            ("environment", Value::object([("SOFTHSM2_CONF", Value::string(self.conf()))])),
        ];
        fields.extend(pin.map(|p| ("pin", Value::string(p).sensitive())));
        fields.extend(more.iter().cloned());
        Value::object(fields)
    }

    pub(super) fn services(&self) -> Services {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Services {
            root: self.folder.path().to_owned(),
            cache: self.path("cache"),
            env: Arc::new(env),
            ..Services::default()
        }
    }

    pub(super) async fn configure(&self, config: &Value) -> Result<Arc<dyn Session>, ProviderError> {
        self.provider.configure(config, &self.services()).await
    }

    pub(super) async fn session(&self) -> Arc<dyn Session> {
        self.configure(&self.config(Some(PIN), &[])).await.expect("opens the token")
    }

    pub(super) async fn conform(&self, mut case: Case) {
        case.canary = Some(PIN);
        let session = self.session().await;
        mesh_sdk::conformance::run(&*self.provider, &*session, &case).await.expect("conforms");
    }

    /// Stops the worker as a library that hangs would, and waits until all its threads stand still.
    pub(super) async fn stop(&self) {
        let pid = self.read("pid").trim().to_owned();
        self.run("kill", &["-STOP", &pid]);
        let standing = || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("runs");
            threads.flatten().all(|t| std::fs::read_to_string(t.path().join("stat")).is_ok_and(|s| s.contains(") T ")))
        };
        while !standing() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(super) fn kill(&self) {
        self.run("kill", &["-KILL", self.read("pid").trim()]);
    }

    /// Waits until a worker is gone (or a zombie that the runtime has yet to collect).
    pub(super) async fn ended(&self, pid: &str) {
        for _ in 0..100 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the worker {pid} still runs");
    }

    pub(super) fn starts(&self) -> usize {
        self.read("starts").lines().count()
    }

    /// The configuration in the shape of the schema, with defaults.
    pub(super) fn shape(&self, ty: &str, config: &Value) -> Value {
        let schema = &self.provider.schema().resources[ty].schema;
        Value::object(schema.attributes.iter().map(|a| {
            let given = config.get(a.name).filter(|v| !v.is_null()).cloned();
            (a.name, given.or_else(|| a.default.clone()).unwrap_or_else(|| Value::null(a.ty.clone())))
        }))
    }

    pub(super) fn plan(
        &self,
        ty: &str,
        saved: Option<&Value>,
        observed: Option<&Value>,
        desired: &Value,
    ) -> PlanResponse {
        let fingerprinter = Fingerprinter::new([3; 32]);
        self.provider.rules(ty).expect("has rules").plan(&PlanRequest {
            schema: &self.provider.schema().resources[ty],
            saved,
            observed,
            desired,
            preview: None,
            fingerprinter: &fingerprinter,
        })
    }
}

pub(super) fn address(ty: &str) -> Address {
    Address { module: ModulePath::root(), mode: Mode::Managed, ty: ty.into(), name: "t".into(), key: None }
}

pub(super) fn look(
    ty: &str,
    identity: Option<Identity>,
    saved: Option<&Value>,
    desired: Option<&Value>,
) -> ObserveRequest {
    ObserveRequest {
        address: address(ty),
        ty: ty.into(),
        identity,
        saved: saved.cloned(),
        desired: desired.cloned(),
        private: None,
    }
}

pub(super) async fn observe(session: &dyn Session, request: ObserveRequest) -> Result<Observation, ProviderError> {
    session.observe(vec![request]).await.pop().expect("one answer")
}

pub(super) async fn create(session: &dyn Session, ty: &str, after: &Value, on_existing: OnExisting) -> Outcome {
    let request = OperationRequest {
        address: address(ty),
        ty: ty.into(),
        operation: Operation::Create,
        identity: None,
        before: None,
        after: Some(after.clone()),
        private: None,
        on_existing,
    };
    session.apply(vec![request]).await.pop().expect("one answer")
}

#[track_caller]
pub(super) fn applied(outcome: Outcome) -> (Value, Identity) {
    match outcome {
        Outcome::Applied { values, identity: Some(identity), .. } => (values, identity),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn rejected(outcome: Outcome) -> ProviderError {
    match outcome {
        Outcome::Rejected { error, .. } => error,
        other => panic!("{other:?}"),
    }
}
