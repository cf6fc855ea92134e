//! From a publish to a fetch: order, fairness, bounds, waking.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Server;
use super::bench::{
    Bench, LONG, ack, ending, fetch_all, id_of, ids_of, is_redelivered, is_same, message, padded_message, settle,
};
use crate::{Broker, Verdict};

pub(super) async fn a_published_message_is_fetched_once<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (one, other) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    let id = bench.name("task");
    let published = message(&queue, 0, &id);
    bench.client().publish(std::slice::from_ref(&published)).expect("publish");

    let deliveries = fetch_all(&one, 1).await;
    assert!(is_same(&deliveries[0].message, &published.message), "the message was changed");
    assert_eq!(deliveries[0].queue, 0);
    assert!(!is_redelivered(&deliveries[0]));
    assert!(other.fetch(10).await.expect("fetch").is_empty(), "leased to two workers");
    ack(&one, &deliveries).await;
    assert!(one.fetch(10).await.expect("fetch").is_empty(), "fetched after the acknowledgement");
    one.close().await.expect("close");
    assert!(other.fetch(10).await.expect("fetch").is_empty(), "an acknowledged message came back");
}

pub(super) async fn an_empty_queue_gives_nothing<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    assert!(broker.fetch(10).await.expect("fetch").is_empty());
    broker.publish(&[]).await.expect("an empty publish");
    assert!(broker.settle(&[]).await.expect("an empty settle").is_empty());
    assert_eq!(bench.client().depth(&queue).expect("depth"), 0);
}

pub(super) async fn a_fetch_gives_at_most_max<S: Server>(bench: &Bench<'_, S>) {
    let (one, two) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&one, &two], LONG).await;
    for priority in [0, 3, 9] {
        bench.publish(&one, priority, 5);
        bench.publish(&two, priority, 5);
    }
    let mut seen = 0;
    while seen < 30 {
        let batch = broker.fetch(7).await.expect("fetch");
        assert!(!batch.is_empty() && batch.len() <= 7, "{} messages", batch.len());
        seen += batch.len();
        ack(&broker, &batch).await;
    }
    assert_eq!(seen, 30);
}

pub(super) async fn messages_of_one_priority_come_in_order<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let mut ids = bench.publish(&queue, 3, 20);
    ids.extend(bench.publish(&queue, 3, 20));
    let mut fetched = Vec::new();
    for max in [1, 9, 30] {
        let batch = broker.fetch(max).await.expect("fetch");
        fetched.extend(ids_of(&batch));
        ack(&broker, &batch).await;
    }
    // A server that sends may have some of it on the way.
    let rest = fetch_all(&broker, 40 - fetched.len()).await;
    fetched.extend(ids_of(&rest));
    ack(&broker, &rest).await;
    assert_eq!(fetched, ids);
}

pub(super) async fn the_most_urgent_come_first<S: Server>(bench: &Bench<'_, S>) {
    let (one, two) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&one, &two], LONG).await;
    let last = bench.publish(&one, 9, 2);
    let middle = bench.publish(&two, 6, 2);
    let first = bench.publish(&two, 0, 2);
    let second = bench.publish(&one, 3, 2);
    let expected = [first, second, middle, last].concat();

    let at_once = broker.fetch(8).await.expect("fetch");
    assert_eq!(ids_of(&at_once), expected, "in one fetch");
    let batch: Vec<_> = at_once.iter().map(|one| ending(one, Verdict::Return { is_redelivery: false })).collect();
    settle(&broker, &batch).await;
    let mut one_by_one = Vec::new();
    for _ in 0..8 {
        one_by_one.extend(broker.fetch(1).await.expect("fetch"));
    }
    let urgency = |id: &String| expected.iter().position(|known| known == id).expect("ours") / 2;
    let levels: Vec<usize> = ids_of(&one_by_one).iter().map(urgency).collect();
    assert_eq!(levels, [0, 0, 1, 1, 2, 2, 3, 3], "one by one, after a return");
    ack(&broker, &one_by_one).await;
}

pub(super) async fn queues_of_one_priority_take_turns<S: Server>(bench: &Bench<'_, S>) {
    let (long, short) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&long, &short], LONG).await;
    bench.publish(&long, 0, 100);
    let waiting: HashSet<String> = bench.publish(&short, 0, 10).into_iter().collect();
    let mut served = 0;
    for _ in 0..6 {
        let batch = broker.fetch(10).await.expect("fetch");
        served += batch.iter().filter(|one| waiting.contains(&id_of(one))).count();
        for one in &batch {
            assert_eq!(one.queue, u16::from(waiting.contains(&id_of(one))), "the delivery names its queue");
        }
        ack(&broker, &batch).await;
    }
    assert_eq!(served, 10, "the long queue delayed the short one");
    bench.client().purge(&long).expect("purge");
}

pub(super) async fn a_queue_may_have_any_name<S: Server>(bench: &Bench<'_, S>) {
    for stem in ["почта", "作業 列", "with space:and{braces}", "a'b;--"] {
        let queue = bench.name(stem);
        let broker = bench.broker(&[&queue], LONG).await;
        let ids = bench.publish(&queue, 0, 2);
        assert_eq!(bench.client().depth(&queue).expect("depth"), 2, "{queue}");
        let batch = fetch_all(&broker, 2).await;
        assert_eq!(ids_of(&batch), ids, "{queue}");
        ack(&broker, &batch).await;
    }
}

pub(super) async fn a_megabyte_travels_unchanged<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let large = padded_message(&queue, 0, &bench.name("task"), &"QUJD".repeat(1 << 18));
    bench.client().publish(std::slice::from_ref(&large)).expect("publish");
    let batch = fetch_all(&broker, 1).await;
    assert!(is_same(&batch[0].message, &large.message), "the message was changed");
    ack(&broker, &batch).await;
}

pub(super) async fn a_worker_publishes_too<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    assert!(broker.fetch(1).await.expect("fetch").is_empty());
    let ids: Vec<String> = (0..300).map(|_| bench.name("task")).collect();
    let batch: Vec<_> = ids.iter().map(|id| message(&queue, 0, id)).collect();
    broker.publish(&batch).await.expect("publish");
    tokio::time::timeout(Duration::from_secs(5), broker.wait()).await.expect("its own publish wakes it");
    let batch = fetch_all(&broker, 300).await;
    assert_eq!(ids_of(&batch), ids);
    ack(&broker, &batch).await;
}

pub(super) async fn a_publish_wakes_a_waiting_worker<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    for _ in 0..5 {
        assert!(broker.fetch(10).await.expect("fetch").is_empty());
        let (mut client, batch) = (bench.client(), [message(&queue, 0, &bench.name("task"))]);
        let publisher = std::thread::spawn(move || {
            // Not a wait for something: the point is that the worker is asleep by then.
            std::thread::sleep(Duration::from_millis(30));
            client.publish(&batch).expect("publish");
            Instant::now()
        });
        let batch = fetch_all(&broker, 1).await;
        let awake = Instant::now();
        let published = publisher.join().expect("the publisher ends");
        let late = awake.saturating_duration_since(published);
        assert!(late < Duration::from_secs(3), "woke {late:?} after the publish");
        ack(&broker, &batch).await;
    }
}

pub(super) async fn a_return_wakes_another_worker<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (holder, waiter) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    bench.publish(&queue, 0, 1);
    let held = fetch_all(&holder, 1).await;
    assert!(waiter.fetch(1).await.expect("fetch").is_empty());
    let give_back = async {
        settle(&holder, &[ending(&held[0], Verdict::Return { is_redelivery: false })]).await;
    };
    let (batch, ()) = tokio::join!(fetch_all(&waiter, 1), give_back);
    ack(&waiter, &batch).await;
}

/// Dropping the future is what a `select!` in the worker does; the messages may be leased already.
pub(super) async fn a_dropped_fetch_loses_nothing<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids: HashSet<String> = bench.publish(&queue, 0, 40).into_iter().collect();
    for patience in [0, 50, 200, 1_000] {
        // Whatever arrives in time is dropped too, unread: take care to drop only unanswered ones.
        let fetch = tokio::time::timeout(Duration::from_micros(patience), broker.fetch(10)).await;
        if let Ok(batch) = fetch {
            let batch = batch.expect("fetch");
            let again: Vec<_> = batch.iter().map(|one| ending(one, Verdict::Return { is_redelivery: false })).collect();
            settle(&broker, &again).await;
        }
    }
    let batch = fetch_all(&broker, 40).await;
    let fetched: HashSet<String> = ids_of(&batch).into_iter().collect();
    assert_eq!(fetched, ids, "each exactly once");
    ack(&broker, &batch).await;
}

pub(super) async fn depth_counts_what_waits_and_purge_removes_it<S: Server>(bench: &Bench<'_, S>) {
    let (queue, neighbour) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&queue], LONG).await;
    let mut client = bench.client();
    bench.publish(&queue, 0, 3);
    bench.publish(&queue, 9, 4);
    bench.publish(&neighbour, 0, 1);
    assert_eq!(client.depth(&queue).expect("depth"), 7);
    let held = fetch_all(&broker, 2).await;
    assert_eq!(client.depth(&queue).expect("depth"), 5, "leased ones are not counted");
    assert_eq!(client.purge(&queue).expect("purge"), 5);
    assert_eq!(client.depth(&queue).expect("depth"), 0);
    assert_eq!(client.purge(&queue).expect("purge"), 0);
    assert_eq!(client.purge(&neighbour).expect("purge"), 1, "the neighbour was purged");
    settle(&broker, &[ending(&held[0], Verdict::Return { is_redelivery: false }), ending(&held[1], Verdict::Ack)])
        .await;
    assert_eq!(client.depth(&queue).expect("depth"), 1, "a purge takes no lease away");
    client.purge(&queue).expect("purge");
}
