//! The consumed queues: how much of each may be here, and how they share a fetch.
//!
//! A *limit* bounds what of a queue is at the children or ready for them; each such delivery has a *place*. A fetch
//! asks for no more than there are places free, so what is beyond stays in the broker, for other workers too. What waits
//! here for its eta or its permit has no place yet. When its time has come and there is none, it goes back to its queue; if
//! it has spent a permit to come so far, it *stands* here until a place is free, though not for long (`give_back`).
//! What ends or goes to a lane as soon as it has come needs no place. As much as has *passed* so since something stayed is
//! fetched beyond the places that are free: a long run of it takes few round trips, and when something stays after all, no
//! more goes back than had passed before.
//!
//! *Weights* divide a fetch between the queues that have something: in the long run each gets its weight's part, whatever
//! the sizes of the fetches (smooth weighted turns: each step the one goes that is owed most).
//!
//! A queue that is *closed* was cancelled; one that is *withdrawn* gives nothing for a moment (`consume`).

use std::collections::VecDeque;

use crate::action::Portion;
use crate::config::QueueTerms;
use crate::event::Handle;

/// One queue.
#[derive(Debug)]
struct Line {
    terms: QueueTerms,
    is_closed: bool,
    is_withdrawn: bool,
    /// Places taken.
    taken: u32,
    /// Of these, by what is at a child.
    at_children: u32,
    /// Who stands here.
    standing: VecDeque<Handle>,
    /// Places that answers which are out may need: of a fetch, and of a draw.
    fetching: u32,
    drawing: u32,
    /// How much of it the fetch that is out may bring: passers too.
    asked: u32,
    /// How much of it has passed since something stayed.
    passed: u32,
    /// A draw that is out, or was, brings nothing of it since a fetch had its places.
    has_missed_draw: bool,
    /// The last draw brought as much of it as there was room for.
    was_drawn_out: bool,
    /// It has a limit, and the broker may have more of it than there was room for.
    may_have_more: bool,
    /// What it is owed, in weights.
    owed: i64,
}

/// All of them, by index.
#[derive(Debug)]
pub(crate) struct Queues {
    lines: Vec<Line>,
    /// Neither a limit nor a weight, and all open: nothing needs to be counted.
    is_plain: bool,
    has_weights: bool,
    /// One is withdrawn.
    pub(crate) is_withdrawing: bool,
}

impl Line {
    fn new(terms: QueueTerms) -> Line {
        Line {
            terms,
            is_closed: false,
            is_withdrawn: false,
            taken: 0,
            at_children: 0,
            standing: VecDeque::new(),
            fetching: 0,
            drawing: 0,
            asked: 0,
            passed: 0,
            has_missed_draw: false,
            was_drawn_out: false,
            may_have_more: true,
            owed: 0,
        }
    }

    /// How many more may come with a fetch.
    fn fetch_room(&self) -> u32 {
        match self.room() {
            0 => 0,
            room => room.saturating_add(self.passed),
        }
    }

    /// How many more may be here.
    fn room(&self) -> u32 {
        match self.terms.limit {
            _ if self.is_closed || self.is_withdrawn => 0,
            None => u32::MAX,
            Some(limit) => {
                let standing = self.standing.len() as u32;
                limit.saturating_sub(self.taken + standing + self.fetching + self.drawing)
            }
        }
    }
}

impl Queues {
    pub(crate) fn new(terms: &[QueueTerms]) -> Queues {
        let lines = terms.iter().cloned().map(Line::new).collect();
        let mut queues = Queues { lines, is_plain: true, has_weights: false, is_withdrawing: false };
        queues.take_stock();
        queues
    }

    fn take_stock(&mut self) {
        self.has_weights = self.lines.iter().any(|line| line.terms.weight != 1);
        let is_free = |line: &Line| line.terms.limit.is_none() && !line.is_closed && !line.is_withdrawn;
        self.is_plain = !self.has_weights && self.lines.iter().all(is_free);
        self.is_withdrawing = self.lines.iter().any(|line| line.is_withdrawn);
    }

    fn line(&mut self, queue: u16) -> Option<&mut Line> {
        self.lines.get_mut(usize::from(queue))
    }

    /// One more queue, at the end, or one that was closed and is open again.
    pub(crate) fn open(&mut self, queue: u16, terms: QueueTerms) {
        match self.line(queue) {
            Some(line) => (line.terms, line.is_closed, line.may_have_more) = (terms, false, true),
            None => self.lines.push(Line::new(terms)),
        }
        self.take_stock();
    }

    /// It was cancelled.
    pub(crate) fn close(&mut self, queue: u16) {
        if let Some(line) = self.line(queue) {
            line.is_closed = true;
        }
        self.take_stock();
    }

    /// It gives nothing until `end_withdrawals`. False: there is no such queue.
    pub(crate) fn withdraw(&mut self, queue: u16) -> bool {
        let Some(line) = self.line(queue) else { return false };
        line.is_withdrawn = true;
        self.take_stock();
        true
    }

    /// Those that were withdrawn give again.
    pub(crate) fn end_withdrawals(&mut self) {
        self.lines.iter_mut().for_each(|line| line.is_withdrawn = false);
        self.take_stock();
    }

    /// Whether what comes of this queue goes back.
    pub(crate) fn gives_back(&self, queue: u16) -> bool {
        !self.is_plain && self.lines.get(usize::from(queue)).is_some_and(|line| line.is_closed || line.is_withdrawn)
    }

    /// Whether a delivery that is here would find a place.
    pub(crate) fn has_place(&self, queue: u16) -> bool {
        let is_free = |line: &Line| line.terms.limit.is_none_or(|limit| line.taken < limit);
        self.is_plain || self.lines.get(usize::from(queue)).is_none_or(is_free)
    }

    /// Takes a place of a queue that has one. False: places of this queue are not counted.
    pub(crate) fn take(&mut self, queue: u16) -> bool {
        match self.line(queue) {
            Some(line) if line.terms.limit.is_some() => {
                line.taken += 1;
                line.passed = 0;
                true
            }
            _ => false,
        }
    }

    /// Gives a place back; returns who has stood for it, if anybody, and whether there was no room before.
    pub(crate) fn free(&mut self, queue: u16) -> (Option<Handle>, bool) {
        let Some(line) = self.line(queue) else { return (None, false) };
        let was_full = line.room() == 0;
        line.taken -= 1;
        (line.standing.pop_front(), was_full)
    }

    /// One that has a place goes to a child.
    pub(crate) fn goes_to_child(&mut self, queue: u16) {
        if let Some(line) = self.line(queue) {
            line.at_children += 1;
        }
    }

    /// It has ended there, or comes back.
    pub(crate) fn leaves_child(&mut self, queue: u16) {
        if let Some(line) = self.line(queue) {
            line.at_children -= 1;
        }
    }

    /// Whether all places of a queue are taken, and by what waits here: then no more of it comes until some of that has run.
    pub(crate) fn are_all_waiting(&self, queue: u16) -> bool {
        let are_all = |line: &Line| line.at_children == 0 && line.terms.limit.is_some_and(|limit| line.taken >= limit);
        !self.is_plain && self.lines.get(usize::from(queue)).is_some_and(are_all)
    }

    /// One has come, and needs no place: it ends, or goes on to a lane.
    pub(crate) fn pass(&mut self, queue: u16) {
        if self.is_plain {
            return;
        }
        if let Some(line) = self.line(queue) {
            line.passed = line.passed.saturating_add(1);
        }
    }

    /// Waits for a place.
    pub(crate) fn stand(&mut self, queue: u16, handle: Handle) {
        if let Some(line) = self.line(queue) {
            line.passed = 0;
            line.standing.push_back(handle);
        }
    }

    /// Takes one out of those who stand.
    pub(crate) fn remove(&mut self, queue: u16, handle: Handle) {
        if let Some(line) = self.line(queue) {
            line.standing.retain(|&standing| standing != handle);
        }
    }

    /// Whether anybody stands here.
    pub(crate) fn has_standing(&self) -> bool {
        self.lines.iter().any(|line| !line.standing.is_empty())
    }

    /// Takes out whom `is_late` names of those who stand, the last first.
    pub(crate) fn take_late(&mut self, mut is_late: impl FnMut(Handle) -> bool) -> Vec<Handle> {
        let late = |line: &mut Line| {
            let (late, patient) = line.standing.drain(..).partition(|&handle| is_late(handle));
            line.standing = patient;
            late
        };
        let late: Vec<VecDeque<Handle>> = self.lines.iter_mut().map(late).collect();
        late.into_iter().flat_map(|line| line.into_iter().rev()).collect()
    }

    /// Takes out all who stand, the last first.
    pub(crate) fn drain(&mut self) -> Vec<Handle> {
        self.lines.iter_mut().flat_map(|line| line.standing.drain(..).rev()).collect()
    }

    /// Whether there is room for what a limit has left in the broker.
    pub(crate) fn beckon(&self) -> bool {
        let beckons = |line: &Line| line.terms.limit.is_some() && line.may_have_more && line.room() > 0;
        !self.is_plain && self.lines.iter().any(beckons)
    }

    /// At most so many of `max` have room, for a draw.
    pub(crate) fn bound(&self, max: u32) -> u32 {
        self.bound_by(max, Line::room)
    }

    /// At most so many of `max` may come with a fetch.
    pub(crate) fn fetch_bound(&self, max: u32) -> u32 {
        self.bound_by(max, Line::fetch_room)
    }

    fn bound_by(&self, max: u32, room: impl Fn(&Line) -> u32) -> u32 {
        if self.is_plain {
            return max;
        }
        self.lines.iter().fold(0, |sum: u32, line| sum.saturating_add(room(line))).min(max)
    }

    /// The portions of a fetch of `max`; empty without bounds and weights.
    pub(crate) fn fetch_portions(&mut self, max: u32) -> Vec<Portion> {
        if self.is_plain {
            return Vec::new();
        }
        let shares = self.shares(max);
        let lines = self.lines.iter_mut().zip(shares);
        lines
            .map(|(line, share)| {
                let (places, room) = (line.room(), line.fetch_room());
                if line.terms.limit.is_some() {
                    line.fetching = places.min(max);
                    line.asked = room.min(max);
                    // What is known of it from now on is what this fetch finds.
                    line.may_have_more &= line.asked == 0;
                }
                Portion { room, share }
            })
            .collect()
    }

    /// The portions of a draw of `max`. Lanes have turns of their own.
    pub(crate) fn draw_portions(&mut self, max: u32) -> Vec<Portion> {
        if self.is_plain {
            return Vec::new();
        }
        let portion = |line: &mut Line| {
            let room = line.room();
            if line.terms.limit.is_some() {
                line.drawing = room.min(max);
                line.has_missed_draw = room == 0 && line.fetching > 0;
            }
            Portion { room, share: 1 }
        };
        self.lines.iter_mut().map(portion).collect()
    }

    /// A fetch was answered with so many of each queue; `None`: it failed, so nobody knows. Whether there is room now for
    /// what a draw has missed.
    pub(crate) fn fetched(&mut self, brought: Option<&dyn Fn(u16) -> u32>) -> bool {
        if self.is_plain {
            // It may have been otherwise when the fetch was asked for.
            self.lines.iter_mut().for_each(|line| (line.fetching, line.asked) = (0, 0));
            return false;
        }
        let mut has_missed_draw = false;
        for (index, line) in self.lines.iter_mut().enumerate() {
            line.fetching = 0;
            let asked = std::mem::take(&mut line.asked);
            line.may_have_more |= brought.is_none_or(|brought| brought(index as u16) >= asked);
            has_missed_draw |= std::mem::take(&mut line.has_missed_draw);
        }
        has_missed_draw
    }

    /// A draw was answered with so many of each queue; `None`: it failed.
    pub(crate) fn drawn(&mut self, brought: Option<&dyn Fn(u16) -> u32>) {
        if self.is_plain {
            // It may have been otherwise when the draw was asked for.
            self.lines.iter_mut().for_each(|line| line.drawing = 0);
            return;
        }
        for (line, index) in self.lines.iter_mut().zip(0u16..) {
            let asked = std::mem::take(&mut line.drawing);
            line.was_drawn_out = asked > 0 && brought.is_some_and(|brought| brought(index) >= asked);
        }
    }

    /// Whether there is room again for what a limit has left in lanes.
    pub(crate) fn beckon_draw(&self) -> bool {
        !self.is_plain && self.lines.iter().any(|line| line.was_drawn_out && line.room() > 0)
    }

    /// How `max` is divided by weights between the queues with room.
    fn shares(&mut self, max: u32) -> Vec<u32> {
        if !self.has_weights {
            return vec![1; self.lines.len()];
        }
        let weight = |line: &Line| if line.room() > 0 { line.terms.weight } else { 0 };
        let total: u32 = self.lines.iter().map(weight).sum();
        if total == 0 {
            return vec![1; self.lines.len()];
        }
        // After a full round everybody is owed what it was owed before.
        let rounds = max / total;
        let mut shares: Vec<u32> = self.lines.iter().map(|line| weight(line) * rounds).collect();
        for _ in 0..max % total {
            for line in &mut self.lines {
                line.owed += i64::from(weight(line));
            }
            let owed_most = self.lines.iter().enumerate().filter(|(_, line)| weight(line) > 0);
            let (next, _) = owed_most.rev().max_by_key(|(_, line)| line.owed).expect("the total is not 0");
            self.lines[next].owed -= i64::from(total);
            shares[next] += 1;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(terms: &[(Option<u32>, u32)]) -> Queues {
        let terms: Vec<_> = terms.iter().map(|&(limit, weight)| QueueTerms { limit, weight }).collect();
        Queues::new(&terms)
    }

    fn shares(queues: &mut Queues, max: u32) -> Vec<u32> {
        queues.fetch_portions(max).iter().map(|portion| portion.share).collect()
    }

    #[test]
    fn without_terms_there_are_no_portions() {
        let mut queues = queues(&[(None, 1), (None, 1)]);
        assert_eq!(queues.fetch_portions(10), []);
        assert_eq!(queues.bound(10), 10);
        assert!(!queues.beckon());
    }

    #[test]
    fn weights_hold_over_fetches_of_any_size() {
        let mut queues = queues(&[(None, 3), (None, 1)]);
        let mut sum = [0, 0];
        for max in [1, 1, 2, 5, 1, 3, 7, 1, 1, 18] {
            let shares = shares(&mut queues, max);
            assert_eq!(shares[0] + shares[1], max);
            sum = [sum[0] + shares[0], sum[1] + shares[1]];
        }
        assert_eq!(sum, [30, 10]);
    }

    #[test]
    fn weights_are_smooth() {
        let mut queues = queues(&[(None, 3), (None, 1)]);
        let turns: Vec<u32> = (0..8).map(|_| shares(&mut queues, 1)[1]).collect();
        assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn queue_that_is_closed_has_no_turn_however_much_it_is_owed() {
        let mut queues = queues(&[(None, 3), (None, 1)]);
        (0..2).for_each(|_| drop(queues.fetch_portions(1)));
        queues.close(1);
        assert_eq!(shares(&mut queues, 1), [1, 0]);
    }

    #[test]
    fn room_is_what_neither_deliveries_nor_answers_need() {
        let mut queues = queues(&[(Some(3), 1), (None, 1)]);
        assert!(queues.take(0));
        assert!(!queues.take(1), "not counted");
        assert_eq!(queues.fetch_portions(1)[0].room, 2);
        assert_eq!(queues.draw_portions(10)[0].room, 1);
        assert_eq!(queues.draw_portions(10)[1].room, u32::MAX);
        queues.fetched(Some(&|_| 0));
        queues.drawn(Some(&|_| 0));
        assert_eq!(queues.fetch_portions(10)[0].room, 2);
    }

    #[test]
    fn answers_need_no_room_any_more_that_came_while_there_was_no_limit() {
        let mut queues = queues(&[(Some(3), 1)]);
        queues.fetch_portions(2);
        queues.draw_portions(1);
        queues.open(0, QueueTerms { limit: None, weight: 1 });
        queues.fetched(Some(&|_| 0));
        queues.drawn(Some(&|_| 0));
        queues.open(0, QueueTerms { limit: Some(3), weight: 1 });
        assert_eq!(queues.fetch_portions(10)[0].room, 3);
    }

    #[test]
    fn what_a_limit_left_behind_beckons_when_a_place_is_free() {
        let mut queues = queues(&[(Some(1), 1)]);
        queues.fetch_portions(5);
        queues.take(0);
        queues.fetched(Some(&|_| 1));
        assert!(!queues.beckon(), "there is no room");
        assert_eq!(queues.bound(5), 0);
        assert_eq!(queues.free(0), (None, true));
        assert!(queues.beckon());
        queues.fetch_portions(5);
        queues.fetched(Some(&|_| 0));
        assert!(!queues.beckon(), "it is empty");
    }
}
