//! Stopping.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Handle, Outcome, Request, Shutdown};

use crate::desk::{Desk, START_MS, config, dispatches, early, endings, request};

fn settle_all(desk: &mut Desk, actions: &[Action]) -> Vec<Action> {
    let handles = endings(actions).into_iter().map(|(handle, _)| Handle(handle));
    handles.flat_map(|handle| desk.tell(Event::Settled { handle })).collect()
}

fn stop(child: u32) -> Action {
    Action::Stop { child: ChildId(child) }
}

#[test]
fn worker_at_rest_finishes_at_once_and_only_once() {
    let mut desk = Desk::new(config());
    assert_eq!(desk.tell(Event::Shutdown(Shutdown::Warm)), [Action::Finished]);
    assert!(desk.tell(Event::Shutdown(Shutdown::Cold)).is_empty());
    assert_eq!(desk.engine.deadline(), None);
}

#[test]
fn warm_shutdown_returns_what_waits_and_lets_the_rest_finish() {
    let mut desk = Desk::ready(config());
    let eta_ms = Some(START_MS + 5_000);
    desk.deliver([request(1), request(2), request(3), request(4), Request { eta_ms, ..request(5) }]);
    let actions = desk.tell(Event::Shutdown(Shutdown::Warm));
    let returned = [5, 4, 3].map(|handle| (handle, Ending::Return));
    assert_eq!(endings(&actions), returned);
    settle_all(&mut desk, &actions);
    for child in [0, 1] {
        desk.tell(Event::Recalled { child: ChildId(child), from: 1 });
        let actions = desk.ended(child, 0, Outcome::Success);
        assert!(actions.contains(&stop(child)));
        settle_all(&mut desk, &actions);
    }
    desk.tell(Event::Delivered(vec![]));
    desk.died(0, 1);
    assert_eq!(desk.died(1, 1), [Action::Finished]);
}

#[test]
fn warm_shutdown_still_runs_what_was_acknowledged_early() {
    let mut desk = Desk::ready(config());
    desk.deliver([early(1)]);
    let actions = desk.tell(Event::Shutdown(Shutdown::Warm));
    assert!(!actions.contains(&stop(0)) && !actions.contains(&stop(1)));
    let actions = desk.tell(Event::Settled { handle: Handle(1) });
    assert!(actions.iter().any(|action| matches!(action, Action::Dispatch { .. })));
}

#[test]
fn messages_that_arrive_during_a_shutdown_go_back_in_order() {
    let mut desk = Desk::ready(config());
    desk.tell(Event::Shutdown(Shutdown::Warm));
    let actions = desk.tell(Event::Delivered(vec![request(1), request(2)]));
    assert_eq!(endings(&actions), [(2, Ending::Return), (1, Ending::Return)]);
}

#[test]
fn cold_shutdown_kills_what_runs_and_redelivers_it() {
    let mut desk = Desk::ready(config());
    let actions = desk.deliver([request(1), early(2)]);
    let (busy, _, _) = dispatches(&actions)[0];
    desk.tell(Event::Settled { handle: Handle(2) });
    desk.tell(Event::Shutdown(Shutdown::Warm));
    let actions = desk.tell(Event::Shutdown(Shutdown::Cold));
    for child in [0, 1] {
        assert!(actions.contains(&Action::Kill { child: ChildId(child) }));
    }
    assert_eq!(endings(&desk.died(busy, 1)), [(1, Ending::Redeliver)]);
    let lost = Ending::WorkerLost { attempts: 1, acked_early: true };
    assert_eq!(endings(&desk.died(1 - busy, 1)), [(2, lost)]);
}

#[test]
fn child_that_gets_ready_during_a_warm_shutdown_is_stopped() {
    let mut desk = Desk::new(config());
    desk.tell(Event::Tick);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!(desk.tell(Event::ChildReady { child: ChildId(0) }), [stop(0)]);
}

#[test]
fn child_that_got_ready_before_it_could_be_killed_is_killed_again() {
    let mut desk = Desk::new(config());
    desk.tell(Event::Tick);
    desk.tell(Event::Shutdown(Shutdown::Cold));
    let kill = Action::Kill { child: ChildId(1) };
    assert_eq!(desk.tell(Event::ChildReady { child: ChildId(1) }), [kill]);
}

#[test]
fn dead_children_are_not_replaced_during_a_shutdown() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    let actions = desk.died(0, 1);
    assert!(!actions.iter().any(|action| matches!(action, Action::Spawn { .. })));
    assert_eq!(endings(&actions), [(1, Ending::Redeliver)]);
}

fn timed(warm_us: Option<u64>, soft_us: u64) -> Config {
    Config { concurrency: 1, warm_timeout_us: warm_us, soft_timeout_us: soft_us, ..config() }
}

fn kill(child: u32) -> Action {
    Action::Kill { child: ChildId(child) }
}

#[test]
fn warm_shutdown_turns_cold_when_its_time_is_over_and_the_task_goes_back() {
    let mut desk = Desk::ready(timed(Some(25_000_000), 0));
    desk.deliver([request(1)]);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    assert!(!desk.pass(24_000_000).contains(&Action::TimeIsUp));
    assert!(desk.engine.deadline().is_some_and(|due_us| due_us <= 25_000_000));
    let actions = desk.pass(1_000_000);
    assert!(actions.contains(&Action::TimeIsUp) && actions.contains(&kill(0)));
    assert_eq!(endings(&desk.died(0, 1)), [(1, Ending::Redeliver)]);
}

#[test]
fn second_shutdown_that_is_not_stronger_changes_nothing() {
    let mut desk = Desk::ready(Config { concurrency: 2, ..timed(Some(1_000_000), 0) });
    desk.deliver([request(1)]);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    desk.pass(500_000);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    assert!(desk.pass(500_000).contains(&Action::TimeIsUp));
    for kind in [Shutdown::Warm, Shutdown::Soft, Shutdown::Cold] {
        assert_eq!(desk.tell(Event::Shutdown(kind)), [], "{kind:?}");
    }
}

#[test]
fn idle_child_is_told_to_exit_in_a_cold_shutdown_and_not_killed() {
    let mut desk = Desk::ready(timed(None, 0));
    assert_eq!(desk.tell(Event::Shutdown(Shutdown::Cold)), [stop(0)]);
    assert_eq!(desk.tell(Event::Shutdown(Shutdown::Cold)), []);
}

#[test]
fn what_was_acknowledged_and_waits_still_runs_in_a_warm_shutdown() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(Event::LeaseAtRisk);
    desk.tell(Event::Settled { handle: Handle(1) });
    let actions = desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!((endings(&actions), dispatches(&actions)), (vec![], vec![(0, 0, vec![1])]));
}

#[test]
fn soft_shutdown_without_a_time_is_cold() {
    let mut desk = Desk::ready(timed(None, 0));
    desk.deliver([request(1)]);
    assert!(desk.tell(Event::Shutdown(Shutdown::Soft)).contains(&kill(0)));
}

#[test]
fn soft_shutdown_bounds_a_warm_one_and_never_prolongs_it() {
    for (warm_us, soft_us, due_us) in [(None, 2_000, 2_000), (Some(1_000), 5_000, 1_000), (Some(9_000), 5_000, 5_000)] {
        let mut desk = Desk::ready(timed(warm_us, soft_us));
        desk.deliver([request(1)]);
        desk.tell(Event::Shutdown(Shutdown::Warm));
        desk.tell(Event::Shutdown(Shutdown::Soft));
        assert!(!desk.pass(due_us - 500).contains(&Action::TimeIsUp));
        assert!(desk.pass(500).contains(&Action::TimeIsUp));
    }
}

#[test]
fn soft_shutdown_ends_at_once_when_nothing_runs_unless_it_is_to_wait() {
    for waits in [false, true] {
        let mut desk = Desk::new(Config { soft_waits_when_idle: waits, ..timed(None, 5_000) });
        desk.tell(Event::Tick);
        desk.died(0, 0);
        assert_eq!(desk.tell(Event::Shutdown(Shutdown::Soft)).contains(&Action::Finished), !waits);
        assert_eq!(desk.engine.deadline(), waits.then_some(5_000));
        assert_eq!(desk.pass(5_000).contains(&Action::Finished), waits);
    }
}

#[test]
fn worker_does_not_finish_while_the_answer_to_a_draw_is_out() {
    let mut config = Config { concurrency: 1, ..config() };
    config.tasks[0].has_lanes = true;
    let mut desk = Desk::ready(config);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    desk.tell(Event::Delivered(vec![]));
    assert_eq!(desk.died(0, 0), []);
    assert_eq!(desk.tell(Event::DrawFailed), [Action::Finished]);
}
