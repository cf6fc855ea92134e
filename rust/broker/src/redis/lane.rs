//! Lanes: what the scripts `acquire`, `draw` and `unlane` are called with, and what they answer.
//!
//! A draw is numbered and tagged like a fetch, so what it took under a lost answer is found by the next fetch
//! ([`super::fetch`]); its permits are spent then, and the messages ask again.

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::broker::RedisBroker;
use super::failure::int;
use super::fetch::{LostFetch, Outstanding};
use super::keys::Keys;
use super::lease::{FETCH_MAX, Lease};
use super::queues::Queues;
use super::script::{ACQUIRE, DRAW, UNLANE};
use crate::lane::{ABANDONED_AFTER, Ask, CATCH_UP, Drawn, Granted, Pace, Quota, bounded};
use crate::{Delivery, Error, Portion, Tag};

/// Messages that one call of the script takes out of lanes; keeps it short for the server's other clients.
const UNLANED_AT_ONCE: usize = 1000;

impl RedisBroker {
    pub(super) async fn acquire_permits(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        // A message that we do not hold any more has no place to be moved from.
        let held: Vec<Vec<(usize, Tag, Lease)>> = asks.iter().map(|ask| self.held_of(ask)).collect();
        let fill = |command: &mut Cmd| {
            let keys = &self.keys;
            command.arg(4).arg(&keys.unacked).arg(&keys.unacked_index).arg(&keys.permits).arg(&keys.laned);
            command.arg(asks.len());
            for (ask, held) in asks.iter().zip(&held) {
                self.fill_ask(command, ask, held);
            }
        };
        let reply = self.work.script("acquire", &ACQUIRE, fill).await?;
        let call = self.work.call("acquire");
        let Value::Array(answers) = reply else { return Err(call.unexpected(&reply)) };
        let mut granted = Vec::with_capacity(asks.len());
        for ((ask, held), answer) in asks.iter().zip(&held).zip(answers) {
            let Value::Array(numbers) = answer else { return Err(call.unexpected(&answer)) };
            let numbers: Option<Vec<i64>> = numbers.iter().map(int).collect();
            let Some([permits, ahead, due_in, lost @ ..]) = numbers.as_deref() else {
                return Err(call.unexpected(&Value::Nil));
            };
            granted.push(self.granted(ask, held, (*permits, *ahead, *due_in), lost));
        }
        Ok(granted)
    }

    fn held_of(&self, ask: &Ask) -> Vec<(usize, Tag, Lease)> {
        let tags = ask.tags.iter().enumerate();
        tags.filter_map(|(at, tag)| Some((at, *tag, self.held.get(*tag)?))).collect()
    }

    fn fill_ask(&self, command: &mut Cmd, ask: &Ask, held: &[(usize, Tag, Lease)]) {
        let queues = self.watching.now();
        let queue = &queues.all[held.first().map_or(0, |(_, _, lease)| usize::from(lease.queue))];
        let pace = Pace::of(ask.interval_ns);
        command.arg(member(&ask.task, &ask.key)).arg(&queue.name);
        command
            .arg(self.keys.shared_lanes(&queue.name))
            .arg(self.keys.lane_prefix(&queue.name) + &member(&ask.task, &ask.key));
        command.arg(pace.interval_us).arg(pace.ahead_us).arg(ask.ahead).arg(held.len());
        for (_, tag, lease) in held {
            command.arg(self.held.name(*tag, lease.step)).arg(queue.tail.len()).arg(self.keys.suffix(lease.step));
        }
    }

    /// Translates places among what we held into places among what was asked for, and forgets what was moved or lost.
    fn granted(
        &self,
        ask: &Ask,
        held: &[(usize, Tag, Lease)],
        (permits, ahead, due_in): (i64, i64, i64),
        lost: &[i64],
    ) -> Granted {
        let permits = permits as usize;
        let mut ours = Vec::with_capacity(held.len());
        for (place, (at, tag, _)) in held.iter().enumerate() {
            let is_ours = lost.binary_search(&(place as i64)).is_err();
            if !is_ours || ours.len() >= permits {
                self.held.remove(*tag);
            }
            if is_ours {
                ours.push(*at);
            }
        }
        let lost = (0..ask.tags.len()).filter(|at| ours.binary_search(at).is_err()).collect();
        Granted { permits, ahead: ahead as u32, lost, due_in_us: u64::try_from(due_in).ok() }
    }

    pub(super) async fn draw_from_lanes(
        &self,
        max: usize,
        quotas: &[Quota],
        portions: &[Portion],
    ) -> Result<Drawn, Error> {
        let queues = self.watching.now();
        if queues.is_empty() {
            return Ok(Drawn::default());
        }
        let (number, max) = (self.next_fetch.get(), max.min(FETCH_MAX));
        self.next_fetch.set(number + 1);
        let mut outstanding = Outstanding { broker: self, fetch: LostFetch { number, max }, is_answered: false };
        let fill = |command: &mut Cmd| self.fill_draw(command, &queues, number, max, quotas, portions);
        let reply = self.work.script("draw", &DRAW, fill).await?;
        let drawn = match reply {
            // Fenced off: it took nothing.
            Value::Nil => Drawn { next_in_us: Some(0), ..Drawn::default() },
            reply => self.read_drawn(&queues, number, reply)?,
        };
        outstanding.is_answered = true;
        Ok(drawn)
    }

    /// Keys and arguments as `draw.lua` lists them.
    fn fill_draw(
        &self,
        command: &mut Cmd,
        queues: &Queues,
        number: u64,
        max: usize,
        quotas: &[Quota],
        portions: &[Portion],
    ) {
        let (keys, queues) = (&self.keys, &queues.all);
        command.arg(7 + 2 * queues.len());
        command.arg(&keys.unacked).arg(&keys.unacked_index);
        command.arg(keys.owner(&self.held.incarnation)).arg(&keys.owners).arg(&keys.permits).arg(&keys.laned);
        command.arg(&keys.paused);
        command.arg(queues.iter().map(|queue| keys.shared_lanes(&queue.name)).collect::<Vec<_>>());
        command.arg(queues.iter().map(|queue| keys.worker_lanes(&queue.name)).collect::<Vec<_>>());
        let is_shared = |quota: &&Quota| matches!(quota, Quota::Shared { .. });
        let shared = quotas.iter().filter(is_shared).count();
        command.arg(max).arg(self.held.prefix(number)).arg(number).arg(&self.held.incarnation);
        command.arg(self.terms.life.as_millis() as u64).arg(number % queues.len() as u64);
        command.arg(CATCH_UP.as_micros() as u64).arg(queues.len()).arg(keys.steps().len());
        command.arg(shared).arg(quotas.len() - shared);
        command.arg(queues.iter().map(|queue| &queue.tail).collect::<Vec<_>>());
        command.arg(queues.iter().map(|queue| &queue.name).collect::<Vec<_>>());
        command.arg(queues.iter().map(|queue| keys.lane_prefix(&queue.name)).collect::<Vec<_>>());
        command.arg(keys.steps().iter().map(u8::to_string).collect::<Vec<_>>());
        command.arg(keys.steps().iter().map(|step| keys.suffix(*step)).collect::<Vec<_>>());
        for quota in quotas {
            if let Quota::Shared { task, interval_ns } = quota {
                let pace = Pace::of(*interval_ns);
                command.arg(task).arg(pace.interval_us).arg(pace.ahead_us);
            }
        }
        for quota in quotas {
            if let Quota::Worker { task, permits } = quota {
                command.arg(task).arg(*permits);
            }
        }
        for portion in portions {
            command.arg(portion.room);
        }
    }

    fn read_drawn(&self, queues: &Queues, number: u64, reply: Value) -> Result<Drawn, Error> {
        let call = self.work.call("draw");
        let Value::Array(parts) = reply else { return Err(call.unexpected(&reply)) };
        let mut parts = parts.into_iter();
        let (Some(Value::Int(next_in)), Some(Value::Array(has_more))) = (parts.next(), parts.next()) else {
            return Err(call.unexpected(&Value::Nil));
        };
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut place = 0;
        while let (Some(list), Some(items)) = (parts.next(), parts.next()) {
            let (Value::Int(list), Value::Array(items)) = (list, items) else {
                return Err(call.unexpected(&Value::Nil));
            };
            let (queue, step) = (list as usize % queues.len(), list as usize / queues.len());
            for item in items {
                place += 1;
                let Value::BulkString(message) = item else { return Err(call.unexpected(&item)) };
                let lease = Lease { queue: queue as u16, step: self.keys.steps()[step] };
                deliveries.push(self.deliver(number, place, lease, message));
            }
        }
        let has_more = has_more.iter().map(|flag| int(flag) == Some(1)).collect();
        Ok(Drawn { deliveries, next_in_us: u64::try_from(next_in).ok(), has_more })
    }

    /// Puts back a part of the lanes that nobody has drawn from for long; looks only now and then.
    pub(super) async fn release_abandoned_lanes(&self) -> Result<(), Error> {
        let is_due = self.unlaned.get().is_none_or(|looked| looked.elapsed() >= ABANDONED_AFTER / 12);
        if !is_due {
            return Ok(());
        }
        let (looked, mut has_more) = (Instant::now(), false);
        for queue in &self.watching.now().all {
            let words = unlane_words(&self.keys, &queue.name, Some(ABANDONED_AFTER.as_micros() as u64), false);
            let fill = |command: &mut Cmd| {
                command.arg(words.keys.len()).arg(&words.keys).arg(&words.args);
            };
            has_more |= unlaned(&self.work.script("release", &UNLANE, fill).await?).1;
        }
        if !has_more {
            self.unlaned.set(Some(looked));
        }
        Ok(())
    }
}

/// Keys and arguments of `unlane.lua`.
pub(super) struct UnlaneWords {
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<String>,
}

/// `abandoned_us`: only lanes whose permit was there so long ago. `is_purge`: drop instead of putting back.
pub(super) fn unlane_words(keys: &Keys, queue: &str, abandoned_us: Option<u64>, is_purge: bool) -> UnlaneWords {
    let mut args = vec![
        abandoned_us.map(|us| us.to_string()).unwrap_or_default(),
        UNLANED_AT_ONCE.to_string(),
        queue.to_owned(),
        keys.lane_prefix(queue),
        if is_purge { "purge" } else { "" }.to_owned(),
    ];
    for step in keys.steps().iter().rev() {
        args.push(keys.suffix(*step));
        args.push(keys.list(queue, *step));
    }
    UnlaneWords { keys: vec![keys.shared_lanes(queue), keys.worker_lanes(queue), keys.laned.clone()], args }
}

/// The answer of `unlane.lua`: how many messages were moved, and whether there may be more.
pub(super) fn unlaned(reply: &Value) -> (u64, bool) {
    match reply {
        Value::Array(numbers) => match &numbers[..] {
            [Value::Int(moved), Value::Int(has_more)] => (*moved as u64, *has_more == 1),
            _ => (0, false),
        },
        _ => (0, false),
    }
}

/// What the permits and the lanes of a key are kept under.
fn member(task: &str, key: &str) -> String {
    format!("{task}\0{}", bounded(key))
}
