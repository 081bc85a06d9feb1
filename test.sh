#!/usr/bin/env bash
# Passes all tests: sets up what they need, then formatting, lints and every test of the workspace.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo fmt --all -- --check
cargo clippy --workspace --all-targets --locked -- -D warnings
# The servers are built here, where it shows, and not inside a silent test.
./demo.sh
cargo test --workspace --locked
