//! Where a blocking client keeps its connection: opened at the first use, stamped with the process that opened it.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::file::Purpose;
use super::fork::{self, Place};
use super::log;
use super::options::SqliteOptions;
use super::session::Session;
use crate::Error;

/// A connection and the process that opened it.
pub(super) struct Opened {
    pid: u32,
    session: Session,
}

impl Opened {
    fn is_inherited(&self) -> bool {
        self.pid != std::process::id()
    }

    /// Closes the connection, unless it is another process's: closing that would take away *its* locks.
    pub(super) fn leave(self) {
        if self.is_inherited() {
            std::mem::forget(self);
        }
    }
}

/// A client's connection, which comes and goes.
pub(super) struct Slot {
    options: SqliteOptions,
    place: Arc<Place>,
}

impl Slot {
    /// Opens nothing yet.
    pub(super) fn new(options: SqliteOptions) -> Slot {
        let place = Arc::default();
        fork::enter(&place);
        Slot { options, place }
    }

    /// The options that it opens with.
    pub(super) fn options(&self) -> &SqliteOptions {
        &self.options
    }

    /// Runs `work` in a transaction.
    pub(super) fn write<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Session) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.with(|session| {
            let outcome = session.transact(what, work);
            if session.is_log_due() {
                log::carry(&session.sql);
            }
            outcome
        })
    }

    /// Runs `work`, which only reads.
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Session) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.with(|session| session.read(what, work))
    }

    /// Uses the open connection, or a new one when there is none, when it is another process's, and when its file was
    /// removed or replaced. A connection that failed is not used again unless the file was merely busy.
    fn with<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let mut place = self.enter();
        let session = match place.take() {
            Some(opened) if !opened.is_inherited() && opened.session.is_current() => opened.session,
            other => {
                if let Some(opened) = other {
                    opened.leave();
                }
                Session::open(&self.options, Purpose::Client)?
            }
        };
        let outcome = work(&session);
        *place = Some(Opened { pid: std::process::id(), session });
        outcome
    }

    /// The place, at a moment when no fork is on its way.
    fn enter(&self) -> MutexGuard<'_, Option<Opened>> {
        loop {
            fork::pass();
            let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            if !fork::is_forking() {
                return place;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(opened) = self.place.lock().unwrap_or_else(PoisonError::into_inner).take() {
            opened.leave();
        }
    }
}
