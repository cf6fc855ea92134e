//! Remote control in a file: broadcasts are rows that every worker reads from where it stands, replies are rows that the
//! one who asked takes out. What is older than a minute is for nobody.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::OptionalExtension;

use super::client::SqliteClient;
use super::pause;
use super::session::Session;
use super::wake::{self, Bell, Ear};
use crate::clock::now_ms;
use crate::parked::REVOKED_LATELY;
use crate::{Binding, Control, Error, Mark, Revocation, RevokeTerms};

/// Broadcasts, mailboxes and what lies in them are removed by whoever writes the next one after this time.
const KEPT_MS: i64 = 60_000;

/// The last broadcast so far.
pub(super) fn last_seq(session: &Session) -> rusqlite::Result<i64> {
    session
        .sql
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'control'")?
        .query_row([], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// The first broadcast after `seq` on `exchange`.
pub(super) fn next(session: &Session, exchange: &str, seq: i64) -> rusqlite::Result<Option<(i64, Bytes)>> {
    session
        .sql
        .prepare_cached("SELECT seq, message FROM control WHERE seq > ?1 AND exchange = ?2 ORDER BY seq LIMIT 1")?
        .query_row((seq, exchange), |row| Ok((row.get(0)?, Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?))))
        .optional()
}

/// What was revoked, oldest first.
pub(super) fn revoked(session: &Session) -> rusqlite::Result<Vec<Revocation>> {
    let now = now_ms();
    let mut statement = session.sql.prepare_cached(
        "SELECT mark, at_ms, signal FROM revoked LEFT JOIN revoke_signals USING(mark) ORDER BY at_ms",
    )?;
    let mut rows = statement.query([])?;
    let mut revoked = Vec::new();
    while let Some(row) = rows.next()? {
        let (text, at_ms, terminate): (String, i64, Option<i32>) = row.try_into()?;
        let age = Duration::from_millis(now.saturating_sub(at_ms).max(0) as u64);
        revoked.extend(Mark::from_text(&text).map(|mark| Revocation { mark, age, terminate }));
    }
    Ok(revoked)
}

/// Whether this was revoked lately.
pub(super) fn is_revoked_lately(session: &Session, mark: &Mark) -> rusqlite::Result<bool> {
    session
        .sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM revoked WHERE mark = ?1 AND at_ms > ?2)")?
        .query_row((mark.to_text(), now_ms() - REVOKED_LATELY.as_millis() as i64), |row| row.get(0))
}

fn broadcast(session: &Session, exchange: &str, message: &[u8]) -> rusqlite::Result<()> {
    let now = now_ms();
    session.sql.prepare_cached("DELETE FROM control WHERE sent_ms < ?1")?.execute([now - KEPT_MS])?;
    session
        .sql
        .prepare_cached("INSERT INTO control(exchange, sent_ms, message) VALUES (?1, ?2, ?3)")?
        .execute((exchange, now, message))?;
    session.note_control();
    Ok(())
}

fn open_mailbox(session: &Session, name: &str) -> rusqlite::Result<()> {
    let now = now_ms();
    let old = "DELETE FROM replies WHERE mailbox IN (SELECT name FROM mailboxes WHERE opened_ms < ?1)";
    session.sql.prepare_cached(old)?.execute([now - 60 * KEPT_MS])?;
    session.sql.prepare_cached("DELETE FROM mailboxes WHERE opened_ms < ?1")?.execute([now - 60 * KEPT_MS])?;
    session.sql.prepare_cached("INSERT OR REPLACE INTO mailboxes VALUES (?1, ?2)")?.execute((name, now))?;
    Ok(())
}

fn close_mailbox(session: &Session, name: &str) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM replies WHERE mailbox = ?1")?.execute([name])?;
    session.sql.prepare_cached("DELETE FROM mailboxes WHERE name = ?1")?.execute([name])?;
    Ok(())
}

fn reply(session: &Session, mailbox: &str, message: &[u8]) -> rusqlite::Result<bool> {
    let sent = session
        .sql
        .prepare_cached("INSERT INTO replies(mailbox, message) SELECT name, ?2 FROM mailboxes WHERE name = ?1")?
        .execute((mailbox, message))?;
    session.note_control();
    Ok(sent > 0)
}

fn take(session: &Session, mailbox: &str) -> rusqlite::Result<Option<Bytes>> {
    session
        .sql
        .prepare_cached(
            "DELETE FROM replies WHERE seq = (SELECT min(seq) FROM replies WHERE mailbox = ?1) RETURNING message",
        )?
        .query_row([mailbox], |row| Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?)))
        .optional()
}

fn has_reply(session: &Session, mailbox: &str) -> rusqlite::Result<bool> {
    session
        .sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM replies WHERE mailbox = ?1)")?
        .query_row([mailbox], |row| row.get(0))
}

fn mark_revoked(session: &Session, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) -> rusqlite::Result<()> {
    let now = now_ms();
    let mut insert = session.sql.prepare_cached("INSERT OR REPLACE INTO revoked VALUES (?1, ?2)")?;
    let mut note_signal = session.sql.prepare_cached("INSERT OR REPLACE INTO revoke_signals VALUES (?1, ?2)")?;
    for mark in marks {
        let text = mark.to_text();
        insert.execute((&text, now))?;
        if let Some(signal) = terminate {
            note_signal.execute((&text, signal))?;
        }
    }
    let keep_ms = i64::try_from(terms.keep.as_millis()).unwrap_or(i64::MAX);
    session.sql.prepare_cached("DELETE FROM revoked WHERE at_ms < ?1")?.execute([now.saturating_sub(keep_ms)])?;
    session
        .sql
        .prepare_cached(
            "DELETE FROM revoked WHERE mark IN (SELECT mark FROM revoked ORDER BY at_ms DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([terms.most])?;
    Ok(())
}

/// Mailboxes of all exchanges lie in one table: their names are unique.
fn full_name(exchange: &str, mailbox: &str) -> String {
    format!("{mailbox}.{exchange}")
}

impl Control for SqliteClient {
    fn broadcast(&mut self, exchange: &str, message: &[u8]) -> Result<(), Error> {
        self.slot.write("broadcast", |session| broadcast(session, exchange, message))
    }

    fn open_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        self.slot.write("open a mailbox", |session| open_mailbox(session, &full_name(exchange, mailbox)))
    }

    fn take_reply(&mut self, exchange: &str, mailbox: &str, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let name = full_name(exchange, mailbox);
        let end = Instant::now() + timeout;
        let ear = Ear::new(&self.slot.options().path, Bell::Control);
        loop {
            if self.slot.read("wait for replies", |session| has_reply(session, &name))? {
                return self.slot.write("wait for replies", |session| take(session, &name));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            wake::sleep(ear.as_ref(), left);
        }
    }

    fn close_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        self.slot.write("close a mailbox", |session| close_mailbox(session, &full_name(exchange, mailbox)))
    }

    fn reply(&mut self, exchange: &str, mailbox: &str, message: &[u8]) -> Result<bool, Error> {
        self.slot.write("reply", |session| reply(session, &full_name(exchange, mailbox), message))
    }

    fn mark_revoked(&mut self, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) -> Result<(), Error> {
        self.slot.write("revoke", |session| mark_revoked(session, marks, terminate, terms))
    }

    fn pause_queue(&mut self, queue: &str) -> Result<bool, Error> {
        self.slot.write("pause a queue", |session| pause::pause(session, queue))
    }

    fn resume_queue(&mut self, queue: &str) -> Result<bool, Error> {
        self.slot.write("resume a queue", |session| pause::resume(session, queue))
    }

    fn bind(&mut self, _exchange: &str, _binding: &Binding) -> Result<(), Error> {
        Ok(())
    }

    fn bindings(&mut self, _exchange: &str) -> Result<Vec<Binding>, Error> {
        Ok(Vec::new())
    }

    fn paused_queues(&mut self) -> Result<Vec<String>, Error> {
        self.slot.read("read the paused queues", pause::list)
    }
}
