//! Accidents: what they are, and what they do to the world.
//!
//! A new one is a variant of [`Fault`], a line in `Fault::ALL`, and an arm of `World::strike`.

use super::broker::{Lease, Owner, Place};
use super::matrix::Column;
use super::plan::random_rate;
use super::world::{Coming, World};
use crate::event::{ChildId, Event, Resize, Shutdown};

/// An accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A child is killed, whatever it is doing.
    KillChild,
    /// A child that runs something is killed.
    KillBusyChild,
    /// A child that is still starting dies.
    KillStarting,
    /// The zygote dies: with it every child that is still starting; new ones wait for the next zygote.
    ZygoteDies,
    /// The next publisher dies in its call, before the message arrives or after.
    PublisherDies,
    /// The next publisher hears no confirmation and publishes once more.
    PublishTwice,
    /// The broker is away for a while.
    BrokerRestarts,
    /// The broker is away for a while, and comes back without its last second.
    BrokerForgets,
    /// One worker's connection is cut for up to three lives of a lease: long enough to be taken for dead.
    Cut,
    /// The same, and the worker notices only when something is not answered.
    SilentCut,
    /// The next broker operation gets lost on its way there.
    RequestLost,
    /// The next broker operation is carried out, but its answer gets lost: it is asked for again.
    AnswerLost,
    /// The answer to the next broker operation takes up to 0.8 s.
    AnswerDelayed,
    /// The next broker operation arrives twice.
    Repeated,
    /// The driver finds the leases at risk.
    LeaseAtRisk,
    /// Somebody who takes no part here (Celery's restorer) takes one lease away.
    LeaseTaken,
    /// A node's wall clock is set forward, by up to a minute.
    ClockForward,
    /// A node's wall clock is set back, by up to a minute.
    ClockBack,
    /// Somebody resizes a worker's pool.
    Resize,
    /// A task type gets another rate limit in one worker, or none.
    RateLimit,
    /// A queue is cancelled in one worker, and consumed again a little later; or what it has of it is called back.
    QueueCancelled,
    /// A message is revoked, preferably one that a worker has; half of the time what runs is terminated. Workers that are
    /// cut off hear it when they are connected again.
    Revoke,
    /// A supervisor is killed, its children with it, and started again.
    Crash,
    /// The same, right after one of the next actions of its engine.
    CrashAtAction,
    /// A warm shutdown is asked for.
    WarmShutdown,
    /// A soft shutdown is asked for.
    SoftShutdown,
    /// A cold shutdown is asked for.
    ColdShutdown,
}

impl Fault {
    /// All there are.
    pub const ALL: [Fault; 27] = [
        Fault::KillChild,
        Fault::KillBusyChild,
        Fault::KillStarting,
        Fault::ZygoteDies,
        Fault::PublisherDies,
        Fault::PublishTwice,
        Fault::BrokerRestarts,
        Fault::BrokerForgets,
        Fault::Cut,
        Fault::SilentCut,
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::AnswerDelayed,
        Fault::Repeated,
        Fault::LeaseAtRisk,
        Fault::LeaseTaken,
        Fault::ClockForward,
        Fault::ClockBack,
        Fault::Resize,
        Fault::RateLimit,
        Fault::QueueCancelled,
        Fault::Revoke,
        Fault::Crash,
        Fault::CrashAtAction,
        Fault::WarmShutdown,
        Fault::SoftShutdown,
        Fault::ColdShutdown,
    ];
}

impl World {
    /// An accident strikes.
    pub(super) fn strike(&mut self, fault: Fault) -> Result<(), String> {
        self.tell(|| format!("*** {fault:?}"));
        match fault {
            Fault::KillChild => self.kill_some_child(fault, |_| true),
            Fault::KillBusyChild => self.kill_some_child(fault, |child| !child.runs.is_empty()),
            Fault::KillStarting => self.kill_some_child(fault, |child| !child.is_ready),
            Fault::ZygoteDies => self.zygote_dies(fault),
            Fault::PublisherDies | Fault::PublishTwice => self.armed_publish = Some(fault),
            Fault::RequestLost | Fault::AnswerLost | Fault::AnswerDelayed | Fault::Repeated => {
                self.armed_op = Some(fault);
            }
            Fault::BrokerRestarts | Fault::BrokerForgets => return self.broker_goes(fault),
            Fault::Cut | Fault::SilentCut => return self.cut(fault),
            Fault::LeaseAtRisk => {
                if let Some(owner) = self.some_worker() {
                    self.mark_worker(fault, owner);
                    return self.at_risk(owner);
                }
            }
            Fault::LeaseTaken => return self.take_some_lease(fault),
            Fault::ClockForward => self.set_clock(fault, 1),
            Fault::ClockBack => self.set_clock(fault, -1),
            Fault::Resize => return self.resize_some_pool(fault),
            Fault::RateLimit => {
                if let Some(owner) = self.some_worker() {
                    self.mark_worker(fault, owner);
                    let task = self.rng.range(0, self.plan.config.tasks.len() as u64 - 1) as u32;
                    let limit = if self.rng.chance(30) { None } else { random_rate(&mut self.rng) };
                    return self.feed(owner, Event::RateLimit { task, limit });
                }
            }
            Fault::QueueCancelled => return self.cancel_some_queue(fault),
            Fault::Revoke => return self.revoke_some_message(fault),
            Fault::Crash => {
                if let Some(owner) = self.some_worker() {
                    self.mark_worker(fault, owner);
                    self.crash(owner);
                }
            }
            Fault::CrashAtAction => {
                let actions = self.rng.range(0, 8) as u32;
                if let Some(owner) = self.some_worker() {
                    self.workers.get_mut(&owner).expect("just chosen").doom = Some(actions);
                }
            }
            Fault::WarmShutdown => return self.shut_some_down(fault, Shutdown::Warm),
            Fault::SoftShutdown => return self.shut_some_down(fault, Shutdown::Soft),
            Fault::ColdShutdown => return self.shut_some_down(fault, Shutdown::Cold),
        }
        Ok(())
    }

    /// One of the living.
    fn some_worker(&mut self) -> Option<Owner> {
        let owners: Vec<Owner> = self.workers.keys().copied().collect();
        (!owners.is_empty()).then(|| self.rng.pick(&owners))
    }

    fn kill_some_child(&mut self, fault: Fault, is_wanted: impl Fn(&super::child::Child) -> bool) {
        let ids: Vec<(Owner, ChildId)> = self
            .workers
            .iter()
            .flat_map(|(&owner, worker)| worker.children.values().map(move |child| (owner, child)))
            .filter(|(_, child)| child.is_alive && is_wanted(child))
            .map(|(owner, child)| (owner, child.id))
            .collect();
        if !ids.is_empty() {
            let (owner, id) = self.rng.pick(&ids);
            if fault == Fault::KillStarting {
                // It has nothing yet; what its worker holds has to wait longer.
                self.mark_worker(fault, owner);
            } else {
                self.mark_child(fault, owner, id);
            }
            self.child(owner, id).expect("just listed").die();
            self.news_from(owner, id);
        }
    }

    fn zygote_dies(&mut self, fault: Fault) {
        let Some(owner) = self.some_worker() else {
            return;
        };
        self.mark_worker(fault, owner);
        let back_us = self.mono_us + self.rng.range(100, 200_000);
        let worker = self.workers.get_mut(&owner).expect("just chosen");
        worker.zygote_from_us = back_us;
        let starting: Vec<ChildId> =
            worker.children.values().filter(|child| !child.is_ready).map(|child| child.id).collect();
        for id in starting {
            self.child(owner, id).expect("just listed").die();
            self.news_from(owner, id);
        }
    }

    fn broker_goes(&mut self, fault: Fault) -> Result<(), String> {
        if !self.is_broker_up {
            return Ok(());
        }
        self.mark_broker(fault);
        self.is_broker_up = false;
        if fault == Fault::BrokerForgets {
            self.broker.forget();
        }
        let back_us = self.mono_us + self.rng.range(100, 300_000);
        self.at(back_us, Coming::BrokerUp);
        for owner in self.owners() {
            self.lose_connection(owner, true)?;
        }
        Ok(())
    }

    /// The broker is back; the workers connect again one after the other.
    pub(super) fn broker_comes_back(&mut self) {
        self.is_broker_up = true;
        for owner in self.owners() {
            self.soon(Coming::Connects(owner));
        }
    }

    fn cut(&mut self, fault: Fault) -> Result<(), String> {
        let Some(owner) = self.some_worker().filter(|owner| self.workers[owner].is_connected) else {
            return Ok(());
        };
        self.mark_worker(fault, owner);
        let back_us = self.mono_us + self.rng.range(100, 3 * self.plan.life_us);
        self.at(back_us, Coming::Connects(owner));
        self.lose_connection(owner, fault == Fault::Cut)
    }

    fn set_clock(&mut self, fault: Fault, sign: i64) {
        if let Some(owner) = self.some_worker() {
            self.mark_worker(fault, owner);
            let ms = self.rng.range(0, 60_000) as i64;
            self.workers.get_mut(&owner).expect("just chosen").offset_ms += sign * ms;
        }
    }

    fn resize_some_pool(&mut self, fault: Fault) -> Result<(), String> {
        let Some(owner) = self.some_worker() else {
            return Ok(());
        };
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
        let is_shrink = matches!(resize, Resize::Shrink(_));
        if is_shrink && self.workers[&owner].audit.seats().least() <= count as usize {
            return Ok(());
        }
        self.mark_worker(fault, owner);
        self.feed(owner, Event::Resize(resize))
    }

    fn cancel_some_queue(&mut self, fault: Fault) -> Result<(), String> {
        let Some(owner) = self.some_worker() else {
            return Ok(());
        };
        self.mark_worker(fault, owner);
        let index = self.rng.range(0, self.plan.config.queues.len() as u64 - 1);
        let (queue, terms) = (index as u16, self.plan.config.queues[index as usize].clone());
        if self.rng.chance(30) {
            return self.feed(owner, Event::QueueWithdrawn { queue });
        }
        let back_us = self.mono_us + self.rng.range(100, 300_000);
        self.at(back_us, Coming::Fact(owner, Event::QueueOpened { queue, terms }));
        self.feed(owner, Event::QueueClosed { queue })
    }

    fn revoke_some_message(&mut self, fault: Fault) -> Result<(), String> {
        if !self.is_broker_up {
            // Who revokes hears that nobody can be told.
            return Ok(());
        }
        let messages = &self.broker.messages;
        let is_here = |place| matches!(place, Place::Leased(_) | Place::AckedEarly(_));
        let is_open = |place| is_here(place) || matches!(place, Place::Queued | Place::Parked(_));
        let wants_here = self.rng.chance(80);
        let is_wanted = |&index: &usize| {
            let place = messages[index].place;
            if wants_here { is_here(place) } else { is_open(place) }
        };
        let wanted: Vec<usize> = (0..messages.len()).filter(is_wanted).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let index = self.rng.pick(&wanted);
        let terminate = self.rng.chance(50).then_some(15);
        // Written down at the broker before anybody is told: what is fetched from now on comes revoked.
        self.revoked.insert(index);
        for owner in self.owners() {
            let Some(worker) = self.workers.get_mut(&owner) else { continue };
            if worker.is_connected {
                self.mark_worker(fault, owner);
                self.revoke(owner, index, terminate)?;
            } else {
                worker.unheard_revokes.push((index, terminate));
            }
        }
        Ok(())
    }

    fn shut_some_down(&mut self, fault: Fault, kind: Shutdown) -> Result<(), String> {
        match self.some_worker() {
            Some(owner) => {
                self.mark_worker(fault, owner);
                self.feed(owner, Event::Shutdown(kind))
            }
            None => Ok(()),
        }
    }

    /// The supervisor and its children die, with whatever they alone knew; its node starts another one.
    pub(super) fn crash(&mut self, owner: Owner) {
        let Some(worker) = self.workers.remove(&owner) else {
            return;
        };
        self.tell(|| format!("worker {owner} is dead"));
        self.counters.add(&worker.engine.stats().counters);
        for message in &mut self.broker.messages {
            if message.place == Place::AckedEarly(owner) {
                message.place = Place::LostByChoice;
            }
        }
        let again_us = self.mono_us + self.rng.range(100, 50_000);
        self.at(again_us, Coming::Restart);
    }

    /// Somebody else gets one of our messages; sometimes we are told unasked.
    fn take_some_lease(&mut self, fault: Fault) -> Result<(), String> {
        let is_leased = |place| matches!(place, Place::Leased(owner) if self.workers.contains_key(&owner));
        let messages = &self.broker.messages;
        let leased: Vec<_> = (0..messages.len()).filter(|&index| is_leased(messages[index].place)).collect();
        if leased.is_empty() {
            return Ok(());
        }
        let index = self.rng.pick(&leased);
        let message = &mut self.broker.messages[index];
        let Place::Leased(owner) = message.place else { unreachable!("chosen among the leased") };
        let lease = Lease { message: index, epoch: message.epoch };
        message.excused += 1;
        message.was_taken = true;
        let column = self.column_of_lease(owner, lease).unwrap_or(Column::Leased);
        self.hits.add(fault, column);
        if self.rng.chance(50) {
            self.broker.messages[index].place = Place::Done;
        } else {
            self.broker.requeue(index, true);
            self.wake();
        }
        let is_told = self.rng.chance(50);
        match self.workers[&owner].audit.unasked(lease) {
            Some(handle) if is_told => self.feed(owner, Event::LeaseLost { handle }),
            _ => Ok(()),
        }
    }
}
