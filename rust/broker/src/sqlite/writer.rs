//! The one thread of a connected broker that writes.
//!
//! Every operation is a function of a [`Session`], sent here through a channel. Whatever waits when the thread comes
//! back for more joins one transaction: an unbatched commit costs about ten times a batched one. If a joined
//! transaction fails, each of its operations is run again in one of its own, so that an error reaches only its author.

use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

use super::fault::fault;
use super::file::Purpose;
use super::log::Carrier;
use super::options::SqliteOptions;
use super::session::Session;
use crate::Error;

/// At most this many operations join one transaction. Each may carry a batch, and other processes wait meanwhile.
const JOINED: usize = 32;

/// A handle on the thread; the thread ends when the last one is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Sender<Box<dyn Job>>,
    whom: String,
}

impl Writer {
    /// Starts the thread and opens the file in it.
    pub(super) async fn start(options: SqliteOptions) -> Result<Writer, Error> {
        let (jobs, waiting) = channel();
        let (opened, is_open) = oneshot::channel();
        let whom = options.path.display().to_string();
        let refused = |error| Error::Refused {
            what: "open",
            whom: whom.clone(),
            cause: format!("cannot start the writing threads: {error}; raise the limit on threads"),
        };
        let carrier = Carrier::start(options.clone()).map_err(refused)?;
        std::thread::Builder::new()
            .name("fastworker-sqlite".to_owned())
            .spawn(move || serve(&options, &waiting, &carrier, opened))
            .map_err(refused)?;
        let writer = Writer { jobs, whom };
        is_open.await.map_err(|_| writer.lost("open"))??;
        Ok(writer)
    }

    /// Runs `work` in a transaction; returns when that is committed. `work` may run twice, and runs even when the
    /// returned future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnMut(&Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Operation { what, work, value: None, reply };
        self.jobs.send(Box::new(job)).map_err(|_| self.lost(what))?;
        answer.await.map_err(|_| self.lost(what))?
    }

    fn lost(&self, what: &'static str) -> Error {
        Error::Refused {
            what,
            whom: self.whom.clone(),
            cause: "the writing thread has ended, which is a bug of fastworker; restart the worker".to_owned(),
        }
    }
}

/// An operation that waits for its transaction.
trait Job: Send {
    fn what(&self) -> &'static str;
    fn run(&mut self, session: &Session) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), Error>);
}

struct Operation<T, W> {
    what: &'static str,
    work: W,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, W: FnMut(&Session) -> rusqlite::Result<T> + Send> Job for Operation<T, W> {
    fn what(&self) -> &'static str {
        self.what
    }

    fn run(&mut self, session: &Session) -> rusqlite::Result<()> {
        self.value = Some((self.work)(session)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, outcome: Result<(), Error>) {
        let answer = outcome.map(|()| self.value.take().expect("a committed operation has run"));
        // Nobody may be waiting any more; whoever cannot afford to lose an answer reads it back (fetch.rs).
        drop(self.reply.send(answer));
    }
}

fn serve(
    options: &SqliteOptions,
    waiting: &Receiver<Box<dyn Job>>,
    carrier: &Carrier,
    opened: oneshot::Sender<Result<(), Error>>,
) {
    let mut desk = match Session::open(options, Purpose::Worker) {
        Ok(session) => Desk { options, session: Some(session) },
        Err(error) => return drop(opened.send(Err(error))),
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter().take(JOINED - 1));
        desk.carry_out(jobs);
        if desk.session.as_ref().is_some_and(Session::is_log_due) {
            carrier.ring();
        }
    }
}

struct Desk<'a> {
    options: &'a SqliteOptions,
    /// `None` after an error that says that the connection is of no use.
    session: Option<Session>,
}

/// Where a transaction failed.
enum Failure {
    /// The file cannot be opened.
    Open(Error),
    /// Nothing was run, for want of the lock: trying one by one would only wait again.
    Begin(rusqlite::Error),
    /// One of the operations, or the commit.
    Inside(rusqlite::Error),
}

impl Desk<'_> {
    fn carry_out(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        match self.transact(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(|job| job.answer(Ok(()))),
            Err(Failure::Inside(_)) if jobs.len() > 1 => jobs.into_iter().for_each(|job| self.carry_out(vec![job])),
            Err(Failure::Begin(error) | Failure::Inside(error)) => {
                for job in jobs {
                    let wording = fault(job.what(), &self.options.path, &error);
                    job.answer(Err(wording));
                }
            }
            Err(Failure::Open(error)) => {
                let cause = error.to_string();
                let mut error = Some(error);
                for job in jobs {
                    let again = || Error::Connection {
                        what: job.what(),
                        whom: self.options.path.display().to_string(),
                        cause: cause.clone(),
                    };
                    let wording = error.take().unwrap_or_else(again);
                    job.answer(Err(wording));
                }
            }
        }
    }

    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let session = self.session()?;
        session.begin().map_err(Failure::Begin)?;
        let outcome = jobs.iter_mut().try_for_each(|job| job.run(session)).and_then(|()| session.commit());
        if let Err(error) = outcome {
            session.abandon();
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure) {
                self.session = None;
            }
            return Err(Failure::Inside(error));
        }
        Ok(())
    }

    /// The open connection, or a new one: after an I/O error, and when the file was removed or replaced, since what
    /// is written to the old one is lost.
    fn session(&mut self) -> Result<&Session, Failure> {
        if self.session.as_ref().is_some_and(|session| !session.is_current()) {
            tracing::warn!(
                file = %self.options.path.display(),
                "the queue's file was removed or replaced while in use; what it held is gone with it"
            );
            self.session = None;
        }
        if self.session.is_none() {
            self.session = Some(Session::open(self.options, Purpose::Worker).map_err(Failure::Open)?);
        }
        Ok(self.session.as_ref().expect("it was just opened"))
    }
}
