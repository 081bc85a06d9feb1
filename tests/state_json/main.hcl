variable "secret" {
  default   = "canary-1"
  sensitive = true
}

variable "v" {
  default = "1"
}

resource "terraform_data" "a" {
  input = "x"
}

resource "terraform_data" "bad" {
  input = module.m[0].o
}

resource "terraform_data" "counted" {
  count            = 2
  input            = { n = count.index, s = var.secret }
  triggers_replace = terraform_data.a.id
}

# Made anew with v = 2, which does not hold: the old object stays beside the new one.
resource "terraform_data" "deposed" {
  triggers_replace = var.v

  lifecycle {
    create_before_destroy = true

    postcondition {
      condition     = length(self.id) > (var.v == "1" ? 0 : 100)
      error_message = "Too short."
    }
  }
}

resource "terraform_data" "each" {
  for_each   = toset(["k", "l"])
  input      = each.key
  depends_on = [terraform_data.counted]
}

module "m" {
  source = "./m"
  count  = 2
  v      = terraform_data.a.output
}

module "each" {
  source   = "./m"
  for_each = { "a b" = 1 }
  v        = terraform_data.counted[0].input.s
}

output "plain" {
  value = terraform_data.a.output
}

output "secret" {
  value     = var.secret
  sensitive = true
}

output "many" {
  value = { l = tolist(["a"]), t = ["a", 1, null], m = tomap({ k = true }), n = 1.5 }
}

check "c" {
  assert {
    condition     = terraform_data.a.input == "x"
    error_message = "Not x."
  }
}
