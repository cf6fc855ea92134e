//! The model driver: feeds facts to the engine, carries its actions out, and speaks with the model broker. Like the
//! real one it repeats what was not answered, reports trouble when the first operation fails and its end when the
//! first one succeeds, and reads back what a fetch took whose answer was lost.

use super::broker::{self, Lease, Owner, Place};
use super::child::Child;
use super::faults::Fault;
use super::lanes::Haul;
use super::matrix::Column;
use super::plan::Deed;
use super::watch::has_full_house;
use super::world::{Coming, World};
use crate::action::{Action, Ask, Ending, Portion};
use crate::admit::Quota;
use crate::event::{Acquired, ChildId, Drawn, Event, Handle, Outcome, Request};

/// Something on its way to the broker.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Fetch(u32, Vec<Portion>),
    Settle(Handle, Lease, Ending, Option<Outcome>),
    Record(Handle, Lease, u32),
    Acquire(Vec<(Ask, Vec<Lease>)>),
    Draw(u32, Vec<Quota>, Vec<Portion>),
}

/// What the broker says.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Brought(Vec<Lease>),
    Drawn(Haul),
    Fact(Event),
}

/// Before an operation that failed is tried again, at most (`mono_us`).
const PAUSE_US: u64 = 50_000;
/// The longest that an answer is delayed by an accident.
const LONG_DELAY_US: u64 = 800_000;

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
        worker.audit.know_cells(worker.engine.cells());
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
            if matches!(event, Event::ChildExited { .. }) {
                let worker = self.workers.get_mut(&owner).expect("it has a child");
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
                worker.children.insert(child, Child::new(child, self.plan.config.slots));
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
            self.spare(owner, child, number);
        }
        self.news_from(owner, child);
    }

    /// A worker hears that a message is revoked. Once it has answered, no child of its may start it any more.
    pub(super) fn revoke(&mut self, owner: Owner, message: usize, terminate: Option<i32>) -> Result<(), String> {
        let Some(worker) = self.workers.get(&owner) else {
            return Ok(());
        };
        let handles = worker.audit.handles_of(message);
        // Written down at the broker before anybody is told: what is fetched from now on comes revoked.
        self.revoked.insert(message);
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

    /// An operation arrives at the broker, or does not.
    pub(super) fn reach_broker(&mut self, owner: Owner, op: Op) -> Result<(), String> {
        let Some(worker) = self.workers.get(&owner) else {
            // The worker died just after it had sent this.
            if self.is_broker_up && self.rng.chance(50) {
                self.apply(owner, &op);
            }
            return Ok(());
        };
        let connection = worker.connection;
        if !self.is_broker_up || !worker.is_connected {
            return self.unanswered(owner, op, Vec::new());
        }
        let fault = self.armed_op.take();
        if let Some(fault) = fault {
            let column = match op {
                Op::Fetch(..) => Some(Column::Queued),
                Op::Draw(..) => Some(Column::Laned),
                Op::Acquire(_) => Some(Column::Asking),
                Op::Settle(handle, ..) | Op::Record(handle, ..) => self.column_of_handle(owner, handle),
            };
            column.into_iter().for_each(|column| self.hits.add(fault, column));
        }
        if fault == Some(Fault::RequestLost) {
            return self.unanswered(owner, op, Vec::new());
        }
        let mut answer = self.apply(owner, &op);
        if fault == Some(Fault::Repeated) {
            answer = match (answer, self.apply(owner, &op)) {
                (Answer::Brought(first), Answer::Brought(second)) => {
                    // Tags are chosen by the client: what is taken twice is handed out with the next fetch.
                    let worker = self.workers.get_mut(&owner).expect("looked at above");
                    worker.lost_fetches.extend(second);
                    Answer::Brought(first)
                }
                (Answer::Drawn(first), Answer::Drawn(second)) => {
                    let worker = self.workers.get_mut(&owner).expect("looked at above");
                    worker.lost_fetches.extend(second.leases);
                    Answer::Drawn(first)
                }
                (_, second) => second,
            };
        }
        if fault == Some(Fault::AnswerLost) {
            return self.unanswered(owner, op, brought(answer));
        }
        let longest_us = if fault == Some(Fault::AnswerDelayed) { LONG_DELAY_US } else { self.plan.slowness_us };
        let at_us = self.mono_us + self.rng.range(1, longest_us);
        self.at(at_us, Coming::Answered(owner, connection, op, answer));
        Ok(())
    }

    /// What an operation does at the broker, all in one step, and what the broker says to it.
    fn apply(&mut self, owner: Owner, op: &Op) -> Answer {
        match *op {
            Op::Fetch(max, ref portions) => {
                let mut leases = Vec::new();
                if let Some(worker) = self.workers.get_mut(&owner) {
                    let most = worker.lost_fetches.len().min(max as usize);
                    let adopted = worker.lost_fetches.drain(..most);
                    leases.extend(adopted.filter(|&lease| self.broker.owned(lease, owner).is_some()));
                }
                let more = max - leases.len() as u32;
                leases.extend(self.broker.fetch(owner, more, portions));
                Answer::Brought(leases)
            }
            Op::Settle(handle, lease, ref ending, outcome) => {
                let was_early = self.broker.messages[lease.message].place == Place::AckedEarly(owner);
                let is_repeated_ack = was_early && *ending == Ending::EarlyAck;
                let is_done = is_repeated_ack || self.broker.settle(owner, lease, ending, outcome, self.true_wall_ms());
                let message = &mut self.broker.messages[lease.message];
                if message.place == Place::AckedEarly(owner) && !self.workers.contains_key(&owner) {
                    message.place = Place::LostByChoice;
                }
                if is_done
                    && (outcome == Some(Outcome::Retry)
                        || matches!(ending, Ending::Return | Ending::Redeliver | Ending::Requeue))
                {
                    self.wake();
                }
                let is_unconditional = broker::is_acked(ending) || self.is_plain(ending, outcome);
                Answer::Fact(if is_done || is_unconditional {
                    Event::Settled { handle }
                } else {
                    Event::LeaseLost { handle }
                })
            }
            Op::Acquire(ref asks) => {
                let mut answer = Acquired::default();
                for (ask, leases) in asks {
                    let leases: Vec<_> = ask.handles.iter().copied().zip(leases.iter().copied()).collect();
                    self.broker.acquire(owner, ask, &leases, &mut answer);
                }
                Answer::Fact(Event::Acquired(answer))
            }
            Op::Draw(max, ref quotas, ref portions) => Answer::Drawn(self.broker.draw(owner, max, quotas, portions)),
            Op::Record(handle, lease, floor) => {
                if self.broker.owned(lease, owner).is_none() {
                    return Answer::Fact(Event::LeaseLost { handle });
                }
                let message = &mut self.broker.messages[lease.message];
                message.recorded = message.recorded.max(floor) + 1;
                Answer::Fact(Event::AttemptRecorded { handle, attempt: message.recorded })
            }
        }
    }

    /// An acknowledgement that does not show when it is repeated, on a broker that therefore does not look.
    fn is_plain(&self, ending: &Ending, outcome: Option<Outcome>) -> bool {
        let is_plain = matches!(outcome, Some(Outcome::Success | Outcome::Ignore));
        self.plan.confirms_blindly && is_plain && matches!(ending, Ending::AsReported { .. })
    }

    /// An operation got lost, or its answer did: trouble, and it is tried again. `leases`: what it fetched, unheard.
    fn unanswered(&mut self, owner: Owner, op: Op, leases: Vec<Lease>) -> Result<(), String> {
        let pause_us = self.rng.range(1, PAUSE_US);
        let now_us = self.mono_us;
        let Some(worker) = self.workers.get_mut(&owner) else {
            return Ok(());
        };
        worker.lost_fetches.extend(leases);
        let is_connected = worker.is_connected;
        let lost = match op {
            Op::Fetch(..) => Some(Event::FetchFailed),
            Op::Draw(..) => Some(Event::DrawFailed),
            _ => None,
        };
        match op {
            Op::Fetch(..) | Op::Draw(..) => {}
            op if is_connected => self.at(now_us + pause_us, Coming::AtBroker(owner, op)),
            op => worker.stalled.push_back(op),
        }
        self.trouble(owner)?;
        if let Some(lost) = lost {
            self.feed(owner, lost)?;
        }
        Ok(())
    }

    /// The first operation failed.
    fn trouble(&mut self, owner: Owner) -> Result<(), String> {
        let worker = self.workers.get_mut(&owner);
        let is_news = worker.is_some_and(|worker| !std::mem::replace(&mut worker.is_in_trouble, true));
        if is_news { self.feed(owner, Event::BrokerLost) } else { Ok(()) }
    }

    /// An operation succeeded.
    fn fine(&mut self, owner: Owner) -> Result<(), String> {
        let worker = self.workers.get_mut(&owner);
        let is_news = worker.is_some_and(|worker| std::mem::take(&mut worker.is_in_trouble));
        if is_news { self.feed(owner, Event::BrokerBack) } else { Ok(()) }
    }

    /// The broker's answer arrives, unless the connection broke meanwhile.
    pub(super) fn answered(&mut self, owner: Owner, connection: u32, op: Op, answer: Answer) -> Result<(), String> {
        let is_heard = self.workers.get(&owner).is_some_and(|worker| worker.connection == connection);
        if !is_heard {
            return self.unanswered(owner, op, brought(answer));
        }
        self.fine(owner)?;
        match answer {
            Answer::Fact(event) => self.feed(owner, event),
            Answer::Brought(leases) => {
                if !self.workers.contains_key(&owner) {
                    return Ok(());
                }
                let requests = leases.into_iter().map(|lease| self.take_in(owner, lease, false)).collect();
                self.feed(owner, Event::Delivered(requests))
            }
            Answer::Drawn(haul) => {
                if !self.workers.contains_key(&owner) {
                    return Ok(());
                }
                let requests = haul.leases.into_iter().map(|lease| self.take_in(owner, lease, true)).collect();
                let (next_in_us, has_more) = (haul.next_in_us, haul.has_more);
                self.feed(owner, Event::Drawn(Drawn { requests, next_in_us, has_more }))
            }
        }
    }

    /// The connection breaks. `is_noticed`: at once.
    pub(super) fn lose_connection(&mut self, owner: Owner, is_noticed: bool) -> Result<(), String> {
        let Some(worker) = self.workers.get_mut(&owner) else {
            return Ok(());
        };
        worker.is_connected = false;
        worker.connection += 1;
        if is_noticed { self.trouble(owner) } else { Ok(()) }
    }

    /// A new connection: what waited for it is sent, in any order.
    pub(super) fn connects(&mut self, owner: Owner) {
        if !self.is_broker_up {
            return;
        }
        let worker = self.workers.get_mut(&owner).expect("the caller looked");
        worker.is_connected = true;
        worker.connection += 1;
        worker.absent_since.clear();
        for op in std::mem::take(&mut worker.stalled) {
            self.soon(Coming::AtBroker(owner, op));
        }
        self.soon(Coming::Fact(owner, Event::Wake));
    }

    /// Three times in a life: the leases are refreshed, or it is found out that they could not be.
    pub(super) fn beat(&mut self, owner: Owner) -> Result<(), String> {
        let (life_us, now_us) = (self.plan.life_us, self.mono_us);
        self.at(now_us + life_us / 3, Coming::Beat(owner));
        let worker = self.workers.get_mut(&owner).expect("the caller looked");
        let connection = worker.connection;
        if self.is_broker_up && worker.is_connected {
            self.broker.beats.insert(owner, now_us);
            if self.broker.has_forgotten {
                for lease in worker.audit.leases().chain(worker.lost_fetches.iter().copied()) {
                    if let Some(message) = self.broker.owned(lease, owner) {
                        message.refreshed_us = now_us;
                    }
                }
            }
            self.soon(Coming::BeatDone(owner, connection));
        } else {
            self.trouble(owner)?;
        }
        let Some(worker) = self.workers.get(&owner) else {
            return Ok(());
        };
        if !worker.is_at_risk && now_us - worker.refreshed_us > life_us * 2 / 3 {
            return self.at_risk(owner);
        }
        Ok(())
    }

    /// The engine is told to start nothing more.
    pub(super) fn at_risk(&mut self, owner: Owner) -> Result<(), String> {
        self.workers.get_mut(&owner).expect("the caller looked").is_at_risk = true;
        self.feed(owner, Event::LeaseAtRisk)
    }

    /// The leases are refreshed; the worker looks after those of the dead.
    pub(super) fn beat_done(&mut self, owner: Owner, connection: u32) -> Result<(), String> {
        let now_us = self.mono_us;
        let worker = self.workers.get_mut(&owner).expect("the caller looked");
        if worker.connection != connection {
            return Ok(());
        }
        worker.refreshed_us = now_us;
        let was_at_risk = worker.is_at_risk;
        // What an answer brings that is still out is looked after with the next beat.
        worker.is_at_risk &= worker.engine.is_awaiting();
        let is_at_risk = worker.is_at_risk;
        self.fine(owner)?;
        if was_at_risk {
            self.look_after_leases(owner)?;
        }
        if was_at_risk && !is_at_risk {
            self.feed(owner, Event::LeaseSafe)?;
        }
        self.recover_dead(owner);
        Ok(())
    }

    /// What others have recovered meanwhile is not ours to start.
    fn look_after_leases(&mut self, owner: Owner) -> Result<(), String> {
        let Some(worker) = self.workers.get(&owner) else { return Ok(()) };
        let unasked: Vec<Handle> = worker.engine.unasked().collect();
        for handle in unasked {
            // It may have died of what the last one led to.
            let Some(worker) = self.workers.get(&owner) else { return Ok(()) };
            let lease = worker.audit.lease_of(handle);
            if self.broker.owned(lease, owner).is_none() {
                self.feed(owner, Event::LeaseLost { handle })?;
            }
        }
        Ok(())
    }

    /// A recoverer acts on an owner that it saw absent for a full life, on one connection.
    fn recover_dead(&mut self, owner: Owner) {
        let (life_us, now_us) = (self.plan.life_us, self.mono_us);
        let Some(worker) = self.workers.get_mut(&owner) else {
            return;
        };
        let is_absent = |&(&other, &beat_us): &(&Owner, &u64)| other != owner && now_us - beat_us > life_us;
        let absent: Vec<Owner> = self.broker.beats.iter().filter(is_absent).map(|(&other, _)| other).collect();
        worker.absent_since.retain(|other, _| absent.contains(other));
        let mut dead = Vec::new();
        for other in absent {
            let since_us = *worker.absent_since.entry(other).or_insert(now_us);
            if now_us - since_us >= life_us {
                dead.push(other);
            }
        }
        for other in &dead {
            self.tell(|| format!("worker {owner} recovers what worker {other} held"));
            self.broker.recover(*other);
        }
        let mut is_moved = !dead.is_empty();
        if self.broker.has_forgotten {
            // The visibility timeout: the last resort for leases whose owners do not know of them.
            is_moved |= self.broker.sweep(now_us.saturating_sub(5 * life_us));
        }
        if is_moved {
            self.wake();
        }
    }

    fn take_in(&mut self, owner: Owner, lease: Lease, is_drawn: bool) -> Request {
        let (now_us, broker) = (self.mono_us, &self.broker);
        let message = &broker.messages[lease.message];
        let worker = self.workers.get_mut(&owner).expect("it fetched");
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
            key: letter.key,
            is_drawn,
            size: letter.size,
            is_revoked: self.revoked.contains(&lease.message),
        };
        worker.audit.lease(&request, lease, now_us);
        request
    }
}

fn brought(answer: Answer) -> Vec<Lease> {
    match answer {
        Answer::Brought(leases) | Answer::Drawn(Haul { leases, .. }) => leases,
        Answer::Fact(_) => Vec::new(),
    }
}
