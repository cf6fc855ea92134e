//! What every case has at hand: names of its own, messages, and a patient fetch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::Server;
use crate::{Broker, Client, Delivery, LeaseTerms, Publish, QueueOrder, ResultClient, ResultDoc, Settlement, Verdict};

/// Terms under which nobody dies during a case.
pub(super) const LONG: LeaseTerms = LeaseTerms { life: Duration::from_secs(60), refresh: Duration::from_secs(20) };

/// Terms under which dying can be watched.
pub(super) const SHORT: LeaseTerms =
    LeaseTerms { life: Duration::from_millis(900), refresh: Duration::from_millis(300) };

/// One case's surroundings.
pub(super) struct Bench<'a, S> {
    server: &'a S,
    names: u64,
    next: AtomicU64,
}

impl<'a, S: Server> Bench<'a, S> {
    pub(super) fn new(server: &'a S) -> Bench<'a, S> {
        Bench { server, names: getrandom::u64().expect("random names"), next: AtomicU64::new(0) }
    }

    /// A name that nobody else uses.
    pub(super) fn name(&self, stem: &str) -> String {
        format!("{stem}-{:016x}-{}", self.names, self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) async fn broker(&self, queues: &[&String], terms: LeaseTerms) -> S::Broker {
        self.ordered_broker(queues, terms, QueueOrder::default()).await
    }

    pub(super) async fn ordered_broker(&self, queues: &[&String], terms: LeaseTerms, order: QueueOrder) -> S::Broker {
        let queues: Vec<String> = queues.iter().map(|queue| (*queue).clone()).collect();
        self.server.broker(&queues, terms, order).await.expect("a broker")
    }

    pub(super) fn client(&self) -> Box<dyn Client> {
        self.server.client().expect("a client")
    }

    pub(super) fn results(&self) -> Box<dyn ResultClient> {
        self.server.results().expect("a result client")
    }

    pub(super) fn results_at(&self) -> (String, Vec<(String, String)>) {
        self.server.results_at()
    }

    /// Publishes `count` messages with ids of their own, in order; returns the ids.
    pub(super) fn publish(&self, queue: &str, priority: u8, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|_| self.name("task")).collect();
        let batch: Vec<Publish> = ids.iter().map(|id| message(queue, priority, id)).collect();
        self.client().publish(&batch).expect("a publish");
        ids
    }
}

/// A message that a Celery worker could run.
pub(super) fn message(queue: &str, priority: u8, id: &str) -> Publish {
    padded_message(queue, priority, id, "")
}

/// The same with a padding of any length in the place of the body.
pub(super) fn padded_message(queue: &str, priority: u8, id: &str, padding: &str) -> Publish {
    let message = format!(
        r#"{{"body": "W1tdLCB7fSwge31d{padding}", "content-encoding": "utf-8", "content-type": "application/json", "headers": {{"lang": "py", "task": "conformance.add", "id": "{id}", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "{id}", "parent_id": null, "argsrepr": "()", "kwargsrepr": "{{}}", "origin": "gen1@host", "ignore_result": false}}, "properties": {{"correlation_id": "{id}", "reply_to": "", "delivery_mode": 2, "delivery_info": {{"exchange": "", "routing_key": "{queue}"}}, "priority": {priority}, "body_encoding": "base64", "delivery_tag": "{id}"}}}}"#
    );
    Publish { queue: queue.to_owned(), priority, message: Bytes::from(message) }
}

/// A result document.
pub(super) fn result(task_id: &str, doc: &str, is_success: bool) -> ResultDoc {
    ResultDoc {
        task_id: task_id.to_owned(),
        doc: Bytes::copy_from_slice(doc.as_bytes()),
        is_success,
        ttl_s: Some(600),
        reply: None,
    }
}

/// Ends the message in this way, and nothing else.
pub(super) fn ending(delivery: &Delivery, verdict: Verdict) -> Settlement {
    Settlement {
        tag: delivery.tag,
        message_id: Some(id_of(delivery)),
        has_attempts: false,
        verdict,
        result: None,
        successors: Vec::new(),
        member: None,
    }
}

/// The task id in the message.
pub(super) fn id_of(delivery: &Delivery) -> String {
    fastworker_wire::envelope::task_and_id(&delivery.message).1.expect("our messages have an id")
}

pub(super) fn ids_of(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(id_of).collect()
}

/// What the decode station finds out: the broker's mark, or the envelope's.
pub(super) fn is_redelivered(delivery: &Delivery) -> bool {
    delivery.is_redelivered || fastworker_wire::envelope::parse(&delivery.message).expect("an envelope").is_redelivered
}

/// The same bytes; or the same message in another form, where a broker has its own (AMQP's headers have no order).
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let read = |message| {
        let read = fastworker_wire::envelope::parse(message).expect("an envelope");
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        let names = (text(&read.task), text(&read.id), text(&read.root_id), text(&read.correlation_id));
        (names, read.body.to_vec(), read.content_type.to_string(), read.priority, read.ignore_result)
    };
    one == other || read(one) == read(other)
}

/// Fetches until there are `count` messages, waiting as a worker does.
pub(super) async fn fetch_all(broker: &impl Broker, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = broker.fetch(count - all.len()).await.expect("a fetch");
        if batch.is_empty() {
            broker.wait().await;
        }
        all.extend(batch);
    }
    all
}

/// Recovers `count` messages of somebody with a short life who never beats, as if it had been stopped.
pub(super) async fn take_over(heir: &impl Broker, count: u64) {
    let mut taken = 0;
    while taken < count {
        heir.heartbeat().await.expect("heartbeat");
        taken += heir.recover().await.expect("recover").messages;
        tokio::time::sleep(SHORT.refresh).await;
    }
}

/// Settles, and expects that every lease was still held.
pub(super) async fn settle(broker: &impl Broker, batch: &[Settlement]) {
    let lost = broker.settle(batch).await.expect("a settle");
    assert!(lost.is_empty(), "leases {lost:?} were lost");
}

/// Acknowledges everything.
pub(super) async fn ack(broker: &impl Broker, deliveries: &[Delivery]) {
    let batch: Vec<Settlement> = deliveries.iter().map(|delivery| ending(delivery, Verdict::Ack)).collect();
    settle(broker, &batch).await;
}
