//! A token bucket of capacity 1, as Celery's rate limits are: kept as the time from which the next permit may be had.
//!
//! An idle bucket holds one permit and no more, so a worker that had nothing to do does not burst. While somebody
//! waits, permits are due at fixed distances: a tick that comes late hands out what fell due meanwhile, so that a rate
//! far above the tick's own is still reached. What fell due more than `CATCH_UP_NS` ago is forgone.
//!
//! Source: Celery user guide, "rate_limit"; kombu's `TokenBucket`, capacity 1.

/// A tick may be this late without costing permits, in nanoseconds.
const CATCH_UP_NS: u64 = 100_000_000;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval_ns: u64,
}

impl Rate {
    /// As good as no limit, where a limit has to be named.
    pub const UNLIMITED: Rate = Rate { interval_ns: 1 };

    /// So many permits a second; fractions are fine (`10/m` is 10.0 / 60.0). `None`, for no limit, when that is 0, less,
    /// or no number.
    pub fn per_second(permits: f64) -> Option<Rate> {
        // Rounded up: a limit is not to be exceeded. The cast saturates, at some 580 years.
        (permits > 0.0).then(|| Rate { interval_ns: ((1e9 / permits).ceil() as u64).max(1) })
    }

    /// Nanoseconds from one permit to the next, at least 1.
    pub fn interval_ns(self) -> u64 {
        self.interval_ns
    }
}

/// The permits of one task type in this worker.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    next_ns: u64,
}

impl Bucket {
    /// Full: the first permit can be had at once.
    pub(crate) fn new(rate: Rate) -> Bucket {
        Bucket { rate, next_ns: 0 }
    }

    /// The same bucket with another rate: what was granted before counts for at most one new interval.
    pub(crate) fn set_rate(&mut self, rate: Rate, now_us: u64) {
        self.rate = rate;
        self.next_ns = self.next_ns.min(nanoseconds(now_us).saturating_add(rate.interval_ns));
    }

    /// Takes the permit if it is there. `is_awaited`: for somebody who has been waiting since before it fell due.
    pub(crate) fn take(&mut self, now_us: u64, is_awaited: bool) -> bool {
        let now_ns = nanoseconds(now_us);
        if now_ns < self.next_ns {
            return false;
        }
        let slack_ns = if is_awaited { CATCH_UP_NS } else { 0 };
        let due_ns = self.next_ns.max(now_ns.saturating_sub(slack_ns));
        self.next_ns = due_ns.saturating_add(self.rate.interval_ns);
        true
    }

    /// How many permits there are from now until then.
    pub(crate) fn permits_until(&self, now_us: u64, until_us: u64) -> u32 {
        let next_ns = self.next_ns.max(nanoseconds(now_us));
        let room_ns = nanoseconds(until_us).checked_sub(next_ns);
        room_ns
            .map_or(0, |room_ns| u32::try_from(room_ns / self.rate.interval_ns).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// When the next permit can be had (`mono_us`); it may be past.
    pub(crate) fn due_us(&self) -> u64 {
        self.next_ns.div_ceil(1_000)
    }
}

fn nanoseconds(us: u64) -> u64 {
    us.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(permits_per_second: f64) -> Bucket {
        Bucket::new(Rate::per_second(permits_per_second).expect("a limit"))
    }

    #[test]
    fn zero_and_less_are_no_limit() {
        assert_eq!([0.0, -1.0, f64::NAN].map(Rate::per_second), [None; 3]);
    }

    #[test]
    fn interval_is_rounded_up_so_that_the_limit_holds() {
        assert_eq!(Rate::per_second(3.0).map(Rate::interval_ns), Some(333_333_334));
        assert_eq!(Rate::per_second(10.0 / 60.0).map(Rate::interval_ns), Some(6_000_000_000));
        assert_eq!(Rate::per_second(f64::INFINITY).map(Rate::interval_ns), Some(1));
    }

    #[test]
    fn permits_are_an_interval_apart() {
        let mut bucket = bucket(10.0);
        assert!(bucket.take(5, false));
        assert!(!bucket.take(100_004, false));
        assert_eq!(bucket.due_us(), 100_005);
        assert!(bucket.take(100_005, false));
    }

    #[test]
    fn idle_bucket_saves_one_permit_and_no_more() {
        let mut bucket = bucket(10.0);
        assert!(bucket.take(60_000_000, false));
        assert!(!bucket.take(60_000_000, false));
    }

    #[test]
    fn late_tick_hands_out_what_fell_due_meanwhile() {
        let mut bucket = bucket(10_000.0);
        bucket.take(0, false);
        let handed_out = std::iter::repeat_with(|| bucket.take(1_000, true)).take_while(|&taken| taken).count();
        assert_eq!(handed_out, 10);
    }

    #[test]
    fn what_fell_due_long_ago_is_forgone() {
        let mut bucket = bucket(100.0);
        bucket.take(0, false);
        let handed_out = std::iter::repeat_with(|| bucket.take(60_000_000, true)).take_while(|&taken| taken).count();
        assert_eq!(handed_out, 11);
    }

    #[test]
    fn higher_rate_counts_at_once() {
        let mut bucket = bucket(1.0 / 3600.0);
        bucket.take(0, false);
        bucket.set_rate(Rate::per_second(10.0).expect("a limit"), 50_000);
        assert_eq!(bucket.due_us(), 150_000);
    }

    #[test]
    fn slowest_rate_does_not_overflow() {
        let mut bucket = bucket(f64::MIN_POSITIVE);
        assert!(bucket.take(1, false));
        assert!(!bucket.take(u64::MAX / 2_000, true));
    }
}
