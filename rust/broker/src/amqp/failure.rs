//! What the server or the connection says went wrong, as one of our errors.
//!
//! Refused, which somebody has to mend: no such virtual host, no right, a queue that exists in another form. All else
//! is the connection's: it may work the next time.

use lapin::ErrorKind;

use crate::Error;

/// Reply codes of AMQP after which the same call fails again.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;
const NOT_IMPLEMENTED: u16 = 540;

/// From a reply code and its text.
pub(super) fn replied(what: &'static str, whom: &str, code: u16, text: &str) -> Error {
    let whom = whom.to_owned();
    let hint = match code {
        PRECONDITION_FAILED if text.contains("inequivalent arg") => {
            "; it exists in another form: declare it the same way (task_queues, task_queue_max_priority, \
             task_default_queue_type), or delete it"
        }
        ACCESS_REFUSED => "; check user, password and the user's rights on the virtual host",
        NOT_ALLOWED => "; check the virtual host in the URL",
        _ => "",
    };
    let cause = format!("{text}{hint}");
    // A delivery that was not acknowledged for too long closes its channel, and nothing is wrong with the next one.
    let is_timeout = text.contains("timed out") || text.contains("unknown delivery tag");
    match code {
        ACCESS_REFUSED | NOT_FOUND | RESOURCE_LOCKED | PRECONDITION_FAILED | NOT_ALLOWED | NOT_IMPLEMENTED
            if !is_timeout =>
        {
            Error::Refused { what, whom, cause }
        }
        _ => Error::Connection { what, whom, cause },
    }
}

/// From what the library says.
pub(super) fn failed(what: &'static str, whom: &str, error: &lapin::Error) -> Error {
    match error.kind() {
        ErrorKind::ProtocolError(error) => replied(what, whom, error.get_id(), error.get_message().as_str()),
        _ => Error::Connection { what, whom: whom.to_owned(), cause: error.to_string() },
    }
}

/// An operation that took too long.
pub(super) fn late(what: &'static str, whom: &str, within: std::time::Duration) -> Error {
    let cause = format!(
        "no answer within {within:?}; the server is gone, or it blocks publishers (rabbitmqctl list_alarms, memory and disk)"
    );
    Error::Connection { what, whom: whom.to_owned(), cause }
}

/// The connection was lost while its answer was waited for.
pub(super) fn severed(what: &'static str, whom: &str) -> Error {
    let cause = "the connection was lost before the answer came".to_owned();
    Error::Connection { what, whom: whom.to_owned(), cause }
}

/// The server was asked to take a message, and takes none from anybody for now.
pub(super) fn blocked(what: &'static str, whom: &str, reason: &str, within: std::time::Duration) -> Error {
    let cause = format!(
        "the server takes no messages for now ({reason}), and did not for {within:?}; free memory or disk, or raise its \
         limits (rabbitmqctl list_alarms says what is short)"
    );
    Error::Connection { what, whom: whom.to_owned(), cause }
}

/// Something that this broker has not.
pub(super) fn missing(what: &'static str, whom: &str, cause: &str) -> Error {
    Error::Refused { what, whom: whom.to_owned(), cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_to_mend_is_refused() {
        for (code, text, is_transient) in [
            (406, "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'q'", false),
            (406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out", true),
            (530, "NOT_ALLOWED - vhost v not found", false),
            (320, "CONNECTION_FORCED - broker forced connection closure", true),
            (541, "INTERNAL_ERROR", true),
        ] {
            assert_eq!(replied("declare", "amqp://h", code, text).is_transient(), is_transient, "{text}");
        }
        let error = replied("declare", "amqp://h", 406, "inequivalent arg 'x-max-priority'").to_string();
        assert!(error.contains("task_queue_max_priority"), "{error}");
    }
}
