//! The container `discovery`, and the pod as a whole: not ready before a chain for its own key is
//! there that ends in the imported root.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::{Cluster, env};
use crate::hsm_plugin::Plugin;
use crate::vault_client;

const CSR_SECRET: &str = "istio-ca-cert-csr";
const CSR_KEYS: [&str; 4] = ["kek-id", "encrypted-dek", "csr-id", "encrypted-csr"];

/// How far a pod has come.
#[derive(Default)]
struct Progress {
    plugin: Option<Plugin>,
    ready: bool,
    said: String,
}

/// The pods that are played.
#[derive(Default)]
pub(crate) struct Discovery {
    pods: HashMap<String, Progress>,
    /// The revision that the pods say they are.
    pub(crate) revision: String,
}

impl Discovery {
    pub(crate) async fn tick(&mut self, cluster: &Cluster) {
        let pods = cluster.istiod_pods().await;
        let names: Vec<&String> = pods.iter().filter_map(|p| p.metadata.name.as_ref()).collect();
        self.pods.retain(|name, _| names.contains(&name));
        for pod in &pods {
            let Some(name) = pod.metadata.name.clone() else { continue };
            if let Some(revision) = env(pod, "discovery", "REVISION") {
                self.revision = revision;
            }
            let progress = self.pods.entry(name.clone()).or_default();
            if progress.ready {
                continue;
            }
            if let Err(e) = step(cluster, pod, &name, progress).await
                && progress.said != e
            {
                println!("{name}: {e}");
                progress.said = e;
            }
        }
    }
}

async fn step(cluster: &Cluster, pod: &Pod, name: &str, progress: &mut Progress) -> Result<(), String> {
    if progress.plugin.is_none() {
        cluster.set_ready(name, Some("")).await;
        let credentials = vault_client::fetch(cluster, pod).await?;
        println!("{name}: vault-client has the HSM's credentials");
        progress.plugin = Some(Plugin::open(pod, &credentials.pin)?);
        println!("{name}: hsm-plugin has found the KEK");
        cluster.set_ready(name, Some("hsm-plugin,vault-client")).await;
    }
    let Some(plugin) = &progress.plugin else { return Ok(()) };
    let mut request = BTreeMap::new();
    for key in CSR_KEYS {
        if let Some(bytes) = cluster.secret(CSR_SECRET, key).await {
            request.insert(key.to_owned(), String::from_utf8(bytes).map_err(|e| e.to_string())?);
        }
    }
    if request.len() < CSR_KEYS.len() {
        request = plugin.request()?;
        cluster.write_secret(CSR_SECRET, serde_json::json!(request)).await?;
        println!("{name}: discovery has written {CSR_SECRET}");
    }
    let Some(chain) = cluster.secret("istio-ca-cert", "cert-chain.pem").await else {
        return Err("waits until the CA certificate secret istio-system.istio-ca-cert can be loaded".to_owned());
    };
    let chain = String::from_utf8(chain).map_err(|e| e.to_string())?;
    let problems = plugin.problems(&request, &chain);
    if !problems.is_empty() {
        return Err(format!("the chain in istio-ca-cert is refused: {}", problems.join("; ")));
    }
    cluster.set_ready(name, None).await;
    progress.ready = true;
    println!("{name}: discovery is ready, its chain ends in the imported root");
    Ok(())
}
