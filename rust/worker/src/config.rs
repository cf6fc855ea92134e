//! What a worker is told once, at the start. Validated in Python, trusted here.

use std::time::Duration;

use fastworker_broker::{Fanout, RevokeTerms};
use fastworker_engine::{Autoscale, QueueTerms, TaskOptions};

use crate::events::EventTerms;
use crate::patience::Patience;
use crate::report::Reports;

/// A registered task.
#[derive(Clone, Debug)]
pub struct RegisteredTask {
    /// Its name, as messages spell it.
    pub name: String,
    /// Its options that decide something.
    pub options: TaskOptions,
    /// Results of this task are not stored, unless the message says otherwise.
    pub ignore_result: bool,
    /// Failures are stored even so.
    pub stores_errors: bool,
    /// Events tell of it, where they tell of tasks.
    pub sends_events: bool,
}

/// All settings of one worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Node name, such as `celery@host`.
    pub node: String,
    /// Broker URL.
    pub broker_url: String,
    /// Its transport options.
    pub broker_options: Vec<(String, String)>,
    /// Result store URL; `None` keeps no results.
    pub result_url: Option<String>,
    /// Its transport options.
    pub result_options: Vec<(String, String)>,
    /// How long a broker that is away at the start is waited for.
    pub patience_at_start: Patience,
    /// How long one is that goes away later.
    pub patience: Patience,
    /// A broker that refuses at the start is tried again like one that is away.
    pub retries_refusals: bool,
    /// What runs when a connection is lost that held its lease is ended.
    pub cancels_severed: bool,
    /// Queues to consume at the start.
    pub queues: Vec<String>,
    /// Those of them that get copies of what is published to a fanout exchange: by which queue of our own.
    pub fanouts: Vec<(String, Fanout)>,
    /// By queue: how.
    pub queue_terms: Vec<QueueTerms>,
    /// Registered tasks.
    pub tasks: Vec<RegisteredTask>,
    /// Child processes, at the start.
    pub concurrency: u32,
    /// Tasks that one child runs at once.
    pub slots: u32,
    /// It has one task at a time all the same; with several slots only.
    pub is_narrow: bool,
    /// Tasks after which a child is replaced; `None` for no bound.
    pub max_tasks_per_child: Option<u32>,
    /// KiB of peak memory beyond which a child is replaced; `None` for no bound.
    pub max_memory_per_child_kib: Option<u64>,
    /// All children may be replaced, by [`Command::Restart`](crate::fact::Command::Restart).
    pub restarts: bool,
    /// Let the number of children follow the load.
    pub autoscale: Option<Autoscale>,
    /// Most messages held at once.
    pub prefetch: u32,
    /// How long the lease of a silent worker lives.
    pub lease_life: Duration,
    /// A child that is not ready so long after it was forked is killed; `None`: it has all the time.
    pub start_timeout: Option<Duration>,
    /// Where a task is that has been running so long is logged; `None`: never.
    pub stacks_after: Option<Duration>,
    /// Which task keeps the loop of a child from turning for so long is logged; `None`: never.
    pub blocked_after: Option<Duration>,
    /// How long a warm shutdown lets tasks run; `None` for as long as they take.
    pub warm_timeout: Option<Duration>,
    /// How long a soft shutdown lets tasks run.
    pub soft_timeout: Duration,
    /// A soft shutdown takes that time even when nothing runs.
    pub soft_waits_when_idle: bool,
    /// Started attempts before a message whose process died goes to the dead letters; 0 for no bound.
    pub max_deliveries: u32,
    /// Throw away messages of unknown tasks.
    pub discards_unknown: bool,
    /// Messages due later than this are parked in the broker.
    pub eta_horizon_ms: i64,
    /// Seconds a result is kept; `None` for ever.
    pub result_ttl_s: Option<u64>,
    /// Seconds a FAILURE is kept.
    pub failure_ttl_s: Option<u64>,
    /// Seconds an unfinished chord is kept after its last part; `None` for ever.
    pub chord_ttl_s: Option<u64>,
    /// Offset from UTC of times that are written without one, in seconds.
    pub naive_offset_s: i32,
    /// What the main thread wants to be told.
    pub reports: Reports,
    /// Where broadcasts of remote control are heard, such as `celery.pidbox`; `None`: they are not.
    pub control_exchange: Option<String>,
    /// What monitors are told.
    pub events: EventTerms,
    /// How long revokes are remembered, and how many.
    pub revoke_terms: RevokeTerms,
    /// Ids that are revoked from the start, beside those that the broker remembers; oldest first.
    pub revoked: Vec<String>,
    /// End, as by a warm shutdown, when nothing is left that could run now. For tests.
    pub drains: bool,
}
