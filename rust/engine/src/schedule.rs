//! Station 4b, schedule: the ready queues. Most urgent priority first; within one priority the queues take turns, as
//! many at a time as their weight says.
//!
//! A delivery that comes back, from a child unstarted or from its early acknowledgement, keeps the place that it had.
//! All operations are constant time but `remove` and `retain_newest_first`, and `put_back` in what is before it.

use std::collections::VecDeque;

use crate::config::QueueTerms;
use crate::event::Handle;

/// Priorities are 0 (most urgent) to 9, as everywhere in Celery.
pub(crate) const PRIORITIES: usize = 10;

/// One priority: a line for each queue, and the turn order of the queues that have somebody in line.
#[derive(Clone, Debug)]
struct Level {
    lines: Vec<VecDeque<Handle>>,
    turns: VecDeque<u16>,
    /// How many in a row the queue whose turn it is has had.
    had: u32,
}

/// What may run as soon as a child has room.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Vec<Level>,
    /// By queue.
    weights: Vec<u32>,
    /// Bit `p` is set when priority `p` has somebody in line.
    occupied: u16,
    len: usize,
}

impl Ready {
    /// Empty lines for these queues.
    pub(crate) fn new(queues: &[QueueTerms]) -> Ready {
        let lines = vec![VecDeque::new(); queues.len().max(1)];
        let level = Level { lines, turns: VecDeque::new(), had: 0 };
        let weights = queues.iter().map(|terms| terms.weight).collect();
        Ready { levels: vec![level; PRIORITIES], weights, occupied: 0, len: 0 }
    }

    /// A line for one more queue, or another weight for one that there is.
    pub(crate) fn open(&mut self, queue: u16, weight: u32) {
        let count = self.weights.len().max(usize::from(queue) + 1);
        self.weights.resize(count, 1);
        self.levels.iter_mut().for_each(|level| level.lines.resize(count, VecDeque::new()));
        self.weights[usize::from(queue)] = weight;
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// At the end of its line.
    pub(crate) fn push_back(&mut self, priority: u8, queue: u16, handle: Handle) {
        let (level, queue) = self.enter(priority, queue);
        if level.lines[usize::from(queue)].is_empty() {
            level.turns.push_back(queue);
        }
        level.lines[usize::from(queue)].push_back(handle);
    }

    /// At the head of its line, but behind those that are before it, and its queue is the next to have its turn.
    pub(crate) fn put_back(&mut self, priority: u8, queue: u16, handle: Handle, is_before: impl Fn(Handle) -> bool) {
        let (level, queue) = self.enter(priority, queue);
        if level.turns.front() != Some(&queue) {
            level.turns.retain(|&waiting| waiting != queue);
            level.turns.push_front(queue);
            level.had = 0;
        }
        let line = &mut level.lines[usize::from(queue)];
        let place = line.iter().take_while(|&&waiting| is_before(waiting)).count();
        line.insert(place, handle);
    }

    /// Who is next, without taking it.
    pub(crate) fn peek(&self) -> Option<Handle> {
        let level = self.levels.get(self.occupied.trailing_zeros() as usize)?;
        let queue = usize::from(*level.turns.front()?);
        level.lines[queue].front().copied()
    }

    /// Takes who is next; when its queue has had its turns, the next queue of that priority has its own.
    pub(crate) fn pop(&mut self) -> Option<Handle> {
        let priority = self.occupied.trailing_zeros() as usize;
        let level = self.levels.get_mut(priority)?;
        let queue = *level.turns.front()?;
        let line = &mut level.lines[usize::from(queue)];
        let handle = line.pop_front();
        level.had += 1;
        let is_over = level.had >= self.weights.get(usize::from(queue)).copied().unwrap_or(1);
        if line.is_empty() || is_over {
            level.turns.pop_front();
            level.had = 0;
            if !line.is_empty() {
                level.turns.push_back(queue);
            } else if level.turns.is_empty() {
                self.occupied &= !(1 << priority);
            }
        }
        self.len -= 1;
        handle
    }

    /// Takes one delivery out of its line. Linear; only lost leases need it.
    pub(crate) fn remove(&mut self, priority: u8, queue: u16, handle: Handle) {
        self.filter_line(slot(priority), queue, |waiting| waiting != handle);
    }

    /// Shows every delivery to `keep`, the last to be served first, and takes out those it refuses. Linear.
    pub(crate) fn retain_newest_first(&mut self, mut keep: impl FnMut(Handle) -> bool) {
        for priority in (0..PRIORITIES).rev() {
            for queue in 0..self.levels[priority].lines.len() {
                self.filter_line(priority, queue as u16, &mut keep);
            }
        }
    }

    fn filter_line(&mut self, priority: usize, queue: u16, mut keep: impl FnMut(Handle) -> bool) {
        let level = &mut self.levels[priority];
        let queue = queue.min((level.lines.len() - 1) as u16);
        let line = &mut level.lines[usize::from(queue)];
        if line.is_empty() {
            return;
        }
        let mut kept = VecDeque::with_capacity(line.len());
        for &handle in line.iter().rev() {
            if keep(handle) {
                kept.push_front(handle);
            }
        }
        self.len -= line.len() - kept.len();
        *line = kept;
        if line.is_empty() {
            level.turns.retain(|&waiting| waiting != queue);
            if level.turns.is_empty() {
                self.occupied &= !(1 << priority);
            }
        }
    }

    /// The level of a delivery that is about to be added, counted in.
    fn enter(&mut self, priority: u8, queue: u16) -> (&mut Level, u16) {
        let priority = slot(priority);
        self.len += 1;
        self.occupied |= 1 << priority;
        let level = &mut self.levels[priority];
        let queue = queue.min((level.lines.len() - 1) as u16);
        (level, queue)
    }
}

/// The level of a priority; whatever is above 9 is as patient as 9.
fn slot(priority: u8) -> usize {
    usize::from(priority).min(PRIORITIES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready_for(queues: usize) -> Ready {
        Ready::new(&vec![QueueTerms::default(); queues])
    }

    fn drain(ready: &mut Ready) -> Vec<u32> {
        std::iter::from_fn(|| ready.pop()).map(|h| h.0).collect()
    }

    #[test]
    fn urgent_priority_is_served_before_a_patient_one() {
        let mut ready = ready_for(1);
        ready.push_back(9, 0, Handle(1));
        ready.push_back(0, 0, Handle(2));
        ready.push_back(5, 0, Handle(3));
        assert_eq!(drain(&mut ready), [2, 3, 1]);
    }

    #[test]
    fn queues_of_one_priority_take_turns() {
        let mut ready = ready_for(2);
        for handle in 1..=3 {
            ready.push_back(0, 0, Handle(handle));
        }
        ready.push_back(0, 1, Handle(10));
        assert_eq!(drain(&mut ready), [1, 10, 2, 3]);
    }

    #[test]
    fn what_comes_back_is_served_next() {
        let mut ready = ready_for(2);
        ready.push_back(0, 0, Handle(1));
        ready.push_back(0, 1, Handle(2));
        ready.put_back(0, 1, Handle(3), |_| false);
        assert_eq!(ready.peek(), Some(Handle(3)));
        assert_eq!(drain(&mut ready), [3, 1, 2]);
    }

    #[test]
    fn taking_all_back_in_reverse_restores_the_order() {
        let mut ready = ready_for(2);
        for handle in 0..6 {
            ready.push_back(0, (handle % 2) as u16, Handle(handle));
        }
        let popped = drain(&mut ready);
        for &handle in popped.iter().rev() {
            ready.put_back(0, (handle % 2) as u16, Handle(handle), |other| other.0 < handle);
        }
        assert_eq!(drain(&mut ready), popped);
    }

    #[test]
    fn what_comes_back_one_by_one_keeps_its_order() {
        let mut ready = ready_for(1);
        for handle in 0..6 {
            ready.push_back(0, 0, Handle(handle));
        }
        let popped: Vec<Handle> = (0..3).filter_map(|_| ready.pop()).collect();
        for &handle in &popped {
            ready.put_back(0, 0, handle, |other| other < handle);
        }
        assert_eq!(drain(&mut ready), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn weight_is_how_many_go_in_a_row() {
        let mut ready = Ready::new(&[QueueTerms { limit: None, weight: 2 }, QueueTerms::default()]);
        for handle in 0..8 {
            ready.push_back(0, (handle % 2) as u16, Handle(handle));
        }
        assert_eq!(drain(&mut ready), [0, 2, 1, 4, 6, 3, 5, 7]);
    }

    #[test]
    fn queue_that_is_added_has_a_line_of_its_own() {
        let mut ready = ready_for(1);
        ready.open(1, 1);
        for (queue, handle) in [(0, 1), (0, 2), (1, 3)] {
            ready.push_back(0, queue, Handle(handle));
        }
        assert_eq!(drain(&mut ready), [1, 3, 2]);
    }

    #[test]
    fn retaining_shows_the_last_to_be_served_first() {
        let mut ready = ready_for(1);
        for handle in 0..3 {
            ready.push_back(0, 0, Handle(handle));
        }
        ready.push_back(7, 0, Handle(3));
        let mut seen = Vec::new();
        ready.retain_newest_first(|handle| {
            seen.push(handle.0);
            handle.0 == 1
        });
        assert_eq!(seen, [3, 2, 1, 0]);
        assert_eq!(drain(&mut ready), [1]);
        assert!(ready.is_empty() && ready.peek().is_none());
    }

    #[test]
    fn removed_delivery_is_never_served() {
        let mut ready = ready_for(1);
        ready.push_back(3, 0, Handle(1));
        ready.push_back(3, 0, Handle(2));
        ready.remove(3, 0, Handle(1));
        assert_eq!((ready.len(), drain(&mut ready)), (1, vec![2]));
    }

    proptest::proptest! {
        #[test]
        fn length_and_occupancy_follow_any_sequence(ops in proptest::collection::vec((0u8..4, 0u8..12, 0u16..4), 0..200)) {
            let mut ready = ready_for(3);
            let mut inside = std::collections::BTreeMap::new();
            for (number, (op, priority, queue)) in ops.into_iter().enumerate() {
                let handle = Handle(number as u32);
                match op {
                    0 => { ready.push_back(priority, queue, handle); inside.insert(handle, (priority, queue)); }
                    1 => { ready.put_back(priority, queue, handle, |other| other.0 % 2 == 0); inside.insert(handle, (priority, queue)); }
                    2 => {
                        let peeked = ready.peek();
                        let popped = ready.pop();
                        proptest::prop_assert_eq!(peeked, popped);
                        if let Some(popped) = popped {
                            let (p, _) = inside.remove(&popped).expect("popped what was inside");
                            proptest::prop_assert!(inside.values().all(|&(other, _)| other.min(9) >= p.min(9)));
                        } else {
                            proptest::prop_assert!(inside.is_empty());
                        }
                    }
                    _ => if let Some((&gone, &(p, q))) = inside.iter().next() {
                        ready.remove(p, q, gone);
                        inside.remove(&gone);
                    }
                }
                proptest::prop_assert_eq!(ready.len(), inside.len());
            }
            let mut left: Vec<_> = drain(&mut ready);
            left.sort_unstable();
            proptest::prop_assert_eq!(left, inside.keys().map(|h| h.0).collect::<Vec<_>>());
        }
    }
}
