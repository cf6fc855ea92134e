//! Queues for copies of what is published to fanout exchanges: who has one, and what programs of kombu publish.
//!
//! kombu publishes to the channel of the exchange, with a routing key to that channel followed by `/` and the key; where
//! the routing key of a binding differs, its consumers hear nothing. As in AMQP, ours take everything of the exchange.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use fastworker_wire::envelope;
use futures_util::StreamExt;
use redis::Value;
use redis::aio::PubSub;
use tokio::sync::{Mutex, Notify};

use super::broker::RedisBroker;
use super::client::RedisClient;
use super::failure::texts;
use super::script::{COPIES, ENLIST, FORGET_COPIES};
use crate::fanout::{COPIED, FORGOTTEN};
use crate::{Error, Fanout, FanoutClient, Publish};

const WHAT: &str = "hear what is broadcast to tasks";
const HEARTBEAT: &str = "enlist for copies";

/// Our queues for copies, and the ear for what programs of kombu publish.
#[derive(Default)]
pub(super) struct Copying {
    enlisted: RefCell<Vec<Fanout>>,
    has_more: Notify,
    ear: Mutex<Gathering>,
}

#[derive(Default)]
struct Gathering {
    subscription: Option<PubSub>,
    /// It hears the exchanges of so many enlisted queues.
    hears: usize,
    /// Was heard, and is not in its queues yet.
    in_hand: Vec<Publish>,
}

impl RedisBroker {
    pub(super) async fn enlist_queue(&self, fanout: &Fanout) -> Result<(), Error> {
        if !self.copying.enlisted.borrow().contains(fanout) {
            self.copying.enlisted.borrow_mut().push(fanout.clone());
            self.copying.has_more.notify_one();
        }
        self.refresh_enlisted().await
    }

    /// Says that our queues are there, and throws away those of workers that have long been gone.
    pub(super) async fn refresh_enlisted(&self) -> Result<(), Error> {
        let members: Vec<String> =
            self.copying.enlisted.borrow().iter().map(|fanout| self.keys.enlisted_member(fanout)).collect();
        if members.is_empty() {
            return Ok(());
        }
        let forgotten_s = FORGOTTEN.as_secs();
        let fill = |command: &mut redis::Cmd| {
            command.arg(1).arg(&self.keys.enlisted).arg(forgotten_s).arg(&members);
        };
        let stale = self.work.script(HEARTBEAT, &ENLIST, fill).await?;
        for member in texts(stale).unwrap_or_default() {
            let Some(fanout) = self.keys.enlisted_fanout(&member) else { continue };
            let row = self.keys.binding(&fanout.routing_key, "", &fanout.queue);
            let tables = self.keys.bindings(&fanout.exchange);
            let mut own: Vec<String> = self.keys.lists(&fanout.queue).collect();
            own.extend(self.keys.bindings(&fanout.queue));
            let fill = |command: &mut redis::Cmd| {
                command.arg(3 + own.len()).arg(&self.keys.enlisted).arg(&tables).arg(&own);
                command.arg(&member).arg(&row).arg(forgotten_s);
            };
            self.work.script(HEARTBEAT, &FORGET_COPIES, fill).await?;
        }
        Ok(())
    }

    pub(super) async fn gather_announced(&self) -> Result<bool, Error> {
        let mut gathering = self.copying.ear.lock().await;
        loop {
            if !gathering.in_hand.is_empty() {
                self.publish_batch(&gathering.in_hand).await?;
                gathering.in_hand.clear();
                return Ok(false);
            }
            let enlisted = self.copying.enlisted.borrow().clone();
            if gathering.hears < enlisted.len() {
                self.hear_all(&mut gathering, &enlisted).await?;
                return Ok(true);
            }
            let Some(subscription) = gathering.subscription.as_mut() else {
                self.copying.has_more.notified().await;
                continue;
            };
            let message = {
                let mut messages = subscription.on_message();
                tokio::select! {
                    message = messages.next() => message,
                    () = self.copying.has_more.notified() => continue,
                }
            };
            let Some(message) = message else {
                (gathering.subscription, gathering.hears) = (None, 0);
                return Err(self.work.call(WHAT).lost("the connection ended".to_owned()));
            };
            let bytes = Bytes::copy_from_slice(message.get_payload_bytes());
            gathering.in_hand = self.copies_of(&enlisted, message.get_channel_name(), &bytes);
        }
    }

    async fn hear_all(&self, gathering: &mut Gathering, enlisted: &[Fanout]) -> Result<(), Error> {
        let mut subscription = match gathering.subscription.take() {
            Some(subscription) => subscription,
            None => self.open_ear(WHAT).await?,
        };
        let fresh = &enlisted[std::mem::take(&mut gathering.hears)..];
        for fanout in fresh {
            let channel = self.keys.channel(self.db, &fanout.exchange);
            let keyed = format!("{}/*", escaped(&channel));
            self.in_time(WHAT, subscription.subscribe(&channel)).await?;
            self.in_time(WHAT, subscription.psubscribe(&keyed)).await?;
        }
        (gathering.subscription, gathering.hears) = (Some(subscription), enlisted.len());
        Ok(())
    }

    /// What is to be put into our queues for a message on a channel: nothing when its publisher has done so.
    fn copies_of(&self, enlisted: &[Fanout], channel: &str, message: &Bytes) -> Vec<Publish> {
        // What cannot be read goes to the dead letters like any other.
        let read = envelope::parse(message).ok();
        let is_copied =
            |read: &envelope::Envelope<'_>| read.delivery_tag.as_ref().is_some_and(|tag| tag.starts_with(COPIED));
        if read.as_ref().is_some_and(is_copied) {
            return Vec::new();
        }
        let priority = read.map_or(0, |read| read.priority);
        let is_its = |fanout: &&Fanout| {
            let rest = channel.strip_prefix(self.keys.channel(self.db, &fanout.exchange).as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let copy = |fanout: &Fanout| Publish { queue: fanout.queue.clone(), priority, message: message.clone() };
        enlisted.iter().filter(is_its).map(copy).collect()
    }
}

/// A channel's name as a pattern that fits it alone.
fn escaped(channel: &str) -> String {
    channel
        .chars()
        .flat_map(|char| ['\\'].into_iter().filter(move |_| "*?[]\\^".contains(char)).chain([char]))
        .collect()
}

impl FanoutClient for RedisClient {
    fn copies(&mut self, exchange: &str, within: Duration) -> Result<Vec<String>, Error> {
        const WHAT: &str = "read the queues of a fanout exchange";
        let (prefix, within_s) = (self.keys.enlisted_prefix(exchange), within.as_secs_f64().to_string());
        let key = self.keys.enlisted.clone();
        let reply =
            self.blocking.script(WHAT, &COPIES, &[key.as_bytes()], &[prefix.as_bytes(), within_s.as_bytes()])?;
        let members = match texts(reply) {
            Some(members) => members,
            None => return Err(self.blocking.call(WHAT).unexpected(&Value::Nil)),
        };
        let mut queues: Vec<String> =
            members.iter().filter_map(|member| Some(self.keys.enlisted_fanout(member)?.queue)).collect();
        queues.sort_unstable();
        queues.dedup();
        Ok(queues)
    }

    fn announce(&mut self, exchange: &str, routing_key: &str, message: &[u8]) -> Result<(), Error> {
        let channel = self.keys.keyed_channel(self.db, exchange, routing_key);
        self.command("broadcast a task", &[b"PUBLISH", channel.as_bytes(), message]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_no_pattern() {
        assert_eq!(escaped("/0.a*b[c]?"), "/0.a\\*b\\[c\\]\\?");
    }
}
