# What administrators of Kubernetes and Vault do once, so that the example itself needs neither of them:
# the rights of mesh's own user and token. Run it with administrators' credentials.

variable "kubeconfig" {
  description = "Path of an administrator's kubeconfig."
  type        = string
}

variable "vault_addr" {
  description = "Vault's address."
  type        = string
}

variable "vault_token" {
  description = "An administrator's token."
  type        = string
  sensitive   = true
}

variable "vault_ca_file" {
  description = "PEM file that authenticates Vault's certificate."
  type        = string
}

variable "cluster_suffix" {
  description = "As in the example."
  type        = string
  default     = "c1"
}

provider "kubernetes" {
  kubeconfig = var.kubeconfig
}

provider "vault" {
  address      = var.vault_addr
  token        = var.vault_token
  ca_cert_file = var.vault_ca_file
}

resource "kubernetes_manifests" "rights" {
  text = file("${path.module}/../credentials/kubernetes-rbac.yaml")
}

resource "vault_policy" "operator" {
  name   = "mesh-operator-${var.cluster_suffix}"
  policy = replace(file("${path.module}/../credentials/vault-policy.hcl"), "asm-c1", "asm-${var.cluster_suffix}")
}
