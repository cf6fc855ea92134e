//! The model broker's shared permits and lanes.

use std::collections::{BTreeMap, HashMap};

use super::broker::{Broker, Lease, Owner, Place};
use crate::action::{Ask, Portion};
use crate::admit::{Quota, Rate};
use crate::config::Scope;
use crate::event::{Acquired, Handle};

/// Permits of this time may be had at its beginning, in microseconds.
const BLOCK_US: u64 = 250_000;
/// A late draw may catch up by so much.
const CATCH_UP_US: u64 = 100_000;
/// Lanes that nobody draws from go back to their queues after this time.
const ABANDONED_US: u64 = 60_000_000;

/// Queue, task, key, whether shared.
type Name = (u16, u32, u64, bool);

/// Permits and lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    next_us: HashMap<(u32, u64), u64>,
    lanes: BTreeMap<Name, Lane>,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    due_us: u64,
    /// By priority, then age.
    messages: BTreeMap<(u8, usize), usize>,
}

/// What a draw brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Haul {
    pub(super) leases: Vec<Lease>,
    pub(super) next_in_us: Option<u64>,
    pub(super) has_more: Vec<bool>,
}

fn interval_us(rate: Rate) -> u64 {
    rate.interval_ns().div_ceil(1_000)
}

/// How many of `wanted` permits there are, and from when on the next one is.
fn grant(rate: Rate, next_us: u64, now_us: u64, wanted: u64) -> (u64, u64) {
    let interval_us = interval_us(rate);
    let ahead_us = BLOCK_US.saturating_sub(interval_us);
    let next_us = next_us.min(now_us + interval_us + ahead_us);
    let Some(room_us) = (now_us + ahead_us).checked_sub(next_us) else { return (0, next_us) };
    let granted = (room_us / interval_us + 1).min(wanted);
    (granted, next_us + granted * interval_us)
}

fn due_us(rate: Rate, next_us: u64) -> u64 {
    next_us.saturating_sub(BLOCK_US.saturating_sub(interval_us(rate)))
}

impl Broker {
    /// Grants permits to leased messages, or moves them to the lane of their key.
    pub(super) fn acquire(&mut self, owner: Owner, ask: &Ask, leases: &[(Handle, Lease)], answer: &mut Acquired) {
        let now_us = self.now_us;
        let name = (ask.queue, ask.task, ask.key, true);
        let kept_us = self.lanes.next_us.get(&(ask.task, ask.key)).copied().unwrap_or(0).max(now_us);
        let (held, lost): (Vec<_>, Vec<_>) =
            leases.iter().copied().partition(|&(_, lease)| self.owned(lease, owner).is_some());
        answer.lost.extend(lost.into_iter().map(|(handle, _)| handle));
        if held.is_empty() {
            return;
        }
        let wanted = held.len() as u64 + u64::from(ask.ahead);
        let (granted, next_us) = match self.lanes.lanes.get(&name) {
            Some(_) => (0, kept_us),
            None => grant(ask.rate, kept_us, now_us, wanted),
        };
        self.lanes.next_us.insert((ask.task, ask.key), next_us);
        let permits = (granted as usize).min(held.len());
        answer.ahead.push((ask.task, ask.key, granted as u32 - permits as u32));
        answer.granted.extend(held[..permits].iter().map(|(handle, _)| *handle));
        for &(handle, lease) in &held[permits..] {
            answer.laned.push(handle);
            let due_us = due_us(ask.rate, next_us);
            let lane = self.lanes.lanes.entry(name).or_insert(Lane { due_us, ..Lane::default() });
            let wait_us = lane.due_us.saturating_sub(now_us);
            answer.due_in_us = Some(answer.due_in_us.map_or(wait_us, |known_us| known_us.min(wait_us)));
            self.enter(name, lease.message);
        }
    }

    /// Moves a leased message to the lane of limits of each worker by itself.
    pub(super) fn enter_worker_lane(&mut self, index: usize) {
        let letter = &self.messages[index].letter;
        let name = (letter.queue, letter.task.expect("only known tasks have limits"), 0, false);
        self.lanes.lanes.entry(name).or_default().due_us = self.now_us;
        self.enter(name, index);
    }

    fn enter(&mut self, name: Name, index: usize) {
        let scope = if name.3 { Scope::Shared } else { Scope::Worker };
        let message = &mut self.messages[index];
        message.place = Place::Laned(self.now_us, scope);
        let lane = self.lanes.lanes.get_mut(&name).expect("the caller made it");
        lane.messages.insert((message.letter.priority, index), index);
    }

    /// Leases what the quotas allow.
    pub(super) fn draw(&mut self, owner: Owner, max: u32, quotas: &[Quota], portions: &[Portion]) -> Haul {
        let mut haul = Haul::default();
        let mut taken: HashMap<u16, usize> = HashMap::new();
        let room_of = |queue: u16, taken: &HashMap<u16, usize>| {
            let room = portions.get(usize::from(queue)).map_or(usize::MAX, |portion| portion.room as usize);
            room - taken.get(&queue).copied().unwrap_or(0)
        };
        for quota in quotas {
            if let Quota::Worker { task, permits } = *quota {
                let mut left = permits as usize;
                let names: Vec<_> = self.lanes.lanes.keys().copied().filter(|it| it.1 == task && !it.3).collect();
                for name in names {
                    let most = left.min(max as usize - haul.leases.len()).min(room_of(name.0, &taken));
                    let got = self.take(owner, name, most, &mut haul.leases);
                    *taken.entry(name.0).or_default() += got;
                    left -= got;
                    if let Some(lane) = self.lanes.lanes.get_mut(&name) {
                        lane.due_us = self.now_us;
                    }
                }
                let is_left = |it: &Name| it.1 == task && !it.3 && room_of(it.0, &taken) > 0;
                haul.has_more.push(self.lanes.lanes.keys().any(is_left));
            }
        }
        let rate_of = |wanted: u32| {
            quotas.iter().find_map(|quota| match *quota {
                Quota::Shared { task, rate } if task == wanted => Some(rate),
                _ => None,
            })
        };
        let now_us = self.now_us;
        let lanes = self.lanes.lanes.iter().filter(|(name, _)| name.3);
        let mut due: Vec<_> = lanes.map(|(&name, lane)| (lane.due_us, name)).collect();
        due.sort_unstable();
        for (lane_due_us, name) in due {
            let Some(rate) = rate_of(name.1) else { continue };
            let room = (max as usize - haul.leases.len()).min(room_of(name.0, &taken));
            if room_of(name.0, &taken) == 0 {
                continue;
            }
            if lane_due_us > now_us || room == 0 {
                let wait_us = lane_due_us.saturating_sub(now_us);
                haul.next_in_us = Some(haul.next_in_us.map_or(wait_us, |known_us| known_us.min(wait_us)));
                continue;
            }
            let kept_us = self.lanes.next_us.get(&(name.1, name.2)).copied().unwrap_or(now_us);
            let (count, next_us) = grant(rate, kept_us.max(now_us.saturating_sub(CATCH_UP_US)), now_us, room as u64);
            let got = self.take(owner, name, count as usize, &mut haul.leases) as u64;
            *taken.entry(name.0).or_default() += got as usize;
            let next_us = next_us - (count - got) * interval_us(rate);
            self.lanes.next_us.insert((name.1, name.2), next_us);
            if let Some(lane) = self.lanes.lanes.get_mut(&name) {
                lane.due_us = due_us(rate, next_us);
                let wait_us = lane.due_us.saturating_sub(now_us);
                haul.next_in_us = Some(haul.next_in_us.map_or(wait_us, |known_us| known_us.min(wait_us)));
            }
        }
        haul
    }

    fn take(&mut self, owner: Owner, name: Name, count: usize, leases: &mut Vec<Lease>) -> usize {
        let (mut got, now_us) = (0, self.now_us);
        while got < count
            && let Some(lane) = self.lanes.lanes.get_mut(&name)
            && let Some((_, index)) = lane.messages.pop_first()
        {
            let message = &mut self.messages[index];
            message.leases += 1;
            message.epoch = message.leases;
            message.place = Place::Leased(owner);
            message.refreshed_us = now_us;
            leases.push(Lease { message: index, epoch: message.epoch });
            got += 1;
        }
        if self.lanes.lanes.get(&name).is_some_and(|lane| lane.messages.is_empty()) {
            self.lanes.lanes.remove(&name);
        }
        got
    }

    /// Puts back what is in lanes that nobody draws from.
    pub(super) fn release_abandoned(&mut self) {
        let until_us = self.now_us.saturating_sub(ABANDONED_US);
        let names: Vec<_> =
            self.lanes.lanes.iter().filter(|(_, it)| it.due_us <= until_us).map(|(it, _)| *it).collect();
        for name in names.into_iter().filter(|_| until_us > 0) {
            let lane = self.lanes.lanes.remove(&name).expect("just listed");
            lane.messages.into_values().rev().for_each(|index| self.requeue(index, false));
        }
    }

    /// From when on the lane of this message may be drawn from.
    pub(super) fn lane_due_us(&self, index: usize) -> u64 {
        let letter = &self.messages[index].letter;
        let name = letter.task.map(|task| (letter.queue, task, letter.key, true));
        name.and_then(|name| self.lanes.lanes.get(&name)).map_or(u64::MAX, |lane| lane.due_us)
    }
}
