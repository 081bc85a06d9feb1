//! The one table of state backends.
//!
//! The one decision: a backend is known by its row here and nowhere else; commands get the table and name none.

use mesh_state::BackendKind;

/// All backends.
pub fn all() -> Vec<BackendKind> {
    vec![
        mesh_state_http::kind(),
        mesh_state_kubernetes::kind(),
        mesh_state::local::kind(),
        mesh_state_postgres::kind(),
        mesh_state_s3::kind(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn each_row_has_a_name_of_its_own_and_describes_all_settings() {
        let mut names = BTreeSet::new();
        for kind in super::all() {
            assert!(names.insert(kind.name), "two backends are called {}", kind.name);
            assert!(kind.example.contains(&format!("backend \"{}\"", kind.name)) && !kind.doc.is_empty());
            assert!(kind.settings.blocks.is_empty(), "{}: settings are attributes", kind.name);
            for attribute in &kind.settings.attributes {
                assert!(attribute.doc.ends_with('.'), "{}.{} is described", kind.name, attribute.name);
            }
        }
    }
}
