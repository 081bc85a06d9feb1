# Where istiod gets the HSM's credentials from, and how Vault knows that it is istiod.

locals {
  secret_mount = "asm-${var.cluster_suffix}"
  secret_path  = "asm-${var.cluster_suffix}/hsm"
}

resource "vault_mount" "asm" {
  path          = local.secret_mount
  type          = "kv"
  version       = "1"
  max_lease_ttl = "87600h"
}

resource "vault_kv_secret" "hsm" {
  mount = vault_mount.asm.path
  name  = "hsm"
  data = {
    clientcert = var.hsm_client_cert
    clientkey  = var.hsm_client_key
    servercert = var.hsm_server_cert
    PIN        = var.hsm_pin
  }
  # Nothing is handed out before the token is known to take this PIN.
  depends_on = [data.hsm_token.partition]
}

resource "vault_policy" "hsm" {
  name   = "asm-${var.cluster_suffix}-hsm-policy"
  policy = <<-EOT
    path "${local.secret_path}" {
      capabilities = ["read"]
    }
  EOT
}

resource "vault_auth_backend" "kubernetes" {
  path = local.secret_path
  type = "kubernetes"
}

resource "vault_kubernetes_auth_config" "cluster" {
  backend            = vault_auth_backend.kubernetes.path
  kubernetes_host    = var.kubernetes_host_for_vault
  kubernetes_ca_cert = kubernetes_service_account_token.reviewer.ca_crt
  token_reviewer_jwt = kubernetes_service_account_token.reviewer.token
  # A reviewer that may not review makes every login fail.
  depends_on = [kubernetes_manifest.tokenreview]
}

resource "vault_kubernetes_auth_role" "istiod" {
  backend                          = vault_kubernetes_auth_config.cluster.backend
  name                             = "istiod"
  bound_service_account_names      = ["istiod-service-account"]
  bound_service_account_namespaces = ["istio-system"]
  token_policies                   = [vault_policy.hsm.name]
  token_ttl                        = "768h"
}
