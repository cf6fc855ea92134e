//! Station 10: what happened, told to the main thread, which owns Python's logging and the user's hooks.
//!
//! The I/O thread never enters the interpreter: it leaves reports in a queue and rings an eventfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

use fastworker_broker::{Join, Parts};
use fastworker_engine::Handle;
use rustix::event::{EventfdFlags, eventfd};

/// How serious a line is; Python's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 20.
    Info,
    /// 30.
    Warning,
    /// 40.
    Error,
    /// 50.
    Critical,
}

/// Why the worker itself ended a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its `expires` was over before it started.
    Expired,
    /// Somebody revoked it.
    Revoked {
        /// The signal that ended it while it ran.
        signal: Option<i32>,
    },
    /// No task of its name is registered.
    Unknown,
    /// The process that ran it died.
    WorkerLost {
        /// What its stored error says.
        text: String,
    },
    /// It ran over its hard limit.
    TimeLimit {
        /// The limit.
        limit_ms: u64,
    },
    /// What it published was refused by the broker.
    Refused {
        /// What its stored error says.
        text: String,
    },
    /// No child could run it.
    CannotRun {
        /// Why.
        reason: String,
    },
}

/// What the main thread wants to be told; the rest costs nothing. [`Fate::WorkerLost`] and [`Fate::TimeLimit`] are
/// always told, since failure handlers and errbacks hang on them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reports {
    /// Each received task: its name and id.
    pub received: bool,
    /// The whole call with it.
    pub calls: bool,
    /// [`Fate::Expired`].
    pub expired: bool,
    /// [`Fate::Unknown`].
    pub unknown: bool,
    /// Messages that are no task's.
    pub rejected: bool,
    /// Tasks that come and have a rate limit of each worker.
    pub limited: bool,
    /// Each heartbeat.
    pub heartbeats: bool,
}

/// Something for the main thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A line for the log.
    Log {
        /// How serious.
        level: Level,
        /// What, on what, what to do.
        text: String,
    },
    /// A task was received and admitted.
    Received {
        /// Its registered name.
        task: String,
        /// Its id.
        id: String,
        /// Its frame, as a child would get it, when somebody wants more than the name.
        call: Option<Vec<u8>>,
    },
    /// A task ended whose child cannot call what follows from that: [`Fate::WorkerLost`], [`Fate::TimeLimit`], and any
    /// other end of a member of a group, since a chord may count it. It is settled when [`Command::Told`] says that
    /// handlers and errbacks were called, so that none is lost.
    ///
    /// [`Command::Told`]: crate::fact::Command::Told
    Failed {
        /// Why.
        fate: Fate,
        /// The task's frame.
        call: Vec<u8>,
        /// Which.
        handle: Handle,
        /// Handles are used again; this is not.
        number: u64,
        /// It is a member of a group: [`Command::Count`](crate::fact::Command::Count) is welcome.
        is_member: bool,
    },
    /// A chord's members have all ended: its body is to be published, or to fail.
    Join {
        /// For [`Command::Joined`](crate::fact::Command::Joined).
        join: Join,
        /// How they ended.
        parts: Parts,
        /// All succeeded, and there is much of it: a message may have this text for the list of results.
        stands_for: Option<String>,
    },
    /// The worker ended a task that no child reported the end of, and the broker has it so.
    Ended {
        /// Why.
        fate: Fate,
        /// The task's frame.
        call: Vec<u8>,
    },
    /// A message that is no task's went to the dead letters.
    Rejected {
        /// As it stood in the queue.
        message: Vec<u8>,
        /// A short phrase, and one line for a person.
        reason: &'static str,
        /// The latter.
        detail: String,
    },
    /// A task came that this worker limits by itself. Told once of each task.
    Limited {
        /// Its name.
        task: String,
    },
    /// A heartbeat was sent.
    Heartbeat,
    /// A broadcast of remote control: kombu's envelope.
    Broadcast {
        /// As it was sent.
        message: Vec<u8>,
    },
    /// Consuming.
    Ready,
    /// The zygote is gone; a new one is wanted.
    ZygoteGone,
    /// Another zygote has taken the place of the one that served.
    Restarted,
    /// A zygote has ended that does not serve: it was replaced, or never came so far.
    ZygoteEnded {
        /// Its process id, to be waited for.
        pid: i32,
    },
    /// A child is to be started as a thread of this process. Whoever takes this report owns both descriptors.
    StartThread {
        /// Its name, for `Command::ThreadEnded`.
        child: u32,
        /// Its end of the socket.
        socket: RawFd,
        /// Its page.
        page: RawFd,
    },
    /// The worker has ended; with what was wrong, if it could not go on.
    Finished {
        /// None after a clean shutdown.
        error: Option<String>,
    },
}

struct Shared {
    queue: Mutex<Vec<Report>>,
    bell: OwnedFd,
}

/// Both ends of the queue of reports.
#[derive(Clone)]
pub struct Reporter(Arc<Shared>);

impl Reporter {
    /// An empty queue.
    pub fn new() -> io::Result<Reporter> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Reporter(Arc::new(Shared { queue: Mutex::new(Vec::new()), bell })))
    }

    /// Leaves a report and rings.
    pub fn send(&self, report: Report) {
        let was_empty = {
            let mut queue = self.0.queue.lock().expect("no holder of this lock panics");
            queue.push(report);
            queue.len() == 1
        };
        if was_empty {
            // A full counter (EAGAIN) means that it rings already.
            let _rings_already = rustix::io::write(&self.0.bell, &1u64.to_ne_bytes());
        }
    }

    /// A line for the log.
    pub fn log(&self, level: Level, text: impl Into<String>) {
        self.send(Report::Log { level, text: text.into() });
    }

    /// Both are ends of one queue.
    pub fn is_same(&self, other: &Reporter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Everything that waits; silences the bell.
    pub fn take(&self) -> Vec<Report> {
        let mut counter = [0u8; 8];
        // EAGAIN means that nobody rang.
        let _silent_already = rustix::io::read(&self.0.bell, &mut counter);
        std::mem::take(&mut *self.0.queue.lock().expect("no holder of this lock panics"))
    }

    /// Readable when reports wait.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}
