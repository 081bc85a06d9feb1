//! The few calls to the API server that pods and kubelets make.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret, Service, ServiceAccount};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// Where the control plane lives.
pub(crate) const NAMESPACE: &str = "istio-system";

/// A connection with an administrator's credentials: kubelets and controllers have them, too.
pub(crate) struct Cluster {
    client: kube::Client,
}

impl Cluster {
    pub(crate) async fn connect(kubeconfig: &str) -> Result<Self, String> {
        let config = Kubeconfig::read_from(kubeconfig).map_err(|e| e.to_string())?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
            .await
            .map_err(|e| e.to_string())?;
        Ok(Self { client: kube::Client::try_from(config).map_err(|e| e.to_string())? })
    }

    /// Pods of istiod, of whichever revision.
    pub(crate) async fn istiod_pods(&self) -> Vec<Pod> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.list(&ListParams::default().labels("app=istiod")).await.map(|l| l.items).unwrap_or_default()
    }

    /// Services that have node ports.
    pub(crate) async fn node_port_services(&self) -> Vec<Service> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        let list = api.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        list.into_iter()
            .filter(|s| s.spec.iter().flat_map(|s| s.ports.iter().flatten()).any(|p| p.node_port.is_some()))
            .collect()
    }

    /// Names and internal addresses of the nodes.
    pub(crate) async fn nodes(&self) -> Vec<(String, String)> {
        let api: Api<Node> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
        list.into_iter()
            .filter_map(|n| {
                let addresses = n.status?.addresses?;
                let ip = addresses.into_iter().find(|a| a.type_ == "InternalIP")?.address;
                Some((n.metadata.name?, ip))
            })
            .collect()
    }

    /// What a volume of a ConfigMap shows.
    pub(crate) async fn config_map(&self, name: &str, key: &str) -> Option<String> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.get_opt(name).await.ok()??.data?.remove(key)
    }

    /// A Secret's entry, decoded.
    pub(crate) async fn secret(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.get_opt(name).await.ok()??.data?.remove(key).map(|b| b.0)
    }

    /// Writes a Secret as istiod does.
    pub(crate) async fn write_secret(&self, name: &str, entries: Value) -> Result<(), String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let body = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "istio.io/ca-csr", "stringData": entries });
        let parameters = PatchParams::apply("istiod").force();
        api.patch(name, &parameters, &Patch::Apply(body)).await.map(|_| ()).map_err(|e| e.to_string())
    }

    /// The token that the kubelet mounts for a pod's service account.
    pub(crate) async fn service_account_token(&self, name: &str) -> Result<String, String> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let answer =
            api.create_token_request(name, &PostParams::default(), &request).await.map_err(|e| e.to_string())?;
        answer.status.map(|s| s.token).ok_or_else(|| "no token".to_owned())
    }

    /// Says which containers of a pod are ready; `None`: all.
    pub(crate) async fn set_ready(&self, pod: &str, ready: Option<&str>) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let patch = json!({ "metadata": { "annotations": { mesh_sandbox::READY_ANNOTATION: ready } } });
        // A pod that went away meanwhile needs nothing any more.
        let _ = api.patch(pod, &PatchParams::default(), &Patch::Merge(patch)).await;
    }

    /// Injectors that were applied, with their `caBundle`.
    pub(crate) async fn injectors(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let list =
            api.list(&ListParams::default().labels("app=sidecar-injector")).await.map(|l| l.items).unwrap_or_default();
        list.into_iter()
            .filter_map(|w| {
                let hook = w.webhooks?.into_iter().next()?;
                hook.client_config.url.as_ref()?;
                Some((w.metadata.name?, hook.client_config.ca_bundle.map(|b| b.0)))
            })
            .collect()
    }

    /// Fills in `caBundle` as istiod does.
    pub(crate) async fn set_ca_bundle(&self, name: &str, pem_base64: &str) {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let patch: kube::core::params::Patch<Value> = Patch::Strategic(json!({
            "webhooks": [{ "name": "sidecar-injector.istio.io", "clientConfig": { "caBundle": pem_base64 } }]
        }));
        if let Err(e) = api
            .patch(name, &PatchParams { field_manager: Some("istiod".into()), ..PatchParams::default() }, &patch)
            .await
        {
            println!("injector: {e}");
        }
    }
}

/// The value of an environment variable of a container.
pub(crate) fn env(pod: &Pod, container: &str, name: &str) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.iter().find(|c| c.name == container)?.env.as_ref()?.iter().find(|e| e.name == name)?.value.clone()
}
