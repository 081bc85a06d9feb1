variable "by_argument" { sensitive = true }
variable "by_environment" { sensitive = true }
variable "by_file" { sensitive = true }
variable "listed" {
  type      = map(list(string))
  sensitive = true
}
variable "flying" { ephemeral = true }
variable "tls_key" { sensitive = true }
variable "pin" { sensitive = true }
variable "vault_token" {
  sensitive = true
  ephemeral = true
}
variable "kubeconfig" {}
variable "kubeconfig_content" { sensitive = true }
variable "secret_file" {}
variable "template" {}
variable "vault_address" {}
variable "vault_ca" {}
variable "library" {}
variable "softhsm" {}
variable "round" { default = 0 }

provider "vault" {
  address      = var.vault_address
  ca_cert_file = var.vault_ca
  token        = var.vault_token
}
provider "kubernetes" {
  kubeconfig = var.kubeconfig
}
provider "kubernetes" {
  alias              = "text"
  kubeconfig_content = var.kubeconfig_content
}
provider "hsm" {
  library     = var.library
  token_label = "leaks"
  pin         = var.pin
  environment = { SOFTHSM2_CONF = var.softhsm }
}

locals {
  rendered = templatefile(var.template, { secret = var.by_environment })
}
data "local_file" "secret" {
  path      = var.secret_file
  sensitive = true
}
data "vault_kv_secret" "source" {
  mount = "source"
  name  = "db"
}
data "kubernetes_resource" "foreign" {
  provider    = kubernetes.text
  api_version = "v1"
  kind        = "Secret"
  namespace   = "default"
  name        = "foreign"
}
ephemeral "vault_kv_secret" "source" {
  mount = "source"
  name  = "flying"
}

resource "hsm_secret_key" "kek" {
  id        = "leaks-kek"
  lifecycle { prevent_destroy = false }
}
resource "terraform_data" "all" {
  input = {
    seen     = "nosecret4711seen"
    argument = var.by_argument
    json     = jsonencode({ deep = [var.by_environment] })
    base64   = base64encode("${var.by_file}${var.by_argument}")
    urlsafe  = urlencode(var.by_file)
    listed   = var.listed
    rendered = local.rendered
    file     = data.local_file.secret.content
    loaded   = sensitive(file(var.secret_file))
    vault    = data.vault_kv_secret.source.data["password"]
    foreign  = data.kubernetes_resource.foreign.object
  }
}
resource "terraform_data" "many" {
  count            = 60
  input            = "${var.by_environment}-${count.index}"
  triggers_replace = [var.round, var.tls_key]
}
resource "local_file" "asked" {
  filename          = "out/asked"
  sensitive_content = "${var.by_argument}${data.local_file.secret.content}"
}
resource "vault_mount" "copy" {
  path    = "copy"
  type    = "kv"
  version = "2"
}
resource "vault_kv_secret_v2" "flying" {
  mount   = vault_mount.copy.path
  name    = "flying"
  data_wo = { a = ephemeral.vault_kv_secret.source.data["password"], b = var.flying }
}
resource "vault_kv_secret_v2" "kept" {
  mount = vault_mount.copy.path
  name  = "kept"
  data  = { a = var.by_environment, b = data.vault_kv_secret.source.data["password"] }
}
resource "kubernetes_manifest" "tls" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    type       = "kubernetes.io/tls"
    metadata   = { name = "tls", namespace = "default" }
    data       = { "tls.key" = base64encode(var.tls_key), "tls.crt" = base64encode("nosecret4711seen") }
  }
}
output "seen" { value = "nosecret4711seen" }
output "all" {
  value     = terraform_data.all.output
  sensitive = true
}
output "tls" {
  value     = { key = kubernetes_manifest.tls.manifest, plain = var.tls_key }
  sensitive = true
}
