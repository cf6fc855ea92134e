//! Hearing broadcasts, on a connection of its own: kombu's fanout is PUBLISH and SUBSCRIBE.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use redis::Value;
use redis::aio::PubSub;
use tokio::sync::Mutex;

use super::broker::RedisBroker;
use super::failure::{int, text};
use super::script::REVOKED;
use crate::{Error, Heard, Mark, Revocation};

const WHAT: &str = "listen to remote control";

/// The subscription, once there is one.
#[derive(Default)]
pub(super) struct Ear(Mutex<Option<PubSub>>);

impl RedisBroker {
    pub(super) async fn hear(&self, exchange: &str) -> Result<Heard, Error> {
        let mut ear = self.ear.0.lock().await;
        let Some(subscription) = ear.as_mut() else {
            let mut opened = self.open_ear(WHAT).await?;
            let heard = self.in_time(WHAT, opened.subscribe(self.keys.channel(self.db, exchange))).await;
            heard?;
            *ear = Some(opened);
            return Ok(Heard::Gap);
        };
        let message = subscription.on_message().next().await;
        match message {
            Some(message) => Ok(Heard::Message(Bytes::copy_from_slice(message.get_payload_bytes()))),
            None => {
                *ear = None;
                Err(self.work.call(WHAT).lost("the connection ended".to_owned()))
            }
        }
    }

    /// A connection that hears.
    pub(super) async fn open_ear(&self, what: &'static str) -> Result<PubSub, Error> {
        let info = self.work.server().info.clone();
        self.in_time(what, async { redis::Client::open(info)?.get_async_pubsub().await }).await
    }

    /// A step towards a subscription, within the time limit of connecting.
    pub(super) async fn in_time<T>(
        &self,
        what: &'static str,
        step: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, Error> {
        let (limit, call) = (self.work.server().connect_timeout, self.work.call(what));
        match tokio::time::timeout(limit, step).await {
            Ok(done) => done.map_err(|error| call.failed(&error)),
            Err(_elapsed) => Err(call.lost(format!("no subscription within {limit:?}"))),
        }
    }

    pub(super) async fn read_revoked(&self) -> Result<Vec<Revocation>, Error> {
        let fill = |command: &mut redis::Cmd| {
            command.arg(2).arg(&self.keys.revoked).arg(&self.keys.revoke_signals);
        };
        let reply = self.work.script("read what was revoked", &REVOKED, fill).await?;
        let Value::Array(flat) = reply else {
            return Err(self.work.call("read what was revoked").unexpected(&reply));
        };
        let mut flat = flat.into_iter();
        let mut revoked = Vec::with_capacity(flat.len() / 3);
        while let (Some(mark), Some(age_ms), Some(signal)) = (flat.next(), flat.next(), flat.next()) {
            let age = Duration::from_millis(int(&age_ms).unwrap_or(0).max(0) as u64);
            let terminate = text(signal).and_then(|signal| signal.parse().ok());
            // A mark of a later version is for workers of that version.
            let mark = text(mark).and_then(|mark| Mark::from_text(&mark));
            revoked.extend(mark.map(|mark| Revocation { mark, age, terminate }));
        }
        Ok(revoked)
    }
}
