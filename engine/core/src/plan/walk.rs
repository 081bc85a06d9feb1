//! The walk of a plan: which node is visited when, by whom, and what it leaves behind for those that need it.
//!
//! The one decision: a node that asks nobody is visited at once, without a future, since most nodes are values. A
//! failure goes to all that need the node; a deferral goes on with its first reason.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mesh_model::{Diagnostic, Diagnostics};

use super::{Mode, NodeState, Planner};
use crate::graph::Node;

impl Planner<'_, '_> {
    pub(super) async fn walk(&self) {
        let mut missing = self.graph.after.incoming().to_vec();
        let mut ready: VecDeque<u32> = missing
            .iter()
            .enumerate()
            .filter(|(_, n)| **n == 0)
            .map(|(i, _)| u32::try_from(i).unwrap_or(u32::MAX))
            .collect();
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(node) = ready.pop_front() {
                // What needs no provider is visited at once, without a future.
                if !self.visit_at_once(node) {
                    running.push(async move {
                        self.visit(node).await;
                        node
                    });
                    continue;
                }
                self.done(node, &mut missing, &mut ready);
            }
            match running.next().await {
                Some(node) => self.done(node, &mut missing, &mut ready),
                None => break,
            }
        }
    }

    fn done(&self, node: u32, missing: &mut [u32], ready: &mut VecDeque<u32>) {
        for &next in self.graph.after.after(node) {
            missing[next as usize] -= 1;
            if missing[next as usize] == 0 {
                ready.push_back(next);
            }
        }
    }

    /// Takes failure and deferral over from what a node needs; `true` when it must not be visited.
    fn inherit(&self, node: u32) -> bool {
        let mut states = self.states.borrow_mut();
        let (mut failed, mut deferred) = (false, None);
        for &need in self.graph.needs.after(node) {
            let state = &states[need as usize];
            failed |= state.failed;
            deferred = deferred.or_else(|| state.deferred.clone());
        }
        states[node as usize].failed = failed;
        states[node as usize].deferred = deferred;
        failed
    }

    /// Whether a destroy has no use for a node's value.
    fn idle(&self, node: u32) -> bool {
        self.wanted.as_ref().is_some_and(|w| !w.contains(&node))
    }

    /// `-replace` of what is not in state does nothing: that is said.
    pub(super) fn not_there(&self) {
        for address in &self.options.replace {
            if !self.snapshot.instances.contains_key(address) {
                let (text, known) = (address.to_string(), self.saved.get(&address.resource()));
                let known: Vec<String> = known.into_iter().flatten().map(ToString::to_string).collect();
                let near = mesh_lang::suggestion(&text, known.iter().map(String::as_str));
                let near = near.map(|s| format!(" Did you mean {s}?")).unwrap_or_default();
                self.out.borrow_mut().diagnostics.push(Diagnostic::warning(
                    "plan::replace",
                    "Nothing to replace",
                    format!("-replace={address}: state has no such instance, so the option does nothing.{near} mesh state list shows all."),
                ));
            }
        }
    }

    fn visit_at_once(&self, node: u32) -> bool {
        if !self.selection.node(node) {
            return true;
        }
        if self.idle(node)
            && !matches!(
                self.graph.nodes[node as usize],
                Node::Variable { module: 0, .. } | Node::Provider(_) | Node::Resource { .. }
            )
        {
            return true;
        }
        match self.graph.nodes[node as usize] {
            Node::Variable { module, item } => {
                if !self.inherit(node) {
                    self.variable(node, module, item);
                }
            }
            Node::Local { module, item } => {
                if !self.inherit(node) {
                    self.local(node, module, item);
                }
            }
            Node::Output { module, item } => {
                if !self.inherit(node) {
                    self.output(node, module, item);
                }
            }
            Node::Call { module, item } => {
                if !self.inherit(node) {
                    self.call(node, module, item);
                }
            }
            Node::Check { module, item } => {
                self.inherit(node);
                self.check(node, module, item);
            }
            Node::Provider(_) | Node::Resource { .. } => return false,
        }
        true
    }

    async fn visit(&self, node: u32) {
        if self.inherit(node) {
            return;
        }
        match self.graph.nodes[node as usize] {
            Node::Provider(position) => self.provider(node, position).await,
            Node::Resource { module, item } => {
                let block = &self.config.modules[module].resources[item];
                match (block.mode, self.options.mode) {
                    (mesh_model::Mode::Managed, Mode::Normal) => self.managed(node, module, block).await,
                    (mesh_model::Mode::Managed, Mode::Destroy) => self.remembered(node, module, block),
                    (mesh_model::Mode::Managed, Mode::RefreshOnly) => self.refreshed(node, module, block),
                    (mesh_model::Mode::Data | mesh_model::Mode::Ephemeral, _) if self.idle(node) => {}
                    (mesh_model::Mode::Data, _) => self.data(node, module, block).await,
                    (mesh_model::Mode::Ephemeral, _) => self.ephemeral(node, module, block).await,
                }
            }
            _ => {}
        }
    }

    /// Adds a diagnostic; an error marks the node as failed.
    pub(super) fn say(&self, node: u32, mut diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.states.borrow_mut()[node as usize].failed = true;
            if self.in_check(node) {
                diagnostic.severity = mesh_model::Severity::Warning;
            }
        }
        self.out.borrow_mut().diagnostics.push(diagnostic);
    }

    pub(super) fn say_all(&self, node: u32, diagnostics: Diagnostics) {
        for diagnostic in diagnostics {
            self.say(node, diagnostic);
        }
    }

    pub(super) fn defer(&self, node: u32, reason: &str) {
        let mut states = self.states.borrow_mut();
        let state = &mut states[node as usize];
        if state.deferred.is_none() {
            state.deferred = Some(Arc::from(reason));
        }
    }

    pub(super) fn state(&self, node: u32) -> NodeState {
        self.states.borrow()[node as usize].clone()
    }
}
