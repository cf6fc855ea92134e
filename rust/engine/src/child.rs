//! One child process as the engine knows it: the ledger of its numbers, and how much work lies there.
//!
//! ```text
//!        first                    claimed                 next_number
//!   ──────┼─────────────────────────┼───────────────────────┼──────▶ numbers
//!  closed │ ended, or running       │ handed over, may be   │ not given out yet
//!         │ (the last one claimed)  │ recalled              │
//! ```
//!
//! Numbers wrap at 2^32 and are only ever compared by distance.

use std::collections::VecDeque;

use crate::event::{ChildId, Handle, Number};

/// What kind of life the process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asked for, not connected yet.
    Starting,
    /// Takes tasks.
    Ready,
    /// Connected, and waits for one that leaves to make room for it.
    Spare,
    /// Told to exit.
    Stopping,
    /// SIGKILL is under way.
    Killed,
}

/// What a child could be given now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// It has enough, or may not be given anything.
    Nothing,
    /// More of the same, before it runs dry.
    More,
    /// It is idle.
    Anything,
}

/// One number of the ledger.
#[derive(Clone, Copy, Debug)]
struct Entry {
    handle: Handle,
    cost_us: u32,
    bytes: u32,
    /// False once it ended or was recalled.
    is_open: bool,
}

/// The task that runs, as the control page said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Its number.
    pub(crate) number: Number,
    /// Since when (`mono_us`).
    pub(crate) since_us: u64,
    /// The soft-limit signal was sent for it.
    pub(crate) is_soft_sent: bool,
    /// Its stacks were asked for.
    pub(crate) is_dumped: bool,
}

/// A task that was sent the signal of a revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminating {
    /// Its number.
    pub(crate) number: Number,
    /// The signal.
    pub(crate) signal: i32,
    /// When its process is killed if it still lives (`mono_us`).
    pub(crate) kill_at_us: u64,
}

/// One child process.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its name for ever.
    pub(crate) id: ChildId,
    /// Where it is in its life.
    pub(crate) phase: Phase,
    /// `Action::Recall` is out.
    pub(crate) is_recalling: bool,
    /// Since when it has been starting, with a process, or stopping (`mono_us`).
    pub(crate) since_us: Option<u64>,
    /// How many more tasks it may be given.
    pub(crate) allowance: u64,
    /// Its peak memory is beyond its bound: it leaves.
    pub(crate) is_outgrown: bool,
    /// Its peak memory is near its bound: a successor had better be ready.
    pub(crate) is_growing: bool,
    /// There are more children than there should be, and this one leaves.
    pub(crate) is_surplus: bool,
    /// It has a task that must have the child for itself.
    pub(crate) is_exclusive: bool,
    /// Idle on purpose: this delivery gets it as soon as the broker has confirmed its attempt or acknowledgement.
    pub(crate) reserved_for: Option<Handle>,
    /// What its page said to be running.
    pub(crate) running: Option<Running>,
    /// Number and limit (ms) of the task whose hard limit got it killed.
    pub(crate) over_limit: Option<(Number, u64)>,
    /// One of its tasks is revoked, and to be terminated as soon as the page says that it runs.
    pub(crate) has_revoked: bool,
    /// Its running task was sent the signal of a revoke: the child gets nothing more, and does not outlive the task.
    pub(crate) terminating: Option<Terminating>,
    /// Since when its foremost task has been the foremost (`mono_us`): a bound on how long it has been running.
    pub(crate) busy_since_us: u64,
    /// When the next time limit of the running task is over (`mono_us`), once it was seen running.
    pub(crate) limit_due_us: Option<u64>,
    /// The shortest time limit among its tasks, in microseconds; kept until it is idle.
    pub(crate) shortest_limit_us: Option<u64>,
    /// What the fleet has it counted for.
    pub(crate) want: Want,
    first: Number,
    claimed: Number,
    entries: VecDeque<Entry>,
    open: u32,
    backlog_us: u64,
    backlog_bytes: u64,
    refill_below_us: u64,
}

impl Child {
    /// A child that was just asked for.
    pub(crate) fn new(id: ChildId, allowance: u64) -> Child {
        Child {
            id,
            phase: Phase::Starting,
            is_recalling: false,
            since_us: None,
            allowance,
            is_outgrown: false,
            is_growing: false,
            is_surplus: false,
            is_exclusive: false,
            reserved_for: None,
            running: None,
            over_limit: None,
            has_revoked: false,
            terminating: None,
            busy_since_us: 0,
            limit_due_us: None,
            shortest_limit_us: None,
            want: Want::Nothing,
            first: 0,
            claimed: 0,
            entries: VecDeque::new(),
            open: 0,
            backlog_us: 0,
            backlog_bytes: 0,
            refill_below_us: 0,
        }
    }

    /// The number that the next task gets.
    pub(crate) fn next_number(&self) -> Number {
        self.first.wrapping_add(self.entries.len() as u32)
    }

    /// Tasks that have not ended here.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// Whether it gets nothing more, and is told to exit once it is idle.
    pub(crate) fn is_leaving(&self) -> bool {
        self.allowance == 0 || self.is_outgrown || self.is_surplus
    }

    /// Whether it takes tasks and goes on taking them.
    pub(crate) fn is_staying(&self) -> bool {
        self.phase == Phase::Ready && !self.is_leaving()
    }

    /// Whether more may be dispatched now. Half of the last window must be used up first, so that refills are batches.
    pub(crate) fn has_room(&self) -> bool {
        self.is_staying()
            && !self.is_recalling
            && self.reserved_for.is_none()
            && self.terminating.is_none()
            && (self.is_idle() || (!self.is_exclusive && self.waiting_us() < self.refill_below_us))
    }

    /// Expected microseconds of all its work, the foremost task included.
    pub(crate) fn backlog_us(&self) -> u64 {
        self.backlog_us
    }

    /// Bytes of all its tasks.
    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// Adds a task at the end.
    pub(crate) fn assign(&mut self, handle: Handle, cost_us: u32, bytes: u32, now_us: u64) {
        if self.is_idle() {
            self.busy_since_us = now_us;
        }
        self.entries.push_back(Entry { handle, cost_us, bytes, is_open: true });
        self.allowance -= 1;
        self.open += 1;
        self.backlog_us += u64::from(cost_us);
        self.backlog_bytes += u64::from(bytes);
    }

    /// Ends a dispatch: from here on it wants more once half of what waits is used up, or at `least_us` of it.
    pub(crate) fn set_refill(&mut self, least_us: u64) {
        self.refill_below_us = (self.waiting_us() / 2).max(least_us);
    }

    /// The open task of that number.
    pub(crate) fn open_handle(&self, number: Number) -> Option<Handle> {
        let entry = self.entries.get(self.index(number)?)?;
        entry.is_open.then_some(entry.handle)
    }

    /// The open task that the child claimed last, when its page says `next`: usually `next - 1`; after a recall, which
    /// moved the page on, the foremost. `None`: an older page, whose task has been reported as ended since.
    pub(crate) fn claimed_last(&self, next: Number) -> Option<Number> {
        let last = next.wrapping_sub(1);
        if self.open_handle(last).is_some() {
            return Some(last);
        }
        (!self.is_idle() && distance(next, self.first) > 0).then_some(self.first)
    }

    /// What the running task was expected to take, in microseconds.
    pub(crate) fn cost_us(&self, number: Number) -> u32 {
        self.index(number).and_then(|index| self.entries.get(index)).map_or(0, |entry| entry.cost_us)
    }

    /// Takes note that all numbers below `next` have been claimed.
    pub(crate) fn claim(&mut self, next: Number) {
        if distance(next, self.claimed) > 0 {
            self.claimed = next;
        }
    }

    /// Open tasks that the child has not claimed, as far as is known. The foremost open one counts as claimed.
    pub(crate) fn unstarted(&self) -> usize {
        let claimed = distance(self.claimed, self.first).max(1) as usize;
        let open = |entry: &&Entry| entry.is_open;
        self.entries.iter().skip(claimed).filter(open).count()
    }

    /// Closes a number that ended. `None`: it was not open, so the report comes late.
    pub(crate) fn close(&mut self, number: Number, now_us: u64) -> Option<Handle> {
        let index = self.index(number)?;
        let handle = self.close_entry(index)?;
        self.claim(number.wrapping_add(1));
        self.busy_since_us = now_us;
        self.running = None;
        self.limit_due_us = None;
        self.drop_closed();
        Some(handle)
    }

    /// Closes everything from `from` on, and appends what was open to `recalled`, in order.
    pub(crate) fn recall(&mut self, from: Number, recalled: &mut Vec<Handle>) {
        let start = distance(from, self.first).max(0) as usize;
        for index in start..self.entries.len() {
            let handle = self.close_entry(index);
            self.allowance += u64::from(handle.is_some());
            recalled.extend(handle);
        }
        self.drop_closed();
    }

    /// Every task that is still open.
    pub(crate) fn open_handles(&self) -> impl Iterator<Item = Handle> {
        self.entries.iter().filter(|entry| entry.is_open).map(|entry| entry.handle)
    }

    /// Everything that is still open, in order, and whether it had been claimed according to `next`.
    pub(crate) fn remains(&self, next: Number) -> impl Iterator<Item = (Number, Handle, bool)> {
        let first = self.first;
        self.entries.iter().enumerate().filter(|(_, entry)| entry.is_open).map(move |(index, entry)| {
            let number = first.wrapping_add(index as u32);
            (number, entry.handle, distance(next, number) > 0)
        })
    }

    /// Expected microseconds of what waits behind the foremost task.
    fn waiting_us(&self) -> u64 {
        let foremost = self.entries.front().map_or(0, |entry| entry.cost_us);
        self.backlog_us.saturating_sub(u64::from(foremost))
    }

    fn index(&self, number: Number) -> Option<usize> {
        usize::try_from(distance(number, self.first)).ok()
    }

    fn close_entry(&mut self, index: usize) -> Option<Handle> {
        let entry = self.entries.get_mut(index)?;
        if !entry.is_open {
            return None;
        }
        entry.is_open = false;
        self.open -= 1;
        self.backlog_us -= u64::from(entry.cost_us);
        self.backlog_bytes -= u64::from(entry.bytes);
        if self.open == 0 {
            self.is_exclusive = false;
            self.shortest_limit_us = None;
        }
        Some(entry.handle)
    }

    /// Lets the ledger begin at an open number again.
    fn drop_closed(&mut self) {
        while self.entries.front().is_some_and(|entry| !entry.is_open) {
            self.entries.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        self.claim(self.first);
    }
}

/// How far `a` is ahead of `b`, on the ring of numbers.
fn distance(a: Number, b: Number) -> i32 {
    a.wrapping_sub(b) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child_with(tasks: u32) -> Child {
        let mut child = Child::new(ChildId(0), u64::MAX);
        child.phase = Phase::Ready;
        (0..tasks).for_each(|n| child.assign(Handle(n), 10, 100, 0));
        child
    }

    #[test]
    fn numbers_go_on_where_the_recalled_ones_ended() {
        let mut child = child_with(4);
        let mut recalled = Vec::new();
        child.recall(1, &mut recalled);
        assert_eq!(recalled, [Handle(1), Handle(2), Handle(3)]);
        assert_eq!((child.next_number(), child.open()), (4, 1));
        child.assign(Handle(9), 10, 100, 0);
        assert_eq!(child.open_handle(4), Some(Handle(9)));
        assert_eq!(child.close(0, 0), Some(Handle(0)));
        assert_eq!(child.next_number(), 5);
    }

    #[test]
    fn late_or_unknown_outcome_closes_nothing() {
        let mut child = child_with(2);
        assert_eq!(child.close(0, 0), Some(Handle(0)));
        assert_eq!(child.close(0, 0), None);
        assert_eq!(child.close(7, 0), None);
        assert_eq!(child.open(), 1);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut child = Child::new(ChildId(0), u64::MAX);
        child.first = u32::MAX;
        child.claimed = u32::MAX;
        (0..3).for_each(|n| child.assign(Handle(n), 1, 1, 0));
        assert_eq!(child.next_number(), 2);
        child.claim(1);
        assert_eq!(child.unstarted(), 1);
        assert_eq!(child.close(u32::MAX, 0), Some(Handle(0)));
        assert_eq!(child.close(0, 0), Some(Handle(1)));
        let remains: Vec<_> = child.remains(2).collect();
        assert_eq!(remains, [(1, Handle(2), true)]);
    }

    #[test]
    fn running_task_is_known_after_a_recall_moved_the_page() {
        let mut child = child_with(3);
        child.recall(1, &mut Vec::new());
        assert_eq!(child.claimed_last(3), Some(0));
        child.close(0, 0);
        assert_eq!(child.claimed_last(3), None);
        child.assign(Handle(9), 10, 100, 0);
        assert_eq!(child.claimed_last(3), None);
        assert_eq!(child.claimed_last(4), Some(3));
    }

    #[test]
    fn stale_page_does_not_unclaim() {
        let mut child = child_with(3);
        child.claim(2);
        child.claim(1);
        assert_eq!(child.unstarted(), 1);
    }

    #[test]
    fn room_opens_when_half_of_what_waited_is_used_up() {
        let mut child = child_with(9);
        child.set_refill(0);
        (0..4).for_each(|n| {
            assert!(!child.has_room());
            child.close(n, 0);
        });
        child.close(4, 0);
        assert!(child.has_room());
    }

    #[test]
    fn exclusive_task_leaves_no_room_until_it_ended() {
        let mut child = child_with(1);
        child.is_exclusive = true;
        child.set_refill(1_000);
        assert!(!child.has_room());
        child.close(0, 0);
        assert!(child.has_room() && !child.is_exclusive);
    }

    #[test]
    fn remains_tell_claimed_from_unclaimed() {
        let mut child = child_with(3);
        child.close(0, 0);
        let remains: Vec<_> = child.remains(2).collect();
        assert_eq!(remains, [(1, Handle(1), true), (2, Handle(2), false)]);
    }
}
