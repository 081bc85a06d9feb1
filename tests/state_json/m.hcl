variable "v" {}

resource "terraform_data" "in" {
  input = var.v
}

resource "terraform_data" "next" {
  depends_on = [terraform_data.in]
}

output "o" {
  value = terraform_data.in.output
}
