//! What one incarnation of a worker holds, and its sign of life.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row};

use super::process::Process;
use super::session::Session;

/// A connected broker value, as other processes know it.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// The incarnation: random, so that no two are alike, on any file, ever.
    pub(super) id: i64,
    /// How long it may be silent before it counts as dead.
    pub(super) life: Duration,
    /// The process that it lives in.
    pub(super) process: Process,
}

/// A message as its place's row tells of it; the body stays where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The body's number.
    pub(super) id: i64,
    /// The queue's number.
    pub(super) queue: i64,
    /// 0..=9.
    pub(super) priority: u8,
    /// Handed out before, to a worker that may have started it.
    pub(super) is_redelivered: bool,
    /// How often it was started, as far as that was counted.
    pub(super) attempts: u32,
}

impl Held {
    /// Reads the columns `id, queue, priority, is_redelivered, attempts`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Held> {
        Ok(Held {
            id: row.get(0)?,
            queue: row.get(1)?,
            priority: row.get(2)?,
            is_redelivered: row.get(3)?,
            attempts: row.get(4)?,
        })
    }
}

/// Makes sure that the owner is known, since others recover only what belongs to a known one. It may have been taken
/// for dead and removed meanwhile.
pub(super) fn register(session: &Session, owner: &Owner) -> rusqlite::Result<()> {
    let process = &owner.process;
    session
        .sql
        .prepare_cached("INSERT INTO owners VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(owner) DO NOTHING")?
        .execute((owner.id, life_ms(owner), &process.boot, &process.pid_space, process.pid, process.started))?;
    Ok(())
}

/// One more sign of life: others see that the counter moved. No clock is involved.
pub(super) fn beat(session: &Session, owner: &Owner) -> rusqlite::Result<()> {
    register(session, owner)?;
    session.sql.prepare_cached("UPDATE owners SET beats = beats + 1 WHERE owner = ?1")?.execute([owner.id])?;
    Ok(())
}

fn life_ms(owner: &Owner) -> i64 {
    i64::try_from(owner.life.as_millis()).unwrap_or(i64::MAX)
}

/// Leases a message that the caller took out of its place.
pub(super) fn take(session: &Session, owner: i64, tag: u64, held: &Held) -> rusqlite::Result<()> {
    session.sql.prepare_cached("INSERT INTO leased VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute((
        owner,
        tag as i64,
        held.id,
        held.queue,
        held.priority,
        held.is_redelivered,
        held.attempts,
    ))?;
    Ok(())
}

/// The message under this tag, if the lease is still the owner's.
pub(super) fn find(session: &Session, owner: i64, tag: u64) -> rusqlite::Result<Option<Held>> {
    session
        .sql
        .prepare_cached(
            "SELECT id, queue, priority, is_redelivered, attempts FROM leased WHERE owner = ?1 AND tag = ?2",
        )?
        .query_row((owner, tag as i64), Held::read)
        .optional()
}

/// Ends one lease; the caller puts the message somewhere, or ends it too.
pub(super) fn end(session: &Session, owner: i64, tag: u64) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM leased WHERE owner = ?1 AND tag = ?2")?.execute((owner, tag as i64))?;
    Ok(())
}

/// Counts a started attempt and returns its number: `max(counted, floor) + 1`. The count goes wherever the message
/// goes, and ends with it. `None`: the lease is lost, and its new owner keeps the count.
pub(super) fn begin_attempt(session: &Session, owner: i64, tag: u64, floor: u32) -> rusqlite::Result<Option<u32>> {
    session
        .sql
        .prepare_cached(
            "UPDATE leased SET attempts = max(attempts, ?3) + 1 WHERE owner = ?1 AND tag = ?2 RETURNING attempts",
        )?
        .query_row((owner, tag as i64, floor), |row| row.get(0))
        .optional()
}

/// Gives back everything that the owner holds, and forgets the owner. Returns how many messages that were.
/// `is_redelivery` marks them: their owner died and may have started them.
pub(super) fn give_back(session: &Session, owner: i64, is_redelivery: bool) -> rusqlite::Result<u64> {
    let messages = session
        .sql
        .prepare_cached(
            "INSERT INTO ready SELECT queue, priority, id, is_redelivered OR ?2, attempts FROM leased WHERE owner = ?1",
        )?
        .execute((owner, is_redelivery))?;
    session.sql.prepare_cached("DELETE FROM leased WHERE owner = ?1")?.execute([owner])?;
    session.sql.prepare_cached("DELETE FROM owners WHERE owner = ?1")?.execute([owner])?;
    if messages > 0 {
        session.note_ready();
    }
    Ok(messages as u64)
}
