//! Groups and chords.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Server;
use super::bench::{Bench, LONG, SHORT, ack, ending, fetch_all, id_of, ids_of, message, result};
use crate::{
    Broker, DONE_S, Delivery, Join, Joined, LeaseTerms, Member, Part, Parts, Publish, Remains, Settled, Settlement,
    Verdict,
};

pub(super) async fn a_group_is_saved_and_deleted<S: Server>(bench: &Bench<'_, S>) {
    let group = bench.name("group");
    let mut results = bench.results();
    assert_eq!(results.group(&group).expect("restore"), None);
    for doc in ["{\"result\": 1}", "{\"result\": \"é\"}"] {
        results.save_group(&group, doc.as_bytes(), None).expect("save");
        assert_eq!(results.group(&group).expect("restore").as_deref(), Some(doc.as_bytes()));
    }
    assert_eq!(results.get(&group).expect("get"), None, "a group is no task");
    results.delete_group(&group).expect("delete");
    results.delete_group(&group).expect("deleting twice is no error");
    assert_eq!(results.group(&group).expect("restore"), None);
}

pub(super) async fn a_group_expires<S: Server>(bench: &Bench<'_, S>) {
    let group = bench.name("group");
    let mut results = bench.results();
    results.save_group(&group, b"{}", Some(1)).expect("save");
    assert!(results.group(&group).expect("restore").is_some(), "gone too early");
    let since = Instant::now();
    while results.group(&group).expect("restore").is_some() {
        assert!(since.elapsed() < Duration::from_secs(5), "it does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The part of the message's task in the chord of `group`.
fn part(delivery: &Delivery, group: &str, index: i64) -> Part {
    let task_id = id_of(delivery);
    let doc = format!("[1, \"{task_id}\", \"SUCCESS\", {index}]");
    let record = Bytes::from(format!("body of {group}"));
    Part {
        group_id: group.to_owned(),
        task_id,
        index: Some(index),
        doc: doc.into(),
        record,
        bears: None,
        ttl_s: Some(600),
    }
}

fn member(delivery: &Delivery, part: Part) -> Settlement {
    Settlement { member: Some(Box::new(Member::Part(part))), ..ending(delivery, Verdict::Ack) }
}

async fn count(broker: &impl Broker, batch: &[Settlement]) -> Vec<usize> {
    let settled = broker.settle_and_count(batch).await.expect("settle");
    assert!(settled.lost.is_empty(), "lost {settled:?}");
    settled.complete
}

/// A worker that holds the `size` messages of a chord's header, and the chord's name.
async fn begun<S: Server>(
    bench: &Bench<'_, S>,
    size: usize,
    terms: LeaseTerms,
) -> (S::Broker, String, Vec<Delivery>, String) {
    let (queue, group) = (bench.name("queue"), bench.name("group"));
    let broker = bench.broker(&[&queue], terms).await;
    bench.results().begin_chord(&group, Some(size as u64), Some(600), None).expect("set size");
    bench.publish(&queue, 0, size);
    let held = fetch_all(&broker, size).await;
    (broker, group, held, queue)
}

async fn complete(broker: &impl Broker, held: &[Delivery], group: &str) -> Join {
    let last = held.len() - 1;
    let batch: Vec<Settlement> = (0..).zip(held).map(|(at, one)| member(one, part(one, group, at))).collect();
    assert_eq!(count(broker, &batch).await, [last]);
    part(&held[last], group, last as i64).join()
}

fn joined(join: &Join, messages: Vec<Publish>) -> Joined {
    Joined { join: join.clone(), messages, results: Vec::new(), remains: Remains::default() }
}

pub(super) async fn the_last_member_completes_its_chord<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 3, LONG).await;
    let [first, second, third] = [0, 1, 2].map(|at| member(&held[at], part(&held[at], &group, at as i64)));
    assert_eq!(count(&broker, &[third, first]).await, [] as [usize; 0]);
    assert!(!broker.joins().await.expect("look").iter().any(|join| join.group_id == group));
    assert_eq!(count(&broker, std::slice::from_ref(&second)).await, [0]);
    let join = part(&held[1], &group, 1).join();
    assert!(broker.joins().await.expect("look").contains(&join), "it is ours until it is ended");
    let parts = broker.parts(&group).await.expect("read");
    let docs: Vec<Bytes> = (0..3).map(|at| part(&held[at], &group, at as i64).doc).collect();
    assert_eq!((parts.docs, parts.group), (docs, None), "in the order of the header");
    let (body, failed) = (bench.name("task"), bench.name("task"));
    let mut end = joined(&join, vec![message(&queue, 0, &body)]);
    end.results = vec![result(&failed, "{\"status\": \"FAILURE\"}", false)];
    assert!(broker.finish_join(&end).await.expect("end"));
    assert!(!broker.finish_join(&end).await.expect("end again"));
    assert!(!broker.joins().await.expect("look").contains(&join));
    assert_eq!(broker.parts(&group).await.expect("read"), Parts::default());
    let published = fetch_all(&broker, 1).await;
    assert_eq!(ids_of(&published), [body]);
    ack(&broker, &published).await;
    assert!(broker.fetch(1).await.expect("fetch").is_empty(), "published once");
    assert!(bench.results().get(&failed).expect("get").is_some());
}

pub(super) async fn a_member_that_ends_twice_counts_once<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 2, LONG).await;
    let again = |doc: &'static str| Part { doc: doc.into(), ..part(&held[0], &group, 0) };
    bench.publish(&queue, 0, 3);
    let copies = fetch_all(&broker, 3).await;
    assert_eq!(count(&broker, &[member(&held[0], again("[1, \"x\", \"SUCCESS\", 1]"))]).await, [] as [usize; 0]);
    assert_eq!(count(&broker, &[member(&copies[0], again("[1, \"x\", \"SUCCESS\", 2]"))]).await, [] as [usize; 0]);
    assert_eq!(count(&broker, &[member(&held[1], part(&held[1], &group, 1))]).await, [0]);
    let join = part(&held[1], &group, 1).join();
    assert_eq!(count(&broker, &[member(&copies[1], again("[]"))]).await, [] as [usize; 0], "another has claimed it");
    let parts = broker.parts(&group).await.expect("read").docs;
    assert_eq!(parts, [again("[1, \"x\", \"SUCCESS\", 1]").doc, part(&held[1], &group, 1).doc]);
    assert!(broker.finish_join(&joined(&join, Vec::new())).await.expect("end"));
    assert_eq!(count(&broker, &[member(&copies[2], again("[]"))]).await, [] as [usize; 0], "it is over");
    assert_eq!(broker.parts(&group).await.expect("read"), Parts::default());
}

pub(super) async fn parts_are_counted_before_the_size_is_known<S: Server>(bench: &Bench<'_, S>) {
    let (queue, group) = (bench.name("queue"), bench.name("group"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&broker, 3).await;
    let [first, second, third] = [0, 1, 2].map(|at| member(&held[at], part(&held[at], &group, at as i64)));
    // A header that is read from a stream: full batches of it have left, and run, when its end is seen.
    bench.results().begin_chord(&group, None, Some(600), None).expect("begin");
    assert_eq!(count(&broker, &[first]).await, [] as [usize; 0]);
    bench.results().set_chord_size(&group, 2, Some(600)).expect("set size");
    assert_eq!(broker.parts(&group).await.expect("read").docs.len(), 1, "what was counted stays");
    bench.results().add_to_chord(&group, Some(600), None).expect("add");
    assert_eq!(count(&broker, &[second]).await, [] as [usize; 0]);
    assert_eq!(count(&broker, &[third]).await, [0], "the added one");
    assert_eq!(broker.parts(&group).await.expect("read").docs.len(), 3);
    assert!(broker.finish_join(&joined(&part(&held[2], &group, 2).join(), Vec::new())).await.expect("end"));
}

pub(super) async fn beginning_forgets_the_size_of_an_earlier_run<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 1, LONG).await;
    bench.publish(&queue, 0, 1);
    let more = fetch_all(&broker, 1).await;
    let other = bench.name("group");
    bench.results().begin_chord(&other, Some(2), Some(600), None).expect("begin");
    assert_eq!(count(&broker, &[member(&more[0], part(&more[0], &other, 0))]).await, [] as [usize; 0]);
    for group in [&other, &group] {
        bench.results().begin_chord(group, None, Some(600), None).expect("begin anew");
        assert_eq!(broker.parts(group).await.expect("read"), Parts::default(), "a run of its own");
    }
    assert_eq!(count(&broker, &[member(&held[0], part(&held[0], &group, 0))]).await, [] as [usize; 0]);
}

pub(super) async fn a_dead_workers_joins_are_taken_over<S: Server>(bench: &Bench<'_, S>) {
    let (dead, group, held, queue) = begun(bench, 2, SHORT).await;
    let heir = bench.broker(&[&queue], SHORT).await;
    let join = complete(&dead, &held, &group).await;
    heir.heartbeat().await.expect("heartbeat");
    assert!(!heir.joins().await.expect("look").contains(&join), "its owner lives");
    let since = Instant::now();
    while !heir.joins().await.expect("look").contains(&join) {
        assert!(since.elapsed() < Duration::from_secs(20), "nobody took it over");
        heir.heartbeat().await.expect("heartbeat");
        heir.recover().await.expect("recover");
        tokio::time::sleep(SHORT.refresh).await;
    }
    assert_eq!(heir.parts(&group).await.expect("read").docs.len(), 2);
    let body = bench.name("task");
    assert!(heir.finish_join(&joined(&join, vec![message(&queue, 0, &body)])).await.expect("end"));
    // It was not dead after all.
    assert!(!dead.finish_join(&joined(&join, vec![message(&queue, 0, &body)])).await.expect("end"));
    assert_eq!(ids_of(&fetch_all(&heir, 1).await), [body]);
    assert!(heir.fetch(1).await.expect("fetch").is_empty(), "published once");
}

pub(super) async fn who_closes_leaves_its_joins_to_others<S: Server>(bench: &Bench<'_, S>) {
    let (leaving, group, held, queue) = begun(bench, 2, LONG).await;
    let join = complete(&leaving, &held, &group).await;
    leaving.close().await.expect("close");
    let heir = bench.broker(&[&queue], LONG).await;
    assert!(heir.joins().await.expect("look").contains(&join));
    assert!(heir.finish_join(&joined(&join, Vec::new())).await.expect("end"));
}

pub(super) async fn a_member_of_a_lost_lease_is_not_counted<S: Server>(bench: &Bench<'_, S>) {
    let (slow, group, held, queue) = begun(bench, 1, SHORT).await;
    let heir = bench.broker(&[&queue], SHORT).await;
    let mut again = Vec::new();
    while again.is_empty() {
        tokio::time::sleep(SHORT.refresh).await;
        heir.heartbeat().await.expect("heartbeat");
        heir.recover().await.expect("recover");
        again = heir.fetch(1).await.expect("fetch");
    }
    let settled = slow.settle_and_count(&[member(&held[0], part(&held[0], &group, 0))]).await.expect("settle");
    assert_eq!(settled, Settled { lost: vec![0], complete: Vec::new() });
    assert!(heir.parts(&group).await.expect("read").docs.is_empty());
    let join = complete(&heir, &again, &group).await;
    assert!(heir.finish_join(&joined(&join, Vec::new())).await.expect("end"));
}

pub(super) async fn a_chord_that_is_begun_anew_forgets_its_old_join<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 1, LONG).await;
    let old = complete(&broker, &held, &group).await;
    bench.results().begin_chord(&group, Some(2), Some(600), None).expect("set size");
    bench.publish(&queue, 0, 2);
    let again = fetch_all(&broker, 2).await;
    assert_eq!(count(&broker, &[member(&again[0], part(&again[0], &group, 0))]).await, [] as [usize; 0]);
    let body = message(&queue, 0, &bench.name("task"));
    assert!(!broker.finish_join(&joined(&old, vec![body])).await.expect("end"));
    assert_eq!(count(&broker, &[member(&again[1], part(&again[1], &group, 1))]).await, [0]);
    assert!(broker.fetch(1).await.expect("fetch").is_empty(), "the old body was not published");
    let new = part(&again[1], &group, 1).join();
    assert!(broker.finish_join(&joined(&new, Vec::new())).await.expect("end"));
}

pub(super) async fn a_complete_chord_does_not_expire<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 1, LONG).await;
    let unfinished = bench.name("group");
    bench.publish(&queue, 0, 1);
    let other = fetch_all(&broker, 1).await;
    let short = |part: Part| Part { ttl_s: Some(1), ..part };
    bench.results().begin_chord(&unfinished, Some(2), Some(1), None).expect("set size");
    let both =
        [member(&held[0], short(part(&held[0], &group, 0))), member(&other[0], short(part(&other[0], &unfinished, 0)))];
    assert_eq!(count(&broker, &both).await, [0]);
    let since = Instant::now();
    while !broker.parts(&unfinished).await.expect("read").docs.is_empty() {
        assert!(since.elapsed() < Duration::from_secs(5), "what nobody ends does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Where nothing expires by itself, the next to come sweeps.
        bench.results().begin_chord(&bench.name("group"), Some(1), Some(1), None).expect("set size");
    }
    assert_eq!(broker.parts(&group).await.expect("read").docs.len(), 1);
    assert!(broker.finish_join(&joined(&part(&held[0], &group, 0).join(), Vec::new())).await.expect("end"));
}

pub(super) async fn a_chord_ends_with_one_failure_more_than_it_bears<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, queue) = begun(bench, 5, LONG).await;
    let failed = |at: usize| {
        let part = Part { bears: Some(1), ..part(&held[at], &group, at as i64) };
        member(&held[at], part)
    };
    assert_eq!(count(&broker, &[failed(3), member(&held[0], part(&held[0], &group, 0))]).await, [] as [usize; 0]);
    bench.publish(&queue, 0, 1);
    let copy = fetch_all(&broker, 1).await;
    let again = Part { bears: Some(1), ..part(&held[3], &group, 3) };
    assert_eq!(count(&broker, &[member(&copy[0], again)]).await, [] as [usize; 0], "one failure counts once");
    assert_eq!(count(&broker, &[failed(1)]).await, [0], "nobody waits for the others");
    assert_eq!(broker.parts(&group).await.expect("read").docs.len(), 3);
    assert_eq!(count(&broker, &[failed(2)]).await, [] as [usize; 0], "it is claimed");
    let end = Joined {
        remains: Remains { remembered_s: 2 * DONE_S, parts_s: None },
        ..joined(&part(&held[1], &group, 1).join(), Vec::new())
    };
    assert!(broker.finish_join(&end).await.expect("end"));
    assert_eq!(count(&broker, &[failed(4)]).await, [] as [usize; 0], "it is over");
    assert_eq!(broker.parts(&group).await.expect("read"), Parts::default());
}

pub(super) async fn parts_outlive_a_chord_under_a_name_of_their_own<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, _queue) = begun(bench, 3, LONG).await;
    let join = complete(&broker, &held, &group).await;
    let remains = Remains { parts_s: Some(2), ..Remains::default() };
    assert!(broker.finish_join(&Joined { remains, ..joined(&join, Vec::new()) }).await.expect("end"));
    assert_eq!(broker.parts(&group).await.expect("read"), Parts::default());
    let docs: Vec<Bytes> = (0..3).map(|at| part(&held[at], &group, at as i64).doc).collect();
    let (name, mut results) = (join.kept_name(), bench.results());
    assert_eq!(results.kept(&name, 0, 2, None).expect("read"), docs[..2]);
    assert_eq!(results.kept(&name, 2, 2, None).expect("read"), docs[2..]);
    bench.results().begin_chord(&group, Some(3), Some(600), None).expect("begin anew");
    assert_eq!(results.kept(&name, 0, 9, None).expect("read"), docs, "a new run leaves them alone");
    let since = Instant::now();
    while !results.kept(&name, 0, 1, None).expect("read").is_empty() {
        assert!(since.elapsed() < Duration::from_secs(10), "they do not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.results().begin_chord(&bench.name("group"), Some(1), Some(1), None).expect("who comes next sweeps");
    }
}

pub(super) async fn what_is_kept_is_read_in_order_and_lives_on_when_it_is_read<S: Server>(bench: &Bench<'_, S>) {
    let (name, mut results) = (bench.name("steps"), bench.results());
    let docs: Vec<Vec<u8>> = (0..2_500).map(|number| format!("{{\"n\": {number}}}").into_bytes()).collect();
    let borrowed: Vec<&[u8]> = docs.iter().map(Vec::as_slice).collect();
    results.keep(&name, &borrowed, Some(1)).expect("keep");
    let read = results.kept(&name, 0, 9_999, Some(600)).expect("read");
    assert_eq!(read, borrowed);
    assert_eq!(results.kept(&name, 2_499, 1, None).expect("read"), borrowed[2_499..]);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    bench.results().begin_chord(&bench.name("group"), Some(1), Some(1), None).expect("who comes next sweeps");
    assert_eq!(results.kept(&name, 7, 2, None).expect("read"), borrowed[7..9]);
    results.keep(&name, &borrowed[..1], Some(600)).expect("keep others");
    assert_eq!(results.kept(&name, 0, 9, None).expect("read"), borrowed[..1]);
}

pub(super) async fn a_saved_group_comes_with_the_parts<S: Server>(bench: &Bench<'_, S>) {
    let (broker, group, held, _queue) = begun(bench, 1, LONG).await;
    bench.results().save_group(&group, b"{\"result\": []}", Some(600)).expect("save");
    let join = complete(&broker, &held, &group).await;
    assert_eq!(broker.parts(&group).await.expect("read").group.as_deref(), Some(&b"{\"result\": []}"[..]));
    assert!(broker.finish_join(&joined(&join, Vec::new())).await.expect("end"));
}
