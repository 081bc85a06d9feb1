variable "from" {}

resource "terraform_data" "i" {
  input = var.from
}

resource "terraform_data" "j" {
  input      = 0.1
  depends_on = [terraform_data.i]
}
