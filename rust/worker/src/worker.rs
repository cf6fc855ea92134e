//! The worker's one loop: facts go to the engine, its actions go out. Nothing is decided here.
//!
//! ```text
//!   broker_io ─┐                       ┌─▶ broker_io   fetch · settle · publish · record attempt
//!   pool ──────┼─▶ fact ─▶ engine ─▶ action
//!   main thread┘     (+ bytes in HeldTable) └─▶ pool   dispatch · recall · spawn · kill
//! ```

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use fastworker_broker::{Broker, Delivery, Error, LeaseTerms, Publish, Settlement, Verdict};
use fastworker_engine::{Action, ChildId, Config, Ending, Engine, Event, Handle, Number, Outcome, Shutdown};
use fastworker_wire::child::{FromChild, OutcomeFrame, OutcomeKind, VERSION};
use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use crate::broker_io::{Backoff, BrokerIo};
use crate::clock;
use crate::config::WorkerConfig;
use crate::decode::{Decoder, patch};
use crate::fact::{Command, Fact, Settling};
use crate::held::{HeldTable, Reported};
use crate::pool::{Child, SocketFact, Zygote, ZygoteFact};
use crate::report::{Level, Report, Reporter};
use crate::settle::{self, Lifetimes};

/// How often the pages of children that work through several tasks are looked at.
const LOOK_EVERY_US: u64 = 2_000;
/// Most bytes handed to one child ahead of its work.
const WINDOW_BYTES: u32 = 256 * 1024;
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
    zygote: (OwnedFd, i32),
    mut commands: UnboundedReceiver<Command>,
    reporter: Reporter,
) -> Result<(), String> {
    let terms = lease_terms(&config);
    let Some(io) = connect(&config, terms, &mut commands, &reporter).await? else { return Ok(()) };
    let (io, mut facts) = io;
    let forward = io.facts.clone();
    tokio::task::spawn_local(async move {
        while let Some(command) = commands.recv().await {
            if forward.send(Fact::Command(command)).is_err() {
                break;
            }
        }
    });
    let keepers = [
        tokio::task::spawn_local(io.clone().keep_lease(terms)),
        tokio::task::spawn_local(io.clone().release_parked(config.eta_horizon_ms / 2)),
    ];
    let mut worker = Worker::new(config, io.clone(), reporter);
    worker.adopt(zygote.0, zygote.1);
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
            }
            () = sleep_until(wake_at) => worker.tick(),
        }
        worker.look_at_rings();
        worker.flush();
    }
    for keeper in keepers {
        keeper.abort();
    }
    if worker.is_abandoned() {
        return Err("ended without the broker: other workers recover what was held".to_owned());
    }
    io.broker.close().await.map_err(|error| format!("on closing the broker: {error}"))
}

/// Leases are refreshed three times in their life, and four times within kombu's visibility timeout: other consumers
/// of the same server take what is older than that for abandoned.
fn lease_terms(config: &WorkerConfig) -> LeaseTerms {
    let visibility_timeout = config.broker_options.iter().find(|(name, _)| name == "visibility_timeout");
    let visible_s = visibility_timeout.and_then(|(_, seconds)| seconds.parse::<f64>().ok()).unwrap_or(3600.0);
    let visible = Duration::try_from_secs_f64(visible_s / 4.0).unwrap_or(config.lease_life);
    LeaseTerms {
        life: config.lease_life,
        refresh: (config.lease_life / 3).min(visible.max(Duration::from_millis(100))),
    }
}

type Connected = (BrokerIo, UnboundedReceiver<Fact>);

/// Connects, for as long as it takes. `None`: told to stop before it was connected.
async fn connect(
    config: &WorkerConfig,
    terms: LeaseTerms,
    commands: &mut UnboundedReceiver<Command>,
    reporter: &Reporter,
) -> Result<Option<Connected>, String> {
    let mut backoff = Backoff::new();
    let mut is_reported = false;
    let (facts, receiver) = unbounded_channel();
    loop {
        let connecting = fastworker_broker::connect(
            &config.broker_url,
            &config.broker_options,
            &config.queues,
            config.result_url.as_deref(),
            &config.result_options,
            terms,
        );
        match connecting.await {
            Ok((broker, store)) => {
                if is_reported {
                    reporter.log(Level::Warning, "connected to the broker");
                }
                let io = BrokerIo { broker: Rc::new(broker), store: store.map(Rc::new), facts };
                return Ok(Some((io, receiver)));
            }
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut is_reported, true) {
                    reporter.log(Level::Error, format!("cannot connect: {error}. Trying again until it works."));
                }
            }
            Err(error) => return Err(error.to_string()),
        }
        tokio::select! {
            () = backoff.pause() => {}
            command = commands.recv() => {
                if matches!(command, None | Some(Command::Shutdown(_))) {
                    return Ok(None);
                }
            }
        }
    }
}

struct Worker {
    engine: Engine,
    actions: Vec<Action>,
    held: HeldTable,
    decoder: Decoder,
    io: BrokerIo,
    reporter: Reporter,
    config: WorkerConfig,
    lifetimes: Lifetimes,
    children: HashMap<ChildId, Child>,
    spawning: Vec<ChildId>,
    zygote: Option<Zygote>,
    wanted: VecDeque<ChildId>,
    settling: Vec<(Settlement, Option<Settling>)>,
    is_settling: bool,
    publishing: Vec<(Publish, Handle)>,
    is_publishing: bool,
    asked: u32,
    wants_wake: bool,
    is_waiting: bool,
    is_broker_lost: bool,
    is_ready: bool,
    is_stopping: bool,
    is_cold: bool,
    is_finished: bool,
    ring_buffer: Vec<u8>,
    touched: Vec<ChildId>,
}

impl Worker {
    fn new(config: WorkerConfig, io: BrokerIo, reporter: Reporter) -> Worker {
        let engine = Engine::new(Config {
            tasks: config.tasks.iter().map(|task| task.options.clone()).collect(),
            queues: config.queues.len() as u16,
            concurrency: config.concurrency,
            prefetch: config.prefetch,
            window_bytes: WINDOW_BYTES,
            window_max: WINDOW_MAX,
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
            lifetimes: Lifetimes { result_s: config.result_ttl_s, failure_s: config.failure_ttl_s },
            config,
            children: HashMap::new(),
            spawning: Vec::new(),
            zygote: None,
            wanted: VecDeque::new(),
            settling: Vec::new(),
            is_settling: false,
            publishing: Vec::new(),
            is_publishing: false,
            asked: 0,
            wants_wake: false,
            is_waiting: false,
            is_broker_lost: false,
            is_ready: false,
            is_stopping: false,
            is_cold: false,
            is_finished: false,
            ring_buffer: Vec::new(),
            touched: Vec::new(),
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
            Action::Fetch { max } => {
                self.asked = max;
                self.wants_wake = false;
                self.io.fetch(max as usize);
            }
            Action::Dispatch { child, first, handles, flush_first } => {
                self.dispatch(child, first, &handles, flush_first);
            }
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
            Action::SoftLimit { child, number } => self.soft_limit(child, number),
            Action::Kill { child } => {
                if let Some(known) = self.children.get(&child) {
                    known.signal(Signal::KILL);
                }
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
            Action::Finished => self.is_finished = true,
        }
    }

    // ---------------------------------------------------------------------------------------------- facts

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Fetched(Ok(deliveries)) => self.fetched(deliveries),
            Fact::Fetched(Err(error)) => {
                self.trouble(&error);
                self.feed(Event::FetchFailed);
            }
            Fact::Wake => {
                self.is_waiting = false;
                self.feed(Event::Wake);
            }
            Fact::Settled { batch, lost } => self.settled(batch, &lost),
            Fact::Published { handles, refusal } => self.published(handles, refusal),
            Fact::AttemptRecorded { handle, attempt } => {
                if let Some(held) = self.held.get_mut(handle) {
                    held.attempt = attempt;
                }
                self.feed(Event::AttemptRecorded { handle, attempt });
            }
            Fact::Trouble(error) => self.trouble(&error),
            Fact::Fine => self.fine(),
            Fact::LeaseAtRisk => {
                self.reporter.log(Level::Error, "the leases could not be refreshed in time: starting nothing more");
                self.feed(Event::LeaseAtRisk);
            }
            Fact::LeaseSafe => {
                self.reporter.log(Level::Warning, "the leases are refreshed again");
                self.feed(Event::LeaseSafe);
            }
            Fact::Recovered(recovered) => {
                let text =
                    format!("recovered {} message(s) of {} worker(s) that died", recovered.messages, recovered.owners);
                self.reporter.log(Level::Warning, text);
                self.feed(Event::Wake);
            }
            Fact::Child(child, fact) => self.child_fact(child, fact),
            Fact::Zygote(fact) => self.zygote_fact(fact),
            Fact::Command(Command::Shutdown(kind)) => {
                self.is_stopping = true;
                self.is_cold |= kind == Shutdown::Cold;
                self.feed(Event::Shutdown(kind));
            }
            Fact::Command(Command::AdoptZygote(socket, pid)) => self.adopt(socket, pid),
        }
    }

    fn trouble(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_broker_lost, true) {
            self.reporter.log(Level::Error, format!("{error}. Trying again until it works."));
            self.feed(Event::BrokerLost);
        }
    }

    fn fine(&mut self) {
        if std::mem::take(&mut self.is_broker_lost) {
            self.reporter.log(Level::Warning, "the broker answers again");
            self.feed(Event::BrokerBack);
        }
    }

    fn fetched(&mut self, deliveries: Vec<Delivery>) {
        self.fine();
        let mut requests = Vec::with_capacity(deliveries.len());
        for delivery in &deliveries {
            match self.decoder.decode(delivery) {
                Ok((held, mut request)) => {
                    if self.config.reports_received {
                        let (task, id) = (held.task.clone(), held.id.clone());
                        self.reporter.send(Report::Received { task, id });
                    }
                    request.handle = self.held.insert(held);
                    requests.push(request);
                }
                Err(poison) => {
                    let id = poison.id.as_deref().unwrap_or("?");
                    let text = format!("message {id} moved to the dead letters: {}: {}", poison.reason, poison.detail);
                    self.reporter.log(Level::Error, text);
                    let settlement = Settlement {
                        tag: delivery.tag,
                        message_id: poison.id,
                        has_attempts: false,
                        verdict: Verdict::DeadLetter { reason: poison.reason.to_owned(), detail: poison.detail },
                        result: None,
                        successors: Vec::new(),
                    };
                    self.settling.push((settlement, None));
                }
            }
        }
        // The engine takes an answer that falls short for an empty queue, also when poison made it fall short.
        self.wants_wake = requests.len() < self.asked as usize;
        self.feed(Event::Delivered(requests));
    }

    // ---------------------------------------------------------------------------------------------- children

    fn tell_child(&self, child: ChildId) -> impl Fn(SocketFact) + 'static {
        let facts = self.io.facts.clone();
        move |fact| {
            // Only while the loop is being torn down is nobody there to hear it.
            let _torn_down = facts.send(Fact::Child(child, fact));
        }
    }

    fn adopt(&mut self, socket: OwnedFd, pid: i32) {
        let facts: UnboundedSender<Fact> = self.io.facts.clone();
        let tell = move |fact| {
            // As above.
            let _torn_down = facts.send(Fact::Zygote(fact));
        };
        match Zygote::adopt(socket, pid, tell) {
            Ok(zygote) => {
                self.zygote = Some(zygote);
                let mut answers = VecDeque::new();
                self.spawn_wanted(&mut answers);
                for answer in answers {
                    self.feed(answer);
                }
            }
            Err(error) => {
                self.reporter.log(Level::Critical, format!("cannot talk to the zygote: {error}"));
                self.reporter.send(Report::ZygoteGone);
            }
        }
    }

    fn spawn_wanted(&mut self, answers: &mut VecDeque<Event>) {
        while let (Some(zygote), Some(child)) = (&self.zygote, self.wanted.front().copied()) {
            let spawned = Child::prepare(child, self.tell_child(child)).and_then(|(known, socket, page)| {
                zygote.spawn(child, socket.as_fd(), page.as_fd())?;
                Ok(known)
            });
            self.wanted.pop_front();
            match spawned {
                Ok(known) => {
                    self.children.insert(child, known);
                    self.spawning.push(child);
                }
                Err(error) => {
                    self.reporter.log(Level::Error, format!("cannot start a child process: {error}"));
                    answers.push_back(Event::ChildExited { child, next: 0 });
                }
            }
        }
    }

    fn zygote_fact(&mut self, fact: ZygoteFact) {
        match fact {
            ZygoteFact::Forked { child, pid } => {
                let tell = self.tell_child(child);
                let Some(known) = self.children.get_mut(&child) else { return };
                self.spawning.retain(|spawning| *spawning != child);
                if known.watch(pid, tell).is_err() {
                    self.exited(child);
                }
            }
            ZygoteFact::Exited { pid, status } => {
                let running = self.children.values().find(|child| child.pid == Some(pid)).is_some_and(Child::is_busy);
                if status < 0 {
                    let doing = if running { " while running a task" } else { "" };
                    self.reporter
                        .log(Level::Error, format!("child process {pid} was killed by signal {}{doing}", -status));
                } else if status > 0 {
                    self.reporter.log(Level::Error, format!("child process {pid} exited with status {status}"));
                }
            }
            ZygoteFact::Failed { text } => self.reporter.log(Level::Error, text),
            ZygoteFact::Gone => {
                self.zygote = None;
                for child in std::mem::take(&mut self.spawning) {
                    self.exited(child);
                }
                if !self.is_stopping {
                    self.reporter.log(Level::Error, "the zygote process died; starting another");
                }
                self.reporter.send(Report::ZygoteGone);
            }
        }
    }

    fn child_fact(&mut self, child: ChildId, fact: SocketFact) {
        match fact {
            SocketFact::Frame(frame) => {
                self.drain_ring(child);
                self.frame(child, &frame);
            }
            SocketFact::Writable => {
                if let Some(known) = self.children.get_mut(&child) {
                    known.writable();
                    self.touched.push(child);
                }
            }
            SocketFact::Exited => self.exited(child),
        }
    }

    fn exited(&mut self, child: ChildId) {
        self.drain_ring(child);
        let Some(known) = self.children.get(&child) else { return };
        for frame in known.last_frames() {
            self.frame(child, &frame);
        }
        let Some(mut known) = self.children.remove(&child) else { return };
        known.reap();
        self.spawning.retain(|spawning| *spawning != child);
        let next = known.recall();
        self.feed(Event::ChildExited { child, next });
    }

    fn drain_ring(&mut self, child: ChildId) {
        let Some(known) = self.children.get(&child) else { return };
        if known.page.waiting() == 0 {
            return;
        }
        let mut buffer = std::mem::take(&mut self.ring_buffer);
        let mut frames = Vec::new();
        let drained = known.page.drain(&mut buffer, |frame| frames.push(frame.to_vec()));
        self.ring_buffer = buffer;
        if let Err(nonsense) = drained {
            let pid = known.pid.unwrap_or_default();
            self.reporter.log(Level::Critical, format!("child process {pid} wrote {nonsense}: killing it"));
            known.signal(Signal::KILL);
        }
        for frame in frames {
            self.frame(child, &frame);
        }
    }

    fn frame(&mut self, child: ChildId, bytes: &[u8]) {
        match FromChild::read(bytes) {
            Ok(FromChild::Poke) => {}
            Ok(FromChild::Ready { version, .. }) if version == VERSION => {
                self.feed(Event::ChildReady { child });
                if !std::mem::replace(&mut self.is_ready, true) {
                    self.reporter.send(Report::Ready);
                }
            }
            Ok(FromChild::Ready { version, .. }) => {
                let text = format!("a child speaks version {version}, this worker {VERSION}: restart the worker");
                self.reporter.log(Level::Critical, text);
                self.kill(child);
            }
            Ok(FromChild::Outcome(outcome)) => self.outcome(child, &outcome),
            Ok(FromChild::Store { number, status, doc }) => {
                let handle = self.children.get(&child).and_then(|known| known.handle_of(number));
                if let Some(held) = handle.and_then(|handle| self.held.get_mut(handle)) {
                    self.settling.push((settle::intermediate(held, status, doc, self.lifetimes), None));
                }
            }
            Ok(FromChild::Publish { number, message }) => {
                let Some(handle) = self.children.get(&child).and_then(|known| known.handle_of(number)) else { return };
                if let Some(held) = self.held.get_mut(handle) {
                    held.unconfirmed += 1;
                }
                self.publishing.push((own(&message), handle));
            }
            Err(malformed) => {
                self.reporter.log(Level::Critical, format!("a child sent nonsense: {malformed}: killing it"));
                self.kill(child);
            }
        }
    }

    fn kill(&mut self, child: ChildId) {
        if let Some(known) = self.children.get(&child) {
            known.signal(Signal::KILL);
        }
    }

    fn outcome(&mut self, child: ChildId, outcome: &OutcomeFrame<'_>) {
        let Some(handle) = self.children.get_mut(&child).and_then(|known| known.take(outcome.number)) else { return };
        let Some(held) = self.held.get_mut(handle) else { return };
        if outcome.kind == OutcomeKind::Poison {
            let text = format!("task {}[{}] moved to the dead letters: {}", held.task, held.id, outcome.reason);
            self.reporter.log(Level::Error, text);
        }
        held.reported = Some(Reported {
            kind: outcome.kind,
            status: outcome.status.to_owned(),
            doc: outcome.doc.map(<[u8]>::to_vec),
            reason: outcome.reason.to_owned(),
            successors: outcome.successors.iter().map(own).collect(),
        });
        let kind = match outcome.kind {
            OutcomeKind::Success => Outcome::Success,
            OutcomeKind::Failure => Outcome::Failure,
            OutcomeKind::Retry => Outcome::Retry,
            OutcomeKind::Ignore => Outcome::Ignore,
            OutcomeKind::Reject => Outcome::Reject { requeue: false },
            OutcomeKind::Requeue => Outcome::Reject { requeue: true },
            OutcomeKind::Poison => Outcome::Poison,
        };
        self.feed(Event::Ended { child, number: outcome.number, outcome: kind, runtime_us: outcome.runtime_us });
    }

    fn dispatch(&mut self, child: ChildId, first: Number, handles: &[Handle], flush_first: bool) {
        let Some(known) = self.children.get_mut(&child) else { return };
        let bound = known.page.claim().extend(handles.len() as u32);
        debug_assert_eq!(bound, first, "the engine and the page count alike");
        for (offset, handle) in handles.iter().enumerate() {
            let number = first.wrapping_add(offset as u32);
            let held = self.held.get_mut(*handle).expect("the engine dispatches what is held");
            held.refused = None;
            patch(&mut held.frame, number, flush_first, held.is_early_acked, held.attempt);
            known.give(number, *handle);
            known.push_frame(&held.frame);
        }
        self.touched.push(child);
    }

    fn soft_limit(&mut self, child: ChildId, number: Number) {
        let Some(known) = self.children.get(&child) else { return };
        known.page.set_soft_target(number);
        if known.page.running().is_some_and(|(running, _)| running == number) {
            known.signal(Signal::USR1);
        }
    }

    // ---------------------------------------------------------------------------------------------- settling

    fn settle(&mut self, handle: Handle, ending: Ending) {
        let Some(held) = self.held.get_mut(handle) else { return };
        held.ending = Some(ending);
        self.settle_if_confirmed(handle);
    }

    fn settle_if_confirmed(&mut self, handle: Handle) {
        let Some(held) = self.held.get_mut(handle) else { return };
        if held.unconfirmed > 0 {
            return;
        }
        let Some(ending) = held.ending.take() else { return };
        if let Ending::Unknown = ending {
            let text = format!("message {} moved to the dead letters: unknown task {:?}", held.id, held.task);
            self.reporter.log(Level::Error, text);
        }
        if let Ending::WorkerLost { attempts, .. } = ending {
            let text = format!("task {}[{}] failed: its process died {attempts} time(s)", held.task, held.id);
            self.reporter.log(Level::Error, text);
        }
        let is_final = ending != Ending::EarlyAck;
        held.is_early_acked |= !is_final;
        let settlement = settle::settlement(held, &ending, self.lifetimes, clock::wall_us());
        self.settling.push((settlement, Some(Settling { handle, is_final })));
    }

    fn settled(&mut self, batch: Vec<Option<Settling>>, lost: &[usize]) {
        self.is_settling = false;
        for (index, settling) in batch.into_iter().enumerate() {
            let Some(Settling { handle, is_final }) = settling else { continue };
            if lost.contains(&index) {
                let (task, id) = self.held.remove(handle).map(|held| (held.task, held.id)).unwrap_or_default();
                let text = format!("the lease of task {task}[{id}] was lost: another worker has it");
                self.reporter.log(Level::Warning, text);
                self.feed(Event::LeaseLost { handle });
                continue;
            }
            if is_final {
                self.held.remove(handle);
            }
            self.feed(Event::Settled { handle });
        }
    }

    fn published(&mut self, handles: Vec<Handle>, refusal: Option<String>) {
        self.is_publishing = false;
        if let Some(refusal) = &refusal {
            self.reporter.log(Level::Error, format!("publishing from tasks: {refusal}"));
        }
        for handle in handles {
            if let Some(held) = self.held.get_mut(handle) {
                held.unconfirmed = held.unconfirmed.saturating_sub(1);
                if refusal.is_some() {
                    held.refused.clone_from(&refusal);
                }
            }
            self.settle_if_confirmed(handle);
        }
    }

    // ---------------------------------------------------------------------------------------------- turns

    /// The engine has finished, and everything that was to be settled or published is.
    fn is_done(&self) -> bool {
        let is_idle =
            !self.is_settling && !self.is_publishing && self.settling.is_empty() && self.publishing.is_empty();
        self.is_finished && is_idle || self.is_abandoned()
    }

    /// Told to end at once while the broker is away: what is held stays leased until another worker recovers it.
    fn is_abandoned(&self) -> bool {
        self.is_cold && self.is_broker_lost && self.children.is_empty()
    }

    /// When the loop has to turn although nothing happened.
    fn wake_at(&self) -> Instant {
        let now_us = clock::mono_us();
        let looks = self.children.values().any(|child| child.has_several()).then_some(now_us + LOOK_EVERY_US);
        let deadline = [looks, self.engine.deadline()].into_iter().flatten().min();
        let pause = deadline.map_or(Duration::from_secs(60), |at| Duration::from_micros(at.saturating_sub(now_us)));
        Instant::now() + pause
    }

    fn tick(&mut self) {
        let children: Vec<ChildId> =
            self.children.values().filter(|child| child.is_busy()).map(|child| child.id).collect();
        for child in children {
            self.drain_ring(child);
            let Some(known) = self.children.get(&child) else { continue };
            let next = known.page.claim().next();
            let running_since_us = known.page.running().map(|(_, since_us)| since_us);
            self.feed(Event::Observed { child, next, running_since_us });
        }
        self.feed(Event::Tick);
    }

    fn look_at_rings(&mut self) {
        let waiting: Vec<ChildId> =
            self.children.values().filter(|child| child.page.waiting() > 0).map(|child| child.id).collect();
        for child in waiting {
            self.drain_ring(child);
        }
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
            let (batch, handles) = self.publishing.drain(..).unzip();
            self.io.publish(batch, handles);
        }
        if !self.is_settling && !self.settling.is_empty() {
            self.is_settling = true;
            let (settlements, batch) = self.settling.drain(..).unzip();
            self.io.settle(settlements, batch);
        }
        if self.wants_wake && !self.is_waiting && !self.is_stopping {
            self.is_waiting = true;
            self.io.wait();
        }
    }
}

fn own(successor: &fastworker_wire::child::Successor<'_>) -> Publish {
    Publish {
        queue: successor.queue.to_owned(),
        priority: successor.priority,
        message: successor.message.to_vec().into(),
    }
}

/// The shutdown that an operator's wish means.
pub fn shutdown(is_cold: bool) -> Command {
    Command::Shutdown(if is_cold { Shutdown::Cold } else { Shutdown::Warm })
}
