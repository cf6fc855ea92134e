//! A worker's connections to one server, and what it holds by them.
//!
//! There are two: a server that runs out of memory stops reading from connections that publish, and what we acknowledge
//! must get through even then. When anything of it breaks (a connection, or a channel), the whole session is over: its
//! leases are the server's again, its tags mean nothing any more, and the next call opens another one, which declares and
//! consumes anew.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use lapin::options::{BasicNackOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::declared::Declared;
use super::failure::{failed, late};
use super::held::Held;
use super::ledger::Ledger;
use super::line::Line;
use super::options::AmqpOptions;
use super::publisher::Publisher;
use super::steps::Step;
use crate::{Error, Join};

/// What outlives a session.
pub(super) struct Owner {
    pub(super) options: AmqpOptions,
    /// Random, of this `Broker` value.
    pub(super) incarnation: String,
    /// Something may be there to be fetched.
    pub(super) bell: Notify,
    /// A session is over.
    pub(super) severed: Notify,
    /// As `Broker::has_more` says it.
    pub(super) has_more: AtomicBool,
    /// How queues of our own for copies are declared, by their names.
    pub(super) copies: Mutex<HashMap<String, Vec<Step>>>,
}

impl Owner {
    /// How a queue is declared.
    pub(super) fn steps(&self, queue: &str) -> Vec<Step> {
        let copies = self.copies.lock().expect("nothing panics while it holds the list");
        copies.get(queue).cloned().unwrap_or_else(|| self.options.topology.steps(queue))
    }
}

/// One message that was delivered to us and is not acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    /// Index of its queue.
    pub(super) line: usize,
    /// The consumer that it came by; 0: none.
    pub(super) consumer: u64,
    /// The delivery tag by which it is acknowledged.
    pub(super) at: u64,
    pub(super) message: Bytes,
    pub(super) is_redelivered: bool,
    /// How often it was started, as far as that was written down.
    pub(super) attempts: u32,
    /// How often its quorum queue has given it back.
    pub(super) returns: u32,
    /// It lies in our own queue, with its record.
    pub(super) is_held: bool,
}

/// What a session holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) lines: Vec<Line>,
    /// By the number in their tag.
    pub(super) leases: BTreeMap<u64, Lease>,
    /// Of every delivery of the tasks' channel.
    pub(super) ledger: Ledger,
    /// How many of those came by each consumer.
    pub(super) outstanding: HashMap<u64, u32>,
    /// Delivered, and no messages at all.
    pub(super) junk: Vec<u64>,
    /// Whose turn it is among queues of one priority.
    pub(super) turn: usize,
    pub(super) consumers: u64,
    /// By group.
    pub(super) joins: HashMap<String, (Join, u64)>,
}

/// Two connections and a channel on each.
pub(super) struct Session {
    pub(super) owner: Arc<Owner>,
    /// Counts sessions; part of every tag.
    pub(super) number: u64,
    pub(super) consuming: Arc<Connection>,
    /// Deliveries and their acknowledgements.
    pub(super) tasks: Channel,
    pub(super) publisher: Publisher,
    /// Events; opened with the first.
    pub(super) telling: tokio::sync::OnceCell<Channel>,
    pub(super) state: Mutex<State>,
    /// A delivery has come.
    pub(super) came: Notify,
    /// Something waits to be acknowledged.
    pub(super) has_acks: Arc<Notify>,
    /// Held by who starts and stops consumers.
    pub(super) steering: tokio::sync::Mutex<()>,
    pub(super) held: Held,
    is_over: AtomicBool,
    pub(super) declared: Mutex<Declared>,
}

impl Session {
    /// Connects to the first server that answers, and declares these queues.
    pub(super) async fn open(owner: &Arc<Owner>, number: u64, queues: &[String]) -> Result<Arc<Session>, Error> {
        let options = &owner.options;
        let mut last = None;
        for server in &options.servers {
            let whom = &options.masked;
            let opening = Session::connect(owner, server, number);
            match timeout(options.connect_timeout * 2, opening).await {
                Ok(Ok(session)) => {
                    for queue in queues {
                        session.add(queue).await?;
                    }
                    session.offer_delays(queues).await;
                    session.prepare_held().await?;
                    session.watch_idle_lines();
                    session.pace_acks();
                    return Ok(session);
                }
                Ok(Err(error)) => last = Some(failed("connect", whom, &error)),
                Err(_elapsed) => last = Some(late("connect", whom, options.connect_timeout * 2)),
            }
        }
        Err(last.expect("at least one server is named"))
    }

    async fn connect(owner: &Arc<Owner>, server: &AMQPUri, number: u64) -> Result<Arc<Session>, lapin::Error> {
        let consuming = Arc::new(open(server, &owner.options).await?);
        let publishing = Arc::new(open(server, &owner.options).await?);
        let tasks = consuming.create_channel().await?;
        let out = publishing.create_channel().await?;
        out.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Arc::new(Session {
            owner: Arc::clone(owner),
            number,
            consuming,
            tasks,
            publisher: Publisher::new(publishing, out),
            telling: tokio::sync::OnceCell::new(),
            state: Mutex::default(),
            came: Notify::new(),
            has_acks: Arc::default(),
            steering: tokio::sync::Mutex::default(),
            held: Held::new(&owner.incarnation, number),
            is_over: AtomicBool::new(false),
            declared: Mutex::default(),
        }))
    }

    /// A further channel beside the tasks'.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        self.within("open a channel", self.consuming.create_channel()).await
    }

    /// A further channel beside the one that publishes, whose messages are confirmed too.
    pub(super) async fn confirming_channel(&self) -> Result<Channel, Error> {
        let opening = async {
            let channel = self.publisher.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        self.within("open a channel", opening).await
    }

    /// The server lets publishers wait: it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.publisher.connection.status().blocked()
    }

    /// Whether all of it works, as far as is known.
    pub(super) fn is_alive(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
            && self.consuming.status().connected()
            && self.publisher.connection.status().connected()
            && self.tasks.status().connected()
            && self.publisher.channel.status().connected()
    }

    /// Something broke. Whoever waits goes and looks. What was delivered, and is going to be, goes back at once, although
    /// something may wait for an answer of this session yet.
    pub(super) fn end(&self) {
        if !self.is_over.swap(true, Ordering::AcqRel) {
            leave(&self.consuming);
            self.held.end();
            self.has_acks.notify_one();
            self.owner.severed.notify_one();
            self.owner.bell.notify_one();
        }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// One more queue, declared.
    pub(super) async fn add(&self, queue: &str) -> Result<(), Error> {
        let steps = self.owner.steps(queue);
        self.declare(&steps).await?;
        let is_kept = steps.iter().any(Step::goes_unused);
        let mut state = self.state();
        if !state.lines.iter().any(|line| line.name == queue) {
            state.lines.push(Line::new(queue, is_kept));
        }
        Ok(())
    }

    /// Waits for an answer on the tasks' channel, for as long as one may take. An error ends the session: the server has
    /// closed the channel by it.
    pub(super) async fn within<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, Error> {
        let options = &self.owner.options;
        let done = match timeout(options.response_timeout, call).await {
            Ok(done) => done.map_err(|error| failed(what, &options.masked, &error)),
            Err(_elapsed) => Err(late(what, &options.masked, options.response_timeout)),
        };
        if done.is_err() {
            self.end();
        }
        done
    }

    /// Gives deliveries back to the front of their queues, which marks them.
    pub(super) async fn nack(&self, tags: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        let tags = self.state().ledger.end(tags);
        self.nack_ended(tags).await
    }

    /// The same of what has left the ledger just now.
    pub(super) async fn nack_ended(&self, tags: Vec<u64>) -> Result<(), Error> {
        self.refuse("give back", tags, BasicNackOptions { multiple: false, requeue: true }).await
    }

    /// Has the user's own dead letter exchange take deliveries.
    pub(super) async fn reject(&self, tags: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        let tags = self.state().ledger.end(tags);
        self.refuse("reject", tags, BasicNackOptions { multiple: false, requeue: false }).await
    }

    async fn refuse(&self, what: &'static str, tags: Vec<u64>, options: BasicNackOptions) -> Result<(), Error> {
        if tags.is_empty() {
            return Ok(());
        }
        let nacks = tags.into_iter().map(|tag| self.tasks.basic_nack(tag, options));
        self.within(what, async { join_all(nacks).await.into_iter().collect() }).await
    }

    /// Waits until the server has done all that the tasks' channel asked for.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        self.within("acknowledge", self.tasks.basic_qos(0, BasicQosOptions::default())).await
    }

    /// Says goodbye: the server takes back at once what is still held.
    pub(super) async fn close(&self) {
        // While the session still counts as alive. If it is broken, the server has all back, and others run it again.
        let _broken = self.send_acks(true).await;
        self.is_over.store(true, Ordering::Release);
        self.has_acks.notify_one();
        let within = self.owner.options.response_timeout;
        let _late = timeout(within, self.consuming.close(200, "OK".into())).await;
        // One that the server blocks would not answer.
        if !self.publisher.connection.status().blocked() {
            let _late = timeout(within, self.publisher.connection.close(200, "OK".into())).await;
        }
    }
}

impl Drop for Session {
    /// The library keeps a connection open for as long as it has consumers: it is told.
    fn drop(&mut self) {
        self.end();
        leave(&self.publisher.connection);
    }
}

/// Closes a connection, for nobody to wait for.
fn leave(connection: &Arc<Connection>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let connection = Arc::clone(connection);
    runtime.spawn(async move {
        let _gone = connection.close(200, "OK".into()).await;
    });
}

async fn open(server: &AMQPUri, options: &AmqpOptions) -> Result<Connection, lapin::Error> {
    crate::tls::install_provider();
    let properties = ConnectionProperties::default()
        .with_connection_name("fastworker".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    DefaultConnectionBuilder::new()?
        .with_uri(server.clone())
        .with_properties(properties)
        .with_tls_config(options.tls.clone())
        .connect()
        .await
}
