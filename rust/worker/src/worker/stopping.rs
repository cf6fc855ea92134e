//! Stopping, as the loop sees it: what is said, and how long a broker that does not answer is waited for.
//!
//! The engine decides when tasks are killed. What it cannot know is whether the broker will ever answer: a worker whose
//! children are gone and whose last settlements do not get through ends without them. They stay leased, and other
//! workers recover them.

use std::time::Duration;

use fastworker_engine::{Event, Shutdown};

use crate::clock;
use crate::report::Level;

use super::{Worker, micros};

/// How long the broker may be silent beyond the time that the tasks had.
const BROKER_PATIENCE: Duration = Duration::from_secs(4);
/// The time that tasks have as far as the broker is concerned, when a warm shutdown has no bound.
const UNBOUNDED: Duration = Duration::from_secs(25);

impl Worker {
    /// Somebody wants the worker to stop.
    pub(super) fn stop(&mut self, kind: Shutdown) {
        let time = match kind {
            Shutdown::Warm => self.config.warm_timeout.unwrap_or(UNBOUNDED),
            Shutdown::Soft => self.config.soft_timeout,
            Shutdown::Cold => Duration::ZERO,
        };
        let until_us = clock::mono_us().saturating_add(micros(time));
        self.patient_until_us = if self.is_stopping { self.patient_until_us.min(until_us) } else { until_us };
        self.is_stopping = true;
        self.is_cold |= kind == Shutdown::Cold;
        self.successor = None;
        self.feed(Event::Shutdown(kind));
        self.forget_wanted();
    }

    /// Says what is killed now.
    pub(super) fn time_is_up(&mut self) {
        self.is_cold = true;
        let running = self.children.values().flat_map(|child| child.running()).map(|(handle, _)| handle);
        let names: Vec<String> = running
            .filter_map(|handle| self.held.get(handle))
            .map(|held| {
                let fate = if held.is_early_acked { ", acknowledged early and lost" } else { "" };
                format!("{}[{}]{fate}", held.task, held.id)
            })
            .collect();
        if !names.is_empty() {
            let text = format!(
                "the time of the shutdown is over: killing {} running task(s), which are delivered again: {}",
                names.len(),
                names.join(", ")
            );
            self.reporter.log(Level::Warning, text);
        }
    }

    /// The worker has to end although the broker has not confirmed everything: what is held stays leased until another
    /// worker recovers it.
    pub(super) fn is_abandoned(&self) -> bool {
        if !self.is_stopping || !self.children.is_empty() || self.is_finished && !self.has_unsettled() {
            return false;
        }
        self.is_cold && self.is_broker_lost || self.give_up_in().is_some_and(|left| left.is_zero())
    }

    /// How long the broker is still waited for; `None` while nothing but the broker is waited for yet.
    pub(super) fn give_up_in(&self) -> Option<Duration> {
        // Handlers of failures are the user's, and are let finish.
        if !self.is_stopping || !self.children.is_empty() || self.untold > 0 {
            return None;
        }
        let at_us = self.patient_until_us.max(self.answered_us).saturating_add(micros(BROKER_PATIENCE));
        Some(Duration::from_micros(at_us.saturating_sub(clock::mono_us())))
    }

    /// Settlements, publishes or joins are under way, or wait to be.
    pub(super) fn has_unsettled(&self) -> bool {
        self.is_settling
            || self.is_publishing
            || !self.settling.is_empty()
            || self.is_following
            || !self.following.is_empty()
            || !self.publishing.is_empty()
            || !self.joins.is_idle()
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self) {
        self.answered_us = clock::mono_us();
    }

    /// For the operator.
    pub(super) fn words_of_abandoning(&self) -> String {
        let why = self.given_up.as_deref().unwrap_or("the broker does not answer");
        format!(
            "{why}; ended without it: {} message(s) are still leased. Other workers take them \
             over after worker_lease_life, and run again what had ended here unconfirmed",
            self.held.len()
        )
    }
}
