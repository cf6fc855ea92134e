//! The first connection: for as long as the settings allow, and said once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use fastworker_broker::{AnyBroker, AnyStore, Broker, Error, Fanout, LeaseTerms, Mark, Revocation};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::broker_io::{Backoff, BrokerIo};
use crate::clock;
use crate::config::WorkerConfig;
use crate::fact::{Command, Fact};
use crate::report::{Level, Reporter};
use crate::revoked::Revoked;

/// Leases are refreshed three times in their life, and four times within kombu's visibility timeout: other consumers
/// of the same server take what is older than that for abandoned.
pub(super) fn lease_terms(config: &WorkerConfig) -> LeaseTerms {
    let visibility_timeout = config.broker_options.iter().find(|(name, _)| name == "visibility_timeout");
    let visible_s = visibility_timeout.and_then(|(_, seconds)| seconds.parse::<f64>().ok()).unwrap_or(3600.0);
    let visible = Duration::try_from_secs_f64(visible_s / 4.0).unwrap_or(config.lease_life);
    LeaseTerms {
        life: config.lease_life,
        refresh: (config.lease_life / 3).min(visible.max(Duration::from_millis(100))),
    }
}

/// What a worker starts with.
pub(super) struct Connected {
    pub(super) io: BrokerIo,
    pub(super) facts: UnboundedReceiver<Fact>,
    pub(super) revoked: Revoked,
}

/// How long the start waits for broadcasts to be heard; they are listened for on and on afterwards.
const EAR: Duration = Duration::from_secs(2);

/// Connects, for as long as the settings allow. `None`: told to stop before it was connected.
pub(super) async fn connect(
    config: &WorkerConfig,
    terms: LeaseTerms,
    commands: &mut UnboundedReceiver<Command>,
    reporter: &Reporter,
) -> Result<Option<Connected>, String> {
    let patience = &config.patience_at_start;
    let begun = Instant::now();
    let mut backoff = Backoff::new();
    let mut is_reported = false;
    let mut early = Early::default();
    let (facts, receiver) = unbounded_channel();
    let queues = consumed(config);
    loop {
        let tried = tokio::select! {
            tried = try_once(config, &queues, terms) => tried,
            () = told_to_stop(commands, &mut early, reporter) => return Ok(None),
        };
        match tried {
            Ok((broker, store, remembered)) => {
                if is_reported {
                    reporter.log(Level::Warning, "connected to the broker");
                }
                let mut revoked = Revoked::new(config.revoke_terms);
                let now_us = clock::mono_us();
                let given = config.revoked.iter().map(|id| (Mark::Id(id.clone()), Duration::ZERO));
                let remembered = remembered.into_iter().map(|it| (it.mark, it.age));
                given.chain(remembered).for_each(|(mark, age)| revoked.add(mark, age, now_us));
                early.hand_over(&facts);
                let (broker, store) = (Rc::new(broker), store.map(Rc::new));
                let (clock_moved, answers_again) = (Rc::default(), Rc::default());
                let io = BrokerIo { broker, store, facts, clock_moved, answers_again };
                return Ok(Some(Connected { io, facts: receiver, revoked }));
            }
            Err(Failure::Away(error)) if patience.is_over(begun.elapsed()) => return Err(patience.last_word(&error)),
            Err(Failure::Away(error)) => {
                if !std::mem::replace(&mut is_reported, true) {
                    reporter.log(Level::Error, format!("cannot connect: {error}. {}", patience.outlook()));
                }
            }
            Err(Failure::Final(error)) => return Err(error.to_string()),
        }
        tokio::select! {
            () = backoff.pause() => {}
            () = told_to_stop(commands, &mut early, reporter) => return Ok(None),
        }
    }
}

/// Why it is not connected.
enum Failure {
    /// It may be the next time.
    Away(Error),
    /// Somebody has to mend something.
    Final(Error),
}

/// Connects, has copies made for us, and reads what is revoked.
async fn try_once(
    config: &WorkerConfig,
    queues: &[String],
    terms: LeaseTerms,
) -> Result<(AnyBroker, Option<AnyStore>, Vec<Revocation>), Failure> {
    let failure = |error: Error| match error {
        error if error.is_transient() => Failure::Away(error),
        error @ Error::Refused { .. } if config.retries_refusals => Failure::Away(error),
        error => Failure::Final(error),
    };
    let (broker, store) = fastworker_broker::connect(
        &config.broker_url,
        &config.broker_options,
        queues,
        config.result_url.as_deref(),
        &config.result_options,
        terms,
    )
    .await
    .map_err(failure)?;
    enlist(&broker, &config.fanouts).await.map_err(Failure::Away)?;
    // First the ear, then what is written down, then the first message: nothing revoked slips through.
    if let Some(exchange) = &config.control_exchange {
        // Whatever is wrong with it is met, and said, by the one who listens from now on.
        let _told_later = timeout(EAR, broker.listen(exchange)).await;
    }
    let remembered = broker.revoked().await.map_err(failure)?;
    Ok((broker, store, remembered))
}

/// The queues by their names at the broker.
fn consumed(config: &WorkerConfig) -> Vec<String> {
    let own =
        |queue: &String| config.fanouts.iter().find(|(known, _)| known == queue).map(|(_, own)| own.queue.clone());
    config.queues.iter().map(|queue| own(queue).unwrap_or_else(|| queue.clone())).collect()
}

/// From now on there are copies for us, of what programs of kombu publish as well.
async fn enlist(broker: &AnyBroker, fanouts: &[(String, Fanout)]) -> Result<(), Error> {
    for (_, fanout) in fanouts {
        broker.enlist(fanout).await?;
    }
    if !fanouts.is_empty() {
        // A broker that has nothing to gather never answers; what is wrong is met by the one who gathers from now on.
        let _told_later = timeout(EAR, broker.gather()).await;
    }
    Ok(())
}

/// Orders that came before there was a worker to carry them out.
#[derive(Default)]
struct Early(Vec<Command>);

/// More than this nobody gives in an outage; who asks for an answer is told that there is none.
const MOST_EARLY: usize = 1_000;

impl Early {
    fn keep(&mut self, command: Command, reporter: &Reporter) {
        if self.0.len() < MOST_EARLY {
            self.0.push(command);
        } else {
            reporter.log(Level::Error, format!("an order is dropped: {MOST_EARLY} wait for the connection already"));
        }
    }

    /// To the one who carries them out, in the order in which they came.
    fn hand_over(self, facts: &UnboundedSender<Fact>) {
        for command in self.0 {
            facts.send(Fact::Command(command)).expect("the caller holds the other end");
        }
    }
}

/// Waits for the order to stop, and keeps all others.
async fn told_to_stop(commands: &mut UnboundedReceiver<Command>, early: &mut Early, reporter: &Reporter) {
    loop {
        match commands.recv().await {
            None | Some(Command::Shutdown(_)) => return,
            Some(command) => early.keep(command, reporter),
        }
    }
}

#[cfg(test)]
mod tests {
    use fastworker_engine::{Resize, Shutdown};
    use tokio::sync::mpsc::error::TryRecvError;

    use super::*;
    use crate::report::Report;

    #[tokio::test]
    async fn orders_are_kept_in_order_until_the_one_to_stop() {
        let (sender, mut commands) = unbounded_channel();
        let reporter = Reporter::new().expect("an eventfd");
        let mut early = Early::default();
        for count in 1..=MOST_EARLY as u32 + 1 {
            sender.send(Command::Resize(Resize::Grow(count))).expect("open");
        }
        sender.send(Command::Shutdown(Shutdown::Warm)).expect("open");
        told_to_stop(&mut commands, &mut early, &reporter).await;
        let (facts, mut told) = unbounded_channel();
        early.hand_over(&facts);
        for count in 1..=MOST_EARLY as u32 {
            let fact = told.try_recv().expect("an order");
            assert!(matches!(fact, Fact::Command(Command::Resize(Resize::Grow(kept))) if kept == count), "{count}");
        }
        assert!(matches!(told.try_recv(), Err(TryRecvError::Empty)), "more than are kept");
        let said = reporter.take();
        assert!(matches!(&said[..], [Report::Log { level: Level::Error, .. }]), "{} reports", said.len());
    }
}
