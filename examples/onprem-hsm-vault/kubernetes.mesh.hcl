# Requirements, the token reviewer, and the namespace of the control plane.

data "kubernetes_cluster" "this" {}

data "kubernetes_nodes" "ready" {
  lifecycle {
    postcondition {
      condition     = length(self.nodes) >= var.min_nodes
      error_message = "The cluster has ${length(self.nodes)} ready nodes; at least ${var.min_nodes} are required."
    }
  }
}

data "vault_health" "server" {
  lifecycle {
    postcondition {
      condition     = self.initialized && !self.sealed
      error_message = "Vault is sealed or not initialised. Unseal it first."
    }
  }
}

resource "kubernetes_manifest" "cluster_admin" {
  count = var.admin_user == null ? 0 : 1
  manifest = {
    apiVersion = "rbac.authorization.k8s.io/v1"
    kind       = "ClusterRoleBinding"
    metadata   = { name = "cluster-admin-binding" }
    roleRef    = { apiGroup = "rbac.authorization.k8s.io", kind = "ClusterRole", name = "cluster-admin" }
    subjects   = [{ apiGroup = "rbac.authorization.k8s.io", kind = "User", name = var.admin_user }]
  }
  lifecycle {
    on_existing = "adopt"
  }
}

resource "kubernetes_manifest" "reviewer_namespace" {
  manifest = {
    apiVersion = "v1"
    kind       = "Namespace"
    metadata   = { name = var.reviewer.namespace }
  }
  lifecycle {
    on_existing = var.adopt_reviewer_namespace ? "adopt" : "fail"
  }
}

resource "kubernetes_manifest" "tokenreview" {
  manifest = {
    apiVersion = "rbac.authorization.k8s.io/v1"
    kind       = "ClusterRoleBinding"
    metadata   = { name = "role-tokenreview-binding" }
    roleRef    = { apiGroup = "rbac.authorization.k8s.io", kind = "ClusterRole", name = "system:auth-delegator" }
    subjects = [{
      kind      = "ServiceAccount"
      name      = var.reviewer.service_account
      namespace = kubernetes_manifest.reviewer_namespace.manifest.metadata.name
    }]
  }
}

resource "kubernetes_service_account_token" "reviewer" {
  name            = "${var.reviewer.service_account}-token"
  namespace       = kubernetes_manifest.reviewer_namespace.manifest.metadata.name
  service_account = var.reviewer.service_account
}

resource "kubernetes_manifest" "istio_system" {
  manifest = {
    apiVersion = "v1"
    kind       = "Namespace"
    metadata   = { name = "istio-system" }
  }
}

resource "kubernetes_manifest" "vault_tls_cert" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "vault-tls-cert", namespace = kubernetes_manifest.istio_system.manifest.metadata.name }
    data       = { cert = file(var.vault_ca_file) }
  }
}
