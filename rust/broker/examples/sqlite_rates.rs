//! What the embedded broker costs per message, by operation: `cargo run --release --example sqlite_rates -- [file]`.
//!
//! Bodies of about a kilobyte, results of 200 bytes, batches of 100, `synchronous=NORMAL`; wall time, one process.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fastworker_broker::{
    Broker, Client, Delivery, LeaseTerms, Publish, ResultClient, ResultDoc, Settlement, SqliteBroker, SqliteClient,
    SqliteOptions, SqliteResultClient, Verdict,
};

const BATCH: usize = 100;
const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };

fn message(number: usize) -> Publish {
    let body = "W1tdLCB7fSwge31d".repeat(50);
    let text = format!(
        r#"{{"body": "{body}", "headers": {{"task": "tasks.add", "id": "{number:036}"}}, "properties": {{}}}}"#
    );
    Publish { queue: "celery".to_owned(), priority: 0, message: Bytes::from(text) }
}

fn report(what: &str, count: usize, took: Duration) {
    let each = took.as_secs_f64() * 1e6 / count as f64;
    println!("{what:<46} {each:>8.2} µs each   {:>9.0} /s", 1e6 / each);
}

fn ending(delivery: &Delivery, task_id: String, has_result: bool) -> Settlement {
    let result =
        ResultDoc { task_id, doc: Bytes::from(vec![b'x'; 200]), is_success: true, ttl_s: Some(86_400), reply: None };
    Settlement {
        tag: delivery.tag,
        message_id: None,
        has_attempts: false,
        verdict: Verdict::Ack,
        result: has_result.then_some(result),
        successors: Vec::new(),
        member: None,
    }
}

/// A random task id, as `uuid4` makes them: results land all over their index.
fn random_id() -> String {
    let random = (getrandom::u64().expect("random"), getrandom::u64().expect("random"));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        random.0 >> 32,
        random.0 >> 16 & 0xffff,
        random.0 & 0xfff,
        random.1 >> 48 & 0xfff,
        random.1 & 0xffff_ffff_ffff
    )
}

async fn drain(broker: &SqliteBroker, count: usize, has_results: bool) -> (Duration, Duration) {
    let (mut fetching, mut settling) = (Duration::ZERO, Duration::ZERO);
    let mut done = 0;
    while done < count {
        let start = Instant::now();
        let batch = broker.fetch(BATCH).await.expect("fetch");
        fetching += start.elapsed();
        let endings: Vec<Settlement> = batch.iter().map(|one| ending(one, random_id(), has_results)).collect();
        let start = Instant::now();
        broker.settle(&endings).await.expect("settle");
        settling += start.elapsed();
        done += batch.len();
    }
    (fetching, settling)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| format!("/tmp/sqlite-rates-{}.db", std::process::id()));
    let backlog: usize = arguments.next().map_or(50_000, |count| count.parse().expect("a number"));
    let options = SqliteOptions::parse(&format!("sqlite:///{file}"), &[]).expect("a good path");
    let broker = SqliteBroker::connect(options.clone(), &["celery".to_owned()], TERMS).await.expect("connect");
    let messages: Vec<Publish> = (0..BATCH).map(message).collect();

    for has_results in [true, false] {
        let start = Instant::now();
        for _ in 0..backlog / BATCH {
            broker.publish(&messages).await.expect("publish");
        }
        let publishing = start.elapsed();
        let (fetching, settling) = drain(&broker, backlog, has_results).await;
        println!("-- {backlog} messages, results {}", if has_results { "stored" } else { "ignored" });
        report("publish, 100 a transaction", backlog, publishing);
        report("fetch 100", backlog, fetching);
        report("settle 100", backlog, settling);
        report("all three", backlog, publishing + fetching + settling);
    }

    println!("-- one by one");
    let mut client = SqliteClient::new(options.clone());
    let singles = backlog.min(20_000);
    client.publish(&messages[..1]).expect("publish");
    let mut times: Vec<Duration> = Vec::with_capacity(singles);
    let start = Instant::now();
    for index in 0..singles {
        let before = Instant::now();
        client.publish(std::slice::from_ref(&messages[index % BATCH])).expect("publish");
        times.push(before.elapsed());
    }
    report("client publish, one a transaction", singles, start.elapsed());
    times.sort();
    println!("   p50 {:?}  p99 {:?}  max {:?}", times[singles / 2], times[singles * 99 / 100], times[singles - 1]);
    let start = Instant::now();
    for _ in 0..singles / BATCH {
        client.publish(&messages).expect("publish");
    }
    report("client publish, 100 a transaction", singles, start.elapsed());
    client.purge("celery").expect("purge");

    println!("-- waking (another thread's client publishes or stores)");
    let mut late = Vec::new();
    for _ in 0..300 {
        let options = options.clone();
        let one = messages[..1].to_vec();
        assert!(broker.fetch(1).await.expect("fetch").is_empty());
        let publisher = std::thread::spawn(move || {
            let mut client = SqliteClient::new(options);
            client.depth("celery").expect("depth");
            std::thread::sleep(Duration::from_millis(3));
            let before = Instant::now();
            client.publish(&one).expect("publish");
            before
        });
        broker.wait().await;
        let batch = broker.fetch(1).await.expect("fetch");
        let awake = Instant::now();
        late.push(awake - publisher.join().expect("published"));
        broker.settle(&[ending(&batch[0], random_id(), false)]).await.expect("settle");
    }
    late.sort();
    println!("   publish to fetched: p50 {:?}  p99 {:?}", late[150], late[297]);
    let mut late = Vec::new();
    for _ in 0..300 {
        let (options, id) = (options.clone(), random_id());
        let wanted = id.clone();
        let waiter = std::thread::spawn(move || {
            let mut client = SqliteResultClient::new(options);
            client.wait(&wanted, None, Duration::from_secs(5)).expect("wait").expect("in time");
            // Before the client goes: closing an inotify instance takes the kernel some 10 ms.
            Instant::now()
        });
        tokio::time::sleep(Duration::from_millis(4)).await;
        let before = Instant::now();
        let doc =
            ResultDoc { task_id: id, doc: Bytes::from_static(b"{}"), is_success: true, ttl_s: Some(60), reply: None };
        broker.store(&[doc]).await.expect("store");
        late.push(waiter.join().expect("seen") - before);
    }
    late.sort();
    println!("   store to seen:      p50 {:?}  p99 {:?}", late[150], late[297]);
}
