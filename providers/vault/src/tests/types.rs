//! Every type through the conformance suite: with the root token, and with one that may only do what the type's page
//! says (no LIST, no table of mounts).

use mesh_sdk::conformance::{Case, run};

use super::*;

const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// Where the cases of one run live; the mounts are made by somebody else.
struct Places {
    kv1: String,
    kv2: String,
    auth: String,
    free: String,
}

async fn places(root: &Client) -> Places {
    let name = |prefix: &str| sandbox().mount(prefix);
    let places = Places { kv1: name("kv1"), kv2: name("team/kv2"), auth: name("asm/hsm"), free: name("free") };
    write(root, &format!("sys/mounts/{}", places.kv1), json!({"type": "kv"})).await;
    write(root, &format!("sys/mounts/{}", places.kv2), json!({"type": "kv", "options": {"version": "2"}})).await;
    write(root, &format!("sys/auth/{}", places.auth), json!({"type": "kubernetes"})).await;
    places
}

fn cases(p: &Places) -> Vec<Case> {
    let mut cases = Vec::new();
    let mount = |more: &[(&'static str, Value)]| {
        let fixed = [("path", string(&format!("{}/kv", p.free))), ("type", string("kv"))];
        Value::object(fixed.into_iter().chain(more.iter().cloned()))
    };
    cases.push(Case {
        updates: vec![
            mount(&[("version", string("1")), ("max_lease_ttl", string("3650d")), ("description", string("für HSM"))]),
            mount(&[("version", string("1")), ("default_lease_ttl", string("90m"))]),
            mount(&[("version", string("2"))]),
        ],
        replace: Some(mount(&[("version", string("1"))])),
        ..Case::new(
            "vault_mount",
            mount(&[
                ("version", string("1")),
                ("max_lease_ttl", string("87600h")),
                ("default_lease_ttl", string("0s")),
            ]),
        )
    });
    let pki = |max: &str| {
        object([("path", string(&format!("{}/pki", p.free))), ("type", string("pki")), ("max_lease_ttl", string(max))])
    };
    cases.push(Case { updates: vec![pki("8761h")], ..Case::new("vault_mount", pki("8760h")) });
    let auth = |ty: &str, text: &str| {
        object([
            ("path", string(&format!("{}/hsm", p.free))),
            ("type", string(ty)),
            ("description", string(text)),
            ("default_lease_ttl", string("1h")),
        ])
    };
    cases.push(Case {
        updates: vec![auth("kubernetes", "b"), auth("kubernetes", "")],
        replace: Some(auth("approle", "")),
        ..Case::new("vault_auth_backend", auth("kubernetes", "a"))
    });
    let policy = |text: &str| object([("name", string(&format!("{}-policy", p.free))), ("policy", string(text))]);
    cases.push(Case {
        updates: vec![policy("path \"a/b\" {\n  capabilities = [\"list\", \"read\"]\n}")],
        ..Case::new("vault_policy", policy("path \"a/b\" { capabilities = [\"read\"] }"))
    });
    let kube = |host: &str, jwt: Option<&str>| {
        let jwt = jwt.map_or(Value::NULL, string);
        object([
            ("backend", string(&p.auth)),
            ("kubernetes_host", string(host)),
            ("kubernetes_ca_cert", string(CA)),
            ("token_reviewer_jwt", jwt),
            ("disable_local_ca_jwt", Value::bool(true)),
        ])
    };
    cases.push(Case {
        updates: vec![
            kube("https://192.0.2.2:6443", Some("canary.jwt.one")),
            kube("https://192.0.2.2:6443", Some("canary.jwt.two")),
            kube("https://192.0.2.2:6443", None),
        ],
        canary: Some("canary"),
        ..Case::new("vault_kubernetes_auth_config", kube("https://192.0.2.1:6443", Some("canary.jwt.one")))
    });
    let role = |more: &[(&'static str, Value)]| {
        let fixed = [
            ("backend", string(&p.auth)),
            ("name", string("istiod")),
            ("bound_service_account_names", strings(&["b", "a"])),
            ("bound_service_account_namespaces", strings(&["istio-system"])),
        ];
        Value::object(fixed.into_iter().chain(more.iter().cloned()))
    };
    cases.push(Case {
        updates: vec![
            role(&[("policies", strings(&["zed", "Abc"])), ("ttl", string("31d"))]),
            role(&[
                ("token_policies", strings(&["x"])),
                ("token_period", string("1h")),
                ("token_bound_cidrs", strings(&["10.0.0.1/32"])),
                ("token_num_uses", Value::number(3)),
                ("audience", string("vault")),
            ]),
            role(&[("alias_name_source", string("serviceaccount_name"))]),
        ],
        ..Case::new(
            "vault_kubernetes_auth_role",
            role(&[
                ("token_policies", strings(&["Zed", "abc"])),
                ("token_ttl", string("768h")),
                ("token_max_ttl", string("0")),
            ]),
        )
    });
    let secret = |mount: &str, entries: &[(&str, &str)]| {
        object([("mount", string(mount)), ("name", string("deep/hsm")), ("data", map(entries))])
    };
    cases.push(Case {
        updates: vec![secret(&p.kv1, &[("PIN", "canary-2"), ("more", "x")]), secret(&p.kv1, &[("more", "x")])],
        canary: Some("canary"),
        ..Case::new("vault_kv_secret", secret(&p.kv1, &[("PIN", "canary-1")]))
    });
    let described =
        |entries: &[(&str, &str)], about: &[(&str, &str)]| secret(&p.kv2, entries).with("custom_metadata", map(about));
    cases.push(Case {
        updates: vec![
            described(&[("PIN", "canary-2")], &[]),
            described(&[("PIN", "canary-2")], &[("owner", "mesh")]),
            secret(&p.kv2, &[("PIN", "canary-3")]),
        ],
        canary: Some("canary"),
        ..Case::new("vault_kv_secret_v2", described(&[("PIN", "canary-1")], &[("owner", "x")]))
    });
    cases
}

async fn all(token: &str, places: &Places) {
    let (provider, session) = (provider(), session(token).await);
    for case in cases(places) {
        run(provider.as_ref(), session.as_ref(), &case).await.unwrap_or_else(|e| panic!("{e}"));
    }
}

#[tokio::test]
async fn every_type_conforms() {
    let root = foreign(server()).await;
    let places = places(&root).await;
    all(server().root_token(), &places).await;
    let covered: std::collections::BTreeSet<&str> = cases(&places).iter().map(|c| c.ty).collect();
    assert!(provider().schema().resources.keys().all(|ty| covered.contains(ty)), "a type without a case");
}

#[tokio::test]
async fn every_type_conforms_with_a_token_that_may_only_do_that() {
    let root = foreign(server()).await;
    let p = places(&root).await;
    let write = "\"create\", \"update\", \"read\", \"delete\"";
    let rules = format!(
        "path \"sys/mounts/{free}/*\" {{ capabilities = [{write}] }}
         path \"sys/mounts/auth/{free}/hsm/tune\" {{ capabilities = [\"update\"] }}
         path \"sys/auth/{free}/hsm\" {{ capabilities = [{write}, \"sudo\"] }}
         path \"sys/policies/acl/{free}-policy\" {{ capabilities = [{write}] }}
         path \"auth/{auth}/config\" {{ capabilities = [\"create\", \"update\", \"read\"] }}
         path \"auth/{auth}/role/istiod\" {{ capabilities = [{write}] }}
         path \"{kv1}/deep/hsm\" {{ capabilities = [{write}] }}
         path \"{kv2}/data/deep/hsm\" {{ capabilities = [\"create\", \"update\", \"read\"] }}
         path \"{kv2}/metadata/deep/hsm\" {{ capabilities = [\"create\", \"update\", \"delete\"] }}",
        free = p.free,
        auth = p.auth,
        kv1 = p.kv1,
        kv2 = p.kv2,
    );
    all(&limited_token(&root, &rules).await, &p).await;
}

#[test]
fn bad_configurations_are_refused_before_anything_is_asked() {
    let provider = provider();
    for (ty, config, at) in [
        ("vault_policy", object([("name", string("Upper")), ("policy", string(""))]), "name"),
        ("vault_policy", object([("name", string("p")), ("policy", string("path \"a\" {"))]), "policy"),
        ("vault_mount", object([("path", string("a/../b")), ("type", string("kv"))]), "path"),
        ("vault_mount", object([("path", string("a")), ("type", string("kv-v2"))]), "type"),
        ("vault_mount", object([("path", string("a")), ("type", string("pki")), ("version", string("2"))]), "version"),
        (
            "vault_mount",
            object([("path", string("a")), ("type", string("kv")), ("max_lease_ttl", string("ten years"))]),
            "max_lease_ttl",
        ),
        ("vault_auth_backend", object([("path", string("auth/a")), ("type", string("kubernetes"))]), "path"),
        (
            "vault_kubernetes_auth_config",
            object([
                ("backend", string("a")),
                ("kubernetes_host", string("https://h")),
                ("token_reviewer_jwt", string("cat \"file\"")),
            ]),
            "token_reviewer_jwt",
        ),
        (
            "vault_kubernetes_auth_config",
            object([
                ("backend", string("a")),
                ("kubernetes_host", string("https://h")),
                ("kubernetes_ca_cert", string("-----BEGIN C----- x")),
            ]),
            "kubernetes_ca_cert",
        ),
        (
            "vault_kubernetes_auth_role",
            object([
                ("backend", string("a")),
                ("name", string("r")),
                ("bound_service_account_namespaces", strings(&["n"])),
                ("ttl", string("1h")),
                ("token_ttl", string("1h")),
            ]),
            "ttl",
        ),
        ("vault_policy", object([("name", string("p").sensitive()), ("policy", string(""))]), "name"),
        (
            "vault_kv_secret",
            object([("mount", string("m")), ("name", string("a%2f")), ("data", map(&[("a", "b")]))]),
            "name",
        ),
        ("vault_kv_secret_v2", object([("mount", string("m")), ("name", string("a")), ("data", map(&[]))]), "data"),
    ] {
        let problems = provider.rules(ty).expect("a known type").validate(&config);
        assert_eq!(
            problems.iter().map(|p| p.path.root()).collect::<Vec<_>>(),
            [Some(at)],
            "{ty} {config:?} {problems:?}"
        );
    }
}

#[tokio::test]
async fn another_spelling_is_no_change() {
    let root = foreign(server()).await;
    let p = places(&root).await;
    let session = session(server().root_token()).await;
    let role = |more: [(&'static str, Value); 2]| {
        let fixed = [
            ("backend", string(&p.auth)),
            ("name", string("r")),
            ("bound_service_account_names", strings(&["b", "a"])),
            ("bound_service_account_namespaces", strings(&["n"])),
        ];
        Value::object(fixed.into_iter().chain(more))
    };
    let mut it = Instance::new(&*session, "vault_kubernetes_auth_role");
    assert_eq!(
        it.apply(&role([("token_policies", strings(&["Zed", "abc"])), ("token_ttl", string("768h"))])).await,
        Ok(Verdict::Create)
    );
    for other in [
        [("token_policies", strings(&["abc", "zed"])), ("token_ttl", string("2764800"))],
        [("policies", strings(&["zed", "abc"])), ("ttl", string("32d"))],
    ] {
        assert_eq!(it.plan(&role(other.clone())).await.map(|p| p.verdict), Ok(Verdict::NoOp), "{other:?}");
    }
    // What the command line of Vault wrote in the old spelling is the same role.
    let path = format!("auth/{}/role/r", p.auth);
    write(&root, &path, json!({"policies": "abc,zed", "ttl": "768h"})).await;
    assert_eq!(
        it.plan(&role([("ttl", string("768h")), ("policies", strings(&["abc", "zed"]))])).await.map(|p| p.verdict),
        Ok(Verdict::NoOp)
    );
    // What is no longer configured is taken away, not kept.
    assert_eq!(
        it.apply(&role([("token_policies", strings(&["abc"])), ("audience", Value::NULL)])).await,
        Ok(Verdict::Update)
    );
    let seen = root.read(&path).await.expect("readable").expect("there");
    assert_eq!((&seen["token_ttl"], &seen["token_policies"], seen.get("ttl")), (&json!(0), &json!(["abc"]), None));
}

#[test]
fn examples_name_what_the_schema_has() {
    let provider = provider();
    let schema = provider.schema();
    for (kind, types) in [("resource", &schema.resources), ("data", &schema.data), ("ephemeral", &schema.ephemeral)] {
        for (name, ty) in types {
            let body = hcl_edit::parser::parse_body(ty.example).unwrap_or_else(|e| panic!("{name}: {e}"));
            let block = body.blocks().next().unwrap_or_else(|| panic!("{name}: no block"));
            assert_eq!((block.ident.as_str(), block.labels[0].as_str()), (kind, *name));
            let given: Vec<&str> = block.body.attributes().map(|a| a.key.as_str()).collect();
            for attribute in &ty.schema.attributes {
                let required = attribute.given == mesh_model::schema::Given::Required;
                assert!(!required || given.contains(&attribute.name), "{name}: the example lacks {}", attribute.name);
            }
            for attribute in given {
                let known =
                    ty.schema.attribute(attribute).is_some_and(|a| a.given != mesh_model::schema::Given::Computed);
                assert!(known, "{name}: the example sets {attribute}");
            }
        }
    }
}
