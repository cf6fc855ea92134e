//! `Worker`: the runtime on a thread of its own, and the door between it and the main thread.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fastworker_worker::{
    Autoscale, BatchTerms, Command, EventTerms, Fanout, Fate, Handle, HeldTask, Level, Patience, Pool, Pulse,
    QueueTerms, Rate, RecordOrder, RegisteredTask, Report, Reporter, Reports, Resize, RevokeTerms, Scope, Shutdown,
    Stage, TaskOptions, WorkerConfig, clock_moved, forward_to, run, stop_forwarding, thread_ended,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::call::Call;
use crate::clock::NodePulse;
use crate::control::marks;
use crate::errors::raise;
use crate::histogram::{recorded, sketched};
use crate::join::{Join, Lost, Member};

/// A registered task, as `WorkerSettings.tasks` lists it.
#[derive(FromPyObject)]
struct TaskSettings {
    name: String,
    acks_late: bool,
    acks_on_failure: bool,
    acks_on_timeout: bool,
    runs_again_when_lost: bool,
    soft_time_limit: Option<f64>,
    time_limit: Option<f64>,
    ignore_result: bool,
    stores_errors: bool,
    sends_events: bool,
    rate_limit: Option<f64>,
    shares_rate_limit: bool,
    has_lanes: bool,
    batch: Option<(u32, f64)>,
}

/// `fastworker.worker.settings.WorkerSettings`, field by field.
#[derive(FromPyObject)]
struct Settings {
    node: String,
    broker_url: String,
    broker_options: Vec<(String, String)>,
    result_url: Option<String>,
    result_options: Vec<(String, String)>,
    patience_at_start: (Option<f64>, String),
    patience: (Option<f64>, String),
    retries_refusals: bool,
    cancels_severed: bool,
    queues: Vec<String>,
    fanouts: Vec<(String, (String, String, String))>,
    queue_terms: Vec<(Option<u32>, u32)>,
    tasks: Vec<TaskSettings>,
    concurrency: u32,
    slots: u32,
    is_narrow: bool,
    max_tasks_per_child: Option<u32>,
    max_memory_per_child_kib: Option<u64>,
    restarts: bool,
    autoscale: Option<(u32, u32)>,
    autoscale_keepalive_s: f64,
    prefetch: u32,
    lease_life_s: f64,
    start_timeout_s: Option<f64>,
    stacks_after_s: Option<f64>,
    blocked_after_s: Option<f64>,
    warm_shutdown_s: Option<f64>,
    soft_shutdown_s: f64,
    soft_waits_when_idle: bool,
    max_deliveries: u32,
    discards_unknown: bool,
    eta_horizon_s: f64,
    result_ttl_s: Option<u64>,
    failure_ttl_s: Option<u64>,
    chord_ttl_s: Option<u64>,
    naive_offset_s: i32,
    reports_received: bool,
    reports_calls: bool,
    reports_expired: bool,
    reports_unknown: bool,
    reports_rejected: bool,
    reports_limited: bool,
    reports_heartbeats: bool,
    event_exchange: String,
    heartbeat_s: Option<f64>,
    sends_task_events: bool,
    software: (String, String),
    control_exchange: Option<String>,
    revokes_max: u32,
    revoke_expires_s: f64,
    revoked: Vec<String>,
}

fn terms((limit, weight): (Option<u32>, u32)) -> QueueTerms {
    QueueTerms { limit, weight }
}

fn patience((seconds, said_by): (Option<f64>, String)) -> Patience {
    Patience { time: seconds.map(Duration::from_secs_f64), said_by }
}

fn fanout((exchange, routing_key, queue): (String, String, String)) -> Fanout {
    Fanout { exchange, routing_key, queue }
}

impl From<Settings> for WorkerConfig {
    fn from(settings: Settings) -> WorkerConfig {
        let task = |task: TaskSettings| RegisteredTask {
            name: task.name,
            options: TaskOptions {
                acks_late: task.acks_late,
                acks_on_failure: task.acks_on_failure,
                acks_on_timeout: task.acks_on_timeout,
                runs_again_when_lost: task.runs_again_when_lost,
                soft_limit_s: task.soft_time_limit,
                hard_limit_s: task.time_limit,
                rate: task.rate_limit.and_then(Rate::per_second),
                has_lanes: task.has_lanes,
                rate_scope: if task.shares_rate_limit { Scope::Shared } else { Scope::Worker },
                batch: task.batch.map(|(most, wait_s)| BatchTerms { most, wait_us: (wait_s * 1e6) as u64 }),
            },
            ignore_result: task.ignore_result,
            stores_errors: task.stores_errors,
            sends_events: task.sends_events,
        };
        WorkerConfig {
            node: settings.node,
            broker_url: settings.broker_url,
            broker_options: settings.broker_options,
            result_url: settings.result_url,
            result_options: settings.result_options,
            patience_at_start: patience(settings.patience_at_start),
            patience: patience(settings.patience),
            retries_refusals: settings.retries_refusals,
            cancels_severed: settings.cancels_severed,
            queues: settings.queues,
            fanouts: settings.fanouts.into_iter().map(|(queue, own)| (queue, fanout(own))).collect(),
            queue_terms: settings.queue_terms.into_iter().map(terms).collect(),
            tasks: settings.tasks.into_iter().map(task).collect(),
            concurrency: settings.concurrency,
            slots: settings.slots,
            is_narrow: settings.is_narrow,
            max_tasks_per_child: settings.max_tasks_per_child,
            max_memory_per_child_kib: settings.max_memory_per_child_kib,
            restarts: settings.restarts,
            autoscale: settings.autoscale.map(|(max, min)| Autoscale {
                max,
                min,
                keepalive_us: (settings.autoscale_keepalive_s * 1e6) as u64,
            }),
            prefetch: settings.prefetch,
            lease_life: Duration::from_secs_f64(settings.lease_life_s),
            start_timeout: settings.start_timeout_s.map(Duration::from_secs_f64),
            stacks_after: settings.stacks_after_s.map(Duration::from_secs_f64),
            blocked_after: settings.blocked_after_s.map(Duration::from_secs_f64),
            warm_timeout: settings.warm_shutdown_s.map(Duration::from_secs_f64),
            soft_timeout: Duration::from_secs_f64(settings.soft_shutdown_s),
            soft_waits_when_idle: settings.soft_waits_when_idle,
            max_deliveries: settings.max_deliveries,
            discards_unknown: settings.discards_unknown,
            eta_horizon_ms: (settings.eta_horizon_s * 1000.0) as i64,
            result_ttl_s: settings.result_ttl_s,
            failure_ttl_s: settings.failure_ttl_s,
            chord_ttl_s: settings.chord_ttl_s,
            naive_offset_s: settings.naive_offset_s,
            reports: Reports {
                received: settings.reports_received,
                calls: settings.reports_calls,
                expired: settings.reports_expired,
                unknown: settings.reports_unknown,
                rejected: settings.reports_rejected,
                limited: settings.reports_limited,
                heartbeats: settings.reports_heartbeats,
            },
            events: EventTerms {
                exchange: settings.event_exchange,
                heartbeat: settings.heartbeat_s.map(Duration::from_secs_f64),
                has_tasks: settings.sends_task_events,
                software: settings.software,
            },
            control_exchange: settings.control_exchange,
            revoke_terms: RevokeTerms {
                keep: Duration::try_from_secs_f64(settings.revoke_expires_s).unwrap_or(Duration::MAX),
                most: settings.revokes_max,
            },
            revoked: settings.revoked,
            drains: false,
        }
    }
}

/// What `start` hands to the thread.
struct Start {
    config: WorkerConfig,
    pool: Pool,
    commands: UnboundedReceiver<Command>,
    pulse: Pulse,
}

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Worker {
    start: Mutex<Option<Start>>,
    commands: UnboundedSender<Command>,
    reporter: Reporter,
    /// Failures among what the last `wait` returned.
    telling: Mutex<Vec<(Handle, u64)>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Runs the worker to its end; never panics through.
fn work(start: Start, reporter: &Reporter) {
    let running = AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the runtime: {error}"))?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, run(start.config, start.pool, start.commands, reporter.clone(), start.pulse))
    });
    let error = match std::panic::catch_unwind(running) {
        Ok(ended) => ended.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Some(format!("the worker's runtime failed: {text}; please report it"))
        }
    };
    stop_forwarding(reporter);
    reporter.send(Report::Finished { error });
}

/// Signals are the main thread's: this one must not receive any.
fn block_signals() {
    // SAFETY: `set` is filled by `sigfillset` before it is read; only this thread's mask changes.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

#[pymethods]
impl Worker {
    #[new]
    #[pyo3(signature = (settings, zygote=None, zygote_pid=None, *, pulse, drains=false))]
    fn new(
        settings: Settings,
        zygote: Option<RawFd>,
        zygote_pid: Option<i32>,
        pulse: &NodePulse,
        drains: bool,
    ) -> PyResult<Worker> {
        let pool = match (zygote, zygote_pid) {
            (Some(zygote), Some(pid)) => {
                // Children whose zygote has died become ours, so that nobody leaves a zombie.
                rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| {
                    PyOSError::new_err(format!("cannot become the reaper of orphaned children: {error}"))
                })?;
                // SAFETY: the caller hands the descriptor over.
                Pool::Processes(unsafe { OwnedFd::from_raw_fd(zygote) }, pid)
            }
            (None, None) => Pool::Threads,
            _ => return Err(PyValueError::new_err("a zygote has a socket and a pid: expected both, or neither")),
        };
        let (sender, commands) = unbounded_channel();
        Ok(Worker {
            start: Mutex::new(Some(Start {
                config: WorkerConfig { drains, ..settings.into() },
                pool,
                commands,
                pulse: pulse.0.clone(),
            })),
            commands: sender,
            reporter: Reporter::new()?,
            telling: Mutex::default(),
            thread: Mutex::new(None),
        })
    }

    fn start(&self) -> PyResult<()> {
        let start = self.start.lock().expect("nothing panics while it holds this").take();
        let start = start.ok_or_else(|| PyRuntimeError::new_err("this worker was started already"))?;
        let reporter = self.reporter.clone();
        forward_to(&reporter);
        let thread = std::thread::Builder::new().name("fastworker-io".into()).spawn(move || {
            block_signals();
            work(start, &reporter);
        })?;
        *self.thread.lock().expect("nothing panics while it holds this") = Some(thread);
        Ok(())
    }

    fn join(&self, py: Python<'_>) {
        let thread = self.thread.lock().expect("nothing panics while it holds this").take();
        if let Some(thread) = thread {
            py.detach(|| {
                while !thread.is_finished() {
                    self.answer_for_nobody();
                }
                // A panic of it was reported as the end of the worker.
                let _reported = thread.join();
            });
        }
    }

    #[pyo3(signature = (timeout_s, alarm=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        timeout_s: f64,
        alarm: Option<RawFd>,
    ) -> PyResult<Vec<(&'static str, Bound<'py, PyDict>)>> {
        wait_for_bells(py, &[self], timeout_s, alarm)?;
        self.events(py).collect()
    }

    #[staticmethod]
    #[pyo3(signature = (workers, timeout_s, alarm=None))]
    fn wait_any<'py>(
        py: Python<'py>,
        workers: Vec<Py<Worker>>,
        timeout_s: f64,
        alarm: Option<RawFd>,
    ) -> PyResult<Vec<(usize, &'static str, Bound<'py, PyDict>)>> {
        let workers: Vec<&Worker> = workers.iter().map(Py::get).collect();
        wait_for_bells(py, &workers, timeout_s, alarm)?;
        let mut all = Vec::new();
        for (at, worker) in workers.into_iter().enumerate() {
            for event in worker.events(py) {
                let (name, facts) = event?;
                all.push((at, name, facts));
            }
        }
        Ok(all)
    }

    fn adopt_zygote(&self, zygote: RawFd, zygote_pid: i32) {
        // SAFETY: the caller hands the descriptor over.
        let zygote = unsafe { OwnedFd::from_raw_fd(zygote) };
        self.command(Command::AdoptZygote(zygote, zygote_pid));
    }

    fn restart(&self, zygote: RawFd, zygote_pid: i32) {
        // SAFETY: the caller hands the descriptor over.
        let zygote = unsafe { OwnedFd::from_raw_fd(zygote) };
        self.command(Command::Restart(zygote, zygote_pid));
    }

    fn clock_moved(&self) {
        self.command(clock_moved());
    }

    fn thread_ended(&self, child: u32) {
        self.command(thread_ended(child));
    }

    fn shutdown(&self, how: &str) -> PyResult<()> {
        let kind = match how {
            "warm" => Shutdown::Warm,
            "soft" => Shutdown::Soft,
            "cold" => Shutdown::Cold,
            other => return Err(PyValueError::new_err(format!("no shutdown is called {other:?}"))),
        };
        self.command(Command::Shutdown(kind));
        Ok(())
    }

    #[pyo3(signature = (ids, stamps, terminate))]
    fn revoke<'py>(
        &self,
        py: Python<'py>,
        ids: Vec<String>,
        stamps: Vec<(String, String)>,
        terminate: Option<i32>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let marks = marks(ids, stamps);
        let tasks = self.ask(py, |answer| Command::Revoke { marks, terminate, answer })?;
        tasks.into_iter().map(|task| held(py, task)).collect()
    }

    fn set_limits(
        &self,
        py: Python<'_>,
        task: String,
        soft_time_limit: Option<f64>,
        time_limit: Option<f64>,
    ) -> PyResult<bool> {
        self.ask(py, |answer| Command::SetLimits { task, soft_s: soft_time_limit, hard_s: time_limit, answer })
    }

    #[pyo3(signature = (grow=0, max=None, min=None))]
    fn resize(&self, grow: i64, max: Option<u32>, min: Option<u32>) {
        let count = u32::try_from(grow.unsigned_abs()).unwrap_or(u32::MAX);
        self.command(Command::Resize(match grow {
            0 => Resize::Autoscale { max, min },
            1.. => Resize::Grow(count),
            _ => Resize::Shrink(count),
        }));
    }

    fn set_rate(&self, py: Python<'_>, task: String, per_second: Option<f64>) -> PyResult<bool> {
        let rate = per_second.and_then(Rate::per_second);
        self.ask(py, |answer| Command::SetRate { task, rate, answer })
    }

    #[pyo3(signature = (queue, limit, weight, fanout=None))]
    fn consume(
        &self,
        py: Python<'_>,
        queue: String,
        limit: Option<u32>,
        weight: u32,
        fanout: Option<(String, String, String)>,
    ) -> PyResult<()> {
        let (terms, fanout) = (terms((limit, weight)), fanout.map(self::fanout));
        self.ask(py, |answer| Command::Consume { queue, terms, fanout, answer })
    }

    #[pyo3(signature = (queue, *, is_cancelled))]
    fn give_back(&self, py: Python<'_>, queue: String, is_cancelled: bool) -> PyResult<bool> {
        self.ask(py, |answer| Command::GiveBack { queue, is_cancelled, answer })
    }

    fn tell_of_tasks(&self, py: Python<'_>, tells: bool) -> PyResult<bool> {
        self.ask(py, |answer| Command::TellOfTasks { tells, answer })
    }

    fn beat(&self) {
        self.command(Command::Beat);
    }

    fn record<'py>(&self, py: Python<'py>, order: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let order = match order {
            "start" => RecordOrder::Start,
            "count" => RecordOrder::Count,
            "read" => RecordOrder::Read,
            "stop" => RecordOrder::Stop,
            other => return Err(PyValueError::new_err(format!("no order to a recorder is called {other:?}"))),
        };
        let record = self.ask(py, |answer| Command::Record { order, answer })?;
        record.map(|record| recorded(py, &record)).transpose()
    }

    fn sketch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sketch = self.ask(py, |answer| Command::Sketch { answer })?;
        sketched(py, &sketch)
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let snapshot = self.ask(py, |answer| Command::Snapshot { answer })?;
        let dict = PyDict::new(py);
        let tasks = snapshot.tasks.into_iter().map(|task| held(py, task)).collect::<PyResult<Vec<_>>>()?;
        dict.set_item("tasks", tasks)?;
        dict.set_item("revoked", snapshot.revoked)?;
        dict.set_item("total", snapshot.started.into_iter().collect::<HashMap<_, _>>())?;
        dict.set_item("pids", snapshot.pids)?;
        dict.set_item("writes", snapshot.writes)?;
        dict.set_item("busy", snapshot.busy)?;
        Ok(dict)
    }
}

/// Waits until one of the workers has something to report, the alarm is readable or the time is over; then for signals.
fn wait_for_bells(py: Python<'_>, workers: &[&Worker], timeout_s: f64, alarm: Option<RawFd>) -> PyResult<()> {
    let timeout = Duration::from_secs_f64(timeout_s.clamp(0.0, 3600.0));
    let timeout = Timespec::try_from(timeout).map_err(|_| PyRuntimeError::new_err("timeout_s does not fit"))?;
    // Who waits again has dealt with what it got.
    workers.iter().for_each(|worker| worker.answer());
    let bells = workers.iter().map(|worker| worker.reporter.bell());
    // SAFETY: the caller keeps it open meanwhile.
    let alarm = alarm.map(|alarm| unsafe { BorrowedFd::borrow_raw(alarm) });
    let waited_for: Vec<BorrowedFd<'_>> = bells.chain(alarm).collect();
    let polled = py.detach(|| {
        let mut polled: Vec<_> = waited_for.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        poll(&mut polled, Some(&timeout))
    });
    match polled {
        Ok(_) | Err(rustix::io::Errno::INTR) => py.check_signals(),
        Err(error) => Err(PyOSError::new_err(error.to_string())),
    }
}

/// Failures among reports, as they are answered.
fn failures(reports: &[Report]) -> Vec<(Handle, u64)> {
    let failure = |report: &Report| match report {
        Report::Failed { handle, number, .. } => Some((*handle, *number)),
        _ => None,
    };
    reports.iter().filter_map(failure).collect()
}

/// Who joins looks so often whether the I/O thread has ended.
const ENDED: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// How long the main thread waits for the I/O thread, which never sleeps while there is a command.
const ANSWER: Duration = Duration::from_secs(5);

impl Worker {
    /// Gives an order and waits for its answer.
    fn ask<T: Send>(&self, py: Python<'_>, order: impl FnOnce(SyncSender<T>) -> Command) -> PyResult<T> {
        let (answer, answered) = sync_channel(1);
        self.command(order(answer));
        let answered = py.detach(move || answered.recv_timeout(ANSWER));
        answered.map_err(|error| {
            let (class, text) = match error {
                RecvTimeoutError::Timeout => ("OperationalError", "the worker is busy; try again"),
                RecvTimeoutError::Disconnected => ("WorkerEnded", "the worker is not connected, or has ended"),
            };
            raise(py, class, text.to_owned())
        })
    }

    /// Failures that were told of have been dealt with.
    fn answer(&self) {
        let told = std::mem::take(&mut *self.telling.lock().expect("nothing panics while it holds this"));
        if !told.is_empty() {
            self.command(Command::Told(told));
        }
    }

    /// What was reported, for Python.
    fn events<'py>(
        &self,
        py: Python<'py>,
    ) -> impl Iterator<Item = PyResult<(&'static str, Bound<'py, PyDict>)>> + use<'py> {
        let reports = self.reporter.take();
        *self.telling.lock().expect("nothing panics while it holds this") = failures(&reports);
        let commands = self.commands.clone();
        reports.into_iter().map(move |report| event(py, report, &commands))
    }

    /// Whoever joins listens no more, and nobody else may: the worker must not wait for what is called after a failure.
    fn answer_for_nobody(&self) {
        let mut told = std::mem::take(&mut *self.telling.lock().expect("nothing panics while it holds this"));
        told.extend(failures(&self.reporter.take()));
        if !told.is_empty() {
            self.command(Command::Told(told));
        }
        // A signal, or a fault, only makes it look again sooner.
        let _sooner = poll(&mut [PollFd::from_borrowed_fd(self.reporter.bell(), PollFlags::IN)], Some(&ENDED));
    }

    fn command(&self, command: Command) {
        // A worker that has ended needs no order.
        let _ended = self.commands.send(command);
    }
}

fn held(py: Python<'_>, task: HeldTask) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let stage = match task.stage {
        Stage::Scheduled => "scheduled",
        Stage::Reserved => "reserved",
        Stage::Active => "active",
    };
    dict.set_item("stage", stage)?;
    dict.set_item("call", Call::of_frame(&task.frame))?;
    dict.set_item("eta_ms", task.eta_ms)?;
    dict.set_item("started_us", task.started_us)?;
    dict.set_item("pid", task.pid)?;
    dict.set_item("is_acked", task.is_acked)?;
    Ok(dict)
}

fn ended(facts: &Bound<'_, PyDict>, fate: Fate, call: &[u8]) -> PyResult<()> {
    let mut text = None;
    let (fate, number) = match fate {
        Fate::Expired => ("expired", 0.0),
        Fate::Revoked { signal } => ("revoked", f64::from(signal.unwrap_or(0))),
        Fate::Unknown => ("unknown", 0.0),
        Fate::WorkerLost { text: death } => {
            text = Some(death);
            ("worker_lost", 0.0)
        }
        Fate::TimeLimit { limit_ms } => ("time_limit", limit_ms as f64 / 1000.0),
        Fate::Refused { text: refusal } => {
            text = Some(refusal);
            ("refused", 0.0)
        }
        Fate::CannotRun { reason } => {
            text = Some(reason);
            ("cannot_run", 0.0)
        }
    };
    facts.set_item("fate", fate)?;
    facts.set_item("number", number)?;
    facts.set_item("text", text)?;
    facts.set_item("call", Call::of_frame(call))?;
    Ok(())
}

fn event<'py>(
    py: Python<'py>,
    report: Report,
    commands: &UnboundedSender<Command>,
) -> PyResult<(&'static str, Bound<'py, PyDict>)> {
    let facts = PyDict::new(py);
    let name = match report {
        Report::Log { level, text } => {
            let level = match level {
                Level::Info => 20,
                Level::Warning => 30,
                Level::Error => 40,
                Level::Critical => 50,
            };
            facts.set_item("level", level)?;
            facts.set_item("text", text)?;
            "log"
        }
        Report::Received { task, id, call } => {
            facts.set_item("task", task)?;
            facts.set_item("id", id)?;
            facts.set_item("call", call.as_deref().map(Call::of_frame))?;
            "received"
        }
        Report::Ended { fate, call } => {
            ended(&facts, fate, &call)?;
            facts.set_item("member", py.None())?;
            facts.set_item("lost", py.None())?;
            "ended"
        }
        Report::Failed { fate, call, handle, number, is_member } => {
            // Signals of the others hang on their end, and are told of that.
            let is_lost = matches!(fate, Fate::WorkerLost { .. });
            let is_failure = is_lost || matches!(fate, Fate::TimeLimit { .. });
            ended(&facts, fate, &call)?;
            if is_failure {
                facts.set_item("lost", is_lost.then(|| Lost::new(commands, handle, number)))?;
            }
            facts.set_item("member", is_member.then(|| Member::new(commands, handle, number)))?;
            if is_failure { "ended" } else { "member_ended" }
        }
        Report::Join { join, parts, stands_for } => {
            facts.set_item("stands_for", stands_for)?;
            facts.set_item("record", PyBytes::new(py, &join.record))?;
            let docs: Vec<_> = parts.docs.iter().map(|doc| PyBytes::new(py, doc)).collect();
            facts.set_item("parts", docs)?;
            facts.set_item("group", parts.group.map(|group| PyBytes::new(py, &group)))?;
            facts.set_item("run", parts.run)?;
            facts.set_item("group_id", &join.group_id)?;
            facts.set_item("join", Join::new(commands, join))?;
            "join"
        }
        Report::Rejected { message, reason, detail } => {
            facts.set_item("message", PyBytes::new(py, &message))?;
            facts.set_item("reason", format!("{reason}: {detail}"))?;
            "rejected"
        }
        Report::Limited { task } => {
            facts.set_item("task", task)?;
            "limited"
        }
        Report::Heartbeat => "heartbeat",
        Report::Broadcast { message } => {
            facts.set_item("message", PyBytes::new(py, &message))?;
            "broadcast"
        }
        Report::Ready => "ready",
        Report::ZygoteGone => "zygote_gone",
        Report::Restarted => "restarted",
        Report::ZygoteEnded { pid } => {
            facts.set_item("pid", pid)?;
            "zygote_ended"
        }
        Report::StartThread { child, socket, page } => {
            facts.set_item("child", child)?;
            facts.set_item("socket", socket)?;
            facts.set_item("page", page)?;
            "start_thread"
        }
        Report::Finished { error } => {
            facts.set_item("error", error)?;
            "finished"
        }
    };
    Ok((name, facts))
}
