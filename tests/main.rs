//! End-to-end tests: the binary against real servers.
//!
//! One test binary, so that there is one link. Each whole run has a sandbox of its own; everything a
//! test starts ends with it. What needs no sandbox is in `approval`, `commands`, `house`, `modules`, `order_oracle`,
//! `plan_json`, `state_json`, `stream`, `show_sensitive`, `exit_codes`, `quickstart`, `usage`, `testing`, `bad_input`, `hostile`, `state`,
//! `state_diff` and most of `import` and `state_import`.

mod approval;
mod backends;
mod bad_input;
mod commands;
mod ephemeral;
mod exit_codes;
mod hostile;
mod house;
mod import;
mod kills;
mod leaks;
mod modules;
mod onprem;
mod order_oracle;
mod plan_json;
mod quickstart;
mod sealing;
mod show_sensitive;
mod site;
mod stages;
mod state;
mod state_diff;
mod state_import;
mod state_json;
mod stream;
mod terraform_parity;
mod testing;
mod usage;
