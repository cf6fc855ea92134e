//! What one schedule is made of: a configuration, messages and how they behave, and the accidents that strike.
//!
//! A new kind of message is one more entry of [`KINDS`]; a new accident is one more variant of `faults::Fault`.

use super::faults::Fault;
use super::rng::Rng;
use crate::admit::Rate;
use crate::config::{Autoscale, BatchTerms, Config, QueueTerms, Scope, TaskOptions};
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
    /// Asks to be tried again so many times, then succeeds: each try is a message of its own.
    Retries(u32),
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
    /// What a shared rate limit counts by.
    pub key: u64,
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

impl Letter {
    /// A message of the first task type on the first queue, published at once, that succeeds.
    pub fn plain(runtime_us: u64) -> Letter {
        Letter {
            at_us: 0,
            task: Some(0),
            queue: 0,
            key: 0,
            priority: 0,
            countdown_ms: None,
            expires_ms: None,
            soft_limit_s: None,
            hard_limit_s: None,
            runtime_us,
            deed: Deed::Ends(Outcome::Success),
            size: 100,
        }
    }
}

/// One accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accident {
    /// When it strikes (`mono_us`). Those that hit a broker operation, an action or a publisher strike the next one.
    pub at_us: u64,
    /// What it is.
    pub fault: Fault,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For the engines.
    pub config: Config,
    /// By task index.
    pub paces: Vec<Pace>,
    /// In order of time.
    pub letters: Vec<Letter>,
    /// In order of time.
    pub accidents: Vec<Accident>,
    /// No accidents from then on.
    pub calm_from_us: u64,
    /// Longest delay of an answer, in microseconds.
    pub slowness_us: u64,
    /// Worker nodes that share the broker.
    pub nodes: usize,
    /// The life of a lease, in microseconds.
    pub life_us: u64,
    /// The broker confirms an acknowledgement that it knows nothing of (Redis), instead of calling the lease lost
    /// (SQLite).
    pub confirms_blindly: bool,
    /// The broker brings some of what it has, and says that there is more (RabbitMQ, while the rest is on its way).
    pub brings_some: bool,
}

impl Plan {
    /// One node, no accidents.
    pub fn quiet(config: Config, letters: Vec<Letter>) -> Plan {
        Plan {
            paces: vec![Pace::NoOp; config.tasks.len()],
            config,
            letters,
            accidents: Vec::new(),
            calm_from_us: 0,
            slowness_us: 100,
            nodes: 1,
            life_us: 1_000_000,
            confirms_blindly: true,
            brings_some: false,
        }
    }

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
        let has_terms = rng.chance(30);
        let mut config = Config {
            tasks: paces.iter().map(|_| options(rng)).collect(),
            queues: (0..queues).map(|_| if has_terms { terms(rng) } else { QueueTerms::default() }).collect(),
            concurrency,
            slots: if rng.chance(35) { rng.pick(&[2, 4, 9, 100]) } else { 1 },
            is_narrow: false,
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
            batch_bytes: 0,
            start_timeout_us: rng.pick(&[Some(50_000), Some(4_000_000)]),
            stacks_after_us: rng.pick(&[None, Some(1_000), Some(1_000_000)]),
            blocked_after_us: rng.pick(&[None, Some(10_000), Some(1_000_000)]),
            warm_timeout_us: rng.pick(&[None, Some(1_000), Some(300_000), Some(3_000_000)]),
            soft_timeout_us: rng.pick(&[0, 1_000, 500_000]),
            soft_waits_when_idle: rng.chance(30),
            max_deliveries: rng.pick(&[0, 1, 3, 3]),
            eta_horizon_ms: rng.pick(&[50, 2_000]),
            return_after_us: 1_000_000,
        };
        if config.max_deliveries == 0 {
            // Without a bound, a task that always runs over its limit would run for ever, as the user asked.
            config.tasks.iter_mut().for_each(|task| task.acks_on_timeout = true);
        }
        config.is_narrow = config.slots == 2;
        config.batch_bytes = u64::from(config.window_bytes);
        let count = if is_rush { rng.range(100, 400) } else { rng.pick(&[5, 20, 60, 150]) };
        let spread_us = rng.pick(&[0, 20_000, 400_000]);
        let is_nasty = rng.chance(50);
        let mut letters: Vec<_> =
            (0..count).map(|_| letter(rng, &paces, queues, spread_us, is_nasty, config.max_deliveries)).collect();
        letters.sort_by_key(|letter| letter.at_us);
        let longest_us = rng.pick(&[50_000, 600_000, 600_000, 2_000_000]);
        let calm_from_us = rng.range(1, longest_us);
        let accidents = if rng.chance(80) { accidents(rng, &letters, calm_from_us) } else { Vec::new() };
        Plan {
            config,
            paces,
            letters,
            accidents,
            calm_from_us,
            slowness_us: rng.pick(&[20, 300, 5_000]),
            nodes: rng.pick(&[1, 2, 2]),
            life_us: rng.pick(&[300_000, 1_000_000]),
            confirms_blindly: rng.chance(50),
            brings_some: rng.chance(30),
        }
    }
}

fn options(rng: &mut Rng) -> TaskOptions {
    TaskOptions {
        acks_late: rng.chance(75),
        acks_on_failure: rng.chance(50),
        acks_on_timeout: rng.chance(70),
        runs_again_when_lost: rng.chance(80),
        soft_limit_s: rng.chance(15).then_some(0.05),
        hard_limit_s: rng.chance(15).then_some(0.3),
        rate: if rng.chance(25) { random_rate(rng) } else { None },
        has_lanes: rng.chance(20),
        rate_scope: if rng.chance(50) { Scope::Shared } else { Scope::Worker },
        batch: rng.chance(30).then(|| BatchTerms {
            most: rng.pick(&[1, 2, 3, 10, 40]),
            wait_us: rng.pick(&[0, 1_000, 50_000, 300_000]),
        }),
    }
}

fn terms(rng: &mut Rng) -> QueueTerms {
    QueueTerms { limit: rng.pick(&[None, Some(1), Some(1), Some(2), Some(6)]), weight: rng.pick(&[1, 1, 2, 5]) }
}

/// From one in four seconds to more than a tick can hand out one by one.
pub(super) fn random_rate(rng: &mut Rng) -> Option<Rate> {
    Rate::per_second(rng.pick(&[0.25, 5.0, 50.0, 900.0, 20_000.0]))
}

/// Accidents of some kinds, half of them just after a message was published, when there is something to hit.
fn accidents(rng: &mut Rng, letters: &[Letter], calm_from_us: u64) -> Vec<Accident> {
    let kinds: Vec<Fault> = Fault::ALL.into_iter().filter(|_| rng.chance(40)).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let most = rng.pick(&[1, 4, 12, 40]);
    let mut accidents: Vec<_> = (0..rng.range(1, most))
        .map(|_| {
            let published_us = letters[rng.range(0, letters.len() as u64 - 1) as usize].at_us;
            let near_us = published_us + rng.range(0, 30_000);
            let at_us = if rng.chance(50) { near_us } else { rng.range(0, calm_from_us) };
            Accident { at_us: at_us.min(calm_from_us), fault: rng.pick(&kinds) }
        })
        .collect();
    accidents.sort_by_key(|accident| accident.at_us);
    accidents
}

fn letter(rng: &mut Rng, paces: &[Pace], queues: u16, spread_us: u64, is_nasty: bool, max_deliveries: u32) -> Letter {
    let task = rng.range(0, paces.len() as u64 - 1) as u32;
    let mut letter = Letter {
        at_us: rng.range(0, spread_us),
        task: Some(task),
        queue: rng.range(0, u64::from(queues) - 1) as u16,
        key: rng.pick(&[0, 0, 1, 2]),
        priority: rng.pick(&[0, 0, 0, 3, 9]),
        size: rng.pick(&[100, 100, 5_000]),
        ..Letter::plain(runtime(rng, paces[task as usize]))
    };
    // The nasty half of a nasty schedule; the rest is plain.
    if is_nasty && rng.chance(60) {
        rng.pick(KINDS)(&mut letter, rng, max_deliveries);
    }
    letter
}

/// Makes a plain message one of a kind. The last argument is `Config::max_deliveries`.
type Kind = fn(&mut Letter, &mut Rng, u32);

/// The kinds of messages beside the plain ones, each as likely as the others.
const KINDS: &[Kind] = &[
    |letter, _, _| letter.task = None,
    |letter, rng, _| letter.countdown_ms = Some(rng.range(0, 5_000) as i64 - 100),
    |letter, rng, _| letter.countdown_ms = Some(rng.range(0, 400) as i64),
    |letter, rng, _| letter.expires_ms = Some(rng.range(0, 300) as i64),
    // Without a bound on deliveries, what kills every time would never end.
    |letter, _, max_deliveries| letter.deed = if max_deliveries > 0 { Deed::Kills } else { Deed::KillsOnce },
    |letter, _, _| letter.deed = Deed::KillsOnce,
    |letter, rng, _| {
        letter.deed = Deed::Hangs;
        letter.soft_limit_s = rng.chance(50).then_some(0.02);
        letter.hard_limit_s = Some(rng.pick(&[0.02, 0.2, 1.5]));
    },
    |letter, _, _| letter.deed = Deed::Ends(Outcome::Failure),
    |letter, rng, _| letter.deed = Deed::Retries(rng.range(1, 3) as u32),
    |letter, _, _| letter.deed = Deed::Ends(Outcome::Ignore),
    |letter, _, _| letter.deed = Deed::Ends(Outcome::Poison),
    |letter, rng, _| letter.deed = Deed::Ends(Outcome::Reject { requeue: rng.chance(50) }),
];

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
