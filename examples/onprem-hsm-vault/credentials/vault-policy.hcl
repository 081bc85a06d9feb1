# What the token of mesh may do in Vault: manage what this example declares, nothing else.
# Replace c1 by the cluster's suffix. Written once by an administrator:
#   vault policy write mesh-operator-c1 credentials/vault-policy.hcl
#   vault token create -policy=mesh-operator-c1 -period=24h

path "sys/mounts" { capabilities = ["read"] }
path "sys/mounts/asm-c1" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "sys/mounts/asm-c1/tune" { capabilities = ["create", "read", "update"] }
path "asm-c1/*" { capabilities = ["create", "read", "update", "delete", "list"] }

path "sys/policies/acl" { capabilities = ["list"] }
path "sys/policy" { capabilities = ["read", "list"] }
path "sys/policies/acl/asm-c1-hsm-policy" { capabilities = ["create", "read", "update", "delete"] }
path "sys/policy/asm-c1-hsm-policy" { capabilities = ["create", "read", "update", "delete"] }

path "sys/auth" { capabilities = ["read"] }
path "sys/auth/asm-c1/hsm" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "sys/auth/asm-c1/hsm/tune" { capabilities = ["create", "read", "update", "sudo"] }
path "auth/asm-c1/hsm/config" { capabilities = ["create", "read", "update"] }
path "auth/asm-c1/hsm/role" { capabilities = ["list"] }
path "auth/asm-c1/hsm/role/istiod" { capabilities = ["create", "read", "update", "delete"] }
