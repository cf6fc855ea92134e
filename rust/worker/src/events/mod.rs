//! Events for monitors: noted here, gathered into lists, and written and sent by one publish at a time.
//!
//! They never hold a task up: what the broker does not take waits in a bounded list, and the oldest of it is dropped.
//! The log says how many those were. Source: celery-contract 7; `celery/events/dispatcher.py`.
//!
//! While nobody listens, lists of events are not sent but gathered for a moment ([`UNHEARD_US`]); then the oldest goes out,
//! and the broker says whether anybody may have heard it. If so, all the others follow, and from then on each goes at once.
//! If not, those that were there when it went are thrown away: they had reached nobody either. So whoever begins to listen
//! misses nothing that is told from then on, and gets it late by that moment once. What is thrown away was never written:
//! it is a list of notes until it goes.

mod ending;
mod notes;
mod received;
mod system;
mod waiting;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::EventMessage;
use fastworker_wire::event::{EventHead, EventWriter};
use fastworker_wire::json::write_text;

pub(crate) use self::ending::{End, end_of};
use self::notes::{Notes, Told};
pub(crate) use self::received::{Shown, note_received};
use self::waiting::{Letter, Waiting};
use crate::clock;
use crate::pulse::{Counts, Pulse};

/// Most events of one message. Celery sends at most 24; receivers take any number.
const LIST: usize = 100;
/// A list of which more bytes than this are noted is not added to.
const LIST_BYTES: usize = 128 * 1024;
/// Two publishes have at least this time between them while somebody listens: a busy worker sends many events at once.
const HEARD_US: u64 = 5_000;
/// Events are gathered for so long before it is found out whether anybody listens by now.
const UNHEARD_US: u64 = 50_000;
/// The offset from UTC is looked at anew after this time: it changes with the season.
const OFFSET_US: i64 = 1_000_000;
/// What a heartbeat says of the next one when somebody asked for it; Celery's number.
const ASKED_FREQ: i64 = 5;

/// What a worker is told about events.
#[derive(Clone, Debug, Default)]
pub struct EventTerms {
    /// Where they go, such as `celeryev`.
    pub exchange: String,
    /// Time between heartbeats; `None`: nothing is told of the worker itself.
    pub heartbeat: Option<Duration>,
    /// Tell of tasks, from the start.
    pub has_tasks: bool,
    /// What the worker is: name and version.
    pub software: (String, String),
}

/// The events of one lane.
pub(crate) struct Events {
    terms: EventTerms,
    node: String,
    headers: Bytes,
    head: Arc<EventHead>,
    /// When the offset in it was looked at; Unix time, microseconds.
    head_us: i64,
    pulse: Pulse,
    /// The lane's number in it, once it works.
    lane: Option<u64>,
    beat_at_us: u64,
    has_tasks: bool,
    /// The list that is added to; it has notes.
    list: Option<Notes>,
    /// Bytes that the last list had.
    room: usize,
    waiting: Waiting,
    /// Somebody listens to lists of events, as far as is known.
    is_heard: bool,
    is_sending: bool,
    /// When a publish was sent last; `mono_us`.
    since_us: u64,
}

impl Events {
    pub(crate) fn new(node: &str, terms: EventTerms, pulse: Pulse) -> Events {
        let mut headers = br#"{"hostname": "#.to_vec();
        write_text(node, &mut headers);
        headers.push(b'}');
        Events {
            has_tasks: terms.has_tasks,
            terms,
            node: node.to_owned(),
            headers: headers.into(),
            head: Arc::new(EventHead::new(node, 0.0, 0)),
            head_us: i64::MIN,
            pulse,
            lane: None,
            beat_at_us: 0,
            list: None,
            room: 0,
            waiting: Waiting::default(),
            // Until the first one shows otherwise.
            is_heard: true,
            is_sending: false,
            since_us: 0,
        }
    }

    /// Where they go.
    pub(crate) fn exchange(&self) -> &str {
        &self.terms.exchange
    }

    /// Tasks are told of.
    pub(crate) fn has_tasks(&self) -> bool {
        self.has_tasks
    }

    /// Whether tasks are told of from now on. False: it was so before.
    pub(crate) fn tell_of_tasks(&mut self, has_tasks: bool) -> bool {
        std::mem::replace(&mut self.has_tasks, has_tasks) != has_tasks
    }

    /// An event about a task. `at_us`: when it happened; Unix time, microseconds.
    pub(crate) fn task(&mut self, kind: &'static str, id: &str, at_us: i64, fields: impl FnOnce(&mut EventWriter<'_>)) {
        self.note(Told::Other(kind), id, at_us, |out| fields(&mut EventWriter::of_fields(out)));
    }

    /// A task came. `noted`: by [`note_received`].
    pub(crate) fn received(&mut self, id: &str, at_us: i64, noted: &[u8]) {
        self.note(Told::Received, id, at_us, |out| out.extend_from_slice(noted));
    }

    /// A task has returned. `result`: as it is shown.
    fn succeeded(&mut self, id: &str, at_us: i64, result: &str, runtime_s: f64) {
        self.note(Told::Succeeded { runtime_s }, id, at_us, |out| write_text(result, out));
    }

    fn note(&mut self, told: Told, id: &str, at_us: i64, rest: impl FnOnce(&mut Vec<u8>)) {
        self.refresh_head(at_us);
        let list = self.list.get_or_insert_with(|| Notes::new(self.head.clone(), self.room));
        list.push(told, self.pulse.clock.forward(), at_us, id, rest);
        if list.count() >= LIST || list.bytes() > LIST_BYTES {
            self.seal();
        }
    }

    /// A message that a task has made by itself.
    pub(crate) fn push(&mut self, message: EventMessage) {
        self.seal();
        self.waiting.push_single(message);
    }

    /// The worker works: the first lane says so.
    pub(crate) fn begin(&mut self) {
        let Some(interval) = self.terms.heartbeat else { return };
        let (lane, is_first) = self.pulse.join();
        self.lane = Some(lane);
        self.beat_at_us = clock::mono_us() + interval.as_micros() as u64;
        if is_first {
            self.worker("worker-online", Counts::default(), interval);
        }
    }

    /// How long until the next heartbeat; `None`: there are none.
    pub(crate) fn beat_in(&self) -> Option<Duration> {
        self.lane?;
        Some(Duration::from_micros(self.beat_at_us.saturating_sub(clock::mono_us())))
    }

    /// The next heartbeat is due.
    pub(crate) fn is_beat_due(&self) -> bool {
        self.beat_in().is_some_and(|left| left.is_zero())
    }

    /// A heartbeat, if this lane speaks for the node. False: it does not.
    pub(crate) fn beat(&mut self, counts: Counts) -> bool {
        let (Some(interval), Some(lane)) = (self.terms.heartbeat, self.lane) else { return false };
        self.beat_at_us = clock::mono_us() + interval.as_micros() as u64;
        let Some(all) = self.pulse.beat(lane, counts) else { return false };
        self.worker("worker-heartbeat", all, interval);
        true
    }

    /// A heartbeat that somebody asked for.
    pub(crate) fn beat_for_who_asks(&mut self) {
        let software = self.terms.software.clone();
        self.single("worker-heartbeat", |event| {
            event.int("freq", ASKED_FREQ);
            write_software(event, &software);
        });
    }

    /// This lane ends; the last one says so.
    pub(crate) fn end(&mut self, counts: Counts) {
        let (Some(interval), Some(lane)) = (self.terms.heartbeat, self.lane.take()) else { return };
        if let Some(all) = self.pulse.leave(lane, counts) {
            self.worker("worker-offline", all, interval);
        }
    }

    fn worker(&mut self, kind: &'static str, counts: Counts, interval: Duration) {
        let software = self.terms.software.clone();
        let load = system::load_average();
        self.single(kind, |event| {
            event.float("freq", interval.as_secs_f64());
            event.int("active", counts.active as i64).int("processed", counts.processed as i64);
            event.json("loadavg", &load);
            write_software(event, &software);
        });
    }

    fn single(&mut self, kind: &'static str, fields: impl FnOnce(&mut EventWriter<'_>)) {
        self.seal();
        let now_us = clock::wall_us();
        self.refresh_head(now_us);
        let mut body = Vec::with_capacity(320);
        let mut event = EventWriter::begin(&mut body, &self.head, self.pulse.clock.forward(), now_us, kind);
        fields(&mut event);
        event.end();
        let message = self.message(kind.replace('-', ".").into(), body);
        self.waiting.push_single(message);
    }

    fn message(&self, routing_key: Cow<'static, str>, body: Vec<u8>) -> EventMessage {
        EventMessage {
            routing_key,
            content_type: "application/json".into(),
            content_encoding: "utf-8".into(),
            headers_json: self.headers.clone(),
            body: body.into(),
        }
    }

    fn refresh_head(&mut self, now_us: i64) {
        if now_us.saturating_sub(self.head_us).saturating_abs() > OFFSET_US {
            let head = EventHead::new(&self.node, system::utcoffset_h(now_us / 1_000_000), std::process::id());
            if head != *self.head {
                // What is noted already has the old one.
                self.seal();
                self.head = Arc::new(head);
            }
            self.head_us = now_us;
        }
    }

    /// The list is complete.
    fn seal(&mut self) {
        if let Some(list) = self.list.take() {
            self.room = list.bytes().min(LIST_BYTES);
            self.waiting.push_list(list);
        }
    }

    /// As they are sent.
    fn write(&self, letters: Vec<Letter>) -> Vec<EventMessage> {
        let write = |letter| match letter {
            Letter::List(notes) => self.message("task.multi".into(), notes.write()),
            Letter::Single(message) => message,
        };
        letters.into_iter().map(write).collect()
    }

    /// How long until `leaving` has something to send; `None`: nothing waits, or something is on its way.
    pub(crate) fn leaves_in(&self) -> Option<Duration> {
        if self.is_sending || self.list.is_none() && self.waiting.is_empty() {
            return None;
        }
        if self.waiting.is_urgent() {
            return Some(Duration::ZERO);
        }
        let pause_us = if self.is_heard { HEARD_US } else { UNHEARD_US };
        Some(Duration::from_micros((self.since_us + pause_us).saturating_sub(clock::mono_us())))
    }

    /// What is to be sent now.
    pub(crate) fn leaving(&mut self) -> Option<Vec<EventMessage>> {
        if !self.leaves_in()?.is_zero() {
            return None;
        }
        self.seal();
        self.is_sending = true;
        self.since_us = clock::mono_us();
        let letters = if self.is_heard { self.waiting.take() } else { self.waiting.take_first_list() };
        Some(self.write(letters))
    }

    /// What was on its way was taken, or refused. How many had to be dropped meanwhile. `heard`: of each message, whether
    /// anybody may have heard it.
    pub(crate) fn sent(&mut self, heard: &[bool]) -> u64 {
        self.is_sending = false;
        match self.waiting.is_list_heard(heard) {
            Some(true) if !self.is_heard => {
                self.is_heard = true;
                // The others follow at once.
                self.since_us = 0;
            }
            Some(false) => {
                self.is_heard = false;
                self.waiting.forget_unheard();
            }
            Some(true) | None => {}
        }
        self.waiting.take_dropped()
    }

    /// The last ones, whatever is on its way.
    pub(crate) fn last(&mut self) -> Vec<EventMessage> {
        self.seal();
        let letters = self.waiting.take();
        self.write(letters)
    }
}

fn write_software(event: &mut EventWriter<'_>, (name, version): &(String, String)) {
    event.text("sw_ident", name).text("sw_ver", version).text("sw_sys", "Linux");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lamport::LamportClock;

    fn events(heartbeat: Option<Duration>) -> Events {
        let software = ("fastworker".to_owned(), "1".to_owned());
        let terms = EventTerms { exchange: "celeryev".into(), heartbeat, has_tasks: true, software };
        Events::new("w@h", terms, Pulse::new(LamportClock::default()))
    }

    fn text(message: &EventMessage) -> String {
        String::from_utf8(message.body.to_vec()).expect("JSON")
    }

    /// What is due by now, whatever the time.
    fn leaving(events: &mut Events) -> Vec<EventMessage> {
        events.since_us = 0;
        events.leaving().expect("messages")
    }

    fn started(events: &mut Events, ids: std::ops::Range<usize>) {
        ids.for_each(|id| events.task("task-started", &id.to_string(), 1_000_000, |_| ()));
    }

    fn keys(messages: &[EventMessage]) -> Vec<&str> {
        messages.iter().map(|message| &*message.routing_key).collect()
    }

    #[test]
    fn tasks_are_told_of_in_lists_and_clocks_go_on() {
        let mut events = events(None);
        for _ in 0..LIST + 1 {
            events.task("task-started", "i", 1_000_000, |_| ());
        }
        let lists = leaving(&mut events);
        assert_eq!(keys(&lists), ["task.multi"; 2]);
        assert!(text(&lists[0]).starts_with("[{\"hostname\": \"w@h\""), "{}", text(&lists[0]));
        assert!(text(&lists[1]).contains("\"clock\": 101,") && text(&lists[1]).ends_with("\"uuid\": \"i\"}]"));
        // One publish at a time.
        started(&mut events, 0..1);
        assert_eq!(events.leaves_in(), None);
        assert_eq!(events.leaving(), None);
        assert_eq!(events.sent(&[true, true]), 0);
        assert_eq!(leaving(&mut events).len(), 1);
    }

    #[test]
    fn what_is_not_taken_is_bounded_and_the_oldest_is_dropped() {
        let mut events = events(None);
        started(&mut events, 0..waiting::MOST + 5 * LIST);
        let messages = leaving(&mut events);
        assert_eq!(messages.len(), waiting::MOST / LIST);
        assert!(text(&messages[0]).contains(&format!("\"uuid\": \"{}\"", 5 * LIST)));
        assert_eq!((events.sent(&[true]), events.sent(&[])), (5 * LIST as u64, 0));
    }

    #[test]
    fn a_publish_follows_another_after_a_moment_unless_a_single_message_waits() {
        let mut events = events(Some(Duration::from_secs(2)));
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[true]);
        started(&mut events, 1..2);
        assert!(events.leaves_in().is_some_and(|pause| !pause.is_zero()));
        assert_eq!(events.leaving(), None);
        events.beat_for_who_asks();
        assert_eq!(events.leaves_in(), Some(Duration::ZERO));
        assert_eq!(keys(&events.leaving().expect("messages")), ["task.multi", "worker.heartbeat"]);
    }

    #[test]
    fn lists_that_nobody_can_have_heard_are_tried_by_their_oldest_and_thrown_away_with_it() {
        let mut events = events(Some(Duration::from_secs(2)));
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[false]);
        started(&mut events, 0..3 * LIST);
        events.beat_for_who_asks();
        let first = leaving(&mut events);
        assert!(keys(&first) == ["task.multi"] && text(&first[0]).contains("\"uuid\": \"0\""));
        // This one came when the first was on its way: somebody may have begun to listen since.
        started(&mut events, 1000..1001);
        events.sent(&[false]);
        let second = leaving(&mut events);
        assert_eq!(keys(&second), ["worker.heartbeat", "task.multi"]);
        assert!(text(&second[1]).contains("\"uuid\": \"1000\""));
    }

    #[test]
    fn once_somebody_hears_the_oldest_all_follow_in_order() {
        let mut events = events(Some(Duration::from_secs(2)));
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[false]);
        started(&mut events, 0..2 * LIST);
        events.beat_for_who_asks();
        leaving(&mut events);
        started(&mut events, 1000..1001);
        events.sent(&[true]);
        assert_eq!(events.leaves_in(), Some(Duration::ZERO));
        let others = events.leaving().expect("messages");
        assert_eq!(keys(&others), ["task.multi", "worker.heartbeat", "task.multi"]);
        assert!(text(&others[0]).contains(&format!("\"uuid\": \"{LIST}\"")));
    }

    #[test]
    fn what_follows_late_has_the_times_and_clocks_of_when_it_happened() {
        let mut events = events(None);
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[false]);
        started(&mut events, 0..LIST);
        events.task("task-started", "a", 2_000_000, |_| ());
        // Something else moves the clock on.
        events.pulse.clock.adjust(500);
        events.succeeded("a", 3_000_000, "42", 0.5);
        leaving(&mut events);
        events.sent(&[true]);
        let others = events.leaving().expect("messages");
        let text = text(&others[0]);
        let told = |clock: usize, at_s: u32, kind: &str| {
            format!("\"clock\": {clock}, \"timestamp\": {at_s}.000000, \"type\": \"{kind}\", \"uuid\": \"a\"")
        };
        let places = [told(LIST + 2, 2, "task-started"), told(502, 3, "task-succeeded")].map(|told| text.find(&told));
        assert!(places[0].is_some() && places[0] < places[1], "{text}");
    }

    #[test]
    fn what_nobody_hears_is_not_written() {
        let mut events = events(None);
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[false]);
        started(&mut events, 0..3 * LIST);
        assert_eq!(leaving(&mut events).len(), 1);
        assert!(matches!(&events.waiting.take()[..], [Letter::List(_), Letter::List(_)]));
    }

    #[test]
    fn an_event_has_the_offset_of_its_own_time() {
        let mut events = events(None);
        // As if the season changed between the two.
        (events.head, events.head_us) = (Arc::new(EventHead::new("w@h", 23.5, 1)), 1_000_000);
        started(&mut events, 0..1);
        events.task("task-started", "late", 1_000_000 + 2 * OFFSET_US, |_| ());
        let lists = leaving(&mut events);
        assert_eq!(lists.len(), 2);
        assert!(text(&lists[0]).contains("\"utcoffset\": 23.5") && !text(&lists[1]).contains("23.5"));
    }

    #[test]
    fn what_the_broker_refused_says_nothing_of_who_listens() {
        let mut events = events(None);
        started(&mut events, 0..1);
        leaving(&mut events);
        events.sent(&[]);
        started(&mut events, 0..2 * LIST);
        assert_eq!(leaving(&mut events).len(), 2);
    }

    #[test]
    fn a_worker_says_when_it_comes_and_goes() {
        let mut events = events(Some(Duration::from_secs(2)));
        events.begin();
        events.task("task-started", "i", 1_000_000, |_| ());
        events.end(Counts { active: 0, processed: 3 });
        let last = events.last();
        let keys: Vec<&str> = last.iter().map(|message| &*message.routing_key).collect();
        assert_eq!(keys, ["worker.online", "task.multi", "worker.offline"]);
        assert!(text(&last[2]).contains("\"freq\": 2.0, \"active\": 0, \"processed\": 3, \"loadavg\": ["));
    }
}
