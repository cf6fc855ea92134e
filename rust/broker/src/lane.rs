//! Rate limits that all workers share, and lanes, where messages wait that are over their rate.
//!
//! A shared limit belongs to a task and a *key*, a text that the message carries (a host name, say); without a key
//! there is one bucket for the task. Its state is one number, the time from which the next permit is there, kept
//! only while it lies in the future: an idle key costs nothing.
//!
//! **Blocks.** A permit a round trip would be slow, so permits that fall due within `BLOCK` may be had at once, the ones
//! for messages to come (`Ask::ahead`) among them. A limit of up to four a second has blocks of one: its permits are
//! never less than an interval apart.
//!
//! **Order.** Within a lane: priority, then age. Between lanes: the permit that has been there longest is drawn first, so
//! every key gets its turn, however many messages another one has.

use std::time::Duration;

use crate::{Delivery, Tag};

/// Permits of this time may be had at its beginning.
pub const BLOCK: Duration = Duration::from_millis(250);
/// How late a permit may be drawn from a lane without being forgone.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(100);
/// A lane from which nobody has drawn for so long after its permit was there goes back to its queue.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(60);
/// A key of more bytes is shortened to its beginning and a digest.
const KEY_MAX: usize = 128;

/// Permits wanted for messages of one task and key, which all come from one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The task's registered name.
    pub task: String,
    /// What is counted; empty: all messages of the task. See [`bounded`].
    pub key: String,
    /// Nanoseconds from one permit to the next.
    pub interval_ns: u64,
    /// The leased messages, in the order in which they are to have permits.
    pub tags: Vec<Tag>,
    /// Permits for messages to come; granted after all of `tags`, and only within a block. None, if none of `tags` is ours:
    /// nobody knows then behind which lane those messages would have to wait.
    pub ahead: u32,
}

/// The answer to one `Ask`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// So many of the first `tags` that are still ours have a permit; the others of them were moved to their lane.
    pub permits: usize,
    /// Permits for messages to come, to be used within [`BLOCK`].
    pub ahead: u32,
    /// Indices into `tags`, in order, whose lease was not ours any more: they have no permit, and were not moved.
    pub lost: Vec<usize>,
    /// When something was moved: microseconds until its lane's next permit.
    pub due_in_us: Option<u64>,
}

/// What one of our limited tasks may draw from lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quota {
    /// A shared limit: as much as its keys have permits.
    Shared {
        /// The task's registered name.
        task: String,
        /// Nanoseconds from one permit to the next.
        interval_ns: u64,
    },
    /// A limit of each worker by itself: as many as we have permits of our own. 0 only says that we are there.
    Worker {
        /// The task's registered name.
        task: String,
        /// Permits.
        permits: u32,
    },
}

/// The answer to `draw`.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// The leased messages.
    pub deliveries: Vec<Delivery>,
    /// Microseconds until the next permit of a lane that `quotas` lets us draw from; 0 when there is one now.
    pub next_in_us: Option<u64>,
    /// For each `Quota::Worker`, in order: whether its lane still has messages.
    pub has_more: Vec<bool>,
}

/// A shared limit in microseconds, as servers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From one permit to the next, rounded up.
    pub(crate) interval_us: u64,
    /// How far ahead of its time a permit may be had: a block less one interval.
    pub(crate) ahead_us: u64,
}

impl Pace {
    /// No interval is longer than ten years, so that sums stay exact where numbers are floats.
    pub(crate) fn of(interval_ns: u64) -> Pace {
        let interval_us = interval_ns.div_ceil(1_000).clamp(1, 10 * 365 * 86_400 * 1_000_000);
        Pace { interval_us, ahead_us: (BLOCK.as_micros() as u64).saturating_sub(interval_us) }
    }

    /// How many of `wanted` permits there are, and from when on the next one is. `next_us`: what was kept of that, if
    /// anything; one that is further away than it can be (the clock was set back, the limit was raised) is not
    /// believed. `is_awaited`: for messages of a lane, for which a late draw may catch up.
    pub(crate) fn grant(self, next_us: Option<u64>, now_us: u64, wanted: u64, is_awaited: bool) -> (u64, u64) {
        let slack_us = if is_awaited { CATCH_UP.as_micros() as u64 } else { 0 };
        let next_us = next_us.unwrap_or(now_us).clamp(now_us - slack_us, now_us + self.interval_us + self.ahead_us);
        let Some(room_us) = (now_us + self.ahead_us).checked_sub(next_us) else { return (0, next_us) };
        let granted = (room_us / self.interval_us + 1).min(wanted);
        (granted, next_us + granted * self.interval_us)
    }

    /// From when on a lane may be drawn from.
    pub(crate) fn due_us(self, next_us: u64) -> u64 {
        next_us - self.ahead_us.min(next_us)
    }
}

/// A key as it is kept: whatever a message carries, its state is small. Different long keys stay different.
pub fn bounded(key: &str) -> std::borrow::Cow<'_, str> {
    if key.len() <= KEY_MAX {
        return key.into();
    }
    let mut end = KEY_MAX - 17;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{:016x}", &key[..end], fnv1a(key.as_bytes())).into()
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_limit_has_blocks_of_one() {
        assert_eq!(Pace::of(500_000_000), Pace { interval_us: 500_000, ahead_us: 0 });
        assert_eq!(Pace::of(10_000_000), Pace { interval_us: 10_000, ahead_us: 240_000 });
        assert_eq!(Pace::of(1).interval_us, 1);
        assert!(Pace::of(u64::MAX).interval_us < 1 << 53);
    }

    #[test]
    fn permits_of_a_block_may_be_had_at_its_beginning_and_no_more() {
        let (pace, now_us) = (Pace::of(10_000_000), 1_000_000_000);
        let (granted, next_us) = pace.grant(None, now_us, 100, false);
        assert_eq!((granted, next_us), (25, now_us + 250_000));
        assert_eq!(pace.grant(Some(next_us), now_us + 9_999, 100, false).0, 0);
        assert_eq!(pace.grant(Some(next_us), pace.due_us(next_us), 100, false).0, 1);
        assert_eq!(pace.grant(Some(next_us), now_us + 60_000_000, 100, true).0, 35);
    }

    #[test]
    fn state_from_the_future_is_not_believed() {
        let (pace, now_us) = (Pace::of(500_000_000), 1_000_000_000);
        assert_eq!(pace.grant(Some(now_us * 2), now_us, 1, false), (0, now_us + 500_000));
    }

    #[test]
    fn short_key_is_kept_as_it_is() {
        assert_eq!(bounded("example.org"), "example.org");
    }

    #[test]
    fn long_keys_are_shortened_and_stay_different() {
        let (one, other) = ("é".repeat(500), "é".repeat(501));
        assert!(bounded(&one).len() <= KEY_MAX);
        assert_ne!(bounded(&one), bounded(&other));
    }
}
