//! Small instances and intents, for tests of what only one backend can suffer.

use std::sync::Arc;

use mesh_model::snapshot::{Intent, Operation};
use mesh_model::{Address, Instance, InstanceKey, Mode, ModulePath, Value};

use crate::Record;

/// `terraform_data.x[n]`.
pub fn address(n: usize) -> Address {
    Address {
        module: ModulePath::root(),
        mode: Mode::Managed,
        ty: "terraform_data".into(),
        name: "x".into(),
        key: Some(InstanceKey::Index(n as u64)),
    }
}

/// That instance `n` is there.
pub fn put(n: usize) -> Record {
    let instance = Instance {
        provider: "builtin".into(),
        schema_version: 0,
        values: Value::object([("n", Value::number(n))]),
        identity: None,
        target: None,
        dependencies: Arc::from([]),
        protected: false,
        create_before_destroy: false,
        tainted: false,
        adopted: false,
        kept: false,
        private: None,
    };
    Record::Put { address: address(n), deposed: None, instance: Arc::new(instance) }
}

/// That instance `n` is about to be made.
pub fn intent(n: usize) -> Intent {
    Intent {
        address: address(n),
        operation: Operation::Create,
        provider: "builtin".into(),
        identity: None,
        planned: Value::object([("n", Value::number(n))]),
        dependencies: Arc::from([]),
        protected: false,
        kept: false,
    }
}
