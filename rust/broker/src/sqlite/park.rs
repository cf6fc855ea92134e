//! Messages that are due later: out of the queue, and back in time.

use rusqlite::OptionalExtension;

use super::lease::Held;
use super::session::Session;
use super::settle::put_back;

/// At most this many go back in one transaction; others wait for the write lock meanwhile.
const BATCH: i64 = 1_000;

/// Keeps a message, whose lease the caller has ended, until `due_ms`.
pub(super) fn park(session: &Session, held: &Held, due_ms: i64) -> rusqlite::Result<()> {
    session.sql.prepare_cached("INSERT INTO parked VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
        due_ms,
        held.id,
        held.queue,
        held.priority,
        held.is_redelivered,
        held.attempts,
    ))?;
    Ok(())
}

/// Puts back what is due, of every queue, and returns when the next one is (now, if there is more than a batch).
pub(super) fn release_due(session: &Session, now_ms: i64) -> rusqlite::Result<Option<i64>> {
    for (due_ms, held) in due(session, now_ms)? {
        session.sql.prepare_cached("DELETE FROM parked WHERE due_ms = ?1 AND id = ?2")?.execute((due_ms, held.id))?;
        put_back(session, &held)?;
    }
    session.sql.prepare_cached("SELECT min(due_ms) FROM parked")?.query_row([], |row| row.get(0))
}

/// Puts back a batch of what is parked, of every queue; returns how many.
pub(super) fn release_some(session: &Session) -> rusqlite::Result<u64> {
    let found = due(session, i64::MAX)?;
    for (due_ms, held) in &found {
        session.sql.prepare_cached("DELETE FROM parked WHERE due_ms = ?1 AND id = ?2")?.execute((due_ms, held.id))?;
        put_back(session, held)?;
    }
    Ok(found.len() as u64)
}

/// Whether something is due, and when the next one is: what a reader can tell without the write lock.
pub(super) fn next_due(session: &Session) -> rusqlite::Result<Option<i64>> {
    session
        .sql
        .prepare_cached("SELECT due_ms FROM parked ORDER BY due_ms LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
}

fn due(session: &Session, now_ms: i64) -> rusqlite::Result<Vec<(i64, Held)>> {
    session
        .sql
        .prepare_cached(
            "SELECT id, queue, priority, is_redelivered, attempts, due_ms FROM parked
             WHERE due_ms <= ?1 ORDER BY due_ms, id LIMIT ?2",
        )?
        .query_map((now_ms, BATCH), |row| Ok((row.get(5)?, Held::read(row)?)))?
        .collect()
}
