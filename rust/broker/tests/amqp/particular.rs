//! What RabbitMQ does in its own way: priorities, delays, dead letters, copies, returns.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastworker_broker::{
    AmqpBroker, Broker, Client, EventClient, EventMessage, EventQueue, Fanout, FanoutClient, Publish, Verdict,
};

use crate::common::{ids, run, settlement};
use crate::support::{Site, TERMS, ack, fetch_all, is_redelivered, message};

#[test]
fn the_highest_number_comes_first() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let json =
            format!(r#"{{"queues": {{"{queue}": {{"exchange": "{queue}", "arguments": {{"x-max-priority": 10}}}}}}}}"#);
        let options = site.options_with(&[("queues", &json)]);
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        let batch: Vec<Publish> = [0, 9, 3].map(|priority| message(&queue, priority, &priority.to_string())).into();
        site.client().publish(&batch).unwrap();
        let mut order = Vec::new();
        for _ in 0..3 {
            let batch = fetch_all(&broker, 1).await;
            order.extend(ids(&batch));
            ack(&broker, &batch).await;
        }
        assert_eq!(order, ["9", "3", "0"]);
    });
}

#[test]
fn a_parked_message_comes_when_it_is_due() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("a.queue");
        // Quorum queues take their time to be declared.
        let options = site.options_with(&[("native_delayed_delivery_queue_type", "classic")]);
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        site.publish(&queue, &["soon", "now"]);
        let held = fetch_all(&broker, 2).await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let since = Instant::now();
        let park = settlement(held[0].tag, Verdict::Park { due_ms: now_ms + 2_500 });
        assert!(broker.settle(&[park, settlement(held[1].tag, Verdict::Ack)]).await.unwrap().is_empty());
        drop(broker);
        let broker = site.broker(&[&queue]).await;
        let batch = fetch_all(&broker, 1).await;
        // The rest of a second is for whoever gets it.
        assert!(since.elapsed() >= Duration::from_millis(1_900), "after {:?}", since.elapsed());
        assert_eq!(ids(&batch), ["soon"]);
        assert!(!is_redelivered(&batch[0]), "parking is no redelivery");
        ack(&broker, &batch).await;
    });
}

#[test]
fn a_fanout_exchange_copies_to_every_enlisted_queue() {
    let Some(site) = Site::new() else { return };
    run(async {
        let (exchange, one, two) = (site.name("exchange"), site.name("copies"), site.name("copies"));
        let (first, second) = (site.broker(&[]).await, site.broker(&[]).await);
        for (broker, queue) in [(&first, &one), (&second, &two)] {
            let fanout = Fanout { exchange: exchange.clone(), routing_key: String::new(), queue: queue.clone() };
            broker.enlist(&fanout).await.unwrap();
            broker.watch(queue);
        }
        site.client().announce(&exchange, "any", &message(&one, 0, "7").message).unwrap();
        for broker in [&first, &second] {
            let batch = fetch_all(broker, 1).await;
            assert_eq!(ids(&batch), ["7"]);
            ack(broker, &batch).await;
        }
    });
}

#[test]
fn a_dead_letter_goes_where_the_user_says() {
    let Some(site) = Site::new() else { return };
    run(async {
        let (queue, graveyard) = (site.name("queue"), site.name("graveyard"));
        let json = format!(
            r#"{{"queues": {{"{queue}": {{"exchange": "", "arguments":
            {{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "{graveyard}"}}}}}}}}"#
        );
        let other = site.broker(&[&graveyard]).await;
        let options = site.options_with(&[("queues", &json)]);
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        site.publish(&queue, &["1"]);
        let held = fetch_all(&broker, 1).await;
        let verdict = Verdict::DeadLetter { reason: "rejected".into(), detail: "by the task".into() };
        assert!(broker.settle(&[settlement(held[0].tag, verdict)]).await.unwrap().is_empty());
        let batch = fetch_all(&other, 1).await;
        assert_eq!(ids(&batch), ["1"]);
        ack(&other, &batch).await;
    });
}

#[test]
fn returning_a_message_of_a_quorum_queue_often_loses_nothing() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("quorum");
        let json = format!(
            r#"{{"queues": {{"{queue}": {{"exchange": "", "arguments":
            {{"x-queue-type": "quorum", "x-delivery-limit": 10}}}}}}}}"#
        );
        let options = site.options_with(&[("queues", &json)]);
        let broker = AmqpBroker::connect(options, std::slice::from_ref(&queue), TERMS).await.unwrap();
        site.publish(&queue, &["1"]);
        for _ in 0..25 {
            let held = fetch_all(&broker, 1).await;
            let verdict = Verdict::Return { is_redelivery: false };
            assert!(broker.settle(&[settlement(held[0].tag, verdict)]).await.unwrap().is_empty());
        }
        let held = fetch_all(&broker, 1).await;
        assert_eq!(broker.begin_attempt(held[0].tag, "1", 0).await.unwrap(), Some(1), "returns are no attempts");
        ack(&broker, &held).await;
    });
}

#[test]
fn acknowledgements_that_wait_for_others_are_sent_soon() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        site.publish(&queue, &["1", "2", "3", "4"]);
        let batch = fetch_all(&broker, 4).await;
        // The first goes at once; those that follow are none of the oldest.
        for number in [3, 2, 1] {
            ack(&broker, &batch[number..=number]).await;
        }
        while site.unacknowledged(&queue) > 1 {
            tokio::task::yield_now().await;
        }
        ack(&broker, &batch[..1]).await;
    });
}

#[test]
fn acknowledgements_that_wait_for_others_are_sent_before_the_connection_is_closed() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        let ids: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        site.publish(&queue, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        let batch = fetch_all(&broker, 100).await;
        for delivery in batch.iter().rev() {
            ack(&broker, std::slice::from_ref(delivery)).await;
        }
        broker.close().await.unwrap();
        assert_eq!(site.client().depth(&queue).unwrap(), 0);
    });
}

#[test]
fn a_short_answer_of_all_there_is_leaves_nothing() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        site.publish(&queue, &["1", "2", "3"]);
        let batch = broker.fetch(10).await.unwrap();
        assert_eq!((batch.len(), broker.has_more()), (3, false));
        ack(&broker, &batch).await;
    });
}

#[test]
fn what_nobody_fetches_goes_to_who_does() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let (busy, free) = (site.broker(&[&queue]).await, site.broker(&[&queue]).await);
        assert!(busy.fetch(10).await.unwrap().is_empty());
        site.publish(&queue, &["1", "2", "3"]);
        // All three were sent to the one that asked first, which asks no more.
        let batch = fetch_all(&free, 3).await;
        assert_eq!(ids(&batch), ["1", "2", "3"]);
        ack(&free, &batch).await;
    });
}

#[test]
fn what_comes_to_an_idle_worker_waits_to_be_fetched() {
    let Some(site) = Site::new() else { return };
    run(async {
        let queue = site.name("queue");
        let broker = site.broker(&[&queue]).await;
        assert!(broker.fetch(10).await.unwrap().is_empty());
        // It has not asked for longer than what nobody fetches is kept.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        site.publish(&queue, &["1"]);
        broker.wait().await;
        // What waits is looked at twice a second.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let batch = fetch_all(&broker, 1).await;
        assert!(!is_redelivered(&batch[0]), "it went back, though it had only just come");
        ack(&broker, &batch).await;
    });
}

#[test]
fn an_event_is_heard_by_who_has_a_queue_bound_to_its_routing_key() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&[&site.name("queue")]).await;
        let message = |key: &'static str| EventMessage {
            routing_key: key.into(),
            content_type: "application/json".into(),
            content_encoding: "utf-8".into(),
            headers_json: "{}".into(),
            body: "[]".into(),
        };
        let batch = ["task.multi", "worker.heartbeat", "task.multi"].map(message);
        assert_eq!(broker.publish_events("celeryev", &batch).await.unwrap(), [false, false, false]);
        let (mut one, mut other) = (site.client(), site.client());
        let queue = |name: &str, routing_key: &str| EventQueue {
            exchange: "celeryev".into(),
            routing_key: routing_key.into(),
            name: name.into(),
            ttl_ms: None,
            expires_ms: None,
            is_exclusive: true,
            is_durable: false,
        };
        one.listen_to_events(&queue("one", "worker.#")).unwrap();
        assert_eq!(broker.publish_events("celeryev", &batch).await.unwrap(), [false, true, false]);
        other.listen_to_events(&queue("other", "task.#")).unwrap();
        assert_eq!(broker.publish_events("celeryev", &batch).await.unwrap(), [true, true, true]);
    });
}
