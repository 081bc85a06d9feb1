//! File patterns of `fileset`.
//!
//! The one decision: a pattern is matched one path component at a time, each component translated to a
//! regular expression (linear time, whatever the pattern); `**` alone in a component is any number of
//! folders. Links to folders are entered by name but not by `**`, so that a link cannot make a loop.

use std::path::Path;

use ::regex::Regex;

use super::regex;

/// The most files and folders that one pattern looks at.
const MAX_FILES: usize = 200_000;

enum Part {
    Any,
    Literal(String),
    Pattern(Regex),
}

/// Paths, relative to `folder`, of the files that match; nothing where there is no such folder. As in the
/// field, `..` takes away what stands before it, in the pattern or in the folder's own path.
pub(super) fn files(folder: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{pattern:?} is no file pattern: a bracket, brace or backslash has no end");
    let mut root = folder;
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/').filter(|p| !p.is_empty() && *p != ".") {
        match name {
            ".." if names.pop().is_none() => root = root.parent().unwrap_or(root),
            ".." => {}
            name => names.push(name),
        }
    }
    names.dedup_by(|a, b| *a == "**" && *b == "**");
    if names.is_empty() || !root.is_dir() {
        return Ok(Vec::new());
    }
    let parts = names.into_iter().map(|p| part(p).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?;
    let mut walk = Walk { found: Vec::new(), visited: 0 };
    walk.folder(root, "", &parts)?;
    walk.found.sort();
    walk.found.dedup();
    if root != folder {
        walk.found = walk.found.into_iter().map(|path| relative(folder, &root.join(path))).collect();
    }
    Ok(walk.found)
}

/// The way from a folder to a file.
fn relative(folder: &Path, file: &Path) -> String {
    let common = folder.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| "..".to_owned());
    let down = file.components().skip(common).map(|c| c.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

struct Walk {
    found: Vec<String>,
    visited: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, parts: &[Part]) -> Result<(), String> {
        let [first, rest @ ..] = parts else { return Ok(()) };
        if let Part::Literal(name) = first {
            return self.entry(&folder.join(name), &join(prefix, name), rest);
        }
        if matches!(first, Part::Any) && !rest.is_empty() {
            self.folder(folder, prefix, rest)?;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            self.visited += 1;
            if self.visited > MAX_FILES {
                return Err(format!("more than {MAX_FILES} files to look at; use a narrower pattern"));
            }
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (path, shown) = (entry.path(), join(prefix, name));
            match first {
                Part::Any => {
                    if entry.file_type().is_ok_and(|t| t.is_dir()) {
                        self.folder(&path, &shown, parts)?;
                    } else if rest.is_empty() {
                        self.entry(&path, &shown, rest)?;
                    }
                }
                Part::Pattern(re) if re.is_match(name) => self.entry(&path, &shown, rest)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, shown: &str, rest: &[Part]) -> Result<(), String> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.folder(path, shown, rest),
            Ok(meta) if meta.is_file() && rest.is_empty() => {
                self.found.push(shown.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn part(text: &str) -> Option<Part> {
    if text == "**" {
        return Some(Part::Any);
    }
    if !text.contains(['*', '?', '[', '{', '\\']) {
        return Some(Part::Literal(text.to_owned()));
    }
    let mut out = String::from("^(?:");
    let mut chars = text.chars().peekable();
    let mut braces = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&::regex::escape(&chars.next()?.to_string())),
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                let mut empty = true;
                loop {
                    match chars.next()? {
                        ']' if !empty => break,
                        '-' if !empty && chars.peek() != Some(&']') => out.push('-'),
                        '\\' => out.push_str(&escaped(chars.next()?)),
                        c => out.push_str(&escaped(c)),
                    }
                    empty = false;
                }
                out.push(']');
            }
            c => out.push_str(&::regex::escape(&c.to_string())),
        }
    }
    if braces > 0 {
        return None;
    }
    out.push_str(")$");
    regex::own(&out).map(Part::Pattern)
}

fn escaped(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}
