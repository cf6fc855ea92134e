//! One child process as the engine knows it: the ledger of its numbers, and how much work lies there.
//!
//! ```text
//!        first                    claimed                 next_number
//!   ──────┼─────────────────────────┼───────────────────────┼──────▶ numbers
//!  closed │ ended, or running: with │ handed over, may be   │ not given out yet
//!         │ one slot the last one   │ recalled              │
//!         │ claimed, with several   │                       │
//!         │ any of them             │                       │
//! ```
//!
//! A child with one slot may be given work ahead, behind the task that runs; one with several as many as it has slots.

use std::collections::HashSet;

use crate::event::{ChildId, Handle, Number};
use crate::interrupts::{Checks, Interrupted};
use crate::limits::Limits;
use crate::numbers::{Numbers, distance};
use crate::work::{Batch, Work};

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
#[derive(Clone, Debug)]
struct Entry {
    work: Work,
    cost_us: u32,
    bytes: u32,
}

/// The task that runs in a child with one slot, as the control page said last.
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
    /// How many tasks it runs at once.
    pub(crate) slots: u32,
    /// Most of them that it has at once.
    pub(crate) most: u32,
    /// It runs nothing but what may have killed a process before, and few of that at once; see `suspects.rs`.
    pub(crate) is_cell: bool,
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
    /// With several slots: it has been blocked, and gets nothing before it gives a sign of life.
    pub(crate) is_stalled: bool,
    /// With several slots: since when it has not claimed what it was given (`mono_us`), if there is anything of that.
    pub(crate) unclaimed_since_us: u64,
    /// With several slots: tasks that were told to end, or of their soft limit.
    pub(crate) interrupted: Vec<Interrupted>,
    /// With several slots: when to look whether a task is over its limit.
    pub(crate) checks: Checks,
    /// With several slots: when to look for tasks that have been running for very long (`mono_us`).
    pub(crate) locate_at_us: Option<u64>,
    /// With several slots: tasks that had to say where they are.
    pub(crate) located: HashSet<Number>,
    /// With several slots: when its loop turned last (`mono_us`), if it has one.
    pub(crate) turned_us: Option<u64>,
    /// With several slots: since when the loop stood still (`mono_us`) when it had to say why.
    pub(crate) told_blocked_us: Option<u64>,
    /// It was killed because a task did not end when it was told to: its neighbours are not to blame.
    pub(crate) is_killed_for_one: bool,
    /// Since when its foremost task has been the foremost (`mono_us`): a bound on how long it has been running. With
    /// several slots: when a task ended there last, or the first one came.
    pub(crate) busy_since_us: u64,
    /// When the next time limit of the running task is over (`mono_us`), once it was seen running.
    pub(crate) limit_due_us: Option<u64>,
    /// The shortest time limit among its tasks, in microseconds; kept until it is idle.
    pub(crate) shortest_limit_us: Option<u64>,
    /// What the fleet has it counted for.
    pub(crate) want: Want,
    /// The free slots that the fleet has counted.
    pub(crate) counted_free: u32,
    next: Number,
    claimed: Number,
    entries: Numbers<Entry>,
    deliveries: u32,
    backlog_us: u64,
    backlog_bytes: u64,
    refill_below_us: u64,
}

impl Child {
    /// A child that was just asked for.
    pub(crate) fn new(id: ChildId, slots: u32, allowance: u64) -> Child {
        Child {
            id,
            slots,
            most: slots,
            is_cell: false,
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
            is_stalled: false,
            unclaimed_since_us: 0,
            interrupted: Vec::new(),
            checks: Checks::default(),
            locate_at_us: None,
            located: HashSet::new(),
            turned_us: None,
            told_blocked_us: None,
            is_killed_for_one: false,
            busy_since_us: 0,
            limit_due_us: None,
            shortest_limit_us: None,
            want: Want::Nothing,
            counted_free: 0,
            next: 0,
            claimed: 0,
            entries: Numbers::default(),
            deliveries: 0,
            backlog_us: 0,
            backlog_bytes: 0,
            refill_below_us: 0,
        }
    }

    /// The number that the next task gets.
    pub(crate) fn next_number(&self) -> Number {
        self.next
    }

    /// Numbers that have not ended here: a batch is one.
    pub(crate) fn open(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Deliveries that have not ended here.
    pub(crate) fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many more tasks it could start this instant, as far as slots go.
    pub(crate) fn free_slots(&self) -> u32 {
        let most = if self.is_cell { self.slots.isqrt() } else { self.most };
        most.saturating_sub(self.open())
    }

    /// Whether it gets nothing more, and is told to exit once it is idle.
    pub(crate) fn is_leaving(&self) -> bool {
        self.allowance == 0 || self.is_outgrown || self.is_surplus
    }

    /// Whether it takes tasks and goes on taking them.
    pub(crate) fn is_staying(&self) -> bool {
        self.phase == Phase::Ready && !self.is_leaving()
    }

    /// Whether more may be dispatched now. With one slot half of the last window must be used up first, so that refills
    /// are batches.
    pub(crate) fn has_room(&self) -> bool {
        let has_place = || match self.slots {
            1 => self.is_idle() || (!self.is_exclusive && self.waiting_us() < self.refill_below_us),
            _ => !self.is_exclusive && !self.is_stalled && self.free_slots() > 0,
        };
        self.is_staying()
            && !self.is_recalling
            && self.reserved_for.is_none()
            && self.terminating.is_none()
            && has_place()
    }

    /// How long nothing that waits has been able to start here, at least; zero when something can.
    pub(crate) fn stuck_for_us(&self, now_us: u64) -> u64 {
        if self.is_stalled {
            now_us.saturating_sub(self.unclaimed_since_us)
        } else if self.free_slots() > 0 && !self.is_leaving() {
            0
        } else {
            now_us.saturating_sub(self.busy_since_us)
        }
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
        self.add(Work::One(handle), cost_us, bytes, now_us);
    }

    /// Adds a batch at the end, under one number.
    pub(crate) fn assign_batch(&mut self, batch: Batch, cost_us: u32, bytes: u32, now_us: u64) {
        self.add(Work::Batch(Box::new(batch)), cost_us, bytes, now_us);
    }

    fn add(&mut self, work: Work, cost_us: u32, bytes: u32, now_us: u64) {
        if self.is_idle() {
            self.busy_since_us = now_us;
        }
        if distance(self.claimed, self.next) >= 0 {
            self.unclaimed_since_us = now_us;
        }
        self.deliveries += work.len();
        self.entries.push(self.next, Entry { work, cost_us, bytes });
        self.next = self.next.wrapping_add(1);
        self.allowance -= 1;
        self.backlog_us += u64::from(cost_us);
        self.backlog_bytes += u64::from(bytes);
    }

    /// Ends a dispatch: from here on it wants more once half of what waits is used up, or at `least_us` of it.
    pub(crate) fn set_refill(&mut self, least_us: u64) {
        self.refill_below_us = (self.waiting_us() / 2).max(least_us);
    }

    /// Whether a number has not ended.
    pub(crate) fn is_open(&self, number: Number) -> bool {
        self.entries.get(number).is_some()
    }

    /// The deliveries of a number that have not ended: one, or the members of a batch.
    pub(crate) fn handles(&self, number: Number) -> impl Iterator<Item = Handle> {
        self.entries.get(number).into_iter().flat_map(|entry| entry.work.handles())
    }

    /// The time limits of a number, if it is open; `of` knows those of a delivery.
    pub(crate) fn limits(&self, number: Number, of: impl FnOnce(Handle) -> Limits) -> Option<Limits> {
        Some(match &self.entries.get(number)?.work {
            Work::One(handle) => of(*handle),
            Work::Batch(batch) => batch.limits,
        })
    }

    /// The open task that the child claimed last, when its page says `next`: usually `next - 1`; after a recall, which
    /// moved the page on, the foremost. `None`: an older page, whose task has been reported as ended since. For a child
    /// with one slot.
    pub(crate) fn claimed_last(&self, next: Number) -> Option<Number> {
        let last = next.wrapping_sub(1);
        if self.is_open(last) {
            return Some(last);
        }
        self.entries.first().filter(|&first| distance(next, first) > 0)
    }

    /// What the running task was expected to take, in microseconds.
    pub(crate) fn cost_us(&self, number: Number) -> u32 {
        self.entries.get(number).map_or(0, |entry| entry.cost_us)
    }

    /// Takes note that all numbers below `next` have been claimed. Whether that is news.
    pub(crate) fn claim(&mut self, next: Number) -> bool {
        let is_news = distance(next, self.claimed) > 0;
        if is_news {
            self.claimed = next;
        }
        is_news
    }

    /// Open tasks that the child has not claimed, as far as is known. With one slot the foremost open one counts as
    /// claimed.
    pub(crate) fn unstarted(&self) -> usize {
        let claimed = match (self.slots, self.entries.first()) {
            (1, Some(first)) if distance(self.claimed, first) <= 0 => first.wrapping_add(1),
            _ => self.claimed,
        };
        self.entries.from(claimed).count()
    }

    /// Ends a member of a batch, whose number stays open. False: it is none, or not any more.
    pub(crate) fn close_member(&mut self, number: Number, handle: Handle) -> bool {
        let is_member = self.entries.get_mut(number).is_some_and(|entry| entry.work.take(handle));
        self.deliveries -= u32::from(is_member);
        is_member
    }

    /// Bytes of the open tasks that the child has not claimed, as far as is known.
    pub(crate) fn unclaimed_bytes(&self) -> u64 {
        self.entries.from(self.claimed).map(|(_, entry)| u64::from(entry.bytes)).sum()
    }

    /// Closes a number that ended. `None`: it was not open, so the report comes late.
    pub(crate) fn close(&mut self, number: Number, now_us: u64) -> Option<Work> {
        let entry = self.entries.remove(number)?;
        self.closed(&entry);
        self.claim(number.wrapping_add(1));
        self.busy_since_us = now_us;
        self.running = None;
        self.limit_due_us = None;
        self.interrupted.retain(|it| it.number != number);
        if !self.located.is_empty() {
            self.located.remove(&number);
        }
        Some(entry.work)
    }

    /// Closes everything from `from` on, and appends what was open to `recalled`, in order.
    pub(crate) fn recall(&mut self, from: Number, recalled: &mut Vec<Handle>) {
        let start = recalled.len();
        while let Some((_, entry)) = self.entries.pop_from(from) {
            self.closed(&entry);
            self.allowance += 1;
            recalled.extend(entry.work.handles().rev());
        }
        recalled[start..].reverse();
        self.claim(self.next);
    }

    /// Every delivery that is still open, with its number.
    pub(crate) fn open_tasks(&self) -> impl Iterator<Item = (Number, Handle)> {
        self.entries.iter().flat_map(|(number, entry)| entry.work.handles().map(move |handle| (number, handle)))
    }

    /// Everything that is still open, in order, and whether it had been claimed according to `next`.
    pub(crate) fn remains(&self, next: Number) -> impl Iterator<Item = (Number, Handle, bool)> {
        self.open_tasks().map(move |(number, handle)| (number, handle, distance(next, number) > 0))
    }

    /// Expected microseconds of what waits behind the foremost task.
    fn waiting_us(&self) -> u64 {
        let foremost = self.entries.front().map_or(0, |entry| entry.cost_us);
        self.backlog_us.saturating_sub(u64::from(foremost))
    }

    fn closed(&mut self, entry: &Entry) {
        self.deliveries -= entry.work.len();
        self.backlog_us -= u64::from(entry.cost_us);
        self.backlog_bytes -= u64::from(entry.bytes);
        if self.entries.is_empty() {
            self.is_exclusive = false;
            self.shortest_limit_us = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(child: &mut Child, number: Number, now_us: u64) -> Option<Handle> {
        child.close(number, now_us).and_then(|work| work.handles().next())
    }

    fn handle(child: &Child, number: Number) -> Option<Handle> {
        child.handles(number).next()
    }

    fn child_with(tasks: u32) -> Child {
        let mut child = Child::new(ChildId(0), 1, u64::MAX);
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
        assert_eq!(handle(&child, 4), Some(Handle(9)));
        assert_eq!(closed(&mut child, 0, 0), Some(Handle(0)));
        assert_eq!(child.next_number(), 5);
    }

    #[test]
    fn late_or_unknown_outcome_closes_nothing() {
        let mut child = child_with(2);
        assert_eq!(closed(&mut child, 0, 0), Some(Handle(0)));
        assert_eq!(closed(&mut child, 0, 0), None);
        assert_eq!(closed(&mut child, 7, 0), None);
        assert_eq!(child.open(), 1);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut child = Child::new(ChildId(0), 1, u64::MAX);
        child.next = u32::MAX;
        child.claimed = u32::MAX;
        (0..3).for_each(|n| child.assign(Handle(n), 1, 1, 0));
        assert_eq!(child.next_number(), 2);
        child.claim(1);
        assert_eq!(child.unstarted(), 1);
        assert_eq!(closed(&mut child, u32::MAX, 0), Some(Handle(0)));
        assert_eq!(closed(&mut child, 0, 0), Some(Handle(1)));
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
    fn task_that_has_said_where_it_is_is_forgotten_when_it_ends() {
        let mut child = child_with(2);
        child.located.extend([0, 1]);
        child.close(0, 0);
        assert_eq!(child.located, HashSet::from([1]));
    }

    #[test]
    fn nothing_counts_as_unclaimed_after_a_recall() {
        let mut child = Child::new(ChildId(0), 4, u64::MAX);
        (0..3).for_each(|n| child.assign(Handle(n), 10, 100, 5));
        child.recall(1, &mut Vec::new());
        child.assign(Handle(9), 10, 100, 70);
        assert_eq!((child.unstarted(), child.unclaimed_since_us), (1, 70));
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
        assert!(!child.has_room(), "it is half");
        child.close(4, 0);
        assert!(child.has_room());
    }

    #[test]
    fn child_with_several_slots_has_room_for_as_many_and_ends_them_in_any_order() {
        let mut child = Child::new(ChildId(0), 3, u64::MAX);
        child.phase = Phase::Ready;
        (0..3).for_each(|n| child.assign(Handle(n), 10_000, 100, 0));
        assert!(!child.has_room());
        assert_eq!(child.unstarted(), 3);
        assert!(child.claim(3));
        assert_eq!(closed(&mut child, 1, 7), Some(Handle(1)));
        assert!(child.has_room());
        assert_eq!((child.free_slots(), child.unstarted(), child.stuck_for_us(9)), (1, 0, 0));
        assert_eq!(child.remains(3).collect::<Vec<_>>(), [(0, Handle(0), true), (2, Handle(2), true)]);
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

    #[test]
    fn members_of_a_batch_end_each_by_itself_and_its_number_after_them() {
        let mut child = child_with(1);
        let open = [5, 6, 7].map(Handle).into();
        child.assign_batch(Batch { task: 0, size: 3, open, limits: Limits::default() }, 10, 100, 0);
        assert_eq!((child.open(), child.deliveries()), (2, 4));
        assert!(child.close_member(1, Handle(6)) && !child.close_member(1, Handle(6)));
        assert!(!child.close_member(0, Handle(0)), "what has its number for itself is no member");
        assert_eq!(child.handles(1).collect::<Vec<_>>(), [Handle(5), Handle(7)]);
        assert_eq!(child.remains(2).map(|(number, ..)| number).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(child.close(1, 0).map(|work| work.len()), Some(2));
        assert_eq!((child.open(), child.deliveries(), child.backlog_us()), (1, 1, 10));
    }

    #[test]
    fn a_recalled_batch_comes_back_whole_and_in_order() {
        let mut child = child_with(1);
        let open = [5, 6].map(Handle).into();
        child.assign_batch(Batch { task: 0, size: 2, open, limits: Limits::default() }, 10, 100, 0);
        child.assign(Handle(9), 10, 100, 0);
        let mut recalled = Vec::new();
        child.recall(1, &mut recalled);
        assert_eq!(recalled, [5, 6, 9].map(Handle));
    }
}
