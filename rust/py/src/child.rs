//! `ChildLink`: the child's end of the link to its worker.
//!
//! One OS thread, blocking reads. What is reported goes to the shared ring and is there for the worker even if this
//! process dies in the next instruction; the worker is poked when this process is about to wait, when a task that may
//! take long is about to start, and otherwise once a millisecond.

use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use fastworker_broker::Publish;
use fastworker_link::Page;
use fastworker_wire::child::{FromChild, OutcomeFrame, OutcomeKind, Successor, ToChild, VERSION};
use fastworker_wire::json::write_text;
use fastworker_wire::result_doc::{self, ResultContext};
use fastworker_wire::time::iso_utc;
use fastworker_worker::{mono_us, wall_us};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::call::Call;
use crate::json;

/// The worker is poked at least this often while there is something to read.
const POKE_EVERY_US: u64 = 1_000;
const READ_BYTES: usize = 64 * 1024;

/// What is known of the task that runs.
struct Running {
    number: u32,
    is_early_acked: bool,
    uses_socket: bool,
    children: Vec<String>,
    /// Set once what is published is no longer the task's own but follows from its end: it leaves with the outcome.
    successors: Option<Vec<Publish>>,
    /// The task's own messages that must not be seen before its state is: its retry. They leave with the outcome too.
    kept: Vec<Publish>,
}

struct Inner {
    stream: UnixStream,
    inbox: Vec<u8>,
    read_at: usize,
    running: Option<Running>,
    last_poke_us: u64,
    has_unpoked: bool,
    scratch: Vec<u8>,
}

/// The child's end of the link to its worker.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct ChildLink {
    page: Page,
    pid: u32,
    inner: Mutex<Inner>,
}

fn lost(error: &std::io::Error) -> PyErr {
    PyOSError::new_err(format!("the link to the worker broke: {error}"))
}

impl Inner {
    fn poke(&mut self, now_us: u64) {
        self.has_unpoked = false;
        self.last_poke_us = now_us;
        let mut frame = vec![0; 4];
        FromChild::Poke.write(&mut frame);
        let len = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&len.to_le_bytes());
        // A worker that is gone is noticed at the next read.
        let _gone = self.stream.write_all(&frame);
    }

    /// The next whole frame in the inbox, as its range.
    fn frame(&self) -> Option<(usize, usize)> {
        let head = self.inbox.get(self.read_at..self.read_at + 4)?;
        let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
        let start = self.read_at + 4;
        (self.inbox.len() >= start + len).then_some((start, start + len))
    }
}

impl ChildLink {
    /// The lock is only ever held by a thread that holds the interpreter and does not give it up, so that it cannot
    /// be contended; except for large writes and the wait for frames, which are the loop's own.
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().expect("nothing panics while it holds the link"))
    }

    /// The ring has one writer and the socket one reader: a process that a task forked is neither.
    fn check_owner(&self) -> PyResult<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        let text = "a process that a task forked came back out of the task: end it with os._exit()";
        Err(PyRuntimeError::new_err(text))
    }

    fn send(&self, py: Python<'_>, frame: &FromChild<'_>, pokes: bool) -> PyResult<()> {
        self.check_owner()?;
        let mut inner = self.inner.lock().expect("nothing panics while it holds the link");
        let mut scratch = std::mem::take(&mut inner.scratch);
        scratch.clear();
        frame.write(&mut scratch);
        let uses_socket = inner.running.as_ref().is_some_and(|running| running.uses_socket);
        if !uses_socket && self.page.push(&scratch) {
            let now_us = mono_us();
            inner.has_unpoked = true;
            if pokes || now_us.saturating_sub(inner.last_poke_us) > POKE_EVERY_US {
                inner.poke(now_us);
            }
            if scratch.capacity() < 1 << 20 {
                inner.scratch = scratch;
            }
            return Ok(());
        }
        if let Some(running) = &mut inner.running {
            running.uses_socket = true;
        }
        let mut stream = inner.stream.try_clone().map_err(|error| lost(&error))?;
        drop(inner);
        py.detach(|| {
            stream.write_all(&(scratch.len() as u32).to_le_bytes())?;
            stream.write_all(&scratch)
        })
        .map_err(|error| lost(&error))
    }

    /// Publishes from inside the running task; `ids` are remembered as its children.
    pub(crate) fn publish_all(&self, py: Python<'_>, batch: &[Publish], ids: &[[u8; 16]]) -> PyResult<()> {
        let number = self.running_number()?;
        let is_collected = self.with(|inner| {
            let running = inner.running.as_mut();
            running.and_then(|running| running.successors.as_mut()).map(|kept| kept.extend_from_slice(batch)).is_some()
        });
        for message in batch.iter().filter(|_| !is_collected) {
            self.send(py, &FromChild::Publish { number, message: borrow(message) }, true)?;
        }
        self.with(|inner| {
            if let Some(running) = &mut inner.running {
                running.children.extend(ids.iter().map(crate::ids::text));
            }
        });
        Ok(())
    }

    fn running_number(&self) -> PyResult<u32> {
        self.with(|inner| inner.running.as_ref().map(|running| running.number))
            .ok_or_else(|| PyRuntimeError::new_err("no task is running: publish on a connection instead"))
    }

    fn finish(&self, py: Python<'_>, frame: &FromChild<'_>) -> PyResult<()> {
        self.send(py, frame, false)?;
        self.page.clear_running();
        self.with(|inner| inner.running = None);
        Ok(())
    }
}

#[pymethods]
impl ChildLink {
    #[new]
    fn new(socket: RawFd, page: RawFd) -> PyResult<ChildLink> {
        // SAFETY: the zygote received both descriptors for this process alone and hands them over here, once.
        let (socket, page) = unsafe { (OwnedFd::from_raw_fd(socket), OwnedFd::from_raw_fd(page)) };
        let page = Page::open(page)?;
        let mut stream = UnixStream::from(socket);
        let pid = std::process::id();
        let mut frame = vec![0; 4];
        FromChild::Ready { version: VERSION, pid }.write(&mut frame);
        let len = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&len.to_le_bytes());
        stream.write_all(&frame)?;
        let inner = Inner {
            stream,
            inbox: Vec::new(),
            read_at: 0,
            running: None,
            last_poke_us: 0,
            has_unpoked: false,
            scratch: Vec::new(),
        };
        Ok(ChildLink { page, pid, inner: Mutex::new(inner) })
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Call>> {
        self.check_owner()?;
        loop {
            let mut inner = self.inner.lock().expect("nothing panics while it holds the link");
            while let Some((start, end)) = inner.frame() {
                let frame = ToChild::read(&inner.inbox[start..end])
                    .map_err(|malformed| PyRuntimeError::new_err(format!("from the worker: {malformed}")))?;
                let ToChild::Task(task) = frame else { return Ok(None) };
                let is_ours = self.page.claim().claim(task.number);
                let now_us = mono_us();
                let call = is_ours.then(|| Call::new(&task, now_us));
                let flush_first = task.flush_first;
                inner.read_at = end;
                if let Some(call) = call {
                    self.page.set_running(call.number, now_us);
                    if flush_first && inner.has_unpoked {
                        inner.poke(now_us);
                    }
                    inner.running = Some(Running {
                        number: call.number,
                        is_early_acked: call.is_early_acked,
                        uses_socket: false,
                        children: Vec::new(),
                        successors: None,
                        kept: Vec::new(),
                    });
                    return Ok(Some(call));
                }
            }
            if inner.has_unpoked {
                inner.poke(mono_us());
            }
            let read_at = std::mem::take(&mut inner.read_at);
            inner.inbox.drain(..read_at);
            let mut stream = inner.stream.try_clone().map_err(|error| lost(&error))?;
            drop(inner);
            let mut buffer = vec![0u8; READ_BYTES];
            match py.detach(|| stream.read(&mut buffer)) {
                Ok(0) => return Ok(None),
                Ok(len) => self.with(|inner| inner.inbox.extend_from_slice(&buffer[..len])),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => py.check_signals()?,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    fn succeed(&self, py: Python<'_>, call: &Call, value: &Bound<'_, PyAny>, store: bool) -> PyResult<()> {
        let runtime_us = mono_us().saturating_sub(call.started_us);
        let doc = store.then(|| self.success_doc(py, call, value)).transpose()?;
        let successors = self.successors();
        let outcome = OutcomeFrame {
            number: call.number,
            kind: OutcomeKind::Success,
            runtime_us,
            status: if store { "SUCCESS" } else { "" },
            doc: doc.as_deref(),
            reason: "",
            successors: successors.iter().map(borrow).collect(),
        };
        self.finish(py, &FromChild::Outcome(outcome))
    }

    #[pyo3(signature = (call, kind, *, status=None, doc=None, reason=""))]
    fn report(
        &self,
        py: Python<'_>,
        call: &Call,
        kind: &str,
        status: Option<&str>,
        doc: Option<&[u8]>,
        reason: &str,
    ) -> PyResult<()> {
        let successors = self.successors();
        let kind = match kind {
            "success" => OutcomeKind::Success,
            "failure" => OutcomeKind::Failure,
            "retry" => OutcomeKind::Retry,
            "ignore" => OutcomeKind::Ignore,
            "reject" => OutcomeKind::Reject,
            "requeue" => OutcomeKind::Requeue,
            "poison" => OutcomeKind::Poison,
            other => return Err(PyValueError::new_err(format!("no outcome is called {other:?}"))),
        };
        let outcome = OutcomeFrame {
            number: call.number,
            kind,
            runtime_us: mono_us().saturating_sub(call.started_us),
            status: status.unwrap_or_default(),
            doc,
            reason,
            successors: successors.iter().map(borrow).collect(),
        };
        self.finish(py, &FromChild::Outcome(outcome))
    }

    fn collect_successors(&self, collects: bool) {
        self.with(|inner| {
            if let Some(running) = &mut inner.running {
                running.successors = collects.then(Vec::new);
            }
        });
    }

    fn store(&self, py: Python<'_>, call: &Call, status: &str, doc: &[u8]) -> PyResult<()> {
        self.send(py, &FromChild::Store { number: call.number, status, doc }, true)
    }

    fn publish(&self, py: Python<'_>, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.publish_all(py, &crate::publisher::batch_of(messages), &[])
    }

    fn publish_with_outcome(&self, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.check_owner()?;
        self.running_number()?;
        let batch = crate::publisher::batch_of(messages);
        self.with(|inner| {
            if let Some(running) = &mut inner.running {
                running.kept.extend(batch);
            }
        });
        Ok(())
    }

    fn add_child(&self, task_id: String) {
        self.with(|inner| {
            if let Some(running) = &mut inner.running {
                running.children.push(task_id);
            }
        });
    }

    fn children(&self) -> Vec<String> {
        self.with(|inner| inner.running.as_ref().map(|running| running.children.clone()).unwrap_or_default())
    }

    fn is_soft_target(&self) -> bool {
        self.page.is_soft_target()
    }

    fn is_terminate_target(&self) -> bool {
        self.page.is_terminate_target()
    }

    #[getter]
    fn is_running(&self) -> bool {
        self.with(|inner| inner.running.is_some())
    }

    #[getter]
    fn is_own(&self) -> bool {
        self.pid == std::process::id() && self.is_running()
    }

    #[getter]
    fn is_usable(&self) -> bool {
        let runs_late = |inner: &mut Inner| inner.running.as_ref().is_some_and(|running| !running.is_early_acked);
        self.pid == std::process::id() && self.with(runs_late)
    }
}

fn borrow(one: &Publish) -> Successor<'_> {
    Successor { queue: &one.queue, priority: one.priority, message: &one.message }
}

impl ChildLink {
    fn successors(&self) -> Vec<Publish> {
        self.with(|inner| {
            let Some(running) = &mut inner.running else { return Vec::new() };
            let mut leaving = std::mem::take(&mut running.kept);
            leaving.extend(running.successors.take().unwrap_or_default());
            leaving
        })
    }

    fn success_doc(&self, py: Python<'_>, call: &Call, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let mut result = Vec::with_capacity(64);
        json::encode(py, value, &mut result)?;
        let children = self.children();
        let mut children_json = vec![b'['];
        for (index, child) in children.iter().enumerate() {
            children_json.extend_from_slice(if index == 0 { b"[[" } else { b", [[" });
            write_text(child, &mut children_json);
            children_json.extend_from_slice(b", null], null]");
        }
        children_json.push(b']');
        let date_done = iso_utc(wall_us());
        let context = ResultContext {
            task_id: &call.id,
            date_done: &date_done,
            children_json: Some(&children_json),
            parent_id: call.parent_id.as_deref(),
            ..ResultContext::default()
        };
        let mut doc = Vec::with_capacity(192 + result.len());
        result_doc::success(&result, &context, &mut doc);
        Ok(doc)
    }
}
