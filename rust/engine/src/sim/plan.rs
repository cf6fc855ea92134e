//! What one schedule is made of: a configuration, messages and how they behave, and which faults may strike.

use super::rng::Rng;
use crate::admit::Rate;
use crate::config::{Autoscale, Config, TaskOptions};
use crate::event::Outcome;

/// How long the tasks of one type run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// 1 to 30 µs.
    NoOp,
    /// 0.2 to 0.9 ms.
    Short,
    /// 1 to 20 ms.
    Medium,
    /// 0.1 to 4 s.
    Slow,
    /// Mostly no-ops, one in ten slow.
    Mixed,
}

/// What the task of one message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Ends with this.
    Ends(Outcome),
    /// Kills its process every time.
    Kills,
    /// Kills its process the first time, then succeeds.
    KillsOnce,
    /// Runs for ever, until somebody kills it.
    Hangs,
}

/// One message to publish.
#[derive(Clone, Debug)]
pub struct Letter {
    /// When it is published (`mono_us`).
    pub at_us: u64,
    /// Index into the tasks; `None` for an unknown one.
    pub task: Option<u32>,
    /// Its queue.
    pub queue: u16,
    /// Its priority.
    pub priority: u8,
    /// Milliseconds after publishing.
    pub countdown_ms: Option<i64>,
    /// Milliseconds after publishing.
    pub expires_ms: Option<i64>,
    /// Seconds.
    pub soft_limit_s: Option<f64>,
    /// Seconds.
    pub hard_limit_s: Option<f64>,
    /// Microseconds it runs.
    pub runtime_us: u64,
    /// What it does.
    pub deed: Deed,
    /// Bytes.
    pub size: u32,
}

/// Which faults may strike, in percent a fault round (every 20 ms or so).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A child is killed at a random moment.
    pub kill_child: u64,
    /// A child dies before it is ready.
    pub stillbirth: u64,
    /// The broker goes away for a while.
    pub broker_lost: u64,
    /// The leases are at risk for a while.
    pub lease_at_risk: u64,
    /// One lease is taken away.
    pub lost_lease: u64,
    /// The wall clock is set.
    pub clock_jump: u64,
    /// The supervisor is killed and started again.
    pub crash: u64,
    /// Somebody resizes the pool.
    pub resize: u64,
    /// A shutdown is asked for; afterwards a new worker starts.
    pub shutdown: u64,
    /// A task type gets another rate limit, or none.
    pub rate_limit: u64,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For the engine.
    pub config: Config,
    /// By task index.
    pub paces: Vec<Pace>,
    /// In order of time.
    pub letters: Vec<Letter>,
    /// Until `calm_from_us`.
    pub faults: Faults,
    /// No faults from then on.
    pub calm_from_us: u64,
    /// Longest delay of an answer, in microseconds.
    pub slowness_us: u64,
}

impl Plan {
    /// A random schedule.
    pub fn random(rng: &mut Rng) -> Plan {
        // A quarter of the schedules are rushes: few types, many short tasks, so that windows open and recalls race.
        let is_rush = rng.chance(25);
        let choices = if is_rush {
            [Pace::NoOp, Pace::Mixed, Pace::Mixed, Pace::Mixed, Pace::Short]
        } else {
            [Pace::NoOp, Pace::Short, Pace::Medium, Pace::Slow, Pace::Mixed]
        };
        let types = if is_rush { rng.range(1, 2) } else { rng.range(1, 4) };
        let paces: Vec<_> = (0..types).map(|_| rng.pick(&choices)).collect();
        let concurrency = rng.range(1, 4) as u32;
        let queues = rng.range(1, 3) as u16;
        let config = Config {
            tasks: paces.iter().map(|_| options(rng)).collect(),
            queues,
            concurrency,
            max_tasks_per_child: rng.pick(&[None, None, None, Some(1), Some(3), Some(40)]),
            max_memory_per_child_kib: rng.pick(&[None, None, None, None, Some(50), Some(950)]),
            autoscale: rng.chance(20).then(|| Autoscale {
                max: concurrency + rng.range(0, 3) as u32,
                min: concurrency,
                keepalive_us: rng.pick(&[20_000, 400_000, 3_000_000]),
            }),
            prefetch: concurrency * if is_rush { 32 } else { rng.pick(&[1, 2, 4, 16]) },
            window_bytes: rng.pick(&[300, 4_000, 1 << 20]),
            window_max: rng.pick(&[1, 4, 256]),
            max_deliveries: rng.pick(&[0, 1, 3, 3]),
            eta_horizon_ms: rng.pick(&[50, 2_000]),
            return_after_us: 1_000_000,
        };
        let is_faulty = rng.chance(80);
        let faults = if is_faulty { faults(rng) } else { Faults::default() };
        let count = if is_rush { rng.range(100, 400) } else { rng.pick(&[5, 20, 60, 150]) };
        let spread_us = rng.pick(&[0, 20_000, 400_000]);
        let is_nasty = rng.chance(50);
        let mut letters: Vec<_> =
            (0..count).map(|_| letter(rng, &paces, queues, spread_us, is_nasty, config.max_deliveries)).collect();
        letters.sort_by_key(|letter| letter.at_us);
        Plan {
            config,
            paces,
            letters,
            faults,
            calm_from_us: rng.range(1, 600_000),
            slowness_us: rng.pick(&[20, 300, 5_000]),
        }
    }
}

fn options(rng: &mut Rng) -> TaskOptions {
    TaskOptions {
        acks_late: rng.chance(75),
        acks_on_failure: rng.chance(50),
        soft_limit_s: rng.chance(15).then_some(0.05),
        hard_limit_s: rng.chance(15).then_some(0.3),
        rate: if rng.chance(25) { random_rate(rng) } else { None },
    }
}

/// From one in four seconds to more than a tick can hand out one by one.
pub(super) fn random_rate(rng: &mut Rng) -> Option<Rate> {
    Rate::per_second(rng.pick(&[0.25, 5.0, 50.0, 900.0, 20_000.0]))
}

fn faults(rng: &mut Rng) -> Faults {
    let mut maybe = |percent| if rng.chance(50) { percent } else { 0 };
    Faults {
        kill_child: maybe(15),
        stillbirth: maybe(20),
        broker_lost: maybe(5),
        lease_at_risk: maybe(5),
        lost_lease: maybe(10),
        clock_jump: maybe(4),
        crash: maybe(3),
        resize: maybe(5),
        shutdown: maybe(4),
        rate_limit: maybe(5),
    }
}

fn letter(rng: &mut Rng, paces: &[Pace], queues: u16, spread_us: u64, is_nasty: bool, max_deliveries: u32) -> Letter {
    let task = rng.range(0, paces.len() as u64 - 1) as u32;
    let mut letter = Letter {
        at_us: rng.range(0, spread_us),
        task: Some(task),
        queue: rng.range(0, u64::from(queues) - 1) as u16,
        priority: rng.pick(&[0, 0, 0, 3, 9]),
        countdown_ms: None,
        expires_ms: None,
        soft_limit_s: None,
        hard_limit_s: None,
        runtime_us: runtime(rng, paces[task as usize]),
        deed: Deed::Ends(Outcome::Success),
        size: rng.pick(&[100, 100, 5_000]),
    };
    if !is_nasty {
        return letter;
    }
    match rng.range(0, 19) {
        0 => letter.task = None,
        1 | 2 => letter.countdown_ms = Some(rng.range(0, 5_000) as i64 - 100),
        3 => letter.expires_ms = Some(rng.range(0, 300) as i64),
        4 if max_deliveries > 0 => letter.deed = Deed::Kills,
        5 => letter.deed = Deed::KillsOnce,
        6 => {
            letter.deed = Deed::Hangs;
            letter.soft_limit_s = rng.chance(50).then_some(0.02);
            letter.hard_limit_s = Some(rng.pick(&[0.02, 0.2, 1.5]));
        }
        7 => letter.deed = Deed::Ends(Outcome::Failure),
        8 => letter.deed = Deed::Ends(Outcome::Retry),
        9 => letter.deed = Deed::Ends(Outcome::Ignore),
        10 => letter.deed = Deed::Ends(Outcome::Poison),
        11 => {
            let requeue = rng.chance(50);
            letter.deed = Deed::Ends(Outcome::Reject { requeue });
        }
        _ => {}
    }
    letter
}

fn runtime(rng: &mut Rng, pace: Pace) -> u64 {
    match pace {
        Pace::NoOp => rng.range(1, 30),
        Pace::Short => rng.range(200, 900),
        Pace::Medium => rng.range(1_000, 20_000),
        Pace::Slow => rng.range(100_000, 4_000_000),
        Pace::Mixed if rng.chance(10) => rng.range(20_000, 500_000),
        Pace::Mixed => rng.range(1, 30),
    }
}
