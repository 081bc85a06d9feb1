//! What the fuzz targets share: files in memory, and a small scope.
//!
//! The one decision: a target goes through the doors that users' input goes through, and asks beyond "no
//! crash" that every value can be shown and every place of an error exists. It touches no disk.

use std::io;
use std::path::{Path, PathBuf};

use mesh_lang::functions::Context;
use mesh_lang::{Config, Files, LoadOptions, Scope, Subject, load_from, render_template};
use mesh_model::{Diagnostic, Diagnostics, Fields, Marks, Sources, Span, Type, Value, json, render};

/// A folder with one file.
pub struct One<'t> {
    /// Its name.
    pub name: &'t str,
    /// Its text.
    pub text: &'t str,
}

impl Files for One<'_> {
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        if dir == Path::new("/m") { Ok(vec![dir.join(self.name)]) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.text.to_owned())
    }
}

/// Loads one file as a module and looks at what comes back.
pub fn load(name: &str, text: &str) -> (Option<Config>, Diagnostics) {
    let mut sources = Sources::default();
    let (config, diagnostics) = load_from(&One { name, text }, LoadOptions::new(Path::new("/m")), &mut sources);
    look(&diagnostics, &sources);
    assert!(config.is_some() || diagnostics.has_errors(), "no configuration, and no reason");
    (config, diagnostics)
}

/// Every place of every diagnostic exists.
pub fn look(diagnostics: &Diagnostics, sources: &Sources) {
    for d in diagnostics.iter() {
        assert!(!d.summary.is_empty() && !d.detail.is_empty());
        for span in d.span.into_iter().chain(d.related.iter().map(|(span, _)| *span)) {
            let source = sources.get(span.file).expect("the file of a diagnostic is there");
            let text = source.text.get(span.start as usize..span.end as usize);
            assert!(text.is_some(), "{}: {span:?} is no part of the text", d.summary);
            let _ = sources.position(span);
        }
    }
}

/// Whether an input may spell the secret itself: then it is in the output without having leaked.
pub fn spells_the_secret(text: &str) -> bool {
    text.contains("canar") || text.contains("anary")
}

/// A value can be shown, stored and compared with itself; secrets stay hidden.
pub fn show(value: &Value) -> String {
    let text = render::inline(value);
    assert!(!text.contains("canary"), "a secret is shown");
    assert!(!json::to_json(value).to_string().contains("canary"), "a secret is shown");
    let _ = mesh_lang::functions::types::describe(value);
    assert!(value.total_cmp(value).is_eq());
    if value.is_wholly_known() {
        assert!(value.same(value), "a value equals itself");
    }
    json::canonical(value)
}

/// A scope with a few values of every kind.
pub struct Small(Context);

impl Default for Small {
    fn default() -> Self {
        Self(Context {
            plan_timestamp: "2026-01-02T03:04:05Z".into(),
            template: Some(render_template),
            ..Context::new("/m")
        })
    }
}

impl Scope for Small {
    fn resolve(&self, subject: &Subject, span: Span) -> Result<Value, Diagnostic> {
        let name = match subject {
            Subject::Local(name) | Subject::Variable(name) => &**name,
            Subject::Resource { name, .. } => name,
            Subject::Count => "n",
            _ => "s",
        };
        Ok(match name {
            "n" => Value::number(2),
            "s" => Value::string("text"),
            "l" => Value::strings(["a", "b", "c"]),
            "t" => Value::tuple(vec![Value::number(1), Value::string("x"), Value::NULL]),
            "o" => Value::object([("a", Value::number(1)), ("b", Value::strings(["x"]))]),
            "m" => Value::map(Type::Number, [("k", Value::number(1))].into_iter().collect::<Fields>()),
            "u" => Value::unknown(Type::Dynamic),
            "z" => Value::string("canary").sensitive(),
            "e" => Value::string("canary").mark(Marks::EPHEMERAL),
            _ => return Err(Diagnostic::error("fuzz", "Undeclared", format!("{subject} is not there")).at(span)),
        })
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}
