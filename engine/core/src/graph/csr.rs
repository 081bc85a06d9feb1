//! A directed graph in two flat arrays, for walks.
//!
//! The one decision: compressed rows instead of linked nodes, because a walk of 100,000 operations
//! is a hot path; whoever needs algorithms (cycles, order of modules) uses petgraph.

/// Edges `from -> to` by node number; "`to` runs after `from`".
#[derive(Clone, Debug, Default)]
pub struct Csr {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    incoming: Vec<u32>,
}

impl Csr {
    /// From pairs; doubles count once each way.
    pub fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut offsets = vec![0_u32; nodes + 1];
        let mut incoming = vec![0_u32; nodes];
        for (from, to) in edges {
            offsets[*from as usize + 1] += 1;
            incoming[*to as usize] += 1;
        }
        for i in 0..nodes {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0_u32; edges.len()];
        for (from, to) in edges {
            targets[next[*from as usize] as usize] = *to;
            next[*from as usize] += 1;
        }
        Self { offsets, targets, incoming }
    }

    /// What runs after `node`.
    pub fn after(&self, node: u32) -> &[u32] {
        &self.targets[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }

    /// How many edges lead to each node.
    pub fn incoming(&self) -> &[u32] {
        &self.incoming
    }

    /// Whether no node waits for itself.
    pub fn is_ordered(&self) -> bool {
        let mut missing = self.incoming.clone();
        let all = 0..u32::try_from(missing.len()).unwrap_or(u32::MAX);
        let mut ready: Vec<u32> = all.filter(|n| missing[*n as usize] == 0).collect();
        let mut visited = 0;
        while let Some(node) = ready.pop() {
            visited += 1;
            for next in self.after(node) {
                missing[*next as usize] -= 1;
                if missing[*next as usize] == 0 {
                    ready.push(*next);
                }
            }
        }
        visited == missing.len()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.incoming.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.incoming.is_empty()
    }
}
