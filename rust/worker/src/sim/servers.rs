//! The broker and the result store as a node sees them: the real ones in memory, behind the gate; or ones that are broken
//! on purpose, to see that somebody notices.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use fastworker_broker::lane::{Ask, Drawn, Granted, Quota};
use fastworker_broker::{
    Broker, Delivery, Error, Fanout, Heard, Join, Joined, Member, MemoryBroker, MemoryStore, Part, Parts, Portion,
    Publish, Recovered, Remains, ResultDoc, Revocation, Settled, Settlement, Store, Tag, Verdict,
};

use super::gate::{Gate, Who};
use super::world::World;

/// A way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A member that comes again counts again.
    CountsTwice,
    /// The message is acknowledged in one step, and its member counted in another.
    CountsAfterAck,
    /// The join is removed in one step, and the body published in another.
    EndsBeforePublishing,
    /// The body is published in one step, and the join removed in another.
    PublishesBeforeEnding,
    /// Joins of dead owners stay theirs.
    TakesNothingOver,
    /// A join whose settlement was answered to nobody is forgotten.
    TellsOnce,
    /// Members of other chords that end with a join do not count.
    ForgetsOuterChords,
    /// A member that was not run by a child does not count.
    CountsReportedOnly,
}

impl Mutant {
    pub(super) const ALL: [Mutant; 8] = [
        Mutant::CountsTwice,
        Mutant::CountsAfterAck,
        Mutant::EndsBeforePublishing,
        Mutant::PublishesBeforeEnding,
        Mutant::TakesNothingOver,
        Mutant::TellsOnce,
        Mutant::ForgetsOuterChords,
        Mutant::CountsReportedOnly,
    ];
}

/// The broker.
pub(super) struct SimBroker {
    real: MemoryBroker,
    gate: Rc<Gate>,
    world: Rc<World>,
    /// Groups whose last member this node settled.
    completed: RefCell<HashSet<String>>,
}

impl SimBroker {
    pub(super) fn new(real: MemoryBroker, gate: &Rc<Gate>, world: &Rc<World>) -> SimBroker {
        SimBroker { real, gate: Rc::clone(gate), world: Rc::clone(world), completed: RefCell::default() }
    }

    async fn through<T>(&self, what: &'static str, act: impl AsyncFnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.gate.through(Who::Parent, what, act).await
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.world.mutant == Some(mutant)
    }

    /// What a broken broker makes of a batch.
    fn changed(&self, batch: &[Settlement]) -> Vec<Settlement> {
        let mut batch = batch.to_vec();
        for settlement in &mut batch {
            if let Some(Member::Part(part)) = settlement.member.as_deref_mut()
                && self.is(Mutant::CountsTwice)
            {
                part.task_id = self.world.name();
            }
            if self.is(Mutant::ForgetsOuterChords) && settlement.message_id.is_none() {
                settlement.member = None;
            }
        }
        batch
    }
}

/// A settlement that counts a member and does nothing else.
fn counting(settlement: &Settlement) -> Settlement {
    Settlement { verdict: Verdict::Acked, result: None, successors: Vec::new(), ..settlement.clone() }
}

impl Broker for SimBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        self.through("publish", async || self.real.publish(batch).await).await
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        self.through("fetch", async || self.real.fetch_within(max, portions).await).await
    }

    fn watch(&self, queue: &str) {
        self.real.watch(queue);
    }

    async fn wait(&self) {
        self.real.wait().await;
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        let batch = self.changed(batch);
        if self.is(Mutant::CountsAfterAck) {
            let bare: Vec<Settlement> = batch.iter().map(|it| Settlement { member: None, ..it.clone() }).collect();
            let lost = self.through("settle", async || self.real.settle_and_count(&bare).await).await?.lost;
            let counts: Vec<(usize, Settlement)> = batch
                .iter()
                .enumerate()
                .filter(|(at, it)| it.member.is_some() && !lost.contains(at))
                .map(|(at, it)| (at, counting(it)))
                .collect();
            let (at, counts): (Vec<usize>, Vec<Settlement>) = counts.into_iter().unzip();
            let counted = self.through("count", async || self.real.settle_and_count(&counts).await).await?;
            return Ok(Settled { lost, complete: counted.complete.into_iter().map(|index| at[index]).collect() });
        }
        self.through("settle", async || {
            let settled = self.real.settle_and_count(&batch).await?;
            let joins = settled.complete.iter().filter_map(|at| batch[*at].member.as_deref());
            self.completed.borrow_mut().extend(joins.map(|member| member.join().group_id));
            Ok(settled)
        })
        .await
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        let mut joins = self.through("joins", async || self.real.joins().await).await?;
        let completed = self.completed.borrow();
        if self.is(Mutant::TakesNothingOver) {
            joins.retain(|join| completed.contains(&join.group_id));
        }
        if self.is(Mutant::TellsOnce) {
            joins.retain(|join| !completed.contains(&join.group_id));
        }
        Ok(joins)
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        self.through("parts", async || self.real.parts(group_id).await).await
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        let note = |is_done: bool| {
            if is_done {
                self.world.joined(joined);
            }
            is_done
        };
        if self.is(Mutant::EndsBeforePublishing) {
            let bare = Joined {
                join: joined.join.clone(),
                messages: Vec::new(),
                results: Vec::new(),
                remains: joined.remains,
            };
            let is_done = self.through("end", async || self.real.finish_join(&bare).await.map(note)).await?;
            if is_done {
                self.through("publish", async || self.real.publish(&joined.messages).await).await?;
                self.through("store", async || self.real.store(&joined.results).await).await?;
            }
            return Ok(is_done);
        }
        if self.is(Mutant::PublishesBeforeEnding) {
            self.through("publish", async || self.real.publish(&joined.messages).await).await?;
            let bare = Joined { messages: Vec::new(), ..joined.clone() };
            return self.through("end", async || self.real.finish_join(&bare).await.map(note)).await;
        }
        self.through("end", async || self.real.finish_join(joined).await.map(note)).await
    }

    async fn begin_attempt(&self, tag: Tag, message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        self.through("begin attempt", async || self.real.begin_attempt(tag, message_id, floor).await).await
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        self.through("lost", async || self.real.lost(tags).await).await
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        self.through("heartbeat", async || self.real.heartbeat().await).await
    }

    async fn recover(&self) -> Result<Recovered, Error> {
        self.through("recover", async || self.real.recover().await).await
    }

    async fn release_due(&self, _now_ms: i64) -> Result<Option<i64>, Error> {
        unreachable!("nothing is parked here")
    }

    async fn acquire(&self, _asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        unreachable!("nothing has a rate here")
    }

    async fn draw_within(&self, _max: usize, _quotas: &[Quota], _portions: &[Portion]) -> Result<Drawn, Error> {
        unreachable!("nothing has a rate here")
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        self.through("store", async || self.real.store(batch).await).await
    }

    async fn listen(&self, _exchange: &str) -> Result<Heard, Error> {
        unreachable!("nobody controls anything here")
    }

    async fn enlist(&self, _fanout: &Fanout) -> Result<(), Error> {
        unreachable!("nothing is copied here")
    }

    async fn gather(&self) -> Result<bool, Error> {
        unreachable!("nothing is copied here")
    }

    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        unreachable!("nobody controls anything here")
    }

    async fn close(&self) -> Result<(), Error> {
        unreachable!("nodes are killed here")
    }
}

/// The result store, where it is another server.
pub(super) struct SimStore {
    pub(super) real: MemoryStore,
    pub(super) gate: Rc<Gate>,
}

impl Store for SimStore {
    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        self.gate.through(Who::Parent, "store", async || self.real.store(batch)).await
    }

    async fn count(&self, parts: &[Part]) -> Result<Vec<bool>, Error> {
        self.gate.through(Who::Parent, "count", async || self.real.count(parts)).await
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        self.gate.through(Who::Parent, "parts", async || self.real.parts(group_id)).await
    }

    async fn hold(&self, join: &Join) -> Result<bool, Error> {
        self.gate.through(Who::Parent, "hold", async || self.real.hold(join)).await
    }

    async fn forget(&self, join: &Join, remains: Remains) -> Result<(), Error> {
        self.gate.through(Who::Parent, "forget", async || self.real.forget_chord(join, remains)).await
    }
}
