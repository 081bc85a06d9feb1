//! What the lock file says about fetched modules.
//!
//! The one decision: a fetched module is a `module` block with `resolved`, beside the blocks for local
//! folders, which have a digest only. `resolved` is what fetching it again asks for; the digest is over
//! the content and decides.

use std::collections::BTreeMap;

use hcl::{Block, Body};

use crate::tree;

/// All fetched modules, by their source without the folder within.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lock(pub(crate) BTreeMap<String, Entry>);

/// One fetched module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// `git:COMMIT`, `oci:sha256:...` of the manifest, or `archive:sha256:...` of the file.
    pub resolved: String,
    /// The digest of the content, `tree1:...`.
    pub digest: String,
}

impl Lock {
    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body: Body = hcl::from_str(text).map_err(|e| format!("It cannot be read: {e}."))?;
        let mut entries = BTreeMap::new();
        for block in body.blocks().filter(|b| b.identifier() == "module") {
            let value = |name: &str| {
                let attribute = block.body().attributes().find(|a| a.key() == name)?;
                match attribute.expr() {
                    hcl::Expression::String(text) => Some(text.clone()),
                    _ => None,
                }
            };
            let Some(resolved) = value("resolved") else { continue };
            let source = block.labels().first().map(|l| l.as_str().to_owned()).unwrap_or_default();
            let digest = value("digest").filter(|digest| tree::digits(digest).is_some());
            let Some(digest) = digest else {
                return Err(format!("The module {source:?} in it has no valid digest."));
            };
            entries.insert(source, Entry { resolved, digest });
        }
        Ok(Self(entries))
    }

    /// The blocks of the lock file, sorted.
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.0.iter().map(|(source, entry)| {
            Block::builder("module")
                .add_label(source.as_str())
                .add_attribute(("resolved", entry.resolved.as_str()))
                .add_attribute(("digest", entry.digest.as_str()))
                .build()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_comes_back_as_it_was() {
        let digest = format!("tree1:{}", "0".repeat(64));
        let entry = Entry { resolved: "git:abc".into(), digest: digest.clone() };
        let lock = Lock(BTreeMap::from([("git::https://h/${x}.git?ref=\"v1\"".to_owned(), entry)]));
        let body: Body = lock.blocks().map(hcl::Structure::Block).collect();
        let text = hcl::to_string(&body).expect("written");
        assert_eq!(Lock::parse(&text).expect("read"), lock, "{text}");
        let local = "module \"m\" {\n  digest = \"sha256:00\"\n}\n";
        assert_eq!(Lock::parse(local), Ok(Lock::default()));
        assert!(Lock::parse("module \"m\" {\n  resolved = \"git:x\"\n}\n").expect_err("no digest").contains("digest"));
        assert!(Lock::parse("module {").is_err());
    }
}
