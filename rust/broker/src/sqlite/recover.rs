//! Dead workers' leases go back to their queues.
//!
//! An owner is dead when its process is provably gone (`process.rs`), or when its heartbeat counter stood still for a
//! full life on *our* monotonic clock while we watched without a break. A break (we were suspended, or nobody could
//! write because a program sat on the lock) starts every watch anew: it would have silenced the others too.

use std::time::{Duration, Instant};

use super::lease::{self, Owner};
use super::process::Process;
use super::session::Session;
use crate::Recovered;
use crate::vigil::Vigil;

/// Another incarnation's row.
struct Other {
    id: i64,
    beats: i64,
    life: Duration,
    process: Process,
}

/// Looks at everybody, at the monotonic time `now`, and puts back what the dead held.
pub(super) fn recover(vigil: &mut Vigil, session: &Session, own: &Owner, now: Instant) -> rusqlite::Result<Recovered> {
    let others = others(session, own.id)?;
    vigil.observe(others.iter().map(|other| (other.id, other.beats)), now);
    let mut recovered = Recovered::default();
    for other in others {
        // The longer of both lives counts, should two workers be configured differently.
        let is_silent = vigil.silence(other.id, now) >= other.life.max(own.life);
        if is_silent || other.process.is_gone(&own.process) {
            recovered.messages += lease::give_back(session, other.id, true)?;
            recovered.owners += 1;
        }
    }
    Ok(recovered)
}

/// Everybody but us. The watch for silence needs the write lock that `recover` runs under: whoever could not get it
/// could not beat either.
fn others(session: &Session, own: i64) -> rusqlite::Result<Vec<Other>> {
    session
        .sql
        .prepare_cached("SELECT owner, beats, life_ms, boot, pid_space, pid, started FROM owners WHERE owner <> ?1")?
        .query_map([own], |row| {
            Ok(Other {
                id: row.get(0)?,
                beats: row.get(1)?,
                life: Duration::from_millis(row.get::<_, i64>(2)?.try_into().unwrap_or(0)),
                process: Process { boot: row.get(3)?, pid_space: row.get(4)?, pid: row.get(5)?, started: row.get(6)? },
            })
        })?
        .collect()
}

/// Whether there is anybody to watch.
pub(super) fn has_others(session: &Session, own: i64) -> rusqlite::Result<bool> {
    session
        .sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM owners WHERE owner <> ?1)")?
        .query_row([own], |row| row.get(0))
}
