//! What the blocks of the language hold, as far as JSON needs to be told: which properties are blocks,
//! and which texts are no templates.
//!
//! The one decision: a table. What stands in no list is a template; who decodes the block reports names
//! that it does not know.

/// A type of block.
pub(super) struct Kind {
    /// What its labels are.
    pub(super) labels: &'static [&'static str],
    /// Blocks in it.
    pub(super) blocks: &'static [(&'static str, &'static Self)],
    /// Values in which texts are texts, whatever stands in them.
    pub(super) literal: &'static [&'static str],
    /// Values in which texts are source: references and types.
    pub(super) source: &'static [&'static str],
    /// Whether there are `dynamic` blocks, and other properties may be blocks too, which only a schema knows.
    pub(super) open: bool,
}

const PLAIN: Kind = Kind { labels: &[], blocks: &[], literal: &[], source: &[], open: false };
const OPEN: Kind = Kind { open: true, ..PLAIN };

static CONDITION: Kind = PLAIN;
static CONTENT: Kind = OPEN;
static DYNAMIC: Kind = Kind { labels: &["type"], blocks: &[("content", &CONTENT)], source: &["iterator"], ..PLAIN };
static LIFECYCLE: Kind = Kind {
    blocks: &[("precondition", &CONDITION), ("postcondition", &CONDITION)],
    literal: &["create_before_destroy", "destroy"],
    source: &["ignore_changes", "replace_triggered_by"],
    ..PLAIN
};
static TIMEOUTS: Kind = PLAIN;
static RESOURCE: Kind = Kind {
    labels: &["type", "name"],
    blocks: &[("lifecycle", &LIFECYCLE), ("timeouts", &TIMEOUTS)],
    source: &["provider", "depends_on"],
    ..OPEN
};
static BACKEND: Kind = Kind { labels: &["type"], ..OPEN };
static MESH: Kind =
    Kind { blocks: &[("backend", &BACKEND), ("encryption", &CONTENT)], literal: &["required_version"], ..PLAIN };
static PROVIDER: Kind = Kind { labels: &["name"], literal: &["alias"], ..OPEN };
static VARIABLE: Kind = Kind {
    labels: &["name"],
    blocks: &[("validation", &CONDITION)],
    literal: &["default", "description", "sensitive", "nullable", "ephemeral", "deprecated"],
    source: &["type"],
    ..PLAIN
};
static LOCALS: Kind = PLAIN;
static OUTPUT: Kind = Kind {
    labels: &["name"],
    blocks: &[("precondition", &CONDITION)],
    literal: &["description", "sensitive", "ephemeral", "deprecated"],
    source: &["depends_on"],
    ..PLAIN
};
static MODULE: Kind = Kind { labels: &["name"], source: &["depends_on", "providers"], ..PLAIN };
static MOVED: Kind = Kind { source: &["from", "to"], ..PLAIN };
static REMOVED: Kind = Kind { blocks: &[("lifecycle", &LIFECYCLE)], source: &["from"], ..PLAIN };
static IMPORT: Kind = Kind { source: &["to", "provider"], ..PLAIN };
static CHECK: Kind = Kind { labels: &["name"], blocks: &[("assert", &CONDITION), ("data", &RESOURCE)], ..PLAIN };

/// A file.
pub(super) static FILE: Kind = Kind {
    blocks: &[
        ("mesh", &MESH),
        ("provider", &PROVIDER),
        ("variable", &VARIABLE),
        ("locals", &LOCALS),
        ("output", &OUTPUT),
        ("resource", &RESOURCE),
        ("data", &RESOURCE),
        ("ephemeral", &RESOURCE),
        ("module", &MODULE),
        ("moved", &MOVED),
        ("removed", &REMOVED),
        ("import", &IMPORT),
        ("check", &CHECK),
    ],
    ..PLAIN
};
static VALUES: Kind = PLAIN;
static OVERRIDE: Kind = Kind { source: &["target", "override_during"], ..PLAIN };
static MOCK_TYPE: Kind = Kind { labels: &["type"], source: &["override_during"], ..PLAIN };
static MOCK: Kind = Kind {
    labels: &["name"],
    blocks: &[
        ("mock_resource", &MOCK_TYPE),
        ("mock_data", &MOCK_TYPE),
        ("override_resource", &OVERRIDE),
        ("override_data", &OVERRIDE),
        ("override_module", &OVERRIDE),
    ],
    literal: &["alias"],
    source: &["override_during"],
    ..PLAIN
};
static TEST_MODULE: Kind = Kind { literal: &["source"], ..PLAIN };
static TEST_OPTIONS: Kind = Kind { literal: &["mode", "refresh"], source: &["replace", "target"], ..PLAIN };
static RUN: Kind = Kind {
    labels: &["name"],
    blocks: &[
        ("variables", &VALUES),
        ("assert", &CONDITION),
        ("module", &TEST_MODULE),
        ("plan_options", &TEST_OPTIONS),
        ("override_resource", &OVERRIDE),
        ("override_data", &OVERRIDE),
        ("override_module", &OVERRIDE),
    ],
    literal: &["state_key", "parallel"],
    source: &["command", "expect_failures", "providers"],
    ..PLAIN
};

/// A test file.
pub(super) static TEST_FILE: Kind = Kind {
    blocks: &[
        ("variables", &VALUES),
        ("provider", &PROVIDER),
        ("mock_provider", &MOCK),
        ("run", &RUN),
        ("override_resource", &OVERRIDE),
        ("override_data", &OVERRIDE),
        ("override_module", &OVERRIDE),
    ],
    ..PLAIN
};
/// A block of a provider's schema.
pub(super) static NESTED: &Kind = &CONTENT;

impl Kind {
    /// The block that a property is.
    pub(super) fn block(&self, name: &str) -> Option<&'static Self> {
        if self.open && name == "dynamic" {
            return Some(&DYNAMIC);
        }
        self.blocks.iter().find(|(n, _)| *n == name).map(|(_, kind)| *kind)
    }
}
