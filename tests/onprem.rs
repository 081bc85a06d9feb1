//! The on-prem procedure from beginning to end, on real servers: greenfield and brownfield.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::site::{KEK_ID, Site, command};

fn deployment(name: &str) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "main", "image": "app:1" }] } }
        }
    })
}

/// A namespace with a workload that runs before there is a mesh.
fn workloads(site: &Site, labels: Value) {
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "labels": labels } });
    site.kubernetes("POST", "/api/v1/namespaces", Some(namespace));
    // The service account controller comes first at a real site, too.
    let until = Instant::now() + Duration::from_secs(20);
    while site.kubernetes("GET", "/api/v1/namespaces/shop/serviceaccounts/default", None)["kind"] != "ServiceAccount" {
        assert!(Instant::now() < until, "no default service account");
        std::thread::sleep(Duration::from_millis(100));
    }
    let made = site.kubernetes("POST", "/apis/apps/v1/namespaces/shop/deployments", Some(deployment("cart")));
    assert_eq!(made["kind"], "Deployment", "{made}");
}

const APPLY: [&str; 3] = ["apply", "-auto-approve", "-input=false"];

/// Applies up to the gate, refuses bad chains, signs, and applies the rest.
fn to_the_end(site: &Site) {
    let gate = site.mesh(&APPLY).expect(3, "apply stops at the gate with exit code 3");
    let text = gate.text();
    for part in ["CN=istiod-ca", "CSR sha256", "openssl x509 -req -in csr.pem"] {
        assert!(text.contains(part), "the gate says {part:?}:\n{text}");
    }
    let none = site.kubernetes("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-cert", None);
    assert_eq!(none["reason"], "NotFound", "no Secret before the chain is signed: {none}");
    site.sign(&text);
    site.mesh(&APPLY).expect(0, "the same command finishes");
    site.expect_empty_plan();
}

#[test]
fn greenfield_from_empty_to_destroyed() {
    let site = Site::new(|site| workloads(site, json!({})), "");
    // Plan from empty: all four providers, nothing created.
    let plan = site.mesh(&["plan", "-detailed-exitcode", "-input=false"]).expect(2, "plan from empty");
    for ty in
        ["hsm_secret_key.kek", "vault_mount.asm", "kubernetes_manifests.control_plane", "gateway_load_balancer.ingress"]
    {
        assert!(plan.stdout.contains(ty), "{ty} is in the plan:\n{}", plan.stdout);
    }
    assert_eq!(site.kubernetes("GET", "/api/v1/namespaces/istio-system", None)["reason"], "NotFound");
    assert!(!site.pkcs11(&["-O"]).contains("Secret Key Object"));

    refusals(&site);
    to_the_end(&site);
    assert!(site.play_log().contains("discovery is ready, its chain ends in the imported root"), "{}", site.play_log());

    // istiod's account reads the PIN, another one is denied.
    let login = site.login("istio-system", "istiod-service-account");
    let token = login["auth"]["client_token"].as_str().unwrap_or_else(|| panic!("the login works: {login}"));
    assert_eq!(site.read_with(token, "asm-c1/hsm")["data"]["PIN"], site.pin.as_str());
    assert!(site.read_with(token, "sys/policies/acl/asm-c1-hsm-policy")["errors"].is_array());
    assert!(site.login("istio-system", "promsd")["errors"].is_array());

    // Connections through the VIP reach the node ports of several nodes.
    let nodes: std::collections::BTreeSet<String> = (0..9).map(|_| site.through_vip(80)).collect();
    assert!(nodes.len() > 1 && nodes.iter().all(|n| n.contains("http2")), "{nodes:?}");
    // The workloads were restarted with the revision's proxies.
    let pods = site.kubernetes("GET", "/api/v1/namespaces/shop/pods?labelSelector=istio.io/rev%3Dasm-198-6", None);
    assert!(pods["items"].as_array().is_some_and(|p| p.len() >= 2), "{pods}");

    drift(&site);
    kill_and_finish(&site);
    site.expect_no_secret();
    destroy(&site);
}

/// The gate refuses what it must, and no Secret is written.
fn refusals(site: &Site) {
    site.mesh(&APPLY).expect(3, "the gate");
    let room = site.vault_room();
    site.offline_root("foreign", "Foreign Root");
    let example = site.example();
    std::fs::copy(example.join("csr.pem"), room.join("csr.pem")).expect("the CSR");
    let sh = |script: &str| {
        let done = std::process::Command::new("sh").args(["-ec", script]).current_dir(&room).output().expect("sh");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::copy(room.join("cert-chain.pem"), example.join("cert-chain.pem")).expect("the chain");
    };
    let ext = "printf '%s\\n' 'basicConstraints=critical,CA:TRUE,pathlen:0' 'keyUsage=critical,keyCertSign' > ca.ext; ";
    let sign = "openssl x509 -req -in csr.pem -CA root.pem -CAkey root.key -CAcreateserial -sha256";
    let cases = [
        (
            "Wrong key",
            format!(
                "{ext}openssl req -new -newkey rsa:2048 -nodes -subj /CN=x -keyout x.key -out x.csr; openssl x509 -req -in x.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -extfile ca.ext -out c.pem; cat c.pem root.pem > cert-chain.pem"
            ),
        ),
        ("Not a CA certificate", format!("{sign} -days 9 -out c.pem; cat c.pem root.pem > cert-chain.pem")),
        ("Wrong order", format!("{ext}{sign} -days 9 -extfile ca.ext -out c.pem; cat root.pem c.pem > cert-chain.pem")),
        ("The root is missing", format!("{ext}{sign} -days 9 -extfile ca.ext -out c.pem; cat c.pem > cert-chain.pem")),
        (
            "Foreign root",
            format!(
                "{ext}openssl x509 -req -in csr.pem -CA foreign.pem -CAkey foreign.key -CAcreateserial -days 9 -extfile ca.ext -out c.pem; cat c.pem foreign.pem > cert-chain.pem"
            ),
        ),
        (
            "Expired",
            format!(
                "{ext}{sign} -not_before 20200101000000Z -not_after 20200102000000Z -extfile ca.ext -out c.pem || {sign} -days -1 -extfile ca.ext -out c.pem; cat c.pem root.pem > cert-chain.pem"
            ),
        ),
        ("PEM", "echo rubbish > cert-chain.pem".to_owned()),
    ];
    for (what, script) in cases {
        sh(&script);
        let output = site.mesh(&APPLY);
        assert_eq!(output.code, 3, "{what} keeps the gate closed:\n{}", output.text());
        let secret = site.kubernetes("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-cert", None);
        assert_eq!(secret["reason"], "NotFound", "{what}: no Secret");
        let said = output.text();
        let problems = said.rsplit("does not open it").next().unwrap_or("");
        assert!(problems.contains(what), "the refusal says {what:?}:\n{said}");
    }
    // A request that changed since the export: the chain was for the old key.
    sh(&format!("{ext}{sign} -days 9 -extfile ca.ext -out c.pem; cat c.pem root.pem > cert-chain.pem"));
    site.kubernetes("DELETE", "/api/v1/namespaces/istio-system/secrets/istio-ca-cert-csr", None);
    let until = Instant::now() + Duration::from_secs(30);
    while site.kubernetes("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-cert-csr", None)["kind"] != "Secret"
    {
        assert!(Instant::now() < until, "istiod writes a new request\n{}", site.play_log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let changed = site.mesh(&APPLY).expect(3, "a changed request keeps the gate closed");
    assert!(changed.text().contains("The CSR changed since the export"), "{}", changed.text());
    std::fs::remove_file(example.join("cert-chain.pem")).expect("removes");
}

/// Twelve foreign changes: found, named exactly, repaired.
fn drift(site: &Site) {
    site.mesh(&["drift", "-input=false"]).expect(0, "no drift yet");
    let ns = "/api/v1/namespaces";
    site.kubernetes(
        "PATCH",
        &format!("{ns}/shop"),
        Some(json!({ "metadata": { "labels": { "istio.io/rev": null, "istio-injection": "enabled" } } })),
    );
    site.kubernetes(
        "PATCH",
        &format!("{ns}/istio-system/configmaps/vault-tls-cert"),
        Some(json!({ "data": { "cert": "x" } })),
    );
    site.kubernetes("DELETE", &format!("{ns}/istio-system/secrets/istio-ca-cert"), None);
    site.kubernetes(
        "PATCH",
        &format!("{ns}/istio-system/services/istiod"),
        Some(json!({ "spec": { "selector": { "istio.io/rev": "other" } } })),
    );
    site.kubernetes("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/role-tokenreview-binding", None);
    site.kubernetes("DELETE", &format!("{ns}/istio-system/services/promsd"), None);
    site.vault(
        "PUT",
        "sys/policies/acl/asm-c1-hsm-policy",
        Some(json!({ "policy": "path \"x\" { capabilities = [\"read\"] }" })),
    );
    site.vault("PUT", "auth/asm-c1/hsm/role/istiod", Some(json!({ "token_ttl": "1h" })));
    site.vault("PUT", "asm-c1/hsm", Some(json!({ "PIN": "0000" })));
    site.vault("POST", "sys/mounts/asm-c1/tune", Some(json!({ "max_lease_ttl": "1h" })));
    let state = site.haproxy("show servers state");
    let server = state.lines().skip(2).find_map(|l| {
        let f: Vec<&str> = l.split(' ').collect();
        f.get(1).filter(|b| b.starts_with("mesh_")).map(|b| format!("{b}/{}", f[3]))
    });
    site.haproxy(&format!("set server {} state maint", server.expect("a server of ours")));
    site.relabel_kek("renamed");
    let drift = site.mesh(&["drift", "-json", "-input=false"]).expect(2, "drift exits with 2");
    let document: Value = serde_json::from_str(&drift.stdout).expect("one JSON document");
    let named: std::collections::BTreeSet<String> = document["resource_drift"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|d| d["address"].as_str().map(str::to_owned))
        .collect();
    let expected: std::collections::BTreeSet<String> = [
        "kubernetes_labels.enrolled[\"shop\"]",
        "kubernetes_manifest.vault_tls_cert",
        "kubernetes_manifest.istio_ca_cert",
        "kubernetes_manifest.istiod_service",
        "kubernetes_manifest.tokenreview",
        "kubernetes_manifests.control_plane",
        "vault_policy.hsm",
        "vault_kubernetes_auth_role.istiod",
        "vault_kv_secret.hsm",
        "vault_mount.asm",
        "gateway_load_balancer.ingress[0]",
        "hsm_secret_key.kek",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    assert_eq!(named, expected, "drift names exactly what was changed:\n{}", drift.stdout);
    site.mesh(&APPLY).expect(0, "apply repairs");
    site.expect_empty_plan();
    assert!(site.pkcs11(&["-O"]).contains("k8s-kms-plugin-kek"));
}

/// SIGKILL at some moments of a change; the same command finishes.
fn kill_and_finish(site: &Site) {
    for (round, delay) in [60_u64, 150, 300, 500, 800, 1200].into_iter().enumerate() {
        site.set(&format!("images = {{ proxy = \"proxyv2:{round}\", prometheus = \"prometheus:{round}\" }}"));
        site.set(&format!("min_servers_up = {}", round % 3 + 1));
        let mut child = command(&site.example(), &APPLY, &site.env)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("mesh starts");
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().expect("SIGKILL");
        child.wait().expect("ends");
        site.mesh(&APPLY).expect(0, "the same command finishes");
        site.expect_empty_plan();
    }
}

/// Nothing is left but what is protected, and that is said.
fn destroy(site: &Site) {
    let output = site.mesh(&["destroy", "-auto-approve", "-input=false"]).expect(0, "destroy");
    assert!(output.text().contains("hsm_secret_key.kek"), "what stays is named:\n{}", output.text());
    for (path, name) in [("/api/v1/namespaces/istio-system", "istio-system"), ("/api/v1/namespaces/vault", "vault")] {
        assert_eq!(site.kubernetes("GET", path, None)["reason"], "NotFound", "{name}");
    }
    let labels = site.kubernetes("GET", "/api/v1/namespaces/shop", None)["metadata"]["labels"].clone();
    assert!(labels.get("istio.io/rev").is_none(), "{labels}");
    assert!(site.vault("GET", "sys/mounts/asm-c1", None)["errors"].is_array());
    assert!(site.vault("GET", "sys/policies/acl/asm-c1-hsm-policy", None)["errors"].is_array());
    let webhooks = site.kubernetes("GET", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", None);
    assert_eq!(webhooks["items"].as_array().map(Vec::len), Some(0), "{webhooks}");
    let objects = site.pkcs11(&["-O"]);
    assert!(objects.contains("Secret Key Object") && !objects.contains("Certificate Object"), "{objects}");
    let files: Vec<_> = std::fs::read_dir(&site.sandbox.gateway().expect("gateway").conf_dir)
        .expect("conf.d")
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().starts_with("mesh-"))
        .collect();
    assert!(files.is_empty(), "{files:?}");
    let list = site.mesh(&["state", "list"]).expect(0, "state list");
    assert_eq!(list.stdout.trim(), "hsm_secret_key.kek");
}

#[test]
fn brownfield_is_adopted_and_migrated() {
    let site = Site::new(
        |site| {
            workloads(site, json!({ "istio-injection": "enabled" }));
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "vault", "labels": { "team": "security" } } });
            site.kubernetes("POST", "/api/v1/namespaces", Some(namespace));
            let id: String = KEK_ID.bytes().map(|b| format!("{b:02x}")).collect();
            site.pkcs11(&[
                "--keygen",
                "--key-type",
                "AES:32",
                "--id",
                &id,
                "--label",
                "k8s-kms-plugin-kek",
                "--sensitive",
            ]);
        },
        "adopt_kek = true\nadopt_reviewer_namespace = true",
    );
    let uid =
        |path: &str| site.kubernetes("GET", path, None)["metadata"]["uid"].as_str().map(str::to_owned).expect("a uid");
    let before = (uid("/api/v1/namespaces/vault"), uid("/apis/apps/v1/namespaces/shop/deployments/cart"));
    let key = site.pkcs11(&["-O", "--type", "secrkey"]);
    to_the_end(&site);
    assert_eq!(
        before,
        (uid("/api/v1/namespaces/vault"), uid("/apis/apps/v1/namespaces/shop/deployments/cart")),
        "nothing is recreated"
    );
    assert_eq!(site.pkcs11(&["-O", "--type", "secrkey"]), key, "the key is the same");
    let shop = site.kubernetes("GET", "/api/v1/namespaces/shop", None)["metadata"]["labels"].clone();
    assert_eq!(shop["istio.io/rev"], "asm-198-6");
    assert!(shop.get("istio-injection").is_none(), "{shop}");
    let vault = site.kubernetes("GET", "/api/v1/namespaces/vault", None)["metadata"]["labels"].clone();
    assert_eq!(vault["team"], "security", "foreign labels stay");
    site.mesh(&["destroy", "-auto-approve", "-input=false"]).expect(0, "destroy");
    assert_eq!(uid("/api/v1/namespaces/vault"), before.0, "an adopted namespace is never deleted");
    assert!(site.pkcs11(&["-O"]).contains("Secret Key Object"));
}

/// The other two load balancers, the verified release, and a folder of manifests as the control plane.
#[test]
fn external_and_integrated_load_balancers_and_a_folder_of_manifests() {
    let site = Site::new(|site| workloads(site, json!({})), "lb_mode = \"external\"");
    release(&site);
    // External: nobody forwards yet, so both gates are closed.
    let gates = site.mesh(&APPLY).expect(3, "two gates");
    assert!(gates.text().contains("mesh_gate.external_load_balancer[0]"), "{}", gates.text());
    assert!(
        gates.text().contains(&format!("{}:80 -> 127.", site.vip)),
        "the gate says what to forward:\n{}",
        gates.text()
    );
    site.sign(&gates.text());
    site.mesh(&APPLY).expect(3, "the chain opens one gate, the other stays closed");
    // Somebody else's load balancer starts to answer.
    let listeners: Vec<_> = [80, 443]
        .map(|port| std::net::TcpListener::bind((site.vip.as_str(), port)).expect("the VIP"))
        .into_iter()
        .collect();
    site.mesh(&APPLY).expect(0, "a connection through the VIP opens the gate");
    drop(listeners);
    // An opened gate stays open.
    site.expect_empty_plan();
    site.mesh(&["destroy", "-auto-approve", "-input=false"]).expect(0, "destroy");

    // Integrated: the cluster's controller answers while apply waits for it.
    site.set("lb_mode = \"integrated\"");
    std::fs::remove_file(site.example().join("cert-chain.pem")).expect("removes");
    let gate = std::thread::scope(|scope| {
        let (folder, env) = (site.example(), &site.env);
        let apply = scope.spawn(move || crate::site::mesh(&folder, &APPLY, env));
        let path = "/api/v1/namespaces/istio-system/services/istio-ingressgateway";
        let until = Instant::now() + Duration::from_secs(60);
        while site.kubernetes("GET", path, None)["spec"]["loadBalancerIP"] != site.vip.as_str() {
            assert!(Instant::now() < until, "the Service gets the address");
            std::thread::sleep(Duration::from_millis(200));
        }
        let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": site.vip }] } } });
        site.kubernetes("PATCH", &format!("{path}/status"), Some(status));
        apply.join().expect("apply ends")
    });
    let gate = gate.expect(3, "the signing gate");
    site.sign(&gate.text());
    site.mesh(&APPLY).expect(0, "the same command finishes");
    site.expect_empty_plan();
    site.mesh(&["destroy", "-auto-approve", "-input=false"]).expect(0, "destroy");

    // A folder of generated manifests, several documents in a file, fits unchanged.
    let folder = site.folder.path().join("generated/more");
    std::fs::create_dir_all(&folder).expect("a folder");
    let document = |name: &str| {
        format!("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {name}\n  namespace: istio-system\n")
    };
    std::fs::write(folder.join("b.yml"), format!("{}---\n{}", document("two"), document("three"))).expect("writes");
    std::fs::write(site.folder.path().join("generated/a.yaml"), document("one")).expect("writes");
    site.set(&format!("control_plane_folder = \"{}\"", site.folder.path().join("generated").display()));
    let plan = site.mesh(&["plan", "-input=false"]).expect(0, "a plan from a folder");
    for name in ["one", "two", "three"] {
        assert!(plan.stdout.contains(&format!("ServiceAccount istio-system/{name}")), "{name}:\n{}", plan.stdout);
    }
}

/// A downloaded release with its detached signature; a changed byte is refused.
fn release(site: &Site) {
    let room = site.vault_room();
    let script = "openssl ecparam -name prime256v1 -genkey -noout -out vendor.key; openssl ec -in vendor.key -pubout -out vendor.pub; \
         head -c 4096 /dev/urandom > release.tar.gz; openssl dgst -sha256 -sign vendor.key -out release.sig release.tar.gz";
    let done = std::process::Command::new("sh").args(["-ec", script]).current_dir(&room).output().expect("sh");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let path = |name: &str| room.join(name).display().to_string();
    let key = std::fs::read_to_string(room.join("vendor.pub")).expect("the key").replace('\n', "\\n");
    site.set(&format!(
        "control_plane_archive = {{ path = \"{}\", signature = \"{}\", public_key = \"{key}\" }}",
        path("release.tar.gz"),
        path("release.sig")
    ));
    site.mesh(&["plan", "-input=false"]).expect(0, "the signature is good");
    let good = std::fs::read(room.join("release.tar.gz")).expect("reads");
    let mut bad = good.clone();
    bad[7] ^= 1;
    std::fs::write(room.join("release.tar.gz"), bad).expect("writes");
    let refused = site.mesh(&["plan", "-input=false"]).expect(1, "a changed byte is refused");
    assert!(refused.text().contains("signature"), "{}", refused.text());
    std::fs::write(room.join("release.tar.gz"), good).expect("writes");
}
