//! The consumed queues, as an observer sees them: their limits, and since when they had room.

use crate::config::QueueTerms;

/// All of them, by index.
#[derive(Debug)]
pub(super) struct Lines(Vec<Line>);

#[derive(Debug)]
struct Line {
    limit: Option<u32>,
    is_closed: bool,
    /// When it last had no room, or was opened (`mono_us`).
    full_until_us: Option<u64>,
    /// When something of it came last (`mono_us`).
    came_us: Option<u64>,
}

impl Lines {
    pub(super) fn new(terms: &[QueueTerms]) -> Lines {
        let line =
            |terms: &QueueTerms| Line { limit: terms.limit, is_closed: false, full_until_us: None, came_us: None };
        Lines(terms.iter().map(line).collect())
    }

    /// Whether none has a bound.
    pub(super) fn are_free(&self) -> bool {
        self.0.iter().all(|line| line.limit.is_none() && !line.is_closed)
    }

    /// `at_work`: the queue of each delivery that is with a child, or about to be.
    pub(super) fn note(&mut self, at_work: &[u16], now_us: u64) {
        for (line, index) in self.0.iter_mut().zip(0u16..) {
            let count = at_work.iter().filter(|&&queue| queue == index).count() as u32;
            if line.is_closed || line.limit.is_some_and(|limit| count >= limit) {
                line.full_until_us = Some(now_us);
            }
        }
    }

    pub(super) fn came(&mut self, queue: u16, now_us: u64) {
        self.0[usize::from(queue)].came_us = Some(now_us);
    }

    /// Whether it has a limit, and is being fetched: as many at a time as there are places, so that what goes on to lanes
    /// holds up the rest for a round trip each.
    pub(super) fn is_coming(&self, queue: u16, since_us: u64) -> bool {
        let line = &self.0[usize::from(queue)];
        line.limit.is_some() && line.came_us.is_some_and(|came_us| came_us > since_us)
    }

    pub(super) fn had_room_since(&self, queue: u16, since_us: u64) -> bool {
        let line = &self.0[usize::from(queue)];
        !line.is_closed && line.full_until_us.is_none_or(|full_us| full_us < since_us)
    }

    pub(super) fn open(&mut self, queue: u16) {
        self.0[usize::from(queue)].is_closed = false;
    }

    pub(super) fn close(&mut self, queue: u16) {
        self.0[usize::from(queue)].is_closed = true;
    }

    pub(super) fn is_closed(&self, queue: u16) -> bool {
        self.0[usize::from(queue)].is_closed
    }

    /// Most that may be at work.
    pub(super) fn limit(&self, queue: u16) -> u32 {
        self.0[usize::from(queue)].limit.unwrap_or(u32::MAX)
    }

    /// Queues with a bound, and how much of them may be at work.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (u16, u32)> {
        let bounded = |(line, queue): (&Line, u16)| match line.limit {
            _ if line.is_closed => Some((queue, 0)),
            limit => Some((queue, limit?)),
        };
        self.0.iter().zip(0u16..).filter_map(bounded)
    }
}
