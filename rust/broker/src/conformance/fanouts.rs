//! Queues for copies of what is published to fanout exchanges.

use std::time::Duration;

use super::Server;
use super::bench::{Bench, LONG};
use crate::{AWAY, Broker, Fanout};

pub(super) async fn every_enlisted_queue_gets_copies_of_its_exchange<S: Server>(bench: &Bench<'_, S>) {
    let exchange = bench.name("exchange");
    let other = bench.name(&exchange);
    let (one, two, elsewhere) = (bench.name("copies"), bench.name("copies"), bench.name("copies"));
    let first = bench.broker(&[&one, &elsewhere], LONG).await;
    let second = bench.broker(&[&two], LONG).await;
    let fanout = |exchange: &String, queue: &String| Fanout {
        exchange: exchange.clone(),
        routing_key: "celery".to_owned(),
        queue: queue.clone(),
    };
    let mut client = bench.client();
    assert_eq!(client.copies(&exchange, AWAY).expect("read"), Vec::<String>::new());
    first.enlist(&fanout(&exchange, &one)).await.expect("enlist");
    first.enlist(&fanout(&other, &elsewhere)).await.expect("enlist");
    second.enlist(&fanout(&exchange, &two)).await.expect("enlist");
    second.enlist(&fanout(&exchange, &two)).await.expect("enlist again");
    assert_eq!(client.copies(&exchange, AWAY).expect("read"), [one, two]);
    assert_eq!(client.copies(&other, AWAY).expect("read"), [elsewhere]);
}

pub(super) async fn a_silent_worker_gets_no_copies_until_it_is_heard_of<S: Server>(bench: &Bench<'_, S>) {
    let (exchange, queue) = (bench.name("exchange"), bench.name("copies"));
    let worker = bench.broker(&[&queue], LONG).await;
    let fanout = Fanout { exchange: exchange.clone(), routing_key: String::new(), queue: queue.clone() };
    worker.enlist(&fanout).await.expect("enlist");
    let mut client = bench.client();
    // Times are kept in whole seconds on some servers.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let lately = Duration::from_millis(1_100);
    assert_eq!(client.copies(&exchange, lately).expect("read"), Vec::<String>::new());
    worker.heartbeat().await.expect("heartbeat");
    assert_eq!(client.copies(&exchange, lately).expect("read"), [queue]);
}
