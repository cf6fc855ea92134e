//! What could not be run is kept.

use bytes::Bytes;

use super::Server;
use super::bench::{Bench, LONG, ack, ending, fetch_all, id_of, ids_of, is_redelivered, settle};
use crate::{Broker, Client, DeadLetter, Publish, Settlement, Verdict};

/// More than other tests leave on a shared server.
const MANY: usize = 100_000;

fn letters_of(client: &mut dyn Client, queue: &str) -> Vec<DeadLetter> {
    let mut letters = client.dead_letters(MANY).expect("dead letters");
    letters.retain(|letter| letter.queue == queue);
    letters
}

/// Publishes `count` messages and lets them die; returns their ids, oldest first.
async fn bury<S: Server>(bench: &Bench<'_, S>, broker: &impl Broker, queue: &str, count: usize) -> Vec<String> {
    bench.publish(queue, 6, count);
    let mut ids = Vec::new();
    for _ in 0..count {
        let held = fetch_all(broker, 1).await;
        let verdict = Verdict::DeadLetter { reason: "unknown task".to_owned(), detail: "register it".to_owned() };
        settle(broker, &[Settlement { has_attempts: true, ..ending(&held[0], verdict) }]).await;
        ids.push(id_of(&held[0]));
    }
    ids
}

pub(super) async fn what_is_not_json_becomes_a_dead_letter<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let rubbish = [&b""[..], b"hello", b"[1, 2]", b"{\"body\": ", b"\xff\xfe{}x"];
    let batch: Vec<Publish> = rubbish
        .iter()
        .map(|bytes| Publish { queue: queue.clone(), priority: 0, message: Bytes::from_static(bytes) })
        .collect();
    bench.client().publish(&batch).expect("publish");
    let ids = bench.publish(&queue, 0, 1);
    let fetched = fetch_all(&broker, 1).await;
    assert_eq!(ids_of(&fetched), ids, "the good message behind the rubbish");
    ack(&broker, &fetched).await;
    assert!(broker.fetch(10).await.expect("fetch").is_empty());

    let mut client = bench.client();
    let letters = letters_of(&mut *client, &queue);
    assert_eq!(letters.len(), rubbish.len());
    for letter in &letters {
        assert!(rubbish.contains(&&letter.message[..]), "changed: {:?}", letter.message);
        assert!(!letter.id.is_empty() && !letter.reason.is_empty() && letter.task.is_none(), "{letter:?}");
        assert_eq!(client.purge_dead_letters(Some(&letter.id)).expect("purge"), 1);
    }
    assert!(letters_of(&mut *client, &queue).is_empty());
}

pub(super) async fn dead_letters_are_listed_newest_first<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bury(bench, &broker, &queue, 3).await;
    let mut client = bench.client();
    let letters = letters_of(&mut *client, &queue);
    let listed: Vec<&String> = letters.iter().map(|letter| &letter.id).collect();
    assert_eq!(listed, [&ids[2], &ids[1], &ids[0]]);
    let letter = &letters[0];
    assert_eq!((letter.reason.as_str(), letter.detail.as_str()), ("unknown task", "register it"));
    assert_eq!(letter.task.as_deref(), Some("conformance.add"));
    // Redis has four steps of priority: 0, 3, 6, 9.
    assert_eq!(letter.priority, 6);
    assert!(letter.died_ms > 1_600_000_000_000, "died at {}", letter.died_ms);

    let found = client.dead_letter(&ids[1]).expect("by id").expect("it is there");
    assert_eq!(found.id, ids[1]);
    // Ids of one case differ in their ends only.
    assert!(client.dead_letter(&ids[1][..20]).expect("by prefix").is_none(), "the prefix is not unique");
    assert!(client.dead_letter(&bench.name("nobody")).expect("by id").is_none());
    for id in &ids {
        client.purge_dead_letters(Some(id)).expect("purge");
    }
}

pub(super) async fn a_dead_letter_can_be_retried<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bury(bench, &broker, &queue, 1).await;
    let mut client = bench.client();
    assert_eq!(client.depth(&queue).expect("depth"), 0);
    // Everything up to the number at the end is this case's alone.
    let prefix = ids[0].rsplit_once('-').expect("a number").0.to_owned();
    assert_eq!(client.dead_letter(&prefix).expect("by prefix").map(|letter| letter.id), Some(ids[0].clone()));
    assert!(client.retry_dead_letter(&prefix).expect("retry"));
    assert!(!client.retry_dead_letter(&ids[0]).expect("retry"), "retried twice");
    assert!(letters_of(&mut *client, &queue).is_empty());
    let batch = fetch_all(&broker, 1).await;
    assert_eq!(ids_of(&batch), ids);
    assert!(!is_redelivered(&batch[0]), "it starts afresh");
    ack(&broker, &batch).await;
}

pub(super) async fn dead_letters_can_be_purged<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bury(bench, &broker, &queue, 3).await;
    let mut client = bench.client();
    assert_eq!(client.purge_dead_letters(Some(&ids[0])).expect("purge"), 1);
    assert_eq!(client.purge_dead_letters(Some(&ids[0])).expect("purge"), 0);
    assert_eq!(letters_of(&mut *client, &queue).len(), 2);
    assert!(client.purge_dead_letters(None).expect("purge") >= 2);
    assert!(letters_of(&mut *client, &queue).is_empty());
    assert_eq!(client.depth(&queue).expect("depth"), 0);
}
