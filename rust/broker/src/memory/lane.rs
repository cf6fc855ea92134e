//! Shared rate limits, and the lanes in which messages wait that are over their rate.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::now_us;
use crate::lane::{ABANDONED_AFTER, Ask, Drawn, Granted, Pace, Quota, bounded};
use crate::portion::Account;
use crate::{Delivery, Portion, Tag};

use super::state::{Message, Queue, State};

/// Which lane: queue, whether its limit is shared, task and key.
type Name = (Arc<str>, bool, String, String);

/// A key's last permit is remembered so long after its next one is there, in microseconds: late draws catch up by it.
const REMEMBERED_US: u64 = 1_000_000;

/// All lanes of a room, and the shared permits.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<Name, Lane>,
    permits: HashMap<(String, String), u64>,
}

#[derive(Default)]
struct Lane {
    due_us: u64,
    messages: Queue,
}

impl Lanes {
    /// All messages in lanes.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.lanes.values().flat_map(|lane| lane.messages.values())
    }

    /// How many messages are in the lanes of a queue.
    pub(super) fn count(&self, queue: &str) -> usize {
        self.lanes.iter().filter(|(name, _)| *name.0 == *queue).map(|(_, lane)| lane.messages.len()).sum()
    }

    /// Puts a message into the lane of a limit of each worker by itself.
    pub(super) fn enter_worker_lane(&mut self, message: Message, task: &str) {
        let name = (Arc::clone(&message.queue), false, task.to_owned(), String::new());
        let lane = self.lanes.entry(name).or_default();
        lane.due_us = now_us();
        lane.messages.insert((message.priority, message.age), message);
    }

    /// Takes all messages out of the lanes of a queue that could have been drawn from before `until_us`.
    fn empty(&mut self, queue: &str, until_us: u64) -> Vec<Message> {
        let is_meant = |name: &Name, lane: &mut Lane| *name.0 == *queue && lane.due_us <= until_us;
        self.lanes.extract_if(is_meant).flat_map(|(_, lane)| lane.messages.into_values()).collect()
    }
}

/// Grants permits, and moves messages without one to their lanes.
pub(super) fn acquire(state: &mut State, owner: i64, asks: &[Ask]) -> Vec<Granted> {
    let now = now_us();
    state.lanes.permits.retain(|_, next_us| *next_us + REMEMBERED_US > now);
    asks.iter().map(|ask| acquire_one(state, owner, ask, now)).collect()
}

fn acquire_one(state: &mut State, owner: i64, ask: &Ask, now: u64) -> Granted {
    let key = bounded(&ask.key).into_owned();
    let is_ours = |at: &usize| state.leased.contains_key(&(owner, ask.tags[*at].0));
    let (held, lost): (Vec<usize>, Vec<usize>) = (0..ask.tags.len()).partition(is_ours);
    let Some(first) = held.first() else {
        return Granted { lost, ..Granted::default() };
    };
    let queue = Arc::clone(&state.leased[&(owner, ask.tags[*first].0)].queue);
    let permit = (ask.task.clone(), key.clone());
    let name = (queue, true, ask.task.clone(), key);
    let (pace, next) = (Pace::of(ask.interval_ns), state.lanes.permits.get(&permit).copied());
    let count = held.len() as u64;
    let (granted, next) = match state.lanes.lanes.get(&name) {
        Some(_) => (0, next.unwrap_or(now)),
        None => pace.grant(next, now, count + u64::from(ask.ahead), false),
    };
    if granted > 0 {
        state.lanes.permits.insert(permit, next);
    }
    let permits = granted.min(count) as usize;
    let mut answer = Granted { permits, ahead: (granted - permits as u64) as u32, lost, due_in_us: None };
    for at in &held[permits..] {
        let message = state.leased.remove(&(owner, ask.tags[*at].0)).expect("seen above");
        let made = || Lane { due_us: pace.due_us(next), ..Lane::default() };
        let lane = state.lanes.lanes.entry(name.clone()).or_insert_with(made);
        lane.messages.insert((message.priority, message.age), message);
        answer.due_in_us = Some(lane.due_us.saturating_sub(now));
    }
    answer
}

/// One draw.
pub(super) struct Request<'a> {
    pub(super) owner: i64,
    pub(super) queues: &'a [String],
    pub(super) max: usize,
    pub(super) first_tag: u64,
    pub(super) quotas: &'a [Quota],
    pub(super) portions: &'a [Portion],
}

/// Leases what the quotas allow.
pub(super) fn draw(state: &mut State, request: &Request<'_>) -> Drawn {
    let (now, mut drawn) = (now_us(), Drawn::default());
    let is_paused = |index: usize| state.paused.contains(&request.queues[index]);
    let mut account = Account::new(request.portions, request.queues.len(), is_paused);
    for quota in request.quotas {
        let Quota::Worker { task, permits } = quota else { continue };
        let (mut left, mut has_more) = (*permits as usize, false);
        for (index, queue) in request.queues.iter().enumerate() {
            let name = (Arc::from(queue.as_str()), false, task.clone(), String::new());
            let got = take(state, request, &name, index, left.min(account.room(index)), &mut drawn.deliveries);
            account.took(index, got);
            left -= got;
            if let Some(lane) = state.lanes.lanes.get_mut(&name) {
                lane.due_us = now;
                has_more |= account.room(index) > 0;
            }
        }
        drawn.has_more.push(has_more);
    }
    let interval_of = |wanted: &str| {
        request.quotas.iter().find_map(|quota| match quota {
            Quota::Shared { task, interval_ns } if task == wanted => Some(*interval_ns),
            _ => None,
        })
    };
    let lanes = state.lanes.lanes.iter();
    let mut due: Vec<(u64, usize, Name, Pace)> = lanes
        .filter(|(name, _)| name.1)
        .filter_map(|(name, lane)| {
            let index = request.queues.iter().position(|queue| **queue == *name.0)?;
            Some((lane.due_us, index, name.clone(), Pace::of(interval_of(&name.2)?)))
        })
        .collect();
    due.sort_by_key(|(due_us, ..)| *due_us);
    for (due_us, index, name, pace) in due {
        let room = (request.max - drawn.deliveries.len()).min(account.room(index));
        if due_us > now {
            break;
        }
        if room == 0 {
            continue;
        }
        let permit = (name.2.clone(), name.3.clone());
        let (count, next) = pace.grant(state.lanes.permits.get(&permit).copied(), now, room as u64, true);
        let got = take(state, request, &name, index, count as usize, &mut drawn.deliveries) as u64;
        account.took(index, got as usize);
        let next = next - (count - got) * pace.interval_us;
        if got > 0 {
            state.lanes.permits.insert(permit, next);
        }
        if let Some(lane) = state.lanes.lanes.get_mut(&name) {
            lane.due_us = pace.due_us(next);
        }
    }
    drawn.next_in_us = next_in_us(state, request, &account, now);
    drawn
}

/// Microseconds until somebody may draw from one of the lanes that the quotas open to us.
fn next_in_us(state: &State, request: &Request<'_>, account: &Account<'_>, now: u64) -> Option<u64> {
    let is_limited = |name: &Name| {
        let index = request.queues.iter().position(|queue| **queue == *name.0);
        let is_watched = index.is_some_and(|index| account.room(index) > 0);
        let is_known = |quota: &Quota| matches!(quota, Quota::Shared { task, .. } if *task == name.2);
        name.1 && is_watched && request.quotas.iter().any(is_known)
    };
    let lanes = state.lanes.lanes.iter().filter(|(name, _)| is_limited(name));
    lanes.map(|(_, lane)| lane.due_us.saturating_sub(now)).min()
}

/// Leases up to `count` messages of a lane, most urgent first; an empty lane is gone. Returns how many there were.
fn take(
    state: &mut State,
    request: &Request<'_>,
    name: &Name,
    index: usize,
    count: usize,
    deliveries: &mut Vec<Delivery>,
) -> usize {
    let count = count.min(request.max - deliveries.len());
    let Some(lane) = state.lanes.lanes.get_mut(name) else { return 0 };
    let mut got = 0;
    while got < count
        && let Some((_, message)) = lane.messages.pop_first()
    {
        let tag = request.first_tag + deliveries.len() as u64;
        deliveries.push(Delivery {
            tag: Tag(tag),
            queue: u16::try_from(index).expect("a worker watches fewer than 65,536 queues"),
            message: message.body.clone(),
            is_redelivered: message.is_redelivered,
        });
        state.leased.insert((request.owner, tag), message);
        got += 1;
    }
    if lane.messages.is_empty() {
        state.lanes.lanes.remove(name);
    }
    got
}

/// Puts everything in the lanes of a queue back, or drops it. Returns how many.
pub(super) fn empty(state: &mut State, queue: &str, is_purge: bool) -> u64 {
    let messages = state.lanes.empty(queue, u64::MAX);
    let count = messages.len() as u64;
    if !is_purge {
        messages.into_iter().for_each(|message| state.put(message));
    }
    count
}

/// Puts back what nobody draws from.
pub(super) fn release_abandoned(state: &mut State, queues: &[String]) {
    let until_us = now_us().saturating_sub(ABANDONED_AFTER.as_micros() as u64);
    for queue in queues {
        for message in state.lanes.empty(queue, until_us) {
            state.put(message);
        }
    }
}
