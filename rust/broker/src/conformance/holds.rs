//! Whether a task's message is somewhere in the broker.

use super::Server;
use super::bench::{Bench, LONG, ack, ending, fetch_all, message, settle};
use crate::lane::Ask;
use crate::{Broker, Publish, Settlement, Verdict};

const HOUR_NS: u64 = 3_600_000_000_000;
/// Later than any other case's clock reaches.
const FAR_MS: i64 = 4_000_000_000_000;

pub(super) async fn a_message_is_found_wherever_it_is<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    let holds = |id: &String| bench.client().holds(id, &["another", &queue]).expect("search");
    let ids = bench.publish(&queue, 3, 5);
    assert!(ids.iter().all(holds), "in the queue");
    assert!(!holds(&bench.name("task")), "nobody has published it");
    let held = fetch_all(&broker, 5).await;
    assert!(ids.iter().all(holds), "leased");
    let limited = Ask {
        task,
        key: String::new(),
        interval_ns: HOUR_NS,
        tags: held[..2].iter().map(|one| one.tag).collect(),
        ahead: 0,
    };
    assert_eq!(broker.acquire(&[limited]).await.expect("acquire")[0].permits, 1);
    assert!(holds(&ids[1]), "in a lane");
    let dead = Verdict::DeadLetter { reason: "unknown task".to_owned(), detail: String::new() };
    settle(
        &broker,
        &[
            ending(&held[2], Verdict::Park { due_ms: FAR_MS }),
            Settlement { has_attempts: true, ..ending(&held[3], dead) },
        ],
    )
    .await;
    assert!(holds(&ids[2]), "parked");
    assert!(holds(&ids[3]), "dead");
    ack(&broker, &held[..1]).await;
    ack(&broker, &held[4..]).await;
    assert!(!holds(&ids[0]) && !holds(&ids[4]), "acknowledged");
    let mut client = bench.client();
    assert_eq!(client.purge(&queue).expect("purge"), 1);
    assert!(!holds(&ids[1]), "purged");
    assert_eq!(client.purge_dead_letters(Some(&ids[3])).expect("purge"), 1);
    let parked = client.parked_of(&[&ids[2]]).expect("search").remove(0);
    client.release_parked(&[&parked.handle]).expect("release");
    ack(&broker, &fetch_all(&broker, 1).await).await;
}

pub(super) async fn a_long_queue_is_read_to_its_end<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let ids = bench.publish(&queue, 0, 1_201);
    for place in [0, 499, 500, 501, 1_000, 1_200] {
        assert!(bench.client().holds(&ids[place], &[&queue]).expect("search"), "{place}");
    }
    assert_eq!(bench.client().purge(&queue).expect("purge"), 1_201);
}

pub(super) async fn a_message_that_names_a_task_is_not_one_of_it<S: Server>(bench: &Bench<'_, S>) {
    let (queue, child) = (bench.name("queue"), bench.name("task"));
    let parent = bench.name("task");
    let one = message(&queue, 0, &child);
    let text = String::from_utf8(one.message.to_vec()).expect("text");
    let named = text.replace("\"parent_id\": null", &format!("\"parent_id\": \"{parent}\""));
    bench.client().publish(&[Publish { message: named.into(), ..one }]).expect("publish");
    let mut client = bench.client();
    assert!(client.holds(&child, &[&queue]).expect("search"));
    assert!(!client.holds(&parent, &[&queue]).expect("search"));
    assert_eq!(client.purge(&queue).expect("purge"), 1);
}
