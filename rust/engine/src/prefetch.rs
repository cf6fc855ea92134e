//! Station 2, fetch: how many more messages to ask for.
//!
//! Three bounds. *Credit*: what is held (delivered and not settled) stays within the prefetch. *Lookahead*: what is
//! ready and waiting here stays within what the children get through in its reach, judged by recent run times. The reach
//! is a tenth of the time for which the queues have not been empty: what waits in a queue for long finds no worker
//! idle, and may as well wait here; what has just come may be another worker's to start at once. It is two round trips or a
//! millisecond at least, so that short tasks do not wait for fetches, and a quarter of a second at most. While every child
//! is busy with something long the lookahead is nothing. *Batches*: a busy worker asks for a quarter of its
//! lookahead or more at a time; one with an idle child asks at once. What goes on to a lane costs no child any
//! time: for as long as all that came did, twice as many may come on top. Calls of a batch task that wait for each other
//! keep no child either (`gather`): for them the prefetch grows with as many as are held, up to a batch for each slot.
//! A draw looks ahead as far as ever may be: what a limit let through has its permit. While draws bring something, so does a
//! fetch; else it would find no room behind them.
//!
//! Large messages are fetched few at a time, judged by recent sizes: a broker that hands out megabytes at once spends its
//! time on memory (Redis 138 µs for a message of 10 KB in fetches of hundreds, 91 in fetches of dozens), and what lies
//! here lies in memory too.
//!
//! One fetch is outstanding at most. An answer that is shorter than asked means that the queues are empty, unless the
//! broker says that they are not: the next fetch waits for `Wake`. A `Wake` that comes while a fetch is out is remembered, since the fetch may have looked
//! before the message came.

use crate::action::Action;
use crate::config::Config;
use crate::engine::{Engine, Phase};
use crate::event::Now;
use crate::gather::most_in_a_batch;
use crate::window::OVERHEAD_US;

/// Ready deliveries should be started within this time at most: the longest reach…
const MOST_REACH_US: u64 = 250_000;
/// …and the shortest.
const LEAST_REACH_US: u64 = 1_000;
/// The reach, and the window of a child, is this part of the time for which the queues have not been empty…
const PART_OF_AGE: u64 = 10;
/// …or so many round trips to the broker.
const ROUND_TRIPS: f64 = 2.0;
/// Share of a new round trip in the mean…
const SHARE_OF_TRIP: f64 = 1.0 / 8.0;
/// …in which it counts for twice the mean and this at most, in microseconds: one may have had to wait for a script, or a lock.
const CLIP_US: f64 = 1_000.0;
/// The lookahead is worked out again after this time.
const STALE_AFTER_US: u64 = 500;
/// A broker hands out no more at once: an answer to a fetch of more would seem to be all there is.
const MOST_AT_ONCE: u32 = 1_000;
/// A fetch is to bring no more bytes than that…
const FETCH_BYTES: f64 = 512.0 * 1024.0;
/// …and the lookahead to have no more.
const LOOKAHEAD_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// A fetch that failed while the connection is up is tried again after this time.
const RETRY_AFTER_US: u64 = 1_000_000;
/// Share of a new run time in the mean when it is longer than the mean: believe at once that things got slow…
const SHARE_UP: f64 = 1.0 / 4.0;
/// …and slowly that they got fast.
const SHARE_DOWN: f64 = 1.0 / 16.0;
/// Share of a new size in the mean: one large message among many small ones changes little.
const SHARE_OF_SIZE: f64 = 1.0 / 16.0;

/// A fetch that is out.
#[derive(Clone, Copy, Debug)]
struct Asked {
    max: u32,
    at_us: u64,
}

/// The account of credits.
#[derive(Debug)]
pub(crate) struct Prefetch {
    limit: u32,
    /// The limit grows by at most so much for calls of batch tasks, while they have no more bytes than that…
    most_batched: u32,
    most_batched_bytes: u64,
    /// …and has grown by this.
    batched: u32,
    outstanding: Option<Asked>,
    may_have_more: bool,
    /// The fetch that is out does not bring all that there is.
    leaves_some: bool,
    /// Since when the queues have not been empty, as far as is known.
    filled_us: Option<u64>,
    mean_trip_us: f64,
    /// The last draw brought something.
    draws_bring: bool,
    retry_at_us: Option<u64>,
    mean_run_us: Option<f64>,
    /// Of deliveries.
    mean_bytes: Option<f64>,
    lookahead: u32,
    /// The lookahead of draws.
    draw_lookahead: u32,
    computed_us: Option<u64>,
    /// How many may come beyond what the children can start, because what came lately did not stay.
    passing: u32,
}

impl Prefetch {
    /// No fetch is out, and the queues may have something.
    pub(crate) fn new(limit: u32) -> Prefetch {
        Prefetch {
            limit: limit.max(1),
            most_batched: 0,
            most_batched_bytes: 0,
            batched: 0,
            outstanding: None,
            may_have_more: true,
            leaves_some: false,
            filled_us: None,
            mean_trip_us: 0.0,
            draws_bring: false,
            retry_at_us: None,
            mean_run_us: None,
            mean_bytes: None,
            lookahead: 0,
            draw_lookahead: 0,
            computed_us: None,
            passing: 0,
        }
    }

    /// So many came and went on to lanes; 0: some stayed.
    pub(crate) fn passed(&mut self, count: usize) {
        self.passing = u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(2);
    }

    /// Most deliveries held at once from now on. What is held beyond it is worked off.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(1);
        self.computed_us = None;
    }

    /// A batch of the largest kind for each of so many slots may be held on top.
    pub(crate) fn set_batches(&mut self, slots: u32, config: &Config) {
        self.most_batched = most_in_a_batch(config).saturating_mul(slots);
        self.most_batched_bytes = config.batch_bytes.saturating_mul(u64::from(slots));
    }

    /// So many calls of batch tasks are held, with so many bytes: twice as many may be.
    fn note_batched(&mut self, batched: (u32, u64)) {
        self.batched = self.grown(batched);
    }

    fn grown(&self, (count, bytes): (u32, u64)) -> u32 {
        let fit = self.most_batched_bytes.saturating_mul(u64::from(count)).checked_div(bytes).unwrap_or(u64::MAX);
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        count.saturating_mul(2).min(self.most_batched).min(fit)
    }

    /// Most deliveries held at once when so many of them, with so many bytes, are calls of batch tasks.
    fn most_with(&self, batched: (u32, u64)) -> u32 {
        self.limit.saturating_add(self.grown(batched))
    }

    /// Most deliveries held at once, calls of batch tasks included.
    fn most(&self) -> u32 {
        self.limit.saturating_add(self.batched)
    }

    /// What a child's time at one task was lately, in microseconds; `None`: nothing has run yet.
    pub(crate) fn mean_run_us(&self) -> Option<f64> {
        self.mean_run_us
    }

    /// Whether a fetch is out.
    pub(crate) fn is_fetching(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Most deliveries that wait here for their eta: half, so that the clock never starves the children.
    pub(crate) fn timer_limit(&self) -> usize {
        (self.limit / 2).max(1) as usize
    }

    /// The queues may have become non-empty.
    pub(crate) fn wake(&mut self) {
        self.may_have_more = true;
    }

    /// Asks for so many.
    fn asked(&mut self, max: u32, now_us: u64) {
        self.outstanding = Some(Asked { max, at_us: now_us });
        self.may_have_more = false;
    }

    /// Whatever the fetch that is out brings, it is not all.
    pub(crate) fn has_more(&mut self) {
        self.leaves_some = self.outstanding.is_some();
    }

    /// The fetch was answered with `count` messages. False: none was out.
    pub(crate) fn answered(&mut self, count: usize, now_us: u64) -> bool {
        let Some(asked) = self.outstanding.take() else {
            return false;
        };
        let trip_us = now_us.saturating_sub(asked.at_us) as f64;
        let most_us = 2.0 * self.mean_trip_us + CLIP_US;
        self.mean_trip_us += SHARE_OF_TRIP * (trip_us.min(most_us) - self.mean_trip_us);
        // Who has nothing for us now will wake us, whatever else there is.
        let leaves_some = std::mem::take(&mut self.leaves_some) && count > 0;
        let is_all = count < asked.max as usize && !leaves_some;
        if is_all {
            self.forget_backlog();
        }
        self.may_have_more |= !is_all;
        true
    }

    /// Nobody knows of a backlog: the queues were found empty, or cannot be looked at.
    pub(crate) fn forget_backlog(&mut self) {
        self.filled_us = None;
    }

    /// A draw has brought so many.
    pub(crate) fn drew(&mut self, count: usize) {
        self.draws_bring = count > 0;
    }

    /// The fetch failed; it is tried again later even if nobody wakes us. False: none was out.
    pub(crate) fn failed(&mut self, now_us: u64) -> bool {
        self.forget_backlog();
        self.leaves_some = false;
        self.retry_at_us = Some(now_us + RETRY_AFTER_US);
        self.outstanding.take().is_some()
    }

    /// Lets a failed fetch be tried again when its time has come.
    pub(crate) fn tick(&mut self, now_us: u64) {
        if self.retry_at_us.is_some_and(|at_us| at_us <= now_us) {
            self.retry_at_us = None;
            self.may_have_more = true;
        }
    }

    /// When to tick for that (`mono_us`).
    pub(crate) fn retry_at_us(&self) -> Option<u64> {
        self.retry_at_us
    }

    /// A child was busy that long with one task.
    pub(crate) fn observe_run(&mut self, runtime_us: u64) {
        let run_us = (runtime_us + OVERHEAD_US) as f64;
        let mean_us = self.mean_run_us.get_or_insert(run_us);
        let error_us = run_us - *mean_us;
        *mean_us += SHARE_UP * error_us.max(0.0) + SHARE_DOWN * error_us.min(0.0);
    }

    /// A delivery of so many bytes came.
    pub(crate) fn observe_size(&mut self, bytes: u32) {
        let bytes = f64::from(bytes.max(1));
        let mean_bytes = self.mean_bytes.get_or_insert(bytes);
        *mean_bytes += SHARE_OF_SIZE * (bytes - *mean_bytes);
    }

    /// How many deliveries have about so many bytes: at least one.
    fn that_have(&self, bytes: f64) -> u32 {
        self.mean_bytes.map_or(u32::MAX, |mean_bytes| ((bytes / mean_bytes) as u32).max(1))
    }

    /// Most that are asked for at once.
    fn at_once(&self) -> u32 {
        (self.most() / 2).clamp(1, MOST_AT_ONCE).min(self.that_have(FETCH_BYTES))
    }

    /// How many tasks so many slots (`children` with one) start within `within_us`. `None`: nothing has run yet, so nobody knows.
    pub(crate) fn startable(&self, children: u32, within_us: u64) -> Option<u32> {
        let mean_us = self.mean_run_us?;
        Some((f64::from(children) * within_us as f64 / mean_us) as u32)
    }

    /// Works the lookahead out again. `stuck_us`: how long all children have been at their present tasks.
    fn look_ahead(&mut self, children: u32, stuck_us: u64, now_us: u64) {
        self.computed_us = Some(now_us);
        let children = if stuck_us >= MOST_REACH_US { 0 } else { children };
        self.draw_lookahead = self.within_reach(children, MOST_REACH_US);
        self.lookahead =
            if self.draws_bring { self.draw_lookahead } else { self.within_reach(children, self.reach_us(now_us)) };
    }

    /// How many so many slots start within this time, of what may lie here.
    fn within_reach(&self, children: u32, reach_us: u64) -> u32 {
        let startable = self.startable(children, reach_us).unwrap_or(2 * children);
        startable.min(self.most()).min(self.that_have(LOOKAHEAD_BYTES))
    }

    /// How far a fetch looks ahead now.
    fn reach_us(&self, now_us: u64) -> u64 {
        let trips_us = ROUND_TRIPS * self.mean_trip_us;
        self.part_of_age_us(now_us).max(trips_us as u64).clamp(LEAST_REACH_US, MOST_REACH_US)
    }

    /// What may be waited here, since it is little beside what is waited anyway: a tenth of the backlog's age.
    pub(crate) fn part_of_age_us(&self, now_us: u64) -> u64 {
        self.filled_us.map_or(0, |filled_us| now_us.saturating_sub(filled_us)) / PART_OF_AGE
    }

    fn is_stale(&self, now_us: u64) -> bool {
        self.computed_us.is_none_or(|computed_us| now_us >= computed_us + STALE_AFTER_US)
    }

    /// Most that the fetch which is out may bring.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding.map_or(0, |asked| asked.max)
    }

    /// How many more may come. `lookahead`: a fetch's or a draw's; `held`: what is here, or on its way; `waiting`: ready
    /// here, or on its way; `idle`: children without work, and what may wait beside it.
    fn credit(&self, lookahead: u32, held: u32, waiting: u32, idle: u32) -> u32 {
        let startable = lookahead.saturating_add(idle).saturating_sub(waiting);
        let passing = if startable > 0 { self.passing } else { 0 };
        self.most().saturating_sub(held).min(startable.saturating_add(passing))
    }

    /// How many to ask for now, if any.
    fn ask(&self, held: u32, waiting: u32, idle: u32) -> Option<u32> {
        let credit = self.credit(self.lookahead, held, waiting, idle);
        let is_urgent = idle > waiting;
        let batch = if is_urgent { 1 } else { (self.lookahead / 4).max(1) };
        (credit >= batch).then(|| credit.min(self.at_once()))
    }
}

impl Engine {
    /// Asks for more when there is reason to.
    pub(crate) fn fetch(&mut self, now: Now, actions: &mut Vec<Action>) {
        let drawing = self.draws.outstanding();
        let held = self.requests.len() + drawing;
        self.prefetch.note_batched(self.requests.batched());
        let may_have_more = self.prefetch.may_have_more || self.prefetch.retry_at_us.is_none() && self.queues.beckon();
        if may_have_more {
            self.prefetch.filled_us.get_or_insert(now.mono_us);
        }
        if self.prefetch.is_fetching()
            || !may_have_more
            || held >= self.prefetch.most()
            || self.phase != Phase::Running
            || !self.is_broker_up
            || !self.is_lease_safe
        {
            return;
        }
        if !self.look_ahead(now) {
            return;
        }
        let idle = self.room();
        let max = self.prefetch.ask(held, self.waiting() + drawing, idle).map_or(0, |max| self.queues.fetch_bound(max));
        if max > 0 {
            self.prefetch.asked(max, now.mono_us);
            let portions = self.queues.fetch_portions(max);
            actions.push(Action::Fetch { max, portions });
        }
    }

    /// Whether there may be more to fetch, and what is held is all that keeps it from being fetched.
    pub(crate) fn is_kept_from_fetching(&self) -> bool {
        let most = self.prefetch.most_with(self.requests.batched());
        self.prefetch.may_have_more
            && !self.prefetch.is_fetching()
            && self.requests.len() >= most
            && self.phase == Phase::Running
            && self.is_broker_up
            && self.is_lease_safe
    }

    /// How many a draw may bring: half of what is free while the queues may have something too.
    pub(crate) fn draw_credit(&mut self, now: Now) -> Option<u32> {
        if !self.look_ahead(now) {
            return None;
        }
        self.prefetch.note_batched(self.requests.batched());
        let fetching = self.prefetch.outstanding();
        let (held, waiting) = (self.requests.len() + fetching, self.waiting() + fetching);
        let credit = self.prefetch.credit(self.prefetch.draw_lookahead, held, waiting, self.room());
        let share = if self.prefetch.may_have_more { credit.div_ceil(2) } else { credit };
        let max = self.queues.bound(share.min(self.prefetch.at_once()));
        (max > 0).then_some(max)
    }

    /// How many may be here to be started at once, or to wait for each other.
    fn room(&self) -> u32 {
        let idle = self.fleet.idle() + self.growth();
        idle.saturating_add(self.gatherings.room(idle))
    }

    /// Brings the lookahead up to date. False: no child is ready.
    fn look_ahead(&mut self, now: Now) -> bool {
        if self.prefetch.is_stale(now.mono_us) {
            let Some(stuck_us) = self.fleet.stuck_for_us(now.mono_us) else {
                return false;
            };
            let slots = self.fleet.capacity();
            self.prefetch.look_ahead(slots, stuck_us, now.mono_us);
        }
        true
    }

    /// How many deliveries could start if a child were free.
    pub(crate) fn waiting(&self) -> u32 {
        (self.ready.len() + self.early.line_len() + self.aside.len()) as u32 + self.gatherings.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So old is a backlog for which a worker looks ahead as far as it ever does.
    const LONG_US: u64 = MOST_REACH_US * PART_OF_AGE;

    fn prefetch(mean_run_us: u64, children: u32) -> Prefetch {
        let mut prefetch = Prefetch::new(100);
        prefetch.observe_run(mean_run_us);
        prefetch.filled_us = Some(0);
        prefetch.look_ahead(children, 0, LONG_US);
        prefetch
    }

    #[test]
    fn busy_worker_with_short_tasks_asks_in_batches() {
        let prefetch = prefetch(10, 2);
        assert_eq!(prefetch.ask(90, 10, 0), None);
        assert_eq!(prefetch.ask(75, 10, 0), Some(25));
        assert_eq!(prefetch.ask(20, 10, 0), Some(50));
        assert_eq!(prefetch.ask(99, 1, 1), None, "what waits is enough for the child that is idle");
    }

    #[test]
    fn longer_runs_are_believed_sooner_than_shorter_ones() {
        let mut prefetch = Prefetch::new(100);
        let mut mean_after = |runtime_us| {
            prefetch.observe_run(runtime_us - OVERHEAD_US);
            prefetch.mean_run_us
        };
        let means = [1_000, 1_000, 2_000, 450].map(&mut mean_after);
        assert_eq!(means, [1_000.0, 1_000.0, 1_250.0, 1_200.0].map(Some));
    }

    #[test]
    fn one_large_message_among_small_ones_changes_little() {
        let mut prefetch = prefetch(10, 2);
        (0..100).for_each(|_| prefetch.observe_size(400));
        prefetch.observe_size(100_000);
        assert_eq!(prefetch.ask(20, 10, 0), Some(50));
    }

    #[test]
    fn large_messages_are_asked_for_by_their_bytes() {
        let mut prefetch = prefetch(10, 2);
        prefetch.observe_size(100_000);
        assert_eq!(prefetch.ask(20, 10, 0), Some(5));
        assert_eq!(prefetch.ask(90, 10, 0), None, "as few are missing as before");
        prefetch.look_ahead(2, 0, LONG_US);
        assert_eq!(prefetch.lookahead, 100);
        for _ in 0..100 {
            prefetch.observe_size(8_000_000);
        }
        prefetch.look_ahead(2, 0, LONG_US);
        assert_eq!((prefetch.lookahead, prefetch.ask(2, 0, 1)), (2, Some(1)));
        for _ in 0..300 {
            prefetch.observe_size(400);
        }
        prefetch.look_ahead(2, 0, LONG_US);
        assert_eq!(prefetch.ask(20, 10, 0), Some(50));
    }

    #[test]
    fn idle_child_makes_it_ask_at_once() {
        assert_eq!(prefetch(10, 2).ask(99, 0, 1), Some(1));
    }

    #[test]
    fn worker_with_long_tasks_asks_for_its_idle_children_only() {
        let prefetch = prefetch(10_000_000, 4);
        assert_eq!(prefetch.ask(4, 0, 0), None);
        assert_eq!(prefetch.ask(3, 0, 1), Some(1));
    }

    #[test]
    fn stuck_children_stop_the_lookahead_even_if_tasks_were_short() {
        let mut prefetch = prefetch(10, 4);
        prefetch.look_ahead(4, MOST_REACH_US, LONG_US);
        assert_eq!(prefetch.ask(4, 0, 0), None);
    }

    #[test]
    fn the_longer_the_queues_are_filled_the_further_it_looks_ahead() {
        let mut prefetch = Prefetch::new(100);
        prefetch.observe_run(20_000 - OVERHEAD_US);
        prefetch.filled_us = Some(1_000);
        let mut lookahead_at = |now_us| {
            prefetch.look_ahead(2, 0, now_us);
            (prefetch.lookahead, prefetch.draw_lookahead)
        };
        let ahead = [1_000, 100_999, 101_000, 201_000, 2_501_000, 9_000_000].map(&mut lookahead_at);
        assert_eq!(ahead, [0, 0, 1, 2, 25, 25].map(|ahead| (ahead, 25)));
    }

    #[test]
    fn what_came_when_the_queues_were_empty_is_left_to_idle_workers() {
        let mut prefetch = prefetch(20_000, 2);
        prefetch.asked(2, LONG_US);
        assert!(prefetch.answered(1, LONG_US));
        prefetch.filled_us = Some(LONG_US);
        prefetch.look_ahead(2, 0, LONG_US + 10_000);
        assert_eq!((prefetch.ask(2, 0, 0), prefetch.ask(1, 0, 1)), (None, Some(1)));
    }

    #[test]
    fn a_millisecond_of_work_or_two_round_trips_are_fetched_ahead_at_once() {
        let mut prefetch = Prefetch::new(1_000);
        prefetch.observe_run(100 - OVERHEAD_US);
        prefetch.look_ahead(1, 0, 0);
        assert_eq!(prefetch.lookahead, 10);
        let mut ahead_after = |count, trip_us| {
            for _ in 0..count {
                prefetch.asked(1, 0);
                assert!(prefetch.answered(1, trip_us));
            }
            prefetch.look_ahead(1, 0, 0);
            prefetch.lookahead
        };
        assert_eq!(ahead_after(100, 2_000), 39, "two round trips of 2 ms");
        assert_eq!(ahead_after(1, 90_000), 47, "one that is long says little");
        assert_eq!(ahead_after(100, 20_000), 399);
    }

    #[test]
    fn while_draws_bring_something_fetches_look_as_far_ahead() {
        let mut prefetch = Prefetch::new(100);
        prefetch.observe_run(20_000 - OVERHEAD_US);
        for (count, ahead) in [(3, 25), (0, 0)] {
            prefetch.drew(count);
            prefetch.look_ahead(2, 0, 0);
            assert_eq!((prefetch.lookahead, prefetch.draw_lookahead), (ahead, 25));
        }
    }

    #[test]
    fn a_fetch_asks_for_no_more_than_a_broker_hands_out() {
        let mut prefetch = Prefetch::new(10_000);
        prefetch.observe_run(1);
        prefetch.filled_us = Some(0);
        prefetch.look_ahead(100, 0, LONG_US);
        assert_eq!(prefetch.ask(0, 0, 100), Some(1_000));
    }

    #[test]
    fn wake_during_a_fetch_is_remembered() {
        let mut prefetch = prefetch(10, 2);
        prefetch.asked(10, LONG_US);
        prefetch.wake();
        assert!(prefetch.answered(0, LONG_US));
        assert!(prefetch.may_have_more);
    }

    #[test]
    fn short_answer_that_leaves_some_is_taken_for_a_full_one_and_an_empty_one_is_not() {
        let mut prefetch = prefetch(10, 2);
        prefetch.filled_us = Some(0);
        for (count, may_have_more) in [(1, true), (0, false)] {
            prefetch.asked(10, LONG_US);
            prefetch.has_more();
            assert!(prefetch.answered(count, LONG_US));
            assert_eq!((prefetch.may_have_more, prefetch.filled_us.is_some()), (may_have_more, may_have_more));
        }
    }

    #[test]
    fn that_some_is_left_is_said_of_one_fetch() {
        let mut prefetch = prefetch(10, 2);
        prefetch.has_more();
        prefetch.asked(10, LONG_US);
        assert!(prefetch.answered(9, LONG_US));
        assert!(!prefetch.may_have_more, "none was out when it was said");
        prefetch.asked(10, LONG_US);
        prefetch.has_more();
        assert!(prefetch.failed(LONG_US));
        prefetch.asked(10, LONG_US);
        assert!(prefetch.answered(9, LONG_US));
        assert!(!prefetch.may_have_more, "that fetch has failed");
    }

    #[test]
    fn short_answer_waits_for_a_wake() {
        let mut prefetch = prefetch(10, 2);
        prefetch.asked(10, LONG_US);
        assert!(prefetch.answered(9, LONG_US));
        assert!(!prefetch.may_have_more);
    }
}
