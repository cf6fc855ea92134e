//! Rule: a task type with a rate limit starts no more often than that.
//!
//! Asked last: when a delivery is due and would run. A limit of this worker (`Scope::Worker`) is a bucket here: who has no
//! permit waits in a line, most urgent first, if the permit comes soon, and else in a lane of the broker. A limit that
//! all workers share is the broker's: a delivery asks it for a permit, unless a block of permits is at hand (`block`).
//! Nobody stands in another's way, and who waits occupies no child. A permit stays with its delivery, also when the
//! child dies on it: a second start under the same lease needs no second permit.

use std::collections::BTreeSet;

use super::block::Blocks;
use super::bucket::{Bucket, Rate};
use crate::config::{Config, Scope};
use crate::event::{Handle, Request};

/// Deliveries wait here for permits that come within this time, and in lanes for later ones, in microseconds.
pub(crate) const HORIZON_US: u64 = 1_000_000;

/// What is to become of a delivery that would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It may.
    Permit,
    /// It waits here.
    Wait,
    /// The broker is asked.
    Ask,
    /// It waits in a lane of the broker.
    Lane,
}

/// What may be drawn from lanes for one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// As much as its keys have permits.
    Shared {
        /// Index into `Config::tasks`.
        task: u32,
        /// The limit.
        rate: Rate,
    },
    /// As many as this worker has permits of its own; 0 asks only whether something waits.
    Worker {
        /// Index into `Config::tasks`.
        task: u32,
        /// Permits.
        permits: u32,
    },
}

/// All limits of this worker. Empty, and then free of cost, when no task has one.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    lines: Vec<Line>,
    /// By task: its place in `lines`. Empty while there is no limit.
    by_task: Vec<Option<u32>>,
    /// Most that wait here for permits.
    room: u32,
    waiting: u32,
    arrivals: u64,
    pub(crate) blocks: Blocks,
}

/// One limited task type.
#[derive(Debug)]
struct Line {
    task: u32,
    limit: Limit,
    /// By priority, then arrival.
    waiting: BTreeSet<(u8, u64, Handle)>,
    /// Its lane may have messages: what comes goes behind them.
    has_lane: bool,
}

#[derive(Debug)]
enum Limit {
    /// The limit was lifted.
    None(Scope),
    Worker(Bucket),
    Shared(Rate),
}

impl Line {
    /// How many more may wait here for permits that come within the horizon.
    fn wanted(&self, now_us: u64, room: u32) -> u32 {
        let Limit::Worker(bucket) = &self.limit else { return room };
        let horizon_us = if room > 0 { HORIZON_US } else { 0 };
        let soon = bucket.permits_until(now_us, now_us + horizon_us);
        soon.saturating_sub(self.waiting.len() as u32).min(room.max(1))
    }
}

impl Rates {
    /// The limits that the configuration names.
    pub(crate) fn new(config: &Config) -> Rates {
        // Half of the credits at most wait for the clock (`Prefetch::timer_limit`); half of these for permits.
        let mut rates = Rates { room: config.prefetch / 4, ..Rates::default() };
        for (task, options) in config.tasks.iter().enumerate() {
            if options.rate.is_some() || options.has_lanes {
                rates.set(task as u32, options.rate, options.rate_scope, 0);
            }
        }
        rates
    }

    /// Whether no task has ever had a limit.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many deliveries wait for a permit.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Sets, changes or (`None`) lifts a limit.
    pub(crate) fn set(&mut self, task: u32, rate: Option<Rate>, scope: Scope, now_us: u64) {
        let place = task as usize;
        if self.by_task.len() <= place {
            self.by_task.resize(place + 1, None);
        }
        let index = *self.by_task[place].get_or_insert_with(|| {
            self.lines.push(Line { task, limit: Limit::None(scope), waiting: BTreeSet::new(), has_lane: false });
            (self.lines.len() - 1) as u32
        });
        let line = &mut self.lines[index as usize];
        match (&mut line.limit, rate) {
            (Limit::Worker(bucket), Some(rate)) => bucket.set_rate(rate, now_us),
            (limit, Some(rate)) if scope == Scope::Worker => *limit = Limit::Worker(Bucket::new(rate)),
            (limit, Some(rate)) => *limit = Limit::Shared(rate),
            (limit, None) => *limit = Limit::None(scope),
        }
    }

    /// Decides on a delivery that is about to become ready, and takes its permit if it gets one.
    pub(crate) fn claim(&mut self, request: &Request, now_us: u64) -> Claim {
        let free = self.room.saturating_sub(self.waiting);
        let Some(line) = line(&mut self.lines, &self.by_task, request) else { return Claim::Permit };
        let is_first = line.waiting.is_empty();
        match &mut line.limit {
            Limit::None(_) => return Claim::Permit,
            Limit::Shared(_) if request.is_drawn || self.blocks.take((line.task, request.key), now_us) => {
                return Claim::Permit;
            }
            Limit::Shared(_) => return Claim::Ask,
            Limit::Worker(_) if line.has_lane && !request.is_drawn => return Claim::Lane,
            Limit::Worker(bucket) if is_first => {
                if bucket.take(now_us, false) {
                    return Claim::Permit;
                }
            }
            Limit::Worker(_) => {}
        }
        if request.is_drawn || line.wanted(now_us, free) > 0 { Claim::Wait } else { Claim::Lane }
    }

    /// Puts a delivery without a permit in line.
    pub(crate) fn wait(&mut self, request: &Request) {
        self.arrivals += 1;
        let place = (request.priority, self.arrivals, request.handle);
        if let Some(line) = line(&mut self.lines, &self.by_task, request) {
            line.waiting.insert(place);
            self.waiting += 1;
        }
    }

    /// The last in line that is less urgent than this delivery, which shall have its place.
    pub(crate) fn give_way(&mut self, request: &Request) -> Option<Handle> {
        let line = line(&mut self.lines, &self.by_task, request)?;
        let &(priority, _, handle) = line.waiting.last()?;
        if priority <= request.priority {
            return None;
        }
        line.waiting.pop_last();
        self.waiting -= 1;
        Some(handle)
    }

    /// Something goes to the lane of that task.
    pub(crate) fn laned(&mut self, request: &Request) {
        if let Some(line) = line(&mut self.lines, &self.by_task, request) {
            line.has_lane = true;
        }
    }

    /// The next delivery, of any type, whose permit is there.
    pub(crate) fn pop_due(&mut self, now_us: u64) -> Option<Handle> {
        if self.waiting == 0 {
            return None;
        }
        for line in self.lines.iter_mut().filter(|line| !line.waiting.is_empty()) {
            let is_due = match &mut line.limit {
                Limit::Worker(bucket) => bucket.take(now_us, true),
                Limit::None(_) | Limit::Shared(_) => true,
            };
            if is_due {
                self.waiting -= 1;
                return line.waiting.pop_first().map(|(_, _, handle)| handle);
            }
        }
        None
    }

    /// Takes one delivery out of its line. Linear; only lost leases need it.
    pub(crate) fn remove(&mut self, handle: Handle) {
        for line in &mut self.lines {
            let before = line.waiting.len();
            line.waiting.retain(|&(_, _, waiting)| waiting != handle);
            self.waiting -= (before - line.waiting.len()) as u32;
        }
    }

    /// Takes all out of their lines, the last to be served first.
    pub(crate) fn drain(&mut self) -> Vec<Handle> {
        self.waiting = 0;
        let lines = self.lines.iter_mut().flat_map(|line| std::mem::take(&mut line.waiting).into_iter().rev());
        lines.map(|(_, _, handle)| handle).collect()
    }

    /// When the next permit that somebody waits for here is there (`mono_us`).
    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let awaited = self.lines.iter().filter(|line| !line.waiting.is_empty());
        awaited.map(|line| if let Limit::Worker(bucket) = &line.limit { bucket.due_us() } else { 0 }).min()
    }

    /// What may be drawn now. In the order of `has_more`.
    pub(crate) fn quotas(&self, now_us: u64) -> Vec<Quota> {
        let free = self.room.saturating_sub(self.waiting);
        let quota = |line: &Line| {
            let task = line.task;
            match line.limit {
                Limit::Shared(rate) => Quota::Shared { task, rate },
                Limit::None(Scope::Shared) => Quota::Shared { task, rate: Rate::UNLIMITED },
                Limit::None(Scope::Worker) => Quota::Worker { task, permits: u32::MAX },
                Limit::Worker(_) => Quota::Worker { task, permits: line.wanted(now_us, free) },
            }
        };
        self.lines.iter().map(quota).collect()
    }

    /// When this worker may draw from a lane by its own permits (`mono_us`); `None` when its lanes are empty. Small
    /// permits are gathered: a quarter of the horizon's at a time.
    pub(crate) fn own_draw_due_us(&self, now_us: u64) -> Option<u64> {
        let free = self.room.saturating_sub(self.waiting);
        let horizon_us = if free > 0 { HORIZON_US } else { 0 };
        let due = |line: &Line| match &line.limit {
            Limit::Worker(bucket) if line.has_lane => {
                let gathered = bucket.permits_until(now_us, now_us + horizon_us).min(free) / 4;
                let is_enough = line.wanted(now_us, free) > gathered;
                let next_us = bucket.due_us().saturating_sub(horizon_us);
                Some(if is_enough { next_us } else { next_us.max(now_us + horizon_us / 8) })
            }
            Limit::None(Scope::Worker) if line.has_lane => Some(now_us),
            _ => None,
        };
        self.lines.iter().filter_map(due).min()
    }

    /// What the broker said about the lanes of `Quota::Worker`, in order.
    pub(crate) fn note_lanes(&mut self, has_more: &[bool]) {
        let is_own = |line: &&mut Line| matches!(line.limit, Limit::Worker(_) | Limit::None(Scope::Worker));
        for (line, has_more) in self.lines.iter_mut().filter(is_own).zip(has_more) {
            line.has_lane = *has_more;
        }
    }

    /// The limit that a delivery shares with all workers.
    pub(crate) fn shared(&mut self, request: &Request) -> Option<Rate> {
        match line(&mut self.lines, &self.by_task, request)?.limit {
            Limit::Shared(rate) => Some(rate),
            Limit::None(_) | Limit::Worker(_) => None,
        }
    }
}

/// The line of a delivery's task, if that ever had a limit.
fn line<'a>(lines: &'a mut [Line], by_task: &[Option<u32>], request: &Request) -> Option<&'a mut Line> {
    let index = (*by_task.get(request.task? as usize)?)?;
    lines.get_mut(index as usize)
}
