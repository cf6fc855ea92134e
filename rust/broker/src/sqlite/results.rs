//! Result documents: the last state of each task, with an end to its keeping.
//!
//! A stored SUCCESS stays, as in Celery: whoever waits has seen it. What has expired is invisible at once; its rows go
//! in small batches with the results that come in, so that the file stops growing without a job of its own.

use rusqlite::OptionalExtension;

use super::session::Session;
use crate::ResultDoc;

/// A worker that stores nothing still removes this many expired results with each heartbeat.
const IDLE_SWEEP: usize = 500;

/// Stores one document, unless a SUCCESS that has not expired is there.
pub(super) fn put(session: &Session, result: &ResultDoc, now_ms: i64) -> rusqlite::Result<()> {
    // Celery's `result_expires = 0` keeps a result for ever.
    let expires_ms = result
        .ttl_s
        .filter(|seconds| *seconds > 0)
        .map(|seconds| now_ms.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)));
    session
        .sql
        .prepare_cached(
            "INSERT INTO results(task_id, doc, is_success, expires_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(task_id) DO UPDATE
             SET doc = excluded.doc, is_success = excluded.is_success, expires_ms = excluded.expires_ms
             WHERE NOT results.is_success OR results.expires_ms <= ?5",
        )?
        .execute((&result.task_id, &result.doc[..], result.is_success, expires_ms, now_ms))?;
    session.note_results();
    Ok(())
}

/// Stores many.
pub(super) fn store(session: &Session, batch: &[ResultDoc], now_ms: i64) -> rusqlite::Result<()> {
    batch.iter().try_for_each(|result| put(session, result, now_ms))?;
    sweep_after(session, batch.len(), now_ms)
}

/// Removes expired results, up to twice as many as were just stored: that keeps pace with any rate.
pub(super) fn sweep_after(session: &Session, stored: usize, now_ms: i64) -> rusqlite::Result<()> {
    if stored == 0 { Ok(()) } else { sweep(session, stored * 2, now_ms) }
}

/// What a heartbeat removes.
pub(super) fn sweep_idle(session: &Session, now_ms: i64) -> rusqlite::Result<()> {
    sweep(session, IDLE_SWEEP, now_ms)
}

fn sweep(session: &Session, limit: usize, now_ms: i64) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "DELETE FROM results WHERE number IN
             (SELECT number FROM results WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
        )?
        .execute((now_ms, limit as i64))?;
    Ok(())
}

/// The document, if there is one that has not expired.
pub(super) fn get(session: &Session, task_id: &str, now_ms: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    session
        .sql
        .prepare_cached("SELECT doc FROM results WHERE task_id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)")?
        .query_row((task_id, now_ms), |row| row.get(0))
        .optional()
}

/// Stores one document if what is there is `seen`. False: it is not.
pub(super) fn replace(session: &Session, seen: Option<&[u8]>, doc: &ResultDoc, now_ms: i64) -> rusqlite::Result<bool> {
    let is_unchanged = get(session, &doc.task_id, now_ms)?.as_deref() == seen;
    if is_unchanged {
        put(session, doc, now_ms)?;
    }
    Ok(is_unchanged)
}

/// Removes documents.
pub(super) fn forget(session: &Session, task_ids: &[&str]) -> rusqlite::Result<()> {
    let mut statement = session.sql.prepare_cached("DELETE FROM results WHERE task_id = ?1")?;
    for task_id in task_ids {
        statement.execute([task_id])?;
    }
    Ok(())
}
