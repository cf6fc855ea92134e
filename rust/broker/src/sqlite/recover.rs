//! Dead workers' leases go back to their queues.
//!
//! An owner is dead when its process is provably gone (`process.rs`), or when its heartbeat counter stood still for a
//! full life on *our* monotonic clock while we watched without a break. A break (we were suspended, or nobody could
//! write because a program sat on the lock) starts every watch anew: it would have silenced the others too.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::lease::{self, Owner};
use super::process::Process;
use super::session::Session;
use crate::Recovered;

/// What one incarnation remembers of the others' heartbeats.
#[derive(Debug)]
pub(super) struct Vigil {
    /// A longer pause than this between two looks is a break.
    unbroken: Duration,
    looked: Option<Instant>,
    seen: HashMap<i64, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beats: i64,
    since: Instant,
}

/// Another incarnation's row.
struct Other {
    id: i64,
    beats: i64,
    life: Duration,
    process: Process,
}

impl Vigil {
    /// `refresh` is how often the vigil is going to look.
    pub(super) fn new(refresh: Duration) -> Vigil {
        Vigil { unbroken: refresh * 2, looked: None, seen: HashMap::new() }
    }

    /// Looks at everybody, at the monotonic time `now`, and puts back what the dead held.
    pub(super) fn recover(&mut self, session: &Session, own: &Owner, now: Instant) -> rusqlite::Result<Recovered> {
        let others = others(session, own.id)?;
        self.observe(&others, now);
        let mut recovered = Recovered::default();
        for other in others {
            if other.process.is_gone(&own.process) || self.is_silent(&other, own.life, now) {
                recovered.messages += lease::give_back(session, other.id, true)?;
                recovered.owners += 1;
            }
        }
        Ok(recovered)
    }

    fn observe(&mut self, others: &[Other], now: Instant) {
        if self.looked.is_some_and(|last| now.saturating_duration_since(last) > self.unbroken) {
            self.seen.clear();
        }
        self.looked = Some(now);
        let before = std::mem::take(&mut self.seen);
        for other in others {
            let fresh = Seen { beats: other.beats, since: now };
            let seen = before.get(&other.id).filter(|seen| seen.beats == other.beats).unwrap_or(&fresh);
            self.seen.insert(other.id, *seen);
        }
    }

    /// The longer of both lives counts, should two workers be configured differently.
    fn is_silent(&self, other: &Other, own_life: Duration, now: Instant) -> bool {
        let seen = self.seen.get(&other.id).expect("everybody was just observed");
        now.saturating_duration_since(seen.since) >= other.life.max(own_life)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(10);

    fn other(beats: i64) -> Other {
        let process = Process { boot: String::new(), pid_space: String::new(), pid: 1, started: 0 };
        Other { id: 7, beats, life: LIFE, process }
    }

    /// Looks every three seconds, with the heartbeat counter at `beats`, and once more after `pause` seconds. True at
    /// the end: dead.
    fn watch(beats: &[i64], pause: u64) -> bool {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(Duration::from_secs(3));
        for beats in beats {
            vigil.observe(&[other(*beats)], now);
            now += Duration::from_secs(3);
        }
        now += Duration::from_secs(pause);
        let last = other(*beats.last().expect("at least one look"));
        vigil.observe(std::slice::from_ref(&last), now);
        vigil.is_silent(&last, LIFE, now)
    }

    #[test]
    fn silence_for_a_full_life_is_death() {
        assert!(watch(&[5, 5, 5, 5], 0));
        assert!(!watch(&[5, 5, 5], 0));
    }

    #[test]
    fn a_beat_starts_the_watch_anew() {
        assert!(!watch(&[5, 5, 5, 6], 0));
    }

    #[test]
    fn a_break_in_our_own_watching_proves_nothing() {
        assert!(!watch(&[5, 5, 5, 5], 60));
    }
}
