//! Cycles: found, shortened and explained with the line of every reference in them.
//!
//! The one decision: `kosaraju_scc` (iterative, so that a chain of 100,000 blocks does not use up
//! the stack), then a breadth-first search for the shortest cycle of each component.

use std::collections::{HashMap, HashSet, VecDeque};

use mesh_lang::Config;
use mesh_model::{Diagnostic, Diagnostics};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::{Graph, Node};

/// An error for each cycle.
pub(super) fn check(config: &Config, graph: &Graph) -> Result<(), Diagnostics> {
    let mut pet: DiGraph<(), ()> = DiGraph::with_capacity(graph.nodes.len(), graph.edges.len());
    for _ in &graph.nodes {
        pet.add_node(());
    }
    pet.extend_with_edges(graph.edges.iter().map(|(a, b, _)| (*a, *b)));
    let mut diagnostics = Diagnostics::new();
    for component in kosaraju_scc(&pet) {
        let members: HashSet<u32> = component.iter().map(|n| u32::try_from(n.index()).unwrap_or(u32::MAX)).collect();
        if members.len() > 1 {
            diagnostics.push(explain(config, graph, &members));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// For each node the circle that it is part of, as a number; one that is in none is alone.
pub(crate) fn components(nodes: usize, edges: &[(u32, u32)]) -> Vec<usize> {
    let mut pet: DiGraph<(), ()> = DiGraph::with_capacity(nodes, edges.len());
    for _ in 0..nodes {
        pet.add_node(());
    }
    pet.extend_with_edges(edges.iter().copied());
    let mut out = vec![0; nodes];
    for (number, members) in kosaraju_scc(&pet).into_iter().enumerate() {
        for node in members {
            out[node.index()] = number;
        }
    }
    out
}

fn explain(config: &Config, graph: &Graph, members: &HashSet<u32>) -> Diagnostic {
    let cycle = shortest(graph, members);
    let names: Vec<String> = cycle.iter().map(|n| name(config, graph, *n)).collect();
    let mut text = names.join(" -> ");
    if let Some(first) = names.first() {
        text.push_str(" -> ");
        text.push_str(first);
    }
    let mut diagnostic = Diagnostic::error(
        "plan::cycle",
        "Blocks depend on each other in a circle",
        format!("None of them can be first: {text}. Take out one of the references."),
    );
    for (i, from) in cycle.iter().enumerate() {
        let needed = cycle[(i + 1) % cycle.len()];
        let span =
            graph.edges.iter().find(|(a, b, s)| *a == needed && b == from && s.is_some()).and_then(|(_, _, s)| *s);
        if let Some(span) = span {
            let what = format!("{} needs {}", name(config, graph, *from), name(config, graph, needed));
            diagnostic = if diagnostic.span.is_none() { diagnostic.at(span) } else { diagnostic.with(span, what) };
        }
    }
    diagnostic
}

/// The shortest cycle, each followed by what it needs.
fn shortest(graph: &Graph, members: &HashSet<u32>) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::new();
    // Some hundred starts find the shortest in any configuration that people write.
    let mut starts: Vec<u32> = members.iter().copied().collect();
    starts.sort_unstable();
    for start in starts.into_iter().take(200) {
        let mut from: HashMap<u32, u32> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        'search: while let Some(n) = queue.pop_front() {
            for &next in graph.needs.after(n) {
                if next == start {
                    let mut path = vec![n];
                    while let Some(&p) = from.get(path.last().unwrap_or(&start)) {
                        path.push(p);
                    }
                    path.reverse();
                    if best.is_empty() || path.len() < best.len() {
                        best = path;
                    }
                    break 'search;
                }
                if members.contains(&next) && next != start && !from.contains_key(&next) {
                    from.insert(next, n);
                    queue.push_back(next);
                }
            }
        }
    }
    best
}

/// What people call a node.
pub(crate) fn name(config: &Config, graph: &Graph, node: u32) -> String {
    let prefix = |module: usize| config.modules[module].path.iter().map(|n| format!("module.{n}.")).collect::<String>();
    match graph.nodes[node as usize] {
        Node::Provider(p) => format!("provider.{}", graph.providers[p].key),
        Node::Variable { module, item } => {
            format!("{}var.{}", prefix(module), config.modules[module].variables[item].name)
        }
        Node::Local { module, item } => format!("{}local.{}", prefix(module), config.modules[module].locals[item].name),
        Node::Output { module, item } => {
            format!("{}output.{}", prefix(module), config.modules[module].outputs[item].name)
        }
        Node::Check { module, item } => format!("{}check.{}", prefix(module), config.modules[module].checks[item].name),
        Node::Resource { .. } => graph.address(config, node).map(|a| a.to_string()).unwrap_or_default(),
        Node::Call { module, item } => format!("{}module.{}", prefix(module), config.modules[module].calls[item].name),
    }
}
