//! Asking about instances that state does not know: is the object there, and what would the server make
//! of it.
//!
//! The one decision: one call for a block and a provider configuration, however many instances it has.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use mesh_model::Diagnostic;
use mesh_sdk::{IdentityHint, Observation, ObserveRequest, PreviewRequest, PreviewResponse};

use super::Planner;
use super::candidate::{Candidate, Kind};
use crate::decide::{self, Decision};
use crate::event::Event;

impl Planner<'_, '_> {
    /// Looks for objects that are about to be created: one call for the block.
    pub(super) async fn look_for_new(&self, kind: &Kind<'_>, candidates: &mut [Candidate]) {
        let mut asked: BTreeMap<usize, (Vec<usize>, Vec<ObserveRequest>)> = BTreeMap::new();
        for (i, c) in candidates.iter().enumerate() {
            if let IdentityHint::Known(identity) = &c.hint {
                let other = self.out.borrow_mut().identities.insert((c.position, identity.clone()), c.address.clone());
                if let Some(other) = other {
                    let text = format!(
                        "{} and {other} are both {identity}. One object can only be managed at one address.",
                        c.address
                    );
                    self.say(
                        kind.node,
                        Diagnostic::error("plan::identity", "Two addresses mean the same object", text)
                            .at(kind.block.span)
                            .on(&c.address),
                    );
                    continue;
                }
            }
            let identity = match (&c.saved, &c.hint) {
                (None, IdentityHint::Known(identity)) => Some(identity.clone()),
                // Made with another configuration of the provider.
                (Some(saved), _) if c.observed.is_none() && !c.looked && self.options.refresh => saved.identity.clone(),
                _ => None,
            };
            if let Some(identity) = identity {
                let (which, requests) = asked.entry(c.position).or_default();
                which.push(i);
                requests.push(ObserveRequest {
                    address: c.address.clone(),
                    ty: c.address.ty.clone(),
                    identity: Some(identity),
                    saved: c.saved.as_ref().map(|s| s.values.clone()),
                    desired: Some(c.desired.clone()),
                    private: c.saved.as_ref().and_then(|s| s.private.clone()),
                });
            }
        }
        let mut answers = Vec::new();
        for (position, (which, requests)) in asked {
            let Some(session) = self.providers.borrow()[position].session.clone() else { continue };
            let elsewhere = |i: &&usize| {
                let made_on = candidates[**i].saved.as_ref().and_then(|s| s.target.clone());
                made_on.is_some() && made_on != session.target()
            };
            if let Some(&i) = which.iter().find(elsewhere) {
                let c = &candidates[i];
                let detail = format!(
                    "{} was made on another system than provider {:?} leads to. An object cannot move between systems: give the new one \
                     an address of its own and remove the old one, so that it is deleted where it is.",
                    c.address, c.provider
                );
                let error = Diagnostic::error("plan::target", "The object is on another system", detail);
                self.say(kind.node, error.at(kind.block.span).on(&c.address));
                continue;
            }
            // What is only looked for before it is made is not said.
            let said = |i: &usize| candidates[*i].saved.is_some() || candidates[*i].import.is_some();
            let told: Vec<_> = which
                .iter()
                .zip(&requests)
                .filter(|(i, _)| said(i))
                .map(|(_, r)| (r.address.clone(), r.identity.as_ref().map(|i| i.0.clone())))
                .collect();
            for (address, identity) in &told {
                self.engine.sink.event(Event::Refreshing { address: address.clone(), identity: identity.clone() });
            }
            answers.extend(which.into_iter().zip(session.observe(requests).await));
            for (address, identity) in told {
                self.engine.sink.event(Event::Refreshed { address, identity });
            }
        }
        for (i, answer) in answers {
            let c = &mut candidates[i];
            match answer {
                Ok(Observation::Absent) => {
                    c.looked = true;
                    if let Some((id, span)) = &c.import {
                        let detail = format!(
                            "There is no {id:?} to import as {}. Correct the id, or remove the import block to have the object made.",
                            c.address
                        );
                        self.say(
                            kind.node,
                            Diagnostic::error("plan::import_missing", "Nothing there to import", detail)
                                .at(*span)
                                .on(&c.address),
                        );
                    }
                }
                Ok(Observation::Present(o)) => {
                    c.looked = true;
                    c.observed = Some(o);
                }
                Err(e) => self.say(kind.node, Diagnostic::from(e).at(kind.block.span).on(&c.address)),
            }
        }
    }

    /// Asks the server about every instance whose decision needs it, several at once.
    pub(super) async fn previews(&self, kind: &Kind<'_>, candidates: &[Candidate]) -> Vec<Option<PreviewResponse>> {
        let limit =
            self.engine.provider_of(kind.block.mode, &kind.block.ty).map_or(1, |p| p.schema().concurrency.max(1));
        let ask = |c: &Candidate| {
            let Decision::NeedsPreview { planned } = decide::decide(&self.input(kind, c, None)) else { return None };
            Some(PreviewRequest {
                address: c.address.clone(),
                ty: c.address.ty.clone(),
                observed: c.observed.as_ref().map(|o| o.values.clone()),
                planned,
            })
        };
        let requests: Vec<Option<PreviewRequest>> = candidates.iter().map(ask).collect();
        if requests.iter().all(Option::is_none) {
            return requests.into_iter().map(|_| None).collect();
        }
        futures::stream::iter(requests.into_iter().zip(candidates))
            .map(|(request, c)| async {
                let request = request?;
                let address = request.address.clone();
                let session = self.providers.borrow()[c.position].session.clone()?;
                match session.preview(request).await {
                    Ok(answer) => Some(answer),
                    Err(e) => {
                        self.say(kind.node, Diagnostic::from(e).at(kind.block.span).on(&address));
                        None
                    }
                }
            })
            .buffered(limit)
            .collect()
            .await
    }
}
