//! What state costs in files and in a store: `cargo bench -p mesh-state`.
//!
//! The one decision: plain lines with wall-clock times, bytes and requests for the numbers that the design promises
//! (reading and writing by size, one durable operation at several sizes, a concurrent apply), no framework. The store
//! is in memory, so its times are ours alone; every request adds the way to a real one.

#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use memory::Counting;
use mesh_model::snapshot::{Identity, Intent, Operation};
use mesh_model::{Address, Instance, Type, Value};
use mesh_state::remote::RemoteBackend;
use mesh_state::{Backend, LocalBackend, LockInfo, Outputs, Record, StateError, Summary, Writer};

fn address(n: usize) -> Address {
    format!("module.m[\"a\"].terraform_data.item[{n}]").parse().expect("an address")
}

fn values(n: usize) -> Value {
    Value::object([
        ("id", Value::string(format!("6f9619ff-8b86-d011-b42d-{n:012}"))),
        ("input", Value::string(format!("value of item {n}"))),
        ("output", Value::string(format!("value of item {n}"))),
        ("labels", Value::map(Type::String, [("app", Value::string("istiod"))].into_iter().collect())),
        ("triggers_replace", Value::null(Type::Dynamic)),
    ])
}

fn put(n: usize) -> Record {
    let instance = Instance {
        provider: "builtin".into(),
        schema_version: 0,
        values: values(n),
        identity: Some(Identity(format!("6f9619ff-8b86-d011-b42d-{n:012}").into())),
        target: None,
        dependencies: ["terraform_data.base".into(), "terraform_data.other".into()].into(),
        protected: false,
        create_before_destroy: false,
        tainted: false,
        adopted: false,
        kept: false,
        private: None,
    };
    Record::Put { address: address(n), deposed: None, instance: Arc::new(instance) }
}

fn intent(n: usize) -> Intent {
    Intent {
        address: address(n),
        operation: Operation::Create,
        provider: "builtin".into(),
        identity: None,
        planned: values(n).with("id", Value::unknown(Type::String)),
        dependencies: ["terraform_data.base".into()].into(),
        protected: false,
        kept: false,
    }
}

async fn lock(backend: &dyn Backend) -> Result<Arc<dyn Writer>, StateError> {
    Ok(backend.lock(LockInfo::new("bench", "me", "here"), Duration::ZERO).await?.into())
}

/// `count` creates, `lanes` of them in flight.
async fn creates(writer: &Arc<dyn Writer>, first: usize, count: usize, lanes: usize) -> Result<Duration, StateError> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for n in (first + lane..first + count).step_by(lanes) {
                    let seq = writer.intend(intent(n)).await?;
                    writer.record(Some(seq), put(n)).await?;
                }
                Ok::<(), StateError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a lane ends")?;
    }
    Ok(start.elapsed())
}

/// Peak resident memory in MiB, as the system counts it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) / 1024
}

/// Operations that are measured at each size.
const OPERATIONS: usize = 200;

/// All that is measured at one size, of a place that counts what it is given: requests and bytes.
async fn measure(
    name: &str,
    size: usize,
    open: &dyn Fn() -> Box<dyn Backend>,
    counted: &dyn Fn() -> (usize, u64),
) -> Result<(), StateError> {
    let backend = open();
    let writer = lock(&*backend).await?;
    creates(&writer, 0, size, 512).await?;
    let start = Instant::now();
    drop(writer.finish(Outputs::new(), Summary::default()).await?);
    let written = start.elapsed();
    drop((writer, backend));
    tokio::time::sleep(Duration::from_millis(300)).await;

    let fresh = open();
    let before = counted();
    let start = Instant::now();
    let snapshot = fresh.snapshot().await?;
    let (read, looks) = (start.elapsed(), counted().0 - before.0);
    assert_eq!(snapshot.instances.len(), size);
    drop(snapshot);
    let start = Instant::now();
    let writer = lock(&*fresh).await?;
    let locked = start.elapsed();
    creates(&writer, 10_000_000, 1, 1).await?;
    let before = counted();
    let one = creates(&writer, 10_000_001, OPERATIONS, 1).await? / (2 * OPERATIONS as u32);
    let after = counted();
    let per = |n: f64| n / (2 * OPERATIONS) as f64;
    let (requests, bytes) = (per((after.0 - before.0) as f64), per((after.1 - before.1) as f64));
    println!(
        "{name:<6} {size:>7} instances: finish {written:>8.1?}, read {read:>8.1?} ({looks} requests), lock after plan \
         {locked:>8.1?}, one durable entry {one:>7.1?}, {requests:.1} requests, {bytes:.0} bytes; peak {} MiB",
        peak(),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), StateError> {
    for size in [100, 1000, 10_000, 100_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mesh.state");
        let length = |name: &str| std::fs::metadata(folder.path().join(name)).map_or(0, |m| m.len());
        let counted = || (0, length("mesh.state.journal"));
        measure("files", size, &|| Box::new(LocalBackend::new(&path)), &counted).await?;
        println!("       {size:>7} instances are {:.1} MB", length("mesh.state") as f64 / 1e6);
    }
    for size in [100, 1000, 10_000, 100_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Counting::default());
        let keys = folder.path().join("mesh.state");
        let open = || -> Box<dyn Backend> { Box::new(RemoteBackend::new(store.clone(), &keys, None)) };
        measure("store", size, &open, &|| store.counted()).await?;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let backend = LocalBackend::new(folder.path().join("mesh.state"));
    let writer = lock(&backend).await?;
    for lanes in [1, 32] {
        let elapsed = creates(&writer, lanes * 10_000, 4000, lanes).await?;
        println!("   4000 creates (intent and result durable), {lanes} in flight: {elapsed:.1?}");
    }
    Ok(())
}
