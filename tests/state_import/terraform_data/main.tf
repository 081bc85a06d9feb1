variable "secret" {
  default   = "canary-4711"
  sensitive = true
}

resource "terraform_data" "a" {
  input            = { n = 1, l = ["x", 2], s = toset(["q", "p"]), m = tomap({ k = "v" }), z = null }
  triggers_replace = [1, "two"]
}

resource "terraform_data" "many" {
  count = 2
  input = terraform_data.a.output
}

resource "terraform_data" "each" {
  for_each = toset(["x", "a \"b\" $${c}"])
  input    = each.key

  lifecycle {
    create_before_destroy = true
  }
}

resource "terraform_data" "secret" {
  input = { pins = [1, var.secret], user = "u" }
}

resource "terraform_data" "whole" {
  input            = var.secret
  triggers_replace = { (terraform_data.a.id) = var.secret }
}

resource "terraform_data" "none" {}

module "m" {
  source   = "./m"
  for_each = toset(["p", "q.r"])
  from     = terraform_data.a.id
}

output "plain" {
  value = terraform_data.a.output
}

output "secret" {
  value     = terraform_data.whole.output
  sensitive = true
}

output "list" {
  value = tolist(["a"])
}

output "big" {
  value = 123456789012345678901234567890
}

output "nothing" {
  value = null
}
