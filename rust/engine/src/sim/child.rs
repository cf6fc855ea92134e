//! The model child: a process that claims numbers from its control page and runs them, one after the other or several
//! at once. A task may block the others, as one does that never lets go of the event loop or the interpreter.

use std::collections::VecDeque;

use super::plan::Deed;
use crate::action::Interrupt;
use crate::event::{ChildId, Event, Handle, Number, Outcome};

/// A task that runs.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Its number.
    pub(super) number: Number,
    /// Since when (`mono_us`).
    pub(super) since_us: u64,
    /// Until when (`mono_us`).
    pub(super) until_us: u64,
    /// What happens then.
    pub(super) deed: Deed,
    /// Nothing else happens in its process while it runs.
    pub(super) blocks: bool,
    /// What it is, by handle, and how each ends if nothing happens; those of a batch that have not ended.
    pub(super) ends: Vec<(Handle, Outcome)>,
    /// One function call for several.
    pub(super) is_batch: bool,
}

/// What was sent under one number.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The number.
    pub(super) number: Number,
    /// One, or those of a batch.
    pub(super) handles: Vec<Handle>,
    /// One function call for several.
    pub(super) is_batch: bool,
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
    pub(super) frames: VecDeque<Frame>,
    /// The most memory it ever had: every task leaks.
    pub(super) peak_kib: u64,
    /// How many tasks it runs at once.
    pub(super) slots: u32,
    /// How many of them it is given.
    pub(super) most: u32,
    /// Since when there has been something that it has not claimed (`mono_us`), if there is.
    pub(super) sent_since_us: u64,
    /// What runs.
    pub(super) runs: Vec<Run>,
    /// Interrupts that it has not come to.
    pub(super) interrupts: Vec<(Number, Interrupt)>,
    /// Frames wait in its socket that were recalled.
    pub(super) has_stale_frames: bool,
    /// It could start something since then (`mono_us`).
    pub(super) idle_since_us: u64,
    /// Facts for the engine, in order.
    pub(super) outbox: VecDeque<Event>,
}

impl Child {
    /// A process that is starting.
    pub(super) fn new(id: ChildId, slots: u32, most: u32) -> Child {
        Child {
            id,
            slots,
            most,
            sent_since_us: 0,
            is_forked: false,
            is_ready: false,
            is_alive: true,
            is_stopping: false,
            next: 0,
            bound: 0,
            frames: VecDeque::new(),
            peak_kib: 0,
            runs: Vec::new(),
            interrupts: Vec::new(),
            has_stale_frames: false,
            idle_since_us: 0,
            outbox: VecDeque::new(),
        }
    }

    /// The driver sends frames and moves the bound.
    pub(super) fn send(&mut self, first: Number, handles: &[Handle], now_us: u64) {
        if self.frames.is_empty() {
            self.sent_since_us = now_us;
        }
        for (number, &handle) in (first..).zip(handles) {
            self.frames.push_back(Frame { number, handles: vec![handle], is_batch: false });
        }
        self.bound = first + handles.len() as u32;
    }

    /// The driver sends a batch, and moves the bound by one.
    pub(super) fn send_batch(&mut self, number: Number, handles: Vec<Handle>, now_us: u64) {
        if self.frames.is_empty() {
            self.sent_since_us = now_us;
        }
        self.frames.push_back(Frame { number, handles, is_batch: true });
        self.bound = number + 1;
    }

    /// The driver takes back what is not claimed.
    pub(super) fn recall(&mut self) {
        let from = self.next;
        self.next = self.bound;
        self.has_stale_frames |= self.slots > 1 && !self.frames.is_empty();
        self.frames.clear();
        let child = self.id;
        self.outbox.push_back(Event::Recalled { child, from });
    }

    /// Whether it could have started something since `since_us`.
    pub(super) fn is_idle_since(&self, since_us: u64) -> bool {
        let is_idle = self.is_ready && self.is_alive && self.has_free_slot() && self.frames.is_empty();
        is_idle && self.outbox.is_empty() && self.idle_since_us <= since_us
    }

    /// Whether nothing could have started here since `since_us`.
    pub(super) fn is_stuck_since(&self, since_us: u64) -> bool {
        self.runs.iter().any(|run| run.blocks && run.since_us <= since_us)
            || (!self.has_free_slot() && self.runs.iter().all(|run| run.since_us <= since_us))
    }

    /// Since when it has left frames alone: its foremost task, or the one that blocks it, runs since then. Whoever sends
    /// something to a child with several slots does not know that it is blocked.
    pub(super) fn deaf_since_us(&self) -> Option<u64> {
        let since_us = self.runs.iter().find(|run| run.blocks || self.slots == 1)?.since_us;
        Some(if self.slots == 1 { since_us } else { since_us.max(self.sent_since_us) })
    }

    /// Whether a task keeps the others from going on.
    pub(super) fn is_blocked(&self) -> bool {
        self.slots > 1 && self.runs.iter().any(|run| run.blocks)
    }

    fn has_free_slot(&self) -> bool {
        self.runs.len() < self.most as usize && !self.is_blocked()
    }

    /// Claims the next number, if there is one and a slot is free.
    pub(super) fn claim(&mut self) -> Option<Frame> {
        if !self.is_alive || !self.has_free_slot() || self.next == self.bound {
            return None;
        }
        let frame = self.frames.pop_front()?;
        assert_eq!(frame.number, self.next, "frames come in the order of numbers");
        self.next += 1;
        Some(frame)
    }

    /// Ends a member of a batch, whose function goes on.
    pub(super) fn finish_member(&mut self, number: Number, handle: Handle) {
        let child = self.id;
        let run = self.runs.iter_mut().find(|run| run.number == number).expect("only what runs can end");
        let index = run.ends.iter().position(|end| end.0 == handle).expect("a member ends once");
        let (_, outcome) = run.ends.remove(index);
        self.outbox.push_back(Event::MemberEnded { child, number, handle, outcome });
    }

    /// Ends a task, or a batch and what is left of it: as told, or as its messages say.
    pub(super) fn finish(&mut self, number: Number, told: Option<Outcome>, now_us: u64) {
        let index = self.runs.iter().position(|run| run.number == number).expect("only what runs can end");
        if !self.has_free_slot() {
            self.idle_since_us = now_us;
        }
        let run = self.runs.remove(index);
        self.peak_kib += 100;
        let (child, runtime_us) = (self.id, now_us - run.since_us);
        for (handle, outcome) in run.ends {
            let outcome = told.unwrap_or(outcome);
            self.outbox.push_back(if run.is_batch {
                Event::MemberEnded { child, number, handle, outcome }
            } else {
                Event::Ended { child, number, outcome, runtime_us }
            });
        }
        if run.is_batch {
            self.outbox.push_back(Event::BatchEnded { child, number, runtime_us });
        }
    }

    /// The process is killed.
    pub(super) fn die(&mut self) {
        self.go(false);
    }

    /// The process ends by itself.
    pub(super) fn end(&mut self) {
        self.go(true);
    }

    fn go(&mut self, by_itself: bool) {
        if std::mem::replace(&mut self.is_alive, false) {
            self.runs.clear();
            self.outbox.push_back(Event::ChildExited { child: self.id, next: self.next, by_itself });
        }
    }

    /// The driver reads the page. `looks_at`: the engine wants to know which tasks run, if there are several.
    pub(super) fn observe(&mut self, looks_at: bool, now_us: u64) {
        let (child, next) = (self.id, self.next);
        let blocked_since_us = self.runs.iter().filter(|run| run.blocks).map(|run| run.since_us).min();
        let turned_us = Some(blocked_since_us.unwrap_or(now_us)).filter(|_| !self.runs.is_empty());
        self.outbox.push_back(if self.slots == 1 {
            Event::Observed { child, next, running_since_us: self.runs.first().map(|run| run.since_us) }
        } else {
            // What is left out does not matter, as the engine says.
            let runs = self.runs.iter().filter(|_| looks_at);
            let running = runs.map(|run| (run.number, run.since_us)).collect();
            Event::ObservedMany { child, next, running, turned_us }
        });
    }
}
