//! What comes in: deliveries pass admission and get their place; those that waited for their eta become ready.

use crate::action::{Action, Ending};
use crate::admit::Rate;
use crate::admit::{Claim, Verdict, admit};
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now, Request};
use crate::requests::{Held, Place};

impl Engine {
    /// The answer to a fetch.
    pub(crate) fn delivered(&mut self, now: Now, requests: Vec<Request>, actions: &mut Vec<Action>) {
        let count = requests.len();
        let of_queue = |queue: u16| requests.iter().filter(|request| request.queue == queue).count() as u32;
        if self.queues.fetched(Some(&of_queue)) {
            self.hurry_draw(now);
        }
        self.count_odd(|engine| engine.prefetch.answered(count, now.mono_us));
        let before = self.counters.laned;
        self.take_in(now, requests, actions);
        if self.asking.is_empty() {
            let laned = (self.counters.laned - before) as usize;
            self.prefetch.passed(if laned >= count { count } else { 0 });
        }
    }

    /// Deliveries that came, by a fetch or a draw.
    pub(crate) fn take_in(&mut self, now: Now, requests: Vec<Request>, actions: &mut Vec<Action>) {
        self.counters.delivered += requests.len() as u64;
        if self.phase == Phase::Running {
            let mut surplus = Vec::new();
            for request in requests {
                self.arrive(now, request, &mut surplus, actions);
            }
            for handle in surplus.into_iter().rev() {
                self.hand_back(handle, actions);
            }
        } else {
            // Each goes to the front of its queue, so the last one goes first.
            for request in requests.into_iter().rev() {
                self.turn_away(now, request, actions);
            }
        }
    }

    /// One delivery: admitted, held, or dropped. `surplus` gets what there is no place for.
    fn arrive(&mut self, now: Now, request: Request, surplus: &mut Vec<Handle>, actions: &mut Vec<Action>) {
        self.prefetch.observe_size(request.size);
        let has_timer_room = self.timer.len() < self.prefetch.timer_limit();
        let verdict = admit(&self.config, &request, now, has_timer_room);
        let (handle, queue) = (request.handle, request.queue);
        let goes_back = match verdict {
            // What was drawn has its permit, and can stand.
            Verdict::Run => self.queues.gives_back(queue) || !request.is_drawn && !self.queues.has_place(queue),
            Verdict::Hold { .. } => self.queues.gives_back(queue),
            Verdict::Drop { .. } => false,
        };
        let claim = match verdict {
            Verdict::Run if !goes_back => self.rates.claim(&request, now.mono_us),
            Verdict::Run | Verdict::Hold { .. } | Verdict::Drop { .. } => Claim::Permit,
        };
        let place = match verdict {
            Verdict::Run => Place::Ready,
            Verdict::Hold { .. } => Place::Timer,
            Verdict::Drop { .. } => Place::Ending,
        };
        let options = request.task.and_then(|task| self.config.tasks.get(task as usize));
        let is_batched = options.is_some_and(|task| task.batch.is_some());
        if !self.requests.insert(Held { is_batched, ..Held::new(request, place, now.mono_us) }) {
            self.counters.odd += 1;
            return;
        }
        match verdict {
            _ if goes_back => surplus.push(handle),
            Verdict::Run if claim == Claim::Permit && !self.queues.has_place(queue) => self.stand(handle),
            Verdict::Run if claim == Claim::Permit => {
                self.take_place(handle);
                self.line_up(handle, false);
            }
            Verdict::Run => self.go_on_without_permit(handle, claim, actions),
            Verdict::Hold { until_ms } => self.timer.push(until_ms, handle),
            Verdict::Drop { ending } => {
                self.queues.pass(queue);
                self.end(handle, ending, actions);
            }
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
    pub(crate) fn start_what_is_due(&mut self, now: Now, actions: &mut Vec<Action>) {
        while let Some(handle) = self.timer.pop_due(now.wall_ms) {
            let queue = self.requests.of(handle).request.queue;
            if !self.queues.has_place(queue) {
                self.hand_back(handle, actions);
                continue;
            }
            match self.rates.claim(&self.requests.of(handle).request, now.mono_us) {
                Claim::Permit => self.make_ready_last(now, handle),
                claim => self.go_on_without_permit(handle, claim, actions),
            }
        }
    }

    /// A delivery that is due, in no list, and over its rate.
    fn go_on_without_permit(&mut self, handle: Handle, claim: Claim, actions: &mut Vec<Action>) {
        if claim == Claim::Ask {
            self.requests.of(handle).place = Place::Asking;
            self.asking.push(handle);
        } else {
            self.wait_for_permit(handle, claim == Claim::Wait, actions);
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
        let Some(scope) = self.config.tasks.get(task as usize).map(|options| options.rate_scope) else {
            self.counters.odd += 1;
            return;
        };
        self.rates.set(task, limit, scope, now.mono_us);
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

    /// Puts a delivery that waited for a time or a permit at the end of its ready queue, once that has a place for it.
    pub(crate) fn make_ready_last(&mut self, now: Now, handle: Handle) {
        let held = self.requests.of(handle);
        held.ready_since_us = now.mono_us;
        let queue = held.request.queue;
        if !self.queues.has_place(queue) {
            return self.stand(handle);
        }
        self.take_place(handle);
        self.line_up(handle, false);
    }

    /// Puts a delivery that is in no list at the head of its ready queue.
    pub(crate) fn make_ready_first(&mut self, handle: Handle) {
        self.line_up(handle, true);
    }
}
