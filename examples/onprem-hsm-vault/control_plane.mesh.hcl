# The control plane is one input: a folder of manifests, or the stand-in beside this file.

data "mesh_artifact" "release" {
  count      = var.control_plane_archive == null ? 0 : 1
  source     = var.control_plane_archive.path
  signature  = var.control_plane_archive.signature
  public_key = var.control_plane_archive.public_key
}

locals {
  stand_in = join("\n---\n", [
    for name in sort(fileset("${path.module}/control-plane", "*.yaml")) :
    templatefile("${path.module}/control-plane/${name}", {
      revision             = var.revision
      replicas             = var.replicas
      images               = { for name, image in var.images : name => "${var.registry}/${image}" }
      pull_secret          = var.pull_secret
      pod_annotations      = var.pod_annotations
      webhook_url          = var.webhook_url
      gateway_service_type = var.lb_mode == "integrated" ? "LoadBalancer" : "NodePort"
      hsm = {
        library     = coalesce(var.hsm_library_for_pods, var.hsm_library)
        token_label = var.hsm_token_label
        kek_id      = var.kek_id
        ca_id       = var.root_ca_id
      }
      vault = {
        addr        = coalesce(var.vault_addr_for_pods, var.vault_addr)
        auth_path   = "auth/${local.secret_path}/login"
        role        = "istiod"
        secret_path = local.secret_path
      }
    })
  ])
  generated = var.control_plane_folder == null ? "" : join("\n---\n", [
    for name in sort(fileset(var.control_plane_folder, "**/*.{yaml,yml}")) : file("${var.control_plane_folder}/${name}")
  ])
}

resource "kubernetes_manifests" "control_plane" {
  text = var.control_plane_folder == null ? local.stand_in : local.generated
  # istiod logs in to Vault as soon as it starts, and opens the HSM right after that.
  depends_on = [
    hsm_secret_key.kek,
    hsm_certificate.root,
    vault_kv_secret.hsm,
    vault_kubernetes_auth_role.istiod,
    kubernetes_manifest.tokenreview,
    kubernetes_manifest.vault_tls_cert,
    data.mesh_artifact.release,
  ]
}

# The validation webhook calls the Service istiod; a revisioned install makes istiod-REVISION only.
# Its selector is the switch of the default revision.
resource "kubernetes_manifest" "istiod_service" {
  manifest = {
    apiVersion = "v1"
    kind       = "Service"
    metadata = {
      name      = "istiod"
      namespace = kubernetes_manifest.istio_system.manifest.metadata.name
      labels    = { "istio.io/rev" = var.revision, app = "istiod", istio = "pilot", release = "istio" }
    }
    spec = {
      ports = [
        { port = 15010, name = "grpc-xds", protocol = "TCP" },
        { port = 15012, name = "https-dns", protocol = "TCP" },
        { port = 443, name = "https-webhook", targetPort = 15017, protocol = "TCP" },
        { port = 15014, name = "http-monitoring", protocol = "TCP" },
      ]
      selector = { app = "istiod", "istio.io/rev" = var.revision }
    }
  }
}
