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
    /// How much of it has ended, or gone to a lane, without having been at a child.
    passed: u64,
    /// `passed`, when that came which came last of all that has been at a child.
    passed_before_last: u64,
}

impl Lines {
    pub(super) fn new(terms: &[QueueTerms]) -> Lines {
        let line = |terms: &QueueTerms| Line {
            limit: terms.limit,
            is_closed: false,
            full_until_us: None,
            passed: 0,
            passed_before_last: 0,
        };
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

    /// How much of it has passed so far.
    pub(super) fn passed(&self, queue: u16) -> u64 {
        self.0[usize::from(queue)].passed
    }

    pub(super) fn pass(&mut self, queue: u16) {
        self.0[usize::from(queue)].passed += 1;
    }

    /// One goes to a child that came when so much had passed.
    pub(super) fn stays(&mut self, queue: u16, passed_before: u64) {
        let line = &mut self.0[usize::from(queue)];
        line.passed_before_last = line.passed_before_last.max(passed_before);
    }

    /// Most that may be fetched beyond what may be at work: as much as has passed since something stayed.
    pub(super) fn passing(&self, queue: u16) -> u32 {
        let line = &self.0[usize::from(queue)];
        (line.passed - line.passed_before_last) as u32
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
