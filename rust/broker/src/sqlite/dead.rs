//! Messages that could not be run: kept with the reason, for a person to look at, send again or remove.

use bytes::Bytes;
use fastworker_wire::envelope;
use rusqlite::{OptionalExtension, Row};

use super::lease::Held;
use super::session::Session;
use crate::DeadLetter;
use crate::burial::Burial;
use crate::clock::now_ms;

/// Puts a message, which the caller took out of its place, among the dead letters. The body stays where it is.
pub(super) fn bury(session: &Session, held: &Held, burial: &Burial) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "INSERT INTO dead(letter, id, queue, priority, reason, detail, died_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            &burial.letter,
            held.id,
            held.queue,
            held.priority,
            &burial.reason,
            &burial.detail,
            now_ms(),
        ))?;
    Ok(())
}

const LETTERS: &str = "SELECT letter, name, reason, detail, died_ms, priority, message
    FROM dead d JOIN queues q ON q.id = d.queue JOIN bodies b ON b.id = d.id";

/// The newest letters, newest first.
pub(super) fn newest(session: &Session, limit: usize) -> rusqlite::Result<Vec<DeadLetter>> {
    session
        .sql
        .prepare_cached(&format!("{LETTERS} ORDER BY seq DESC LIMIT ?1"))?
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read)?
        .collect()
}

/// The letter that `id` names.
pub(super) fn one(session: &Session, id: &str) -> rusqlite::Result<Option<DeadLetter>> {
    let Some(seq) = resolve(session, id)? else { return Ok(None) };
    session.sql.prepare_cached(&format!("{LETTERS} WHERE seq = ?1"))?.query_row([seq], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let message = Bytes::copy_from_slice(row.get_ref(6)?.as_blob()?);
    Ok(DeadLetter {
        id: row.get(0)?,
        queue: row.get(1)?,
        task: envelope::task_and_id(&message).0,
        reason: row.get(2)?,
        detail: row.get(3)?,
        died_ms: row.get(4)?,
        priority: row.get(5)?,
        message,
    })
}

/// The newest letter with exactly this id; else the one whose id starts so, if there is only one such id.
fn resolve(session: &Session, id: &str) -> rusqlite::Result<Option<i64>> {
    let exact: Option<i64> =
        session.sql.prepare_cached("SELECT max(seq) FROM dead WHERE letter = ?1")?.query_row([id], |row| row.get(0))?;
    if exact.is_some() || id.is_empty() {
        return Ok(exact);
    }
    let mut statement = session.sql.prepare_cached(
        "SELECT letter, max(seq) FROM dead WHERE letter >= ?1 AND substr(letter, 1, length(?1)) = ?1
         GROUP BY letter LIMIT 2",
    )?;
    let found = statement.query_map([id], |row| row.get(1))?.collect::<Result<Vec<i64>, _>>()?;
    Ok(if let [only] = found[..] { Some(only) } else { None })
}

/// Publishes a letter to the back of its queue, as if for the first time. False: there is none.
pub(super) fn retry(session: &Session, id: &str) -> rusqlite::Result<bool> {
    let Some(seq) = resolve(session, id)? else { return Ok(false) };
    // A new age, so that it queues behind what waits.
    let (old, queue, priority): (i64, i64, u8) = session
        .sql
        .prepare_cached("DELETE FROM dead WHERE seq = ?1 RETURNING id, queue, priority")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let new: i64 = session
        .sql
        .prepare_cached("UPDATE bodies SET id = (SELECT max(id) + 1 FROM bodies) WHERE id = ?1 RETURNING id")?
        .query_row([old], |row| row.get(0))?;
    session.sql.prepare_cached("INSERT INTO ready VALUES (?1, ?2, ?3, 0, 0)")?.execute((queue, priority, new))?;
    session.note_ready();
    Ok(true)
}

/// Removes the letter that `id` names, or all. Returns how many.
pub(super) fn purge(session: &Session, id: Option<&str>) -> rusqlite::Result<u64> {
    let removed = match id {
        None => {
            session.sql.execute("DELETE FROM bodies WHERE id IN (SELECT id FROM dead)", [])?;
            session.sql.execute("DELETE FROM dead", [])?
        }
        Some(id) => match resolve(session, id)? {
            None => 0,
            Some(seq) => {
                let body = "DELETE FROM bodies WHERE id = (SELECT id FROM dead WHERE seq = ?1)";
                session.sql.prepare_cached(body)?.execute([seq])?;
                session.sql.prepare_cached("DELETE FROM dead WHERE seq = ?1")?.execute([seq])?
            }
        },
    };
    Ok(removed as u64)
}
