//! Which process an owner lives in, so that one that is provably gone need not be waited for.
//!
//! "Provably" means: on this boot of this machine, in our own pid namespace, there is no process of that number, or
//! it started at another time, or it is a zombie with no thread left. Containers that share the file have namespaces
//! of their own; what happens there is known from the heartbeat alone.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process, named so that no later one is taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// `/proc/sys/kernel/random/boot_id`; empty when unreadable, which is like nothing.
    pub(super) boot: String,
    /// `/proc/self/ns/pid`, such as `pid:[4026531836]`; empty when unreadable.
    pub(super) pid_space: String,
    /// Its number in that namespace.
    pub(super) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks from boot to its start. 0 when unreadable.
    pub(super) started: i64,
}

impl Process {
    /// This process.
    pub(super) fn current() -> Process {
        let pid = std::process::id() as i32;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let pid_space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Process {
            boot: boot.trim().to_owned(),
            pid_space: pid_space.display().to_string(),
            pid,
            started: Stat::of(pid).map_or(0, |stat| stat.started),
        }
    }

    /// True only if `self` cannot be running any more, as far as `here` (this process) can prove it.
    pub(super) fn is_gone(&self, here: &Process) -> bool {
        let is_comparable = !self.boot.is_empty()
            && self.boot == here.boot
            && !self.pid_space.is_empty()
            && self.pid_space == here.pid_space;
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| is_comparable) else {
            return false;
        };
        // The signal tells existence even where /proc hides other users' processes.
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return true;
        }
        match Stat::of(self.pid) {
            Some(stat) => stat.is_empty_zombie() || (self.started != 0 && stat.started != self.started),
            None => false,
        }
    }
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    state: char,
    threads: i64,
    started: i64,
}

impl Stat {
    /// `None` when it cannot be read, or when `/proc` belongs to another pid namespace and would tell of strangers.
    fn of(pid: i32) -> Option<Stat> {
        let own = std::fs::read_link("/proc/self").ok()?;
        if own.to_str()?.parse::<u32>().ok()? != std::process::id() {
            return None;
        }
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may contain anything, so the fields are counted from the last one that closes.
    fn parse(line: &str) -> Option<Stat> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            threads: fields.get(17)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// A zombie whose leader alone has ended still has threads that run.
    fn is_empty_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_not_gone_but_our_predecessor_is() {
        let here = Process::current();
        assert!(here.started > 0 && !here.boot.is_empty(), "{here:?}");
        assert!(!here.is_gone(&here));
        assert!(Process { started: here.started - 1, ..here.clone() }.is_gone(&here));
    }

    #[test]
    fn nothing_is_proven_across_namespaces_or_boots() {
        let here = Process::current();
        let elsewhere = Process { pid_space: "pid:[1]".to_owned(), started: 1, ..here.clone() };
        let earlier = Process { boot: "another".to_owned(), started: 1, ..here.clone() };
        assert!(!elsewhere.is_gone(&here) && !earlier.is_gone(&here));
    }

    #[test]
    fn a_killed_child_is_gone_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let pid = child.id() as i32;
        let started = Stat::of(pid).expect("its stat").started;
        let here = Process::current();
        let it = Process { pid, started, ..here.clone() };
        assert!(!it.is_gone(&here));
        child.kill().expect("kill");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !it.is_gone(&here) {
            assert!(std::time::Instant::now() < end, "a zombie is not recognised");
            std::thread::yield_now();
        }
        child.wait().expect("reap");
        assert!(it.is_gone(&here));
    }

    #[test]
    fn a_name_with_parentheses_is_no_trap() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 4242 1 1";
        let stat = Stat::parse(line).expect("a stat line");
        assert_eq!((stat.state, stat.threads, stat.started), ('S', 3, 4242));
    }
}
