//! One open connection, and one transaction on it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension};

use super::fault::fault;
use super::file::{self, Identity, Purpose};
use super::log::Log;
use super::options::SqliteOptions;
use super::{patience, wake};
use crate::Error;

/// An open connection. The operations of `publish.rs`, `settle.rs` and so on are functions of one.
///
/// They return SQLite's bare errors; whoever runs the transaction turns these into ours with the name of the operation
/// and the file. They may be run twice (a joined transaction that failed is repeated one by one), so they keep no state
/// outside the transaction except what [`Session::abandon`] clears.
#[derive(Debug)]
pub(super) struct Session {
    /// SQLite's own connection.
    pub(super) sql: Connection,
    options: SqliteOptions,
    identity: Identity,
    log: Log,
    queue_ids: RefCell<HashMap<String, i64>>,
    has_ready: Cell<bool>,
    has_results: Cell<bool>,
    has_control: Cell<bool>,
}

impl Session {
    /// Opens the file.
    pub(super) fn open(options: &SqliteOptions, purpose: Purpose) -> Result<Session, Error> {
        let (sql, identity) = file::open(options, purpose)?;
        let log = Log::install(&sql, purpose).map_err(|error| fault("open", &options.path, &error))?;
        Ok(Session {
            sql,
            log,
            options: options.clone(),
            identity,
            queue_ids: RefCell::default(),
            has_ready: Cell::new(false),
            has_results: Cell::new(false),
            has_control: Cell::new(false),
        })
    }

    /// The file, for messages to people.
    pub(super) fn path(&self) -> &PathBuf {
        &self.options.path
    }

    /// False when the path now names another file, or none: what we have open is nobody's any more.
    pub(super) fn is_current(&self) -> bool {
        Identity::of(&self.options.path) == Some(self.identity)
    }

    /// Takes the write lock. `BEGIN IMMEDIATE`, since a transaction that begins by reading and then finds the lock
    /// taken would have to be thrown away.
    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        let _patience = patience::start(self.options.busy);
        self.sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Commits, then wakes who sleeps on what the transaction brought.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        let _patience = patience::start(self.options.busy);
        self.sql.prepare_cached("COMMIT")?.execute([])?;
        self.log.committed();
        if self.has_ready.take() {
            wake::ring(&self.options.path, wake::Bell::Ready);
        }
        if self.has_results.take() {
            wake::ring(&self.options.path, wake::Bell::Results);
        }
        if self.has_control.take() {
            wake::ring(&self.options.path, wake::Bell::Control);
        }
        Ok(())
    }

    /// True when the log should be carried into the database: see `log.rs`.
    pub(super) fn is_log_due(&self) -> bool {
        self.log.is_due()
    }

    /// Rolls back whatever is left of the transaction (some errors have done that already).
    pub(super) fn abandon(&self) {
        self.has_ready.set(false);
        self.has_results.set(false);
        self.has_control.set(false);
        self.queue_ids.borrow_mut().clear();
        if !self.sql.is_autocommit()
            && let Err(error) = self.sql.execute_batch("ROLLBACK")
        {
            tracing::warn!(file = %self.options.path.display(), %error, "rollback failed");
        }
    }

    /// Runs `work` as a transaction of its own.
    pub(super) fn transact<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Session) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let outcome = self.begin().and_then(|()| work(self)).and_then(|value| self.commit().map(|()| value));
        outcome.map_err(|error| {
            self.abandon();
            fault(what, self.path(), &error)
        })
    }

    /// Runs `work`, which only reads. Readers never wait for writers.
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Session) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let _patience = patience::start(self.options.busy);
        work(self).map_err(|error| fault(what, self.path(), &error))
    }

    /// The number of a queue, which is given one when it has none.
    pub(super) fn queue_id(&self, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.queue_ids.borrow().get(name) {
            return Ok(*id);
        }
        let id = match self.known_queue_id(name)? {
            Some(id) => id,
            None => {
                self.sql.prepare_cached("INSERT INTO queues(name) VALUES (?1)")?.execute([name])?;
                self.sql.last_insert_rowid()
            }
        };
        self.queue_ids.borrow_mut().insert(name.to_owned(), id);
        Ok(id)
    }

    /// The number of a queue, if it ever had a message. Queues are never removed from the table.
    pub(super) fn known_queue_id(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        self.sql.prepare_cached("SELECT id FROM queues WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
    }

    /// To be called when the transaction puts something into `ready`.
    pub(super) fn note_ready(&self) {
        self.has_ready.set(true);
    }

    /// To be called when the transaction brings a broadcast or a reply.
    pub(super) fn note_control(&self) {
        self.has_control.set(true);
    }

    /// To be called when the transaction stores a result.
    pub(super) fn note_results(&self) {
        self.has_results.set(true);
    }
}
