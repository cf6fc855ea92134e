//! From queues to a lease: the most urgent messages first; queues of one priority share what room there is, and the
//! turn moves on with every fetch, so that a long queue delays no other. Or they come one after another.

use crate::burial::{Burial, is_json_object};
use crate::order::QueueOrder;
use crate::portion::Account;
use crate::{Delivery, Portion, Tag};

use super::state::State;

/// One fetch.
pub(super) struct Request<'a> {
    /// Who fetches.
    pub(super) owner: i64,
    /// The watched queues; a delivery names its queue by its index here.
    pub(super) queues: &'a [String],
    /// At most so many messages.
    pub(super) max: usize,
    /// Tags of this fetch start here.
    pub(super) first_tag: u64,
    /// Which of the queues of one priority comes first.
    pub(super) order: QueueOrder,
    /// Whose turn it is, where they take turns.
    pub(super) turn: usize,
    /// Of each queue, or none.
    pub(super) portions: &'a [Portion],
}

/// Leases what the request asks for.
pub(super) fn fetch(state: &mut State, request: &Request<'_>) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let count = request.queues.len();
    let order = request.order.of(request.queues, request.turn);
    let is_paused = |index: usize| state.paused.contains(&request.queues[index]);
    let mut account = Account::new(request.portions, count, is_paused).ordered(request.order.is_strict());
    loop {
        let room = request.max - deliveries.len();
        let open = order.iter().filter(|index| account.room(**index) > 0);
        let heads: Vec<(usize, u8)> =
            open.filter_map(|index| Some((*index, urgency(state, &request.queues[*index])?))).collect();
        let Some(most_urgent) = heads.iter().map(|(_, priority)| *priority).min() else { return deliveries };
        if room == 0 {
            return deliveries;
        }
        let live: Vec<usize> =
            heads.into_iter().filter(|(_, priority)| *priority == most_urgent).map(|(index, _)| index).collect();
        for (index, share) in live.iter().zip(account.shares(&live, room)) {
            let before = deliveries.len();
            take(state, request, *index, most_urgent, share, &mut deliveries);
            account.took(*index, deliveries.len() - before);
        }
    }
}

/// The most urgent priority at which this queue has something.
fn urgency(state: &State, queue: &str) -> Option<u8> {
    state.queues.get(queue)?.keys().next().map(|(priority, _)| *priority)
}

/// Leases up to `share` messages of one queue and priority, oldest first; what is no envelope goes to the dead letters.
fn take(
    state: &mut State,
    request: &Request<'_>,
    index: usize,
    priority: u8,
    share: usize,
    deliveries: &mut Vec<Delivery>,
) {
    let mut taken = 0;
    while taken < share {
        let Some(queue) = state.queues.get_mut(request.queues[index].as_str()) else { return };
        let Some(first) = queue.first_entry().filter(|first| first.key().0 == priority) else { return };
        let message = first.remove();
        if queue.is_empty() {
            state.queues.remove(request.queues[index].as_str());
        }
        if !is_json_object(&message.body) {
            let burial = Burial::not_json(&message.body);
            tracing::error!(id = burial.letter, queue = request.queues[index], "not JSON: moved to the dead letters");
            state.dead.bury(message, burial);
            continue;
        }
        let tag = request.first_tag + deliveries.len() as u64;
        deliveries.push(Delivery {
            tag: Tag(tag),
            queue: u16::try_from(index).expect("a worker watches fewer than 65,536 queues"),
            message: message.body.clone(),
            is_redelivered: message.is_redelivered,
        });
        state.leased.insert((request.owner, tag), message);
        taken += 1;
    }
}
