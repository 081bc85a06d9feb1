//! Schemas: what a provider, a resource type or a data source takes and gives.
//!
//! The one decision: one declaration serves validation, planning, documentation, `show` and
//! completion. Rules that a table cannot say are pure hooks of the type (`mesh-sdk`).

use std::collections::BTreeMap;

use crate::{Mode, Type, Value};

/// Who gives an attribute its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// The configuration must.
    Required,
    /// The configuration may; absent means null or the default.
    Optional,
    /// The configuration may; where it does not, the provider does.
    OptionalComputed,
    /// The provider alone.
    Computed,
}

/// When two values of an attribute mean the same although they differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equality {
    /// Only when they are the same.
    Exact,
    /// Go durations and seconds: `768h`, `2764800`, `32d` (see [`crate::schema::duration_seconds`]).
    Duration,
    /// JSON texts with the same content.
    Json,
    /// Texts that differ in white space at the end only.
    TrimmedText,
    /// Decided by the type's own rules.
    Custom,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name in the configuration.
    pub name: &'static str,
    /// The type; `Dynamic` takes anything.
    pub ty: Type,
    /// Who gives it.
    pub given: Given,
    /// What it is, units and default in words; Markdown, one to three sentences.
    pub doc: &'static str,
    /// Never shown, stored as a fingerprint only.
    pub sensitive: bool,
    /// The server never gives it back: compared with the fingerprint in state. It alone takes ephemeral
    /// values; state keeps nothing of those, and only another attribute can tell that they changed.
    pub write_only: bool,
    /// A change makes a new object.
    pub force_new: bool,
    /// For computed attributes: an update of the object may change it, so it is unknown then.
    pub volatile: bool,
    /// The value where the configuration gives none.
    pub default: Option<Value>,
    /// When two values mean the same.
    pub equality: Equality,
}

impl Attribute {
    const fn new(name: &'static str, ty: Type, given: Given, doc: &'static str) -> Self {
        Self {
            name,
            ty,
            given,
            doc,
            sensitive: false,
            write_only: false,
            force_new: false,
            volatile: false,
            default: None,
            equality: Equality::Exact,
        }
    }

    /// One that the configuration must give.
    pub const fn required(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self::new(name, ty, Given::Required, doc)
    }

    /// One that the configuration may give.
    pub const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self::new(name, ty, Given::Optional, doc)
    }

    /// One that the provider gives where the configuration does not.
    pub const fn optional_computed(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self::new(name, ty, Given::OptionalComputed, doc)
    }

    /// One that the provider gives.
    pub const fn computed(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self::new(name, ty, Given::Computed, doc)
    }

    /// Marked sensitive.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Marked write-only (and sensitive).
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self.sensitive = true;
        self
    }

    /// A change makes a new object.
    #[must_use]
    pub fn force_new(mut self) -> Self {
        self.force_new = true;
        self
    }

    /// Unknown while the object is updated.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// With a default.
    #[must_use]
    pub fn default(mut self, value: Value) -> Self {
        self.default = Some(value);
        self
    }

    /// With another equality.
    #[must_use]
    pub fn equality(mut self, equality: Equality) -> Self {
        self.equality = equality;
        self
    }

    /// Whether the provider may give it.
    pub fn is_computed(&self) -> bool {
        matches!(self.given, Given::Computed | Given::OptionalComputed)
    }
}

/// How often a nested block may stand, and what it becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nesting {
    /// At most one; an object or null.
    Single,
    /// Any number; a list of objects.
    List,
    /// Any number; a set of objects.
    Set,
    /// Any number, each with a label; a map of objects.
    Map,
}

/// A nested block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The name in the configuration.
    pub name: &'static str,
    /// How often it may stand.
    pub nesting: Nesting,
    /// How often it must stand.
    pub min: usize,
    /// How often it may stand at most (0: any number).
    pub max: usize,
    /// What is in it.
    pub schema: Schema,
    /// What it is for.
    pub doc: &'static str,
}

/// Attributes and nested blocks.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Attributes in the order of the documentation.
    pub attributes: Vec<Attribute>,
    /// Nested blocks.
    pub blocks: Vec<Block>,
}

impl ProviderSchema {
    /// The types of a mode by name.
    pub fn types(&self, mode: Mode) -> &BTreeMap<&'static str, ResourceSchema> {
        match mode {
            Mode::Managed => &self.resources,
            Mode::Data => &self.data,
            Mode::Ephemeral => &self.ephemeral,
        }
    }
}

impl Schema {
    /// Of attributes alone.
    pub fn of(attributes: impl IntoIterator<Item = Attribute>) -> Self {
        Self { attributes: attributes.into_iter().collect(), blocks: Vec::new() }
    }

    /// With a nested block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// The attribute of a name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The type of the whole object.
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|a| (a.name, a.ty.clone()));
        let blocks = self.blocks.iter().map(|b| {
            let inner = b.schema.ty();
            let ty = match b.nesting {
                Nesting::Single => inner,
                Nesting::List => Type::list(inner),
                Nesting::Set => Type::set(inner),
                Nesting::Map => Type::map(inner),
            };
            (b.name, ty)
        });
        Type::object(attributes.chain(blocks))
    }
}

/// A resource type, a data source, or a type of ephemeral blocks.
#[derive(Clone, Debug)]
pub struct ResourceSchema {
    /// The type, such as `vault_policy`.
    pub name: &'static str,
    /// Version of the stored shape; raised when an older state needs an upgrade.
    pub version: u32,
    /// What it is; Markdown.
    pub doc: &'static str,
    /// An example block in the language; every one is tested to validate.
    pub example: &'static str,
    /// Attributes and nested blocks.
    pub schema: Schema,
    /// Objects of this type are protected (`prevent_destroy`) unless the configuration says otherwise.
    pub protected: bool,
}

/// What a provider offers.
#[derive(Clone, Debug)]
pub struct ProviderSchema {
    /// The name: `vault`; also the prefix of its types (`vault_policy`), except for `builtin`.
    pub name: &'static str,
    /// What it manages; Markdown.
    pub doc: &'static str,
    /// Attributes of the `provider` block.
    pub config: Schema,
    /// Resource types by name.
    pub resources: BTreeMap<&'static str, ResourceSchema>,
    /// Data sources by name.
    pub data: BTreeMap<&'static str, ResourceSchema>,
    /// Types of ephemeral blocks by name.
    pub ephemeral: BTreeMap<&'static str, ResourceSchema>,
    /// What names a key of the system that can seal the keys of a state; `None` where it has none.
    pub recipient: Option<Schema>,
    /// The objects among those of the provider without which that key opens nothing.
    pub recipient_needs: &'static [RecipientNeed],
    /// How many calls may run at once.
    pub concurrency: usize,
}

/// An object that a key needs: that of a type whose attribute is what a setting of the recipient says.
#[derive(Clone, Copy, Debug)]
pub struct RecipientNeed {
    /// The resource type.
    pub ty: &'static str,
    /// Its attribute.
    pub attribute: &'static str,
    /// The setting.
    pub setting: &'static str,
}

/// Seconds of a duration: a number of seconds (`86400`) or a Go duration with the units `ms s m h d`
/// (`1h30m`, `32d`). `None` for anything else.
pub fn duration_seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds as f64);
    }
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total)
}

impl Equality {
    /// Whether two values mean the same; [`Equality::Custom`] falls back to [`Value::same`].
    pub fn same(self, a: &Value, b: &Value) -> bool {
        if a.same(b) {
            return true;
        }
        let text = |v: &Value| v.as_str().map(str::to_owned).or_else(|| v.as_number().map(ToString::to_string));
        let (Some(x), Some(y)) = (text(a), text(b)) else { return false };
        match self {
            Self::Exact | Self::Custom => false,
            Self::Duration => {
                matches!((duration_seconds(&x), duration_seconds(&y)), (Some(x), Some(y)) if (x - y).abs() < f64::EPSILON)
            }
            Self::Json => matches!(
                (serde_json::from_str::<serde_json::Value>(&x), serde_json::from_str::<serde_json::Value>(&y)),
                (Ok(x), Ok(y)) if crate::json::from_json(&x).same(&crate::json::from_json(&y))
            ),
            Self::TrimmedText => x.trim_end() == y.trim_end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_every_spelling_mean_seconds() {
        for (text, seconds) in
            [("768h", 2_764_800.0), ("32d", 2_764_800.0), ("2764800", 2_764_800.0), ("1h30m", 5400.0), ("500ms", 0.5)]
        {
            assert_eq!(duration_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "h", "5x", "1h30", "-"] {
            assert_eq!(duration_seconds(text), None, "{text}");
        }
    }
}
