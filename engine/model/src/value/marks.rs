//! What a value is marked with.
//!
//! The one decision: a set of bits, so that handing marks on costs nothing. What a mark means is enforced where
//! values are shown, stored and given to providers, not here.

use std::fmt;

/// Properties of a value that every operation hands on to its result.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Marks(u8);

impl Marks {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// Never shown, never stored in clear.
    pub const SENSITIVE: Self = Self(1);
    /// Never stored; of what a write-only attribute was given, a fingerprint may be.
    pub const EPHEMERAL: Self = Self(2);
    /// From something that is made anew with every run: even its fingerprint would tell nothing.
    pub const OPENED: Self = Self(4);
    /// Was given to a write-only attribute: it cannot be read back.
    pub const GIVEN: Self = Self(8);

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the marks of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all marks of `other` are in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no mark.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the value must not be shown.
    pub const fn sensitive(self) -> bool {
        self.contains(Self::SENSITIVE)
    }

    /// Whether the value must not be stored.
    pub const fn ephemeral(self) -> bool {
        self.contains(Self::EPHEMERAL)
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sensitive(), self.ephemeral()) {
            (false, false) => f.write_str("unmarked"),
            (true, false) => f.write_str("sensitive"),
            (false, true) => f.write_str("ephemeral"),
            (true, true) => f.write_str("sensitive, ephemeral"),
        }
    }
}
