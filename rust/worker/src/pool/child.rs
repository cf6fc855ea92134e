//! One child process as the worker sees it: a page, a socket, a pidfd, and the tasks it was given.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use fastworker_engine::{ChildId, Handle, Number, Numbers};
use fastworker_link::Page;
use fastworker_wire::child::{InterruptKind, MAX_FRAME_BYTES, NO_MEMBER, ToChild};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::readable::readable;
use super::stacks::{self, Stacks};

/// Bytes of the ring by which a child reports. Larger reports go over the socket.
const RING_BYTES: usize = 256 * 1024;

/// A child that is about to be killed has this long to write its stacks.
const WRITING_STACKS: Duration = Duration::from_millis(30);
/// Stacks are looked for so long after they were asked for.
const LOOKING_FOR_STACKS: Duration = Duration::from_millis(100);

/// What arrives from a child's socket or pidfd.
pub(crate) enum SocketFact {
    /// One frame, without its length.
    Frame(Vec<u8>),
    /// A length that no honest child writes; nothing more is read.
    Nonsense,
    /// There is room for more bytes again.
    Writable,
    /// The process is gone.
    Exited,
    /// The zygote has had time to say how it ended.
    Overdue,
    /// Stacks that were asked for may be there.
    Stacks,
}

/// What a number of a child stands for.
enum Given {
    /// A delivery.
    One(Handle),
    /// Deliveries of which one function call gets the list; those that have ended are `None`.
    Batch(Vec<Option<Handle>>),
}

impl Given {
    fn handles(&self) -> impl Iterator<Item = Handle> {
        let (one, batch) = match self {
            Given::One(handle) => (Some(*handle), None),
            Given::Batch(members) => (None, Some(members.iter().copied().flatten())),
        };
        one.into_iter().chain(batch.into_iter().flatten())
    }
}

/// A child, from the request to fork it until its death has been handled.
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) page: Page,
    pub(crate) pid: Option<i32>,
    pidfd: Option<Rc<AsyncFd<OwnedFd>>>,
    stream: Rc<UnixStream>,
    inbox: Rc<RefCell<Vec<u8>>>,
    /// Frames on their way, of which the first `sent` bytes have left.
    unsent: Vec<u8>,
    sent: usize,
    is_waiting_to_write: bool,
    given: Numbers<Given>,
    /// Numbers of which it was told that they run, as far as anybody wants to know.
    told: HashSet<Number>,
    tasks: Vec<AbortHandle>,
    pub(crate) stacks: Stacks,
    /// It has said READY.
    pub(crate) is_ready: bool,
    /// Tasks that it was given.
    pub(crate) writes: u64,
    /// We sent SIGKILL.
    pub(crate) is_killed: bool,
    /// Another zygote has taken the place of its own.
    pub(crate) is_outdated: bool,
    /// Its process is gone, and how it ended is not known yet.
    pub(crate) is_gone: bool,
    /// How it ended: negative for a signal.
    pub(crate) status: Option<i32>,
}

impl Child {
    /// Makes the page and the socket of a child that runs up to `slots` tasks at once, and gives back its ends of both.
    pub(crate) fn prepare(
        id: ChildId,
        slots: u32,
        tell: impl Fn(SocketFact) + 'static,
    ) -> io::Result<(Child, std::os::unix::net::UnixStream, OwnedFd)> {
        let (page, page_fd) = Page::create(RING_BYTES, slots as usize)?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = Rc::new(UnixStream::from_std(ours)?);
        let inbox = Rc::new(RefCell::new(Vec::new()));
        let reader = tokio::task::spawn_local(read_frames(stream.clone(), inbox.clone(), tell)).abort_handle();
        let child = Child {
            id,
            page,
            pid: None,
            pidfd: None,
            stream,
            inbox,
            unsent: Vec::new(),
            sent: 0,
            is_waiting_to_write: false,
            given: Numbers::default(),
            told: HashSet::new(),
            tasks: vec![reader],
            stacks: Stacks::new(page_fd.try_clone()?)?,
            is_ready: false,
            writes: 0,
            is_killed: false,
            is_outdated: false,
            is_gone: false,
            status: None,
        };
        Ok((child, theirs, page_fd))
    }

    /// The zygote has forked it: watch the process.
    pub(crate) fn watch(&mut self, pid: i32, tell: impl Fn(SocketFact) + 'static) -> io::Result<()> {
        self.pid = Some(pid);
        let raw = Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child's pid is not positive"))?;
        let pidfd = pidfd_open(raw, PidfdFlags::NONBLOCK)?;
        let pidfd = Rc::new(readable(pidfd)?);
        self.pidfd = Some(pidfd.clone());
        let watcher = tokio::task::spawn_local(async move {
            if pidfd.readable().await.is_ok() {
                tell(SocketFact::Exited);
            }
        });
        self.tasks.push(watcher.abort_handle());
        Ok(())
    }

    /// Remembers which delivery number `number` is.
    pub(crate) fn give(&mut self, number: Number, handle: Handle) {
        self.writes += 1;
        self.given.push(number, Given::One(handle));
    }

    /// Remembers which deliveries the batch `number` has, in order.
    pub(crate) fn give_batch(&mut self, number: Number, handles: &[Handle]) {
        self.writes += handles.len() as u64;
        self.given.push(number, Given::Batch(handles.iter().copied().map(Some).collect()));
    }

    /// The deliveries with this number that have neither ended nor been recalled: one, or those of a batch.
    pub(crate) fn handles_of(&self, number: Number) -> impl Iterator<Item = Handle> {
        self.given.get(number).into_iter().flat_map(Given::handles)
    }

    /// Whether a number is a batch whose function has not returned.
    pub(crate) fn has_batch(&self, number: Number) -> bool {
        matches!(self.given.get(number), Some(Given::Batch(_)))
    }

    /// The batches whose functions have not returned, and what of each has not ended.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (Number, Vec<Handle>)> {
        let batches = self.given.iter().filter(|(_, given)| matches!(given, Given::Batch(_)));
        batches.map(|(number, given)| (number, given.handles().collect()))
    }

    /// One of these; a batch's at `member`, or the first.
    pub(crate) fn handle_of(&self, number: Number, member: u32) -> Option<Handle> {
        match self.given.get(number)? {
            Given::Batch(members) if member != NO_MEMBER => members.get(member as usize).copied().flatten(),
            given => given.handles().next(),
        }
    }

    /// The delivery with this number, or at this place of its batch, ended; it is forgotten.
    pub(crate) fn take(&mut self, number: Number, member: u32) -> Option<Handle> {
        match self.given.get_mut(number)? {
            Given::Batch(members) => members.get_mut(member as usize)?.take(),
            Given::One(_) if member != NO_MEMBER => None,
            Given::One(_) => {
                self.told.remove(&number);
                self.given.remove(number)?.handles().next()
            }
        }
    }

    /// The function of a batch has returned; it is forgotten. False: there is no such batch.
    pub(crate) fn take_batch(&mut self, number: Number) -> bool {
        self.told.remove(&number);
        self.has_batch(number) && self.given.remove(number).is_some()
    }

    /// Takes back what was not started. Returns the first number that will never run.
    pub(crate) fn recall(&mut self) -> Number {
        let from = self.page.claim().recall();
        while self.given.pop_from(from).is_some() {}
        from
    }

    /// The deliveries that it runs, as far as its page says, and since when (monotonic microseconds).
    pub(crate) fn running(&self) -> impl Iterator<Item = (Handle, u64)> {
        let with = move |(number, since_us)| self.handles_of(number).map(move |handle| (handle, since_us));
        self.page.all_running().flat_map(with)
    }

    /// Since when it has been running a task, as far as its page says (monotonic microseconds).
    pub(crate) fn running_since_us(&self, number: Number) -> Option<u64> {
        self.page.all_running().find(|(running, _)| *running == number).map(|(_, since_us)| since_us)
    }

    /// It may have begun something that nobody was told of.
    pub(crate) fn has_untold(&self) -> bool {
        self.given.len() > self.told.len()
    }

    /// What it runs and was not in this answer before, and since when (monotonic microseconds).
    pub(crate) fn take_untold(&mut self) -> Vec<(Number, u64)> {
        let is_new = |(number, _): &(Number, u64)| self.given.get(*number).is_some() && self.told.insert(*number);
        self.page.all_running().filter(is_new).collect()
    }

    /// How many tasks it runs at once.
    pub(crate) fn slots(&self) -> usize {
        self.page.slots()
    }

    /// The deliveries below `next` that have not ended: they were claimed, and the page may not say so any more.
    pub(crate) fn claimed_before(&self, next: Number) -> impl Iterator<Item = Handle> {
        let is_before = move |(number, _): &(Number, &Given)| (next.wrapping_sub(*number) as i32) > 0;
        self.given.iter().take_while(is_before).flat_map(|(_, given)| given.handles())
    }

    /// True while it has tasks that have not ended.
    pub(crate) fn is_busy(&self) -> bool {
        !self.given.is_empty()
    }

    /// True while outcomes may arrive without a poke: it has more to do after the task that runs. A child with several
    /// slots pokes whenever it waits for something.
    pub(crate) fn has_several(&self) -> bool {
        self.slots() == 1 && self.given.len() > 1
    }

    /// Appends a frame that is already serialised; `flush` sends it.
    pub(crate) fn push_frame(&mut self, frame: &[u8]) {
        self.unsent.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        self.unsent.extend_from_slice(frame);
    }

    /// Says that the next `count` frames are a batch.
    pub(crate) fn push_batch(&mut self, number: Number, count: u32) {
        let mut frame = Vec::new();
        ToChild::Batch { number, count }.write(&mut frame);
        self.push_frame(&frame);
    }

    /// Tells it to interrupt a task.
    pub(crate) fn push_interrupt(&mut self, number: Number, kind: InterruptKind) {
        let mut frame = Vec::new();
        ToChild::Interrupt { number, kind }.write(&mut frame);
        self.push_frame(&frame);
    }

    /// Tells it to say where a task is.
    pub(crate) fn push_locate(&mut self, number: Number) {
        let mut frame = Vec::new();
        ToChild::Locate { number }.write(&mut frame);
        self.push_frame(&frame);
    }

    /// Tells it to finish.
    pub(crate) fn push_stop(&mut self) {
        let mut frame = Vec::new();
        ToChild::Stop.write(&mut frame);
        self.push_frame(&frame);
    }

    /// Sends what it can; the rest when `SocketFact::Writable` comes.
    pub(crate) fn flush(&mut self, tell: impl Fn(SocketFact) + 'static) {
        if self.is_waiting_to_write {
            return;
        }
        while self.sent < self.unsent.len() {
            match self.stream.try_write(&self.unsent[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_waiting_to_write = true;
                    let stream = self.stream.clone();
                    let waiter = tokio::task::spawn_local(async move {
                        if stream.writable().await.is_ok() {
                            tell(SocketFact::Writable);
                        }
                    });
                    self.tasks.retain(|task| !task.is_finished());
                    self.tasks.push(waiter.abort_handle());
                    break;
                }
                // The process is dying: its pidfd says so, and that is where it is handled.
                Err(_) => self.sent = self.unsent.len(),
            }
        }
        // What is left of much is moved seldom: each time half of it has gone.
        if self.sent >= self.unsent.len().div_ceil(2) {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
        if self.unsent.is_empty() && self.unsent.capacity() > 1 << 20 {
            self.unsent = Vec::new();
        }
    }

    /// There is room again.
    pub(crate) fn writable(&mut self) {
        self.is_waiting_to_write = false;
    }

    /// Sends a signal to exactly this process; false when it is gone or not yet there.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.pidfd.as_ref().is_some_and(|pidfd| pidfd_send_signal(pidfd.as_fd(), signal).is_ok())
    }

    /// Kills it; with time to write its stacks down, if it was asked for them.
    pub(crate) fn kill(&mut self) {
        self.is_killed = true;
        let Some(pidfd) = self.pidfd.clone() else { return };
        if self.stacks.wanted_for.is_none() {
            // Gone already is what we want.
            let _gone = pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
            return;
        }
        // Not among `tasks`, which end with this value: the kill must happen.
        tokio::task::spawn_local(async move {
            sleep(WRITING_STACKS).await;
            let _gone = pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
        });
    }

    /// Asks for its stacks; `tell` says when to look. `of_what`: for the log.
    pub(crate) fn ask_for_stacks(&mut self, of_what: String, tell: impl Fn(SocketFact) + 'static) {
        if self.signal(stacks::signal(stacks::SIGNAL)) {
            self.stacks.wanted_for = Some(of_what);
            self.look_for_stacks(tell);
        }
    }

    /// The same, and for the name of the task that keeps its loop.
    pub(crate) fn ask_who_blocks(&mut self, of_what: String, tell: impl Fn(SocketFact) + 'static) {
        if self.signal(stacks::signal(stacks::SIGNAL)) && self.signal(stacks::signal(stacks::BLAME_SIGNAL)) {
            self.stacks.wanted_for = Some(of_what);
            self.look_for_stacks(tell);
        }
    }

    fn look_for_stacks(&self, tell: impl Fn(SocketFact) + 'static) {
        tokio::task::spawn_local(async move {
            sleep(LOOKING_FOR_STACKS).await;
            tell(SocketFact::Stacks);
        });
    }

    /// Takes the exit status if the process is ours to reap: it is once its zygote has died. Gives back what is to be
    /// buried then, if the zygote has neither died nor reaped it.
    pub(crate) fn reap(&mut self) -> Option<Unburied> {
        let unburied = Unburied { pid: self.pid?, pidfd: self.pidfd.clone()? };
        if self.status.is_some() {
            return None;
        }
        self.status = unburied.bury();
        self.status.is_none().then_some(unburied)
    }

    /// Whole frames that a dead child left in its socket.
    pub(crate) fn last_frames(&self) -> Vec<Vec<u8>> {
        let mut bytes = self.inbox.borrow_mut();
        let mut buffer = [0u8; 16 * 1024];
        while let Ok(len) = self.stream.try_read(&mut buffer) {
            if len == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..len]);
        }
        let mut frames = Vec::new();
        split_frames(&mut bytes, |frame| frames.push(frame));
        frames
    }
}

/// A process that is gone, and not reaped as far as we know.
pub(crate) struct Unburied {
    pub(crate) pid: i32,
    pidfd: Rc<AsyncFd<OwnedFd>>,
}

impl Unburied {
    /// Reaps it; how it ended, negative for a signal. `None`: it is the zygote's to reap.
    pub(crate) fn bury(&self) -> Option<i32> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let ended = waitid(WaitId::PidFd(self.pidfd.as_fd()), options).ok()??;
        ended.terminating_signal().map(|signal| -signal).or(ended.exit_status())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Cuts whole frames off the front of `bytes`. False: a length that no honest child writes.
fn split_frames(bytes: &mut Vec<u8>, mut take: impl FnMut(Vec<u8>)) -> bool {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 4) {
        let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
        if len > MAX_FRAME_BYTES {
            return false;
        }
        let Some(frame) = bytes.get(at + 4..at + 4 + len) else { break };
        take(frame.to_vec());
        at += 4 + len;
    }
    bytes.drain(..at);
    true
}

async fn read_frames(stream: Rc<UnixStream>, inbox: Rc<RefCell<Vec<u8>>>, tell: impl Fn(SocketFact)) {
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                if len < buffer.len() {
                    // That was all: the next edge wakes us, and one more read to find nothing is spared.
                    let _drained =
                        stream.try_io(Interest::READABLE, || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock)));
                }
                let mut bytes = inbox.borrow_mut();
                bytes.extend_from_slice(&buffer[..len]);
                if !split_frames(&mut bytes, |frame| tell(SocketFact::Frame(frame))) {
                    tell(SocketFact::Nonsense);
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end_and_the_rest_is_kept() {
        let mut bytes = vec![2, 0, 0, 0, 7, 8, 1, 0, 0, 0, 9, 3, 0, 0, 0, 1];
        let mut frames = Vec::new();
        assert!(split_frames(&mut bytes, |frame| frames.push(frame)));
        assert_eq!(frames, [vec![7, 8], vec![9]]);
        assert_eq!(bytes, [3, 0, 0, 0, 1]);
    }

    #[test]
    fn an_impossible_length_is_refused() {
        assert!(!split_frames(&mut vec![255, 255, 255, 255, 1], |_| ()));
    }

    #[tokio::test]
    async fn an_impossible_length_is_told_after_what_came_before_it() {
        let (worker, mut child) = std::os::unix::net::UnixStream::pair().expect("a pair");
        worker.set_nonblocking(true).expect("set");
        let told: RefCell<Vec<SocketFact>> = RefCell::default();
        std::io::Write::write_all(&mut child, &[1, 0, 0, 0, 7, 255, 255, 255, 255, 1, 0, 0, 0, 8]).expect("write");
        let stream = Rc::new(UnixStream::from_std(worker).expect("a stream"));
        // It ends although the socket is open: nothing behind that length means anything.
        read_frames(stream, Rc::default(), |fact| told.borrow_mut().push(fact)).await;
        let told = told.into_inner();
        assert!(
            matches!(&told[..], [SocketFact::Frame(frame), SocketFact::Nonsense] if frame == &[7]),
            "{} facts",
            told.len()
        );
        drop(child);
    }
}
