//! The embedded broker between processes: this test binary starts itself again, as publishers and as workers.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastworker_broker::{
    Broker, Client, Delivery, LeaseTerms, Publish, ResultClient, ResultDoc, Settlement, SqliteBroker, SqliteClient,
    SqliteOptions, SqliteResultClient, Verdict,
};

/// Set in a started copy of this binary: the database file.
const FILE: &str = "FASTWORKER_TEST_FILE";
/// Set in a started copy: its number among the copies.
const NUMBER: &str = "FASTWORKER_TEST_NUMBER";

const PUBLISHERS: usize = 3;
const EACH: usize = 2_000;
const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };

fn options(file: &Path) -> SqliteOptions {
    SqliteOptions::parse(&format!("sqlite:///{}", file.display()), &[]).expect("a good URL")
}

/// The file that this copy was started for; `None` in the test run itself.
fn file_of_copy() -> Option<SqliteOptions> {
    std::env::var_os(FILE).map(|file| options(Path::new(&file)))
}

fn number_of_copy() -> usize {
    std::env::var(NUMBER).expect("a copy has a number").parse().expect("a number")
}

/// Starts this binary again, to run the one test function of that name.
fn start(function: &str, file: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", function, "--nocapture"])
        .env(FILE, file)
        .env(NUMBER, number.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("a second copy of the test")
}

fn message(publisher: usize, number: usize) -> Publish {
    let text = format!(r#"{{"headers": {{"task": "t", "id": "{publisher}-{number}"}}}}"#);
    Publish { queue: "celery".to_owned(), priority: 0, message: Bytes::from(text) }
}

fn ack(delivery: &Delivery) -> Settlement {
    let task_id = fastworker_wire::envelope::task_and_id(&delivery.message).1.expect("an id");
    Settlement {
        tag: delivery.tag,
        message_id: Some(task_id.clone()),
        has_attempts: false,
        verdict: Verdict::Ack,
        result: Some(ResultDoc { task_id, doc: Bytes::from_static(b"{}"), is_success: true, ttl_s: None, reply: None }),
        successors: Vec::new(),
        member: None,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await.expect("it takes too long") })
}

async fn worker(file: &Path) -> SqliteBroker {
    SqliteBroker::connect(options(file), &["celery".to_owned()], TERMS).await.expect("connect")
}

/// Not a test by itself: a publisher of one message a transaction, and now and then of many.
#[test]
fn copy_publishes() {
    let Some(options) = file_of_copy() else { return };
    let mut client = SqliteClient::new(options);
    let messages: Vec<Publish> = (0..EACH).map(|number| message(number_of_copy(), number)).collect();
    let (singles, bulk) = messages.split_at(EACH / 2);
    for one in singles {
        client.publish(std::slice::from_ref(one)).expect("publish");
    }
    client.publish(bulk).expect("publish");
}

#[test]
fn processes_publish_while_a_worker_fetches() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("queue.db");
    // Nobody has created the file yet: all of them do so at once.
    let mut publishers: Vec<Child> = (0..PUBLISHERS).map(|number| start("copy_publishes", &file, number)).collect();
    let fetched = block_on(async {
        let broker = worker(&file).await;
        let mut ids = Vec::new();
        while ids.len() < PUBLISHERS * EACH {
            let batch = broker.fetch(100).await.expect("fetch");
            if batch.is_empty() {
                broker.wait().await;
            }
            let endings: Vec<Settlement> = batch.iter().map(ack).collect();
            ids.extend(endings.iter().filter_map(|ending| ending.message_id.clone()));
            assert!(broker.settle(&endings).await.expect("settle").is_empty());
        }
        broker.close().await.expect("close");
        ids
    });
    for publisher in &mut publishers {
        assert!(publisher.wait().expect("the publisher ends").success());
    }
    let distinct: HashSet<&String> = fetched.iter().collect();
    assert_eq!(distinct.len(), PUBLISHERS * EACH, "each message once");
    let mut results = SqliteResultClient::new(options(&file));
    let ids: Vec<&str> = fetched.iter().map(String::as_str).collect();
    assert!(results.get_many(&ids).expect("results").iter().all(Option::is_some));
    for publisher in 0..PUBLISHERS {
        let order: Vec<usize> =
            fetched.iter().filter_map(|id| id.strip_prefix(&format!("{publisher}-"))?.parse().ok()).collect();
        assert!(order.is_sorted(), "each publisher's messages come in its order");
    }
}

/// Not a test by itself: a worker that leases ten messages and hangs until it is killed.
#[test]
fn copy_leases_and_hangs() {
    let Some(options) = file_of_copy() else { return };
    block_on(async {
        let broker = SqliteBroker::connect(options, &["celery".to_owned()], TERMS).await.expect("connect");
        assert_eq!(broker.fetch(10).await.expect("fetch").len(), 10);
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_killed_workers_messages_come_back_at_the_next_look() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("queue.db");
    let mut client = SqliteClient::new(options(&file));
    let messages: Vec<Publish> = (0..10).map(|number| message(0, number)).collect();
    client.publish(&messages).expect("publish");
    let mut other = start("copy_leases_and_hangs", &file, 0);
    let started = Instant::now();
    while client.depth("celery").expect("depth") > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the copy leases nothing");
        std::thread::yield_now();
    }
    block_on(async {
        let broker = worker(&file).await;
        assert_eq!(broker.recover().await.expect("recover").messages, 0, "it lives");
        other.kill().expect("kill -9");
        other.wait().expect("it ends");
        // A life is ten seconds; a process that is provably gone is not waited for.
        let recovered = broker.recover().await.expect("recover");
        assert_eq!((recovered.messages, recovered.owners), (10, 1));
        let batch = broker.fetch(100).await.expect("fetch");
        assert!(batch.len() == 10 && batch.iter().all(|one| one.is_redelivered));
    });
}

/// Not a test by itself: a worker that settles what it can until there is nothing left.
#[test]
fn copy_works() {
    let Some(options) = file_of_copy() else { return };
    block_on(async {
        let broker = SqliteBroker::connect(options, &["celery".to_owned()], TERMS).await.expect("connect");
        loop {
            let batch = broker.fetch(7).await.expect("fetch");
            if batch.is_empty() {
                broker.wait().await;
            }
            let endings: Vec<Settlement> = batch.iter().map(ack).collect();
            broker.settle(&endings).await.expect("settle");
        }
    });
}

#[test]
fn workers_that_are_killed_at_random_lose_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("queue.db");
    let mut client = SqliteClient::new(options(&file));
    let messages: Vec<Publish> = (0..5_000).map(|number| message(0, number)).collect();
    client.publish(&messages).expect("publish");
    for round in 0..6_u64 {
        let mut copies: Vec<Child> = (0..2).map(|number| start("copy_works", &file, number)).collect();
        let before = client.depth("celery").expect("depth");
        let started = Instant::now();
        while client.depth("celery").expect("depth") == before && started.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        // Somewhere in the middle of a batch, a different place each round.
        std::thread::sleep(Duration::from_micros(500 + 700 * round));
        for copy in &mut copies {
            copy.kill().expect("kill -9");
            copy.wait().expect("it ends");
        }
    }
    block_on(async {
        let broker = worker(&file).await;
        broker.recover().await.expect("recover");
        loop {
            let batch = broker.fetch(100).await.expect("fetch");
            if batch.is_empty() {
                break;
            }
            let endings: Vec<Settlement> = batch.iter().map(ack).collect();
            assert!(broker.settle(&endings).await.expect("settle").is_empty());
        }
    });
    let ids: Vec<String> = (0..5_000).map(|number| format!("0-{number}")).collect();
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut results = SqliteResultClient::new(options(&file));
    let lost = results.get_many(&asked).expect("results").iter().filter(|result| result.is_none()).count();
    assert_eq!(lost, 0, "{lost} messages have no result");
}
