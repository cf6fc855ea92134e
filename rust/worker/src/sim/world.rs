//! One run: nodes that die and come back, a client, and what they have in common.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastworker_broker::{
    ChordClient, Client, Joined, MemoryClient, MemoryResultClient, ResultClient, clear_memory, memory_messages,
};
use fastworker_engine::sim::Rng;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::canvas::{Book, Chain, Effects, headers, last_of, names, number_of};
use super::case::Case;
use super::gate::{Fault, Gate, Who};
use super::node;
use super::servers::Mutant;

/// Long after the last accident: everything has ended by then, or never will.
const LIMIT: Duration = Duration::from_secs(900);
/// After the end, what comes late would come within this.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) what: String,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Operations that an accident could have hit.
    pub(super) steps: u64,
    /// How each task ended; RETRY: it has not.
    pub(super) states: BTreeMap<String, &'static str>,
    pub(super) joins: u64,
    pub(super) kills: u64,
    /// Some message was given up because its workers died too often.
    pub(super) has_given_up: bool,
}

/// What nodes and client have in common.
pub(super) struct World {
    pub(super) broker: String,
    /// The same room, or another: results live elsewhere.
    pub(super) results: String,
    pub(super) mutant: Option<Mutant>,
    pub(super) book: RefCell<Book>,
    chance: RefCell<Rng>,
    faults: BTreeMap<u64, Fault>,
    steps: Cell<u64>,
    kills: Cell<u64>,
    pub(super) has_given_up: Cell<bool>,
    /// One that was given up had a chord wait for something that nobody will do.
    pub(super) may_wait_for_ever: Cell<bool>,
    /// Letters that were fetched, and how often.
    pub(super) seen: RefCell<HashMap<usize, u32>>,
    /// By whom each chord was begun: a message that was published twice, since the answer was lost, begins two runs.
    runs: RefCell<HashMap<String, HashSet<String>>>,
    /// How often the join of each chord was ended.
    ended: RefCell<HashMap<String, u32>>,
    /// Letters that were made for a join, and the time it was made.
    made: RefCell<HashMap<usize, (String, u64)>>,
    makings: Cell<u64>,
    members: RefCell<HashMap<String, Vec<String>>>,
    /// Members that were added, and published: the body may get their results too.
    pub(super) added: RefCell<HashSet<String>>,
    violation: RefCell<Option<Violation>>,
    story: RefCell<Option<Vec<String>>>,
    began: Instant,
}

/// Rooms of their own for every run.
static ROOMS: AtomicU64 = AtomicU64::new(0);

/// Plays a case; tells its story if that is asked for.
pub(super) fn play(case: &Case, is_told: bool) -> (Result<Report, Violation>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let room = format!("sim{}", ROOMS.fetch_add(1, Ordering::Relaxed));
    let results = if case.is_elsewhere { format!("{room}-results") } else { room.clone() };
    let (result, story) = LocalSet::new().block_on(&runtime, async {
        let world = Rc::new(World::new(case, room.clone(), results.clone(), is_told));
        let result = world.run(case).await;
        (result, world.story.take().unwrap_or_default())
    });
    drop(runtime);
    clear_memory(&room);
    clear_memory(&results);
    (result, story)
}

impl World {
    fn new(case: &Case, broker: String, results: String, is_told: bool) -> World {
        World {
            broker,
            results,
            mutant: case.mutant,
            book: RefCell::default(),
            chance: RefCell::new(Rng::new(case.noise)),
            faults: case.faults.iter().copied().collect(),
            steps: Cell::default(),
            kills: Cell::default(),
            has_given_up: Cell::default(),
            may_wait_for_ever: Cell::default(),
            seen: RefCell::default(),
            runs: RefCell::default(),
            ended: RefCell::default(),
            made: RefCell::default(),
            makings: Cell::default(),
            members: RefCell::default(),
            added: RefCell::default(),
            violation: RefCell::default(),
            story: RefCell::new(is_told.then(Vec::new)),
            began: Instant::now(),
        }
    }

    async fn run(self: &Rc<Self>, case: &Case) -> Result<Report, Violation> {
        for seat in 0..case.nodes {
            tokio::task::spawn_local(node::seat(Rc::clone(self), seat));
        }
        let chains: Vec<Chain> = {
            let mut book = self.book.borrow_mut();
            let named = case.flows.iter().enumerate();
            named.map(|(number, flow)| book.signatures(flow, &format!("w{number}"))).collect()
        };
        chains.iter().for_each(|chain| headers(chain, &mut self.members.borrow_mut()));
        let mut known = Vec::new();
        chains.iter().for_each(|chain| names(chain, &mut known));
        let awaited: Vec<String> = chains.iter().map(|chain| last_of(chain).to_owned()).collect();
        let client = Gate::new(self, "client".to_owned());
        for chain in chains {
            let mut effects = Effects::of("client");
            self.book.borrow_mut().publish(chain, &[], &mut effects);
            self.begin(&client, Who::Client, &effects).await;
            let mut connection = MemoryClient::new(&self.broker);
            client.persist(Who::Client, "publish", || connection.publish(&effects.messages)).await;
        }
        let mut results = MemoryResultClient::new(&self.results);
        let mut is_ended = |id: &String| {
            let doc = results.get(id).expect("the room is ours");
            doc.is_some_and(|doc| [&b"SUCCESS"[..], b"FAILURE", b"REVOKED"].iter().any(|state| has(&doc, state)))
        };
        let since = Instant::now();
        while !awaited.iter().all(&mut is_ended) {
            if since.elapsed() > LIMIT && self.may_wait_for_ever.get() {
                break;
            }
            if since.elapsed() > LIMIT {
                let missing: Vec<_> = awaited.into_iter().filter(|id| !is_ended(id)).collect();
                return Err(Violation { rule: "every workflow ends", what: missing.join(", ") });
            }
            sleep(Duration::from_secs(1)).await;
        }
        // Error callbacks, and what nobody waits for.
        let since = Instant::now();
        while since.elapsed() < AFTERWARDS || !self.is_at_rest() {
            if since.elapsed() > LIMIT {
                return Err(Violation { rule: "nothing is left", what: "there are messages in the queue".to_owned() });
            }
            sleep(Duration::from_secs(1)).await;
        }
        self.audit(case, known)
    }

    fn is_at_rest(&self) -> bool {
        memory_messages(&format!("memory://{}", self.broker)).expect("the room is ours").is_empty()
    }

    fn audit(&self, case: &Case, known: Vec<String>) -> Result<Report, Violation> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        let ended = self.ended.borrow();
        let mut published: HashMap<&str, HashSet<u64>> = HashMap::new();
        let made = self.made.borrow();
        for letter in self.seen.borrow().keys() {
            if let Some((group, making)) = made.get(letter) {
                published.entry(group).or_default().insert(*making);
            }
        }
        let runs = |group: &str| self.runs.borrow().get(group).map_or(0, HashSet::len);
        if !case.is_elsewhere {
            if let Some((group, times)) = ended.iter().find(|(group, times)| **times as usize > runs(group)) {
                let what = format!("{group} was joined {times} times");
                return Err(Violation { rule: "a chord is joined once", what });
            }
            if let Some((group, makings)) = published.iter().find(|(group, makings)| makings.len() > runs(group)) {
                let what = format!("what follows from {group} was published {} times", makings.len());
                return Err(Violation { rule: "a body is published once", what });
            }
        }
        if let Some(group) = published.keys().find(|group| !ended.contains_key(**group)) {
            let what = format!("the body of {group} was published, and its join not ended");
            return Err(Violation { rule: "a published join is ended", what });
        }
        let mut results = MemoryResultClient::new(&self.results);
        let mut states = BTreeMap::new();
        for id in known {
            if let Some(doc) = results.get(&id).expect("the room is ours") {
                let status = ["SUCCESS", "RETRY"].into_iter().find(|status| has(&doc, status.as_bytes()));
                states.insert(id, status.unwrap_or("FAILURE"));
            }
        }
        Ok(Report {
            steps: self.steps.get(),
            states,
            joins: ended.values().map(|times| u64::from(*times)).sum(),
            kills: self.kills.get(),
            has_given_up: self.has_given_up.get(),
        })
    }

    // -------------------------------------------------------------------------------------------- what nodes need

    /// Begins the chords of what is about to be published.
    pub(super) async fn begin(&self, gate: &Gate, who: Who, effects: &Effects) {
        let mut results = MemoryResultClient::new(&self.results);
        for (group, size) in &effects.begins {
            self.runs.borrow_mut().entry(group.clone()).or_default().insert(effects.cause.clone());
            gate.persist(who, "begin chord", || results.begin_chord(group, Some(*size), None, Some(&effects.cause)))
                .await;
        }
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_micros(self.chance.borrow_mut().range(0, 3_000))
    }

    /// How long something takes: mostly little.
    pub(super) fn pause(&self) -> Duration {
        let mut chance = self.chance.borrow_mut();
        let most = chance.pick(&[5, 20, 200, 3_000]);
        Duration::from_millis(chance.range(0, most))
    }

    pub(super) fn name(&self) -> String {
        self.book.borrow_mut().name("more")
    }

    /// What happens to an operation. Those that come all the time, whatever the workflows, are left alone.
    pub(super) fn next_fault(&self, name: &str, what: &str) -> Option<Fault> {
        if matches!(what, "fetch" | "heartbeat" | "recover" | "joins") {
            return None;
        }
        let step = self.steps.replace(self.steps.get() + 1);
        let fault = self.faults.get(&step).copied();
        self.tell(|| match fault {
            Some(fault) => format!("#{step} {name}: {what}: {fault:?}"),
            None => format!("#{step} {name}: {what}"),
        });
        fault
    }

    pub(super) fn killed(&self) {
        self.kills.set(self.kills.get() + 1);
    }

    /// These messages are made to end a join.
    pub(super) fn made(&self, group: &str, effects: &Effects) {
        let making = self.makings.replace(self.makings.get() + 1);
        let numbers = effects.messages.iter().map(|publish| number_of(&publish.message));
        self.made.borrow_mut().extend(numbers.map(|number| (number, (group.to_owned(), making))));
    }

    /// A join was ended.
    pub(super) fn joined(&self, joined: &Joined) {
        let group = &joined.join.group_id;
        *self.ended.borrow_mut().entry(group.clone()).or_default() += 1;
        let book = self.book.borrow();
        for message in &joined.messages {
            let given = book.letter(number_of(&message.message)).given;
            if !given.is_empty() {
                self.check_given(group, &given);
            }
        }
        self.tell(|| format!("   {group} is joined: {} messages", joined.messages.len()));
    }

    /// A body gets these results: they are those of the header, each once.
    fn check_given(&self, group: &str, given: &[String]) {
        let members = self.members.borrow();
        let Some(members) = members.get(group) else { return };
        let added = self.added.borrow();
        let is_right = given.iter().filter(|id| !added.contains(*id)).eq(members.iter());
        if !is_right {
            let what = format!("{group} has {members:?}, its body got {given:?}");
            self.violation.borrow_mut().get_or_insert(Violation { rule: "a body gets what its header gave", what });
        }
    }

    /// Chords that a task is replaced by.
    pub(super) fn know(&self, chain: &Chain) {
        headers(chain, &mut self.members.borrow_mut());
    }

    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(story) = self.story.borrow_mut().as_mut() {
            story.push(format!("{:9.3} {}", self.began.elapsed().as_secs_f64(), line()));
        }
    }
}

fn has(doc: &[u8], text: &[u8]) -> bool {
    doc.windows(text.len()).any(|window| window == text)
}
