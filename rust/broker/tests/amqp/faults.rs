//! What a server does to a worker while it works: messages come back, queues and consumers go, settings change.

use std::time::Duration;

use fastworker_broker::{AmqpBroker, Broker, Client, Publish, Verdict};

use crate::common::{ids, run, settlement};
use crate::support::{Site, TERMS, ack, fetch_all, message};

/// A message that the server confirms without writing it to its disk.
fn transient(queue: &str, id: &str) -> Publish {
    let message = message(queue, 0, id);
    let text = String::from_utf8(message.message.to_vec()).unwrap();
    Publish { message: text.replace("\"priority\"", "\"delivery_mode\": 1, \"priority\"").into(), ..message }
}

#[test]
fn messages_that_come_back_are_told_from_those_that_arrived() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        let mut client = site.client();
        for round in 1..=10 {
            let fresh: Vec<String> = (0..20).map(|_| site.name("fresh")).collect();
            // Every second one reaches no queue at first, and the server confirms it together with others.
            let both = fresh.iter().enumerate().flat_map(|(number, fresh)| {
                [transient(&queue, &format!("a{number}")), transient(fresh, &format!("b{number}"))]
            });
            let batch: Vec<Publish> = both.collect();
            broker.publish(&batch).await.unwrap();
            let depths: Vec<u64> = fresh.iter().map(|fresh| client.depth(fresh).unwrap()).collect();
            assert_eq!((client.depth(&queue).unwrap(), depths), (20 * round, vec![1; 20]));
        }
    });
}

#[test]
fn batches_that_are_published_together_do_not_take_each_others_returns() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        let fresh: Vec<String> = (0..10).map(|_| site.name("fresh")).collect();
        for fresh in &fresh {
            let known: Vec<Publish> = (0..10).map(|number| transient(&queue, &number.to_string())).collect();
            let lone = [transient(fresh, "1")];
            let (one, other) = tokio::join!(broker.publish(&known), broker.publish(&lone));
            one.and(other).unwrap();
        }
        let mut client = site.client();
        let depths: Vec<u64> = fresh.iter().map(|fresh| client.depth(fresh).unwrap()).collect();
        assert_eq!((client.depth(&queue).unwrap(), depths), (100, vec![1; 10]));
    });
}

#[test]
fn a_queue_that_was_deleted_is_declared_again_and_consumed() {
    let Some(site) = Site::new() else { return };
    run(async {
        let (queue, other) = (site.name("queue"), site.name("other"));
        let broker = site.broker(&[&queue, &other]).await;
        site.publish(&other, &["held"]);
        let held = fetch_all(&broker, 1).await;
        assert!(broker.fetch(4).await.unwrap().is_empty());
        site.delete_queue(&queue);
        assert!(broker.fetch(4).await.unwrap().is_empty());
        site.publish(&queue, &["1"]);
        let batch = fetch_all(&broker, 1).await;
        assert_eq!(ids(&batch), ["1"]);
        ack(&broker, &batch).await;
        // It was the queue's end, and not that of what is held from others.
        ack(&broker, &held).await;
    });
}

#[test]
fn a_queue_that_was_deleted_is_published_to() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[]).await;
        broker.publish(&[message(&queue, 0, "1")]).await.unwrap();
        site.delete_queue(&queue);
        broker.publish(&[message(&queue, 0, "2")]).await.unwrap();
        assert_eq!(site.client().depth(&queue).unwrap(), 1);
        let mut client = site.client();
        client.publish(&[message(&queue, 0, "3")]).unwrap();
        let fresh = site.name("fresh");
        client.publish(&[message(&fresh, 0, "4")]).unwrap();
        site.delete_queue(&fresh);
        client.publish(&[message(&fresh, 0, "5")]).unwrap();
        assert_eq!((client.depth(&queue).unwrap(), client.depth(&fresh).unwrap()), (2, 1));
    });
}

#[test]
fn a_queue_that_goes_with_its_last_consumer_stays_while_it_is_watched() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let json = format!(r#"{{"queues": {{"{queue}": {{"exchange": "{queue}", "auto_delete": true}}}}}}"#);
        let options = site.options_with(&[("queues", &json)]);
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        assert!(broker.fetch(1).await.unwrap().is_empty());
        let ids: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        site.publish(&queue, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        // More and more is asked for, so that the prefetch grows.
        let mut count = 0;
        for wanted in [1, 3, 16, 30] {
            let batch = fetch_all(&broker, wanted).await;
            count += batch.len();
            ack(&broker, &batch).await;
        }
        assert_eq!(count, 50);
        // Nobody fetches for longer than a worker may keep what it has not asked for.
        site.publish(&queue, &["last"]);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        ack(&broker, &fetch_all(&broker, 1).await).await;
    });
}

#[test]
fn no_consumer_is_without_a_bound_though_others_set_theirs_meanwhile() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queues: Vec<String> = (0..8).map(|_| site.name("queue")).collect();
        let broker = site.broker(&queues.iter().collect::<Vec<_>>()).await;
        let first = site.name("first");
        site.publish(&first, &["1"]);
        broker.watch(&first);
        let held = fetch_all(&broker, 1).await;
        // An early acknowledgement sets a prefetch to hear that it got through.
        let early: Vec<_> = (0..20).map(|_| settlement(held[0].tag, Verdict::EarlyAck)).collect();
        let asking = async {
            for one in &early {
                broker.settle(std::slice::from_ref(one)).await.unwrap();
            }
        };
        let (fetched, ()) = tokio::join!(broker.fetch(4), asking);
        fetched.unwrap();
        let prefetches = site.prefetches();
        // Our own queue for what is held has none.
        let unbounded = prefetches.iter().filter(|(queue, prefetch)| *prefetch == 0 && !queue.contains("held"));
        assert_eq!(unbounded.count(), 0, "{prefetches:?}");
    });
}

#[test]
fn nothing_is_acknowledged_that_has_not_come_through() {
    let Some(site) = Site::new() else { return };
    run(async {
        let (one, two) = (site.name("one"), site.name("two"));
        let quorum =
            format!(r#"{{"queues": {{"{one}": {{"exchange": "", "arguments": {{"x-queue-type": "quorum"}}}}}}}}"#);
        let options = site.options_with(&[("queues", &quorum)]);
        let broker = AmqpBroker::connect(options, &[one.clone(), two.clone()], TERMS).await.unwrap();
        let ids: Vec<String> = (0..600).map(|number| number.to_string()).collect();
        for queue in [&one, &two] {
            site.publish(queue, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        // Consumers are replaced all the time while everything that comes is acknowledged at once.
        let mut seen = std::collections::BTreeMap::<(u16, String), u32>::new();
        let mut wanted = 1;
        while seen.len() < 1_200 {
            let batch = broker.fetch(wanted).await.unwrap();
            wanted = wanted % 40 + 3;
            for (delivery, id) in batch.iter().zip(crate::common::ids(&batch)) {
                *seen.entry((delivery.queue, id)).or_default() += 1;
            }
            if batch.is_empty() {
                broker.wait().await;
            } else {
                ack(&broker, &batch).await;
            }
        }
        assert!(seen.values().all(|count| *count == 1));
    });
}
