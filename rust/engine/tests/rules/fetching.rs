//! How much is fetched, and what is given back.

use fastworker_engine::sim::{self, Letter, Plan, Rng};
use fastworker_engine::{Config, Ending, Event, Outcome};

use crate::desk::{Desk, config, endings, fetched, request};

#[test]
fn first_fetch_comes_with_the_first_ready_child() {
    let mut desk = Desk::new(config());
    assert_eq!(fetched(&desk.tell(Event::Tick)), None);
    let child = fastworker_engine::ChildId(0);
    assert!(fetched(&desk.tell(Event::ChildReady { child })).is_some());
}

#[test]
fn short_answer_waits_for_a_wake() {
    let mut desk = Desk::ready(config());
    assert_eq!(fetched(&desk.tell(Event::Delivered(vec![]))), None);
    assert!(fetched(&desk.tell(Event::Wake)).is_some());
}

#[test]
fn short_answer_that_leaves_some_asks_again_and_an_empty_one_waits() {
    let mut desk = Desk::ready(config());
    assert_eq!(desk.tell(Event::More), []);
    assert!(fetched(&desk.tell(Event::Delivered(vec![request(1)]))).is_some());
    assert_eq!(desk.tell(Event::More), []);
    assert_eq!(fetched(&desk.tell(Event::Delivered(vec![]))), None);
}

#[test]
fn wake_during_a_fetch_asks_again() {
    let mut desk = Desk::ready(config());
    assert_eq!(fetched(&desk.tell(Event::Wake)), None);
    assert!(fetched(&desk.tell(Event::Delivered(vec![]))).is_some());
}

#[test]
fn failed_fetch_is_tried_again_after_a_second() {
    let mut desk = Desk::ready(config());
    assert_eq!(fetched(&desk.tell(Event::FetchFailed)), None);
    assert_eq!(desk.engine.deadline(), Some(1_000_000));
    assert!(fetched(&desk.pass(1_000_000)).is_some());
}

#[test]
fn nothing_is_fetched_while_the_broker_is_away() {
    let mut desk = Desk::ready(config());
    desk.tell(Event::BrokerLost);
    assert_eq!(fetched(&desk.tell(Event::FetchFailed)), None);
    assert_eq!(fetched(&desk.tell(Event::Wake)), None);
    assert!(fetched(&desk.tell(Event::BrokerBack)).is_some());
}

#[test]
fn what_waits_is_looked_at_before_it_has_waited_for_long() {
    let mut desk = Desk::alone();
    desk.deliver([request(1), request(2)]);
    assert_eq!(desk.engine.deadline(), Some(250_000));
}

#[test]
fn waiting_deliveries_of_stuck_children_go_back_last_first() {
    let mut desk = Desk::ready(config());
    desk.deliver((1..=5).map(request));
    assert!(endings(&desk.pass(999_000)).is_empty());
    let returned = [5, 4, 3].map(|handle| (handle, Ending::Return));
    let actions = desk.pass(1_000);
    assert_eq!(endings(&actions), returned);
    assert_eq!(fetched(&actions), None);
}

#[test]
fn nothing_goes_back_while_the_broker_is_away_or_the_leases_are_at_risk() {
    for (fact, end) in [(Event::BrokerLost, Event::BrokerBack), (Event::LeaseAtRisk, Event::LeaseSafe)] {
        let mut desk = Desk::alone();
        desk.deliver([request(1), request(2)]);
        desk.tell(fact);
        assert_eq!(endings(&desk.pass(1_000_000)), []);
        desk.tell(end);
        assert_eq!(endings(&desk.pass(1_000)), [(2, Ending::Return)]);
    }
}

#[test]
fn what_has_not_waited_for_long_does_not_go_back_with_the_others() {
    let mut desk = Desk::alone();
    desk.deliver([request(1), request(2)]);
    desk.pass(500_000);
    desk.deliver([request(3)]);
    assert_eq!(endings(&desk.pass(500_000)), [(2, Ending::Return)]);
}

#[test]
fn only_what_the_children_do_not_get_through_goes_back() {
    let mut desk = Desk::knowing(100_000, Config { concurrency: 1, ..config() });
    desk.deliver((0..20).map(request));
    desk.pass(500_000);
    let child = fastworker_engine::ChildId(0);
    desk.tell(Event::Ended { child, number: 200, outcome: Outcome::Success, runtime_us: 100_000 });
    let back: Vec<u32> = endings(&desk.pass(500_000)).into_iter().map(|(handle, _)| handle).collect();
    assert_eq!(back, (11..20).rev().collect::<Vec<_>>(), "nine run within a second");
}

#[test]
fn waiting_deliveries_stay_while_children_get_through_them() {
    let mut desk = Desk::alone();
    desk.deliver((0..50).map(request));
    for number in 0..20 {
        desk.pass(100_000);
        desk.tell(Event::Ended {
            child: fastworker_engine::ChildId(0),
            number,
            outcome: Outcome::Success,
            runtime_us: 1_000,
        });
    }
    assert_eq!(desk.engine.stats().counters.returned, 0);
}

/// A lone worker, `count` messages of one type that run `runtime_us` each, no accidents.
fn lone_worker(count: usize, runtime_us: u64, config: Config) -> sim::Report {
    let plan = Plan::quiet(config, vec![Letter::plain(runtime_us); count]);
    sim::play(plan, Rng::new(1)).unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn lone_worker_with_slow_tasks_does_not_fetch_and_return_in_a_loop() {
    for runtime_us in [300_000, 1_000_000, 5_000_000, 10_000_000] {
        for concurrency in [1, 2, 16, 64] {
            let report = lone_worker(300, runtime_us, Config { concurrency, prefetch: 256, ..config() });
            let most = report.messages.iter().map(|message| message.returns).max();
            assert!(most <= Some(2), "{runtime_us} us, {concurrency} children: returned {most:?} times");
            assert!(
                report.counters.returned <= 2 * u64::from(concurrency) + 16,
                "{runtime_us} us, {concurrency} children: {} returns",
                report.counters.returned
            );
            let rounds = 300_u64.div_ceil(u64::from(concurrency));
            let ideal_us = rounds * runtime_us;
            assert!(report.ended_us < ideal_us + ideal_us / 10 + 1_000_000, "children were left idle");
        }
    }
}

/// When 19 of 20 messages have waited no longer, for so many nodes with four children in all.
fn p95_wait_us(nodes: usize, letters: &[Letter]) -> u64 {
    let config = Config { concurrency: 4 / nodes as u32, prefetch: 1_000, ..config() };
    let plan = Plan { nodes, ..Plan::quiet(config, letters.to_vec()) };
    let report = sim::play(plan, Rng::new(1)).unwrap_or_else(|violation| panic!("{violation}"));
    let wait_us = |message: &sim::Message| message.started_us.expect("it ran") - message.letter.at_us;
    let mut waits_us: Vec<u64> = report.messages.iter().map(wait_us).collect();
    waits_us.sort_unstable();
    waits_us[waits_us.len() * 19 / 20]
}

#[test]
fn what_comes_to_a_busy_worker_is_left_to_one_with_an_idle_child() {
    let mut rng = Rng::new(1);
    for between_us in [12_000, 16_000] {
        let mut at_us = 0;
        let mut letter = |_| {
            at_us += rng.range(0, between_us);
            Letter { at_us, ..Letter::plain(rng.range(1_000, 39_000)) }
        };
        let letters: Vec<Letter> = (0..1_000).map(&mut letter).collect();
        let (one, two, four) = (p95_wait_us(1, &letters), p95_wait_us(2, &letters), p95_wait_us(4, &letters));
        assert!(two < one * 6 / 5 && four < one * 6 / 5, "{one} us at one node, {two} at two, {four} at four");
    }
}

#[test]
fn no_ops_are_fetched_in_big_batches() {
    let report = lone_worker(3_000, 10, Config { prefetch: 1_000, ..config() });
    assert!(report.fetches < 120, "{} fetches for 3,000 messages", report.fetches);
    let report = lone_worker(9_000, 10, Config { prefetch: 1_000, ..config() });
    assert!(report.fetches < 200, "{} fetches for 9,000 messages", report.fetches);
}

#[test]
fn short_tasks_keep_the_children_busy() {
    let report = lone_worker(2_000, 500, Config { prefetch: 256, ..config() });
    assert!(report.ended_us < 650_000, "2,000 tasks of 0.5 ms took two children {} us", report.ended_us);
}
