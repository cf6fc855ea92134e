//! The lives of leases: heartbeats, leases at risk, and the recovery of what the dead held.

use super::broker::Owner;
use super::world::{Coming, World};
use crate::event::{Event, Handle};

impl World {
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
}
