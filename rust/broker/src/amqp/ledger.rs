//! Which deliveries of a channel are not acknowledged: the book that decides what one acknowledgement of several may cover.
//!
//! The server numbers the deliveries of a channel 1, 2, 3, …, whichever consumer they go to. Acknowledging "all up to 7" also
//! ends what was sent to us and has not come through yet: a consumer's that is being stopped, or a message that is being
//! drawn. That would lose it. So a tag that was not seen stands in the way of all after it, as one that is still held does.
//! What has ended meanwhile behind it can wait until it has ended too, and be acknowledged by the same frame.
//!
//! Only what is open is kept, which the prefetch bounds: behind a task that runs for an hour many million others may end.

use std::collections::BTreeSet;

/// The book of one channel, by tags. What is in none of its sets, and before `next`, has ended.
#[derive(Debug)]
pub(super) struct Ledger {
    /// One more than the highest that has come.
    next: u64,
    /// Of deliveries that have not come through, though a later one has.
    unseen: BTreeSet<u64>,
    held: BTreeSet<u64>,
    /// To be acknowledged, and the server has not been told.
    unsent: BTreeSet<u64>,
    /// What was missing when somebody looked last.
    missed: Vec<u64>,
}

/// How deliveries are acknowledged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acks {
    /// This one and all before it, by one frame.
    pub(super) up_to: Option<u64>,
    /// One by one, in order.
    pub(super) single: Vec<u64>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { next: 1, unseen: BTreeSet::new(), held: BTreeSet::new(), unsent: BTreeSet::new(), missed: Vec::new() }
    }
}

impl Ledger {
    /// A delivery has come. False: it was given up, and is the server's again.
    pub(super) fn arrived(&mut self, tag: u64) -> bool {
        let is_new = tag >= self.next || self.unseen.remove(&tag);
        if is_new {
            self.unseen.extend(self.next..tag);
            self.next = self.next.max(tag + 1);
            self.held.insert(tag);
        }
        is_new
    }

    /// Ends deliveries that are acknowledged: with the next that are due.
    pub(super) fn ack(&mut self, tags: impl IntoIterator<Item = u64>) {
        self.unsent.extend(tags.into_iter().filter(|tag| self.held.remove(tag)));
    }

    /// Whether something is to be acknowledged.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// What to send now: the oldest, by one frame, and if `all` are asked for the others too. The frames have to be sent in
    /// the order in which this was called.
    pub(super) fn due(&mut self, all: bool) -> Acks {
        let first = self.unseen.first().into_iter().chain(self.held.first()).min();
        let behind = first.map_or_else(BTreeSet::new, |first| self.unsent.split_off(first));
        let up_to = std::mem::replace(&mut self.unsent, behind).pop_last();
        let single = if all { std::mem::take(&mut self.unsent).into_iter().collect() } else { Vec::new() };
        Acks { up_to, single }
    }

    /// Ends deliveries that go back or are rejected; those of them that were held, in order.
    pub(super) fn end(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut ended: Vec<u64> = tags.into_iter().filter(|tag| self.held.remove(tag)).collect();
        ended.sort_unstable();
        ended
    }

    /// Gives up what was missing at the last look already: the library has thrown it away, since its consumer was gone. The
    /// tags are to be given back.
    pub(super) fn give_up_missing(&mut self) -> Vec<u64> {
        let before = std::mem::replace(&mut self.missed, self.unseen.iter().copied().collect());
        before.into_iter().filter(|tag| self.unseen.remove(tag)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tags: impl IntoIterator<Item = u64>) -> Ledger {
        let mut ledger = Ledger::default();
        assert!(tags.into_iter().all(|tag| ledger.arrived(tag)));
        ledger
    }

    fn acks(ledger: &mut Ledger, tags: impl IntoIterator<Item = u64>) -> Acks {
        ledger.ack(tags);
        ledger.due(true)
    }

    #[test]
    fn the_oldest_are_acknowledged_by_one_frame() {
        let mut ledger = of(1..=5);
        assert_eq!(acks(&mut ledger, [3, 1, 2, 5]), Acks { up_to: Some(3), single: vec![5] });
        assert_eq!(acks(&mut ledger, [4]), Acks { up_to: Some(4), single: vec![] });
    }

    #[test]
    fn what_ended_behind_one_that_is_held_waits_to_be_among_the_oldest() {
        let mut ledger = of(1..=5);
        ledger.ack([2, 4]);
        assert_eq!(ledger.due(false), Acks::default());
        assert!(ledger.has_unsent());
        ledger.ack([1]);
        assert_eq!(ledger.due(false), Acks { up_to: Some(2), single: vec![] });
        assert_eq!(ledger.due(true), Acks { up_to: None, single: vec![4] });
        assert!(!ledger.has_unsent());
        assert_eq!(ledger.due(true), Acks::default());
        assert_eq!(acks(&mut ledger, [3]), Acks { up_to: Some(3), single: vec![] });
    }

    #[test]
    fn what_has_ended_behind_one_that_is_held_takes_no_room() {
        let mut ledger = of(1..=1_000);
        assert_eq!(acks(&mut ledger, 2..=1_000).single.len(), 999);
        assert_eq!((ledger.held.len(), ledger.unsent.len(), ledger.unseen.len()), (1, 0, 0));
    }

    #[test]
    fn what_goes_back_is_not_acknowledged_and_lets_others_be() {
        let mut ledger = of(1..=4);
        ledger.ack([2, 3]);
        assert_eq!(ledger.end([1, 2]), [1], "2 has ended otherwise");
        assert_eq!(ledger.due(false), Acks { up_to: Some(3), single: vec![] });
    }

    #[test]
    fn what_has_not_come_through_is_not_acknowledged_with_others() {
        let mut ledger = of([1, 4, 5]);
        assert_eq!(acks(&mut ledger, [1, 4, 5]), Acks { up_to: Some(1), single: vec![4, 5] });
        assert!(ledger.arrived(2) && ledger.arrived(3));
        assert_eq!(acks(&mut ledger, [2, 3]), Acks { up_to: Some(3), single: vec![] });
    }

    #[test]
    fn the_last_of_many_is_one_that_is_being_acknowledged() {
        let mut ledger = of(1..=4);
        acks(&mut ledger, [4]);
        // The server would not know tag 4 any more.
        assert_eq!(acks(&mut ledger, [1, 2, 3]), Acks { up_to: Some(3), single: vec![] });
    }

    #[test]
    fn a_tag_ends_once() {
        let mut ledger = of(1..=3);
        assert_eq!(ledger.end([2, 2, 9]), [2]);
        assert_eq!(acks(&mut ledger, [1, 1, 2]), Acks { up_to: Some(1), single: vec![] });
        assert!(!ledger.has_unsent());
    }

    #[test]
    fn what_is_missing_for_long_is_given_up_and_not_taken_afterwards() {
        let mut ledger = of([1, 3]);
        assert_eq!(ledger.give_up_missing(), [] as [u64; 0]);
        assert_eq!(ledger.give_up_missing(), [2]);
        assert!(!ledger.arrived(2));
        assert_eq!(acks(&mut ledger, [1, 3]), Acks { up_to: Some(3), single: vec![] });
        assert!(!ledger.arrived(1));
    }
}
