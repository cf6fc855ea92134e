//! What events say of a task's end.

use fastworker_engine::Ending;
use fastworker_wire::child::OutcomeKind;
use fastworker_wire::event::EventWriter;

use super::Events;
use crate::held::{Held, Reported};
use crate::settle::{text_of_death, text_of_refusal};

/// How a task ended, or this try of it.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Succeeded {
        /// As it is shown.
        result: String,
        runtime_s: f64,
    },
    Failed {
        exception: String,
        /// `None`: the event has none.
        traceback: Option<String>,
        /// The message was rejected with it.
        is_rejected: bool,
    },
    Retried {
        exception: String,
        traceback: String,
    },
    Revoked {
        signal: Option<i32>,
        is_expired: bool,
    },
    /// It is delivered again.
    Requeued,
    /// The worker had to end it, and it is delivered again.
    Cancelled,
}

/// What is to be told of an ending. `is_cold`: of a worker that kills what runs.
/// What the child showed of it is taken from `held`.
pub(crate) fn end_of(held: &mut Held, ending: &Ending, is_cold: bool) -> Option<End> {
    let failed = |name: &str, text: String| End::Failed {
        exception: format!("{name}({})", quoted(&text)),
        traceback: Some(format!("{name}: {text}\n")),
        is_rejected: false,
    };
    Some(match *ending {
        Ending::EarlyAck | Ending::Return | Ending::Park { .. } | Ending::Lane => return None,
        Ending::Redeliver if is_cold => End::Cancelled,
        Ending::Redeliver | Ending::Requeue => End::Requeued,
        Ending::Expired => End::Revoked { signal: None, is_expired: true },
        Ending::Revoked { terminated, .. } => End::Revoked { signal: terminated, is_expired: false },
        Ending::Unknown => End::Failed {
            exception: format!("NotRegistered({})", quoted(&held.task)),
            traceback: None,
            is_rejected: false,
        },
        Ending::WorkerLost { attempts, .. } if held.again.is_some() => {
            let text = text_of_death(held, attempts);
            let exception = format!("WorkerLostError({})", quoted(&text));
            End::Retried { exception, traceback: format!("WorkerLostError: {text}\n") }
        }
        Ending::WorkerLost { attempts, .. } => failed("WorkerLostError", text_of_death(held, attempts)),
        Ending::TimeLimit { limit_ms, .. } => {
            let limit_s = format!("{:?}", limit_ms as f64 / 1000.0);
            End::Failed {
                exception: format!("TimeLimitExceeded({limit_s})"),
                traceback: Some(format!("TimeLimitExceeded: {limit_s}\n")),
                is_rejected: false,
            }
        }
        Ending::AsReported { acked_early } => match (&held.refused, &mut held.reported) {
            (Some(refusal), _) => failed("OperationalError", text_of_refusal(refusal)),
            (None, Some(reported)) => return end_of_report(reported, acked_early),
            (None, None) => return None,
        },
    })
}

fn end_of_report(reported: &mut Reported, is_acked_early: bool) -> Option<End> {
    let (shown, traceback) = (std::mem::take(&mut reported.shown), std::mem::take(&mut reported.traceback));
    let failed = |exception, traceback, is_rejected: bool| End::Failed {
        exception,
        traceback: Some(traceback),
        is_rejected: is_rejected && !is_acked_early,
    };
    match reported.kind {
        OutcomeKind::Success => Some(End::Succeeded { result: shown, runtime_s: reported.runtime_us as f64 / 1e6 }),
        OutcomeKind::Failure => Some(failed(shown, traceback, false)),
        OutcomeKind::Poison | OutcomeKind::Reject => Some(failed(shown, traceback, true)),
        OutcomeKind::Retry => Some(End::Retried { exception: shown, traceback }),
        OutcomeKind::Requeue => (!is_acked_early).then_some(End::Requeued),
        OutcomeKind::Ignore => None,
        // The engine gives these an ending of their own.
        OutcomeKind::TimeLimit | OutcomeKind::Terminated => None,
    }
}

impl End {
    /// The task is delivered once more, under the same id.
    pub(crate) fn comes_again(&self) -> bool {
        match self {
            End::Retried { .. } | End::Requeued | End::Cancelled => true,
            End::Succeeded { .. } | End::Failed { .. } | End::Revoked { .. } => false,
        }
    }

    /// Tells of it. `at_us`: Unix time, microseconds.
    pub(crate) fn tell(&self, id: &str, at_us: i64, events: &mut Events) {
        let mut tell = |kind: &'static str, fields: &dyn Fn(&mut EventWriter<'_>)| {
            events.task(kind, id, at_us, |event| fields(event))
        };
        match self {
            End::Succeeded { result, runtime_s } => events.succeeded(id, at_us, result, *runtime_s),
            End::Failed { exception, traceback, is_rejected } => {
                if *is_rejected {
                    tell("task-rejected", &|event| {
                        event.flag("requeue", false);
                    });
                }
                tell("task-failed", &|event| {
                    event.text("exception", exception);
                    if let Some(traceback) = traceback {
                        event.text("traceback", traceback);
                    }
                });
            }
            End::Retried { exception, traceback } => tell("task-retried", &|event| {
                event.text("exception", exception).text("traceback", traceback);
            }),
            End::Revoked { signal, is_expired } => tell("task-revoked", &|event| {
                event.flag("terminated", signal.is_some());
                match signal {
                    Some(signal) => event.int("signum", (*signal).into()),
                    None => event.json("signum", b"null"),
                };
                event.flag("expired", *is_expired);
            }),
            End::Requeued => tell("task-rejected", &|event| {
                event.flag("requeue", true);
            }),
            End::Cancelled => tell("task-cancelled", &|_| ()),
        }
    }
}

/// A text as Python shows it, in single quotes unless there are such in it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            character if character == quote => shown.extend(['\\', character]),
            character => shown.push(character),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, shown) in [("a", "'a'"), ("it's", "\"it's\""), ("'\"", "'\\'\"'"), ("a\\b\nc", "'a\\\\b\\nc'")] {
            assert_eq!(quoted(text), shown);
        }
    }
}
