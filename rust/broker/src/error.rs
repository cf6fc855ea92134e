//! What can go wrong between us and a broker, and who must act.

/// A failed broker or result-store operation.
///
/// `is_transient` tells whether the same call may succeed later (connection lost, server loading) or whether somebody
/// has to change something first (bad URL, read-only file).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used. The text says which part, what was expected and what to try; secrets are masked.
    #[error("{0}")]
    Url(String),
    /// The server cannot be reached, or the connection broke. `what` is the operation, `whom` the masked URL.
    #[error("{what} on {whom}: {cause}")]
    Connection {
        /// The operation that failed, such as `fetch`.
        what: &'static str,
        /// The masked URL of the server or the path of the file.
        whom: String,
        /// The client library's own words.
        cause: String,
    },
    /// The server answered, and refused: out of memory, read-only replica, disk full, no permission.
    #[error("{what} refused by {whom}: {cause}")]
    Refused {
        /// The operation that failed.
        what: &'static str,
        /// The masked URL of the server or the path of the file.
        whom: String,
        /// The server's own words.
        cause: String,
    },
    /// Something stored does not have the form that this version writes or reads.
    #[error("{what} on {whom}: {cause}")]
    Format {
        /// What was read.
        what: &'static str,
        /// Where it was read.
        whom: String,
        /// What is wrong with it, and what to do.
        cause: String,
    },
}

impl Error {
    /// True when the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Connection { .. })
    }
}
