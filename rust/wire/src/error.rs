//! What can be wrong with bytes that came from outside.

/// Why bytes could not be read. Every variant says where: the offset counts bytes from the start of what was given.
///
/// None of them is worth a second try: the same bytes fail the same way. Whoever fetched the message moves it to the
/// dead letters with this text as the detail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON as Python's `json` reads it.
    #[error("invalid JSON at byte {offset}: expected {expected}")]
    Json {
        /// The first byte that does not fit; the length of the input when it ends too early.
        offset: usize,
        /// What would have fitted there, in a few words.
        expected: &'static str,
    },
    /// Nested deeper than [`crate::json::MAX_DEPTH`].
    #[error("JSON nested deeper than {limit} levels at byte {offset}: no task message is")]
    TooDeep {
        /// Where the container begins that was one too many.
        offset: usize,
        /// The deepest that is read.
        limit: usize,
    },
    /// JSON, but a field that decides something holds a value of another kind.
    #[error("field {field} at byte {offset}: expected {expected}")]
    Field {
        /// The field with its path, as in `headers.retries`.
        field: &'static str,
        /// Where its value begins.
        offset: usize,
        /// The kinds that are read, in a few words.
        expected: &'static str,
    },
    /// `properties.body_encoding` says base64, and the body is not.
    #[error("field body at byte {offset}: expected base64 text, as properties.body_encoding says")]
    Base64 {
        /// Where the body's text begins.
        offset: usize,
    },
}
