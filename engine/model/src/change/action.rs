//! What is done to an instance and why, with the words of the machine formats.
//!
//! The one decision: what is done is in the action alone, the order of a replace's two halves and what becomes of
//! the old object included. A reason only says why.

/// What is done to an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing; it is as it should be.
    NoOp,
    /// A data source is read during apply.
    Read,
    /// A new object.
    Create,
    /// A change in place.
    Update,
    /// The object is deleted, then made anew.
    Replace,
    /// A new object is made, then the old one is deleted.
    ReplaceCreateFirst,
    /// A new object is made, and state forgets the old one, which stays.
    ReplaceForget,
    /// The object is deleted.
    Delete,
    /// Only state forgets it; the object stays.
    Forget,
}

impl Action {
    /// The actions of the machine formats, in order.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::NoOp => &["no-op"],
            Self::Read => &["read"],
            Self::Create => &["create"],
            Self::Update => &["update"],
            Self::Replace => &["delete", "create"],
            Self::ReplaceCreateFirst => &["create", "delete"],
            Self::ReplaceForget => &["create", "forget"],
            Self::Delete => &["delete"],
            Self::Forget => &["forget"],
        }
    }

    /// The symbol of plan texts.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Read => "<=",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::ReplaceCreateFirst => "+/-",
            Self::ReplaceForget => "+/.",
            Self::Delete => "-",
            Self::Forget => ".",
        }
    }

    /// Whether a new object comes in the place of an old one.
    pub const fn is_replace(self) -> bool {
        matches!(self, Self::Replace | Self::ReplaceCreateFirst | Self::ReplaceForget)
    }

    /// Whether both objects are there for a while: the old one is deposed meanwhile.
    pub const fn deposes(self) -> bool {
        matches!(self, Self::ReplaceCreateFirst | Self::ReplaceForget)
    }

    /// Whether anything outside is changed.
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::NoOp | Self::Read)
    }
}

/// Why an action was chosen; for people only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Nothing to explain.
    None,
    /// An attribute cannot change in place.
    CannotUpdate,
    /// A create failed half way.
    Tainted,
    /// Asked for on the command line.
    Requested,
    /// `replace_triggered_by`.
    Triggered,
    /// The block is gone.
    NoConfig,
    /// The module instance is gone; its call is still there.
    NoModule,
    /// Beyond `count`.
    CountIndex,
    /// The key is gone from `for_each`.
    EachKey,
    /// `count`, `for_each` or neither does not fit the key.
    WrongRepetition,
    /// It moved to an address that is not configured.
    NoMoveTarget,
    /// It exists in state but no longer outside.
    Vanished,
    /// Its inputs are not known yet.
    ConfigUnknown,
    /// Something that it depends on changes first.
    DependencyPending,
    /// It is a data source of a check, which looks again when everything is made.
    CheckNested,
    /// The whole stack is destroyed.
    Destroy,
    /// It exists outside and the configuration says to adopt it.
    Adopted,
}

impl Reason {
    /// The word of the machine formats.
    pub const fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::None | Self::Destroy | Self::Vanished => return None,
            Self::CannotUpdate => "replace_because_cannot_update",
            Self::Tainted => "replace_because_tainted",
            Self::Requested => "replace_by_request",
            Self::Triggered => "replace_by_triggers",
            Self::NoConfig => "delete_because_no_resource_config",
            Self::NoModule => "delete_because_no_module",
            Self::CountIndex => "delete_because_count_index",
            Self::EachKey => "delete_because_each_key",
            Self::WrongRepetition => "delete_because_wrong_repetition",
            Self::NoMoveTarget => "delete_because_no_move_target",
            Self::ConfigUnknown => "read_because_config_unknown",
            Self::DependencyPending => "read_because_dependency_pending",
            Self::CheckNested => "read_because_check_nested",
            Self::Adopted => "adopted",
        })
    }
}
