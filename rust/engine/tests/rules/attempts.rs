//! Redeliveries and deaths.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Handle, Outcome, Request, Shutdown};

use crate::desk::{Desk, config, dispatches, endings, redelivered, request};

fn recorded(handle: u32, attempt: u32) -> Event {
    Event::AttemptRecorded { handle: Handle(handle), attempt }
}

#[test]
fn redelivered_request_is_recorded_before_it_runs() {
    let mut desk = Desk::alone();
    let actions = desk.deliver([redelivered(1)]);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(1), floor: 0 }));
    assert!(dispatches(&actions).is_empty());
    assert_eq!(dispatches(&desk.tell(recorded(1, 2))), [(0, 0, vec![1])]);
}

#[test]
fn attempt_that_nobody_asked_to_count_changes_nothing() {
    let mut desk = Desk::alone();
    assert_eq!(dispatches(&desk.deliver([request(1)])), [(0, 0, vec![1])]);
    assert_eq!(desk.tell(recorded(1, 3)), []);
    assert_eq!(desk.engine.stats().counters.odd, 1);
    let actions = desk.died(0, 1);
    desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!(endings(&actions), [], "it has had one attempt");
}

#[test]
fn redelivered_request_is_not_recorded_while_no_child_is_free() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1), request(2)]);
    let actions = desk.deliver([redelivered(3)]);
    assert!(!actions.iter().any(|action| matches!(action, Action::RecordAttempt { .. })));
    let actions = desk.ended(0, 0, Outcome::Success);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(3), floor: 0 }));
}

#[test]
fn nothing_is_put_behind_a_redelivered_request() {
    let mut desk = Desk::with_known_no_op();
    desk.deliver([redelivered(1)]);
    desk.tell(recorded(1, 1));
    assert!(dispatches(&desk.deliver([request(2)])).is_empty());
    assert_eq!(dispatches(&desk.ended(0, 200, Outcome::Success)), [(0, 201, vec![2])]);
}

#[test]
fn attempt_beyond_the_bound_ends_as_worker_lost() {
    let mut desk = Desk::ready(config());
    desk.deliver([redelivered(1)]);
    let actions = desk.tell(recorded(1, 4));
    assert_eq!(endings(&actions), [(1, Ending::WorkerLost { attempts: 3, acked_early: false })]);
}

#[test]
fn without_a_bound_any_attempt_runs() {
    let mut desk = Desk::ready(fastworker_engine::Config { max_deliveries: 0, ..config() });
    desk.deliver([redelivered(1)]);
    assert_eq!(dispatches(&desk.tell(recorded(1, 1_000))).len(), 1);
}

#[test]
fn task_whose_child_died_runs_again_with_its_start_counted() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    let child = ChildId(1);
    assert!(desk.died(0, 1).contains(&Action::Spawn { child }));
    let actions = desk.tell(Event::ChildReady { child });
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(1), floor: 1 }));
}

#[test]
fn task_that_used_up_its_attempts_is_lost_without_recording() {
    let mut desk = Desk::alone();
    desk.deliver([redelivered(1)]);
    desk.tell(recorded(1, 3));
    let actions = desk.died(0, 1);
    assert_eq!(endings(&actions), [(1, Ending::WorkerLost { attempts: 3, acked_early: false })]);
}

#[test]
fn unstarted_tasks_of_a_dead_child_go_on_untouched() {
    let mut desk = Desk::with_known_no_op();
    desk.deliver((1..=5).map(request));
    let actions = desk.died(0, 201);
    assert!(endings(&actions).is_empty());
    let actions = desk.tell(Event::ChildReady { child: ChildId(1) });
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(1), floor: 1 }));
    desk.tell(recorded(1, 2));
    assert_eq!(dispatches(&desk.ended(1, 0, Outcome::Success)), [(1, 1, vec![2, 3, 4, 5])]);
}

#[test]
fn late_outcome_of_a_dead_child_is_counted_and_ignored() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    desk.died(0, 1);
    assert!(endings(&desk.ended(0, 0, Outcome::Success)).is_empty());
    assert_eq!(desk.engine.stats().counters.late, 1);
}

#[test]
fn redelivery_in_an_outage_does_not_hold_up_others() {
    let mut desk = Desk::ready(config());
    desk.tell(Event::BrokerLost);
    let actions = desk.tell(Event::Delivered(vec![redelivered(1), request(2)]));
    assert_eq!(dispatches(&actions).len(), 1);
    assert_eq!(desk.engine.stats().waiting, 1);
    let actions = desk.tell(Event::BrokerBack);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(1), floor: 0 }));
}

#[test]
fn child_kept_free_for_a_redelivery_gets_other_work_in_an_outage() {
    let mut desk = Desk::alone();
    assert!(dispatches(&desk.deliver([redelivered(1), request(2)])).is_empty());
    assert_eq!(dispatches(&desk.tell(Event::BrokerLost)), [(0, 0, vec![2])]);
}

#[test]
fn lost_lease_of_a_waiting_delivery_is_forgotten() {
    let mut desk = Desk::ready(config());
    desk.deliver((1..=3).map(request));
    desk.tell(Event::LeaseLost { handle: Handle(3) });
    assert_eq!(desk.engine.stats().held, 2);
    assert!(dispatches(&desk.ended(0, 0, Outcome::Success)).is_empty());
}

#[test]
fn lost_lease_of_a_running_delivery_still_ends_once() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    let actions = desk.ended(0, 0, Outcome::Success);
    assert_eq!(endings(&actions), [(1, Ending::AsReported { acked_early: false })]);
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!(desk.engine.stats().held, 0);
}

#[test]
fn what_is_no_longer_ours_is_not_run_again_when_its_process_died() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!(endings(&desk.died(0, 1)), [(1, Ending::Redeliver)]);
}

#[test]
fn task_that_is_not_to_run_again_fails_with_its_process() {
    let mut config = fastworker_engine::Config { concurrency: 1, ..config() };
    config.tasks[0].runs_again_when_lost = false;
    let mut desk = Desk::ready(config);
    desk.deliver([request(1)]);
    assert_eq!(endings(&desk.died(0, 1)), [(1, Ending::WorkerLost { attempts: 1, acked_early: false })]);
}

#[test]
fn task_that_asks_to_be_put_back_is_put_back_and_its_starts_are_forgotten() {
    let mut desk = Desk::alone();
    desk.deliver([redelivered(1)]);
    desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 3 });
    let actions = desk.ended(0, 0, Outcome::Reject { requeue: true });
    assert_eq!(endings(&actions), [(1, Ending::Requeue)]);
}

#[test]
fn time_out_that_is_not_acknowledged_runs_again_up_to_the_bound() {
    let mut config = config();
    config.tasks[0].acks_on_timeout = false;
    let mut desk = Desk::ready(Config { concurrency: 1, max_deliveries: 2, ..config });
    desk.deliver([Request { hard_limit_s: Some(0.5), ..request(1) }]);
    desk.pass(500_000);
    desk.observed(0, 1, 0);
    assert!(endings(&desk.died(0, 1)).is_empty());
    desk.tell(Event::ChildReady { child: ChildId(1) });
    desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 2 });
    desk.pass(600_000);
    desk.observed(1, 1, 500_000);
    assert_eq!(endings(&desk.died(1, 1)), [(1, Ending::TimeLimit { limit_ms: 500, acked_early: false })]);
}

#[test]
fn attempt_that_was_counted_too_late_for_a_shutdown_goes_back() {
    let mut desk = Desk::alone();
    desk.deliver([redelivered(1)]);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    let actions = desk.tell(recorded(1, 1));
    assert_eq!((endings(&actions), dispatches(&actions)), (vec![(1, Ending::Return)], vec![]));
}

#[test]
fn children_that_ended_are_counted() {
    let mut desk = Desk::ready(config());
    desk.died(0, 0);
    desk.died(1, 0);
    assert_eq!(desk.engine.stats().counters.exited, 2);
}

#[test]
fn task_that_says_it_was_ended_though_nobody_told_it_to_counts_as_a_death() {
    for outcome in [Outcome::Terminated, Outcome::TimeLimit] {
        let mut desk = Desk::alone();
        desk.deliver([request(1)]);
        let actions = desk.ended(0, 0, outcome);
        assert_eq!(desk.engine.stats().counters.odd, 1, "{outcome:?}");
        assert!(actions.contains(&Action::RecordAttempt { handle: Handle(1), floor: 1 }), "{outcome:?}: {actions:?}");
    }
}
