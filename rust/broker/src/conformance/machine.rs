//! Chords against a model: whatever is done to one in whatever order, each store says and keeps the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::Server;
use super::bench::{Bench, LONG, message};
use crate::{
    AnyStore, Broker, Join, Joined, LeaseTerms, Member, Part, Remains, ResultClient, Settlement, Store, Tag, Verdict,
    connect,
};

/// Members that may end; more than any header has.
const MEMBERS: usize = 6;
const WORKERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// Under the name of a run, or none.
    Begin(Option<u64>, Option<u8>),
    Size(u64),
    /// A member of that name, or of none.
    Add(Option<u8>),
    /// This worker settles this member.
    Count(usize, usize),
    /// This worker looks for joins.
    Look(usize),
    /// This worker ends one of the joins that there were, this many before the last.
    End(usize, usize),
    /// This worker closes, and another takes its place.
    Leave(usize),
    /// The claim of a join is to last; where results live elsewhere.
    Hold(usize),
    /// The chord ends; where results live elsewhere.
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![1 => Just(None), 4 => (1..4u64).prop_map(Some)];
    prop_oneof![
        2 => (size, proptest::option::of(0..2u8)).prop_map(|(size, run)| Step::Begin(size, run)),
        1 => (1..4u64).prop_map(Step::Size),
        1 => proptest::option::of(0..2u8).prop_map(Step::Add),
        12 => (0..WORKERS, 0..MEMBERS).prop_map(|(worker, member)| Step::Count(worker, member)),
        3 => (0..WORKERS).prop_map(Step::Look),
        3 => (0..WORKERS, 0..3usize).prop_map(|(worker, back)| Step::End(worker, back)),
        1 => (0..WORKERS).prop_map(Step::Leave),
        2 => (0..3usize).prop_map(Step::Hold),
        2 => (0..3usize).prop_map(Step::Forget),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Claim {
    #[default]
    Open,
    By(Join),
    Done,
}

/// What is known of the one chord.
#[derive(Clone, Debug, Default)]
struct Model {
    is_known: bool,
    size: Option<u64>,
    more: u64,
    run: Option<String>,
    added: BTreeSet<String>,
    parts: BTreeMap<usize, Part>,
    claim: Claim,
    /// The join that waits, and whose it is; nobody's when its owner left.
    join: Option<(Option<usize>, Join)>,
    published: usize,
}

impl Model {
    fn begin(&mut self, size: Option<u64>, run: Option<String>) {
        if run.is_some() && run == self.run {
            return;
        }
        let (join, published) = (self.join.take(), self.published);
        *self = Model { is_known: true, size, run, join, published, ..Model::default() };
    }

    /// Whether this member completes the chord.
    fn count(&mut self, member: usize, part: &Part) -> bool {
        self.is_known = true;
        if self.claim == Claim::Done {
            return false;
        }
        self.parts.entry(member).or_insert_with(|| part.clone());
        let ours = Claim::By(part.join());
        let is_complete = self.size.is_some_and(|size| self.parts.len() as u64 >= size + self.more)
            && (self.claim == Claim::Open || self.claim == ours);
        if is_complete {
            self.claim = ours;
        }
        is_complete
    }

    /// Whether that was all there was to do for the join.
    fn end(&mut self, join: &Join) -> bool {
        if self.join.as_ref().is_none_or(|(_, waiting)| waiting.token != join.token) {
            return false;
        }
        self.join = None;
        let is_ours = self.claim == Claim::By(join.clone());
        if is_ours {
            self.published += 1;
            self.forget(join);
        }
        is_ours
    }

    /// It has begun without anything that a store keeps.
    fn is_blank(&self) -> bool {
        self.claim == Claim::Open && self.size.is_none() && self.run.is_none() && self.parts.is_empty()
    }

    fn holds(&self, join: &Join) -> bool {
        !self.is_known || self.claim == Claim::By(join.clone())
    }

    fn forget(&mut self, join: &Join) {
        if self.claim == Claim::By(join.clone()) {
            self.claim = Claim::Done;
            self.parts.clear();
        }
    }

    fn joins(&mut self, worker: usize) -> Vec<Join> {
        let Some((owner, join)) = &mut self.join else { return Vec::new() };
        if *owner.get_or_insert(worker) == worker { vec![join.clone()] } else { Vec::new() }
    }
}

fn part(group: &str, member: usize) -> Part {
    let task_id = format!("{group}-{member}");
    // The last one does not know its place: it comes after the others.
    let index = (member + 1 < MEMBERS).then_some(member as i64);
    let doc = format!("[1, \"{task_id}\", \"SUCCESS\", {member}]").into();
    Part { group_id: group.to_owned(), task_id, index, doc, record: "body".into(), bears: None, ttl_s: Some(600) }
}

fn counting(part: &Part) -> Settlement {
    Settlement {
        tag: Tag(0),
        message_id: None,
        has_attempts: false,
        verdict: Verdict::Acked,
        result: None,
        successors: Vec::new(),
        member: Some(Box::new(Member::Part(part.clone()))),
    }
}

fn back(joins: &[Join], back: usize) -> Option<&Join> {
    joins.len().checked_sub(back + 1).map(|at| &joins[at])
}

/// Plays `runs` random sequences, or `FASTWORKER_CHORD_SEQUENCES`; panics with the shortest that comes to something else than in the model.
pub(super) fn chords_do_as_the_model_does<S: Server>(server: &S, runs: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases = std::env::var("FASTWORKER_CHORD_SEQUENCES").map_or(runs, |cases| cases.parse().expect("a number"));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    // The same ones each time, on every server.
    let runner = || TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bench = Bench::new(server);
    let steps = proptest::collection::vec(step(), 1..30);
    let played = runner().run(&steps, |steps| runtime.block_on(beside(&bench, steps)));
    played.unwrap_or_else(|failure| panic!("results beside the messages: {failure}"));
    let store = runtime.block_on(store(&bench));
    let played = runner().run(&steps, |steps| runtime.block_on(elsewhere(&bench, &store, steps)));
    played.unwrap_or_else(|failure| panic!("results elsewhere: {failure}"));
}

/// Messages and results are on one server.
async fn beside<S: Server>(bench: &Bench<'_, S>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (group, queue) = (bench.name("group"), bench.name("queue"));
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(arrived(bench, &queue).await);
    }
    let mut results = bench.results();
    let mut model = Model::default();
    let mut claimed: Vec<Join> = Vec::new();
    for step in steps {
        match step {
            Step::Begin(..) | Step::Size(_) | Step::Add(_) => told(&step, &group, &mut results, &mut model),
            Step::Count(worker, member) => {
                let part = part(&group, member);
                let settled = workers[worker].settle_and_count(&[counting(&part)]).await.expect("settle");
                let is_complete = model.count(member, &part);
                prop_assert_eq!(settled.complete.len() == 1, is_complete, "{:?}: completes", step);
                if is_complete {
                    model.join = Some((Some(worker), part.join()));
                    claimed.push(part.join());
                }
            }
            Step::Look(worker) => {
                let mut found = workers[worker].joins().await.expect("look");
                found.retain(|join| join.group_id == group);
                prop_assert_eq!(found, model.joins(worker), "{:?}", step);
            }
            Step::End(worker, at) => {
                let Some(join) = back(&claimed, at) else { continue };
                let messages = vec![message(&queue, 0, &bench.name("task"))];
                let joined = Joined { join: join.clone(), messages, results: Vec::new(), remains: Remains::default() };
                let is_done = workers[worker].finish_join(&joined).await.expect("end");
                prop_assert_eq!(is_done, model.end(join), "{:?}: is done", step);
            }
            Step::Leave(worker) => {
                workers[worker].close().await.expect("close");
                workers[worker] = arrived(bench, &queue).await;
                if let Some((owner, _)) = model.join.as_mut().filter(|(owner, _)| *owner == Some(worker)) {
                    *owner = None;
                }
            }
            Step::Hold(_) | Step::Forget(_) => continue,
        }
        let docs: Vec<_> = model.parts.values().map(|part| part.doc.clone()).collect();
        let found = workers[0].parts(&group).await.expect("read");
        prop_assert_eq!((found.docs, &found.run), (docs, &model.run), "parts after {:?}", step);
    }
    let waiting = bench.client().depth(&queue).expect("depth");
    prop_assert_eq!(waiting, model.published as u64, "published");
    for worker in workers {
        worker.close().await.expect("close");
    }
    bench.client().purge(&queue).expect("purge");
    Ok(())
}

async fn arrived<S: Server>(bench: &Bench<'_, S>, queue: &String) -> S::Broker {
    let broker = bench.broker(&[queue], LONG).await;
    broker.heartbeat().await.expect("heartbeat");
    broker
}

/// What clients do.
fn told(step: &Step, group: &str, results: &mut Box<dyn ResultClient>, model: &mut Model) {
    match *step {
        Step::Begin(size, run) => {
            let run = run.map(|run| format!("run {run}"));
            results.begin_chord(group, size, Some(600), run.as_deref()).expect("begin");
            model.begin(size, run);
        }
        Step::Size(size) => {
            results.set_chord_size(group, size, Some(600)).expect("set size");
            (model.is_known, model.size) = (true, Some(size));
        }
        Step::Add(member) => {
            let member = member.map(|member| format!("added {member}"));
            results.add_to_chord(group, Some(600), member.as_deref()).expect("add");
            model.is_known = true;
            if member.is_none_or(|member| model.added.insert(member)) {
                model.more += 1;
            }
        }
        _ => unreachable!("what workers do"),
    }
}

async fn store<S: Server>(bench: &Bench<'_, S>) -> AnyStore {
    let (url, options) = bench.results_at();
    let terms = LeaseTerms { life: Duration::from_secs(60), refresh: Duration::from_secs(20) };
    let queues = [bench.name("queue")];
    let broker = format!("memory://{}", bench.name("room"));
    let connected = connect(&broker, &[], &queues, Some(&url), &options, terms).await.expect("connect");
    connected.1.expect("another kind of server, or another room")
}

/// Results live elsewhere than messages.
async fn elsewhere<S: Server>(bench: &Bench<'_, S>, store: &AnyStore, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let group = bench.name("group");
    let mut results = bench.results();
    let mut model = Model::default();
    let mut claimed: Vec<Join> = Vec::new();
    for step in steps {
        match step {
            Step::Begin(..) | Step::Size(_) | Step::Add(_) => told(&step, &group, &mut results, &mut model),
            Step::Count(_, member) => {
                let part = part(&group, member);
                let counted = store.count(std::slice::from_ref(&part)).await.expect("count");
                let is_complete = model.count(member, &part);
                prop_assert_eq!(counted, [is_complete], "{:?}: completes", step);
                claimed.extend(is_complete.then(|| part.join()));
            }
            Step::Hold(at) => {
                let Some(join) = back(&claimed, at).filter(|_| !model.is_blank()) else { continue };
                prop_assert_eq!(store.hold(join).await.expect("hold"), model.holds(join), "{:?}", step);
            }
            Step::Forget(at) => {
                let Some(join) = back(&claimed, at) else { continue };
                store.forget(join, Remains::default()).await.expect("forget");
                model.forget(join);
            }
            Step::Look(_) | Step::End(..) | Step::Leave(_) => continue,
        }
        let docs: Vec<_> = model.parts.values().map(|part| part.doc.clone()).collect();
        let found = store.parts(&group).await.expect("read");
        prop_assert_eq!((found.docs, &found.run), (docs, &model.run), "parts after {:?}", step);
    }
    Ok(())
}
