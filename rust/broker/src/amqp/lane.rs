//! Lanes of a worker's own limits: a queue for each watched queue and limited task, from which any worker draws that has a
//! permit for the task.
//!
//! A message that nobody has drawn for a minute goes back to the end of its queue, by the server itself: no worker knows
//! the limit any more, or the lane is longer than a minute's permits, and then it comes here again. Shared limits need a
//! count that all workers see, which AMQP has not.

use std::sync::Arc;

use lapin::options::{BasicGetOptions, QueueDeclareOptions};

use super::line::tag;
use super::message::{Incoming, short};
use super::session::{Lease, Session};
use super::steps::{Life, Step, arguments, long, number};
use crate::lane::{ABANDONED_AFTER, Drawn, Quota};
use crate::portion::Account;
use crate::{Delivery, Error, Portion};

/// The queue.
pub(super) fn name(queue: &str, task: &str) -> String {
    // AMQP's names end at 255 bytes.
    crate::lane::bounded(&format!("fastworker.lane.{queue}.{task}")).into_owned()
}

fn declared(queue: &str, task: &str) -> Step {
    let ttl_ms = ABANDONED_AFTER.as_millis() as i64;
    Step::Queue {
        name: name(queue, task),
        life: Life::Durable,
        arguments: arguments([
            ("x-message-ttl", number(ttl_ms)),
            ("x-dead-letter-exchange", long("")),
            ("x-dead-letter-routing-key", long(queue)),
        ]),
    }
}

impl Session {
    /// Before something is put there.
    pub(super) async fn declare_lane(&self, queue: &str, task: &str) -> Result<(), Error> {
        self.declare(&[declared(queue, task)]).await
    }

    /// As `Broker::draw_within`.
    pub(super) async fn draw(
        self: &Arc<Session>,
        max: usize,
        quotas: &[Quota],
        portions: &[Portion],
    ) -> Result<Drawn, Error> {
        let mut drawn = Drawn::default();
        let names: Vec<String> = self.state().lines.iter().map(|line| line.name.clone()).collect();
        let mut account = Account::new(portions, names.len(), |_| false);
        for quota in quotas {
            let Quota::Worker { task, permits } = quota else { continue };
            let mut left = (*permits as usize).min(max - drawn.deliveries.len());
            let mut has_more = false;
            for (line, queue) in names.iter().enumerate() {
                let lane = name(queue, task);
                self.declare_lane(queue, task).await?;
                while left > 0 && account.room(line) > 0 {
                    let get = self.tasks.basic_get(short(&lane), BasicGetOptions::default());
                    let Some(got) = self.within("draw", get).await? else { break };
                    drawn.deliveries.push(self.drawn(line, got.delivery));
                    account.took(line, 1);
                    left -= 1;
                }
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let looked = self.tasks.queue_declare(short(&lane), passive, lapin::types::FieldTable::default());
                has_more |= self.within("look at a lane", looked).await?.message_count() > 0;
            }
            drawn.has_more.push(has_more);
        }
        Ok(drawn)
    }

    fn drawn(&self, line: usize, delivery: lapin::message::Delivery) -> Delivery {
        let (at, is_redelivered) = (delivery.delivery_tag, delivery.redelivered);
        let (exchange, key) = (delivery.exchange.as_str(), delivery.routing_key.as_str());
        let incoming = Incoming::of(&delivery.properties, exchange, key, delivery.data, at);
        let lease = Lease {
            line,
            consumer: 0,
            at,
            message: incoming.message.into(),
            is_redelivered,
            attempts: incoming.attempts,
            returns: incoming.returns,
            is_held: false,
        };
        let message = lease.message.clone();
        let mut state = self.state();
        state.ledger.arrived(at);
        state.leases.insert(at, lease);
        let queue = u16::try_from(line).expect("a worker watches fewer than 65,536 queues");
        Delivery { tag: tag(self.number, at), queue, message, is_redelivered }
    }
}
