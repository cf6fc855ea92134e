//! What the engine is told. Every event is a fact; the engine never asks.

use crate::admit::Rate;
use crate::config::QueueTerms;

/// Names one delivery while this worker holds it. The driver chooses it (the index of its own table of bytes, so that
/// the numbers stay small) and may use it again once it has answered the delivery's last action (`Action::Settle`
/// with a final ending) with `Settled` or `LeaseLost`; earlier the answer could not be told from the next delivery's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub u32);

/// Names one child process for ever: a replacement gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(pub u32);

/// The task number inside one child: 0, 1, 2, … in order of dispatch, wrapping; never reused within 2^31.
pub type Number = u32;

/// Both clocks, read once per turn by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic microseconds since an arbitrary start.
    pub mono_us: u64,
    /// Unix time in milliseconds; may jump.
    pub wall_ms: i64,
}

/// What the engine knows of one delivery: no bytes, only what decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The driver's name for it.
    pub handle: Handle,
    /// Index into `Config::tasks`; `None` when the name is not registered here.
    pub task: Option<u32>,
    /// Index into `Config::queues`, and what `Event::QueueOpened` added.
    pub queue: u16,
    /// 0 is the most urgent.
    pub priority: u8,
    /// The broker, or the envelope, says that it was handed out before.
    pub is_redelivered: bool,
    /// Not before this Unix time in milliseconds.
    pub eta_ms: Option<i64>,
    /// Not after this Unix time in milliseconds.
    pub expires_ms: Option<i64>,
    /// Seconds; overrides the task's own.
    pub soft_limit_s: Option<f64>,
    /// Seconds; overrides the task's own.
    pub hard_limit_s: Option<f64>,
    /// What a shared rate limit of its task counts by: a hash of the key that the message carries; 0 for none.
    pub key: u64,
    /// It came from a lane, where it had waited for the permit that it comes with.
    pub is_drawn: bool,
    /// Bytes that travel to the child.
    pub size: u32,
    /// Somebody has revoked it: it is not run.
    pub is_revoked: bool,
}

/// How a task ended, as its child reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Returned.
    Success,
    /// Raised.
    Failure,
    /// A successor message carries the next try.
    Retry,
    /// `raise Ignore`: no result.
    Ignore,
    /// `raise Reject(requeue=…)`.
    Reject {
        /// Put it back on its queue.
        requeue: bool,
    },
    /// The child could not decode the body, or does not know the task: dead letter with the child's reason.
    Poison,
    /// Ended by the child when `Interrupt::HardLimit` told it to.
    TimeLimit,
    /// Ended by the child when `Interrupt::Terminate` told it to.
    Terminated,
}

/// Why a shutdown was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Finish what runs, return what has not started. For `Config::warm_timeout_us`, then cold.
    Warm,
    /// The same for `Config::soft_timeout_us`, then cold. Not longer than a warm one that is under way.
    Soft,
    /// Kill what runs and let it be delivered again.
    Cold,
}

/// A wish to have more or fewer children, as the remote control commands of that name mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// `pool_grow`: so many more, up to the autoscaler's maximum if there is one.
    Grow(u32),
    /// `pool_shrink`: so many fewer, down to none, or to the autoscaler's minimum. Idle ones go first; a busy one goes
    /// when its task has ended.
    Shrink(u32),
    /// `autoscale`: other bounds; `None` leaves one as it is. Nothing happens without an autoscaler.
    Autoscale {
        /// Most children.
        max: Option<u32>,
        /// Fewest children.
        min: Option<u32>,
    },
}

/// The answer to `Action::Acquire`. Every handle that was asked for is in one of the first three lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// These have a permit.
    pub granted: Vec<Handle>,
    /// These were moved to their lanes, and their handles are free.
    pub laned: Vec<Handle>,
    /// The leases of these had been lost before, and their handles are free.
    pub lost: Vec<Handle>,
    /// Permits for later deliveries: task, key, how many.
    pub ahead: Vec<(u32, u64, u32)>,
    /// Microseconds until the first permit of those that were moved.
    pub due_in_us: Option<u64>,
}

/// The answer to `Action::Draw`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// What came.
    pub requests: Vec<Request>,
    /// Microseconds until somebody may draw by a shared limit again, if something waits.
    pub next_in_us: Option<u64>,
    /// For each `Quota::Worker` of the draw, in order: whether its lane still has something.
    pub has_more: Vec<bool>,
}

/// A fact that happened outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The queues have more than the answer brings that comes next, though it is shorter than asked.
    More,
    /// The answer to `Action::Fetch`: what came (maybe less than asked, maybe nothing).
    Delivered(Vec<Request>),
    /// The fetch failed; `BrokerLost` precedes it when the connection is gone.
    FetchFailed,
    /// The answer to `Action::Acquire`.
    Acquired(Acquired),
    /// The answer to `Action::Draw`.
    Drawn(Drawn),
    /// The draw failed.
    DrawFailed,
    /// A watched queue may have become non-empty.
    Wake,
    /// The broker connection is lost: fetch nothing, keep running and settling what is held.
    BrokerLost,
    /// It is back. What was leased is still leased unless `LeaseLost` says otherwise.
    BrokerBack,
    /// The leases could not be refreshed for two thirds of their life: start nothing more.
    LeaseAtRisk,
    /// They are refreshed again, and of what is `unasked` the broker was asked whether it is still ours: `LeaseLost`
    /// said what is not.
    LeaseSafe,
    /// `Action::RecordAttempt` is durable; this is try number `attempt` (1 is the first).
    AttemptRecorded {
        /// Which delivery.
        handle: Handle,
        /// Started attempts, this one included.
        attempt: u32,
    },
    /// The process of a child asked for by `Action::Spawn` exists: from now on it has time to get ready.
    ChildForked {
        /// Which child.
        child: ChildId,
    },
    /// A child asked for by `Action::Spawn` is connected and waits for tasks.
    ChildReady {
        /// Which child.
        child: ChildId,
    },
    /// The child's control page, read by the driver on a wake-up and with every `Tick` for each child that has
    /// unfinished tasks. Time limits and recalls are decided here and nowhere else, so that they rest on fresh facts.
    /// The child's outcomes read before the page was are reported first.
    Observed {
        /// Which child.
        child: ChildId,
        /// The page's word: tasks with a number below it have been claimed, or recalled.
        next: Number,
        /// Whether the task claimed last is running now (outcome not yet written), and since when (`mono_us`). Its
        /// number is `next - 1`, or a lower one after a recall; the engine knows which.
        running_since_us: Option<u64>,
    },
    /// The same of a child with several slots.
    ObservedMany {
        /// Which child.
        child: ChildId,
        /// As above.
        next: Number,
        /// The tasks that run now (outcome not yet written), and since when (`mono_us`). May be left out while
        /// `Engine::looks_at` says that it does not matter.
        running: Vec<(Number, u64)>,
        /// When the loop that all of them need turned last (`mono_us`); `None`: there is none, or none that matters now.
        turned_us: Option<u64>,
    },
    /// A child with several slots has come to frames that had been recalled: it was blocked, and is not any more.
    Awake {
        /// Which child.
        child: ChildId,
    },
    /// `Action::Recall` was carried out: numbers from `from` on were not started and never will be by this child. If
    /// the child dies meanwhile, this is still reported before `ChildExited` (a recall moves the page's `next`).
    Recalled {
        /// Which child.
        child: ChildId,
        /// First recalled number.
        from: Number,
    },
    /// A task ended. `runtime_us` is the time inside the task function.
    Ended {
        /// Which child.
        child: ChildId,
        /// Which of its tasks.
        number: Number,
        /// How.
        outcome: Outcome,
        /// Microseconds in the task function.
        runtime_us: u64,
    },
    /// One call of a batch ended; the others go on.
    MemberEnded {
        /// Which child.
        child: ChildId,
        /// The batch's number.
        number: Number,
        /// Which of its deliveries.
        handle: Handle,
        /// How.
        outcome: Outcome,
    },
    /// The function that was given a batch has returned. The ends of all its members were told before.
    BatchEnded {
        /// Which child.
        child: ChildId,
        /// The batch's number.
        number: Number,
        /// Microseconds in the task function.
        runtime_us: u64,
    },
    /// The process is gone, and its last outcomes have been reported before this. Numbers below `next` were claimed
    /// or recalled.
    ChildExited {
        /// Which child.
        child: ChildId,
        /// Claimed and recalled numbers are below it.
        next: Number,
        /// It is known not to have died of a kill: it exited, or another signal or the kernel's memory killer ended it.
        by_itself: bool,
    },
    /// The most memory that a child ever had resident; told before its outcomes, when there is a bound to it.
    Memory {
        /// Which child.
        child: ChildId,
        /// KiB.
        peak_kib: u64,
    },
    /// Have more or fewer children.
    Resize(Resize),
    /// `Action::Settle` was carried out: its credit comes back.
    Settled {
        /// Which delivery.
        handle: Handle,
    },
    /// `Action::Settle` or `Action::RecordAttempt` found that the lease was no longer ours: the delivery runs
    /// elsewhere, and its handle is free. It may also come unasked, as soon as the driver learns of the loss; then
    /// the handle is free at once unless a child has the delivery, which still ends with a final `Settle`.
    LeaseLost {
        /// Which delivery.
        handle: Handle,
    },
    /// A task type's rate limit in this worker is another one from now on. `None` lifts it.
    RateLimit {
        /// Index into `Config::tasks`.
        task: u32,
        /// The new limit.
        limit: Option<Rate>,
    },
    /// Deliveries that are held were revoked: those that have not started never will. Once the actions that answer
    /// this have been carried out, the revoke may be confirmed to whoever asked. The driver then reads the pages of
    /// all busy children, so that what is to be terminated is terminated at once.
    Revoked {
        /// Which deliveries.
        handles: Vec<Handle>,
        /// Those that run are to be ended by this signal; `None` lets them finish.
        terminate: Option<i32>,
    },
    /// A task has new time limits, for what is dispatched from now on.
    LimitsChanged {
        /// Index into `Config::tasks`.
        task: u32,
        /// Seconds.
        soft_limit_s: Option<f64>,
        /// Seconds.
        hard_limit_s: Option<f64>,
    },
    /// A queue is consumed from now on.
    QueueOpened {
        /// The next index, or that of a queue that was closed.
        queue: u16,
        /// How.
        terms: QueueTerms,
    },
    /// A queue is not consumed any more: what has not been started of it goes back.
    QueueClosed {
        /// Which.
        queue: u16,
    },
    /// A queue was paused at the broker, which gives nothing of it: what has not been started goes back.
    QueueWithdrawn {
        /// Which.
        queue: u16,
    },
    /// Stop. A second, stronger one may follow.
    Shutdown(Shutdown),
    /// Time passed; sent at the latest at `Engine::deadline`.
    Tick,
}
