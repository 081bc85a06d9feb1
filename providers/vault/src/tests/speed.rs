//! How long a thousand objects take. It prints numbers and checks the outcome, not the time: a busy machine is no error.

use std::io::Write as _;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};

use super::*;

#[tokio::test]
async fn five_hundred_secrets_and_policies() {
    const N: usize = 500;
    let (root, session) = (foreign(server()).await, session(server().root_token()).await);
    let kv = sandbox().mount("kv");
    write(&root, &format!("sys/mounts/{kv}"), json!({"type": "kv"})).await;
    let given = |n: usize| match n % 2 {
        0 => (
            "vault_kv_secret",
            object([("mount", string(&kv)), ("name", string(&format!("s{n}"))), ("data", map(&[("PIN", "1234")]))]),
        ),
        _ => (
            "vault_policy",
            object([
                ("name", string(&format!("{kv}-{n}"))),
                ("policy", string("path \"a\" { capabilities = [\"read\"] }")),
            ]),
        ),
    };
    let mut instances: Vec<(Instance<'_>, Value)> = (0..2 * N)
        .map(|n| {
            let (ty, given) = given(n);
            let it = Instance::new(&*session, ty);
            let desired = it.shape(&given);
            (it, desired)
        })
        .collect();
    let look = async |instances: &[(Instance<'_>, Value)]| {
        let seen = session.observe(instances.iter().map(|(it, desired)| it.request(desired)).collect()).await;
        instances
            .iter()
            .zip(seen)
            .map(|((it, desired), seen)| match seen.expect("seen") {
                Observation::Absent => it.decide(None, desired),
                Observation::Present(seen) => it.decide(Some(&seen.values), desired),
            })
            .collect::<Vec<_>>()
    };
    let mut times = Vec::new();
    let mut at = Instant::now();
    let mut lap = |what: &str| {
        times.push(format!("{what} {:.3} s", at.elapsed().as_secs_f64()));
        at = Instant::now();
    };
    let plans = look(&instances).await;
    assert!(plans.iter().all(|p| p.verdict == Verdict::Create));
    lap("first plan");
    let operations: Vec<OperationRequest> =
        instances.iter().zip(&plans).map(|((it, _), plan)| it.operation(plan)).collect();
    let outcomes: Vec<Outcome> = stream::iter(operations)
        .map(|operation| async { session.apply(vec![operation]).await.pop().expect("one") })
        .buffered(crate::client::CONCURRENCY)
        .collect()
        .await;
    lap("create");
    for ((it, _), outcome) in instances.iter_mut().zip(outcomes) {
        it.keep(outcome).expect("created");
    }
    lap("fingerprints");
    let plans = look(&instances).await;
    assert!(
        plans.iter().all(|p| p.verdict == Verdict::NoOp),
        "{:?}",
        plans.iter().find(|p| p.verdict != Verdict::NoOp)
    );
    lap("plan without changes");
    let _ = writeln!(std::io::stderr(), "{N} secrets + {N} policies: {}", times.join(", "));
}
