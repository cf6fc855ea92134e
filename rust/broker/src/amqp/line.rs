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
            let running = line.running.as_ref();
            let unacked = |running: &Running| self.outstanding.get(&running.serial).copied().unwrap_or(0) as usize;
            let demand = Demand {
                wanted: account.room(at).min(max),
                waiting: line.waiting.len(),
                taken: running.map_or(0, unacked).saturating_sub(line.waiting.len()),
                left: line.left,
            };
            demand.prefetch(running.map(|running| Past {
                prefetch: running.prefetch,
                age: running.since.elapsed(),
                brought: running.brought,
            }))
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

/// What is asked of a line's consumer.
struct Demand {
    /// By this fetch.
    wanted: usize,
    /// Has come, and was not fetched.
    waiting: usize,
    /// Was fetched, and is not acknowledged: it counts against the prefetch too.
    taken: usize,
    /// The server has so many more, as far as is known.
    left: u64,
}

impl Demand {
    /// The prefetch of the next consumer, where one has to take the place of the one that runs.
    fn prefetch(&self, runs: Option<Past>) -> Option<u16> {
        let Demand { wanted, waiting, taken, left } = *self;
        let ample = if wanted < AMPLE_FROM { wanted } else { wanted * 2 };
        let asked = u16::try_from(ample.next_power_of_two()).unwrap_or(MOST).min(MOST);
        let Some(Past { prefetch, age, brought }) = runs else { return Some(asked) };
        let supply = usize::from(prefetch).saturating_sub(taken);
        // The server paused, as it does to tidy its memory, and what was here did not last so long.
        let is_starved =
            wanted >= AMPLE_FROM && waiting == 0 && taken < wanted && left > 0 && brought >= u64::from(prefetch);
        let is_short = (supply < wanted || is_starved) && prefetch < MOST || supply == 0;
        let grown = if is_starved || age < SHORT_LIFE { prefetch.saturating_mul(2).min(MOST) } else { 1 };
        (is_short && waiting < wanted).then_some(asked.max(grown))
    }
}

/// The consumer that runs.
#[derive(Clone, Copy)]
struct Past {
    prefetch: u16,
    age: Duration,
    /// Messages that have come by it.
    brought: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_millis(100);
    const OLD: Duration = Duration::from_secs(60);

    fn past(prefetch: u16, age: Duration) -> Option<Past> {
        Some(Past { prefetch, age, brought: prefetch.into() })
    }

    fn demand(wanted: usize, waiting: usize, taken: usize, left: u64) -> Demand {
        Demand { wanted, waiting, taken, left }
    }

    #[test]
    fn the_first_consumer_may_bring_twice_what_short_tasks_want_and_no_more_than_long_ones_do() {
        assert_eq!(
            [3, 4, 100, 1_000, 9_000].map(|wanted| demand(wanted, 0, 0, 9_000).prefetch(None)),
            [Some(4), Some(8), Some(256), Some(2_048), Some(MOST)]
        );
    }

    #[test]
    fn a_consumer_stays_while_it_may_bring_what_is_wanted() {
        assert_eq!(demand(100, 0, 900, 0).prefetch(past(1_024, YOUNG)), None);
        assert_eq!(demand(100, 100, 1_024, 50_000).prefetch(past(1_024, YOUNG)), None, "that is here");
    }

    #[test]
    fn one_that_is_used_up_soon_is_followed_by_one_of_twice_the_prefetch() {
        assert_eq!(demand(100, 0, 1_000, 0).prefetch(past(1_024, YOUNG)), Some(2_048));
        assert_eq!(demand(100, 0, 1_000, 0).prefetch(past(1_024, OLD)), Some(256));
        assert_eq!(demand(100, 0, 4_000, 0).prefetch(past(MOST, YOUNG)), None);
        assert_eq!(demand(100, 0, 4_096, 0).prefetch(past(MOST, YOUNG)), Some(MOST));
    }

    #[test]
    fn one_that_left_short_tasks_without_work_is_followed_by_one_of_twice_the_prefetch() {
        assert_eq!(demand(100, 0, 20, 50_000).prefetch(past(1_024, OLD)), Some(2_048));
        assert_eq!(demand(100, 0, 20, 50_000).prefetch(past(MOST, OLD)), None);
        for (enough, why) in [
            (demand(100, 1, 20, 50_000), "something is here"),
            (demand(100, 0, 100, 50_000), "as much is at work"),
            (demand(100, 0, 20, 0), "the queue is empty"),
            (demand(3, 0, 2, 50_000), "tasks are long"),
        ] {
            assert_eq!(enough.prefetch(past(1_024, OLD)), None, "{why}");
        }
        let new = Past { prefetch: 1_024, age: YOUNG, brought: 1_023 };
        assert_eq!(demand(100, 0, 20, 50_000).prefetch(Some(new)), None, "it has not shown what it can do");
    }

    #[test]
    fn a_tag_is_of_one_session() {
        let given = tag(3, 77);
        assert_eq!((number(3, given), number(4, given)), (Some(77), None));
    }
}
