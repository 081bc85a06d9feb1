#!/usr/bin/env bash
# Installs the Debian packages that the sandbox and the tests use. Rust and Go must be there.
set -euo pipefail
packages=(softhsm2 opensc haproxy openssl util-linux curl ca-certificates git docker-registry postgresql)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "install ok installed" || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=""; [ "$(id -u)" -eq 0 ] || sudo=sudo
  echo "installing ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
for tool in cargo go; do
  command -v "$tool" >/dev/null || { echo "$tool is not on PATH: install Rust and Go first" >&2; exit 1; }
done
