//! Shared rate limits, and the lanes in which messages wait that are over their rate.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::OptionalExtension;

use super::fetch::account;
use super::lease::{self, Held, Owner};
use super::session::Session;
use super::settle::put_back;
use crate::clock::now_us;
use crate::lane::{ABANDONED_AFTER, Ask, Drawn, Granted, Pace, Quota, bounded};
use crate::portion::Account;
use crate::{Delivery, Portion, Tag};

/// At most this many messages leave lanes for their queue in one transaction; others wait for the write lock meanwhile.
const BATCH: i64 = 1_000;
/// Idle keys that are forgotten with each call.
const SWEPT: i64 = 100;
/// A key's last permit is remembered so long after its next one is there, in microseconds: late draws catch up by it.
const REMEMBERED_US: i64 = 1_000_000;

/// Grants permits, and moves messages without one to their lanes.
pub(super) fn acquire(session: &Session, owner: i64, asks: &[Ask]) -> rusqlite::Result<Vec<Granted>> {
    let now = now_us();
    session
        .sql
        .prepare_cached(
            "DELETE FROM permits WHERE (task, key) IN
             (SELECT task, key FROM permits WHERE next_us < ?1 ORDER BY next_us LIMIT ?2)",
        )?
        .execute((now as i64 - REMEMBERED_US, SWEPT))?;
    asks.iter().map(|ask| acquire_one(session, owner, ask, now)).collect()
}

fn acquire_one(session: &Session, owner: i64, ask: &Ask, now: u64) -> rusqlite::Result<Granted> {
    let key = bounded(&ask.key);
    let (mut held, mut lost) = (Vec::with_capacity(ask.tags.len()), Vec::new());
    for (at, tag) in ask.tags.iter().enumerate() {
        match lease::find(session, owner, tag.0)? {
            Some(one) => held.push((tag.0, one)),
            None => lost.push(at),
        }
    }
    let Some(queue) = held.first().map(|(_, held)| held.queue) else {
        return Ok(Granted { lost, ..Granted::default() });
    };
    let lane = Lane::find(session, queue, true, &ask.task, &key)?;
    let (pace, next) = (Pace::of(ask.interval_ns), next_permit(session, &ask.task, &key)?);
    let count = held.len() as u64;
    let (granted, next) = match lane {
        Some(_) => (0, next.unwrap_or(now)),
        None => pace.grant(next, now, count + u64::from(ask.ahead), false),
    };
    if granted > 0 {
        keep_permit(session, &ask.task, &key, next)?;
    }
    let permits = granted.min(count) as usize;
    let mut answer = Granted { permits, ahead: (granted - permits as u64) as u32, lost, due_in_us: None };
    if permits == held.len() {
        return Ok(answer);
    }
    let due = lane.map_or(pace.due_us(next), |lane| lane.due_us);
    let lane = match lane {
        Some(lane) => lane.id,
        None => Lane::make(session, queue, true, (&ask.task, &key), due)?,
    };
    for (tag, held) in &held[permits..] {
        lease::end(session, owner, *tag)?;
        enter(session, lane, held)?;
    }
    answer.due_in_us = Some(due.saturating_sub(now));
    Ok(answer)
}

fn next_permit(session: &Session, task: &str, key: &str) -> rusqlite::Result<Option<u64>> {
    session
        .sql
        .prepare_cached("SELECT next_us FROM permits WHERE task = ?1 AND key = ?2")?
        .query_row((task, key), |row| row.get::<_, i64>(0))
        .optional()
        .map(|next| next.map(|next| next as u64))
}

fn keep_permit(session: &Session, task: &str, key: &str, next_us: u64) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached("INSERT INTO permits VALUES (?1, ?2, ?3) ON CONFLICT(task, key) DO UPDATE SET next_us = ?3")?
        .execute((task, key, next_us as i64))?;
    Ok(())
}

/// A lane that exists. It may be empty for a moment: the next draw finds that out.
#[derive(Clone, Copy)]
struct Lane {
    id: i64,
    due_us: u64,
}

impl Lane {
    fn find(session: &Session, queue: i64, is_shared: bool, task: &str, key: &str) -> rusqlite::Result<Option<Lane>> {
        session
            .sql
            .prepare_cached(
                "SELECT lane, due_us FROM lanes WHERE queue = ?1 AND is_shared = ?2 AND task = ?3 AND key = ?4",
            )?
            .query_row((queue, is_shared, task, key), |row| {
                Ok(Lane { id: row.get(0)?, due_us: row.get::<_, i64>(1)? as u64 })
            })
            .optional()
    }

    fn make(
        session: &Session,
        queue: i64,
        is_shared: bool,
        (task, key): (&str, &str),
        due_us: u64,
    ) -> rusqlite::Result<i64> {
        session
            .sql
            .prepare_cached("INSERT INTO lanes(queue, is_shared, task, key, due_us) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((queue, is_shared, task, key, due_us as i64))?;
        Ok(session.sql.last_insert_rowid())
    }

    fn set_due(session: &Session, id: i64, due_us: u64) -> rusqlite::Result<()> {
        session.sql.prepare_cached("UPDATE lanes SET due_us = ?2 WHERE lane = ?1")?.execute((id, due_us as i64))?;
        Ok(())
    }

    fn remove(session: &Session, id: i64) -> rusqlite::Result<()> {
        session.sql.prepare_cached("DELETE FROM lanes WHERE lane = ?1")?.execute([id])?;
        Ok(())
    }
}

fn enter(session: &Session, lane: i64, held: &Held) -> rusqlite::Result<()> {
    session.sql.prepare_cached("INSERT INTO laned VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
        lane,
        held.priority,
        held.id,
        held.is_redelivered,
        held.attempts,
    ))?;
    Ok(())
}

/// Puts a message, whose lease the caller has ended, into the lane of a limit of each worker by itself.
pub(super) fn enter_worker_lane(session: &Session, held: &Held, task: &str) -> rusqlite::Result<()> {
    let now = now_us();
    let lane = match Lane::find(session, held.queue, false, task, "")? {
        Some(lane) => {
            Lane::set_due(session, lane.id, now)?;
            lane.id
        }
        None => Lane::make(session, held.queue, false, (task, ""), now)?,
    };
    enter(session, lane, held)
}

/// One draw, chosen by the caller in everything.
pub(super) struct Request {
    pub(super) owner: Arc<Owner>,
    pub(super) queues: Arc<[String]>,
    pub(super) max: usize,
    pub(super) first_tag: u64,
    pub(super) turn: usize,
    pub(super) quotas: Vec<Quota>,
    pub(super) portions: Vec<Portion>,
}

/// Carries the request out.
pub(super) fn draw(session: &Session, request: &Request) -> rusqlite::Result<Drawn> {
    let queues = request.queues.iter().map(|name| session.queue_id(name)).collect::<Result<Vec<i64>, _>>()?;
    lease::register(session, &request.owner)?;
    let account = account(session, &request.queues, &request.portions)?;
    let mut basket = Basket { session, request, queues, account, drawn: Drawn::default() };
    let now = now_us();
    basket.draw_own(now)?;
    basket.draw_shared(now)?;
    Ok(basket.drawn)
}

struct Basket<'a> {
    session: &'a Session,
    request: &'a Request,
    queues: Vec<i64>,
    account: Account<'a>,
    drawn: Drawn,
}

impl Basket<'_> {
    fn room(&self) -> u64 {
        self.request.max.saturating_sub(self.drawn.deliveries.len()) as u64
    }

    /// The queues from the one whose turn it is.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, turn) = (self.queues.len(), self.request.turn);
        (0..count).map(move |step| (turn + step) % count)
    }

    fn draw_own(&mut self, now: u64) -> rusqlite::Result<()> {
        for quota in &self.request.quotas {
            let Quota::Worker { task, permits } = quota else { continue };
            let (mut left, mut has_more) = (u64::from(*permits), false);
            for index in self.order() {
                let Some(lane) = Lane::find(self.session, self.queues[index], false, task, "")? else { continue };
                let count = left.min(self.room()).min(self.account.room(index) as u64);
                let got = self.take(lane.id, index, count)?;
                left -= got;
                if got < count {
                    Lane::remove(self.session, lane.id)?;
                } else {
                    Lane::set_due(self.session, lane.id, now)?;
                    has_more |= self.account.room(index) > 0;
                }
            }
            self.drawn.has_more.push(has_more);
        }
        Ok(())
    }

    fn draw_shared(&mut self, now: u64) -> rusqlite::Result<()> {
        let is_shared = |quota: &&Quota| matches!(quota, Quota::Shared { .. });
        if !self.request.quotas.iter().any(|quota| is_shared(&quota)) {
            return Ok(());
        }
        for (place, index) in self.order().enumerate() {
            let share = self.room().div_ceil((self.queues.len() - place) as u64);
            self.draw_queue(index, share.min(self.account.room(index) as u64), now)?;
            if self.account.room(index) == 0 {
                continue;
            }
            let from = if self.room() == 0 { 0 } else { now as i64 + 1 };
            let first: Option<i64> = self
                .session
                .sql
                .prepare_cached("SELECT min(due_us) FROM lanes WHERE queue = ?1 AND is_shared AND due_us >= ?2")?
                .query_row((self.queues[index], from), |row| row.get(0))?;
            if let Some(first) = first {
                let wait = (first as u64).saturating_sub(now);
                self.drawn.next_in_us = Some(self.drawn.next_in_us.map_or(wait, |next| next.min(wait)));
            }
        }
        Ok(())
    }

    /// Draws up to `share` messages from the due lanes of one queue, the one that has been due longest first.
    fn draw_queue(&mut self, index: usize, mut share: u64, now: u64) -> rusqlite::Result<()> {
        let due: Vec<(i64, String, String)> = self
            .session
            .sql
            .prepare_cached(
                "SELECT lane, task, key FROM lanes WHERE queue = ?1 AND is_shared AND due_us <= ?2
                 ORDER BY due_us LIMIT ?3",
            )?
            .query_map((self.queues[index], now as i64, share as i64), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        for (lane, task, key) in due {
            let interval = self.request.quotas.iter().find_map(|quota| match quota {
                Quota::Shared { task: limited, interval_ns } if *limited == task => Some(*interval_ns),
                _ => None,
            });
            let Some(pace) = interval.map(Pace::of).filter(|_| share > 0) else { continue };
            let kept = next_permit(self.session, &task, &key)?;
            let (count, next) = pace.grant(kept, now, share, true);
            let got = self.take(lane, index, count)?;
            share -= got;
            let next = next - (count - got) * pace.interval_us;
            if got > 0 {
                keep_permit(self.session, &task, &key, next)?;
            }
            if got < count {
                Lane::remove(self.session, lane)?;
            } else {
                Lane::set_due(self.session, lane, pace.due_us(next))?;
            }
        }
        Ok(())
    }

    /// Leases up to `count` messages of a lane, most urgent first. Returns how many there were.
    fn take(&mut self, lane: i64, index: usize, count: u64) -> rusqlite::Result<u64> {
        if count == 0 {
            return Ok(0);
        }
        let queue = self.queues[index];
        let taken: Vec<(Held, Bytes)> = self
            .session
            .sql
            .prepare_cached(
                "SELECT l.id, ?3, priority, is_redelivered, attempts, message
                 FROM laned l JOIN bodies b ON b.id = l.id WHERE lane = ?1 ORDER BY priority, l.id LIMIT ?2",
            )?
            .query_map((lane, count as i64, queue), |row| {
                Ok((Held::read(row)?, Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?)))
            })?
            .collect::<Result<_, _>>()?;
        for (held, message) in &taken {
            leave(self.session, lane, held)?;
            let tag = self.request.first_tag + self.drawn.deliveries.len() as u64;
            lease::take(self.session, self.request.owner.id, tag, held)?;
            self.drawn.deliveries.push(Delivery {
                tag: Tag(tag),
                queue: u16::try_from(index).unwrap_or(0),
                message: message.clone(),
                is_redelivered: held.is_redelivered,
            });
        }
        self.account.took(index, taken.len());
        Ok(taken.len() as u64)
    }
}

fn leave(session: &Session, lane: i64, held: &Held) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM laned WHERE lane = ?1 AND priority = ?2 AND id = ?3")?.execute((
        lane,
        held.priority,
        held.id,
    ))?;
    Ok(())
}

/// How many messages are in the lanes of a queue.
pub(super) fn count(session: &Session, queue: i64) -> rusqlite::Result<i64> {
    session
        .sql
        .prepare_cached("SELECT count(*) FROM laned JOIN lanes USING (lane) WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))
}

/// Puts up to a batch of messages, in lanes that could have been drawn from before `until_us`, back to their queue, or
/// drops them. Returns how many.
pub(super) fn empty(session: &Session, queue: i64, until_us: i64, is_purge: bool) -> rusqlite::Result<u64> {
    let found: Vec<(i64, Held)> = session
        .sql
        .prepare_cached(
            "SELECT id, queue, priority, is_redelivered, attempts, lane FROM laned JOIN lanes USING (lane)
             WHERE queue = ?1 AND due_us <= ?2 LIMIT ?3",
        )?
        .query_map((queue, until_us, BATCH), |row| Ok((row.get(5)?, Held::read(row)?)))?
        .collect::<Result<_, _>>()?;
    for (lane, held) in &found {
        leave(session, *lane, held)?;
        if is_purge {
            session.sql.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([held.id])?;
        } else {
            put_back(session, held)?;
        }
    }
    if (found.len() as i64) < BATCH {
        session
            .sql
            .prepare_cached("DELETE FROM lanes WHERE queue = ?1 AND due_us <= ?2")?
            .execute((queue, until_us))?;
    }
    Ok(found.len() as u64)
}

fn abandoned_us() -> i64 {
    now_us() as i64 - ABANDONED_AFTER.as_micros() as i64
}

/// Whether one of these queues has a lane that nobody draws from: what a reader can tell without the write lock.
pub(super) fn has_abandoned(session: &Session, queues: &[String]) -> rusqlite::Result<bool> {
    let mut statement = session.sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM lanes WHERE queue = (SELECT id FROM queues WHERE name = ?1)
                        AND is_shared = ?3 AND due_us <= ?2)",
    )?;
    let until = abandoned_us();
    for queue in queues {
        for is_shared in [true, false] {
            if statement.query_row((queue, until, is_shared), |row| row.get(0))? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Puts back a part of what is in such lanes.
pub(super) fn release_abandoned(session: &Session, queues: &[String]) -> rusqlite::Result<()> {
    for queue in queues {
        if let Some(queue) = session.known_queue_id(queue)? {
            empty(session, queue, abandoned_us(), false)?;
        }
    }
    Ok(())
}
