//! Who holds what, for how long, and how it comes back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Server;
use super::bench::{Bench, LONG, SHORT, ack, ending, fetch_all, ids_of, is_redelivered, settle, take_over};
use crate::{Broker, Tag, Verdict};

pub(super) async fn a_vanished_owners_messages_come_back_after_its_life<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let heir = bench.broker(&[&queue], SHORT).await;
    let vanishing = bench.broker(&[&queue], SHORT).await;
    let ids = bench.publish(&queue, 0, 5);
    vanishing.heartbeat().await.expect("heartbeat");
    let held = fetch_all(&vanishing, 3).await;
    assert_eq!(ids_of(&held), ids[..3]);
    drop(vanishing);

    let since = Instant::now();
    let mut recovered = 0;
    while recovered < 3 {
        heir.heartbeat().await.expect("heartbeat");
        recovered += heir.recover().await.expect("recover").messages;
        assert!(recovered == 0 || since.elapsed() >= SHORT.life, "recovered after {:?}", since.elapsed());
        tokio::time::sleep(SHORT.refresh).await;
    }
    let batch = fetch_all(&heir, 5).await;
    let mut fetched = ids_of(&batch);
    assert_eq!(fetched[3..], ids[3..], "what came back is in front");
    fetched.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(fetched, expected);
    for one in &batch {
        assert_eq!(
            is_redelivered(one),
            held.iter().any(|gone| ids_of(std::slice::from_ref(gone)) == ids_of(std::slice::from_ref(one)))
        );
    }
    ack(&heir, &batch).await;
}

pub(super) async fn a_living_owner_is_left_alone<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (worker, other) = (bench.broker(&[&queue], SHORT).await, bench.broker(&[&queue], SHORT).await);
    bench.publish(&queue, 0, 2);
    let held = fetch_all(&worker, 2).await;
    let since = Instant::now();
    while since.elapsed() < SHORT.life * 4 {
        worker.heartbeat().await.expect("heartbeat");
        other.heartbeat().await.expect("heartbeat");
        other.recover().await.expect("recover");
        worker.recover().await.expect("recover");
        tokio::time::sleep(SHORT.refresh / 2).await;
    }
    assert_eq!(bench.client().depth(&queue).expect("depth"), 0, "a living worker's lease was taken");
    ack(&worker, &held).await;
}

pub(super) async fn who_was_taken_for_dead_finds_out_which_leases_it_lost<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (slow, other) = (bench.broker(&[&queue], SHORT).await, bench.broker(&[&queue], SHORT).await);
    bench.publish(&queue, 0, 3);
    let before = fetch_all(&slow, 2).await;
    let tags: Vec<Tag> = before.iter().map(|delivery| delivery.tag).collect();
    assert_eq!(slow.lost(&tags).await.expect("an answer"), []);
    take_over(&other, 2).await;
    slow.heartbeat().await.expect("heartbeat");
    let after = fetch_all(&slow, 1).await;
    let all: Vec<Tag> = tags.iter().copied().chain([after[0].tag]).collect();
    let mut lost = slow.lost(&all).await.expect("an answer");
    lost.sort_unstable();
    assert_eq!(lost, tags);
    ack(&slow, &after).await;
    let rest = fetch_all(&other, 2).await;
    ack(&other, &rest).await;
}

pub(super) async fn close_gives_back_what_is_held<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let leaving = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 3);
    let held = fetch_all(&leaving, 2).await;
    settle(&leaving, &[ending(&held[0], Verdict::Ack)]).await;
    leaving.close().await.expect("close");
    let staying = bench.broker(&[&queue], LONG).await;
    let batch = fetch_all(&staying, 2).await;
    assert_eq!(ids_of(&batch), ids[1..]);
    assert!(!is_redelivered(&batch[0]), "it was never started");
    ack(&staying, &batch).await;
}

pub(super) async fn a_parked_message_waits_until_it_is_due<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let (broker, other) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    let ids = bench.publish(&queue, 3, 3);
    let held = fetch_all(&broker, 2).await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let due_ms = now_ms + 3_000;
    settle(
        &broker,
        &[ending(&held[0], Verdict::Park { due_ms }), ending(&held[1], Verdict::Park { due_ms: now_ms + 3_600_000 })],
    )
    .await;
    let mut client = bench.client();
    assert_eq!(client.depth(&queue).expect("depth"), 1, "parked ones do not wait in the queue");
    let next = other.release_due(now_ms).await.expect("release");
    assert!(next.is_none_or(|next| next <= due_ms), "the next is due at {next:?}, not at {due_ms}");
    assert_eq!(client.depth(&queue).expect("depth"), 1, "released too early");

    broker.close().await.expect("close");
    let since = Instant::now();
    while client.depth(&queue).expect("depth") < 2 {
        other.release_due(due_ms).await.expect("release");
        assert!(since.elapsed() < Duration::from_secs(20), "not released");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let batch = fetch_all(&other, 2).await;
    assert_eq!(ids_of(&batch), [ids[0].clone(), ids[2].clone()], "in front of its queue");
    assert!(!is_redelivered(&batch[0]), "parking is no redelivery");
    ack(&other, &batch).await;

    other.release_due(now_ms + 3_600_000).await.expect("release");
    let batch = fetch_all(&other, 1).await;
    assert_eq!(ids_of(&batch), ids[1..2]);
    ack(&other, &batch).await;
}
