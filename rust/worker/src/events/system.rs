//! What events say of the machine.

/// The load of the last minute, five and fifteen, as JSON; zeros where the system does not say.
pub(super) fn load_average() -> Vec<u8> {
    // A machine without /proc has other troubles with this worker.
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages(&text).into_bytes()
}

fn averages(text: &str) -> String {
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    format!("[{:.2}, {:.2}, {:.2}]", next(), next(), next())
}

/// Hours west of UTC here, at this Unix time (seconds); as Python's `time.timezone / 3600`, or `altzone` in summer.
pub(super) fn utcoffset_h(now_s: i64) -> f64 {
    // SAFETY: `tm` is plain data that `localtime_r` fills; nothing of this program changes the environment while threads
    // run.
    let local = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&raw const now_s, &raw mut local).is_null()).then_some(local)
    };
    local.map_or(0.0, |local| 0.0 - local.tm_gmtoff as f64 / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_read_from_the_first_three_words() {
        assert_eq!(averages("0.12 3.4 5 1/234 5678\n"), "[0.12, 3.40, 5.00]");
        assert_eq!(averages(""), "[0.00, 0.00, 0.00]");
    }

    #[test]
    fn there_are_fewer_than_a_days_hours_between_here_and_utc() {
        assert!(utcoffset_h(1_700_000_000).abs() < 24.0);
    }
}
