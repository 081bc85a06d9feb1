//! How blobs are called in the cluster, and the labels that find them.
//!
//! The one decision: a name can be read back: `mesh-state.prod.journal.0000000001-00000000000042.00000007`. The name of
//! a state is a DNS label and so has no dot, and blobs have none in their names; two states never meet.

use std::collections::BTreeMap;

use mesh_state::BadSetting;
use mesh_state::remote::LOCK;

const BLOB: &str = "mesh-state";
const PART: &str = "mesh-state-part";
/// Which state.
pub(crate) const STATE_LABEL: &str = "mesh.state/name";
/// The first folder of a blob's name, or its name.
pub(crate) const KIND_LABEL: &str = "mesh.state/kind";
/// The folder within the first.
const STAGE_LABEL: &str = "mesh.state/stage";
/// The kind of what is no blob but a part of one.
const PART_KIND: &str = "part";

/// The name of a state: a DNS label, and behind a dot its workspace where it has one.
#[derive(Clone, Debug)]
pub(crate) struct StateName(pub(crate) String);

/// Values of labels have at most so many bytes.
const LONGEST: usize = 63;

impl StateName {
    pub(crate) fn new(name: &str) -> Result<Self, BadSetting> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let bytes = name.as_bytes();
        if (1..=LONGEST).contains(&bytes.len())
            && bytes.iter().all(|b| inner(*b))
            && !name.starts_with('-')
            && !name.ends_with('-')
        {
            return Ok(Self(name.to_owned()));
        }
        let why = format!("{name:?} is no DNS label: up to 63 of a-z, 0-9 and -, with neither end a -.");
        Err(BadSetting::of("name", why))
    }

    /// The same in another workspace.
    pub(crate) fn workspace(self, workspace: &str) -> Result<Self, BadSetting> {
        let name = format!("{}.{workspace}", self.0);
        if name.len() <= LONGEST {
            return Ok(Self(name));
        }
        let why = format!(
            "{name:?} has more than {LONGEST} bytes: a shorter name of the state or of the workspace is needed."
        );
        Err(BadSetting::of("name", why))
    }

    /// What finds the blobs of all states.
    pub(crate) fn all() -> String {
        format!("app.kubernetes.io/managed-by=mesh,{STATE_LABEL},{KIND_LABEL}!={PART_KIND}")
    }

    /// The workspace that a state with this label is, if it is one beside ours.
    pub(crate) fn sibling(&self, label: &str) -> Option<String> {
        let base = self.0.split('.').next()?;
        label.strip_prefix(base)?.strip_prefix('.').map(str::to_owned)
    }

    /// The object of a blob.
    pub(crate) fn object(&self, blob: &str) -> String {
        format!("{BLOB}.{}.{}", self.0, blob.replace('/', "."))
    }

    /// The object of a part of a blob.
    pub(crate) fn part(&self, id: &str, n: usize) -> String {
        format!("{PART}.{}.{id}.{n}", self.0)
    }

    /// The blob of an object.
    pub(crate) fn blob(&self, object: &str) -> Option<String> {
        Some(object.strip_prefix(BLOB)?.strip_prefix('.')?.strip_prefix(&*self.0)?.strip_prefix('.')?.replace('.', "/"))
    }

    /// The parts' id that an object's name holds.
    pub(crate) fn id_of_part<'o>(&self, object: &'o str) -> Option<&'o str> {
        let rest = object.strip_prefix(PART)?.strip_prefix('.')?.strip_prefix(&*self.0)?.strip_prefix('.')?;
        rest.split('.').next()
    }

    fn labels(&self, kind: &str) -> BTreeMap<String, String> {
        [("app.kubernetes.io/managed-by", "mesh"), (STATE_LABEL, &*self.0), (KIND_LABEL, kind)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    }

    /// The labels of a blob.
    pub(crate) fn labels_of(&self, blob: &str) -> BTreeMap<String, String> {
        let mut folders = blob.split('/');
        let mut labels = self.labels(folders.next().unwrap_or_default());
        if let (Some(stage), Some(_)) = (folders.next(), folders.next()) {
            labels.insert(STAGE_LABEL.to_owned(), stage.to_owned());
        }
        labels
    }

    /// The labels of parts.
    pub(crate) fn labels_of_part(&self) -> BTreeMap<String, String> {
        self.labels(PART_KIND)
    }

    /// What finds all blobs whose names begin like this, and few others.
    pub(crate) fn selector(&self, prefix: &str) -> String {
        // What comes after the last slash is the beginning of a name, and no folder.
        let mut folders = prefix.rsplit_once('/').map_or("", |(folders, _)| folders).split('/');
        let kind = folders.next().filter(|kind| !kind.is_empty());
        let kind = kind.map_or_else(|| format!("{KIND_LABEL}!={PART_KIND}"), |kind| format!("{KIND_LABEL}={kind}"));
        let stage = folders.next().map(|stage| format!(",{STAGE_LABEL}={stage}")).unwrap_or_default();
        format!("{STATE_LABEL}={},{kind}{stage}", self.0)
    }

    /// What finds blobs and parts alike.
    pub(crate) fn everything(&self) -> String {
        format!("{STATE_LABEL}={}", self.0)
    }
}

/// Whether a blob is the lock.
pub(crate) fn is_lock(blob: &str) -> bool {
    blob == LOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_found_by_their_labels() {
        let state = StateName::new("prod-1").expect("a name");
        for blob in ["head", "states/0000000001-0123456789abcdef", "journal/0000000001-00000000000042/00000007"] {
            let object = state.object(blob);
            assert_eq!(state.blob(&object).as_deref(), Some(blob));
            let labels = state.labels_of(blob);
            for (end, _) in blob.match_indices('/').chain([(0, "")]) {
                for part in state.selector(&blob[..end + usize::from(end > 0)]).split(',') {
                    match part.split_once("!=") {
                        Some((k, v)) => assert_ne!(labels.get(k).map(String::as_str), Some(v)),
                        None => {
                            let (k, v) = part.split_once('=').expect("an equation");
                            assert_eq!(labels.get(k).map(String::as_str), Some(v), "{blob} {part}");
                        }
                    }
                }
            }
        }
        let other = StateName::new("prod").expect("a name");
        let eu = other.clone().workspace("eu").expect("a name");
        assert_eq!((other.sibling(&eu.0).as_deref(), eu.sibling("prod.us").as_deref()), (Some("eu"), Some("us")));
        assert_eq!((other.sibling("prod"), other.sibling("prod-1.eu")), (None, None));
        assert!(other.clone().workspace(&"a".repeat(60)).is_err());
        assert_eq!(other.blob(&state.object("head")), None);
        assert_eq!(state.id_of_part(&state.part("abc", 3)), Some("abc"));
        assert!(state.blob(&state.part("abc", 3)).is_none());
        for bad in ["", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
            assert!(StateName::new(bad).is_err(), "{bad}");
        }
    }
}
