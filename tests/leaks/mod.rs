//! The leak scan: every kind of input is a canary, every command is run with everything logged, and no canary is in any
//! file, stream, environment or argument of a worker, nor in any object that a backend keeps.
//!
//! The one decision: what is found is collected with its source, its command and its place, and said at the end, so one
//! run shows all there is; and a text that is no secret must be found in every place, or the scan would prove nothing.
//!
//! What names an object is no secret to us: its identity (a path, a name) is kept and said in clear, and so are the keys
//! of a manifest's fields, which the cluster keeps in clear as well. A secret there is not looked for.
//!
//! What is not scanned: the memory of running processes (but see `memory`), what Vault, the cluster and the token keep
//! because they were asked to, and the arguments of `mesh` itself, which are the user's own.

mod canary;
mod controls;
mod life;
mod memory;
mod mistakes;
mod places;
mod scene;
mod sealed;
mod takeover;
