//! Rate limits towards the broker: asking for shared permits, and drawing from lanes.
//!
//! At most one draw is outstanding. It is asked when the broker said that a permit will be there, when a bucket of ours
//! has permits for what waits in a lane, and once a second to see what other workers put there. What it brings counts
//! against the prefetch like a fetch, so the two share the credit.

use std::collections::HashMap;

use crate::action::{Action, Ask, Ending};
use crate::admit::Key;
use crate::engine::{Engine, Phase};
use crate::event::{Acquired, Drawn, Handle, Now};
use crate::requests::Place;

/// Lanes are looked at so often although nothing is known of them.
const POLL_US: u64 = 1_000_000;
/// Permits of many keys are gathered for so long.
const GATHER_US: u64 = 5_000;
/// A draw for which there is no credit now is tried again after this time, and one that failed after the other.
const RETRY_US: u64 = 20_000;
const RETRY_FAILED_US: u64 = 1_000_000;

/// When to draw.
#[derive(Debug, Default)]
pub(crate) struct Draws {
    /// How many were asked for, while an answer is out.
    outstanding: Option<u32>,
    /// There has been room for more since then.
    is_hurried: bool,
    next_us: u64,
    /// There was no credit, or no answer: not before.
    blocked_until_us: u64,
}

impl Draws {
    /// Most that the draw which is out may bring.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding.unwrap_or(0)
    }
}

impl Engine {
    /// Deliveries that need a shared permit ask for it, together.
    pub(crate) fn ask(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.asking.is_empty() {
            return;
        }
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut asks: Vec<Ask> = Vec::new();
        for handle in std::mem::take(&mut self.asking) {
            let request = &self.requests.of(handle).request;
            let task = request.task.expect("only known tasks have limits");
            let (key, queue) = (request.key, request.queue);
            match places.get(&(task, key)).filter(|&&at| asks[at].queue == queue) {
                Some(&at) => asks[at].handles.push(handle),
                None => {
                    let Some(rate) = self.rates.shared(request) else {
                        // The limit was lifted meanwhile.
                        self.make_ready_last(now, handle);
                        continue;
                    };
                    let ahead = self.rates.blocks.ahead((task, key), rate.interval_ns(), now.mono_us);
                    places.insert((task, key), asks.len());
                    asks.push(Ask { task, key, queue, rate, handles: vec![handle], ahead });
                }
            }
        }
        if !asks.is_empty() {
            actions.push(Action::Acquire { asks });
        }
    }

    /// The broker answered: some may run, the others it has moved to their lanes.
    pub(crate) fn acquired(&mut self, now: Now, answer: Acquired, actions: &mut Vec<Action>) {
        self.prefetch.passed(if answer.granted.is_empty() { answer.laned.len() } else { 0 });
        for (task, key, permits) in answer.ahead {
            self.rates.blocks.put((task, key), permits, now.mono_us);
        }
        for handle in answer.granted {
            if self.leave_asking(handle) {
                if self.requests.of(handle).revoke.is_some() {
                    self.end_revoked(handle, None, actions);
                } else if self.phase == Phase::Running && !self.gives_back(handle) {
                    self.make_ready_last(now, handle);
                } else {
                    self.hand_back(handle, actions);
                }
            }
        }
        for handle in answer.laned {
            if self.leave_asking(handle) {
                self.counters.laned += 1;
                let queue = self.requests.of(handle).request.queue;
                self.queues.pass(queue);
                self.requests.remove(handle);
            }
        }
        for handle in answer.lost {
            if self.leave_asking(handle) {
                self.counters.lost += 1;
                self.requests.remove(handle);
            }
        }
        if let Some(due_in_us) = answer.due_in_us {
            self.draws.next_us = self.draws.next_us.min(now.mono_us.saturating_add(due_in_us));
        }
    }

    fn gives_back(&mut self, handle: Handle) -> bool {
        let queue = self.requests.of(handle).request.queue;
        self.queues.gives_back(queue)
    }

    fn leave_asking(&mut self, handle: Handle) -> bool {
        let is_asking = self.requests.get_mut(handle).is_some_and(|held| held.place == Place::Asking);
        if !is_asking {
            self.counters.odd += 1;
        }
        is_asking
    }

    /// Puts a delivery without a permit, which is in no list, where it is to wait for one: here, or in a lane.
    pub(crate) fn wait_for_permit(&mut self, handle: Handle, is_here: bool, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        let request = held.request.clone();
        if is_here {
            held.place = Place::Limited;
            self.rates.wait(&request);
        } else if let Some(displaced) = self.rates.give_way(&request) {
            self.rates.wait(&request);
            self.requests.of(handle).place = Place::Limited;
            self.rates.laned(&request);
            self.pass_on(displaced, actions);
        } else {
            self.rates.laned(&request);
            self.pass_on(handle, actions);
        }
    }

    /// Puts a delivery without a permit, which is in no list, into its lane.
    fn pass_on(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        let queue = self.requests.of(handle).request.queue;
        self.queues.pass(queue);
        self.end(handle, Ending::Lane, actions);
    }

    /// Draws from the lanes when there is reason to.
    pub(crate) fn draw(&mut self, now: Now, actions: &mut Vec<Action>) {
        let is_due = self.draw_due_us(now).is_some_and(|due_us| due_us <= now.mono_us);
        if !is_due {
            return;
        }
        let Some(max) = self.draw_credit(now) else {
            self.draws.blocked_until_us = now.mono_us + RETRY_US;
            return;
        };
        self.draws.outstanding = Some(max);
        self.draws.is_hurried = false;
        self.draws.next_us = now.mono_us + POLL_US;
        let (quotas, portions) = (self.rates.quotas(now.mono_us), self.queues.draw_portions(max));
        actions.push(Action::Draw { max, quotas, portions });
    }

    /// There is room for what lanes may have: they are looked at soon.
    pub(crate) fn hurry_draw(&mut self, now: Now) {
        self.draws.next_us = self.draws.next_us.min(now.mono_us);
        self.draws.is_hurried = true;
    }

    /// When to draw next (`mono_us`).
    pub(crate) fn draw_due_us(&self, now: Now) -> Option<u64> {
        let may = !self.rates.is_empty()
            && self.draws.outstanding.is_none()
            && self.fleet.ready() > 0
            && self.phase == Phase::Running
            && self.is_broker_up
            && self.is_lease_safe;
        if !may {
            return None;
        }
        let own_us = self.rates.own_draw_due_us(now.mono_us).unwrap_or(u64::MAX);
        Some(own_us.min(self.draws.next_us).max(self.draws.blocked_until_us))
    }

    /// A draw was answered.
    pub(crate) fn drawn(&mut self, now: Now, answer: Drawn, actions: &mut Vec<Action>) {
        let Some(asked) = self.draws.outstanding.take() else {
            self.counters.odd += 1;
            return;
        };
        let of_queue = |queue: u16| answer.requests.iter().filter(|request| request.queue == queue).count() as u32;
        self.queues.drawn(Some(&of_queue));
        self.rates.note_lanes(&answer.has_more);
        self.draws.next_us = now.mono_us
            + match answer.next_in_us {
                _ if self.draws.is_hurried || answer.requests.len() >= asked as usize => 0,
                Some(next_in_us) => next_in_us.clamp(GATHER_US, POLL_US),
                None => POLL_US,
            };
        self.counters.drawn += answer.requests.len() as u64;
        self.prefetch.drew(answer.requests.len());
        self.take_in(now, answer.requests, actions);
        if self.queues.beckon_draw() {
            self.hurry_draw(now);
        }
    }

    /// A draw failed.
    pub(crate) fn draw_failed(&mut self, now: Now) {
        if self.draws.outstanding.take().is_none() {
            self.counters.odd += 1;
        }
        self.queues.drawn(None);
        self.draws.blocked_until_us = now.mono_us + RETRY_FAILED_US;
    }
}
