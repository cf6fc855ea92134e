//! Counting the members of chords, and joining them.

use redis::{Cmd, Pipeline, Value};

use super::broker::{RedisBroker, ResultSide};
use super::connection::Link;
use super::failure::{int, text};
use super::options::RedisResults;
use super::script::{FINISH_JOIN, FORGET_CHORD, HOLD_CHORD, JOINS, PART};
use super::store::result_args;
use crate::chord::CLAIM_S;
use crate::{Error, Join, Joined, Member, Part, Parts, Remains, Settlement};

/// The field of a chord's marks with the name of its run (`begin_chord.lua`); the others are members that were added.
const RUN: &str = "run";
/// Joins that one look finds at most.
const JOINS_AT_ONCE: usize = 1_000;

/// A part as `settle.lua` and `part.lua` take it.
pub(super) fn part_args(command: &mut Cmd, part: &Part, is_ordered: bool) {
    let ttl = part.ttl_s.filter(|ttl_s| *ttl_s > 0).map(|ttl_s| ttl_s.to_string()).unwrap_or_default();
    command.arg(&part.task_id).arg(part.place()).arg(&part.doc[..]).arg(i32::from(is_ordered)).arg(ttl);
    command.arg(part.join().token).arg(part.bears.map(|bears| bears.to_string()).unwrap_or_default());
}

/// What `join_function.lua` reads.
fn kept(incarnation: &str, join: &Join) -> Vec<u8> {
    let mut kept = format!("{incarnation}{}:{}", join.token.len(), join.token).into_bytes();
    kept.extend_from_slice(&join.record);
    kept
}

/// The same, read here.
fn read(group_id: String, kept: &[u8]) -> Option<Join> {
    let rest = kept.get(16..)?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    let (token, record) = rest[colon + 1..].split_at_checked(length)?;
    let token = String::from_utf8(token.to_vec()).ok()?;
    Some(Join { group_id, token, record: record.to_vec().into() })
}

/// Keys of a chord as `hold_chord.lua` and `forget_chord.lua` take them.
fn held_keys(results: &RedisResults, group_id: &str) -> [String; 6] {
    let [parts, added, size, counted, _, claim, failed] = results.chord_keys(group_id);
    [parts, added, size, counted, claim, failed]
}

/// Where the parts of a join's chord are kept when they outlive it.
fn kept_key(results: &RedisResults, join: &Join) -> String {
    let [parts, ..] = results.chord_keys(&join.kept_name());
    parts
}

fn remains_args(command: &mut Cmd, remains: Remains) {
    command.arg(remains.remembered_s).arg(remains.parts_s.map(|parts_s| parts_s.to_string()).unwrap_or_default());
}

impl RedisBroker {
    /// The part, and where it is counted, if that is on this server.
    pub(super) fn counted_here<'a>(&'a self, member: &'a Member) -> Option<(&'a Part, &'a ResultSide)> {
        let side = self.results.as_ref().filter(|side| side.elsewhere.is_none())?;
        match member {
            Member::Part(part) => Some((part, side)),
            Member::Last(_) => None,
        }
    }

    /// Group and join, for a join that becomes ours.
    pub(super) fn join_args(&self, command: &mut Cmd, join: &Join) {
        command.arg(&join.group_id).arg(kept(&self.held.incarnation, join));
    }

    /// Counts parts whose store is another server. Returns where in the batch a chord was completed.
    pub(super) async fn count_elsewhere(&self, batch: &[Settlement]) -> Result<Vec<usize>, Error> {
        if self.results.as_ref().is_none_or(|side| side.elsewhere.is_none()) {
            return Ok(Vec::new());
        }
        let part = |settlement: &Settlement| match settlement.member.as_deref() {
            Some(Member::Part(part)) => Some(part.clone()),
            _ => None,
        };
        let (at, parts): (Vec<usize>, Vec<Part>) =
            batch.iter().enumerate().filter_map(|(at, settlement)| Some((at, part(settlement)?))).unzip();
        let complete = self.count_parts(&parts).await?;
        Ok(at.into_iter().zip(complete).filter(|(_, is_complete)| *is_complete).map(|(at, _)| at).collect())
    }

    /// Counts parts on their own; says of each whether it completed its chord.
    pub(crate) async fn count_parts(&self, parts: &[Part]) -> Result<Vec<bool>, Error> {
        const WHAT: &str = "count a chord's member";
        let Some((side, link)) = self.results_link().filter(|_| !parts.is_empty()) else {
            return Ok(vec![false; parts.len()]);
        };
        let build = |pipeline: &mut Pipeline| {
            for part in parts {
                let mut command = redis::cmd("EVALSHA");
                command.arg(&PART.sha).arg(8).arg(&side.results.chord_keys(&part.group_id));
                command.arg(side.results.own_claim_key(&part.group_id));
                part_args(&mut command, part, side.results.has_ordered_parts);
                command.arg(CLAIM_S);
                pipeline.add_command(command);
            }
        };
        let values = link.run_scripts(WHAT, &PART, build).await?;
        let values = link.call(WHAT).values(values)?;
        Ok(values.iter().map(|value| int(value) == Some(1)).collect())
    }

    /// The results' side, and its connection; the broker's own where they are one server.
    fn results_link(&self) -> Option<(&ResultSide, &Link)> {
        self.results.as_ref().map(|side| (side, side.elsewhere.as_ref().unwrap_or(&self.work)))
    }

    /// The database to go to for something of the results', and back from.
    fn detour(&self, side: &ResultSide) -> Option<(i64, i64)> {
        let (results, home) = (side.results.db(), self.db);
        (side.elsewhere.is_none() && results != home).then_some((results, home))
    }

    pub(super) async fn find_joins(&self) -> Result<Vec<Join>, Error> {
        let keys = &self.keys;
        let fill = |command: &mut Cmd| {
            command.arg(2).arg(&keys.joins).arg(&keys.owners);
            command.arg(&self.held.incarnation).arg(&keys.owner_prefix).arg(JOINS_AT_ONCE);
        };
        let reply = self.work.script("look for joins", &JOINS, fill).await?;
        let Value::Array(values) = reply else { return Err(self.work.call("look for joins").unexpected(&reply)) };
        let mut joins = Vec::new();
        let mut values = values.into_iter();
        while let (Some(group_id), Some(Value::BulkString(kept))) = (values.next().and_then(text), values.next()) {
            match read(group_id, &kept) {
                Some(join) => joins.push(join),
                None => tracing::error!(key = %keys.joins, "a record of a chord cannot be read"),
            }
        }
        Ok(joins)
    }

    /// The parts of a chord.
    pub(crate) async fn read_parts(&self, group_id: &str) -> Result<Parts, Error> {
        const WHAT: &str = "read a chord's parts";
        let Some((side, link)) = self.results_link() else { return Ok(Parts::default()) };
        let [parts, _, _, _, group, ..] = side.results.chord_keys(group_id);
        let mut pipeline = Pipeline::new();
        let detour = self.detour(side);
        if let Some((there, _)) = detour {
            pipeline.cmd("SELECT").arg(there);
        }
        pipeline.cmd(if side.results.has_ordered_parts { "ZRANGE" } else { "LRANGE" }).arg(&parts).arg(0).arg(-1);
        pipeline.cmd("GET").arg(&group);
        pipeline.cmd("HGET").arg(side.results.marks_key(group_id)).arg(RUN);
        if let Some((_, back)) = detour {
            pipeline.cmd("SELECT").arg(back);
        }
        let values = link.run(WHAT, &pipeline).await?;
        let mut values = link.call(WHAT).values(values)?.into_iter().skip(usize::from(detour.is_some()));
        let [docs, group, run] = [(); 3].map(|()| values.next().unwrap_or(Value::Nil));
        let Value::Array(docs) = docs else { return Err(link.call(WHAT).unexpected(&docs)) };
        let bytes = |value| match value {
            Value::BulkString(bytes) => Some(bytes.into()),
            _ => None,
        };
        Ok(Parts { docs: docs.into_iter().filter_map(bytes).collect(), group: bytes(group), run: text(run) })
    }

    /// Makes the claim of a join last. False: the chord is done, or somebody else's.
    pub(crate) async fn hold_chord(&self, join: &Join) -> Result<bool, Error> {
        let Some((side, link)) = self.results_link() else { return Ok(true) };
        let fill = |command: &mut Cmd| {
            command.arg(8).arg(&held_keys(&side.results, &join.group_id));
            command.arg(side.results.marks_key(&join.group_id));
            command.arg(side.results.own_claim_key(&join.group_id)).arg(&join.token);
        };
        Ok(int(&link.script("hold a chord", &HOLD_CHORD, fill).await?) == Some(1))
    }

    /// Ends the chord of a join.
    pub(crate) async fn forget_chord(&self, join: &Join, remains: Remains) -> Result<(), Error> {
        let Some((side, link)) = self.results_link() else { return Ok(()) };
        let fill = |command: &mut Cmd| {
            command.arg(8).arg(&held_keys(&side.results, &join.group_id)).arg(kept_key(&side.results, join));
            command.arg(side.results.own_claim_key(&join.group_id)).arg(&join.token);
            remains_args(command, remains);
        };
        link.script("end a chord", &FORGET_CHORD, fill).await.map(drop)
    }

    pub(super) async fn end_join(&self, joined: &Joined) -> Result<bool, Error> {
        let is_elsewhere = self.results.as_ref().is_some_and(|side| side.elsewhere.is_some());
        if !is_elsewhere {
            return self.run_end(joined).await;
        }
        if !self.hold_chord(&joined.join).await? {
            let nothing = Joined { messages: Vec::new(), results: Vec::new(), ..joined.clone() };
            self.run_end(&nothing).await?;
            return Ok(false);
        }
        self.store_results(&joined.results).await?;
        let is_done = self.run_end(joined).await?;
        self.forget_chord(&joined.join, joined.remains).await?;
        Ok(is_done)
    }

    /// The one step on the broker's server.
    async fn run_end(&self, joined: &Joined) -> Result<bool, Error> {
        let side = self.results.as_ref().filter(|side| side.elsewhere.is_none());
        let join = &joined.join;
        let fill = |command: &mut Cmd| {
            command.arg(if side.is_some() { 8 } else { 1 }).arg(&self.keys.joins);
            if let Some(side) = side {
                command.arg(&held_keys(&side.results, &join.group_id)).arg(kept_key(&side.results, join));
            }
            command.arg(&join.group_id).arg(&join.token);
            command.arg(self.db).arg(side.map_or(self.db, |side| side.results.db()));
            remains_args(command, joined.remains);
            command.arg(joined.messages.len());
            for message in &joined.messages {
                let list = self.keys.list(&message.queue, self.keys.step(message.priority));
                command.arg(list).arg(&message.message[..]);
            }
            if let Some(side) = side {
                result_args(command, &side.results, &joined.results);
            }
        };
        Ok(int(&self.work.script("end a join", &FINISH_JOIN, fill).await?) == Some(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_reads_back_whatever_the_names() {
        for token in ["fw:7:0", "fw:a:b:+inf", "fw:größe:12", ""] {
            let join = Join { group_id: "g".into(), token: token.into(), record: b"{\"a\": \":\"}"[..].into() };
            assert_eq!(read("g".into(), &kept("00ff00ff00ff00ff", &join)), Some(join));
        }
        assert_eq!(read("g".into(), b"00ff00ff00ff00ff99:short"), None);
    }
}
