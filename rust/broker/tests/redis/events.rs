//! Who may have heard an event, by what the server says.

use std::time::Duration;

use fastworker_broker::{Broker, EventClient, EventMessage, EventQueue, RedisBroker};

use crate::common::run;
use crate::servers::Server;
use crate::support::Site;

const KEYS: [&str; 2] = ["task.multi", "worker.heartbeat"];

/// Whether anybody may have heard a list of events, and a heartbeat.
async fn heard(broker: &RedisBroker) -> Vec<bool> {
    let message = |key: &'static str| EventMessage {
        routing_key: key.into(),
        content_type: "application/json".into(),
        content_encoding: "utf-8".into(),
        headers_json: "{}".into(),
        body: "[]".into(),
    };
    broker.publish_events("celeryev", &KEYS.map(message)).await.unwrap()
}

fn queue(routing_key: &str) -> EventQueue {
    EventQueue {
        exchange: "celeryev".into(),
        routing_key: routing_key.into(),
        name: "listener".into(),
        ttl_ms: None,
        expires_ms: None,
        is_exclusive: true,
        is_durable: false,
    }
}

#[test]
fn each_message_is_heard_by_who_listens_to_its_routing_key() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        assert_eq!(heard(&broker).await, [false, false]);
        let (mut workers, mut all) = (site.client(), site.client());
        workers.listen_to_events(&queue("worker.#")).unwrap();
        assert_eq!(heard(&broker).await, [false, true]);
        all.listen_to_events(&queue("#")).unwrap();
        assert_eq!(heard(&broker).await, [true, true]);
        assert!(all.next_event(&queue("#"), Duration::from_secs(9)).unwrap().is_some());
        drop(all);
        while heard(&broker).await != [false, true] {}
    });
}

#[test]
fn nobody_is_said_to_have_missed_what_a_replica_may_have_passed_on() {
    let (Some(server), Some(replica)) = (Server::start(&[]), Server::start(&[])) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        assert_eq!(heard(&broker).await, [false, false]);
        let port = server.address().rsplit_once(':').unwrap().1.to_owned();
        replica.configure(&["REPLICAOF", "127.0.0.1", &port]);
        while heard(&broker).await != [true, true] {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_server_that_hides_its_role_may_have_been_heard() {
    let Some(server) = Server::start(&[]) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        server.configure(&["ACL", "SETUSER", "default", "-role"]);
        assert_eq!(heard(&broker).await, [true, true]);
        // It is not asked again, and events go out nevertheless.
        assert_eq!(heard(&broker).await, [true, true]);
    });
}
