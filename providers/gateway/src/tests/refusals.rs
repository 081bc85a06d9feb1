//! What is refused, and that nothing changes then.

use mesh_model::snapshot::Operation;
use mesh_model::{Type, Value};
use mesh_sdk::{ErrorKind, Outcome, Services, Verdict};

use super::haproxy::{Haproxy, back_ends, free_port, hear, vip};
use super::{Engine, TYPE, applied, balancer, rejected};

const NODES: [(&str, &str); 3] = [("n1", "127.0.0.10"), ("n2", "127.0.0.11"), ("n3", "127.0.0.12")];

#[tokio::test]
async fn a_failed_reload_keeps_the_old_configuration_and_says_why() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let port = free_port(&vip);
    let config = balancer("keep", &vip, &[("http2", port, node_port)], &NODES);
    let saved = engine.create(&config).await;
    let text = std::fs::read(haproxy.file("mesh-keep.cfg")).expect("ours");
    // An address of nobody's machine (RFC 5737): the check passes, only starting fails.
    let foreign = config.with("vip", Value::string("203.0.113.77"));
    let plan = engine.plan(Some(&saved), &foreign).await.expect("planned");
    let error = rejected(engine.apply(Operation::Update, Some(plan.before), Some(plan.after)).await);
    assert!(error.detail.contains("203.0.113.77") && error.detail.contains("ssign requested address"), "{error}");
    assert!(error.detail.contains("old configuration is back and loaded"), "{error}");
    assert_eq!(std::fs::read(haproxy.file("mesh-keep.cfg")).expect("ours"), text);
    assert!(hear(&vip, port).is_some(), "the old configuration serves");
    assert_eq!(engine.plan(Some(&saved), &config).await.expect("planned").verdict, Verdict::NoOp);
    // A first create that fails leaves no file.
    let first = balancer("first", "203.0.113.77", &[("http2", port, node_port)], &NODES);
    let planned = engine.plan(None, &first).await.expect("planned").after;
    rejected(engine.apply(Operation::Create, None, Some(planned)).await);
    assert!(!haproxy.file("mesh-first.cfg").exists());
}

#[tokio::test]
async fn what_haproxy_refuses_is_known_while_planning() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    // The site has a section of our name.
    std::fs::write(haproxy.file("site.cfg"), "frontend mesh_clash_http2\n    bind 127.0.0.1:1\n    balanced\n")
        .expect("written");
    let vip = vip();
    let config = balancer("clash", &vip, &[("http2", free_port(&vip), 1)], &NODES);
    let error = engine.plan(None, &config).await.expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Invalid);
    let place = haproxy.file("site.cfg").display().to_string();
    assert!(error.detail.contains("balanced") && error.detail.contains(&place), "{error}");
    assert!(!haproxy.file("mesh-clash.cfg").exists());
}

#[tokio::test]
async fn too_few_servers_are_reported_and_the_object_is_left() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let vip = vip();
    let closed = free_port("127.0.0.10");
    let config = balancer("down", &vip, &[("http2", free_port(&vip), closed)], &NODES)
        .with("ready_timeout", Value::string("1s"));
    let planned = engine.plan(None, &config).await.expect("planned").after;
    match engine.apply(Operation::Create, None, Some(planned)).await {
        Outcome::Rejected { error, left: Some(left) } => {
            assert_eq!(error.kind, ErrorKind::NotReady);
            assert!(error.detail.contains(&format!("n1 127.0.0.10:{closed}")), "{error}");
            assert!(left.values.get("config").is_some_and(|c| !c.is_null()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bad_node_list_does_not_empty_a_pool() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let (vip, node_port) = (vip(), back_ends());
    let ports = [("http2", free_port(&vip), node_port)];
    let saved = engine.create(&balancer("pool", &vip, &ports, &NODES)).await;
    let fewer = balancer("pool", &vip, &ports, &NODES[..1]);
    let error = engine.plan(Some(&saved), &fewer).await.expect_err("refused");
    assert!(error.detail.contains("2 of 3 nodes") && error.detail.contains("127.0.0.12"), "{error}");
    let forced = engine.apply(Operation::Update, Some(saved.clone()), Some(engine.shaped(&fewer))).await;
    assert_eq!(rejected(forced).kind, ErrorKind::Invalid);
    let allowed = fewer.with("max_remove_percent", Value::number(70));
    let plan = engine.plan(Some(&saved), &allowed).await.expect("allowed");
    let values = applied(engine.apply(Operation::Update, Some(plan.before), Some(plan.after)).await);
    assert_eq!(values.get("servers").and_then(Value::as_fields).map(|s| s.len()), Some(1));
}

#[tokio::test]
async fn a_file_without_our_header_is_not_ours() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    std::fs::write(haproxy.file("mesh-theirs.cfg"), "# by hand\n").expect("written");
    let vip = vip();
    let config = balancer("theirs", &vip, &[("http2", free_port(&vip), 1)], &NODES);
    assert_eq!(engine.plan(None, &config).await.expect_err("refused").kind, ErrorKind::Conflict);
    let desired = engine.shaped(&config);
    assert_eq!(rejected(engine.apply(Operation::Create, None, Some(desired)).await).kind, ErrorKind::Conflict);
    assert_eq!(std::fs::read_to_string(haproxy.file("mesh-theirs.cfg")).expect("read"), "# by hand\n");
}

#[test]
fn configurations_that_cannot_work_are_named() {
    let provider = crate::provider();
    let rules = provider.rules(TYPE).expect("rules");
    let good = balancer("a", "203.0.113.1", &[("http2", 80, 31380)], &NODES);
    let reasons = |config: &Value| rules.validate(config).len();
    assert_eq!(reasons(&good), 0);
    assert_eq!(reasons(&good.with("vip", Value::unknown(Type::String))), 0);
    assert_eq!(reasons(&good.with("vip", Value::string("10.0.0.1\n    server evil"))), 1);
    assert_eq!(reasons(&good.with("name", Value::string("a_b"))), 1);
    assert_eq!(reasons(&balancer("a", "10.0.0.1", &[("x", 80, 1), ("y y", 80, 0)], &[])), 5);
    assert_eq!(reasons(&good.with("min_up", Value::number(4))), 1);
    assert_eq!(reasons(&good.with("balance", Value::string("roundrobin\nx"))), 1);
}

#[tokio::test]
async fn a_stopped_haproxy_and_missing_paths_are_named() {
    let haproxy = Haproxy::start();
    let engine = Engine::new(&haproxy).await;
    let config = haproxy.config();
    let (folder, vip) = (haproxy.folder().to_owned(), vip());
    let services = Services { root: folder.clone(), ..Services::default() };
    let wrong = config.with("config_dir", Value::string("nowhere"));
    let error = engine.provider.configure(&wrong, &services).await.err().expect("refused");
    assert!(error.detail.contains("nowhere"), "{error}");
    let lost = config.with("stats_socket", Value::string("lost.sock"));
    let engine = Engine { session: engine.provider.configure(&lost, &services).await.expect("opened"), ..engine };
    let balancer = balancer("a", &vip, &[("http2", free_port(&vip), 1)], &NODES);
    let error = engine.plan(None, &balancer).await.expect_err("nobody answers");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.detail.contains("lost.sock"), "{error}");
}
