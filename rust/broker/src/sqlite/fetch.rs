//! From queues to a lease: the most urgent messages first, in one transaction.

use std::sync::Arc;

use bytes::Bytes;

use super::dead;
use super::lease::{self, Held, Owner};
use super::pause;
use super::session::Session;
use crate::burial::{Burial, is_json_object};
use crate::order::QueueOrder;
use crate::portion::Account;
use crate::{Delivery, Portion, Tag};

/// A fetch stops early when it has this much: a hundred bodies of 100 MB are not to be held at once.
const BATCH_BYTES: usize = 32 << 20;

/// Beyond what it may hand out, a fetch takes at most this many messages that go to the dead letters: a queue full of
/// rubbish must not make one endless transaction. `wait` sees that there is more.
const RUBBISH: usize = 200;

/// Tags from the first to the last of them.
pub(super) type Tags = (u64, u64);

/// One fetch, chosen by the caller in everything, so that running it twice gives the same lease.
pub(super) struct Request {
    /// Who fetches.
    pub(super) owner: Arc<Owner>,
    /// The watched queues; a delivery names its queue by its index here.
    pub(super) queues: Arc<[String]>,
    /// At most so many messages.
    pub(super) max: usize,
    /// The tags of this fetch start here.
    pub(super) first_tag: u64,
    /// Which of the queues of one priority comes first.
    pub(super) order: QueueOrder,
    /// Whose turn it is, where they take turns.
    pub(super) turn: usize,
    /// Of each queue, or none.
    pub(super) portions: Vec<Portion>,
    /// Tags of earlier fetches whose answer nobody received: what was leased under them is handed out first.
    pub(super) unclaimed: Vec<Tags>,
}

/// What came of a fetch.
pub(super) struct Fetched {
    /// The leased messages.
    pub(super) deliveries: Vec<Delivery>,
    /// Tags of the request's `unclaimed` that did not fit.
    pub(super) unclaimed: Vec<Tags>,
    /// By queue: its portion is used up. Empty when there were no portions.
    pub(super) full: Vec<bool>,
}

/// Carries the request out.
pub(super) fn fetch(session: &Session, request: &Request) -> rusqlite::Result<Fetched> {
    lease::register(session, &request.owner)?;
    let queue_ids = request.queues.iter().map(|name| session.queue_id(name)).collect::<Result<Vec<i64>, _>>()?;
    let account = account(session, &request.queues, &request.portions)?.ordered(request.order.is_strict());
    let (next_tag, deliveries) = (request.first_tag, Vec::new());
    let mut basket = Basket { session, request, queue_ids, account, next_tag, bytes: 0, rubbish: 0, deliveries };
    let unclaimed = basket.claim()?;
    basket.fill()?;
    let full = (0..request.portions.len()).map(|index| basket.account.room(index) == 0).collect();
    Ok(Fetched { deliveries: basket.deliveries, unclaimed, full })
}

/// What may come of each queue.
pub(super) fn account<'a>(
    session: &Session,
    queues: &[String],
    portions: &'a [Portion],
) -> rusqlite::Result<Account<'a>> {
    let paused = pause::list(session)?;
    Ok(Account::new(portions, queues.len(), |index| paused.contains(&queues[index])))
}

struct Basket<'a> {
    session: &'a Session,
    request: &'a Request,
    queue_ids: Vec<i64>,
    account: Account<'a>,
    next_tag: u64,
    bytes: usize,
    rubbish: usize,
    deliveries: Vec<Delivery>,
}

impl Basket<'_> {
    fn room(&self) -> usize {
        if self.bytes >= BATCH_BYTES || self.rubbish >= RUBBISH {
            0
        } else {
            self.request.max.saturating_sub(self.deliveries.len())
        }
    }

    /// Reads back what was leased for an answer that got lost; returns the tags that did not fit.
    fn claim(&mut self) -> rusqlite::Result<Vec<Tags>> {
        let mut left = Vec::new();
        for (first, last) in self.request.unclaimed.iter().copied() {
            let mut from = first;
            while self.room() > 0 && from <= last {
                let Some((tag, held, message)) = self.next_leased(from, last)? else {
                    from = last + 1;
                    break;
                };
                self.hand_out(tag, &held, message);
                from = tag + 1;
            }
            if from <= last {
                left.push((from, last));
            }
        }
        Ok(left)
    }

    fn next_leased(&self, from: u64, last: u64) -> rusqlite::Result<Option<(u64, Held, Bytes)>> {
        let mut statement = self.session.sql.prepare_cached(
            "SELECT l.id, queue, priority, is_redelivered, attempts, tag, message
             FROM leased l JOIN bodies b ON b.id = l.id
             WHERE owner = ?1 AND tag BETWEEN ?2 AND ?3 ORDER BY tag LIMIT 1",
        )?;
        let mut rows = statement.query((self.request.owner.id, from as i64, last as i64))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let message = Bytes::copy_from_slice(row.get_ref(6)?.as_blob()?);
        Ok(Some((row.get::<_, i64>(5)? as u64, Held::read(row)?, message)))
    }

    /// Priority by priority; the queues of one priority share what room there is, and the turn moves on with every
    /// fetch, so that a long queue delays no other. Or they come one after another.
    fn fill(&mut self) -> rusqlite::Result<()> {
        let mut heads = Vec::with_capacity(self.queue_ids.len());
        for index in self.request.order.of(&self.request.queues, self.request.turn) {
            if self.account.room(index) > 0 {
                heads.push((index, self.urgency(index, 0)?));
            }
        }
        while self.room() > 0
            && let Some(priority) = heads.iter().filter_map(|(_, priority)| *priority).min()
        {
            let is_live = |head: &&mut (usize, Option<u8>)| head.1 == Some(priority);
            let live: Vec<usize> = heads.iter_mut().filter(is_live).map(|(index, _)| *index).collect();
            let shares = self.account.shares(&live, self.room());
            for ((index, head), share) in heads.iter_mut().filter(is_live).zip(shares) {
                let share = share.min(self.room());
                let before = self.deliveries.len();
                let taken = self.take(*index, priority, share)?;
                self.account.took(*index, self.deliveries.len() - before);
                if self.account.room(*index) == 0 {
                    *head = None;
                } else if taken < share && self.room() > 0 {
                    *head = self.urgency(*index, priority + 1)?;
                }
            }
        }
        Ok(())
    }

    /// The most urgent priority, not below `from`, at which this queue has something.
    fn urgency(&self, index: usize, from: u8) -> rusqlite::Result<Option<u8>> {
        self.session
            .sql
            .prepare_cached("SELECT min(priority) FROM ready WHERE queue = ?1 AND priority >= ?2")?
            .query_row((self.queue_ids[index], from), |row| row.get(0))
    }

    /// Leases up to `share` messages of one queue and priority, oldest first. Returns how many it took out.
    fn take(&mut self, index: usize, priority: u8, share: usize) -> rusqlite::Result<usize> {
        let queue = self.queue_ids[index];
        let taken = self.oldest(queue, priority, share)?;
        let Some((last, _)) = taken.last() else { return Ok(0) };
        self.session
            .sql
            .prepare_cached("DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND id <= ?3")?
            .execute((queue, priority, last.id))?;
        let count = taken.len();
        for (held, message) in taken {
            if is_json_object(&message) {
                let tag = self.next_tag;
                self.next_tag += 1;
                lease::take(self.session, self.request.owner.id, tag, &held)?;
                self.hand_out(tag, &held, message);
            } else {
                let burial = Burial::not_json(&message);
                tracing::error!(id = burial.letter, queue, "not JSON: moved to the dead letters");
                dead::bury(self.session, &held, &burial)?;
                self.rubbish += 1;
            }
        }
        Ok(count)
    }

    fn oldest(&self, queue: i64, priority: u8, share: usize) -> rusqlite::Result<Vec<(Held, Bytes)>> {
        let mut statement = self.session.sql.prepare_cached(
            "SELECT r.id, queue, priority, is_redelivered, attempts, message
             FROM ready r JOIN bodies b ON b.id = r.id
             WHERE queue = ?1 AND priority = ?2 ORDER BY r.id LIMIT ?3",
        )?;
        let mut rows = statement.query((queue, priority, share as i64))?;
        let mut taken = Vec::with_capacity(share.min(1024));
        let mut bytes = self.bytes;
        while bytes < BATCH_BYTES
            && let Some(row) = rows.next()?
        {
            let message = Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?);
            bytes += message.len();
            taken.push((Held::read(row)?, message));
        }
        Ok(taken)
    }

    fn hand_out(&mut self, tag: u64, held: &Held, message: Bytes) {
        let queue = self.queue_ids.iter().position(|id| *id == held.queue).unwrap_or(0);
        self.bytes += message.len();
        self.deliveries.push(Delivery {
            tag: Tag(tag),
            queue: u16::try_from(queue).unwrap_or(0),
            message,
            is_redelivered: held.is_redelivered,
        });
    }
}
