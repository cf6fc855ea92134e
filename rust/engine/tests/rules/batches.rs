//! Calls of a batch task: who waits for whom, what goes together, and how each ends.

use fastworker_engine::{
    Action, Autoscale, BatchTerms, ChildId, Config, Ending, Event, Handle, Interrupt, Number, Outcome, QueueTerms,
    Request, Shutdown, TaskOptions,
};

use crate::desk::{Desk, config, dispatches, early, endings, fetched, redelivered, request};

const WAIT_US: u64 = 50_000;

/// Task 0 takes batches of four, and so does task 1, which acknowledges early; task 2 takes none.
fn gathering() -> Config {
    let mut config = config();
    config.tasks.push(config.tasks[0].clone());
    for task in &mut config.tasks[..2] {
        task.batch = Some(BatchTerms { most: 4, wait_us: WAIT_US });
    }
    config
}

fn plain(handle: u32) -> Request {
    Request { task: Some(2), ..request(handle) }
}

/// The batches: to whom, their number, and what.
fn batches(actions: &[Action]) -> Vec<(u32, Number, Vec<u32>)> {
    let batch = |action: &Action| match action {
        Action::DispatchBatch { child, number, handles } => {
            Some((child.0, *number, handles.iter().map(|handle| handle.0).collect()))
        }
        _ => None,
    };
    actions.iter().filter_map(batch).collect()
}

impl Desk {
    fn batch_alone() -> Desk {
        Desk::ready(Config { concurrency: 1, ..gathering() })
    }

    fn member_ended(&mut self, child: u32, number: Number, handle: u32, outcome: Outcome) -> Vec<Action> {
        let handle = Handle(handle);
        self.tell(Event::MemberEnded { child: ChildId(child), number, handle, outcome })
    }

    fn batch_ended(&mut self, child: u32, number: Number) -> Vec<Action> {
        self.tell(Event::BatchEnded { child: ChildId(child), number, runtime_us: 400 })
    }
}

#[test]
fn calls_wait_for_each_other_until_they_are_enough() {
    let mut desk = Desk::batch_alone();
    assert_eq!(batches(&desk.deliver((0..3).map(request))), []);
    assert_eq!(batches(&desk.deliver([request(3), request(4)])), [(0, 0, vec![0, 1, 2, 3])]);
}

#[test]
fn calls_wait_no_longer_than_their_task_allows() {
    let mut desk = Desk::batch_alone();
    desk.pass(1_000_000);
    desk.deliver([request(0)]);
    desk.pass(WAIT_US / 2);
    desk.deliver([request(1)]);
    assert_eq!(desk.engine.deadline(), Some(1_000_000 + WAIT_US));
    assert_eq!(batches(&desk.pass(WAIT_US / 2 - 1)), []);
    assert_eq!(batches(&desk.pass(1)), [(0, 0, vec![0, 1])]);
}

#[test]
fn what_comes_after_a_batch_was_complete_has_its_own_time() {
    let mut desk = Desk::batch_alone();
    desk.deliver([plain(9)]);
    desk.deliver((0..4).map(request));
    desk.pass(10_000);
    desk.deliver([request(4)]);
    assert_eq!(desk.engine.deadline(), Some(10_000 + WAIT_US));
}

#[test]
fn calls_of_no_known_priority_are_as_patient_as_the_most_patient() {
    let mut desk = Desk::batch_alone();
    desk.deliver([plain(20)]);
    desk.deliver([(0, 200), (1, 9), (2, 10), (3, 8)].map(|(handle, priority)| Request { priority, ..request(handle) }));
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![3, 0, 1, 2])]);
}

#[test]
fn what_has_come_while_a_batch_had_no_child_goes_with_it() {
    let mut desk = Desk::batch_alone();
    desk.deliver([plain(9)]);
    desk.deliver([request(0)]);
    desk.pass(WAIT_US);
    desk.deliver([request(1), request(2)]);
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![0, 1, 2])]);
}

#[test]
fn others_go_past_calls_that_wait_for_each_other() {
    let mut desk = Desk::batch_alone();
    assert_eq!(dispatches(&desk.deliver([request(0), plain(9)])), [(0, 0, vec![9])]);
}

#[test]
fn several_batches_go_to_as_many_children_and_nothing_lies_behind_one() {
    let mut desk = Desk::ready(gathering());
    let actions = desk.deliver((0..9).map(request).chain([plain(20)]));
    let mut sizes: Vec<_> = batches(&actions).into_iter().map(|(child, _, handles)| (child, handles.len())).collect();
    sizes.sort_unstable();
    // The plain task came when both had batches.
    assert_eq!(sizes.iter().map(|(_, size)| *size).sum::<usize>() + dispatches(&actions).len() * 4, 8);
    assert_eq!(desk.engine.stats().waiting, 10 - desk.engine.stats().dispatched);
}

#[test]
fn with_several_slots_a_batch_takes_one() {
    let mut desk = Desk::ready(Config { concurrency: 1, slots: 3, ..gathering() });
    let actions = desk.deliver((0..8).map(request).chain([plain(20), plain(21)]));
    let plain = dispatches(&actions).iter().map(|(_, _, handles)| handles.len()).sum::<usize>();
    assert_eq!((batches(&actions).len(), plain), (1, 2));
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)).len(), 1);
}

#[test]
fn members_end_each_as_it_is_told_and_the_number_after_them() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(request));
    let acked = Ending::AsReported { acked_early: false };
    assert_eq!(endings(&desk.member_ended(0, 0, 1, Outcome::Failure)), [(1, acked.clone())]);
    assert_eq!(endings(&desk.member_ended(0, 0, 0, Outcome::Reject { requeue: true })), [(0, Ending::Requeue)]);
    assert_eq!(endings(&desk.member_ended(0, 0, 1, Outcome::Success)), [], "it has ended before");
    desk.deliver([plain(9)]);
    desk.member_ended(0, 0, 2, Outcome::Success);
    assert_eq!(endings(&desk.member_ended(0, 0, 3, Outcome::Retry)), [(3, acked)]);
    assert_eq!(dispatches(&desk.batch_ended(0, 0)), [(0, 1, vec![9])], "the child was busy until then");
    assert_eq!(desk.engine.stats().counters.odd, 0);
}

#[test]
fn each_call_of_a_batch_has_its_part_of_the_time() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(request));
    (0..4).for_each(|handle| drop(desk.member_ended(0, 0, handle, Outcome::Success)));
    desk.batch_ended(0, 0);
    assert_eq!(desk.engine.stats().runtimes[0], (Some(100.0), 4));
}

#[test]
fn end_of_a_batch_told_as_that_of_a_task_is_odd() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(request));
    desk.ended(0, 0, Outcome::Success);
    assert_eq!(desk.engine.stats().counters.odd, 1);
}

#[test]
fn those_that_had_not_ended_when_their_process_died_run_again_each_alone() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(request));
    desk.member_ended(0, 0, 2, Outcome::Success);
    desk.died(0, 1);
    let actions = desk.tell(Event::ChildReady { child: ChildId(1) });
    let recording = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::RecordAttempt { handle, floor } => Some((handle.0, *floor)),
            _ => None,
        })
    };
    let mut next = recording(&actions);
    for (number, handle) in [0, 1, 3].into_iter().enumerate() {
        assert_eq!(next, Some((handle, 1)));
        let actions = desk.tell(Event::AttemptRecorded { handle: Handle(handle), attempt: 2 });
        assert_eq!(batches(&actions), [(1, number as Number, vec![handle])]);
        desk.member_ended(1, number as Number, handle, Outcome::Success);
        next = recording(&desk.batch_ended(1, number as Number));
    }
    assert_eq!(next, None);
}

#[test]
fn redelivered_call_does_not_wait_for_others() {
    let mut desk = Desk::batch_alone();
    desk.deliver([request(0), redelivered(1)]);
    let actions = desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 2 });
    assert_eq!(batches(&actions), [(0, 0, vec![1])]);
}

#[test]
fn recalled_batch_goes_again_as_it_was() {
    let mut desk = Desk::ready(gathering());
    desk.deliver((0..4).map(request));
    desk.tell(Event::LeaseAtRisk);
    desk.tell(Event::LeaseSafe);
    let actions = desk.tell(Event::Recalled { child: ChildId(0), from: 0 });
    let actions = [actions, desk.tell(Event::Recalled { child: ChildId(1), from: 0 })].concat();
    assert_eq!(batches(&actions).iter().map(|(_, _, handles)| handles.clone()).collect::<Vec<_>>(), [[0, 1, 2, 3]]);
}

#[test]
fn the_most_urgent_lead_and_go_first() {
    let mut desk = Desk::batch_alone();
    desk.deliver([plain(20)]);
    let urgency = |(handle, priority)| Request { priority, ..request(handle) };
    desk.deliver([(0, 6), (1, 3), (2, 6), (3, 3), (4, 0)].map(urgency));
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![4, 1, 3, 0])]);
}

#[test]
fn calls_of_other_time_limits_go_with_another_batch() {
    let mut desk = Desk::batch_alone();
    let limited = |handle| Request { hard_limit_s: Some(9.0), ..request(handle) };
    desk.deliver([request(0), limited(1), request(2), limited(3)]);
    desk.pass(WAIT_US);
    desk.member_ended(0, 0, 0, Outcome::Success);
    desk.member_ended(0, 0, 2, Outcome::Success);
    assert_eq!(batches(&desk.batch_ended(0, 0)), [(0, 1, vec![1, 3])]);
}

#[test]
fn hard_limit_ends_every_member_that_has_not_ended() {
    let mut config = Config { concurrency: 1, ..gathering() };
    config.tasks[0].hard_limit_s = Some(1.0);
    let mut desk = Desk::ready(config);
    desk.deliver((0..4).map(request));
    desk.member_ended(0, 0, 1, Outcome::Success);
    desk.now.mono_us += 1_000_001;
    let actions = desk.observed(0, 1, 0);
    assert!(actions.contains(&Action::Kill { child: ChildId(0) }), "{actions:?}");
    let limit = Ending::TimeLimit { limit_ms: 1_000, acked_early: false };
    let mut ended = endings(&desk.died(0, 1));
    ended.sort_by_key(|(handle, _)| *handle);
    assert_eq!(ended, [0, 2, 3].map(|handle| (handle, limit.clone())));
}

#[test]
fn hard_limit_holds_for_a_function_that_goes_on_after_the_last_of_its_calls() {
    let mut config = Config { concurrency: 1, ..gathering() };
    config.tasks[0].hard_limit_s = Some(1.0);
    let mut desk = Desk::ready(config);
    desk.deliver((0..4).map(request));
    (0..4).for_each(|handle| drop(desk.member_ended(0, 0, handle, Outcome::Success)));
    desk.now.mono_us += 1_000_001;
    assert!(desk.observed(0, 1, 0).contains(&Action::Kill { child: ChildId(0) }));
    assert_eq!(endings(&desk.died(0, 1)), []);
}

#[test]
fn terminated_call_ends_its_process_and_the_others_go_again_uncounted() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(request));
    desk.tell(Event::Revoked { handles: vec![Handle(2)], terminate: Some(15) });
    let actions = desk.observed(0, 1, 0);
    assert!(actions.contains(&Action::Terminate { child: ChildId(0), number: 0, signal: 15 }), "{actions:?}");
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    let revoked = Ending::Revoked { terminated: Some(15), acked_early: false };
    assert_eq!(endings(&desk.died(0, 1)), [(2, revoked)]);
    desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!(batches(&desk.pass(WAIT_US)), [(1, 0, vec![0, 1, 3])]);
}

#[test]
fn terminated_call_among_others_ends_its_batch_alone() {
    let mut desk = Desk::ready(Config { concurrency: 1, slots: 3, ..gathering() });
    desk.deliver((0..4).map(request).chain([plain(20)]));
    desk.tell(Event::Revoked { handles: vec![Handle(2)], terminate: Some(15) });
    let running = vec![(0, 0), (1, 0)];
    let actions = desk.tell(Event::ObservedMany { child: ChildId(0), next: 2, running, turned_us: None });
    let told: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Interrupt { .. })).collect();
    assert!(matches!(told[..], [Action::Interrupt { kind: Interrupt::Terminate, .. }]), "{told:?}");
    desk.tell(Event::Recalled { child: ChildId(0), from: 2 });
    let number = match told[0] {
        Action::Interrupt { number, .. } => *number,
        other => panic!("{other:?}"),
    };
    let mut ended = Vec::new();
    for handle in 0..4 {
        ended.extend(endings(&desk.member_ended(0, number, handle, Outcome::Terminated)));
    }
    desk.batch_ended(0, number);
    assert_eq!(ended, [(2, Ending::Revoked { terminated: Some(15), acked_early: false })]);
    let mut again = batches(&desk.pass(WAIT_US));
    again[0].2.sort_unstable();
    assert_eq!(again, [(0, 2, vec![0, 1, 3])]);
    assert_eq!(desk.engine.stats().counters.odd, 0);
}

#[test]
fn revoked_call_leaves_the_batch_that_forms() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..3).map(request));
    let actions = desk.tell(Event::Revoked { handles: vec![Handle(1)], terminate: None });
    assert_eq!(endings(&actions), [(1, Ending::Revoked { terminated: None, acked_early: false })]);
    assert_eq!(desk.engine.stats().waiting, 2);
    assert_eq!(batches(&desk.deliver([request(4)])), []);
    assert_eq!(batches(&desk.deliver([request(5)])), [(0, 0, vec![0, 2, 4, 5])]);
}

#[test]
fn batch_that_lost_some_before_a_child_was_free_waits_for_others() {
    let mut desk = Desk::batch_alone();
    desk.deliver([plain(9)]);
    desk.deliver((0..4).map(request));
    desk.tell(Event::Revoked { handles: vec![Handle(1)], terminate: None });
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)), []);
    assert_eq!(batches(&desk.deliver([request(5)])), [(0, 1, vec![0, 2, 3, 5])]);
}

#[test]
fn batch_bounded_by_bytes_that_lost_some_waits_for_others() {
    let mut desk = Desk::ready(Config { concurrency: 1, batch_bytes: 350, ..gathering() });
    desk.deliver([plain(9)]);
    desk.deliver((0..3).map(request));
    desk.tell(Event::Revoked { handles: vec![Handle(1)], terminate: None });
    assert_eq!(batches(&desk.ended(0, 0, Outcome::Success)), []);
    assert_eq!(batches(&desk.deliver([request(5)])), [(0, 1, vec![0, 2, 5])]);
}

#[test]
fn expired_calls_do_not_go_with_their_batch() {
    let mut desk = Desk::batch_alone();
    let expires_ms = Some(crate::desk::START_MS + 20);
    desk.deliver([request(0), Request { expires_ms, ..request(1) }, request(2)]);
    let actions = desk.pass(WAIT_US);
    assert_eq!(endings(&actions), [(1, Ending::Expired)]);
    assert_eq!(batches(&actions), [(0, 0, vec![0, 2])]);
}

#[test]
fn early_batch_is_acknowledged_whole_when_a_child_has_room_and_goes_when_that_is_confirmed() {
    let mut desk = Desk::batch_alone();
    assert_eq!(endings(&desk.deliver((0..3).map(early))), []);
    let actions = desk.deliver([early(3), early(4)]);
    let acks = (0..4).map(|handle| (handle, Ending::EarlyAck)).collect::<Vec<_>>();
    assert_eq!((endings(&actions), batches(&actions)), (acks, vec![]));
    for handle in 0..3 {
        assert_eq!(batches(&desk.tell(Event::Settled { handle: Handle(handle) })), []);
    }
    assert_eq!(batches(&desk.tell(Event::Settled { handle: Handle(3) })), [(0, 0, vec![0, 1, 2, 3])]);
}

#[test]
fn early_calls_that_are_few_go_when_all_of_them_are_confirmed() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..3).map(early));
    assert_eq!(endings(&desk.pass(WAIT_US)).len(), 3);
    desk.tell(Event::Settled { handle: Handle(0) });
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!(batches(&desk.tell(Event::Settled { handle: Handle(2) })), [(0, 0, vec![0, 2])]);
}

#[test]
fn in_an_outage_late_calls_go_on_and_early_ones_wait_without_a_tick() {
    for (task, due_us) in [(0, WAIT_US), (1, 250_000)] {
        let mut desk = Desk::batch_alone();
        desk.tell(Event::BrokerLost);
        desk.tell(Event::Delivered(vec![Request { task: Some(task), ..request(0) }]));
        assert_eq!(desk.engine.deadline(), Some(due_us));
        assert_eq!(batches(&desk.pass(WAIT_US)).len(), 1 - task as usize);
    }
}

#[test]
fn call_that_comes_behind_an_acknowledged_batch_has_its_own_time() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(early));
    desk.tell(Event::LeaseAtRisk);
    (0..4).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    desk.pass(10_000);
    desk.deliver([early(4)]);
    assert_eq!(desk.engine.deadline(), Some(10_000 + WAIT_US));
}

#[test]
fn nothing_waits_after_a_cold_shutdown_amid_the_acknowledgements_of_a_batch() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..6).map(early));
    (0..2).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    let left = endings(&desk.tell(Event::Shutdown(Shutdown::Cold)));
    let lost = Ending::WorkerLost { attempts: 0, acked_early: true };
    assert_eq!(left, [(5, Ending::Return), (4, Ending::Return), (1, lost.clone()), (0, lost)]);
    assert_eq!(desk.engine.stats().waiting, 0);
}

#[test]
fn early_batches_are_as_many_as_early_tasks_may_be() {
    let mut desk = Desk::batch_alone();
    for first in [0, 4, 8] {
        desk.deliver((first..first + 4).map(early));
        (first..first + 4).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    }
    let acked = |desk: &Desk| desk.engine.stats().waiting + desk.engine.stats().dispatched;
    assert_eq!(acked(&desk), 12);
    assert_eq!(desk.engine.stats().dispatched, 4, "one runs, and the others are not acknowledged before it has ended");
}

#[test]
fn early_batch_counts_as_one_task_of_those_that_may_be_acknowledged() {
    let mut desk = Desk::ready(Config { concurrency: 1, slots: 2, ..gathering() });
    assert_eq!(endings(&desk.deliver((0..8).map(early))).len(), 8);
}

#[test]
fn early_batch_is_lost_with_its_process() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..4).map(early));
    (0..4).for_each(|handle| drop(desk.tell(Event::Settled { handle: Handle(handle) })));
    desk.member_ended(0, 0, 0, Outcome::Success);
    let lost = endings(&desk.died(0, 1));
    assert_eq!(lost.len(), 3);
    assert!(lost.iter().all(|(_, ending)| matches!(ending, Ending::WorkerLost { acked_early: true, .. })), "{lost:?}");
}

#[test]
fn calls_that_wait_go_back_when_no_child_can_take_them_soon() {
    let mut desk = Desk::ready(Config { concurrency: 1, ..gathering() });
    desk.deliver([plain(9)]);
    desk.deliver([request(0), request(1)]);
    desk.pass(600_000);
    let returned = endings(&desk.pass(600_000));
    assert_eq!(returned, [(1, Ending::Return), (0, Ending::Return)]);
}

#[test]
fn shutdown_gives_back_the_batch_that_forms() {
    let mut desk = Desk::batch_alone();
    desk.deliver([request(0), request(1)]);
    let returned = endings(&desk.tell(Event::Shutdown(Shutdown::Warm)));
    assert_eq!(returned, [(1, Ending::Return), (0, Ending::Return)]);
}

#[test]
fn calls_of_a_closed_queue_leave_the_batch_that_forms() {
    let mut desk = Desk::batch_alone();
    desk.deliver([request(0), request(1)]);
    let returned = endings(&desk.tell(Event::QueueClosed { queue: 0 }));
    assert_eq!(returned, [(1, Ending::Return), (0, Ending::Return)]);
    assert_eq!(desk.engine.stats().waiting, 0);
}

#[test]
fn lease_that_is_lost_while_its_call_waits_is_forgotten() {
    let mut desk = Desk::batch_alone();
    desk.deliver((0..3).map(request));
    desk.tell(Event::LeaseLost { handle: Handle(1) });
    assert_eq!((desk.engine.stats().held, desk.engine.stats().counters.odd), (2, 0));
    assert_eq!(batches(&desk.deliver([request(3)])), []);
    assert_eq!(batches(&desk.deliver([request(4)])), [(0, 0, vec![0, 2, 3, 4])]);
}

#[test]
fn batch_has_no_more_bytes_than_it_may() {
    let mut desk = Desk::ready(Config { concurrency: 1, batch_bytes: 250, ..gathering() });
    assert_eq!(batches(&desk.deliver([request(0)])), []);
    // Of a hundred bytes each; two lead, and have one more.
    assert_eq!(batches(&desk.deliver((1..4).map(request))), [(0, 0, vec![0, 2])]);
    for handle in [0, 2] {
        desk.member_ended(0, 0, handle, Outcome::Success);
    }
    assert_eq!(batches(&desk.batch_ended(0, 0)), [(0, 1, vec![1, 3])]);
}

#[test]
fn call_larger_than_a_batch_has_one_for_itself() {
    let mut desk = Desk::ready(Config { concurrency: 1, batch_bytes: 250, ..gathering() });
    let large = Request { size: 900, ..request(1) };
    assert_eq!(batches(&desk.deliver([large, request(2)])), [(0, 0, vec![1])]);
    desk.member_ended(0, 0, 1, Outcome::Success);
    assert_eq!(batches(&desk.batch_ended(0, 0)), [], "the small one waits for others");
}

#[test]
fn no_more_calls_are_held_than_batches_have_bytes() {
    let mut config = Config { batch_bytes: 1_000, ..patient() };
    config.tasks[0].batch = Some(BatchTerms { most: 1_000, wait_us: WAIT_US });
    let mut desk = Desk::ready(config);
    let mut queue = (0..).map(request);
    let mut actions = desk.tell(Event::Delivered(vec![]));
    actions.extend(desk.tell(Event::Wake));
    for batch in 0..3 {
        let sent = batches(&serve(&mut desk, actions, &mut queue)).remove(0).2;
        assert_eq!(sent.len(), 10, "of a hundred bytes each");
        assert!(desk.engine.stats().held <= 4 + 10, "{} are held while it runs", desk.engine.stats().held);
        for handle in sent {
            desk.member_ended(0, batch, handle, Outcome::Success);
            desk.tell(Event::Settled { handle: Handle(handle) });
        }
        actions = desk.batch_ended(0, batch);
        assert!(desk.engine.stats().held <= 4 + 10, "{} are held", desk.engine.stats().held);
    }
}

#[test]
fn calls_of_a_queue_go_as_soon_as_they_are_all_that_its_limit_lets_come() {
    let queues = vec![QueueTerms { limit: Some(2), weight: 1 }];
    let mut desk = Desk::ready(Config { concurrency: 1, queues, ..gathering() });
    assert_eq!(batches(&desk.deliver([request(0)])), [], "another one may come");
    assert_eq!(batches(&desk.deliver([request(1)])), [(0, 0, vec![0, 1])]);
    desk.member_ended(0, 0, 0, Outcome::Success);
    desk.deliver([request(2)]);
    desk.member_ended(0, 0, 1, Outcome::Success);
    assert_eq!(batches(&desk.batch_ended(0, 0)), [], "there is a place for another one");
    assert_eq!(batches(&desk.deliver([request(3)])), [(0, 1, vec![2, 3])]);
}

#[test]
fn calls_wait_for_the_places_of_those_that_run() {
    let queues = vec![QueueTerms { limit: Some(2), weight: 1 }];
    let mut desk = Desk::ready(Config { queues, ..gathering() });
    let first = dispatches(&desk.deliver([plain(9)]))[0].0;
    assert_eq!(batches(&desk.deliver([request(0)])), [], "when the other has ended, one more may come");
    desk.ended(first, 0, Outcome::Success);
    assert_eq!(batches(&desk.deliver([request(1)])).len(), 1);
}

#[test]
fn calls_are_fetched_until_they_are_a_batch_for_each_idle_child_whatever_the_prefetch() {
    let mut desk = Desk::new(Config { concurrency: 2, prefetch: 2, ..gathering() });
    let mut actions = desk.tell(Event::Tick);
    for child in 0..2 {
        actions.extend(desk.tell(Event::ChildReady { child: ChildId(child) }));
    }
    let (mut next, mut most, mut gone) = (0, 0, 0);
    while gone < 2
        && let Some(max) = fetched(&actions)
    {
        actions = desk.tell(Event::Delivered((next..next + max).map(request).collect()));
        next += max;
        gone += batches(&actions).len();
        most = most.max(desk.engine.stats().held);
        if fetched(&actions).is_none() {
            actions = desk.tell(Event::Wake);
        }
    }
    assert_eq!(gone, 2);
    assert!(most <= 2 + 2 * 4, "{most} were held");
}

#[test]
fn a_lone_batch_call_does_not_bring_many_others_along() {
    let mut config = Config { concurrency: 1, prefetch: 8, ..gathering() };
    config.tasks[0].batch = Some(BatchTerms { most: 1_000, wait_us: WAIT_US });
    let mut desk = Desk::ready(config);
    desk.deliver([request(0)]);
    let asked = fetched(&desk.tell(Event::Wake)).or(fetched(&desk.pass(600)));
    assert!(asked.is_none_or(|max| max <= 8), "{asked:?}");
}

#[test]
fn twice_as_many_calls_may_come_as_wait() {
    let mut config = Config { concurrency: 1, ..gathering() };
    config.tasks[0].batch = Some(BatchTerms { most: 1_000, wait_us: WAIT_US });
    let mut desk = Desk::ready(config);
    let actions = desk.deliver((0..5).map(request));
    // Beside them one for the child that is idle, and two ahead of it.
    assert_eq!(fetched(&actions), Some(2 * 5 + 1 + 2 - 5));
}

/// Tasks 0 and 1 take batches of a hundred and are patient; task 2 takes none.
fn patient() -> Config {
    let mut config = config();
    let batch = Some(BatchTerms { most: 100, wait_us: 30_000_000 });
    let patient = TaskOptions { batch, ..config.tasks[0].clone() };
    config.tasks = vec![patient.clone(), patient, config.tasks[0].clone()];
    Config { concurrency: 1, prefetch: 4, ..config }
}

#[test]
fn calls_of_a_batch_that_ended_without_a_word_of_them_run_again_one_by_one() {
    let mut desk = Desk::batch_alone();
    assert_eq!(batches(&desk.deliver((0..4).map(request))), [(0, 0, vec![0, 1, 2, 3])]);
    desk.member_ended(0, 0, 1, Outcome::Success);
    let actions = desk.batch_ended(0, 0);
    assert_eq!(desk.engine.stats().counters.odd, 1);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(0), floor: 1 }), "{actions:?}");
}

#[test]
fn large_calls_of_several_tasks_bring_no_more_than_fit_into_one_batch() {
    let mut config = Config { batch_bytes: 2_000, ..patient() };
    config.tasks = vec![config.tasks[0].clone(); 4];
    let large = |handle| Request { task: Some(handle % 4), size: 400, ..request(handle) };
    let mut desk = Desk::new(config);
    let mut actions = desk.tell(Event::Tick);
    actions.extend(desk.tell(Event::ChildReady { child: ChildId(0) }));
    serve(&mut desk, actions, &mut (0..1_000).map(large));
    // The prefetch of four, and five calls with as many bytes as a batch may have.
    assert_eq!(desk.engine.stats().held, 4 + 5);
}

/// Gives the engine what it asks for of a queue, until it asks for nothing; what it does.
fn serve(desk: &mut Desk, mut actions: Vec<Action>, queue: &mut impl Iterator<Item = Request>) -> Vec<Action> {
    let mut all = actions.clone();
    while let Some(max) = fetched(&actions) {
        let answer: Vec<Request> = queue.take(max as usize).collect();
        actions = desk.tell(Event::Delivered(answer));
        all.extend(actions.clone());
    }
    all
}

#[test]
fn calls_that_wait_for_each_other_do_not_keep_others_from_an_idle_child() {
    let mut desk = Desk::new(patient());
    let other = |handle| Request { task: Some(1), ..request(handle) };
    let mut queue = (0..99).map(request).chain((99..104).map(other)).chain([plain(104)]);
    let mut actions = desk.tell(Event::Tick);
    actions.extend(desk.tell(Event::ChildReady { child: ChildId(0) }));
    let actions = serve(&mut desk, actions, &mut queue);
    assert_eq!(batches(&actions), [(0, 0, (0..99).collect())], "the prefetch is full: the oldest go as they are");
    for handle in 0..99 {
        desk.member_ended(0, 0, handle, Outcome::Success);
        desk.tell(Event::Settled { handle: Handle(handle) });
    }
    let ended = desk.batch_ended(0, 0);
    let actions = [desk.tell(Event::Wake), ended].concat();
    assert_eq!(dispatches(&serve(&mut desk, actions, &mut queue)), [(0, 1, vec![104])]);
}

#[test]
fn oldest_calls_make_room_though_they_have_to_be_acknowledged_first() {
    let mut config = patient();
    config.tasks[1].acks_late = false;
    let mut desk = Desk::new(config);
    let other = |handle| Request { task: Some(1), ..request(handle) };
    desk.tell(Event::Tick);
    let actions = desk.tell(Event::ChildReady { child: ChildId(0) });
    serve(&mut desk, actions, &mut (0..99).map(other));
    desk.now.mono_us += 1_000;
    let actions = desk.tell(Event::Wake);
    let acks: Vec<_> = (0..99).map(|handle| (handle, Ending::EarlyAck)).collect();
    assert_eq!(endings(&serve(&mut desk, actions, &mut (99..104).map(request))), acks);
}

#[test]
fn no_child_is_started_for_calls_that_wait_for_each_other() {
    let bounds = Autoscale { max: 2, min: 1, keepalive_us: 1_000_000 };
    let mut config = patient();
    config.tasks.push(config.tasks[0].clone());
    let mut desk = Desk::ready(Config { autoscale: Some(bounds), ..config });
    let mut actions = desk.deliver([plain(0)]);
    // Of none of the tasks enough, and of all of them as many as may be held.
    let call = |handle: u32| Request { task: Some([0, 1, 3][handle as usize % 3]), ..request(handle) };
    actions.extend(serve(&mut desk, actions.clone(), &mut (1..290).map(call)));
    assert_eq!(desk.engine.stats().held, 4 + 2 * 100);
    assert!(!actions.iter().any(|action| matches!(action, Action::Spawn { .. })));
}

#[test]
fn calls_that_wait_for_each_other_do_not_go_back_while_a_child_is_idle() {
    let mut desk = Desk::ready(patient());
    desk.deliver([plain(9)]);
    let outcome = Outcome::Success;
    desk.tell(Event::Ended { child: ChildId(0), number: 0, outcome, runtime_us: 10_000_000 });
    desk.deliver([request(0)]);
    assert_eq!(endings(&desk.pass(2_000_000)), []);
}

#[test]
fn calls_that_wait_for_each_other_go_on_waiting_when_nothing_else_has_come() {
    let mut desk = Desk::new(patient());
    let other = |handle| Request { task: Some(1), ..request(handle) };
    let mut queue = (0..99).map(request).chain((99..103).map(other));
    let mut actions = desk.tell(Event::Tick);
    actions.extend(desk.tell(Event::ChildReady { child: ChildId(0) }));
    let actions = serve(&mut desk, actions, &mut queue);
    assert_eq!((batches(&actions), desk.engine.stats().held), (vec![], 103));
}
