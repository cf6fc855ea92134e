//! Who gets what, when.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Outcome, Request, Shutdown};

use crate::desk::{Desk, START_MS, config, dispatches, endings, request};

#[test]
fn nothing_is_done_before_the_first_tick() {
    let mut desk = Desk::new(config());
    assert_eq!(desk.engine.deadline(), Some(0));
    assert!(desk.tell(Event::Wake).is_empty());
    let spawns = [0, 1].map(|child| Action::Spawn { child: ChildId(child) });
    assert_eq!(desk.tell(Event::Tick), spawns);
}

#[test]
fn unknown_types_go_out_one_by_one_after_a_flush() {
    let mut desk = Desk::ready(config());
    let actions = desk.deliver((1..=5).map(request));
    let sizes: Vec<_> = dispatches(&actions).iter().map(|(_, _, handles)| handles.len()).collect();
    assert_eq!(sizes, [1, 1]);
    let is_flushing = |action: &Action| matches!(action, Action::Dispatch { flush_first: true, .. });
    assert_eq!(actions.iter().filter(|action| is_flushing(action)).count(), 2);
}

#[test]
fn known_short_types_travel_in_batches_without_a_flush() {
    let mut desk = Desk::with_known_no_op();
    let actions = desk.deliver((0..90).map(request));
    let batch = actions.iter().find_map(|action| match action {
        Action::Dispatch { handles, flush_first: false, .. } => Some(handles.len()),
        _ => None,
    });
    assert!(batch.is_some_and(|len| len > 50));
}

#[test]
fn window_is_bounded_by_bytes() {
    let mut desk = Desk::with_known_no_op();
    let heavy = (0..10).map(|n| Request { size: 400_000, ..request(n) });
    assert_eq!(dispatches(&desk.deliver(heavy))[0].2.len(), 2);
}

#[test]
fn message_larger_than_the_window_still_runs() {
    let mut desk = Desk::with_known_no_op();
    let huge = Request { size: 100_000_000, ..request(1) };
    assert_eq!(dispatches(&desk.deliver([huge])).len(), 1);
}

#[test]
fn few_deliveries_spread_over_idle_children() {
    let mut desk = Desk::ready(Config { concurrency: 4, ..config() });
    for number in 0..10 {
        let actions = desk.deliver([request(number)]);
        let (child, number, _) = dispatches(&actions)[0];
        desk.ended(child, number, Outcome::Success);
        desk.tell(Event::Settled { handle: fastworker_engine::Handle(number_of(&actions)) });
    }
    let actions = desk.deliver((20..28).map(request));
    let sizes: Vec<_> = dispatches(&actions).iter().map(|(_, _, handles)| handles.len()).collect();
    assert_eq!(sizes, [2, 2, 2, 2]);
}

fn number_of(actions: &[Action]) -> u32 {
    dispatches(actions)[0].2[0]
}

#[test]
fn urgent_priority_overtakes() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1), request(2)]);
    desk.deliver([Request { priority: 9, ..request(3) }, Request { priority: 1, ..request(4) }]);
    assert_eq!(dispatches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![4])]);
}

#[test]
fn delivery_that_expires_while_it_waits_is_not_dispatched() {
    let mut desk = Desk::ready(config());
    let expires_ms = Some(START_MS + 100);
    desk.deliver([request(1), request(2), Request { expires_ms, ..request(3) }]);
    desk.pass(200_000);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert_eq!(endings(&actions)[1], (3, Ending::Expired));
    assert!(dispatches(&actions).is_empty());
}

#[test]
fn delivery_with_an_eta_waits_for_the_clock_and_holds_no_child() {
    let mut desk = Desk::ready(config());
    let eta_ms = Some(START_MS + 500);
    assert!(dispatches(&desk.deliver([Request { eta_ms, ..request(1) }])).is_empty());
    assert_eq!(desk.engine.deadline(), Some(500_000));
    assert_eq!(dispatches(&desk.pass(500_000)), [(1, 0, vec![1])]);
}

#[test]
fn clock_that_jumps_forward_makes_etas_due() {
    let mut desk = Desk::ready(config());
    let eta_ms = Some(START_MS + 9_000);
    desk.deliver([Request { eta_ms, ..request(1) }]);
    desk.now.wall_ms += 60_000;
    assert_eq!(dispatches(&desk.pass(1_000_000)).len(), 1);
}

#[test]
fn clock_that_jumps_back_parks_what_is_far_now() {
    let mut desk = Desk::ready(config());
    let until_ms = START_MS + 9_000;
    desk.deliver([Request { eta_ms: Some(until_ms), ..request(1) }]);
    desk.now.wall_ms -= 60_000;
    assert_eq!(endings(&desk.pass(1_000_000)), [(1, Ending::Park { until_ms })]);
}

#[test]
fn etas_take_half_of_the_prefetch_at_most() {
    let mut desk = Desk::ready(Config { prefetch: 4, ..config() });
    let eta_ms = Some(START_MS + 500);
    let actions = desk.deliver((1..=4).map(|n| Request { eta_ms, ..request(n) }));
    assert_eq!(endings(&actions).len(), 2);
}

#[test]
fn lease_at_risk_stops_starting_until_it_is_safe() {
    let mut desk = Desk::ready(config());
    desk.tell(Event::LeaseAtRisk);
    assert!(dispatches(&desk.tell(Event::Delivered(vec![request(1)]))).is_empty());
    assert_eq!(dispatches(&desk.tell(Event::LeaseSafe)).len(), 1);
}

#[test]
fn facts_that_do_not_fit_are_counted_and_ignored() {
    let mut desk = Desk::ready(config());
    let handle = fastworker_engine::Handle(77);
    desk.tell(Event::Settled { handle });
    desk.tell(Event::LeaseLost { handle });
    desk.tell(Event::AttemptRecorded { handle, attempt: 1 });
    desk.tell(Event::Recalled { child: ChildId(77), from: 0 });
    desk.died(77, 0);
    assert_eq!(desk.engine.stats().counters.odd, 5);
}

#[test]
fn delivery_under_a_handle_that_is_in_use_is_counted_and_ignored() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1)]);
    assert_eq!(dispatches(&desk.deliver([request(1)])), []);
    desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!(endings(&desk.tell(Event::Delivered(vec![request(1)]))), []);
    assert_eq!((desk.engine.stats().counters.odd, desk.engine.stats().held), (2, 1));
}

#[test]
fn runs_of_each_type_are_counted_with_their_mean() {
    let mut desk = Desk::alone();
    for (number, runtime_us) in [(0, 100), (1, 400)] {
        desk.deliver([request(number)]);
        desk.tell(Event::Ended { child: ChildId(0), number, outcome: Outcome::Success, runtime_us });
    }
    assert_eq!(desk.engine.stats().runtimes, [(Some(250.0), 2), (None, 0)]);
}

#[test]
fn what_comes_is_counted() {
    let mut desk = Desk::ready(config());
    desk.deliver([request(1), request(2)]);
    desk.deliver([request(3)]);
    assert_eq!(desk.engine.stats().counters.delivered, 3);
}
