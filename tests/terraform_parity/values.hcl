# What the expressions of the tables refer to.
variable "secret" {
  default   = "s3cret"
  sensitive = true
}

variable "seclist" {
  type      = list(string)
  default   = ["a", "b"]
  sensitive = true
}

resource "terraform_data" "u" {}

locals {
  unk  = try(terraform_data.u.id)
  unkl = [local.unk]
  objs = [{ n = [1, 2] }, { n = [3] }]
  obj  = { a = 1, b = "two", "c d" = true }
  list = tolist(["a", "b", "c"])
  set  = toset(["b", "a"])
  map  = tomap({ x = "1", y = "2" })
  str  = "hello"
  nul  = null
  ab   = ["a", "b"]
}
