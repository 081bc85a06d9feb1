//! What an operation costs, counted by the store: requests and bytes, no time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mesh_model::{Instance, Value};

use super::{Bed, locked};
use crate::conformance::sample;
use crate::remote::LOCK;
use crate::{Backend as _, Record, Summary};

const OPERATIONS: usize = 20;

/// Requests and bytes of a writer's operations on a state with `size` instances, one after the other; and of reading it.
async fn cost(size: usize) -> ([usize; 2], [usize; 2]) {
    let bed = Bed::new();
    let store = bed.store("s");
    let counted = || [store.requests.swap(0, Ordering::SeqCst), store.bytes.swap(0, Ordering::SeqCst)];
    let small = |n: usize| Record::Move { from: sample::address(n), to: sample::address(n + 1) };
    let writer = sample::lock(&bed.open("s")).await.expect("a lease");
    let values = Value::object([("id", Value::string("6f9619ff"))]);
    let instance = Arc::new(Instance { values, ..(*sample::instance(1)).clone() });
    let put = |n: usize| Record::Put { address: sample::address(n), deposed: None, instance: instance.clone() };
    // One entry, so that the numbers of those to come have as many digits at any size.
    writer.edit((0..size).map(|n| put(10_000_000 + n)).collect(), 0, Summary::default()).await.expect("edits");
    writer.record(None, put(1)).await.expect("records");
    counted();
    for n in 1..=OPERATIONS {
        let seq = writer.intend(sample::intent(5)).await.expect("an intent");
        writer.record(Some(seq), put(900)).await.expect("records");
        writer.record(None, small(n)).await.expect("moves");
    }
    let operations = counted();
    writer.release().await.expect("releases");
    let held = locked(&store.blobs)[LOCK].0.len();
    assert!(held < 300, "the lock is {held} bytes");
    let backend = bed.open("s");
    counted();
    assert_eq!(backend.snapshot().await.expect("reads").instances.len(), size + 2);
    (operations, counted())
}

#[tokio::test]
async fn an_operation_costs_the_same_at_any_size() {
    let (small, read_small) = cost(100).await;
    let (large, read_large) = cost(100_000).await;
    // A segment, and a look at whose state it is.
    assert_eq!(small[0], 3 * OPERATIONS * 2, "requests");
    assert_eq!(small, large, "requests and bytes at 100 and at 100,000 instances");
    // Keys, lock, head, state, the journal's names, its segments, and the head once more.
    assert_eq!(read_small[0], 6 + 2 + 3 * OPERATIONS);
    assert_eq!(read_small[0], read_large[0]);
}
