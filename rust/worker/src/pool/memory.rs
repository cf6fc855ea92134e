//! How large a process has been.

/// The most memory that a process ever had resident, in KiB: what `getrusage` calls `ru_maxrss`, and what Celery
/// compares with `worker_max_memory_per_child`. `None`: the process is gone.
pub(crate) fn peak_kib(pid: i32) -> Option<u64> {
    peak_in(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_in_a_status_file() {
        assert_eq!(peak_in("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 99 kB\n"), Some(12_345));
        assert_eq!(peak_in("Name:\tzombie\nState:\tZ\n"), None);
    }

    #[test]
    fn this_process_has_a_size() {
        assert!(peak_kib(std::process::id() as i32).expect("it lives") > 100);
    }
}
