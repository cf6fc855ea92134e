//! The two clocks, read once a turn. A test may move both ahead, by the same amount: for it, time has passed.
//!
//! What is due by these clocks comes due: ETA, countdown, expiry, retries, permits of rate limits, parked messages.
//! Leases are not measured by them: nobody is taken for dead because a test is in a hurry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastworker_engine::Now;
use rustix::time::{ClockId, clock_gettime};

/// How far a test has moved the clocks of this process ahead, in microseconds. One relaxed load beside a system call.
static AHEAD_US: AtomicU64 = AtomicU64::new(0);

/// Moves the clocks of this process ahead. While a worker lives they never go back.
pub fn advance(by: Duration) {
    let by_us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX / 4);
    AHEAD_US.fetch_add(by_us, Ordering::SeqCst);
}

/// Puts the clocks of this process right again; no worker lives in it.
pub fn reset() {
    AHEAD_US.store(0, Ordering::SeqCst);
}

/// How far they are ahead, in microseconds.
pub fn ahead_us() -> u64 {
    AHEAD_US.load(Ordering::Relaxed)
}

/// Microseconds of the system's monotonic clock: the same in every process of the machine, so that a child's start
/// time on its page can be compared with ours.
pub fn mono_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000 + ahead_us()
}

/// Unix time in microseconds.
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add_unsigned(ahead_us())
}

/// Both.
pub(crate) fn now() -> Now {
    Now { mono_us: mono_us(), wall_ms: wall_us() / 1000 }
}

/// Both, to the microsecond, when deliveries came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) mono_us: u64,
    pub(crate) wall_us: i64,
}

impl Arrival {
    /// Now.
    pub(crate) fn now() -> Arrival {
        Arrival { mono_us: mono_us(), wall_us: wall_us() }
    }
}
