//! What a bench wants to know of a worker: for each task name, how long its calls took from station to station, as HDR
//! histograms (three significant digits, microseconds).
//!
//! ```text
//!   intended ──▶ decoded ──▶ dispatched ──▶ started ──▶ ended ──▶ settled
//!            queue       fetch         dispatch     service   settle
//!            ╰──────────────── wait ───────────╯
//!            ╰──────────────────────── total ───────────────────────────╯
//! ```
//!
//! *Cpu* is no stage: what was computed within *service*, where the child measured it.
//!
//! Nothing of it exists until `RecordOrder::Start`: a worker that is not measured pays one branch a task and station.
//! *Intended* is the header `fw-intended` that a bench's generator writes (Unix time in microseconds). How old a message
//! is when it is decoded is taken from the wall clock, once; everything after that from the monotonic clock, which
//! supervisor and children share. Decision 0022.

mod ends;
mod moments;

use hdrhistogram::Histogram;

pub(crate) use self::ends::Ends;
pub(crate) use self::moments::{How, Moments};
use crate::clock::{self, Arrival};

/// The names of what is measured, in the order of [`TaskRecord::stages`].
pub const STAGES: [&str; 8] = ["queue", "fetch", "dispatch", "service", "settle", "wait", "total", "cpu"];

/// `saturating_record` would count what is beyond its end as the end, instead of growing.
const GROWS: &str = "it grows up to 64 bits";

/// Significant digits: a value is off by less than one in a thousand.
const DIGITS: u8 = 3;

/// What a worker is asked to do about its recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOrder {
    /// Begin anew.
    Start,
    /// Say how many ended, without their histograms.
    Count,
    /// Say all.
    Read,
    /// Say all, and end.
    Stop,
}

/// One task name.
#[derive(Clone, Debug)]
pub struct TaskRecord {
    /// Registered name.
    pub name: String,
    /// How many ended, by how; in the order of [`Record::OUTCOMES`].
    pub outcomes: Vec<u64>,
    /// One histogram a stage, in the order of [`STAGES`]; empty when only counts were asked for.
    pub stages: Vec<Histogram<u64>>,
}

/// Everything recorded until now.
#[derive(Clone, Debug)]
pub struct Record {
    /// Tasks of which something ended.
    pub tasks: Vec<TaskRecord>,
    /// Numbered messages that ended for the first time here.
    pub firsts: u64,
    /// Numbered messages that ended here again.
    pub repeats: u64,
    /// Tasks that started before they were meant to be published: the clocks of two machines disagree.
    pub early: u64,
    /// When the last one was settled, Unix time in microseconds; 0: none was.
    pub last_us: i64,
    /// The numbers of messages that ended here, a bit each, deflated (zlib); empty when only counts were asked for.
    pub numbers: Vec<u8>,
}

impl Record {
    /// How a task can end, for [`TaskRecord::outcomes`].
    pub const OUTCOMES: [&str; 11] = How::NAMES;
}

/// What a bench's generator has marked a message with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Unix time in microseconds; `None`: no bench published it, or it is another try.
    pub(crate) intended_us: Option<i64>,
    /// Counts the messages of a bench.
    pub(crate) number: Option<u32>,
}

struct Task {
    outcomes: [u64; 11],
    stages: [Histogram<u64>; 8],
}

impl Task {
    fn new() -> Task {
        // Grows by itself; a new one reaches up to 2 ms.
        let histogram = || Histogram::new(DIGITS).expect("three digits are allowed");
        Task { outcomes: [0; 11], stages: std::array::from_fn(|_| histogram()) }
    }
}

/// Records; see the head of this module.
pub(crate) struct Recorder {
    /// By the index of the registered task.
    tasks: Vec<Option<Box<Task>>>,
    ends: Ends,
    early: u64,
    /// When the last one was settled.
    last_us: u64,
}

impl Recorder {
    pub(crate) fn new(tasks: usize) -> Recorder {
        Recorder { tasks: (0..tasks).map(|_| None).collect(), ends: Ends::default(), early: 0, last_us: 0 }
    }

    /// A message came. `task`: the index of the registered one.
    pub(crate) fn arrived(&self, at: Arrival, task: Option<u32>, mark: Mark) -> Moments {
        let age_us = mark.intended_us.map(|intended_us| at.wall_us.saturating_sub(intended_us));
        Moments { task, age_us, number: mark.number, decoded_us: at.mono_us, ..Moments::default() }
    }

    /// The broker has its end.
    pub(crate) fn settled(&mut self, moments: &Moments, now_us: u64) {
        // It was held before this began, or is of no registered task.
        let (Some(how), Some(index)) = (moments.how, moments.task) else { return };
        let Some(task) = self.tasks.get_mut(index as usize) else { return };
        let task = task.get_or_insert_with(|| Box::new(Task::new()));
        task.outcomes[how as usize] += 1;
        if let Some(number) = moments.number.filter(|_| how.is_end()) {
            self.ends.add(number);
        }
        self.early += u64::from(moments.is_early());
        self.last_us = now_us;
        for (histogram, time_us) in task.stages.iter_mut().zip(moments.stages(now_us)) {
            if let Some(time_us) = time_us {
                histogram.record(time_us).expect(GROWS);
            }
        }
    }

    pub(crate) fn counts<'n>(&self, names: impl Iterator<Item = &'n str>) -> Record {
        self.read(names, false)
    }

    pub(crate) fn record<'n>(&self, names: impl Iterator<Item = &'n str>) -> Record {
        self.read(names, true)
    }

    fn read<'n>(&self, names: impl Iterator<Item = &'n str>, has_stages: bool) -> Record {
        let known = names.zip(&self.tasks).filter_map(|(name, task)| task.as_deref().map(|task| (name, task)));
        let record = |(name, task): (&str, &Task)| TaskRecord {
            name: name.to_owned(),
            outcomes: task.outcomes.to_vec(),
            stages: if has_stages { task.stages.to_vec() } else { Vec::new() },
        };
        Record {
            tasks: known.map(record).collect(),
            firsts: self.ends.firsts,
            repeats: self.ends.repeats,
            early: self.early,
            last_us: if self.last_us == 0 {
                0
            } else {
                clock::wall_us() - clock::mono_us().saturating_sub(self.last_us) as i64
            },
            numbers: if has_stages { self.ends.deflated() } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(recorder: &mut Recorder, mark: Mark) -> Moments {
        let mut moments = recorder.arrived(Arrival::now(), Some(0), mark);
        moments.dispatched_us = moments.decoded_us + 10;
        moments.started_us = moments.decoded_us + 30;
        moments.ended_us = moments.decoded_us + 730;
        moments.cpu_us = Some(400);
        moments.how = Some(How::Success);
        moments
    }

    #[test]
    fn each_stage_is_the_time_between_two_stations() {
        let mut recorder = Recorder::new(1);
        let intended_us = clock::wall_us() - 5_000_000;
        let moments = moments(&mut recorder, Mark { intended_us: Some(intended_us), number: Some(3) });
        let age_us = moments.age_us.expect("it has the header") as u64;
        assert!((5_000_000..6_000_000).contains(&age_us), "{age_us}");
        recorder.settled(&moments, moments.decoded_us + 1_000);
        let record = recorder.record(["t"].into_iter());
        let task = &record.tasks[0];
        for (name, expected) in STAGES.iter().zip([age_us, 10, 20, 700, 270, age_us + 30, age_us + 1_000, 400]) {
            let at = STAGES.iter().position(|stage| stage == name).expect("one of them");
            let found = task.stages[at].max();
            assert!(found.abs_diff(expected) * 1000 <= expected, "{name}: {found} instead of {expected}");
        }
        assert_eq!((record.firsts, record.repeats, record.early), (1, 0, 0));
    }

    #[test]
    fn what_a_bench_did_not_publish_has_no_wait() {
        let mut recorder = Recorder::new(1);
        let moments = moments(&mut recorder, Mark::default());
        recorder.settled(&moments, moments.ended_us + 1);
        let record = recorder.record(["t"].into_iter());
        let counts: Vec<u64> = record.tasks[0].stages.iter().map(Histogram::len).collect();
        assert_eq!(counts, [0, 1, 1, 1, 1, 0, 0, 1]);
    }

    #[test]
    fn what_was_held_before_the_start_is_not_counted() {
        let mut recorder = Recorder::new(1);
        recorder.settled(&Moments::default(), 10);
        assert!(recorder.record(["t"].into_iter()).tasks.is_empty());
    }

    #[test]
    fn a_task_that_starts_before_its_time_counts_as_punctual_and_is_told_of() {
        let mut recorder = Recorder::new(1);
        let mark = Mark { intended_us: Some(clock::wall_us() + 60_000_000), number: None };
        let moments = moments(&mut recorder, mark);
        recorder.settled(&moments, moments.ended_us);
        let record = recorder.record(["t"].into_iter());
        let highest = |stage: usize| record.tasks[0].stages[stage].max();
        assert_eq!((record.early, highest(0), highest(5), highest(6)), (1, 0, 0, 0));
    }
}
