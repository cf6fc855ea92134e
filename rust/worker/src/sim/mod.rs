//! The deterministic simulator of workflows: the real settlement, joins, leases and stores under seeded accidents.
//!
//! What is real: `settle`, `broker_io`, `joins`, and the broker and result store in memory (`fastworker_broker`'s suites
//! hold the others to the same). What is a model: the engine and its children (`node`), which have a simulator of their
//! own, and what Python makes of signatures (`canvas`), which real workers are killed for elsewhere. Time is tokio's, and
//! jumps. Every operation on a server passes a gate, where nodes are killed, stand still or are cut off, before it or
//! after it, or its answer is lost (`gate`). In the end every workflow has ended, as it does without accidents; each chord
//! was joined once, and its body got every member's result once (`world`).
//!
//! A failing case is made small and told as a story. `FASTWORKER_WORKFLOW_SCHEDULES` is how many are played,
//! `FASTWORKER_WORKFLOW_FIRST` the first seed; `make sim` has the long form.

mod canvas;
mod case;
mod flow;
mod gate;
mod node;
mod servers;
mod world;

use case::Case;
use flow::{Deed, Flow};
use gate::Fault;
use servers::Mutant;
use world::{Violation, play};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn tell(seed: u64, case: &Case, violation: &Violation) -> String {
    let least = case.shrunk(violation.rule);
    let found = least.fails().unwrap_or_else(|| violation.clone());
    let (_, story) = play(&least, true);
    format!("seed {seed}: {}: {}\n{least}\n{}", found.rule, found.what, story.join("\n"))
}

#[test]
fn workflows_end_and_chords_are_joined_once() {
    let schedules = number("FASTWORKER_WORKFLOW_SCHEDULES").unwrap_or(400);
    let first = number("FASTWORKER_WORKFLOW_FIRST").unwrap_or(0);
    let (mut joins, mut kills, mut given_up) = (0, 0, 0);
    for seed in first..first + schedules {
        let calm = Case::calm(seed);
        let report = play(&calm, false).0.unwrap_or_else(|violation| panic!("{}", tell(seed, &calm, &violation)));
        let case = calm.with_accidents(report.steps);
        let report = case.check(&report).unwrap_or_else(|violation| panic!("{}", tell(seed, &case, &violation)));
        joins += report.joins;
        kills += report.kills;
        given_up += u64::from(report.has_given_up);
    }
    println!("{schedules} workflows, {joins} joins, {kills} kills; {given_up} with a message that was given up");
    assert!(joins >= schedules / 2 && kills >= schedules / 2, "{joins} joins, {kills} kills: little is shown");
}

/// Workflows in which every kind of join happens, and one that is retried in vain.
fn telling() -> Vec<Flow> {
    let task = || Flow::Task(Deed::Succeed);
    let chord = |header, body| Flow::Chord(header, Box::new(body));
    vec![
        chord(vec![task(), task()], task()),
        chord(vec![task(), Flow::Task(Deed::Fail)], task()),
        chord(vec![chord(vec![task(), task()], task()), task()], task()),
        chord(vec![chord(vec![Flow::Task(Deed::Expire), task()], task()), task()], task()),
        Flow::Chain(vec![task(), chord(vec![task(), task()], chord(vec![task()], task())), task()]),
        chord(vec![Flow::Chain(vec![Flow::Task(Deed::Revoke), task()]), Flow::Task(Deed::Retry)], task()),
        chord(vec![Flow::Task(Deed::Replace(Box::new(chord(vec![task()], task())))), task()], task()),
        Flow::Task(Deed::GiveUp),
    ]
}

#[test]
fn a_worker_may_be_killed_at_every_step() {
    for (number, flow) in telling().into_iter().enumerate() {
        for is_elsewhere in [false, true] {
            let calm =
                Case { flows: vec![flow.clone()], nodes: 2, is_elsewhere, noise: number as u64, ..Case::calm(0) };
            let report = play(&calm, false).0.unwrap_or_else(|violation| panic!("{}", tell(0, &calm, &violation)));
            for step in 0..report.steps {
                for fault in [Fault::KilledBefore, Fault::KilledAfter, Fault::FrozenAfter(30), Fault::AnswerLost] {
                    let case = Case { faults: vec![(step, fault)], ..calm.clone() };
                    case.check(&report).unwrap_or_else(|violation| panic!("{}", tell(step, &case, &violation)));
                }
            }
        }
    }
}

#[test]
fn every_broken_broker_is_noticed() {
    for mutant in Mutant::ALL {
        let is_noticed = |seed: &u64| {
            let calm = Case::calm(*seed);
            let Ok(report) = play(&calm, false).0 else { return false };
            let case = Case { mutant: Some(mutant), ..calm.with_accidents(report.steps) };
            case.check(&report).is_err()
        };
        assert!((0..400).any(|seed| is_noticed(&seed)), "{mutant:?} is not noticed");
    }
}

#[test]
fn the_same_case_takes_the_same_way() {
    let case = Case { flows: telling(), ..Case::calm(7) }.with_accidents(200);
    let (first, second) = (play(&case, true).1, play(&case, true).1);
    assert!(first.len() > 100, "{first:?}");
    assert_eq!(first, second);
}
