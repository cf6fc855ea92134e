//! Many schedules on several threads, and what they came to together.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::case::Case;
use super::matrix::Matrix;
use super::report::Violation;
use crate::stats::Counters;

/// Schedules that a thread takes at once.
const AT_ONCE: u64 = 50;
/// A line of progress at most so often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Schedules played to their end.
    pub schedules: u64,
    /// Steps of their worlds.
    pub steps: u64,
    /// Events handed to engines.
    pub events: u64,
    /// Messages.
    pub messages: u64,
    /// Counters of all engines.
    pub counters: Counters,
    /// What was hit by accidents.
    pub hits: Matrix,
    /// The lowest seed that failed, and why.
    pub failure: Option<(u64, Violation)>,
    /// Time it took.
    pub elapsed: Duration,
}

/// Plays the schedules of `seeds` on `threads` threads; stops at the first failure. `say` gets a line of progress
/// every ten seconds.
pub fn campaign(seeds: Range<u64>, threads: usize, say: impl Fn(&str) + Sync) -> Tally {
    let started = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Tally::default(), Instant::now()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                    if first >= seeds.end {
                        return;
                    }
                    let part = play_all(first..(first + AT_ONCE).min(seeds.end));
                    let has_failed = part.failure.is_some();
                    let mut total = total.lock().expect("nobody panics while holding it");
                    total.0.merge(part);
                    if has_failed {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    if total.1.elapsed() >= SAY_EVERY {
                        total.1 = Instant::now();
                        let (done, all) = (total.0.schedules, seeds.end - seeds.start);
                        let rate = done as f64 / started.elapsed().as_secs_f64();
                        say(&format!("{done} of {all} schedules, {rate:.0} a second"));
                    }
                }
            });
        }
    });
    let mut tally = total.into_inner().expect("nobody panics while holding it").0;
    tally.elapsed = started.elapsed();
    tally
}

fn play_all(seeds: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        match Case::new(seed).run(false).0 {
            Ok(report) => {
                tally.schedules += 1;
                tally.steps += report.steps;
                tally.events += report.events;
                tally.messages += report.messages.len() as u64;
                tally.counters.add(&report.counters);
                tally.hits.merge(&report.hits);
            }
            Err(violation) => {
                tally.failure = Some((seed, violation));
                return tally;
            }
        }
    }
    tally
}

impl Tally {
    fn merge(&mut self, part: Tally) {
        self.schedules += part.schedules;
        self.steps += part.steps;
        self.events += part.events;
        self.messages += part.messages;
        self.counters.add(&part.counters);
        self.hits.merge(&part.hits);
        let is_lower = |failure: &(u64, Violation)| self.failure.as_ref().is_none_or(|(seed, _)| failure.0 < *seed);
        if part.failure.as_ref().is_some_and(is_lower) {
            self.failure = part.failure;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let each = |count: u64| count as f64 / self.schedules.max(1) as f64;
        writeln!(
            f,
            "{} schedules in {seconds:.1} s ({:.0} a second): {:.0} messages, {:.0} events and {:.0} steps each",
            self.schedules,
            self.schedules as f64 / seconds.max(1e-9),
            each(self.messages),
            each(self.events),
            each(self.steps),
        )?;
        writeln!(f, "{:?}", self.counters)?;
        writeln!(f, "Messages met by each kind of accident, by where they were:")?;
        write!(f, "{}", self.hits)
    }
}
