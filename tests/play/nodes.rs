//! The nodes' side of Services: something answers on every node port of every node.

use std::collections::HashMap;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

/// Listeners by address.
#[derive(Default)]
pub(crate) struct Nodes {
    listeners: HashMap<String, JoinHandle<()>>,
}

impl Nodes {
    pub(crate) async fn tick(&mut self, cluster: &Cluster) {
        let services = cluster.node_port_services().await;
        let mut wanted: HashMap<String, String> = HashMap::new();
        if !services.is_empty() {
            for (node, ip) in cluster.nodes().await {
                for service in &services {
                    for port in service.spec.iter().flat_map(|s| s.ports.iter().flatten()) {
                        if let Some(node_port) = port.node_port {
                            let line = format!("{node} {}\n", port.name.as_deref().unwrap_or(""));
                            wanted.insert(format!("{ip}:{node_port}"), line);
                        }
                    }
                }
            }
        }
        self.listeners.retain(|address, task| {
            let keep = wanted.contains_key(address) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        for (address, line) in wanted {
            if self.listeners.contains_key(&address) {
                continue;
            }
            match TcpListener::bind(&address).await {
                Ok(listener) => {
                    self.listeners.insert(address, tokio::spawn(serve(listener, line)));
                }
                Err(e) => println!("nodes: {address}: {e}"),
            }
        }
    }
}

async fn serve(listener: TcpListener, line: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let line = line.clone();
        tokio::spawn(async move {
            // A health check closes without reading; that is no error.
            let _ = stream.write_all(line.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}
