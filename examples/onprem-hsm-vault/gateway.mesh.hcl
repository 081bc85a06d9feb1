# The virtual IP address: one of three ways.

# Integrated: the cluster's own load balancer gets the address.
resource "kubernetes_fields" "load_balancer_ip" {
  count       = var.lb_mode == "integrated" ? 1 : 0
  api_version = "v1"
  kind        = "Service"
  namespace   = "istio-system"
  name        = "istio-ingressgateway"
  fields      = { spec = { loadBalancerIP = var.vip } }
  depends_on  = [kubernetes_manifests.control_plane]
}

resource "kubernetes_wait" "load_balancer_ip" {
  count    = var.lb_mode == "integrated" ? 1 : 0
  timeout  = "5m"
  triggers = { vip = var.vip }
  alternative {
    for {
      api_version = "v1"
      kind        = "Service"
      namespace   = "istio-system"
      name        = "istio-ingressgateway"
      field       = "status.loadBalancer.ingress[0].ip"
      equals      = var.vip
    }
  }
  depends_on = [kubernetes_fields.load_balancer_ip]
}

# Manual: HAProxy on this machine sends to the node ports of the ready nodes.
data "kubernetes_service" "ingress" {
  namespace  = "istio-system"
  name       = "istio-ingressgateway"
  depends_on = [kubernetes_manifests.control_plane]
}

resource "gateway_load_balancer" "ingress" {
  count = var.lb_mode == "manual" ? 1 : 0
  name  = "ingress-${var.cluster_suffix}"
  vip   = var.vip
  ports = {
    for name in var.exposed_ports : name => {
      port      = data.kubernetes_service.ingress.ports[name].port
      node_port = data.kubernetes_service.ingress.ports[name].node_port
    }
  }
  nodes  = { for node in data.kubernetes_nodes.ready.nodes : node.name => node.internal_ip }
  min_up = var.min_servers_up
}

# External: somebody else's load balancer. A connection through the address opens the gate.
data "mesh_tcp_probe" "vip" {
  count   = var.lb_mode == "external" ? 1 : 0
  targets = [for name in var.exposed_ports : "${var.vip}:${data.kubernetes_service.ingress.ports[name].port}"]
}

resource "mesh_gate" "external_load_balancer" {
  count        = var.lb_mode == "external" ? 1 : 0
  waiting_for  = "the load balancer to answer at ${var.vip}"
  input        = { vip = var.vip, ports = var.exposed_ports }
  open_when    = data.mesh_tcp_probe.vip[0].reachable
  problems     = data.mesh_tcp_probe.vip[0].failures
  value        = var.vip
  instructions = <<-EOT
    Have the load balancer forward these to every node:
    %{for name in var.exposed_ports~}
      ${var.vip}:${data.kubernetes_service.ingress.ports[name].port} -> ${join(", ", [for node in data.kubernetes_nodes.ready.nodes : "${node.internal_ip}:${data.kubernetes_service.ingress.ports[name].node_port}"])}
    %{endfor~}
  EOT
}
