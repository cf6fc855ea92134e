//! Time limits.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Handle, Outcome, Request};

use crate::desk::{Desk, config, dispatches, early, endings, request};

fn limited(soft_s: Option<f64>, hard_s: Option<f64>) -> Desk {
    let mut desk = Desk::alone();
    desk.deliver([Request { soft_limit_s: soft_s, hard_limit_s: hard_s, ..request(1) }]);
    desk
}

#[test]
fn soft_limit_is_sent_once_when_it_is_over() {
    let mut desk = limited(Some(0.5), None);
    let signal = Action::SoftLimit { child: ChildId(0), number: 0, limit_ms: 500 };
    assert_eq!(desk.engine.deadline(), Some(500_000));
    desk.pass(500_000);
    assert!(desk.observed(0, 1, 10_000).is_empty());
    assert_eq!(desk.engine.deadline(), Some(510_000));
    desk.pass(10_000);
    assert_eq!(desk.observed(0, 1, 10_000), [signal]);
    desk.pass(10_000);
    assert!(desk.observed(0, 1, 10_000).is_empty());
}

#[test]
fn hard_limit_kills_and_ends_the_task_when_the_child_is_gone() {
    let mut desk = limited(None, Some(0.5));
    desk.pass(500_000);
    let actions = desk.observed(0, 1, 0);
    assert_eq!(actions.last(), Some(&Action::Kill { child: ChildId(0) }));
    let actions = desk.died(0, 1);
    assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 500, acked_early: false })]);
}

#[test]
fn successor_is_started_when_the_killed_process_is_gone_and_not_before() {
    let mut desk = limited(None, Some(0.5));
    desk.pass(500_000);
    let spawn = Action::Spawn { child: ChildId(1) };
    assert!(!desk.observed(0, 1, 0).contains(&spawn) && !desk.pass(1_000).contains(&spawn), "it may still run");
    assert!(desk.died(0, 1).contains(&spawn));
}

#[test]
fn outcome_that_arrives_before_the_exit_wins_over_the_hard_limit() {
    let mut desk = limited(None, Some(0.5));
    desk.pass(500_000);
    desk.observed(0, 1, 0);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert_eq!(endings(&actions), [(1, Ending::AsReported { acked_early: false })]);
    assert!(endings(&desk.died(0, 1)).is_empty());
}

#[test]
fn task_that_has_not_started_has_no_limit() {
    let mut desk = limited(Some(0.1), Some(0.2));
    desk.pass(900_000);
    let child = ChildId(0);
    let page = fastworker_engine::Event::Observed { child, next: 0, running_since_us: None };
    assert!(desk.tell(page).is_empty());
}

#[test]
fn neighbours_of_a_killed_task_run_untouched() {
    let mut desk = Desk::with_known_no_op();
    desk.deliver([Request { hard_limit_s: Some(0.001), ..request(1) }, request(2), request(3)]);
    desk.pass(1_000);
    let actions = desk.observed(0, 201, 0);
    let stacks = Action::DumpStacks { child: ChildId(0), number: Some(200) };
    let recall_then_kill = [Action::Recall { child: ChildId(0) }, stacks, Action::Kill { child: ChildId(0) }];
    assert_eq!(actions, recall_then_kill);
    desk.tell(fastworker_engine::Event::Recalled { child: ChildId(0), from: 201 });
    let actions = desk.died(0, 203);
    assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 1, acked_early: false })]);
    let ready = fastworker_engine::Event::ChildReady { child: ChildId(1) };
    assert_eq!(dispatches(&desk.tell(ready)), [(1, 0, vec![2, 3])]);
}

#[test]
fn task_whose_time_outs_are_not_acknowledged_runs_again_a_bounded_number_of_times() {
    let mut config = Config { concurrency: 1, ..config() };
    config.tasks[0].acks_on_timeout = false;
    let mut desk = Desk::ready(config);
    desk.deliver([Request { hard_limit_s: Some(0.5), ..request(1) }]);
    for attempt in 1..=3 {
        let child = attempt - 1;
        desk.pass(500_000);
        let actions = desk.observed(child, 1, 0);
        assert_eq!(actions.last(), Some(&Action::Kill { child: ChildId(child) }));
        let actions = desk.died(child, 1);
        if attempt == 3 {
            assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 500, acked_early: false })]);
        } else {
            assert!(endings(&actions).is_empty());
            desk.tell(Event::ChildReady { child: ChildId(attempt) });
            desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: attempt + 1 });
        }
    }
}

#[test]
fn task_that_was_acknowledged_early_is_never_run_again_for_its_limit() {
    let mut config = Config { concurrency: 1, ..config() };
    config.tasks[1].acks_on_timeout = false;
    let mut desk = Desk::ready(config);
    desk.deliver([Request { hard_limit_s: Some(0.5), ..early(1) }]);
    desk.tell(Event::Settled { handle: Handle(1) });
    desk.pass(500_000);
    desk.observed(0, 1, 0);
    assert_eq!(endings(&desk.died(0, 1)), [(1, Ending::TimeLimit { limit_ms: 500, acked_early: true })]);
}
