//! Functions that read files or speak about paths.
//!
//! The one decision: relative paths start at the folder of the root module, wherever the command was
//! started. Only what is there while planning can be read: a file that a resource makes is an attribute
//! of that resource.

use std::io::Read as _;
use std::path::Component;

use base64::Engine as _;

use super::*;

const PATH: &[Param] = &[Param::new("path", Ty::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "abspath",
        PATH,
        Ty::String,
        |c, a| Ok(Value::string(absolute(&c.root.join(text(a, 0)))?)),
        "The path from the root of the file system; a relative one starts at the root module.",
    ),
    Function::new(
        "basename",
        PATH,
        Ty::String,
        |_, a| Ok(Value::string(basename(text(a, 0)))),
        "The last part of a path.",
    ),
    Function::new(
        "dirname",
        PATH,
        Ty::String,
        |_, a| Ok(Value::string(dirname(text(a, 0)))),
        "A path without its last part.",
    ),
    Function::new(
        "file",
        PATH,
        Ty::String,
        |c, a| file(c, text(a, 0)),
        "The text of a file; a relative path starts at the root module.",
    ),
    Function::new(
        "filebase64",
        PATH,
        Ty::String,
        |c, a| bounded(encoding::BASE64.encode(open(c, text(a, 0))?)),
        "The content of a file in base64.",
    ),
    Function::new("fileexists", PATH, Ty::Bool, fileexists, "Whether there is such a file."),
    Function::new(
        "fileset",
        &[Param::new("path", Ty::String), Param::new("pattern", Ty::String)],
        Ty::StringSet,
        |c, a| {
            let (folder, pattern) = (full(c, text(a, 0))?, text(a, 1));
            let list = || glob::files(&folder, pattern).map_err(CallError::new);
            let found = c.files.set(&named(c, text(a, 0)), pattern, list)?;
            Ok(Value::set(Type::String, found.into_iter().map(Value::string)))
        },
        "The files below a folder whose paths match a pattern such as `**/*.yaml`.",
    ),
    Function::new(
        "pathexpand",
        PATH,
        Ty::String,
        pathexpand,
        "The path with a leading `~` replaced by the home folder.",
    ),
    Function::new(
        "templatefile",
        &[Param::new("path", Ty::String), Param::new("vars", Ty::Any).parts().marked()],
        Ty::Any,
        |c, a| {
            let source = file(c, text(a, 0))?;
            render(c, source.as_str().unwrap_or_default(), text(a, 0), a.get(1), 1)
        },
        "The text of a template file with variables filled in.",
    ),
];

/// A path from the root of the file system, without detours through `..`. A relative one starts where the program is,
/// which `-chdir` changes; `path.cwd` is where it was started.
fn absolute(path: &Path) -> Result<String, CallError> {
    let path = std::path::absolute(path).map_err(|e| CallError::at(0, e.to_string()))?;
    Ok(clean(&path.to_string_lossy()))
}

/// The same for a file as a function names it.
fn full(context: &Context, path: &str) -> Result<PathBuf, CallError> {
    if path.starts_with('~') && path.len() > 1 && !path.starts_with("~/") {
        return Err(CallError::at(0, "~ is only your own home folder; write the path of another user's in full"));
    }
    absolute(&context.resolve(path)).map(PathBuf::from)
}

/// A path as it is remembered: what is below the root module goes with it.
fn named(context: &Context, path: &str) -> PathBuf {
    clean(&context.resolve(path).to_string_lossy()).into()
}

/// The content of a file.
pub(super) fn open(context: &Context, path: &str) -> Result<Arc<[u8]>, CallError> {
    let full = full(context, path)?;
    context.files.content(&named(context, path), || read(&full, path))
}

fn read(full: &Path, path: &str) -> Result<Vec<u8>, CallError> {
    match std::fs::metadata(full) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(CallError::at(
                0,
                format!(
                    "there is no file {path:?}; paths start at the root module, and what a resource writes while \
                     applying is read from the resource's attributes"
                ),
            ));
        }
        Ok(meta) if meta.is_dir() => {
            return Err(CallError::at(0, format!("{path:?} is a folder")));
        }
        // Reading one may never end, and a second reading would give something else.
        Ok(meta) if !meta.is_file() => {
            return Err(CallError::at(0, format!("{path:?} is a pipe or device; only files can be read")));
        }
        _ => {}
    }
    let failed = |e| CallError::at(0, format!("{path:?} cannot be read: {e}"));
    let mut bytes = Vec::new();
    // Some files tell no size before they are read; one byte more than allowed shows that there is more.
    let file = std::fs::File::open(full).map_err(failed)?;
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_TEXT { Err(too_long()) } else { Ok(bytes) }
}

fn file(context: &Context, path: &str) -> Outcome {
    std::str::from_utf8(&open(context, path)?)
        .map(Value::string)
        .map_err(|_| CallError::at(0, format!("{path:?} is no UTF-8 text; filebase64 reads any file")))
}

fn fileexists(context: &Context, args: &[Value]) -> Outcome {
    let path = text(args, 0);
    let full = full(context, path)?;
    let look = || match std::fs::metadata(full) {
        Ok(meta) if meta.is_file() => Ok(true),
        Ok(meta) if meta.is_dir() => Err(CallError::at(0, format!("{path:?} is a folder"))),
        Ok(_) => Err(CallError::at(0, format!("{path:?} is neither a file nor a folder"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(CallError::at(0, format!("{path:?} cannot be looked up: {e}"))),
    };
    context.files.exists(&named(context, path), look).map(Value::bool)
}

fn pathexpand(context: &Context, args: &[Value]) -> Outcome {
    let path = text(args, 0);
    full(context, path)?;
    Ok(Value::string(context.expand(path).to_string_lossy().into_owned()))
}

/// How deep templates may render templates.
const MAX_TEMPLATES: u32 = 64;

/// Renders a template with the variables in `vars`, which is argument `argument` of the call.
pub(super) fn render(context: &Context, source: &str, name: &str, vars: Option<&Value>, argument: usize) -> Outcome {
    let Some(Kind::Map(_, fields) | Kind::Object(fields)) = vars.map(Value::kind) else {
        return Err(CallError::at(argument, "a map or object of variables is needed"));
    };
    for key in fields.keys() {
        let mut chars = key.chars();
        let ok =
            chars.next().is_some_and(char::is_alphabetic) && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if !ok {
            let message = format!("{key:?} cannot name a variable: a letter, then letters, digits, _ and -");
            return Err(CallError::at(argument, message));
        }
    }
    let Some(hook) = context.template else {
        return Err(CallError::new("templates cannot be rendered here"));
    };
    if context.template_depth >= MAX_TEMPLATES {
        return Err(CallError::new(format!("templates are nested deeper than {MAX_TEMPLATES} levels")));
    }
    let inner = Context { template_depth: context.template_depth + 1, ..context.clone() };
    hook(&inner, source, name, fields)
}

/// The shortest path that means the same, as a text with `/`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            Component::Normal(part) => parts.extend(part.to_str()),
            _ => {}
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

fn basename(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

fn dirname(path: &str) -> String {
    clean(path.rfind('/').map_or("", |i| &path[..=i]))
}
