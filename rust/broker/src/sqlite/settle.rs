//! Endings: acknowledgement, result and successors in one transaction.

use super::dead;
use super::lease::{self, Held};
use super::results;
use super::session::Session;
use super::{join, lane, park, publish};
use crate::burial::Burial;
use crate::clock::now_ms;
use crate::{Member, Settled, Settlement, Verdict};

/// Carries out every settlement whose lease is still the owner's.
pub(super) fn settle(session: &Session, owner: i64, batch: &[Settlement]) -> rusqlite::Result<Settled> {
    let now = now_ms();
    let Settled { mut lost, mut complete } = Settled::default();
    let mut stored = 0;
    for (index, settlement) in batch.iter().enumerate() {
        let is_ours = match &settlement.verdict {
            Verdict::Acked => true,
            verdict => end(session, owner, settlement, verdict)?,
        };
        if is_ours {
            publish::publish(session, &settlement.successors)?;
            if let Some(member) = &settlement.member
                && is_last(session, member, now)?
            {
                join::leave(session, owner, &member.join())?;
                complete.push(index);
            }
        } else {
            lost.push(index);
        }
        if let Some(result) = &settlement.result
            && (is_ours || result.is_success)
        {
            results::put(session, result, now)?;
            stored += 1;
        }
    }
    results::sweep_after(session, stored, now)?;
    Ok(Settled { lost, complete })
}

/// Counts a member, if it is to be counted here.
fn is_last(session: &Session, member: &Member, now_ms: i64) -> rusqlite::Result<bool> {
    match member {
        Member::Part(part) => join::count(session, part, false, now_ms),
        Member::Last(_) => Ok(true),
    }
}

/// Moves the message to where the verdict sends it. False: the lease is not ours, and nothing was done.
fn end(session: &Session, owner: i64, settlement: &Settlement, verdict: &Verdict) -> rusqlite::Result<bool> {
    let Some(held) = lease::find(session, owner, settlement.tag.0)? else {
        return Ok(false);
    };
    if *verdict == Verdict::Keep {
        return Ok(true);
    }
    lease::end(session, owner, settlement.tag.0)?;
    match verdict {
        Verdict::Ack | Verdict::EarlyAck => remove_body(session, held.id)?,
        Verdict::Return { is_redelivery } => {
            let is_redelivered = held.is_redelivered || *is_redelivery;
            put_back(session, &Held { is_redelivered, ..held })?;
        }
        Verdict::Lane { task } => lane::enter_worker_lane(session, &held, task)?,
        Verdict::Requeue => put_back(session, &Held { is_redelivered: true, attempts: 0, ..held })?,
        Verdict::Park { due_ms } => park::park(session, &held, *due_ms, settlement.message_id.as_deref())?,
        Verdict::DeadLetter { reason, detail } => {
            let burial = Burial::new(settlement.message_id.as_deref(), reason, detail);
            dead::bury(session, &held, &burial)?;
        }
        Verdict::Keep | Verdict::Acked => unreachable!("handled before a lease is ended"),
    }
    Ok(true)
}

/// Puts a message where its age belongs: in front of all that were published after it.
pub(super) fn put_back(session: &Session, held: &Held) -> rusqlite::Result<()> {
    session.sql.prepare_cached("INSERT INTO ready VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
        held.queue,
        held.priority,
        held.id,
        held.is_redelivered,
        held.attempts,
    ))?;
    session.note_ready();
    Ok(())
}

pub(super) fn remove_body(session: &Session, id: i64) -> rusqlite::Result<()> {
    session.sql.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([id])?;
    Ok(())
}
