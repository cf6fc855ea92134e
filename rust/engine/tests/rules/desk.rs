//! A desk to try rules at: an engine, a clock that is moved by hand, and short words for facts.

use fastworker_engine::{
    Action, ChildId, Config, Ending, Engine, Event, Handle, Now, Number, Outcome, QueueTerms, Request, Scope,
    TaskOptions,
};

/// Unix time at the start, in milliseconds.
pub(crate) const START_MS: i64 = 1_000_000;

/// Task 0 acknowledges late, task 1 early.
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
        queues: vec![QueueTerms::default()],
        concurrency: 2,
        slots: 1,
        is_narrow: false,
        max_tasks_per_child: None,
        max_memory_per_child_kib: None,
        autoscale: None,
        prefetch: 100,
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

/// The same, handed out before.
pub(crate) fn redelivered(handle: u32) -> Request {
    Request { is_redelivered: true, ..request(handle) }
}

/// The same, of the task that acknowledges early.
pub(crate) fn early(handle: u32) -> Request {
    Request { task: Some(1), ..request(handle) }
}

/// An engine and its clocks.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
}

impl Desk {
    /// An engine whose children (all it may have) are ready, and whose first fetch is out.
    pub(crate) fn ready(config: Config) -> Desk {
        let children = config.concurrency;
        let mut desk = Desk::new(config);
        desk.tell(Event::Tick);
        for child in 0..children {
            desk.tell(Event::ChildReady { child: ChildId(child) });
        }
        desk
    }

    /// The same with a single child, 0.
    pub(crate) fn alone() -> Desk {
        Desk::ready(Config { concurrency: 1, ..config() })
    }

    /// An engine at rest.
    pub(crate) fn new(config: Config) -> Desk {
        Desk { engine: Engine::new(config), now: Now { mono_us: 0, wall_ms: START_MS } }
    }

    /// One with a single child that knows task 0 as a no-op: its window is open.
    pub(crate) fn with_known_no_op() -> Desk {
        Desk::knowing(1, Config { concurrency: 1, ..config() })
    }

    /// One that has seen 200 runs of task 0, all of them as long.
    pub(crate) fn knowing(runtime_us: u64, config: Config) -> Desk {
        let mut desk = Desk::ready(config);
        for handle in 0..200 {
            let (child, number, _) = dispatches(&desk.deliver([request(handle)]))[0].clone();
            desk.tell(Event::Ended { child: ChildId(child), number, outcome: Outcome::Success, runtime_us });
            desk.tell(Event::Settled { handle: Handle(handle) });
        }
        desk
    }

    /// One fact, and what the engine makes of it.
    pub(crate) fn tell(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.engine.handle(self.now, event, &mut actions);
        actions
    }

    /// The answer to a fetch, asking for one first if none is out.
    pub(crate) fn deliver(&mut self, requests: impl IntoIterator<Item = Request>) -> Vec<Action> {
        self.tell(Event::Wake);
        self.tell(Event::Delivered(requests.into_iter().collect()))
    }

    /// A task ended after a microsecond.
    pub(crate) fn ended(&mut self, child: u32, number: Number, outcome: Outcome) -> Vec<Action> {
        self.tell(Event::Ended { child: ChildId(child), number, outcome, runtime_us: 1 })
    }

    /// A child died, or was killed: nobody knows.
    pub(crate) fn died(&mut self, child: u32, next: Number) -> Vec<Action> {
        self.tell(Event::ChildExited { child: ChildId(child), next, by_itself: false })
    }

    /// A child's page: the task claimed last runs since `since_us`.
    pub(crate) fn observed(&mut self, child: u32, next: Number, since_us: u64) -> Vec<Action> {
        self.tell(Event::Observed { child: ChildId(child), next, running_since_us: Some(since_us) })
    }

    /// Time passes on both clocks, and a tick comes.
    pub(crate) fn pass(&mut self, mono_us: u64) -> Vec<Action> {
        self.now.mono_us += mono_us;
        self.now.wall_ms += (mono_us / 1_000) as i64;
        self.tell(Event::Tick)
    }
}

/// The dispatches: to whom, from which number, what.
pub(crate) fn dispatches(actions: &[Action]) -> Vec<(u32, Number, Vec<u32>)> {
    let dispatch = |action: &Action| match action {
        Action::Dispatch { child, first, handles, .. } => {
            Some((child.0, *first, handles.iter().map(|handle| handle.0).collect()))
        }
        _ => None,
    };
    actions.iter().filter_map(dispatch).collect()
}

/// The endings, by handle.
pub(crate) fn endings(actions: &[Action]) -> Vec<(u32, Ending)> {
    let ending = |action: &Action| match action {
        Action::Settle { handle, ending } => Some((handle.0, ending.clone())),
        _ => None,
    };
    actions.iter().filter_map(ending).collect()
}

/// How many the engine asks for.
pub(crate) fn fetched(actions: &[Action]) -> Option<u32> {
    actions.iter().find_map(|action| match action {
        Action::Fetch { max, .. } => Some(*max),
        _ => None,
    })
}
