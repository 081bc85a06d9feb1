//! Test files: what a `*.meshtest.hcl` says, as data.
//!
//! The one decision: a test file is no module. It has blocks of its own and is read alone, so that one
//! with errors keeps no other from running; what its expressions mean is said by whoever runs it. Which
//! of its names exist is checked against the module under test, by the engine.

use std::sync::Arc;

use mesh_model::{Address, Span};

use crate::{Condition, Expr, ProviderConfig, ProviderRef, Reference, Target};

/// A test file.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The name as users know it.
    pub name: String,
    /// Values for variables of every run.
    pub variables: Vec<(Arc<str>, Expr)>,
    /// `provider` blocks.
    pub providers: Vec<ProviderConfig>,
    /// `mock_provider` blocks.
    pub mocks: Vec<MockProvider>,
    /// `override_*` blocks at the top of the file.
    pub overrides: Vec<Override>,
    /// `run` blocks in the order of the source.
    pub runs: Vec<TestRun>,
}

/// A `mock_provider` block.
#[derive(Clone, Debug)]
pub struct MockProvider {
    /// The provider.
    pub name: Arc<str>,
    /// The name of this further configuration.
    pub alias: Option<Arc<str>>,
    /// What types answer with.
    pub types: Vec<MockType>,
    /// `override_*` blocks in it.
    pub overrides: Vec<Override>,
    /// Whether its values are there while planning already.
    pub during_plan: bool,
    /// The header.
    pub span: Span,
}

/// A `mock_resource` or `mock_data` block.
#[derive(Clone, Debug)]
pub struct MockType {
    /// `false`: a resource type.
    pub data: bool,
    /// The type.
    pub ty: Arc<str>,
    /// An object of computed attributes.
    pub defaults: Option<Expr>,
    /// Whether they are there while planning; `None`: as the provider says.
    pub during_plan: Option<bool>,
    /// The header.
    pub span: Span,
}

/// An `override_resource`, `override_data` or `override_module` block.
#[derive(Clone, Debug)]
pub struct Override {
    /// What is not asked any more.
    pub target: Target,
    /// An object: computed attributes, or outputs of a module.
    pub values: Option<Expr>,
    /// Whether they are there while planning; `None`: as what is around says.
    pub during_plan: Option<bool>,
    /// The header.
    pub span: Span,
}

/// A `run` block.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The name.
    pub name: Arc<str>,
    /// `command`: `false` for `plan`.
    pub apply: bool,
    /// Values for variables of this run.
    pub variables: Vec<(Arc<str>, Expr)>,
    /// What must hold.
    pub asserts: Vec<Condition>,
    /// Whose conditions must fail.
    pub expect_failures: Vec<Reference>,
    /// `plan_options`.
    pub options: TestOptions,
    /// `module { source = ... }`: what is tested in place of the root module.
    pub module: Option<(String, Span)>,
    /// Configurations handed to the module: the name inside, and the one of the test file.
    pub providers: Vec<(ProviderRef, ProviderRef)>,
    /// `override_*` blocks of this run.
    pub overrides: Vec<Override>,
    /// Runs with the same key share a state; without, those of the same module do.
    pub state_key: Option<String>,
    /// The header.
    pub span: Span,
}

/// `plan_options` of a run.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// `mode = refresh-only`.
    pub refresh_only: bool,
    /// `refresh`.
    pub no_refresh: bool,
    /// `replace`.
    pub replace: Vec<Address>,
    /// `target`.
    pub targets: Vec<Target>,
    /// The header.
    pub span: Option<Span>,
}
