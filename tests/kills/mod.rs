//! `kill -9` at any moment, then the same command again: it finishes, and the servers hold what the configuration
//! says, no more and no less.
//!
//! The one decision: after every single kill the servers are listed and held against the state: nothing exists that
//! state does not know or is about to look up, and nothing that state takes for there is missing. The number of kills
//! is `MESH_KILLS`, the seed of their moments `MESH_KILLS_SEED`; both are printed.

mod disk;
mod keys;
mod points;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::backends::{Place, kubernetes, postgres, s3};
use crate::site::{Output, command, mesh};
use world::{Objects, Size, World};

/// Kills without `MESH_KILLS`, all tests together.
const KILLS: usize = 72;

/// How many of one scene in a row before the command may finish.
const IN_A_ROW: usize = 3;

/// What is done with a stack of which size.
const SCENES: [(&str, &str, Size); 6] = [
    ("create", "apply", Size { n: 3, v: 1, r: 1 }),
    ("update", "apply", Size { n: 3, v: 2, r: 1 }),
    ("replace", "apply", Size { n: 3, v: 2, r: 2 }),
    ("shrink", "apply", Size { n: 1, v: 3, r: 2 }),
    ("grow and replace", "apply", Size { n: 3, v: 4, r: 3 }),
    ("destroy", "destroy", Size { n: 3, v: 4, r: 3 }),
];

#[expect(clippy::disallowed_methods, reason = "whoever wants more kills or the same again says so as to a program")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[expect(clippy::print_stderr, reason = "numbers that somebody may want to see, and the seed to do the same again")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((z ^ (z >> 31)) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}

/// What a state says: a row of an object, or of an operation that was about to be done.
struct Row {
    address: String,
    identity: String,
    open: bool,
}

#[derive(Default)]
struct Tally {
    kills: usize,
    with_open: usize,
    ended_before: usize,
}

struct Matrix {
    world: World,
    env: BTreeMap<String, String>,
    tally: BTreeMap<&'static str, Tally>,
}

impl Matrix {
    fn new(place: Option<&Place>) -> Self {
        let world = World::new();
        let block = place.map_or("", |p| &p.block);
        std::fs::write(world.folder().join("main.mesh.hcl"), format!("{block}{}", world.configuration()))
            .expect("writes");
        let mut env = place.map_or_else(BTreeMap::new, |p| p.direct.clone());
        env.extend(world.variables());
        Self { world, env, tally: BTreeMap::new() }
    }

    fn run(&self, arguments: &[String]) -> Output {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        mesh(self.world.folder(), &arguments, &self.env)
    }

    fn objects(&self) -> Objects {
        self.world.objects(&self.world.folder().join("out"))
    }

    /// Does a scene undisturbed and says how long it took.
    fn undisturbed(&self, arguments: &[String], what: &str) -> Duration {
        let started = Instant::now();
        self.run(arguments).expect(0, what);
        started.elapsed()
    }

    /// Starts a command; what it says goes to a file, since a pipe that nobody reads would stop it.
    fn start(&self, arguments: &[String]) -> Child {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = std::fs::File::create(self.world.folder().join("said")).expect("a file");
        let errors = said.try_clone().expect("a copy");
        command(self.world.folder(), &arguments, &self.env).stdout(said).stderr(errors).spawn().expect("starts")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.world.folder().join("said")).unwrap_or_default()
    }

    /// Starts a command and kills it at a moment; whether there was something left to kill.
    fn killed(&self, arguments: &[String], moment: Duration) -> bool {
        let mut child = self.start(arguments);
        std::thread::sleep(moment);
        let _ = child.kill();
        let code = child.wait().expect("ends").code();
        assert!(code.is_none_or(|code| code == 0), "it failed before it was killed: {}", self.said());
        code.is_none()
    }

    fn rows(&self) -> Vec<Row> {
        rows(self.world.folder(), &self.env)
    }

    /// After a kill: what exists is known, and what is known exists, apart from what is open.
    fn nothing_is_unknown(&mut self, scene: &'static str, context: &str) {
        self.run(&["state".into(), "list".into()]).expect(0, "state can be read");
        // What was on its way when the process died may still arrive: state is read first, so that it is not newer.
        let rows = self.rows();
        let objects = self.objects();
        let tally = self.tally.entry(scene).or_default();
        tally.kills += 1;
        tally.with_open += usize::from(rows.iter().any(|r| r.open));
        for object in objects.keys() {
            // Half a file, which the same command finds under this very name.
            if object.starts_with("file .") || object.starts_with("gateway file .") {
                continue;
            }
            assert!(
                rows.iter().any(|row| names(row, object)),
                "{context}: state does not know {object}\n{}",
                shown(&rows)
            );
        }
        for row in rows.iter().filter(|r| !r.open && !r.address.starts_with("terraform_data.")) {
            let there = objects.keys().any(|object| names(row, object));
            let open = rows.iter().any(|r| r.open && r.address == row.address);
            assert!(there || open, "{context}: {} ({}) is not there, and nothing is open", row.address, row.identity);
        }
    }

    /// After the same command has finished.
    fn complete(&self, size: Size, destroyed: bool, context: &str) {
        let wanted = if destroyed { Objects::new() } else { self.world.wanted(size) };
        let objects = self.objects();
        let wrong = objects.iter().filter(|(name, content)| wanted.get(*name) != Some(*content)).collect::<Vec<_>>();
        let missing = wanted.iter().filter(|(name, _)| !objects.contains_key(*name)).collect::<Vec<_>>();
        assert!(wrong.is_empty() && missing.is_empty(), "{context}: not wanted {wrong:#?}, missing {missing:#?}");
        let rows = self.rows();
        assert!(rows.iter().all(|r| !r.open), "{context}: something is still open\n{}", shown(&rows));
        // Two objects of one thing (halves of a pair, HAProxy's file and what it runs), and the data in state alone.
        let twice = wanted.keys().filter(|o| o.starts_with("public key") || o.starts_with("gateway running")).count();
        let own = if destroyed { 0 } else { size.n };
        assert_eq!(rows.len(), wanted.len() - twice + own, "{context}: state\n{}", shown(&rows));
        if !destroyed {
            let plan =
                [vec!["plan".into(), "-detailed-exitcode".into(), "-input=false".into()], size.options()].concat();
            self.run(&plan).expect(0, context);
        }
    }

    /// All scenes again and again, until so many were killed.
    fn kills(&mut self, count: usize, random: &mut Random) {
        let mut durations = Vec::new();
        for (scene, verb, size) in SCENES {
            durations.push(self.undisturbed(&arguments(verb, size), scene));
            self.complete(size, verb == "destroy", scene);
        }
        // Few kills are spread over all scenes.
        let in_a_row = IN_A_ROW.min(count.div_ceil(SCENES.len()));
        let mut done = 0;
        let mut round = 0;
        while done < count {
            round += 1;
            for (&(scene, verb, size), duration) in SCENES.iter().zip(&mut durations) {
                let arguments = arguments(verb, size);
                for attempt in 0..in_a_row {
                    // Each part of the time is met.
                    let moment = duration.mul_f64((attempt as f64 + random.part()) / in_a_row as f64);
                    let context = format!("round {round}, {scene}, killed after {moment:?} (attempt {attempt})");
                    if done == count || !self.killed(&arguments, moment) {
                        self.tally.entry(scene).or_default().ended_before += usize::from(done != count);
                        break;
                    }
                    done += 1;
                    self.nothing_is_unknown(scene, &context);
                }
                let context = format!("round {round}, {scene}");
                self.run(&arguments).expect(0, &context);
                self.complete(size, verb == "destroy", &context);
            }
        }
        let mut text = format!("{count} kills in {round} rounds:");
        for (scene, Tally { kills, with_open, ended_before }) in &self.tally {
            let _ = write!(text, " {scene} {kills} ({with_open} with an open intent, {ended_before} came too late);");
        }
        say(&text);
    }
}

/// Everything that state knows or is about to look up.
fn rows(folder: &Path, env: &BTreeMap<String, String>) -> Vec<Row> {
    let pulled = mesh(folder, &["state", "pull"], env).expect(0, "state can be read").stdout;
    let mut rows = Vec::new();
    for line in pulled.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        for kind in ["instance", "open"] {
            if let Some(row) = line.get(kind) {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                rows.push(Row { address: text("address"), identity: text("identity"), open: kind == "open" });
            }
        }
    }
    rows
}

/// The command of a scene.
fn arguments(verb: &str, size: Size) -> Vec<String> {
    [vec![verb.to_owned(), "-auto-approve".into(), "-input=false".into()], size.options()].concat()
}

fn shown(rows: &[Row]) -> String {
    rows.iter().map(|r| format!("{}{} {}\n", if r.open { "open " } else { "" }, r.address, r.identity)).collect()
}

/// Whether a row of the state is about an object of a server.
fn names(row: &Row, object: &str) -> bool {
    let (kind, name) = object.rsplit_once(' ').expect("a kind and a name");
    let (block, hexadecimal) = match kind {
        "secret key" => ("hsm_secret_key.", true),
        "private key" | "public key" => ("hsm_key_pair.", true),
        "mount" => ("vault_mount.", false),
        "kv" => ("vault_kv_secret_v2.", false),
        "policy" => ("vault_policy.", false),
        "configmap" => ("kubernetes_manifest.c", false),
        "secret" => ("kubernetes_manifest.s", false),
        "file" => ("local_file.", false),
        _ => ("gateway_load_balancer.", false),
    };
    let hex = || name.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let name = if hexadecimal { hex() } else { name.to_owned() };
    row.address.starts_with(block) && row.identity.ends_with(&name)
}

/// A test's part of all kills, out of twelve parts.
fn share(parts: usize) -> (usize, Random) {
    let count = setting("MESH_KILLS").map_or(KILLS, |n| usize::try_from(n).unwrap_or(KILLS)) * parts / 12;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
    let seed = setting("MESH_KILLS_SEED").unwrap_or(now);
    say(&format!("{count} kills, MESH_KILLS_SEED={seed}"));
    (count, Random(seed))
}

#[test]
fn killed_at_any_moment_nothing_is_lost_on_any_server() {
    let (count, mut random) = share(9);
    Matrix::new(None).kills(count, &mut random);
}

fn with_state_in(place: &Place) {
    let (count, mut random) = share(1);
    Matrix::new(Some(place)).kills(count, &mut random);
}

#[test]
fn killed_at_any_moment_with_state_in_kubernetes() {
    with_state_in(&kubernetes());
}

#[test]
fn killed_at_any_moment_with_state_in_s3() {
    with_state_in(&s3());
}

#[test]
fn killed_at_any_moment_with_state_in_postgres() {
    with_state_in(&postgres());
}
