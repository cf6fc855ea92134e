//! Children that run several tasks at once: their slots, limits, revokes and deaths, and what shares a process with whom.

use fastworker_engine::{Action, ChildId, Config, Ending, Event, Handle, Interrupt, Number, Outcome, Request, Resize};

use crate::desk::{Desk, config, dispatches, endings, redelivered, request};

/// One child with nine slots: a cell takes three.
fn many() -> Config {
    Config { concurrency: 1, slots: 9, ..config() }
}

fn limited(handle: u32, soft_limit_s: Option<f64>, hard_limit_s: Option<f64>) -> Request {
    Request { soft_limit_s, hard_limit_s, ..request(handle) }
}

impl Desk {
    fn runs(&mut self, child: u32, next: Number, running: impl IntoIterator<Item = Number>) -> Vec<Action> {
        let running = running.into_iter().map(|number| (number, 0)).collect();
        self.tell(Event::ObservedMany { child: ChildId(child), next, running, turned_us: None })
    }

    /// The page says that so many tasks run since 0, and when the loop turned last.
    fn turned(&mut self, next: Number, turned_us: u64) -> Vec<Action> {
        let running = (0..next).map(|number| (number, 0)).collect();
        let turned_us = Some(turned_us);
        self.tell(Event::ObservedMany { child: ChildId(0), next, running, turned_us })
    }

    /// A cell was asked for: it gets ready, and every attempt is counted as `attempt`.
    fn cell(&mut self, child: u32, attempt: u32) -> Vec<Action> {
        let mut actions = self.tell(Event::ChildReady { child: ChildId(child) });
        let mut all = Vec::new();
        loop {
            let recording = actions.iter().find_map(|action| match action {
                Action::RecordAttempt { handle, .. } => Some(*handle),
                _ => None,
            });
            all.append(&mut actions);
            let Some(handle) = recording else { return all };
            actions = self.tell(Event::AttemptRecorded { handle, attempt });
        }
    }
}

fn spawned(actions: &[Action]) -> Vec<u32> {
    let spawn = |action: &Action| match action {
        Action::Spawn { child } => Some(child.0),
        _ => None,
    };
    actions.iter().filter_map(spawn).collect()
}

fn interrupts(actions: &[Action]) -> Vec<(Number, Interrupt)> {
    let interrupt = |action: &Action| match action {
        Action::Interrupt { number, kind, .. } => Some((*number, *kind)),
        _ => None,
    };
    actions.iter().filter_map(interrupt).collect()
}

#[test]
fn every_slot_is_filled_and_nothing_waits_behind() {
    let mut desk = Desk::ready(many());
    let actions = desk.deliver((0..12).map(request));
    assert_eq!(dispatches(&actions), [(0, 0, (0..9).collect())]);
    assert_eq!(dispatches(&desk.ended(0, 4, Outcome::Success)), [(0, 9, vec![9])]);
}

#[test]
fn slots_of_several_processes_are_shared_evenly() {
    let mut desk = Desk::ready(Config { concurrency: 2, ..many() });
    let actions = desk.deliver((0..6).map(request));
    let mut sizes: Vec<usize> = dispatches(&actions).iter().map(|(_, _, handles)| handles.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [3, 3]);
}

#[test]
fn as_many_are_fetched_as_slots_are_free() {
    let mut desk = Desk::new(Config { prefetch: 9, ..many() });
    desk.tell(Event::Tick);
    let actions = desk.tell(Event::ChildReady { child: ChildId(0) });
    assert_eq!(crate::desk::fetched(&actions), Some(4), "half of the prefetch at once");
}

#[test]
fn soft_limit_is_told_to_the_task_that_it_is_of() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, Some(1.0), None), request(2)]);
    desk.pass(1_000_000);
    assert!(desk.engine.looks_at(ChildId(0), desk.now.mono_us));
    assert_eq!(interrupts(&desk.runs(0, 3, 0..3)), [(1, Interrupt::SoftLimit { limit_ms: 1_000 })]);
    assert!(!desk.engine.looks_at(ChildId(0), desk.now.mono_us));
    assert_eq!(interrupts(&desk.runs(0, 3, 0..3)), []);
}

#[test]
fn page_is_read_again_when_a_task_has_had_time_enough_to_end() {
    let mut desk = Desk::ready(many());
    desk.deliver([limited(0, None, Some(2.0))]);
    desk.pass(2_000_000);
    desk.now.mono_us += 500_000;
    desk.runs(0, 1, [0]);
    desk.pass(500_000);
    assert_eq!(desk.engine.deadline(), Some(2_500_000 + 1_000_000));
}

#[test]
fn each_is_told_of_its_limit_and_nobody_who_is_being_killed() {
    let mut desk = Desk::ready(many());
    desk.deliver([limited(0, Some(1.0), Some(2.0)), limited(1, Some(1.0), Some(3.5))]);
    desk.pass(1_000_000);
    let mut told = interrupts(&desk.runs(0, 2, 0..2));
    told.sort_by_key(|(number, _)| *number);
    assert_eq!(told, [0, 1].map(|number| (number, Interrupt::SoftLimit { limit_ms: 1_000 })));
    desk.pass(1_000_000);
    assert_eq!(interrupts(&desk.runs(0, 2, 0..2)), [(0, Interrupt::HardLimit)]);
    desk.pass(1_000_000);
    assert!(desk.runs(0, 2, 0..2).contains(&Action::Kill { child: ChildId(0) }));
    desk.pass(500_000);
    assert_eq!(interrupts(&desk.runs(0, 2, 0..2)), []);
}

#[test]
fn task_that_was_told_to_end_is_not_forgotten_for_another_that_is_told_of_its_limit() {
    let mut desk = Desk::ready(many());
    desk.deliver([limited(0, None, Some(2.0)), limited(1, Some(2.5), None)]);
    desk.pass(2_000_000);
    desk.runs(0, 2, 0..2);
    desk.pass(500_000);
    desk.runs(0, 2, 0..2);
    desk.pass(500_000);
    assert!(desk.runs(0, 2, 0..2).contains(&Action::Kill { child: ChildId(0) }));
}

#[test]
fn time_of_a_task_begins_with_its_own_start() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, Some(1.0), None)]);
    desk.pass(1_000_000);
    assert_eq!(interrupts(&desk.runs(0, 1, [0])), [], "it has not been claimed");
    assert!(!desk.engine.looks_at(ChildId(0), desk.now.mono_us + 1_999));
    assert!(desk.engine.looks_at(ChildId(0), desk.now.mono_us + 2_000));
    desk.pass(2_000);
    let (child, running) = (ChildId(0), vec![(0, 0), (1, 500_000)]);
    let page = Event::ObservedMany { child, next: 2, running, turned_us: None };
    assert_eq!(interrupts(&desk.tell(page.clone())), [], "it has been running for half a second");
    assert!(!desk.engine.looks_at(ChildId(0), 1_499_999));
    desk.pass(498_000);
    assert_eq!(interrupts(&desk.tell(page)), [(1, Interrupt::SoftLimit { limit_ms: 1_000 })]);
}

#[test]
fn task_that_ends_when_its_hard_limit_is_told_ends_alone() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, None, Some(2.0))]);
    desk.pass(2_000_000);
    assert_eq!(interrupts(&desk.runs(0, 2, 0..2)), [(1, Interrupt::HardLimit)]);
    let actions = desk.ended(0, 1, Outcome::TimeLimit);
    assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 2_000, acked_early: false })]);
    assert!(!actions.contains(&Action::Kill { child: ChildId(0) }));
}

#[test]
fn child_whose_task_ended_when_it_was_told_to_is_left_alone() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, None, Some(2.0))]);
    desk.pass(2_000_000);
    desk.runs(0, 2, 0..2);
    desk.ended(0, 1, Outcome::TimeLimit);
    desk.pass(9_000_000);
    assert!(!desk.runs(0, 2, [0]).contains(&Action::Kill { child: ChildId(0) }));
}

#[test]
fn task_that_may_run_again_after_its_limit_does_so_in_a_cell() {
    let mut config = many();
    config.tasks[0].acks_on_timeout = false;
    let mut desk = Desk::ready(config);
    desk.deliver([limited(1, None, Some(2.0))]);
    desk.pass(2_000_000);
    desk.runs(0, 1, [0]);
    let actions = desk.ended(0, 0, Outcome::TimeLimit);
    assert_eq!((endings(&actions), spawned(&actions)), (vec![], vec![1]));
    assert_eq!(dispatches(&desk.cell(1, 2)), [(1, 0, vec![1])]);
}

#[test]
fn process_of_a_task_that_ignores_its_limit_is_killed_and_its_neighbours_start_again() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, None, Some(2.0))]);
    desk.pass(2_000_000);
    desk.runs(0, 2, 0..2);
    desk.pass(999_999);
    assert!(!desk.runs(0, 2, 0..2).contains(&Action::Kill { child: ChildId(0) }));
    desk.pass(1);
    assert!(desk.runs(0, 2, 0..2).contains(&Action::Kill { child: ChildId(0) }));
    let actions = desk.died(0, 2);
    assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 2_000, acked_early: false })]);
    // The neighbour is no suspect: it goes to the successor, and no attempt is counted.
    assert_eq!(spawned(&actions), [1]);
    assert_eq!(dispatches(&desk.tell(Event::ChildReady { child: ChildId(1) })), [(1, 0, vec![0])]);
}

#[test]
fn neighbour_that_ends_the_process_before_the_kill_does_is_a_suspect() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), limited(1, None, Some(2.0))]);
    desk.pass(2_000_000);
    desk.runs(0, 2, 0..2);
    desk.pass(1_000_000);
    assert!(desk.runs(0, 2, 0..2).contains(&Action::Kill { child: ChildId(0) }));
    let actions = desk.tell(Event::ChildExited { child: ChildId(0), next: 2, by_itself: true });
    assert_eq!(endings(&actions), [(1, Ending::TimeLimit { limit_ms: 2_000, acked_early: false })]);
    assert_eq!(spawned(&actions), [1, 2], "a successor, and a cell for the neighbour");
    assert_eq!(dispatches(&desk.tell(Event::ChildReady { child: ChildId(1) })), []);
    let actions = desk.tell(Event::ChildReady { child: ChildId(2) });
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(0), floor: 1 }), "{actions:?}");
}

#[test]
fn revoked_task_is_told_to_end_and_its_neighbours_go_on() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0), request(1)]);
    desk.tell(Event::Revoked { handles: vec![Handle(1)], terminate: Some(15) });
    desk.tell(Event::Recalled { child: ChildId(0), from: 2 });
    assert_eq!(interrupts(&desk.runs(0, 2, 0..2)), [(1, Interrupt::Terminate)]);
    let actions = desk.ended(0, 1, Outcome::Terminated);
    assert_eq!(endings(&actions), [(1, Ending::Revoked { terminated: Some(15), acked_early: false })]);
    assert_eq!(dispatches(&desk.deliver([request(2)])), [(0, 2, vec![2])]);
}

#[test]
fn recall_for_a_revoke_does_not_say_that_the_child_is_blocked() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..3).map(request));
    desk.tell(Event::Revoked { handles: vec![Handle(2)], terminate: None });
    assert_eq!(dispatches(&desk.tell(Event::Recalled { child: ChildId(0), from: 1 })), [(0, 3, vec![1])]);
}

#[test]
fn what_a_dead_process_ran_goes_to_a_cell_in_small_companies() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..5).map(request));
    let actions = desk.died(0, 5);
    assert_eq!(spawned(&actions), [1, 2], "a successor and a cell");
    desk.tell(Event::ChildReady { child: ChildId(1) });
    let started: Vec<u32> = dispatches(&desk.cell(2, 2)).into_iter().flat_map(|(_, _, handles)| handles).collect();
    assert_eq!(started, [0, 1, 2]);
    assert_eq!(dispatches(&desk.deliver([request(9)])), [(1, 0, vec![9])], "others do not wait for them");
}

#[test]
fn suspect_on_its_last_attempt_has_a_cell_for_itself() {
    let mut desk = Desk::ready(many());
    let actions = desk.deliver([redelivered(0), redelivered(1)]);
    assert_eq!(spawned(&actions), [1]);
    assert_eq!(dispatches(&desk.cell(1, 3)), [(1, 0, vec![0])]);
    assert_eq!(dispatches(&desk.ended(1, 0, Outcome::Success)), []);
    let actions = desk.tell(Event::AttemptRecorded { handle: Handle(1), attempt: 3 });
    assert_eq!(dispatches(&actions), [(1, 1, vec![1])]);
    assert!(desk.ended(1, 1, Outcome::Success).contains(&Action::Stop { child: ChildId(1) }), "it has served its turn");
}

#[test]
fn more_cells_are_started_for_those_that_must_be_alone() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..3).map(redelivered));
    assert_eq!(spawned(&desk.cell(1, 3)), [2]);
}

#[test]
fn cells_cost_the_others_no_seats() {
    let mut desk = Desk::ready(many());
    desk.tell(Event::Resize(Resize::Grow(0)));
    desk.deliver([request(9), redelivered(0), redelivered(1)]);
    (1..=2).for_each(|child| drop(desk.cell(child, 3)));
    assert_eq!(dispatches(&desk.deliver([request(10)])), [(0, 1, vec![10])]);
}

#[test]
fn task_that_always_kills_its_process_is_given_up_after_its_attempts() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0)]);
    desk.died(0, 1);
    desk.tell(Event::ChildReady { child: ChildId(1) });
    desk.cell(2, 2);
    let actions = desk.died(2, 1);
    assert_eq!(spawned(&actions), [3]);
    desk.cell(3, 3);
    let actions = desk.died(3, 1);
    assert_eq!(endings(&actions), [(0, Ending::WorkerLost { attempts: 3, acked_early: false })]);
}

#[test]
fn blocked_child_gives_back_what_it_has_not_claimed_until_it_is_awake() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0)]);
    desk.runs(0, 1, []);
    desk.deliver([request(1)]);
    desk.pass(19_999);
    assert!(!desk.runs(0, 1, []).contains(&Action::Recall { child: ChildId(0) }));
    desk.pass(1);
    assert!(desk.runs(0, 1, []).contains(&Action::Recall { child: ChildId(0) }));
    assert_eq!(dispatches(&desk.tell(Event::Recalled { child: ChildId(0), from: 1 })), []);
    assert_eq!(dispatches(&desk.tell(Event::Awake { child: ChildId(0) })), [(0, 2, vec![1])]);
}

#[test]
fn child_that_has_claimed_all_it_was_given_is_not_blocked() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0)]);
    desk.runs(0, 1, [0]);
    desk.pass(1_000_000);
    assert_eq!(desk.runs(0, 1, [0]), []);
}

#[test]
fn end_of_a_task_does_not_say_that_a_blocked_child_is_awake() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0)]);
    desk.runs(0, 1, []);
    desk.deliver([request(1)]);
    desk.pass(20_000);
    desk.runs(0, 1, []);
    desk.tell(Event::Recalled { child: ChildId(0), from: 1 });
    // Whoever runs it is not who reads what was sent.
    assert_eq!(dispatches(&desk.ended(0, 0, Outcome::Success)), []);
    assert_eq!(dispatches(&desk.tell(Event::Awake { child: ChildId(0) })), [(0, 2, vec![1])]);
}

#[test]
fn nothing_is_kept_from_others_while_every_slot_is_taken_for_long() {
    let mut desk = Desk::ready(Config { slots: 2, ..many() });
    desk.deliver((0..3).map(request));
    desk.pass(999_999);
    let actions = desk.pass(1);
    assert_eq!(endings(&actions), [(2, Ending::Return)]);
}

#[test]
fn child_that_has_had_its_last_task_gives_up_its_seat_while_some_still_run() {
    let mut desk = Desk::ready(Config { max_tasks_per_child: Some(2), ..many() });
    let actions = desk.deliver([request(0), request(1), request(2)]);
    assert_eq!(dispatches(&actions), [(0, 0, vec![0, 1])]);
    let spawned = spawned(&desk.tell(Event::Tick));
    let actions = desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!((spawned, dispatches(&actions)), (vec![1], vec![(1, 0, vec![2])]));
}

#[test]
fn narrow_child_keeps_its_seat_until_its_last_task_has_ended() {
    let narrow = Config { concurrency: 1, slots: 2, is_narrow: true, max_tasks_per_child: Some(1), ..config() };
    let mut desk = Desk::ready(narrow);
    let actions = desk.deliver([request(0), request(1)]);
    assert_eq!(dispatches(&actions), [(0, 0, vec![0])]);
    assert_eq!(spawned(&[actions, desk.pass(1_000)].concat()), [1], "its successor is warm");
    assert_eq!(dispatches(&desk.tell(Event::ChildReady { child: ChildId(1) })), [], "two would run where one may");
    assert_eq!(dispatches(&desk.ended(0, 0, Outcome::Success)), [(1, 0, vec![1])]);
}

#[test]
fn free_slots_of_a_child_that_leaves_keep_nothing_from_others() {
    let mut desk = Desk::ready(Config { slots: 2, max_tasks_per_child: Some(3), ..many() });
    desk.deliver([request(0), request(1)]);
    desk.ended(0, 0, Outcome::Success);
    desk.deliver([request(2)]);
    desk.ended(0, 1, Outcome::Success);
    desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!(dispatches(&desk.deliver((3..6).map(request))), [(1, 0, vec![3, 4])]);
    desk.pass(999_999);
    let actions = desk.pass(1);
    assert_eq!(endings(&actions), [(5, Ending::Return)]);
}

#[test]
fn child_that_leaves_does_not_count_beside_one_that_stays() {
    let mut desk = Desk::ready(Config { slots: 3, max_tasks_per_child: Some(4), ..many() });
    desk.deliver((0..3).map(request));
    desk.ended(0, 0, Outcome::Success);
    assert_eq!(dispatches(&desk.deliver([request(3)])), [(0, 3, vec![3])], "its last one");
    desk.ended(0, 1, Outcome::Success);
    desk.tell(Event::ChildReady { child: ChildId(1) });
    assert_eq!(dispatches(&desk.deliver((4..8).map(request))), [(1, 0, vec![4, 5, 6])]);
    desk.pass(600_000);
    desk.ended(0, 2, Outcome::Success);
    assert_eq!(endings(&desk.pass(399_999)), []);
    assert_eq!(endings(&desk.pass(1)), [(7, Ending::Return)]);
}

#[test]
fn nothing_is_kept_for_the_free_slots_of_a_child_that_leaves_alone() {
    let mut desk = Desk::ready(Config { slots: 2, max_tasks_per_child: Some(2), ..many() });
    desk.deliver([request(0), request(1), request(2)]);
    desk.ended(0, 1, Outcome::Success);
    assert_eq!(endings(&desk.pass(999_999)), []);
    assert_eq!(endings(&desk.pass(1)), [(2, Ending::Return)], "its successor is not there");
}

#[test]
fn nothing_goes_back_while_tasks_end_at_a_child_that_leaves_alone() {
    let mut desk = Desk::ready(Config { slots: 2, max_tasks_per_child: Some(2), ..many() });
    desk.deliver([request(0), request(1), request(2)]);
    desk.pass(600_000);
    desk.ended(0, 1, Outcome::Success);
    assert_eq!(endings(&desk.pass(400_000)), [], "the other may end soon, too");
}

/// Suspects that wait for a cell while no cell takes any go back after a second, last in line first.
fn assert_given_back(desk: &mut Desk, handles: impl IntoIterator<Item = u32>) {
    assert_eq!(endings(&desk.pass(999_999)), []);
    let expected: Vec<_> = handles.into_iter().map(|handle| (handle, Ending::Return)).collect();
    assert_eq!(endings(&desk.pass(1)), expected);
}

#[test]
fn suspects_go_back_when_the_first_in_line_waits_for_an_idle_cell() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..12).map(redelivered));
    for child in 1..=4 {
        desk.cell(child, 1);
    }
    for child in 1..=4 {
        (0..2).for_each(|number| drop(desk.ended(child, number, Outcome::Success)));
    }
    // Each cell counts an attempt of one of the first four.
    desk.deliver((12..18).map(redelivered));
    for handle in (12..16).rev().map(Handle) {
        let actions = desk.tell(Event::AttemptRecorded { handle, attempt: 3 });
        assert_eq!((dispatches(&actions), spawned(&actions)), (vec![], vec![]));
    }
    assert_given_back(&mut desk, [17, 16]);
    assert_eq!(dispatches(&desk.ended(1, 2, Outcome::Success)), [(1, 3, vec![12])], "its start was counted");
}

#[test]
fn suspect_is_not_counted_while_the_leases_are_at_risk() {
    let mut desk = Desk::ready(many());
    desk.deliver([redelivered(0)]);
    desk.tell(Event::LeaseAtRisk);
    assert_eq!(desk.tell(Event::ChildReady { child: ChildId(1) }), []);
    let actions = desk.tell(Event::LeaseSafe);
    assert!(actions.contains(&Action::RecordAttempt { handle: Handle(0), floor: 0 }), "{actions:?}");
}

#[test]
fn no_other_cell_is_started_while_one_waits_for_an_attempt_to_be_counted() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..2).map(redelivered));
    assert_eq!(spawned(&desk.tell(Event::ChildReady { child: ChildId(1) })), []);
}

#[test]
fn cell_that_would_be_of_no_use_now_is_not_waited_for() {
    for fact in [Event::BrokerLost, Event::LeaseAtRisk] {
        let mut desk = Desk::ready(many());
        desk.deliver([redelivered(0)]);
        desk.died(1, 0);
        desk.tell(fact);
        assert_eq!(desk.engine.deadline(), Some(250_000), "the suspect is looked at, and nothing else");
    }
}

#[test]
fn without_a_bound_no_attempt_is_the_last() {
    let mut desk = Desk::ready(Config { max_deliveries: 0, ..many() });
    desk.deliver((0..3).map(redelivered));
    let started: Vec<u32> = dispatches(&desk.cell(1, 9)).into_iter().flat_map(|(_, _, handles)| handles).collect();
    assert_eq!(started, [0, 1, 2]);
}

#[test]
fn suspects_go_back_when_every_cell_is_full_or_has_one_that_must_be_alone() {
    for (count, attempt) in [(12, 1), (4, 3)] {
        let mut desk = Desk::ready(many());
        desk.deliver((0..=count).map(redelivered));
        (1..=4).for_each(|child| drop(desk.cell(child, attempt)));
        assert_given_back(&mut desk, [count]);
    }
}

#[test]
fn suspects_stay_while_a_cell_has_room_for_them() {
    let mut desk = Desk::new(Config { concurrency: 2, ..many() });
    desk.tell(Event::Tick);
    desk.tell(Event::ChildReady { child: ChildId(0) });
    desk.deliver([request(9), redelivered(0)]);
    desk.cell(2, 1);
    desk.died(1, 0);
    // The broker takes its time to count the second.
    desk.deliver([redelivered(1), redelivered(2)]);
    assert_eq!(endings(&desk.pass(2_000_000)), []);
}

#[test]
fn cells_that_leave_make_room_for_others_up_to_eight() {
    let mut desk = Desk::ready(Config { max_tasks_per_child: Some(1), ..many() });
    desk.deliver((0..9).map(redelivered));
    let mut started = Vec::new();
    for child in 1..=8 {
        started.extend(dispatches(&desk.cell(child, 1)).into_iter().flat_map(|(_, _, handles)| handles));
    }
    assert_eq!(started, (0..8).collect::<Vec<_>>());
    assert_given_back(&mut desk, [8]);
}

#[test]
fn suspects_go_back_when_no_cell_can_be_started() {
    let mut desk = Desk::ready(many());
    assert_eq!(spawned(&desk.deliver((0..2).map(redelivered))), [1]);
    desk.died(1, 0);
    assert_given_back(&mut desk, [1, 0]);
}

#[test]
fn suspects_do_not_go_back_while_the_broker_is_away() {
    let mut desk = Desk::ready(many());
    desk.deliver([redelivered(0)]);
    desk.died(1, 0);
    desk.tell(Event::BrokerLost);
    assert_eq!(endings(&desk.pass(1_000_000)), []);
}

fn located(actions: &[Action]) -> Vec<Number> {
    let locate = |action: &Action| match action {
        Action::Locate { number, .. } => Some(*number),
        _ => None,
    };
    actions.iter().filter_map(locate).collect()
}

#[test]
fn tasks_that_run_for_very_long_say_once_each_where_they_are() {
    let mut desk = Desk::ready(Config { stacks_after_us: Some(3_000_000), ..many() });
    desk.deliver((0..2).map(request));
    desk.pass(2_900_000);
    assert!(!desk.engine.looks_at(ChildId(0), desk.now.mono_us));
    desk.pass(100_000);
    assert!(desk.engine.looks_at(ChildId(0), desk.now.mono_us));
    assert_eq!(located(&desk.runs(0, 2, [0, 1])), [0, 1]);
    assert_eq!(located(&desk.runs(0, 2, [0, 1])), []);
    // One that comes later has its own time.
    desk.deliver([request(2)]);
    let running = vec![(0, 0), (1, 0), (2, desk.now.mono_us)];
    desk.tell(Event::ObservedMany { child: ChildId(0), next: 3, running: running.clone(), turned_us: None });
    desk.pass(3_000_000);
    assert!(desk.engine.looks_at(ChildId(0), desk.now.mono_us));
    let actions = desk.tell(Event::ObservedMany { child: ChildId(0), next: 3, running, turned_us: None });
    assert_eq!(located(&actions), [2]);
}

#[test]
fn thousands_that_run_for_very_long_are_located_some_at_a_time() {
    let mut desk =
        Desk::ready(Config { concurrency: 1, slots: 50, prefetch: 50, stacks_after_us: Some(3_000_000), ..config() });
    desk.deliver((0..50).map(request));
    desk.pass(3_000_000);
    assert_eq!(located(&desk.runs(0, 50, 0..50)).len(), 10);
    assert_eq!(located(&desk.runs(0, 50, 0..50)).len(), 0);
    desk.pass(1_000_000);
    assert_eq!(located(&desk.runs(0, 50, 0..50)).len(), 10);
}

#[test]
fn child_whose_loop_stands_still_says_once_what_keeps_it() {
    let blocked = |since_us: u64| Action::Blocked { child: ChildId(0), since_us };
    let mut desk = Desk::ready(Config { blocked_after_us: Some(400_000), ..many() });
    desk.deliver([request(0)]);
    let start_us = desk.now.mono_us;
    assert!(!desk.turned(1, start_us).contains(&blocked(start_us)));
    assert_eq!(desk.engine.deadline(), Some(start_us + 400_000));
    desk.pass(400_000);
    assert!(desk.turned(1, start_us).contains(&blocked(start_us)));
    desk.pass(1_000_000);
    assert!(!desk.turned(1, start_us).contains(&blocked(start_us)));
    // It turned, and stands still again.
    let second_us = start_us + 1_300_000;
    desk.pass(1_000_000);
    assert!(desk.turned(1, second_us).contains(&blocked(second_us)));
}

#[test]
fn child_without_a_loop_is_never_blocked() {
    let mut desk = Desk::ready(Config { blocked_after_us: Some(400_000), ..many() });
    desk.deliver([request(0)]);
    desk.pass(9_000_000);
    let actions = desk.runs(0, 1, [0]);
    assert!(!actions.iter().any(|action| matches!(action, Action::Blocked { .. })));
}

#[test]
fn child_has_time_to_read_a_large_message() {
    let mut desk = Desk::ready(many());
    desk.deliver([Request { size: 100_000_000, ..request(0) }]);
    desk.pass(5_000_000);
    let recall = Action::Recall { child: ChildId(0) };
    assert!(!desk.runs(0, 0, []).contains(&recall));
    desk.pass(5_000_000);
    assert!(desk.runs(0, 0, []).contains(&recall), "nobody reads for so long");
}

#[test]
fn narrow_child_has_one_task_at_a_time_and_is_told_by_frames() {
    let mut desk = Desk::ready(Config { concurrency: 1, slots: 2, is_narrow: true, ..config() });
    assert_eq!(dispatches(&desk.deliver([limited(0, Some(1.0), None)])), [(0, 0, vec![0])]);
    desk.pass(2_000_000);
    assert_eq!(interrupts(&desk.runs(0, 1, [0])), [(0, Interrupt::SoftLimit { limit_ms: 1_000 })]);
    assert_eq!(dispatches(&desk.deliver([request(1)])), []);
    assert_eq!(dispatches(&desk.ended(0, 0, Outcome::Success)), [(0, 1, vec![1])]);
}

#[test]
fn suspect_that_is_revoked_leaves_the_line_and_the_others_stay() {
    let mut desk = Desk::ready(many());
    desk.deliver((0..3).map(redelivered));
    desk.tell(Event::Revoked { handles: vec![Handle(1)], terminate: None });
    let started: Vec<u32> = dispatches(&desk.cell(1, 2)).into_iter().flat_map(|(_, _, handles)| handles).collect();
    assert_eq!(started, [0, 2]);
}

#[test]
fn page_is_watched_until_all_is_claimed_and_then_looked_at_once_a_second() {
    let mut desk = Desk::ready(many());
    desk.deliver([request(0)]);
    assert_eq!(desk.engine.deadline(), Some(2_000));
    desk.runs(0, 1, [0]);
    assert_eq!(desk.engine.deadline(), Some(1_000_000));
}

#[test]
fn suspects_in_line_are_looked_at_before_they_have_waited_for_long() {
    let mut desk = Desk::ready(many());
    desk.deliver([redelivered(0)]);
    assert_eq!(desk.engine.deadline(), Some(250_000));
}

#[test]
fn cell_that_could_not_be_started_is_tried_again_when_the_pause_is_over() {
    let mut desk = Desk::ready(many());
    desk.deliver([redelivered(0)]);
    assert_eq!(spawned(&desk.died(1, 0)), []);
    assert_eq!(desk.engine.deadline(), Some(100_000));
    assert_eq!(spawned(&desk.pass(100_000)), [2]);
}

#[test]
fn as_much_is_fetched_ahead_as_all_slots_get_through() {
    let mut desk = Desk::ready(many());
    desk.tell(Event::Delivered((0..9).map(request).collect()));
    let outcome = Outcome::Success;
    let ended = |number| Event::Ended { child: ChildId(0), number, outcome, runtime_us: 100_000 };
    desk.tell(ended(0));
    desk.pass(1_000);
    desk.deliver([request(9)]);
    assert_eq!(crate::desk::fetched(&desk.tell(Event::Wake)), None, "another worker may have a free slot");
    desk.pass(2_500_000);
    desk.now.mono_us += 1_000;
    // What waits for so long finds none: as much as is started in a quarter of a second, and one at once.
    assert_eq!(crate::desk::fetched(&desk.tell(ended(1))), Some(9 * 250 / 100 + 1));
}
