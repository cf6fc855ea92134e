//! What is lost with a connection, and what comes back.

use std::time::Duration;

use fastworker_broker::{AmqpBroker, AmqpClient, AmqpOptions, Broker, Client, Control, Heard, Verdict};

use crate::common::{ids, run, settlement};
use crate::support::{Site, TERMS, ack, fetch_all, is_redelivered, message};

#[test]
fn what_a_vanished_worker_held_comes_back_marked() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let vanishing = site.broker(&[&queue]).await;
        site.publish(&queue, &["1", "2", "3"]);
        let held = fetch_all(&vanishing, 2).await;
        assert_eq!(ids(&held), ["1", "2"]);
        drop(vanishing);
        let heir = site.broker(&[&queue]).await;
        let batch = fetch_all(&heir, 3).await;
        assert_eq!(ids(&batch), ["1", "2", "3"], "in their old order");
        assert!(is_redelivered(&batch[0]) && is_redelivered(&batch[1]));
        ack(&heir, &batch).await;
    });
}

#[test]
fn a_started_attempt_survives_whoever_made_it() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        site.publish(&queue, &["1"]);
        let mut numbers = Vec::new();
        for floor in [0, 0, 5, 0] {
            let broker = site.broker(&[&queue]).await;
            let held = fetch_all(&broker, 1).await;
            numbers.push(broker.begin_attempt(held[0].tag, "1", floor).await.unwrap().unwrap());
            assert_eq!(is_redelivered(&held[0]), numbers.len() > 1);
            // Killed: nothing is said.
            drop(broker);
        }
        assert_eq!(numbers, [1, 2, 6, 7]);
        let broker = site.broker(&[&queue]).await;
        let held = fetch_all(&broker, 1).await;
        assert_eq!(broker.begin_attempt(held[0].tag, "1", 0).await.unwrap(), Some(8));
        assert!(broker.settle(&[settlement(held[0].tag, Verdict::Requeue)]).await.unwrap().is_empty());
        let held = fetch_all(&broker, 1).await;
        assert_eq!(broker.begin_attempt(held[0].tag, "1", 0).await.unwrap(), Some(1), "the count was not forgotten");
        assert!(
            broker
                .settle(&[settlement(held[0].tag, Verdict::Return { is_redelivery: true })])
                .await
                .unwrap()
                .is_empty()
        );
        let held = fetch_all(&broker, 1).await;
        assert_eq!(broker.begin_attempt(held[0].tag, "1", 0).await.unwrap(), Some(2), "the count was lost");
        ack(&broker, &held).await;
        assert_eq!(site.client().depth(&queue).unwrap(), 0);
    });
}

#[test]
fn a_cut_connection_loses_all_leases_and_nothing_else() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let (proxy, options) = site.proxied();
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        site.publish(&queue, &["1", "2"]);
        let held = fetch_all(&broker, 2).await;
        proxy.cut();
        tokio::time::timeout(Duration::from_secs(5), broker.severed()).await.expect("told of the loss");
        let again = fetch_all(&broker, 2).await;
        assert_eq!(ids(&again), ["1", "2"]);
        assert!(again.iter().all(is_redelivered));
        let tags = [held[0].tag, again[0].tag];
        assert_eq!(broker.lost(&tags).await.unwrap(), [held[0].tag]);
        assert_eq!(broker.begin_attempt(held[1].tag, "2", 0).await.unwrap(), None);
        let settled = [settlement(held[0].tag, Verdict::Ack), settlement(again[0].tag, Verdict::EarlyAck)];
        assert_eq!(broker.settle(&settled).await.unwrap(), [0]);
        ack(&broker, &again[1..]).await;
        assert_eq!(site.client().depth(&queue).unwrap(), 0);
    });
}

#[test]
fn broadcasts_are_heard_again_after_a_cut() {
    let Some(site) = Site::new() else { return };
    run(async {
        let (queue, exchange) = (site.name("queue"), site.name("exchange"));
        let (proxy, options) = site.proxied();
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        assert_eq!(broker.listen(&exchange).await.unwrap(), Heard::Gap);
        proxy.cut();
        while !matches!(broker.listen(&exchange).await, Ok(Heard::Gap)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.client().broadcast(&exchange, b"not an envelope").unwrap();
        assert_eq!(broker.listen(&exchange).await.unwrap(), Heard::Message("not an envelope".into()));
    });
}

#[test]
fn an_idle_client_connects_again() {
    let Some(site) = Site::new() else { return };
    let (proxy, options) = site.proxied();
    let mut client = AmqpClient::new(options);
    let queue = site.name("queue");
    client.publish(&[message(&queue, 0, "1")]).unwrap();
    proxy.cut();
    client.publish(&[message(&queue, 0, "2")]).unwrap();
    assert_eq!(client.purge(&queue).unwrap(), 2);
}

#[test]
fn a_server_that_is_away_is_passed_over() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        // Nobody listens on port 1.
        let several = AmqpOptions::parse(&format!("amqp://127.0.0.1:1//;{}", site.url), &[]).unwrap();
        let mut client = AmqpClient::new(several.clone());
        client.publish(&[message(&queue, 0, "1")]).unwrap();
        let broker = AmqpBroker::connect(several, std::slice::from_ref(&queue), TERMS).await.unwrap();
        ack(&broker, &fetch_all(&broker, 1).await).await;
        let nowhere = AmqpOptions::parse("amqp://127.0.0.1:1//", &[]).unwrap();
        let error = AmqpBroker::connect(nowhere, &[], TERMS).await.err().unwrap();
        assert!(error.is_transient() && error.to_string().contains("127.0.0.1:1"), "{error}");
    });
}

#[test]
fn what_somebody_has_to_mend_is_said() {
    let Some(site) = Site::new() else { return };
    run(async {
        let mut url = url::Url::parse(&site.url).unwrap();
        url.set_path("/no-such-virtual-host");
        let nowhere = AmqpOptions::parse(url.as_str(), &[]).unwrap();
        let error = AmqpBroker::connect(nowhere.clone(), &[], TERMS).await.err().unwrap();
        assert!(!error.is_transient() && error.to_string().contains("virtual host"), "{error}");
        let error = AmqpClient::new(nowhere).depth("q").unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("virtual host"), "{error}");
        let queue = site.name("queue");
        site.publish(&queue, &["1"]);
        let json = format!(r#"{{"queues": {{"{queue}": {{"exchange": "", "arguments": {{"x-max-priority": 5}}}}}}}}"#);
        let options = site.options_with(&[("queues", &json)]);
        let error = AmqpBroker::connect(options, &[queue], TERMS).await.err().unwrap();
        assert!(!error.is_transient() && error.to_string().contains("task_queue_max_priority"), "{error}");
    });
}
