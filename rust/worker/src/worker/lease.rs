//! Whether what is held may be started: it may while the leases were refreshed lately, and after a gap when the broker
//! was asked which of them others have taken meanwhile.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fastworker_broker::Tag;
use fastworker_engine::{Event, Handle, Whereabouts};

use crate::report::Level;

use super::Worker;

/// What is known of our leases' life.
pub(super) struct LeaseWatch {
    /// Leases that are not refreshed for so long are at risk: two thirds of their life.
    patience: Duration,
    /// When the last heartbeat that was answered was sent.
    refreshed: Instant,
    is_at_risk: bool,
    /// The broker is being asked.
    is_looking: bool,
    /// It is asked about all that we have: no answer was out that brings more.
    covers_all: bool,
}

impl LeaseWatch {
    /// `life`: of a lease that has just been refreshed.
    pub(super) fn new(life: Duration) -> LeaseWatch {
        LeaseWatch {
            patience: life * 2 / 3,
            refreshed: Instant::now(),
            is_at_risk: false,
            is_looking: false,
            covers_all: false,
        }
    }

    fn is_overdue(&self) -> bool {
        self.refreshed.elapsed() > self.patience
    }
}

impl Worker {
    /// Looks at the clock, before anything else is done: this process, or the machine, may have been stopped for long.
    pub(super) fn watch_lease(&mut self) {
        if !self.lease.is_at_risk && self.lease.is_overdue() {
            self.lease.is_at_risk = true;
            self.reporter.log(Level::Error, "the leases could not be refreshed in time: starting nothing more");
            self.feed(Event::LeaseAtRisk);
        }
    }

    /// The leases are gone with the connection that held them: others may have begun what waits here. Nothing more is started
    /// until the next heartbeat has told which.
    pub(super) fn severed(&mut self) {
        // An answer that is on its way knows nothing of it.
        self.lease.covers_all = false;
        if !std::mem::replace(&mut self.lease.is_at_risk, true) {
            self.reporter.log(Level::Error, "the connection was lost, and all leases with it: starting nothing more");
            self.feed(Event::LeaseAtRisk);
        }
        self.cancel_severed();
    }

    /// When `watch_lease` has something to say, if nothing comes.
    pub(super) fn lease_overdue_in(&self) -> Option<Duration> {
        let left = self.lease.patience.saturating_sub(self.lease.refreshed.elapsed());
        (!self.lease.is_at_risk).then_some(left)
    }

    /// A heartbeat that was sent at this moment was answered. After a gap, what we hold is looked after.
    pub(super) fn refreshed(&mut self, asked: Instant) {
        self.lease.refreshed = asked;
        if !self.lease.is_at_risk || self.lease.is_looking {
            return;
        }
        let held = |handle| Some((handle, self.held.get(handle)?.tag));
        let leases: Vec<(Handle, Tag)> = self.engine.unasked().filter_map(held).collect();
        self.lease.is_looking = true;
        self.lease.covers_all = !self.engine.is_awaiting();
        self.io.look_after(leases);
    }

    /// The broker has said which of the leases others have. What waits is forgotten; what is at a child may end there, and
    /// is not started anew if that dies. What came after the question is asked about with the next heartbeat.
    pub(super) fn looked_after(&mut self, lost: Vec<(Handle, Tag)>) {
        self.lease.is_looking = false;
        let unasked: HashSet<Handle> = self.engine.unasked().collect();
        // A handle may be another delivery's meanwhile.
        let is_same = |handle, tag| self.held.get(handle).is_some_and(|held| held.tag == tag);
        let still = lost.into_iter().filter(|&(handle, tag)| unasked.contains(&handle) && is_same(handle, tag));
        let lost: HashSet<Handle> = still.map(|(handle, _)| handle).collect();
        let places: Vec<(Handle, Whereabouts)> =
            self.engine.whereabouts().filter(|(handle, _)| lost.contains(handle)).collect();
        for (handle, place) in places {
            match place {
                Whereabouts::Child(_) => self.feed(Event::LeaseLost { handle }),
                Whereabouts::Timer { .. } | Whereabouts::Waiting | Whereabouts::Ending => self.lease_lost(handle),
            }
        }
        if self.lease.covers_all && !self.lease.is_overdue() {
            self.lease.is_at_risk = false;
            self.reporter.log(Level::Warning, "the leases are refreshed again");
            self.feed(Event::LeaseSafe);
        }
    }
}
