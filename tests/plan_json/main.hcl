variable "env" {
  default     = "x"
  description = "Which one."
}

variable "names" {
  type    = list(string)
  default = ["a"]
}

locals {
  first = terraform_data.b[0].output
}

resource "terraform_data" "a" {
  for_each = toset(var.names)
  input    = { x = "${each.key}-${var.env}", y = 1 }
}

resource "terraform_data" "b" {
  count            = 2
  input            = terraform_data.a["a"].output.x
  triggers_replace = [1, terraform_data.a]
  depends_on       = [module.m]
}

resource "terraform_data" "c" {
  input            = var.env == "x" ? terraform_data.b[*].id : [for b in terraform_data.b : b.output if b.id != local.first]
  triggers_replace = upper("constant")
}

resource "terraform_data" "d" {
  count = length(module.n)
  input = [module.n[0].out.name, module.m.out, count.index, path.module]
}

module "m" {
  source = "./m"
  v      = terraform_data.a["a"].id
}

module "n" {
  source   = "./m"
  count    = 2
  v        = { name = "n" }
}

output "o" {
  value       = module.m.out
  description = "What comes out."
  sensitive   = true
}

output "n" {
  value      = "${module.n[1].out.name}-${local.first}"
  depends_on = [terraform_data.c]
}
