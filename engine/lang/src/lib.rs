//! The language: source text to a checked configuration, and expressions to values.
//!
//! The one decision: `hcl-edit` only parses. Every item is parsed alone, lowered into our own compact
//! form with resolved references, and its tree dropped, so that memory stays small, several errors are
//! found per run, and evaluating never copies a value. It knows no provider, no state and no terminal:
//! whoever evaluates gives a [`Scope`].

pub mod body;
pub mod config;
pub mod expr;
pub mod fmt;
pub mod functions;
pub mod limits;
mod load;
mod schema;
mod suggest;
mod syntax;
mod testfile;
mod typeexpr;
mod values;

pub use body::{Attribute, Block, Body, Dynamic, attribute_span, body_references};
pub use config::{
    Check, Condition, Config, Ignore, Import, Lifecycle, Local, Module, ModuleCall, Moved, Output, ProviderConfig,
    ProviderRef, Removed, Resource, Settings, Target, Timeouts, Variable,
};
pub use expr::{Expr, Reference, Scope, Subject, render_template};
pub use load::{Disk, Fetched, Files, LoadOptions, Modules, RootValues, load, load_from, parse_test, read_source};
pub use schema::{check_body, eval_body};
pub use suggest::suggestion;
pub use testfile::{MockProvider, MockType, Override, TestFile, TestOptions, TestRun};
pub use typeexpr::TypeConstraint;
pub use values::{check_syntax, is_unfinished, parse_console, parse_expression, parse_values};
