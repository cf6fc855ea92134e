//! Children that are replaced, and pools that grow and shrink.

use fastworker_engine::{
    Action, Autoscale, ChildId, Config, Ending, Event, Handle, Outcome, Request, Resize, Shutdown,
};

use crate::desk::{Desk, config, dispatches, early, endings, fetched, request};

fn stop(child: u32) -> Action {
    Action::Stop { child: ChildId(child) }
}

fn spawn(child: u32) -> Action {
    Action::Spawn { child: ChildId(child) }
}

fn ready(child: u32) -> Event {
    Event::ChildReady { child: ChildId(child) }
}

/// One child that runs `most` tasks.
fn bounded(most: u32) -> Desk {
    Desk::ready(Config { concurrency: 1, max_tasks_per_child: Some(most), ..config() })
}

/// One child with room for growth up to four.
fn elastic() -> Desk {
    let bounds = Autoscale { max: 4, min: 1, keepalive_us: 1_000_000 };
    Desk::ready(Config { concurrency: 1, autoscale: Some(bounds), ..config() })
}

fn spawned(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Spawn { .. })).count()
}

#[test]
fn child_gets_no_more_tasks_than_it_may_run_and_its_successor_takes_over_in_the_same_turn() {
    let mut desk = bounded(1);
    let actions = desk.deliver([request(1), request(2)]);
    assert_eq!(dispatches(&actions), [(0, 0, vec![1])]);
    assert!(actions.contains(&spawn(1)) || desk.pass(1_000).contains(&spawn(1)));
    assert!(dispatches(&desk.tell(ready(1))).is_empty(), "two tasks would run where one may");
    let actions = desk.ended(0, 0, Outcome::Success);
    assert!(actions.contains(&stop(0)));
    assert_eq!(dispatches(&actions), [(1, 0, vec![2])]);
}

#[test]
fn window_ends_where_the_child_does() {
    let mut desk = Desk::ready(Config { concurrency: 1, max_tasks_per_child: Some(12), ..config() });
    for number in 0..10 {
        desk.deliver([request(number)]);
        desk.ended(0, number, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(number) });
    }
    let actions = desk.deliver((20..30).map(request));
    assert_eq!(dispatches(&actions), [(0, 10, vec![20, 21])]);
}

#[test]
fn successor_is_warm_before_the_last_task_begins() {
    let mut desk = bounded(3);
    desk.deliver([request(1)]);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert!(actions.contains(&spawn(1)), "two tasks of a microsecond are soon over: {actions:?}");
    assert!(!desk.tell(ready(1)).contains(&stop(1)) && !desk.pass(1_000).contains(&stop(1)), "the spare waits");
}

#[test]
fn successor_is_started_half_a_second_before_the_last_task_ends() {
    let mut desk = bounded(12);
    for number in 0..8 {
        // Before the first has ended nobody knows; then five more take a little longer than that, and four do not.
        let actions = desk.deliver([request(number)]);
        assert_eq!(spawned(&actions), 0, "at task {number}");
        let outcome = Outcome::Success;
        let actions = desk.tell(Event::Ended { child: ChildId(0), number, outcome, runtime_us: 100_000 });
        assert_eq!(spawned(&actions), usize::from(number == 7), "after task {number}");
    }
}

#[test]
fn of_the_spares_only_those_leave_that_a_smaller_pool_does_not_need() {
    let mut desk = Desk::knowing(1, Config { max_tasks_per_child: Some(1_000), ..config() });
    (2..4).for_each(|child| drop(desk.tell(ready(child))));
    desk.deliver([request(0)]);
    desk.deliver([request(1)]);
    let actions = desk.tell(Event::Resize(Resize::Shrink(1)));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Stop { .. })).count(), 1, "{actions:?}");
}

#[test]
fn order_that_changes_nothing_stops_no_spare() {
    let mut desk = Desk::knowing(1, Config { concurrency: 1, max_tasks_per_child: Some(1_000), ..config() });
    desk.tell(ready(1));
    desk.deliver([request(0)]);
    let outcome = Outcome::Success;
    desk.tell(Event::Ended { child: ChildId(0), number: 200, outcome, runtime_us: 10_000_000 });
    assert_eq!(desk.tell(Event::Resize(Resize::Grow(0))), [], "nobody leaves soon, and it is here already");
}

#[test]
fn recalled_tasks_do_not_count() {
    let mut desk = Desk::ready(Config { concurrency: 1, max_tasks_per_child: Some(12), ..config() });
    for number in 0..9 {
        desk.deliver([request(number)]);
        desk.ended(0, number, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(number) });
    }
    desk.deliver((20..23).map(request));
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 10 });
    assert_eq!(dispatches(&actions), [(0, 12, vec![21, 22])]);
    assert!(!actions.contains(&stop(0)));
}

#[test]
fn nothing_goes_back_while_a_child_that_leaves_is_about_to_make_room() {
    let mut desk = Desk::ready(Config { max_tasks_per_child: Some(2), ..config() });
    let leaving = dispatches(&desk.deliver([request(1), request(2)]))[0].0;
    desk.deliver([request(3), request(4)]);
    desk.pass(600_000);
    let outcome = Outcome::Success;
    desk.tell(Event::Ended { child: ChildId(leaving), number: 0, outcome, runtime_us: 600_000 });
    assert_eq!(endings(&desk.pass(500_000)), [], "the other is stuck");
}

#[test]
fn child_that_grew_too_large_is_replaced_after_its_task() {
    let mut desk = Desk::ready(Config { concurrency: 1, max_memory_per_child_kib: Some(1_000), ..config() });
    desk.deliver([request(1), request(2)]);
    let actions = desk.tell(Event::Memory { child: ChildId(0), peak_kib: 1_001 });
    assert_eq!(actions, [spawn(1)]);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert!(actions.contains(&stop(0)) && dispatches(&actions).is_empty());
    assert_eq!(dispatches(&desk.tell(ready(1))), [(1, 0, vec![2])]);
}

#[test]
fn child_near_its_bound_works_on_while_its_successor_starts() {
    let mut desk = Desk::ready(Config { concurrency: 1, max_memory_per_child_kib: Some(1_000), ..config() });
    desk.deliver([request(1), request(2)]);
    assert_eq!(desk.tell(Event::Memory { child: ChildId(0), peak_kib: 900 }), [], "it is nine tenths");
    assert_eq!(desk.tell(Event::Memory { child: ChildId(0), peak_kib: 901 }), [spawn(1)]);
    assert_eq!(desk.tell(Event::Memory { child: ChildId(0), peak_kib: 1_000 }), []);
    assert_eq!(dispatches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![2])]);
}

#[test]
fn child_that_grew_too_large_gives_back_what_it_has_not_started() {
    let most = Some(1_000);
    let mut desk = Desk::knowing(1, Config { concurrency: 1, max_memory_per_child_kib: most, ..config() });
    desk.deliver([request(1), request(2)]);
    let actions = desk.tell(Event::Memory { child: ChildId(0), peak_kib: 1_001 });
    assert!(actions.contains(&Action::Recall { child: ChildId(0) }), "{actions:?}");
}

#[test]
fn autoscaler_fetches_for_the_children_it_could_add_and_adds_them() {
    let mut desk = elastic();
    assert_eq!(fetched(&desk.tell(Event::Delivered(vec![]))), None);
    assert_eq!(fetched(&desk.tell(Event::Wake)), Some(6));
    let actions = desk.tell(Event::Delivered((1..=6).map(request).collect()));
    assert_eq!((dispatches(&actions).len(), spawned(&actions)), (1, 3));
    assert_eq!(dispatches(&desk.tell(ready(1))), [(1, 0, vec![2])]);
}

#[test]
fn autoscaled_pool_shrinks_after_a_quiet_while() {
    let mut desk = elastic();
    desk.deliver((1..=4).map(request));
    for child in 1..4 {
        desk.tell(ready(child));
    }
    for child in 0..4 {
        desk.ended(child, 0, Outcome::Success);
    }
    let stops = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Stop { .. })).count();
    assert_eq!(desk.engine.deadline(), Some(1_000_000));
    assert_eq!(stops(&desk.pass(1_000_000)), 0, "four were needed in that second");
    let actions = desk.pass(1_000_000);
    assert_eq!((stops(&actions), desk.engine.stats().seats), (3, 1));
    (0..4).filter(|&child| actions.contains(&stop(child))).for_each(|child| drop(desk.died(child, 1)));
    assert_eq!(desk.engine.deadline(), None, "there cannot be fewer");
}

#[test]
fn autoscaled_pool_stops_all_that_it_does_not_need_though_they_could_be_successors() {
    let bounds = Autoscale { max: 4, min: 1, keepalive_us: 1_000_000 };
    let mut desk = Desk::ready(Config { autoscale: Some(bounds), max_tasks_per_child: Some(1_000), ..config() });
    desk.deliver((1..=4).map(request));
    (2..4).for_each(|child| drop(desk.tell(ready(child))));
    for child in 0..4 {
        let outcome = Outcome::Success;
        desk.tell(Event::Ended { child: ChildId(child), number: 0, outcome, runtime_us: 10_000_000 });
    }
    desk.pass(1_000_000);
    let stops = desk.pass(1_000_000).iter().filter(|action| matches!(action, Action::Stop { .. })).count();
    assert_eq!((stops, desk.engine.stats().seats), (3, 1));
}

#[test]
fn autoscaled_pool_does_not_grow_while_nothing_may_start() {
    for fact in [Event::BrokerLost, Event::LeaseAtRisk] {
        let mut desk = elastic();
        desk.tell(fact);
        assert_eq!(spawned(&desk.tell(Event::Delivered((1..=6).map(request).collect()))), 0);
    }
}

#[test]
fn work_sent_ahead_to_one_child_calls_for_no_others() {
    let bounds = Autoscale { max: 4, min: 1, keepalive_us: 1_000_000 };
    let mut desk = Desk::knowing(1, Config { concurrency: 1, autoscale: Some(bounds), ..config() });
    let actions = desk.deliver((0..40).map(request));
    assert_eq!((dispatches(&actions)[0].2.len(), spawned(&actions)), (40, 0));
}

#[test]
fn prefetch_follows_the_number_of_children_and_of_their_slots() {
    for (slots, prefetch) in [(1, 10), (3, 30)] {
        let mut desk = Desk::knowing(1, Config { concurrency: 1, slots, prefetch, ..config() });
        desk.tell(Event::Delivered(vec![]));
        desk.tell(Event::Resize(Resize::Grow(3)));
        desk.pass(1_000);
        assert_eq!(fetched(&desk.tell(Event::Wake)), Some(4 * prefetch / 2), "half of it at once");
    }
}

#[test]
fn spare_takes_the_place_of_a_child_that_is_being_killed() {
    let bounds = Autoscale { max: 3, min: 2, keepalive_us: 1_000_000 };
    let mut desk = Desk::ready(Config { autoscale: Some(bounds), ..config() });
    let limited = Request { hard_limit_s: Some(1.0), ..request(1) };
    let actions = desk.deliver([limited, request(2), request(3)]);
    assert_eq!(dispatches(&actions), [(1, 0, vec![1]), (0, 0, vec![2])]);
    assert_eq!(dispatches(&desk.tell(ready(2))), [(2, 0, vec![3])]);
    desk.ended(2, 0, Outcome::Success);
    desk.pass(1_000_000);
    // In one turn the pool shrinks, and a child is killed for its limit.
    desk.now.mono_us += 1_000_000;
    let actions = desk.observed(1, 1, 1_000_000);
    assert!(actions.contains(&Action::Kill { child: ChildId(1) }));
    assert_eq!(desk.engine.stats().seats, 2);
    assert!(!actions.contains(&stop(2)), "another one would have to be started at once");
    assert_eq!(spawned(&desk.died(1, 1)), 0);
}

#[test]
fn pool_grows_and_shrinks_by_order_and_busy_children_may_finish() {
    let mut desk = Desk::alone();
    assert_eq!(desk.tell(Event::Resize(Resize::Grow(1))), [spawn(1)]);
    desk.tell(ready(1));
    desk.deliver([request(1), request(2)]);
    assert_eq!(desk.tell(Event::Resize(Resize::Shrink(1))), []);
    let first = desk.ended(0, 0, Outcome::Success);
    let second = desk.ended(1, 0, Outcome::Success);
    assert_eq!([first, second].concat().iter().filter(|it| matches!(it, Action::Stop { .. })).count(), 1);
}

#[test]
fn busy_child_that_is_to_leave_gets_nothing_more_and_gives_back_what_it_has_not_started() {
    let mut desk = Desk::knowing(1, config());
    let given = dispatches(&desk.deliver((1..=4).map(request)));
    let actions = desk.tell(Event::Resize(Resize::Shrink(1)));
    assert_eq!(actions, [Action::Recall { child: ChildId(0) }]);
    let first = given.iter().find(|(child, ..)| *child == 0).expect("both have two").1;
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: first + 1 });
    assert!(dispatches(&actions).iter().all(|(child, ..)| *child == 1), "{actions:?}");
    assert!(desk.ended(0, first, Outcome::Success).contains(&stop(0)));
}

#[test]
fn no_child_of_a_smaller_pool_waits_to_take_the_place_of_one_that_stays() {
    let mut desk = Desk::ready(Config { concurrency: 4, max_tasks_per_child: Some(1_000), ..config() });
    let stops = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Stop { .. })).count();
    assert_eq!(stops(&desk.tell(Event::Resize(Resize::Shrink(1)))), 1);
    assert_eq!(desk.engine.stats().seats, 3);
}

#[test]
fn busy_child_that_was_to_leave_stays_when_another_dies() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1), request(2)]);
    desk.tell(Event::Resize(Resize::Shrink(1)));
    assert_eq!(spawned(&desk.died(1, 1)), 0);
    assert!(!desk.ended(0, 0, Outcome::Success).contains(&stop(0)));
}

#[test]
fn order_beyond_the_autoscalers_bounds_stops_at_them() {
    let mut desk = elastic();
    desk.tell(Event::Resize(Resize::Grow(100)));
    assert_eq!(desk.engine.stats().seats, 4);
    desk.tell(Event::Resize(Resize::Shrink(100)));
    assert_eq!(desk.engine.stats().seats, 1);
    desk.tell(Event::Resize(Resize::Autoscale { max: Some(8), min: Some(2) }));
    assert_eq!(desk.engine.stats().seats, 2);
    desk.tell(Event::Resize(Resize::Grow(100)));
    assert_eq!(desk.engine.stats().seats, 8);
}

#[test]
fn spare_waits_until_the_killed_process_whose_seat_it_gets_is_gone() {
    let mut desk = bounded(1);
    desk.deliver([Request { hard_limit_s: Some(0.5), ..request(1) }, request(2)]);
    desk.tell(Event::Tick);
    desk.tell(ready(1));
    desk.pass(500_000);
    let actions = desk.observed(0, 1, 0);
    assert!(actions.contains(&Action::Kill { child: ChildId(0) }));
    assert_eq!(dispatches(&actions), [], "the task may still run");
    assert_eq!(dispatches(&desk.died(0, 1)), [(1, 0, vec![2])]);
}

#[test]
fn no_more_run_at_once_than_there_are_seats_in_a_shutdown_either() {
    let mut desk = bounded(22);
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(Event::Settled { handle: Handle(number) });
        desk.ended(0, number, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(number) });
    }
    desk.deliver([early(20), early(21)]);
    (20..22).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    desk.pass(9_000);
    desk.observed(0, 21, 0);
    desk.tell(Event::Recalled { child: ChildId(0), from: 21 });
    desk.tell(Event::Shutdown(Shutdown::Warm));
    desk.tell(Event::Recalled { child: ChildId(0), from: 22 });
    assert_eq!(dispatches(&desk.tell(ready(1))), []);
    assert_eq!(dispatches(&desk.ended(0, 20, Outcome::Success)).len(), 1);
}

#[test]
fn what_was_acknowledged_early_gets_a_new_child_even_during_a_shutdown() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(Event::Settled { handle: Handle(1) });
    desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!(desk.died(0, 0), [spawn(1)]);
    assert_eq!(dispatches(&desk.tell(ready(1))), [(1, 0, vec![1])]);
    assert_eq!(endings(&desk.ended(1, 0, Outcome::Success)), [(1, Ending::AsReported { acked_early: true })]);
}

#[test]
fn one_more_child_is_started_in_a_shutdown_for_what_was_acknowledged_and_the_last_one_has_to_leave() {
    let most = Some(1_000);
    let mut desk = Desk::ready(Config { concurrency: 1, max_memory_per_child_kib: most, ..config() });
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(Event::Settled { handle: Handle(number) });
        desk.ended(0, number, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(number) });
    }
    desk.deliver([early(20), early(21)]);
    (20..22).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    desk.tell(Event::Shutdown(Shutdown::Warm));
    desk.tell(Event::Memory { child: ChildId(0), peak_kib: 1_001 });
    assert_eq!(desk.tell(Event::Recalled { child: ChildId(0), from: 21 }), [spawn(1)]);
    assert_eq!(desk.tell(ready(1)), [], "it waits for the seat");
    let actions = desk.ended(0, 20, Outcome::Success);
    assert!(actions.contains(&stop(0)), "{actions:?}");
    assert_eq!(dispatches(&actions), [(1, 0, vec![21])]);
}

#[test]
fn what_was_acknowledged_early_is_given_up_when_no_child_starts_during_a_shutdown() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(Event::Settled { handle: Handle(1) });
    desk.tell(Event::Shutdown(Shutdown::Warm));
    desk.died(0, 0);
    assert_eq!(endings(&desk.died(1, 0)), [(1, Ending::WorkerLost { attempts: 0, acked_early: true })]);
}

/// Processes of three slots each, up to three of them.
fn elastic_company() -> Desk {
    let bounds = Autoscale { max: 3, min: 1, keepalive_us: 1_000_000 };
    Desk::ready(Config { concurrency: 1, slots: 3, autoscale: Some(bounds), ..config() })
}

#[test]
fn seats_are_for_as_many_tasks_as_they_have_slots() {
    let mut desk = elastic_company();
    assert_eq!(spawned(&desk.deliver((0..3).map(request))), 0);
    assert_eq!(spawned(&desk.deliver((3..5).map(request))), 1, "two more than the first can run");
    assert_eq!(spawned(&desk.deliver((5..90).map(request))), 1, "there are no more than three");
    desk.tell(ready(1));
    assert_eq!(dispatches(&desk.tell(ready(2))), [(2, 0, vec![6, 7, 8])]);
}

#[test]
fn slots_of_a_child_that_has_had_its_last_task_are_all_taken() {
    let bounds = Autoscale { max: 4, min: 1, keepalive_us: 1_000_000 };
    let mut desk = Desk::ready(Config {
        concurrency: 1,
        slots: 2,
        max_tasks_per_child: Some(2),
        autoscale: Some(bounds),
        ..config()
    });
    desk.deliver([request(0), request(1)]);
    desk.ended(0, 0, Outcome::Success);
    assert_eq!(desk.engine.stats().seats, 1);
    desk.deliver([request(2)]);
    assert_eq!(desk.engine.stats().seats, 2);
}

#[test]
fn what_waits_for_a_blocked_process_gets_another() {
    let mut desk = elastic_company();
    desk.deliver([request(0)]);
    desk.tell(Event::ObservedMany { child: ChildId(0), next: 1, running: vec![(0, 0)], turned_us: None });
    assert_eq!(spawned(&desk.deliver([request(1)])), 0);
    desk.pass(20_000);
    let blocked = Event::ObservedMany { child: ChildId(0), next: 1, running: vec![(0, 0)], turned_us: None };
    assert!(desk.tell(blocked).contains(&Action::Recall { child: ChildId(0) }));
    assert_eq!(spawned(&desk.tell(Event::Recalled { child: ChildId(0), from: 1 })), 1);
}
