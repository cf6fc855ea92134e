//! What a message costs the server's one thread, in microseconds of its CPU (`INFO cpu`), and the publisher's rate
//! beside a raw loop. Printed, not judged: machines differ. Run with
//! `cargo test --release -p fastworker-broker --test redis cost -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use fastworker_broker::{Broker, Client, Delivery, Publish, Settlement, Verdict};

use crate::common::{id_of, run, settlement};
use crate::support::{BROKER_DB, Site, doc};

const MESSAGES: usize = 60_000;
const BATCH: usize = 100;

/// User and system time of the server's main thread, in microseconds.
fn server_cpu_us(site: &Site) -> f64 {
    let info: String = redis::cmd("INFO").arg("cpu").query(&mut site.raw(BROKER_DB)).unwrap();
    let part = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("Redis 6.2 or later");
        line.trim_start_matches(':').trim().parse().unwrap()
    };
    (part("used_cpu_sys_main_thread") + part("used_cpu_user_main_thread")) * 1e6
}

/// About 940 bytes, as Celery's are.
fn message(id: usize) -> Publish {
    let message = format!(
        r#"{{"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {{"lang": "py", "task": "proj.add", "id": "{id:036}", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "{id:036}", "parent_id": null, "argsrepr": "(1, 2)", "kwargsrepr": "{{}}", "origin": "gen4711@some-host.example", "ignore_result": false, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {{}}}}, "properties": {{"correlation_id": "{id:036}", "reply_to": "2583cf42-7a1d-3f0e-9d2a-5b1a6f0c9e11", "delivery_mode": 2, "delivery_info": {{"exchange": "", "routing_key": "celery"}}, "priority": 0, "body_encoding": "base64", "delivery_tag": "{id:036}"}}}}"#
    );
    Publish { queue: "celery".into(), priority: 0, message: message.into() }
}

/// What this thread has used, in microseconds; all of a current-thread runtime's work.
fn own_cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e3
}

struct Meter<'a> {
    site: &'a Site,
    cpu_us: f64,
    own_us: f64,
    since: Instant,
}

impl<'a> Meter<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, cpu_us: server_cpu_us(site), own_us: own_cpu_us(), since: Instant::now() }
    }

    fn report(self, what: &str, count: usize) {
        let own_us = own_cpu_us() - self.own_us;
        let (wall_us, cpu_us) = (self.since.elapsed().as_secs_f64() * 1e6, server_cpu_us(self.site) - self.cpu_us);
        let count = count as f64;
        let (cpu, own, wall) = (cpu_us / count, own_us / count, wall_us / count);
        println!("{what:<42} {cpu:>7.2} us server CPU {own:>7.2} us own CPU {wall:>8.2} us wall");
    }
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_message() {
    let Some(site) = Site::new() else { return };
    run(async {
        for round in 1..=3 {
            println!("round {round}, batches of {BATCH}");
            let broker = site.broker(&["celery"]).await;
            let batch: Vec<Publish> = (0..MESSAGES).map(message).collect();
            let meter = Meter::new(&site);
            broker.publish(&batch).await.unwrap();
            meter.report("publish, one call", MESSAGES);

            let meter = Meter::new(&site);
            let mut held: Vec<Vec<Delivery>> = Vec::new();
            for _ in 0..MESSAGES / BATCH {
                held.push(broker.fetch(BATCH).await.unwrap());
            }
            meter.report("fetch", MESSAGES);

            let (plain, stored) = held.split_at(held.len() / 2);
            let meter = Meter::new(&site);
            for batch in plain {
                let batch: Vec<Settlement> = batch.iter().map(|one| settlement(one.tag, Verdict::Ack)).collect();
                assert!(broker.settle(&batch).await.unwrap().is_empty());
            }
            meter.report("ack", MESSAGES / 2);
            let batches: Vec<Vec<Settlement>> =
                stored.iter().map(|batch| batch.iter().map(with_result).collect()).collect();
            let meter = Meter::new(&site);
            for batch in &batches {
                assert!(broker.settle(batch).await.unwrap().is_empty());
            }
            meter.report("ack with result in another database", MESSAGES / 2);
            broker.close().await.unwrap();
        }
    });
}

fn with_result(delivery: &Delivery) -> Settlement {
    let mut result = doc(&id_of(&delivery.message), "SUCCESS");
    result.doc = format!(
        r#"{{"status": "SUCCESS", "result": 3, "traceback": null, "children": [], "date_done": "2026-11-22T23:31:27.735548+00:00", "task_id": "{}"}}"#,
        result.task_id
    )
    .into();
    Settlement { result: Some(result), ..settlement(delivery.tag, Verdict::Ack) }
}

#[test]
#[ignore = "a measurement"]
fn cost_of_guarded_settling() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["celery"]).await;
        let n = MESSAGES / 4;
        broker.publish(&(0..n).map(message).collect::<Vec<_>>()).await.unwrap();
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        for _ in 0..n / BATCH {
            let batch = broker.fetch(BATCH).await.unwrap();
            let settle = |status: &str, verdict: Verdict| -> Vec<Settlement> {
                let of = |one: &Delivery| Settlement {
                    result: Some(doc(&id_of(&one.message), status)),
                    ..settlement(one.tag, verdict.clone())
                };
                batch.iter().map(of).collect()
            };
            started.push(settle("STARTED", Verdict::Keep));
            ended.push(settle("FAILURE", Verdict::Ack));
        }
        for (what, batches) in [("keep with STARTED", &started), ("ack with FAILURE", &ended)] {
            let meter = Meter::new(&site);
            for batch in batches {
                assert!(broker.settle(batch).await.unwrap().is_empty());
            }
            meter.report(what, n);
        }
        broker.close().await.unwrap();
    });
}

#[test]
#[ignore = "a measurement"]
fn cost_of_publishing_one_by_one() {
    let Some(site) = Site::new() else { return };
    let n = MESSAGES / 4;
    let mut client = site.client();
    let messages: Vec<Publish> = (0..n).map(message).collect();
    let mut raw = site.raw(BROKER_DB);
    let key = site.key("raw");
    for round in 1..=3 {
        println!("round {round}");
        let meter = Meter::new(&site);
        for publish in &messages {
            redis::cmd("LPUSH").arg(&key).arg(&publish.message[..]).exec(&mut raw).unwrap();
        }
        meter.report("raw LPUSH loop", n);
        let meter = Meter::new(&site);
        for publish in &messages {
            client.publish(std::slice::from_ref(publish)).unwrap();
        }
        meter.report("client, one by one", n);
        let meter = Meter::new(&site);
        client.publish(&messages).unwrap();
        meter.report("client, one call", n);
        client.purge("celery").unwrap();
        redis::cmd("DEL").arg(&key).exec(&mut raw).unwrap();
    }
}

#[test]
#[ignore = "a measurement"]
fn cost_of_waking() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["celery"]).await;
        let mut client = site.client();
        let mut times: Vec<f64> = Vec::new();
        for i in 0..2000 {
            assert!(broker.fetch(BATCH).await.unwrap().is_empty());
            tokio::task::yield_now().await;
            client.publish(&[message(i)]).unwrap();
            let since = Instant::now();
            broker.wait().await;
            let held = broker.fetch(BATCH).await.unwrap();
            times.push(since.elapsed().as_secs_f64() * 1e6);
            broker.settle(&[settlement(held[0].tag, Verdict::Ack)]).await.unwrap();
        }
        times.sort_by(f64::total_cmp);
        println!(
            "from the publish's confirmation to the fetched message: p50 {:.0} us, p99 {:.0} us",
            times[1000], times[1980]
        );
    });
}
