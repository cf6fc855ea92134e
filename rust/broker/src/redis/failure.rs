//! redis-rs' errors and the server's own refusals, as ours: who must act.

use redis::{RedisError, ServerError, Value};

use crate::Error;

/// What failed on whom; made once per call so that each error names both.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The operation, such as `fetch`.
    pub(super) what: &'static str,
    /// The masked URL.
    pub(super) whom: &'a str,
}

impl Call<'_> {
    /// A failure of the client library: nearly always the connection. A server that refused the handshake (password,
    /// database) has to be told apart, since trying again does not help.
    pub(super) fn failed(self, error: &RedisError) -> Error {
        let refused = match error.kind() {
            redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => true,
            redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => !is_passing(error.code().unwrap_or_default()),
            _ => false,
        };
        if refused { self.refused(error.to_string()) } else { self.lost(error.to_string()) }
    }

    /// What the server answered in place of a result.
    pub(super) fn answered(self, error: &ServerError) -> Error {
        let cause = error.to_string();
        if is_passing(error.code()) { self.lost(cause) } else { self.refused(cause) }
    }

    /// The value itself, unless it is a refusal.
    pub(super) fn value(self, value: Value) -> Result<Value, Error> {
        match value {
            Value::ServerError(error) => Err(self.answered(&error)),
            value => Ok(value),
        }
    }

    /// All values, unless one of them is a refusal.
    pub(super) fn values(self, values: Vec<Value>) -> Result<Vec<Value>, Error> {
        match values.iter().find_map(refusal) {
            Some(error) => Err(self.answered(error)),
            None => Ok(values),
        }
    }

    /// The connection broke, or the server cannot answer yet.
    pub(super) fn lost(self, cause: String) -> Error {
        Error::Connection { what: self.what, whom: self.whom.to_owned(), cause }
    }

    /// The server will not do it.
    pub(super) fn refused(self, cause: String) -> Error {
        Error::Refused { what: self.what, whom: self.whom.to_owned(), cause }
    }

    /// The server answered with something that no version of ours writes.
    pub(super) fn unexpected(self, found: &Value) -> Error {
        let mut cause = format!("unexpected answer {found:?}");
        cause.truncate(cause.char_indices().nth(200).map_or(cause.len(), |(at, _)| at));
        Error::Format { what: self.what, whom: self.whom.to_owned(), cause }
    }
}

/// The refusal in a reply, also inside a transaction's.
fn refusal(value: &Value) -> Option<&ServerError> {
    match value {
        Value::ServerError(error) => Some(error),
        Value::Array(values) => values.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        }),
        _ => None,
    }
}

/// Refusals that end without anybody changing anything: the server loads its data, or has no master for a moment.
fn is_passing(code: &str) -> bool {
    matches!(code, "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" | "NOSCRIPT")
}

/// An integer reply.
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// A reply of text; `None` for nil and all else.
pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// A reply of texts.
pub(super) fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call { what: "fetch", whom: "redis://h:6379/0" };

    fn answer(line: &str) -> Error {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        CALL.value(value).unwrap_err()
    }

    #[test]
    fn a_loading_server_is_worth_another_try() {
        assert!(answer("LOADING Redis is loading the dataset in memory").is_transient());
    }

    #[test]
    fn a_full_or_read_only_server_refuses() {
        for line in ["OOM command not allowed", "READONLY You can't write", "NOAUTH Authentication required."] {
            let error = answer(line);
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert!(error.to_string().starts_with("fetch refused by redis://h:6379/0"), "{error}");
        }
    }

    #[test]
    fn a_refusal_inside_a_transaction_is_found() {
        let values = redis::parse_redis_value(b"*2\r\n:1\r\n-OOM no\r\n").unwrap();
        assert!(CALL.values(vec![Value::Okay, values]).is_err());
    }
}
