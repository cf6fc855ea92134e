//! The worker's one loop: facts go to the engine, its actions go out. Nothing is decided here.
//!
//! ```text
//!   broker_io ─┐                       ┌─▶ broker_io   fetch · settle · publish · record attempt
//!   pool ──────┼─▶ fact ─▶ engine ─▶ action
//!   main thread┘     (+ bytes in HeldTable) └─▶ pool   dispatch · recall · spawn · kill
//! ```

mod children;
mod connect;
mod control;
mod deaths;
#[cfg(test)]
mod desk;
mod dispatch;
mod drain;
mod fetch;
mod joining;
mod lanes;
mod lease;
mod outage;
mod outcome;
mod publishing;
mod queues;
mod recording;
mod restart;
mod settling;
mod stopping;
mod telling;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use fastworker_broker::{Broker as _, Publish, Settlement};
use fastworker_engine::{Action, ChildId, Config, Engine, Event, Number};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::broker_io::BrokerIo;
use crate::clock;
use crate::config::WorkerConfig;
use crate::decode::Decoder;
use crate::events::Events;
use crate::fact::{Command, Fact, Settling};
use crate::held::{Again, HeldTable};
use crate::joins::Joins;
use crate::pool::{Child, OomWatch, Pool, Unburied, Zygote};
use crate::pulse::Pulse;
use crate::record::Recorder;
use crate::report::{Level, Reporter};
use crate::revoked::Revoked;
use crate::settle::{Lifetimes, Policy};
use crate::sketch::Sketches;

use self::connect::{Connected, connect, lease_terms};
use self::drain::Draining;
use self::lease::LeaseWatch;
use self::outage::Outage;
pub(crate) use self::publishing::Author;
use self::publishing::Ledger;
use self::queues::brokers;

/// How often the pages of children that work through several tasks are looked at.
const LOOK_EVERY_US: u64 = 2_000;
/// The loop turns at least so often.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the broker may take to close.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);
/// Most bytes handed to one child ahead of its work.
const WINDOW_BYTES: u32 = 256 * 1024;
/// Most bytes of messages that one batch has.
const BATCH_BYTES: u64 = 16 << 20;
/// Most tasks handed to one child ahead of its work.
const WINDOW_MAX: u32 = 256;
/// How long a ready task waits for a local child before others may have it.
const RETURN_AFTER_US: u64 = 1_000_000;

/// Runs a worker until it is shut down. Call it inside a `LocalSet` of a current-thread runtime.
///
/// # Errors
/// A text for the operator, when it cannot start or cannot go on: a URL that cannot be used, a store that refuses.
pub async fn run(
    config: WorkerConfig,
    pool: Pool,
    mut commands: UnboundedReceiver<Command>,
    reporter: Reporter,
    pulse: Pulse,
) -> Result<(), String> {
    let terms = lease_terms(&config);
    let Some(io) = connect(&config, terms, &mut commands, &reporter).await? else { return Ok(()) };
    let Connected { io, mut facts, revoked } = io;
    let forward = io.facts.clone();
    tokio::task::spawn_local(async move {
        while let Some(command) = commands.recv().await {
            if forward.send(Fact::Command(command)).is_err() {
                break;
            }
        }
    });
    if config.drains {
        // What is due waits in a queue before the first look into it.
        let horizon_ms = clock::wall_us() / 1000 + config.eta_horizon_ms / 2;
        io.broker.release_due(horizon_ms).await.map_err(|error| error.to_string())?;
    }
    let keepers = [
        tokio::task::spawn_local(io.clone().keep_lease(terms)),
        tokio::task::spawn_local(io.clone().release_parked(config.eta_horizon_ms / 2)),
        tokio::task::spawn_local(io.clone().gather()),
    ];
    let listener = config.control_exchange.clone().map(|exchange| {
        let listening = io.clone().listen(exchange);
        tokio::task::spawn_local(listening)
    });
    let mut worker = Worker::new(config, io.clone(), reporter, matches!(pool, Pool::Threads), revoked, pulse);
    if let Pool::Processes(socket, pid) = pool {
        worker.adopt(socket, pid);
    }
    worker.events.begin();
    worker.tick();
    while !worker.is_done() {
        let wake_at = worker.wake_at();
        tokio::select! {
            biased;
            fact = facts.recv() => {
                worker.take(fact.expect("the worker holds a sender itself"));
                while let Ok(fact) = facts.try_recv() {
                    worker.take(fact);
                }
                // Facts that never cease must not keep the clock from being looked at.
                if worker.is_tick_due() {
                    worker.tick();
                }
            }
            () = sleep_until(wake_at) => {
                worker.watch_lease();
                worker.lose_patience();
                worker.tick();
            }
        }
        worker.look_at_rings();
        worker.succeed();
        worker.beat();
        if worker.config.drains {
            worker.end_when_drained();
        }
        worker.flush();
    }
    for keeper in keepers.into_iter().chain(listener) {
        keeper.abort();
    }
    if worker.is_abandoned() {
        return Err(worker.words_of_abandoning());
    }
    worker.close_broker().await
}

struct Worker {
    engine: Engine,
    actions: Vec<Action>,
    held: HeldTable,
    decoder: Decoder,
    io: BrokerIo,
    reporter: Reporter,
    config: WorkerConfig,
    policy: Policy,
    lease: LeaseWatch,
    children: HashMap<ChildId, Child>,
    oom: OomWatch,
    spawning: Vec<ChildId>,
    /// Dead children that a zygote which does not answer has not reaped: ours when it is gone.
    unburied: Vec<Unburied>,
    /// Children are threads of this process; else processes, which the zygote forks.
    has_threads: bool,
    zygote: Option<Zygote>,
    /// It is to take the place of that one.
    successor: Option<Zygote>,
    /// Those that had their place taken, and have not ended.
    retired: Vec<Zygote>,
    wanted: VecDeque<ChildId>,
    settling: Vec<(Settlement, Option<Settling>)>,
    is_settling: bool,
    /// Those that publish, where a broker may take acknowledgements and no messages: the others do not wait for them.
    following: Vec<(Settlement, Option<Settling>)>,
    is_following: bool,
    publishing: Vec<(Publish, Option<Author>)>,
    is_publishing: bool,
    /// Of batches that publish.
    ledgers: HashMap<(ChildId, Number), Ledger>,
    asked: u32,
    draining: Draining,
    wants_wake: bool,
    is_waiting: bool,
    is_broker_lost: bool,
    outage: Option<Outage>,
    /// The broker was away for too long: what is said in the end.
    given_up: Option<String>,
    has_told_of_limits: bool,
    /// Tasks that `Report::Limited` was sent of.
    told_limited: HashSet<u32>,
    is_ready: bool,
    is_stopping: bool,
    is_cold: bool,
    /// A worker that stops ends without the broker from then on, once no child is left (`mono_us`).
    patient_until_us: u64,
    /// When the broker answered last (`mono_us`).
    answered_us: u64,
    is_finished: bool,
    last_tick_us: u64,
    ring_buffer: Vec<u8>,
    touched: Vec<ChildId>,
    /// Processes that end because their task was revoked: nobody needs to be alarmed.
    terminated_pids: HashSet<i32>,
    revoked: Revoked,
    /// Failures that the main thread was told of, and how many of them it has not seen to yet.
    tellings: u64,
    untold: usize,
    joins: Joins,
    /// It was said that broadcasts are not heard.
    is_deaf: bool,
    events: Events,
    /// What is always kept of tasks.
    sketches: Sketches,
    /// What a bench has recorded, while it does.
    recorder: Option<Box<Recorder>>,
}

impl Worker {
    fn new(
        mut config: WorkerConfig,
        io: BrokerIo,
        reporter: Reporter,
        has_threads: bool,
        revoked: Revoked,
        pulse: Pulse,
    ) -> Worker {
        if has_threads {
            config.tasks.iter_mut().for_each(|task| {
                task.options.soft_limit_s = None;
                task.options.hard_limit_s = None;
            });
        }
        let engine = Engine::new(Config {
            tasks: config.tasks.iter().map(|task| task.options.clone()).collect(),
            queues: config.queue_terms.clone(),
            concurrency: config.concurrency,
            slots: config.slots,
            is_narrow: config.is_narrow,
            max_tasks_per_child: config.max_tasks_per_child,
            max_memory_per_child_kib: restart::memory_bound(&config),
            autoscale: config.autoscale,
            prefetch: config.prefetch,
            window_bytes: WINDOW_BYTES,
            batch_bytes: BATCH_BYTES,
            window_max: WINDOW_MAX,
            start_timeout_us: config.start_timeout.map(micros),
            stacks_after_us: config.stacks_after.map(micros),
            blocked_after_us: config.blocked_after.map(micros),
            warm_timeout_us: config.warm_timeout.map(micros),
            soft_timeout_us: micros(config.soft_timeout),
            soft_waits_when_idle: config.soft_waits_when_idle,
            max_deliveries: config.max_deliveries,
            eta_horizon_ms: config.eta_horizon_ms,
            return_after_us: RETURN_AFTER_US,
        });
        Worker {
            engine,
            actions: Vec::new(),
            held: HeldTable::default(),
            decoder: Decoder::new(&config),
            io,
            reporter,
            policy: Policy {
                lifetimes: Lifetimes {
                    result_s: config.result_ttl_s,
                    failure_s: config.failure_ttl_s,
                    chord_s: config.chord_ttl_s,
                },
                discards_unknown: config.discards_unknown,
            },
            lease: LeaseWatch::new(config.lease_life),
            events: Events::new(&config.node, config.events.clone(), pulse),
            sketches: Sketches::new(config.tasks.len()),
            config,
            children: HashMap::new(),
            oom: OomWatch::new(Path::new("/")),
            spawning: Vec::new(),
            unburied: Vec::new(),
            has_threads,
            zygote: None,
            successor: None,
            retired: Vec::new(),
            wanted: VecDeque::new(),
            settling: Vec::new(),
            is_settling: false,
            following: Vec::new(),
            is_following: false,
            publishing: Vec::new(),
            is_publishing: false,
            ledgers: HashMap::new(),
            asked: 0,
            draining: Draining::default(),
            wants_wake: false,
            is_waiting: false,
            is_broker_lost: false,
            outage: None,
            given_up: None,
            has_told_of_limits: false,
            told_limited: HashSet::new(),
            is_ready: false,
            is_stopping: false,
            is_cold: false,
            patient_until_us: 0,
            answered_us: 0,
            is_finished: false,
            last_tick_us: 0,
            ring_buffer: Vec::new(),
            touched: Vec::new(),
            terminated_pids: HashSet::new(),
            revoked,
            tellings: 0,
            untold: 0,
            joins: Joins::default(),
            is_deaf: false,
            recorder: None,
        }
    }

    fn feed(&mut self, event: Event) {
        self.engine.handle(clock::now(), event, &mut self.actions);
        self.act();
    }

    /// Carries out what the engine wants. Actions may cause events that can be answered at once; they are queued
    /// behind the actions of this turn.
    fn act(&mut self) {
        let mut answers = VecDeque::new();
        loop {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.carry_out(action, &mut answers);
            }
            if self.actions.is_empty() {
                self.actions = actions;
            }
            let Some(answer) = answers.pop_front() else { return };
            self.engine.handle(clock::now(), answer, &mut self.actions);
        }
    }

    fn carry_out(&mut self, action: Action, answers: &mut VecDeque<Event>) {
        match action {
            Action::Fetch { max, portions } => {
                self.asked = max;
                self.wants_wake = false;
                self.draining.asked();
                self.io.fetch(max as usize, brokers(&portions));
            }
            Action::Acquire { asks } => self.acquire(asks),
            Action::Draw { max, quotas, portions } => self.draw(max, &quotas, &portions),
            Action::Dispatch { child, first, handles, flush_first } => {
                self.dispatch(child, first, &handles, flush_first);
            }
            Action::DispatchBatch { child, number, handles } => self.dispatch_batch(child, number, &handles),
            Action::Recall { child } => {
                if let Some(known) = self.children.get_mut(&child) {
                    answers.push_back(Event::Recalled { child, from: known.recall() });
                }
            }
            Action::RecordAttempt { handle, floor } => {
                if let Some(held) = self.held.get_mut(handle) {
                    held.has_attempts = true;
                    let (tag, id) = (held.tag, held.id.clone());
                    self.io.record_attempt(handle, tag, id, floor);
                }
            }
            Action::Settle { handle, ending } => self.settle(handle, ending),
            Action::SoftLimit { child, number, limit_ms } => self.soft_limit(child, number, limit_ms),
            Action::Terminate { child, number, signal } => self.terminate(child, number, signal),
            Action::Interrupt { child, number, kind } => self.interrupt(child, number, kind),
            Action::DumpStacks { child, number } => self.dump_stacks(child, number),
            Action::Locate { child, number } => {
                if let Some(known) = self.children.get_mut(&child) {
                    known.push_locate(number);
                    self.touched.push(child);
                }
            }
            Action::Blocked { child, since_us } => self.ask_who_blocks(child, since_us),
            Action::Kill { child } => self.kill(child),
            // No other zygote is going to come.
            Action::Spawn { child } if self.is_stopping && self.zygote.is_none() && !self.has_threads => {
                answers.push_back(Event::ChildExited { child, next: 0, by_itself: false });
            }
            Action::Spawn { child } => {
                self.wanted.push_back(child);
                self.spawn_wanted(answers);
            }
            Action::Stop { child } => {
                if let Some(known) = self.children.get_mut(&child) {
                    known.push_stop();
                    self.touched.push(child);
                }
            }
            Action::TimeIsUp => self.time_is_up(),
            Action::Finished => self.is_finished = true,
        }
    }

    fn take(&mut self, fact: Fact) {
        self.watch_lease();
        match fact {
            Fact::Fetched(Ok(deliveries), has_more) => self.fetched(deliveries, has_more),
            Fact::Fetched(Err(error), _) => {
                self.draining.answered(1);
                self.trouble(error);
                self.feed(Event::FetchFailed);
            }
            Fact::Acquired(asks, granted) => self.acquired(&asks, granted),
            Fact::Drawn(Ok(drawn)) => self.drawn(drawn),
            Fact::Drawn(Err(error)) => {
                self.trouble(error);
                self.feed(Event::DrawFailed);
            }
            Fact::Wake => {
                self.is_waiting = false;
                // The engine remembers it until it fetches; waiting again before that would be answered at once.
                self.wants_wake = false;
                self.feed(Event::Wake);
            }
            Fact::Settled { batch, lost, joins, is_following } => {
                if is_following {
                    self.is_following = false;
                } else {
                    self.is_settling = false;
                }
                self.settled(batch, &lost);
                self.join(joins);
            }
            Fact::Joins(joins) => self.join(joins),
            Fact::Parts { join, parts } => self.parts_read(join, parts),
            Fact::JoinEnded { join, is_done, joins } => {
                self.join_ended(&join, is_done);
                self.join(joins);
            }
            Fact::Published { authors, refusal } => self.published(authors, refusal),
            Fact::AttemptRecorded { handle, attempt: None } => self.lease_lost(handle),
            Fact::AttemptRecorded { handle, attempt: Some(attempt) } => {
                if let Some(held) = self.held.get_mut(handle) {
                    held.attempt = attempt;
                }
                self.feed(Event::AttemptRecorded { handle, attempt });
            }
            Fact::Trouble(error) => self.trouble(error),
            Fact::Fine => self.fine(),
            Fact::Severed => self.severed(),
            Fact::Refreshed { asked } => self.refreshed(asked),
            Fact::LookedAfter { lost } => self.looked_after(lost),
            Fact::Recovered(recovered) => {
                let text =
                    format!("recovered {} message(s) of {} worker(s) that died", recovered.messages, recovered.owners);
                self.reporter.log(Level::Warning, text);
                self.feed(Event::Wake);
            }
            Fact::EventsSent(sent) => self.events_sent(sent),
            Fact::Broadcast(message) => self.broadcast(message.to_vec()),
            Fact::Revoked(marks) => self.learn_revoked(marks),
            Fact::Deaf(error) => self.deaf(&error),
            Fact::Child(child, fact) => self.child_fact(child, fact),
            Fact::Zygote(pid, fact) => self.zygote_fact(pid, fact),
            Fact::Command(Command::Shutdown(kind)) => {
                self.stop(kind);
            }
            Fact::Command(Command::Resize(resize)) => self.feed(Event::Resize(resize)),
            Fact::Command(Command::Told(failures)) => self.told(failures),
            Fact::Command(Command::Count { handle, number, part }) => self.count(handle, number, part),
            Fact::Command(Command::RunAgain { handle, number, doc, messages }) => {
                self.run_again(handle, number, Again { doc, messages });
            }
            Fact::Command(Command::Joined(joined, parts)) => self.joined(joined, parts),
            Fact::Command(Command::ThreadEnded(child)) => self.exited(child),
            // The loop looks at the clock after every fact.
            Fact::Command(Command::ClockMoved) => self.io.clock_moved.notify_one(),
            Fact::Command(Command::AdoptZygote(socket, pid)) => self.adopt(socket, pid),
            Fact::Command(Command::Restart(socket, pid)) => self.restart(socket, pid),
            // Below: whoever asked may have given up waiting for the answer.
            Fact::Command(Command::Revoke { marks, terminate, answer }) => {
                let _gone = answer.try_send(self.revoke(marks, terminate));
            }
            Fact::Command(Command::SetLimits { task, soft_s, hard_s, answer }) => {
                let _gone = answer.try_send(self.set_limits(&task, soft_s, hard_s));
            }
            Fact::Command(Command::SetRate { task, rate, answer }) => {
                let _gone = answer.try_send(self.set_rate(&task, rate));
            }
            Fact::Command(Command::Consume { queue, terms, fanout, answer }) => {
                self.consume(queue, terms, fanout.as_ref());
                match fanout {
                    Some(fanout) => self.io.enlist(fanout, answer),
                    None => drop(answer.try_send(())),
                }
            }
            Fact::Command(Command::GiveBack { queue, is_cancelled, answer }) => {
                let _gone = answer.try_send(self.give_queue_back(&queue, is_cancelled));
            }
            Fact::Command(Command::TellOfTasks { tells, answer }) => {
                let _gone = answer.try_send(self.events.tell_of_tasks(tells));
            }
            Fact::Command(Command::Beat) => self.events.beat_for_who_asks(),
            Fact::Command(Command::Record { order, answer }) => {
                let _gone = answer.try_send(self.record(order));
            }
            Fact::Command(Command::Sketch { answer }) => {
                let _gone = answer.try_send(self.sketch());
            }
            Fact::Command(Command::Snapshot { answer }) => {
                let _gone = answer.try_send(self.snapshot());
            }
        }
    }

    /// The engine has finished, and everything that was to be settled or published is.
    fn is_done(&self) -> bool {
        self.is_finished && !self.has_unsettled() || self.is_abandoned()
    }

    /// When the loop has to tick, in monotonic microseconds; `None` while nothing is timed.
    fn tick_at_us(&self) -> Option<u64> {
        let tells = self.events.has_tasks();
        let has_several = self.children.values().any(|child| child.has_several() || tells && child.has_untold());
        let look_at_us = has_several.then_some(self.last_tick_us + LOOK_EVERY_US);
        [look_at_us, self.engine.deadline()].into_iter().flatten().min()
    }

    fn is_tick_due(&self) -> bool {
        self.tick_at_us().is_some_and(|at_us| at_us <= clock::mono_us())
    }

    /// When the loop has to turn although nothing happened.
    fn wake_at(&self) -> Instant {
        let now_us = clock::mono_us();
        let pause =
            self.tick_at_us().map_or(LONGEST_PAUSE, |at_us| Duration::from_micros(at_us.saturating_sub(now_us)));
        let waits = [self.give_up_in(), self.patience_left(), self.lease_overdue_in()];
        let events = [self.events.beat_in(), self.events.leaves_in(), Some(pause)];
        let pauses = waits.into_iter().chain(events);
        Instant::now() + pauses.flatten().min().unwrap_or(pause)
    }

    fn tick(&mut self) {
        self.last_tick_us = clock::mono_us();
        let children: Vec<ChildId> =
            self.children.values().filter(|child| child.is_busy()).map(|child| child.id).collect();
        for child in children {
            self.drain_ring(child);
            if self.events.has_tasks() {
                self.tell_running(child);
            }
            let Some(known) = self.children.get(&child) else { continue };
            let next = known.page.claim().next();
            if known.slots() == 1 {
                let running_since_us = known.page.running(0).map(|(_, since_us)| since_us);
                self.feed(Event::Observed { child, next, running_since_us });
            } else {
                let looks_at = self.engine.looks_at(child, clock::mono_us());
                let running = if looks_at { known.page.all_running().collect() } else { Vec::new() };
                let turned_us = known.page.turned_us();
                self.feed(Event::ObservedMany { child, next, running, turned_us });
            }
        }
        self.feed(Event::Tick);
    }

    /// Sends what this turn has gathered.
    fn flush(&mut self) {
        for child in std::mem::take(&mut self.touched) {
            let tell = self.tell_child(child);
            if let Some(known) = self.children.get_mut(&child) {
                known.flush(tell);
            }
        }
        if !self.is_publishing && !self.publishing.is_empty() {
            self.is_publishing = true;
            let (batch, authors) = self.publishing.drain(..).unzip();
            self.io.publish(batch, authors);
        }
        if !self.is_settling && !self.settling.is_empty() {
            self.is_settling = true;
            let (settlements, batch) = self.settling.drain(..).unzip();
            self.io.settle(settlements, batch, false);
        }
        if !self.is_following && !self.following.is_empty() {
            self.is_following = true;
            let (settlements, batch) = self.following.drain(..).unzip();
            self.io.settle(settlements, batch, true);
        }
        if let Some(batch) = self.events.leaving() {
            self.io.publish_events(self.events.exchange(), batch);
        }
        if self.wants_wake && !self.is_waiting && !self.is_stopping {
            self.is_waiting = true;
            self.io.wait();
        }
    }
}

/// For the engine.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The word that the clocks were moved ahead.
pub fn clock_moved() -> Command {
    Command::ClockMoved
}

/// The word that child `child`, a thread, has ended.
pub fn thread_ended(child: u32) -> Command {
    Command::ThreadEnded(ChildId(child))
}
