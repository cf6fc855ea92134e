//! What a worker always keeps of each task, in bounded memory: when its calls came, how long they waited here, how long
//! they ran, and how much of that they computed. A planner reads it of a running fleet; decision 0023.
//!
//! ```text
//!   decoded, or due ──▶ started ──▶ reported
//!                  wait         run
//! ```
//!
//! *Run* is a call's own time in its slot, *wait* the time that it stood here for want of one: what a message waits at the
//! broker is in neither. Arrivals are counted by second and by hour of Unix time, so that those of several workers add
//! up; what went back to its queue unstarted came to somebody else, and is taken out again.
//!
//! A task costs two histograms of two significant digits (2 KiB each, and 1 KiB more for each doubling beyond 256 µs, up
//! to a day) and 3 KiB of counts, from its first call on. A call costs no clock beside those that are read anyway, but for one a
//! batch of deliveries.

mod bins;

use hdrhistogram::Histogram;

use self::bins::Bins;
use crate::clock::{self, Arrival};

/// Seconds whose arrivals are kept.
const SECONDS: usize = 600;
/// Hours whose arrivals are kept: a week.
const HOURS: usize = 7 * 24;
/// A value is off by less than one in a hundred.
const DIGITS: u8 = 2;
/// Whatever takes longer counts as a day, so that memory is bounded.
const LONGEST_US: u64 = 86_400_000_000;

/// When a delivery came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    /// Index of the registered task.
    task: Option<u32>,
    /// When it could have been started (monotonic): when it was decoded, or due if that is later.
    ready_us: u64,
    /// The second in which it was counted; `None`: it was counted before, when it came for the first time.
    second: Option<i64>,
    /// Calls that share the function call in which it runs.
    pub(crate) sharers: u32,
}

impl Came {
    /// A delivery of which nothing is kept.
    pub(crate) const UNKNOWN: Came = Came { task: None, ready_us: 0, second: None, sharers: 1 };
}

/// One task name.
#[derive(Clone, Debug)]
pub struct TaskSketch {
    /// Registered name.
    pub name: String,
    /// Calls that came.
    pub arrivals: u64,
    /// The first second of the last ten minutes in which one came (Unix time), and how many came in each from there on.
    pub seconds: (i64, Vec<u32>),
    /// The same by hours (Unix time / 3600) of the last week.
    pub hours: (i64, Vec<u32>),
    /// Microseconds that calls stood here before they started.
    pub waits: Histogram<u64>,
    /// Microseconds that they ran.
    pub runs: Histogram<u64>,
    /// Of those whose processor time was measured: that, and how long they ran, in microseconds.
    pub computed: (u64, u64),
}

/// All that is kept.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// Since when, Unix time in microseconds.
    pub began_us: i64,
    /// Until when.
    pub now_us: i64,
    /// Tasks that came.
    pub tasks: Vec<TaskSketch>,
}

struct Task {
    arrivals: u64,
    seconds: Bins<SECONDS>,
    hours: Bins<HOURS>,
    waits: Histogram<u64>,
    runs: Histogram<u64>,
    computed: (u64, u64),
}

impl Task {
    fn new() -> Task {
        // Grows by itself, as far as `record` lets it.
        let histogram = || Histogram::new(DIGITS).expect("two digits are allowed");
        Task {
            arrivals: 0,
            seconds: Bins::new(),
            hours: Bins::new(),
            waits: histogram(),
            runs: histogram(),
            computed: (0, 0),
        }
    }
}

/// Keeps it; see the head of this module.
pub(crate) struct Sketches {
    /// By the index of the registered task.
    tasks: Vec<Option<Box<Task>>>,
    began_us: i64,
}

impl Sketches {
    pub(crate) fn new(tasks: usize) -> Sketches {
        Sketches { tasks: (0..tasks).map(|_| None).collect(), began_us: clock::wall_us() }
    }

    /// A call came. `eta_ms`: it is not due before that Unix time; `is_drawn`: it was counted when it came for the first
    /// time, and has waited for a permit since.
    pub(crate) fn came(&mut self, task: Option<u32>, at: Arrival, eta_ms: Option<i64>, is_drawn: bool) -> Came {
        let second = at.wall_us.div_euclid(1_000_000);
        let is_counted = !is_drawn
            && self.with(task, |task| {
                task.arrivals += 1;
                task.seconds.add(second);
                task.hours.add(second.div_euclid(3600));
            });
        let early_us = eta_ms.map_or(0, |eta_ms| eta_ms.saturating_mul(1000).saturating_sub(at.wall_us).max(0));
        let ready_us = at.mono_us.saturating_add(early_us as u64);
        Came { task, ready_us, second: is_counted.then_some(second), sharers: 1 }
    }

    /// It went back to the broker unstarted, and comes again, here or elsewhere.
    pub(crate) fn went_back(&mut self, came: &mut Came) {
        let Some(second) = came.second.take() else { return };
        self.with(came.task, |task| {
            task.arrivals = task.arrivals.saturating_sub(1);
            task.seconds.take_back(second);
            task.hours.take_back(second.div_euclid(3600));
        });
    }

    /// It ran, as its child says. `cpu_us`: what it computed meanwhile, where that was measured.
    pub(crate) fn ran(&mut self, came: &Came, started_us: u64, run_us: u64, cpu_us: Option<u64>) {
        let share = u64::from(came.sharers.max(1));
        let wait_us = started_us.saturating_sub(came.ready_us);
        self.with(came.task, |task| {
            record(&mut task.waits, wait_us);
            record(&mut task.runs, run_us / share);
            if let Some(cpu_us) = cpu_us {
                task.computed.0 += cpu_us / share;
                task.computed.1 += run_us / share;
            }
        });
    }

    /// It kept its slot for so long, and no child can say so.
    pub(crate) fn was_ended(&mut self, came: &Came, run_us: u64) {
        self.with(came.task, |task| record(&mut task.runs, run_us / u64::from(came.sharers.max(1))));
    }

    /// All of it. `names`: of the registered tasks, in their order.
    pub(crate) fn read<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> Sketch {
        let now_us = clock::wall_us();
        let second = now_us.div_euclid(1_000_000);
        let known = names.zip(&mut self.tasks).filter_map(|(name, task)| task.as_deref_mut().map(|task| (name, task)));
        let tasks = known
            .map(|(name, task)| TaskSketch {
                name: name.to_owned(),
                arrivals: task.arrivals,
                seconds: task.seconds.read(second),
                hours: task.hours.read(second.div_euclid(3600)),
                waits: task.waits.clone(),
                runs: task.runs.clone(),
                computed: task.computed,
            })
            .collect();
        Sketch { began_us: self.began_us, now_us, tasks }
    }

    /// False: it is no registered task.
    fn with(&mut self, task: Option<u32>, work: impl FnOnce(&mut Task)) -> bool {
        let Some(slot) = task.and_then(|index| self.tasks.get_mut(index as usize)) else { return false };
        work(slot.get_or_insert_with(|| Box::new(Task::new())));
        true
    }
}

fn record(histogram: &mut Histogram<u64>, time_us: u64) {
    histogram.record(time_us.min(LONGEST_US)).expect("it grows up to 64 bits");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sketches: &mut Sketches) -> TaskSketch {
        sketches.read(["t"].into_iter()).tasks.remove(0)
    }

    #[test]
    fn a_wait_ends_where_the_run_begins() {
        let mut sketches = Sketches::new(1);
        let at = Arrival::now();
        let came = sketches.came(Some(0), at, None, false);
        sketches.ran(&came, at.mono_us + 2_000, 30_000, Some(10_000));
        let task = read(&mut sketches);
        assert_eq!((task.arrivals, task.waits.len(), task.runs.len(), task.computed), (1, 1, 1, (10_000, 30_000)));
        assert!(task.waits.max().abs_diff(2_000) <= 20, "{}", task.waits.max());
        assert!(task.runs.max().abs_diff(30_000) <= 300, "{}", task.runs.max());
        let second = at.wall_us / 1_000_000;
        assert_eq!((task.seconds.0, task.seconds.1[0]), (second, 1));
        assert_eq!((task.hours.0, task.hours.1[0]), (second / 3600, 1));
    }

    #[test]
    fn nobody_waits_before_it_is_due() {
        let mut sketches = Sketches::new(1);
        let at = Arrival::now();
        let came = sketches.came(Some(0), at, Some(at.wall_us / 1000 + 5_000), false);
        sketches.ran(&came, at.mono_us + 5_001_000, 10, None);
        let longest_us = read(&mut sketches).waits.max();
        assert!((1_000..=2_010).contains(&longest_us), "{longest_us}");
    }

    #[test]
    fn what_went_back_unstarted_did_not_come() {
        let mut sketches = Sketches::new(1);
        let mut came = sketches.came(Some(0), Arrival::now(), None, false);
        sketches.went_back(&mut came);
        sketches.went_back(&mut came);
        let task = read(&mut sketches);
        assert_eq!((task.arrivals, task.seconds.1.iter().sum::<u32>(), task.hours.1.iter().sum::<u32>()), (0, 0, 0));
    }

    #[test]
    fn what_comes_from_a_lane_was_counted_before() {
        let mut sketches = Sketches::new(1);
        let at = Arrival::now();
        sketches.came(Some(0), at, None, false);
        let mut drawn = sketches.came(Some(0), at, None, true);
        sketches.went_back(&mut drawn);
        assert_eq!(read(&mut sketches).arrivals, 1);
    }

    #[test]
    fn calls_of_a_batch_share_its_time() {
        let mut sketches = Sketches::new(1);
        let at = Arrival::now();
        let came = Came { sharers: 4, ..sketches.came(Some(0), at, None, false) };
        sketches.ran(&came, at.mono_us, 4_000, Some(400));
        let task = read(&mut sketches);
        assert_eq!((task.runs.len(), task.computed), (1, (100, 1_000)));
        assert!(task.runs.max().abs_diff(1_000) <= 10);
    }

    #[test]
    fn memory_is_bounded() {
        let mut sketches = Sketches::new(1);
        let came = sketches.came(Some(0), Arrival::now(), None, false);
        sketches.ran(&came, u64::MAX, u64::MAX, None);
        sketches.was_ended(&came, u64::MAX);
        let task = read(&mut sketches);
        assert!(task.runs.distinct_values() * 8 < 32 << 10, "{}", task.runs.distinct_values());
        assert!(task.waits.distinct_values() * 8 < 32 << 10);
    }

    #[test]
    fn an_unknown_task_is_not_kept() {
        let mut sketches = Sketches::new(1);
        for task in [None, Some(7)] {
            let mut came = sketches.came(task, Arrival::now(), None, false);
            sketches.ran(&came, 5, 5, None);
            sketches.went_back(&mut came);
        }
        assert!(sketches.read(["t"].into_iter()).tasks.is_empty());
    }
}
