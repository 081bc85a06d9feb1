//! Addresses: `module.a["x"].vault_policy.istiod[0]`.
//!
//! The one decision: an address is a parsed value with a print/parse round trip, never a string
//! that somebody takes apart again. [`ResourceAddress`] names a block of the configuration,
//! [`Address`] one instance of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The key of an instance made by `count` (a number) or `for_each` (a string).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum InstanceKey {
    /// From `count`.
    Index(u64),
    /// From `for_each`.
    Key(Arc<str>),
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(n) => write!(f, "[{n}]"),
            Self::Key(k) => write!(f, "[\"{}\"]", escape(k)),
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // As in the language, where these begin a template.
            '$' | '%' if chars.peek() == Some(&'{') => out.extend([c, c]),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out
}

/// Which kind of block a resource address names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// `resource`: an object that we own.
    Managed,
    /// `data`: something that we only read.
    Data,
    /// `ephemeral`: something that is opened and closed, and stored nowhere.
    Ephemeral,
}

impl Mode {
    /// The prefix of an address of this mode.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Managed => "",
            Self::Data => "data.",
            Self::Ephemeral => "ephemeral.",
        }
    }
}

/// Module instances from the root inwards; empty for the root module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ModulePath(pub Arc<[(Arc<str>, Option<InstanceKey>)]>);

impl Default for ModulePath {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl ModulePath {
    /// The root module.
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether this is the root module.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The instance `name[key]` inside this module.
    #[must_use]
    pub fn child(&self, name: &str, key: Option<InstanceKey>) -> Self {
        Self(self.0.iter().cloned().chain([(Arc::from(name), key)]).collect())
    }

    /// The same modules without instance keys.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|(n, _)| n.clone()).collect()
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, key)) in self.0.iter().enumerate() {
            write!(f, "{}module.{name}", if i > 0 { "." } else { "" })?;
            if let Some(key) = key {
                write!(f, "{key}")?;
            }
        }
        Ok(())
    }
}

/// A resource block of the configuration, in whichever instances of its module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResourceAddress {
    /// Names of the modules from the root inwards.
    pub module: Vec<Arc<str>>,
    /// Resource, data or ephemeral.
    pub mode: Mode,
    /// The type, such as `vault_policy`.
    pub ty: Arc<str>,
    /// The name of the block.
    pub name: Arc<str>,
}

impl fmt::Display for ResourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.module {
            write!(f, "module.{name}.")?;
        }
        write!(f, "{}{}.{}", self.mode.prefix(), self.ty, self.name)
    }
}

/// One instance of a resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// The module instance that holds it.
    pub module: ModulePath,
    /// Resource, data or ephemeral.
    pub mode: Mode,
    /// The type, such as `vault_policy`.
    pub ty: Arc<str>,
    /// The name of the block.
    pub name: Arc<str>,
    /// The key, where the block has `count` or `for_each`.
    pub key: Option<InstanceKey>,
}

impl Address {
    /// The block that this is an instance of.
    pub fn resource(&self) -> ResourceAddress {
        ResourceAddress { module: self.module.names(), mode: self.mode, ty: self.ty.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_root() {
            write!(f, "{}.", self.module)?;
        }
        write!(f, "{}{}.{}", self.mode.prefix(), self.ty, self.name)?;
        match &self.key {
            Some(key) => write!(f, "{key}"),
            None => Ok(()),
        }
    }
}

/// Why a text is not an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(pub String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut parts = split(text)?.into_iter().peekable();
        let mut next = |what: &str| {
            parts.next().ok_or_else(|| AddressError(format!("{text:?} is not an address: it lacks {what}")))
        };
        let mut module = Vec::new();
        let mut mode = Mode::Managed;
        let mut part = next("a resource type")?;
        while part.0 == "module" && part.1.is_none() {
            let (name, key) = next("a module name")?;
            module.push((Arc::from(name), key));
            part = next("a resource type")?;
        }
        if part.1.is_none() && (part.0 == "data" || part.0 == "ephemeral") {
            mode = if part.0 == "data" { Mode::Data } else { Mode::Ephemeral };
            part = next("a resource type")?;
        }
        if part.1.is_some() {
            return Err(AddressError(format!("{text:?} is not an address: a resource type has no instance key")));
        }
        let (name, key) = next("a resource name")?;
        if next("").is_ok() {
            return Err(AddressError(format!(
                "{text:?} is not an address of a resource instance: it has too many parts"
            )));
        }
        Ok(Self { module: ModulePath(module.into()), mode, ty: Arc::from(part.0), name: Arc::from(name), key })
    }
}

type Part = (String, Option<InstanceKey>);

/// Splits at dots outside brackets, each part with its key.
fn split(text: &str) -> Result<Vec<Part>, AddressError> {
    let bad = |why: &str| AddressError(format!("{text:?} is not an address: {why}"));
    let mut parts: Vec<Part> = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| *c != '.' && *c != '[') {
            name.push(c);
        }
        if !crate::path::is_identifier(&name) {
            return Err(bad(&format!("{name:?} is not a name")));
        }
        let mut key = None;
        if chars.next_if_eq(&'[').is_some() {
            if chars.next_if_eq(&'"').is_some() {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some('n') => text.push('\n'),
                            Some('r') => text.push('\r'),
                            Some('t') => text.push('\t'),
                            Some(c) => text.push(c),
                            None => return Err(bad("the key is not closed")),
                        },
                        Some(c @ ('$' | '%')) => {
                            text.push(c);
                            // `$${` is the text `${`; a lone `${` is taken as it is.
                            let mut ahead = chars.clone();
                            if ahead.next() == Some(c) && ahead.next() == Some('{') {
                                chars.next();
                            }
                        }
                        Some(c) => text.push(c),
                        None => return Err(bad("the key is not closed")),
                    }
                }
                key = Some(InstanceKey::Key(text.into()));
            } else {
                let mut digits = String::new();
                while let Some(c) = chars.next_if(char::is_ascii_digit) {
                    digits.push(c);
                }
                key = Some(InstanceKey::Index(digits.parse().map_err(|_| bad("a key is a number or a quoted text"))?));
            }
            if chars.next() != Some(']') {
                return Err(bad("a key ends with ]"));
            }
        }
        parts.push((name, key));
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(bad("parts are separated by dots")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in [
            "vault_policy.istiod",
            "module.a[\"x\\\"y\"].vault_policy.istiod[0]",
            "data.kubernetes_resource.svc",
            "module.a.module.b[3].data.x.y[\"k.1\"]",
            "a.b[\"$${x} %%{y} $ $$ %x\"]",
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn rejects_what_is_no_address() {
        for text in ["", "a", "a.b.c", "a.b[", "a.b[x]", "a[0].b", "module.a", "a..b"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_of_count_sort_as_numbers() {
        assert!(InstanceKey::Index(9) < InstanceKey::Index(10));
    }
}
