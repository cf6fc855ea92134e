//! Watching others' heartbeat counters: who has been silent for how long, on our own monotonic clock.
//!
//! Silence counts only while we watched without a break. A break (we were suspended, or nobody could write because a
//! program sat on a lock) starts every watch anew: it would have silenced the others too.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What one incarnation remembers of the others' heartbeats.
#[derive(Debug)]
pub(crate) struct Vigil {
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

impl Vigil {
    /// `refresh` is how often the vigil is going to look.
    pub(crate) fn new(refresh: Duration) -> Vigil {
        Vigil { unbroken: refresh * 2, looked: None, seen: HashMap::new() }
    }

    /// Takes in everybody's counter, `(owner, beats)`, as it stands at `now`. Who is not named is forgotten.
    pub(crate) fn observe(&mut self, others: impl Iterator<Item = (i64, i64)>, now: Instant) {
        if self.looked.is_some_and(|last| now.saturating_duration_since(last) > self.unbroken) {
            self.seen.clear();
        }
        self.looked = Some(now);
        let before = std::mem::take(&mut self.seen);
        for (owner, beats) in others {
            let fresh = Seen { beats, since: now };
            let seen = before.get(&owner).filter(|seen| seen.beats == beats).unwrap_or(&fresh);
            self.seen.insert(owner, *seen);
        }
    }

    /// How long `owner`, who was just observed, has not moved its counter.
    pub(crate) fn silence(&self, owner: i64, now: Instant) -> Duration {
        let seen = self.seen.get(&owner).expect("everybody was just observed");
        now.saturating_duration_since(seen.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(10);

    /// Looks every three seconds, with the heartbeat counter at `beats`, and once more after `pause` seconds. True at
    /// the end: silent for a life.
    fn watch(beats: &[i64], pause: u64) -> bool {
        let mut now = Instant::now();
        let mut vigil = Vigil::new(Duration::from_secs(3));
        for beats in beats {
            vigil.observe([(7, *beats)].into_iter(), now);
            now += Duration::from_secs(3);
        }
        now += Duration::from_secs(pause);
        let last = *beats.last().expect("at least one look");
        vigil.observe([(7, last)].into_iter(), now);
        vigil.silence(7, now) >= LIFE
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
