//! The blocking side.

use std::time::{Duration, Instant};

use fastworker_broker::{Broker, Client, Error, Publish, RedisClient, RedisOptions, ResultClient};

use crate::common::{ids, run};
use crate::support::{BROKER_DB, Site, doc, publish};

#[test]
fn a_client_publishes_measures_and_purges() {
    let Some(site) = Site::new() else { return };
    let mut client = site.client();
    client.publish(&[publish("first", "q", 0)]).unwrap();
    let many: Vec<Publish> = (0..1200).map(|i| publish(&i.to_string(), "q", (i % 10) as u8)).collect();
    client.publish(&many).unwrap();
    assert_eq!(client.depth("q").unwrap(), 1201);
    run(async {
        let broker = site.broker(&["q"]).await;
        assert_eq!(ids(&broker.fetch(4).await.unwrap()), ["first", "0", "1", "2"]);
    });
    assert_eq!(client.purge("q").unwrap(), 1197);
    let bindings: Vec<String> =
        redis::cmd("SMEMBERS").arg(site.key("_kombu.binding.q")).query(&mut site.raw(BROKER_DB)).unwrap();
    assert_eq!(bindings, ["q\u{6}\u{16}\u{6}\u{16}q"]);
}

#[test]
fn big_batches_are_written_in_parts() {
    let Some(site) = Site::new() else { return };
    let message = [b"{\"x\": \"".to_vec(), vec![b'x'; 300_000], b"\"}".to_vec()].concat();
    let batch = vec![Publish { queue: "q".into(), priority: 0, message: message.into() }; 60];
    let mut client = site.client();
    client.publish(&batch).unwrap();
    assert_eq!(client.depth("q").unwrap(), 60);
}

#[test]
fn an_idle_connection_that_died_is_replaced() {
    let Some(site) = Site::new() else { return };
    let mut client = site.client();
    client.publish(&[publish("1", "q", 0)]).unwrap();
    assert_eq!(site.kill_connections(), 1);
    client.publish(&[publish("2", "q", 0)]).unwrap();
    assert_eq!(client.depth("q").unwrap(), 2);
}

#[test]
fn an_unreachable_server_is_a_clear_error_in_bounded_time() {
    let options = [("socket_connect_timeout".to_owned(), "0.3".to_owned())];
    // Nobody answers at an address that is reserved for documentation; nobody listens at port 1.
    for address in ["redis://:secret@192.0.2.1:6379", "redis://:secret@127.0.0.1:1"] {
        let mut client = RedisClient::new(RedisOptions::parse(address, &options).unwrap());
        let began = Instant::now();
        let error = client.publish(&[publish("1", "q", 0)]).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(matches!(&error, Error::Connection { what: "publish", .. }), "{error}");
        assert!(error.to_string().contains("redis://:**@") && !error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn waiting_ends_with_the_document_or_the_time() {
    let Some(site) = Site::new() else { return };
    let mut waiting = site.result_client();
    let began = Instant::now();
    assert_eq!(waiting.wait("t", None, Duration::from_millis(80)).unwrap(), None);
    assert!(began.elapsed() >= Duration::from_millis(80) && began.elapsed() < Duration::from_secs(1));
    let mut storing = site.result_client();
    let started = doc("t", "STARTED");
    storing.store(std::slice::from_ref(&started)).unwrap();
    let found = waiting.wait("t", None, Duration::from_secs(5)).unwrap().unwrap();
    assert_eq!(found, started.doc);

    let (told, heard) = std::sync::mpsc::channel();
    let storer = std::thread::spawn(move || {
        heard.recv().unwrap();
        storing.store(&[doc("other", "SUCCESS"), doc("t", "SUCCESS")]).unwrap();
    });
    told.send(()).unwrap();
    let found = waiting.wait("t", Some(&started.doc), Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(found, doc("t", "SUCCESS").doc);
    storer.join().unwrap();
    // Another task on the same value, already there; and again none.
    assert_eq!(waiting.wait("other", None, Duration::from_secs(10)).unwrap().unwrap(), doc("other", "SUCCESS").doc);
    assert_eq!(waiting.wait("none", None, Duration::from_millis(20)).unwrap(), None);
    assert_eq!(waiting.wait("none", None, Duration::from_millis(20)).unwrap(), None);
}

#[test]
fn a_waiter_survives_its_connections_death() {
    let Some(site) = Site::new() else { return };
    let mut waiting = site.result_client();
    let waiter = std::thread::spawn(move || waiting.wait("t", None, Duration::from_secs(20)).unwrap());
    let mut raw = site.raw(BROKER_DB);
    let channel = site.key("celery-task-meta-t");
    let subscribers = |raw: &mut redis::Connection| -> u64 {
        let found: (String, u64) = redis::cmd("PUBSUB").arg("NUMSUB").arg(&channel).query(raw).unwrap();
        found.1
    };
    while subscribers(&mut raw) == 0 {
        std::thread::yield_now();
    }
    assert!(site.kill_connections() >= 1);
    site.result_client().store(&[doc("t", "SUCCESS")]).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), doc("t", "SUCCESS").doc);
}
