//! The async face of the embedded broker: each call becomes an operation for the writing thread.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::fetch::{self, Request, Tags};
use super::file::Purpose;
use super::lease::{self, Owner};
use super::options::SqliteOptions;
use super::process::Process;
use super::recover;
use super::session::Session;
use super::wake::{AsyncEar, Bell};
use super::writer::Writer;
use super::{control, fanout, join, lane, park, publish, results, settle};
use crate::clock::now_ms;
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::vigil::Vigil;
use crate::{
    Broker, Delivery, Error, Fanout, Heard, Join, Joined, LeaseTerms, Parts, Portion, Publish, Recovered, ResultDoc,
    Revocation, Settled, Settlement, Tag,
};

/// A worker's connection to a queue in a SQLite file.
#[derive(Debug)]
pub struct SqliteBroker {
    writer: Writer,
    owner: Arc<Owner>,
    queues: RefCell<Arc<[String]>>,
    /// By queue: the last fetch left no room in it, so that what waits there wakes nobody.
    full: RefCell<Vec<bool>>,
    options: SqliteOptions,
    ear: AsyncEar,
    control_ear: AsyncEar,
    /// The last broadcast that was heard; `None` before the first look.
    heard: Cell<Option<i64>>,
    /// For the looks that need no write lock. `None` until the first one, and after an error.
    reader: RefCell<Option<Session>>,
    vigil: Arc<Mutex<Vigil>>,
    /// Our queues for copies.
    enlisted: RefCell<Vec<Fanout>>,
    next_tag: Cell<u64>,
    turn: Cell<usize>,
    /// Tags of fetches whose answer was not received: the future was dropped, or the commit's fate is unknown.
    unclaimed: RefCell<Vec<Tags>>,
}

impl SqliteBroker {
    /// Opens (or creates) the file, as a new incarnation that watches `queues`. To be called on the runtime that will
    /// use the value.
    pub async fn connect(options: SqliteOptions, queues: &[String], terms: LeaseTerms) -> Result<SqliteBroker, Error> {
        let owner = Arc::new(Owner { id: incarnation(&options)?, life: terms.life, process: Process::current() });
        let writer = Writer::start(options.clone()).await?;
        let own = Arc::clone(&owner);
        writer.run("connect", move |session| lease::register(session, &own)).await?;
        Ok(SqliteBroker {
            writer,
            owner,
            queues: RefCell::new(queues.into()),
            full: RefCell::default(),
            ear: AsyncEar::new(&options.path, Bell::Ready),
            control_ear: AsyncEar::new(&options.path, Bell::Control),
            heard: Cell::new(None),
            options,
            reader: RefCell::new(None),
            enlisted: RefCell::default(),
            vigil: Arc::new(Mutex::new(Vigil::new(terms.refresh))),
            next_tag: Cell::new(1),
            turn: Cell::new(0),
            unclaimed: RefCell::default(),
        })
    }

    /// Runs `look` on the reading connection, opening it when there is none or when the file was replaced.
    fn read<T>(&self, what: &'static str, look: impl FnOnce(&Session) -> rusqlite::Result<T>) -> Result<T, Error> {
        let mut reader = self.reader.borrow_mut();
        let session = match reader.take().filter(Session::is_current) {
            Some(session) => session,
            None => Session::open(&self.options, Purpose::Client)?,
        };
        let found = session.read(what, look)?;
        *reader = Some(session);
        Ok(found)
    }

    /// The list as it is now; it only grows.
    fn queues(&self) -> Arc<[String]> {
        Arc::clone(&self.queues.borrow())
    }

    fn has_waiting(&self) -> Result<bool, Error> {
        self.read("wait", |session| {
            let mut statement = session.sql.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM ready WHERE queue = (SELECT id FROM queues WHERE name = ?1))
                    AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'paused:' || ?1)",
            )?;
            let full = self.full.borrow();
            for (index, queue) in self.queues().iter().enumerate() {
                let is_full = full.get(index).is_some_and(|is_full| *is_full);
                if !is_full && statement.query_row([queue], |row| row.get(0))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

/// Random and positive.
fn incarnation(options: &SqliteOptions) -> Result<i64, Error> {
    getrandom::u64().map(|random| (random >> 1) as i64).map_err(|error| Error::Refused {
        what: "connect",
        whom: options.path.display().to_string(),
        cause: format!("the system has no random numbers: {error}"),
    })
}

impl Broker for SqliteBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        let batch = batch.to_vec();
        self.writer.run("publish", move |session| publish::publish(session, &batch)).await
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        let queues = self.queues();
        if max == 0 || queues.is_empty() {
            return Ok(Vec::new());
        }
        let answer = Answer::expect(self, max);
        let request = Request {
            owner: Arc::clone(&self.owner),
            queues,
            max,
            first_tag: answer.fresh.0,
            turn: self.turn.replace(self.turn.get().wrapping_add(1)),
            order: self.options.order,
            portions: portions.to_vec(),
            unclaimed: answer.unclaimed.clone(),
        };
        let fetched = self.writer.run("fetch", move |session| fetch::fetch(session, &request)).await?;
        answer.arrived(fetched.unclaimed);
        self.full.replace(fetched.full);
        Ok(fetched.deliveries)
    }

    fn watch(&self, queue: &str) {
        let mut queues = self.queues.borrow_mut();
        if !queues.iter().any(|watched| watched == queue) {
            *queues = queues.iter().cloned().chain([queue.to_owned()]).collect();
        }
    }

    async fn wait(&self) {
        // An error resolves too: the next fetch meets it, and reports it.
        while let Ok(false) = self.has_waiting() {
            self.ear.sleep().await;
        }
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        let (owner, batch) = (self.owner.id, batch.to_vec());
        self.writer.run("settle", move |session| settle::settle(session, owner, &batch)).await
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        if !self.read("look for joins", join::has_joins)? {
            return Ok(Vec::new());
        }
        let owner = self.owner.id;
        self.writer.run("look for joins", move |session| join::joins(session, owner)).await
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        self.read("read a chord's parts", |session| join::parts(session, group_id, now_ms()))
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        let joined = joined.clone();
        self.writer.run("end a join", move |session| join::finish(session, &joined, now_ms())).await
    }

    async fn begin_attempt(&self, tag: Tag, _message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        let owner = self.owner.id;
        self.writer.run("begin_attempt", move |session| lease::begin_attempt(session, owner, tag.0, floor)).await
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        let owner = self.owner.id;
        self.read("look after leases", |session| {
            let mut lost = Vec::new();
            for &tag in tags {
                if lease::find(session, owner, tag.0)?.is_none() {
                    lost.push(tag);
                }
            }
            Ok(lost)
        })
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        let (owner, enlisted) = (Arc::clone(&self.owner), self.enlisted.borrow().clone());
        self.writer
            .run("heartbeat", move |session| {
                lease::beat(session, &owner)?;
                fanout::enlist(session, &enlisted)?;
                results::sweep_idle(session, now_ms())
            })
            .await
    }

    async fn recover(&self) -> Result<Recovered, Error> {
        if !self.read("recover", |session| recover::has_others(session, self.owner.id))? {
            return Ok(Recovered::default());
        }
        let (owner, vigil) = (Arc::clone(&self.owner), Arc::clone(&self.vigil));
        self.writer
            .run("recover", move |session| {
                let mut vigil = vigil.lock().unwrap_or_else(PoisonError::into_inner);
                recover::recover(&mut vigil, session, &owner, Instant::now())
            })
            .await
    }

    async fn release_due(&self, now_ms: i64) -> Result<Option<i64>, Error> {
        let queues = self.queues();
        if self.read("release_due", |session| lane::has_abandoned(session, &queues))? {
            self.writer.run("release_due", move |session| lane::release_abandoned(session, &queues)).await?;
        }
        let next = self.read("release_due", park::next_due)?;
        if next.is_none_or(|due_ms| due_ms > now_ms) {
            return Ok(next);
        }
        self.writer.run("release_due", move |session| park::release_due(session, now_ms)).await
    }

    async fn acquire(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        let (owner, asks) = (self.owner.id, asks.to_vec());
        self.writer.run("acquire", move |session| lane::acquire(session, owner, &asks)).await
    }

    async fn draw_within(&self, max: usize, quotas: &[Quota], portions: &[Portion]) -> Result<Drawn, Error> {
        let queues = self.queues();
        if max == 0 || queues.is_empty() {
            return Ok(Drawn::default());
        }
        let answer = Answer::expect(self, max);
        let request = lane::Request {
            owner: Arc::clone(&self.owner),
            queues,
            max,
            first_tag: answer.fresh.0,
            turn: self.turn.replace(self.turn.get().wrapping_add(1)),
            quotas: quotas.to_vec(),
            portions: portions.to_vec(),
        };
        let drawn = self.writer.run("draw", move |session| lane::draw(session, &request)).await?;
        let unclaimed = answer.unclaimed.clone();
        answer.arrived(unclaimed);
        Ok(drawn)
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        let batch = batch.to_vec();
        self.writer.run("store", move |session| results::store(session, &batch, now_ms())).await
    }

    async fn listen(&self, exchange: &str) -> Result<Heard, Error> {
        const WHAT: &str = "listen to remote control";
        let Some(seq) = self.heard.get() else {
            self.heard.set(Some(self.read(WHAT, control::last_seq)?));
            return Ok(Heard::Gap);
        };
        loop {
            match self.read(WHAT, |session| control::next(session, exchange, seq)) {
                Ok(Some((next, message))) => {
                    self.heard.set(Some(next));
                    return Ok(Heard::Message(message));
                }
                Ok(None) => self.control_ear.sleep().await,
                Err(error) => {
                    self.heard.set(None);
                    return Err(error);
                }
            }
            // A file that was replaced counts from the beginning.
            let last = self.read(WHAT, control::last_seq)?;
            if last < seq {
                self.heard.set(Some(last));
                return Ok(Heard::Gap);
            }
        }
    }

    async fn enlist(&self, fanout: &Fanout) -> Result<(), Error> {
        if !self.enlisted.borrow().contains(fanout) {
            self.enlisted.borrow_mut().push(fanout.clone());
        }
        let fanout = fanout.clone();
        self.writer
            .run("enlist for copies", move |session| fanout::enlist(session, std::slice::from_ref(&fanout)))
            .await
    }

    /// Who publishes puts every copy into its queue.
    async fn gather(&self) -> Result<bool, Error> {
        std::future::pending().await
    }

    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        self.read("read what was revoked", control::revoked)
    }

    async fn close(&self) -> Result<(), Error> {
        let owner = self.owner.id;
        self.writer.run("close", move |session| lease::give_back(session, owner, false).map(drop)).await
    }
}

/// A fetch that waits for its answer. When it goes without one (an error, or the caller dropped the future), its tags
/// are left for the next fetch to claim, since messages may be leased under them.
struct Answer<'a> {
    broker: &'a SqliteBroker,
    fresh: Tags,
    unclaimed: Vec<Tags>,
    has_arrived: bool,
}

impl<'a> Answer<'a> {
    /// Takes over what earlier fetches left, and draws `max` new tags.
    fn expect(broker: &'a SqliteBroker, max: usize) -> Answer<'a> {
        let first = broker.next_tag.get();
        broker.next_tag.set(first + max as u64);
        Answer {
            broker,
            fresh: (first, first + max as u64 - 1),
            unclaimed: broker.unclaimed.take(),
            has_arrived: false,
        }
    }

    /// Everything was received but what is still under `unclaimed`.
    fn arrived(mut self, unclaimed: Vec<Tags>) {
        self.unclaimed = unclaimed;
        self.has_arrived = true;
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let mut left = self.broker.unclaimed.borrow_mut();
        let fresh = (!self.has_arrived).then_some(self.fresh);
        for (first, last) in self.unclaimed.drain(..).chain(fresh) {
            // Neighbours become one, so that a day of failing fetches leaves one entry.
            match left.last_mut() {
                Some(before) if before.1 + 1 == first => before.1 = last,
                _ => left.push((first, last)),
            }
        }
    }
}
