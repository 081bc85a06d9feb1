# Enrolling namespaces: the revision's label, no other injection label, and new pods.

resource "kubernetes_labels" "enrolled" {
  for_each    = var.namespaces
  api_version = "v1"
  kind        = "Namespace"
  name        = each.key
  labels      = { "istio.io/rev" = var.revision }
  absent      = ["istio-injection"]
  depends_on  = [kubernetes_wait.control_plane]
}

resource "kubernetes_rollout_restart" "enrolled" {
  for_each     = var.namespaces
  namespace    = each.key
  kinds        = ["Deployment"]
  triggers     = { revision = kubernetes_labels.enrolled[each.key].labels["istio.io/rev"], proxy = var.images.proxy }
  expect_label = { "istio.io/rev" = var.revision }
}
