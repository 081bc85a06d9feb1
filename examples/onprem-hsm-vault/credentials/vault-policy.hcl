# What the token of mesh may do in Vault: manage what this example declares, nothing else.
# Replace c1 by the cluster's suffix. Written once by an administrator:
#
#   vault policy write mesh-operator-c1 credentials/vault-policy.hcl
#   vault token create -policy=mesh-operator-c1 -period=24h

path "sys/mounts/asm-c1" { capabilities = ["create", "read", "update", "delete"] }
path "sys/mounts/asm-c1/tune" { capabilities = ["update"] }
path "asm-c1/hsm" { capabilities = ["create", "read", "update", "delete"] }

path "sys/policies/acl/asm-c1-hsm-policy" { capabilities = ["create", "read", "update", "delete"] }

# Enabling an auth method needs sudo on its path, and on no other.
path "sys/auth/asm-c1/hsm" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "sys/mounts/auth/asm-c1/hsm/tune" { capabilities = ["update"] }
path "auth/asm-c1/hsm/config" { capabilities = ["create", "read", "update"] }
path "auth/asm-c1/hsm/role/istiod" { capabilities = ["create", "read", "update", "delete"] }

# Optional: with these, a plan needs fewer calls.
path "sys/mounts" { capabilities = ["read"] }
path "sys/auth" { capabilities = ["read"] }
