//! Rate limits that the broker keeps, as the loop sees them: the engine's handles become leases, and the answers events.

use fastworker_broker::lane;
use fastworker_engine::{Acquired, Ask, Drawn, Event, Portion, Quota};

use super::Worker;
use super::queues::brokers;

impl Worker {
    pub(super) fn acquire(&mut self, questions: Vec<Ask>) {
        let asks = questions.iter().map(|ask| {
            let held = |handle| self.held.get(handle).expect("the engine asks for what is held");
            lane::Ask {
                task: self.config.tasks[ask.task as usize].name.clone(),
                key: held(ask.handles[0]).rate_limit_key.as_deref().unwrap_or_default().to_owned(),
                interval_ns: ask.rate.interval_ns(),
                tags: ask.handles.iter().map(|handle| held(*handle).tag).collect(),
                ahead: ask.ahead,
            }
        });
        let asks = asks.collect();
        self.io.acquire(asks, questions);
    }

    pub(super) fn acquired(&mut self, questions: &[Ask], answers: Vec<lane::Granted>) {
        let mut acquired = Acquired::default();
        for (ask, answer) in questions.iter().zip(answers) {
            let is_lost = |at: usize| answer.lost.binary_search(&at).is_ok();
            let (mut lost, mut ours) = (Vec::new(), Vec::new());
            for (at, &handle) in ask.handles.iter().enumerate() {
                if is_lost(at) { lost.push(handle) } else { ours.push(handle) }
            }
            acquired.lost.append(&mut lost);
            acquired.laned.extend(ours.drain(answer.permits..));
            acquired.granted.append(&mut ours);
            if answer.ahead > 0 {
                acquired.ahead.push((ask.task, ask.key, answer.ahead));
            }
            acquired.due_in_us = acquired.due_in_us.into_iter().chain(answer.due_in_us).min();
        }
        let (laned, lost) = (acquired.laned.clone(), acquired.lost.clone());
        self.feed(Event::Acquired(acquired));
        // Not before the engine has forgotten them.
        for handle in laned {
            self.held.remove(handle);
        }
        for handle in lost {
            self.forget_lost(handle);
        }
    }

    pub(super) fn draw(&mut self, max: u32, quotas: &[Quota], portions: &[Portion]) {
        let name = |task: u32| self.config.tasks[task as usize].name.clone();
        let quotas = quotas.iter().map(|quota| match *quota {
            Quota::Shared { task, rate } => lane::Quota::Shared { task: name(task), interval_ns: rate.interval_ns() },
            Quota::Worker { task, permits } => lane::Quota::Worker { task: name(task), permits },
        });
        self.io.draw(max as usize, quotas.collect(), brokers(portions));
    }

    pub(super) fn drawn(&mut self, drawn: lane::Drawn) {
        self.fine();
        let requests = self.decode(&drawn.deliveries, true);
        self.feed(Event::Drawn(Drawn { requests, next_in_us: drawn.next_in_us, has_more: drawn.has_more }));
    }
}
