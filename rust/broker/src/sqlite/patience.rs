//! How a connection waits for the write lock.
//!
//! SQLite's own handler soon sleeps tens of milliseconds at a time, which is longer than many a transaction of ours
//! takes; and its deadline is the connection's, while ours is the call's.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

thread_local! {
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Ends the patience of this thread when dropped.
pub(super) struct Patience(());

/// From here on, this thread waits at most `busy` for locks.
pub(super) fn start(busy: Duration) -> Patience {
    END.set(Some(Instant::now() + busy));
    Patience(())
}

impl Drop for Patience {
    fn drop(&mut self) {
        END.set(None);
    }
}

pub(super) fn install(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(keep_waiting))
}

/// SQLite's busy handler is a plain function, so the deadline comes through the thread. `count` is how often it
/// was asked for this lock.
fn keep_waiting(count: i32) -> bool {
    if END.get().is_none_or(|end| Instant::now() >= end) {
        return false;
    }
    std::thread::sleep(match count {
        0..20 => Duration::from_micros(50),
        20..2_000 => Duration::from_micros(250),
        _ => Duration::from_millis(2),
    });
    true
}
