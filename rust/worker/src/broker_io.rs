//! Broker operations, each a task that reports back with a fact, and repeats itself with backoff until it is done.
//!
//! One fetch, one settlement batch and one publish batch are in flight at a time; what gathers meanwhile goes with
//! the next. So batches grow with the load by themselves, and an idle worker waits for nothing.

use std::collections::HashSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use fastworker_broker::lane;
use fastworker_broker::{
    AnyBroker, AnyStore, Broker, Error, EventMessage, Fanout, Heard, Join, Joined, LeaseTerms, Member, Part, Portion,
    Publish, Remains, ResultDoc, Settled, Settlement, Store, Tag, Verdict,
};
use fastworker_engine::{Ask, Handle};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::fact::{Fact, Settling};
use crate::worker::Author;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Parked messages are released by somebody at the latest so long after they are due.
const RELEASE_EVERY: Duration = Duration::from_secs(1);

/// The broker, the result store if it is another server, and where facts go.
pub(crate) struct BrokerIo<B = AnyBroker, S = AnyStore> {
    pub(crate) broker: Rc<B>,
    pub(crate) store: Option<Rc<S>>,
    pub(crate) facts: UnboundedSender<Fact>,
    /// Rung when the clocks were moved ahead.
    pub(crate) clock_moved: Rc<Notify>,
    /// Rung when the broker answers again after an outage.
    pub(crate) answers_again: Rc<Notify>,
}

impl<B, S> Clone for BrokerIo<B, S> {
    fn clone(&self) -> Self {
        BrokerIo {
            broker: Rc::clone(&self.broker),
            store: self.store.clone(),
            facts: self.facts.clone(),
            clock_moved: Rc::clone(&self.clock_moved),
            answers_again: Rc::clone(&self.answers_again),
        }
    }
}

/// A pause that doubles up to a bound.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff(FIRST_PAUSE)
    }

    pub(crate) async fn pause(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

impl<B: Broker + 'static, S: Store + 'static> BrokerIo<B, S> {
    fn tell(&self, fact: Fact) {
        // The loop outlives every task that tells it something, except while it is being torn down.
        let _torn_down = self.facts.send(fact);
    }

    /// Repeats `operation` until it succeeds, whatever the error: what is asked for must happen.
    async fn persist<T, F: Future<Output = Result<T, Error>>>(&self, operation: impl Fn() -> F) -> T {
        let mut backoff = Backoff::new();
        loop {
            match operation().await {
                Ok(value) => {
                    self.tell(Fact::Fine);
                    return value;
                }
                Err(error) => self.tell(Fact::Trouble(error)),
            }
            backoff.pause().await;
        }
    }

    pub(crate) fn fetch(&self, max: usize, portions: Vec<Portion>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let fetched = io.broker.fetch_within(max, &portions).await;
            let has_more = io.broker.has_more();
            io.tell(Fact::Fetched(fetched, has_more));
        });
    }

    /// `questions` are the engine's, in the order of `asks`.
    pub(crate) fn acquire(&self, asks: Vec<lane::Ask>, questions: Vec<Ask>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let granted = io.persist(|| io.broker.acquire(&asks)).await;
            io.tell(Fact::Acquired(questions, granted));
        });
    }

    pub(crate) fn draw(&self, max: usize, quotas: Vec<lane::Quota>, portions: Vec<Portion>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let drawn = io.broker.draw_within(max, &quotas, &portions).await;
            io.tell(Fact::Drawn(drawn));
        });
    }

    pub(crate) fn wait(&self) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            io.broker.wait().await;
            io.tell(Fact::Wake);
        });
    }

    pub(crate) fn record_attempt(&self, handle: Handle, tag: Tag, id: String, floor: u32) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let attempt = io.persist(|| io.broker.begin_attempt(tag, &id, floor)).await;
            io.tell(Fact::AttemptRecorded { handle, attempt });
        });
    }

    /// Settles a batch. Where results live elsewhere, the order is publish, store, acknowledge: a fault in between
    /// repeats work and drops none. Other states than SUCCESS are stored first: the next attempt of a task that is
    /// retried may have ended before its RETRY is stored, and an errback may ask for the failure.
    pub(crate) fn settle(&self, mut settlements: Vec<Settlement>, batch: Vec<Option<Settling>>, is_following: bool) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            if let Some(store) = &io.store {
                let successors: Vec<Publish> =
                    settlements.iter_mut().flat_map(|s| std::mem::take(&mut s.successors)).collect();
                let docs = settlements.iter_mut().filter_map(|s| s.result.take());
                let (successes, others): (Vec<ResultDoc>, Vec<ResultDoc>) = docs.partition(|doc| doc.is_success);
                if !others.is_empty() {
                    io.persist(|| store.store(&others)).await;
                }
                if !successors.is_empty() {
                    io.persist(|| io.broker.publish(&successors)).await;
                }
                if !successes.is_empty() {
                    io.persist(|| store.store(&successes)).await;
                }
                io.count(store, &mut settlements).await;
            }
            let has_work = |s: &Settlement| {
                !matches!(s.verdict, Verdict::Keep | Verdict::Acked)
                    || s.result.is_some()
                    || s.member.is_some()
                    || !s.successors.is_empty()
            };
            let Settled { lost, complete } = if settlements.iter().any(has_work) {
                io.persist(|| io.broker.settle_and_count(&settlements)).await
            } else {
                Settled::default()
            };
            let joins = complete.iter().filter_map(|at| Some(settlements[*at].member.as_ref()?.join())).collect();
            io.tell(Fact::Settled { batch, lost, joins, is_following });
        });
    }

    /// Counts members of chords in another store. Those that complete theirs leave the join with their message's end.
    async fn count(&self, store: &S, settlements: &mut [Settlement]) {
        let (at, parts): (Vec<usize>, Vec<Part>) = settlements
            .iter_mut()
            .enumerate()
            .filter_map(|(at, settlement)| match *settlement.member.take()? {
                Member::Part(part) => Some((at, part)),
                Member::Last(join) => {
                    settlement.member = Some(Box::new(Member::Last(join)));
                    None
                }
            })
            .unzip();
        if parts.is_empty() {
            return;
        }
        let complete = self.persist(|| store.count(&parts)).await;
        for (at, part) in at.into_iter().zip(&parts).zip(complete).filter_map(|(both, is_last)| is_last.then_some(both))
        {
            settlements[at].member = Some(Box::new(Member::Last(part.join())));
        }
    }

    /// Reads how the members of a chord ended. Its claim is made to last first: a worker of Celery's may have joined it, and
    /// nothing may follow from parts that are gone.
    pub(crate) fn read_parts(&self, join: Join) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let is_ours = match &io.store {
                Some(store) => io.persist(|| store.hold(&join)).await,
                None => io.persist(|| io.broker.hold(&join)).await,
            };
            if !is_ours {
                let remains = Remains::default();
                io.finish_join(Joined { join, messages: Vec::new(), results: Vec::new(), remains }, Vec::new());
                return;
            }
            let parts = match &io.store {
                Some(store) => io.persist(|| store.parts(&join.group_id)).await,
                None => io.persist(|| io.broker.parts(&join.group_id)).await,
            };
            io.tell(Fact::Parts { join, parts });
        });
    }

    /// Ends a join. Where results live elsewhere the body is published at least once.
    /// `members`: of other chords, that end with this one.
    pub(crate) fn finish_join(&self, mut joined: Joined, mut members: Vec<Settlement>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            // First: they may be counted again, and who takes the join over counts them again.
            if let Some(store) = &io.store {
                io.count(store, &mut members).await;
            }
            members.retain(|settlement| settlement.member.is_some());
            let mut joins = Vec::new();
            if !members.is_empty() {
                let settled = io.persist(|| io.broker.settle_and_count(&members)).await;
                joins.extend(settled.complete.iter().filter_map(|at| Some(members[*at].member.as_ref()?.join())));
            }
            if let Some(store) = &io.store {
                if !io.persist(|| store.hold(&joined.join)).await {
                    joined.messages.clear();
                    joined.results.clear();
                }
                let docs = std::mem::take(&mut joined.results);
                if !docs.is_empty() {
                    io.persist(|| store.store(&docs)).await;
                }
            }
            let is_done = io.persist(|| io.broker.finish_join(&joined)).await;
            if let Some(store) = &io.store {
                io.persist(|| store.forget(&joined.join, joined.remains)).await;
            }
            io.tell(Fact::JoinEnded { join: joined.join, is_done, joins });
        });
    }

    /// Publishes what tasks publish. A refusal ends it: the tasks fail.
    pub(crate) fn publish(&self, batch: Vec<Publish>, authors: Vec<Option<Author>>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let mut backoff = Backoff::new();
            let refusal = loop {
                match io.broker.publish(&batch).await {
                    Ok(()) => {
                        io.tell(Fact::Fine);
                        break None;
                    }
                    Err(error) if error.is_transient() => io.tell(Fact::Trouble(error)),
                    Err(error) => break Some(error.to_string()),
                }
                backoff.pause().await;
            };
            io.tell(Fact::Published { authors, refusal });
        });
    }

    /// Sends events, for as long as it takes; a refusal ends it.
    pub(crate) fn publish_events(&self, exchange: &str, batch: Vec<EventMessage>) {
        let (io, exchange) = (self.clone(), exchange.to_owned());
        tokio::task::spawn_local(async move {
            let mut backoff = Backoff::new();
            let sent = loop {
                match io.broker.publish_events(&exchange, &batch).await {
                    Err(error) if error.is_transient() => {}
                    sent => break sent,
                }
                tokio::select! {
                    () = backoff.pause() => {}
                    () = io.answers_again.notified() => {}
                }
            };
            io.tell(Fact::EventsSent(sent));
        });
    }

    /// Refreshes the leases, recovers dead workers' and releases parked messages, for ever.
    pub(crate) async fn keep_lease(self, terms: LeaseTerms) {
        loop {
            let asked = Instant::now();
            match timeout(terms.refresh, self.broker.heartbeat()).await {
                Ok(Ok(())) => {
                    self.tell(Fact::Fine);
                    self.tell(Fact::Refreshed { asked });
                    match self.broker.recover().await {
                        Ok(recovered) if recovered.messages > 0 => self.tell(Fact::Recovered(recovered)),
                        Ok(_) => {}
                        Err(error) => self.tell(Fact::Trouble(error)),
                    }
                    match self.broker.joins().await {
                        Ok(joins) if joins.is_empty() => {}
                        Ok(joins) => self.tell(Fact::Joins(joins)),
                        Err(error) => self.tell(Fact::Trouble(error)),
                    }
                }
                Ok(Err(error)) => self.tell(Fact::Trouble(error)),
                Err(_elapsed) => {}
            }
            tokio::select! {
                () = sleep(terms.refresh) => {}
                () = self.broker.severed() => self.tell(Fact::Severed),
            }
        }
    }

    /// Asks which of these leases are ours no more.
    pub(crate) fn look_after(&self, leases: Vec<(Handle, Tag)>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let tags: Vec<Tag> = leases.iter().map(|(_, tag)| *tag).collect();
            let lost: HashSet<Tag> = io.persist(|| io.broker.lost(&tags)).await.into_iter().collect();
            let lost = leases.into_iter().filter(|(_, tag)| lost.contains(tag));
            io.tell(Fact::LookedAfter { lost: lost.collect() });
        });
    }

    /// Hears broadcasts of remote control, for ever; after every gap reads what was revoked meanwhile. In an outage it
    /// tries again as soon as anything else is answered: work that goes on must be heard about.
    pub(crate) async fn listen(self, exchange: String) {
        let mut backoff = Backoff::new();
        let mut has_missed = false;
        loop {
            let heard = if has_missed {
                self.broker.revoked().await.map(Fact::Revoked)
            } else {
                match self.broker.listen(&exchange).await {
                    Ok(Heard::Message(message)) => Ok(Fact::Broadcast(message)),
                    Ok(Heard::Gap) => {
                        has_missed = true;
                        continue;
                    }
                    Err(error) => Err(error),
                }
            };
            match heard {
                Ok(fact) => {
                    self.tell(fact);
                    has_missed = false;
                    backoff = Backoff::new();
                }
                Err(error) => {
                    self.tell(Fact::Deaf(error));
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = self.answers_again.notified() => {}
                    }
                }
            }
        }
    }

    /// Gathers what programs of kombu publish to fanout exchanges, for ever.
    pub(crate) async fn gather(self) {
        let mut backoff = Backoff::new();
        loop {
            match self.broker.gather().await {
                Ok(_) => backoff = Backoff::new(),
                Err(error) => {
                    self.tell(Fact::Trouble(error));
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = self.answers_again.notified() => {}
                    }
                }
            }
        }
    }

    /// Enlists a queue for copies, and answers when that was tried: in an outage it may take long.
    pub(crate) fn enlist(&self, fanout: Fanout, answer: SyncSender<()>) {
        let io = self.clone();
        tokio::task::spawn_local(async move {
            let enlisted = io.broker.enlist(&fanout).await;
            // Whoever asked may have given up waiting.
            let _gone = answer.try_send(());
            if let Err(error) = enlisted {
                io.tell(Fact::Trouble(error));
                io.persist(|| io.broker.enlist(&fanout)).await;
            }
        });
    }

    /// Puts parked messages back a little before they are due: the last moments are waited out in a worker.
    pub(crate) async fn release_parked(self, ahead_ms: i64) {
        loop {
            let horizon_ms = clock::wall_us() / 1000 + ahead_ms;
            let pause = match self.broker.release_due(horizon_ms).await {
                Ok(next) => next.map_or(RELEASE_EVERY, |due_ms| {
                    Duration::from_millis((due_ms - horizon_ms).max(10) as u64).min(RELEASE_EVERY)
                }),
                Err(error) => {
                    self.tell(Fact::Trouble(error));
                    RELEASE_EVERY
                }
            };
            // Whoever moves the clock has moved something into reach.
            let _moved = timeout(pause, self.clock_moved.notified()).await;
        }
    }
}
