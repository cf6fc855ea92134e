//! Broadcasts, replies, and what was revoked.

use std::time::{Duration, Instant};

use super::Server;
use super::bench::{Bench, LONG};
use crate::{Broker, Heard, Mark, RevokeTerms};

const TERMS: RevokeTerms = RevokeTerms { keep: Duration::from_secs(3600), most: 50_000 };
/// Long for a loaded machine; a push takes microseconds.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn a_broadcast_reaches_every_listener<S: Server>(bench: &Bench<'_, S>) {
    let (queue, exchange) = (bench.name("queue"), bench.name("exchange"));
    let (one, other) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    for broker in [&one, &other] {
        assert_eq!(broker.listen(&exchange).await.expect("listen"), Heard::Gap);
    }
    let mut client = bench.client();
    client.broadcast(&bench.name("elsewhere"), b"not for us").expect("broadcast");
    for text in [&b"first"[..], b"\x00\xff second"] {
        client.broadcast(&exchange, text).expect("broadcast");
    }
    for broker in [&one, &other] {
        for text in [&b"first"[..], b"\x00\xff second"] {
            assert_eq!(broker.listen(&exchange).await.expect("listen"), Heard::Message(text.to_vec().into()));
        }
    }
}

pub(super) async fn a_listener_hears_what_comes_after_it_began<S: Server>(bench: &Bench<'_, S>) {
    let (queue, exchange) = (bench.name("queue"), bench.name("exchange"));
    let broker = bench.broker(&[&queue], LONG).await;
    let mut client = bench.client();
    client.broadcast(&exchange, b"too early").expect("broadcast");
    assert_eq!(broker.listen(&exchange).await.expect("listen"), Heard::Gap);
    {
        // A future that is dropped while it waits loses nothing.
        let waiting = tokio::time::timeout(Duration::from_millis(50), broker.listen(&exchange));
        assert!(waiting.await.is_err(), "heard something that was sent before");
    }
    client.broadcast(&exchange, b"in time").expect("broadcast");
    assert_eq!(broker.listen(&exchange).await.expect("listen"), Heard::Message(b"in time".to_vec().into()));
}

pub(super) async fn a_reply_comes_to_its_mailbox_alone<S: Server>(bench: &Bench<'_, S>) {
    let exchange = bench.name("reply.exchange");
    let (mine, yours) = (bench.name("mine"), bench.name("yours"));
    let (mut client, mut other, mut worker) = (bench.client(), bench.client(), bench.client());
    client.open_mailbox(&exchange, &mine).expect("open");
    other.open_mailbox(&exchange, &yours).expect("open");
    for text in [&b"1"[..], b"2"] {
        assert!(worker.reply(&exchange, &mine, text).expect("reply"));
    }
    for text in [&b"1"[..], b"2"] {
        let reply = client.take_reply(&exchange, &mine, PATIENCE).expect("wait").expect("a reply");
        assert_eq!(&reply[..], text);
    }
    assert_eq!(other.take_reply(&exchange, &yours, Duration::from_millis(50)).expect("wait"), None);
}

pub(super) async fn a_reply_to_a_closed_mailbox_is_refused<S: Server>(bench: &Bench<'_, S>) {
    let (exchange, mailbox) = (bench.name("reply.exchange"), bench.name("mailbox"));
    let (mut client, mut worker) = (bench.client(), bench.client());
    assert!(!worker.reply(&exchange, &mailbox, b"too early").expect("reply"));
    client.open_mailbox(&exchange, &mailbox).expect("open");
    assert!(worker.reply(&exchange, &mailbox, b"unread").expect("reply"));
    client.close_mailbox(&exchange, &mailbox).expect("close");
    assert!(!worker.reply(&exchange, &mailbox, b"too late").expect("reply"));
    client.open_mailbox(&exchange, &mailbox).expect("open");
    assert_eq!(client.take_reply(&exchange, &mailbox, Duration::from_millis(50)).expect("wait"), None);
}

pub(super) async fn waiting_for_replies_ends_in_time<S: Server>(bench: &Bench<'_, S>) {
    let (exchange, mailbox) = (bench.name("reply.exchange"), bench.name("mailbox"));
    let mut client = bench.client();
    client.open_mailbox(&exchange, &mailbox).expect("open");
    let since = Instant::now();
    assert_eq!(client.take_reply(&exchange, &mailbox, Duration::from_millis(400)).expect("wait"), None);
    assert!(since.elapsed() >= Duration::from_millis(390), "gave up after {:?}", since.elapsed());
}

pub(super) async fn what_was_revoked_is_remembered<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let first = Mark::Id(bench.name("task"));
    let second = Mark::Stamp { name: bench.name("größe:"), value: "\"x\"".to_owned() };
    let mut client = bench.client();
    client.mark_revoked(std::slice::from_ref(&first), None, TERMS).expect("revoke");
    client.mark_revoked(std::slice::from_ref(&second), None, TERMS).expect("revoke");
    let worker = bench.broker(&[&queue], LONG).await;
    let found = worker.revoked().await.expect("read");
    let place = |mark: &Mark| found.iter().position(|found| found.mark == *mark).expect("it is remembered");
    assert!(place(&first) < place(&second), "oldest first");
    assert!(found[place(&first)].age < PATIENCE);
    // Again: it is the youngest now, and there once.
    client.mark_revoked(std::slice::from_ref(&first), None, TERMS).expect("revoke");
    let found = worker.revoked().await.expect("read");
    assert_eq!(found.iter().filter(|found| found.mark == first).count(), 1);
    let place = |mark: &Mark| found.iter().position(|found| found.mark == *mark).expect("it is remembered");
    assert!(place(&first) > place(&second));
}

pub(super) async fn old_and_surplus_revokes_are_forgotten<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let worker = bench.broker(&[&queue], LONG).await;
    let mut client = bench.client();
    let marks: Vec<Mark> = (0..5).map(|_| Mark::Id(bench.name("task"))).collect();
    for mark in &marks {
        client.mark_revoked(std::slice::from_ref(mark), None, RevokeTerms { most: 3, ..TERMS }).expect("revoke");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let found = worker.revoked().await.expect("read");
    let found: Vec<Mark> = found.into_iter().map(|found| found.mark).collect();
    assert_eq!(found, marks[2..]);

    tokio::time::sleep(Duration::from_millis(60)).await;
    let young = Mark::Id(bench.name("task"));
    let terms = RevokeTerms { keep: Duration::from_millis(50), ..TERMS };
    client.mark_revoked(std::slice::from_ref(&young), None, terms).expect("revoke");
    let found = worker.revoked().await.expect("read");
    assert_eq!(found.into_iter().map(|found| found.mark).collect::<Vec<_>>(), [young]);
}

pub(super) async fn what_is_to_be_terminated_is_remembered_so<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let worker = bench.broker(&[&queue], LONG).await;
    let mut client = bench.client();
    let (ended, milder) = (Mark::Id(bench.name("task")), Mark::Id(bench.name("task")));
    let stamped = Mark::Stamp { name: "job".to_owned(), value: bench.name("value") };
    let mut mark = |mark: &Mark, terminate| {
        client.mark_revoked(std::slice::from_ref(mark), terminate, TERMS).expect("revoke");
    };
    mark(&ended, Some(15));
    mark(&stamped, Some(9));
    mark(&milder, None);
    // A milder revoke takes nothing back; a later one with another signal counts.
    mark(&ended, None);
    mark(&stamped, Some(10));
    let found = worker.revoked().await.expect("read");
    let signal_of = |mark: &Mark| found.iter().find(|found| found.mark == *mark).expect("remembered").terminate;
    assert_eq!([&ended, &stamped, &milder].map(signal_of), [Some(15), Some(10), None]);
}

pub(super) async fn a_forgotten_revoke_takes_its_signal_along<S: Server>(bench: &Bench<'_, S>) {
    let queue = bench.name("queue");
    let worker = bench.broker(&[&queue], LONG).await;
    let mut client = bench.client();
    let [old, surplus, young]: [Mark; 3] = std::array::from_fn(|_| Mark::Id(bench.name("task")));
    client.mark_revoked(std::slice::from_ref(&old), Some(15), TERMS).expect("revoke");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let soon = RevokeTerms { keep: Duration::from_millis(50), ..TERMS };
    client.mark_revoked(std::slice::from_ref(&surplus), Some(15), soon).expect("revoke");
    let one = RevokeTerms { most: 1, ..TERMS };
    tokio::time::sleep(Duration::from_millis(3)).await;
    client.mark_revoked(std::slice::from_ref(&young), Some(15), one).expect("revoke");
    // Revoked anew, and only that: nothing is left of the signals from before.
    for mark in [&old, &surplus] {
        client.mark_revoked(std::slice::from_ref(mark), None, TERMS).expect("revoke");
    }
    let found = worker.revoked().await.expect("read");
    let signal_of = |mark: &Mark| found.iter().find(|found| found.mark == *mark).expect("remembered").terminate;
    assert_eq!((found.len(), [&young, &old, &surplus].map(signal_of)), (3, [Some(15), None, None]));
}
