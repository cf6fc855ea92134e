//! What the engine wants done. The driver carries actions out in order and reports facts back as events.

use crate::admit::{Quota, Rate};
use crate::event::{ChildId, Handle, Number};

/// How a delivery ends, or is put aside. All but `EarlyAck` are final: the engine forgets the handle when `Settled`
/// or `LeaseLost` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the child said in its outcome (success, failure, retry, ignore, reject, poison): the driver holds the
    /// outcome's bytes. `acked_early`: the message is gone already, only the result is stored.
    AsReported {
        /// The message was acknowledged before it ran.
        acked_early: bool,
    },
    /// Acknowledge now, before it runs (acks_late=False). Not final.
    EarlyAck,
    /// Never started: back to the front of its queue, as if it had not been fetched.
    Return,
    /// Started, and to be run again by anybody: back to the front, marked redelivered.
    Redeliver,
    /// The task asked for it (`raise Reject(requeue=True)`): as `Redeliver`, and its started attempts are forgotten,
    /// since nothing died.
    Requeue,
    /// Not due yet: into the broker's care until then.
    Park {
        /// Unix time in milliseconds.
        until_ms: i64,
    },
    /// Over its task's rate in this worker: into the broker's lane of that task, from which any worker with a permit
    /// draws it.
    Lane,
    /// Its `expires` is over: REVOKED is stored, the message acknowledged.
    Expired,
    /// Revoked: REVOKED is stored, the message acknowledged.
    Revoked {
        /// The signal by which it was ended while it ran; `None`: it is not run, or not run again.
        terminated: Option<i32>,
        /// The message was acknowledged before.
        acked_early: bool,
    },
    /// No task of that name here: dead letter, FAILURE NotRegistered.
    Unknown,
    /// Its process died on it `attempts` times: dead letter, FAILURE WorkerLostError. `acked_early`: it was
    /// acknowledged before it ran, so there is only the FAILURE to store.
    WorkerLost {
        /// Started attempts.
        attempts: u32,
        /// The message was acknowledged before it ran.
        acked_early: bool,
    },
    /// Ended by its hard time limit: FAILURE TimeLimitExceeded.
    TimeLimit {
        /// The limit, in milliseconds.
        limit_ms: u64,
        /// The message was acknowledged before it ran.
        acked_early: bool,
    },
}

/// A question for shared permits: deliveries of one task, key and queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Index into `Config::tasks`.
    pub task: u32,
    /// As in `Request::key`.
    pub key: u64,
    /// As in `Request::queue`.
    pub queue: u16,
    /// The limit.
    pub rate: Rate,
    /// Who needs permits, first come first served.
    pub handles: Vec<Handle>,
    /// Permits for later deliveries, if there are any to be had soon.
    pub ahead: u32,
}

/// Why a task that runs beside others is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Its soft time limit is over: it is told, and goes on.
    SoftLimit {
        /// The limit, for the log.
        limit_ms: u64,
    },
    /// Its hard time limit is over: the child ends it, and reports `Outcome::TimeLimit`.
    HardLimit,
    /// It was revoked: the child ends it, and reports `Outcome::Terminated`.
    Terminate,
}

/// What a fetch or a draw may bring of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// At most so many.
    pub room: u32,
    /// Its part of what queues of one priority give, in proportion to the others'.
    pub share: u32,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the broker for up to `max` messages. At most one fetch is outstanding.
    Fetch {
        /// Upper bound.
        max: u32,
        /// By queue; empty: no bounds.
        portions: Vec<Portion>,
    },
    /// Ask the broker for permits of shared limits; it moves deliveries without one to their lanes. Answer `Acquired`,
    /// however long that takes.
    Acquire {
        /// One for each task, key and queue.
        asks: Vec<Ask>,
    },
    /// Move what has permits from the broker's lanes to our lease; answer `Drawn` or `DrawFailed`. At most one draw is
    /// outstanding.
    Draw {
        /// Upper bound.
        max: u32,
        /// What may be drawn.
        quotas: Vec<Quota>,
        /// By queue; empty: no bounds.
        portions: Vec<Portion>,
    },
    /// Send these to the child as numbers `first`, `first + 1`, …, after moving the page's bound past them.
    Dispatch {
        /// To whom.
        child: ChildId,
        /// Number of the first one.
        first: Number,
        /// In order.
        handles: Vec<Handle>,
        /// The child writes out buffered outcomes before it starts these (unknown or slow types).
        flush_first: bool,
    },
    /// Send these to the child as one number, after moving the page's bound past it: one function call gets them all.
    /// Each ends by itself (`Event::MemberEnded`), and then the number (`Event::BatchEnded`). The child writes out
    /// buffered outcomes before it starts.
    DispatchBatch {
        /// To whom.
        child: ChildId,
        /// Its number.
        number: Number,
        /// In order; at least one.
        handles: Vec<Handle>,
    },
    /// Take back what the child has not started; answer with `Recalled`.
    Recall {
        /// From whom.
        child: ChildId,
    },
    /// Count a started attempt durably, then answer `AttemptRecorded` or `LeaseLost`, however long that takes.
    /// `floor`: attempts known to have been started.
    RecordAttempt {
        /// Which delivery.
        handle: Handle,
        /// At least so many attempts were started before.
        floor: u32,
    },
    /// End a delivery; answer `Settled` or `LeaseLost`.
    Settle {
        /// Which delivery.
        handle: Handle,
        /// How.
        ending: Ending,
    },
    /// Send the soft-limit signal, if the child still runs `number`.
    SoftLimit {
        /// Which child.
        child: ChildId,
        /// Which of its tasks.
        number: Number,
        /// The limit, for the log.
        limit_ms: u64,
    },
    /// Send this signal, if the child still runs `number`, which was revoked. The recall before it has frozen the page,
    /// so that it cannot hit the task that comes after.
    Terminate {
        /// Which child.
        child: ChildId,
        /// Which of its tasks.
        number: Number,
        /// As in `kill(2)`.
        signal: i32,
    },
    /// Tell the child to interrupt a task, if it still runs. Only to children with several slots.
    Interrupt {
        /// Which child.
        child: ChildId,
        /// Which of its tasks.
        number: Number,
        /// Why.
        kind: Interrupt,
    },
    /// Have the child write down where it is, for the log. A `Kill` that follows at once leaves it the time for that.
    DumpStacks {
        /// Which child.
        child: ChildId,
        /// The task that has been running for long; `None`: it does not get ready.
        number: Option<Number>,
    },
    /// Have a child with several slots say in the log where one of its tasks is, which has been running for long.
    Locate {
        /// Which child.
        child: ChildId,
        /// Which of its tasks.
        number: Number,
    },
    /// The loop of a child with several slots stands still: have it write down which task keeps it, for the log.
    Blocked {
        /// Which child.
        child: ChildId,
        /// Since when (`mono_us`).
        since_us: u64,
    },
    /// Kill the child (SIGKILL); answer `ChildExited`.
    Kill {
        /// Which child.
        child: ChildId,
    },
    /// Have one more child started; answer `ChildReady`, with this id. If the process dies before it is ready,
    /// `ChildExited` comes without a `ChildReady`.
    Spawn {
        /// The id it gets.
        child: ChildId,
    },
    /// Tell a child that has no task to finish and exit; answer `ChildExited`.
    Stop {
        /// Which child.
        child: ChildId,
    },
    /// The time of a warm or soft shutdown is over, and it becomes a cold one: for the log. What runs is killed next.
    TimeIsUp,
    /// Nothing is held and no child lives: the worker may end.
    Finished,
}
