//! The blocks of the language itself, in the shape of a provider's types.
//!
//! The one decision: one table, with an example for each block in which nearly all its arguments
//! stand; a test reads every example with the loader.

use std::sync::OnceLock;

use mesh_model::schema::{Block, Nesting};
use mesh_model::{Attribute, ResourceSchema, Schema, Type, Value};

const COUNT: &str = "How many instances there are; `count.index` numbers them from 0. Not together with `for_each`.";
const FOR_EACH: &str =
    "A map, or a set of strings: one instance for each element, known as `each.key` and `each.value`.";
const DEPENDS_ON: &str = "References to blocks that must be done first although nothing here refers to them.";
const PROVIDER: &str =
    "Which configuration of the provider: `vault` or `vault.alias`. By default the one without an alias.";

fn block(name: &'static str, doc: &'static str, example: &'static str, schema: Schema) -> ResourceSchema {
    ResourceSchema { name, version: 0, doc, example, schema, protected: false }
}

fn nested(name: &'static str, nesting: Nesting, doc: &'static str, schema: Schema) -> Block {
    Block { name, nesting, min: 0, max: 0, schema, doc }
}

fn condition(name: &'static str, doc: &'static str) -> Block {
    let schema = Schema::of([
        Attribute::required("condition", Type::Bool, "What must be true."),
        Attribute::required("error_message", Type::String, "What to say where it is not."),
    ]);
    nested(name, Nesting::List, doc, schema)
}

fn repetition() -> [Attribute; 2] {
    [Attribute::optional("count", Type::Number, COUNT), Attribute::optional("for_each", Type::Dynamic, FOR_EACH)]
}

fn depends_on() -> Attribute {
    Attribute::optional("depends_on", Type::list(Type::Dynamic), DEPENDS_ON)
}

fn provider() -> Attribute {
    Attribute::optional("provider", Type::Dynamic, PROVIDER)
}

fn flag(name: &'static str, default: bool, doc: &'static str) -> Attribute {
    Attribute::optional(name, Type::Bool, doc).default(Value::bool(default))
}

fn precondition() -> Block {
    condition("precondition", "Checked before anything is done.")
}

fn postcondition() -> Block {
    condition("postcondition", "Checked with the result, which is `self`.")
}

fn lifecycle() -> Schema {
    Schema::of([
        flag("create_before_destroy", false, "Whether a replacement is made before the old object goes."),
        Attribute::optional("prevent_destroy", Type::Bool, "Whether a plan that deletes the object is refused."),
        Attribute::optional(
            "ignore_changes",
            Type::list(Type::Dynamic),
            "Attributes whose changes outside are left alone, such as `[labels, spec[0].replicas]`, or the word `all`.",
        ),
        Attribute::optional(
            "replace_triggered_by",
            Type::list(Type::Dynamic),
            "References; where one of them changes, the object is replaced.",
        ),
        Attribute::optional(
            "on_existing",
            Type::String,
            "What to do where the object exists already and state does not know it: `fail`, or `adopt` it.",
        )
        .default(Value::string("fail")),
        flag("destroy", true, "Whether the object is deleted when its block goes; else it is only forgotten."),
    ])
    .block(precondition())
    .block(postcondition())
}

fn conditions() -> Schema {
    Schema::default().block(precondition()).block(postcondition())
}

/// All blocks, in the order in which a configuration is usually written.
pub(super) fn blocks() -> &'static [ResourceSchema] {
    static BLOCKS: OnceLock<Vec<ResourceSchema>> = OnceLock::new();
    BLOCKS.get_or_init(all)
}

fn all() -> Vec<ResourceSchema> {
    let attributes = |more: Vec<Attribute>| Schema::of(repetition().into_iter().chain(more));
    vec![
        block(
            "mesh",
            "Settings of the whole configuration; once, in the root module.",
            "mesh {\n  required_version = \">= 0.1\"\n  backend \"local\" {\n    path = \"mesh.state\"\n  }\n}\n",
            Schema::of([Attribute::optional(
                "required_version",
                Type::String,
                "Which versions of mesh may be used, such as `>= 0.1, < 2.0`.",
            )])
            .block(nested(
                "backend",
                Nesting::Map,
                "Where state is; the label is its type. By default the file mesh.state. What each takes: mesh explain \
                 backend.NAME; which there are: mesh explain.",
                Schema::default(),
            ))
            .block(nested(
                "encryption",
                Nesting::Single,
                "For whom the keys of state are sealed: recipient blocks, with a kind (passphrase, vault, hsm) and a name.",
                Schema::default(),
            ))
            .block(nested(
                "history",
                Nesting::Single,
                "How much of the history of state is kept.",
                crate::commands::backend::history(),
            )),
        ),
        block(
            "variable",
            "A value that is given from outside: `var.name`.",
            "variable \"replicas\" {\n  type        = number\n  default     = 2\n  description = \"How many gateways.\"\n  nullable    = false\n  sensitive   = false\n  ephemeral   = false\n  validation {\n    condition     = var.replicas > 0\n    error_message = \"At least one.\"\n  }\n}\n",
            Schema::of([
                Attribute::optional(
                    "type",
                    Type::Dynamic,
                    "The type that values are converted to, such as `map(string)`; any by default.",
                ),
                Attribute::optional(
                    "default",
                    Type::Dynamic,
                    "The value where none is given; without it, one must be.",
                ),
                Attribute::optional("description", Type::String, "What it is, for people who are asked for it."),
                flag("sensitive", false, "Whether it is never shown, nor what is made of it."),
                flag("ephemeral", false, "Whether it is neither in state nor in plan files."),
                flag("nullable", true, "Whether it may be null; else null means the default."),
                Attribute::optional("deprecated", Type::String, "What to use in its place; giving a value warns."),
            ])
            .block(condition("validation", "Checked before the value is used; must refer to the variable.")),
        ),
        block(
            "locals",
            "Named values of the module: each argument is one, known as `local.name`.",
            "locals {\n  hosts = [for n in range(3) : \"gw${n}\"]\n}\n",
            Schema::default(),
        ),
        block(
            "provider",
            "How a system is reached; the label is the provider. Its other arguments: mesh explain provider.NAME.",
            "provider \"vault\" {\n  alias   = \"team\"\n  address = \"https://vault.example:8200\"\n}\n",
            Schema::of([
                Attribute::optional(
                    "alias",
                    Type::String,
                    "The name of a further configuration: `provider = vault.team`.",
                ),
                Attribute::optional(
                    "for_each",
                    Type::Dynamic,
                    "One configuration for each element, with `alias`: `vault.team[each.key]`.",
                ),
            ]),
        ),
        block(
            "resource",
            "An object that is made, changed and deleted as the block says. The labels are type and name; its other arguments: mesh explain TYPE.",
            "resource \"terraform_data\" \"a\" {\n  count      = 2\n  depends_on = [terraform_data.b]\n  input      = count.index\n  lifecycle {\n    create_before_destroy = true\n  }\n}\n\nresource \"terraform_data\" \"b\" {}\n",
            attributes(vec![depends_on(), provider()]).block(nested(
                "lifecycle",
                Nesting::Single,
                "How changes are made, and what must hold.",
                lifecycle(),
            )),
        ),
        block(
            "data",
            "Something that is read and not managed. The labels are type and name; its other arguments: mesh explain data.TYPE.",
            "data \"local_file\" \"a\" {\n  for_each = toset([\"a.txt\"])\n  path     = each.key\n}\n",
            attributes(vec![depends_on(), provider()]).block(nested(
                "lifecycle",
                Nesting::Single,
                "What must hold.",
                conditions(),
            )),
        ),
        block(
            "ephemeral",
            "Something that is opened when it is needed, renewed, and closed after the run; neither plan nor state has anything of it. Its values may go to providers, to ephemeral blocks and to write-only attributes. The labels are type and name; its other arguments: mesh explain ephemeral.TYPE.",
            "ephemeral \"random_password\" \"admin\" {\n  length = 24\n}\n\nresource \"vault_kv_secret_v2\" \"admin\" {\n  mount           = \"apps\"\n  name            = \"admin\"\n  data_wo         = { password = ephemeral.random_password.admin.result }\n  data_wo_version = 1\n}\n",
            attributes(vec![depends_on(), provider()]).block(nested(
                "lifecycle",
                Nesting::Single,
                "What must hold.",
                conditions(),
            )),
        ),
        block(
            "lifecycle",
            "Inside a resource: how changes are made, and what must hold. In data and ephemeral blocks conditions only.",
            "resource \"terraform_data\" \"a\" {\n  input = \"x\"\n  lifecycle {\n    create_before_destroy = true\n    prevent_destroy       = true\n    ignore_changes        = [input]\n    replace_triggered_by  = [terraform_data.b]\n    on_existing           = \"adopt\"\n    precondition {\n      condition     = terraform_data.b.id != \"\"\n      error_message = \"Is needed.\"\n    }\n    postcondition {\n      condition     = self.output == \"x\"\n      error_message = \"Must be x.\"\n    }\n  }\n}\n\nresource \"terraform_data\" \"b\" {}\n",
            lifecycle(),
        ),
        block(
            "timeouts",
            "Inside a resource: how long one operation may take. One that takes longer is looked up by the next run.",
            "resource \"terraform_data\" \"a\" {\n  input = \"x\"\n  timeouts {\n    create = \"10m\"\n    update = \"90s\"\n    delete = \"5m\"\n  }\n}\n",
            Schema::of([
                Attribute::optional("create", Type::String, "For making the object, such as `10m`."),
                Attribute::optional("update", Type::String, "For changing it in place."),
                Attribute::optional("delete", Type::String, "For deleting it."),
            ]),
        ),
        block(
            "dynamic",
            "Inside a block: nested blocks of the label's type, one for each element.",
            "resource \"kubernetes_wait\" \"pods\" {\n  dynamic \"alternative\" {\n    for_each = [\"istiod\", \"gateway\"]\n    iterator = app\n    content {\n      for {\n        api_version = \"v1\"\n        kind        = \"Pod\"\n        namespace   = \"istio-system\"\n        selector    = { app = app.value }\n      }\n    }\n  }\n}\n",
            Schema::of([
                Attribute::required(
                    "for_each",
                    Type::Dynamic,
                    "A list, set or map; the element is `LABEL.value`, its key `LABEL.key`.",
                ),
                Attribute::optional("iterator", Type::Dynamic, "Another name for the element than the label."),
                Attribute::optional("labels", Type::list(Type::String), "Labels of the blocks."),
            ])
            .block(Block {
                min: 1,
                ..nested("content", Nesting::Single, "What stands in each block.", Schema::default())
            }),
        ),
        block(
            "module",
            "Another folder of configuration, with values for its variables; its outputs are `module.name.output`.",
            "module \"edge\" {\n  source     = \"./edge\"\n  for_each   = toset([\"a\"])\n  providers  = { vault = vault.team }\n  depends_on = [terraform_data.b]\n}\n\nprovider \"vault\" {\n  alias   = \"team\"\n  address = \"https://vault.example:8200\"\n}\n\nresource \"terraform_data\" \"b\" {}\n",
            attributes(vec![
                Attribute::required(
                    "source",
                    Type::String,
                    "Where the module is: a folder such as `./modules/edge`, or one that `mesh init` fetches, such as `git::https://host/r.git//edge?ref=${var.release}`. Variables and local values may stand in it.",
                ),
                Attribute::optional(
                    "version",
                    Type::String,
                    "Which versions may be used, where the source has versions.",
                ),
                Attribute::optional(
                    "providers",
                    Type::map(Type::Dynamic),
                    "Configurations to hand in: `{ vault = vault.team }`.",
                ),
                depends_on(),
            ]),
        ),
        block(
            "output",
            "A value for others: shown after apply, kept in state, and known to the calling module.",
            "output \"name\" {\n  value       = terraform_data.a.output\n  description = \"What it is called.\"\n  sensitive   = false\n  precondition {\n    condition     = terraform_data.a.output != \"\"\n    error_message = \"Needs a name.\"\n  }\n}\n\nresource \"terraform_data\" \"a\" {\n  input = \"x\"\n}\n",
            Schema::of([
                Attribute::required("value", Type::Dynamic, "The value."),
                Attribute::optional("description", Type::String, "What it is."),
                flag("sensitive", false, "Whether it is never shown; needed where the value is sensitive."),
                flag("ephemeral", false, "Whether it is neither in state nor in plan files; in modules only."),
                depends_on(),
            ])
            .block(condition("precondition", "Checked before the value is given out.")),
        ),
        block(
            "check",
            "Assertions about the whole; where one does not hold, there is a warning and everything goes on.",
            "check \"gateway\" {\n  data \"mesh_tcp_probe\" \"vip\" {\n    targets = [\"10.0.0.1:443\"]\n  }\n  assert {\n    condition     = data.mesh_tcp_probe.vip.reachable\n    error_message = \"The gateway does not answer.\"\n  }\n}\n",
            Schema::default()
                .block(nested(
                    "data",
                    Nesting::Map,
                    "A data source that only this check reads; its errors are warnings.",
                    Schema::default(),
                ))
                .block(Block { min: 1, ..condition("assert", "What should hold.") }),
        ),
        block(
            "moved",
            "Another address for what state knows, so that renaming does not replace.",
            "moved {\n  from = terraform_data.old\n  to   = terraform_data.new\n}\n\nresource \"terraform_data\" \"new\" {}\n",
            Schema::of([
                Attribute::required(
                    "from",
                    Type::Dynamic,
                    "The address in state: a resource, an instance or a module.",
                ),
                Attribute::required("to", Type::Dynamic, "The address in the configuration."),
            ]),
        ),
        block(
            "removed",
            "What to do with the objects of a block that is no longer there.",
            "removed {\n  from = terraform_data.old\n  lifecycle {\n    destroy = false\n  }\n}\n",
            Schema::of([Attribute::required("from", Type::Dynamic, "The address of the block, without keys.")]).block(
                nested(
                    "lifecycle",
                    Nesting::Single,
                    "What happens to the objects.",
                    Schema::of([flag("destroy", true, "Whether they are deleted; else only forgotten.")]),
                ),
            ),
        ),
        block(
            "import",
            "Takes an object that exists into state; root module only.",
            "import {\n  to = terraform_data.a\n  id = \"4711\"\n}\n\nresource \"terraform_data\" \"a\" {}\n",
            Schema::of([
                Attribute::required("to", Type::Dynamic, "The address of the instance."),
                Attribute::required("id", Type::String, "What the provider knows the object by."),
                Attribute::optional(
                    "for_each",
                    Type::Dynamic,
                    "One import for each element; `to` and `id` use `each`.",
                ),
                provider(),
            ]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use mesh_lang::{Files, LoadOptions, load_from};
    use mesh_model::{Diagnostics, Sources};

    use super::*;

    /// One file with a text, and an empty module beside it.
    struct One<'t>(&'t str);

    impl Files for One<'_> {
        fn read_dir(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(vec![dir.join("main.mesh.hcl")])
        }

        fn read(&self, file: &Path) -> io::Result<String> {
            Ok(if file == Path::new("/m/main.mesh.hcl") { self.0.to_owned() } else { String::new() })
        }
    }

    fn errors(text: &str) -> Diagnostics {
        let (config, mut found) = load_from(&One(text), LoadOptions::new(Path::new("/m")), &mut Sources::default());
        if let Some(config) = config.filter(|_| !found.has_errors()) {
            found.extend(mesh_core::check::check(&super::super::tests::all(), &config));
        }
        found
    }

    #[test]
    fn every_example_is_valid() {
        for kind in mesh_backends::all() {
            let found = errors(kind.example);
            assert!(!found.has_errors(), "{}: {found:?}", kind.name);
        }
        for block in blocks() {
            let found = errors(block.example);
            assert!(!found.has_errors(), "{}: {found:?}", block.name);
            let misses = |name: &&str| !block.example.contains(*name);
            let required = block.schema.attributes.iter().filter(|a| a.given == mesh_model::schema::Given::Required);
            let lost: Vec<&str> = required.map(|a| a.name).filter(misses).collect();
            assert!(lost.is_empty(), "the example of {} lacks {lost:?}", block.name);
        }
    }

    #[test]
    fn every_top_level_block_is_explained() {
        // The loader names the block that is nearest to a wrong one, so all names are found this way.
        for name in [
            "mesh",
            "provider",
            "variable",
            "locals",
            "output",
            "resource",
            "data",
            "module",
            "moved",
            "removed",
            "import",
            "check",
            "ephemeral",
        ] {
            assert!(blocks().iter().any(|b| b.name == name), "{name} is not explained");
            let found = errors(&format!("{name}s2 {{}}\n"));
            assert!(found.iter().any(|d| d.detail.contains(&format!("{name:?}"))), "{name} is no block: {found:?}");
        }
    }
}
