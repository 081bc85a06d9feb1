//! Instances, intents and values for the cases.

use std::sync::Arc;
use std::time::Duration;

use mesh_model::snapshot::{Identity, Intent, Operation, StoredOutput};
use mesh_model::{Address, Fingerprinter, Instance, InstanceKey, Mode, ModulePath, Number, Type, Value};

use crate::{Backend, LockInfo, Outputs, Record, StateError, Writer};

pub(crate) fn address(n: usize) -> Address {
    Address {
        module: ModulePath::root().child("mesh", Some(InstanceKey::Key("a.\"b\"".into()))),
        mode: Mode::Managed,
        ty: "vault_policy".into(),
        name: "p".into(),
        key: Some(InstanceKey::Index(n as u64)),
    }
}

/// One value of every kind that may be stored.
pub(crate) fn values(n: usize) -> Value {
    let ports = Type::object([("port", Type::Number), ("name", Type::String)]);
    let port = Value::object([("name", Value::null(Type::String)), ("port", Value::number(15_012))]);
    let fingerprinter = Fingerprinter::new([7; 32]);
    let secret = Value::object([
        ("pin", Value::string("1234").sensitive()),
        ("none", Value::null(Type::String).sensitive()),
        ("mixed", Value::tuple(vec![Value::withheld(Type::String, fingerprinter.bytes(b"x"))]).sensitive()),
    ]);
    Value::object([
        ("name", Value::string(format!("policy-{n}\n\"quoted\" \u{e9}"))),
        ("count", Value::number(n)),
        ("ratio", Value::number("1.25".parse::<Number>().unwrap_or(Number::Int(0)))),
        ("big", Value::number(u64::MAX)),
        ("on", Value::bool(true)),
        ("nothing", Value::NULL),
        ("absent", Value::null(Type::list(Type::String))),
        ("tags", Value::set(Type::String, [Value::string("b"), Value::string("a")])),
        ("ports", Value::list(ports, vec![port.clone(), port])),
        ("labels", Value::map(Type::String, [("$", Value::string("not a tag"))].into_iter().collect())),
        ("dollar", Value::object([("$", Value::string("list")), ("v", Value::tuple(Vec::new()))])),
        ("secret", fingerprinter.withhold(&secret)),
    ])
}

pub(crate) fn instance(n: usize) -> Arc<Instance> {
    Arc::new(Instance {
        provider: "vault.eu".into(),
        schema_version: 3,
        values: values(n),
        identity: Some(Identity(format!("ns/policy-{n}").into())),
        target: Some("cluster-1".into()),
        dependencies: ["vault_mount.x".into(), "module.a.data.y.z".into()].into(),
        protected: n.is_multiple_of(2),
        create_before_destroy: n.is_multiple_of(3),
        tainted: n.is_multiple_of(5),
        adopted: n.is_multiple_of(7),
        kept: n.is_multiple_of(5),
        private: n.is_multiple_of(2).then(|| "{\"uid\":1}".into()),
    })
}

pub(crate) fn intent(n: usize) -> Intent {
    Intent {
        address: address(n),
        operation: Operation::Create,
        provider: "vault.eu".into(),
        identity: Some(Identity(format!("ns/policy-{n}").into())),
        planned: values(n).with("id", Value::unknown(Type::String)),
        dependencies: ["vault_mount.x".into()].into(),
        protected: true,
        kept: true,
    }
}

pub(crate) fn put(n: usize) -> Record {
    Record::Put { address: address(n), deposed: None, instance: instance(n) }
}

pub(crate) fn outputs(n: usize) -> Outputs {
    let output = StoredOutput { value: values(n), sensitive: false, sealed: None };
    let secret = Value::withheld(Type::String, Fingerprinter::new([7; 32]).bytes(b"out"));
    [
        ("out".into(), output),
        ("secret".into(), StoredOutput { value: secret, sensitive: true, sealed: Some("c2VhbGVk".into()) }),
    ]
    .into()
}

pub(crate) async fn lock(backend: &dyn Backend) -> Result<Box<dyn Writer>, StateError> {
    backend.lock(LockInfo::new("mesh apply", "ada", "host7"), Duration::from_secs(10)).await
}
