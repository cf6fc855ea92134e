//! Carrying out declarations, each once in a session.
//!
//! All are sent before the first answer is awaited: Celery's delay queues can be 113 of them. Each answer has its time. Exchanges come first, then
//! queues, then bindings, since each needs those before it. Queues go over several channels: a server makes one at a time for
//! each channel, and a quorum queue takes its time.

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use tokio::time::timeout;

use super::declared::Declared;
use super::failure::{failed, late, missing};
use super::message::short;
use super::session::Session;
use super::steps::Step;
use crate::Error;

/// Queues that are made at the same time.
const QUEUES_AT_ONCE: usize = 8;

impl Session {
    /// Carries out declarations, in this order as far as it matters. A refusal closes a channel of its own only.
    pub(super) async fn declare(&self, steps: &[Step]) -> Result<(), Error> {
        let new: Vec<&Step> = {
            let declared = self.declared.lock().expect("nothing panics while it holds the list");
            steps.iter().filter(|step| !declared.has(step)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        let whom = &self.owner.options.masked;
        for step in &new {
            if let Some(name) = step.names().into_iter().find(|name| name.len() > 255) {
                let cause = format!("the name {name:?} has {} bytes: AMQP's names have at most 255", name.len());
                return Err(missing("declare", whom, &cause));
            }
        }
        self.carry_out(&new).await?;
        let mut declared = self.declared.lock().expect("as above");
        declared.remember(new.into_iter().cloned());
        Ok(())
    }

    async fn carry_out(&self, steps: &[&Step]) -> Result<(), Error> {
        let queues = steps.iter().filter(|step| matches!(step, Step::Queue { .. })).count();
        let opening = (0..queues.clamp(1, QUEUES_AT_ONCE)).map(|_| self.consuming.create_channel());
        let channels = self.within("open a channel", try_join_all(opening)).await?;
        if channels.len() == 1 {
            // The server takes them in turn.
            self.answered(steps.iter().map(|step| carry_out(&channels[0], step))).await?;
        } else {
            for stage in 0..=2 {
                let steps = steps.iter().filter(|step| step.stage() == stage).zip(channels.iter().cycle());
                self.answered(steps.map(|(step, channel)| carry_out(channel, step))).await?;
            }
        }
        Ok(())
    }

    /// Waits for all answers, for each as long as one may take.
    async fn answered(
        &self,
        calls: impl Iterator<Item = impl Future<Output = Result<(), lapin::Error>>>,
    ) -> Result<(), Error> {
        let (whom, within) = (&self.owner.options.masked, self.owner.options.response_timeout);
        let mut calls: FuturesUnordered<_> = calls.collect();
        loop {
            match timeout(within, calls.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(answer)) => answer.map_err(|error| failed("declare", whom, &error))?,
                Err(_elapsed) => return Err(late("declare", whom, within)),
            }
        }
    }

    /// Declares a queue anew, as it was declared, after the server has lost it. `otherwise`: how it is declared if this session
    /// has not done so.
    pub(super) async fn declare_again(&self, queue: &str, otherwise: impl FnOnce() -> Vec<Step>) -> Result<(), Error> {
        let known = self.declared.lock().expect("as above").forget_queue(queue);
        if known.iter().any(|step| matches!(step, Step::Queue { .. })) {
            self.declare(&known).await
        } else {
            self.declare(&otherwise()).await
        }
    }

    /// Everything is to be declared anew.
    pub(super) fn forget_declared(&self) {
        *self.declared.lock().expect("as above") = Declared::default();
    }
}

async fn carry_out(channel: &Channel, step: &Step) -> Result<(), lapin::Error> {
    match step {
        Step::Exchange { name, kind, is_durable, is_auto_delete } => {
            let kind = match kind.as_str() {
                "direct" => ExchangeKind::Direct,
                "fanout" => ExchangeKind::Fanout,
                "topic" => ExchangeKind::Topic,
                "headers" => ExchangeKind::Headers,
                other => ExchangeKind::Custom(other.to_owned()),
            };
            let options = ExchangeDeclareOptions {
                durable: *is_durable,
                auto_delete: *is_auto_delete,
                ..ExchangeDeclareOptions::default()
            };
            channel.exchange_declare(short(name), kind, options, FieldTable::default()).await
        }
        Step::Queue { name, life, arguments } => {
            let (durable, exclusive, auto_delete) = life.flags();
            let options = QueueDeclareOptions { durable, exclusive, auto_delete, ..QueueDeclareOptions::default() };
            channel.queue_declare(short(name), options, arguments.clone()).await.map(drop)
        }
        Step::Bind { queue, exchange, key } => {
            let options = QueueBindOptions::default();
            channel.queue_bind(short(queue), short(exchange), short(key), options, FieldTable::default()).await
        }
        Step::BindExchange { destination, source, key } => {
            let options = ExchangeBindOptions::default();
            channel.exchange_bind(short(destination), short(source), short(key), options, FieldTable::default()).await
        }
    }
}
