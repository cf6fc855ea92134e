//! Queues that come and go, and the places that deliveries have in them.
//!
//! When a queue is cancelled, or paused at the broker, what has not been started of it goes back, as if it had not been
//! fetched: from the lists here at once, from the children when their recall is answered. What was under way in that
//! moment goes back when it comes: a cancelled queue stays closed, a paused one is withdrawn until every recall, fetch and
//! draw that was out has been answered. After that it is the broker that gives nothing of it.

use crate::action::Action;
use crate::config::QueueTerms;
use crate::engine::{Engine, Phase};
use crate::event::{ChildId, Handle};
use crate::requests::Place;

impl Engine {
    /// A delivery that would run gets a place, if its queue counts them.
    pub(crate) fn take_place(&mut self, handle: Handle) {
        let held = self.requests.of(handle);
        if !held.has_place {
            held.has_place = self.queues.take(held.request.queue);
        }
    }

    /// It goes to a child.
    pub(crate) fn go_to_child(&mut self, handle: Handle, child: ChildId) {
        let held = self.requests.of(handle);
        held.place = Place::Child(child);
        if held.has_place {
            self.queues.goes_to_child(held.request.queue);
        }
    }

    /// If it is at a child, it is about to be somewhere else.
    pub(crate) fn leave_child(&mut self, handle: Handle) {
        let held = self.requests.of(handle);
        if held.has_place && matches!(held.place, Place::Child(_)) {
            self.queues.leaves_child(held.request.queue);
        }
    }

    /// It has its permit and no place: it waits here.
    pub(crate) fn stand(&mut self, handle: Handle) {
        let held = self.requests.of(handle);
        held.place = Place::Standing;
        held.ready_since_us = self.now.mono_us;
        let queue = held.request.queue;
        self.queues.stand(queue, handle);
    }

    /// A place is free: for who stands for it, or for a fetch.
    pub(crate) fn free_place(&mut self, queue: u16) {
        let (next, was_full) = self.queues.free(queue);
        if was_full {
            self.hurry_draw(self.now);
        }
        if let Some(next) = next {
            self.make_ready_last(self.now, next);
        }
    }

    /// A queue is consumed from now on: the next of the list, or one that was cancelled before.
    pub(crate) fn queue_opened(&mut self, queue: u16, terms: QueueTerms) {
        self.ready.open(queue, terms.weight);
        self.queues.open(queue, terms);
        self.prefetch.wake();
    }

    /// A queue is not consumed any more; what has not been started of it goes back.
    pub(crate) fn queue_closed(&mut self, queue: u16, actions: &mut Vec<Action>) {
        self.queues.close(queue);
        self.withdraw(queue, actions);
    }

    /// What has not been started of a queue goes back, as if it had not been fetched.
    pub(crate) fn withdraw(&mut self, queue: u16, actions: &mut Vec<Action>) {
        if !self.queues.withdraw(queue) {
            self.counters.odd += 1;
            return;
        }
        if self.phase != Phase::Running {
            return;
        }
        self.recall_all(actions);
        for handle in self.take_out_unstarted(queue) {
            self.hand_back(handle, actions);
        }
    }

    /// Takes what waits here of one queue out of its lists, last in line first. What was acknowledged early stays: nobody
    /// else knows it.
    fn take_out_unstarted(&mut self, queue: u16) -> Vec<Handle> {
        let is_meant =
            |place| matches!(place, Place::Timer | Place::Limited | Place::Standing | Place::Suspect | Place::Aside);
        let waiting = self.requests.of_queue(queue).filter(|held| is_meant(held.place));
        let mut leaving: Vec<Handle> = waiting.map(|held| held.request.handle).collect();
        for &handle in &leaving {
            self.take_out(handle);
        }
        let requests = &mut self.requests;
        let mut stays = |handle: Handle| {
            let held = requests.of(handle);
            let stays = held.is_acked || held.request.queue != queue;
            if !stays {
                leaving.push(handle);
            }
            stays
        };
        self.gatherings.retain_newest_first(&mut stays);
        self.ready.retain_newest_first(&mut stays);
        self.early.retain_newest_first(&mut stays);
        leaving
    }

    /// Takes a delivery out of the list in which it waits, if it waits in one.
    pub(crate) fn take_out(&mut self, handle: Handle) {
        let held = self.requests.of(handle);
        let (priority, queue) = (held.request.priority, held.request.queue);
        match held.place {
            Place::Timer => self.timer.remove(handle),
            Place::Limited => self.rates.remove(handle),
            Place::Standing => self.queues.remove(queue, handle),
            Place::Gathering => {
                let (task, is_acked) = (held.request.task, held.is_acked);
                let task = task.expect("only calls of batch tasks wait for each other") as usize;
                self.gatherings.remove(task, priority, is_acked, handle);
            }
            Place::Ready => self.ready.remove(priority, queue, handle),
            Place::Suspect => self.suspects.retain(|&waiting| waiting != handle),
            Place::EarlyLine => self.early.remove(handle),
            Place::Aside => self.aside.retain(|&waiting| waiting != handle),
            Place::Asking | Place::Recording | Place::Acking | Place::Child(_) | Place::Ending => {}
        }
    }

    /// Ends withdrawals of which nothing can come late any more.
    pub(crate) fn end_withdrawals(&mut self) {
        if self.queues.is_withdrawing {
            let is_recalling = self.fleet.children().iter().any(|child| child.is_recalling);
            if !self.is_awaiting() && !is_recalling {
                self.queues.end_withdrawals();
            }
        }
    }
}
