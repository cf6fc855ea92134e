//! Accidents: which strike when, and what they do to the world.

use super::broker::Place;
use super::plan::random_rate;
use super::world::{Coming, World};
use crate::event::{ChildId, Event, Resize, Shutdown};
use crate::stats::Counters;

impl World {
    /// One round of accidents; comes again until the calm.
    pub(super) fn strike(&mut self) -> Result<(), String> {
        if self.mono_us >= self.plan.calm_from_us {
            return Ok(());
        }
        let next_us = self.mono_us + self.rng.range(1, 40_000);
        self.at(next_us, Coming::Fault);
        let faults = self.plan.faults;
        if self.rng.chance(faults.kill_child) {
            self.kill_some_child();
        }
        if self.rng.chance(faults.clock_jump) {
            self.offset_ms += self.rng.range(0, 120_000) as i64 - 60_000;
        }
        if self.rng.chance(faults.lost_lease) {
            self.take_some_lease()?;
        }
        if self.rng.chance(faults.broker_lost) && self.is_broker_up {
            self.is_broker_up = false;
            let back_us = self.mono_us + self.rng.range(100, 300_000);
            self.at(back_us, Coming::BrokerUp);
            self.feed(Event::BrokerLost)?;
        }
        if self.rng.chance(faults.lease_at_risk)
            && let Some(worker) = &self.worker
        {
            let safe = Coming::LeaseSafe(worker.owner);
            let safe_us = self.mono_us + self.rng.range(100, 100_000);
            self.at(safe_us, safe);
            self.feed(Event::LeaseAtRisk)?;
        }
        if self.rng.chance(faults.resize) {
            let count = self.rng.range(1, 2) as u32;
            let other = Some(self.rng.range(1, 4) as u32);
            let orders = [
                Resize::Grow(count),
                Resize::Shrink(count),
                Resize::Autoscale { max: other, min: None },
                Resize::Autoscale { max: None, min: other },
            ];
            let resize = self.rng.pick(&orders);
            // A pool without children does nothing, as it was told, and no schedule would end.
            let leaves_nobody = matches!(resize, Resize::Shrink(_))
                && self.worker.as_ref().is_some_and(|it| it.audit.seats().least() <= count as usize);
            if !leaves_nobody {
                self.feed(Event::Resize(resize))?;
            }
        }
        if self.rng.chance(faults.shutdown) {
            let kind = self.rng.pick(&[Shutdown::Warm, Shutdown::Cold]);
            self.feed(Event::Shutdown(kind))?;
        }
        if self.rng.chance(faults.rate_limit) {
            let task = self.rng.range(0, self.plan.config.tasks.len() as u64 - 1) as u32;
            let limit = if self.rng.chance(30) { None } else { random_rate(&mut self.rng) };
            self.feed(Event::RateLimit { task, limit })?;
        }
        if self.rng.chance(faults.crash) {
            self.crash();
        }
        Ok(())
    }

    /// The connection is back: what waited for it arrives, in any order.
    pub(super) fn broker_comes_back(&mut self) -> Result<(), String> {
        self.is_broker_up = true;
        let Some(worker) = self.worker.as_mut() else {
            return Ok(());
        };
        let owner = worker.owner;
        for op in std::mem::take(&mut worker.stalled) {
            self.soon(Coming::AtBroker(owner, op));
        }
        self.feed(Event::BrokerBack)
    }

    /// Adds the figures of a worker that is gone.
    pub(super) fn gather(&mut self, counters: &Counters) {
        let sum = &mut self.counters;
        sum.delivered += counters.delivered;
        sum.processed += counters.processed;
        sum.recalled += counters.recalled;
        sum.returned += counters.returned;
        sum.redelivered += counters.redelivered;
        sum.parked += counters.parked;
        sum.expired += counters.expired;
        sum.unknown += counters.unknown;
        sum.worker_lost += counters.worker_lost;
        sum.timed_out += counters.timed_out;
        sum.lost += counters.lost;
        sum.exited += counters.exited;
        sum.late += counters.late;
    }

    fn kill_some_child(&mut self) {
        let Some(worker) = self.worker.as_mut() else {
            return;
        };
        let ids: Vec<ChildId> = worker.children.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = self.rng.pick(&ids);
        self.child(id).expect("just listed").die();
        self.news_from(id);
    }

    /// The supervisor and its children die; somebody puts its leases back after a while, and it starts again.
    fn crash(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.gather(&worker.engine.stats().counters);
        self.dead_owners.push(worker.owner);
        // A first start is on nobody's record yet when the supervisor dies before it is settled.
        for message in &mut self.broker.messages {
            if message.place == Place::Leased(worker.owner) && message.starts > 0 {
                message.excused += 1;
            }
        }
        let again_us = self.mono_us + self.rng.range(100, 50_000);
        self.at(again_us, Coming::Restart);
    }

    /// Somebody else gets one of our messages; sometimes we are told unasked.
    fn take_some_lease(&mut self) -> Result<(), String> {
        let Some(worker) = self.worker.as_ref() else {
            return Ok(());
        };
        let ours = Place::Leased(worker.owner);
        let messages = &mut self.broker.messages;
        let leased: Vec<_> = (0..messages.len()).filter(|&index| messages[index].place == ours).collect();
        if leased.is_empty() {
            return Ok(());
        }
        let index = self.rng.pick(&leased);
        let lease = super::broker::Lease { message: index, epoch: messages[index].epoch };
        messages[index].excused += 100;
        if self.rng.chance(50) {
            messages[index].place = Place::Done;
        } else {
            self.broker.requeue(index, true);
            self.wake();
        }
        let is_told = self.rng.chance(50);
        let handle = self.worker.as_ref().and_then(|it| it.audit.unasked(lease));
        match handle {
            Some(handle) if is_told => self.feed(Event::LeaseLost { handle }),
            _ => Ok(()),
        }
    }
}
