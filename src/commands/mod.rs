//! The commands: one file each, its arguments and its `run`.
//!
//! The one decision: a command is a function from the surroundings and its arguments to an exit code
//! or diagnostics; what several of them need is in `project`, `options` and `running`.

pub(crate) mod apply;
mod backend;
pub(crate) mod completion;
pub(crate) mod console;
pub(crate) mod destroy;
pub(crate) mod drift;
mod encryption;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod functions;
mod generate;
pub(crate) mod graph;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod lock;
mod migrate;
pub(crate) mod modules;
mod options;
mod other_states;
pub(crate) mod output;
pub(crate) mod plan;
mod plans;
mod project;
pub(crate) mod providers;
pub(crate) mod refresh;
mod running;
pub(crate) mod sandbox;
mod saved;
pub(crate) mod show;
pub(crate) mod state;
pub(crate) mod taint;
pub(crate) mod test;
pub(crate) mod unlock;
pub(crate) mod validate;
mod variables;
pub(crate) mod version;
pub(crate) mod workspace;
