//! What the rest of the simulator asks the auditor: where a delivery is, what could run, what is late.

use super::*;

impl Audit {
    /// The lease behind a handle.
    pub(in crate::sim) fn lease_of(&self, handle: Handle) -> Lease {
        self.entries[&handle].lease
    }

    /// The handle of a lease, if it may be told lost unasked.
    pub(in crate::sim) fn unasked(&self, lease: Lease) -> Option<Handle> {
        self.entries
            .iter()
            .find(|(_, entry)| {
                entry.lease == lease && !entry.is_acked && matches!(entry.stage, Stage::Held | Stage::AtChild(..))
            })
            .map(|(&handle, _)| handle)
    }

    /// Whether a child does.
    pub(in crate::sim) fn is_cell(&self, child: ChildId) -> bool {
        self.cells.contains(&child)
    }

    /// Whether a child may be given what is not a suspect: it is no cell, and has not been given its last task.
    pub(in crate::sim) fn takes_any(&self, child: ChildId) -> bool {
        let most = self.config.max_tasks_per_child.unwrap_or(u32::MAX);
        let is_spent = |seat: &Seat| seat.is_outgrown || seat.ran + seat.open.len() as u32 >= most;
        // With one slot such a child is not idle before it is told to exit.
        let is_leaving = self.config.slots > 1 && self.children.get(&child).is_some_and(is_spent);
        !self.is_cell(child) && !is_leaving
    }

    /// What a child has that was killed because another of its tasks went on.
    pub(in crate::sim) fn neighbours_of_killed(&self, child: ChildId) -> Vec<Handle> {
        let Some(seat) = self.children.get(&child) else { return Vec::new() };
        let is_beside = |number: &Number| seat.is_killed_for_one && !seat.told.contains_key(number);
        let beside = seat.open.iter().filter(|(number, _)| is_beside(number));
        let meant = |unit: &Unit, handle: Handle| !self.is_spared(unit, handle);
        beside.flat_map(|(_, unit)| unit.handles.iter().copied().filter(move |&handle| meant(unit, handle))).collect()
    }

    /// Those of batches that its process had begun which end with it for another one's sake, which was terminated.
    pub(in crate::sim) fn spared_by_exit(&self, child: ChildId, next: Number) -> Vec<Handle> {
        let numbers = self.children.get(&child).into_iter().flat_map(|seat| seat.open.range(..next));
        numbers.flat_map(|(&number, _)| self.spared_in(child, number)).collect()
    }

    /// Those of a batch that end for another one's sake, which was terminated.
    pub(in crate::sim) fn spared_in(&self, child: ChildId, number: Number) -> Vec<Handle> {
        let unit = self.children.get(&child).and_then(|seat| seat.open.get(&number));
        let handles = unit.into_iter().flat_map(|unit| unit.handles.iter().map(move |handle| (unit, *handle)));
        handles.filter(|(unit, handle)| self.is_spared(unit, *handle)).map(|(_, handle)| handle).collect()
    }

    /// Whether a delivery of a number where one was terminated is another one.
    pub(super) fn is_spared(&self, unit: &Unit, handle: Handle) -> bool {
        unit.is_batch && unit.is_terminated && !self.entries[&handle].must_be_terminated
    }

    /// How many children may work at once.
    pub(in crate::sim) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// The handles of a message that a revoke can be about.
    pub(in crate::sim) fn handles_of(&self, message: usize) -> Vec<Handle> {
        let is_it = |entry: &Entry| entry.lease.message == message;
        self.entries.iter().filter(|(_, entry)| is_it(entry)).map(|(&handle, _)| handle).collect()
    }

    /// The handle under which a lease is known here.
    pub(in crate::sim) fn handle_of(&self, lease: Lease) -> Option<Handle> {
        self.entries.iter().find(|(_, entry)| entry.lease == lease).map(|(&handle, _)| handle)
    }

    /// Every lease that is known here.
    pub(in crate::sim) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.entries.values().map(|entry| entry.lease)
    }

    /// What its child said of a delivery.
    pub(in crate::sim) fn reported(&self, handle: Handle) -> Option<Outcome> {
        self.entries.get(&handle).and_then(|entry| entry.reported)
    }

    /// Whether its early acknowledgement is confirmed.
    pub(in crate::sim) fn is_acked(&self, handle: Handle) -> bool {
        self.entries.get(&handle).is_some_and(|entry| entry.is_acked)
    }

    /// Whether it has had credit for one more since `since_us`.
    pub(in crate::sim) fn has_credit_since(&self, since_us: u64) -> bool {
        self.entries.len() < self.seats.prefetch(&self.config) && self.full_until_us < since_us
    }

    /// How many deliveries are held.
    pub(in crate::sim) fn held(&self) -> usize {
        self.entries.len()
    }

    /// A delivery that was at no child since `since_us`, and due at `wall_ms`.
    pub(in crate::sim) fn runnable_since(&self, since_us: u64, wall_ms: i64) -> Option<Handle> {
        // How long suspects wait depends on the cells; that they do not wait for ever shows in the end.
        self.find(|entry| {
            self.had_room_since(entry.request.queue, since_us)
                && entry.waits_since(&self.config, &self.permits, since_us, wall_ms)
                && !self.is_suspect(entry)
        })
    }

    /// Whether it is at work, a suspect, which may wait long for its cell, or a call that waits for others of its batch.
    pub(super) fn has_place(&self, entry: &Entry) -> bool {
        let is_call_of_batch = entry.request.task.is_some_and(|task| self.config.tasks[task as usize].batch.is_some());
        entry.is_at_work() || entry.stage == Stage::Held && (self.is_suspect(entry) || is_call_of_batch)
    }

    /// Whether it might have had one more of a queue since `since_us`.
    pub(in crate::sim) fn had_room_since(&self, queue: u16, since_us: u64) -> bool {
        let at_work = self.entries.values().filter(|entry| entry.request.queue == queue && self.has_place(entry));
        (at_work.count() as u32) < self.lines.limit(queue) && self.lines.had_room_since(queue, since_us)
    }

    /// The same, if others could run it.
    pub(in crate::sim) fn returnable_since(&self, since_us: u64, wall_ms: i64) -> Option<Handle> {
        self.find(|entry| {
            // Who waits for a shared permit here would wait for it there.
            let may_wait = !entry.was_dispatched && !entry.is_permitted && self.is_shared(entry);
            entry.waits_since(&self.config, &self.permits, since_us, wall_ms)
                && entry.stage == Stage::Held
                && !entry.is_acked
                && !self.is_suspect(entry)
                && !may_wait
        })
    }

    /// Whether its task has a limit that all workers share.
    pub(super) fn is_shared(&self, entry: &Entry) -> bool {
        entry.request.task.is_some_and(|task| {
            self.config.tasks[task as usize].rate_scope == Scope::Shared && self.permits[task as usize].is_limited()
        })
    }

    pub(super) fn find(&self, is_wanted: impl Fn(&Entry) -> bool) -> Option<Handle> {
        self.entries.iter().find(|(_, entry)| is_wanted(entry)).map(|(&handle, _)| handle)
    }

    /// Whether new work may start.
    pub(in crate::sim) fn is_at_work(&self) -> bool {
        self.is_broker_up && self.is_lease_safe && self.shutdown.is_none()
    }

    /// Children that were told to be ready and have unfinished tasks.
    pub(in crate::sim) fn busy_children(&self) -> Vec<ChildId> {
        let mut busy: Vec<_> =
            self.children.iter().filter(|(_, seat)| !seat.open.is_empty()).map(|(&child, _)| child).collect();
        busy.sort_unstable();
        busy
    }

    /// Whether this worker looks after the lanes of a task. Others go back to their queues after a minute.
    pub(in crate::sim) fn has_lanes(&self, task: u32) -> bool {
        self.permits[task as usize].is_known()
    }

    /// Whether a worker with an idle child should have drawn a message that is in a lane since `since_us`.
    pub(in crate::sim) fn is_permit_overdue(&self, task: u32, since_us: u64, now_us: u64) -> bool {
        self.permits[task as usize].is_overdue(since_us, now_us)
    }

    /// Whether a shutdown should have turned cold for a while, and what runs still runs.
    pub(in crate::sim) fn is_overdue(&self, now_us: u64) -> bool {
        let is_over = self.cold_at_us.is_some_and(|at_us| at_us + LONGEST_OVERTIME_US <= now_us);
        is_over && self.shutdown < Some(Shutdown::Cold) && self.seats_taken(|seat| !seat.open.is_empty()) > 0
    }
}
