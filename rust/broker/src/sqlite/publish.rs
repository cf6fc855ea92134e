//! Messages into queues.

use super::session::Session;
use crate::Publish;

/// The least urgent priority; what is beyond is taken as this, as kombu does on Redis.
const LAST_PRIORITY: u8 = 9;

/// Puts every message at the back of its queue.
pub(super) fn publish(session: &Session, batch: &[Publish]) -> rusqlite::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut body = session.sql.prepare_cached("INSERT INTO bodies(message) VALUES (?1)")?;
    let mut ready = session.sql.prepare_cached("INSERT INTO ready VALUES (?1, ?2, ?3, 0, 0)")?;
    for message in batch {
        body.execute([&message.message[..]])?;
        let id = session.sql.last_insert_rowid();
        ready.execute((session.queue_id(&message.queue)?, message.priority.min(LAST_PRIORITY), id))?;
    }
    session.note_ready();
    Ok(())
}
