//! Publishing with confirmations: one batch after the other.
//!
//! A message that reaches no queue comes back before it is confirmed, and the library hands it out with whichever
//! confirmation is the next that it completes, which may be of another message. So what came back is found again by what it
//! is, among the messages of its batch, and no two batches are under way together.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, Connection};
use tokio::time::timeout;

use super::failure::{failed, late, missing};
use super::letters;
use super::message::{Outgoing, short};
use super::returns::{Returned, places};
use super::session::Session;
use crate::{Error, Publish};

/// An exchange, a routing key and a message. With the default exchange, which has no name, the key is the queue.
pub(super) type Addressed = (String, String, Outgoing);

/// The connection that publishes.
pub(super) struct Publisher {
    pub(super) connection: Arc<Connection>,
    pub(super) channel: Channel,
    turn: tokio::sync::Mutex<()>,
    /// A batch was begun, and not ended: its confirmations may hold what came back of a later one.
    is_torn: AtomicBool,
}

impl Publisher {
    pub(super) fn new(connection: Arc<Connection>, channel: Channel) -> Publisher {
        Publisher { connection, channel, turn: tokio::sync::Mutex::default(), is_torn: AtomicBool::new(false) }
    }
}

impl Session {
    /// Publishes to queues.
    pub(super) async fn publish_plain(&self, batch: &[Publish]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let keeps = self.owner.options.keeps_expiration;
        let address = |one: &Publish| (String::new(), one.queue.clone(), Outgoing::published(&one.message, keeps));
        let batch: Vec<Addressed> = batch.iter().map(address).collect();
        self.publish(&batch).await
    }

    /// Publishes all, and waits until every one is confirmed. A queue that is not there is declared.
    pub(super) async fn publish(&self, batch: &[Addressed]) -> Result<(), Error> {
        let lost = self.publish_once(&batch.iter().collect::<Vec<_>>()).await?;
        if lost.is_empty() {
            return Ok(());
        }
        let whom = &self.owner.options.masked;
        let unreached = |(exchange, key, _): &Addressed| {
            format!("no queue is reached by exchange {exchange:?} and routing key {key:?}")
        };
        if let Some(one) = lost.iter().find(|(exchange, _, _)| !exchange.is_empty()) {
            // Of our own making (`delayed.rs`), and removed by somebody: the next try makes them again.
            self.forget_declared();
            return Err(Error::Connection { what: "publish", whom: whom.clone(), cause: unreached(one) });
        }
        let mut queues: Vec<&str> = lost.iter().map(|(_, queue, _)| queue.as_str()).collect();
        queues.sort_unstable();
        queues.dedup();
        for queue in queues {
            let otherwise = || match queue {
                letters::QUEUE => vec![letters::declared()],
                _ => self.owner.steps(queue),
            };
            self.declare_again(queue, otherwise).await?;
        }
        match self.publish_once(&lost).await?.first() {
            None => Ok(()),
            Some(one) => Err(missing("publish", whom, &unreached(one))),
        }
    }

    /// Returns those that reach no queue.
    async fn publish_once<'a>(&self, batch: &[&'a Addressed]) -> Result<Vec<&'a Addressed>, Error> {
        let publisher = &self.publisher;
        let _turn = publisher.turn.lock().await;
        let whom = &self.owner.options.masked;
        if publisher.is_torn.swap(true, Ordering::Relaxed) {
            self.end();
            let cause = "an earlier publish was abandoned".to_owned();
            return Err(Error::Connection { what: "publish", whom: whom.clone(), cause });
        }
        let publishing = async {
            let sent = try_join_all(batch.iter().map(|(exchange, key, outgoing)| {
                let properties = outgoing.properties.clone();
                let options = BasicPublishOptions { mandatory: outgoing.is_mandatory, immediate: false };
                publisher.channel.basic_publish(short(exchange), short(key), options, &outgoing.body, properties)
            }))
            .await?;
            try_join_all(sent).await
        };
        let confirmed = self.unless_blocked("publish", publishing).await?;
        publisher.is_torn.store(false, Ordering::Relaxed);
        let is_refused = confirmed.iter().any(Confirmation::is_nack);
        let returned: Vec<Returned> =
            confirmed.into_iter().filter_map(Confirmation::take_message).map(came_back).collect();
        if is_refused {
            let cause = "the server did not take a message: a queue is full, or a disk".to_owned();
            return Err(Error::Connection { what: "publish", whom: whom.clone(), cause });
        }
        let addresses = batch.iter().map(|(exchange, key, outgoing)| (exchange.as_str(), key.as_str(), outgoing));
        Ok(places(addresses, returned).into_iter().map(|place| batch[place]).collect())
    }

    /// Waits for confirmations. A server that is short of memory or disk lets publishers wait, for as long as that takes, and
    /// goes on with everything else: so the session is not over.
    pub(super) async fn unless_blocked<T>(
        &self,
        what: &'static str,
        publishing: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, Error> {
        let options = &self.owner.options;
        let mut publishing = std::pin::pin!(publishing);
        loop {
            match timeout(options.response_timeout, &mut publishing).await {
                Err(_elapsed) if self.is_alive() && self.publisher.connection.status().blocked() => {
                    tracing::warn!(
                        whom = options.masked,
                        "the server blocks publishers (rabbitmqctl list_alarms: memory or disk): waiting"
                    );
                }
                Err(_elapsed) => {
                    self.end();
                    return Err(late(what, &options.masked, options.response_timeout));
                }
                Ok(done) => {
                    return done.map_err(|error| {
                        self.end();
                        failed(what, &options.masked, &error)
                    });
                }
            }
        }
    }
}

fn came_back(message: BasicReturnMessage) -> Returned {
    let delivery = message.delivery;
    Returned {
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        correlation_id: delivery.properties.correlation_id().as_ref().map(ToString::to_string),
        body: delivery.data,
    }
}
