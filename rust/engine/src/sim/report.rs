//! What a schedule came to, and what must be true of every message in the end.

use std::collections::BTreeSet;

use super::broker::{Message, Place};
use super::matrix::Matrix;
use crate::config::Config;
use crate::stats::Counters;

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the engines were told.
    pub config: Config,
    /// Every message, where it ended.
    pub messages: Vec<Message>,
    /// Steps of the world.
    pub steps: u64,
    /// Events handed to engines.
    pub events: u64,
    /// Fetches asked for.
    pub fetches: u64,
    /// Counters of all engines together.
    pub counters: Counters,
    /// When the last message ended (`mono_us`).
    pub ended_us: u64,
    /// What was hit by accidents.
    pub hits: Matrix,
    /// No accidents were planned.
    pub was_quiet: bool,
    /// Messages that were revoked, by index.
    pub revoked: BTreeSet<usize>,
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    /// When (`mono_us`).
    pub at_us: u64,
    /// The rule's name, a colon, and what happened.
    pub what: String,
}

impl Violation {
    /// The name of the rule.
    pub fn rule(&self) -> &str {
        self.what.split(':').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {} us: {}", self.at_us, self.what)
    }
}

impl Report {
    /// Every message was started as often as it may be, and ended where it should.
    pub(super) fn check(&self) -> Result<(), String> {
        self.messages.iter().enumerate().try_for_each(|(index, message)| self.check_message(index, message))
    }

    fn check_message(&self, index: usize, message: &Message) -> Result<(), String> {
        let options = message.letter.task.map(|task| &self.config.tasks[task as usize]);
        let acks_late = options.is_none_or(|options| options.acks_late);
        let most = self.config.max_deliveries;
        // Of the starts before anybody marked the message as redelivered, one may be unknown to the record (decision
        // 0003); what the broker forgot may all happen again.
        let bound = most + message.requeued + message.spared + message.excused.min(1) + message.forgotten * (most + 1);
        if most > 0 && message.starts > bound {
            return Err(format!("starts_bounded: message {index} was started {} times: {message:?}", message.starts));
        }
        if message.place == Place::LostByChoice && acks_late {
            return Err(format!("nothing_lost: message {index} was lost: {message:?}"));
        }
        // A start is counted just before it happens (decision 0003): one that a fault prevented is counted all the same.
        let was_counted_out = message.place == Place::Dead && message.recorded > most && message.excused > 0;
        let may_end_unstarted = was_counted_out
            || message.letter.expires_ms.is_some()
            || message.was_taken
            || self.revoked.contains(&index)
            || message.letter.task.is_none()
            || matches!(message.place, Place::LostByChoice | Place::Unpublished | Place::Forgotten)
            || !acks_late;
        if message.starts == 0 && !may_end_unstarted {
            return Err(format!("ends_after_start: message {index} ended without a start: {message:?}"));
        }
        Ok(())
    }
}
