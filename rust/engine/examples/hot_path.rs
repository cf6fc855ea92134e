//! What the engine costs a task: Delivered → Dispatch → Ended → Settle → Settled, in batches, as in a drain of no-ops.
//! `cargo run --release -p fastworker-engine --example hot_path`: nanoseconds a task for some numbers of children. With
//! two numbers, tasks and children, it drains once: to count instructions under `valgrind --tool=callgrind`.

use std::collections::VecDeque;
use std::env::args;
use std::hint::black_box;
use std::time::Instant;

use fastworker_engine::{
    Action, ChildId, Config, Engine, Event, Handle, Now, Outcome, QueueTerms, Request, Scope, TaskOptions,
};

const TASKS: u64 = 2_000_000;

fn main() {
    let numbers: Vec<u32> = args().skip(1).map(|text| text.parse().expect("a number")).collect();
    if let [tasks, concurrency] = numbers[..] {
        println!("{concurrency:>3} children: {:.0} ns/task", drain(concurrency, u64::from(tasks)));
        return;
    }
    for concurrency in [1, 2, 8, 64] {
        let mut rounds: Vec<_> = (0..5).map(|_| drain(concurrency, TASKS)).collect();
        rounds.sort_by(f64::total_cmp);
        println!("{concurrency:>3} children: {:.0} ns/task (of 5: {rounds:.0?})", rounds[2]);
    }
}

/// Runs no-ops through an engine; nanoseconds for each, the driver's mimicry below included.
fn drain(concurrency: u32, tasks: u64) -> f64 {
    let prefetch = 512.max(concurrency * 128);
    let mut engine = Engine::new(config(concurrency, prefetch));
    let mut free: Vec<u32> = (0..prefetch).collect();
    let mut sent: Vec<VecDeque<(u32, Handle)>> = vec![VecDeque::new(); concurrency as usize];
    let (mut actions, mut todo) = (Vec::new(), VecDeque::from([Event::Tick]));
    let (mut delivered, mut settled) = (0, 0);
    let mut now = Now { mono_us: 0, wall_ms: 0 };
    let start = Instant::now();
    while settled < tasks {
        let event = todo.pop_front().unwrap_or_else(|| {
            now.mono_us += 20;
            next_end(&mut sent)
        });
        settled += u64::from(matches!(event, Event::Settled { .. }));
        engine.handle(now, event, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Spawn { child } => todo.push_back(Event::ChildReady { child }),
                Action::Fetch { max, .. } => {
                    delivered += u64::from(max);
                    let handles = (0..max).map(|_| free.pop().expect("held stays within the prefetch"));
                    todo.push_back(Event::Delivered(handles.map(request).collect()));
                }
                Action::Dispatch { child, first, handles, .. } => {
                    sent[child.0 as usize].extend((first..).zip(handles));
                }
                Action::Settle { handle, .. } => {
                    free.push(handle.0);
                    todo.push_back(Event::Settled { handle });
                }
                other => panic!("not expected in a drain: {other:?}"),
            }
        }
        black_box(engine.deadline().filter(|_| todo.is_empty()));
    }
    assert!(delivered >= tasks, "everything settled was delivered");
    start.elapsed().as_nanos() as f64 / tasks as f64
}

/// The child with the most work ends its foremost task.
fn next_end(sent: &mut [VecDeque<(u32, Handle)>]) -> Event {
    let child = (0..sent.len()).max_by_key(|&child| sent[child].len()).expect("there are children");
    let (number, _) = sent[child].pop_front().expect("the engine keeps children busy");
    Event::Ended { child: ChildId(child as u32), number, outcome: Outcome::Success, runtime_us: 1 }
}

fn request(handle: u32) -> Request {
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
        size: 500,
        is_revoked: false,
    }
}

fn config(concurrency: u32, prefetch: u32) -> Config {
    let task = TaskOptions {
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
    Config {
        tasks: vec![task],
        queues: vec![QueueTerms::default()],
        concurrency,
        slots: 1,
        is_narrow: false,
        max_tasks_per_child: None,
        max_memory_per_child_kib: None,
        autoscale: None,
        prefetch,
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
