//! How leases end. Publish first, acknowledge then: a fault in between repeats work and drops none.

use super::delayed;
use super::lane;
use super::letters;
use super::line::number;
use super::message::Outgoing;
use super::session::{Lease, Session};
use crate::burial::Burial;
use crate::clock::now_ms;
use crate::{Error, Member, Settled, Settlement, Verdict};

/// A quorum queue throws a message away, or dead-letters it, after so many returns (20 unless somebody said otherwise).
/// Before that a copy begins anew.
const RETURNS: u32 = 8;

/// What happens to the delivery itself.
enum End {
    /// Nothing.
    Keep,
    Ack,
    /// Nothing was published for it that would be published again if this were lost.
    AckSoon,
    /// To the front of its queue, by the server.
    Requeue,
    /// To the dead letter exchange that the user has declared.
    Reject,
}

impl Lease {
    /// Whether the server cannot give it back as it is.
    pub(super) fn needs_a_copy(&self) -> bool {
        self.is_held || self.returns >= RETURNS
    }
}

impl Session {
    /// A copy for the queue that it came from. `is_redelivery` marks it.
    pub(super) fn copy_of(&self, lease: &Lease, is_redelivery: bool) -> (String, String, Outgoing) {
        let mut copy = Outgoing::of(&lease.message).with_attempts(lease.attempts);
        if is_redelivery || lease.is_redelivered {
            copy = copy.redelivered();
        }
        (String::new(), self.state().lines[lease.line].name.clone(), copy)
    }

    /// Carries out every settlement whose lease is ours.
    pub(super) async fn settle(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        let mut settled = Settled::default();
        let mut messages = Vec::new();
        let mut ends: Vec<(u64, End)> = Vec::new();
        let mut joins = Vec::new();
        for (index, settlement) in batch.iter().enumerate() {
            let key = number(self.number, settlement.tag);
            let lease = key.and_then(|key| Some((key, self.state().leases.get(&key)?.clone())));
            let published = messages.len();
            let end = match (&settlement.verdict, lease) {
                (Verdict::Acked, _) => None,
                (_, None) => {
                    settled.lost.push(index);
                    continue;
                }
                (verdict, Some((key, lease))) => {
                    let (end, message) = self.ending(verdict, settlement, &lease).await?;
                    messages.extend(message);
                    Some((key, end))
                }
            };
            let terms = self.owner.options.replies.as_ref();
            messages.extend(terms.zip(settlement.result.as_ref()).and_then(|(terms, result)| terms.message(result)));
            for successor in &settlement.successors {
                let keeps = self.owner.options.keeps_expiration;
                messages.push((String::new(), successor.queue.clone(), Outgoing::published(&successor.message, keeps)));
            }
            let is_alone = messages.len() == published && settlement.member.is_none();
            let end = match end {
                Some((key, End::Ack)) if is_alone && settlement.verdict == Verdict::Ack => Some((key, End::AckSoon)),
                end => end,
            };
            ends.extend(end);
            match settlement.member.as_deref() {
                None => {}
                Some(Member::Last(join)) => joins.push((index, join)),
                Some(Member::Part(part)) => {
                    tracing::error!(group = part.group_id, "a chord needs a result store: its body will not run");
                }
            }
        }
        if !messages.is_empty() {
            self.publish(&messages).await?;
        }
        for (index, join) in joins {
            self.leave_join(join).await?;
            settled.complete.push(index);
        }
        self.end_all(ends, batch.iter().any(|one| one.verdict == Verdict::EarlyAck)).await?;
        Ok(settled)
    }

    /// What becomes of the delivery, and what is published for it.
    async fn ending(
        &self,
        verdict: &Verdict,
        settlement: &Settlement,
        lease: &Lease,
    ) -> Result<(End, Option<(String, String, Outgoing)>), Error> {
        Ok(match verdict {
            Verdict::Keep | Verdict::Acked => (End::Keep, None),
            Verdict::Ack | Verdict::EarlyAck => (End::Ack, None),
            Verdict::Return { is_redelivery } => {
                if lease.needs_a_copy() {
                    (End::Ack, Some(self.copy_of(lease, *is_redelivery)))
                } else {
                    (End::Requeue, None)
                }
            }
            Verdict::Requeue => {
                if lease.needs_a_copy() {
                    (End::Ack, Some(self.copy_of(&Lease { attempts: 0, ..lease.clone() }, true)))
                } else {
                    (End::Requeue, None)
                }
            }
            Verdict::Park { due_ms } => {
                let queue = self.queue_of(lease);
                // The rest of a second is waited out by whoever gets it.
                let seconds = (due_ms - now_ms()).max(0) / 1_000;
                self.declare(&delayed::steps(&self.owner.options.delayed_type, seconds)).await?;
                self.declare(&[delayed::way_back(&queue)]).await?;
                let copy = self.copy_of(lease, false).2;
                (End::Ack, Some((delayed::entrance(seconds), delayed::routing_key(seconds, &queue), copy)))
            }
            Verdict::Lane { task } => {
                let queue = self.queue_of(lease);
                self.declare_lane(&queue, task).await?;
                (End::Ack, Some((String::new(), lane::name(&queue, task), self.copy_of(lease, false).2)))
            }
            Verdict::DeadLetter { reason, detail } => {
                let queue = self.queue_of(lease);
                if self.owner.options.topology.has_dead_letter_exchange(&queue) && !lease.is_held {
                    return Ok((End::Reject, None));
                }
                let burial = Burial::new(settlement.message_id.as_deref(), reason, detail);
                let letter = letters::letter(Outgoing::of(&lease.message), &queue, &burial);
                (End::Ack, Some((String::new(), letters::QUEUE.to_owned(), letter)))
            }
        })
    }

    fn queue_of(&self, lease: &Lease) -> String {
        self.state().lines[lease.line].name.clone()
    }

    /// `is_early`: a task will run because its acknowledgement has got through.
    async fn end_all(&self, ends: Vec<(u64, End)>, is_early: bool) -> Result<(), Error> {
        let (mut acks, mut soon, mut requeues, mut rejects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        {
            let mut state = self.state();
            for (key, end) in ends {
                let tags = match end {
                    End::Keep => continue,
                    End::Ack => &mut acks,
                    End::AckSoon => &mut soon,
                    End::Requeue => &mut requeues,
                    End::Reject => &mut rejects,
                };
                tags.extend(state.release(key).map(|lease| lease.at));
            }
        }
        if !soon.is_empty() {
            self.ack_soon(soon);
        }
        if !acks.is_empty() {
            self.ack(acks).await?;
        }
        self.nack(requeues).await?;
        self.reject(rejects).await?;
        if is_early { self.sync().await } else { Ok(()) }
    }

    /// To the dead letters with what is no message at all; keys of leases.
    pub(super) async fn bury(&self, junk: &[u64]) -> Result<(), Error> {
        for key in junk {
            let Some(lease) = self.state().leases.get(key).cloned() else { continue };
            let burial = Burial::not_json(&lease.message);
            let queue = self.queue_of(&lease);
            tracing::error!(id = burial.letter, queue, "not JSON: moved to the dead letters");
            let letter = letters::letter(Outgoing::of(&lease.message), &queue, &burial);
            self.publish(&[(String::new(), letters::QUEUE.to_owned(), letter)]).await?;
            self.end_all(vec![(*key, End::Ack)], false).await?;
        }
        Ok(())
    }
}
