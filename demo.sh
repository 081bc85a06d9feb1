#!/usr/bin/env bash
# Sets up everything and does the main job on a sandbox of real servers on this machine.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --locked --bin mesh --example mesh-play
export MESH=$PWD/target/debug/mesh MESH_PLAY=$PWD/target/debug/examples/mesh-play
exec "$MESH" sandbox run -- "$PWD/examples/onprem-hsm-vault/sandbox.sh"
