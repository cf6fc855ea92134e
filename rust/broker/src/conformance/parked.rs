//! Parked messages: found, let go early and taken out, while workers release them by time.

use bytes::Bytes;

use super::Server;
use super::bench::{Bench, LONG, ack, ending, fetch_all, ids_of, is_redelivered, message, result, settle};
use crate::clock::now_ms;
use crate::{
    Broker, Cancel, Cancelled, Client, Mark, Parked, Publish, ResultDoc, ResultsAt, RevokeTerms, Settlement, Verdict,
};

/// Later than any other case's clock reaches: they release what is due for them.
const FAR_MS: i64 = 4_000_000_000_000;

/// Publishes messages with an eta and parks them until then, one a millisecond; returns the ids.
async fn park<S: Server>(bench: &Bench<'_, S>, broker: &S::Broker, queue: &str, ids: &[String], due_ms: i64) {
    let batch: Vec<Publish> = ids.iter().map(|id| with_eta(message(queue, 3, id))).collect();
    bench.client().publish(&batch).expect("publish");
    let held = fetch_all(broker, ids.len()).await;
    let parks = held.iter().zip(due_ms..).map(|(delivery, due_ms)| ending(delivery, Verdict::Park { due_ms }));
    settle(broker, &parks.collect::<Vec<Settlement>>()).await;
}

fn with_eta(publish: Publish) -> Publish {
    let text = std::str::from_utf8(&publish.message).expect("text");
    let message = text.replace("\"eta\": null", "\"eta\": \"2096-10-02T07:06:40+00:00\"");
    assert_ne!(message, text);
    Publish { message: Bytes::from(message), ..publish }
}

fn names<S: Server>(bench: &Bench<'_, S>, count: usize) -> Vec<String> {
    (0..count).map(|_| bench.name("task")).collect()
}

/// All that is parked for `queue`, by pages of this size.
fn listed(client: &mut dyn Client, queue: &str, limit: usize) -> Vec<Parked> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = client.parked_page(after.as_deref(), limit).expect("a page");
        assert!(page.messages.len() <= limit);
        found.extend(page.messages.into_iter().filter(|parked| parked.queue == queue));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

fn only(client: &mut dyn Client, id: &str) -> Parked {
    let mut found = client.parked_of(&[id]).expect("search");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn revoked(task_id: &str) -> ResultDoc {
    result(task_id, r#"{"status": "REVOKED"}"#, false)
}

fn cancel(parked: &Parked, seen: Option<&[u8]>) -> Cancel {
    Cancel { handle: parked.handle.clone(), seen: seen.map(Bytes::copy_from_slice), result: Some(revoked(&parked.id)) }
}

pub(super) async fn what_is_parked_is_listed_page_by_page<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("größe");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 7);
    // The last three at one time.
    park(bench, &broker, &queue, &ids[..4], FAR_MS).await;
    for id in &ids[4..] {
        park(bench, &broker, &queue, std::slice::from_ref(id), FAR_MS + 5).await;
    }
    let mut client = bench.client();
    assert!(client.parked_count().expect("count") >= 7);
    for limit in [1, 2, 7, 1000] {
        let found = listed(&mut *client, &queue, limit);
        assert_eq!(found.iter().map(|parked| parked.due_ms - FAR_MS).collect::<Vec<_>>(), [0, 1, 2, 3, 5, 5, 5]);
        let found: std::collections::BTreeSet<String> = found.into_iter().map(|parked| parked.id).collect();
        assert_eq!(found, ids.iter().cloned().collect(), "pages of {limit}");
    }
    let first = &listed(&mut *client, &queue, 10)[0];
    let expected = (ids[0].as_str(), Some("conformance.add"), 3, Some(false));
    assert_eq!((first.id.as_str(), first.task.as_deref(), first.priority, first.ignores_result), expected);
    take_out(&mut *client, &queue);
}

/// Leaves nothing behind: other cases release what is due.
fn take_out(client: &mut dyn Client, queue: &str) {
    let cancels: Vec<Cancel> = listed(client, queue, 1000).iter().map(|parked| cancel(parked, None)).collect();
    let answers = client.cancel_parked(&cancels, None).expect("cancel");
    assert!(answers.iter().all(|answer| *answer == Cancelled::Removed), "{answers:?}");
    assert!(listed(client, queue, 1000).is_empty());
}

pub(super) async fn pages_go_on_where_they_ended_whatever_leaves<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 6);
    for id in &ids {
        park(bench, &broker, &queue, std::slice::from_ref(id), FAR_MS).await;
    }
    let mut client = bench.client();
    let all = listed(&mut *client, &queue, 1000);
    // Up to the third of ours, whatever else is parked here.
    let (mut after, mut seen) = (None, Vec::new());
    while seen.len() < 3 {
        let page = client.parked_page(after.as_deref(), 1).expect("a page");
        seen.extend(page.messages.into_iter().filter(|parked| parked.queue == queue));
        after = page.next;
    }
    let leaving: Vec<Cancel> = [0, 2, 4].iter().map(|at| cancel(&all[*at], None)).collect();
    client.cancel_parked(&leaving, None).expect("cancel");
    let rest = client.parked_page(after.as_deref(), 1000).expect("a page").messages;
    let rest: Vec<&Parked> = rest.iter().filter(|parked| parked.queue == queue).collect();
    assert_eq!(rest, [&all[3], &all[5]]);
    take_out(&mut *client, &queue);
}

pub(super) async fn a_parked_message_is_found_by_its_id<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let one = bench.name("a:b");
    let (begins_so, other) = (format!("{one}:1"), bench.name("größe"));
    let ids = [one.clone(), begins_so.clone(), other.clone(), one.clone()];
    park(bench, &broker, &queue, &ids, FAR_MS).await;
    let mut client = bench.client();
    let mut twice = client.parked_of(&[&one]).expect("search");
    twice.sort_by_key(|parked| parked.due_ms);
    assert_eq!(twice.iter().map(|parked| parked.due_ms - FAR_MS).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(client.parked_of(&[&other, "nobody", &begins_so]).expect("search").len(), 2);
    assert!(client.parked_of(&[]).expect("search").is_empty());
    let [first, second] = &twice[..] else { panic!("{twice:?}") };
    assert_eq!(client.release_parked(&[&first.handle]).expect("release"), [true]);
    assert_eq!(&only(&mut *client, &one), second);
    ack(&broker, &fetch_all(&broker, 1).await).await;
    take_out(&mut *client, &queue);
    assert!(client.parked_of(&[&one, &begins_so, &other]).expect("search").is_empty());
}

pub(super) async fn a_released_message_is_due_and_first<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 1);
    park(bench, &broker, &queue, &ids, FAR_MS).await;
    let waiting = bench.publish(&queue, 3, 1);
    let mut client = bench.client();
    let parked = only(&mut *client, &ids[0]);
    let answers = client.release_parked(&[&parked.handle, &parked.handle, "fw:nobody", "1:2"]).expect("release");
    assert_eq!(answers, [true, false, false, false]);
    let batch = fetch_all(&broker, 2).await;
    assert_eq!(ids_of(&batch), [ids[0].clone(), waiting[0].clone()]);
    assert!(!is_redelivered(&batch[0]), "it was never started");
    let read = fastworker_wire::envelope::parse(&batch[0].message).expect("an envelope");
    assert_eq!((read.eta, read.priority), (None, 3));
    assert_eq!(client.cancel_parked(&[cancel(&parked, None)], None).expect("cancel"), [Cancelled::NotParked]);
    ack(&broker, &batch).await;
}

pub(super) async fn a_hastened_message_is_due_soon_with_its_eta<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 1);
    park(bench, &broker, &queue, &ids, FAR_MS).await;
    let mut client = bench.client();
    let parked = only(&mut *client, &ids[0]);
    assert_eq!(client.hasten_parked(&[&parked.handle, "1:2"]).expect("hasten"), [true, false]);
    let soon = only(&mut *client, &ids[0]);
    assert!(soon.due_ms < FAR_MS && soon.due_ms > now_ms() - 2_000, "due at {}", soon.due_ms);
    broker.release_due(soon.due_ms).await.expect("release");
    let batch = fetch_all(&broker, 1).await;
    assert_eq!(ids_of(&batch), ids);
    assert_eq!(client.hasten_parked(&[&soon.handle]).expect("hasten"), [false], "it is gone");
    ack(&broker, &batch).await;
}

pub(super) async fn a_message_released_by_time_is_nobodys_to_cancel<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 2);
    park(bench, &broker, &queue, &ids, 1_000).await;
    let mut client = bench.client();
    let parked = [only(&mut *client, &ids[0]), only(&mut *client, &ids[1])];
    while client.depth(&queue).expect("depth") < 2 {
        broker.release_due(2_000).await.expect("release");
    }
    let (url, options) = bench.results_at();
    let at = ResultsAt { url: &url, options: &options };
    let cancels = [cancel(&parked[0], None), cancel(&parked[1], None)];
    assert_eq!(client.cancel_parked(&cancels, Some(at)).expect("cancel"), [Cancelled::NotParked; 2]);
    assert_eq!(client.release_parked(&[&parked[0].handle]).expect("release"), [false]);
    assert!(client.parked_of(&[&ids[0], &ids[1]]).expect("search").is_empty());
    assert_eq!(bench.results().get(&ids[0]).expect("get"), None);
    let batch = fetch_all(&broker, 2).await;
    assert_eq!(ids_of(&batch), ids);
    ack(&broker, &batch).await;
}

pub(super) async fn cancelling_stores_its_result_in_the_same_step<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 3);
    park(bench, &broker, &queue, &ids, FAR_MS).await;
    let (mut client, mut results) = (bench.client(), bench.results());
    let (url, options) = bench.results_at();
    let at = ResultsAt { url: &url, options: &options };
    let retry = br#"{"status": "RETRY"}"#;
    results.store(&[result(&ids[1], "{\"status\": \"RETRY\"}", false)]).expect("store");
    results.store(&[result(&ids[2], "{\"status\": \"SUCCESS\"}", true)]).expect("store");
    let parked: Vec<Parked> = ids.iter().map(|id| only(&mut *client, id)).collect();
    let without = Cancel { result: None, ..cancel(&parked[2], None) };
    // What is stored meanwhile is seen, whether there was something before or not.
    let stale = [cancel(&parked[1], None), cancel(&parked[2], Some(retry)), cancel(&parked[0], Some(retry))];
    assert_eq!(client.cancel_parked(&stale, Some(at)).expect("cancel"), [Cancelled::ResultChanged; 3]);
    assert_eq!(listed(&mut *client, &queue, 10), parked);

    let cancels = [cancel(&parked[0], None), cancel(&parked[1], Some(retry)), without];
    assert_eq!(client.cancel_parked(&cancels, Some(at)).expect("cancel"), [Cancelled::Removed; 3]);
    assert_eq!(client.cancel_parked(&cancels, Some(at)).expect("cancel"), [Cancelled::NotParked; 3]);
    for (id, status) in ids.iter().zip(["REVOKED", "REVOKED", "SUCCESS"]) {
        let doc = results.get(id).expect("get").expect("stored");
        assert_eq!(doc, format!("{{\"status\": \"{status}\"}}"));
    }
    assert!(listed(&mut *client, &queue, 10).is_empty());
    broker.release_due(FAR_MS * 2).await.expect("release");
    assert_eq!(client.depth(&queue).expect("depth"), 0);
    results.forget(&ids.iter().map(String::as_str).collect::<Vec<_>>()).expect("forget");
}

pub(super) async fn a_result_elsewhere_is_stored_before<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 2);
    park(bench, &broker, &queue, &ids, FAR_MS).await;
    let mut client = bench.client();
    let url = format!("memory://{}", bench.name("elsewhere"));
    let at = ResultsAt { url: &url, options: &[] };
    let mut elsewhere = crate::result_client(&url, &[]).expect("a client");
    elsewhere.store(&[result(&ids[1], "{}", false)]).expect("store");
    let parked: Vec<Parked> = ids.iter().map(|id| only(&mut *client, id)).collect();
    let cancels: Vec<Cancel> = parked.iter().map(|parked| cancel(parked, None)).collect();
    let answers = client.cancel_parked(&cancels, Some(at)).expect("cancel");
    assert_eq!(answers, [Cancelled::Removed, Cancelled::ResultChanged]);
    assert_eq!(elsewhere.get(&ids[0]).expect("get").as_deref(), Some(&revoked(&ids[0]).doc[..]));
    assert_eq!(listed(&mut *client, &queue, 10), parked[1..]);
    take_out(&mut *client, &queue);
}

pub(super) async fn what_was_revoked_is_not_parked_for_long<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 2);
    let held = fetch_all(&broker, 2).await;
    let mut client = bench.client();
    let terms = RevokeTerms { keep: std::time::Duration::from_secs(3600), most: 50_000 };
    client.mark_revoked(&[Mark::Id(ids[0].clone())], None, terms).expect("revoke");
    let parks: Vec<Settlement> =
        held.iter().map(|delivery| ending(delivery, Verdict::Park { due_ms: FAR_MS })).collect();
    settle(&broker, &parks).await;
    let now_ms = crate::clock::now_ms();
    let (soon, far) = (only(&mut *client, &ids[0]), only(&mut *client, &ids[1]));
    assert!(soon.due_ms <= now_ms + 1_000, "{}", soon.due_ms - now_ms);
    assert_eq!(far.due_ms, FAR_MS);
    take_out(&mut *client, &queue);
}

pub(super) async fn every_parked_message_goes_one_way<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = names(bench, 200);
    // Half of them are due.
    park(bench, &broker, &queue, &ids[..100], 1_000).await;
    park(bench, &broker, &queue, &ids[100..], FAR_MS).await;
    let mut client = bench.client();
    let parked = listed(&mut *client, &queue, 1000);
    assert_eq!(parked.len(), 200);
    let cancels = |of: &[Parked]| -> Vec<Cancel> { of.iter().map(|parked| cancel(parked, None)).collect() };
    let (forwards, mut backwards) = (cancels(&parked), cancels(&parked));
    backwards.reverse();
    let handles: Vec<String> = parked.iter().step_by(3).map(|parked| parked.handle.clone()).collect();
    let (first, second, third, mut fourth) = (bench.client(), bench.client(), bench.client(), bench.client());
    let cancelling = |mut client: Box<dyn Client>, cancels: Vec<Cancel>| {
        std::thread::spawn(move || {
            let answers = cancels.chunks(7).flat_map(|some| client.cancel_parked(some, None).expect("cancel"));
            answers.filter(|answer| *answer == Cancelled::Removed).count()
        })
    };
    let threads = [cancelling(first, forwards), cancelling(second, backwards)];
    let mut client = third;
    let releasing = std::thread::spawn(move || {
        for handle in handles {
            client.release_parked(&[&handle]).expect("release");
        }
    });
    let unparking = std::thread::spawn(move || fourth.unpark().expect("unpark"));
    while threads.iter().any(|thread| !thread.is_finished()) || !releasing.is_finished() || !unparking.is_finished() {
        broker.release_due(2_000).await.expect("release");
        tokio::task::yield_now().await;
    }
    let cancelled: usize = threads.into_iter().map(|thread| thread.join().expect("it ends")).sum();
    releasing.join().expect("it ends");
    unparking.join().expect("it ends");
    broker.release_due(FAR_MS * 2).await.expect("release");
    let mut client = bench.client();
    assert!(listed(&mut *client, &queue, 1000).is_empty());
    let waiting = client.depth(&queue).expect("depth") as usize;
    assert_eq!(cancelled + waiting, 200);
    let batch = fetch_all(&broker, waiting).await;
    let run: std::collections::BTreeSet<String> = ids_of(&batch).into_iter().collect();
    assert_eq!(run.len(), waiting, "one was released twice");
    ack(&broker, &batch).await;
    assert!(broker.fetch(10).await.expect("fetch").is_empty());
}

pub(super) async fn a_result_is_replaced_only_if_it_is_the_one_seen<S: Server>(bench: &Bench<'_, S>) {
    let task = bench.name("task");
    let mut results = bench.results();
    assert!(!results.replace(Some(b"other"), &result(&task, "0", false)).expect("replace"));
    assert!(results.replace(None, &result(&task, "1", false)).expect("replace"));
    assert!(!results.replace(None, &result(&task, "2", false)).expect("replace"));
    assert!(!results.replace(Some(b"2"), &result(&task, "3", false)).expect("replace"));
    assert!(results.replace(Some(b"1"), &result(&task, "4", false)).expect("replace"));
    assert_eq!(results.get(&task).expect("get").as_deref(), Some(&b"4"[..]));
    results.forget(&[&task]).expect("forget");
}
