//! The result store, as a client sees it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Server;
use super::bench::{Bench, LONG, result};
use crate::{Broker, ResultDoc};

pub(super) async fn a_result_is_stored_and_read<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let (one, other) = (bench.name("task"), bench.name("задача"));
    let mut results = bench.results();
    assert_eq!(results.get(&one).expect("get"), None);
    let for_ever = ResultDoc { ttl_s: None, ..result(&one, "{\"result\": \"é\"}", false) };
    broker.store(&[for_ever, result(&other, "{}", true)]).await.expect("store");
    assert_eq!(results.get(&one).expect("get").as_deref(), Some("{\"result\": \"é\"}".as_bytes()));
    assert_eq!(results.get(&other).expect("get").as_deref(), Some(&b"{}"[..]));
    results.store(&[result(&one, "{\"n\": 2}", false)]).expect("store");
    assert_eq!(results.get(&one).expect("get").as_deref(), Some(&b"{\"n\": 2}"[..]));
    results.forget(&[&one, &other]).expect("forget");
}

pub(super) async fn many_results_come_in_the_order_asked<S: Server>(bench: &Bench<'_, S>) {
    let ids: Vec<String> = (0..1_500).map(|_| bench.name("task")).collect();
    let mut results = bench.results();
    let stored: Vec<ResultDoc> = ids.iter().skip(1).step_by(2).map(|id| result(id, id, true)).collect();
    results.store(&stored).expect("store");
    let mut asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    asked.push(&ids[1]);
    let found = results.get_many(&asked).expect("get many");
    assert_eq!(found.len(), 1_501);
    for (index, (id, doc)) in asked.iter().zip(&found).enumerate() {
        let is_stored = index % 2 == 1 || index == 1_500;
        let expected = is_stored.then(|| Bytes::copy_from_slice(id.as_bytes()));
        assert_eq!(*doc, expected, "number {index}");
    }
    assert!(results.get_many(&[]).expect("get none").is_empty());
    results.forget(&asked).expect("forget");
    assert!(results.get_many(&asked).expect("get many").iter().all(Option::is_none));
}

pub(super) async fn wait_sees_the_next_state<S: Server>(bench: &Bench<'_, S>) {
    let task = bench.name("task");
    let (started, done) = ("{\"status\": \"STARTED\"}", "{\"status\": \"SUCCESS\"}");
    let mut results = bench.results();
    let mut storing = bench.results();
    let waited = task.clone();
    let waiter = std::thread::spawn(move || {
        let first = results.wait(&waited, None, Duration::from_secs(20)).expect("wait").expect("in time");
        let second = results.wait(&waited, Some(&first), Duration::from_secs(20)).expect("wait").expect("in time");
        let known = results.wait(&waited, None, Duration::from_secs(20)).expect("wait").expect("at once");
        (first, second, known, Instant::now())
    });
    // Not a wait for something: the point is that the other thread sleeps by then.
    std::thread::sleep(Duration::from_millis(50));
    storing.store(&[result(&task, started, false)]).expect("store");
    std::thread::sleep(Duration::from_millis(100));
    storing.store(&[result(&task, done, true)]).expect("store");
    let stored = Instant::now();
    let (first, second, known, seen) = waiter.join().expect("the waiter ends");
    assert_eq!((&first[..], &second[..], &known[..]), (started.as_bytes(), done.as_bytes(), done.as_bytes()));
    let late = seen.saturating_duration_since(stored);
    assert!(late < Duration::from_secs(3), "seen {late:?} after it was stored");
    storing.forget(&[&task]).expect("forget");
}

pub(super) async fn wait_gives_up_in_time<S: Server>(bench: &Bench<'_, S>) {
    let task = bench.name("task");
    let mut results = bench.results();
    assert_eq!(results.wait(&task, None, Duration::ZERO).expect("wait"), None);
    let since = Instant::now();
    assert_eq!(results.wait(&task, None, Duration::from_millis(300)).expect("wait"), None);
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(3), "{took:?}");
    results.store(&[result(&task, "{}", false)]).expect("store");
    assert_eq!(results.wait(&task, Some(b"{}"), Duration::from_millis(50)).expect("wait"), None, "seen already");
    results.forget(&[&task]).expect("forget");
}

pub(super) async fn many_results_are_watched_at_once<S: Server>(bench: &Bench<'_, S>) {
    let ids: Vec<String> = (0..50).map(|_| bench.name("task")).collect();
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut results = bench.results();
    let mut storing = bench.results();
    let mut told = std::collections::HashMap::new();
    assert!(results.news(Duration::from_secs(20)).expect("news").is_empty(), "nothing watched: at once");
    storing.store(&[result(&ids[0], "before", true)]).expect("store");
    results.watch(&all[..25]);
    while told.is_empty() {
        told.extend(results.news(Duration::from_secs(20)).expect("news"));
    }
    assert_eq!(told[&ids[0]], "before");
    results.watch(&all[25..]);
    results.unwatch(&all[1..2]);
    assert!(results.news(Duration::from_millis(20)).expect("news").is_empty(), "nothing more is stored");
    let docs: Vec<ResultDoc> = ids[1..].iter().map(|id| result(id, id, true)).collect();
    let writer = std::thread::spawn(move || docs.chunks(7).for_each(|some| storing.store(some).expect("store")));
    while told.len() < 49 {
        let news = results.news(Duration::from_secs(20)).expect("news");
        assert!(!news.is_empty(), "{} of 49 were told", told.len());
        told.extend(news);
    }
    writer.join().expect("the writer ends");
    assert!(!told.contains_key(&ids[1]), "it was no longer watched");
    assert!(ids[2..].iter().all(|id| told[id] == id.as_bytes()));
    results.unwatch(&all);
    results.watch(&all[1..2]);
    let late = results.news(Duration::from_secs(20)).expect("news");
    assert_eq!(late, [(ids[1].clone(), Bytes::copy_from_slice(ids[1].as_bytes()))], "watched again");
    results.forget(&all).expect("forget");
}

pub(super) async fn a_forgotten_result_is_gone<S: Server>(bench: &Bench<'_, S>) {
    let (gone, kept) = (bench.name("task"), bench.name("task"));
    let mut results = bench.results();
    results.store(&[result(&gone, "1", true), result(&kept, "2", true)]).expect("store");
    results.forget(&[&gone]).expect("forget");
    results.forget(&[&gone]).expect("forgetting twice is no error");
    results.forget(&[]).expect("forgetting nothing is no error");
    assert_eq!(results.get(&gone).expect("get"), None);
    assert!(results.get(&kept).expect("get").is_some());
    results.store(&[result(&gone, "3", false)]).expect("a forgotten success does not stand in the way");
    assert_eq!(results.get(&gone).expect("get").as_deref(), Some(&b"3"[..]));
    results.forget(&[&kept, &gone]).expect("forget");
}

pub(super) async fn a_result_expires<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let broker = bench.broker(&[&queue], LONG).await;
    let task = bench.name("task");
    let short = ResultDoc { ttl_s: Some(1), ..result(&task, "1", true) };
    broker.store(&[short]).await.expect("store");
    let mut results = bench.results();
    assert!(results.get(&task).expect("get").is_some(), "gone too early");
    let since = Instant::now();
    while results.get(&task).expect("get").is_some() {
        assert!(since.elapsed() < Duration::from_secs(5), "it does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    broker.store(&[result(&task, "2", false)]).await.expect("store");
    assert_eq!(results.get(&task).expect("get").as_deref(), Some(&b"2"[..]), "an expired success stands in the way");
    results.forget(&[&task]).expect("forget");
}

pub(super) async fn a_success_in_a_client_stays_too<S: Server>(bench: &Bench<'_, S>) {
    let task = bench.name("task");
    let mut results = bench.results();
    // A store in Celery's layout has only the document to tell it by.
    let (success, failure) = ("{\"status\": \"SUCCESS\"}", "{\"status\": \"FAILURE\"}");
    results.store(&[result(&task, success, true)]).expect("store");
    results.store(&[result(&task, failure, false)]).expect("store");
    assert_eq!(results.get(&task).expect("get").as_deref(), Some(success.as_bytes()));
    results.forget(&[&task]).expect("forget");
}
