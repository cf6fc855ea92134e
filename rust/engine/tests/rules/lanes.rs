//! Rate limits that all workers share, and lanes of the broker.

use fastworker_engine::sim::{Accident, Fault, Letter, Plan, Rng, play};
use fastworker_engine::{
    Acquired, Action, Ask, ChildId, Config, Drawn, Ending, Event, Handle, Outcome, Quota, Rate, Request, Scope,
    Shutdown,
};

use crate::desk::{Desk, config, dispatches, endings, fetched, request};

/// A worker with two children in which task 0 has this limit; task 1 has none.
fn limited(per_second: f64, scope: Scope) -> Desk {
    Desk::ready(limits(per_second, scope))
}

fn limits(per_second: f64, scope: Scope) -> Config {
    let mut config = config();
    config.tasks[0].rate = Rate::per_second(per_second);
    config.tasks[0].rate_scope = scope;
    config.tasks[1].acks_late = true;
    config
}

fn keyed(handle: u32, key: u64) -> Request {
    Request { key, ..request(handle) }
}

fn asks(actions: &[Action]) -> Vec<Ask> {
    let asks = |action: &Action| if let Action::Acquire { asks } = action { Some(asks.clone()) } else { None };
    actions.iter().filter_map(asks).flatten().collect()
}

fn asked(actions: &[Action]) -> Vec<(u64, Vec<u32>)> {
    let handles = |ask: Ask| (ask.key, ask.handles.iter().map(|handle| handle.0).collect());
    asks(actions).into_iter().map(handles).collect()
}

fn drawn(actions: &[Action]) -> Option<(u32, Vec<Quota>)> {
    actions.iter().find_map(|action| match action {
        Action::Draw { max, quotas, .. } => Some((*max, quotas.clone())),
        _ => None,
    })
}

fn started(actions: &[Action]) -> Vec<u32> {
    dispatches(actions).into_iter().flat_map(|(_, _, handles)| handles).collect()
}

fn granted(handles: &[u32]) -> Event {
    let granted = handles.iter().map(|&handle| Handle(handle)).collect();
    Event::Acquired(Acquired { granted, ..Acquired::default() })
}

#[test]
fn permits_of_a_batch_are_asked_for_together_and_by_key() {
    let mut desk = limited(2.0, Scope::Shared);
    let actions = desk.deliver([keyed(1, 7), keyed(2, 8), keyed(3, 7)]);
    assert_eq!(asked(&actions), [(7, vec![1, 3]), (8, vec![2])]);
    assert!(started(&actions).is_empty(), "nothing starts without a permit");
    assert_eq!(started(&desk.tell(granted(&[1, 2, 3]))).len(), 2);
}

#[test]
fn what_was_moved_to_its_lane_holds_no_credit() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.deliver([keyed(1, 7), keyed(2, 7)]);
    let answer =
        Acquired { granted: vec![Handle(1)], laned: vec![Handle(2)], due_in_us: Some(500_000), ..Acquired::default() };
    assert_eq!(started(&desk.tell(Event::Acquired(answer))), [1]);
    assert_eq!((desk.engine.stats().held, desk.engine.stats().counters.laned), (1, 1));
    desk.tell(Event::Drawn(Drawn::default()));
    assert!(drawn(&desk.pass(400_000)).is_none(), "the permit is not there");
}

#[test]
fn what_was_lost_before_the_question_is_forgotten() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.deliver([keyed(1, 7), keyed(2, 7)]);
    let answer = Acquired { granted: vec![Handle(2)], lost: vec![Handle(1)], ..Acquired::default() };
    assert_eq!(started(&desk.tell(Event::Acquired(answer))), [2]);
    assert_eq!((desk.engine.stats().held, desk.engine.stats().counters.lost), (1, 1));
}

/// Permits are asked for, and before the answer comes the connection breaks; others draw what was moved to its lane,
/// and then the question is repeated.
#[test]
fn lost_lease_gets_no_permit() {
    let config = limits(5.0, Scope::Shared);
    let letters: Vec<_> = (0..10).map(|nth| Letter { at_us: 500 * nth, key: nth % 3, ..Letter::plain(20) }).collect();
    for seed in 0..200 {
        let accidents = vec![Accident { at_us: 1_000 + 100 * seed, fault: Fault::Cut }];
        let plan = Plan { nodes: 2, slowness_us: 5_000, accidents, ..Plan::quiet(config.clone(), letters.clone()) };
        if let Err(violation) = play(plan, Rng::new(seed)) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn draw_comes_when_the_permit_of_a_lane_is_there() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.tell(Event::Drawn(Drawn { next_in_us: Some(300_000), ..Drawn::default() }));
    assert_eq!(desk.engine.deadline(), Some(300_000));
    let (_, quotas) = drawn(&desk.pass(300_000)).expect("a draw");
    let rate = Rate::per_second(2.0).expect("a limit");
    assert_eq!(quotas, [Quota::Shared { task: 0, rate }]);
    let request = Request { is_drawn: true, ..request(1) };
    let actions = desk.tell(Event::Drawn(Drawn { requests: vec![request], ..Drawn::default() }));
    assert_eq!(started(&actions), [1], "it brings its permit along");
    assert!(asks(&actions).is_empty());
    assert_eq!(desk.engine.stats().counters.drawn, 1);
}

#[test]
fn permits_ahead_spare_the_question_for_a_while() {
    let mut desk = limited(1_000.0, Scope::Shared);
    desk.deliver([keyed(1, 7)]);
    let ahead = vec![(0, 7, 1)];
    desk.tell(Event::Acquired(Acquired { granted: vec![Handle(1)], ahead: ahead.clone(), ..Acquired::default() }));
    let actions = desk.deliver([keyed(2, 7), keyed(3, 7), keyed(4, 8)]);
    assert_eq!(asked(&actions), [(7, vec![3]), (8, vec![4])], "one permit was at hand, for one key");
    desk.tell(Event::Acquired(Acquired { granted: vec![Handle(3), Handle(4)], ahead, ..Acquired::default() }));
    desk.pass(250_000);
    assert_eq!(asked(&desk.deliver([keyed(5, 7)])), [(7, vec![5])], "the one at hand is too old");
}

#[test]
fn what_was_granted_during_a_shutdown_goes_back() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.deliver([keyed(1, 7)]);
    assert!(endings(&desk.tell(Event::Shutdown(Shutdown::Warm))).is_empty(), "its answer is awaited");
    assert_eq!(endings(&desk.tell(granted(&[1]))), [(1, Ending::Return)]);
}

#[test]
fn what_was_granted_of_a_queue_that_is_closed_goes_back() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.deliver([keyed(1, 7)]);
    desk.tell(Event::QueueClosed { queue: 0 });
    assert_eq!(endings(&desk.tell(granted(&[1]))), [(1, Ending::Return)]);
}

#[test]
fn far_permits_of_this_worker_are_waited_for_in_a_lane() {
    let mut desk = limited(0.1, Scope::Worker);
    let actions = desk.deliver([request(1), request(2), request(3)]);
    assert_eq!(started(&actions), [1]);
    assert_eq!(endings(&actions), [(2, Ending::Lane), (3, Ending::Lane)]);
}

#[test]
fn what_goes_to_its_lane_does_not_come_one_by_one() {
    let mut desk = limited(0.1, Scope::Worker);
    let child = dispatches(&desk.deliver([request(1)]))[0].0;
    let ended = Event::Ended { child: ChildId(child), number: 0, outcome: Outcome::Success, runtime_us: 10_000_000 };
    desk.tell(ended);
    desk.tell(Event::Settled { handle: Handle(1) });
    let (mut asked, mut handle) = (Vec::new(), 2);
    desk.tell(Event::Delivered(vec![]));
    desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }));
    let mut max = fetched(&desk.tell(Event::Wake)).expect("two children are idle");
    for _ in 0..6 {
        asked.push(max);
        desk.now.mono_us += 1_000;
        let mut actions = desk.tell(Event::Delivered((handle..handle + max).map(request).collect()));
        assert_eq!(endings(&actions).len(), max as usize, "the next permit is ten seconds away");
        for laned in handle..handle + max {
            actions.extend(desk.tell(Event::Settled { handle: Handle(laned) }));
        }
        handle += max;
        max = fetched(&actions).expect("there may be more");
    }
    assert_eq!(asked, [4, 10, 22, 46, 50, 50]);
}

#[test]
fn one_that_stays_ends_what_may_come_on_top() {
    let mut desk = limited(0.1, Scope::Worker);
    let child = dispatches(&desk.deliver([request(1), request(2), request(3)]))[0].0;
    let ended = Event::Ended { child: ChildId(child), number: 0, outcome: Outcome::Success, runtime_us: 10_000_000 };
    desk.tell(ended);
    (1..=3).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    desk.tell(Event::Delivered(vec![]));
    desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }));
    desk.now.mono_us += 1_000;
    assert_eq!(fetched(&desk.deliver([Request { task: Some(1), ..request(4) }])), None);
    assert_eq!(fetched(&desk.tell(Event::Wake)), Some(1), "for the child that is idle");
}

#[test]
fn urgent_delivery_takes_the_place_of_a_patient_one_here() {
    let mut desk = limited(1.5, Scope::Worker);
    let patient = |handle| Request { priority: 9, ..request(handle) };
    let actions = desk.deliver([patient(1), patient(2), patient(3)]);
    assert_eq!((started(&actions), endings(&actions)), (vec![1], vec![(3, Ending::Lane)]));
    let actions = desk.deliver([request(4)]);
    assert_eq!(endings(&actions), [(2, Ending::Lane)]);
    assert_eq!(desk.engine.stats().limited, 1);
}

#[test]
fn own_permits_draw_from_the_lane_when_they_come_near() {
    let mut desk = limited(0.1, Scope::Worker);
    desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }));
    desk.deliver([request(1), request(2)]);
    desk.tell(Event::Settled { handle: Handle(2) });
    for _ in 0..8 {
        let quotas = drawn(&desk.pass(1_000_000)).map(|(_, quotas)| quotas);
        assert_eq!(quotas, Some(vec![Quota::Worker { task: 0, permits: 0 }]), "others may have put something there");
        desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }));
    }
    let (_, quotas) = drawn(&desk.pass(1_000_000)).expect("a draw");
    assert_eq!(quotas, [Quota::Worker { task: 0, permits: 1 }]);
    let request = Request { is_drawn: true, ..request(2) };
    desk.tell(Event::Drawn(Drawn { requests: vec![request], has_more: vec![false], ..Drawn::default() }));
    assert_eq!(desk.engine.stats().limited, 1, "a second too early, it waits here");
    assert_eq!(started(&desk.pass(1_000_000)), [2]);
}

#[test]
fn what_comes_goes_behind_what_waits_in_the_lane() {
    let mut desk = limited(1_000.0, Scope::Worker);
    desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }));
    assert_eq!(endings(&desk.deliver([request(1)])), [(1, Ending::Lane)]);
}

#[test]
fn what_comes_goes_behind_what_was_put_into_the_lane() {
    let mut desk = limited(0.1, Scope::Worker);
    desk.deliver([request(1), request(2)]);
    desk.now.mono_us += 10_000_000;
    assert_eq!(endings(&desk.deliver([request(3)])), [(3, Ending::Lane)], "its permit is there");
}

#[test]
fn lane_is_drawn_again_at_once_when_there_are_permits_for_many() {
    let mut desk = limited(1_000.0, Scope::Worker);
    assert!(drawn(&desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }))).is_some());
    assert!(drawn(&desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }))).is_none());
}

#[test]
fn few_permits_are_gathered_before_a_lane_is_drawn() {
    let mut desk = limited(4.5, Scope::Worker);
    // Three wait for permits of the next second, and there is a fourth.
    desk.deliver((1..=4).map(request));
    assert_eq!(drawn(&desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }))), None);
    assert_eq!(desk.engine.deadline(), Some(125_000));
}

#[test]
fn lane_is_not_drawn_ahead_while_as_many_wait_here_as_may() {
    let mut config = limits(2.0, Scope::Worker);
    config.prefetch = 8;
    let mut desk = Desk::ready(config);
    desk.deliver((1..=3).map(request));
    desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }));
    assert_eq!(desk.engine.deadline(), Some(500_000));
}

#[test]
fn lane_of_a_limit_that_was_lifted_is_emptied_at_once() {
    let mut desk = limited(0.1, Scope::Worker);
    desk.deliver([request(1)]);
    desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }));
    let actions = desk.tell(Event::RateLimit { task: 0, limit: None });
    assert_eq!(drawn(&actions).map(|(_, quotas)| quotas), Some(vec![Quota::Worker { task: 0, permits: u32::MAX }]));
    assert_eq!(drawn(&desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }))), None);
}

#[test]
fn draw_and_fetch_share_the_credit() {
    let mut config = Config { prefetch: 8, concurrency: 8, ..config() };
    config.tasks[0].rate = Rate::per_second(1.0);
    config.tasks[0].rate_scope = Scope::Shared;
    let mut desk = Desk::ready(config);
    desk.tell(Event::Delivered(vec![]));
    desk.tell(Event::Drawn(Drawn { next_in_us: Some(0), ..Drawn::default() }));
    let (max, _) = drawn(&desk.pass(10_000)).expect("a draw");
    let room = fetched(&desk.tell(Event::Wake)).unwrap_or(0);
    assert!(max + room <= 8, "a draw of {max} and a fetch of {room}");
}

#[test]
fn draw_brings_no_more_than_a_fetch_that_is_out_leaves() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.tell(Event::Drawn(Drawn { next_in_us: Some(10_000), ..Drawn::default() }));
    desk.tell(Event::Delivered(vec![]));
    desk.pass(1_000);
    assert_eq!(fetched(&desk.tell(Event::Wake)), Some(6), "for two idle children and ahead of them");
    assert_eq!(drawn(&desk.pass(10_000)), None);
    let mut config = Config { prefetch: 8, concurrency: 8, ..config() };
    config.tasks[0].has_lanes = true;
    let mut desk = Desk::ready(config);
    desk.tell(Event::Drawn(Drawn { next_in_us: Some(10_000), ..Drawn::default() }));
    assert_eq!(fetched(&desk.deliver([2, 3].map(|handle| Request { task: Some(1), ..request(handle) }))), Some(4));
    assert_eq!(drawn(&desk.pass(10_000)).map(|(max, _)| max), Some(2), "two are here, and four on their way");
}

#[test]
fn nothing_comes_on_top_while_every_child_is_busy_for_long() {
    let mut desk = limited(0.1, Scope::Worker);
    desk.deliver([1, 2].map(|handle| Request { task: Some(1), ..request(handle) }));
    desk.tell(Event::Drawn(Drawn { has_more: vec![true], ..Drawn::default() }));
    desk.now.mono_us += 250_000;
    let actions = desk.deliver([request(3), request(4)]);
    assert_eq!((endings(&actions).len(), fetched(&actions)), (2, None), "what passes is not asked for");
}

#[test]
fn failed_draw_is_tried_again_after_a_second() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.tell(Event::DrawFailed);
    assert_eq!(desk.engine.deadline(), Some(1_000_000));
    assert!(drawn(&desk.pass(1_000_000)).is_some());
    desk.tell(Event::DrawFailed);
    assert!(drawn(&desk.pass(1_000_000)).is_some());
}

#[test]
fn draw_that_there_is_no_room_for_is_tried_again_soon() {
    let mut desk = limited(2.0, Scope::Shared);
    desk.tell(Event::Drawn(Drawn::default()));
    desk.deliver([1, 2].map(|handle| Request { task: Some(1), ..request(handle) }));
    assert_eq!(drawn(&desk.pass(1_000_000)), None, "both children have been busy for long");
    assert_eq!(desk.engine.deadline(), Some(1_020_000));
}

#[test]
fn worker_without_limits_never_draws() {
    let mut desk = Desk::ready(config());
    let mut actions = desk.deliver([request(1)]);
    actions.extend(desk.ended(0, 0, Outcome::Success));
    actions.extend(desk.pass(5_000_000));
    assert!(drawn(&actions).is_none());
}

#[test]
fn worker_that_ignores_limits_empties_lanes_all_the_same() {
    let mut config = config();
    config.tasks[0].has_lanes = true;
    config.tasks[0].rate_scope = Scope::Shared;
    let mut desk = Desk::ready(config);
    desk.tell(Event::Drawn(Drawn::default()));
    let (_, quotas) = drawn(&desk.pass(1_000_000)).expect("a draw");
    assert_eq!(quotas, [Quota::Shared { task: 0, rate: Rate::UNLIMITED }]);
    assert_eq!(started(&desk.deliver([request(1), request(2)])).len(), 2);
}
