# What a real site must give. Everything that has no default is asked for.

variable "cluster_suffix" {
  description = "Short name of the cluster; part of Vault's paths and names (asm-SUFFIX/hsm)."
  type        = string
  default     = "c1"
  validation {
    condition     = can(regex("^[a-z0-9-]+$", var.cluster_suffix))
    error_message = "Use lower-case letters, digits and dashes only: Vault's policy names are lower-case."
  }
}

# --- Kubernetes ---------------------------------------------------------------------------------

variable "kubeconfig" {
  description = "Path of the kubeconfig that mesh uses; its user needs no more than credentials/kubernetes-rbac.yaml grants."
  type        = string
}

variable "kube_context" {
  description = "Context in the kubeconfig; null takes the current one. This is a context's name, not a cluster's."
  type        = string
  default     = null
}

variable "kubernetes_host_for_vault" {
  description = "Address of the API server as Vault reaches it, for example https://10.0.0.5:6443."
  type        = string
}

variable "min_nodes" {
  description = "Ready nodes that the cluster must have at least. The procedure asks for 4."
  type        = number
  default     = 4
}

variable "admin_user" {
  description = "User who gets cluster-admin (step \"cluster-admin-binding\" of the procedure); null leaves that binding alone."
  type        = string
  default     = null
}

variable "reviewer" {
  description = "Namespace and service account whose token Vault uses to review other tokens."
  type        = object({ namespace = string, service_account = string })
  default     = { namespace = "vault", service_account = "default" }
}

variable "adopt_reviewer_namespace" {
  description = "Take over the reviewer's namespace where it exists already."
  type        = bool
  default     = false
}

# --- Vault --------------------------------------------------------------------------------------

variable "vault_addr" {
  description = "Vault's address as mesh reaches it. It must be HTTPS."
  type        = string
  validation {
    condition     = startswith(var.vault_addr, "https://")
    error_message = "Vault must be reached over TLS: the HSM's PIN travels through it."
  }
}

variable "vault_addr_for_pods" {
  description = "Vault's address as pods reach it; null: the same."
  type        = string
  default     = null
}

variable "vault_token" {
  description = "Vault token with the policy of credentials/vault-policy.hcl. No root token is needed."
  type        = string
  sensitive   = true
}

variable "vault_ca_file" {
  description = "PEM file that authenticates Vault's certificate, for mesh and for istiod's Vault client."
  type        = string
}

# --- HSM ----------------------------------------------------------------------------------------

variable "hsm_library" {
  description = "PKCS#11 module on this machine, for example /usr/safenet/lunaclient/lib/libCryptoki2_64.so."
  type        = string
}

variable "hsm_library_for_pods" {
  description = "PKCS#11 module inside the hsm-plugin container; null: the same path."
  type        = string
  default     = null
}

variable "hsm_environment" {
  description = "Environment that the module reads, for example { ChrystokiConfigurationPath = \"/etc/luna\" }."
  type        = map(string)
  default     = {}
}

variable "hsm_token_label" {
  description = "Label of the token (the HSM's slot or partition)."
  type        = string
}

variable "hsm_pin" {
  description = "User PIN of the token. It is tried once."
  type        = string
  sensitive   = true
}

variable "hsm_client_cert" {
  description = "PEM of the client certificate for the HSM's network service."
  type        = string
  sensitive   = true
}

variable "hsm_client_key" {
  description = "PEM of the client key for the HSM's network service."
  type        = string
  sensitive   = true
}

variable "hsm_server_cert" {
  description = "PEM of the certificate of the HSM's network service."
  type        = string
  sensitive   = true
}

variable "kek_id" {
  description = "Id of the key encryption key. Make one with uuidgen and record it; with adopt_kek the id of the key that exists."
  type        = string
}

variable "adopt_kek" {
  description = "Use a key encryption key that exists already."
  type        = bool
  default     = false
}

variable "root_ca_file" {
  description = "PEM file of the offline root's certificate; it is imported into the HSM and istiod's chain must end in it."
  type        = string
}

variable "root_ca_id" {
  description = "Id of the root certificate in the HSM."
  type        = string
  default     = "1c3d30d5-dfa8-4167-a9f9-2c768464181b"
}

# --- Control plane ------------------------------------------------------------------------------

variable "revision" {
  description = "Revision of the control plane; the document's own is asm-198-6 (1.9) or asm-183-2 (1.8)."
  type        = string
  default     = "asm-198-6"
}

variable "control_plane_folder" {
  description = "Folder of manifests from istioctl manifest generate; null: the stand-in in control-plane/."
  type        = string
  default     = null
}

variable "control_plane_archive" {
  description = "The downloaded release with its detached signature and the vendor's public key; null where it was verified elsewhere."
  type        = object({ path = string, signature = string, public_key = string })
  default     = null
}

variable "replicas" {
  description = "Replicas of istiod."
  type        = number
  default     = 1
}

variable "registry" {
  description = "Registry that the images come from; an air-gapped site names its own."
  type        = string
  default     = "gcr.io"
}

variable "images" {
  description = "Images of the stand-in below the registry; give digests (name@sha256:...) at a real site."
  type = object({
    pilot        = optional(string, "gke-release/asm/pilot:1.9.8-asm.6")
    proxy        = optional(string, "gke-release/asm/proxyv2:1.9.8-asm.6")
    hsm_plugin   = optional(string, "thalescpl-io-k8s-kms-plugin/hsm-plugin:asm-1.7-1")
    vault_client = optional(string, "gke-release/asm/vaultclient:latest")
    prometheus   = optional(string, "gke-release/asm/prometheus:1.9.8")
    sidecar      = optional(string, "gke-release/asm/sd-sidecar:1.9.8")
  })
  default = {}
}

variable "pull_secret" {
  description = "Name of an image pull secret in istio-system; empty for none."
  type        = string
  default     = ""
}

variable "pod_annotations" {
  description = "Annotations of istiod's pods."
  type        = map(string)
  default     = {}
}

variable "webhook_url" {
  description = "URL under which the injector is reached from the API server; empty: the Service istiod-REVISION."
  type        = string
  default     = ""
}

# --- Signing ------------------------------------------------------------------------------------

variable "csr_file" {
  description = "Where the decrypted signing request is written for the security administrator."
  type        = string
  default     = "csr.pem"
}

variable "chain_file" {
  description = "Where the signed chain is expected: istiod's CA first, the root last."
  type        = string
  default     = "cert-chain.pem"
}

# --- Workloads ----------------------------------------------------------------------------------

variable "namespaces" {
  description = "Namespaces to enrol in the mesh. They must exist."
  type        = set(string)
  default     = []
}

# --- Load balancer ------------------------------------------------------------------------------

variable "lb_mode" {
  description = "integrated: the cluster's own; manual: HAProxy on this machine; external: somebody else's, checked by connecting."
  type        = string
  default     = "manual"
  validation {
    condition     = contains(["integrated", "manual", "external"], var.lb_mode)
    error_message = "lb_mode is integrated, manual or external."
  }
}

variable "vip" {
  description = "Virtual IP address of the ingress gateway."
  type        = string
}

variable "exposed_ports" {
  description = "Names of the gateway's ports that the virtual IP address offers."
  type        = list(string)
  default     = ["http2", "https"]
}

variable "min_servers_up" {
  description = "How many servers must be up behind each port before the load balancer counts as ready."
  type        = number
  default     = 1
}

variable "haproxy" {
  description = "HAProxy on this machine, for lb_mode = \"manual\"."
  type = object({
    main_config   = optional(string, "/etc/haproxy/haproxy.cfg")
    config_dir    = optional(string, "/etc/haproxy/conf.d")
    master_socket = optional(string, "/run/haproxy-master.sock")
    stats_socket  = optional(string, "/run/haproxy/admin.sock")
  })
  default = {}
}
