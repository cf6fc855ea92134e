//! What lapin itself can do: consumes messages and acknowledges all that has come by one frame, with nothing in between.
//! `cargo run --release --example amqp_consumer -- amqp://guest:guest@127.0.0.1:5672/vhost QUEUE COUNT [PREFETCH]`
//!
//! Prints the seconds from asking for the messages until all are acknowledged.

use std::time::Instant;

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, queue, count, more @ ..] = &arguments[..] else {
        return Err("expected: URL QUEUE COUNT [PREFETCH]".into());
    };
    let (count, prefetch): (u64, u16) = (count.parse()?, more.first().map_or(Ok(1_000), |text| text.parse())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let begun = Instant::now();
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = channel.basic_consume(queue.as_str().into(), "bare".into(), options, arguments).await?;
        let mut left = count;
        while left > 0 {
            let mut last = consumer.next().await.ok_or("the consumer has ended")??;
            left -= 1;
            while left > 0
                && let Some(Some(came)) = consumer.next().now_or_never()
            {
                last = came?;
                left -= 1;
            }
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
        // The server answers when it has taken them all.
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        println!("{}", begun.elapsed().as_secs_f64());
        connection.close(200, "OK".into()).await?;
        Ok(())
    })
}
