//! Scripts: configuration in, commands over a world that can fail, short lines out (`scripts/*.txt`).
//!
//! The one decision: what is expected stands below each command and is written anew by
//! `RECORD=1 cargo test -p mesh-core scripts`, to be reviewed like code. One operation runs at a time, so that
//! calls come in one order; rules about order are shown where that order has a reason, and proved at random elsewhere.
//!
//! Commands: `plan`, `apply` and `destroy` with the options of the program, and `NAME=VALUE` before them for
//! variables; `review` keeps its plan, `apply reviewed` applies it like a plan file, `apply approved` like a digest;
//! `edit OLD -> NEW` changes a text in all files; `fault NAME KIND` breaks the next call for an object, or
//! `observe NAME`, `read VALUE`, `open NAME`, `close NAME`, `configure`; `world NAME VALUE`, `world rm NAME`
//! change the world behind our back; `world` and `state` show what is there.
//!
//! Plans: the symbols of actions, `=` for an object that only moves or is imported, `?` for what is deferred and
//! what it may become, `|` for gates, `!` for drift. Below them `> CALL` lines in their order.

mod life;
mod show;
mod text;

use std::path::Path;

use self::life::Life;
use self::text::{File, Script};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/scripts");

#[test]
fn scripts_say_what_they_said() {
    let record = std::env::var_os("RECORD").is_some();
    let files = File::all(Path::new(FOLDER));
    let count: usize = files.iter().map(|f| f.scripts.len()).sum();
    assert!(count >= 150, "only {count} scripts");
    // Most of the time is waiting for the disk.
    let said: Vec<Vec<Script>> = std::thread::scope(|scope| {
        let run = |file: &File| file.scripts.iter().map(Life::of).collect();
        let all: Vec<_> = files.iter().map(|file| scope.spawn(move || run(file))).collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut wrong = Vec::new();
    for (file, said) in files.iter().zip(said) {
        if record {
            std::fs::write(&file.path, text::write(&said)).expect("writes");
        }
        for (expected, said) in file.scripts.iter().zip(&said).filter(|(e, s)| e != s) {
            let (old, new) = (expected.text(), said.text());
            let diff = similar::TextDiff::from_lines(&old, &new).unified_diff().context_radius(6).to_string();
            wrong.push(format!("{}: {}\n{diff}", file.path.display(), expected.title));
        }
    }
    assert!(record || wrong.is_empty(), "{} of {count} scripts differ:\n{}", wrong.len(), wrong.join("\n"));
}
