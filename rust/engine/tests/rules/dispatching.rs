//! Who gets what, when.

use fastworker_engine::{
    Acquired, Action, ChildId, Config, Drawn, Ending, Event, Handle, Outcome, Request, Shutdown, Whereabouts,
};

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
    let heavy = (0..10).map(|n| Request { size: 1 << 19, ..request(n) });
    assert_eq!(dispatches(&desk.deliver(heavy))[0].2.len(), 2);
    let actions = desk.ended(0, 200, Outcome::Success);
    assert_eq!(dispatches(&actions), [(0, 202, vec![2])], "as many bytes are free as have ended");
}

#[test]
fn window_is_bounded_by_number() {
    let mut desk = Desk::knowing(10, Config { concurrency: 1, window_max: 5, ..config() });
    assert_eq!(dispatches(&desk.deliver((0..90).map(request)))[0].2.len(), 5);
}

#[test]
fn window_is_bounded_by_time() {
    // A tenth of the window, with what each costs beside its run time.
    let mut desk = Desk::knowing(135, Config { concurrency: 1, ..config() });
    assert_eq!(dispatches(&desk.deliver((0..90).map(request)))[0].2.len(), 10);
}

#[test]
fn window_is_a_tenth_of_the_time_for_which_messages_have_been_waiting_within_bounds() {
    for (age_us, size) in [(15_000, 10), (30_000, 20), (60_000, 40), (600_000, 40)] {
        let mut desk = Desk::knowing(135, Config { concurrency: 1, ..config() });
        desk.tell(Event::Wake);
        desk.pass(age_us);
        desk.tell(Event::More);
        let actions = desk.tell(Event::Delivered((0..90).map(request).collect()));
        assert_eq!(dispatches(&actions)[0].2.len(), size, "after {age_us} us");
    }
}

#[test]
fn one_that_does_not_fit_and_is_gone_keeps_nothing_from_those_after_it() {
    let mut desk = Desk::knowing(135, Config { concurrency: 1, ..config() });
    desk.deliver((0..10).map(request));
    (200..206).for_each(|number| drop(desk.ended(0, number, Outcome::Success)));
    assert_eq!(dispatches(&desk.deliver([Request { size: 1 << 20, ..request(20) }])), []);
    desk.tell(Event::Revoked { handles: vec![Handle(20)], terminate: None });
    assert_eq!(dispatches(&desk.deliver([request(21)])), [(0, 210, vec![21])]);
}

#[test]
fn child_that_is_busy_has_its_share_in_what_is_sent_ahead() {
    let mut config = config();
    config.tasks[1].acks_late = true;
    let mut desk = Desk::knowing(10, config);
    let unknown = Request { task: Some(1), ..request(90) };
    let busy = dispatches(&desk.deliver([unknown]))[0].0;
    let sent = dispatches(&desk.deliver((0..40).map(request)));
    assert_eq!((sent[0].0, sent[0].2.len()), (1 - busy, 20));
}

#[test]
fn idle_child_comes_before_one_that_only_has_room() {
    // Whose turn is it? All the same.
    for between in 0..2 {
        let mut desk = Desk::knowing(10, config());
        let first = dispatches(&desk.deliver([request(0)]))[0].0;
        for handle in 1..=between {
            let (child, number, _) = dispatches(&desk.deliver([request(handle)]))[0].clone();
            desk.ended(child, number, Outcome::Success);
        }
        assert_eq!(dispatches(&desk.deliver([request(9)]))[0].0, 1 - first, "{between} between");
    }
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
        desk.tell(Event::Settled { handle: Handle(number_of(&actions)) });
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
fn clock_that_slips_back_by_a_second_parks_nothing() {
    let mut desk = Desk::ready(config());
    desk.deliver([Request { eta_ms: Some(START_MS + 10_000), ..request(1) }]);
    desk.tell(Event::Tick);
    desk.now.wall_ms -= 1_000;
    assert_eq!(endings(&desk.pass(100_000)), []);
}

#[test]
fn clock_that_has_gone_back_while_time_passed_has_jumped() {
    let mut desk = Desk::ready(config());
    let until_ms = START_MS + 10_000;
    desk.deliver([Request { eta_ms: Some(until_ms), ..request(1) }]);
    desk.now.wall_ms -= 9_500;
    assert_eq!(endings(&desk.pass(9_000_000)), [(1, Ending::Park { until_ms })]);
}

#[test]
fn etas_take_half_of_the_prefetch_at_most() {
    let mut desk = Desk::ready(Config { prefetch: 4, ..config() });
    let eta_ms = Some(START_MS + 500);
    let actions = desk.deliver((1..=4).map(|n| Request { eta_ms, ..request(n) }));
    assert_eq!(endings(&actions).len(), 2);
}

#[test]
fn it_can_be_told_where_each_delivery_is() {
    let mut desk = Desk::alone();
    let until_ms = START_MS + 500;
    desk.deliver([request(1), request(2), Request { eta_ms: Some(until_ms), ..request(3) }]);
    desk.deliver([Request { expires_ms: Some(START_MS - 1), ..request(4) }]);
    let mut whereabouts: Vec<_> = desk.engine.whereabouts().map(|(handle, place)| (handle.0, place)).collect();
    whereabouts.sort_by_key(|(handle, _)| *handle);
    let timer = Whereabouts::Timer { until_ms };
    let child = Whereabouts::Child(ChildId(0));
    assert_eq!(whereabouts, [(1, child), (2, Whereabouts::Waiting), (3, timer), (4, Whereabouts::Ending)]);
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
    desk.tell(Event::FetchFailed);
    let (handle, child) = (Handle(77), ChildId(77));
    let facts = [
        Event::Settled { handle },
        Event::LeaseLost { handle },
        Event::AttemptRecorded { handle, attempt: 1 },
        Event::Revoked { handles: vec![handle], terminate: None },
        Event::Acquired(Acquired { granted: vec![handle], ..Acquired::default() }),
        Event::FetchFailed,
        Event::Delivered(vec![]),
        Event::DrawFailed,
        Event::Drawn(Drawn::default()),
        Event::ChildForked { child },
        Event::ChildForked { child: ChildId(0) },
        Event::ChildReady { child },
        Event::ChildReady { child: ChildId(0) },
        Event::Observed { child, next: 0, running_since_us: None },
        Event::ObservedMany { child, next: 0, running: vec![], turned_us: None },
        Event::Awake { child },
        Event::Recalled { child, from: 0 },
        Event::ChildExited { child, next: 0, by_itself: true },
        Event::Memory { child, peak_kib: 0 },
        Event::LimitsChanged { task: 77, soft_limit_s: None, hard_limit_s: None },
        Event::RateLimit { task: 77, limit: None },
        Event::QueueClosed { queue: 77 },
    ];
    for (nth, fact) in (1..).zip(facts) {
        let told = format!("{fact:?}");
        assert_eq!(desk.tell(fact), [], "{told}");
        assert_eq!(desk.engine.stats().counters.odd, nth, "{told}");
    }
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

#[test]
fn late_reports_are_counted_and_ignored() {
    let mut desk = Desk::ready(config());
    let (child, handle) = (ChildId(77), Handle(77));
    desk.tell(Event::Ended { child, number: 0, outcome: Outcome::Success, runtime_us: 1 });
    desk.tell(Event::Ended { child: ChildId(0), number: 0, outcome: Outcome::Success, runtime_us: 1 });
    desk.tell(Event::MemberEnded { child, number: 0, handle, outcome: Outcome::Success });
    desk.tell(Event::BatchEnded { child, number: 0, runtime_us: 1 });
    desk.tell(Event::BatchEnded { child: ChildId(0), number: 0, runtime_us: 1 });
    assert_eq!((desk.engine.stats().counters.late, desk.engine.stats().counters.odd), (5, 0));
}
