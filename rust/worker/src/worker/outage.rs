//! A broker that is away: said once, waited for as long as the settings allow, and said when it is back.

use std::time::{Duration, Instant};

use fastworker_broker::{Broker as _, Error};
use fastworker_engine::{ChildId, Event, Handle, Shutdown};

use crate::clock;
use crate::patience::Patience;
use crate::report::Level;

use super::Worker;

/// One outage, from its first failure on.
pub(super) struct Outage {
    since: Instant,
    /// The last one that was met.
    error: Error,
}

impl Worker {
    pub(super) fn trouble(&mut self, error: Error) {
        if !std::mem::replace(&mut self.is_broker_lost, true) {
            // A refusal is no outage: somebody mends it, and the worker is to be there then.
            let endless = Patience::default();
            let outlook = if error.is_transient() { &self.config.patience } else { &endless }.outlook();
            self.reporter.log(Level::Error, format!("{error}. {outlook}"));
            self.feed(Event::BrokerLost);
        }
        if error.is_transient() {
            let since = self.outage.as_ref().map_or_else(Instant::now, |outage| outage.since);
            self.outage = Some(Outage { since, error });
            self.lose_patience();
        }
    }

    pub(super) fn fine(&mut self) {
        self.outage = None;
        if std::mem::take(&mut self.is_broker_lost) {
            self.reporter.log(Level::Warning, "the broker answers again");
            self.io.answers_again.notify_waiters();
            self.feed(Event::BrokerBack);
        }
    }

    /// How long the broker is still waited for; `None`: it is not away, or waited for until it is back.
    pub(super) fn patience_left(&self) -> Option<Duration> {
        let outage = self.outage.as_ref().filter(|_| self.given_up.is_none())?;
        self.config.patience.left(outage.since.elapsed())
    }

    /// Begins to stop, if the broker has been away for longer than anybody wants to wait. What runs may end.
    pub(super) fn lose_patience(&mut self) {
        if !self.patience_left().is_some_and(|left| left.is_zero()) {
            return;
        }
        let error = &self.outage.as_ref().expect("patience is lost in an outage").error;
        let text = self.config.patience.last_word(error);
        self.reporter.log(Level::Critical, format!("{text}. Stopping when running tasks have ended."));
        self.given_up = Some(text);
        if !self.is_stopping {
            self.stop(Shutdown::Warm);
        }
        // What has ended by then has had its time.
        self.patient_until_us = clock::mono_us();
    }

    /// The leases are gone with the connection, and others may have begun what runs here: it is ended, if the settings say so.
    /// Not beside a task that was acknowledged early, which nobody else has.
    pub(super) fn cancel_severed(&mut self) {
        if !self.config.cancels_severed || self.has_threads {
            return;
        }
        let running: Vec<(ChildId, Vec<Handle>)> = self
            .children
            .values()
            .map(|child| (child.id, child.running().map(|(handle, _)| handle).collect()))
            .filter(|(_, handles): &(ChildId, Vec<Handle>)| !handles.is_empty())
            .filter(|(_, handles)| handles.iter().all(|handle| self.is_late(*handle)))
            .collect();
        for (child, handles) in running {
            for handle in handles {
                let Some(held) = self.held.get(handle) else { continue };
                let text = format!(
                    "task {}[{}] is cancelled: the connection was lost, and its lease with it \
                     (worker_cancel_long_running_tasks_on_connection_loss)",
                    held.task, held.id
                );
                self.reporter.log(Level::Warning, text);
                if self.events.has_tasks() && held.sends_events {
                    self.events.task("task-cancelled", &held.id, clock::wall_us(), |_| ());
                }
                self.feed(Event::LeaseLost { handle });
            }
            self.kill(child);
        }
    }

    fn is_late(&self, handle: Handle) -> bool {
        self.held.get(handle).is_some_and(|held| !held.is_early_acked)
    }

    /// The broker is closed, unless it was given up.
    pub(super) async fn close_broker(&mut self) -> Result<(), String> {
        self.tell_last().await;
        let closed = tokio::time::timeout(super::LONGEST_CLOSE, self.io.broker.close()).await;
        if let Some(text) = self.given_up.take() {
            return Err(text);
        }
        match closed {
            Ok(closed) => closed.map_err(|error| format!("on closing the broker: {error}")),
            Err(_elapsed) => Err("the broker did not answer to the last word; nothing was held any more".to_owned()),
        }
    }
}
