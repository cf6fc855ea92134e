//! Several queues in one worker: bounds, shares, more of them, and pauses.

use std::time::Duration;

use tokio::time::timeout;

use super::Server;
use super::bench::{Bench, LONG, ack, fetch_all, id_of, ids_of};
use crate::lane::{Ask, Quota};
use crate::{Broker, Portion, QueueOrder};

/// So much of this queue, and as big a share as everybody.
fn room(room: u32) -> Portion {
    Portion { room, ..Portion::WHOLE }
}

fn share(share: u32) -> Portion {
    Portion { share, ..Portion::WHOLE }
}

pub(super) async fn a_queue_gives_no_more_than_its_room<S: Server>(bench: &Bench<'_, S>) {
    let (bounded, free) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&bounded, &free], LONG).await;
    let first = bench.publish(&bounded, 0, 5);
    bench.publish(&free, 3, 5);
    let batch = broker.fetch_within(10, &[room(2), Portion::WHOLE]).await.expect("fetch");
    let mine: Vec<_> = batch.iter().filter(|one| one.queue == 0).map(id_of).collect();
    assert_eq!(mine, first[..2], "the oldest within the room");
    assert_eq!(batch.len(), 7, "the other queue is not bounded");
    let none = broker.fetch_within(10, &[room(0), Portion::WHOLE]).await.expect("fetch");
    assert!(none.is_empty(), "{} messages without room", none.len());
    let other = bench.broker(&[&bounded], LONG).await;
    let rest = other.fetch(10).await.expect("fetch");
    assert_eq!(ids_of(&rest), first[2..], "the rest is for other workers");
    ack(&broker, &batch).await;
    ack(&other, &rest).await;
}

pub(super) async fn a_queue_without_room_wakes_nobody<S: Server>(bench: &Bench<'_, S>) {
    let (bounded, free) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&bounded, &free], LONG).await;
    bench.publish(&bounded, 0, 3);
    let portions = [room(1), Portion::WHOLE];
    let mut held = broker.fetch_within(10, &portions).await.expect("fetch");
    assert_eq!(held.len(), 1);
    let mut wakes = 0;
    let patience = async {
        loop {
            broker.wait().await;
            wakes += 1;
            assert!(broker.fetch_within(10, &[room(0), Portion::WHOLE]).await.expect("fetch").is_empty());
        }
    };
    assert!(timeout(Duration::from_millis(400), patience).await.is_err());
    // What a wake-up from before the fetch, and a poll, may come to; polls of 25 ms where there is nothing better.
    assert!(wakes <= 20, "woken {wakes} times by what there is no room for");
    let ids = bench.publish(&free, 0, 1);
    let batch = fetch_all(&broker, 1).await;
    assert!(ids_of(&batch) == ids || batch[0].queue == 0);
    held.extend(batch);
    held.extend(fetch_all(&broker, 2).await);
    ack(&broker, &held).await;
}

pub(super) async fn shares_are_kept_between_queues_with_work<S: Server>(bench: &Bench<'_, S>) {
    let (heavy, light) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&heavy, &light], LONG).await;
    bench.publish(&heavy, 0, 40);
    bench.publish(&light, 0, 40);
    for _ in 0..5 {
        let batch = broker.fetch_within(8, &[share(6), share(2)]).await.expect("fetch");
        let heavies = batch.iter().filter(|one| one.queue == 0).count();
        assert_eq!((heavies, batch.len()), (6, 8));
        ack(&broker, &batch).await;
    }
    let single = broker.fetch_within(1, &[share(0), share(1)]).await.expect("fetch");
    assert_eq!(single[0].queue, 1, "a share of none waits for the others");
    ack(&broker, &single).await;
    for queue in [&heavy, &light] {
        bench.client().purge(queue).expect("purge");
    }
}

pub(super) async fn what_one_queue_leaves_over_goes_to_the_others<S: Server>(bench: &Bench<'_, S>) {
    let (short, long, bounded) = (bench.name("queue"), bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&short, &long, &bounded], LONG).await;
    for (queue, count) in [(&short, 1), (&long, 20), (&bounded, 20)] {
        bench.publish(queue, 0, count);
    }
    let portions = [share(8), share(0), Portion { room: 3, share: 2 }];
    let batch = broker.fetch_within(10, &portions).await.expect("fetch");
    let count = |index: u16| batch.iter().filter(|one| one.queue == index).count();
    assert_eq!((count(0), count(1), count(2)), (1, 6, 3));
    ack(&broker, &batch).await;
    for queue in [&long, &bounded] {
        bench.client().purge(queue).expect("purge");
    }
}

pub(super) async fn the_most_urgent_come_first_whatever_the_shares<S: Server>(bench: &Bench<'_, S>) {
    let (heavy, light) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&heavy, &light], LONG).await;
    bench.publish(&heavy, 9, 5);
    let urgent = bench.publish(&light, 0, 5);
    let batch = broker.fetch_within(5, &[share(5), share(0)]).await.expect("fetch");
    assert_eq!(ids_of(&batch), urgent);
    ack(&broker, &batch).await;
    bench.client().purge(&heavy).expect("purge");
}

pub(super) async fn queues_of_one_priority_come_in_the_order_that_is_asked_for<S: Server>(bench: &Bench<'_, S>) {
    // Their names are in the order in which they are made.
    let [a, b, c] = [(); 3].map(|()| bench.name("queue"));
    let watched = [&b, &c, &a];
    for (order, expected) in [(QueueOrder::Priority, watched), (QueueOrder::Sorted, [&a, &b, &c])] {
        let broker = bench.ordered_broker(&watched, LONG, order).await;
        let ids = expected.map(|queue| bench.publish(queue, 0, 3)).concat();
        let last = bench.publish(expected[0], 9, 1);
        let mut held = Vec::new();
        // One by one and many at once; a room bounds its queue, and a share bounds none.
        for (max, rooms) in [(1, [9; 3]), (1, [9; 3]), (3, [9, 9, 1]), (10, [9; 3])] {
            let portions = rooms.map(|room| Portion { room, share: 1 });
            held.extend(broker.fetch_within(max, &portions).await.expect("fetch"));
        }
        assert_eq!(ids_of(&held), [ids, last].concat(), "{order:?}");
        ack(&broker, &held).await;
    }
}

pub(super) async fn a_queue_is_watched_from_then_on<S: Server>(bench: &Bench<'_, S>) {
    let (first, second) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&first], LONG).await;
    bench.publish(&second, 0, 1);
    assert!(broker.fetch(10).await.expect("fetch").is_empty(), "nobody has said that it is watched");
    broker.watch(&second);
    broker.watch(&second);
    let batch = fetch_all(&broker, 1).await;
    assert_eq!(batch[0].queue, 1, "it is the last of the list");
    ack(&broker, &batch).await;
    assert!(broker.fetch(10).await.expect("fetch").is_empty());
    let woken = async {
        let batch = fetch_all(&broker, 1).await;
        ack(&broker, &batch).await;
        batch[0].queue
    };
    let publish = async { bench.publish(&second, 0, 1) };
    let (queue, _) = tokio::join!(timeout(Duration::from_secs(5), woken), publish);
    assert_eq!(queue.expect("a publish to it wakes"), 1);
    bench.publish(&first, 0, 1);
    let batch = fetch_all(&broker, 1).await;
    assert_eq!(batch[0].queue, 0, "the first is still watched");
    ack(&broker, &batch).await;
}

pub(super) async fn a_paused_queue_gives_nothing<S: Server>(bench: &Bench<'_, S>) {
    let (paused, free) = (bench.name("queue"), bench.name("queue"));
    let broker = bench.broker(&[&paused, &free], LONG).await;
    let mut client = bench.client();
    bench.publish(&paused, 0, 3);
    let held = fetch_all(&broker, 1).await;
    assert!(client.pause_queue(&paused).expect("pause"));
    assert!(!client.pause_queue(&paused).expect("pause"), "paused twice");
    assert!(client.paused_queues().expect("list").contains(&paused));
    bench.publish(&free, 3, 1);
    let batch = fetch_all(&broker, 1).await;
    assert_eq!(batch[0].queue, 1);
    ack(&broker, &batch).await;
    assert!(broker.fetch(10).await.expect("fetch").is_empty());
    let later = bench.broker(&[&paused], LONG).await;
    assert!(later.fetch(10).await.expect("fetch").is_empty(), "a worker that starts later keeps to it");
    ack(&broker, &held).await;

    assert!(client.resume_queue(&paused).expect("resume"));
    assert!(!client.resume_queue(&paused).expect("resume"), "resumed twice");
    assert!(!client.paused_queues().expect("list").contains(&paused));
    let batch = broker.fetch(10).await.expect("fetch");
    assert_eq!(batch.len(), 2, "what waited is there");
    ack(&broker, &batch).await;
}

pub(super) async fn resuming_wakes_a_waiting_worker<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    bench.client().pause_queue(&queue).expect("pause");
    let ids = bench.publish(&queue, 0, 1);
    assert!(broker.fetch(10).await.expect("fetch").is_empty());
    let resume = async {
        bench.client().resume_queue(&queue).expect("resume");
    };
    let (batch, ()) = tokio::join!(timeout(Duration::from_secs(5), fetch_all(&broker, 1)), resume);
    let batch = batch.expect("it woke");
    assert_eq!(ids_of(&batch), ids);
    ack(&broker, &batch).await;
}

pub(super) async fn a_paused_queue_is_published_to_and_purged<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let mut client = bench.client();
    client.pause_queue(&queue).expect("pause");
    bench.publish(&queue, 0, 4);
    assert_eq!(client.depth(&queue).expect("depth"), 4);
    assert_eq!(client.purge(&queue).expect("purge"), 4);
    assert!(client.paused_queues().expect("list").contains(&queue), "a purge ends no pause");
    client.resume_queue(&queue).expect("resume");
}

pub(super) async fn lanes_of_a_queue_without_room_are_left_alone<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task, interval_ns) = (bench.name("queue"), bench.name("task"), 400_000_000);
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 4);
    let held = fetch_all(&broker, 4).await;
    let tags = held.iter().map(|one| one.tag).collect();
    let ask = Ask { task: task.clone(), key: String::new(), interval_ns, tags, ahead: 0 };
    let granted = broker.acquire(&[ask]).await.expect("acquire");
    assert_eq!(granted[0].permits, 1, "three are in the lane now");
    let quotas = [Quota::Shared { task, interval_ns }];
    let draw = async |rooms: u32| broker.draw_within(10, &quotas, &[room(rooms)]).await.expect("draw");
    let drawn = draw(1).await;
    assert!(drawn.deliveries.is_empty(), "there is no permit yet");
    tokio::time::sleep(Duration::from_micros(drawn.next_in_us.expect("three wait"))).await;
    let drawn = draw(0).await;
    assert!(drawn.deliveries.is_empty() && drawn.next_in_us.is_none(), "there is nothing to draw for");
    bench.client().pause_queue(&queue).expect("pause");
    let drawn = draw(10).await;
    assert!(drawn.deliveries.is_empty() && drawn.next_in_us.is_none(), "its lanes are paused too");
    bench.client().resume_queue(&queue).expect("resume");
    let drawn = draw(1).await.deliveries;
    assert_eq!(ids_of(&drawn), ids_of(&held[1..2]));
    ack(&broker, &held[..1]).await;
    ack(&broker, &drawn).await;
    assert_eq!(bench.client().purge(&queue).expect("purge"), 2);
}
