//! Events, as the loop sees them: what is told of tasks and when, heartbeats, and the last word.
//!
//! What starts is seen on the children's pages, and what was over before anybody looked is known from its outcome. What
//! ends is told once the broker has it so: nobody is told of an end that another worker may take back.

use std::time::Duration;

use fastworker_broker::{Broker, Error};
use fastworker_engine::{ChildId, Handle, Request};
use tokio::time::timeout;

use crate::clock;
use crate::held::Held;
use crate::pulse::Counts;
use crate::report::{Level, Report};

use super::Worker;

/// How long a worker that ends waits for its last events to be taken.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Worker {
    /// A task came. As in Celery, nothing is said of one that will not run: it is revoked, and its end is told.
    /// `noted`: of its message; empty where nothing is to be told of it. `at_us`: when it came; Unix time, microseconds.
    pub(super) fn tell_received(&mut self, held: &Held, request: &Request, noted: &[u8], at_us: i64) {
        let is_expired = request.expires_ms.is_some_and(|at_ms| at_ms < at_us / 1000);
        if !noted.is_empty() && !request.is_revoked && !is_expired {
            self.events.received(&held.id, at_us, noted);
        }
    }

    /// Says of what a child runs that it was started.
    pub(super) fn tell_running(&mut self, child: ChildId) {
        let Some(known) = self.children.get_mut(&child).filter(|known| known.has_untold()) else { return };
        let ahead_us = clock::wall_us() - clock::mono_us() as i64;
        for (number, since_us) in known.take_untold() {
            let handles: Vec<Handle> = self.children[&child].handles_of(number).collect();
            for handle in handles {
                self.tell_started(handle, since_us as i64 + ahead_us);
            }
        }
    }

    /// A task was started at this Unix time (microseconds); says so, once of each try.
    pub(super) fn tell_started(&mut self, handle: Handle, at_us: i64) {
        let Some(held) = self.held.get_mut(handle).filter(|_| self.events.has_tasks()) else { return };
        if held.sends_events && !std::mem::replace(&mut held.is_told_started, true) {
            self.events.task("task-started", &held.id, at_us, |_| ());
        }
    }

    pub(super) fn events_sent(&mut self, sent: Result<Vec<bool>, Error>) {
        let heard = sent.unwrap_or_else(|error| {
            self.reporter.log(Level::Error, format!("events are lost: {error}"));
            Vec::new()
        });
        let dropped = self.events.sent(&heard);
        if dropped > 0 {
            let text = format!("{dropped} event(s) were dropped, the oldest: the broker did not take them in time");
            self.reporter.log(Level::Warning, text);
        }
    }

    /// Sends a heartbeat if one is due.
    pub(super) fn beat(&mut self) {
        if self.events.is_beat_due() {
            let counts = self.counts();
            if self.events.beat(counts) && self.config.reports.heartbeats {
                self.reporter.send(Report::Heartbeat);
            }
        }
    }

    fn counts(&self) -> Counts {
        let active = self.children.values().map(|child| child.running().count() as u64).sum();
        Counts { active, processed: self.engine.stats().counters.processed + active }
    }

    /// Sends what is left, and that the worker ends; it does not wait for long.
    pub(super) async fn tell_last(&mut self) {
        let counts = self.counts();
        self.events.end(counts);
        let last = self.events.last();
        if !last.is_empty() {
            let sending = self.io.broker.publish_events(self.events.exchange(), &last);
            if !matches!(timeout(LAST_WORD, sending).await, Ok(Ok(_))) {
                self.reporter.log(Level::Warning, "the broker did not take the last events");
            }
        }
    }
}
