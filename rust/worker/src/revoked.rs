//! What this worker knows to be revoked: ids and stamps, bounded in time and number as in Celery.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use fastworker_broker::{Mark, RevokeTerms};
use fastworker_wire::stamps;

/// The set. Times are monotonic microseconds.
pub(crate) struct Revoked {
    terms: RevokeTerms,
    /// When each was revoked, for the last time.
    marks: HashMap<Mark, u64>,
    /// In order of revocation; what was revoked again stands here twice, and only the later entry counts.
    order: VecDeque<(u64, Mark)>,
    /// How many of the marks are stamps: only then are headers looked into.
    stamps: usize,
}

impl Revoked {
    pub(crate) fn new(terms: RevokeTerms) -> Revoked {
        Revoked { terms, marks: HashMap::new(), order: VecDeque::new(), stamps: 0 }
    }

    /// Remembers `mark`, revoked `age` ago.
    pub(crate) fn add(&mut self, mark: Mark, age: Duration, now_us: u64) {
        let at_us = now_us.saturating_sub(age.as_micros() as u64);
        let known = self.marks.get(&mark).copied();
        if known.is_some_and(|known_us| known_us >= at_us) {
            return;
        }
        if known.is_none() && matches!(mark, Mark::Stamp { .. }) {
            self.stamps += 1;
        }
        self.marks.insert(mark.clone(), at_us);
        let place = self.order.partition_point(|(other_us, _)| *other_us <= at_us);
        self.order.insert(place, (at_us, mark));
        self.forget(now_us);
    }

    /// Forgets what is too old or too much.
    pub(crate) fn forget(&mut self, now_us: u64) {
        let keep_us = self.terms.keep.as_micros() as u64;
        while let Some((at_us, mark)) = self.order.front() {
            let is_stale = self.marks.get(mark) != Some(at_us);
            let is_old = now_us.saturating_sub(*at_us) > keep_us;
            if !is_stale && !is_old && self.marks.len() <= self.terms.most as usize {
                return;
            }
            let (_, mark) = self.order.pop_front().expect("just seen");
            if !is_stale {
                self.stamps -= usize::from(matches!(mark, Mark::Stamp { .. }));
                self.marks.remove(&mark);
            }
        }
    }

    /// Whether nothing is revoked: the usual case, which costs a message nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Whether a task is revoked by its id, or by one of its stamps. `headers`: asked for only when stamps matter.
    pub(crate) fn has<'f>(&self, id: &str, headers: impl FnOnce() -> Option<&'f [u8]>) -> bool {
        if self.marks.contains_key(&Mark::Id(id.to_owned())) {
            return true;
        }
        self.stamps > 0 && headers().is_some_and(|headers| carries(headers, |mark| self.marks.contains_key(mark)))
    }

    /// The ids, oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let living = self.order.iter().filter(|(at_us, mark)| self.marks.get(mark) == Some(at_us));
        living
            .filter_map(|(_, mark)| match mark {
                Mark::Id(id) => Some(id.clone()),
                Mark::Stamp { .. } => None,
            })
            .collect()
    }
}

/// Whether the stamps in a message's headers are among those that `is_meant`.
pub(crate) fn carries(headers: &[u8], is_meant: impl Fn(&Mark) -> bool) -> bool {
    // Headers that are no object were refused when the message was decoded.
    let stamps = stamps(headers).unwrap_or_default();
    stamps.into_iter().any(|(name, value)| is_meant(&Mark::Stamp { name, value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn set(most: u32) -> Revoked {
        Revoked::new(RevokeTerms { keep: HOUR, most })
    }

    fn id(text: &str) -> Mark {
        Mark::Id(text.to_owned())
    }

    fn has(set: &Revoked, text: &str) -> bool {
        set.has(text, || None)
    }

    #[test]
    fn surplus_goes_oldest_first_and_what_was_revoked_again_is_young() {
        let mut set = set(2);
        for (at_us, text) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            set.add(id(text), Duration::ZERO, at_us);
        }
        assert_eq!(set.ids(), ["a", "c"]);
        assert!(has(&set, "a") && !has(&set, "b"));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut set = set(9);
        let hour_us = HOUR.as_micros() as u64;
        set.add(id("a"), Duration::ZERO, 0);
        set.add(id("older"), HOUR, hour_us / 2);
        set.add(id("b"), Duration::ZERO, hour_us);
        assert!(has(&set, "a"));
        set.forget(hour_us + 1);
        assert_eq!(set.ids(), ["b"]);
    }

    #[test]
    fn stamps_are_looked_for_only_when_there_are_any() {
        let mut set = set(9);
        set.add(id("x"), Duration::ZERO, 0);
        assert!(!set.has("t", || panic!("nobody revoked a stamp")));
        set.add(Mark::Stamp { name: "job".into(), value: "\"7\"".into() }, Duration::ZERO, 0);
        let headers = br#"{"stamped_headers": ["job"], "stamps": {"job": ["6", "7"]}}"#;
        assert!(set.has("t", || Some(headers)));
        assert!(!set.has("t", || Some(b"{}")));
    }
}
