//! Early acknowledgement.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Handle, Outcome, Request, Resize, Shutdown};

use crate::desk::{Desk, config, dispatches, early, endings, request};

fn settled(handle: u32) -> Event {
    Event::Settled { handle: Handle(handle) }
}

/// One child, and early tasks known to be short; the next number is 20.
fn short_tasks() -> Desk {
    let mut desk = Desk::alone();
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(settled(number));
        desk.ended(0, number, Outcome::Success);
        desk.tell(settled(number));
    }
    desk
}

#[test]
fn early_task_runs_only_after_its_acknowledgement_is_confirmed() {
    let mut desk = Desk::alone();
    let actions = desk.deliver([early(1)]);
    assert_eq!(endings(&actions), [(1, Ending::EarlyAck)]);
    assert!(dispatches(&actions).is_empty());
    assert_eq!(dispatches(&desk.tell(settled(1))), [(0, 0, vec![1])]);
    let actions = desk.ended(0, 0, Outcome::Success);
    assert_eq!(endings(&actions), [(1, Ending::AsReported { acked_early: true })]);
    desk.tell(settled(1));
    assert_eq!(desk.engine.stats().held, 0);
}

#[test]
fn slow_or_unknown_early_tasks_are_acknowledged_for_free_children_only() {
    let mut desk = Desk::ready(config());
    let actions = desk.deliver((1..=10).map(early));
    assert_eq!(endings(&actions).len(), 2);
}

#[test]
fn early_tasks_confirmed_while_nothing_may_start_run_in_order() {
    let mut desk = short_tasks();
    assert_eq!(endings(&desk.deliver([early(1), early(2)])), [(1, Ending::EarlyAck), (2, Ending::EarlyAck)]);
    desk.tell(Event::LeaseAtRisk);
    desk.tell(settled(1));
    desk.tell(settled(2));
    assert_eq!(dispatches(&desk.tell(Event::LeaseSafe)), [(0, 20, vec![1, 2])]);
}

#[test]
fn at_most_two_a_child_are_acknowledged_and_not_ended() {
    let mut desk = short_tasks();
    let actions = desk.deliver((1..=10).map(early));
    assert_eq!((endings(&actions).len(), desk.engine.stats().waiting), (2, 8));
    desk.tell(settled(1));
    assert!(endings(&desk.tell(settled(2))).is_empty());
    let actions = desk.ended(0, 20, Outcome::Success);
    assert_eq!(endings(&actions).last(), Some(&(3, Ending::EarlyAck)));
}

#[test]
fn the_most_urgent_of_the_line_are_acknowledged_first() {
    let mut desk = short_tasks();
    let of = |(handle, priority)| Request { priority, ..early(handle) };
    desk.deliver([(1, 5), (2, 5), (3, 5), (4, 9)].map(of));
    desk.deliver([(5, 5), (6, 0)].map(of));
    (1..=2).for_each(|handle| drop(desk.tell(settled(handle))));
    let mut acks = Vec::new();
    for number in 20..24 {
        let next = early_acks(&desk.ended(0, number, Outcome::Success));
        next.iter().for_each(|&handle| drop(desk.tell(settled(handle))));
        acks.extend(next);
    }
    assert_eq!(acks, [6, 3, 5, 4]);
}

#[test]
fn early_tasks_without_a_place_let_late_ones_pass() {
    let mut desk = Desk::with_known_no_op();
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(settled(number));
        desk.ended(0, 200 + number, Outcome::Success);
        desk.tell(settled(number));
    }
    let actions = desk.deliver((1..=4).map(early).chain([request(9)]));
    assert_eq!(dispatches(&actions), [(0, 220, vec![9])]);
}

#[test]
fn early_task_whose_process_died_is_lost() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(settled(1));
    let actions = desk.died(0, 1);
    assert_eq!(endings(&actions), [(1, Ending::WorkerLost { attempts: 1, acked_early: true })]);
}

#[test]
fn requeue_of_an_early_task_is_only_reported() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(settled(1));
    let actions = desk.ended(0, 0, Outcome::Reject { requeue: true });
    assert_eq!(endings(&actions), [(1, Ending::AsReported { acked_early: true })]);
}

#[test]
fn requeue_of_a_late_task_puts_it_back_as_the_task_said() {
    let mut desk = Desk::alone();
    desk.deliver([request(1)]);
    let actions = desk.ended(0, 0, Outcome::Reject { requeue: true });
    assert_eq!(endings(&actions), [(1, Ending::Requeue)]);
}

#[test]
fn acknowledgement_that_comes_too_late_frees_the_child() {
    let mut desk = Desk::alone();
    desk.deliver([early(1), request(2)]);
    let actions = desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!(dispatches(&actions), [(0, 0, vec![2])]);
}

/// Two children that have two short early tasks each, 1 to 4, as numbers 20 and 21, and ten more in line.
fn two_at_work() -> Desk {
    two_at_work_for(1)
}

fn two_at_work_for(runtime_us: u64) -> Desk {
    let mut desk = Desk::ready(config());
    for number in 0..20 {
        desk.deliver([early(30), early(31)]);
        desk.tell(settled(30));
        desk.tell(settled(31));
        for child in [0, 1].map(ChildId) {
            desk.tell(Event::Ended { child, number, outcome: Outcome::Success, runtime_us });
        }
        desk.tell(settled(30));
        desk.tell(settled(31));
    }
    desk.pass(1_000_000);
    let actions = desk.deliver((1..=14).map(early));
    assert_eq!(early_acks(&actions), [1, 2, 3, 4]);
    for handle in 1..=4 {
        desk.tell(settled(handle));
    }
    desk
}

fn early_acks(actions: &[Action]) -> Vec<u32> {
    endings(actions).into_iter().filter(|(_, ending)| *ending == Ending::EarlyAck).map(|(handle, _)| handle).collect()
}

#[test]
fn short_early_tasks_are_acknowledged_four_at_a_time() {
    let mut desk = two_at_work();
    for (child, number) in [(0, 20), (0, 21), (1, 20)] {
        assert_eq!(early_acks(&desk.ended(child, number, Outcome::Success)), []);
    }
    assert_eq!(early_acks(&desk.ended(1, 21, Outcome::Success)), [5, 6, 7, 8]);
}

#[test]
fn free_places_of_early_tasks_wait_a_millisecond_for_others() {
    let mut desk = two_at_work();
    desk.now.mono_us += 500;
    let idle_at_us = desk.now.mono_us;
    for number in [20, 21] {
        assert_eq!(early_acks(&desk.ended(0, number, Outcome::Success)), []);
    }
    assert_eq!(desk.engine.deadline(), Some(idle_at_us + 1_000));
    assert_eq!(early_acks(&desk.pass(1_000)), [5, 6]);
}

#[test]
fn free_places_of_early_tasks_do_not_wait_for_tasks_that_take_longer_than_the_broker() {
    let mut desk = two_at_work_for(300);
    assert_eq!(early_acks(&desk.ended(0, 20, Outcome::Success)), [5]);
}

#[test]
fn free_places_of_early_tasks_do_not_wait_where_a_process_has_several_slots() {
    let mut desk = Desk::ready(Config { concurrency: 1, slots: 2, ..config() });
    for number in 0..20 {
        desk.deliver([early(number)]);
        desk.tell(settled(number));
        desk.ended(0, number, Outcome::Success);
        desk.tell(settled(number));
    }
    assert_eq!(early_acks(&desk.deliver((1..=14).map(early))), [1, 2, 3, 4]);
    (1..=4).for_each(|handle| drop(desk.tell(settled(handle))));
    let acks = (20..23).flat_map(|number| early_acks(&desk.ended(0, number, Outcome::Success)));
    assert_eq!(acks.collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn free_places_of_early_tasks_do_not_wait_when_all_of_them_are_free() {
    let mut desk = two_at_work();
    desk.tell(Event::BrokerLost);
    for (child, number) in [(0, 20), (0, 21), (1, 20), (1, 21)] {
        desk.ended(child, number, Outcome::Success);
    }
    desk.deliver([request(40)]);
    assert_eq!(early_acks(&desk.tell(Event::BrokerBack)), [5, 6, 7, 8], "though a late task runs beside them");
}

#[test]
fn free_places_of_early_tasks_do_not_wait_for_a_task_that_turned_out_to_be_slow() {
    let mut desk = two_at_work();
    (20..22).for_each(|number| drop(desk.ended(0, number, Outcome::Success)));
    assert_eq!(early_acks(&desk.pass(400)), []);
    assert_eq!(early_acks(&desk.observed(1, 21, 1_000_000)), [5, 6]);
}

#[test]
fn free_place_of_an_early_task_waits_for_those_whose_acknowledgement_is_out() {
    let mut desk = two_at_work();
    for (child, number) in [(0, 20), (0, 21), (1, 20), (1, 21)] {
        desk.ended(child, number, Outcome::Success);
    }
    assert_eq!(early_acks(&desk.tell(Event::LeaseLost { handle: Handle(5) })), []);
    assert_eq!(early_acks(&desk.pass(1_000)), [9]);
}

#[test]
fn nothing_waits_for_company_while_no_place_is_free() {
    let desk = two_at_work();
    assert_eq!(desk.engine.deadline(), Some(desk.now.mono_us + 2_000), "only pages are watched");
}

#[test]
fn free_places_of_early_tasks_do_not_wait_when_few_could_take_them() {
    let mut desk = two_at_work();
    desk.tell(Event::Revoked { handles: (8..=14).map(Handle).collect(), terminate: None });
    assert_eq!(early_acks(&desk.ended(0, 20, Outcome::Success)), [5]);
}

#[test]
fn as_many_of_the_line_are_acknowledged_as_there_are_places() {
    let mut desk = short_tasks();
    desk.deliver((1..=6).map(early));
    desk.tell(settled(1));
    desk.tell(settled(2));
    desk.tell(Event::BrokerLost);
    desk.ended(0, 20, Outcome::Success);
    desk.ended(0, 21, Outcome::Success);
    assert_eq!(endings(&desk.tell(Event::BrokerBack)), [(3, Ending::EarlyAck), (4, Ending::EarlyAck)]);
}

#[test]
fn more_are_acknowledged_where_there_are_more_children() {
    let mut desk = short_tasks();
    desk.tell(Event::Resize(Resize::Grow(1)));
    desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!(endings(&desk.deliver((1..=10).map(early))).len(), 4);
}

#[test]
fn line_goes_back_when_its_queue_is_closed() {
    let mut desk = short_tasks();
    desk.deliver((1..=4).map(early));
    assert_eq!(endings(&desk.tell(Event::QueueClosed { queue: 0 })), [(4, Ending::Return), (3, Ending::Return)]);
}

#[test]
fn children_are_stopped_in_a_shutdown_when_nothing_acknowledged_waits_for_them() {
    let has_stopped = |actions: Vec<Action>| actions.contains(&Action::Stop { child: ChildId(0) });
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(settled(1));
    desk.ended(0, 0, Outcome::Success);
    assert!(has_stopped(desk.tell(Event::Shutdown(Shutdown::Warm))), "it has run");
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    assert!(!has_stopped(desk.tell(Event::Shutdown(Shutdown::Warm))));
    assert!(has_stopped(desk.tell(Event::LeaseLost { handle: Handle(1) })), "it runs elsewhere");
}

#[test]
fn what_was_acknowledged_does_not_go_back_however_long_it_waits() {
    let mut desk = short_tasks();
    desk.deliver([early(1), early(2)]);
    desk.tell(settled(1));
    desk.tell(settled(2));
    desk.pass(9_000);
    desk.observed(0, 21, 0);
    desk.tell(Event::Recalled { child: ChildId(0), from: 21 });
    assert_eq!(endings(&desk.pass(2_000_000)), []);
    assert_eq!(dispatches(&desk.ended(0, 20, Outcome::Success)), [(0, 22, vec![2])]);
}

#[test]
fn start_that_was_counted_and_has_not_happened_is_no_attempt() {
    let mut desk = Desk::alone();
    desk.deliver([Request { is_redelivered: true, ..early(1) }]);
    desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 2 });
    desk.tell(Event::Shutdown(Shutdown::Cold));
    let lost = Ending::WorkerLost { attempts: 1, acked_early: true };
    assert_eq!(endings(&desk.tell(settled(1))), [(1, lost)]);
}

#[test]
fn end_of_what_was_acknowledged_that_finds_no_lease_is_an_end_all_the_same() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(settled(1));
    desk.ended(0, 0, Outcome::Success);
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    let stats = desk.engine.stats();
    assert_eq!((stats.held, stats.counters.odd, stats.counters.lost, stats.counters.processed), (0, 0, 1, 1));
}

#[test]
fn acknowledged_delivery_at_a_child_has_no_lease_to_lose() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    desk.tell(settled(1));
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!((desk.engine.stats().counters.odd, desk.engine.stats().counters.lost), (1, 0));
}

#[test]
fn what_was_acknowledged_waits_in_a_shutdown_for_a_child_that_is_busy_and_no_other_is_started() {
    let mut desk = short_tasks();
    desk.deliver([early(1), early(2)]);
    desk.tell(settled(1));
    desk.tell(settled(2));
    desk.pass(9_000);
    desk.observed(0, 21, 0);
    desk.tell(Event::Recalled { child: ChildId(0), from: 21 });
    assert_eq!(desk.tell(Event::Shutdown(Shutdown::Warm)), [Action::Recall { child: ChildId(0) }]);
    assert_eq!(desk.tell(Event::Recalled { child: ChildId(0), from: 22 }), []);
    assert_eq!(dispatches(&desk.ended(0, 20, Outcome::Success)), [(0, 22, vec![2])]);
}
