//! Chords whose parts lie in Redis while messages are elsewhere: between a count there and the message's end nothing vouches for
//! the join, and the message may go to a worker of Celery's next.

use fastworker_broker::{AnyStore, ChordClient, LeaseTerms, Part, Remains, Store, connect};

use crate::common::run;
use crate::support::{RESULT_DB, Site};

async fn store(site: &Site) -> AnyStore {
    let options = [("global_keyprefix".to_owned(), site.prefix.clone())];
    let terms = LeaseTerms { life: site.life, refresh: site.life / 3 };
    let url = site.results_url();
    let (_broker, store) =
        connect("memory://elsewhere", &[], &["q".into()], Some(&url), &options, terms).await.unwrap();
    store.expect("another server")
}

fn part(task_id: &str, index: i64) -> Part {
    Part {
        group_id: "g".into(),
        task_id: task_id.into(),
        index: Some(index),
        doc: format!(r#"[1, "{task_id}", "SUCCESS", 1]"#).into(),
        record: "{}".into(),
        bears: None,
        ttl_s: Some(3_600),
    }
}

/// What Celery's script does of a member that completes the chord: whether it may join it.
fn celery_claims(site: &Site) -> bool {
    let claim = site.key("celery-taskset-meta-g.c");
    let set = redis::cmd("SET").arg(claim).arg("celery").arg("NX").arg("EX").arg(60).query(&mut site.raw(RESULT_DB));
    set.unwrap()
}

/// What it does at the end; `is_long_ago`: it is forgotten that the chord is done.
fn celery_ends(site: &Site, is_long_ago: bool) {
    let mut raw = site.raw(RESULT_DB);
    let [j, s, d, c] = [".j", ".s", ".d", ".c"].map(|ending| site.key(&format!("celery-taskset-meta-g{ending}")));
    redis::cmd("DEL").arg(&[j, s, d]).exec(&mut raw).unwrap();
    if is_long_ago {
        redis::cmd("DEL").arg(c).exec(&mut raw).unwrap();
    } else {
        redis::cmd("SET").arg(c).arg("done").arg("EX").arg(300).exec(&mut raw).unwrap();
    }
}

#[test]
fn what_was_only_counted_is_open_to_celery_and_not_to_another_member_of_ours() {
    let Some(site) = Site::new() else { return };
    run(async {
        let store = store(&site).await;
        site.result_client().begin_chord("g", Some(2), Some(3_600), None).unwrap();
        assert_eq!(store.count(&[part("a", 0), part("b", 1)]).await.unwrap(), [false, true]);
        assert_eq!(store.count(&[part("a", 0)]).await.unwrap(), [false], "it came again, and b has completed it");
        assert_eq!(store.count(&[part("b", 1)]).await.unwrap(), [true], "its worker died before its message ended");
        assert!(celery_claims(&site), "its message went to a worker of Celery's");
        assert!(!store.hold(&part("b", 1).join()).await.unwrap(), "which joins the chord");
        assert_eq!(store.count(&[part("b", 1)]).await.unwrap(), [false]);
    });
}

#[test]
fn what_is_held_is_closed_to_celery() {
    let Some(site) = Site::new() else { return };
    run(async {
        let store = store(&site).await;
        site.result_client().begin_chord("g", Some(1), Some(3_600), None).unwrap();
        assert_eq!(store.count(&[part("a", 0)]).await.unwrap(), [true]);
        let join = part("a", 0).join();
        assert!(store.hold(&join).await.unwrap());
        assert!(!celery_claims(&site));
        assert!(store.hold(&join).await.unwrap(), "another worker goes on with the same join");
        store.forget(&join, Remains { remembered_s: 60, parts_s: None }).await.unwrap();
        assert!(!store.hold(&join).await.unwrap(), "it is done");
        let left =
            redis::cmd("KEYS").arg(site.key("celery-taskset-meta-g*")).query::<Vec<String>>(&mut site.raw(RESULT_DB));
        assert_eq!(left.unwrap(), [site.key("celery-taskset-meta-g.c")]);
    });
}

#[test]
fn chord_that_celery_has_ended_meanwhile_is_not_held_however_long_ago_that_was() {
    for is_long_ago in [false, true] {
        let Some(site) = Site::new() else { return };
        run(async {
            let store = store(&site).await;
            site.result_client().set_chord_size("g", 1, Some(3_600)).unwrap();
            assert_eq!(store.count(&[part("a", 0)]).await.unwrap(), [true]);
            assert!(celery_claims(&site));
            celery_ends(&site, is_long_ago);
            assert!(!store.hold(&part("a", 0).join()).await.unwrap(), "long ago: {is_long_ago}");
        });
    }
}
