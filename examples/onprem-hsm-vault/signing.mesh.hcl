# istiod waits for a certificate of its own key; an offline root signs it.

# Two of three containers ready and the request written, or a CA that exists already (a restart, an
# upgrade, a second apply).
resource "kubernetes_wait" "request" {
  timeout  = "5m"
  triggers = { revision = var.revision }
  alternative {
    dynamic "for" {
      iterator = item
      for_each = ["kek-id", "encrypted-dek", "csr-id", "encrypted-csr"]
      content {
        api_version = "v1"
        kind        = "Secret"
        namespace   = "istio-system"
        name        = "istio-ca-cert-csr"
        field       = "data[\"${item.value}\"]"
        regex       = "."
      }
    }
    for {
      api_version     = "v1"
      kind            = "Pod"
      namespace       = "istio-system"
      selector        = { app = "istiod", "istio.io/rev" = var.revision }
      container_ready = ["hsm-plugin", "vault-client"]
    }
  }
  alternative {
    for {
      api_version     = "v1"
      kind            = "Pod"
      namespace       = "istio-system"
      selector        = { app = "istiod", "istio.io/rev" = var.revision }
      container_ready = ["discovery", "hsm-plugin", "vault-client"]
    }
  }
  depends_on = [kubernetes_manifests.control_plane, kubernetes_manifest.istiod_service]
}

data "kubernetes_resource" "request" {
  api_version = "v1"
  kind        = "Secret"
  namespace   = "istio-system"
  name        = "istio-ca-cert-csr"
  optional    = true
  depends_on  = [kubernetes_wait.request]
}

# Nothing to decrypt where the request was cleared away after it was signed.
data "hsm_decrypted_csr" "istiod" {
  count  = nonsensitive(data.kubernetes_resource.request.data == null) ? 0 : 1
  kek_id = var.kek_id
  data   = data.kubernetes_resource.request.data
}

locals {
  csr = one(data.hsm_decrypted_csr.istiod)
}

resource "local_file" "csr" {
  count    = length(data.hsm_decrypted_csr.istiod)
  filename = var.csr_file
  content  = local.csr.csr_pem
  lifecycle {
    on_existing = "adopt"
  }
}

data "mesh_certificate_chain" "signed" {
  count            = length(data.hsm_decrypted_csr.istiod)
  csr_pem          = local.csr.csr_pem
  previous_csr_pem = fileexists(var.csr_file) ? file(var.csr_file) : null
  chain_pem        = fileexists(var.chain_file) ? file(var.chain_file) : null
  root_pem         = hsm_certificate.root.pem
}

resource "mesh_gate" "signed" {
  waiting_for  = "a certificate chain for istiod's signing key in ${var.chain_file}"
  input        = local.csr == null ? null : local.csr.spki_sha256
  open_when    = try(data.mesh_certificate_chain.signed[0].valid, false)
  problems     = try(data.mesh_certificate_chain.signed[0].problems, ["istiod has written no signing request"])
  value        = fileexists(var.chain_file) ? file(var.chain_file) : null
  instructions = <<-EOT
    Take ${var.csr_file} to the machine of the offline root and sign it there as a CA certificate.

      subject      ${try(local.csr.subject, "-")}
      CSR sha256   ${try(local.csr.sha256, "-")}
      key sha256   ${try(local.csr.spki_sha256, "-")}

    Compare the digest first: openssl req -in ${var.csr_file} -outform DER | sha256sum

    Then, with root.pem and root.key of the offline root:

      printf '%s\n' 'basicConstraints=critical,CA:TRUE,pathlen:0' 'keyUsage=critical,digitalSignature,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' > istiod-ca.ext
      openssl x509 -req -in ${var.csr_file} -CA root.pem -CAkey root.key -CAcreateserial -days 365 -sha256 -extfile istiod-ca.ext -out istiod-ca.pem
      cat istiod-ca.pem root.pem > ${var.chain_file}

    Bring ${var.chain_file} back, then run the same command again.
  EOT
}

resource "kubernetes_manifest" "istio_ca_cert" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "istio-ca-cert", namespace = "istio-system" }
    type       = "Opaque"
    data       = { "cert-chain.pem" = base64encode(mesh_gate.signed.output) }
  }
}

resource "kubernetes_wait" "control_plane" {
  timeout  = "10m"
  triggers = { revision = var.revision, chain = sha256(mesh_gate.signed.output) }
  alternative {
    dynamic "for" {
      iterator = item
      for_each = ["istiod-${var.revision}", "istio-ingressgateway", "promsd"]
      content {
        api_version = "apps/v1"
        kind        = "Deployment"
        namespace   = "istio-system"
        name        = item.value
        ready       = true
      }
    }
  }
  depends_on = [kubernetes_manifest.istio_ca_cert]
}
