//! One settlement on its way: which of the two ways it takes, and the call of `settle.lua` that carries it out.

use redis::Cmd;

use super::broker::RedisBroker;
use super::chord::part_args;
use super::lease::{Held, Lease};
use super::script::SETTLE;
use super::store::fill_result;
use crate::{Mark, Member, Settlement, Verdict};

pub(super) struct Ending<'a> {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) settlement: &'a Settlement,
    /// The lease's name on the server. `None`: nothing is leased under this tag, or not any more.
    pub(super) lease: Option<(String, Lease)>,
    /// The envelope with kombu's mark, for a redelivery.
    pub(super) marked: Option<Vec<u8>>,
    /// Counted in another store, it completed its chord.
    pub(super) is_last: bool,
}

impl<'a> Ending<'a> {
    pub(super) fn new(held: &Held, at: usize, settlement: &'a Settlement) -> Self {
        let is_leased = !matches!(settlement.verdict, Verdict::Acked);
        let lease = held.get(settlement.tag).filter(|_| is_leased);
        let lease = lease.map(|lease| (held.name(settlement.tag, lease.step), lease));
        Self { at, settlement, lease, marked: None, is_last: false }
    }

    /// Repeating it, or doing it without owning the lease, shows nowhere.
    pub(super) fn is_plain(&self) -> bool {
        let settlement = self.settlement;
        let ends = match settlement.verdict {
            Verdict::Ack => !settlement.has_attempts,
            Verdict::Acked => settlement.result.is_some(),
            _ => false,
        };
        ends && settlement.member.is_none()
            && settlement.successors.is_empty()
            && settlement.result.as_ref().is_none_or(|doc| doc.is_success)
    }

    /// A plain acknowledgement of what we do not hold.
    pub(super) fn is_stray(&self) -> bool {
        self.lease.is_none() && matches!(self.settlement.verdict, Verdict::Ack)
    }

    pub(super) fn is_redelivery(&self) -> bool {
        matches!(self.settlement.verdict, Verdict::Return { is_redelivery: true } | Verdict::Requeue)
    }

    /// It has a result that may be stored only while the lease is ours.
    pub(super) fn has_conditional_result(&self) -> bool {
        self.settlement.result.as_ref().is_some_and(|doc| !doc.is_success)
            && !matches!(self.settlement.verdict, Verdict::Acked)
    }

    /// The lease's name; empty, which no lease is called, when there is none.
    pub(super) fn name(&self) -> &str {
        self.lease.as_ref().map_or("", |(name, _)| name)
    }

    fn verb(&self) -> &'static str {
        match self.settlement.verdict {
            Verdict::Ack => "ack",
            Verdict::EarlyAck => unreachable!("has a script of its own"),
            Verdict::Keep => "keep",
            Verdict::Acked => "acked",
            Verdict::Return { .. } => "return",
            Verdict::Requeue => "requeue",
            Verdict::Park { .. } => "park",
            Verdict::Lane { .. } => "lane",
            Verdict::DeadLetter { .. } => "dead",
        }
    }
}

impl RedisBroker {
    /// Keys and arguments as `settle.lua` lists them.
    pub(super) fn guarded_call(&self, ending: &Ending<'_>) -> Cmd {
        let (keys, settlement) = (&self.keys, ending.settlement);
        let side = self.results.as_ref().filter(|side| side.elsewhere.is_none());
        let doc = side.and(settlement.result.as_ref());
        let attempts = settlement.message_id.as_deref().filter(|_| settlement.has_attempts);
        let result_key = side.zip(doc).map(|(side, doc)| side.results.key(&doc.task_id));

        let mut command = redis::cmd("EVALSHA");
        let counted = settlement.member.as_deref().and_then(|member| self.counted_here(member));
        let member = settlement
            .member
            .as_deref()
            .filter(|member| counted.is_some() || ending.is_last || matches!(member, Member::Last(_)));
        command.arg(&SETTLE.sha).arg(9 + usize::from(member.is_some()) + if counted.is_some() { 7 } else { 0 });
        command.arg(&keys.unacked).arg(&keys.unacked_index).arg(&keys.parked).arg(&keys.dead).arg(&keys.dead_index);
        command.arg(attempts.map(|id| keys.attempts(id)).unwrap_or_default()).arg(result_key.unwrap_or_default());
        command.arg(&keys.parked_ids).arg(&keys.revoked);
        if member.is_some() {
            command.arg(&keys.joins);
        }
        if let Some((part, side)) = counted {
            command.arg(&side.results.chord_keys(&part.group_id));
        }
        command.arg(ending.verb()).arg(ending.name());
        command.arg(self.db).arg(side.map_or(self.db, |side| side.results.db()));
        fill_result(&mut command, doc);
        command.arg(settlement.successors.len());
        for successor in &settlement.successors {
            command.arg(keys.list(&successor.queue, keys.step(successor.priority))).arg(&successor.message[..]);
        }
        if let Some((_, lease)) = &ending.lease {
            self.verdict_args(&mut command, ending, *lease);
        }
        if let Some(member) = member {
            self.join_args(&mut command, &member.join());
        }
        if let Some((part, side)) = counted {
            part_args(&mut command, part, side.results.has_ordered_parts);
        }
        command
    }

    fn verdict_args(&self, command: &mut Cmd, ending: &Ending<'_>, lease: Lease) {
        let queues = self.watching.now();
        let queue = &queues.all[usize::from(lease.queue)];
        let list = self.keys.list(&queue.name, lease.step);
        match &ending.settlement.verdict {
            Verdict::Ack | Verdict::EarlyAck | Verdict::Keep | Verdict::Acked => {}
            Verdict::Return { .. } | Verdict::Requeue => {
                command.arg(list).arg(queue.tail.len()).arg(ending.marked.as_deref().unwrap_or_default());
            }
            Verdict::Park { due_ms } => {
                let id = ending.settlement.message_id.as_deref().unwrap_or_default();
                let parked = self.held.parked_name(ending.settlement.tag, id, queue.tail.len(), &list);
                let visible_ms = self.visibility_timeout.as_millis() as u64;
                command.arg(parked).arg(*due_ms).arg(visible_ms).arg(Mark::Id(id.to_owned()).to_text());
            }
            Verdict::Lane { task } => {
                let lane = format!("{}{task}{}", self.keys.lane_prefix(&queue.name), self.keys.suffix(lease.step));
                command.arg(lane).arg(queue.tail.len()).arg(self.keys.worker_lanes(&queue.name)).arg(task);
                command.arg(&self.keys.laned).arg(&queue.name);
            }
            Verdict::DeadLetter { reason, detail } => {
                let id = ending.settlement.message_id.as_deref().unwrap_or(ending.name());
                command.arg(id).arg(&queue.name).arg(reason).arg(detail);
                command.arg(super::dead::now_ms()).arg(queue.tail.len()).arg(lease.step);
            }
        }
    }
}
