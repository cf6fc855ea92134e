//! How a delivery may end.

use super::*;

/// What a task counts for among the early-acknowledged; the calls of a batch are one together.
const WEIGHT: u64 = 1 << 32;

impl Audit {
    pub(super) fn settle(&mut self, now: Now, handle: Handle, ending: &Ending) -> Verdict {
        let acks_late = self.acks_late(handle);
        let (ends_on_timeout, runs_again) = self.after_death(handle);
        let early_limit = (2 * self.seats.most_ever() * self.config.slots as usize) as u64 * WEIGHT;
        let is_early = |entry: &&Entry| (entry.is_acked && entry.stage != Stage::Final) || entry.stage == Stage::Acking;
        let weight = |entry: &Entry| {
            let batch = entry.request.task.and_then(|task| self.config.tasks[task as usize].batch);
            WEIGHT / u64::from(batch.map_or(1, |terms| terms.most))
        };
        let early: u64 = self.entries.values().filter(is_early).map(weight).sum();
        let own_weight = self.entries.get(&handle).map_or(WEIGHT, weight);
        let (max, shutdown) = (self.config.max_deliveries, self.shutdown);
        let (is_broker_up, is_lease_safe) = (self.is_broker_up, self.is_lease_safe);
        let scopes: Vec<Scope> = self.config.tasks.iter().map(|task| task.rate_scope).collect();
        let entry = self.get(handle)?;
        require!(settle_once: entry.stage == Stage::Held, "{ending:?} of {handle:?} at {:?}", entry.stage);
        let untouched = entry.reported.is_none() && !entry.is_acked;
        let acked = entry.is_acked;
        if entry.was_terminated && entry.reported.is_none() {
            let is_kept = matches!(ending, Ending::Revoked { terminated: Some(_), .. } | Ending::TimeLimit { .. });
            require!(terminated_ends_revoked: is_kept, "{ending:?} of the terminated {entry:?}");
        }
        let is_right = match *ending {
            Ending::EarlyAck => {
                let is_bounded = early + own_weight <= early_limit;
                require!(early_bounded: is_bounded, "{} early acknowledgements", early / WEIGHT);
                entry.stage = Stage::Acking;
                return if !acks_late && untouched && is_broker_up && (is_lease_safe || shutdown.is_some()) {
                    Ok(())
                } else {
                    Err(format!("early_ack_right: EarlyAck of {entry:?}"))
                };
            }
            Ending::AsReported { acked_early } => match entry.reported {
                Some(Outcome::Reject { requeue: true }) => acked && acked_early,
                Some(_) => acked == acked_early,
                None => false,
            },
            Ending::Return => untouched && ((!entry.has_died && !entry.was_spared) || entry.is_lost),
            Ending::Redeliver if acked => false,
            Ending::Requeue => !acked && entry.reported == Some(Outcome::Reject { requeue: true }),
            Ending::Redeliver => {
                let was_started = entry.has_died || entry.was_spared;
                entry.reported.is_none() && was_started && max_not_exceeded(max, entry, shutdown)
            }
            Ending::Lane => {
                let is_own = |task: u32| scopes[task as usize] == Scope::Worker;
                untouched && !entry.was_dispatched && entry.request.task.is_some_and(is_own)
            }
            Ending::Park { until_ms } => untouched && entry.request.eta_ms == Some(until_ms) && until_ms > now.wall_ms,
            Ending::Expired => untouched && entry.request.expires_ms.is_some_and(|ms| now.wall_ms > ms),
            Ending::Unknown => entry.request.task.is_none(),
            Ending::Revoked { terminated, acked_early } => {
                let ended_so = match terminated {
                    Some(_) => entry.was_terminated && entry.has_died,
                    None => !entry.was_terminated,
                };
                acked == acked_early && entry.is_revoked && entry.reported.is_none() && ended_so
            }
            Ending::WorkerLost { acked_early, .. } if acked => {
                acked_early && entry.reported.is_none() && (entry.has_died || entry.was_spared || shutdown.is_some())
            }
            Ending::WorkerLost { attempts, acked_early } => {
                let is_given_up = (max > 0 && attempts >= max) || (!runs_again && entry.has_died);
                !acked_early && entry.reported.is_none() && is_given_up
            }
            Ending::TimeLimit { acked_early, .. } => {
                let is_last = max > 0 && entry.last_recorded.max(entry.deaths) >= max;
                let may_end = acked || ends_on_timeout || is_last || entry.is_lost;
                acked == acked_early && entry.reported.is_none() && entry.was_killed_by_limit && may_end
            }
        };
        require!(ending_right: is_right, "{ending:?} of {entry:?}");
        entry.stage = Stage::Final;
        let request = entry.request.clone();
        if let Some(permits) = self.permits_of(&request) {
            permits.spent(now.mono_us);
        }
        Ok(())
    }

    pub(super) fn acks_late(&self, handle: Handle) -> bool {
        let task = self.entries.get(&handle).and_then(|entry| entry.request.task);
        task.is_none_or(|task| self.config.tasks[task as usize].acks_late)
    }

    /// Whether a hard limit ends the task, and whether a death lets it run again.
    pub(super) fn after_death(&self, handle: Handle) -> (bool, bool) {
        let task = self.entries.get(&handle).and_then(|entry| entry.request.task);
        task.map_or((true, true), |task| {
            let options = &self.config.tasks[task as usize];
            (options.acks_on_timeout, options.runs_again_when_lost)
        })
    }
}

/// Whether a delivery that died may go on living: not when it has had all its attempts, unless a cold shutdown
/// killed it.
fn max_not_exceeded(max: u32, entry: &Entry, shutdown: Option<Shutdown>) -> bool {
    max == 0 || entry.deaths < max || entry.is_lost || shutdown == Some(Shutdown::Cold)
}
