//! `mesh explain`: what a type, a provider or a block of the language takes and gives.
//!
//! The one decision: everything comes from the schemas that also validate and plan; only the blocks of
//! the language itself have a table of their own (`language`), of the same shape.

mod language;

use std::sync::Arc;

use clap::ArgAction;
use mesh_core::{Engine, Silent};
use mesh_lang::suggestion;
use mesh_model::schema::{Attribute, Block, Given, ProviderSchema};
use mesh_model::{Diagnostic, Mode, ResourceSchema, Schema, Type};
use serde_json::{Map, Value as Json, json};

use super::project::engine;
use crate::ui::{Failure, Outcome, Ui};
use crate::view::explain::{self, Content, Page};
use crate::view::page::{columns, paragraphs, sentence};
use crate::view::style::out;

/// Show the documentation of a type, a provider or a block
///
/// Without a name: all of them. A path goes on with dots: vault_mount.config.default_lease_ttl.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Show all fields with their types, without descriptions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    recursive: bool,
    /// Write one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    json: bool,
    /// TYPE, data.TYPE, ephemeral.TYPE, provider.NAME, PROVIDER or a block such as lifecycle; then .ATTRIBUTE...
    name: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, args: &Args) -> Outcome {
    let engine = engine(ui, Arc::new(Silent));
    let Some(name) = &args.name else {
        out(&if args.json { format!("{:#}\n", overview_json(&engine)) } else { overview(&engine) })?;
        return Ok(0);
    };
    if let Some(provider) = engine.provider(name) {
        let schema = provider.schema();
        out(&if args.json { format!("{:#}\n", provider_json(schema)) } else { listing(schema) })?;
        return Ok(0);
    }
    let (subject, path) = find(&engine, name)?;
    let page = descend(subject, &path)?;
    out(&if args.json {
        format!("{:#}\n", explain::page_json(&page))
    } else {
        explain::text(&page, args.recursive, columns())
    })?;
    Ok(0)
}

/// The kinds of types, as a page calls them and as they are written in front of a type.
const KINDS: [(Mode, &str, &str); 3] = [
    (Mode::Managed, "resource", ""),
    (Mode::Data, "data source", "data."),
    (Mode::Ephemeral, "ephemeral resource", "ephemeral."),
];

fn types(schema: &ProviderSchema, mode: Mode) -> impl Iterator<Item = &ResourceSchema> {
    schema.types(mode).values()
}

/// A page before its path is walked.
fn subject(kind: &str, provider: Option<&str>, schema: &ResourceSchema) -> Page {
    let mut facts = vec![("KIND", kind.to_owned()), ("NAME", schema.name.to_owned())];
    facts.extend(provider.map(|p| ("PROVIDER", p.to_owned())));
    let more = match (provider, schema.protected) {
        (None, _) => String::new(),
        (Some(_), false) if kind == "data source" => "Meta-arguments: mesh explain data.".to_owned(),
        (Some(_), false) if kind == "ephemeral resource" => "Meta-arguments: mesh explain ephemeral.".to_owned(),
        (Some(_), false) => "Meta-arguments: mesh explain resource.".to_owned(),
        (Some(_), true) => "Objects of this type are protected: prevent_destroy is on unless the configuration \
                            says otherwise. Meta-arguments: mesh explain resource."
            .to_owned(),
    };
    Page {
        facts,
        doc: schema.doc.to_owned(),
        example: schema.example.to_owned(),
        content: Content::Schema(schema.schema.clone()),
        more,
    }
}

/// What the first parts of a name mean, and the rest.
fn find<'n>(engine: &Engine, name: &'n str) -> Result<(Page, Vec<&'n str>), Failure> {
    let parts: Vec<&str> = name.split('.').collect();
    if let ["provider", name, rest @ ..] = parts.as_slice()
        && let Some(provider) = engine.provider(name)
    {
        let schema = provider.schema();
        let page = Page {
            facts: vec![("KIND", "provider".to_owned()), ("NAME", schema.name.to_owned())],
            doc: schema.doc.to_owned(),
            example: String::new(),
            content: Content::Schema(schema.config.clone()),
            more: format!("Its types: mesh explain {}. Meta-arguments: mesh explain provider.", schema.name),
        };
        return Ok((page, rest.to_vec()));
    }
    if let ["backend", name, rest @ ..] = parts.as_slice()
        && let Some(kind) = mesh_backends::all().into_iter().find(|k| k.name == *name)
    {
        let page = Page {
            facts: vec![("KIND", "backend".to_owned()), ("NAME", kind.name.to_owned())],
            doc: kind.doc.to_owned(),
            example: kind.example.to_owned(),
            content: Content::Schema(kind.settings),
            more: "Settings refer to variables only.".to_owned(),
        };
        return Ok((page, rest.to_vec()));
    }
    let (modes, ty, rest): (&[Mode], &str, &[&str]) = match parts.as_slice() {
        ["data", ty, rest @ ..] => (&[Mode::Data], ty, rest),
        ["ephemeral", ty, rest @ ..] => (&[Mode::Ephemeral], ty, rest),
        ["resource", ty, rest @ ..] => (&[Mode::Managed], ty, rest),
        [ty, rest @ ..] => (&[Mode::Managed, Mode::Data, Mode::Ephemeral], ty, rest),
        [] => (&[], "", &[]),
    };
    for (mode, kind, _) in KINDS.iter().filter(|(mode, ..)| modes.contains(mode)) {
        if let (Some(schema), Some(provider)) = (engine.schema(*mode, ty), engine.provider_of(*mode, ty)) {
            let mut page = subject(kind, Some(provider.schema().name), schema);
            let others =
                KINDS.iter().filter(|(m, ..)| m != mode && modes.contains(m) && engine.schema(*m, ty).is_some());
            for (_, kind, prefix) in others {
                let article = if kind.starts_with('e') { "an" } else { "a" };
                push!(page.more, "\nThere is also {article} {kind}: mesh explain {prefix}{ty}.");
            }
            return Ok((page, rest.to_vec()));
        }
    }
    if let Some(block) = language::blocks().iter().find(|b| b.name == parts[0]) {
        let known = |part: &str| {
            block.schema.attributes.iter().any(|a| a.name == part) || block.schema.blocks.iter().any(|b| b.name == part)
        };
        // A second part that is no argument of the block is a type that nobody knows.
        if parts.len() == 1 || !matches!(parts[0], "data" | "ephemeral" | "resource" | "provider") || known(parts[1]) {
            return Ok((subject("block", None, block), parts[1..].to_vec()));
        }
    }
    Err(unknown(engine, parts.as_slice()))
}

fn unknown(engine: &Engine, parts: &[&str]) -> Failure {
    let word = match parts {
        ["backend" | "data" | "ephemeral" | "resource" | "provider", word, ..] | [word, ..] => *word,
        [] => "",
    };
    let candidates: Vec<&str> = match parts {
        ["backend", ..] => mesh_backends::all().iter().map(|k| k.name).collect(),
        ["provider", ..] => engine.provider_names(),
        ["data", _, ..] => engine.type_names(Mode::Data).collect(),
        ["ephemeral", _, ..] => engine.type_names(Mode::Ephemeral).collect(),
        ["resource", _, ..] => engine.type_names(Mode::Managed).collect(),
        _ => KINDS
            .iter()
            .flat_map(|(mode, ..)| engine.type_names(*mode))
            .chain(engine.provider_names())
            .chain(language::blocks().iter().map(|b| b.name))
            .collect(),
    };
    let hint = suggestion(word, candidates).map(|s| format!(" Did you mean {s:?}?")).unwrap_or_default();
    let detail = format!(
        "There is no type, provider or block called {word:?}.{hint} mesh explain without a name lists them all."
    );
    Diagnostic::error("cli::explain", "Nothing of this name", detail).into()
}

/// Where a path has come to.
enum Place<'s> {
    Schema(&'s Schema),
    Attribute(&'s Attribute),
    Block(&'s Block),
    Type(Type),
}

impl<'s> Place<'s> {
    /// One step inwards; else the names that there are.
    fn step(&self, name: &str) -> Result<Self, Vec<String>> {
        let ty = match self {
            Self::Schema(schema) => return in_schema(schema, name),
            Self::Block(block) => return in_schema(&block.schema, name),
            Self::Attribute(attribute) => &attribute.ty,
            Self::Type(ty) => ty,
        };
        let parts = explain::parts(ty);
        match parts.iter().find(|(part, _)| part == name) {
            Some((_, ty)) => Ok(Self::Type(ty.clone())),
            None => Err(parts.into_iter().map(|(part, _)| part).collect()),
        }
    }
}

fn in_schema<'s>(schema: &'s Schema, name: &str) -> Result<Place<'s>, Vec<String>> {
    let block = || schema.blocks.iter().find(|b| b.name == name).map(Place::Block);
    schema.attribute(name).map(Place::Attribute).or_else(block).ok_or_else(|| {
        schema
            .attributes
            .iter()
            .map(|a| a.name)
            .chain(schema.blocks.iter().map(|b| b.name))
            .map(str::to_owned)
            .collect()
    })
}

/// The page of what a path leads to.
fn descend(page: Page, path: &[&str]) -> Result<Page, Failure> {
    let Content::Schema(schema) = &page.content else { return Ok(page) };
    let mut place = Place::Schema(schema);
    for (i, name) in path.iter().enumerate() {
        place = place.step(name).map_err(|there| {
            let above = page.facts.get(1).map(|(_, name)| name.as_str()).into_iter().chain(path[..i].iter().copied());
            no_field(&above.collect::<Vec<_>>().join("."), name, &there)
        })?;
    }
    let (ty, doc, content) = match place {
        Place::Schema(_) => return Ok(page),
        Place::Attribute(a) => (explain::short(&a.ty), a.doc, Content::Attribute(a.clone())),
        Place::Block(b) => (explain::nesting(b).to_owned(), b.doc, Content::Schema(b.schema.clone())),
        Place::Type(ty) => (explain::short(&ty), "", Content::Type(ty)),
    };
    let mut facts = page.facts.clone();
    facts.extend([("FIELD", path.join(".")), ("TYPE", ty)]);
    if let Content::Attribute(a) = &content {
        let given = match a.given {
            Given::Required => "required",
            Given::Optional | Given::OptionalComputed => "optional",
            Given::Computed => "computed",
        };
        let flags: Vec<String> = std::iter::once(given.to_owned()).chain(explain::notes(a)).collect();
        facts.push(("FLAGS", flags.join(", ")));
    }
    Ok(Page { facts, doc: doc.to_owned(), example: String::new(), content, more: String::new() })
}

fn no_field(above: &str, name: &str, there: &[String]) -> Failure {
    let hint = match suggestion(name, there.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean {near:?}?"),
        None if there.is_empty() => "It has no parts.".to_owned(),
        None => format!("It has: {}.", there.join(", ")),
    };
    Diagnostic::error("cli::explain", "Nothing of this name", format!("There is no field {name:?} in {above}. {hint}"))
        .into()
}

fn row(prefix: &str, schema: &ResourceSchema) -> (String, String) {
    (format!("{prefix}{}", schema.name), sentence(schema.doc).to_owned())
}

/// The types of a provider.
fn listing(schema: &ProviderSchema) -> String {
    let width = columns();
    let mut text = format!("{}: {}", schema.name, paragraphs(schema.doc, 0, width - schema.name.len() - 2));
    for (mode, kind, prefix) in KINDS {
        let rows: Vec<_> = types(schema, mode).map(|t| row(prefix, t)).collect();
        text.push_str(&explain::list(&format!("{}S:", kind.to_uppercase()), &rows, width));
    }
    let more = format!("Configuration: mesh explain provider.{}. One type: mesh explain TYPE.", schema.name);
    push!(text, "\n{}", paragraphs(&more, 0, width));
    text
}

/// All providers, types and blocks.
fn overview(engine: &Engine) -> String {
    let width = columns();
    let mut text = String::new();
    for provider in engine.providers() {
        let schema = provider.schema();
        let rows: Vec<_> =
            KINDS.iter().flat_map(|(mode, _, prefix)| types(schema, *mode).map(|t| row(prefix, t))).collect();
        let title = format!("{}: {}", schema.name, sentence(schema.doc));
        text.push_str(&explain::list(&title, &rows, width));
    }
    let rows: Vec<_> = language::blocks().iter().map(|b| row("", b)).collect();
    text.push_str(&explain::list("Blocks of the language", &rows, width));
    let rows: Vec<_> =
        mesh_backends::all().iter().map(|k| (format!("backend.{}", k.name), sentence(k.doc).to_owned())).collect();
    text.push_str(&explain::list("Backends of state", &rows, width));
    let more = "One of them: mesh explain NAME; an attribute of it: mesh explain NAME.ATTRIBUTE.";
    push!(text, "\n{}", paragraphs(more, 0, width));
    text.trim_start().to_owned()
}

fn provider_json(schema: &ProviderSchema) -> Json {
    let names = |mode| -> Map<String, Json> {
        types(schema, mode)
            .map(|t| (t.name.to_owned(), json!({ "description": t.doc, "version": t.version })))
            .collect()
    };
    json!({
        "kind": "provider",
        "name": schema.name,
        "description": schema.doc,
        "resources": names(Mode::Managed),
        "data_sources": names(Mode::Data),
        "ephemeral_resources": names(Mode::Ephemeral),
    })
}

fn overview_json(engine: &Engine) -> Json {
    let providers: Vec<Json> = engine.providers().iter().map(|p| provider_json(p.schema())).collect();
    let blocks: Map<String, Json> =
        language::blocks().iter().map(|b| (b.name.to_owned(), json!({ "description": b.doc }))).collect();
    let backends: Map<String, Json> =
        mesh_backends::all().iter().map(|k| (k.name.to_owned(), json!({ "description": k.doc }))).collect();
    json!({ "providers": providers, "blocks": blocks, "backends": backends })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mesh_sdk::Services;

    use super::*;

    pub(super) fn all() -> Engine {
        let services = Services { root: PathBuf::from("."), cache: PathBuf::new(), ..Services::default() };
        Engine::new(mesh_providers::all(), services, Arc::new(Silent))
    }

    #[test]
    fn everything_that_a_schema_offers_is_described() {
        fn check(name: &str, schema: &Schema, lost: &mut Vec<String>) {
            let attributes = schema.attributes.iter().map(|a| (a.name, a.doc));
            for (part, doc) in attributes.chain(schema.blocks.iter().map(|b| (b.name, b.doc))) {
                if doc.trim().is_empty() || !doc.trim_end().ends_with(['.', '!', '`', ':']) {
                    lost.push(format!("{name}.{part}: {doc:?}"));
                }
            }
            for block in &schema.blocks {
                check(&format!("{name}.{}", block.name), &block.schema, lost);
            }
        }
        let mut lost = Vec::new();
        for provider in all().providers() {
            let schema = provider.schema();
            check(&format!("provider.{}", schema.name), &schema.config, &mut lost);
            assert!(!schema.doc.trim().is_empty(), "{} says nothing", schema.name);
            for (prefix, t) in KINDS.iter().flat_map(|(mode, _, p)| types(schema, *mode).map(move |t| (p, t))) {
                assert!(!t.doc.trim().is_empty() && !t.example.trim().is_empty(), "{prefix}{} says nothing", t.name);
                check(&format!("{prefix}{}", t.name), &t.schema, &mut lost);
            }
        }
        for block in language::blocks() {
            check(block.name, &block.schema, &mut lost);
        }
        assert!(lost.is_empty(), "no sentence describes: {lost:#?}");
    }

    #[test]
    fn names_lead_to_pages_and_paths_into_them() {
        let engine = all();
        let page = |name: &str| {
            find(&engine, name).and_then(|(page, path)| descend(page, &path)).map_err(|f| f.0.0[0].detail.clone())
        };
        let fact = |name: &str, fact: &str| {
            let page = page(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            page.facts.iter().find(|(n, _)| *n == fact).map(|(_, v)| v.clone()).unwrap_or_default()
        };
        for (name, kind) in [
            ("vault_policy", "resource"),
            ("data.local_file", "data source"),
            ("vault_token", "ephemeral resource"),
            ("ephemeral.vault_kv_secret", "ephemeral resource"),
            ("ephemeral", "block"),
            ("resource.local_file", "resource"),
            ("provider.vault", "provider"),
            ("lifecycle", "block"),
            ("resource", "block"),
            ("provider.alias", "block"),
            ("backend.s3", "backend"),
        ] {
            assert_eq!(fact(name, "KIND"), kind, "{name}");
        }
        assert_eq!(fact("vault_policy.name", "FLAGS"), "required, forces replacement");
        assert_eq!(fact("resource.lifecycle.ignore_changes", "FIELD"), "lifecycle.ignore_changes");
        let wrong = |name: &str| page(name).err().unwrap_or_default();
        assert!(wrong("vault_polcy").contains("Did you mean \"vault_policy\"?"));
        assert!(wrong("provider.valt").contains("Did you mean \"vault\"?"));
        assert!(wrong("backend.s4").contains("Did you mean \"s3\"?"));
        assert_eq!(fact("backend.kubernetes.namespace", "FLAGS"), "required");
        assert!(wrong("data.local_fil").contains("Did you mean \"local_file\"?"));
        assert!(wrong("vault_policy.nam").contains("in vault_policy. Did you mean \"name\"?"));
        assert!(wrong("vault_policy.name.x").contains("in vault_policy.name. It has no parts."));
        assert!(wrong("zzzzzz").contains("lists them all"));
    }
}
