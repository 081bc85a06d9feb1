//! Cases with the output of the real `terraform fmt -` 1.11.4, and the same live where it is on PATH.

use std::io::Write as _;
use std::process::{Command, Stdio};

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
    assert!(cases.len() >= 40, "only {} cases", cases.len());
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
    for (name, input, _) in cases() {
        let spawned = Command::new("terraform")
            .args(["fmt", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            writeln!(std::io::stderr(), "skipped: terraform is not on PATH")?;
            return Ok(());
        };
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{name}");
        assert_eq!(format(&input), Ok(String::from_utf8_lossy(&output.stdout).into_owned()), "{name}");
    }
    Ok(())
}

#[test]
fn what_does_not_parse_is_an_error() {
    for text in ["a = ", "a = [1", "block {", "a = \"${x\"", "a = <<EOT\nx\n", "}", "a b c", "\"", "a = \"\u{0}"] {
        assert!(format(text).is_err(), "{text}");
    }
    assert!(format(&"[".repeat(100_000)).is_err());
}

#[test]
fn a_byte_order_mark_stays() {
    assert_eq!(format("\u{feff}a=1\n").as_deref(), Ok("\u{feff}a = 1\n"));
}
