//! The state machine. Read this file first.
//!
//! A worker is this machine and its drivers. The drivers report facts (`Event`), the machine answers with what is to
//! be done (`Action`), and nothing else passes between them. Facts may be late; none is ever asked for.
//!
//! ```text
//!             ┌── eta ──▶ Timer ──┐                          ┌──────── recalled, or its child died ────────┐
//!             │                   ▼                          ▼                                             │
//!  Delivered ─┴─ admit ─────────▶ Ready ─┬─ redelivered: Recording ─┐                                      │
//!      │                          │ ▲    ├─ acks_late=False: Acking ┼──▶ Ready (again) ──▶ Child ─ Ended ──┤
//!      │                          │ └────┴──── no place, or the broker is away: EarlyLine, Aside           │
//!      └─ unknown, expired, far ──┴──── waits too long, expires, shutdown ──▶ Ending ◀─────────────────────┘
//!                                                                               └─ Settled / LeaseLost ──▶ forgotten
//! ```
//!
//! Every handle gets exactly one final `Action::Settle`. The exception is a lease that is lost while nothing is asked
//! about it: then the driver's `LeaseLost` is the end.
//!
//! One file for each decision: `admit/` (may it run), `gather` (with whom), `schedule` (who is next), `window` and `dispatch` (how much to
//! whom), `lanes` (rate limits towards the broker), `attempts` and `suspects` (redeliveries), `early` (early
//! acknowledgement), `recall` and `limits` (a task that takes long), `interrupts` (the same, beside others), `stuck` (a child that does not answer), `blocked` (one in which nothing goes on), `death` (a child that died), `pool` (a
//! child that is replaced), `scale` (how many there are), `revoke` (what nobody wants any more), `settle` (what an
//! outcome means), `prefetch` (how much to fetch), `queues` (of
//! which queue), `consume` (queues that come and go), `give_back` (what
//! others should rather run), `shutdown`.

use std::collections::VecDeque;

use crate::action::Action;
use crate::admit::Rates;
use crate::child;
use crate::config::Config;
use crate::early::Early;
use crate::event::{ChildId, Event, Handle, Now};
use crate::fleet::Fleet;
use crate::gather::Gatherings;
use crate::lanes::Draws;
use crate::prefetch::Prefetch;
use crate::queues::Queues;
use crate::requests::{Requests, Whereabouts};
use crate::scale::Scale;
use crate::schedule::Ready;
use crate::stats::{Counters, Stats};
use crate::timer::Timer;
use crate::window::Window;

/// While unstarted tasks lie behind a running one, pages are read this often, in microseconds.
const WATCH_US: u64 = 2_000;
/// While anything runs, pages are read at least this often.
const GLANCE_US: u64 = 1_000_000;
/// Ticks are at least this far apart, whatever is due.
const SHORTEST_TICK_US: u64 = 1_000;
/// A wall clock that moves this much against the monotonic one has jumped.
const JUMP_MS: i64 = 1_000;

/// The worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// At work.
    Running,
    /// Warm shutdown: what runs may finish, nothing else starts.
    Warm,
    /// Cold shutdown: what runs is killed.
    Cold,
    /// `Action::Finished` was emitted.
    Finished,
}

/// Everything a worker decides; see the head of this module.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    /// When a warm shutdown becomes a cold one (`mono_us`).
    pub(crate) cold_at_us: Option<u64>,
    /// The worker does not finish before (`mono_us`).
    pub(crate) stays_until_us: Option<u64>,
    pub(crate) is_broker_up: bool,
    pub(crate) is_lease_safe: bool,
    pub(crate) requests: Requests,
    pub(crate) queues: Queues,
    pub(crate) ready: Ready,
    /// Calls of batch tasks that wait for each other.
    pub(crate) gatherings: Gatherings,
    /// Ready, started before, and not to be run beside others: in line for a cell.
    pub(crate) suspects: VecDeque<Handle>,
    pub(crate) timer: Timer,
    /// Task types with a rate limit, and who waits for a permit.
    pub(crate) rates: Rates,
    /// Deliveries that need a shared permit, until the end of the turn.
    pub(crate) asking: Vec<Handle>,
    pub(crate) draws: Draws,
    pub(crate) early: Early,
    /// Redeliveries that need an attempt number while the broker is away.
    pub(crate) aside: VecDeque<Handle>,
    pub(crate) fleet: Fleet,
    /// Children that may have tasks at once.
    pub(crate) seats: u32,
    /// `Resize` has come.
    pub(crate) is_resized: bool,
    /// There are fewer seats than before, and nobody has looked yet which spares that makes needless.
    pub(crate) is_shrunk: bool,
    pub(crate) scale: Option<Scale>,
    /// By task index.
    pub(crate) windows: Vec<Window>,
    pub(crate) prefetch: Prefetch,
    pub(crate) counters: Counters,
    /// Which child is offered work first; goes round.
    pub(crate) turn: usize,
    /// The `order` of the delivery that came last.
    pub(crate) last_order: u64,
    /// The clocks at the last event.
    pub(crate) now: Now,
    /// `None` until the first tick.
    last_tick: Option<Now>,
}

impl Engine {
    /// A worker at rest. Nothing is done before the first `Tick`.
    pub fn new(config: Config) -> Engine {
        let config = Config { slots: config.slots.max(1), ..config };
        let children = config.autoscale.map_or(config.concurrency, |bounds| bounds.max);
        let capacity = children.saturating_mul(config.per_child());
        let mut prefetch = Prefetch::new(config.prefetch.max(capacity));
        prefetch.set_batches(capacity, &config);
        Engine {
            phase: Phase::Running,
            cold_at_us: None,
            stays_until_us: None,
            is_broker_up: true,
            is_lease_safe: true,
            requests: Requests::default(),
            queues: Queues::new(&config.queues),
            ready: Ready::new(&config.queues),
            gatherings: Gatherings::new(&config),
            suspects: VecDeque::new(),
            timer: Timer::default(),
            rates: Rates::new(&config),
            asking: Vec::new(),
            draws: Draws::default(),
            early: Early::new(capacity),
            aside: VecDeque::new(),
            fleet: Fleet::new(config.slots, config.per_child(), config.max_tasks_per_child),
            seats: config.concurrency,
            is_resized: false,
            is_shrunk: false,
            scale: config.autoscale.map(Scale::new),
            windows: vec![Window::default(); config.tasks.len()],
            prefetch,
            counters: Counters::default(),
            turn: 0,
            last_order: 0,
            now: Now { mono_us: 0, wall_ms: 0 },
            last_tick: None,
            config,
        }
    }

    /// Takes one fact in; appends what is to be done, in order. `now` never goes back in its monotonic half.
    pub fn handle(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        self.now = now;
        if self.phase == Phase::Finished {
            return;
        }
        match event {
            Event::Tick => self.tick(now, actions),
            Event::More => self.prefetch.has_more(),
            Event::Delivered(requests) => self.delivered(now, requests, actions),
            Event::Acquired(answer) => self.acquired(now, answer, actions),
            Event::Drawn(answer) => self.drawn(now, answer, actions),
            Event::DrawFailed => self.draw_failed(now),
            Event::FetchFailed => {
                if self.queues.fetched(None) {
                    self.hurry_draw(now);
                }
                self.count_odd(|engine| engine.prefetch.failed(now.mono_us));
            }
            Event::Wake => self.prefetch.wake(),
            Event::BrokerLost => self.broker_lost(),
            Event::BrokerBack => self.broker_back(),
            Event::LeaseAtRisk => self.lease_at_risk(actions),
            Event::LeaseSafe => self.is_lease_safe = true,
            Event::AttemptRecorded { handle, attempt } => {
                self.attempt_recorded(handle, attempt, actions);
            }
            Event::ChildForked { child } => self.child_forked(now, child, actions),
            Event::ChildReady { child } => self.child_ready(child, actions),
            Event::Observed { child, next, running_since_us } => {
                self.observed(now, child, next, running_since_us, actions)
            }
            Event::ObservedMany { child, next, running, turned_us } => {
                self.observed_many(now, child, next, running, turned_us, actions);
            }
            Event::Awake { child } => self.awake(child),
            Event::Recalled { child, from } => self.recalled(child, from, actions),
            Event::Ended { child, number, outcome, runtime_us } => {
                self.ended(now, child, number, outcome, runtime_us, actions)
            }
            Event::MemberEnded { child, number, handle, outcome } => {
                self.member_ended(child, number, handle, outcome, actions);
            }
            Event::BatchEnded { child, number, runtime_us } => {
                self.batch_ended(now, child, number, runtime_us, actions);
            }
            Event::ChildExited { child, next, by_itself } => self.child_exited(now, child, next, by_itself, actions),
            Event::Memory { child, peak_kib } => self.memory(child, peak_kib, actions),
            Event::Resize(resize) => self.resize(resize),
            Event::Settled { handle } => self.settled(handle, actions),
            Event::LeaseLost { handle } => self.lease_lost(handle),
            Event::RateLimit { task, limit } => self.set_rate(now, task, limit),
            Event::Revoked { handles, terminate } => self.revoked(&handles, terminate, actions),
            Event::LimitsChanged { task, soft_limit_s, hard_limit_s } => {
                self.limits_changed(task, soft_limit_s, hard_limit_s);
            }
            Event::QueueOpened { queue, terms } => self.queue_opened(queue, terms),
            Event::QueueClosed { queue } => self.queue_closed(queue, actions),
            Event::QueueWithdrawn { queue } => self.withdraw(queue, actions),
            Event::Shutdown(kind) => self.shut_down(now, kind, actions),
        }
        self.end_withdrawals();
        self.tend(now, actions);
        self.ask(now, actions);
        self.form_batches(now);
        self.dispatch(now, actions);
        self.dispatch_suspects(now, actions);
        self.autoscale(now, actions);
        self.draw(now, actions);
        self.fetch(now, actions);
        self.wind_up(now, actions);
    }

    /// The monotonic microsecond of the next instant at which a `Tick` is needed; `None` when nothing is timed. An
    /// instant in the past means at once. Asked again after every turn: events move it both ways.
    pub fn deadline(&self) -> Option<u64> {
        if self.phase == Phase::Finished {
            return None;
        }
        let Some(last_tick) = self.last_tick else {
            return Some(0);
        };
        let last_us = last_tick.mono_us;
        let is_running = self.phase == Phase::Running;
        let spawn = self.fleet.spawn_due_us(self.wanted_children());
        let retry = self.prefetch.retry_at_us();
        let children = self.fleet.children().iter().filter_map(|child| match child.open() {
            0 => None,
            _ if child.has_revoked && child.terminating.is_none() => Some(last_us + WATCH_US),
            _ if child.slots > 1 => {
                let watch_us = if child.unstarted() > 0 { WATCH_US } else { GLANCE_US };
                let due = [child.checks.due_us(), child.grace_due_us(), child.locate_at_us, self.blocked_due_us(child)];
                let due = due.into_iter().flatten().chain([last_us + watch_us]).min();
                due.filter(|_| child.phase == child::Phase::Ready)
            }
            1 => {
                let glance_us = child.shortest_limit_us.unwrap_or(GLANCE_US).min(GLANCE_US);
                let kill_at_us = child.terminating.map_or(u64::MAX, |it| it.kill_at_us);
                let glance = (last_us + glance_us).min(kill_at_us);
                Some(child.limit_due_us.map_or(glance, |due| due.min(glance)))
            }
            _ => Some(last_us + WATCH_US),
        });
        let is_waiting = self.waiting() > 0 || !self.suspects.is_empty() || self.queues.has_standing();
        let waiting = is_waiting.then(|| last_us + self.config.return_after_us / 4);
        spawn
            .filter(|_| is_running)
            .into_iter()
            .chain(retry.filter(|_| is_running))
            .chain(self.scale_due_us().filter(|_| is_running))
            .chain(self.timer.deadline(self.now))
            .chain(self.rates.deadline())
            .chain(self.batch_due_us())
            .chain(self.shutdown_due_us())
            .chain(self.draw_due_us(self.now))
            .chain(self.stuck_due_us())
            .chain(self.early.due_us())
            .chain(self.cell_due_us().filter(|_| is_running))
            .chain(children)
            .chain(waiting)
            .min()
            .map(|due| due.max(last_us + SHORTEST_TICK_US))
    }

    /// Where every held delivery is, by handle.
    pub fn whereabouts(&self) -> impl Iterator<Item = (Handle, Whereabouts)> {
        self.requests.whereabouts()
    }

    /// What has a lease, with nothing under way that would show its loss: what waits, and what is at a child, whose
    /// death must not start it anew.
    pub fn unasked(&self) -> impl Iterator<Item = Handle> {
        self.requests.unasked()
    }

    /// Whether the answer to a fetch or a draw is out: what it brings is not known yet.
    pub fn is_awaiting(&self) -> bool {
        self.prefetch.is_fetching() || self.draws.outstanding() > 0
    }

    /// Figures for logs and `inspect`.
    pub fn stats(&self) -> Stats {
        Stats::of(self)
    }

    /// Time passed: starts what was due to be started.
    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let last_tick = self.last_tick.replace(now);
        if self.phase == Phase::Running {
            self.spawn_missing(now, actions);
            self.prefetch.tick(now.mono_us);
        }
        self.end_the_wait(now, actions);
        self.kill_the_stuck(now, actions);
        if last_tick.is_some_and(|last| has_jumped(last, now)) {
            self.park_what_is_far_now(now, actions);
        }
        self.start_what_is_due(now, actions);
        self.start_what_is_permitted(now);
        self.give_back(now, actions);
    }

    /// A child is connected.
    fn child_ready(&mut self, id: ChildId, actions: &mut Vec<Action>) {
        let Some(index) = self.fleet.find(id) else {
            self.counters.odd += 1;
            return;
        };
        match self.fleet.at(index).phase {
            child::Phase::Starting => self.fleet.became_ready(index, self.seats),
            // It was killed while it started, perhaps before there was a process to kill.
            child::Phase::Killed => actions.push(Action::Kill { child: id }),
            child::Phase::Ready | child::Phase::Spare | child::Phase::Stopping => self.counters.odd += 1,
        }
    }

    /// The connection is gone: what only the broker can confirm waits, everything else goes on.
    fn broker_lost(&mut self) {
        self.prefetch.forget_backlog();
        self.is_broker_up = false;
        self.release_reserved_children();
    }

    /// The connection is back.
    fn broker_back(&mut self) {
        self.is_broker_up = true;
        self.prefetch.wake();
        while let Some(handle) = self.aside.pop_back() {
            self.make_ready_first(handle);
        }
    }

    /// Counts a fact that does not fit, such as an answer to what was not asked. `fits` says whether it did.
    pub(crate) fn count_odd(&mut self, fits: impl FnOnce(&mut Engine) -> bool) {
        if !fits(self) {
            self.counters.odd += 1;
        }
    }
}

/// Whether the wall clock was set between two readings.
fn has_jumped(last: Now, now: Now) -> bool {
    let mono_ms = (now.mono_us.saturating_sub(last.mono_us) / 1_000) as i64;
    let wall_ms = now.wall_ms.saturating_sub(last.wall_ms);
    wall_ms.saturating_sub(mono_ms).saturating_abs() > JUMP_MS
}
