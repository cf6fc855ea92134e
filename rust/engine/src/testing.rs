//! Values for unit tests: plain ones, to be changed where a test cares.

use crate::config::{Config, Scope, TaskOptions};
use crate::event::{Handle, Now, Request};

/// Two tasks: 0 acknowledges late, 1 early.
pub(crate) fn config() -> Config {
    let late = TaskOptions {
        acks_late: true,
        acks_on_failure: true,
        acks_on_timeout: true,
        runs_again_when_lost: true,
        soft_limit_s: None,
        hard_limit_s: None,
        rate: None,
        has_lanes: false,
        rate_scope: Scope::Worker,
        batch: None,
    };
    let early = TaskOptions { acks_late: false, ..late.clone() };
    Config {
        tasks: vec![late, early],
        queues: vec![crate::config::QueueTerms::default(); 2],
        concurrency: 2,
        slots: 1,
        is_narrow: false,
        max_tasks_per_child: None,
        max_memory_per_child_kib: None,
        autoscale: None,
        prefetch: 16,
        window_bytes: 1 << 20,
        window_max: 256,
        batch_bytes: 1 << 20,
        start_timeout_us: None,
        stacks_after_us: None,
        blocked_after_us: None,
        warm_timeout_us: None,
        soft_timeout_us: 0,
        soft_waits_when_idle: false,
        max_deliveries: 3,
        eta_horizon_ms: 10_000,
        return_after_us: 1_000_000,
    }
}

/// A first delivery of task 0.
pub(crate) fn request(handle: u32) -> Request {
    Request {
        handle: Handle(handle),
        task: Some(0),
        queue: 0,
        priority: 0,
        is_redelivered: false,
        eta_ms: None,
        expires_ms: None,
        soft_limit_s: None,
        hard_limit_s: None,
        key: 0,
        is_drawn: false,
        size: 100,
        is_revoked: false,
    }
}

/// Both clocks.
pub(crate) fn at(mono_us: u64, wall_ms: i64) -> Now {
    Now { mono_us, wall_ms }
}
