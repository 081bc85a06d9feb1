//! Data sources: one file each, one row each.

use mesh_sdk::DataSource;

use crate::cluster::Cluster;

mod cluster;
mod manifest_files;
mod nodes;
mod resource;
mod resources;
mod service;

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn DataSource<Cluster>>> {
    vec![
        Box::new(resource::Resource),
        Box::new(resources::Resources),
        Box::new(nodes::Nodes),
        Box::new(cluster::ClusterInfo),
        Box::new(service::Service),
        Box::new(manifest_files::ManifestFiles),
    ]
}
