//! Upkeep of the write-ahead log: carrying its pages into the database before it grows large.
//!
//! SQLite's own way, a passive checkpoint inside the commit that crosses a limit, starves when several processes write:
//! somebody always appends while it runs, so the log is never used again from its beginning, grows (to 765 MB in a
//! test with three publishers), and from then on *every* commit makes a checkpoint and waits for the disk. So ours goes
//! in two steps: passive ones carry the bulk while others write on, then a short one that holds the write lock carries
//! the rest, and the next writer starts the log anew. A worker has a thread for that, since most of it is waiting for
//! the disk; a client, which has no threads, does it after a publish, if no worker did it before.

use std::cell::Cell;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::Connection;

use super::file::{self, Purpose};
use super::options::SqliteOptions;
use super::patience;

/// How long the short step waits for writers and readers to let go.
const PATIENCE: Duration = Duration::from_millis(250);

/// At most so many passive steps, until one carries fewer frames than `SMALL`.
const STEPS: usize = 4;
const SMALL: i64 = 1_000;

thread_local! {
    /// Frames (pages of 4 kB) in the log after the last commit of this thread.
    static FRAMES: Cell<i32> = const { Cell::new(0) };
}

/// When the log is due, as one connection sees it.
#[derive(Debug)]
pub(super) struct Log {
    limit: i32,
    due_at: Cell<i32>,
    frames: Cell<i32>,
}

impl Log {
    /// Takes over from SQLite's automatic checkpoints.
    pub(super) fn install(connection: &Connection, purpose: Purpose) -> rusqlite::Result<Log> {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.wal_hook(Some(|_, frames| {
            FRAMES.set(frames);
            Ok(())
        }));
        let limit = match purpose {
            Purpose::Worker => 8_000,
            Purpose::Client => 24_000,
        };
        Ok(Log { limit, due_at: Cell::new(limit), frames: Cell::new(0) })
    }

    /// To be called after each commit.
    pub(super) fn committed(&self) {
        self.frames.set(FRAMES.take());
        if self.frames.get() < self.limit {
            self.due_at.set(self.limit);
        }
    }

    /// True when it is time to [`carry`]; not again until the log has grown by a quarter of the limit, whatever comes
    /// of it.
    pub(super) fn is_due(&self) -> bool {
        let frames = self.frames.take();
        let is_due = frames >= self.due_at.get();
        if is_due {
            self.due_at.set(frames.saturating_add(self.limit / 4));
        }
        is_due
    }
}

/// Carries the pages over. An error costs nothing but disk space; it is logged, and tried again when due again.
pub(super) fn carry(connection: &Connection) {
    if let Err(error) = try_to_carry(connection) {
        tracing::warn!(%error, "the write-ahead log could not be carried into the database");
    }
}

/// Stops early when somebody else is at it, or would not let go in time.
fn try_to_carry(connection: &Connection) -> rusqlite::Result<()> {
    let _patience = patience::start(PATIENCE);
    let mut before = 0;
    for _ in 0..STEPS {
        let (is_busy, carried): (bool, i64) =
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(2)?)))?;
        if is_busy {
            return Ok(());
        }
        if carried - before < SMALL {
            break;
        }
        before = carried;
    }
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
}

/// The worker's thread for it; it ends when the value is dropped.
#[derive(Debug)]
pub(super) struct Carrier {
    bell: SyncSender<()>,
}

impl Carrier {
    /// The thread opens the file anew each time (some 0.3 ms, a few times a second at most): it may have been replaced.
    pub(super) fn start(options: SqliteOptions) -> std::io::Result<Carrier> {
        let (bell, rung) = sync_channel(1);
        std::thread::Builder::new().name("fastworker-log".to_owned()).spawn(move || {
            while rung.recv().is_ok() {
                match file::open(&options, Purpose::Worker) {
                    Ok((connection, _)) => carry(&connection),
                    Err(error) => tracing::warn!(%error, "the write-ahead log could not be carried into the database"),
                }
            }
        })?;
        Ok(Carrier { bell })
    }

    /// Sets it to work; if it is at work already, once more afterwards.
    pub(super) fn ring(&self) {
        if let Err(TrySendError::Disconnected(())) = self.bell.try_send(()) {
            tracing::warn!(
                "the thread that carries the write-ahead log has ended, so the log grows; restart the worker"
            );
        }
    }
}
