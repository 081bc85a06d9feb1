# Ten lines, no server: mesh apply
variable "name" {
  default = "world"
}
resource "local_file" "greeting" {
  filename = "greeting.txt"
  content  = "Hello, ${var.name}!\n"
}
output "sha256" {
  value = local_file.greeting.content_sha256
}
