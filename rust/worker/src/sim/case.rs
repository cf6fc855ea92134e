//! A case: workflows, nodes, accidents; and how a failing one is made smaller.

use std::fmt;

use fastworker_engine::sim::Rng;

use super::flow::Flow;
use super::gate::Fault;
use super::servers::Mutant;
use super::world::{Report, Violation, play};

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) flows: Vec<Flow>,
    pub(super) nodes: usize,
    /// Results live on another server than messages.
    pub(super) is_elsewhere: bool,
    /// What happens, by the number of the operation that it happens to.
    pub(super) faults: Vec<(u64, Fault)>,
    /// The seed of all delays.
    pub(super) noise: u64,
    pub(super) mutant: Option<Mutant>,
}

impl Case {
    /// Case number `seed`, before anything goes wrong.
    pub(super) fn calm(seed: u64) -> Case {
        let mut chance = Rng::new(seed);
        let flows = (0..chance.pick(&[1, 1, 2, 3])).map(|_| Flow::random(&mut chance, 3)).collect();
        let (nodes, is_elsewhere) = (chance.range(1, 3) as usize, chance.chance(40));
        Case { flows, nodes, is_elsewhere, faults: Vec::new(), noise: seed, mutant: None }
    }

    /// The same with accidents among its first `steps` operations.
    pub(super) fn with_accidents(mut self, steps: u64) -> Case {
        let mut chance = Rng::new(self.noise ^ 0x5EED);
        let count = chance.range(1, 6);
        self.faults = (0..count).map(|_| (chance.range(0, steps + steps / 2), Fault::random(&mut chance))).collect();
        self
    }

    /// Plays it; and, since accidents change nothing of how tasks end, compares it with what comes of it without.
    pub(super) fn check(&self, calm: &Report) -> Result<Report, Violation> {
        let report = play(self, false).0?;
        if report.has_given_up {
            return Ok(report);
        }
        for (id, was) in &calm.states {
            let state = report.states.get(id);
            if state != Some(was) {
                let what = format!("{id}: {was}, now {state:?}");
                return Err(Violation { rule: "accidents change no end", what });
            }
        }
        Ok(report)
    }

    /// Plays it with and without its accidents.
    pub(super) fn fails(&self) -> Option<Violation> {
        let calm = Case { faults: Vec::new(), mutant: None, ..self.clone() };
        match play(&calm, false).0 {
            Ok(calm) => self.check(&calm).err(),
            Err(violation) => Some(violation),
        }
    }

    /// The smallest case found that breaks the same rule.
    pub(super) fn shrunk(&self, rule: &'static str) -> Case {
        let mut best = self.clone();
        let mut runs = 0;
        'smaller: while runs < 4_000 {
            for candidate in best.smaller() {
                // Less to do moves all that comes later: the accidents may have to hit a little earlier.
                for shift in 0..=candidate.faults.len() as u64 * 6 {
                    let moved = candidate.faults.iter().map(|(at, fault)| (at.saturating_sub(shift), *fault));
                    let candidate = Case { faults: moved.collect(), ..candidate.clone() };
                    runs += 1;
                    if candidate.fails().is_some_and(|violation| violation.rule == rule) {
                        best = candidate;
                        continue 'smaller;
                    }
                }
            }
            break;
        }
        best
    }

    fn smaller(&self) -> Vec<Case> {
        let mut found = Vec::new();
        for at in 0..self.faults.len() {
            let mut case = self.clone();
            case.faults.remove(at);
            found.push(case);
        }
        for at in 0..self.flows.len() {
            if self.flows.len() > 1 {
                let mut case = self.clone();
                case.flows.remove(at);
                found.push(case);
            }
            for less in self.flows[at].smaller() {
                let mut case = self.clone();
                case.flows[at] = less;
                found.push(case);
            }
        }
        if self.nodes > 1 {
            found.push(Case { nodes: self.nodes - 1, ..self.clone() });
        }
        found
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flows: Vec<String> = self.flows.iter().map(Flow::to_string).collect();
        let place = if self.is_elsewhere { "elsewhere" } else { "beside" };
        write!(out, "{}; {} nodes, results {place}; {:?}", flows.join(" and "), self.nodes, self.faults)
    }
}
