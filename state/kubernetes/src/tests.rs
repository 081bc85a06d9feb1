//! Against a real API server: one for the process, a namespace a test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use mesh_model::Value;
use mesh_sandbox::{Options, Part, Sandbox};
use mesh_state::remote::{Expected, LOCK, RemoteBackend, Store as _, Version};
use mesh_state::{Backend, BadSetting, LockInfo, Settings, StateError, conformance};

use crate::KubernetesStore;
use crate::names::StateName;
use crate::pack::PART;

#[expect(clippy::disallowed_methods, reason = "a test looks for servers where its user has them")]
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var(name).unwrap_or_default().into()
}

/// The cluster of this process; the kernel ends it with the process.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache = mesh_sandbox::default_cache(Path::new(&variable("HOME")));
        let options = Options::temporary(cache, &variable("PATH"), [Part::Kubernetes]);
        Sandbox::start(options, &|_: &mesh_sandbox::Event| {}).expect("a cluster starts")
    })
}

fn kubeconfig(user: &str) -> String {
    sandbox().kubernetes().expect("has a cluster").kubeconfig(user).expect("a user").display().to_string()
}

fn try_store(settings: &[(&'static str, &str)]) -> Result<KubernetesStore, BadSetting> {
    let values = Value::object(settings.iter().map(|(k, v)| (*k, Value::string(*v))));
    KubernetesStore::new(&Settings::new(&values, &BTreeMap::new()))
}

fn store_of(user: &str, namespace: &str, name: &str) -> KubernetesStore {
    try_store(&[("namespace", namespace), ("name", name), ("kubeconfig", &kubeconfig(user))]).expect("settings")
}

async fn client() -> Client {
    store_of("admin", "default", "x").client().await.expect("connects")
}

async fn namespace() -> String {
    let name = sandbox().namespace("state");
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client().await).create(&PostParams::default(), &namespace).await.expect("a namespace");
    name
}

/// What does not become smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut x = 88_172_645_463_325_252_u64;
    let next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite() {
    let (namespace, folder) = (namespace().await, tempfile::tempdir().expect("a folder"));
    let open = |name: &str| -> Arc<dyn Backend> {
        let store = store_of("admin", &namespace, name);
        Arc::new(RemoteBackend::new(Arc::new(store), folder.path().join(name), None))
    };
    conformance::run(&open).await.expect("every promise is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_every_size_are_written_over_what_was_seen() {
    let namespace = namespace().await;
    let store = store_of("admin", &namespace, "sizes");
    let secrets: Api<Secret> = Api::namespaced(client().await, &namespace);
    let count = async || secrets.list(&ListParams::default()).await.expect("lists").items.len();
    assert!(store.get("head").await.expect("asks").is_none() && store.version("head").await.expect("asks").is_none());
    let (small, large) = (b"1".to_vec(), noise(3 * PART));
    let first = store.put("head", small.clone(), Expected::Absent).await.expect("writes").expect("was absent");
    assert_eq!(store.put("head", large.clone(), Expected::Absent).await.expect("asks"), None);
    assert_eq!(count().await, 1, "the parts of a write that came too late are taken away");
    let second = store.put("head", large.clone(), Expected::Is(first.clone())).await.expect("writes").expect("was it");
    assert_eq!(store.put("head", small.clone(), Expected::Is(first)).await.expect("asks"), None);
    let blob = store.get("head").await.expect("reads").expect("is there");
    assert!(blob.bytes == large && blob.version == second);
    assert_eq!(store.version("head").await.expect("reads"), Some(second.clone()));
    let parts = count().await;
    assert!(parts > 3, "{parts} Secrets");
    let third = store.put("head", noise(2 * PART), Expected::Is(second)).await.expect("writes").expect("was it");
    assert_eq!(count().await, parts - 1, "the old parts are gone");
    store.put("head", small, Expected::Is(third)).await.expect("writes").expect("was it");
    assert_eq!(count().await, 1);
    assert_eq!(store.put("nothing", Vec::new(), Expected::Is(Version("1".into()))).await.expect("asks"), None);

    for name in ["states/1-a", "journal/1-2/00000000", "journal/1-2/00000001", "journal/2-3/00000000"] {
        store.put(name, noise(PART + 1), Expected::Absent).await.expect("writes").expect("was absent");
    }
    let other = store_of("admin", &namespace, "size");
    other.put("states/9-z", Vec::new(), Expected::Absent).await.expect("writes").expect("was absent");
    assert_eq!(store.list("journal/1-2/").await.expect("lists"), ["journal/1-2/00000000", "journal/1-2/00000001"]);
    assert_eq!(store.list("journal/").await.expect("lists").len(), 3);
    assert_eq!(store.list("states/").await.expect("lists"), ["states/1-a"]);
    assert_eq!(store.list("").await.expect("lists").len(), 5);
    for name in store.list("").await.expect("lists") {
        store.remove(&name).await.expect("removes");
        store.remove(&name).await.expect("is gone");
    }
    assert_eq!(count().await, 1, "only the other state is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_writing_or_the_other_and_never_a_mixture() {
    let namespace = namespace().await;
    let writer = store_of("admin", &namespace, "race");
    let made = |n: u8| [vec![n], noise(2 * PART)].concat();
    let mut version = writer.put("head", made(0), Expected::Absent).await.expect("writes").expect("was absent");
    let reader = store_of("admin", &namespace, "race");
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&12) {
            let blob = reader.get("head").await.expect("reads").expect("is there");
            assert!(blob.bytes[1..] == noise(2 * PART)[..], "a mixture");
            seen.push(blob.bytes[0]);
        }
        seen
    });
    for n in 1..=12 {
        version = writer.put("head", made(n), Expected::Is(version)).await.expect("writes").expect("was it");
    }
    let seen = reading.await.expect("every read is whole");
    assert!(seen.is_sorted(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_writer_that_died_are_taken_away_and_a_lost_part_is_an_error() {
    let namespace = namespace().await;
    let store = store_of("admin", &namespace, "parts");
    let (secrets, state): (Api<Secret>, _) =
        (Api::namespaced(client().await, &namespace), StateName::new("parts").expect("a name"));
    let orphan = Secret {
        metadata: ObjectMeta {
            name: Some(state.part("dead", 0)),
            labels: Some(state.labels_of_part()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &orphan).await.expect("an orphan");
    store.put("states/1-a", noise(2 * PART), Expected::Absent).await.expect("writes").expect("was absent");
    let there = async |name: &str| secrets.get_opt(name).await.expect("asks").is_some();
    assert!(there("mesh-state-part.parts.dead.0").await, "it may be somebody's who is about to name it");
    let late = Timestamp::now().checked_add(Duration::from_secs(2 * 3600)).expect("a time");
    let written = ObjectMeta { creation_timestamp: Some(Time(late)), ..ObjectMeta::default() };
    store.sweep(&written).await.expect("sweeps");
    assert!(!there("mesh-state-part.parts.dead.0").await);
    assert!(store.get("states/1-a").await.expect("reads").is_some(), "what is named stays");

    let all = secrets.list(&ListParams::default()).await.expect("lists").items;
    let part = all.iter().filter_map(|s| s.metadata.name.as_deref()).find(|n| n.starts_with("mesh-state-part."));
    secrets.delete(part.expect("a part"), &DeleteParams::default()).await.expect("deletes");
    let error = store.get("states/1-a").await.expect_err("a part is missing");
    assert!(matches!(&error, StateError::Corrupt { .. }) && error.to_string().contains("backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_is_a_lease_that_shows_its_holder() {
    let (namespace, folder) = (namespace().await, tempfile::tempdir().expect("a folder"));
    let open =
        || RemoteBackend::new(Arc::new(store_of("admin", &namespace, "prod")), folder.path().join("mesh.state"), None);
    let backend = open();
    let writer = backend.lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::ZERO).await.expect("locks");
    let leases: Api<Lease> = Api::namespaced(client().await, &namespace);
    let lease = leases.get("mesh-state.prod.lock").await.expect("a Lease").spec.expect("a spec");
    let holder = lease.holder_identity.expect("a holder");
    assert!(holder.starts_with("ada@host7 (mesh apply, process "), "{holder}");
    assert!(lease.lease_duration_seconds.is_some_and(|s| (50..=60).contains(&s)) && lease.lease_transitions == Some(1));
    assert!(lease.acquire_time.is_some() && lease.renew_time.is_some());
    writer.release().await.expect("releases");
    let lease = leases.get("mesh-state.prod.lock").await.expect("a Lease").spec.expect("a spec");
    assert!(lease.holder_identity.is_none() && lease.renew_time.is_none());
    let labelled = ListParams::default().labels("mesh.state/name=prod");
    assert_eq!(leases.list(&labelled).await.expect("lists").items.len(), 1);
    let store = store_of("admin", &namespace, "prod");
    assert_eq!(store.list("").await.expect("lists").iter().filter(|n| *n == LOCK).count(), 1);
    store.remove(LOCK).await.expect("removes");
    store.remove(LOCK).await.expect("is gone");
    assert!(backend.lock_info().await.expect("looks").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_place_the_reason_and_the_way_out() {
    let unusable = |error: StateError, words: &[&str]| {
        let text = error.to_string();
        assert!(matches!(error, StateError::Unusable { .. }), "{text}");
        assert!(words.iter().all(|w| text.contains(w)), "{text}");
    };
    let nowhere = store_of("admin", "no-such-namespace", "prod");
    assert!(nowhere.get("head").await.expect("an empty state").is_none());
    for name in ["head", LOCK] {
        let error = nowhere.put(name, b"{}".to_vec(), Expected::Absent).await.expect_err("no namespace");
        unusable(error, &["no-such-namespace", "kubectl create namespace no-such-namespace"]);
    }
    let namespace = namespace().await;
    let powerless = store_of("operator", &namespace, "prod");
    unusable(powerless.get("head").await.expect_err("may not"), &["forbidden", "operator", "Grant", &namespace]);
    unusable(powerless.list("states/").await.expect_err("may not"), &["Grant the account"]);
    let error = powerless.put(LOCK, b"{}".to_vec(), Expected::Absent).await.expect_err("may not");
    unusable(error, &["leases.coordination.k8s.io"]);

    let folder = tempfile::tempdir().expect("a folder");
    let edited = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(kubeconfig("admin")).expect("reads");
        assert!(text.contains(from), "{text}");
        let file = folder.path().join(name);
        std::fs::write(&file, text.replace(from, to)).expect("writes");
        file.display().to_string()
    };
    let settings = |file: &str| try_store(&[("namespace", &namespace), ("kubeconfig", file)]).expect("settings");
    let token = settings(&edited("token", "\"token\": \"", "\"token\": \"x"));
    unusable(token.get("head").await.expect_err("another token"), &["credentials that are valid now"]);
    let down = settings(&edited("down", "https://127.0.0.1:", "https://127.0.0.1:1/"));
    let error = down.get("head").await.expect_err("nobody is there");
    assert!(matches!(&error, StateError::Io { .. }), "{error}");
}

#[test]
fn settings_that_cannot_be_used_say_which_and_why() {
    let file = kubeconfig("admin");
    let namespace = ("namespace", "ns");
    for (settings, setting, words) in [
        (vec![("kubeconfig", &*file)], Some("namespace"), "must name the namespace"),
        (vec![namespace], None, "Set kubeconfig"),
        (vec![namespace, ("kubeconfig", "/no/such/file")], Some("kubeconfig"), "/no/such/file"),
        (vec![namespace, ("kubeconfig", &file), ("context", "other")], Some("context"), "no context \"other\""),
        (vec![namespace, ("kubeconfig", &file), ("name", "A.b")], Some("name"), "DNS label"),
    ] {
        let error = try_store(&settings).err().expect("refused");
        assert!(error.setting == setting && error.why.contains(words), "{error:?}");
    }
}
