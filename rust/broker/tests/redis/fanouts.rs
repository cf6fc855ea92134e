//! Copies of what is published to fanout exchanges: what kombu's programs publish, and what the dead leave behind.

use std::sync::Mutex;

use fastworker_broker::{AWAY, Broker, COPIED, Fanout, FanoutClient, RedisBroker};

use crate::common::{ids, run};
use crate::support::{BROKER_DB, Site, envelope};

static EARS: Mutex<()> = Mutex::new(());

fn fanout(queue: &str) -> Fanout {
    Fanout { exchange: "every".into(), routing_key: "celery".into(), queue: queue.into() }
}

/// Gathers until `count` messages were put into queues.
async fn gather(broker: &RedisBroker, count: usize) {
    let mut gathered = 0;
    while gathered < count {
        gathered += usize::from(!broker.gather().await.unwrap());
    }
}

impl Site {
    /// Closes the connections that hear for copies; they have no name, so that one test at a time has one.
    fn kill_ears(&self) -> usize {
        let mut raw = self.raw(BROKER_DB);
        let clients: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("PUBSUB").query(&mut raw).unwrap();
        let ears = clients.lines().filter(|line| line.contains(" sub=1 psub=1 "));
        let ids = ears.map(|line| line.split(' ').next().unwrap().trim_start_matches("id="));
        ids.map(|id| redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query::<usize>(&mut raw).unwrap()).sum()
    }

    /// Publishes as kombu does, to the channel of an exchange and what follows it.
    fn announce(&self, exchange: &str, message: &[u8]) -> usize {
        let channel = self.key(&format!("/{BROKER_DB}.{exchange}"));
        redis::cmd("PUBLISH").arg(channel).arg(message).query(&mut self.raw(BROKER_DB)).unwrap()
    }
}

#[test]
fn what_kombu_publishes_comes_into_each_of_our_queues_and_what_has_come_does_not() {
    let _alone = EARS.lock();
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["one.w@h", "two.w@h"]).await;
        broker.enlist(&fanout("one.w@h")).await.unwrap();
        broker.enlist(&fanout("two.w@h")).await.unwrap();
        assert!(broker.gather().await.unwrap());
        let marked = String::from_utf8(envelope("marked", "every", 0).to_vec()).unwrap();
        let marked = marked.replace(r#""delivery_tag": ""#, &format!(r#""delivery_tag": "{COPIED}"#));
        site.client().announce("every", "celery", marked.as_bytes()).unwrap();
        assert_eq!(site.announce("every/some.key", &envelope("keyed", "every", 0)), 1);
        assert_eq!(site.announce("every", &envelope("bare", "every", 0)), 1);
        assert_eq!(site.announce("everyone", &envelope("another", "everyone", 0)), 0);
        gather(&broker, 2).await;
        let mut found = ids(&broker.fetch(10).await.unwrap());
        found.sort();
        assert_eq!(found, ["bare", "bare", "keyed", "keyed"]);
    });
}

#[test]
fn a_queue_that_is_added_is_heard_for_and_a_cut_is_told_and_mended() {
    let _alone = EARS.lock();
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["one.w@h"]).await;
        {
            // With nothing to hear it waits, until there is something.
            let gathering = broker.gather();
            let enlisting = async {
                tokio::task::yield_now().await;
                broker.enlist(&fanout("one.w@h")).await.unwrap();
            };
            let (hears, ()) = tokio::join!(gathering, enlisting);
            assert!(hears.unwrap());
        }
        assert_eq!(site.kill_ears(), 1);
        assert!(broker.gather().await.unwrap_err().is_transient());
        while !broker.gather().await.is_ok_and(|hears| hears) {}
        assert_eq!(site.announce("every", &envelope("after", "every", 0)), 1);
        while broker.gather().await.is_err() {}
        assert_eq!(site.list_len("one.w@h"), 1);
    });
}

#[test]
fn the_copies_of_a_worker_that_is_long_gone_are_thrown_away() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["one.w@h"]).await;
        let gone = site.broker(&["one.gone@h"]).await;
        gone.enlist(&fanout("one.gone@h")).await.unwrap();
        let mut raw = site.raw(BROKER_DB);
        for list in ["one.gone@h", "one.gone@h\u{6}\u{16}9", "one.w@h"] {
            redis::cmd("LPUSH").arg(site.key(list)).arg(&envelope("a", list, 0)[..]).exec(&mut raw).unwrap();
        }
        let member = "every\u{6}\u{16}celery\u{6}\u{16}\u{6}\u{16}one.gone@h";
        let enlisted = site.key("fastworker:enlisted");
        redis::cmd("ZADD").arg(&enlisted).arg("XX").arg(1).arg(member).exec(&mut raw).unwrap();
        broker.enlist(&fanout("one.w@h")).await.unwrap();
        let lengths = ["one.gone@h", "one.gone@h\u{6}\u{16}9", "one.w@h"].map(|list| site.list_len(list));
        assert_eq!(lengths, [0, 0, 1]);
        assert_eq!(redis::cmd("ZCARD").arg(&enlisted).query::<u64>(&mut raw).unwrap(), 1);
        assert_eq!(site.client().copies("every", AWAY).unwrap(), ["one.w@h"]);
    });
}
