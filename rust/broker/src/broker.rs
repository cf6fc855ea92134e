//! The contract between a worker and its broker.
//!
//! A worker *fetches* messages into its *lease*, runs them, and *settles* them. A message is always in exactly one
//! place: waiting in a queue or a lane, parked until it is due, leased by one worker incarnation, or in the dead letters. Every
//! operation below moves it from one place to another in one atomic step on the server, so that a `kill -9` between
//! any two instructions of ours loses nothing.
//!
//! ```text
//!             publish                fetch                 settle(Ack)
//!   producer ────────▶ queue ───────────────────▶ lease ───────────────▶ gone (+ result, + successors)
//!                        ▲  ▲                      │ │ └─ settle(DeadLetter) ─▶ dead letters
//!                        │  └── settle(Return) ────┘ └─── settle(Park) ─▶ parked
//!                        └── recover (owner is dead) · release_due (parked and due)
//!
//!   lease ─── acquire (over its rate) · settle(Lane) ──▶ lane ─── draw ──▶ lease
//!   parked ── release (by a client) ──▶ queue · cancel (by a client) ──▶ gone (+ result)
//! ```
//!
//! **Lanes** are where messages wait that are over a rate limit: one for each queue, task and key, most urgent first,
//! then in order. They hold nobody's credit and belong to nobody: whoever has a permit draws from them (`lane.rs`).
//!
//! **Owners are incarnations.** Each connected `Broker` value draws a random incarnation id. Its leases carry it, and
//! a heartbeat for it lives on the server for `LeaseTerms::life`. A recoverer acts on a foreign incarnation only after
//! *it* has seen that incarnation absent for a full lease life on its own unbroken connection.
//!
//! **Replies get lost.** Every operation is safe to repeat. `fetch` chooses its tags on the client, so that an
//! implementation that lost a reply reads back exactly those tags at the next `fetch` and hands them out then.
//! `settle` is conditional on still owning the lease wherever repeating it would show (successors, non-SUCCESS
//! results, redeliveries).

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::{Error, EventMessage, Fanout, Heard, Join, Joined, Member, Parts, Portion, Revocation};

/// Names one leased message; chosen by the implementation, meaningless to others, never reused by one `Broker` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// One message on its way to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The queue's name, as the user spelled it.
    pub queue: String,
    /// 0..=9. 0 is the most urgent, on every broker of ours (Celery's meaning on Redis).
    pub priority: u8,
    /// The whole envelope (kombu's JSON), as bytes that no broker looks into.
    pub message: Bytes,
}

/// One leased message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Names the lease in later calls.
    pub tag: Tag,
    /// Index into the queue list given at connect time, continued by [`Broker::watch`].
    pub queue: u16,
    /// The envelope as it was published.
    pub message: Bytes,
    /// The broker knows that it was handed out before (recovered from a dead worker, or settled with
    /// `Return { is_redelivery: true }`). Implementations may instead mark the envelope (Redis does, as kombu does:
    /// `headers.redelivered`); the decode station takes the OR of both.
    pub is_redelivered: bool,
}

/// The final (or intermediate) state of a task, as the result store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultDoc {
    /// The task's id.
    pub task_id: String,
    /// The document, already serialised.
    pub doc: Bytes,
    /// Whether the document's status is SUCCESS. A stored SUCCESS is never overwritten by something else.
    pub is_success: bool,
    /// Seconds to keep it; `None` keeps it for ever.
    pub ttl_s: Option<u64>,
    /// Where results are messages: whose they are. Stores have no use for it.
    pub reply: Option<Box<ReplyTo>>,
}

/// Who asked for a result that is a message to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The client's queue.
    pub queue: String,
    /// By which the client knows what it is the answer to.
    pub correlation_id: String,
}

/// What becomes of a leased message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done: remove it.
    Ack,
    /// About to be done, and gone from now on (`acks_late=False`). Unlike `Ack` it matters who does it: the task runs if
    /// it was us, be it in a try whose answer was lost, and not if the lease was lost before.
    EarlyAck,
    /// Keep the lease; only store the result or publish the successors (STARTED, early acks that failed later).
    Keep,
    /// Already acknowledged earlier (early ack): nothing is leased; store the result and publish the successors.
    Acked,
    /// Back to the front of its queue, where it is fetched next.
    Return {
        /// False: it was never started and looks as if it had never been fetched. True: mark it redelivered.
        is_redelivery: bool,
    },
    /// The same as `Return { is_redelivery: true }`, because the task asked for it: it ended in good order, so the record
    /// of its started attempts is removed.
    Requeue,
    /// Out of the queue until `due_ms` (Unix time, milliseconds); then `release_due` of any worker puts it back.
    Park {
        /// When it is due, Unix time in milliseconds.
        due_ms: i64,
    },
    /// To the lane of its task in which messages wait for a permit of any one worker (`Quota::worker`). The task's name.
    Lane {
        /// Registered name.
        task: String,
    },
    /// To the dead letters, with the reason in a few words (`unknown task`, `worker lost`) and details for a person.
    DeadLetter {
        /// A short fixed phrase, for grouping.
        reason: String,
        /// One line for a person: what, where, what to do.
        detail: String,
    },
}

/// One message's ending: everything in it happens in one atomic step when the result store is the same server.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which lease.
    pub tag: Tag,
    /// The message's id (the task id), so that the record of its started attempts can be removed with it, and so
    /// that dead letters can be found by it. `None` when the message could not be decoded.
    pub message_id: Option<String>,
    /// True when `begin_attempt` was called for it: then Ack, Requeue and DeadLetter also remove that record.
    pub has_attempts: bool,
    /// What becomes of the message.
    pub verdict: Verdict,
    /// Stored in the same step, when the result store is this server.
    pub result: Option<ResultDoc>,
    /// Published in the same step. Only if the lease was still ours.
    pub successors: Vec<Publish>,
    /// Counted in the same step, if the message was one of a chord's header. Only if the lease was still ours.
    pub member: Option<Box<Member>>,
}

/// What became of settlements; indices into their batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whose lease was no longer ours: for these nothing was done, except that a SUCCESS result was stored.
    pub lost: Vec<usize>,
    /// Which completed a chord: their joins are ours now.
    pub complete: Vec<usize>,
}

/// What `recover` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages put back to the front of their queues, marked redelivered.
    pub messages: u64,
    /// Incarnations that were declared dead.
    pub owners: u64,
}

/// How long leases live, and how often they are refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// A worker whose heartbeat is absent this long is dead. Default 10 s.
    pub life: Duration,
    /// How often `heartbeat` is called. A third of `life`.
    pub refresh: Duration,
}

/// A worker's connection to one broker. All methods take `&self` and may be in flight at the same time.
///
/// Every error that `is_transient` leaves the value usable: the next call reconnects. The caller does the backing off.
pub trait Broker {
    /// Publishes all of `batch`; returns once the server has confirmed every one. On an error none, some or all may
    /// have been published: the caller repeats the batch (at least once).
    fn publish(&self, batch: &[Publish]) -> impl Future<Output = Result<(), Error>>;

    /// Moves up to `max` messages from the watched queues to our lease, most urgent first (priority before queue;
    /// queues of one priority take turns), and returns them. Empty when nothing waits; never blocks for messages.
    /// Whatever is not a JSON object goes to the dead letters here, in the same atomic step, and is not returned.
    fn fetch(&self, max: usize) -> impl Future<Output = Result<Vec<Delivery>, Error>> {
        self.fetch_within(max, &[])
    }

    /// The same within bounds: `portions` has one for each watched queue, or is empty, which means no bounds. Queues
    /// that are paused ([`crate::Control::pause_queue`]) give nothing. What an earlier fetch took under a lost answer
    /// comes all the same.
    fn fetch_within(&self, max: usize, portions: &[Portion]) -> impl Future<Output = Result<Vec<Delivery>, Error>>;

    /// Whether the last fetch that brought something, and less than it was asked for, left some: they are on their way.
    fn has_more(&self) -> bool {
        false
    }

    /// Watches one more queue, at the end of the list; nothing happens if it is there.
    fn watch(&self, queue: &str);

    /// Resolves when a watched queue may have become non-empty since the last `fetch` that came back short, or was
    /// resumed. What waits in a paused queue, or in one that had no room left in the last fetch, does not count. May
    /// resolve spuriously; never sleeps through a publish for more than about a second.
    fn wait(&self) -> impl Future<Output = ()>;

    /// Resolves when all leases were lost at once, with the connection that held them. What was begun before is another
    /// worker's now; [`lost`](Broker::lost) tells which that is.
    fn severed(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Whether the server may go on taking acknowledgements while it takes no messages (RabbitMQ that is short of memory or
    /// disk): what only acknowledges is then not to wait for what publishes.
    fn may_block_publishers(&self) -> bool {
        false
    }

    /// Carries out every settlement; one round trip for the whole batch. Returns the indices whose lease was no
    /// longer ours: for these nothing was done, except that a SUCCESS result was stored.
    fn settle(&self, batch: &[Settlement]) -> impl Future<Output = Result<Vec<usize>, Error>> {
        async { Ok(self.settle_and_count(batch).await?.lost) }
    }

    /// The same; says also which of them completed a chord. When the answer is lost, [`joins`](Broker::joins) tells.
    fn settle_and_count(&self, batch: &[Settlement]) -> impl Future<Output = Result<Settled, Error>>;

    /// Joins of ours that were not ended, those of dead owners included, which are ours from now on. To be called after
    /// `recover`.
    fn joins(&self) -> impl Future<Output = Result<Vec<Join>, Error>>;

    /// Makes the claim of a join last where results live on another server ([`Store::hold`](crate::Store::hold)). False: the
    /// chord is somebody else's by now.
    fn hold(&self, _join: &Join) -> impl Future<Output = Result<bool, Error>> {
        std::future::ready(Ok(true))
    }

    /// How the members of a chord ended.
    fn parts(&self, group_id: &str) -> impl Future<Output = Result<Parts, Error>>;

    /// Ends a join in one step: publishes, stores states, and forgets the chord. False: it had been ended before, or the
    /// chord was begun anew; nothing was done.
    fn finish_join(&self, joined: &Joined) -> impl Future<Output = Result<bool, Error>>;

    /// Counts one started attempt of a redelivered message, durably, and returns its number: `max(stored, floor) + 1`.
    /// `None`: the lease was no longer ours, and nothing was counted.
    fn begin_attempt(&self, tag: Tag, message_id: &str, floor: u32)
    -> impl Future<Output = Result<Option<u32>, Error>>;

    /// Which of these leases are ours no more. Asked after a `heartbeat` that came late: others may have taken us for
    /// dead, and since that heartbeat nobody does.
    fn lost(&self, tags: &[Tag]) -> impl Future<Output = Result<Vec<Tag>, Error>>;

    /// Refreshes our heartbeat and the life of all our leases.
    fn heartbeat(&self) -> impl Future<Output = Result<(), Error>>;

    /// Puts back what dead workers held. Called every `refresh`; cheap when there is nothing to do.
    fn recover(&self) -> impl Future<Output = Result<Recovered, Error>>;

    /// Puts parked messages that are due (`now_ms`) back to the front of their queues, and says when the next one is
    /// due (Unix ms), if that is known. Also puts back lanes of the watched queues that nobody has drawn from for
    /// `lane::ABANDONED_AFTER`: no living worker has their limit any more.
    fn release_due(&self, now_ms: i64) -> impl Future<Output = Result<Option<i64>, Error>>;

    /// Asks for permits of limits that all workers share. In one step for each `Ask`, its messages are granted a permit
    /// or moved to the lane of their key; what is no longer ours gets none, so that nobody runs what others have or
    /// wait for. Answers in the order of `asks`. Repeating it after a lost answer costs permits, and never grants too
    /// many.
    fn acquire(&self, asks: &[Ask]) -> impl Future<Output = Result<Vec<Granted>, Error>>;

    /// Moves up to `max` messages whose permit is there from the lanes of the watched queues to our lease, as `fetch`
    /// moves them from the queues. Lanes of tasks that are not among `quotas` are left alone.
    fn draw(&self, max: usize, quotas: &[Quota]) -> impl Future<Output = Result<Drawn, Error>> {
        self.draw_within(max, quotas, &[])
    }

    /// The same within the rooms of `portions`, as in `fetch_within`. What the answer says of lanes leaves out those of
    /// queues without room.
    fn draw_within(
        &self,
        max: usize,
        quotas: &[Quota],
        portions: &[Portion],
    ) -> impl Future<Output = Result<Drawn, Error>>;

    /// Stores results on their own (results live elsewhere than the broker, or a state without a message).
    fn store(&self, batch: &[ResultDoc]) -> impl Future<Output = Result<(), Error>>;

    /// Resolves with the next broadcast on a control exchange, such as `celery.pidbox`. The first call, and the first
    /// after an error, resolves with [`Heard::Gap`] as soon as broadcasts are heard. One call at a time; a dropped
    /// future loses nothing.
    fn listen(&self, exchange: &str) -> impl Future<Output = Result<Heard, Error>>;

    /// Sends events to whoever listens on their exchange, such as `celeryev`. Nobody keeps them, and nobody confirms that
    /// somebody has heard them. Says of each message whether anybody may have: false means that it reached nobody, and that
    /// one with its routing key that was sent instead of it would have reached nobody. A broker that nobody can listen to
    /// drops them.
    fn publish_events(&self, exchange: &str, batch: &[EventMessage]) -> impl Future<Output = Result<Vec<bool>, Error>> {
        let _nobody_listens = exchange;
        std::future::ready(Ok(vec![false; batch.len()]))
    }

    /// Enlists a queue of ours for copies of what is published to a fanout exchange (`fanout.rs`); `heartbeat` does it
    /// again from then on. It has to be watched besides.
    fn enlist(&self, fanout: &Fanout) -> impl Future<Output = Result<(), Error>>;

    /// Puts what others announce on the exchanges of enlisted queues into these queues, where that has to be done; to be
    /// called again and again. Resolves with true when it listens to all that are enlisted, and with false when it has put
    /// something there. After an error it does not listen, and what is announced then is missed. A dropped future loses
    /// nothing.
    fn gather(&self) -> impl Future<Output = Result<bool, Error>>;

    /// What was revoked and is still remembered, oldest first.
    fn revoked(&self) -> impl Future<Output = Result<Vec<Revocation>, Error>>;

    /// Gives back every lease that is still ours (unstarted, unmarked) and removes the heartbeat. Last call.
    fn close(&self) -> impl Future<Output = Result<(), Error>>;
}
