//! Queues for copies of what is published to fanout exchanges: rows `copies:<exchange>` LF `<queue>` of `meta`, with the
//! time when their worker was last heard of (Unix ms).

use std::time::Duration;

use super::client::{self, SqliteClient};
use super::session::Session;
use crate::clock::now_ms;
use crate::fanout::FORGOTTEN;
use crate::{Error, Fanout, FanoutClient};

/// No exchange has it in its name.
const SEPARATOR: char = '\n';

fn prefix(exchange: &str) -> String {
    format!("copies:{exchange}{SEPARATOR}")
}

/// Says that the queues are there, and throws away those of workers that have long been gone.
pub(super) fn enlist(session: &Session, fanouts: &[Fanout]) -> rusqlite::Result<()> {
    if fanouts.is_empty() {
        return Ok(());
    }
    let now = now_ms();
    let mut write = session.sql.prepare_cached("INSERT OR REPLACE INTO meta(name, value) VALUES (?1, ?2)")?;
    for fanout in fanouts {
        write.execute((format!("{}{}", prefix(&fanout.exchange), fanout.queue), now))?;
    }
    let mut stale = session
        .sql
        .prepare_cached("SELECT name FROM meta WHERE name >= 'copies:' AND name < 'copies;' AND value < ?1")?;
    let stale: Vec<String> =
        stale.query_map([now - FORGOTTEN.as_millis() as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in stale {
        let (_, queue) = name.rsplit_once(SEPARATOR).unwrap_or_default();
        if let Some(queue) = session.known_queue_id(queue)? {
            while client::purge_some(session, queue, i64::MAX)? > 0 {}
        }
        session.sql.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([&name])?;
    }
    Ok(())
}

fn copies(session: &Session, exchange: &str, within: Duration) -> rusqlite::Result<Vec<String>> {
    let prefix = prefix(exchange);
    let since = now_ms() - within.as_millis() as i64;
    let mut statement = session.sql.prepare_cached(
        "SELECT name FROM meta WHERE name >= ?1 AND substr(name, 1, length(?1)) = ?1 AND value >= ?2",
    )?;
    let names = statement.query_map((&prefix, since), |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| name[prefix.len()..].to_owned())).collect()
}

impl FanoutClient for SqliteClient {
    fn copies(&mut self, exchange: &str, within: Duration) -> Result<Vec<String>, Error> {
        self.slot.read("read the queues of a fanout exchange", |session| copies(session, exchange, within))
    }

    fn announce(&mut self, _exchange: &str, _routing_key: &str, _message: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
