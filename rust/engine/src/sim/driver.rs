//! The model driver: feeds facts to the engine and carries its actions out.

use super::broker::{Lease, Owner, Place};
use super::child::Child;
use super::faults::Fault;
use super::operations::Op;
use super::plan::Deed;
use super::watch::has_full_house;
use super::world::{Coming, World};
use crate::action::Action;
use crate::event::{ChildId, Event, Handle, Outcome};

impl World {
    /// One fact for an engine, and everything that it wants done about it.
    pub(super) fn feed(&mut self, owner: Owner, event: Event) -> Result<(), String> {
        let now = self.now(owner);
        let Some(worker) = self.workers.get_mut(&owner) else {
            return Ok(());
        };
        if has_full_house(worker) {
            // It has been so until now.
            worker.full_house_us = Some(now.mono_us);
        }
        let free = worker.audit.event(&event, now);
        worker.free_handles.extend(free.into_iter().map(|handle| handle.0));
        self.events += 1;
        let is_tick = event == Event::Tick;
        let mut actions = Vec::new();
        if self.story.is_some() && (!actions.is_empty() || !matches!(event, Event::Tick | Event::Observed { .. })) {
            self.tell(|| format!("worker {owner}: {event:?}"));
        }
        let worker = self.workers.get_mut(&owner).expect("looked at above");
        worker.engine.handle(now, event, &mut actions);
        let cells = worker.engine.fleet.children().iter().filter(|child| child.is_cell);
        worker.audit.know_cells(cells.map(|child| child.id).collect());
        for action in actions {
            self.tell(|| format!("  worker {owner} -> {action:?}"));
            let Some(worker) = self.workers.get_mut(&owner) else {
                return Err(format!("last_word: {action:?} after Finished"));
            };
            worker.audit.action(now, &action)?;
            self.carry_out(owner, action)?;
            if self.is_doomed(owner) {
                self.mark_worker(Fault::CrashAtAction, owner);
                self.crash(owner);
                return Ok(());
            }
        }
        let (now_us, most) = (self.mono_us, &self.plan.config);
        let Some(worker) = self.workers.get_mut(&owner) else {
            return Ok(());
        };
        worker.audit.turn_is_over()?;
        if has_full_house(worker) {
            worker.full_house_us = Some(now_us);
        }
        let (held, audited) = (worker.engine.requests.len() as usize, worker.audit.held());
        if held != audited || held > worker.audit.seats().most_held(most) {
            return Err(format!("held_as_expected: {held} held, {audited} expected"));
        }
        if worker.engine.counters.odd > 0 {
            return Err("nothing_odd: the engine found a fact odd".to_owned());
        }
        worker.deadline_us = worker.engine.deadline();
        if is_tick && worker.deadline_us.is_some_and(|due_us| due_us <= now.mono_us) {
            return Err("no_tick_at_once: a Tick asks for a Tick at once".to_owned());
        }
        Ok(())
    }

    fn is_doomed(&mut self, owner: Owner) -> bool {
        let doom = self.workers.get_mut(&owner).and_then(|worker| worker.doom.as_mut());
        doom.is_some_and(|left| {
            let is_over = *left == 0;
            *left = left.saturating_sub(1);
            is_over
        })
    }

    /// The deadline: a tick, and a look at every busy child's page.
    pub(super) fn tick(&mut self, owner: Owner) -> Result<(), String> {
        self.feed(owner, Event::Tick)?;
        let Some(worker) = self.workers.get(&owner) else {
            return Ok(());
        };
        for id in worker.audit.busy_children() {
            let looks_at = self.workers.get(&owner).is_some_and(|worker| worker.engine.looks_at(id, self.mono_us));
            let now_us = self.mono_us;
            if let Some(child) = self.child(owner, id) {
                child.observe(looks_at, now_us);
            }
            if !looks_at {
                self.check_long_runners(owner, id)?;
            }
            if self.rng.chance(70) {
                self.read_child(owner, id)?;
            } else {
                self.news_from(owner, id);
            }
        }
        let overdue = self.workers.get(&owner).is_some_and(|worker| worker.audit.is_overdue(self.mono_us));
        if overdue {
            return Err("shutdown_in_time: a shutdown goes on after its time is over".to_owned());
        }
        self.check_neglect(owner)
    }

    /// Reports everything a child has written, in order.
    pub(super) fn read_child(&mut self, owner: Owner, id: ChildId) -> Result<(), String> {
        while let Some(event) = self.child(owner, id).and_then(|child| child.outbox.pop_front()) {
            if let Event::ChildExited { next, .. } = event {
                let worker = self.workers.get_mut(&owner).expect("it has a child");
                for handle in worker.audit.spared_by_exit(id, next) {
                    let lease = worker.audit.lease_of(handle);
                    self.broker.messages[lease.message].spared += 1;
                }
                worker.children.remove(&id);
            }
            let has_ended = matches!(event, Event::Ended { .. });
            let is_bounded = self.plan.config.max_memory_per_child_kib.is_some();
            let peak_kib = self.child(owner, id).map(|child| child.peak_kib).filter(|_| has_ended && is_bounded);
            if let Some(peak_kib) = peak_kib {
                self.feed(owner, Event::Memory { child: id, peak_kib })?;
            }
            self.feed(owner, event)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, owner: Owner, action: Action) -> Result<(), String> {
        let worker = self.workers.get_mut(&owner).expect("only a living worker acts");
        match action {
            Action::Fetch { max, portions } => {
                self.fetches += 1;
                self.soon(Coming::AtBroker(owner, Op::Fetch(max, portions)));
            }
            Action::Settle { handle, ending } => {
                let (lease, outcome) = (worker.audit.lease_of(handle), worker.audit.reported(handle));
                self.soon(Coming::AtBroker(owner, Op::Settle(handle, lease, ending, outcome)));
            }
            Action::RecordAttempt { handle, floor } => {
                let lease = worker.audit.lease_of(handle);
                self.soon(Coming::AtBroker(owner, Op::Record(handle, lease, floor)));
            }
            Action::Acquire { asks } => {
                let lease_of = |handle: &Handle| worker.audit.lease_of(*handle);
                let asks = asks.into_iter().map(|ask| {
                    let leases = ask.handles.iter().map(lease_of).collect();
                    (ask, leases)
                });
                let asks = asks.collect();
                self.soon(Coming::AtBroker(owner, Op::Acquire(asks)));
            }
            Action::Draw { max, quotas, portions } => {
                self.soon(Coming::AtBroker(owner, Op::Draw(max, quotas, portions)));
            }
            Action::Spawn { child } => {
                worker.children.insert(child, Child::new(child, self.plan.config.slots, self.plan.config.per_child()));
                let from_us = worker.zygote_from_us.max(self.mono_us);
                let delay_us = self.rng.range(1, self.plan.slowness_us);
                self.at(from_us + delay_us, Coming::ChildBorn(owner, child));
            }
            Action::Dispatch { child, first, handles, .. } => {
                let now_us = self.mono_us;
                if let Some(process) = self.child(owner, child) {
                    process.send(first, &handles, now_us);
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::DispatchBatch { child, number, handles } => {
                let now_us = self.mono_us;
                if let Some(process) = self.child(owner, child) {
                    process.send_batch(number, handles, now_us);
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::Recall { child } => {
                // Between the engine's decision and the driver's compare-and-swap the child goes on.
                if self.rng.chance(30) {
                    self.step(owner, child)?;
                }
                if let Some(process) = self.child(owner, child).filter(|it| it.is_alive) {
                    process.recall();
                }
                self.news_from(owner, child);
            }
            Action::SoftLimit { child, number, .. } => return self.soft_limit(owner, child, number),
            Action::Terminate { child, number, .. } => self.terminate(owner, child, number),
            Action::Interrupt { child, number, kind } => {
                if let Some(process) = self.child(owner, child) {
                    process.interrupts.push((number, kind));
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::Kill { child } => {
                // Who dies for another's sake is started once more than counted.
                for handle in worker.audit.neighbours_of_killed(child) {
                    let lease = worker.audit.lease_of(handle);
                    let runs = worker
                        .children
                        .get(&child)
                        .is_some_and(|it| it.runs.iter().any(|it| it.ends.iter().any(|end| end.0 == handle)));
                    self.broker.messages[lease.message].spared += u32::from(runs);
                }
                // A process that is not forked yet cannot be signalled; the order may be lost on it.
                let is_heard = self.rng.chance(50);
                if let Some(process) = self.child(owner, child).filter(|it| it.is_forked || is_heard) {
                    process.die();
                }
                self.news_from(owner, child);
            }
            Action::Stop { child } => {
                if let Some(process) = self.child(owner, child) {
                    process.is_stopping = true;
                }
                self.soon(Coming::ChildStep(owner, child));
            }
            Action::TimeIsUp | Action::DumpStacks { .. } | Action::Locate { .. } | Action::Blocked { .. } => {}
            Action::Finished => return self.finished(owner),
        }
        Ok(())
    }

    /// The worker closes its connection: what it fetched and never heard of goes back. Nothing else may be left.
    fn finished(&mut self, owner: Owner) -> Result<(), String> {
        let worker = self.workers.remove(&owner).expect("only a living worker finishes");
        self.counters.add(&worker.engine.stats().counters);
        for index in self.broker.held_by(owner).into_iter().rev() {
            let message = &self.broker.messages[index];
            let lease = Lease { message: index, epoch: message.epoch };
            let is_unheard_of = worker.lost_fetches.contains(&lease) || message.forgotten > 0;
            if !is_unheard_of || matches!(message.place, Place::AckedEarly(_)) {
                return Err(format!("leaves_nothing: worker {owner} finished and left message {index} behind"));
            }
            self.broker.requeue(index, message.forgotten > 0);
        }
        self.broker.beats.remove(&owner);
        self.soon(Coming::Restart);
        Ok(())
    }

    fn soft_limit(&mut self, owner: Owner, child: ChildId, number: u32) -> Result<(), String> {
        let now_us = self.mono_us;
        let reacts = self.rng.chance(60);
        let Some(process) = self.child(owner, child) else {
            return Ok(());
        };
        if let Some(run) = process.runs.iter_mut().find(|run| run.number == number)
            && reacts
        {
            run.deed = Deed::Ends(Outcome::Failure);
            run.ends.iter_mut().for_each(|end| end.1 = Outcome::Failure);
            run.until_us = now_us;
            return self.step(owner, child);
        }
        Ok(())
    }

    /// The signal of a revoke: a task with a handler of its own may live on.
    fn terminate(&mut self, owner: Owner, child: ChildId, number: u32) {
        let dies = self.rng.chance(70);
        if let Some(process) = self.child(owner, child)
            && dies
            && process.runs.iter().any(|run| run.number == number)
        {
            process.die();
        }
        self.news_from(owner, child);
    }

    /// A worker that was cut off is connected again, and hears what was revoked meanwhile.
    pub(super) fn catch_up(&mut self, owner: Owner) -> Result<(), String> {
        let Some(worker) = self.workers.get_mut(&owner).filter(|worker| worker.is_connected) else {
            return Ok(());
        };
        for (message, terminate) in std::mem::take(&mut worker.unheard_revokes) {
            if self.workers.contains_key(&owner) {
                self.mark_worker(Fault::Revoke, owner);
            }
            self.revoke(owner, message, terminate)?;
        }
        Ok(())
    }

    /// A worker hears that a message is revoked. Once it has answered, no child of its may start it any more.
    pub(super) fn revoke(&mut self, owner: Owner, message: usize, terminate: Option<i32>) -> Result<(), String> {
        let Some(worker) = self.workers.get(&owner) else {
            return Ok(());
        };
        let handles = worker.audit.handles_of(message);
        if !handles.is_empty() {
            self.feed(owner, Event::Revoked { handles, terminate })?;
        }
        let Some(worker) = self.workers.get_mut(&owner) else {
            return Ok(());
        };
        worker.confirmed_revokes.insert(message);
        for id in worker.audit.busy_children() {
            let looks_at = self.workers.get(&owner).is_some_and(|worker| worker.engine.looks_at(id, self.mono_us));
            let now_us = self.mono_us;
            if let Some(child) = self.child(owner, id) {
                child.observe(looks_at, now_us);
            }
            self.read_child(owner, id)?;
        }
        Ok(())
    }
}
