//! What is known of the numbers of one child, in their order. Numbers are given out one after the other and end in any
//! order; with one slot that is mostly their own.
//!
//! A sorted queue: what is found at the place where it would be if nothing were missing costs a look (always, with one
//! slot), the rest a binary search. An entry that ended in the middle leaves a gap, and gaps are closed once there are
//! more of them than entries, so that a task that runs for days costs no more memory than one that ends at once.
//! Numbers wrap at 2^32 and are only ever compared by distance.

use std::collections::VecDeque;

use crate::event::Number;

/// Fewer gaps than this are left alone.
const FEW_GAPS: usize = 64;

/// A map from numbers to what is known of them.
#[derive(Clone, Debug)]
pub struct Numbers<T> {
    entries: VecDeque<(Number, Option<T>)>,
    gaps: usize,
}

impl<T> Default for Numbers<T> {
    fn default() -> Numbers<T> {
        Numbers { entries: VecDeque::new(), gaps: 0 }
    }
}

impl<T> Numbers<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.gaps
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == self.gaps
    }

    /// The lowest one.
    pub fn first(&self) -> Option<Number> {
        self.entries.front().map(|(number, _)| *number)
    }

    /// What is known of the lowest one.
    pub fn front(&self) -> Option<&T> {
        self.entries.front()?.1.as_ref()
    }

    /// Adds the next one, which must be above all others.
    pub fn push(&mut self, number: Number, entry: T) {
        debug_assert!(self.entries.back().is_none_or(|(last, _)| distance(number, *last) > 0), "numbers only grow");
        self.entries.push_back((number, Some(entry)));
    }

    /// What is known of a number.
    pub fn get(&self, number: Number) -> Option<&T> {
        self.entries.get(self.index(number)?)?.1.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        let index = self.index(number)?;
        self.entries.get_mut(index)?.1.as_mut()
    }

    /// Takes one out.
    pub fn remove(&mut self, number: Number) -> Option<T> {
        let index = self.index(number)?;
        let entry = self.entries.get_mut(index)?.1.take()?;
        self.gaps += 1;
        while self.entries.front().is_some_and(|(_, entry)| entry.is_none()) {
            self.entries.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > FEW_GAPS.max(self.entries.len() / 2) {
            self.entries.retain(|(_, entry)| entry.is_some());
            self.gaps = 0;
        }
        Some(entry)
    }

    /// Takes the highest one out, if it is `from` or above.
    pub fn pop_from(&mut self, from: Number) -> Option<(Number, T)> {
        while self.entries.back().is_some_and(|(number, _)| distance(*number, from) >= 0) {
            match self.entries.pop_back()? {
                (number, Some(entry)) => return Some((number, entry)),
                (_, None) => self.gaps -= 1,
            }
        }
        None
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Number, &T)> {
        self.entries.iter().filter_map(|(number, entry)| entry.as_ref().map(|entry| (*number, entry)))
    }

    /// Those from `from` on, in order.
    pub fn from(&self, from: Number) -> impl Iterator<Item = (Number, &T)> {
        let start = self.entries.partition_point(|(number, _)| distance(*number, from) < 0);
        self.entries.range(start..).filter_map(|(number, entry)| entry.as_ref().map(|entry| (*number, entry)))
    }

    fn index(&self, number: Number) -> Option<usize> {
        let from_first = distance(number, self.first()?);
        let guess = usize::try_from(from_first).ok()?;
        if self.entries.get(guess).is_some_and(|(found, _)| *found == number) {
            return Some(guess);
        }
        self.entries.binary_search_by(|(found, _)| distance(*found, number).cmp(&0)).ok()
    }
}

/// How far `a` is ahead of `b`, on the ring of numbers.
pub(crate) fn distance(a: Number, b: Number) -> i32 {
    a.wrapping_sub(b) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: std::ops::Range<Number>) -> Numbers<Number> {
        let mut numbers = Numbers::default();
        range.for_each(|number| numbers.push(number, number * 10));
        numbers
    }

    #[test]
    fn entries_are_found_around_gaps() {
        let mut numbers = numbers(0..6);
        assert_eq!(numbers.remove(3), Some(30));
        assert_eq!((numbers.get(3), numbers.get(4), numbers.get(9)), (None, Some(&40), None));
        assert_eq!(numbers.remove(3), None);
        assert_eq!(numbers.remove(0), Some(0));
        assert_eq!((numbers.first(), numbers.front(), numbers.len()), (Some(1), Some(&10), 4));
        assert_eq!(numbers.from(3).map(|(number, _)| number).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn one_that_stays_does_not_make_the_others_stay() {
        let mut numbers = numbers(0..1);
        for number in 1..10_000 {
            numbers.push(number, number);
            assert_eq!(numbers.remove(number), Some(number));
        }
        assert_eq!(numbers.get(0), Some(&0));
    }

    #[test]
    fn gaps_are_closed_when_they_are_many_and_more_than_what_is_there() {
        for (stay, most) in [(1, FEW_GAPS), (300, 300)] {
            let mut numbers = numbers(0..stay);
            let gaps = (stay..10_000).map(|number| {
                numbers.push(number, number);
                numbers.remove(number);
                numbers.entries.len() - stay as usize
            });
            assert_eq!(gaps.max(), Some(most), "{stay} stay");
        }
    }

    #[test]
    fn the_highest_leave_first_and_only_from_a_bound() {
        let mut numbers = numbers(0..5);
        numbers.remove(4);
        assert_eq!(numbers.pop_from(2), Some((3, 30)));
        assert_eq!(numbers.pop_from(2), Some((2, 20)));
        assert_eq!(numbers.pop_from(2), None);
        assert_eq!(numbers.len(), 2);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut numbers = Numbers::default();
        for number in [u32::MAX - 1, u32::MAX, 0, 1] {
            numbers.push(number, number);
        }
        numbers.remove(u32::MAX);
        assert_eq!(numbers.get(0), Some(&0));
        assert_eq!(numbers.from(u32::MAX).map(|(number, _)| number).collect::<Vec<_>>(), [0, 1]);
    }
}
