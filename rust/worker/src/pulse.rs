//! What the heartbeats of a node say: its lanes count together, and one of them speaks for all.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::lamport::LamportClock;

/// What one lane is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tasks that run.
    pub(crate) active: u64,
    /// Tasks that were started, since the beginning.
    pub(crate) processed: u64,
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts { active: self.active + other.active, processed: self.processed + other.processed }
    }
}

#[derive(Debug, Default)]
struct Lanes {
    /// Those that work, the one that speaks first; each by its number.
    living: Vec<(u64, Counts)>,
    /// What those processed that have ended.
    ended: Counts,
    joined: u64,
}

/// What the lanes of one node share: its clock, and what its heartbeats say.
#[derive(Clone, Debug)]
pub struct Pulse {
    pub(crate) clock: LamportClock,
    lanes: Arc<Mutex<Lanes>>,
}

impl Pulse {
    /// Of a node with this clock.
    pub fn new(clock: LamportClock) -> Pulse {
        Pulse { clock, lanes: Arc::default() }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().expect("nothing panics while it holds the counts")
    }

    /// One more lane works. Its number, and whether it is the first of those that work.
    pub(crate) fn join(&self) -> (u64, bool) {
        let mut lanes = self.lanes();
        lanes.joined += 1;
        let number = lanes.joined;
        lanes.living.push((number, Counts::default()));
        (number, lanes.living.len() == 1)
    }

    /// A lane says what it is doing. What the whole node does, if this is the lane that speaks for it.
    pub(crate) fn beat(&self, number: u64, counts: Counts) -> Option<Counts> {
        let mut lanes = self.lanes();
        if let Some((_, own)) = lanes.living.iter_mut().find(|(known, _)| *known == number) {
            *own = counts;
        }
        let speaks = lanes.living.first().is_some_and(|(first, _)| *first == number);
        speaks.then(|| lanes.living.iter().fold(lanes.ended, |sum, (_, own)| sum.plus(*own)))
    }

    /// A lane has ended. What the node did, if it was the last.
    pub(crate) fn leave(&self, number: u64, counts: Counts) -> Option<Counts> {
        let mut lanes = self.lanes();
        lanes.living.retain(|(known, _)| *known != number);
        lanes.ended = lanes.ended.plus(Counts { active: 0, ..counts });
        lanes.living.is_empty().then_some(lanes.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_speaks_for_all_and_another_when_it_has_ended() {
        let pulse = Pulse::new(LamportClock::default());
        let counts = |active, processed| Counts { active, processed };
        let ((first, is_first), (second, is_second)) = (pulse.join(), pulse.join());
        assert!(is_first && !is_second);
        assert_eq!(pulse.beat(second, counts(1, 10)), None);
        assert_eq!(pulse.beat(first, counts(2, 5)), Some(counts(3, 15)));
        assert_eq!(pulse.leave(first, counts(0, 7)), None);
        assert_eq!(pulse.beat(second, counts(4, 20)), Some(counts(4, 27)));
        assert_eq!(pulse.leave(second, counts(0, 24)), Some(counts(0, 31)));
    }
}
