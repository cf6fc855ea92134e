//! Counting the members of chords, and joining them: the rules of `redis/lua/part_function.lua` and `finish_join.lua`.

use rusqlite::OptionalExtension;

use super::chord::end_of;
use super::session::Session;
use super::{publish, results};
use crate::{Join, Joined, Part, Parts, Remains};

/// Stands in the place of a token when the chord is over.
const DONE: &str = "done";

struct Chord {
    number: i64,
    size: Option<i64>,
    more: i64,
    parts: i64,
    claim: Option<String>,
}

fn find(session: &Session, group_id: &str) -> rusqlite::Result<Option<Chord>> {
    session
        .sql
        .prepare_cached("SELECT number, size, more, parts, claim FROM chords WHERE group_id = ?1")?
        .query_row([group_id], |row| {
            Ok(Chord {
                number: row.get(0)?,
                size: row.get(1)?,
                more: row.get(2)?,
                parts: row.get(3)?,
                claim: row.get(4)?,
            })
        })
        .optional()
}

/// Counts one member. True for the one that completes its chord, which is then claimed. `is_elsewhere`: the message
/// lies elsewhere, and so will the join.
pub(super) fn count(session: &Session, part: &Part, is_elsewhere: bool, now_ms: i64) -> rusqlite::Result<bool> {
    session
        .sql
        .prepare_cached("INSERT INTO chords(group_id, more, parts) VALUES (?1, 0, 0) ON CONFLICT(group_id) DO NOTHING")?
        .execute([&part.group_id])?;
    let Some(mut chord) = find(session, &part.group_id)? else { return Ok(false) };
    if chord.claim.as_deref() == Some(DONE) {
        return Ok(false);
    }
    let place = part.index.unwrap_or(i64::MAX);
    let added = session
        .sql
        .prepare_cached("INSERT INTO chord_parts VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute((chord.number, place, &part.task_id, &part.doc[..]))?;
    chord.parts += added as i64;
    let token = part.join().token;
    let has_enough = chord.size.is_some_and(|size| chord.parts >= size + chord.more)
        || bears_no_more(session, chord.number, part, added > 0)?;
    let is_complete = has_enough && chord.claim.as_ref().is_none_or(|claim| *claim == token);
    let expires_ms = match is_complete {
        false if chord.claim.is_some() => {
            // More than it was to have: members may be added yet.
            let count = "UPDATE chords SET parts = ?2 WHERE number = ?1";
            session.sql.prepare_cached(count)?.execute((chord.number, chord.parts))?;
            return Ok(false);
        }
        false => end_of(part.ttl_s, now_ms),
        true if is_elsewhere => end_of(part.ttl_s, now_ms),
        true => None,
    };
    session
        .sql
        .prepare_cached("UPDATE chords SET parts = ?2, claim = ?3, expires_ms = ?4 WHERE number = ?1")?
        .execute((chord.number, chord.parts, is_complete.then_some(token), expires_ms))?;
    Ok(is_complete)
}

/// Counts a failure where that may end the chord before all its members have ended. True: it does.
fn bears_no_more(session: &Session, chord: i64, part: &Part, is_new: bool) -> rusqlite::Result<bool> {
    let Some(bears) = part.bears else { return Ok(false) };
    let failures: i64 = session
        .sql
        .prepare_cached(
            "INSERT INTO chord_failures VALUES (?1, ?2)
             ON CONFLICT(chord) DO UPDATE SET failures = failures + excluded.failures RETURNING failures",
        )?
        .query_row((chord, i64::from(is_new)), |row| row.get(0))?;
    Ok(failures.unsigned_abs() > bears)
}

/// How the members ended.
pub(super) fn parts(session: &Session, group_id: &str, now_ms: i64) -> rusqlite::Result<Parts> {
    let mut statement = session.sql.prepare_cached(
        "SELECT doc FROM chord_parts WHERE chord = (SELECT number FROM chords WHERE group_id = ?1) ORDER BY place, task_id",
    )?;
    let docs = statement.query_map([group_id], |row| Ok(row.get::<_, Vec<u8>>(0)?.into()))?;
    let docs = docs.collect::<rusqlite::Result<_>>()?;
    let group = super::chord::group(session, group_id, now_ms)?.map(Into::into);
    Ok(Parts { docs, group, run: super::chord::run_of(session, group_id)? })
}

/// Makes the claim of a join last. False: the chord is done, or somebody else's.
pub(super) fn hold(session: &Session, join: &Join) -> rusqlite::Result<bool> {
    let is_ours = find(session, &join.group_id)?.is_none_or(|chord| chord.claim.as_ref() == Some(&join.token));
    if is_ours {
        session
            .sql
            .prepare_cached("UPDATE chords SET expires_ms = NULL WHERE group_id = ?1")?
            .execute([&join.group_id])?;
    }
    Ok(is_ours)
}

/// Ends the chord of a join; what remains remembers that, for a while. Parts that are kept move to a chord of another name.
pub(super) fn forget(session: &Session, join: &Join, remains: Remains, now_ms: i64) -> rusqlite::Result<()> {
    let done = "UPDATE chords SET claim = 'done', expires_ms = ?3 WHERE group_id = ?1 AND claim = ?2 RETURNING number";
    let number: Option<i64> = session
        .sql
        .prepare_cached(done)?
        .query_row((&join.group_id, &join.token, end_of(Some(remains.remembered_s), now_ms)), |row| row.get(0))
        .optional()?;
    let Some(number) = number else { return Ok(()) };
    if remains.parts_s.is_none() {
        session.sql.prepare_cached("DELETE FROM chord_parts WHERE chord = ?1")?.execute([number])?;
        return Ok(());
    }
    // The same member may have completed an earlier run of the same chord.
    session.sql.prepare_cached("DELETE FROM chords WHERE group_id = ?1")?.execute([join.kept_name()])?;
    session.sql.prepare_cached("UPDATE chords SET group_id = ?2, expires_ms = ?3 WHERE number = ?1")?.execute((
        number,
        join.kept_name(),
        end_of(remains.parts_s, now_ms),
    ))?;
    session
        .sql
        .prepare_cached("INSERT INTO chords(group_id, more, parts, claim, expires_ms) VALUES (?1, 0, 0, 'done', ?2)")?
        .execute((&join.group_id, end_of(Some(remains.remembered_s), now_ms)))?;
    let marks = "UPDATE chord_marks SET chord = (SELECT number FROM chords WHERE group_id = ?1) WHERE chord = ?2";
    session.sql.prepare_cached(marks)?.execute((&join.group_id, number))?;
    Ok(())
}

/// Leaves a join to `owner`.
pub(super) fn leave(session: &Session, owner: i64, join: &Join) -> rusqlite::Result<()> {
    session
        .sql
        .prepare_cached(
            "INSERT INTO joins(group_id, token, owner, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(group_id) DO UPDATE
             SET token = excluded.token, owner = excluded.owner, record = excluded.record",
        )?
        .execute((&join.group_id, &join.token, owner, &join.record[..]))?;
    Ok(())
}

/// Whether there are joins at all.
pub(super) fn has_joins(session: &Session) -> rusqlite::Result<bool> {
    session.sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM joins)")?.query_row([], |row| row.get(0))
}

/// The owner's joins; those whose owner is not among the living become its own.
pub(super) fn joins(session: &Session, owner: i64) -> rusqlite::Result<Vec<Join>> {
    session
        .sql
        .prepare_cached("UPDATE joins SET owner = ?1 WHERE owner NOT IN (SELECT owner FROM owners)")?
        .execute([owner])?;
    session
        .sql
        .prepare_cached("SELECT group_id, token, record FROM joins WHERE owner = ?1")?
        .query_map([owner], |row| {
            Ok(Join { group_id: row.get(0)?, token: row.get(1)?, record: row.get::<_, Vec<u8>>(2)?.into() })
        })?
        .collect()
}

/// Ends a join. False: it had been ended before, or its chord was begun anew.
pub(super) fn finish(session: &Session, joined: &Joined, now_ms: i64) -> rusqlite::Result<bool> {
    let join = &joined.join;
    let removed = session
        .sql
        .prepare_cached("DELETE FROM joins WHERE group_id = ?1 AND token = ?2")?
        .execute((&join.group_id, &join.token))?;
    // A chord that is kept elsewhere has no row here.
    let is_ours = find(session, &join.group_id)?.is_none_or(|chord| chord.claim.as_ref() == Some(&join.token));
    if removed == 0 || !is_ours {
        return Ok(false);
    }
    publish::publish(session, &joined.messages)?;
    results::store(session, &joined.results, now_ms)?;
    forget(session, join, joined.remains, now_ms)?;
    Ok(true)
}
