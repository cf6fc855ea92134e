//! The two clocks, read once a turn.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastworker_engine::Now;
use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the system's monotonic clock: the same in every process of the machine, so that a child's start
/// time on its page can be compared with ours.
pub fn mono_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Unix time in microseconds.
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Both.
pub(crate) fn now() -> Now {
    Now { mono_us: mono_us(), wall_ms: wall_us() / 1000 }
}
