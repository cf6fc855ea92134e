//! What the engine is told once, at the start.

use crate::admit::Rate;

/// The options of one registered task that decide something.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskOptions {
    /// Acknowledge after the run (default) or before it.
    pub acks_late: bool,
    /// With late acks: acknowledge a failure too (Celery's `acks_on_failure_or_timeout`); false: dead letter.
    pub acks_on_failure: bool,
    /// Seconds, raised in the task as SoftTimeLimitExceeded.
    pub soft_limit_s: Option<f64>,
    /// Seconds, then the child is killed.
    pub hard_limit_s: Option<f64>,
    /// How often tasks of this type may start in this worker; `None` for no limit. Changed by `Event::RateLimit`.
    pub rate: Option<Rate>,
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Registered tasks; `Request::task` is an index into it.
    pub tasks: Vec<TaskOptions>,
    /// How many queues are consumed; `Request::queue` is below it.
    pub queues: u16,
    /// Children to keep alive.
    pub concurrency: u32,
    /// Most deliveries held at once. At least `concurrency`.
    pub prefetch: u32,
    /// Most bytes of messages handed to one child ahead of its work.
    pub window_bytes: u32,
    /// Most tasks handed to one child ahead of its work.
    pub window_max: u32,
    /// Started attempts after which a message whose process died goes to the dead letters. 0: no bound.
    pub max_deliveries: u32,
    /// Deliveries due later than this are parked in the broker; nearer ones wait here.
    pub eta_horizon_ms: i64,
    /// An unstarted delivery that no child can take within this time goes back to its queue.
    pub return_after_us: u64,
}
