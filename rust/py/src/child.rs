//! `ChildLink`: the child's end of the link to its worker.
//!
//! What is reported goes to the shared ring and is there for the worker even if this process dies in the next
//! instruction; the worker is poked when this process is about to wait, when a task that may take long is about to start,
//! and otherwise once a millisecond.
//!
//! A child with one slot runs one task after the other: whatever is published meanwhile is that task's. One with several
//! slots says by a context variable for which of its calls code runs; code that runs for none publishes elsewhere. Its
//! tasks may report from several threads.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use fastworker_broker::Publish;
use fastworker_link::Page;
use fastworker_wire::child::{
    EventFrame, FromChild, InterruptKind, NO_MEMBER, OutcomeFrame, OutcomeKind, PartFrame, Successor, ToChild, VERSION,
};
use fastworker_wire::json::write_text;
use fastworker_wire::result_doc::{self, ResultContext};
use fastworker_wire::time::iso_utc;
use fastworker_worker::{mono_us, wall_us};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

use crate::call::{Batch, Call};
use crate::fork;
use crate::join::PartTuple;
use crate::json;

/// The worker is poked at least this often while there is something to read.
const POKE_EVERY_US: u64 = 1_000;
const READ_BYTES: usize = 64 * 1024;
/// One of so many short tasks has its processor time measured: two system calls. Of those that may take long each has.
const MEASURED_OF: u32 = 16;

/// What is known of a task that runs, or of a batch.
struct Running {
    number: u32,
    is_early_acked: bool,
    uses_socket: bool,
    /// What it has published.
    own: Published,
    /// The same of each member of a batch, by itself; `None`: it has ended.
    members: Vec<Option<Published>>,
}

/// What a task has published, as far as its end needs to know.
#[derive(Default)]
struct Published {
    /// As the JSON of result tuples.
    children: Vec<String>,
    /// Set once what is published is no longer the task's own but follows from its end: it leaves with the outcome.
    successors: Option<Vec<Publish>>,
    /// The task's own messages that must not be seen before its state is: its retry. They leave with the outcome too.
    kept: Vec<Publish>,
}

impl Running {
    fn new(call: &Call, members: usize) -> Running {
        Running {
            number: call.number,
            is_early_acked: call.is_early_acked,
            uses_socket: false,
            own: Published::default(),
            members: (0..members).map(|_| Some(Published::default())).collect(),
        }
    }

    /// Whether anything is left whose acknowledgement can wait for what is published: not of a batch whose calls have
    /// all ended, even if its function goes on.
    fn has_open(&self) -> bool {
        self.members.is_empty() || self.members.iter().any(Option::is_some)
    }

    /// What a task has published, or a member of a batch; `None`: that has ended.
    fn part(&mut self, member: u32) -> Option<&mut Published> {
        if member == NO_MEMBER { Some(&mut self.own) } else { self.members.get_mut(member as usize)?.as_mut() }
    }
}

/// A batch whose head has come: the worker counts it as begun or taken back, and the rest of its frames is certain to
/// come.
struct Coming {
    number: u32,
    left: u32,
    /// The slot that it takes; `None`: it was recalled, and its frames are passed by.
    slot: Option<usize>,
    calls: Vec<Call>,
}

struct Inner {
    inbox: Vec<u8>,
    read_at: usize,
    coming: Option<Coming>,
    /// By slot.
    running: Vec<Option<Running>>,
    free: Vec<usize>,
    last_poke_us: u64,
    has_unpoked: bool,
    scratch: Vec<u8>,
}

/// The child's end of the link to its worker.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct ChildLink {
    page: Page,
    generation: u32,
    /// The context variable that holds the call for which code runs; `None` with one slot.
    current: Option<Py<PyAny>>,
    /// The context variable that holds the member of a batch for which code runs, if it runs for one of them.
    member: Option<Py<PyAny>>,
    inner: Mutex<Inner>,
    /// The socket; the loop alone reads from it.
    reader: UnixStream,
    /// What is read goes through this.
    buffer: Mutex<Vec<u8>>,
    /// The same socket, for those who write: what one of them began another one must not interrupt.
    writer: Mutex<UnixStream>,
    /// The clock that tells what one task computes; `None`: several run on one thread.
    cpu: Option<ClockId>,
}

/// What a process, or a thread, has computed until now.
fn cpu_us(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

fn lost(error: &std::io::Error) -> PyErr {
    PyOSError::new_err(format!("the link to the worker broke: {error}"))
}

/// A frame with its length before it.
fn framed(frame: &FromChild<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    frame.write(&mut bytes);
    let len = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes
}

fn take_slot(free: &mut Vec<usize>) -> PyResult<usize> {
    free.pop().ok_or_else(|| PyRuntimeError::new_err("from the worker: more tasks than slots"))
}

impl Inner {
    /// The whole frame in the inbox that begins with its length there, as its range.
    fn frame_at(&self, at: usize) -> Option<(usize, usize)> {
        let head = self.inbox.get(at..at + 4)?;
        let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
        let start = at + 4;
        (self.inbox.len() >= start + len).then_some((start, start + len))
    }

    /// Forgets what was read of the inbox.
    fn tidy(&mut self) {
        let read_at = std::mem::take(&mut self.read_at);
        self.inbox.drain(..read_at);
    }

    /// What is known of a call, while it runs.
    fn of(&mut self, slot: usize, number: u32) -> Option<&mut Running> {
        self.running.get_mut(slot)?.as_mut().filter(|running| running.number == number)
    }

    /// What a call has published, while it runs.
    fn part_of(&mut self, sender: Sender) -> Option<&mut Published> {
        self.of(sender.slot, sender.number)?.part(sender.member)
    }
}

impl ChildLink {
    /// The lock is held for moments only, but for the wait for frames, which is the loop's own.
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().expect("nothing panics while it holds the link"))
    }

    /// For whom this code runs: which task, and which member if that is a batch; `None`: for none.
    fn sender(&self, py: Python<'_>) -> Option<Sender> {
        let of_call = |value: &Bound<'_, PyAny>| value.cast::<Call>().ok().map(|call| Sender::of(call.get()));
        let read = |variable: &Py<PyAny>| variable.bind(py).call_method1("get", (py.None(),)).ok();
        let sender = match &self.current {
            None => self.with(|inner| {
                let running = inner.running[0].as_ref()?;
                Some(Sender { slot: 0, number: running.number, member: NO_MEMBER })
            })?,
            Some(current) => {
                let value = read(current)?;
                let of_batch = |batch: &Bound<'_, Batch>| {
                    let batch = batch.get();
                    Sender { slot: batch.slot, number: batch.number, member: NO_MEMBER }
                };
                of_call(&value).or_else(|| value.cast::<Batch>().ok().map(of_batch))?
            }
        };
        let is_batch = self.with(|inner| inner.of(sender.slot, sender.number).map(|it| !it.members.is_empty()))?;
        let member = self.member.as_ref().filter(|_| is_batch).and_then(read).and_then(|value| of_call(&value));
        Some(member.filter(|member| member.number == sender.number).unwrap_or(sender))
    }

    /// What the task, or the member of a batch, has published for which this code runs; `None`: it runs for none.
    fn with_current<T>(&self, py: Python<'_>, work: impl FnOnce(&mut Published) -> T) -> Option<T> {
        let sender = self.sender(py)?;
        self.with(|inner| inner.part_of(sender).map(work))
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.lock().expect("nothing panics while it holds the socket").write_all(bytes)
    }

    fn poke(&self, inner: &mut Inner, now_us: u64) {
        inner.has_unpoked = false;
        inner.last_poke_us = now_us;
        // A worker that is gone is noticed at the next read.
        let _gone = self.write(&framed(&FromChild::Poke));
    }

    /// This is the process that it was made in, and none that a task forked.
    fn is_owner(&self) -> bool {
        self.generation == fork::generation()
    }

    /// The ring has one writer and the socket one reader: a process that a task forked is neither.
    fn check_owner(&self) -> PyResult<()> {
        if self.is_owner() {
            return Ok(());
        }
        let text = "a process that a task forked came back out of the task: end it with os._exit()";
        Err(PyRuntimeError::new_err(text))
    }

    /// Reports something of the task in a slot. With `ends` nothing follows, and the slot is free: with several slots
    /// before the worker can know of it, since it may send the next task at once.
    fn send(&self, py: Python<'_>, sender: Sender, frame: &FromChild<'_>, pokes: bool, ends: bool) -> PyResult<()> {
        self.check_owner()?;
        let slot = sender.slot;
        let mut inner = self.inner.lock().expect("nothing panics while it holds the link");
        if inner.part_of(sender).is_none() {
            return Err(PyRuntimeError::new_err("the end of this task was reported before"));
        }
        let mut scratch = std::mem::take(&mut inner.scratch);
        scratch.clear();
        frame.write(&mut scratch);
        let uses_socket = inner.running[slot].as_ref().is_some_and(|running| running.uses_socket);
        if !uses_socket && self.page.push(&scratch) {
            if ends {
                self.free(&mut inner, slot);
            }
            let now_us = mono_us();
            inner.has_unpoked = true;
            if pokes || now_us.saturating_sub(inner.last_poke_us) > POKE_EVERY_US {
                self.poke(&mut inner, now_us);
            }
            if scratch.capacity() < 1 << 20 {
                inner.scratch = scratch;
            }
            return Ok(());
        }
        if let Some(running) = &mut inner.running[slot] {
            running.uses_socket = true;
        }
        let frees_first = ends && self.current.is_some();
        if frees_first {
            self.free(&mut inner, slot);
        }
        drop(inner);
        py.detach(|| {
            let mut writer = self.writer.lock().expect("nothing panics while it holds the socket");
            writer.write_all(&(scratch.len() as u32).to_le_bytes())?;
            writer.write_all(&scratch)
        })
        .map_err(|error| lost(&error))?;
        if ends && !frees_first {
            self.with(|inner| self.free(inner, slot));
        }
        Ok(())
    }

    /// Nothing runs in a slot any more.
    fn free(&self, inner: &mut Inner, slot: usize) {
        self.page.clear_running(slot);
        inner.running[slot] = None;
        inner.free.push(slot);
    }

    /// Publishes from inside the running task; `ids` are remembered as its children.
    pub(crate) fn publish_all(&self, py: Python<'_>, batch: &[Publish], ids: &[[u8; 16]]) -> PyResult<()> {
        let sender = self.sender(py).ok_or_else(nothing_runs)?;
        let collect =
            |part: &mut Published| part.successors.as_mut().map(|kept| kept.extend_from_slice(batch)).is_some();
        let is_collected = self.with(|inner| inner.part_of(sender).map(collect)).ok_or_else(nothing_runs)?;
        for message in batch.iter().filter(|_| !is_collected) {
            let frame = FromChild::Publish { number: sender.number, message: borrow(message) };
            self.send(py, sender, &frame, true, false)?;
        }
        self.with(|inner| {
            if let Some(part) = inner.part_of(sender) {
                part.children.extend(ids.iter().map(|id| format!(r#"[["{}", null], null]"#, crate::ids::text(id))));
            }
        });
        Ok(())
    }

    /// What a call has computed, where that is measured.
    fn cpu_us_of(&self, call: &Call) -> Option<u64> {
        Some(cpu_us(self.cpu?).saturating_sub(call.cpu_began_us?))
    }

    fn finish(&self, py: Python<'_>, call: &Call, frame: &FromChild<'_>) -> PyResult<()> {
        let sender = Sender::of(call);
        if sender.member == NO_MEMBER {
            return self.send(py, sender, frame, false, true);
        }
        // The function may go on for long.
        self.send(py, sender, frame, true, false)?;
        self.with(|inner| {
            if let Some(running) = inner.of(sender.slot, sender.number) {
                running.members[sender.member as usize] = None;
            }
        });
        Ok(())
    }

    /// Takes the next frame. `None`: there is none. `Some(None)`: it was recalled.
    fn take(&self, inner: &mut Inner) -> PyResult<Option<Option<Taken>>> {
        if inner.coming.is_some() {
            return self.take_batch(inner);
        }
        let Some((start, end)) = inner.frame_at(inner.read_at) else { return Ok(None) };
        let frame = ToChild::read(&inner.inbox[start..end])
            .map_err(|malformed| PyRuntimeError::new_err(format!("from the worker: {malformed}")))?;
        let task = match frame {
            ToChild::Task(task) => task,
            // Not passed by: whoever asks again is told so again.
            ToChild::Stop => return Ok(Some(Some(Taken::Stop))),
            ToChild::Interrupt { number, kind } => {
                inner.read_at = end;
                let kind = match kind {
                    InterruptKind::SoftLimit => "soft",
                    InterruptKind::HardLimit => "hard",
                    InterruptKind::Terminate => "terminate",
                };
                return Ok(Some(Some(Taken::Word(number, kind))));
            }
            ToChild::Locate { number } => {
                inner.read_at = end;
                return Ok(Some(Some(Taken::Word(number, "locate"))));
            }
            ToChild::Batch { count: 0, .. } => {
                return Err(PyRuntimeError::new_err("from the worker: an empty batch"));
            }
            ToChild::Batch { number, count } => {
                inner.read_at = end;
                let slot = if self.page.claim().claim(number) { Some(take_slot(&mut inner.free)?) } else { None };
                inner.coming = Some(Coming { number, left: count, slot, calls: Vec::new() });
                return self.take_batch(inner);
            }
        };
        if !self.page.claim().claim(task.number) {
            inner.read_at = end;
            return Ok(Some(None));
        }
        let now_us = mono_us();
        let slot = take_slot(&mut inner.free)?;
        let mut call = Call::new(&task, now_us, slot);
        let flush_first = task.flush_first;
        if flush_first || task.number % MEASURED_OF == 0 {
            call.cpu_began_us = self.cpu.map(cpu_us);
        }
        inner.read_at = end;
        self.page.set_running(slot, call.number, now_us);
        if flush_first && inner.has_unpoked {
            self.poke(inner, now_us);
        }
        inner.running[slot] = Some(Running::new(&call, 0));
        Ok(Some(Some(Taken::Call(Box::new(call)))))
    }

    /// The same of the batch that is coming, once all of its frames are here.
    fn take_batch(&self, inner: &mut Inner) -> PyResult<Option<Option<Taken>>> {
        let Some(mut coming) = inner.coming.take() else { return Ok(None) };
        while coming.left > 0 {
            let Some((start, end)) = inner.frame_at(inner.read_at) else {
                inner.coming = Some(coming);
                return Ok(None);
            };
            if let Some(slot) = coming.slot {
                let member = coming.calls.len() as u32;
                match ToChild::read(&inner.inbox[start..end]) {
                    Ok(ToChild::Task(task)) => coming.calls.push(Call::of_batch(&task, 0, slot, member)),
                    other => return Err(PyRuntimeError::new_err(format!("from the worker, in a batch: {other:?}"))),
                }
            }
            inner.read_at = end;
            coming.left -= 1;
        }
        let Some(slot) = coming.slot else { return Ok(Some(None)) };
        let now_us = mono_us();
        let cpu_began_us = self.cpu.map(cpu_us);
        for call in &mut coming.calls {
            (call.started_us, call.cpu_began_us) = (now_us, cpu_began_us);
        }
        self.page.set_running(slot, coming.number, now_us);
        inner.running[slot] = Some(Running::new(&coming.calls[0], coming.calls.len()));
        if inner.has_unpoked {
            self.poke(inner, now_us);
        }
        Ok(Some(Some(Taken::Batch(coming.calls))))
    }

    /// Waits for bytes from the worker. False: it is gone.
    fn read(&self, py: Python<'_>) -> PyResult<bool> {
        let mut buffer = self.buffer.lock().expect("nothing panics while it reads");
        let buffer: &mut [u8] = &mut buffer;
        let read = py.detach(|| (&self.reader).read(buffer));
        self.received(py, read, buffer)
    }

    /// Takes the bytes that are there. False: the worker is gone.
    fn read_what_is_there(&self, py: Python<'_>) -> PyResult<bool> {
        let mut buffer = self.buffer.lock().expect("nothing panics while it reads");
        loop {
            let read = recv(&self.reader, &mut buffer[..], RecvFlags::DONTWAIT).map(|(_, len)| len);
            let is_all = !matches!(read, Ok(READ_BYTES));
            match read {
                Err(Errno::WOULDBLOCK) => return Ok(true),
                read if !self.received(py, read.map_err(std::io::Error::from), &buffer)? => return Ok(false),
                _ if is_all => return Ok(true),
                _ => {}
            }
        }
    }

    fn received(&self, py: Python<'_>, read: std::io::Result<usize>, buffer: &[u8]) -> PyResult<bool> {
        match read {
            Ok(0) => return Ok(false),
            Ok(len) => self.with(|inner| inner.inbox.extend_from_slice(&buffer[..len])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => py.check_signals()?,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(lost(&error)),
        }
        Ok(true)
    }
}

/// The chord that a task is a member of, its place in the header, and what the join needs beside the parts.
type Membership<'a> = (&'a str, Option<i64>, &'a [u8]);

/// Which of the running tasks reports.
#[derive(Clone, Copy)]
struct Sender {
    slot: usize,
    number: u32,
    /// Which of a batch, if that is one.
    member: u32,
}

impl Sender {
    fn of(call: &Call) -> Sender {
        Sender { slot: call.slot, number: call.number, member: call.member }
    }
}

/// What a frame from the worker comes to.
enum Taken {
    Call(Box<Call>),
    Batch(Vec<Call>),
    /// What the worker wants of a task that runs.
    Word(u32, &'static str),
    Stop,
}

fn nothing_runs() -> PyErr {
    PyRuntimeError::new_err("no task is running: publish on a connection instead")
}

#[pymethods]
impl ChildLink {
    #[new]
    #[pyo3(signature = (socket, page, current=None, member=None, *, is_process=false))]
    fn new(
        socket: RawFd,
        page: RawFd,
        current: Option<Py<PyAny>>,
        member: Option<Py<PyAny>>,
        is_process: bool,
    ) -> PyResult<ChildLink> {
        // SAFETY: the zygote received both descriptors for this process alone and hands them over here, once.
        let (socket, page) = unsafe { (OwnedFd::from_raw_fd(socket), OwnedFd::from_raw_fd(page)) };
        let page = Page::open(page)?;
        let slots = page.slots();
        if slots > 1 && current.is_none() {
            let text = format!("{slots} tasks at once: expected the context variable that says which of them runs");
            return Err(PyValueError::new_err(text));
        }
        let reader = UnixStream::from(socket);
        let generation = fork::generation();
        let writer = Mutex::new(reader.try_clone()?);
        let buffer = Mutex::new(vec![0; READ_BYTES]);
        let inner = Inner {
            inbox: Vec::new(),
            read_at: 0,
            coming: None,
            running: (0..slots).map(|_| None).collect(),
            free: (0..slots).rev().collect(),
            last_poke_us: 0,
            has_unpoked: false,
            scratch: Vec::new(),
        };
        // A process has what it computes in threads of its own counted too.
        let clock = if is_process { ClockId::ProcessCPUTime } else { ClockId::ThreadCPUTime };
        let cpu = (slots == 1).then_some(clock);
        let link =
            ChildLink { page, generation, current, member, inner: Mutex::new(inner), reader, buffer, writer, cpu };
        link.write(&framed(&FromChild::Ready { version: VERSION, pid: std::process::id() }))?;
        Ok(link)
    }

    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check_owner()?;
        loop {
            let mut inner = self.inner.lock().expect("nothing panics while it holds the link");
            while let Some(taken) = self.take(&mut inner)? {
                match taken {
                    None | Some(Taken::Word(..)) => {}
                    Some(Taken::Stop) => return Ok(None),
                    Some(Taken::Call(call)) => return Ok(Some(Bound::new(py, *call)?.into_any())),
                    Some(Taken::Batch(calls)) => {
                        return Ok(Some(Bound::new(py, Batch::new(py, calls)?)?.into_any()));
                    }
                }
            }
            if inner.has_unpoked {
                self.poke(&mut inner, mono_us());
            }
            inner.tidy();
            drop(inner);
            if !self.read(py)? {
                return Ok(None);
            }
        }
    }

    #[pyo3(signature = (*, blocks))]
    fn poll<'py>(&self, py: Python<'py>, blocks: bool) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        self.check_owner()?;
        let mut found: Vec<Bound<'py, PyAny>> = Vec::new();
        let mut is_here = true;
        if !blocks {
            is_here = self.read_what_is_there(py)?;
        }
        loop {
            let mut has_recalled = false;
            let mut is_over = false;
            let mut inner = self.inner.lock().expect("nothing panics while it holds the link");
            while let Some(taken) = self.take(&mut inner)? {
                match taken {
                    None => has_recalled = true,
                    Some(Taken::Stop) => {
                        is_over = true;
                        break;
                    }
                    Some(Taken::Call(call)) => found.push(Bound::new(py, *call)?.into_any()),
                    Some(Taken::Batch(calls)) => found.push(Bound::new(py, Batch::new(py, calls)?)?.into_any()),
                    Some(Taken::Word(number, word)) => found.push((number, word).into_pyobject(py)?.into_any()),
                }
            }
            inner.tidy();
            if inner.has_unpoked {
                self.poke(&mut inner, mono_us());
            }
            drop(inner);
            if has_recalled {
                self.write(&framed(&FromChild::Awake)).map_err(|error| lost(&error))?;
            }
            if found.is_empty() && (is_over || !is_here) {
                return Ok(None);
            }
            if !found.is_empty() || !blocks {
                return Ok(Some(found));
            }
            is_here = self.read(py)?;
        }
    }

    fn turned(&self) -> bool {
        let is_busy = self.with(|inner| inner.free.len() < inner.running.len());
        self.page.set_turned(is_busy.then(mono_us));
        is_busy
    }

    fn fileno(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    fn flush(&self) {
        self.with(|inner| {
            if inner.has_unpoked {
                self.poke(inner, mono_us());
            }
        });
    }

    #[getter]
    fn slots(&self) -> usize {
        self.page.slots()
    }

    #[pyo3(signature = (call, value, store, member=None, show=None))]
    fn succeed(
        &self,
        py: Python<'_>,
        call: &Call,
        value: &Bound<'_, PyAny>,
        store: bool,
        member: Option<Membership<'_>>,
        show: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let runtime_us = mono_us().saturating_sub(call.started_us);
        let shown = show.filter(|_| call.is_watched).map(|show| shown(value, show)).transpose()?;
        let mut result = Vec::new();
        if store || member.is_some() {
            result.reserve(64);
            json::encode(py, value, &mut result)?;
        }
        let doc = store.then(|| self.success_doc(call, &result));
        let doc_of_part = if member.is_some() { success_part(&call.id, &result) } else { Vec::new() };
        let successors = self.successors(call);
        let outcome = OutcomeFrame {
            number: call.number,
            member: call.member,
            kind: OutcomeKind::Success,
            started_us: call.started_us,
            runtime_us,
            cpu_us: self.cpu_us_of(call),
            status: if store { "SUCCESS" } else { "" },
            doc: doc.as_deref(),
            reason: "",
            shown: shown.as_deref().unwrap_or_default(),
            traceback: "",
            successors: successors.iter().map(borrow).collect(),
            parts: member
                .map(|(group, index, record)| {
                    let doc = &doc_of_part[..];
                    PartFrame { task_id: &call.id, group, index, bears: None, doc, record }
                })
                .into_iter()
                .collect(),
        };
        self.finish(py, call, &FromChild::Outcome(outcome))
    }

    #[pyo3(signature = (call, kind, *, status=None, doc=None, reason="", parts=None, shown="", traceback=""))]
    #[allow(clippy::too_many_arguments, reason = "all but two are named and optional")]
    fn report(
        &self,
        py: Python<'_>,
        call: &Call,
        kind: &str,
        status: Option<&str>,
        doc: Option<&[u8]>,
        reason: &str,
        parts: Option<Vec<PartTuple>>,
        shown: &str,
        traceback: &str,
    ) -> PyResult<()> {
        let successors = self.successors(call);
        let kind = match kind {
            "success" => OutcomeKind::Success,
            "failure" => OutcomeKind::Failure,
            "retry" => OutcomeKind::Retry,
            "ignore" => OutcomeKind::Ignore,
            "reject" => OutcomeKind::Reject,
            "requeue" => OutcomeKind::Requeue,
            "poison" => OutcomeKind::Poison,
            "time_limit" => OutcomeKind::TimeLimit,
            "terminated" => OutcomeKind::Terminated,
            other => return Err(PyValueError::new_err(format!("no outcome is called {other:?}"))),
        };
        let outcome = OutcomeFrame {
            number: call.number,
            member: call.member,
            kind,
            started_us: call.started_us,
            runtime_us: mono_us().saturating_sub(call.started_us),
            cpu_us: self.cpu_us_of(call),
            status: status.unwrap_or_default(),
            doc,
            reason,
            shown,
            traceback,
            successors: successors.iter().map(borrow).collect(),
            parts: parts.iter().flatten().map(part).collect(),
        };
        self.finish(py, call, &FromChild::Outcome(outcome))
    }

    fn end_batch(&self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        let sender = Sender { slot: batch.slot, number: batch.number, member: NO_MEMBER };
        let runtime_us = mono_us().saturating_sub(batch.started_us);
        self.send(py, sender, &FromChild::BatchEnd { number: batch.number, runtime_us }, false, true)
    }

    fn is_open(&self, call: &Call) -> bool {
        self.with(|inner| inner.part_of(Sender::of(call)).is_some())
    }

    fn start_over(&self, call: &Call) {
        self.with(|inner| {
            if let Some(part) = inner.part_of(Sender::of(call)) {
                part.kept.clear();
                part.successors = None;
            }
        });
    }

    fn collect_successors(&self, py: Python<'_>, collects: bool) {
        self.with_current(py, |part| part.successors = collects.then(Vec::new));
    }

    fn send_event(
        &self,
        routing_key: &str,
        content_type: &str,
        content_encoding: &str,
        headers: &[u8],
        body: &[u8],
    ) -> PyResult<()> {
        self.check_owner()?;
        let frame = FromChild::Event(EventFrame { routing_key, content_type, content_encoding, headers, body });
        self.write(&framed(&frame)).map_err(|error| lost(&error))
    }

    fn store(&self, py: Python<'_>, call: &Call, status: &str, doc: &[u8]) -> PyResult<()> {
        let frame = FromChild::Store { number: call.number, member: call.member, status, doc };
        self.send(py, Sender::of(call), &frame, true, false)
    }

    fn publish(&self, py: Python<'_>, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.publish_all(py, &crate::publisher::batch_of(messages), &[])
    }

    fn publish_with_outcome(&self, py: Python<'_>, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.check_owner()?;
        let batch = crate::publisher::batch_of(messages);
        self.with_current(py, |part| part.kept.extend(batch)).ok_or_else(nothing_runs)
    }

    fn add_child(&self, py: Python<'_>, tuple_json: String) {
        self.with_current(py, |part| part.children.push(tuple_json));
    }

    fn children(&self, py: Python<'_>) -> Vec<String> {
        self.with_current(py, |part| part.children.clone()).unwrap_or_default()
    }

    fn is_soft_target(&self) -> bool {
        self.page.is_soft_target()
    }

    fn is_terminate_target(&self) -> bool {
        self.page.is_terminate_target()
    }

    #[getter]
    fn is_running(&self, py: Python<'_>) -> bool {
        self.with_current(py, |_| ()).is_some()
    }

    #[getter]
    fn is_own(&self, py: Python<'_>) -> bool {
        self.is_owner() && self.is_running(py)
    }

    #[getter]
    fn is_usable(&self, py: Python<'_>) -> bool {
        let waits = |sender: Sender| {
            self.with(|inner| {
                let running = inner.of(sender.slot, sender.number)?;
                Some(!running.is_early_acked && running.has_open() && running.part(sender.member).is_some())
            })
        };
        self.is_owner() && self.sender(py).and_then(waits) == Some(true)
    }
}

fn part((task_id, group, index, doc, record, bears): &PartTuple) -> PartFrame<'_> {
    PartFrame { task_id, group, index: *index, bears: *bears, doc, record }
}

fn borrow(one: &Publish) -> Successor<'_> {
    Successor { queue: &one.queue, priority: one.priority, message: &one.message }
}

impl ChildLink {
    fn successors(&self, call: &Call) -> Vec<Publish> {
        self.with(|inner| {
            let Some(part) = inner.part_of(Sender::of(call)) else { return Vec::new() };
            let mut leaving = std::mem::take(&mut part.kept);
            leaving.extend(part.successors.take().unwrap_or_default());
            leaving
        })
    }

    fn success_doc(&self, call: &Call, result: &[u8]) -> Vec<u8> {
        let children = self.with(|inner| inner.part_of(Sender::of(call)).map(|part| part.children.clone()));
        let children = children.unwrap_or_default();
        let children_json = format!("[{}]", children.join(", "));
        let date_done = iso_utc(wall_us());
        let context = ResultContext {
            task_id: &call.id,
            date_done: &date_done,
            children_json: Some(children_json.as_bytes()),
            group_id: call.group.as_deref(),
            parent_id: call.parent_id.as_deref(),
            ..ResultContext::default()
        };
        let mut doc = Vec::with_capacity(192 + result.len());
        result_doc::success(result, &context, &mut doc);
        doc
    }
}

/// Celery's form of a part.
fn success_part(task_id: &str, result: &[u8]) -> Vec<u8> {
    let mut part = Vec::with_capacity(64 + result.len());
    part.extend_from_slice(b"[1, ");
    write_text(task_id, &mut part);
    part.extend_from_slice(b", \"SUCCESS\", ");
    part.extend_from_slice(result);
    part.push(b']');
    part
}

/// A result as events show it: what most tasks return without entering Python, and all else by `show`.
fn shown<'py>(value: &Bound<'py, PyAny>, show: &Bound<'py, PyAny>) -> PyResult<Cow<'static, str>> {
    if value.is_none() {
        return Ok("None".into());
    }
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return Ok(if flag.is_true() { "True" } else { "False" }.into());
    }
    if let Ok(number) = value.cast_exact::<PyInt>()
        && let Ok(number) = number.extract::<i64>()
    {
        return Ok(number.to_string().into());
    }
    Ok(show.call1((value,))?.extract::<String>()?.into())
}
