//! Carrying out declarations, each once in a session.
//!
//! All are sent before the first answer is awaited: Celery's delay queues alone are 113 of them. Exchanges come first, then
//! queues, then bindings, since each needs those before it. Queues go over several channels: a server makes one at a time for
//! each channel, and a quorum queue takes its time.

use futures_util::future::try_join_all;
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
        let within = self.owner.options.response_timeout;
        match timeout(within, self.carry_out(&new)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed("declare", whom, &error)),
            Err(_elapsed) => return Err(late("declare", whom, within)),
        }
        let mut declared = self.declared.lock().expect("as above");
        declared.remember(new.into_iter().cloned());
        Ok(())
    }

    async fn carry_out(&self, steps: &[&Step]) -> Result<(), lapin::Error> {
        let queues = steps.iter().filter(|step| matches!(step, Step::Queue { .. })).count();
        let channels =
            try_join_all((0..queues.clamp(1, QUEUES_AT_ONCE)).map(|_| self.consuming.create_channel())).await?;
        if channels.len() == 1 {
            // The server takes them in turn.
            try_join_all(steps.iter().map(|step| carry_out(&channels[0], step))).await?;
        } else {
            for stage in 0..=2 {
                let steps = steps.iter().filter(|step| step.stage() == stage).zip(channels.iter().cycle());
                try_join_all(steps.map(|(step, channel)| carry_out(channel, step))).await?;
            }
        }
        Ok(())
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
