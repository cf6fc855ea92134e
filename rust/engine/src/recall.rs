//! Recall: nothing waits behind a task that turned out to be slow.
//!
//! Judged whenever a child's page was read. With a free child at hand the unstarted tasks are taken back once the
//! running one has had four times its expected time, 2 ms at the most; otherwise they would only wait elsewhere, so
//! it has 8 ms. What comes back goes to the front of the ready queues, in order.

use crate::action::Action;
use crate::child::{Child, Phase, Running};
use crate::engine::Engine;
use crate::event::{ChildId, Handle, Now, Number};

/// Patience with a running task while another child wants work: this many times what was expected…
const TIMES_EXPECTED: u64 = 4;
/// …but at least this long, in microseconds, since a recall costs about as much…
const LEAST_PATIENCE_US: u64 = 300;
/// …and at most this long.
pub(crate) const MOST_PATIENCE_US: u64 = 2_000;
/// Patience while all children are busy: about a time slice, which a child may lose through no fault of its task.
const BUSY_PATIENCE_US: u64 = 8_000;

impl Engine {
    /// The control page of a child was read.
    pub(crate) fn observed(
        &mut self,
        now: Now,
        child: ChildId,
        next: Number,
        running_since_us: Option<u64>,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.fleet.find(child) else {
            self.counters.odd += 1;
            return;
        };
        let is_wanted = self.fleet.wanting() > 0 && self.ready.is_empty();
        let child = self.fleet.at(index);
        child.claim(next);
        let before = child.running.take();
        child.limit_due_us = None;
        self.kill_if_it_outlives_its_signal(now, index, actions);
        let child = self.fleet.at(index);
        let Some((number, since_us)) = child.claimed_last(next).zip(running_since_us) else {
            return;
        };
        child.running = Some(Running {
            number,
            since_us,
            is_dumped: before.is_some_and(|it| it.number == number && it.is_dumped),
            is_soft_sent: before.is_some_and(|it| it.number == number && it.is_soft_sent),
        });
        self.dump_long_runner(now, index, actions);
        self.enforce_limits(now, index, actions);
        self.terminate_what_runs(now, index, actions);
        let child = self.fleet.at(index);
        if child.unstarted() > 0 {
            let patience_us = if is_wanted {
                (TIMES_EXPECTED * u64::from(child.cost_us(number))).clamp(LEAST_PATIENCE_US, MOST_PATIENCE_US)
            } else {
                BUSY_PATIENCE_US
            };
            if now.mono_us.saturating_sub(since_us) >= patience_us {
                // Nothing more is put behind this one until it has ended.
                child.is_exclusive = true;
                recall(child, actions);
                self.fleet.refresh(index);
            }
        }
    }

    /// The leases could not be refreshed: nothing more may start, so everything unstarted comes back.
    pub(crate) fn lease_at_risk(&mut self, actions: &mut Vec<Action>) {
        self.is_lease_safe = false;
        self.recall_all(actions);
    }

    /// Recalls from every child what it has not started.
    pub(crate) fn recall_all(&mut self, actions: &mut Vec<Action>) {
        for index in 0..self.fleet.children().len() {
            let child = self.fleet.at(index);
            if !child.is_idle() {
                recall(child, actions);
                self.fleet.refresh(index);
            }
        }
    }

    /// A recall was carried out.
    pub(crate) fn recalled(&mut self, child: ChildId, from: Number, actions: &mut Vec<Action>) {
        let Some(index) = self.fleet.find(child) else {
            self.counters.odd += 1;
            return;
        };
        let mut handles = Vec::new();
        let child = self.fleet.at(index);
        child.is_recalling = false;
        child.claim(from);
        child.recall(from, &mut handles);
        // Who had come to everything in the meantime has nothing left that would show that it is awake.
        child.is_stalled &= !handles.is_empty();
        self.fleet.refresh(index);
        self.counters.recalled += handles.len() as u64;
        for handle in handles.into_iter().rev() {
            self.put_back(handle, actions);
        }
    }

    /// A delivery that a child had and did not start goes back to where it came from. When several do, the last
    /// comes first, so that the first ends up in front.
    pub(crate) fn put_back(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        let phase = self.phase;
        let held = self.requests.of(handle);
        let gives_back = self.queues.gives_back(held.request.queue);
        if held.revoke.is_some() {
            self.end_revoked(handle, None, actions);
        } else if held.is_acked && phase != crate::engine::Phase::Cold {
            self.early.came_back();
            self.make_ready_first(handle);
        } else if held.is_lost || phase != crate::engine::Phase::Running || gives_back {
            self.hand_back(handle, actions);
        } else {
            self.make_ready_first(handle);
        }
    }
}

/// Asks a child for its unstarted tasks, once at a time.
pub(crate) fn recall(child: &mut Child, actions: &mut Vec<Action>) {
    if child.phase == Phase::Ready && !child.is_recalling {
        child.is_recalling = true;
        actions.push(Action::Recall { child: child.id });
    }
}
