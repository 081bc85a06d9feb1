//! What a remote backend needs of the system that it lies in: named blobs with conditional writes.
//!
//! The one decision: the fewest promises that make state safe. A blob is written whole, only over what the
//! writer has seen or where nothing is, and a read that begins after an acknowledged write sees it. Nothing
//! depends on conditional deletes, on clocks, or on several blobs changing together.

use async_trait::async_trait;

use crate::StateError;

/// What a system calls one writing of a blob; another writing has another version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(pub String);

/// A blob that was read.
#[derive(Clone, Debug)]
pub struct Blob {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Which writing.
    pub version: Version,
}

/// Over what a blob is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// There is none of this name.
    Absent,
    /// It is still this writing.
    Is(Version),
}

/// Named blobs. Names are made of `a-z`, `0-9`, `-` and `/`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What it is and where, for people: `s3 bucket mesh-state, prefix prod`.
    fn place(&self) -> String;

    /// A blob, or `None` where there is none.
    async fn get(&self, name: &str) -> Result<Option<Blob>, StateError>;

    /// Its version alone.
    async fn version(&self, name: &str) -> Result<Option<Version>, StateError>;

    /// Writes a blob, durable when this returns; `None` when what is there is not as expected.
    ///
    /// # Errors
    /// When it is not known whether it was written, too.
    async fn put(&self, name: &str, bytes: Vec<u8>, expected: Expected) -> Result<Option<Version>, StateError>;

    /// The names that begin with `prefix`, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StateError>;

    /// The names of the workspaces beside the default one that have blobs, in order.
    async fn workspaces(&self) -> Result<Vec<String>, StateError>;

    /// Removes a blob; one that is not there is no error.
    async fn remove(&self, name: &str) -> Result<(), StateError>;
}
