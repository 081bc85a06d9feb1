//! Whole commands against the real servers of the sandbox: 500 ConfigMaps, and 500 Vault secrets with
//! 500 policies: create, plan without changes, destroy.
//!
//! The one decision: the process is timed from start to exit, as a user's pipeline does; the servers
//! run on the same machine, so their share is in the numbers. `cargo bench --bench servers`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark speaks to people and reads its environment"
)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mesh_sandbox::{Options, Part, Sandbox, default_cache};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let home = std::env::var("HOME")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let options = Options::temporary(default_cache(Path::new(&home)), &path, [Part::Kubernetes, Part::Vault]);
    let sandbox = Sandbox::start(options, &|_: &mesh_sandbox::Event| {})?;
    let kubernetes = format!(
        "provider \"kubernetes\" {{\n  kubeconfig = \"{}\"\n}}\nresource \"kubernetes_manifest\" \"c\" {{\n  count = 500\n  manifest = {{\n    apiVersion = \"v1\"\n    kind = \"ConfigMap\"\n    metadata = {{ name = \"c${{count.index}}\", namespace = \"default\" }}\n    data = {{ key = \"value ${{count.index}}\" }}\n  }}\n}}\n",
        sandbox.kubernetes()?.admin_kubeconfig.display()
    );
    let vault = sandbox.vault()?;
    let vault = format!(
        "provider \"vault\" {{\n  address = \"{}\"\n  token = \"{}\"\n  ca_cert_file = \"{}\"\n}}\nresource \"vault_mount\" \"m\" {{\n  path = \"bench\"\n  type = \"kv\"\n  version = \"1\"\n}}\nresource \"vault_kv_secret\" \"s\" {{\n  count = 500\n  mount = vault_mount.m.path\n  name  = \"s${{count.index}}\"\n  data  = {{ key = \"value ${{count.index}}\" }}\n}}\nresource \"vault_policy\" \"p\" {{\n  count  = 500\n  name   = \"bench-${{count.index}}\"\n  policy = \"path \\\"bench/s${{count.index}}\\\" {{ capabilities = [\\\"read\\\"] }}\"\n}}\n",
        vault.address,
        vault.root_token(),
        vault.ca_file.display()
    );
    println!("{:<44} {:>8}", "case", "wall s");
    for (name, spec) in [("500 ConfigMaps", kubernetes), ("500 Vault secrets and 500 policies", vault)] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("main.mesh.hcl"), spec)?;
        run(folder.path(), &format!("{name}: create"), &["apply", "-auto-approve"], 0)?;
        for _ in 0..3 {
            run(folder.path(), &format!("{name}: plan without changes"), &["plan", "-detailed-exitcode"], 0)?;
        }
        run(folder.path(), &format!("{name}: destroy"), &["destroy", "-auto-approve"], 0)?;
    }
    Ok(())
}

fn run(folder: &Path, name: &str, arguments: &[&str], code: i32) -> Result<()> {
    let start = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_mesh")).args(arguments).current_dir(folder).env("NO_COLOR", "1").output()?;
    let wall = start.elapsed().as_secs_f64();
    if output.status.code() != Some(code) {
        return Err(format!(
            "{name}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    println!("{name:<44} {wall:>8.3}");
    Ok(())
}
