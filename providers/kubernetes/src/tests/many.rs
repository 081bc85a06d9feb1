//! Five hundred objects: requests, and the time they take.

use std::time::Instant;

use futures::stream::{self, StreamExt as _};

use super::*;

const COUNT: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_config_maps_are_one_list() {
    let lab = Lab::new().await;
    let ns = lab.namespace("many").await;
    let mut lives: Vec<Life<'_>> = (0..COUNT)
        .map(|i| {
            lab.life(
                "kubernetes_manifest",
                json!({ "manifest": config_map(&ns, &format!("m{i}"), json!({"n": i.to_string()})) }),
            )
        })
        .collect();
    let rules = lab.provider.rules("kubernetes_manifest").expect("a type");
    let requests = |lives: &[Life<'_>]| -> Vec<ObserveRequest> {
        lives
            .iter()
            .map(|life| ObserveRequest {
                address: life.address(),
                ty: Arc::from("kubernetes_manifest"),
                identity: if let IdentityHint::Known(id) = rules.identity(&life.desired) { Some(id) } else { None },
                saved: life.saved.clone(),
                desired: life.saved.is_none().then(|| life.desired.clone()),
                private: None,
            })
            .collect()
    };
    let start = Instant::now();
    let before = lab.cluster().requests();
    assert!(lab.session.observe(requests(&lives)).await.iter().all(|o| matches!(o, Ok(Observation::Absent))));
    let looked = lab.cluster().requests() - before;
    let creates = stream::iter(lives.iter_mut().map(|life| {
        let after = life.desired.with("uid", Value::unknown(mesh_model::Type::String));
        life.operate(Operation::Create, None, Some(after), OnExisting::Fail)
    }));
    let outcomes: Vec<Outcome> = creates.buffer_unordered(crate::CONCURRENCY).collect().await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Applied { .. })));
    let created = start.elapsed();
    let sent = lab.cluster().requests() - before;

    let before = lab.cluster().requests();
    let start = Instant::now();
    let observed = lab.session.observe(requests(&lives)).await;
    let schema = &lab.provider.schema().resources["kubernetes_manifest"];
    for (life, seen) in lives.iter().zip(observed) {
        let Ok(Observation::Present(seen)) = seen else { panic!("{seen:?}") };
        let response = rules.plan(&PlanRequest {
            schema,
            saved: life.saved.as_ref(),
            observed: Some(&seen.values),
            desired: &life.desired,
            preview: None,
            fingerprinter: &lab.fingerprinter,
        });
        assert_eq!((response.verdict, response.needs_preview), (Verdict::NoOp, false));
    }
    let planned = start.elapsed();
    assert_eq!(lab.cluster().requests() - before, 1, "one LIST");
    // Discovery, if it was not asked yet, and one LIST; a look and an apply each.
    assert!(looked <= 2 && sent <= looked + 2 * COUNT as u64, "{looked} {sent}");
    use std::io::Write as _;
    let _ = writeln!(
        std::io::stderr(),
        "{COUNT} ConfigMaps: created in {created:?} with {sent} requests, planned without changes in {planned:?}"
    );
}
