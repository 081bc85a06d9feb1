//! End-to-end tests: the binary against real servers.
//!
//! One test binary, so that there is one link. Each whole run has a sandbox of its own; everything a
//! test starts ends with it. What needs no sandbox is in `approval`, `commands`, `house`, `modules`, `plan_json`, `quickstart`, `usage`,
//! `testing`, `bad_input` and `hostile`.

mod approval;
mod bad_input;
mod commands;
mod ephemeral;
mod hostile;
mod house;
mod modules;
mod onprem;
mod plan_json;
mod quickstart;
mod site;
mod terraform_parity;
mod testing;
mod usage;
