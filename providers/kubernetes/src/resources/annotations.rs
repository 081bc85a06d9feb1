//! `kubernetes_annotations`: some annotations of an object that is somebody else's.

use super::metadata::{Names, part};

const NAMES: Names = Names {
    ty: "kubernetes_annotations",
    field: "annotations",
    manager: "mesh-annotations",
    doc: "Annotations of an existing object: those that must be there, and keys that must not. All other annotations are ignored. Deleting the resource removes only its own annotations; it does not bring back what was there before.",
    labels_doc: "Annotations that must be there.",
    absent_doc: "Keys that must not be there, whoever set them.",
    example: r#"resource "kubernetes_annotations" "pool" {
  api_version = "v1"
  kind        = "Service"
  namespace   = "istio-system"
  name        = "istio-ingressgateway"
  annotations = { "metallb.io/address-pool" = "edge" }
}"#,
};

part!(
    /// The type.
    Annotations, NAMES
);
