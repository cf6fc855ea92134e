//! What becomes of a leased message.

use std::time::Duration;

use super::Server;
use super::bench::{
    Bench, LONG, SHORT, ack, ending, fetch_all, id_of, ids_of, is_redelivered, message, result, settle, take_over,
};
use crate::{Broker, Settlement, Verdict};

const UNSTARTED: Verdict = Verdict::Return { is_redelivery: false };
const REDELIVERY: Verdict = Verdict::Return { is_redelivery: true };

pub(super) async fn a_returned_message_is_fetched_next<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 3, 4);
    let held = fetch_all(&broker, 1).await;
    settle(&broker, &[ending(&held[0], UNSTARTED)]).await;
    let batch = fetch_all(&broker, 4).await;
    assert_eq!(ids_of(&batch), ids);
    assert!(!is_redelivered(&batch[0]), "it looks as if it had never been fetched");
    assert_eq!(batch[0].message, held[0].message);
    assert_ne!(batch[0].tag, held[0].tag, "tags are never used again");
    ack(&broker, &batch).await;
}

pub(super) async fn a_redelivery_is_marked<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 2);
    let held = fetch_all(&broker, 1).await;
    settle(&broker, &[ending(&held[0], REDELIVERY)]).await;
    let batch = fetch_all(&broker, 2).await;
    assert_eq!(ids_of(&batch), ids, "in front of its queue");
    assert!(is_redelivered(&batch[0]) && !is_redelivered(&batch[1]));
    // An unstarted return does not take the mark away.
    settle(&broker, &[ending(&batch[0], UNSTARTED), ending(&batch[1], Verdict::Ack)]).await;
    let again = fetch_all(&broker, 1).await;
    assert!(is_redelivered(&again[0]), "the mark was lost");
    ack(&broker, &again).await;
}

pub(super) async fn settling_twice_does_nothing_twice<S: Server>(bench: &Bench<'_, S>) {
    let (queue, next) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&broker, 3).await;
    let with_successor =
        Settlement { successors: vec![message(&next, 0, &bench.name("task"))], ..ending(&held[0], Verdict::Ack) };
    let batch = [with_successor, ending(&held[1], REDELIVERY), ending(&held[2], Verdict::Ack)];
    settle(&broker, &batch).await;
    let lost = broker.settle(&batch).await.expect("settle again");
    assert!(lost.contains(&0) && lost.contains(&1), "lost {lost:?}, expected at least 0 and 1");
    let mut client = bench.client();
    assert_eq!(client.depth(&next).expect("depth"), 1, "the successor");
    assert_eq!(client.depth(&queue).expect("depth"), 1, "the returned one");
    client.purge(&next).expect("purge");
    client.purge(&queue).expect("purge");
}

pub(super) async fn successors_come_with_the_acknowledgement<S: Server>(bench: &Bench<'_, S>) {
    let (queue, next) = (bench.name("queue"), bench.name("queue"));
    let (broker, follower) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&next], LONG).await);
    bench.publish(&queue, 0, 1);
    let held = fetch_all(&broker, 1).await;
    let ids = [bench.name("task"), bench.name("task")];
    let task = id_of(&held[0]);
    settle(
        &broker,
        &[Settlement {
            result: Some(result(&task, "{\"status\": \"SUCCESS\"}", true)),
            successors: ids.iter().map(|id| message(&next, 0, id)).collect(),
            ..ending(&held[0], Verdict::Ack)
        }],
    )
    .await;
    let batch = fetch_all(&follower, 2).await;
    assert_eq!(ids_of(&batch), ids);
    assert!(bench.results().get(&task).expect("get").is_some());
    assert!(broker.fetch(1).await.expect("fetch").is_empty());
    ack(&follower, &batch).await;
}

pub(super) async fn keep_keeps_the_lease<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 1);
    let held = fetch_all(&broker, 1).await;
    let task = id_of(&held[0]);
    let started = "{\"status\": \"STARTED\"}";
    settle(&broker, &[Settlement { result: Some(result(&task, started, false)), ..ending(&held[0], Verdict::Keep) }])
        .await;
    assert_eq!(bench.results().get(&task).expect("get").as_deref(), Some(started.as_bytes()));
    assert!(broker.fetch(1).await.expect("fetch").is_empty(), "it is still leased");
    ack(&broker, &held).await;
}

pub(super) async fn acked_needs_no_lease<S: Server>(bench: &Bench<'_, S>) {
    let (queue, next) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 1);
    let held = fetch_all(&broker, 1).await;
    ack(&broker, &held).await;
    let task = id_of(&held[0]);
    settle(
        &broker,
        &[Settlement {
            result: Some(result(&task, "{\"status\": \"FAILURE\"}", false)),
            successors: vec![message(&next, 0, &bench.name("task"))],
            ..ending(&held[0], Verdict::Acked)
        }],
    )
    .await;
    assert!(bench.results().get(&task).expect("get").is_some());
    assert_eq!(bench.client().purge(&next).expect("purge"), 1);
}

pub(super) async fn a_stored_success_stays<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 1);
    let held = fetch_all(&broker, 1).await;
    let task = id_of(&held[0]);
    let (success, failure) = ("{\"status\": \"SUCCESS\"}", "{\"status\": \"FAILURE\"}");
    broker.store(&[result(&task, "{\"status\": \"STARTED\"}", false)]).await.expect("store");
    broker.store(&[result(&task, success, true)]).await.expect("store");
    broker.store(&[result(&task, failure, false)]).await.expect("store");
    let ending = Settlement { result: Some(result(&task, failure, false)), ..ending(&held[0], Verdict::Ack) };
    settle(&broker, &[ending]).await;
    assert_eq!(bench.results().get(&task).expect("get").as_deref(), Some(success.as_bytes()));
}

pub(super) async fn a_lost_lease_is_reported_and_guarded<S: Server>(bench: &Bench<'_, S>) {
    let (queue, next) = (bench.name("queue"), bench.name("queue"));
    let slow = bench.broker(&[&queue], SHORT).await;
    let other = bench.broker(&[&queue], SHORT).await;
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&slow, 3).await;
    take_over(&other, 3).await;
    let (first, second) = (id_of(&held[0]), id_of(&held[1]));
    let batch = [
        Settlement {
            result: Some(result(&first, "{\"status\": \"SUCCESS\"}", true)),
            successors: vec![message(&next, 0, &bench.name("task"))],
            ..ending(&held[0], Verdict::Ack)
        },
        Settlement {
            result: Some(result(&second, "{\"status\": \"FAILURE\"}", false)),
            ..ending(&held[1], Verdict::Ack)
        },
        ending(&held[2], REDELIVERY),
    ];
    assert_eq!(slow.settle(&batch).await.expect("settle"), [0, 1, 2]);
    assert_eq!(bench.client().depth(&next).expect("depth"), 0, "a lost lease published its successor");
    assert!(bench.results().get(&first).expect("get").is_some(), "a success is kept anyway");
    assert!(bench.results().get(&second).expect("get").is_none(), "a failure of a lost lease is not");
    let batch = tokio::time::timeout(Duration::from_secs(10), fetch_all(&other, 3)).await.expect("all came back");
    assert!(batch.iter().all(is_redelivered));
    ack(&other, &batch).await;
    assert_eq!(bench.client().depth(&queue).expect("depth"), 0, "returned twice");
}

pub(super) async fn started_attempts_are_counted<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let id = bench.publish(&queue, 0, 1).remove(0);
    let mut numbers = Vec::new();
    for floor in [0, 0, 5, 0] {
        let held = fetch_all(&broker, 1).await;
        numbers.push(broker.begin_attempt(held[0].tag, &id, floor).await.expect("an attempt").expect("ours"));
        settle(&broker, &[Settlement { has_attempts: true, ..ending(&held[0], REDELIVERY) }]).await;
    }
    assert_eq!(numbers, [1, 2, 6, 7]);

    let held = fetch_all(&broker, 1).await;
    settle(&broker, &[Settlement { has_attempts: true, ..ending(&held[0], Verdict::Ack) }]).await;
    bench.client().publish(&[message(&queue, 0, &id)]).expect("publish");
    let held = fetch_all(&broker, 1).await;
    let number = broker.begin_attempt(held[0].tag, &id, 0).await.expect("an attempt").expect("ours");
    assert_eq!(number, 1, "an acknowledgement ends the count");
    settle(&broker, &[Settlement { has_attempts: true, ..ending(&held[0], Verdict::Ack) }]).await;
}

pub(super) async fn an_attempt_of_a_lost_lease_is_not_counted<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (slow, other) = (bench.broker(&[&queue], SHORT).await, bench.broker(&[&queue], SHORT).await);
    let id = bench.publish(&queue, 0, 1).remove(0);
    let held = fetch_all(&slow, 1).await;
    take_over(&other, 1).await;
    assert_eq!(slow.begin_attempt(held[0].tag, &id, 1).await.expect("an answer"), None);
    let again = fetch_all(&other, 1).await;
    assert_eq!(other.begin_attempt(again[0].tag, &id, 0).await.expect("an answer"), Some(1), "it counted after all");
    assert_eq!(slow.begin_attempt(held[0].tag, &id, 1).await.expect("an answer"), None);
    settle(&other, &[Settlement { has_attempts: true, ..ending(&again[0], Verdict::Ack) }]).await;
    assert_eq!(slow.begin_attempt(held[0].tag, &id, 1).await.expect("an answer"), None, "it has ended");
}

pub(super) async fn an_early_acknowledgement_of_a_lost_lease_is_refused<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (slow, other) = (bench.broker(&[&queue], SHORT).await, bench.broker(&[&queue], SHORT).await);
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&slow, 3).await;
    settle(&slow, &[Settlement { has_attempts: true, ..ending(&held[0], Verdict::EarlyAck) }]).await;
    take_over(&other, 2).await;
    let again = fetch_all(&other, 1).await;
    let early: Vec<Settlement> = held[1..].iter().map(|delivery| ending(delivery, Verdict::EarlyAck)).collect();
    assert_eq!(slow.settle(&early).await.expect("an answer"), [0, 1]);
    settle(&other, &[ending(&again[0], Verdict::EarlyAck)]).await;
    let rest = fetch_all(&other, 1).await;
    ack(&other, &rest).await;
    assert!(other.fetch(10).await.expect("a fetch").is_empty());
}

pub(super) async fn requeue_at_the_tasks_wish_forgets_the_started_attempts<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let id = bench.publish(&queue, 0, 1).remove(0);
    for verdict in [REDELIVERY, Verdict::Requeue, Verdict::Ack] {
        let held = fetch_all(&broker, 1).await;
        let number = broker.begin_attempt(held[0].tag, &id, 0).await.expect("an attempt").expect("ours");
        assert_eq!(number, if verdict == Verdict::Requeue { 2 } else { 1 }, "before {verdict:?}");
        assert_eq!(is_redelivered(&held[0]), verdict != REDELIVERY);
        settle(&broker, &[Settlement { has_attempts: true, ..ending(&held[0], verdict) }]).await;
    }
}
