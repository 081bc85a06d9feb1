//! `mesh graph`: which resources need which.
//!
//! The one decision: resources and data sources only, as people ask for; variables, locals and modules
//! between them are looked through.

use std::sync::Arc;

use clap::ValueEnum;
use mesh_core::graph::Node;
use mesh_core::{Inputs, Options, Run, Silent};
use mesh_lang::{Disk, LoadOptions};
use mesh_model::Snapshot;
use mesh_state::{LocalBackend, STATE};

use super::modules;
use super::options::VarArgs;
use super::project::{configuration, context, engine, root};
use super::variables::Given;
use crate::cli::VarSource;
use crate::ui::{Outcome, Ui};
use crate::view::style::out;

/// Write the graph of resources
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    vars: VarArgs,
    /// For which program
    #[arg(long, value_enum, default_value = "dot")]
    format: Language,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Language {
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
}

pub(crate) fn run(ui: &mut Ui, args: &Args, vars: &[VarSource]) -> Outcome {
    let (root, given, modules) = (root(), Given::read(ui, vars), modules::installed(ui)?);
    let loading = LoadOptions { variables: Some(&given), modules: Some(&modules), ..LoadOptions::new(&root) };
    let config = configuration(ui, &Disk, loading)?;
    let engine = engine(ui, Arc::new(Silent));
    let (inputs, options, context) = (Inputs::new(), Options::default(), context(ui, String::new()));
    let backend = LocalBackend::new(STATE);
    let run = Run {
        engine: &engine,
        config: &config,
        inputs: &inputs,
        backend: &backend,
        options: &options,
        context: &context,
    };
    let graph = run.graph(&Snapshot::default())?;
    let mut nodes: Vec<(String, Vec<String>)> = Vec::new();
    let name = |n: u32| graph.address(&config, n).map(|a| a.to_string()).unwrap_or_default();
    for (i, node) in graph.nodes.iter().enumerate() {
        if matches!(node, Node::Resource { .. }) {
            let node = u32::try_from(i).unwrap_or(u32::MAX);
            let mut needs: Vec<String> = graph.direct_resources(node).into_iter().map(name).collect();
            needs.sort();
            nodes.push((name(node), needs));
        }
    }
    nodes.sort();
    out(&match args.format {
        Language::Dot => dot(&nodes),
        Language::Mermaid => mermaid(&nodes),
    })?;
    Ok(0)
}

fn dot(nodes: &[(String, Vec<String>)]) -> String {
    let mut text =
        String::from("digraph G {\n  rankdir = \"RL\";\n  node [shape = rect, fontname = \"sans-serif\"];\n");
    for (name, _) in nodes {
        push!(text, "  {name:?};\n");
    }
    for (name, needs) in nodes {
        for need in needs {
            push!(text, "  {name:?} -> {need:?};\n");
        }
    }
    text.push_str("}\n");
    text
}

fn mermaid(nodes: &[(String, Vec<String>)]) -> String {
    let id = |name: &str| nodes.binary_search_by(|(n, _)| n.as_str().cmp(name)).unwrap_or(nodes.len());
    let mut text = String::from("flowchart RL\n");
    for (i, (name, _)) in nodes.iter().enumerate() {
        push!(text, "  n{i}[\"{name}\"]\n");
    }
    for (i, (_, needs)) in nodes.iter().enumerate() {
        for need in needs {
            push!(text, "  n{i} --> n{}\n", id(need));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages() {
        let nodes = [("a.x".to_owned(), vec![]), ("b.y".to_owned(), vec!["a.x".to_owned()])];
        assert!(dot(&nodes).ends_with("  \"a.x\";\n  \"b.y\";\n  \"b.y\" -> \"a.x\";\n}\n"));
        assert_eq!(mermaid(&nodes), "flowchart RL\n  n0[\"a.x\"]\n  n1[\"b.y\"]\n  n1 --> n0\n");
    }
}
