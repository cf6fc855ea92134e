//! A worker that ends when its queues are drained: for tests, which want what they published to have run, and no more.
//!
//! Drained is what a fetch found empty that was asked for while nothing ran, was being settled or was being published:
//! whatever the tasks published was in the queues by then. What waits for its ETA, or for a permit of its rate limit,
//! could not run now, and does not count.

use fastworker_engine::{Event, Shutdown};

use super::Worker;

/// What is known of the queues.
#[derive(Default)]
pub(super) struct Draining {
    is_fetching: bool,
    /// Nothing has been going on since the fetch was asked for.
    is_quiet: bool,
    is_dry: bool,
}

impl Draining {
    /// A fetch goes out.
    pub(super) fn asked(&mut self) {
        self.is_fetching = true;
        self.is_quiet = true;
    }

    /// It was answered with `count` messages.
    pub(super) fn answered(&mut self, count: usize) {
        self.is_fetching = false;
        self.is_dry = self.is_quiet && count == 0;
    }

    /// Something goes on.
    fn disturb(&mut self) {
        self.is_quiet = false;
        self.is_dry = false;
    }
}

impl Worker {
    /// Called once a turn: asks again until the queues are dry, and then stops the worker.
    pub(super) fn end_when_drained(&mut self) {
        if self.is_stopping || !self.is_ready {
            return;
        }
        let stats = self.engine.stats();
        let is_settling =
            self.is_settling || !self.settling.is_empty() || self.is_following || !self.following.is_empty();
        let is_publishing = self.is_publishing || !self.publishing.is_empty();
        if stats.held > stats.scheduled + stats.limited || is_settling || is_publishing || !self.joins.is_idle() {
            self.draining.disturb();
            return;
        }
        if !self.draining.is_dry && !self.draining.is_fetching {
            self.feed(Event::Wake);
        }
        if self.draining.is_dry && !self.draining.is_fetching {
            self.stop(Shutdown::Warm);
        }
    }
}
