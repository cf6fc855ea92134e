//! Groups and chords.

use bytes::Bytes;
use rusqlite::OptionalExtension;

use super::session::Session;

/// The mark of a run begins with it.
const RUN: &str = "run:";
/// The mark of a member that was added begins with it.
const ADDED: &str = "added:";

/// What each write of a group or chord removes of expired ones at most: enough to keep pace.
const SWEEP: i64 = 4;

/// When something ends that is kept for `ttl_s`. Celery's `result_expires = 0` keeps for ever.
pub(super) fn end_of(ttl_s: Option<u64>, now_ms: i64) -> Option<i64> {
    let ttl_s = ttl_s.filter(|ttl_s| *ttl_s > 0)?;
    Some(now_ms.saturating_add(i64::try_from(ttl_s).unwrap_or(i64::MAX).saturating_mul(1_000)))
}

/// Begins a chord, of `size` members where that is known; an earlier run of it is forgotten.
pub(super) fn begin(
    session: &Session,
    group_id: &str,
    size: Option<u64>,
    ttl_s: Option<u64>,
    run: Option<&str>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    if run.is_some() && run_of(session, group_id)?.as_deref() == run {
        return Ok(());
    }
    forget(session, group_id)?;
    session
        .sql
        .prepare_cached("INSERT INTO chords(group_id, size, more, parts, expires_ms) VALUES (?1, ?2, 0, 0, ?3)")?
        .execute((group_id, size.map(whole), end_of(ttl_s, now_ms)))?;
    if let Some(run) = run {
        mark(session, group_id, &format!("{RUN}{run}"))?;
    }
    sweep(session, now_ms)
}

/// The name of the run of a chord.
pub(super) fn run_of(session: &Session, group_id: &str) -> rusqlite::Result<Option<String>> {
    session
        .sql
        .prepare_cached(
            "SELECT substr(mark, 5) FROM chord_marks
             WHERE chord = (SELECT number FROM chords WHERE group_id = ?1) AND mark >= 'run:' AND mark < 'run;'",
        )?
        .query_row([group_id], |row| row.get(0))
        .optional()
}

/// Gives a chord a mark. False: it has it.
fn mark(session: &Session, group_id: &str, mark: &str) -> rusqlite::Result<bool> {
    let set = session
        .sql
        .prepare_cached(
            "INSERT INTO chord_marks SELECT number, ?2 FROM chords WHERE group_id = ?1 ON CONFLICT DO NOTHING",
        )?
        .execute((group_id, mark))?;
    Ok(set > 0)
}

/// Says how many members a chord has that has begun; what was counted of it stays.
pub(super) fn set_size(
    session: &Session,
    group_id: &str,
    size: u64,
    ttl_s: Option<u64>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "INSERT INTO chords(group_id, size, more, parts, expires_ms) VALUES (?1, ?2, 0, 0, ?3)
             ON CONFLICT(group_id) DO UPDATE SET size = excluded.size,
             expires_ms = CASE WHEN claim IS NULL THEN excluded.expires_ms ELSE expires_ms END",
        )?
        .execute((group_id, whole(size), end_of(ttl_s, now_ms)))?;
    Ok(())
}

fn whole(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// One more member.
pub(super) fn add(
    session: &Session,
    group_id: &str,
    ttl_s: Option<u64>,
    member: Option<&str>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "INSERT INTO chords(group_id, more, parts, expires_ms) VALUES (?1, 0, 0, ?2)
             ON CONFLICT(group_id) DO UPDATE SET expires_ms = excluded.expires_ms",
        )?
        .execute((group_id, end_of(ttl_s, now_ms)))?;
    if let Some(member) = member
        && !mark(session, group_id, &format!("{ADDED}{member}"))?
    {
        return Ok(());
    }
    session.sql.prepare_cached("UPDATE chords SET more = more + 1 WHERE group_id = ?1")?.execute([group_id])?;
    Ok(())
}

/// Stores the document of a group.
pub(super) fn save_group(
    session: &Session,
    group_id: &str,
    doc: &[u8],
    ttl_s: Option<u64>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "INSERT INTO groups VALUES (?1, ?2, ?3)
             ON CONFLICT(group_id) DO UPDATE SET doc = excluded.doc, expires_ms = excluded.expires_ms",
        )?
        .execute((group_id, doc, end_of(ttl_s, now_ms)))?;
    sweep(session, now_ms)
}

/// The document of a group, if there is one that has not expired.
pub(super) fn group(session: &Session, group_id: &str, now_ms: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    session
        .sql
        .prepare_cached("SELECT doc FROM groups WHERE group_id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)")?
        .query_row((group_id, now_ms), |row| row.get(0))
        .optional()
}

/// Removes the document of a group.
pub(super) fn delete_group(session: &Session, group_id: &str) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM groups WHERE group_id = ?1")?.execute([group_id])?;
    Ok(())
}

/// Keeps documents as the parts of a chord that is over.
pub(super) fn keep(
    session: &Session,
    name: &str,
    docs: &[&[u8]],
    ttl_s: Option<u64>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    forget(session, name)?;
    let number: i64 = session
        .sql
        .prepare_cached(
            "INSERT INTO chords(group_id, more, parts, claim, expires_ms) VALUES (?1, 0, 0, 'done', ?2) RETURNING number",
        )?
        .query_row((name, end_of(ttl_s, now_ms)), |row| row.get(0))?;
    let mut insert = session.sql.prepare_cached("INSERT INTO chord_parts VALUES (?1, ?2, '', ?3)")?;
    for (place, doc) in (0i64..).zip(docs) {
        insert.execute((number, place, doc))?;
    }
    sweep(session, now_ms)
}

/// Lets the time of what is kept under a name begin anew.
pub(super) fn prolong(session: &Session, name: &str, ttl_s: Option<u64>, now_ms: i64) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached("UPDATE chords SET expires_ms = ?2 WHERE group_id = ?1")?
        .execute((name, end_of(ttl_s, now_ms)))?;
    Ok(())
}

/// Up to `count` of what is kept under a name, from the place `first` on.
pub(super) fn kept(session: &Session, name: &str, first: u64, count: u64) -> rusqlite::Result<Vec<Bytes>> {
    session
        .sql
        .prepare_cached(
            "SELECT doc FROM chord_parts WHERE chord = (SELECT number FROM chords WHERE group_id = ?1)
             ORDER BY place, task_id LIMIT ?3 OFFSET ?2",
        )?
        .query_map((name, whole(first), whole(count)), |row| Ok(row.get::<_, Vec<u8>>(0)?.into()))?
        .collect()
}

/// Removes everything known of a chord; its parts go with it.
fn forget(session: &Session, group_id: &str) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM chords WHERE group_id = ?1")?.execute([group_id])?;
    Ok(())
}

fn sweep(session: &Session, now_ms: i64) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM groups WHERE group_id IN
         (SELECT group_id FROM groups WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
        "DELETE FROM chords WHERE number IN
         (SELECT number FROM chords WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
    ] {
        session.sql.prepare_cached(statement)?.execute((now_ms, SWEEP))?;
    }
    Ok(())
}
