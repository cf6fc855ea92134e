//! A logical clock: of two events that know of each other the later one has the larger number.
//!
//! Remote control reads it on the main thread, events carry it from every lane's thread. Source: `kombu.clocks`;
//! L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that all clones share.
#[derive(Clone, Debug, Default)]
pub struct LamportClock(Arc<AtomicU64>);

impl LamportClock {
    /// Begins at `value`.
    pub fn new(value: u64) -> LamportClock {
        LamportClock(Arc::new(AtomicU64::new(value)))
    }

    /// The last number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The next number.
    pub fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes note of another node's time, which came with its message; returns our own after that.
    pub fn adjust(&self, other: u64) -> u64 {
        let next = |own: u64| own.max(other).saturating_add(1);
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| Some(next(own)));
        next(before.unwrap_or_else(|own| own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_has_the_larger_number() {
        let clock = LamportClock::new(5);
        let other = clock.clone();
        assert_eq!((clock.forward(), other.adjust(2), other.adjust(100), clock.forward()), (6, 7, 101, 102));
        assert_eq!(clock.value(), 102);
    }
}
