//! The model driver: feeds facts to the engine, carries its actions out, and speaks with the model broker.

use super::broker::{Lease, Owner, Place};
use super::child::Child;
use super::plan::Deed;
use super::watch::has_full_house;
use super::world::{Coming, Op, World};
use crate::action::{Action, Ending};
use crate::event::{ChildId, Event, Handle, Outcome, Request};

impl World {
    /// One fact for the engine, and everything that it wants done about it.
    pub(super) fn feed(&mut self, event: Event) -> Result<(), String> {
        let now = self.now();
        if self.trace {
            eprintln!("{:>12} {event:?}", now.mono_us);
        }
        let Some(worker) = self.worker.as_mut() else {
            return Ok(());
        };
        if has_full_house(worker) {
            // It has been so until now.
            worker.full_house_us = Some(now.mono_us);
        }
        if let Some(free) = worker.audit.event(&event, now.mono_us) {
            worker.free_handles.push(free.0);
        }
        let is_tick = event == Event::Tick;
        let mut actions = Vec::new();
        worker.engine.handle(now, event, &mut actions);
        for action in actions {
            if self.trace {
                eprintln!("{:>12}   -> {action:?}", "");
            }
            let Some(worker) = self.worker.as_mut() else {
                return Err(format!("{action:?} after Finished"));
            };
            worker.audit.action(now, &action)?;
            self.carry_out(action);
        }
        let now_us = self.mono_us;
        let Some(worker) = self.worker.as_mut() else {
            return Ok(());
        };
        if has_full_house(worker) {
            worker.full_house_us = Some(now_us);
        }
        let stats = worker.engine.stats();
        if stats.held as usize != worker.audit.held()
            || stats.held as usize > worker.audit.seats().most_held(&self.plan.config)
        {
            let held = worker.audit.held();
            return Err(format!("{} held, {held} expected", stats.held));
        }
        if stats.counters.odd > 0 {
            return Err("the engine found a fact odd".to_owned());
        }
        if is_tick && worker.engine.deadline().is_some_and(|due_us| due_us <= now.mono_us) {
            return Err("a Tick asks for a Tick at once".to_owned());
        }
        Ok(())
    }

    /// The deadline: a tick, and a look at every busy child's page.
    pub(super) fn tick(&mut self) -> Result<(), String> {
        self.feed(Event::Tick)?;
        let Some(worker) = self.worker.as_ref() else {
            return Ok(());
        };
        for id in worker.audit.busy_children() {
            if let Some(child) = self.child(id) {
                child.observe();
            }
            if self.rng.chance(70) {
                self.read_child(id)?;
            } else {
                self.news_from(id);
            }
        }
        self.check_neglect()
    }

    /// Reports everything a child has written, in order.
    pub(super) fn read_child(&mut self, id: ChildId) -> Result<(), String> {
        while let Some(event) = self.child(id).and_then(|child| child.outbox.pop_front()) {
            if matches!(event, Event::ChildExited { .. }) {
                let worker = self.worker.as_mut().expect("it has a child");
                worker.children.remove(&id);
            }
            let has_ended = matches!(event, Event::Ended { .. });
            let is_bounded = self.plan.config.max_memory_per_child_kib.is_some();
            if let Some(peak_kib) = self.child(id).map(|child| child.peak_kib).filter(|_| has_ended && is_bounded) {
                self.feed(Event::Memory { child: id, peak_kib })?;
            }
            self.feed(event)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) {
        let worker = self.worker.as_mut().expect("only a living worker acts");
        let owner = worker.owner;
        match action {
            Action::Fetch { max } => {
                self.fetches += 1;
                self.soon(Coming::AtBroker(owner, Op::Fetch(max)));
            }
            Action::Settle { handle, ending } => {
                self.soon(Coming::AtBroker(owner, Op::Settle(handle, ending)));
            }
            Action::RecordAttempt { handle, floor } => {
                self.soon(Coming::AtBroker(owner, Op::Record(handle, floor)));
            }
            Action::Spawn { child } => {
                worker.children.insert(child, Child::new(child));
                self.soon(Coming::ChildBorn(owner, child));
            }
            Action::Dispatch { child, first, handles, .. } => {
                if let Some(process) = self.child(child) {
                    process.send(first, &handles);
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::Recall { child } => {
                // Between the engine's decision and the driver's compare-and-swap the child goes on.
                if self.rng.chance(30) {
                    self.step(child);
                }
                if let Some(process) = self.child(child).filter(|it| it.is_alive) {
                    process.recall();
                }
                self.news_from(child);
            }
            Action::SoftLimit { child, number } => self.soft_limit(child, number),
            Action::Kill { child } => {
                // A process that is not forked yet cannot be signalled; the order may be lost on it.
                let is_heard = self.rng.chance(50);
                if let Some(process) = self.child(child).filter(|it| it.is_ready || is_heard) {
                    process.die();
                }
                self.news_from(child);
            }
            Action::Stop { child } => {
                if let Some(process) = self.child(child) {
                    process.is_stopping = true;
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::Finished => self.finished(),
        }
    }

    fn finished(&mut self) {
        let worker = self.worker.take().expect("only a living worker finishes");
        self.gather(&worker.engine.stats().counters);
        let left = self.broker.held_by(worker.owner);
        assert_eq!(left, 0, "a finished worker left messages behind");
        self.soon(Coming::Restart);
    }

    fn soft_limit(&mut self, child: ChildId, number: u32) {
        let now_us = self.mono_us;
        let reacts = self.rng.chance(60);
        let Some(process) = self.child(child) else {
            return;
        };
        if let Some(run) = process.run.as_mut()
            && run.number == number
            && reacts
        {
            run.deed = Deed::Ends(Outcome::Failure);
            run.until_us = now_us;
            self.step(child);
        }
    }

    /// An operation arrives at the broker, or finds it away.
    pub(super) fn reach_broker(&mut self, owner: Owner, op: Op) {
        if !self.is_current(owner) {
            // The worker is dead; what it had sent before may arrive all the same, but settles nothing of interest.
            return;
        }
        if !self.is_broker_up {
            match op {
                Op::Fetch(_) => self.soon(Coming::Answer(owner, Event::FetchFailed)),
                op => {
                    let worker = self.worker.as_mut().expect("it is current");
                    worker.stalled.push_back(op);
                }
            }
            return;
        }
        let answer = match op {
            Op::Fetch(max) => {
                let leases = self.broker.fetch(owner, max);
                return self.soon(Coming::Brought(owner, leases));
            }
            Op::Settle(handle, ending) => self.settle(owner, handle, ending),
            Op::Record(handle, floor) => self.record(owner, handle, floor),
        };
        self.soon(Coming::Answer(owner, answer));
    }

    /// A fetch was answered.
    pub(super) fn brought(&mut self, leases: Vec<Lease>) -> Result<(), String> {
        let requests = leases.into_iter().map(|lease| self.take_in(lease)).collect();
        self.feed(Event::Delivered(requests))
    }

    fn take_in(&mut self, lease: Lease) -> Request {
        let message = &self.broker.messages[lease.message];
        let worker = self.worker.as_mut().expect("it fetched");
        let handle = worker.free_handles.pop().unwrap_or_else(|| {
            worker.next_handle += 1;
            worker.next_handle - 1
        });
        let letter = &message.letter;
        let request = Request {
            handle: Handle(handle),
            task: letter.task,
            queue: letter.queue,
            priority: letter.priority,
            is_redelivered: message.is_redelivered,
            eta_ms: message.eta_ms,
            expires_ms: message.expires_ms,
            soft_limit_s: letter.soft_limit_s,
            hard_limit_s: letter.hard_limit_s,
            size: letter.size,
        };
        worker.audit.lease(&request, lease, self.mono_us);
        request
    }

    fn record(&mut self, owner: Owner, handle: Handle, floor: u32) -> Event {
        let lease = self.lease_of(handle);
        match self.broker.owned(lease, owner) {
            Some(message) => {
                message.recorded = message.recorded.max(floor) + 1;
                let attempt = message.recorded;
                Event::AttemptRecorded { handle, attempt }
            }
            None => Event::LeaseLost { handle },
        }
    }

    fn settle(&mut self, owner: Owner, handle: Handle, ending: Ending) -> Event {
        let lease = self.lease_of(handle);
        let message = &mut self.broker.messages[lease.message];
        let is_early = message.place == Place::AckedEarly(owner) && message.epoch == lease.epoch;
        if is_early {
            message.place = Place::Done;
            return Event::Settled { handle };
        }
        let Some(message) = self.broker.owned(lease, owner) else {
            return Event::LeaseLost { handle };
        };
        match ending {
            Ending::EarlyAck => message.place = Place::AckedEarly(owner),
            Ending::AsReported { .. } | Ending::Expired | Ending::TimeLimit { .. } => {
                message.place = Place::Done;
            }
            Ending::Unknown | Ending::WorkerLost { .. } => message.place = Place::Dead,
            Ending::Park { until_ms } => message.place = Place::Parked(until_ms),
            Ending::Return => {
                message.returns += 1;
                self.broker.requeue(lease.message, false);
                self.wake();
            }
            Ending::Redeliver => {
                message.excused += 1;
                self.broker.requeue(lease.message, true);
                self.wake();
            }
        }
        Event::Settled { handle }
    }

    fn lease_of(&self, handle: Handle) -> Lease {
        let worker = self.worker.as_ref().expect("its operation arrived");
        worker.audit.lease_of(handle)
    }
}
