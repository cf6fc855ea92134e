//! Rate limits of this worker.

use fastworker_engine::{Action, Config, Ending, Event, Handle, Outcome, Rate, Request, Shutdown};

use crate::desk::{Desk, START_MS, config, dispatches, endings, request};

/// A worker with two children in which task 0 may start ten times a second; task 1 as often as it likes.
fn limited() -> Desk {
    let mut config = config();
    config.tasks[0].rate = Rate::per_second(10.0);
    config.tasks[1].acks_late = true;
    Desk::ready(config)
}

fn unlimited(handle: u32) -> Request {
    Request { task: Some(1), ..request(handle) }
}

/// Who was started, in order.
fn started(actions: &[Action]) -> Vec<u32> {
    dispatches(actions).into_iter().flat_map(|(_, _, handles)| handles).collect()
}

#[test]
fn second_start_waits_for_its_permit() {
    let mut desk = limited();
    assert_eq!(started(&desk.deliver([request(1), request(2)])), [1]);
    assert_eq!(desk.engine.stats().limited, 1);
    assert_eq!(desk.engine.deadline(), Some(100_000));
    assert_eq!(started(&desk.pass(99_999)), [0_u32; 0]);
    assert_eq!(started(&desk.pass(1)), [2]);
}

#[test]
fn limited_tasks_do_not_block_those_behind_them() {
    let mut desk = limited();
    assert_eq!(started(&desk.deliver([request(1), request(2), request(3), unlimited(4)])), [1, 4]);
}

#[test]
fn no_more_wait_for_permits_here_than_a_quarter_of_the_prefetch() {
    let mut config = Config { prefetch: 8, ..config() };
    config.tasks[0].rate = Rate::per_second(10.0);
    let mut desk = Desk::ready(config);
    assert_eq!(endings(&desk.deliver((1..=5).map(request))), [(4, Ending::Lane), (5, Ending::Lane)]);
}

#[test]
fn one_that_comes_when_a_permit_has_just_fallen_due_overtakes_nobody() {
    let mut desk = limited();
    desk.deliver([request(1), request(9)]);
    desk.now.mono_us += 100_000;
    assert_eq!(started(&desk.deliver([request(3)])), []);
    assert_eq!(started(&desk.pass(0)), [9], "first come, first served");
}

#[test]
fn urgent_one_has_the_next_permit() {
    let mut desk = limited();
    let urgent = Request { priority: 0, ..request(3) };
    let patient = |handle| Request { priority: 9, ..request(handle) };
    desk.deliver([patient(1), patient(2), urgent]);
    assert_eq!(started(&desk.pass(100_000)), [3]);
}

#[test]
fn eta_comes_before_the_permit() {
    let mut desk = limited();
    let later = |handle| Request { eta_ms: Some(START_MS + 1_000), ..request(handle) };
    desk.deliver([later(1), later(2)]);
    assert_eq!(started(&desk.pass(1_000_000)), [1]);
    assert_eq!(started(&desk.pass(100_000)), [2]);
}

#[test]
fn one_that_expires_while_it_waits_is_not_run() {
    let mut desk = limited();
    let short = Request { expires_ms: Some(START_MS + 50), ..request(2) };
    desk.deliver([request(1), short]);
    assert_eq!(endings(&desk.pass(100_000)), [(2, Ending::Expired)]);
}

#[test]
fn limit_can_be_changed_lifted_and_set_again() {
    let mut desk = limited();
    let actions = desk.deliver([request(1), request(2), request(3)]);
    desk.ended(dispatches(&actions)[0].0, 0, Outcome::Success);
    desk.tell(Event::RateLimit { task: 0, limit: Rate::per_second(100.0) });
    assert_eq!(desk.engine.deadline(), Some(10_000));
    assert_eq!(started(&desk.pass(10_000)), [2]);
    let actions = desk.tell(Event::RateLimit { task: 0, limit: None });
    assert_eq!(started(&actions), [3]);
    assert_eq!(desk.engine.stats().limited, 0);
}

#[test]
fn limit_of_an_unknown_task_is_odd() {
    let mut desk = limited();
    desk.tell(Event::RateLimit { task: 99, limit: None });
    assert_eq!(desk.engine.stats().counters.odd, 1);
}

#[test]
fn child_that_dies_costs_no_second_permit() {
    let mut desk = limited();
    let actions = desk.deliver([request(1), request(2)]);
    let actions = desk.died(dispatches(&actions)[0].0, 1);
    let records = |action: &&Action| matches!(action, Action::RecordAttempt { handle: Handle(1), .. });
    assert_eq!(actions.iter().filter(records).count(), 1, "it is run again at once");
}

#[test]
fn lost_lease_leaves_the_line() {
    let mut desk = limited();
    desk.deliver([request(1), request(2), request(3)]);
    desk.tell(Event::LeaseLost { handle: Handle(2) });
    assert_eq!((desk.engine.stats().limited, desk.engine.stats().counters.lost), (1, 1));
    assert_eq!(started(&desk.pass(100_000)), [3]);
}

#[test]
fn shutdown_returns_who_waits_for_a_permit() {
    let mut desk = limited();
    desk.deliver([request(1), request(2), request(3)]);
    let actions = desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!(endings(&actions), [(3, Ending::Return), (2, Ending::Return)]);
}

#[test]
fn no_limit_costs_no_tick() {
    let mut desk = Desk::ready(Config { concurrency: 1, ..config() });
    desk.deliver([request(1)]);
    assert_eq!(desk.engine.stats().limited, 0);
}
