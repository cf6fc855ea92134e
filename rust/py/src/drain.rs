//! `Drain`: takes messages out of a broker as a worker does, under leases that are kept alive, for who moves them to another
//! place. Nothing is gone before `settle` says so: what its holder leaves behind when it is killed goes back to its queue.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastworker_broker::{AnyBroker, Broker, Delivery, Error, LeaseTerms, Settlement, Tag, Verdict, connect};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::errors::broker_error;

/// As a worker's are unless it is told otherwise.
const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_millis(3_333) };
/// A wait is cut into pieces of this length, so that leases are looked after, and signals noticed, in between.
const SLICE: Duration = Duration::from_millis(500);

enum Command {
    Fetch { max: usize, wait: Duration, answer: Sender<Result<Vec<Delivery>, Error>> },
    Settle { batch: Vec<Settlement>, answer: Sender<Result<Vec<usize>, Error>> },
    Close { answer: Sender<Result<(), Error>> },
}

/// Where commands go, and the thread that obeys them.
struct Running {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Drain {
    running: Mutex<Option<Running>>,
}

/// `(tag, index of the queue, envelope)`.
type DeliveryTuple<'py> = (u64, u16, Bound<'py, PyBytes>);

fn acknowledgement(tag: u64) -> Settlement {
    Settlement {
        tag: Tag(tag),
        message_id: None,
        has_attempts: false,
        verdict: Verdict::Ack,
        result: None,
        successors: Vec::new(),
        member: None,
    }
}

/// Keeps leases alive, and brings back what is due and what the dead held. One that fails is repeated at the next beat.
async fn beat(broker: &AnyBroker) -> Result<(), Error> {
    broker.heartbeat().await?;
    broker.recover().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    broker.release_due(now).await.map(drop)
}

async fn fetch(broker: &AnyBroker, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
    let found = broker.fetch(max).await?;
    if !found.is_empty() || wait.is_zero() {
        return Ok(found);
    }
    // Something may have come, or the time is over: looking says which.
    let _woken = timeout(wait, broker.wait()).await;
    broker.fetch(max).await
}

/// Obeys until it is told to close, or nobody is left to tell it.
async fn serve(broker: AnyBroker, mut commands: UnboundedReceiver<Command>) {
    let mut beats = interval(TERMS.refresh);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = beats.tick() => {
                // A broker that is away is told of by the next command.
                let _repeated = beat(&broker).await;
                continue;
            }
        };
        // Whoever does not wait for an answer any more was interrupted.
        match command {
            Some(Command::Fetch { max, wait, answer }) => drop(answer.send(fetch(&broker, max, wait).await)),
            Some(Command::Settle { batch, answer }) => drop(answer.send(broker.settle(&batch).await)),
            Some(Command::Close { answer }) => return drop(answer.send(broker.close().await)),
            None => return,
        }
    }
}

impl Drain {
    /// Has the thread do something, without the interpreter.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        command: impl FnOnce(Sender<Result<T, Error>>) -> Command + Send,
    ) -> PyResult<T> {
        let (answer, answered) = channel();
        let sent = self
            .running
            .lock()
            .expect("nothing panics while it holds this")
            .as_ref()
            .is_some_and(|running| running.commands.send(command(answer)).is_ok());
        if !sent {
            return Err(PyRuntimeError::new_err("this drain was closed"));
        }
        match py.detach(move || answered.recv()) {
            Ok(done) => done.map_err(|error| broker_error(py, &error)),
            Err(_) => Err(PyRuntimeError::new_err("the thread of this drain has ended")),
        }
    }
}

#[pymethods]
impl Drain {
    #[new]
    fn new(py: Python<'_>, url: String, options: HashMap<String, String>, queues: Vec<String>) -> PyResult<Drain> {
        let options: Vec<(String, String)> = options.into_iter().collect();
        let (commands, received) = unbounded_channel();
        let (answer, connected) = channel::<Result<(), Error>>();
        let thread = std::thread::Builder::new().name("fastworker-drain".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                match connect(&url, &options, &queues, None, &[], TERMS).await {
                    Ok((broker, _)) => {
                        drop(answer.send(Ok(())));
                        serve(broker, received).await;
                    }
                    Err(error) => drop(answer.send(Err(error))),
                }
            });
        })?;
        match py.detach(move || connected.recv()) {
            Ok(Ok(())) => Ok(Drain { running: Mutex::new(Some(Running { commands, thread })) }),
            Ok(Err(error)) => Err(broker_error(py, &error)),
            Err(_) => Err(PyRuntimeError::new_err("the thread of this drain has ended")),
        }
    }

    fn fetch<'py>(&self, py: Python<'py>, max: usize, wait_s: f64) -> PyResult<Vec<DeliveryTuple<'py>>> {
        let wait = Duration::try_from_secs_f64(wait_s.max(0.0)).unwrap_or(SLICE).min(SLICE);
        let found = self.ask(py, |answer| Command::Fetch { max, wait, answer })?;
        py.check_signals()?;
        Ok(found.into_iter().map(|one| (one.tag.0, one.queue, PyBytes::new(py, &one.message))).collect())
    }

    fn acknowledge(&self, py: Python<'_>, tags: Vec<u64>) -> PyResult<usize> {
        let batch: Vec<Settlement> = tags.into_iter().map(acknowledgement).collect();
        self.ask(py, |answer| Command::Settle { batch, answer }).map(|lost| lost.len())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.running.lock().expect("nothing panics while it holds this").is_none() {
            return Ok(());
        }
        let closed = self.ask(py, |answer| Command::Close { answer });
        let running = self.running.lock().expect("nothing panics while it holds this").take();
        if let Some(running) = running {
            drop(running.commands);
            // It has ended, or a panic of it has been printed.
            let _ended = py.detach(move || running.thread.join());
        }
        closed
    }
}
