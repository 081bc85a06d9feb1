//! What the local backend costs: `cargo bench -p mesh-state`.
//!
//! The one decision: plain wall-clock lines for the numbers that the design promises (reading and
//! writing by size, one durable operation at several sizes, a concurrent apply), no framework.

#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_model::snapshot::{Identity, Intent, Operation};
use mesh_model::{Address, Instance, Type, Value};
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

async fn lock(backend: &LocalBackend) -> Result<Arc<dyn Writer>, StateError> {
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

#[tokio::main]
async fn main() -> Result<(), StateError> {
    for size in [100, 10_000, 100_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let backend = LocalBackend::new(folder.path().join("mesh.state"));
        let writer = lock(&backend).await?;
        creates(&writer, 0, size, 512).await?;
        let start = Instant::now();
        let snapshot = writer.finish(Outputs::new(), Summary::default()).await?;
        let written = start.elapsed();
        drop((snapshot, writer));
        tokio::time::sleep(Duration::from_millis(300)).await;

        let bytes = std::fs::metadata(backend.path()).expect("a state").len();
        let fresh = LocalBackend::new(backend.path());
        let start = Instant::now();
        let snapshot = fresh.snapshot().await?;
        let read = start.elapsed();
        assert_eq!(snapshot.instances.len(), size);
        drop(snapshot);
        let start = Instant::now();
        let writer = lock(&fresh).await?;
        let locked = start.elapsed();
        let one = creates(&writer, size, 200, 1).await? / 400;
        println!(
            "{size:>7} instances, {:>6.1} MB: finish {written:>9.1?}, read {read:>9.1?}, lock after plan {locked:>9.1?}, \
             one durable entry {one:>7.1?}, peak {} MiB",
            bytes as f64 / 1e6,
            peak(),
        );
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
