//! Data source `kubernetes_manifest_files`: manifests from files or a folder.
//!
//! Reading files is not for the rules of a resource, which are pure; so it is done here, and what was
//! read is a value of the plan like any other.

use std::path::{Path, PathBuf};

use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};
use mesh_sdk::{DataSource, ProviderError, Services, async_trait};
use sha2::{Digest as _, Sha256};

use crate::cluster::Cluster;
use crate::error::invalid;
use crate::secret::mark_manifest;
use crate::yaml::documents;

/// The data source.
pub(crate) struct ManifestFiles;

/// The manifests of a folder in the order of their names, folders below it left out.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, ProviderError> {
    let failed =
        |e: std::io::Error| invalid(format!("The folder {} cannot be read: {e}.", folder.display())).at("folder");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_manifest = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(
            invalid(format!("The folder {} holds no *.yaml, *.yml or *.json file.", folder.display())).at("folder")
        );
    }
    Ok(files)
}

#[async_trait]
impl DataSource<Cluster> for ManifestFiles {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            name: "kubernetes_manifest_files",
            version: 0,
            doc: "Objects of manifest files (multi-document YAML or JSON), for `kubernetes_manifests`. Paths are relative to the root module.",
            example: r#"data "kubernetes_manifest_files" "istio" {
  folder = "manifests/istio"
}"#,
            schema: Schema::of([
                Attribute::optional(
                    "folder",
                    Type::String,
                    "A folder: its *.yaml, *.yml and *.json files in the order of their names.",
                ),
                Attribute::optional("files", Type::list(Type::String), "Files, instead of `folder`."),
                Attribute::computed(
                    "documents",
                    Type::Dynamic,
                    "The objects, in order. Values of Secrets are sensitive.",
                ),
                Attribute::computed("sha256", Type::String, "SHA-256 over all texts, in hexadecimal digits."),
            ]),
            protected: false,
        }
    }

    async fn read(&self, _: &Cluster, config: &Value, services: &Services) -> Result<Value, ProviderError> {
        let files = match (config.get_str("folder"), config.get("files").and_then(Value::as_items)) {
            (Some(folder), None) => listed(&services.root.join(folder))?,
            (None, Some(files)) => files.iter().filter_map(Value::as_str).map(|f| services.root.join(f)).collect(),
            _ => return Err(invalid("Set `folder` or `files`, and not both.")),
        };
        let mut hash = Sha256::new();
        let mut objects = Vec::new();
        for file in files {
            let text = tokio::fs::read_to_string(&file)
                .await
                .map_err(|e| invalid(format!("The file {} cannot be read: {e}.", file.display())))?;
            hash.update(text.as_bytes());
            let more = documents(&text).map_err(|e| invalid(format!("{} is not valid YAML: {e}.", file.display())))?;
            objects.extend(more.iter().map(mark_manifest));
        }
        let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(config.with("documents", Value::tuple(objects)).with("sha256", Value::string(digest)))
    }

    fn mark(&self, values: Value) -> Value {
        match values.get("documents") {
            Some(documents) => values.with("documents", documents.map_children(&mark_manifest)),
            None => values,
        }
    }
}
