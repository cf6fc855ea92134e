//! When one delivery came past the stations.

use fastworker_engine::Ending;
use fastworker_wire::child::{OutcomeFrame, OutcomeKind};

/// How a run ended, as a bench counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum How {
    Success = 0,
    Failure,
    Retry,
    Ignore,
    Reject,
    Requeue,
    Poison,
    TimeLimit,
    Terminated,
    /// Its process died.
    Lost,
    /// It never ran: expired, revoked, or its task is unknown.
    Unrun,
}

impl How {
    pub(crate) const NAMES: [&'static str; 11] = [
        "success",
        "failure",
        "retry",
        "ignore",
        "reject",
        "requeue",
        "poison",
        "time_limit",
        "terminated",
        "lost",
        "unrun",
    ];

    fn of(kind: OutcomeKind) -> How {
        match kind {
            OutcomeKind::Success => How::Success,
            OutcomeKind::Failure => How::Failure,
            OutcomeKind::Retry => How::Retry,
            OutcomeKind::Ignore => How::Ignore,
            OutcomeKind::Reject => How::Reject,
            OutcomeKind::Requeue => How::Requeue,
            OutcomeKind::Poison => How::Poison,
            OutcomeKind::TimeLimit => How::TimeLimit,
            OutcomeKind::Terminated => How::Terminated,
        }
    }

    /// Its message has ended with it, and no other try follows.
    pub(crate) fn is_end(self) -> bool {
        !matches!(self, How::Retry | How::Requeue)
    }
}

/// Microseconds of the monotonic clock; 0 for what has not been, or while nothing was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    /// Index of the registered task.
    pub(crate) task: Option<u32>,
    /// How old the message was when it was decoded, below 0 for one that is due later; `None`: no bench published it, or
    /// it is another try.
    pub(crate) age_us: Option<i64>,
    /// Its number among those of the bench.
    pub(crate) number: Option<u32>,
    pub(crate) decoded_us: u64,
    pub(crate) dispatched_us: u64,
    pub(crate) started_us: u64,
    pub(crate) ended_us: u64,
    /// What it has computed; `None`: that was not measured.
    pub(crate) cpu_us: Option<u64>,
    /// `None`: it has not ended, or had come before recording began.
    pub(crate) how: Option<How>,
}

impl Moments {
    /// A child has reported its end.
    pub(crate) fn ended(&mut self, outcome: &OutcomeFrame<'_>) {
        if self.decoded_us == 0 {
            return;
        }
        self.started_us = outcome.started_us;
        self.ended_us = outcome.started_us + outcome.runtime_us;
        self.cpu_us = outcome.cpu_us;
        self.how = Some(How::of(outcome.kind));
    }

    /// The engine has said how it ends.
    pub(crate) fn settling(&mut self, ending: &Ending) {
        if self.decoded_us == 0 {
            return;
        }
        self.how = match ending {
            // What was reported stands; an early acknowledgement is no end.
            Ending::AsReported { .. } | Ending::EarlyAck => self.how,
            Ending::Return | Ending::Park { .. } | Ending::Lane => None,
            Ending::Redeliver | Ending::Requeue => Some(How::Requeue),
            Ending::Expired | Ending::Unknown => Some(How::Unrun),
            Ending::Revoked { terminated, .. } => Some(if terminated.is_some() { How::Terminated } else { How::Unrun }),
            Ending::WorkerLost { .. } => Some(How::Lost),
            Ending::TimeLimit { .. } => Some(How::TimeLimit),
        };
    }

    /// It started before it was meant to be published. An eta counts in whole milliseconds: so much is no sign of a
    /// wrong clock.
    pub(crate) fn is_early(&self) -> bool {
        self.aged(self.started_us).is_some_and(|wait_us| wait_us <= -1_000)
    }

    /// From its intended moment to this one.
    fn aged(&self, to_us: u64) -> Option<i64> {
        let age_us = self.age_us?;
        (to_us != 0).then(|| age_us + to_us.saturating_sub(self.decoded_us) as i64)
    }

    /// The time between the stations, in the order of [`super::STAGES`]; `None` where it has not come past both.
    pub(crate) fn stages(&self, settled_us: u64) -> [Option<u64>; 8] {
        let between = |from_us: u64, to_us: u64| (from_us != 0 && to_us != 0).then(|| to_us.saturating_sub(from_us));
        let aged = |to_us: u64| Some(self.aged(to_us)?.max(0) as u64);
        [
            self.age_us.map(|age_us| age_us.max(0) as u64),
            between(self.decoded_us, self.dispatched_us),
            between(self.dispatched_us, self.started_us),
            between(self.started_us, self.ended_us),
            between(self.ended_us, settled_us),
            aged(self.started_us),
            aged(settled_us),
            self.cpu_us,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_back_to_its_queue_has_not_ended() {
        let mut moments = Moments { decoded_us: 5, ..Moments::default() };
        for ending in [Ending::Return, Ending::Lane, Ending::Park { until_ms: 9 }] {
            moments.settling(&ending);
            assert_eq!(moments.how, None);
        }
        moments.settling(&Ending::Redeliver);
        assert_eq!(moments.how.map(How::is_end), Some(false));
    }

    #[test]
    fn what_never_ran_has_no_service() {
        let mut moments = Moments { decoded_us: 5, age_us: Some(7), ..Moments::default() };
        moments.settling(&Ending::Expired);
        assert_eq!(moments.stages(15), [Some(7), None, None, None, None, None, Some(17), None]);
    }
}
