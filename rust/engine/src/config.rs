//! What the engine is told once, at the start.

use crate::admit::Rate;

/// The options of one registered task that decide something.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskOptions {
    /// Acknowledge after the run (default) or before it.
    pub acks_late: bool,
    /// With late acks: acknowledge a failure too (Celery's `acks_on_failure_or_timeout`); false: dead letter.
    pub acks_on_failure: bool,
    /// With late acks: a hard time limit ends the message too (Celery's `acks_on_timeout`); false: it runs again, at
    /// most `max_deliveries` times.
    pub acks_on_timeout: bool,
    /// With late acks: run again when the process died (at most `max_deliveries` times); false: it fails at once, which
    /// is Celery's `reject_on_worker_lost=False`.
    pub runs_again_when_lost: bool,
    /// Seconds, raised in the task as SoftTimeLimitExceeded.
    pub soft_limit_s: Option<f64>,
    /// Seconds, then the child is killed.
    pub hard_limit_s: Option<f64>,
    /// How often tasks of this type may start; `None` for no limit. Changed by `Event::RateLimit`.
    pub rate: Option<Rate>,
    /// Other workers may limit it though this one does not: look after its lanes.
    pub has_lanes: bool,
    /// Whose starts count.
    pub rate_scope: Scope,
    /// One function call is given several of its messages; `None`: each has one for itself.
    pub batch: Option<BatchTerms>,
}

/// How the messages of a batch task are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTerms {
    /// Most messages that one call gets; at least 1.
    pub most: u32,
    /// A message that could run waits so long for others, in microseconds; then the call goes with what there is.
    pub wait_us: u64,
}

/// Whose starts a rate limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those of this worker, as in Celery.
    #[default]
    Worker,
    /// Those of all workers together, for each key (`Request::key`) by itself.
    Shared,
}

/// How one queue is consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTerms {
    /// Most of its tasks that run here at once; at least 1. `None`: no limit.
    pub limit: Option<u32>,
    /// Its part of what is fetched from queues that have something, in proportion to the others'; at least 1.
    pub weight: u32,
}

impl Default for QueueTerms {
    fn default() -> QueueTerms {
        QueueTerms { limit: None, weight: 1 }
    }
}

/// Bounds of the number of children, between which it follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscale {
    /// Most children.
    pub max: u32,
    /// Fewest children; at least 1.
    pub min: u32,
    /// The pool shrinks to what was needed at most during this time, in microseconds.
    pub keepalive_us: u64,
}

impl Config {
    /// How many tasks one child has running at once.
    pub(crate) fn per_child(&self) -> u32 {
        if self.is_narrow { 1 } else { self.slots }
    }
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Registered tasks; `Request::task` is an index into it.
    pub tasks: Vec<TaskOptions>,
    /// The consumed queues; `Request::queue` is an index into it. `Event::QueueOpened` adds to them.
    pub queues: Vec<QueueTerms>,
    /// Children to keep alive, until a `Resize` or the autoscaler says otherwise.
    pub concurrency: u32,
    /// How many tasks one child runs at once; at least 1. With one, tasks are handed over ahead of need, and limits and
    /// revokes are signals; with several, each is told by `Action::Interrupt`.
    pub slots: u32,
    /// With several slots: a child runs one task at a time all the same, and is told by `Action::Interrupt`.
    pub is_narrow: bool,
    /// Most tasks that one child runs; then it is replaced. `None`: no bound.
    pub max_tasks_per_child: Option<u32>,
    /// A child whose peak memory is larger (KiB) is replaced once its task has ended. `None`: no bound.
    pub max_memory_per_child_kib: Option<u64>,
    /// Grow and shrink with the load; `concurrency` is where it starts.
    pub autoscale: Option<Autoscale>,
    /// Most deliveries held at once. At least `concurrency`, or the autoscaler's maximum, times `slots`. Messages of batch
    /// tasks come on top, up to a batch for each slot, and to `batch_bytes` for each.
    pub prefetch: u32,
    /// Most bytes of messages handed to one child ahead of its work.
    pub window_bytes: u32,
    /// Most tasks handed to one child ahead of its work.
    pub window_max: u32,
    /// Most bytes of messages that one batch has; a larger message has a batch for itself.
    pub batch_bytes: u64,
    /// A child that is not ready so long after it was forked is killed, in microseconds. `None`: it has all the time.
    pub start_timeout_us: Option<u64>,
    /// Where a task is that runs so long is logged, in microseconds. `None`: never.
    pub stacks_after_us: Option<u64>,
    /// With several slots: a child whose loop has stood still for so long has to say which task keeps it, in microseconds.
    /// `None`: never.
    pub blocked_after_us: Option<u64>,
    /// A warm shutdown becomes a cold one after this time, in microseconds. `None`: it waits for what runs.
    pub warm_timeout_us: Option<u64>,
    /// A soft shutdown becomes a cold one after this time, in microseconds; 0: at once.
    pub soft_timeout_us: u64,
    /// A soft shutdown takes all of its time, even if nothing runs.
    pub soft_waits_when_idle: bool,
    /// Started attempts after which a message whose process died goes to the dead letters. 0: no bound.
    pub max_deliveries: u32,
    /// Deliveries due later than this are parked in the broker; nearer ones wait here.
    pub eta_horizon_ms: i64,
    /// An unstarted delivery that no child can take within this time goes back to its queue.
    pub return_after_us: u64,
}
