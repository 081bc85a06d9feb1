# The key encryption key and the root that istiod's chain must end in.

data "hsm_token" "partition" {}

resource "hsm_secret_key" "kek" {
  id = var.kek_id
  lifecycle {
    on_existing = var.adopt_kek ? "adopt" : "fail"
  }
}

resource "hsm_certificate" "root" {
  id  = var.root_ca_id
  pem = file(var.root_ca_file)
  lifecycle {
    on_existing = "adopt"
  }
}
