//! A server, a key prefix per test, and builders for what the tests send.

use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::{
    Broker, LeaseTerms, Publish, RedisBroker, RedisClient, RedisOptions, RedisResultClient, RedisResults, ResultDoc,
};

pub(crate) const BROKER_DB: u8 = 11;
pub(crate) const RESULT_DB: u8 = 12;

/// Keys of one test. Dropping it removes them.
pub(crate) struct Site {
    pub(crate) address: String,
    pub(crate) prefix: String,
    pub(crate) visibility_timeout: &'static str,
    pub(crate) life: Duration,
}

impl Site {
    /// `None` when there is no server, which is told, or fails under `CI=true`.
    pub(crate) fn new() -> Option<Self> {
        let address = std::env::var("FASTWORKER_TEST_REDIS").unwrap_or("redis://127.0.0.1:6379".into());
        if let Err(error) = redis::Client::open(address.as_str()).and_then(|client| client.get_connection()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no Redis at {address}: {error}");
            eprintln!("skipped: no Redis at {address}: {error}");
            return None;
        }
        Some(Self::at(address))
    }

    /// A prefix of its own on a server that is known to be there.
    pub(crate) fn at(address: String) -> Self {
        let prefix = format!("t{:016x}:", getrandom::u64().unwrap());
        Self { address, prefix, visibility_timeout: "3600", life: Duration::from_secs(10) }
    }

    pub(crate) fn options_at(&self, address: &str) -> RedisOptions {
        let options = [
            ("global_keyprefix".to_owned(), self.prefix.clone()),
            ("visibility_timeout".to_owned(), self.visibility_timeout.to_owned()),
            ("client_name".to_owned(), self.client_name()),
        ];
        RedisOptions::parse(&format!("{address}/{BROKER_DB}"), &options).unwrap()
    }

    /// Options of the broker, and more.
    pub(crate) fn options_with(&self, more: &[(&str, &str)]) -> RedisOptions {
        let mut options = vec![("global_keyprefix".to_owned(), self.prefix.clone())];
        options.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        RedisOptions::parse(&format!("{}/{BROKER_DB}", self.address), &options).unwrap()
    }

    pub(crate) fn results(&self) -> RedisResults {
        let options =
            [("global_keyprefix".to_owned(), self.prefix.clone()), ("client_name".to_owned(), self.client_name())];
        RedisResults::parse(&self.results_url(), &options).unwrap()
    }

    pub(crate) fn results_url(&self) -> String {
        format!("{}/{RESULT_DB}", self.address)
    }

    /// What the server calls the connections of this test.
    fn client_name(&self) -> String {
        self.prefix.trim_end_matches(':').to_owned()
    }

    /// Closes all connections of this test from the server's side; returns how many.
    pub(crate) fn kill_connections(&self) -> usize {
        let mut raw = self.raw(BROKER_DB);
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut raw).unwrap();
        let name = format!(" name={} ", self.client_name());
        let ours = clients.lines().filter(|line| line.contains(&name));
        let ids = ours.map(|line| line.split(' ').next().unwrap().trim_start_matches("id="));
        ids.map(|id| redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query::<usize>(&mut raw).unwrap()).sum()
    }

    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::new(self.options_at(&self.address))
    }

    pub(crate) fn result_client(&self) -> RedisResultClient {
        RedisResultClient::new(self.results())
    }

    pub(crate) async fn broker(&self, queues: &[&str]) -> RedisBroker {
        self.broker_at(&self.address, queues).await
    }

    pub(crate) async fn broker_at(&self, address: &str, queues: &[&str]) -> RedisBroker {
        let queues: Vec<String> = queues.iter().map(|queue| queue.to_string()).collect();
        let terms = LeaseTerms { life: self.life, refresh: self.life / 3 };
        RedisBroker::connect(self.options_at(address), &queues, Some(self.results()), terms).await.unwrap()
    }

    /// A bare connection, for looking behind the scenes.
    pub(crate) fn raw(&self, db: u8) -> redis::Connection {
        redis::Client::open(format!("{}/{db}", self.address)).unwrap().get_connection().unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn list_len(&self, list: &str) -> u64 {
        redis::cmd("LLEN").arg(self.key(list)).query(&mut self.raw(BROKER_DB)).unwrap()
    }

    /// How many leases stand, by both records of them.
    pub(crate) fn leases(&self) -> (u64, u64) {
        let mut raw = self.raw(BROKER_DB);
        let entries = redis::cmd("HLEN").arg(self.key("unacked")).query(&mut raw).unwrap();
        (entries, redis::cmd("ZCARD").arg(self.key("unacked_index")).query(&mut raw).unwrap())
    }

    /// Whether no key of this test is left but binding tables and those named.
    pub(crate) fn keys_left(&self) -> Vec<String> {
        let mut raw = self.raw(BROKER_DB);
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}*", self.prefix)).query(&mut raw).unwrap();
        let mut keys: Vec<String> = keys.into_iter().filter(|key| !key.contains("_kombu.")).collect();
        keys.sort();
        keys
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for db in [BROKER_DB, RESULT_DB] {
            let mut raw = self.raw(db);
            let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}*", self.prefix)).query(&mut raw).unwrap();
            if !keys.is_empty() {
                redis::cmd("UNLINK").arg(keys).exec(&mut raw).unwrap();
            }
        }
    }
}

/// An envelope as Celery writes it, with the given id.
pub(crate) fn envelope(id: &str, queue: &str, priority: u8) -> Bytes {
    format!(
        r#"{{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {{"lang": "py", "task": "proj.add", "id": "{id}"}}, "properties": {{"correlation_id": "{id}", "delivery_mode": 2, "delivery_info": {{"exchange": "", "routing_key": "{queue}"}}, "priority": {priority}, "body_encoding": "base64", "delivery_tag": "{id}"}}}}"#
    )
    .into()
}

pub(crate) fn publish(id: &str, queue: &str, priority: u8) -> Publish {
    Publish { queue: queue.into(), priority, message: envelope(id, queue, priority) }
}

/// Publishes `n` messages `<queue>-0`, `<queue>-1`, … of priority 0.
pub(crate) async fn fill(broker: &RedisBroker, queue: &str, n: usize) {
    let batch: Vec<Publish> = (0..n).map(|i| publish(&format!("{queue}-{i}"), queue, 0)).collect();
    broker.publish(&batch).await.unwrap();
}

pub(crate) fn doc(task_id: &str, status: &str) -> ResultDoc {
    ResultDoc {
        task_id: task_id.into(),
        doc: format!(r#"{{"status": "{status}", "result": null, "task_id": "{task_id}"}}"#).into(),
        is_success: status == "SUCCESS",
        ttl_s: Some(60),
        reply: None,
    }
}
