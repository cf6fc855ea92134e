//! Figures about the engine, for logs and `inspect`.

use crate::action::Ending;
use crate::config::Autoscale;
use crate::engine::Engine;

/// What is happening now, and what has happened since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Delivered and not settled.
    pub held: u32,
    /// Of these: waiting here for their eta.
    pub scheduled: u32,
    /// Of these: waiting here for a permit of their rate limit.
    pub limited: u32,
    /// Of these: ready, waiting for a child.
    pub waiting: u32,
    /// Of these: at a child, running or handed over.
    pub dispatched: u32,
    /// Children that take tasks.
    pub children: u32,
    /// Children that there should be; by order or by the autoscaler.
    pub seats: u32,
    /// The autoscaler's bounds; `None` without one.
    pub autoscale: Option<Autoscale>,
    /// So many tasks run now, or are about to.
    pub running: u32,
    /// Counted since the start.
    pub counters: Counters,
    /// For each task of the configuration: the mean run time in microseconds and the number of runs.
    pub runtimes: Vec<(Option<f64>, u32)>,
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Deliveries taken in.
    pub delivered: u64,
    /// Outcomes reported by children, in time.
    pub processed: u64,
    /// Taken back from children before they started.
    pub recalled: u64,
    /// Given back to their queues, unstarted.
    pub returned: u64,
    /// Given back to their queues to be run again.
    pub redelivered: u64,
    /// Moved to a lane of the broker, to wait there for a permit.
    pub laned: u64,
    /// Drawn from lanes.
    pub drawn: u64,
    /// Put into the broker's care until they are due.
    pub parked: u64,
    /// Dropped because their `expires` was over.
    pub expired: u64,
    /// Dropped, or terminated, because somebody revoked them.
    pub revoked: u64,
    /// Dropped because their task is not registered here.
    pub unknown: u64,
    /// Given up because their processes died.
    pub worker_lost: u64,
    /// Killed by a hard time limit.
    pub timed_out: u64,
    /// Leases that turned out to be somebody else's.
    pub lost: u64,
    /// Children that exited.
    pub exited: u64,
    /// Outcomes of tasks that were not expected from that child any more; ignored.
    pub late: u64,
    /// Facts that did not fit, such as an answer to what was not asked; ignored. Anything but 0 is a driver's mistake.
    pub odd: u64,
}

impl Counters {
    /// Adds the figures of another engine; for the simulator.
    #[cfg(feature = "sim")]
    pub(crate) fn add(&mut self, other: &Counters) {
        self.delivered += other.delivered;
        self.processed += other.processed;
        self.recalled += other.recalled;
        self.returned += other.returned;
        self.redelivered += other.redelivered;
        self.laned += other.laned;
        self.drawn += other.drawn;
        self.parked += other.parked;
        self.expired += other.expired;
        self.revoked += other.revoked;
        self.unknown += other.unknown;
        self.worker_lost += other.worker_lost;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.exited += other.exited;
        self.late += other.late;
        self.odd += other.odd;
    }

    /// Counts an ending.
    pub(crate) fn count(&mut self, ending: &Ending) {
        match ending {
            Ending::AsReported { .. } | Ending::EarlyAck => {}
            Ending::Return => self.returned += 1,
            Ending::Redeliver | Ending::Requeue => self.redelivered += 1,
            Ending::Park { .. } => self.parked += 1,
            Ending::Lane => self.laned += 1,
            Ending::Expired => self.expired += 1,
            Ending::Revoked { .. } => self.revoked += 1,
            Ending::Unknown => self.unknown += 1,
            Ending::WorkerLost { .. } => self.worker_lost += 1,
            Ending::TimeLimit { .. } => self.timed_out += 1,
        }
    }
}

impl Stats {
    /// Reads the figures off. Looks at every child and task type once.
    pub(crate) fn of(engine: &Engine) -> Stats {
        let children = engine.fleet.children();
        Stats {
            held: engine.requests.len(),
            scheduled: engine.timer.len() as u32,
            limited: engine.rates.waiting(),
            waiting: engine.waiting(),
            dispatched: children.iter().map(|child| child.deliveries()).sum(),
            children: engine.fleet.ready(),
            seats: engine.seats,
            autoscale: engine.scale.as_ref().map(|scale| scale.bounds),
            running: children.iter().map(|child| child.open().min(child.slots)).sum(),
            counters: engine.counters,
            runtimes: engine.windows.iter().map(|window| (window.lifetime_mean_us(), window.samples())).collect(),
        }
    }
}
