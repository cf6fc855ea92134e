//! A worker's connections to one server, and what it holds by them.
//!
//! There are two: a server that runs out of memory stops reading from connections that publish, and what we acknowledge
//! must get through even then. When anything of it breaks (a connection, or a channel), the whole session is over: its
//! leases are the server's again, its tags mean nothing any more, and the next call opens another one, which declares and
//! consumes anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use lapin::options::{
    BasicAckOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeBindOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder, ExchangeKind};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::failure::{failed, late, missing};
use super::held::Held;
use super::letters;
use super::line::Line;
use super::message::{Outgoing, short};
use super::options::AmqpOptions;
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
    /// Every delivery tag that is not acknowledged.
    pub(super) unacked: BTreeSet<u64>,
    /// How many of those came by each consumer.
    pub(super) outstanding: HashMap<u64, u32>,
    /// Delivered, and no messages at all.
    pub(super) junk: Vec<u64>,
    /// Whose turn it is among queues of one priority.
    pub(super) turn: usize,
    pub(super) consumers: u64,
    pub(super) arrivals: u64,
    /// By group.
    pub(super) joins: HashMap<String, (Join, u64)>,
}

/// Two connections and a channel on each.
pub(super) struct Session {
    pub(super) owner: Arc<Owner>,
    /// Counts sessions; part of every tag.
    pub(super) number: u64,
    consuming: Arc<Connection>,
    publishing: Arc<Connection>,
    /// Deliveries and their acknowledgements.
    pub(super) tasks: Channel,
    /// Publishes, which are confirmed.
    out: Channel,
    pub(super) state: Mutex<State>,
    /// Held by who starts and stops consumers.
    pub(super) steering: tokio::sync::Mutex<()>,
    pub(super) held: Held,
    is_over: AtomicBool,
    declared: Mutex<HashSet<String>>,
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
                    session.prepare_held().await?;
                    session.watch_idle_lines();
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
            publishing,
            tasks,
            out,
            state: Mutex::default(),
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

    /// Whether all of it works, as far as is known.
    pub(super) fn is_alive(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
            && self.consuming.status().connected()
            && self.publishing.status().connected()
            && self.tasks.status().connected()
            && self.out.status().connected()
    }

    /// Something broke. Whoever waits goes and looks.
    pub(super) fn end(&self) {
        if !self.is_over.swap(true, Ordering::AcqRel) {
            self.owner.severed.notify_one();
            self.owner.bell.notify_one();
        }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// One more queue, declared.
    pub(super) async fn add(&self, queue: &str) -> Result<(), Error> {
        self.declare(&self.owner.steps(queue)).await?;
        let mut state = self.state();
        if !state.lines.iter().any(|line| line.name == queue) {
            state.lines.push(Line::new(queue));
        }
        Ok(())
    }

    /// Waits for an answer, for as long as one may take. An error ends the session, unless the server refused.
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

    /// Carries out declarations, each once in a session. A refusal closes a channel of its own only.
    pub(super) async fn declare(&self, steps: &[Step]) -> Result<(), Error> {
        let is_new = |step: &&Step| !self.declared.lock().expect("as above").contains(&format!("{step:?}"));
        let steps: Vec<&Step> = steps.iter().filter(is_new).collect();
        if steps.is_empty() {
            return Ok(());
        }
        for step in &steps {
            if let Some(name) = step.names().into_iter().find(|name| name.len() > 255) {
                let cause = format!("the name {name:?} has {} bytes: AMQP's names have at most 255", name.len());
                return Err(missing("declare", &self.owner.options.masked, &cause));
            }
        }
        let channel = self.channel().await?;
        let whom = &self.owner.options.masked;
        let within = self.owner.options.response_timeout;
        for step in &steps {
            match timeout(within, carry_out(&channel, step)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed("declare", whom, &error)),
                Err(_elapsed) => return Err(late("declare", whom, within)),
            }
            self.declared.lock().expect("as above").insert(format!("{step:?}"));
        }
        let _closed = channel.close(200, "OK".into()).await;
        Ok(())
    }

    /// Publishes all, and waits until every one is confirmed. A queue that is not there is declared. `(exchange, routing
    /// key, message)`; with the default exchange the key is the queue.
    pub(super) async fn publish(&self, batch: &[(String, String, Outgoing)]) -> Result<(), Error> {
        let all: Vec<usize> = (0..batch.len()).collect();
        let lost = self.publish_some(batch, &all).await?;
        if lost.is_empty() {
            return Ok(());
        }
        for place in &lost {
            let (exchange, key, _) = &batch[*place];
            match exchange.as_str() {
                "" if key == letters::QUEUE => self.declare(&[letters::declared()]).await?,
                "" => self.declare(&self.owner.steps(key)).await?,
                _ => {}
            }
        }
        match self.publish_some(batch, &lost).await?.first() {
            None => Ok(()),
            Some(place) => {
                let (exchange, key, _) = &batch[*place];
                let cause = format!("no queue is reached by exchange {exchange:?} and routing key {key:?}");
                Err(missing("publish", &self.owner.options.masked, &cause))
            }
        }
    }

    /// Returns the places of those that reach no queue.
    async fn publish_some(&self, batch: &[(String, String, Outgoing)], places: &[usize]) -> Result<Vec<usize>, Error> {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishing = async {
            let sent = try_join_all(places.iter().map(|place| {
                let (exchange, key, outgoing) = &batch[*place];
                let properties = outgoing.properties.clone();
                self.out.basic_publish(short(exchange), short(key), options, &outgoing.body, properties)
            }))
            .await?;
            try_join_all(sent).await
        };
        let confirmed = self.unless_blocked(publishing).await?;
        if confirmed.iter().any(lapin::Confirmation::is_nack) {
            let cause = "the server did not take a message: a queue is full, or a disk".to_owned();
            return Err(Error::Connection { what: "publish", whom: self.owner.options.masked.clone(), cause });
        }
        let returned =
            confirmed.into_iter().zip(places).filter(|(one, _)| matches!(one, lapin::Confirmation::Ack(Some(_))));
        Ok(returned.map(|(_, place)| *place).collect())
    }

    /// Waits for confirmations. A server that is short of memory or disk lets publishers wait, for as long as that takes, and
    /// goes on with everything else: so the session is not over.
    async fn unless_blocked<T>(&self, publishing: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, Error> {
        let options = &self.owner.options;
        let mut publishing = std::pin::pin!(publishing);
        loop {
            match timeout(options.response_timeout, &mut publishing).await {
                Err(_elapsed) if self.is_alive() && self.publishing.status().blocked() => {
                    tracing::warn!(whom = options.masked, "the server blocks publishers (memory or disk): waiting");
                }
                Err(_elapsed) => {
                    self.end();
                    return Err(late("publish", &options.masked, options.response_timeout));
                }
                Ok(done) => {
                    return done.map_err(|error| {
                        self.end();
                        failed("publish", &options.masked, &error)
                    });
                }
            }
        }
    }

    /// Acknowledges deliveries: those that are the oldest we have by one frame.
    pub(super) async fn ack(&self, tags: &BTreeSet<u64>) -> Result<(), Error> {
        let (up_to, single) = {
            let mut state = self.state();
            let oldest = state.unacked.iter().take_while(|tag| tags.contains(tag)).last().copied();
            let up_to = oldest.filter(|_| tags.len() > 1);
            let single: Vec<u64> = tags.iter().copied().filter(|tag| up_to.is_none_or(|up_to| *tag > up_to)).collect();
            state.unacked.retain(|tag| !tags.contains(tag));
            (up_to, single)
        };
        let many = up_to.map(|tag| self.tasks.basic_ack(tag, BasicAckOptions { multiple: true }));
        let singles = single.into_iter().map(|tag| self.tasks.basic_ack(tag, BasicAckOptions::default()));
        self.within("acknowledge", async {
            if let Some(many) = many {
                many.await?;
            }
            join_all(singles).await.into_iter().collect::<Result<(), lapin::Error>>()
        })
        .await
    }

    /// Gives deliveries back to the front of their queues, which marks them.
    pub(super) async fn nack(&self, tags: &BTreeSet<u64>) -> Result<(), Error> {
        if tags.is_empty() {
            return Ok(());
        }
        self.state().unacked.retain(|tag| !tags.contains(tag));
        let options = BasicNackOptions { multiple: false, requeue: true };
        let nacks = tags.iter().map(|tag| self.tasks.basic_nack(*tag, options));
        self.within("give back", async { join_all(nacks).await.into_iter().collect::<Result<(), lapin::Error>>() })
            .await
    }

    /// Has the user's own dead letter exchange take deliveries.
    pub(super) async fn reject(&self, tags: &BTreeSet<u64>) -> Result<(), Error> {
        if tags.is_empty() {
            return Ok(());
        }
        self.state().unacked.retain(|tag| !tags.contains(tag));
        let options = BasicNackOptions { multiple: false, requeue: false };
        let nacks = tags.iter().map(|tag| self.tasks.basic_nack(*tag, options));
        self.within("reject", async { join_all(nacks).await.into_iter().collect::<Result<(), lapin::Error>>() }).await
    }

    /// Waits until the server has done all that the tasks' channel asked for.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        self.within("acknowledge", self.tasks.basic_qos(0, BasicQosOptions::default())).await
    }

    /// Says goodbye: the server takes back at once what is still held.
    pub(super) async fn close(&self) {
        self.is_over.store(true, Ordering::Release);
        let within = self.owner.options.response_timeout;
        let closing = async {
            let _gone = self.publishing.close(200, "OK".into()).await;
            let _gone = self.consuming.close(200, "OK".into()).await;
        };
        let _late = timeout(within, closing).await;
    }
}

impl Drop for Session {
    /// The library keeps a connection open for as long as it has consumers: it is told.
    fn drop(&mut self) {
        self.end();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for connection in [&self.consuming, &self.publishing] {
            let connection = Arc::clone(connection);
            runtime.spawn(async move {
                let _gone = connection.close(200, "OK".into()).await;
            });
        }
    }
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

async fn carry_out(channel: &Channel, step: &Step) -> Result<(), lapin::Error> {
    match step {
        Step::Exchange { name, kind, is_durable, is_auto_delete } => {
            let kind = match kind.as_str() {
                "direct" => ExchangeKind::Direct,
                "fanout" => ExchangeKind::Fanout,
                "topic" => ExchangeKind::Topic,
                "headers" => ExchangeKind::Headers,
                other => ExchangeKind::Custom(other.to_owned()),
            };
            let options = ExchangeDeclareOptions {
                durable: *is_durable,
                auto_delete: *is_auto_delete,
                ..ExchangeDeclareOptions::default()
            };
            channel.exchange_declare(short(name), kind, options, FieldTable::default()).await
        }
        Step::Queue { name, life, arguments } => {
            let (durable, exclusive, auto_delete) = life.flags();
            let options = QueueDeclareOptions { durable, exclusive, auto_delete, ..QueueDeclareOptions::default() };
            channel.queue_declare(short(name), options, arguments.clone()).await.map(drop)
        }
        Step::Bind { queue, exchange, key } => {
            let options = QueueBindOptions::default();
            channel.queue_bind(short(queue), short(exchange), short(key), options, FieldTable::default()).await
        }
        Step::BindExchange { destination, source, key } => {
            let options = ExchangeBindOptions::default();
            channel.exchange_bind(short(destination), short(source), short(key), options, FieldTable::default()).await
        }
    }
}

impl Session {
    /// Publishes to queues.
    pub(super) async fn publish_plain(&self, batch: &[crate::Publish]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch: Vec<_> =
            batch.iter().map(|one| (String::new(), one.queue.clone(), Outgoing::of(&one.message))).collect();
        self.publish(&batch).await
    }
}
