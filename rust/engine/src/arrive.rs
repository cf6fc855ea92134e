//! What comes in: deliveries pass admission and get their place; those that waited for their eta become ready.

use crate::action::{Action, Ending};
use crate::admit::Rate;
use crate::admit::{Verdict, admit};
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now, Request};
use crate::requests::{Held, Place};

impl Engine {
    /// The answer to a fetch.
    pub(crate) fn delivered(&mut self, now: Now, requests: Vec<Request>, actions: &mut Vec<Action>) {
        let count = requests.len();
        self.count_odd(|engine| engine.prefetch.answered(count));
        self.counters.delivered += count as u64;
        if self.phase == Phase::Running {
            for request in requests {
                self.arrive(now, request, actions);
            }
        } else {
            // Each goes to the front of its queue, so the last one goes first.
            for request in requests.into_iter().rev() {
                self.turn_away(now, request, actions);
            }
        }
    }

    /// One delivery: admitted, held, or dropped.
    fn arrive(&mut self, now: Now, request: Request, actions: &mut Vec<Action>) {
        let has_timer_room = self.timer.len() < self.prefetch.timer_limit();
        let verdict = admit(&self.config, &request, now, has_timer_room);
        let (handle, priority, queue) = (request.handle, request.priority, request.queue);
        let place = match verdict {
            Verdict::Run if self.rates.claim(&request, now.mono_us) => Place::Ready,
            Verdict::Run => Place::Limited,
            Verdict::Hold { .. } => Place::Timer,
            Verdict::Drop { .. } => Place::Ending,
        };
        if !self.requests.insert(Held::new(request, place, now.mono_us)) {
            self.counters.odd += 1;
            return;
        }
        match verdict {
            Verdict::Run if place == Place::Ready => self.ready.push_back(priority, queue, handle),
            Verdict::Run => self.rates.wait(&self.requests.of(handle).request),
            Verdict::Hold { until_ms } => self.timer.push(until_ms, handle),
            Verdict::Drop { ending } => self.end(handle, ending, actions),
        }
    }

    /// A delivery that came when nothing may start any more.
    fn turn_away(&mut self, now: Now, request: Request, actions: &mut Vec<Action>) {
        let handle = request.handle;
        let held = Held::new(request, Place::Ending, now.mono_us);
        if self.requests.insert(held) {
            self.end(handle, Ending::Return, actions);
        } else {
            self.counters.odd += 1;
        }
    }

    /// Moves from the timer to the ready queues whose eta has come.
    pub(crate) fn start_what_is_due(&mut self, now: Now) {
        while let Some(handle) = self.timer.pop_due(now.wall_ms) {
            let held = self.requests.of(handle);
            if self.rates.claim(&held.request, now.mono_us) {
                self.make_ready_last(now, handle);
            } else {
                held.place = Place::Limited;
                self.rates.wait(&held.request);
            }
        }
    }

    /// Moves to the ready queues whose permit has come.
    pub(crate) fn start_what_is_permitted(&mut self, now: Now) {
        while let Some(handle) = self.rates.pop_due(now.mono_us) {
            self.make_ready_last(now, handle);
        }
    }

    /// A rate limit was set, changed or lifted; who waits need not wait for the next tick to profit.
    pub(crate) fn set_rate(&mut self, now: Now, task: u32, limit: Option<Rate>) {
        if task as usize >= self.config.tasks.len() {
            self.counters.odd += 1;
            return;
        }
        self.rates.set(task as usize, limit, now.mono_us);
        self.start_what_is_permitted(now);
    }

    /// After the wall clock jumped back: what waits here may have become far.
    pub(crate) fn park_what_is_far_now(&mut self, now: Now, actions: &mut Vec<Action>) {
        let limit_ms = now.wall_ms.saturating_add(self.config.eta_horizon_ms);
        for handle in self.timer.drain_later_than(limit_ms) {
            let until_ms = self.requests.of(handle).request.eta_ms.unwrap_or(limit_ms);
            self.end(handle, Ending::Park { until_ms }, actions);
        }
    }

    /// Puts a delivery that waited for a time or a permit at the end of its ready queue.
    fn make_ready_last(&mut self, now: Now, handle: Handle) {
        let held = self.requests.of(handle);
        held.place = Place::Ready;
        held.ready_since_us = now.mono_us;
        self.ready.push_back(held.request.priority, held.request.queue, handle);
    }

    /// Puts a delivery that is in no list at the head of its ready queue.
    pub(crate) fn make_ready_first(&mut self, handle: Handle) {
        let held = self.requests.of(handle);
        held.place = Place::Ready;
        let (priority, queue) = (held.request.priority, held.request.queue);
        self.ready.push_front(priority, queue, handle);
    }
}
