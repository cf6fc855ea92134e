//! The loop fed by hand: answers in an order that servers and children seldom give.
//!
//! Nothing that it asks of the broker is carried out, since no test but one lets go of the thread.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Command as Program;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastworker_broker::{AnyBroker, Delivery, EventMessage, LeaseTerms, MemoryBroker, RevokeTerms, Tag};
use fastworker_engine::{ChildId, Ending, Handle, QueueTerms, Scope, TaskOptions};
use fastworker_wire::child::{FromChild, OutcomeKind, VERSION};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use crate::broker_io::BrokerIo;
use crate::config::{RegisteredTask, WorkerConfig};
use crate::events::EventTerms;
use crate::fact::{Fact, Settling};
use crate::held::{Held, Reported};
use crate::lamport::LamportClock;
use crate::patience::Patience;
use crate::pool::{Child, SocketFact};
use crate::pulse::Pulse;
use crate::report::{Fate, Report, Reporter, Reports};
use crate::revoked::Revoked;

use super::{Author, Worker};

const TASK: &str = "proj.add";
const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(30), refresh: Duration::from_secs(10) };
const REVOKES: RevokeTerms = RevokeTerms { keep: Duration::from_secs(60), most: 10 };

fn config() -> WorkerConfig {
    let options = TaskOptions {
        acks_late: true,
        acks_on_failure: true,
        acks_on_timeout: true,
        runs_again_when_lost: true,
        soft_limit_s: None,
        hard_limit_s: None,
        rate: None,
        has_lanes: false,
        rate_scope: Scope::Worker,
        batch: None,
    };
    WorkerConfig {
        node: "celery@desk".to_owned(),
        broker_url: "memory://desk".to_owned(),
        broker_options: Vec::new(),
        result_url: None,
        result_options: Vec::new(),
        patience_at_start: Patience::default(),
        patience: Patience::default(),
        retries_refusals: false,
        cancels_severed: false,
        queues: vec!["celery".to_owned()],
        fanouts: Vec::new(),
        queue_terms: vec![QueueTerms::default()],
        tasks: vec![RegisteredTask {
            name: TASK.to_owned(),
            options,
            ignore_result: false,
            stores_errors: false,
            sends_events: true,
        }],
        concurrency: 1,
        slots: 1,
        is_narrow: false,
        max_tasks_per_child: None,
        max_memory_per_child_kib: None,
        restarts: false,
        autoscale: None,
        prefetch: 10,
        lease_life: TERMS.life,
        start_timeout: None,
        stacks_after: None,
        blocked_after: None,
        warm_timeout: None,
        soft_timeout: Duration::ZERO,
        soft_waits_when_idle: false,
        max_deliveries: 3,
        discards_unknown: false,
        eta_horizon_ms: 60_000,
        result_ttl_s: None,
        failure_ttl_s: None,
        chord_ttl_s: None,
        naive_offset_s: 0,
        reports: Reports::default(),
        control_exchange: None,
        events: EventTerms::default(),
        revoke_terms: REVOKES,
        revoked: Vec::new(),
        drains: false,
    }
}

fn delivery(tag: u64) -> Delivery {
    let message = format!(
        r#"{{"body":"W1tdLHt9LHt9XQ==","content-encoding":"utf-8","content-type":"application/json","headers":{{"lang":"py","task":"{TASK}","id":"{tag}","root_id":"{tag}"}},"properties":{{"body_encoding":"base64","delivery_info":{{"exchange":"","routing_key":"celery"}},"delivery_tag":"{tag}"}}}}"#
    );
    Delivery { tag: Tag(tag), queue: 0, message: Bytes::from(message), is_redelivered: false }
}

struct Desk {
    worker: Worker,
    facts: UnboundedReceiver<Fact>,
    reporter: Reporter,
}

impl Desk {
    /// With threads for children: none is there until it says that it is ready.
    fn new(has_threads: bool) -> Desk {
        let config = config();
        let broker = MemoryBroker::connect("desk", &config.queues, TERMS).expect("a room");
        let (sender, facts) = unbounded_channel();
        let (clock_moved, answers_again) = (Rc::default(), Rc::default());
        let broker = Rc::new(AnyBroker::Memory(broker));
        let io = BrokerIo { broker, store: None, facts: sender, clock_moved, answers_again };
        let reporter = Reporter::new().expect("an eventfd");
        let worker = Worker::new(
            config,
            io,
            reporter.clone(),
            has_threads,
            Revoked::new(REVOKES),
            Pulse::new(LamportClock::default()),
        );
        Desk { worker, facts, reporter }
    }

    /// Its one child is ready, so that it fetches.
    fn with_child() -> Desk {
        let mut desk = Desk::new(true);
        desk.worker.tick();
        let mut ready = Vec::new();
        FromChild::Ready { version: VERSION, pid: std::process::id() }.write(&mut ready);
        desk.worker.take(Fact::Child(ChildId(0), SocketFact::Frame(ready)));
        assert!(desk.worker.engine.is_awaiting(), "a ready child makes it fetch");
        desk
    }

    fn deliver(&mut self, tag: u64) -> Handle {
        self.worker.fetched(vec![delivery(tag)], false);
        let held = self.worker.held.iter().find(|(_, held)| held.tag == Tag(tag));
        held.expect("it is held").0
    }

    /// One delivery after the other under one handle: the first one's lease was lost.
    fn deliver_in_turn(&mut self, first: u64, second: u64, between: impl FnOnce(&mut Worker, Handle)) -> Handle {
        let handle = self.deliver(first);
        between(&mut self.worker, handle);
        self.worker.lease_lost(handle);
        assert_eq!(self.deliver(second), handle, "handles are used again");
        handle
    }

    fn held(&mut self, handle: Handle) -> &mut Held {
        self.worker.held.get_mut(handle).expect("it is held")
    }

    /// The kinds of the events that wait to be sent.
    fn told(&mut self) -> Vec<String> {
        let messages = self.worker.events.last();
        let kinds = |message: &EventMessage| {
            let body = String::from_utf8_lossy(&message.body).into_owned();
            let after_each = body.split(r#""type": ""#).skip(1);
            after_each.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        messages.iter().flat_map(kinds).collect()
    }

    fn has_said(&self, what: &str) -> bool {
        self.reporter.take().iter().any(|report| matches!(report, Report::Log { text, .. } if text.contains(what)))
    }
}

/// Plays a story; tasks that it starts have a place to wait.
fn on_desk(story: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { story() });
}

#[test]
fn lease_that_was_lost_is_not_the_next_deliverys_with_its_handle() {
    on_desk(|| {
        let mut desk = Desk::new(false);
        let handle = desk.deliver_in_turn(1, 2, |_, _| ());
        desk.worker.looked_after(vec![(handle, Tag(1))]);
        assert_eq!(desk.held(handle).tag, Tag(2), "the answer was about another lease");
        desk.worker.looked_after(vec![(handle, Tag(2))]);
        assert!(desk.worker.held.is_empty(), "and this one about its own");
    });
}

#[test]
fn confirmation_of_a_lost_delivery_is_not_the_next_ones_with_its_handle() {
    on_desk(|| {
        let mut desk = Desk::new(false);
        let handle = desk.deliver_in_turn(1, 2, |_, _| ());
        desk.held(handle).unconfirmed = 1;
        let refusal = || Some("too large".to_owned());
        desk.worker.published(vec![Some(Author::One(handle, Tag(1)))], refusal());
        assert_eq!((desk.held(handle).unconfirmed, desk.held(handle).refused.clone()), (1, None));
        desk.worker.published(vec![Some(Author::One(handle, Tag(2)))], refusal());
        assert_eq!((desk.held(handle).unconfirmed, desk.held(handle).refused.clone()), (0, refusal()));
    });
}

#[test]
fn handlers_of_a_lost_delivery_are_not_the_next_ones_with_its_handle() {
    on_desk(|| {
        let mut desk = Desk::new(false);
        let lost = || Fate::WorkerLost { text: "signal 9".to_owned() };
        let handle = desk.deliver_in_turn(1, 2, |worker, handle| worker.tell_failure(handle, lost()));
        desk.worker.tell_failure(handle, lost());
        desk.worker.told(vec![(handle, 1)]);
        assert_eq!(desk.held(handle).unconfirmed, 1, "its own handlers have not been called");
        desk.worker.told(vec![(handle, 2)]);
        assert_eq!(desk.held(handle).unconfirmed, 0);
        assert_eq!(desk.worker.untold, 0);
    });
}

#[test]
fn try_that_comes_again_is_told_of_before_anybody_can_have_the_next_one() {
    on_desk(|| {
        let mut desk = Desk::new(false);
        desk.worker.events.tell_of_tasks(true);
        let handle = desk.deliver(1);
        desk.held(handle).reported = Some(Reported {
            kind: OutcomeKind::Retry,
            status: "RETRY".to_owned(),
            doc: None,
            reason: String::new(),
            runtime_us: 1,
            shown: "Boom()".to_owned(),
            traceback: String::new(),
            successors: Vec::new(),
        });
        desk.worker.settle(handle, Ending::AsReported { acked_early: false });
        assert_eq!(desk.told(), ["task-received", "task-retried"], "the broker has not got it yet");
        desk.worker.settled(vec![Some(Settling { handle, is_final: true })], &[]);
        assert_eq!(desk.told(), [""; 0], "it was told of already");
    });
}

const SAFE: &str = "the leases are refreshed again";

#[test]
fn leases_are_not_safe_while_a_fetch_is_out_that_the_question_did_not_cover() {
    on_desk(|| {
        let mut desk = Desk::with_child();
        desk.worker.severed();
        desk.worker.refreshed(Instant::now());
        desk.worker.looked_after(Vec::new());
        assert!(!desk.has_said(SAFE), "what the fetch brings was not asked about");
        desk.worker.fetched(Vec::new(), false);
        assert!(!desk.worker.engine.is_awaiting(), "nothing is fetched while leases are at risk");
        desk.worker.refreshed(Instant::now());
        desk.worker.looked_after(Vec::new());
        assert!(desk.has_said(SAFE));
    });
}

#[test]
fn leases_are_not_safe_when_they_were_lost_once_more_during_the_question() {
    on_desk(|| {
        let mut desk = Desk::new(false);
        desk.worker.severed();
        desk.worker.refreshed(Instant::now());
        desk.worker.severed();
        desk.worker.looked_after(Vec::new());
        assert!(!desk.has_said(SAFE));
        desk.worker.refreshed(Instant::now());
        desk.worker.looked_after(Vec::new());
        assert!(desk.has_said(SAFE));
    });
}

#[tokio::test]
async fn child_that_sends_nonsense_is_killed() {
    let story = async {
        let mut desk = Desk::new(false);
        let mut process = Program::new("sleep").arg("60").spawn().expect("a process");
        let tell = desk.worker.tell_child(ChildId(0));
        let (mut child, mut socket, _page) = Child::prepare(ChildId(0), 1, tell).expect("a child");
        child.watch(process.id() as i32, desk.worker.tell_child(ChildId(0))).expect("a pidfd");
        desk.worker.children.insert(ChildId(0), child);
        socket.write_all(&u32::MAX.to_le_bytes()).expect("written");
        let fact = desk.facts.recv().await.expect("the worker has a sender");
        assert!(matches!(fact, Fact::Child(ChildId(0), SocketFact::Nonsense)));
        desk.worker.take(fact);
        assert_eq!(process.wait().expect("it ends").signal(), Some(9));
        assert!(desk.has_said("impossible length"));
    };
    LocalSet::new().run_until(story).await;
}
