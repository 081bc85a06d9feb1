//! Resource types: one file each, one row each.

use mesh_sdk::Resource;

use crate::cluster::Cluster;

mod annotations;
mod fields;
mod labels;
pub(crate) mod manifest;
mod manifests;
mod metadata;
mod rollout_restart;
mod service_account_token;
mod set;
mod wait;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Resource<Cluster>>> {
    vec![
        Box::new(manifest::Manifest),
        Box::new(manifests::Manifests),
        Box::new(labels::Labels),
        Box::new(annotations::Annotations),
        Box::new(fields::FieldsOf),
        Box::new(rollout_restart::RolloutRestart),
        Box::new(service_account_token::ServiceAccountToken),
        Box::new(wait::Wait),
    ]
}

/// For tests: the objects of an attribute, and the attribute of a configuration.
#[cfg(test)]
pub(crate) fn set_of(value: Option<&mesh_model::Value>) -> set::Objects {
    set::from_value(value)
}

#[cfg(test)]
pub(crate) fn objects_of(values: &mesh_model::Value) -> mesh_model::Value {
    set::to_value(&set::objects(values).expect("a set"))
}
