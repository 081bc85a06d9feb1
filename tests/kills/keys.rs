//! A token that is still making a key when the program that asked for it is killed.
//!
//! The one decision: RSA of 4096 bits, since making it takes long enough that the same command is there before the
//! first key is.

use std::time::{Duration, Instant};

use super::Matrix;
use super::world::Size;

const PAIR: &str = r#"resource "hsm_key_pair" "big" {
  id        = "big-${var.r}"
  label     = "v${var.v}-${var.n}"
  algorithm = "rsa-4096"
  lifecycle { prevent_destroy = false }
}
"#;

#[test]
fn a_key_that_is_being_made_when_the_program_dies_is_made_once() {
    let matrix = Matrix::new(None);
    let folder = matrix.world.folder();
    let providers = matrix.world.configuration_of(&[]);
    std::fs::write(folder.join("main.mesh.hcl"), format!("{providers}\n{PAIR}")).expect("writes");
    for r in 1..3 {
        let arguments = super::arguments("apply", Size { n: 1, v: 1, r });
        let mut child = matrix.start(&arguments);
        let started = Instant::now();
        let creating = || std::fs::read_to_string(folder.join("mesh.state.journal")).unwrap_or_default();
        while !creating().contains("\"operation\":\"create\"") {
            assert!(started.elapsed() < Duration::from_secs(30), "the key is not begun: {}", matrix.said());
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(50));
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads").flatten();
        let children = threads.map(|t| std::fs::read_to_string(t.path().join("children")).unwrap_or_default());
        let worker = children.collect::<String>().split_whitespace().next().expect("the token's worker").to_owned();
        let _ = child.kill();
        assert!(child.wait().expect("ends").code().is_none(), "killed too late: {}", matrix.said());
        matrix.run(&arguments).expect(0, "the same command");
        while std::path::Path::new("/proc").join(&worker).join("exe").exists() {
            assert!(started.elapsed() < Duration::from_secs(120), "the worker outlives its program");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Two keys of one id would panic here.
        let names: Vec<String> = matrix.objects().into_keys().collect();
        assert_eq!(names, [format!("private key big-{r}"), format!("public key big-{r}")]);
        let plan = [vec!["plan".to_owned(), "-detailed-exitcode".into()], Size { n: 1, v: 1, r }.options()].concat();
        matrix.run(&plan).expect(0, "the second plan is empty");
    }
}
