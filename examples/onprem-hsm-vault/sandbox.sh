#!/usr/bin/env bash
# The whole procedure on the sandbox: plan, apply up to the gate, sign at the "offline root", apply the
# rest, and the empty second plan. Runs inside `mesh sandbox run -- ...`, in a temporary copy.
set -euo pipefail
mesh=${MESH:-mesh}
play=${MESH_PLAY:?path of the program mesh-play}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'kill "${player:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -r "$here" "$work/site" && cd "$work/site"
step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

step "the security administrator's offline root, and the HSM's client certificate"
mkdir "$work/room"
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=Example/CN=Offline Root" \
  -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$work/room/root.key" -out "$work/room/root.pem" 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=hsm-client" -keyout "$work/room/hsm.key" -out "$work/room/hsm.pem" 2>/dev/null

step "what the administrators of Kubernetes and Vault do once: rights for mesh's own user and token"
MESH_VAR_kubeconfig=$KUBECONFIG MESH_VAR_vault_addr=$VAULT_ADDR MESH_VAR_vault_token=$VAULT_TOKEN \
  MESH_VAR_vault_ca_file=$VAULT_CACERT "$mesh" -chdir=bootstrap apply -auto-approve
token=$(curl -sS --fail --cacert "$VAULT_CACERT" -H "X-Vault-Token: $VAULT_TOKEN" \
  -d '{"policies":["mesh-operator-c1"],"period":"24h"}' "$VAULT_ADDR/v1/auth/token/create" |
  sed -n 's/.*"client_token":"\([^"]*\)".*/\1/p')

step "the site's variables; secrets come through the environment"
export MESH_VAR_vault_token=$token MESH_VAR_hsm_pin
MESH_VAR_hsm_pin=$(cat "$MESH_SANDBOX_PIN_FILE")
export MESH_VAR_hsm_client_cert MESH_VAR_hsm_client_key MESH_VAR_hsm_server_cert
MESH_VAR_hsm_client_cert=$(cat "$work/room/hsm.pem")
MESH_VAR_hsm_client_key=$(cat "$work/room/hsm.key")
MESH_VAR_hsm_server_cert=$(cat "$work/room/hsm.pem")
# A free port for the injector that the player answers at.
port=$((20000 + RANDOM % 10000))
cat > site.auto.meshvars.hcl <<VARS
kubeconfig                = "$MESH_SANDBOX_OPERATOR_KUBECONFIG"
kubernetes_host_for_vault = "$MESH_SANDBOX_KUBERNETES_ADDR"
min_nodes                 = 3
vault_addr                = "$VAULT_ADDR"
vault_ca_file             = "$VAULT_CACERT"
hsm_library               = "$MESH_SANDBOX_PKCS11_MODULE"
hsm_environment           = { SOFTHSM2_CONF = "$SOFTHSM2_CONF" }
hsm_token_label           = "$MESH_SANDBOX_TOKEN_LABEL"
kek_id                    = "$(cat /proc/sys/kernel/random/uuid)"
root_ca_file              = "$work/room/root.pem"
pod_annotations           = { "sandbox.mesh/ready" = "" }
webhook_url               = "https://127.0.0.1:$port"
vip                       = "$MESH_SANDBOX_VIP"
haproxy = {
  main_config   = "$MESH_SANDBOX_HAPROXY_CONFIG"
  config_dir    = "$MESH_SANDBOX_HAPROXY_CONF_DIR"
  master_socket = "$MESH_SANDBOX_HAPROXY_MASTER_SOCKET"
  stats_socket  = "$MESH_SANDBOX_HAPROXY_STATS_SOCKET"
}
VARS
# No container runs on the sandbox: this plays what is inside istiod's pod, and the nodes' ports.
"$play" "$KUBECONFIG" "$port" > "$work/play.log" 2>&1 &
player=$!

step "mesh plan, from empty"
"$mesh" plan
step "mesh apply: up to the gate, which ends with exit code 3"
code=0
"$mesh" apply -auto-approve | tee "$work/gate.txt" || code=${PIPESTATUS[0]}
[ "$code" -eq 3 ] || { echo "expected exit code 3, got $code" >&2; exit 1; }

step "at the offline root: the commands that the gate printed"
cp csr.pem "$work/room/"
sed -n "/printf '%s/,/> cert-chain.pem/p" "$work/gate.txt" | tail -n 3 | sed 's/^[ |│]*//' > "$work/room/sign.sh"
cat "$work/room/sign.sh"
(cd "$work/room" && sh -e sign.sh)
cp "$work/room/cert-chain.pem" .

step "mesh apply: the same command goes on"
"$mesh" apply -auto-approve
step "mesh plan: nothing left to do"
"$mesh" plan -detailed-exitcode
step "what the played pods said"
cat "$work/play.log"
printf '\nA connection through the virtual IP address reaches: '
exec 3<>"/dev/tcp/$MESH_SANDBOX_VIP/80" && head -n 1 <&3
