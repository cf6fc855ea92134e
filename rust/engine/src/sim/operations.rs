//! What the model driver asks the model broker. Like the real one it repeats what was not answered, reports trouble when
//! the first operation fails and its end when the first one succeeds, and reads back what a fetch took whose answer was
//! lost.

use super::broker::{self, Lease, Owner, Place};
use super::faults::Fault;
use super::lanes::Haul;
use super::matrix::Column;
use super::world::{Coming, World};
use crate::action::{Ask, Ending, Portion};
use crate::admit::Quota;
use crate::event::{Acquired, Drawn, Event, Handle, Outcome, Request};

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
    /// By a fetch; whether there was more.
    Brought(Vec<Lease>, bool),
    Drawn(Haul),
    Fact(Event),
}

/// Before an operation that failed is tried again, at most (`mono_us`).
const PAUSE_US: u64 = 50_000;
/// The longest that an answer is delayed by an accident.
const LONG_DELAY_US: u64 = 800_000;

impl World {
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
                (Answer::Brought(first, has_more), Answer::Brought(second, _)) => {
                    // Tags are chosen by the client: what is taken twice is handed out with the next fetch.
                    let worker = self.workers.get_mut(&owner).expect("looked at above");
                    worker.lost_fetches.extend(second);
                    Answer::Brought(first, has_more)
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
                let wanted = max - leases.len() as u32;
                let most = if self.plan.brings_some { wanted.div_ceil(2) } else { wanted };
                let (fetched, has_more) = self.broker.fetch(owner, most, portions);
                leases.extend(fetched);
                Answer::Brought(leases, has_more)
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
    pub(super) fn trouble(&mut self, owner: Owner) -> Result<(), String> {
        let worker = self.workers.get_mut(&owner);
        let is_news = worker.is_some_and(|worker| !std::mem::replace(&mut worker.is_in_trouble, true));
        if is_news { self.feed(owner, Event::BrokerLost) } else { Ok(()) }
    }

    /// An operation succeeded.
    pub(super) fn fine(&mut self, owner: Owner) -> Result<(), String> {
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
            Answer::Brought(leases, has_more) => {
                if has_more && self.workers.contains_key(&owner) {
                    self.feed(owner, Event::More)?;
                }
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
        if !worker.unheard_revokes.is_empty() {
            self.soon(Coming::Revokes(owner));
        }
        let worker = self.workers.get_mut(&owner).expect("the caller looked");
        for op in std::mem::take(&mut worker.stalled) {
            self.soon(Coming::AtBroker(owner, op));
        }
        self.soon(Coming::Fact(owner, Event::Wake));
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
        Answer::Brought(leases, _) | Answer::Drawn(Haul { leases, .. }) => leases,
        Answer::Fact(_) => Vec::new(),
    }
}
