//! The one table of providers.
//!
//! The one decision: a provider is known by its row here and nowhere else; the engine gets the
//! table and names no provider.

use std::sync::Arc;

use mesh_sdk::Provider;

/// All providers, unconfigured.
pub fn all() -> Vec<Arc<dyn Provider>> {
    vec![
        mesh_provider_builtin::provider(),
        mesh_provider_gateway::provider(),
        mesh_provider_hsm::provider(),
        mesh_provider_kubernetes::provider(),
        mesh_provider_vault::provider(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn types_carry_the_name_of_their_provider_and_belong_to_one() {
        let (mut names, mut types) = (BTreeSet::new(), BTreeSet::new());
        for provider in super::all() {
            let schema = provider.schema();
            assert!(names.insert(schema.name), "two providers are called {}", schema.name);
            let kinds = [("resource", &schema.resources), ("data", &schema.data), ("ephemeral", &schema.ephemeral)];
            for (kind, name) in kinds.iter().flat_map(|(kind, types)| types.keys().map(move |n| (*kind, *n))) {
                assert!(types.insert((kind, name)), "two providers have the {kind} type {name}");
                let own = name.strip_prefix(schema.name).is_some_and(|rest| rest.starts_with('_'));
                assert!(own || schema.name == "builtin", "{name} does not start with {}_", schema.name);
            }
            for name in schema.resources.keys() {
                assert!(provider.rules(name).is_some(), "{name} has no rules");
            }
        }
    }
}
