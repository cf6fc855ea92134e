//! Beside the real kombu and Celery, on the same keys. The interpreter is `FASTWORKER_TEST_PYTHON`, or the project's
//! own; without kombu in it the tests say so and pass, unless `CI=true`.

use std::process::{Command, Output};

use fastworker_broker::{Broker, Cancel, Cancelled, Client, ParkedClient, Settlement, Verdict};

use crate::common::{id_of, ids, is_marked, run, settlement};
use crate::support::{BROKER_DB, RESULT_DB, Site, doc, publish};

const PRELUDE: &str = r#"
import sys
from kombu import Connection, Consumer, Producer, Queue
url, prefix = sys.argv[1:3]
options = {"global_keyprefix": prefix, "visibility_timeout": 3600}
connection = Connection(url, transport_options=options)
channel = connection.channel()
"#;

const RESTORE: &str = "channel.qos.restore_visible(num=None, interval=1)";

/// Runs a script; `None` when there is no kombu to run it.
fn python(site: &Site, script: &str) -> Option<String> {
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/python");
    let interpreter = std::env::var("FASTWORKER_TEST_PYTHON").unwrap_or_else(|_| project.to_owned());
    let call = |script: &str| -> std::io::Result<Output> {
        let url = format!("{}/{BROKER_DB}", site.address);
        Command::new(&interpreter).args(["-c", script, &url, &site.prefix]).output()
    };
    if !call("import celery, kombu, redis").is_ok_and(|output| output.status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no kombu in {interpreter}");
        eprintln!("skipped: no kombu in {interpreter}");
        return None;
    }
    let output = call(&format!("{PRELUDE}{script}")).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64
}

#[test]
fn kombu_restores_what_a_dead_fastworker_held() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q", "größe"]).await;
        broker.publish(&[publish("1", "q", 0), publish("2", "q", 5), publish("3", "größe", 9)]).await.unwrap();
        assert_eq!(broker.fetch(10).await.unwrap().len(), 3);
        if python(&site, RESTORE).is_none() {
            return;
        }
        assert_eq!(site.leases(), (3, 3), "young leases are left alone");
        let mut raw = site.raw(BROKER_DB);
        let names: Vec<String> = redis::cmd("HKEYS").arg(site.key("unacked")).query(&mut raw).unwrap();
        for name in &names {
            redis::cmd("ZINCRBY").arg(site.key("unacked_index")).arg(-4000).arg(name).exec(&mut raw).unwrap();
        }
        python(&site, RESTORE).unwrap();
        assert_eq!(site.leases(), (0, 0));
        assert_eq!((site.list_len("q"), site.list_len("q\u{6}\u{16}3"), site.list_len("größe\u{6}\u{16}9")), (1, 1, 1));
        let again = broker.fetch(10).await.unwrap();
        assert_eq!(ids(&again), ["1", "2", "3"]);
        assert!(again.iter().all(|delivery| is_marked(&delivery.message)));
    });
}

#[test]
fn kombu_releases_a_parked_message_when_it_is_due() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        broker.publish(&[publish("late", "q", 0), publish("due", "q", 0)]).await.unwrap();
        let fetched = broker.fetch(10).await.unwrap();
        let park = |at: usize, due_ms: i64| {
            let message_id = Some(id_of(&fetched[at].message));
            Settlement { message_id, ..settlement(fetched[at].tag, Verdict::Park { due_ms }) }
        };
        broker.settle(&[park(0, now_ms() + 60_000), park(1, now_ms() - 10)]).await.unwrap();
        let handle_of_due = site.client().parked_page(None, 1).unwrap().messages.remove(0).handle;
        if python(&site, RESTORE).is_none() {
            return;
        }
        assert_eq!(ids(&broker.fetch(10).await.unwrap()), ["due"]);
        // A client sees only what is parked still, and can do nothing to the other.
        let mut client = site.client();
        let page = client.parked_page(None, 10).unwrap();
        assert_eq!(page.messages.iter().map(|parked| parked.id.as_str()).collect::<Vec<_>>(), ["late"]);
        assert_eq!(client.parked_of(&["due", "late"]).unwrap(), page.messages);
        assert_eq!(client.release_parked(&[&handle_of_due]).unwrap(), [false]);
        let cancel = Cancel { handle: handle_of_due, seen: None, result: None };
        assert_eq!(client.cancel_parked(&[cancel], None).unwrap(), [Cancelled::NotParked]);
        // Ours finds the one that kombu has released gone, and keeps the other.
        let next = broker.release_due(now_ms()).await.unwrap();
        assert!(next.is_some_and(|next| next > now_ms() + 30_000), "{next:?}");
        assert!(broker.fetch(10).await.unwrap().is_empty());
        let cancel = Cancel { handle: page.messages[0].handle.clone(), seen: None, result: None };
        assert_eq!(client.cancel_parked(&[cancel], None).unwrap(), [Cancelled::Removed]);
        let left = site.keys_left();
        assert!(left.iter().all(|key| !key.contains("parked")), "{left:?}");
    });
}

#[test]
fn we_restore_what_kombu_held() {
    let Some(mut site) = Site::new() else { return };
    site.visibility_timeout = "1";
    run(async {
        site.client().publish(&[publish("1", "q", 7)]).unwrap();
        let consume = r#"
import os
got = []
consumer = Consumer(channel, [Queue("q")], on_message=got.append)
consumer.qos(prefetch_count=1)
consumer.consume()
connection.drain_events(timeout=10)
print(got[0].headers["id"], flush=True)
os._exit(0)
"#;
        let Some(printed) = python(&site, consume) else { return };
        assert_eq!((printed.as_str(), site.leases()), ("1", (1, 1)));
        let broker = site.broker(&["q"]).await;
        while broker.recover().await.unwrap().messages == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        assert_eq!(site.list_len("q\u{6}\u{16}6"), 1);
        assert!(is_marked(&broker.fetch(1).await.unwrap()[0].message));
    });
}

#[test]
fn messages_and_results_cross_both_ways() {
    let Some(site) = Site::new() else { return };
    run(async {
        site.client().publish(&[publish("ours", "q", 0)]).unwrap();
        let script = r#"
got = []
with Consumer(channel, [Queue("q")], on_message=lambda message: (got.append(message.headers["id"]), message.ack())):
    connection.drain_events(timeout=10)
producer = Producer(channel)
producer.publish({"a": 1}, routing_key="q", priority=4, headers={"id": "theirs", "task": "t"}, serializer="json")
print(got[0])
"#;
        let Some(printed) = python(&site, script) else { return };
        assert_eq!(printed, "ours");
        let broker = site.broker(&["q"]).await;
        let fetched = broker.fetch(10).await.unwrap();
        assert_eq!(ids(&fetched), ["theirs"]);
        let result = Some(doc(&id_of(&fetched[0].message), "SUCCESS"));
        broker.settle(&[Settlement { result, ..settlement(fetched[0].tag, Verdict::Ack) }]).await.unwrap();
        let script = r#"
from celery import Celery
backend = f"{url.rsplit('/', 1)[0]}/@DB"
app = Celery(broker=url, backend=backend)
app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
print(app.AsyncResult("theirs").state)
app.backend.store_result("celerys", 7, "SUCCESS")
"#;
        let script = script.replace("@DB", &RESULT_DB.to_string());
        assert_eq!(python(&site, &script).unwrap(), "SUCCESS");
        broker.store(&[doc("celerys", "FAILURE")]).await.unwrap();
        let found = fastworker_broker::ResultClient::get(&mut site.result_client(), "celerys").unwrap().unwrap();
        assert!(std::str::from_utf8(&found).unwrap().starts_with(r#"{"status": "SUCCESS", "result": 7"#), "{found:?}");
    });
}
