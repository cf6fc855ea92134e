//! The model child: a process that claims numbers from its control page and runs them one after the other.

use std::collections::VecDeque;

use super::plan::Deed;
use crate::event::{ChildId, Event, Handle, Number, Outcome};

/// A task that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Its number.
    pub(super) number: Number,
    /// Since when (`mono_us`).
    pub(super) since_us: u64,
    /// Until when (`mono_us`).
    pub(super) until_us: u64,
    /// What happens then.
    pub(super) deed: Deed,
}

/// One child process, its page, and what it wrote that the driver has not read.
#[derive(Debug)]
pub(super) struct Child {
    /// Its name.
    pub(super) id: ChildId,
    /// Can be signalled.
    pub(super) is_forked: bool,
    /// Connected.
    pub(super) is_ready: bool,
    /// Process exists.
    pub(super) is_alive: bool,
    /// Exits when it has nothing to do.
    pub(super) is_stopping: bool,
    /// The page: claimed below it.
    pub(super) next: Number,
    /// The page: may be claimed below it.
    pub(super) bound: Number,
    /// Sent and not claimed.
    pub(super) frames: VecDeque<(Number, Handle)>,
    /// The most memory it ever had: every task leaks.
    pub(super) peak_kib: u64,
    /// What runs.
    pub(super) run: Option<Run>,
    /// Nothing to do since then (`mono_us`).
    pub(super) idle_since_us: u64,
    /// Facts for the engine, in order.
    pub(super) outbox: VecDeque<Event>,
}

impl Child {
    /// A process that is starting.
    pub(super) fn new(id: ChildId) -> Child {
        Child {
            id,
            is_forked: false,
            is_ready: false,
            is_alive: true,
            is_stopping: false,
            next: 0,
            bound: 0,
            frames: VecDeque::new(),
            peak_kib: 0,
            run: None,
            idle_since_us: 0,
            outbox: VecDeque::new(),
        }
    }

    /// The driver sends frames and moves the bound.
    pub(super) fn send(&mut self, first: Number, handles: &[Handle]) {
        for (number, &handle) in (first..).zip(handles) {
            self.frames.push_back((number, handle));
        }
        self.bound = first + handles.len() as u32;
    }

    /// The driver takes back what is not claimed.
    pub(super) fn recall(&mut self) {
        let from = self.next;
        self.next = self.bound;
        self.frames.clear();
        let child = self.id;
        self.outbox.push_back(Event::Recalled { child, from });
    }

    /// Whether it has been waiting for work since `since_us`.
    pub(super) fn is_idle_since(&self, since_us: u64) -> bool {
        let is_idle = self.is_ready && self.is_alive && self.run.is_none() && self.frames.is_empty();
        is_idle && self.outbox.is_empty() && self.idle_since_us <= since_us
    }

    /// Claims the next number, if there is one and nothing runs.
    pub(super) fn claim(&mut self) -> Option<(Number, Handle)> {
        if !self.is_alive || self.run.is_some() || self.next == self.bound {
            return None;
        }
        let frame = self.frames.pop_front()?;
        assert_eq!(frame.0, self.next, "frames come in the order of numbers");
        self.next += 1;
        Some(frame)
    }

    /// Ends what runs with an outcome.
    pub(super) fn finish(&mut self, outcome: Outcome, now_us: u64) {
        let run = self.run.take().expect("only what runs can end");
        self.idle_since_us = now_us;
        self.peak_kib += 100;
        self.outbox.push_back(Event::Ended {
            child: self.id,
            number: run.number,
            outcome,
            runtime_us: now_us - run.since_us,
        });
    }

    /// The process is gone.
    pub(super) fn die(&mut self) {
        if std::mem::replace(&mut self.is_alive, false) {
            self.run = None;
            self.outbox.push_back(Event::ChildExited { child: self.id, next: self.next });
        }
    }

    /// The driver reads the page.
    pub(super) fn observe(&mut self) {
        self.outbox.push_back(Event::Observed {
            child: self.id,
            next: self.next,
            running_since_us: self.run.map(|run| run.since_us),
        });
    }
}
