//! Random chains of changes: order, convergence, and nothing lost, whatever fails.

use proptest::prelude::*;

use super::Bed;
use super::fake::Fault;

/// A configuration of objects `0..n`, each needing some of those before it.
fn config(n: usize, needs: &[u8], version: usize) -> String {
    (0..n)
        .map(|i| {
            let mask = needs.get(i).copied().unwrap_or(0);
            let refs: Vec<String> =
                (0..i.min(8)).filter(|j| mask & (1 << j) != 0).map(|j| format!("${{world_object.o{j}.id}}")).collect();
            format!(
                "resource \"world_object\" \"o{i}\" {{\n  name = \"o{i}\"\n  value = \"v{version}{}\"\n}}\n",
                refs.join("")
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn repeated_apply_converges_whatever_fails(
        n in 1_usize..7,
        needs in prop::collection::vec(any::<u8>(), 7),
        faults in prop::collection::vec((0_usize..7, 0_u8..3), 0..6),
    ) {
        let bed = Bed::new();
        let hcl = config(n, &needs, 1);
        for (who, kind) in faults {
            let fault = [Fault::Reject, Fault::DoneInDoubt, Fault::LostInDoubt][usize::from(kind)];
            bed.world.state().faults.insert(format!("o{who}"), fault);
            bed.apply(&hcl).expect("begins");
        }
        bed.world.state().faults.clear();
        bed.applies(&hcl);
        prop_assert_eq!(bed.world.state().objects.len(), n);
        // What is needed is made first.
        let fewer = config(n, &needs, 2);
        bed.applies(&fewer);
        let deleted = bed.applies("");
        prop_assert!(bed.world.state().objects.is_empty());
        let position = |i: usize| deleted.iter().position(|l| *l == format!("delete o{i}"));
        for (i, mask) in needs.iter().enumerate().take(n) {
            for j in (0..i.min(8)).filter(|j| mask & (1 << j) != 0) {
                prop_assert!(position(i) < position(j), "o{} needs o{}: {:?}", i, j, deleted);
            }
        }
    }
}
