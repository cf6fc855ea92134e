//! How a process ended, in words: those of Celery (billiard's `human_status`), so that logs can be searched alike.

use std::fmt;

use super::oom::OomKill;

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It exited with this status.
    Exited(i32),
    /// A signal killed it; for SIGKILL, what is known of the kernel's memory killer.
    Killed(i32, OomKill),
    /// Nobody who knows can be asked.
    Unknown,
}

impl Death {
    /// Whether it is known not to have been killed by anybody: SIGKILL may always come from outside.
    pub(crate) fn is_by_itself(self) -> bool {
        match self {
            Death::Exited(_) | Death::Killed(_, OomKill::Certain) => true,
            Death::Killed(signal, _) => signal != SIGKILL,
            Death::Unknown => false,
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Death::Exited(status) => write!(f, "exitcode {status}"),
            Death::Killed(signal, oom) => {
                write!(f, "signal {signal} ({})", name(signal))?;
                match oom {
                    OomKill::Certain => {
                        write!(f, ", by the kernel's OOM killer: the cgroup's memory limit was reached")
                    }
                    OomKill::Likely => write!(f, ", probably by the kernel's OOM killer, which was at work just now"),
                    OomKill::Possible if signal == SIGKILL => write!(f, "; perhaps the kernel's OOM killer"),
                    OomKill::Possible => Ok(()),
                }
            }
            Death::Unknown => f.write_str("unknown exit status"),
        }
    }
}

/// The one that cannot be caught.
pub(crate) const SIGKILL: i32 = 9;

fn name(signal: i32) -> &'static str {
    const NAMES: [&str; 32] = [
        "?",
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    usize::try_from(signal).ok().and_then(|signal| NAMES.get(signal).copied()).unwrap_or("realtime signal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_have_celerys_words() {
        assert_eq!(Death::Exited(1).to_string(), "exitcode 1");
        assert_eq!(Death::Killed(11, OomKill::Possible).to_string(), "signal 11 (SIGSEGV)");
        let words = "signal 9 (SIGKILL); perhaps the kernel's OOM killer";
        assert_eq!(Death::Killed(9, OomKill::Possible).to_string(), words);
        assert!(Death::Killed(9, OomKill::Certain).to_string().contains("the cgroup's memory limit"));
    }

    #[test]
    fn only_sigkill_may_come_from_us() {
        assert!(Death::Exited(1).is_by_itself());
        assert!(Death::Killed(11, OomKill::Possible).is_by_itself());
        assert!(Death::Killed(SIGKILL, OomKill::Certain).is_by_itself());
        assert!(!Death::Killed(SIGKILL, OomKill::Likely).is_by_itself());
        assert!(!Death::Unknown.is_by_itself());
    }
}
