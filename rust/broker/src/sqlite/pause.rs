//! Paused queues: rows `paused:<name>` of `meta`, with the time since when (Unix ms).

use super::session::Session;
use crate::clock::now_ms;

const PREFIX: &str = "paused:";
/// The first text behind all that begin with the prefix.
const BEHIND: &str = "paused;";

fn row(queue: &str) -> String {
    format!("{PREFIX}{queue}")
}

/// False: it was paused already.
pub(super) fn pause(session: &Session, queue: &str) -> rusqlite::Result<bool> {
    let inserted = session
        .sql
        .prepare_cached("INSERT OR IGNORE INTO meta(name, value) VALUES (?1, ?2)")?
        .execute((row(queue), now_ms()))?;
    Ok(inserted > 0)
}

/// False: it was not paused.
pub(super) fn resume(session: &Session, queue: &str) -> rusqlite::Result<bool> {
    let removed = session.sql.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([row(queue)])?;
    session.note_ready();
    Ok(removed > 0)
}

/// In order of their names.
pub(super) fn list(session: &Session) -> rusqlite::Result<Vec<String>> {
    let mut statement = session.sql.prepare_cached("SELECT name FROM meta WHERE name >= ?1 AND name < ?2")?;
    let names = statement.query_map([PREFIX, BEHIND], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| name[PREFIX.len()..].to_owned())).collect()
}
