//! Windows: how much of each task type may be handed to a child ahead of need.
//!
//! Handing over costs a round trip between two processes, about as long as a no-op takes to run; so short tasks
//! travel in batches. What lies at a child cannot be run by another one without a recall; so long tasks travel one
//! by one. The window is the number of tasks that make `WINDOW_US` of expected work, and grows with the age of the backlog
//! as what is fetched ahead does (`prefetch.rs`): nobody waits there for more than a tenth of what is waited anyway. So
//! where processes share cores, and take longer for a task than it computes, a drain still goes in batches. Expectations
//! come from measured run times, per task type:
//!
//! - *cost* is mean + 2 × mean deviation + a fixed overhead. Single samples count at most eight-fold the present
//!   cost, since a child that lost the processor for a few milliseconds says nothing about its task; a type that
//!   really became slow is believed after about eight samples all the same.
//! - *most* bounds the count: as many as there are samples (a new type doubles its window each time round), and half
//!   of the mean distance between slow runs, so that a type with an occasional long one keeps small batches.

/// Expected work at a child, in microseconds: a few process switches long…
pub(crate) const WINDOW_US: u64 = 1_500;
/// …and, where messages have long been waiting in their queues, as long as it takes for a switch to cost nothing.
pub(crate) const LONGEST_WINDOW_US: u64 = 6_000;
/// A type whose mean is above this is slow: it is handed over alone, as its round trip no longer matters.
const SLOW_MEAN_US: f32 = 1_000.0;
/// A single run above this counts as a slow run.
const SLOW_RUN_US: f32 = 2_000.0;
/// Decode, call, encode and bookkeeping of one task in a child: what `runtime_us` leaves out.
pub(crate) const OVERHEAD_US: u64 = 15;
/// A type with fewer samples is unknown.
const SAMPLES_TO_KNOW: u32 = 8;
/// Share of a new sample in mean and deviation.
const SHARE: f32 = 1.0 / 16.0;
/// Share of a new sample in the rate of slow runs.
const SLOW_SHARE: f32 = 1.0 / 64.0;
/// A sample counts at most this many times the present cost…
const CLIP_FACTOR: f32 = 8.0;
/// …or this, whichever is more.
const CLIP_FLOOR_US: f32 = 200.0;

/// What was measured of one task type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    samples: u32,
    mean_us: f32,
    deviation_us: f32,
    slow_rate: f32,
    total_us: u64,
}

impl Window {
    /// Counts one run in.
    pub(crate) fn observe(&mut self, runtime_us: u64) {
        let runtime = runtime_us as f32;
        self.total_us = self.total_us.saturating_add(runtime_us);
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.mean_us = runtime;
            self.deviation_us = runtime / 2.0;
        } else {
            let clipped = if self.is_unknown() {
                runtime
            } else {
                runtime.min(CLIP_FLOOR_US.max(CLIP_FACTOR * self.expected_us()))
            };
            let error = clipped - self.mean_us;
            self.mean_us += SHARE * error;
            self.deviation_us += SHARE * (error.abs() - self.deviation_us);
        }
        let slow = if runtime > SLOW_RUN_US { 1.0 } else { 0.0 };
        self.slow_rate += SLOW_SHARE * (slow - self.slow_rate);
    }

    /// Whether too few runs were seen to say anything.
    pub(crate) fn is_unknown(&self) -> bool {
        self.samples < SAMPLES_TO_KNOW
    }

    /// Unknown or slow: handed over alone, after the child has written out what it holds back.
    pub(crate) fn is_slow(&self) -> bool {
        self.is_unknown() || self.mean_us > SLOW_MEAN_US
    }

    /// Expected microseconds of a child's time for one task.
    pub(crate) fn cost_us(&self) -> u32 {
        if self.is_unknown() {
            return WINDOW_US as u32;
        }
        (self.expected_us() as u32).saturating_add(OVERHEAD_US as u32)
    }

    /// Most tasks at one child when the next one is of this type.
    pub(crate) fn most(&self, window_max: u32) -> u32 {
        if self.is_slow() {
            return 1;
        }
        let between_slow_runs = 0.5 / self.slow_rate.max(f32::MIN_POSITIVE);
        window_max.min(self.samples).min(between_slow_runs as u32).max(1)
    }

    /// Runs seen.
    pub(crate) fn samples(&self) -> u32 {
        self.samples
    }

    /// Mean of all runs ever seen, in microseconds; for people.
    pub(crate) fn lifetime_mean_us(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.total_us as f64 / f64::from(self.samples))
    }

    fn expected_us(&self) -> f32 {
        self.mean_us + 2.0 * self.deviation_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: impl IntoIterator<Item = u64>) -> Window {
        let mut window = Window::default();
        runs.into_iter().for_each(|run| window.observe(run));
        window
    }

    /// Tasks of this type that fill a child.
    fn size(window: &Window) -> u64 {
        u64::from(window.most(256)).min(WINDOW_US / u64::from(window.cost_us()))
    }

    #[test]
    fn unknown_type_has_a_window_of_one() {
        assert_eq!(size(&after([10; 7])), 1);
        assert_eq!(size(&after([10; 8])), 8, "it is not unknown any more");
    }

    #[test]
    fn new_type_may_have_as_many_as_were_seen() {
        assert_eq!(size(&after([1; 9])), 9);
    }

    #[test]
    fn no_op_fills_the_window_by_time() {
        assert!((90..=100).contains(&size(&after([0; 500]))));
    }

    #[test]
    fn type_above_one_millisecond_is_slow() {
        assert!(after([1_100; 50]).is_slow());
        assert!(!after([1_000; 50]).is_slow());
    }

    #[test]
    fn one_lost_time_slice_hardly_shrinks_a_no_op() {
        let mut window = after([10; 500]);
        let before = size(&window);
        window.observe(4_000);
        assert!(!window.is_slow() && size(&window) > before / 5);
        (0..64).for_each(|_| window.observe(10));
        assert!(size(&window) > before / 3);
    }

    #[test]
    fn type_that_becomes_slow_is_believed_within_a_dozen_runs() {
        assert!(after([10; 500].into_iter().chain([5_000; 12])).is_slow());
    }

    #[test]
    fn occasional_slow_runs_keep_the_window_small() {
        let runs = (0..2_000).map(|n| if n % 10 == 0 { 50_000 } else { 10 });
        assert!(size(&after(runs)) <= 6);
    }

    #[test]
    fn only_runs_of_more_than_two_milliseconds_are_slow_ones() {
        let with_one_in_fifty = |slow_us| after((0..2_000).map(|n| if n % 50 == 0 { slow_us } else { 10 }));
        assert_eq!(with_one_in_fifty(2_000).most(256), 256);
        let most = with_one_in_fifty(2_001).most(256);
        assert!((10..=60).contains(&most), "{most}, and not half of the distance between two");
    }

    #[test]
    fn spread_of_a_new_type_is_overrated_until_its_runs_turn_out_to_be_alike() {
        assert_eq!([8, 500].map(|runs| after(vec![100; runs]).cost_us()), [178, 115]);
    }

    #[test]
    fn extreme_run_times_stay_in_range() {
        let window = after([u64::MAX; 20]);
        assert_eq!(window.most(256), 1);
        assert!(window.cost_us() > 0);
    }
}
