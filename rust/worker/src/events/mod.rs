//! Events for monitors: encoded here, gathered into lists, and sent by one publish at a time.
//!
//! They never hold a task up: what the broker does not take waits in a bounded list, and the oldest of it is dropped.
//! The log says how many those were. Source: celery-contract 7; `celery/events/dispatcher.py`.

mod ending;
mod received;
mod system;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::EventMessage;
use fastworker_wire::event::{EventHead, EventWriter};
use fastworker_wire::json::write_text;

pub(crate) use self::ending::{End, end_of};
pub(crate) use self::received::{Shown, received_fields};
use crate::clock;
use crate::pulse::{Counts, Pulse};

/// Most events of one message. Celery sends at most 24; receivers take any number.
const LIST: usize = 100;
/// A list with more bytes than this is not added to.
const LIST_BYTES: usize = 128 * 1024;
/// Most events that wait to be sent, and most bytes of them.
const WAITING: usize = 10_000;
const WAITING_BYTES: usize = 8 << 20;
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

/// Messages that wait, oldest first.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<(EventMessage, usize)>,
    events: usize,
    bytes: usize,
    dropped: u64,
}

impl Waiting {
    fn push(&mut self, message: EventMessage, events: usize) {
        self.events += events;
        self.bytes += message.body.len();
        self.messages.push_back((message, events));
        // The one that has just come stays, however large it is.
        while (self.events > WAITING || self.bytes > WAITING_BYTES) && self.messages.len() > 1 {
            let Some((oldest, events)) = self.messages.pop_front() else { return };
            self.events -= events;
            self.bytes -= oldest.body.len();
            self.dropped += events as u64;
        }
    }

    fn take(&mut self) -> Vec<EventMessage> {
        (self.events, self.bytes) = (0, 0);
        self.messages.drain(..).map(|(message, _)| message).collect()
    }
}

/// The events of one lane.
pub(crate) struct Events {
    terms: EventTerms,
    node: String,
    headers: Bytes,
    head: EventHead,
    /// When the offset in it was looked at; Unix time, microseconds.
    head_us: i64,
    pulse: Pulse,
    /// The lane's number in it, once it works.
    lane: Option<u64>,
    beat_at_us: u64,
    has_tasks: bool,
    /// A list without its end.
    list: Vec<u8>,
    count: usize,
    waiting: Waiting,
    is_sending: bool,
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
            head: EventHead::new(node, 0.0, 0),
            head_us: i64::MIN,
            pulse,
            lane: None,
            beat_at_us: 0,
            list: Vec::new(),
            count: 0,
            waiting: Waiting::default(),
            is_sending: false,
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
    pub(crate) fn task(&mut self, kind: &str, id: &str, at_us: i64, fields: impl FnOnce(&mut EventWriter<'_>)) {
        self.refresh_head(at_us);
        self.list.extend_from_slice(if self.count == 0 { b"[" } else { b", " });
        let mut event = EventWriter::begin(&mut self.list, &self.head, self.pulse.clock.forward(), at_us, kind);
        event.text("uuid", id);
        fields(&mut event);
        event.end();
        self.count += 1;
        if self.count >= LIST || self.list.len() > LIST_BYTES {
            self.seal();
        }
    }

    /// A message that a task has made by itself.
    pub(crate) fn push(&mut self, message: EventMessage) {
        self.seal();
        self.waiting.push(message, 1);
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
        self.waiting.push(message, 1);
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
            self.head = EventHead::new(&self.node, system::utcoffset_h(now_us / 1_000_000), std::process::id());
            self.head_us = now_us;
        }
    }

    /// The list is complete.
    fn seal(&mut self) {
        if self.count == 0 {
            return;
        }
        let room = self.list.len() + 64;
        let mut body = std::mem::replace(&mut self.list, Vec::with_capacity(room.min(LIST_BYTES)));
        body.push(b']');
        let count = std::mem::take(&mut self.count);
        let message = self.message("task.multi".into(), body);
        self.waiting.push(message, count);
    }

    /// What is to be sent now, unless something is on its way.
    pub(crate) fn leaving(&mut self) -> Option<Vec<EventMessage>> {
        if self.is_sending || self.count == 0 && self.waiting.messages.is_empty() {
            return None;
        }
        self.seal();
        self.is_sending = true;
        Some(self.waiting.take())
    }

    /// What was on its way was taken, or refused. How many had to be dropped meanwhile.
    pub(crate) fn sent(&mut self) -> u64 {
        self.is_sending = false;
        std::mem::take(&mut self.waiting.dropped)
    }

    /// The last ones, whatever is on its way.
    pub(crate) fn last(&mut self) -> Vec<EventMessage> {
        self.seal();
        self.waiting.take()
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

    #[test]
    fn tasks_are_told_of_in_lists_and_clocks_go_on() {
        let mut events = events(None);
        for _ in 0..LIST + 1 {
            events.task("task-started", "i", 1_000_000, |_| ());
        }
        let leaving = events.leaving().expect("messages");
        assert_eq!(leaving.iter().map(|message| &*message.routing_key).collect::<Vec<_>>(), ["task.multi"; 2]);
        assert!(text(&leaving[0]).starts_with("[{\"hostname\": \"w@h\""), "{}", text(&leaving[0]));
        assert!(text(&leaving[1]).contains("\"clock\": 101,") && text(&leaving[1]).ends_with("\"uuid\": \"i\"}]"));
        // One publish at a time.
        events.task("task-started", "i", 1_000_000, |_| ());
        assert_eq!(events.leaving(), None);
        assert_eq!((events.sent(), events.leaving().map(|messages| messages.len())), (0, Some(1)));
    }

    #[test]
    fn what_is_not_taken_is_bounded_and_the_oldest_is_dropped() {
        let mut events = events(None);
        for number in 0..WAITING + 5 * LIST {
            events.task("task-started", &number.to_string(), 1_000_000, |_| ());
        }
        let leaving = events.leaving().expect("messages");
        assert_eq!(leaving.len(), WAITING / LIST);
        assert!(text(&leaving[0]).contains(&format!("\"uuid\": \"{}\"", 5 * LIST)));
        assert_eq!((events.sent(), events.sent()), (5 * LIST as u64, 0));
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
