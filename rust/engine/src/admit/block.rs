//! Permits of shared limits that the broker gave us ahead of need.
//!
//! Asking for every message would cost a round trip each. So a key that is asked for again soon is asked for more at
//! once: twice as many as the last time, if those were used up in time, and half as many if they were not. A limit of
//! a few permits a second gives no permits ahead, and nothing is kept here for its keys, however many there are.

use std::collections::HashMap;

/// How long permits ahead may be used, in microseconds: what the broker counts on.
pub(crate) const LIFE_US: u64 = 250_000;
/// A key that was not asked for so long, in microseconds, is forgotten.
const MEMORY_US: u64 = 2_000_000;
/// Most permits that are asked for ahead.
const MOST_AHEAD: u32 = 256;

/// A task, and the hash of its key.
pub(crate) type Key = (u32, u64);

/// The permits ahead of all keys.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    blocks: HashMap<Key, Block>,
    swept_us: u64,
}

#[derive(Debug)]
struct Block {
    left: u32,
    until_us: u64,
    /// How many to ask for ahead.
    size: u32,
}

impl Blocks {
    /// Uses a permit of that key, if there is one.
    pub(crate) fn take(&mut self, key: Key, now_us: u64) -> bool {
        match self.blocks.get_mut(&key) {
            Some(block) if block.left > 0 && now_us < block.until_us => {
                block.left -= 1;
                true
            }
            _ => false,
        }
    }

    /// How many permits of that key to ask for ahead, now that it has to be asked for. `interval_ns` of its limit.
    pub(crate) fn ahead(&mut self, key: Key, interval_ns: u64, now_us: u64) -> u32 {
        let most = (LIFE_US * 1_000 / interval_ns.max(1)).saturating_sub(1).min(u64::from(MOST_AHEAD)) as u32;
        if most == 0 {
            return 0;
        }
        self.sweep(now_us);
        match self.blocks.get_mut(&key) {
            None => {
                self.blocks.insert(key, Block { left: 0, until_us: now_us + LIFE_US, size: 1 });
                0
            }
            Some(block) => {
                let was_used_up = block.left == 0;
                block.size = if was_used_up { block.size.saturating_mul(2) } else { block.size / 2 }.clamp(1, most);
                block.left = 0;
                block.size
            }
        }
    }

    /// The broker gave permits ahead.
    pub(crate) fn put(&mut self, key: Key, permits: u32, now_us: u64) {
        if let Some(block) = self.blocks.get_mut(&key) {
            block.left = permits;
            block.until_us = now_us + LIFE_US;
        }
    }

    fn sweep(&mut self, now_us: u64) {
        if now_us >= self.swept_us + MEMORY_US {
            self.swept_us = now_us;
            self.blocks.retain(|_, block| block.until_us + MEMORY_US > now_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS_NS: u64 = 1_000_000;

    #[test]
    fn key_that_is_asked_for_again_gets_more_and_more_ahead() {
        let mut blocks = Blocks::default();
        assert_eq!([0, 1, 2, 3].map(|_| blocks.ahead((0, 7), MS_NS, 0)), [0, 2, 4, 8]);
    }

    #[test]
    fn permits_that_were_not_used_in_time_make_the_next_block_smaller() {
        let mut blocks = Blocks::default();
        blocks.ahead((0, 7), MS_NS, 0);
        assert_eq!(blocks.ahead((0, 7), MS_NS, 0), 2);
        blocks.put((0, 7), 2, 0);
        assert!(blocks.take((0, 7), LIFE_US - 1));
        assert!(!blocks.take((0, 7), LIFE_US));
        assert_eq!(blocks.ahead((0, 7), MS_NS, LIFE_US), 1);
        let sizes = [0, 0, 0].map(|left| {
            blocks.put((0, 7), left, 0);
            blocks.ahead((0, 7), MS_NS, 0)
        });
        assert_eq!(sizes, [2, 4, 8]);
        blocks.put((0, 7), 8, 0);
        assert_eq!(blocks.ahead((0, 7), MS_NS, LIFE_US), 4);
    }

    #[test]
    fn slow_limit_keeps_nothing() {
        let mut blocks = Blocks::default();
        for key in 0..1_000 {
            assert_eq!(blocks.ahead((0, key), 500 * MS_NS, 0), 0);
        }
        assert!(blocks.blocks.is_empty());
    }

    #[test]
    fn idle_keys_are_forgotten() {
        let mut blocks = Blocks::default();
        for key in 0..1_000 {
            blocks.ahead((0, key), MS_NS, 0);
        }
        blocks.ahead((0, 0), MS_NS, 3 * MEMORY_US);
        assert_eq!(blocks.blocks.len(), 1);
    }

    #[test]
    fn keys_are_swept_once_in_a_while_and_forgotten_when_their_last_block_is_that_old() {
        let mut blocks = Blocks::default();
        blocks.ahead((0, 0), MS_NS, MEMORY_US);
        blocks.ahead((0, 1), MS_NS, MEMORY_US + 1);
        blocks.ahead((0, 2), MS_NS, 2 * MEMORY_US - 1);
        assert_eq!(blocks.swept_us, MEMORY_US);
        blocks.ahead((0, 3), MS_NS, 2 * MEMORY_US + LIFE_US);
        let mut keys: Vec<u64> = blocks.blocks.keys().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 2, 3]);
    }
}
