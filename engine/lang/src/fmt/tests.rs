//! Cases with the output of the real `terraform fmt` 1.11.4, and the same live where it is on PATH.
//!
//! The one decision: both tests run over one list of cases, so that a case is written once.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::*;

const CASES: &str = include_str!("tests/cases.txt");

/// Each case: a name, the input, the output.
fn cases() -> Vec<(&'static str, String, String)> {
    CASES
        .split("\n=====\n")
        .filter_map(|case| {
            let (name, rest) = case.trim_start_matches("=====\n").split_once('\n')?;
            let (input, output) = rest.split_once("\n-----\n")?;
            let plain = |s: &str| s.replace("␍", "\r").replace("␉", "\t");
            Some((name, plain(input), plain(output)))
        })
        .collect()
}

#[test]
fn formats_as_recorded() {
    let cases = cases();
    assert!(cases.len() >= 70, "only {} cases", cases.len());
    for (name, input, output) in cases {
        let got = format(&input).unwrap_or_else(|e| format!("{e:?}"));
        assert_eq!(got, output, "{name}");
        let again = format(&got).unwrap_or_else(|e| format!("{e:?}"));
        // A closing comment can move once more; the field does the same.
        assert!(again == got || name.ends_with("(unstable)"), "{name} is not stable:\n{again}");
    }
}

#[test]
fn formats_as_the_real_one() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |i: usize| folder.path().join(format!("{i}.tf"));
    let mut cases: Vec<(String, String)> =
        cases().into_iter().map(|(name, input, _)| (name.to_owned(), input)).collect();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    texts(&examples, &mut cases)?;
    for (i, (_, input)) in cases.iter().enumerate() {
        std::fs::write(path(i), input)?;
    }
    let Ok(done) = Command::new("terraform").arg("fmt").current_dir(folder.path()).output() else {
        writeln!(std::io::stderr(), "skipped: terraform is not on PATH")?;
        return Ok(());
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (i, (name, input)) in cases.iter().enumerate() {
        assert_eq!(format(input), Ok(std::fs::read_to_string(path(i))?), "{name}");
    }
    assert!(cases.len() >= 90, "only {} texts", cases.len());
    Ok(())
}

/// The files below a folder, each as it is and with its spaces in disorder.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            texts(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "hcl") {
            let (name, text) = (path.display().to_string(), std::fs::read_to_string(&path)?);
            let flat: String = text.lines().map(|l| format!("{}\n", l.trim_start().replace(" = ", "=   "))).collect();
            found.extend([(format!("{name} in disorder"), flat), (name, text)]);
        }
    }
    Ok(())
}

#[test]
fn what_does_not_parse_is_an_error() {
    for text in [
        "a = ",
        "a = [1",
        "block {",
        "a = \"${x\"",
        "a = <<EOT\nx\n",
        "}",
        "a b c",
        "\"",
        "a = \"\u{0}",
        "a = \"x\ny\"\n",
    ] {
        assert!(format(text).is_err(), "{text}");
    }
    assert!(format(&"[".repeat(100_000)).is_err());
}

#[test]
fn a_byte_order_mark_goes() {
    assert_eq!(format("\u{feff}a=1\n").as_deref(), Ok("a = 1\n"));
}
