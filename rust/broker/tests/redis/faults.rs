//! Connections that break at the worst moment, through a proxy that swallows replies.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastworker_broker::{Broker, Verdict};
use tokio::time::{Instant, timeout};

use crate::common::{ids, run, settlement};
use crate::support::{Site, fill, publish};

/// Stands between a broker value and the server.
struct Proxy {
    address: String,
    is_mute: Arc<AtomicBool>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn new(site: &Site) -> Self {
        let server = site.address.trim_start_matches("redis://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("redis://{}", listener.local_addr().unwrap());
        let (is_mute, sockets) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (mute, list) = (is_mute.clone(), sockets.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let server = TcpStream::connect(&server).unwrap();
                list.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pump(from_client, to_server, None));
                let mute = mute.clone();
                std::thread::spawn(move || pump(server, client, Some(mute)));
            }
        });
        Self { address, is_mute, sockets }
    }

    /// Swallows what the server answers from now on.
    fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }

    fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _already_closed = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, mute: Option<Arc<AtomicBool>>) {
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let is_mute = mute.as_ref().is_some_and(|mute| mute.load(Ordering::SeqCst));
        if !is_mute && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _already_closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Waits until the server has carried something out that nobody was told of.
async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn what_a_lost_reply_held_is_handed_out_by_the_next_fetch() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["a", "b"]).await;
        broker.publish(&[publish("1", "a", 0), publish("2", "b", 9), publish("3", "a", 0)]).await.unwrap();
        proxy.mute(true);
        let fetching = broker.fetch(100);
        let cutting = async {
            until(|| site.leases().0 == 3).await;
            proxy.mute(false);
            proxy.cut();
        };
        let (fetched, ()) = tokio::join!(fetching, cutting);
        assert!(fetched.unwrap_err().is_transient());
        // What comes meanwhile is not mixed up with it.
        let other = site.broker(&["x"]).await;
        other.publish(&[publish("4", "a", 0)]).await.unwrap();
        let found = loop {
            // The other connection was cut too, and says so once.
            match broker.fetch(100).await {
                Ok(found) => break found,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        assert_eq!(ids(&found), ["1", "3", "2"]);
        assert_eq!(found[2].queue, 1);
        assert_eq!(ids(&broker.fetch(100).await.unwrap()), ["4"]);
        let acks: Vec<_> = found.iter().map(|delivery| settlement(delivery.tag, Verdict::Ack)).collect();
        assert!(broker.settle(&acks).await.unwrap().is_empty());
        assert_eq!(site.leases(), (1, 1));
    });
}

#[test]
fn an_early_acknowledgement_whose_reply_was_lost_is_confirmed_when_it_is_repeated() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["q"]).await;
        fill(&broker, "q", 2).await;
        let held = broker.fetch(2).await.unwrap();
        let early: Vec<_> = held.iter().map(|delivery| settlement(delivery.tag, Verdict::EarlyAck)).collect();
        proxy.mute(true);
        let cutting = async {
            until(|| site.leases().0 == 0).await;
            proxy.mute(false);
            proxy.cut();
        };
        let (settled, ()) = tokio::join!(broker.settle(&early), cutting);
        assert!(settled.unwrap_err().is_transient());
        let lost = loop {
            match broker.settle(&early).await {
                Ok(lost) => break lost,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        assert!(lost.is_empty(), "both are ours to run");
    });
}

#[test]
fn a_fetch_that_its_caller_gave_up_is_not_lost() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["q"]).await;
        fill(&broker, "q", 3).await;
        assert_eq!(broker.fetch(1).await.unwrap().len(), 1);
        proxy.mute(true);
        assert!(timeout(Duration::from_millis(100), broker.fetch(1)).await.is_err());
        until(|| site.leases().0 == 2).await;
        proxy.mute(false);
        proxy.cut();
        let mut seen = HashSet::new();
        while seen.len() < 2 {
            if let Ok(found) = broker.fetch(10).await {
                seen.extend(ids(&found));
            }
        }
        assert_eq!(seen, HashSet::from(["q-1".to_owned(), "q-2".to_owned()]));
    });
}

#[test]
fn close_gives_back_what_a_lost_reply_held() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["q"]).await;
        fill(&broker, "q", 3).await;
        proxy.mute(true);
        assert!(timeout(Duration::from_millis(100), broker.fetch(10)).await.is_err());
        until(|| site.leases().0 == 3).await;
        proxy.mute(false);
        proxy.cut();
        while broker.close().await.is_err() {}
        assert_eq!((site.leases(), site.list_len("q")), ((0, 0), 3));
    });
}

#[test]
fn a_push_wakes_within_milliseconds_also_after_a_reconnect() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["q"]).await;
        let other = site.broker(&["x"]).await;
        for round in 0..3 {
            while broker.fetch(10).await.is_err() {}
            assert!(broker.fetch(10).await.unwrap().is_empty());
            assert!(broker.is_tracked());
            let waiting = async {
                broker.wait().await;
                Instant::now()
            };
            let publishing = async {
                // Let the waiter fall asleep.
                tokio::time::sleep(Duration::from_millis(30)).await;
                fill(&other, "q", 1).await;
                Instant::now()
            };
            let (woken, published) = tokio::join!(waiting, publishing);
            let late = woken.saturating_duration_since(published);
            assert!(woken > published - Duration::from_millis(10) && late < Duration::from_millis(100), "{late:?}");
            assert_eq!(broker.fetch(10).await.unwrap().len(), 1, "round {round}");
            proxy.cut();
        }
    });
}

#[test]
fn a_disconnected_broker_says_so_and_comes_back() {
    let Some(site) = Site::new() else { return };
    run(async {
        let proxy = Proxy::new(&site);
        let broker = site.broker_at(&proxy.address, &["q"]).await;
        fill(&broker, "q", 1).await;
        let tag = broker.fetch(1).await.unwrap()[0].tag;
        proxy.cut();
        let mut errors = 0;
        while let Err(error) = broker.settle(&[settlement(tag, Verdict::Ack)]).await {
            assert!(error.is_transient(), "{error}");
            errors += 1;
        }
        assert!(errors <= 1);
        assert_eq!(site.leases(), (0, 0));
    });
}
