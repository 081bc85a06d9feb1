//! What `-target` and `-exclude` name: an instance, a block, or a module with all that is in it.
//!
//! The one decision: a key that is not written stands for all keys, in each part of the address. That an
//! address means something is found out where the configuration and the state are known.

use std::fmt;
use std::str::FromStr;

use crate::address::{Address, AddressError, ModulePath, ResourceAddress};

/// A part of a configuration and of its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// A module and all modules inside it.
    Module(ModulePath),
    /// A block, or some of its instances.
    Resource(Address),
}

impl FromStr for Selector {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse().map(Self::Resource).or_else(|error| {
            // What lacks a resource behind it is the path of a module.
            let inside = format!("{text}.a.a").parse::<Address>().map_err(|_| error)?;
            Ok(Self::Module(inside.module))
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(path) => path.fmt(f),
            Self::Resource(address) => address.fmt(f),
        }
    }
}

impl Selector {
    const fn module(&self) -> &ModulePath {
        match self {
            Self::Module(path) => path,
            Self::Resource(address) => &address.module,
        }
    }

    /// Whether it means all instances of each block that it names.
    pub fn is_whole(&self) -> bool {
        let keyed = |a: &Address| a.key.is_some();
        self.module().0.iter().all(|(_, key)| key.is_none()) && !matches!(self, Self::Resource(a) if keyed(a))
    }

    /// Whether it means this instance.
    pub fn covers(&self, address: &Address) -> bool {
        let (steps, given) = (&self.module().0, &address.module.0);
        let within = given.len() >= steps.len()
            && steps.iter().zip(given.iter()).all(|((a, k), (b, l))| a == b && (k.is_none() || k == l));
        within
            && self.names(&address.resource())
            && !matches!(self, Self::Resource(a) if a.key.is_some() && a.key != address.key)
    }

    /// Whether it means instances of this block.
    pub fn names(&self, block: &ResourceAddress) -> bool {
        let names = self.module().names();
        match self {
            Self::Module(_) => block.module.starts_with(&names),
            Self::Resource(a) => {
                block.module == names && (block.mode, &block.ty, &block.name) == (a.mode, &a.ty, &a.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_written_means_all() {
        for (selector, address, covers) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b[1]", true),
            ("a.b[1]", "a.b[1]", true),
            ("a.b[1]", "a.b[2]", false),
            ("a.b[1]", "a.b", false),
            ("data.a.b", "a.b", false),
            ("a.b", "module.m.a.b", false),
            ("module.m", "module.m.a.b[\"k\"]", true),
            ("module.m", "module.m[0].module.n.a.b", true),
            ("module.m[0]", "module.m[1].a.b", false),
            ("module.m.a.b", "module.m[1].a.b[\"x.y\"]", true),
            ("module.m[1].a.b", "module.m[0].a.b", false),
            ("module.m.module.n", "module.m.a.b", false),
        ] {
            let parsed: Selector = selector.parse().expect(selector);
            assert_eq!(parsed.to_string(), selector);
            assert_eq!(parsed.is_whole(), !selector.contains('['));
            assert_eq!(parsed.covers(&address.parse().expect(address)), covers, "{selector} {address}");
        }
        for wrong in ["", "a", "module", "module.m.a", "a.b.c", "data.x", "a.b["] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }
}
