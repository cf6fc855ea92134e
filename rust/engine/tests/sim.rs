//! Random schedules and faults against the promises. The number of schedules is `FASTWORKER_SIM_SCHEDULES` (20,000 in
//! release, 1,000 in debug); one seed is replayed with a trace by `FASTWORKER_SIM_SEED`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastworker_engine::sim::{self, Message, Place, Report};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, trace: bool) -> Report {
    match catch_unwind(AssertUnwindSafe(|| sim::run(seed, trace))) {
        Ok(Ok(report)) => report,
        Ok(Err(violation)) => panic!("seed {seed}: {violation}"),
        Err(_) => panic!("seed {seed}: the engine or the simulator panicked"),
    }
}

#[test]
fn promises_hold_in_every_schedule() {
    if let Some(seed) = number("FASTWORKER_SIM_SEED") {
        run(seed, true);
        return;
    }
    let default = if cfg!(debug_assertions) { 1_000 } else { 20_000 };
    let schedules = number("FASTWORKER_SIM_SCHEDULES").unwrap_or(default);
    let first = number("FASTWORKER_SIM_FIRST").unwrap_or(0);
    let (mut steps, mut recalled, mut returned, mut lost) = (0, 0, 0, 0);
    for seed in first..first + schedules {
        let report = run(seed, false);
        steps += report.steps;
        recalled += report.counters.recalled;
        returned += report.counters.returned;
        lost += report.counters.worker_lost;
        (0..report.messages.len()).for_each(|index| check_end(seed, index, &report));
    }
    println!("{schedules} schedules, {steps} steps: {recalled} recalled, {returned} returned, {lost} worker lost");
}

/// A message is started as often as it may be, and ends where it should.
fn check_end(seed: u64, index: usize, report: &Report) {
    let message: &Message = &report.messages[index];
    let options = message.letter.task.map(|task| &report.config.tasks[task as usize]);
    let acks_late = options.is_none_or(|options| options.acks_late);
    let most = report.config.max_deliveries;
    let starts = message.starts.saturating_sub(message.excused);
    assert!(most == 0 || starts <= most, "seed {seed}: message {index} was started {starts} times: {message:?}");
    assert!(message.place != Place::LostByChoice || !acks_late, "seed {seed}: message {index} was lost: {message:?}");
    let was_taken = message.excused >= 100;
    let may_end_unstarted = message.letter.expires_ms.is_some() || was_taken || message.letter.task.is_none();
    assert!(
        message.starts > 0 || may_end_unstarted || !acks_late,
        "seed {seed}: message {index} ended without a start: {message:?}"
    );
}
