//! Soft and hard time limits. Judged only when a child's page was just read, never on older knowledge: a signal must
//! not hit the task that comes after.

use crate::action::Action;
use crate::child::Phase;
use crate::config::Config;
use crate::engine::Engine;
use crate::event::{Now, Request};
use crate::recall::recall;

/// The limits of one request, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Then the task is told.
    pub(crate) soft_us: Option<u64>,
    /// Then its process is killed.
    pub(crate) hard_us: Option<u64>,
}

impl Limits {
    /// The request's own limits, or those of its task. Zero, negative and non-finite ones mean none, as in Celery.
    pub(crate) fn of(request: &Request, config: &Config) -> Limits {
        let task = request.task.and_then(|task| config.tasks.get(task as usize));
        let soft_s = request.soft_limit_s.or_else(|| task.and_then(|options| options.soft_limit_s));
        let hard_s = request.hard_limit_s.or_else(|| task.and_then(|options| options.hard_limit_s));
        Limits { soft_us: soft_s.and_then(micros), hard_us: hard_s.and_then(micros) }
    }

    /// Whichever comes first.
    pub(crate) fn shortest_us(&self) -> Option<u64> {
        match (self.soft_us, self.hard_us) {
            (Some(soft_us), Some(hard_us)) => Some(soft_us.min(hard_us)),
            (soft_us, hard_us) => soft_us.or(hard_us),
        }
    }
}

impl Engine {
    /// A task has new limits. What was dispatched keeps those that it started with, as in Celery.
    pub(crate) fn limits_changed(&mut self, task: u32, soft_limit_s: Option<f64>, hard_limit_s: Option<f64>) {
        match self.config.tasks.get_mut(task as usize) {
            Some(options) => (options.soft_limit_s, options.hard_limit_s) = (soft_limit_s, hard_limit_s),
            None => self.counters.odd += 1,
        }
    }

    /// Signals or kills the child if its running task is over a limit, and notes when the next one is due.
    pub(crate) fn enforce_limits(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        let Some(running) = child.running.filter(|_| child.phase == Phase::Ready) else {
            return;
        };
        let requests = &mut self.requests;
        let Some(Limits { soft_us, hard_us }) = child.limits(running.number, |handle| requests.of(handle).limits)
        else {
            return;
        };
        let due = |limit_us: u64| running.since_us.saturating_add(limit_us);
        let soft_due = soft_us.map(due).filter(|_| !running.is_soft_sent);
        let hard_due = hard_us.map(due);

        let child = self.fleet.at(index);
        if let Some(limit_us) = hard_us.filter(|&limit_us| due(limit_us) <= now.mono_us) {
            // The recall freezes the page first, so that the child cannot go on to a task that is not to blame.
            recall(child, actions);
            child.phase = Phase::Killed;
            child.over_limit = Some((running.number, limit_us / 1_000));
            actions.push(Action::DumpStacks { child: child.id, number: Some(running.number) });
            actions.push(Action::Kill { child: child.id });
            self.fleet.refresh(index);
            return;
        }
        child.limit_due_us = hard_due;
        match soft_due {
            Some(due_us) if due_us <= now.mono_us => {
                child.running.as_mut().expect("seen above").is_soft_sent = true;
                let limit_ms = soft_us.unwrap_or_default() / 1_000;
                actions.push(Action::SoftLimit { child: child.id, number: running.number, limit_ms });
            }
            Some(due_us) => {
                child.limit_due_us = Some(hard_due.map_or(due_us, |hard_us| hard_us.min(due_us)));
            }
            None => {}
        }
    }
}

/// Seconds to microseconds; `None` when that is not a limit.
fn micros(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds > 0.0).then_some((seconds * 1e6) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn limits_of_the_request_override_those_of_the_task() {
        let mut config = testing::config();
        config.tasks[0].soft_limit_s = Some(1.0);
        config.tasks[0].hard_limit_s = Some(2.0);
        let mut request = testing::request(1);
        request.soft_limit_s = Some(0.5);
        let limits = Limits::of(&request, &config);
        assert_eq!(limits.soft_us, Some(500_000));
        assert_eq!(limits.hard_us, Some(2_000_000));
        assert_eq!(limits.shortest_us(), Some(500_000));
    }

    #[test]
    fn senseless_limits_mean_none() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(micros(seconds), None);
        }
    }
}
