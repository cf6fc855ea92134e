//! A virtual host for the tests, and what they send.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::{
    AmqpBroker, AmqpClient, AmqpOptions, Broker, Client, Delivery, LeaseTerms, Publish, Settlement, Verdict,
};

use crate::common::{is_marked, settlement};
use crate::proxy::Proxy;

pub(crate) const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };

/// A virtual host, which goes with the value.
pub(crate) struct Site {
    pub(crate) url: String,
    vhost: String,
    next: std::sync::atomic::AtomicU64,
}

impl Site {
    /// `None` when there is no server that this user may steer, which is told, or fails under `CI=true`.
    pub(crate) fn new() -> Option<Site> {
        let server = std::env::var("FASTWORKER_TEST_RABBITMQ").unwrap_or("amqp://guest:guest@127.0.0.1:5672".into());
        let vhost = format!("fastworker-{:016x}", getrandom::u64().unwrap());
        let user = url::Url::parse(&server).unwrap().username().to_owned();
        let made = control(&["add_vhost", &vhost])
            .and_then(|()| control(&["set_permissions", "-p", &vhost, &user, ".*", ".*", ".*"]));
        if let Err(error) = made {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no RabbitMQ: {error}");
            eprintln!("skipped: no RabbitMQ: {error}");
            return None;
        }
        let url = format!("{}/{vhost}", server.trim_end_matches('/'));
        Some(Site { url, vhost, next: 0.into() })
    }

    pub(crate) fn options(&self) -> AmqpOptions {
        self.options_with(&[])
    }

    pub(crate) fn options_with(&self, more: &[(&str, &str)]) -> AmqpOptions {
        let more: Vec<(String, String)> =
            more.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        AmqpOptions::parse(&self.url, &more).unwrap()
    }

    pub(crate) fn client(&self) -> AmqpClient {
        AmqpClient::new(self.options())
    }

    /// A way to the same server that can be cut, and options that lead there.
    pub(crate) fn proxied(&self) -> (Proxy, AmqpOptions) {
        let mut url = url::Url::parse(&self.url).unwrap();
        let proxy = Proxy::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672)));
        url.set_port(Some(proxy.port)).unwrap();
        let options = AmqpOptions::parse(url.as_str(), &[]).unwrap();
        (proxy, options)
    }

    /// A name that nobody else uses.
    pub(crate) fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    pub(crate) async fn broker(&self, queues: &[&String]) -> AmqpBroker {
        let queues: Vec<String> = queues.iter().map(|queue| (*queue).clone()).collect();
        AmqpBroker::connect(self.options(), &queues, TERMS).await.unwrap()
    }

    pub(crate) fn delete_queue(&self, queue: &str) {
        told(&["delete_queue", "-p", &self.vhost, queue]).unwrap();
    }

    /// Of every consumer: its queue and its prefetch.
    pub(crate) fn prefetches(&self) -> Vec<(String, u32)> {
        let told = told(&["list_consumers", "-p", &self.vhost, "queue_name", "prefetch_count"]).unwrap();
        let rows = told.lines().skip(1).filter_map(|line| line.split_once('\t'));
        rows.map(|(queue, count)| (queue.to_owned(), count.trim().parse().unwrap())).collect()
    }

    /// How many messages of a queue were delivered and not acknowledged.
    pub(crate) fn unacknowledged(&self, queue: &str) -> u64 {
        let told = told(&["list_queues", "-p", &self.vhost, "name", "messages_unacknowledged"]).unwrap();
        let rows = told.lines().skip(1).filter_map(|line| line.split_once('\t'));
        rows.filter(|(name, _)| *name == queue).map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
    }

    /// Publishes one message for each id, in order.
    pub(crate) fn publish(&self, queue: &str, ids: &[&str]) {
        let batch: Vec<Publish> = ids.iter().map(|id| message(queue, 0, id)).collect();
        self.client().publish(&batch).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _gone = control(&["delete_vhost", &self.vhost]);
    }
}

fn control(arguments: &[&str]) -> Result<(), String> {
    told(arguments).map(drop)
}

/// What `rabbitmqctl` says.
fn told(arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("rabbitmqctl").arg("--quiet").args(arguments).output();
    match done.map_err(|error| format!("rabbitmqctl: {error}"))? {
        done if done.status.success() => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        done => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

pub(crate) fn message(queue: &str, priority: u8, id: &str) -> Publish {
    let message = format!(
        r#"{{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {{"task": "t", "id": "{id}"}}, "properties": {{"correlation_id": "{id}", "priority": {priority}, "body_encoding": "base64"}}}}"#
    );
    Publish { queue: queue.to_owned(), priority, message: Bytes::from(message) }
}

/// The decode station's view.
pub(crate) fn is_redelivered(delivery: &Delivery) -> bool {
    delivery.is_redelivered || is_marked(&delivery.message)
}

/// Fetches until there are `count`, as a worker does.
pub(crate) async fn fetch_all(broker: &AmqpBroker, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        match broker.fetch(count - all.len()).await {
            Ok(batch) if batch.is_empty() => broker.wait().await,
            Ok(batch) => all.extend(batch),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    all
}

pub(crate) async fn ack(broker: &AmqpBroker, deliveries: &[Delivery]) {
    let batch: Vec<Settlement> = deliveries.iter().map(|one| settlement(one.tag, Verdict::Ack)).collect();
    assert!(broker.settle(&batch).await.unwrap().is_empty(), "leases were lost");
}
