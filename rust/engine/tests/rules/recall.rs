//! Recalls.

use fastworker_engine::{Action, ChildId, Ending, Event, Handle, Outcome};

use crate::desk::{Desk, config, dispatches, endings, request};

/// A child that knows task 0 as a no-op, and has twenty of it.
fn laden() -> Desk {
    let mut desk = Desk::with_known_no_op();
    desk.deliver((1..=20).map(request));
    desk
}

#[test]
fn pages_are_watched_while_tasks_lie_behind_a_running_one() {
    let desk = laden();
    assert_eq!(desk.engine.deadline(), Some(2_000));
}

#[test]
fn unstarted_tasks_are_taken_back_from_behind_a_slow_one_in_order() {
    let mut desk = laden();
    desk.pass(9_000);
    assert_eq!(desk.observed(0, 201, 0), [Action::Recall { child: ChildId(0) }]);
    assert!(dispatches(&desk.tell(Event::Recalled { child: ChildId(0), from: 201 })).is_empty());
    assert_eq!(desk.engine.stats().counters.recalled, 19);
    let actions = desk.ended(0, 200, Outcome::Success);
    let (_, first, handles) = &dispatches(&actions)[0];
    assert_eq!((*first, handles[0]), (220, 2));
}

#[test]
fn recall_is_not_repeated_while_it_is_out() {
    let mut desk = laden();
    desk.pass(9_000);
    desk.observed(0, 201, 0);
    assert!(desk.observed(0, 201, 0).is_empty());
}

#[test]
fn nothing_more_is_put_behind_a_task_that_turned_out_to_be_slow() {
    let mut desk = Desk::with_known_no_op();
    desk.deliver([request(1)]);
    desk.pass(50_000);
    assert!(dispatches(&desk.deliver([request(2)])).is_empty());
}

#[test]
fn running_task_is_not_mistaken_after_a_recall_moved_the_page() {
    let mut desk = laden();
    desk.pass(9_000);
    desk.observed(0, 201, 0);
    desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    desk.observed(0, 220, 0);
    let actions = desk.died(0, 220);
    assert!(actions.iter().all(|action| !matches!(action, Action::Settle { .. })));
    assert_eq!(desk.engine.stats().waiting, 20);
}

#[test]
fn lease_at_risk_recalls_what_has_not_started() {
    let mut desk = laden();
    assert_eq!(desk.tell(Event::LeaseAtRisk), [Action::Recall { child: ChildId(0) }]);
}

#[test]
fn tasks_behind_a_running_one_are_left_alone_for_a_while_if_nobody_else_is_free() {
    let mut desk = laden();
    desk.pass(7_000);
    assert!(desk.observed(0, 201, 0).is_empty());
}

#[test]
fn free_child_shortens_the_patience() {
    let mut desk = Desk::knowing(1, config());
    let given = dispatches(&desk.deliver((1..=40).map(request)));
    let (busy, first) = (given[0].0, given[0].1);
    let (free, start, done) = given[1].clone();
    (start..).zip(done).for_each(|(number, _)| {
        desk.ended(free, number, Outcome::Success);
    });
    desk.pass(400);
    let actions = desk.observed(busy, first + 1, 0);
    assert_eq!(actions, [Action::Recall { child: ChildId(busy) }]);
    let back = Event::Recalled { child: ChildId(busy), from: first + 1 };
    assert_eq!(dispatches(&desk.tell(back))[0].0, free);
}

#[test]
fn with_a_free_child_at_hand_a_task_has_four_times_its_expected_time() {
    let mut desk = Desk::knowing(200, config());
    let (busy, first, _) = dispatches(&desk.deliver((1..=4).map(request)))[0].clone();
    (0..2).for_each(|nth| drop(desk.ended(1 - busy, 100 + nth, Outcome::Success)));
    desk.pass(4 * (200 + 15) - 1);
    assert_eq!(desk.observed(busy, first + 1, 0), []);
    desk.pass(1);
    assert_eq!(desk.observed(busy, first + 1, 0), [Action::Recall { child: ChildId(busy) }]);
}

#[test]
fn recalled_delivery_that_is_no_longer_ours_does_not_go_on() {
    let mut desk = laden();
    desk.tell(Event::LeaseLost { handle: Handle(3) });
    desk.tell(Event::Revoked { handles: vec![Handle(20)], terminate: None });
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 201 });
    assert!(endings(&actions).contains(&(3, Ending::Return)), "{actions:?}");
}
