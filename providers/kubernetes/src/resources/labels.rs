//! `kubernetes_labels`: some labels of an object that is somebody else's.

use super::metadata::{Names, part};

const NAMES: Names = Names {
    ty: "kubernetes_labels",
    field: "labels",
    manager: "mesh-labels",
    doc: "Labels of an existing object: those that must be there, and keys that must not. All other labels are ignored. Deleting the resource removes only its own labels; it does not bring back what was there before.",
    labels_doc: "Labels that must be there.",
    absent_doc: "Keys that must not be there, whoever set them.",
    example: r#"resource "kubernetes_labels" "enrol" {
  api_version = "v1"
  kind        = "Namespace"
  name        = "shop"
  labels      = { "istio.io/rev" = "asm-198-6" }
  absent      = ["istio-injection"]
}"#,
};

part!(
    /// The type.
    Labels, NAMES
);
