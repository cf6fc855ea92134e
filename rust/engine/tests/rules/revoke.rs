//! What was revoked is not run; what runs and is to be terminated ends by its signal, and nothing else does.

use fastworker_engine::{Action, ChildId, Ending, Event, Handle, Outcome, Request};

use crate::desk::{Desk, START_MS, config, dispatches, early, endings, redelivered, request};

const TERM: i32 = 15;

fn revoke(desk: &mut Desk, handles: &[u32], terminate: Option<i32>) -> Vec<Action> {
    let handles = handles.iter().map(|&handle| Handle(handle)).collect();
    desk.tell(Event::Revoked { handles, terminate })
}

fn skipped(acked_early: bool) -> Ending {
    Ending::Revoked { terminated: None, acked_early }
}

/// A single child that runs handle 1, with 2 and 3 behind it.
fn busy() -> Desk {
    let mut desk = Desk::with_known_no_op();
    desk.deliver([request(1), request(2), request(3)]);
    desk
}

#[test]
fn request_that_comes_revoked_is_not_run() {
    let mut desk = Desk::alone();
    let actions = desk.deliver([Request { is_revoked: true, ..request(1) }]);
    assert_eq!(endings(&actions), [(1, skipped(false))]);
    assert!(dispatches(&actions).is_empty());
}

#[test]
fn ready_request_is_ended_when_it_is_revoked() {
    let mut desk = Desk::alone();
    desk.deliver([request(1), request(2)]);
    assert_eq!(endings(&revoke(&mut desk, &[2], None)), [(2, skipped(false))]);
    assert!(dispatches(&desk.ended(0, 0, Outcome::Success)).is_empty());
}

#[test]
fn request_on_the_timer_is_ended_when_it_is_revoked() {
    let mut desk = Desk::alone();
    desk.deliver([Request { eta_ms: Some(START_MS + 1_000), ..request(1) }]);
    assert_eq!(endings(&revoke(&mut desk, &[1], None)), [(1, skipped(false))]);
    assert!(dispatches(&desk.pass(2_000_000)).is_empty());
}

#[test]
fn request_in_the_early_line_is_ended_when_it_is_revoked() {
    let mut desk = Desk::alone();
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(Event::Settled { handle: Handle(number) });
        desk.ended(0, number, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(number) });
    }
    assert_eq!(endings(&desk.deliver((1..=4).map(early))), [(1, Ending::EarlyAck), (2, Ending::EarlyAck)]);
    assert_eq!(endings(&revoke(&mut desk, &[3], None)), [(3, skipped(false))]);
    desk.tell(Event::Settled { handle: Handle(1) });
    assert_eq!(endings(&desk.ended(0, 20, Outcome::Success)).last(), Some(&(4, Ending::EarlyAck)));
}

#[test]
fn early_acknowledgement_on_its_way_ends_revoked_once_it_is_confirmed() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    assert!(endings(&revoke(&mut desk, &[1], None)).is_empty());
    let actions = desk.tell(Event::Settled { handle: Handle(1) });
    assert_eq!(endings(&actions), [(1, skipped(true))]);
}

#[test]
fn redelivery_that_is_being_counted_ends_revoked_once_it_is() {
    let mut desk = Desk::alone();
    desk.deliver([redelivered(1)]);
    assert!(endings(&revoke(&mut desk, &[1], None)).is_empty());
    let actions = desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 2 });
    assert_eq!(endings(&actions), [(1, skipped(false))]);
}

#[test]
fn redelivery_that_waits_for_the_broker_is_ended_when_it_is_revoked() {
    let mut desk = Desk::alone();
    desk.tell(Event::Wake);
    desk.tell(Event::BrokerLost);
    desk.tell(Event::Delivered(vec![redelivered(1), redelivered(2)]));
    assert_eq!(endings(&revoke(&mut desk, &[1], None)), [(1, skipped(false))]);
    let actions = desk.tell(Event::BrokerBack);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(2), floor: 0 }), "{actions:?}");
}

#[test]
fn unstarted_task_at_a_child_is_recalled_and_ended() {
    let mut desk = busy();
    assert_eq!(revoke(&mut desk, &[3], None), [Action::Recall { child: ChildId(0) }]);
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    assert_eq!(endings(&actions), [(3, skipped(false))]);
    assert_eq!(dispatches(&actions), [(0, 203, vec![2])]);
}

#[test]
fn running_task_may_finish_when_nobody_wants_it_terminated() {
    let mut desk = busy();
    revoke(&mut desk, &[1], None);
    desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    desk.pass(100);
    assert!(desk.observed(0, 203, 0).is_empty());
    let ended = desk.ended(0, 200, Outcome::Success);
    assert_eq!(endings(&ended), [(1, Ending::AsReported { acked_early: false })]);
}

#[test]
fn running_task_is_terminated_when_its_page_says_that_it_runs() {
    let mut desk = busy();
    assert_eq!(revoke(&mut desk, &[1], Some(TERM)), [Action::Recall { child: ChildId(0) }]);
    desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    let terminate = Action::Terminate { child: ChildId(0), number: 200, signal: TERM };
    let actions = desk.observed(0, 203, 0);
    assert!(actions.contains(&terminate), "{actions:?}");
    let ending = Ending::Revoked { terminated: Some(TERM), acked_early: false };
    assert_eq!(endings(&desk.died(0, 203)), [(1, ending)]);
}

#[test]
fn milder_revoke_does_not_take_a_termination_back() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    revoke(&mut desk, &[1], Some(TERM));
    revoke(&mut desk, &[1], None);
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    let terminate = Action::Terminate { child: ChildId(0), number: 0, signal: TERM };
    assert!(desk.observed(0, 1, 0).contains(&terminate));
}

#[test]
fn page_is_watched_until_the_task_runs() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    revoke(&mut desk, &[1], Some(TERM));
    assert_eq!(desk.engine.deadline(), Some(2_000));
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    let idle = Event::Observed { child: ChildId(0), next: 1, running_since_us: None };
    assert!(desk.tell(idle).is_empty());
    assert_eq!(desk.engine.deadline(), Some(2_000));
}

#[test]
fn neighbour_that_runs_is_not_terminated() {
    let mut desk = busy();
    revoke(&mut desk, &[2], Some(TERM));
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    let ending = Ending::Revoked { terminated: None, acked_early: false };
    assert_eq!(endings(&actions), [(2, ending)]);
    let terminates = |actions: Vec<Action>| actions.iter().any(|it| matches!(it, Action::Terminate { .. }));
    assert!(!terminates(desk.observed(0, 203, 0)));
}

#[test]
fn outcome_that_comes_before_the_end_wins_and_the_child_goes() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    revoke(&mut desk, &[1], Some(TERM));
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    desk.observed(0, 1, 0);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert_eq!(endings(&actions), [(1, Ending::AsReported { acked_early: false })]);
    assert!(actions.contains(&Action::Kill { child: ChildId(0) }));
    assert!(endings(&desk.died(0, 1)).is_empty());
}

#[test]
fn process_that_outlives_its_signal_is_killed_after_a_grace() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    revoke(&mut desk, &[1], Some(TERM));
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    desk.observed(0, 1, 0);
    desk.pass(4_999_999);
    assert!(desk.observed(0, 1, 0).is_empty());
    desk.pass(1);
    assert_eq!(desk.observed(0, 1, 0), [Action::Kill { child: ChildId(0) }]);
}

#[test]
fn revoked_task_whose_process_dies_by_itself_is_not_run_again() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    revoke(&mut desk, &[1], None);
    assert_eq!(endings(&desk.died(0, 1)), [(1, skipped(false))]);
}

#[test]
fn new_time_limits_are_for_what_starts_later() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1)]);
    desk.tell(Event::LimitsChanged { task: 0, soft_limit_s: None, hard_limit_s: Some(0.1) });
    desk.deliver([request(2)]);
    desk.pass(200_000);
    let kills = |actions: Vec<Action>| actions.iter().any(|it| matches!(it, Action::Kill { .. }));
    let running: Vec<bool> = (0..2).map(|child| kills(desk.observed(child, 1, 0))).collect();
    assert_eq!(running.iter().filter(|&&is_killed| is_killed).count(), 1);
}
