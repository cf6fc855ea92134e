//! Messages that are due later: out of the queue, and back in time.

use fastworker_wire::envelope;
use rusqlite::{Connection, OptionalExtension};

use super::control;
use super::lease::Held;
use super::session::Session;
use super::settle::put_back;
use crate::clock::now_ms;
use crate::{HASTENED, Mark};

/// At most this many go back in one transaction; others wait for the write lock meanwhile.
const BATCH: i64 = 1_000;

/// Keeps a message, whose lease the caller has ended, until `due_ms`; `letter` is its task id.
pub(super) fn park(session: &Session, held: &Held, due_ms: i64, letter: Option<&str>) -> rusqlite::Result<()> {
    let is_revoked = match letter {
        Some(letter) => control::is_revoked_lately(session, &Mark::Id(letter.to_owned()))?,
        None => false,
    };
    let due_ms = if is_revoked { due_ms.min(now_ms() + HASTENED.as_millis() as i64) } else { due_ms };
    session.sql.prepare_cached("INSERT INTO parked VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
        due_ms,
        held.id,
        held.queue,
        held.priority,
        held.is_redelivered,
        held.attempts,
    ))?;
    match letter {
        Some(letter) => note_id(&session.sql, held.id, letter, due_ms),
        None => Ok(()),
    }
}

fn note_id(sql: &Connection, id: i64, letter: &str, due_ms: i64) -> rusqlite::Result<()> {
    let insert = "INSERT OR REPLACE INTO parked_ids(id, letter, due_ms) VALUES (?1, ?2, ?3)";
    sql.prepare_cached(insert)?.execute((id, letter, due_ms))?;
    Ok(())
}

/// Notes the ids of all that programs of an older format have parked.
pub(super) fn note_ids(sql: &Connection) -> rusqlite::Result<()> {
    let mut parked = sql.prepare("SELECT p.id, p.due_ms, b.message FROM parked p JOIN bodies b ON b.id = p.id")?;
    let mut rows = parked.query([])?;
    while let Some(row) = rows.next()? {
        if let (_, Some(letter)) = envelope::task_and_id(row.get_ref(2)?.as_blob()?) {
            note_id(sql, row.get(0)?, &letter, row.get(1)?)?;
        }
    }
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
