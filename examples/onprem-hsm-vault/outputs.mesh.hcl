output "kek_id" {
  description = "Record this: everything istiod keeps at rest is wrapped by this key."
  value       = hsm_secret_key.kek.id
}

output "token_serial" {
  value = data.hsm_token.partition.serial
}

output "kubernetes_version" {
  value = data.kubernetes_cluster.this.version
}

output "ca_not_after" {
  description = "When istiod's CA certificate ends; plan its renewal before that."
  value       = try(data.mesh_certificate_chain.signed[0].not_after, null)
}

output "gateway" {
  description = "Addresses of the gateway's exposed ports."
  value       = [for name in var.exposed_ports : "${var.vip}:${data.kubernetes_service.ingress.ports[name].port}"]
}
