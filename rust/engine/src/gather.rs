//! Station 4c, gather: calls of a batch task wait here for each other, until one function call can have as many as it
//! takes, or the oldest has waited for as long as its task allows.
//!
//! ```text
//!  due, permitted ──▶ Gathering ── enough, or late: one leads ──▶ Ready ── a child has room ──▶ Child, with its mates
//!                        ▲  └──────────────── mates, when that is taken ────────────────────────┘
//!                        └── acknowledged early, recalled ──
//! ```
//!
//! Only the *lead* of a batch stands in the ready queues, so that a batch has one place in their order, and keeps nobody
//! out of it while it forms. Who its mates are is decided when a child takes it: what has come until then comes along.
//!
//! The most urgent go first, in order of arrival. One call has one time limit: those with others go with another batch.
//! Nor has a batch more bytes than `Config::batch_bytes`: how many calls that are is judged by the mean of those that wait.
//!
//! Of a queue whose limit is lower than a batch no more calls can come than have: when all of its places are theirs, and
//! none of them is at a child, they go as they are.
//!
//! What was started before and may have killed its process has the function for itself (`attempts`, `suspects`).
//!
//! Of a task that acknowledges early a batch is acknowledged as a whole when a child has room for it, and goes on once
//! all answers are here.

use std::collections::VecDeque;

use crate::action::{Action, Ending};
use crate::admit::is_expired;
use crate::config::{Config, TaskOptions};
use crate::engine::Engine;
use crate::event::{Handle, Now};
use crate::limits::Limits;
use crate::queues::Queues;
use crate::requests::{Place, Requests};
use crate::schedule::PRIORITIES;

/// While calls are gathered for an idle slot, at most so many more than one batch are fetched at a time.
const MOST_MORE: u32 = 1_000;

/// A call that waits for others.
#[derive(Clone, Copy, Debug)]
struct Call {
    handle: Handle,
    bytes: u32,
}

/// What waits of one batch task.
#[derive(Debug)]
struct Gathering {
    most: u32,
    most_bytes: u64,
    wait_us: u64,
    acks_late: bool,
    /// By priority.
    waiting: Vec<VecDeque<Call>>,
    /// How many that are.
    len: u32,
    /// Bytes of these.
    bytes: u64,
    /// Acknowledged early.
    acked: VecDeque<Call>,
    /// Early acknowledgements that are out.
    acking: u32,
    /// Who leads a batch in the ready queues; maybe some that have left them.
    leads: Vec<Handle>,
}

/// All of them, by task.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    by_task: Vec<Option<Gathering>>,
    len: u32,
}

impl Gathering {
    fn of(task: &TaskOptions, most_bytes: u64) -> Option<Gathering> {
        let terms = task.batch?;
        Some(Gathering {
            most: terms.most.max(1),
            most_bytes,
            wait_us: terms.wait_us,
            acks_late: task.acks_late,
            waiting: vec![VecDeque::new(); PRIORITIES],
            len: 0,
            bytes: 0,
            acked: VecDeque::new(),
            acking: 0,
            leads: Vec::new(),
        })
    }

    /// How many calls a batch has when they are of the mean size of those that wait, and of `more` beside them with so many
    /// bytes in all.
    fn most_that_fit(&self, more: u32, bytes: u64) -> u32 {
        let len = u64::from(self.len + more);
        let fit = self.most_bytes.saturating_mul(len).checked_div(self.bytes + bytes).unwrap_or(u64::MAX);
        fit.clamp(1, u64::from(self.most)) as u32
    }

    /// Since when the oldest waits that no batch will take which has a lead already (`mono_us`).
    fn oldest_us(&self, leads: u32, since_us: impl Fn(Handle) -> u64) -> Option<u64> {
        let mut taken = (leads * (self.most_that_fit(0, 0) - 1)) as usize;
        let first_left = |line: &VecDeque<Call>| {
            let first = line.get(taken).map(|call| call.handle);
            taken = taken.saturating_sub(line.len());
            first
        };
        let left: Vec<Option<Handle>> = self.waiting.iter().map(first_left).collect();
        left.into_iter().flatten().map(since_us).min()
    }

    /// Takes the next one out, if it has no more than so many bytes.
    fn pop(&mut self, is_acked: bool, most_bytes: u64) -> Option<Call> {
        let line = match is_acked {
            true => &mut self.acked,
            false => self.waiting.iter_mut().find(|line| !line.is_empty())?,
        };
        let is_small = line.front().is_some_and(|next| u64::from(next.bytes) <= most_bytes);
        let next = if is_small { line.pop_front()? } else { return None };
        if !is_acked {
            self.gone(next);
        }
        Some(next)
    }

    /// One that was not acknowledged has left its line.
    fn gone(&mut self, call: Call) {
        self.len -= 1;
        self.bytes -= u64::from(call.bytes);
    }

    /// Who is next of those that are not acknowledged.
    fn first(&self) -> Option<Handle> {
        self.waiting.iter().find_map(VecDeque::front).map(|call| call.handle)
    }

    fn line(&mut self, priority: u8, is_acked: bool) -> &mut VecDeque<Call> {
        if is_acked { &mut self.acked } else { &mut self.waiting[usize::from(priority).min(PRIORITIES - 1)] }
    }

    fn push(&mut self, call: Call, priority: u8, is_acked: bool, is_first: bool) {
        if !is_acked {
            self.len += 1;
            self.bytes += u64::from(call.bytes);
        }
        let line = self.line(priority, is_acked);
        if is_first {
            line.push_front(call);
        } else {
            line.push_back(call);
        }
    }
}

impl Gatherings {
    pub(crate) fn new(config: &Config) -> Gatherings {
        let of = |task| Gathering::of(task, config.batch_bytes);
        Gatherings { by_task: config.tasks.iter().map(of).collect(), len: 0 }
    }

    /// How many deliveries wait in all, without those that lead a batch.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Shows every delivery to `keep`, the last to be taken first, and takes out those it refuses. Linear.
    pub(crate) fn retain_newest_first(&mut self, mut keep: impl FnMut(Handle) -> bool) {
        let mut filter = |line: &mut VecDeque<Call>| {
            let (kept, refused): (Vec<Call>, Vec<Call>) = line.drain(..).rev().partition(|call| keep(call.handle));
            line.extend(kept.into_iter().rev());
            refused
        };
        for gathering in self.by_task.iter_mut().flatten() {
            let unacked: Vec<Call> = gathering.waiting.iter_mut().rev().flat_map(&mut filter).collect();
            self.len -= (unacked.len() + filter(&mut gathering.acked).len()) as u32;
            unacked.into_iter().for_each(|call| gathering.gone(call));
        }
    }

    /// Takes one delivery out of the line that it waits in; linear in that. Nothing if it is not there.
    pub(crate) fn remove(&mut self, task: usize, priority: u8, is_acked: bool, handle: Handle) {
        let gathering = self.at(task);
        let line = gathering.line(priority, is_acked);
        let index = line.iter().position(|call| call.handle == handle);
        let Some(call) = index.and_then(|index| line.remove(index)) else { return };
        if !is_acked {
            gathering.gone(call);
        }
        self.len -= 1;
    }

    /// How many more there may be room for here than `idle` slots, because calls that wait for each other are not in the
    /// way of anything: twice as many as wait, up to a batch for each slot, so that a queue of few such calls does not
    /// bring many others along.
    pub(crate) fn room(&self, idle: u32) -> u32 {
        if self.len == 0 {
            return 0;
        }
        let room = |gathering: &Gathering| {
            let more = gathering.len.min(gathering.most.max(MOST_MORE));
            gathering.most_that_fit(0, 0).saturating_mul(idle).min(gathering.len + more)
        };
        self.by_task.iter().flatten().map(room).fold(0, u32::saturating_add)
    }

    fn at(&mut self, task: usize) -> &mut Gathering {
        self.by_task[task].as_mut().expect("only what a batch task's calls wait in is asked for")
    }
}

/// Most calls that a batch has here, of any task.
pub(crate) fn most_in_a_batch(config: &Config) -> u32 {
    config.tasks.iter().filter_map(|task| task.batch).map(|terms| terms.most).max().unwrap_or(0)
}

impl Engine {
    /// The task of a delivery, if its calls are handed over as batches.
    pub(crate) fn batch_task(&self, handle: Handle) -> Option<usize> {
        let task = self.requests.get(handle)?.request.task? as usize;
        self.config.tasks.get(task)?.batch.map(|_| task)
    }

    /// The same, if it waits for others.
    pub(crate) fn gathers(&self, handle: Handle) -> Option<usize> {
        let task = self.batch_task(handle)?;
        let is_alone = self.config.slots == 1 && self.requests.get(handle).is_some_and(|held| held.runs_alone);
        (!is_alone).then_some(task)
    }

    /// Puts a delivery that is to run, and is in no list, in the line that it belongs to.
    pub(crate) fn line_up(&mut self, handle: Handle, is_first: bool) {
        self.leave_child(handle);
        if !is_first {
            self.last_order += 1;
            self.requests.of(handle).order = self.last_order;
        }
        if self.is_suspect(handle) {
            return self.wait_for_cell(handle, is_first);
        }
        if let Some(task) = self.gathers(handle) {
            return self.gather(task, handle, is_first);
        }
        self.make_ready(handle, is_first);
    }

    /// Puts a delivery in its ready queue: where its order is, or at the end.
    fn make_ready(&mut self, handle: Handle, keeps_order: bool) {
        let held = self.requests.of(handle);
        held.place = Place::Ready;
        let (priority, queue, order) = (held.request.priority, held.request.queue, held.order);
        if keeps_order {
            let is_before = |other| self.requests.get(other).is_some_and(|other| other.order < order);
            self.ready.put_back(priority, queue, handle, is_before);
        } else {
            self.ready.push_back(priority, queue, handle);
        }
    }

    fn gather(&mut self, task: usize, handle: Handle, is_first: bool) {
        let held = self.requests.of(handle);
        held.place = Place::Gathering;
        let (priority, is_acked) = (held.request.priority, held.is_acked);
        let call = Call { handle, bytes: held.request.size };
        self.gatherings.len += 1;
        self.gatherings.at(task).push(call, priority, is_acked, is_first);
    }

    /// A lead goes on waiting.
    pub(crate) fn gather_again(&mut self, handle: Handle) {
        if let Some(task) = self.gathers(handle) {
            self.gather(task, handle, true);
        }
    }

    /// Has one lead each batch that is complete, or has waited for long enough.
    pub(crate) fn form_batches(&mut self, now: Now) {
        if self.gatherings.len == 0 {
            return;
        }
        for task in 0..self.gatherings.by_task.len() {
            while let Some(is_acked) = self.forms(task, now) {
                let lead = self.gatherings.at(task).pop(is_acked, u64::MAX).expect("`forms` has seen it");
                self.lead(task, lead.handle, is_acked);
            }
        }
        if self.ready.is_empty()
            && self.is_crowded()
            && let Some(task) = self.oldest_gathering()
        {
            let lead = self.gatherings.at(task).pop(false, u64::MAX).expect("it has an oldest call");
            self.lead(task, lead.handle, false);
        }
    }

    fn lead(&mut self, task: usize, lead: Handle, is_acked: bool) {
        self.gatherings.at(task).leads.push(lead);
        self.gatherings.len -= 1;
        self.make_ready(lead, is_acked);
    }

    /// Whether calls that wait for each other are all that there is room for, with a slot idle that what is in the queues
    /// might have: then none of them waits any longer.
    fn is_crowded(&self) -> bool {
        self.fleet.idle() > 0 && self.is_kept_from_fetching()
    }

    /// The batch task whose calls have waited longest, of those that could go.
    fn oldest_gathering(&self) -> Option<usize> {
        let may_acknowledge = self.may_acknowledge();
        let since = |(task, gathering): (usize, &Option<Gathering>)| {
            let gathering = gathering.as_ref().filter(|it| it.acks_late || may_acknowledge)?;
            Some((gathering.oldest_us(0, |handle| since_us(&self.requests, handle))?, task))
        };
        self.gatherings.by_task.iter().enumerate().filter_map(since).min().map(|(_, task)| task)
    }

    /// Whether one more batch of a task is to have a lead: one of what was acknowledged early, or of what was not.
    fn forms(&mut self, task: usize, now: Now) -> Option<bool> {
        let may_acknowledge = self.may_acknowledge();
        let requests = &self.requests;
        let gathering = self.gatherings.by_task[task].as_mut()?;
        if gathering.len == 0 && gathering.acked.is_empty() {
            return None;
        }
        gathering.leads.retain(|&lead| requests.get(lead).is_some_and(|held| held.place == Place::Ready));
        let (acked, unacked) = leads(gathering, requests);
        if !gathering.acked.is_empty() && acked == 0 {
            let is_whole = gathering.acking == 0 || gathering.acked.len() >= gathering.most as usize;
            if is_whole {
                return Some(true);
            }
        }
        if !(gathering.acks_late || may_acknowledge) {
            return None;
        }
        let is_enough = (gathering.len + unacked) / gathering.most_that_fit(0, 0) > unacked;
        let oldest_us = gathering.oldest_us(unacked, |handle| since_us(requests, handle));
        let is_late = oldest_us.is_some_and(|oldest_us| now.mono_us >= oldest_us.saturating_add(gathering.wait_us));
        let is_all =
            unacked == 0 && gathering.first().is_some_and(|first| is_all_of_its_queue(requests, &self.queues, first));
        (is_enough || is_late || is_all).then_some(false)
    }

    /// Whether a lead still has a batch that is complete, or has waited for long enough: others may have been revoked. Or
    /// it is in the way.
    pub(crate) fn is_ripe(&self, lead: Handle, now: Now) -> bool {
        let Some(gathering) = self.gathers(lead).and_then(|task| self.gatherings.by_task[task].as_ref()) else {
            return true;
        };
        let Some(held) = self.requests.get(lead) else { return true };
        let since = |handle| since_us(&self.requests, handle);
        let oldest_us = gathering.oldest_us(0, since).unwrap_or(u64::MAX).min(since(lead));
        held.is_acked
            || gathering.len + 1 >= gathering.most_that_fit(1, u64::from(held.request.size))
            || now.mono_us >= oldest_us.saturating_add(gathering.wait_us)
            || is_all_of_its_queue(&self.requests, &self.queues, lead)
            || self.is_crowded()
    }

    /// When the next batch has waited for long enough (`mono_us`).
    pub(crate) fn batch_due_us(&self) -> Option<u64> {
        if self.gatherings.len == 0 {
            return None;
        }
        let may_acknowledge = self.may_acknowledge();
        let due = |gathering: &Gathering| {
            if !(gathering.acks_late || may_acknowledge) {
                return None;
            }
            let (_, unacked) = leads(gathering, &self.requests);
            let oldest_us = gathering.oldest_us(unacked, |handle| since_us(&self.requests, handle))?;
            Some(oldest_us.saturating_add(gathering.wait_us))
        };
        self.gatherings.by_task.iter().flatten().filter_map(due).min()
    }

    /// The members of the batch that a delivery leads, which was just taken from the ready queues; itself first. What is
    /// too late of them is ended.
    pub(crate) fn take_batch(&mut self, lead: Handle, now: Now, actions: &mut Vec<Action>) -> Vec<Handle> {
        let mut members = vec![lead];
        let Some(task) = self.gathers(lead) else {
            return members;
        };
        let held = self.requests.of(lead);
        let is_acked = held.is_acked;
        let limits = Limits::of(&held.request, &self.config);
        let mut room = self.config.batch_bytes.saturating_sub(u64::from(held.request.size));
        let most = self.gatherings.at(task).most as usize;
        let mut others = Vec::new();
        while members.len() < most
            && let Some(Call { handle, bytes }) = self.gatherings.at(task).pop(is_acked, room)
        {
            self.gatherings.len -= 1;
            let held = self.requests.of(handle);
            if !is_acked && is_expired(&held.request, now) {
                self.end(handle, Ending::Expired, actions);
            } else if Limits::of(&held.request, &self.config) == limits {
                room -= u64::from(bytes);
                members.push(handle);
            } else {
                others.push(handle);
            }
        }
        for handle in others.into_iter().rev() {
            self.gather(task, handle, true);
        }
        members
    }

    /// Acknowledges a batch before it runs; its members come back when that is confirmed.
    pub(crate) fn acknowledge_batch(&mut self, members: &[Handle], actions: &mut Vec<Action>) {
        for &handle in members {
            if let Some(task) = self.gathers(handle) {
                self.gatherings.at(task).acking += 1;
            }
            self.acknowledge_early(handle, actions);
        }
    }

    /// An early acknowledgement that was out is answered.
    pub(crate) fn acknowledgement_answered(&mut self, handle: Handle) {
        if let Some(task) = self.gathers(handle) {
            self.gatherings.at(task).acking -= 1;
        }
    }

    fn may_acknowledge(&self) -> bool {
        self.is_broker_up && self.early.has_room()
    }
}

/// How many batches have a lead: of what was acknowledged early, and of what was not.
fn leads(gathering: &Gathering, requests: &Requests) -> (u32, u32) {
    let held = |lead: &Handle| requests.get(*lead).filter(|held| held.place == Place::Ready);
    let acked = gathering.leads.iter().filter_map(held).filter(|held| held.is_acked).count();
    let all = gathering.leads.iter().filter_map(held).count();
    (acked as u32, (all - acked) as u32)
}

/// Whether no more calls of a call's queue can come: all that its limit permits are here, and none of them is at a child.
fn is_all_of_its_queue(requests: &Requests, queues: &Queues, handle: Handle) -> bool {
    requests.get(handle).is_some_and(|held| queues.are_all_waiting(held.request.queue))
}

fn since_us(requests: &Requests, handle: Handle) -> u64 {
    requests.get(handle).map_or(0, |held| held.ready_since_us)
}
