//! Plays users' programs on the sandbox, where no container runs: what is inside istiod's pod, and
//! the back ends behind node ports.
//!
//! The one decision: it takes everything from the applied objects (environment of the containers,
//! the ConfigMap with Vault's CA, the service account's token, the KEK's id), so that it works only
//! when what was applied is right. It never plays Kubernetes, Vault, PKCS#11 or HAProxy.
//!
//! `mesh-play KUBECONFIG WEBHOOK_PORT` runs until it is stopped; it says what it does on stdout.
//! `mesh-play relabel ...` is somebody with another program who changes a key's label.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the tests that speaks to people")]

mod cluster;
mod discovery;
mod hsm_plugin;
mod injector;
mod nodes;
mod vault_client;

use std::time::Duration;

/// How often the cluster is looked at.
const TICK: Duration = Duration::from_millis(250);

#[expect(clippy::disallowed_methods, reason = "a program reads its own arguments")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, library, token, pin_file, id, label] = arguments.as_slice()
        && word == "relabel"
    {
        return match hsm_plugin::relabel(library, token, pin_file, id, label) {
            Ok(()) => std::process::ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("mesh-play: {e}");
                std::process::ExitCode::FAILURE
            }
        };
    }
    let [kubeconfig, port] = arguments.as_slice() else {
        eprintln!("usage: mesh-play KUBECONFIG WEBHOOK_PORT, or mesh-play relabel LIBRARY TOKEN PIN_FILE ID LABEL");
        return std::process::ExitCode::FAILURE;
    };
    // The only provider in the tree; a second install is no error worth telling.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
        .and_then(|rt| rt.block_on(run(kubeconfig, port)));
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mesh-play: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(kubeconfig: &str, port: &str) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| "WEBHOOK_PORT is a number".to_owned())?;
    let cluster = cluster::Cluster::connect(kubeconfig).await?;
    let injector = injector::Injector::start(port).await?;
    let mut nodes = nodes::Nodes::default();
    let mut discovery = discovery::Discovery::default();
    println!("playing istiod's pods and the nodes' ports");
    loop {
        nodes.tick(&cluster).await;
        discovery.tick(&cluster).await;
        injector.publish(&cluster, &discovery.revision).await;
        tokio::time::sleep(TICK).await;
    }
}
