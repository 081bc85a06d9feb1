//! The conformance suite, traffic and drift.

use std::collections::BTreeSet;

use mesh_model::Value;
use mesh_model::snapshot::Operation;
use mesh_sdk::Verdict;
use mesh_sdk::conformance::{Case, run};

use super::haproxy::{Haproxy, back_ends, eventually, free_port, hear, vip};
use super::{Engine, TYPE, applied, balancer};

const NODES: [(&str, &str); 3] = [("n1", "127.0.0.10"), ("n2", "127.0.0.11"), ("n3", "127.0.0.12")];

#[tokio::test]
async fn the_type_keeps_the_promises_of_the_suite() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let ports = [("http2", free_port(&vip), node_port)];
    let first = balancer("suite", &vip, &ports, &NODES[..2]);
    let case = Case {
        updates: vec![
            balancer("suite", &vip, &[ports[0], ("status", free_port(&vip), node_port)], &NODES),
            first.with("balance", Value::string("leastconn")),
        ],
        replace: Some(balancer("other", &vip, &ports, &NODES)),
        ..Case::new(TYPE, first)
    };
    let foreign = std::fs::read(haproxy.folder().join("haproxy.cfg")).expect("read");
    if let Err(problem) = run(engine.provider.as_ref(), engine.session.as_ref(), &case).await {
        panic!("{problem}");
    }
    assert_eq!(std::fs::read(haproxy.folder().join("haproxy.cfg")).expect("read"), foreign, "never touched");
    assert_eq!(std::fs::read_dir(haproxy.folder().join("conf.d")).expect("listed").count(), 0, "nothing stays");
    assert!(hear(&vip, ports[0].1).is_none(), "nobody listens any more");
}

#[tokio::test]
async fn connections_through_the_vip_reach_every_node() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let port = free_port(&vip);
    let config = balancer("ingress", &vip, &[("http2", port, node_port)], &NODES).with("min_up", Value::number(3));
    let saved = engine.create(&config).await;
    let mut heard = BTreeSet::new();
    eventually("all nodes answered", || {
        heard.extend(hear(&vip, port));
        (heard.len() == 3).then_some(())
    });
    let servers = engine.session.read("gateway_servers", &Value::object([("name", Value::string("ingress"))])).await;
    let servers = servers.expect("read");
    let servers = servers.get("servers").and_then(Value::as_fields).expect("given");
    assert_eq!(servers.len(), 3);
    assert!(
        servers
            .iter()
            .all(|(k, s)| k.starts_with("mesh_ingress_http2/") && s.get("up").and_then(Value::as_bool) == Some(true))
    );
    applied(engine.apply(Operation::Delete, Some(saved), None).await);
}

#[tokio::test]
async fn foreign_changes_are_seen_named_and_repaired() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let port = free_port(&vip);
    let config = balancer("edge", &vip, &[("http2", port, node_port)], &NODES);
    let mut saved = engine.create(&config).await;
    assert_eq!(engine.plan(Some(&saved), &config).await.expect("planned").verdict, Verdict::NoOp);
    let file = haproxy.file("mesh-edge.cfg");
    let text = std::fs::read_to_string(&file).expect("ours");
    let disabled = || drop(haproxy.ask("set server mesh_edge_http2/n1 state maint"));
    let weighed = || drop(haproxy.ask("set server mesh_edge_http2/n2 weight 9"));
    let moved = || drop(haproxy.ask("set server mesh_edge_http2/n3 addr 127.0.0.9"));
    let edited = || std::fs::write(&file, text.replace("roundrobin", "source")).expect("written");
    let deleted = || std::fs::remove_file(&file).expect("removed");
    let changes: [(&dyn Fn(), &str); 5] =
        [(&disabled, "servers"), (&weighed, "servers"), (&moved, "servers"), (&edited, "config"), (&deleted, "config")];
    for (n, (change, attribute)) in changes.into_iter().enumerate() {
        change();
        let plan = engine.plan(Some(&saved), &config).await.expect("planned");
        assert_eq!(plan.verdict, Verdict::Update, "change {n}");
        let differs = |name| !plan.before.get(name).expect("given").same(plan.after.get(name).expect("given"));
        assert!(differs(attribute), "change {n} shows in {attribute}");
        assert_eq!(differs("servers"), attribute == "servers", "change {n} shows in nothing else");
        saved = applied(engine.apply(Operation::Update, Some(plan.before), Some(plan.after)).await);
        let again = engine.plan(Some(&saved), &config).await.expect("planned");
        assert_eq!(again.verdict, Verdict::NoOp, "after repair {n}: {:?}", again.before);
        assert_eq!(std::fs::read_to_string(&file).expect("ours"), text);
    }
}

#[tokio::test]
async fn a_file_that_was_never_loaded_is_not_taken_for_done() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let config = balancer("late", &vip, &[("http2", free_port(&vip), node_port)], &NODES);
    let planned = engine.plan(None, &config).await.expect("planned").after;
    // As after a crash between writing and reloading.
    std::fs::write(haproxy.file("mesh-late.cfg"), planned.get_str("config").expect("known")).expect("written");
    let plan = engine.plan(Some(&planned), &config).await.expect("planned");
    assert_eq!(plan.verdict, Verdict::Update);
    let saved = applied(engine.apply(Operation::Update, Some(plan.before), Some(plan.after)).await);
    // As after a crash of a delete: the file is gone, the sections still run.
    std::fs::remove_file(haproxy.file("mesh-late.cfg")).expect("removed");
    assert!(engine.observe(None, &config).await.expect("seen").is_some());
    applied(engine.apply(Operation::Delete, Some(saved), None).await);
    assert!(engine.observe(None, &config).await.expect("seen").is_none());
}
