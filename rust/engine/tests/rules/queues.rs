//! Limits and weights of queues; queues that come and go.

use fastworker_engine::{
    Action, ChildId, Config, Drawn, Ending, Event, Handle, Outcome, Portion, QueueTerms, Rate, Request, Scope, Shutdown,
};

use crate::desk::{Desk, START_MS, config, dispatches, endings, fetched, request};

/// Two queues; of the first one, so many may run at once.
fn limited(limit: u32) -> Config {
    let first = QueueTerms { limit: Some(limit), weight: 1 };
    Config { queues: vec![first, QueueTerms::default()], concurrency: 4, ..config() }
}

fn of_queue(queue: u16, handle: u32) -> Request {
    Request { queue, ..request(handle) }
}

fn portions(actions: &[Action]) -> Option<Vec<Portion>> {
    actions.iter().find_map(|action| match action {
        Action::Fetch { portions, .. } => Some(portions.clone()),
        _ => None,
    })
}

/// How much of the first queue is asked for.
fn room(actions: &[Action]) -> Option<u32> {
    portions(actions).map(|portions| portions[0].room)
}

fn started(actions: &[Action]) -> Vec<u32> {
    dispatches(actions).into_iter().flat_map(|(_, _, handles)| handles).collect()
}

/// What was just dispatched, to one child, ends well.
fn end(desk: &mut Desk, actions: &[Action]) -> Vec<Action> {
    let (child, number, _) = dispatches(actions)[0].clone();
    desk.ended(child, number, Outcome::Success)
}

fn recalls(actions: &[Action]) -> Vec<u32> {
    let child = |action: &Action| match action {
        Action::Recall { child } => Some(child.0),
        _ => None,
    };
    actions.iter().filter_map(child).collect()
}

#[test]
fn plain_queues_are_fetched_without_bounds() {
    let mut desk = Desk::new(Config { queues: vec![QueueTerms::default(); 3], ..config() });
    desk.tell(Event::Tick);
    assert_eq!(portions(&desk.tell(Event::ChildReady { child: ChildId(0) })), Some(vec![]));
}

#[test]
fn no_more_is_asked_for_than_may_run() {
    let mut desk = Desk::ready(limited(2));
    let actions = desk.deliver([of_queue(0, 1)]);
    assert_eq!(room(&desk.tell(Event::Wake)).or(room(&actions)), Some(1));
    let actions = desk.tell(Event::Delivered(vec![of_queue(0, 2), of_queue(1, 3)]));
    assert_eq!(dispatches(&actions).len(), 2);
    assert_eq!(room(&actions), Some(0), "the other queue is still asked");
}

#[test]
fn full_queue_alone_is_not_asked() {
    let only = vec![QueueTerms { limit: Some(1), weight: 1 }];
    let mut desk = Desk::ready(Config { queues: only, ..config() });
    let actions = desk.deliver([request(1)]);
    assert_eq!(fetched(&actions), None);
    assert_eq!(fetched(&desk.tell(Event::Wake)), None);
    assert_eq!(fetched(&end(&mut desk, &actions)), Some(1), "a place is free: no wake-up is needed");
}

#[test]
fn queue_that_was_found_empty_is_not_asked_again_for_a_free_place() {
    let only = vec![QueueTerms { limit: Some(2), weight: 1 }];
    let mut desk = Desk::ready(Config { queues: only, ..config() });
    let actions = desk.tell(Event::Delivered(vec![request(1)]));
    assert_eq!(fetched(&end(&mut desk, &actions)), None);
}

#[test]
fn what_comes_beyond_the_limit_goes_back_in_order() {
    let mut desk = Desk::ready(limited(1));
    let actions = desk.deliver([of_queue(0, 1), of_queue(0, 2), of_queue(0, 3)]);
    assert_eq!(dispatches(&actions).len(), 1);
    assert_eq!(endings(&actions), [(3, Ending::Return), (2, Ending::Return)]);
}

#[test]
fn due_delivery_without_a_place_goes_back() {
    let mut desk = Desk::ready(limited(1));
    desk.deliver([Request { eta_ms: Some(START_MS + 100), ..of_queue(0, 1) }]);
    assert_eq!(room(&desk.tell(Event::Wake)).or(Some(1)), Some(1), "it has no place yet");
    desk.tell(Event::Delivered(vec![of_queue(0, 2)]));
    assert_eq!(endings(&desk.pass(101_000)), [(1, Ending::Return)]);
}

#[test]
fn delivery_with_a_permit_stands_until_there_is_a_place() {
    let mut terms = limited(1);
    terms.tasks[1].acks_late = true;
    terms.tasks[1].rate = Rate::per_second(10.0);
    let mut desk = Desk::ready(terms);
    let rated = |handle| Request { task: Some(1), ..of_queue(0, handle) };
    let actions = desk.deliver([rated(1)]);
    assert_eq!(started(&actions), [1], "the first permit");
    end(&mut desk, &actions);
    desk.deliver([rated(2)]);
    let actions = desk.deliver([of_queue(0, 3)]);
    assert_eq!(started(&actions), [3], "who waits for a permit is in nobody's way");
    let waiting = desk.pass(150_000);
    assert!(started(&waiting).is_empty() && endings(&waiting).is_empty(), "{waiting:?}");
    desk.tell(Event::Delivered(vec![]));
    assert_eq!(room(&desk.tell(Event::Wake)), Some(0));
    assert_eq!(started(&end(&mut desk, &actions)), [2]);
}

/// One runs, and two have their permit and stand for its place.
fn standing() -> (Desk, Vec<Action>) {
    let mut terms = limited(1);
    terms.tasks[1].acks_late = true;
    terms.tasks[1].rate = Rate::per_second(10.0);
    let mut desk = Desk::ready(terms);
    let rated = |handle| Request { task: Some(1), ..of_queue(0, handle) };
    let actions = desk.deliver([rated(1)]);
    end(&mut desk, &actions);
    desk.deliver([rated(2), rated(3)]);
    let actions = desk.deliver([of_queue(0, 4)]);
    desk.pass(100_000);
    desk.pass(100_000);
    (desk, actions)
}

#[test]
fn delivery_that_stands_and_is_revoked_leaves_its_place_in_line() {
    let (mut desk, actions) = standing();
    let revoked = Ending::Revoked { terminated: None, acked_early: false };
    assert_eq!(endings(&desk.tell(Event::Revoked { handles: vec![Handle(2)], terminate: None })), [(2, revoked)]);
    assert_eq!(started(&end(&mut desk, &actions)), [3]);
}

#[test]
fn deliveries_that_stand_go_back_in_a_shutdown_last_first() {
    let (mut desk, _) = standing();
    let actions = desk.tell(Event::Shutdown(Shutdown::Warm));
    assert_eq!(endings(&actions), [(3, Ending::Return), (2, Ending::Return)]);
}

#[test]
fn worker_with_limits_and_nothing_to_do_needs_no_tick() {
    let mut desk = Desk::ready(limited(1));
    desk.tell(Event::Delivered(vec![]));
    assert_eq!(desk.engine.deadline(), None);
}

#[test]
fn message_that_came_while_its_queue_was_full_is_fetched_when_a_place_is_free() {
    let mut desk = Desk::ready(limited(2));
    let later = Request { eta_ms: Some(START_MS + 100), ..of_queue(0, 1) };
    // There may be two more of that queue, and then there are none.
    desk.tell(Event::Delivered(vec![later]));
    assert_eq!(room(&desk.tell(Event::Wake)), Some(2));
    let running = desk.tell(Event::Delivered(vec![of_queue(0, 2)]));
    assert_eq!(started(&desk.pass(100_000)), [1], "it is full");
    assert_eq!(room(&desk.tell(Event::Wake)), Some(0));
    desk.tell(Event::Delivered(vec![]));
    assert_eq!(room(&end(&mut desk, &running)), Some(1));
}

#[test]
fn what_goes_back_for_want_of_a_place_spends_no_permit() {
    let mut terms = limited(1);
    terms.tasks[1].acks_late = true;
    terms.tasks[1].rate = Rate::per_second(10.0);
    let mut desk = Desk::ready(terms);
    let rated = |handle| Request { task: Some(1), ..of_queue(0, handle) };
    let actions = desk.deliver([of_queue(0, 1)]);
    assert_eq!(endings(&desk.deliver([rated(2)])), [(2, Ending::Return)]);
    end(&mut desk, &actions);
    assert_eq!(started(&desk.deliver([rated(3)])), [3]);
}

#[test]
fn drawn_delivery_stands_until_there_is_a_place() {
    let mut desk = with_lanes(Scope::Shared);
    let actions = desk.tell(Event::Delivered(vec![of_queue(0, 1)]));
    let drawn = Request { is_drawn: true, task: Some(1), ..of_queue(0, 2) };
    let standing = desk.tell(Event::Drawn(Drawn { requests: vec![drawn], ..Drawn::default() }));
    assert!(started(&standing).is_empty() && endings(&standing).is_empty(), "{standing:?}");
    assert_eq!(started(&end(&mut desk, &actions)), [2]);
}

#[test]
fn delivery_with_a_permit_does_not_stand_behind_a_slow_one_for_long() {
    let mut terms = limited(1);
    terms.tasks[1].acks_late = true;
    terms.tasks[1].rate = Rate::per_second(10.0);
    let mut desk = Desk::ready(terms);
    let rated = |handle| Request { task: Some(1), ..of_queue(0, handle) };
    let actions = desk.deliver([rated(1)]);
    end(&mut desk, &actions);
    desk.deliver([rated(2)]);
    assert_eq!(started(&desk.deliver([of_queue(0, 3)])), [3]);
    desk.pass(150_000);
    assert!(desk.engine.unasked().any(|handle| handle == Handle(2)), "its lease is looked after");
    let due_us = desk.engine.deadline().expect("somebody stands");
    assert!(due_us <= desk.now.mono_us + 500_000, "looked after at {due_us}");
    assert!(endings(&desk.pass(999_000)).is_empty());
    desk.tell(Event::BrokerLost);
    assert!(endings(&desk.pass(1_000)).is_empty(), "it cannot go");
    desk.tell(Event::BrokerBack);
    assert_eq!(endings(&desk.pass(1_000)), [(2, Ending::Return)], "another worker may have a place");
}

/// One place in the first queue; task 0 has no limit, task 1 one that is far from giving another permit.
fn with_lanes(scope: Scope) -> Desk {
    let mut terms = Config { prefetch: 100, ..limited(1) };
    terms.tasks[1].acks_late = true;
    terms.tasks[1].rate = Rate::per_second(0.1);
    terms.tasks[1].rate_scope = scope;
    Desk::ready(terms)
}

fn draw(actions: &[Action]) -> Option<Vec<Portion>> {
    actions.iter().find_map(|action| match action {
        Action::Draw { portions, .. } => Some(portions.clone()),
        _ => None,
    })
}

/// A fact, and all that follows while draws bring nothing.
fn without_draws(desk: &mut Desk, event: Event) -> Vec<Action> {
    let mut actions = desk.tell(event);
    while draw(&actions).is_some() {
        actions.retain(|action| !matches!(action, Action::Draw { .. }));
        actions.extend(desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() })));
    }
    actions
}

#[test]
fn what_goes_to_its_lane_holds_the_rest_of_its_queue_up_for_few_round_trips() {
    let mut desk = with_lanes(Scope::Worker);
    let rated = |handle| Request { task: Some(1), ..of_queue(0, handle) };
    desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }));
    let actions = desk.deliver([rated(1)]);
    let (child, number, _) = dispatches(&actions)[0].clone();
    let outcome = Outcome::Success;
    without_draws(&mut desk, Event::Ended { child: ChildId(child), number, outcome, runtime_us: 1 });
    without_draws(&mut desk, Event::Settled { handle: Handle(1) });
    let actions = without_draws(&mut desk, Event::Delivered(vec![]));
    let mut rooms = vec![room(&actions).expect("a fetch")];
    let mut handle = 2;
    while rooms.len() < 5 {
        desk.now.mono_us += 1_000;
        let max = *rooms.last().expect("one is there");
        let mut actions = without_draws(&mut desk, Event::Delivered((handle..handle + max).map(rated).collect()));
        assert_eq!(endings(&actions).len(), max as usize, "they go to their lane");
        for laned in handle..handle + max {
            actions.extend(without_draws(&mut desk, Event::Settled { handle: Handle(laned) }));
        }
        handle += max;
        rooms.push(room(&actions).expect("there may be more"));
    }
    assert_eq!(rooms, [1, 2, 4, 8, 16]);
    let actions = desk.tell(Event::Delivered(vec![of_queue(0, handle), of_queue(0, handle + 1)]));
    assert_eq!((started(&actions), endings(&actions)), (vec![handle], vec![(handle + 1, Ending::Return)]));
    let (child, number, _) = dispatches(&actions)[0].clone();
    let mut actions = without_draws(&mut desk, Event::Ended { child: ChildId(child), number, outcome, runtime_us: 1 });
    actions.extend(without_draws(&mut desk, Event::Wake));
    actions.extend(without_draws(&mut desk, Event::Delivered(vec![])));
    assert_eq!(room(&actions), Some(1), "something has stayed: {actions:?}");
}

#[test]
fn what_ends_at_once_needs_no_place() {
    let mut desk = with_lanes(Scope::Worker);
    let expired = |handle| Request { expires_ms: Some(START_MS - 1), ..of_queue(0, handle) };
    desk.tell(Event::Drawn(Drawn { has_more: vec![false], ..Drawn::default() }));
    assert_eq!(room(&desk.deliver([expired(1)])), Some(2));
}

#[test]
fn lanes_are_looked_at_again_when_a_place_was_freed_during_a_draw() {
    let mut desk = with_lanes(Scope::Shared);
    desk.tell(Event::Drawn(Drawn::default()));
    let actions = desk.deliver([of_queue(0, 1)]);
    let portions = draw(&desk.pass(1_000_000)).expect("once a second");
    assert_eq!(portions[0].room, 0);
    end(&mut desk, &actions);
    let portions = draw(&desk.tell(Event::Drawn(Drawn::default()))).expect("at once");
    assert_eq!(portions[0].room, 1);
}

#[test]
fn lanes_are_looked_at_again_when_a_fetch_has_not_used_its_places() {
    let mut desk = with_lanes(Scope::Shared);
    desk.tell(Event::Drawn(Drawn::default()));
    assert_eq!(room(&desk.deliver([])), Some(1));
    let portions = draw(&desk.pass(1_000_000)).expect("once a second");
    assert_eq!(portions[0].room, 0, "the fetch may need it");
    desk.tell(Event::Drawn(Drawn::default()));
    let portions = draw(&desk.tell(Event::Delivered(vec![]))).expect("at once");
    assert_eq!(portions[0].room, 1);
}

#[test]
fn lanes_are_looked_at_again_when_what_they_gave_has_not_stayed() {
    let mut desk = with_lanes(Scope::Shared);
    let expired = Request { is_drawn: true, task: Some(1), expires_ms: Some(START_MS - 1), ..of_queue(0, 1) };
    let actions = desk.tell(Event::Drawn(Drawn { requests: vec![expired], ..Drawn::default() }));
    assert_eq!(draw(&actions).expect("at once")[0].room, 1);
    let stays = Request { is_drawn: true, task: Some(1), ..of_queue(0, 2) };
    let actions = desk.tell(Event::Drawn(Drawn { requests: vec![stays], ..Drawn::default() }));
    assert_eq!((started(&actions), draw(&actions)), (vec![2], None), "there is no room");
}

#[test]
fn weights_divide_a_fetch() {
    let terms = [3, 1].map(|weight| QueueTerms { limit: None, weight }).to_vec();
    let mut desk = Desk::ready(Config { queues: terms, concurrency: 4, ..config() });
    let actions = desk.deliver([]);
    let shares: Vec<u32> = portions(&actions).expect("a fetch").iter().map(|portion| portion.share).collect();
    let max = fetched(&actions).expect("a fetch");
    assert_eq!(shares.iter().sum::<u32>(), max);
    assert!(shares[0] >= 2 * shares[1], "{shares:?} of {max}");
}

#[test]
fn lanes_are_not_looked_at_again_for_a_fetch_that_left_them_room_or_needed_none() {
    let mut config = Config { prefetch: 100, ..limited(9) };
    config.tasks[1].has_lanes = true;
    config.tasks[1].rate_scope = Scope::Shared;
    let mut desk = Desk::ready(config.clone());
    desk.tell(Event::Drawn(Drawn::default()));
    assert_eq!(room(&desk.deliver([])), Some(9));
    assert!(draw(&desk.pass(1_000_000)).expect("once a second")[0].room < 9);
    desk.tell(Event::Drawn(Drawn::default()));
    assert_eq!(draw(&desk.tell(Event::Delivered(vec![]))), None);
    config.queues[0].limit = Some(1);
    let mut desk = Desk::ready(config);
    desk.tell(Event::Drawn(Drawn::default()));
    assert_eq!(room(&desk.deliver([of_queue(0, 1)])), Some(0));
    assert_eq!(draw(&desk.pass(1_000_000)).expect("once a second")[0].room, 0);
    desk.tell(Event::Drawn(Drawn::default()));
    assert_eq!(draw(&desk.tell(Event::Delivered(vec![]))), None);
}

#[test]
fn full_queue_has_no_share_in_a_fetch() {
    let terms = [(Some(1), 3), (None, 1)].map(|(limit, weight)| QueueTerms { limit, weight }).to_vec();
    let mut desk = Desk::ready(Config { queues: terms, concurrency: 4, ..config() });
    let actions = desk.deliver([of_queue(0, 1)]);
    let shares: Vec<u32> = portions(&actions).expect("a fetch").iter().map(|portion| portion.share).collect();
    assert_eq!(shares, [0, fetched(&actions).expect("a fetch")]);
}

#[test]
fn what_a_cancelled_queue_has_not_started_goes_back() {
    let mut desk = Desk::ready(Config { concurrency: 1, ..limited(9) });
    desk.deliver([
        of_queue(0, 1),
        of_queue(0, 2),
        of_queue(1, 3),
        of_queue(0, 4),
        Request { eta_ms: Some(START_MS + 5_000), ..of_queue(0, 5) },
    ]);
    let actions = desk.tell(Event::QueueClosed { queue: 0 });
    assert_eq!(recalls(&actions), [0], "what a child has not started is called back");
    let back: Vec<u32> = endings(&actions).into_iter().map(|(handle, _)| handle).collect();
    assert!(back.ends_with(&[4, 2]) && back.contains(&5) && !back.contains(&3), "{back:?}");
    // It ran already: it may end.
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    assert!(endings(&actions).is_empty());
    assert_eq!(endings(&desk.ended(0, 0, Outcome::Success)).len(), 1);
    let late = desk.deliver([of_queue(0, 6), of_queue(1, 7)]);
    assert_eq!(endings(&late), [(6, Ending::Return)], "what was fetched before goes back too");
}

#[test]
fn unstarted_task_of_a_cancelled_queue_is_recalled_and_goes_back() {
    let mut desk = Desk::ready(limited(9));
    let child = dispatches(&desk.deliver([of_queue(0, 1)]))[0].0;
    desk.tell(Event::QueueClosed { queue: 0 });
    let actions = desk.tell(Event::Recalled { child: ChildId(child), from: 0 });
    assert_eq!(endings(&actions), [(1, Ending::Return)]);
}

#[test]
fn cancelled_queue_can_be_consumed_again() {
    let mut desk = Desk::ready(limited(2));
    desk.deliver([]);
    desk.tell(Event::Delivered(vec![]));
    desk.tell(Event::QueueClosed { queue: 0 });
    assert_eq!(room(&desk.tell(Event::Wake)), Some(0));
    desk.tell(Event::Delivered(vec![]));
    let actions = desk.tell(Event::QueueOpened { queue: 0, terms: QueueTerms { limit: Some(1), weight: 1 } });
    assert_eq!(room(&actions), Some(1));
    assert_eq!(dispatches(&desk.tell(Event::Delivered(vec![of_queue(0, 1)]))).len(), 1);
}

#[test]
fn queue_is_added_at_the_end() {
    let mut desk = Desk::ready(config());
    desk.tell(Event::Delivered(vec![]));
    let terms = QueueTerms { limit: Some(1), weight: 1 };
    let actions = desk.tell(Event::QueueOpened { queue: 1, terms });
    assert_eq!(portions(&actions).map(|portions| (portions.len(), portions[1].room)), Some((2, 1)));
    let actions = desk.tell(Event::Delivered(vec![of_queue(1, 1), of_queue(1, 2)]));
    assert_eq!((dispatches(&actions).len(), endings(&actions).len()), (1, 1));
}

#[test]
fn withdrawn_queue_gives_back_also_what_comes_late_and_then_goes_on() {
    let mut desk = Desk::ready(Config { queues: vec![QueueTerms::default()], ..config() });
    let actions = desk.tell(Event::QueueWithdrawn { queue: 0 });
    assert!(endings(&actions).is_empty());
    assert_eq!(endings(&desk.tell(Event::Delivered(vec![request(1)]))), [(1, Ending::Return)]);
    assert_eq!(dispatches(&desk.deliver([request(2)])).len(), 1, "whether it is paused is for the broker to say");
}

#[test]
fn withdrawn_queue_gives_back_also_what_a_draw_brings_late() {
    let mut desk = with_lanes(Scope::Shared);
    desk.tell(Event::QueueWithdrawn { queue: 0 });
    desk.tell(Event::Delivered(vec![]));
    let drawn = Request { is_drawn: true, task: Some(1), ..of_queue(0, 1) };
    let actions = desk.tell(Event::Drawn(Drawn { requests: vec![drawn], ..Drawn::default() }));
    assert_eq!(endings(&actions), [(1, Ending::Return)]);
}
