//! What model children do: they are born, take interrupts, end and start tasks, and go.

use super::broker::Owner;
use super::child::{Child, Frame, Run};
use super::plan::Deed;
use super::world::{Coming, World};
use crate::action::Interrupt;
use crate::event::{ChildId, Event, Handle, Outcome};

impl World {
    pub(super) fn born(&mut self, owner: Owner, id: ChildId) {
        let now_us = self.mono_us;
        let is_stuck = self.mono_us < self.plan.calm_from_us && self.rng.chance(3);
        let Some(child) = self.child(owner, id).filter(|child| child.is_alive) else {
            return;
        };
        child.is_forked = true;
        child.outbox.push_back(Event::ChildForked { child: id });
        if !is_stuck {
            child.is_ready = true;
            child.idle_since_us = now_us;
            child.outbox.push_back(Event::ChildReady { child: id });
        }
        self.news_from(owner, id);
    }

    /// A child does what it can: ends what is over, claims what is next, exits if told to.
    pub(super) fn step(&mut self, owner: Owner, id: ChildId) -> Result<(), String> {
        let now_us = self.mono_us;
        let Some(child) = self.child(owner, id).filter(|child| child.is_alive) else {
            return Ok(());
        };
        if child.is_blocked() && !child.runs.iter().any(|run| run.blocks && run.until_us <= now_us) {
            return Ok(());
        }
        self.obey_interrupts(owner, id);
        let child = self.child(owner, id).expect("looked at above");
        let over: Vec<Run> = child.runs.iter().filter(|run| run.until_us <= now_us).cloned().collect();
        for run in over {
            let child = self.child(owner, id).expect("looked at above");
            match run.deed {
                _ if !child.is_alive => {}
                Deed::Ends(_) | Deed::Retries(_) => child.finish(run.number, None, now_us),
                Deed::Kills | Deed::KillsOnce | Deed::Hangs => child.end(),
            }
            self.news_from(owner, id);
        }
        let child = self.child(owner, id).expect("looked at above");
        if child.is_alive && std::mem::take(&mut child.has_stale_frames) {
            child.outbox.push_back(Event::Awake { child: id });
            self.news_from(owner, id);
        }
        while let Some(frame) = self.child(owner, id).and_then(Child::claim) {
            let number = frame.number;
            let (deed, runtime_us, ends) = self.start_all(owner, id, &frame)?;
            let until_us = if deed == Deed::Hangs { u64::MAX } else { now_us.saturating_add(runtime_us) };
            let blocks = self.plan.config.slots > 1 && self.rng.chance(if deed == Deed::Hangs { 40 } else { 8 });
            // A function may end some calls of its batch long before it returns.
            let early: Vec<Handle> =
                ends.iter().map(|end| end.0).filter(|_| frame.is_batch && self.rng.chance(15)).collect();
            let run = Run { number, since_us: now_us, until_us, deed, blocks, ends, is_batch: frame.is_batch };
            let child = self.child(owner, id).expect("looked at above");
            child.runs.push(run);
            early.iter().for_each(|&handle| child.finish_member(number, handle));
            if !early.is_empty() {
                self.news_from(owner, id);
            }
            if deed != Deed::Hangs {
                self.at(until_us, Coming::ChildStep(owner, id));
            }
        }
        let child = self.child(owner, id).expect("looked at above");
        if child.is_stopping && child.runs.is_empty() {
            child.end();
            self.news_from(owner, id);
        }
        Ok(())
    }

    /// A child with several slots comes to what it was told: a task ends by it, or goes on.
    fn obey_interrupts(&mut self, owner: Owner, id: ChildId) {
        let now_us = self.mono_us;
        let interrupts = std::mem::take(&mut self.child(owner, id).expect("the caller looked").interrupts);
        for (number, kind) in interrupts {
            let obeys = self.rng.chance(75);
            let child = self.child(owner, id).expect("the caller looked");
            if !obeys || !child.runs.iter().any(|run| run.number == number) {
                continue;
            }
            let outcome = match kind {
                Interrupt::SoftLimit { .. } => Outcome::Failure,
                Interrupt::HardLimit => Outcome::TimeLimit,
                Interrupt::Terminate => Outcome::Terminated,
            };
            child.finish(number, Some(outcome), now_us);
            if kind == Interrupt::Terminate {
                self.spare(owner, id, number);
            }
            self.news_from(owner, id);
        }
    }

    /// Those of a batch that end only because another one was terminated: they are started once more than counted.
    fn spare(&mut self, owner: Owner, id: ChildId, number: u32) {
        for handle in self.workers[&owner].audit.spared_in(id, number) {
            let lease = self.workers[&owner].audit.lease_of(handle);
            self.broker.messages[lease.message].spared += 1;
        }
    }

    /// Starts what was sent under one number: what happens, for how long it runs, and how each ends.
    #[allow(clippy::type_complexity)]
    fn start_all(
        &mut self,
        owner: Owner,
        id: ChildId,
        frame: &Frame,
    ) -> Result<(Deed, u64, Vec<(Handle, Outcome)>), String> {
        let (mut what, mut total_us, mut ends) = (Deed::Ends(Outcome::Success), 0, Vec::new());
        for &handle in &frame.handles {
            let (deed, runtime_us) = self.start(owner, id, frame.number, handle)?;
            total_us += runtime_us;
            let outcome = match deed {
                Deed::Ends(outcome) => outcome,
                Deed::Retries(1..) => Outcome::Retry,
                Deed::Retries(0) | Deed::Kills | Deed::KillsOnce | Deed::Hangs => Outcome::Success,
            };
            // The process dies of whichever kills it, and hangs if nothing does.
            what = match (what, deed) {
                (Deed::Kills | Deed::KillsOnce, _) => what,
                (_, Deed::Kills | Deed::KillsOnce | Deed::Hangs) => deed,
                _ => what,
            };
            // What kills or hangs has no end of its own.
            ends.push((handle, outcome));
        }
        Ok((what, total_us, ends))
    }

    /// A child starts the task of a delivery: what it is going to do, and for how long.
    fn start(&mut self, owner: Owner, id: ChildId, number: u32, handle: Handle) -> Result<(Deed, u64), String> {
        let worker = &self.workers[&owner];
        let lease = worker.audit.lease_of(handle);
        if worker.confirmed_revokes.contains(&lease.message) {
            return Err(format!("start_after_revoke: message {} starts after its revoke was confirmed", lease.message));
        }
        if !worker.audit.is_acked(handle) {
            self.check_start(worker, lease)?;
        }
        self.tell(|| format!("  worker {owner} {id:?} starts its number {number}: message {}", lease.message));
        let message = &mut self.broker.messages[lease.message];
        message.starts += 1;
        message.started_us.get_or_insert(self.mono_us);
        let deed = match message.letter.deed {
            Deed::KillsOnce if message.starts > 1 => Deed::Ends(Outcome::Success),
            Deed::Ends(Outcome::Reject { requeue: true }) if message.starts > 1 => Deed::Ends(Outcome::Success),
            deed => deed,
        };
        Ok((deed, message.letter.runtime_us))
    }
}
