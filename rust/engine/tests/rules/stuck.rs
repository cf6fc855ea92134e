//! Children that do not answer.

use fastworker_engine::{Action, ChildId, Config, Event, Outcome, Shutdown};

use crate::desk::{Desk, config, request};

fn patient(start_s: u64) -> Config {
    Config { concurrency: 1, start_timeout_us: Some(start_s * 1_000_000), ..config() }
}

fn dump(number: Option<u32>) -> Action {
    Action::DumpStacks { child: ChildId(0), number }
}

const KILL: Action = Action::Kill { child: ChildId(0) };

#[test]
fn child_that_never_gets_ready_says_where_it_is_is_killed_and_replaced() {
    let mut desk = Desk::new(patient(4));
    desk.tell(Event::Tick);
    assert!(!desk.pass(9_000_000).contains(&KILL), "it has no process yet");
    desk.tell(Event::ChildForked { child: ChildId(0) });
    assert_eq!(desk.engine.deadline(), Some(13_000_000));
    assert_eq!(desk.pass(4_000_000)[..2], [dump(None), KILL]);
    assert!(desk.died(0, 0).contains(&Action::Spawn { child: ChildId(1) }));
}

#[test]
fn child_that_got_ready_in_time_is_left_alone() {
    let mut desk = Desk::new(patient(4));
    desk.tell(Event::Tick);
    desk.tell(Event::ChildForked { child: ChildId(0) });
    desk.tell(Event::ChildReady { child: ChildId(0) });
    assert!(!desk.pass(60_000_000).contains(&KILL));
}

#[test]
fn child_that_does_not_exit_when_told_to_is_killed() {
    let mut desk = Desk::ready(Config { concurrency: 1, max_tasks_per_child: Some(1), ..config() });
    desk.deliver([request(1)]);
    desk.ended(0, 0, Outcome::Success);
    assert!(!desk.pass(9_000_000).contains(&KILL));
    assert!(desk.pass(1_000_000).contains(&KILL));
}

#[test]
fn stacks_of_a_task_that_runs_for_very_long_are_asked_for_once() {
    let mut desk = Desk::ready(Config { concurrency: 1, stacks_after_us: Some(3_000_000), ..config() });
    desk.deliver([request(1)]);
    desk.pass(2_000_000);
    assert!(!desk.observed(0, 1, 0).contains(&dump(Some(0))));
    desk.pass(1_000_000);
    assert!(desk.observed(0, 1, 0).contains(&dump(Some(0))));
    desk.pass(1_000_000);
    assert!(!desk.observed(0, 1, 0).contains(&dump(Some(0))));
}

#[test]
fn child_that_was_killed_before_it_had_a_process_is_killed_when_it_has_one() {
    let mut desk = Desk::new(patient(4));
    desk.tell(Event::Tick);
    desk.tell(Event::Shutdown(Shutdown::Cold));
    assert_eq!(desk.tell(Event::ChildForked { child: ChildId(0) }), [KILL]);
}
