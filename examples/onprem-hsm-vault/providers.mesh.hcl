# Who is asked and changed. None of these credentials is an administrator's.

provider "kubernetes" {
  kubeconfig = var.kubeconfig
  context    = var.kube_context
}

provider "vault" {
  address      = var.vault_addr
  token        = var.vault_token
  ca_cert_file = var.vault_ca_file
}

provider "hsm" {
  library     = var.hsm_library
  token_label = var.hsm_token_label
  pin         = var.hsm_pin
  environment = var.hsm_environment
}

provider "gateway" {
  main_config   = var.haproxy.main_config
  config_dir    = var.haproxy.config_dir
  master_socket = var.haproxy.master_socket
  stats_socket  = var.haproxy.stats_socket
}
