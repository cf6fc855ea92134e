//! What a fetch may take of each queue: a bound, and a share of what there is room for.

/// One queue's part of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// At most so many. 0: the queue is not looked into, and what comes into it wakes nobody before the next fetch.
    pub room: u32,
    /// Its part of what queues of one priority give together, in proportion to the others'. Those with 0 give only what
    /// the others do not have.
    pub share: u32,
}

impl Portion {
    /// No bound, and the same share as everybody.
    pub const WHOLE: Portion = Portion { room: u32::MAX, share: 1 };
}

/// The account of one fetch, for brokers that count by themselves.
pub(crate) struct Account<'a> {
    portions: &'a [Portion],
    /// One queue gives all it has before the next one does.
    is_strict: bool,
    rooms: Vec<usize>,
}

impl<'a> Account<'a> {
    /// `portions`: of each queue, or of none, which means no bounds. Paused queues have no room.
    pub(crate) fn new(portions: &'a [Portion], queues: usize, is_paused: impl Fn(usize) -> bool) -> Account<'a> {
        let room = |index: usize| match portions.get(index) {
            _ if is_paused(index) => 0,
            Some(portion) => portion.room as usize,
            None => usize::MAX,
        };
        Account { portions, is_strict: false, rooms: (0..queues).map(room).collect() }
    }

    /// For queues that come one after another if `is_strict`, whatever their shares.
    pub(crate) fn ordered(self, is_strict: bool) -> Account<'a> {
        Account { is_strict, ..self }
    }

    /// How many more may come from this queue.
    pub(crate) fn room(&self, index: usize) -> usize {
        self.rooms[index]
    }

    /// So many came.
    pub(crate) fn took(&mut self, index: usize, count: usize) {
        self.rooms[index] = self.rooms[index].saturating_sub(count);
    }

    /// How many of `wanted` each of these queues, which have something of one priority, gives in a round, in this order.
    pub(crate) fn shares(&self, live: &[usize], wanted: usize) -> Vec<usize> {
        let part = |index: usize| self.portions.get(index).map_or(1, |portion| portion.share as usize);
        let parts: usize = live.iter().map(|index| part(*index)).sum();
        let mut left = wanted;
        let share = |index: &usize| {
            let share = match parts {
                _ if self.is_strict => wanted,
                0 => wanted.div_ceil(live.len()),
                _ => wanted.saturating_mul(part(*index)).div_ceil(parts),
            };
            let count = share.min(left).min(self.rooms[*index]);
            left -= count;
            count
        };
        live.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(portions: &[Portion], queues: usize) -> Account<'_> {
        Account::new(portions, queues, |_| false)
    }

    #[test]
    fn without_portions_all_share_alike() {
        assert_eq!(account(&[], 3).shares(&[2, 0, 1], 7), [3, 3, 1]);
    }

    #[test]
    fn shares_are_in_proportion_and_within_the_room() {
        let portions = [Portion { room: 5, share: 6 }, Portion { room: 100, share: 2 }, Portion { room: 9, share: 0 }];
        assert_eq!(account(&portions, 3).shares(&[0, 1, 2], 8), [5, 2, 0]);
        assert_eq!(account(&portions, 3).shares(&[2], 8), [8]);
    }

    #[test]
    fn of_queues_in_an_order_the_first_gives_all_it_may() {
        let portions = [Portion { room: 5, share: 1 }, Portion { room: 100, share: 9 }, Portion { room: 9, share: 0 }];
        let account = account(&portions, 3).ordered(true);
        assert_eq!(account.shares(&[0, 1, 2], 8), [5, 3, 0]);
        assert_eq!(account.shares(&[2, 0], 8), [8, 0]);
    }

    #[test]
    fn a_paused_queue_has_no_room() {
        let account = Account::new(&[], 2, |index| index == 1);
        assert_eq!((account.room(0), account.room(1)), (usize::MAX, 0));
    }
}
