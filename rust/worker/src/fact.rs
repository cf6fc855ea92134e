//! Everything that the worker's one loop reacts to. Whoever waits for something outside sends one of these.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use bytes::Bytes;
use fastworker_broker::lane::{Drawn, Granted};
use fastworker_broker::{Delivery, Error, Fanout, Join, Joined, Mark, Parts, Publish, Recovered, Revocation, Tag};
use fastworker_engine::{Ask, ChildId, Handle, QueueTerms, Rate, Resize, Shutdown};

use crate::held::MemberPart;
use crate::pool::{SocketFact, ZygoteFact};
use crate::record::{Record, RecordOrder};
use crate::sketch::Sketch;
use crate::worker::Author;

/// An order from the main thread.
#[derive(Debug)]
pub enum Command {
    /// Stop.
    Shutdown(Shutdown),
    /// Have more or fewer children.
    Resize(Resize),
    /// A new zygote: its socket and pid.
    AdoptZygote(std::os::fd::OwnedFd, i32),
    /// Another zygote, which is to take the place of the one that serves; and its children that of all others.
    Restart(std::os::fd::OwnedFd, i32),
    /// The clocks were moved ahead: what is due has to be found anew.
    ClockMoved,
    /// The main thread has called what follows from these failures; the numbers of [`Report::Failed`].
    ///
    /// [`Report::Failed`]: crate::report::Report::Failed
    Told(Vec<(Handle, u64)>),
    /// A task that the main thread was told of is a chord's member: its end counts so. Precedes [`Command::Told`].
    Count {
        /// Of [`Report::Failed`](crate::report::Report::Failed).
        handle: Handle,
        /// Likewise.
        number: u64,
        /// How it ended.
        part: MemberPart,
    },
    /// What came of [`Report::Join`](crate::report::Report::Join); and members of other chords that end with it.
    Joined(Joined, Vec<MemberPart>),
    /// A child that runs as a thread of this process has ended.
    ThreadEnded(ChildId),
    /// Tasks are revoked: what is held of them does not start, and is ended by a signal if that is asked for.
    Revoke {
        /// What.
        marks: Vec<Mark>,
        /// The signal for those that run.
        terminate: Option<i32>,
        /// Gets what is held of them, as it was before, once none of it can start any more.
        answer: SyncSender<Vec<HeldTask>>,
    },
    /// A task has new time limits, in seconds.
    SetLimits {
        /// Its name.
        task: String,
        /// Soft.
        soft_s: Option<f64>,
        /// Hard.
        hard_s: Option<f64>,
        /// Gets whether there is such a task.
        answer: SyncSender<bool>,
    },
    /// A task has another rate limit.
    SetRate {
        /// Its name.
        task: String,
        /// Starts a second; `None` lifts it.
        rate: Option<Rate>,
        /// Gets whether there is such a task.
        answer: SyncSender<bool>,
    },
    /// One more queue is consumed, or one that had been cancelled.
    Consume {
        /// Its name.
        queue: String,
        /// How.
        terms: QueueTerms,
        /// It gets copies of what is published to a fanout exchange.
        fanout: Option<Fanout>,
        /// Told when it is so.
        answer: SyncSender<()>,
    },
    /// What has not been started of a queue goes back to it.
    GiveBack {
        /// Its name.
        queue: String,
        /// It is not consumed any more; else it is paused at the broker, which gives nothing of it.
        is_cancelled: bool,
        /// Gets whether it was consumed here.
        answer: SyncSender<bool>,
    },
    /// Tell of tasks from now on, or do not.
    TellOfTasks {
        /// Which.
        tells: bool,
        /// Gets whether it was otherwise before.
        answer: SyncSender<bool>,
    },
    /// A task whose process died is retried: its message ends with this state (`None`: it stores none), and these are
    /// published in the same step.
    RunAgain {
        /// Which; as it was told.
        handle: Handle,
        /// As it was told.
        number: u64,
        /// The document of the state RETRY.
        doc: Option<Vec<u8>>,
        /// The next attempt.
        messages: Vec<Publish>,
    },
    /// Send a heartbeat now.
    Beat,
    /// Record when tasks come past the stations, say what was recorded, or end that.
    Record {
        /// Which.
        order: RecordOrder,
        /// Gets what was recorded until now; `None`: nothing is recorded.
        answer: SyncSender<Option<Record>>,
    },
    /// What is kept of each task since the worker began.
    Sketch {
        /// Gets it.
        answer: SyncSender<Sketch>,
    },
    /// What is held now.
    Snapshot {
        /// Gets it.
        answer: SyncSender<Snapshot>,
    },
}

/// How far a held task has come; Celery's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits here for its eta.
    Scheduled,
    /// Waits for a child, or lies at one unstarted.
    Reserved,
    /// Runs.
    Active,
}

/// One task that a worker holds.
#[derive(Clone, Debug)]
pub struct HeldTask {
    /// How far it has come.
    pub stage: Stage,
    /// The message as a child gets it (`fastworker_wire::child::ToChild::Task`).
    pub frame: Vec<u8>,
    /// When it is due, Unix time in milliseconds.
    pub eta_ms: Option<i64>,
    /// When it was started, Unix time in microseconds.
    pub started_us: Option<i64>,
    /// The process that runs it.
    pub pid: Option<i32>,
    /// The broker knows it no more.
    pub is_acked: bool,
}

/// What a worker holds, and what it has done.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Everything held, in no order.
    pub tasks: Vec<HeldTask>,
    /// Ids that were revoked, oldest first.
    pub revoked: Vec<String>,
    /// How many of each task were started, by name.
    pub started: Vec<(String, u64)>,
    /// Child processes.
    pub pids: Vec<i32>,
    /// How many tasks each of them was given; and how many of them have one.
    pub writes: Vec<u64>,
    /// The latter.
    pub busy: usize,
}

/// Which delivery a settlement is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settling {
    pub(crate) handle: Handle,
    /// False for an early acknowledgement: the task has yet to run.
    pub(crate) is_final: bool,
}

/// Something happened.
pub(crate) enum Fact {
    /// What a fetch brought; whether the broker has more.
    Fetched(Result<Vec<Delivery>, Error>, bool),
    /// Permits that were asked for: the questions, and their answers in order.
    Acquired(Vec<Ask>, Vec<Granted>),
    Drawn(Result<Drawn, Error>),
    Wake,
    /// A batch was settled: what it was for (in order; `None` where the engine knows nothing of it), the indices
    /// whose lease was lost, and the joins that are ours now.
    Settled {
        batch: Vec<Option<Settling>>,
        lost: Vec<usize>,
        joins: Vec<Join>,
        /// They were those that publish, apart from the others.
        is_following: bool,
    },
    /// Joins of ours that the broker knows of.
    Joins(Vec<Join>),
    Parts {
        join: Join,
        parts: Parts,
    },
    /// A join was ended; by somebody else, or not at all, if it was not done. Others may have come of it.
    JoinEnded {
        join: Join,
        is_done: bool,
        joins: Vec<Join>,
    },
    /// A batch was published, or refused for good; whose each message was.
    Published {
        authors: Vec<Option<Author>>,
        refusal: Option<String>,
    },
    /// `None`: the lease was lost.
    AttemptRecorded {
        handle: Handle,
        attempt: Option<u32>,
    },
    /// An operation failed and is being repeated.
    Trouble(Error),
    /// An operation that had failed, or any other, went through.
    Fine,
    /// All leases were lost at once, with the connection that held them.
    Severed,
    /// A heartbeat that was sent at this moment was answered.
    Refreshed {
        asked: Instant,
    },
    /// Those of the leases asked about that others have.
    LookedAfter {
        lost: Vec<(Handle, Tag)>,
    },
    Recovered(Recovered),
    /// Events were taken, with whether anybody may have heard each message; or refused for good.
    EventsSent(Result<Vec<bool>, Error>),
    /// A broadcast of remote control.
    Broadcast(Bytes),
    /// What is revoked, as the broker remembers it; read when broadcasts may have been missed.
    Revoked(Vec<Revocation>),
    /// Broadcasts are not heard; with what is wrong.
    Deaf(Error),
    Child(ChildId, SocketFact),
    /// What the zygote with this pid says.
    Zygote(i32, ZygoteFact),
    Command(Command),
}
