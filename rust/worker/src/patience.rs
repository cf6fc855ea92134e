//! How long a worker waits for a broker that is away, before it ends.

use std::time::Duration;

use fastworker_broker::Error;

/// What Celery's settings `broker_connection_retry`, `broker_connection_retry_on_startup` and
/// `broker_connection_max_retries` come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// `None`: for ever. Zero: the first failure is the last.
    pub time: Option<Duration>,
    /// The setting that says so, for the operator, such as `broker_connection_max_retries=3`.
    pub said_by: String,
}

impl Patience {
    /// Nothing that took so long is waited for any longer.
    pub(crate) fn is_over(&self, waited: Duration) -> bool {
        self.left(waited).is_some_and(|left| left.is_zero())
    }

    /// What is left of it; `None`: it never ends.
    pub(crate) fn left(&self, waited: Duration) -> Option<Duration> {
        self.time.map(|time| time.saturating_sub(waited))
    }

    /// What an outage that has begun will come to, as the end of a sentence about it.
    pub(crate) fn outlook(&self) -> String {
        match self.time {
            None => "Trying again until it works.".to_owned(),
            Some(time) if time.is_zero() => format!("Not trying again ({}).", self.said_by),
            Some(time) => {
                format!("Trying again until it works, for {:.0} s at most ({}).", time.as_secs_f64(), self.said_by)
            }
        }
    }

    /// The last word of a worker that has waited in vain.
    pub(crate) fn last_word(&self, error: &Error) -> String {
        match self.time {
            Some(time) if !time.is_zero() => format!(
                "the broker was away for {:.0} s, which is all that {} allows: {error}",
                time.as_secs_f64(),
                self.said_by
            ),
            _ => format!("the broker is away, and {} forbids to wait for it: {error}", self.said_by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        Error::Connection { what: "connect", whom: "redis://h".to_owned(), cause: "refused".to_owned() }
    }

    #[test]
    fn patience_without_a_bound_never_ends() {
        let endless = Patience::default();
        assert!(!endless.is_over(Duration::MAX));
        assert_eq!(endless.outlook(), "Trying again until it works.");
    }

    #[test]
    fn a_bound_is_named_with_its_setting() {
        let bound =
            Patience { time: Some(Duration::from_secs(12)), said_by: "broker_connection_max_retries=3".to_owned() };
        assert!(!bound.is_over(Duration::from_secs(11)) && bound.is_over(Duration::from_secs(12)));
        assert_eq!(bound.left(Duration::from_secs(5)), Some(Duration::from_secs(7)));
        let text = bound.last_word(&error());
        assert!(text.contains("for 12 s") && text.contains("max_retries=3") && text.contains("refused"), "{text}");
    }

    #[test]
    fn no_patience_is_over_at_once() {
        let none = Patience { time: Some(Duration::ZERO), said_by: "broker_connection_retry=False".to_owned() };
        assert!(none.is_over(Duration::ZERO));
        assert!(none.last_word(&error()).contains("broker_connection_retry=False forbids"));
    }
}
