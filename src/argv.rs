//! Arguments as Terraform's users type them, brought into the form that the parser reads.
//!
//! The one decision: one pass before parsing. `-var` becomes `--var`; nothing else is rewritten, and
//! nothing behind `--`. It knows no option by name.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Single dashes made double. Short help (`-h`) and lone `-` stay.
pub(crate) fn double_dashes(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut end = false;
    args.map(|arg| {
        end |= arg == "--";
        match arg.to_str() {
            Some(text) if !end && is_single(text) => OsString::from(format!("-{text}")),
            _ => arg,
        }
    })
    .collect()
}

fn is_single(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && text.len() > 2
}

/// Puts `MESH_CLI_ARGS` and `MESH_CLI_ARGS_<command>` behind the command, so that what is typed wins.
///
/// # Errors
/// The name of a variable whose quotes do not match.
pub(crate) fn with_environment(
    mut args: Vec<OsString>,
    env: &BTreeMap<String, String>,
    commands: &[String],
) -> Result<Vec<OsString>, String> {
    let Some(at) = args.iter().position(|a| a.to_str().is_some_and(|a| commands.iter().any(|c| c == a))) else {
        return Ok(args);
    };
    let command = args[at].to_string_lossy().into_owned();
    let mut more = Vec::new();
    for name in ["MESH_CLI_ARGS".to_owned(), format!("MESH_CLI_ARGS_{command}")] {
        if let Some(text) = env.get(&name) {
            let words = shlex::split(text).ok_or(name)?;
            more.extend(double_dashes(words.into_iter().map(OsString::from)));
        }
    }
    args.splice(at + 1..at + 1, more);
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    #[test]
    fn single_dashes_become_double() {
        let args = ["mesh", "-chdir=a", "plan", "-var", "a=-b", "--out=x", "-", "-h", "-5", "--", "-x1"];
        let want = ["mesh", "--chdir=a", "plan", "--var", "a=-b", "--out=x", "-", "-h", "-5", "--", "-x1"];
        assert_eq!(double_dashes(words(&args).into_iter()), words(&want));
    }

    #[test]
    fn the_environment_comes_before_what_is_typed() {
        let env = BTreeMap::from([
            ("MESH_CLI_ARGS".to_owned(), "-no-color".to_owned()),
            ("MESH_CLI_ARGS_plan".to_owned(), "-var 'a=x y'".to_owned()),
        ]);
        let got = with_environment(words(&["mesh", "plan", "--json"]), &env, &["plan".to_owned()]);
        assert_eq!(got, Ok(words(&["mesh", "plan", "--no-color", "--var", "a=x y", "--json"])));
        let bad = BTreeMap::from([("MESH_CLI_ARGS".to_owned(), "'".to_owned())]);
        assert_eq!(
            with_environment(words(&["mesh", "plan"]), &bad, &["plan".to_owned()]),
            Err("MESH_CLI_ARGS".to_owned())
        );
    }
}
