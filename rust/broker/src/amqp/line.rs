//! A watched queue: what has come from it and was not fetched yet, and which prefetch it needs.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use super::consumer::Running;
use super::session::{Lease, State};
use crate::order::QueueOrder;
use crate::portion::Account;
use crate::{Delivery, Tag};

/// A consumer that ran dry sooner than this is replaced by one of twice the prefetch.
const SHORT_LIFE: Duration = Duration::from_secs(2);
const MOST: u16 = 4096;
/// Who asks for so many gets twice the prefetch; who asks for fewer has long tasks, and the rest is for other workers.
const AMPLE_FROM: usize = 4;
/// Bits of a tag that name the delivery; the others name the session.
const DELIVERY_BITS: u32 = 40;

/// One watched queue.
pub(super) struct Line {
    pub(super) name: String,
    /// The leases that were not fetched, by urgency and age: the server numbers deliveries in their order.
    pub(super) waiting: BTreeMap<(u8, u64), u64>,
    pub(super) running: Option<Running>,
    /// When it was last asked for with room for something, or something came after nothing had been there.
    pub(super) wanted: Instant,
    pub(super) is_wanted: bool,
    /// The server removes it when nobody consumes it (auto-delete, `x-expires`): its consumer stays.
    pub(super) is_kept: bool,
    /// How many the server had for anybody when it was asked last, without those that have come since.
    pub(super) left: u64,
    /// Nobody has consumed it for a while, or the server has ended our consumer: it may be gone.
    pub(super) may_be_gone: bool,
}

impl Line {
    pub(super) fn new(name: &str, is_kept: bool) -> Line {
        Line {
            name: name.to_owned(),
            waiting: BTreeMap::new(),
            running: None,
            wanted: Instant::now(),
            is_wanted: false,
            is_kept,
            left: 0,
            may_be_gone: false,
        }
    }
}

/// A tag that no other session gives.
pub(super) fn tag(session: u64, number: u64) -> Tag {
    Tag(session << DELIVERY_BITS | number)
}

/// The number in a tag of this session; `None`: it is of another one.
pub(super) fn number(session: u64, tag: Tag) -> Option<u64> {
    (tag.0 >> DELIVERY_BITS == session).then_some(tag.0 & ((1 << DELIVERY_BITS) - 1))
}

impl State {
    /// One that was fetched, or was not, is no longer a consumer's.
    pub(super) fn release(&mut self, number: u64) -> Option<Lease> {
        let lease = self.leases.remove(&number)?;
        self.forget_outstanding(lease.consumer);
        Some(lease)
    }

    /// A consumer has one delivery less.
    pub(super) fn forget_outstanding(&mut self, consumer: u64) {
        if let Entry::Occupied(mut count) = self.outstanding.entry(consumer) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Lines that have no consumer, or one that may not bring as much as is wanted, with the prefetch of the next one.
    pub(super) fn hungry(&self, max: usize, account: &Account<'_>) -> Vec<(usize, u16)> {
        let next = |at: usize, line: &Line| {
            let wanted = account.room(at).min(max);
            // What is held in the engine counts against the prefetch too.
            let ample = if wanted < AMPLE_FROM { wanted } else { wanted * 2 };
            let asked = u16::try_from(ample.next_power_of_two()).unwrap_or(MOST).min(MOST);
            let Some(running) = &line.running else { return Some(asked) };
            let unacked = self.outstanding.get(&running.serial).copied().unwrap_or(0) as usize;
            let taken = unacked.saturating_sub(line.waiting.len());
            let supply = usize::from(running.prefetch).saturating_sub(taken);
            let is_short = supply < wanted && running.prefetch < MOST || supply == 0;
            let is_fast = running.since.elapsed() < SHORT_LIFE;
            let grown = if is_fast { running.prefetch.saturating_mul(2).min(MOST) } else { 1 };
            (is_short && line.waiting.len() < wanted).then_some(asked.max(grown))
        };
        let lines = self.lines.iter().enumerate().filter(|(at, _)| account.room(*at).min(max) > 0);
        lines.filter_map(|(at, line)| Some((at, next(at, line)?))).collect()
    }

    /// Whether the server has more for a line that has room.
    pub(super) fn has_more(&self, account: &Account<'_>) -> bool {
        self.lines.iter().enumerate().any(|(at, line)| line.left > 0 && account.room(at) > 0)
    }

    /// Whether nothing waits in a line that has room.
    pub(super) fn is_empty(&self, account: &Account<'_>) -> bool {
        self.lines.iter().enumerate().all(|(at, line)| account.room(at) == 0 || line.waiting.is_empty())
    }

    /// Takes up to `max`: the most urgent first; queues of one priority share, and the turn moves on.
    pub(super) fn take(
        &mut self,
        session: u64,
        max: usize,
        account: &mut Account<'_>,
        order: QueueOrder,
    ) -> Vec<Delivery> {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let order = order.of(&names, self.turn);
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let open = order.iter().filter(|at| account.room(**at) > 0);
            let heads: Vec<(usize, u8)> =
                open.filter_map(|at| Some((*at, self.lines[*at].waiting.keys().next()?.0))).collect();
            let Some(most_urgent) = heads.iter().map(|(_, urgency)| *urgency).min() else { break };
            let live: Vec<usize> =
                heads.into_iter().filter(|(_, urgency)| *urgency == most_urgent).map(|(at, _)| at).collect();
            for (at, share) in live.iter().zip(account.shares(&live, max - deliveries.len())) {
                let before = deliveries.len();
                while deliveries.len() - before < share
                    && let Some(first) = self.lines[*at].waiting.first_entry()
                    && first.key().0 == most_urgent
                {
                    let number = first.remove();
                    let lease = &self.leases[&number];
                    deliveries.push(Delivery {
                        tag: tag(session, number),
                        queue: u16::try_from(*at).expect("a worker watches fewer than 65,536 queues"),
                        message: lease.message.clone(),
                        is_redelivered: lease.is_redelivered,
                    });
                }
                account.took(*at, deliveries.len() - before);
            }
        }
        deliveries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_one_session() {
        let given = tag(3, 77);
        assert_eq!((number(3, given), number(4, given)), (Some(77), None));
    }
}
