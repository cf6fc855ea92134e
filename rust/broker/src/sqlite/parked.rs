//! Parked messages as a client sees them.

use fastworker_wire::envelope;
use rusqlite::{OptionalExtension, Row};

use super::client::SqliteClient;
use super::lease::Held;
use super::options::SqliteOptions;
use super::results;
use super::session::Session;
use super::settle::{put_back, remove_body};
use crate::clock::now_ms;
use crate::connect::{Kind, is_same_file};
use crate::parked::store_first;
use crate::{Cancel, Cancelled, Error, HASTENED, PARKED_AT_ONCE, Parked, ParkedClient, ParkedPage, ResultsAt};

const MESSAGES: &str = "SELECT p.due_ms, p.id, name, message, coalesce(l.letter, '')
    FROM parked p JOIN queues q ON q.id = p.queue JOIN bodies b ON b.id = p.id LEFT JOIN parked_ids l ON l.id = p.id";

/// Of one place. A number may be given again to another message, so its task id belongs to a place too.
const AT_PLACE: &str =
    "due_ms = ?1 AND id = ?2 AND coalesce((SELECT letter FROM parked_ids l WHERE l.id = parked.id), '') = ?3";

/// What a handle says: when it is due, its number and its task id; `None` for text that was not made so.
fn place(handle: &str) -> Option<(i64, i64, &str)> {
    let mut parts = handle.splitn(3, ':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
}

impl SqliteClient {
    /// Whether results lie in the broker's own file.
    fn has_results(&self, results: Option<ResultsAt<'_>>) -> Result<bool, Error> {
        let Some(at) = results.filter(|at| at.is(Kind::Sqlite)) else { return Ok(false) };
        Ok(is_same_file(&self.slot.options().path, &SqliteOptions::parse(at.url, &[])?.path))
    }
}

impl ParkedClient for SqliteClient {
    fn parked_count(&mut self) -> Result<u64, Error> {
        self.slot.read("count of parked messages", |session| {
            let count =
                session.sql.prepare_cached("SELECT count(*) FROM parked")?.query_row([], |row| row.get::<_, i64>(0))?;
            Ok(count as u64)
        })
    }

    fn parked_page(&mut self, after: Option<&str>, limit: usize) -> Result<ParkedPage, Error> {
        let limit = limit.min(PARKED_AT_ONCE);
        let after = after.and_then(place).map_or((i64::MIN, i64::MIN), |(due_ms, id, _)| (due_ms, id));
        let messages = self.slot.read("list of parked messages", |session| page(session, after, limit))?;
        let next = messages.last().filter(|_| messages.len() == limit).map(|last| last.handle.clone());
        Ok(ParkedPage { messages, next })
    }

    fn parked_of(&mut self, ids: &[&str]) -> Result<Vec<Parked>, Error> {
        self.slot.read("search for parked messages", |session| {
            let of = format!("{MESSAGES} JOIN parked_ids i ON i.id = p.id AND i.due_ms = p.due_ms WHERE i.letter = ?1");
            let mut statement = session.sql.prepare_cached(&of)?;
            let mut found = Vec::new();
            for id in ids {
                for row in statement.query_map([id], read)? {
                    found.push(row?);
                }
            }
            Ok(found)
        })
    }

    fn release_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        self.slot.write("release of parked messages", |session| {
            handles.iter().map(|handle| release(session, handle)).collect()
        })
    }

    fn hasten_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        let soon_ms = now_ms() + HASTENED.as_millis() as i64;
        self.slot.write("hastening of parked messages", |session| {
            handles.iter().map(|handle| hasten(session, handle, soon_ms)).collect()
        })
    }

    fn cancel_parked(&mut self, cancels: &[Cancel], results: Option<ResultsAt<'_>>) -> Result<Vec<Cancelled>, Error> {
        const WHAT: &str = "cancelling of parked messages";
        let has_results = self.has_results(results)?;
        let Some(at) = results.filter(|_| !has_results) else {
            return self
                .slot
                .write(WHAT, |session| cancels.iter().map(|one| cancel(session, one, has_results)).collect());
        };
        let stands = self.slot.read(WHAT, |session| {
            cancels.iter().map(|cancel| stands(session, &cancel.handle)).collect::<rusqlite::Result<Vec<bool>>>()
        })?;
        let (mut answers, places) = store_first(cancels, &stands, at)?;
        self.slot.write(WHAT, |session| {
            for place in &places {
                answers[*place] = cancel(session, &cancels[*place], false)?;
            }
            Ok(())
        })?;
        Ok(answers)
    }
}

fn page(session: &Session, after: (i64, i64), limit: usize) -> rusqlite::Result<Vec<Parked>> {
    let behind = format!("{MESSAGES} WHERE (p.due_ms, p.id) > (?1, ?2) ORDER BY p.due_ms, p.id LIMIT ?3");
    session.sql.prepare_cached(&behind)?.query_map((after.0, after.1, limit as i64), read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Parked> {
    let (due_ms, id, letter): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(4)?);
    Ok(Parked::read(format!("{due_ms}:{id}:{letter}"), row.get(2)?, due_ms, row.get_ref(3)?.as_blob()?))
}

fn stands(session: &Session, handle: &str) -> rusqlite::Result<bool> {
    let Some(place) = place(handle) else { return Ok(false) };
    let found = format!("SELECT EXISTS (SELECT 1 FROM parked WHERE {AT_PLACE})");
    let mut found = session.sql.prepare_cached(&found)?;
    found.query_row(place, |row| row.get(0))
}

/// Takes a message out of its place; the body stays.
fn take(session: &Session, handle: &str) -> rusqlite::Result<Option<Held>> {
    let Some(place) = place(handle) else { return Ok(None) };
    let take = format!("DELETE FROM parked WHERE {AT_PLACE} RETURNING id, queue, priority, is_redelivered, attempts");
    session.sql.prepare_cached(&take)?.query_row(place, Held::read).optional()
}

fn release(session: &Session, handle: &str) -> rusqlite::Result<bool> {
    let Some(held) = take(session, handle)? else { return Ok(false) };
    let message: Vec<u8> = session
        .sql
        .prepare_cached("SELECT message FROM bodies WHERE id = ?1")?
        .query_row([held.id], |row| row.get(0))?;
    match envelope::without_eta(&message) {
        Ok(due) => {
            session.sql.prepare_cached("UPDATE bodies SET message = ?2 WHERE id = ?1")?.execute((held.id, due))?;
        }
        // What cannot be read cannot run either: the next worker buries it.
        Err(error) => tracing::warn!(%error, "a message is released with its eta"),
    }
    put_back(session, &held)?;
    Ok(true)
}

fn hasten(session: &Session, handle: &str, soon_ms: i64) -> rusqlite::Result<bool> {
    if !stands(session, handle)? {
        return Ok(false);
    }
    let Some((due_ms, id, _)) = place(handle) else { return Ok(false) };
    if soon_ms < due_ms {
        for table in [
            "UPDATE parked SET due_ms = ?3 WHERE due_ms = ?1 AND id = ?2",
            "UPDATE parked_ids SET due_ms = ?3 WHERE due_ms = ?1 AND id = ?2",
        ] {
            session.sql.prepare_cached(table)?.execute((due_ms, id, soon_ms))?;
        }
    }
    Ok(true)
}

fn cancel(session: &Session, cancel: &Cancel, stores: bool) -> rusqlite::Result<Cancelled> {
    if !stands(session, &cancel.handle)? {
        return Ok(Cancelled::NotParked);
    }
    if let Some(result) = cancel.result.as_ref().filter(|_| stores)
        && !results::replace(session, cancel.seen.as_deref(), result, now_ms())?
    {
        return Ok(Cancelled::ResultChanged);
    }
    if let Some(held) = take(session, &cancel.handle)? {
        remove_body(session, held.id)?;
    }
    Ok(Cancelled::Removed)
}
