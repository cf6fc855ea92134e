//! Rule: a task type with a rate limit starts no more often than that in this worker.
//!
//! Asked last: when a delivery is due and would run. One that is over the rate waits in a line of its own for its
//! permit, most urgent first; it stands in nobody's way and occupies no child. A permit that was given stays with its
//! delivery, also when the child dies on it: a second start under the same lease needs no second permit.

use std::collections::BTreeSet;

use super::bucket::{Bucket, Rate};
use crate::config::Config;
use crate::event::{Handle, Request};

/// All limits of this worker. Empty, and then free of cost, when no task has one.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    lines: Vec<Line>,
    /// By task: its place in `lines`. Empty while there is no limit.
    by_task: Vec<Option<u32>>,
    waiting: u32,
    arrivals: u64,
}

/// One limited task type.
#[derive(Debug)]
struct Line {
    /// `None`: the limit was lifted.
    bucket: Option<Bucket>,
    /// By priority, then arrival.
    waiting: BTreeSet<(u8, u64, Handle)>,
}

impl Rates {
    /// The limits that the configuration names.
    pub(crate) fn new(config: &Config) -> Rates {
        let mut rates = Rates::default();
        for (task, options) in config.tasks.iter().enumerate() {
            if options.rate.is_some() {
                rates.set(task, options.rate, 0);
            }
        }
        rates
    }

    /// How many deliveries wait for a permit.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Sets, changes or (`None`) lifts a limit.
    pub(crate) fn set(&mut self, task: usize, rate: Option<Rate>, now_us: u64) {
        if self.by_task.len() <= task {
            self.by_task.resize(task + 1, None);
        }
        let index = *self.by_task[task].get_or_insert_with(|| {
            self.lines.push(Line { bucket: None, waiting: BTreeSet::new() });
            (self.lines.len() - 1) as u32
        });
        let bucket = &mut self.lines[index as usize].bucket;
        match (bucket.as_mut(), rate) {
            (Some(bucket), Some(rate)) => bucket.set_rate(rate, now_us),
            (_, rate) => *bucket = rate.map(Bucket::new),
        }
    }

    /// Takes a permit for a delivery that is about to become ready. False: it has none, and is to wait.
    pub(crate) fn claim(&mut self, request: &Request, now_us: u64) -> bool {
        match self.line(request) {
            Some(Line { bucket: Some(bucket), waiting }) => waiting.is_empty() && bucket.take(now_us, false),
            _ => true,
        }
    }

    /// Puts a delivery without a permit in line.
    pub(crate) fn wait(&mut self, request: &Request) {
        self.arrivals += 1;
        let place = (request.priority, self.arrivals, request.handle);
        if let Some(line) = self.line(request) {
            line.waiting.insert(place);
            self.waiting += 1;
        }
    }

    /// The next delivery, of any type, whose permit is there.
    pub(crate) fn pop_due(&mut self, now_us: u64) -> Option<Handle> {
        if self.waiting == 0 {
            return None;
        }
        for line in self.lines.iter_mut().filter(|line| !line.waiting.is_empty()) {
            if line.bucket.as_mut().is_none_or(|bucket| bucket.take(now_us, true)) {
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

    /// When the next permit that somebody waits for is there (`mono_us`).
    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let awaited = self.lines.iter().filter(|line| !line.waiting.is_empty());
        awaited.map(|line| line.bucket.as_ref().map_or(0, Bucket::due_us)).min()
    }

    fn line(&mut self, request: &Request) -> Option<&mut Line> {
        let index = (*self.by_task.get(request.task? as usize)?)?;
        self.lines.get_mut(index as usize)
    }
}
