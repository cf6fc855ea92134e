//! `Pacer`: the open-loop generator of a bench. Messages are made beforehand, as templates; each is given an id, its
//! number and its intended moment when that has come, and published. The interpreter is not held meanwhile.
//!
//! What is due while a publish is under way goes with the next one, so a round trip costs at most its own length in
//! punctuality, whatever the rate; how late each message was handed to the connection is measured and told. A message
//! that is late still has its *intended* moment, so nothing that waited is left out (no coordinated omission).

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use fastworker_broker::{Client, Error, Publish};
use fastworker_wire::time::iso_utc;
use fastworker_worker::{mono_us, wall_us};
use memchr::memmem;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustix::thread::{ClockId, clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::Timespec;

use crate::errors::broker_error;
use crate::histogram::{GROWS, Histogram, empty};
use crate::ids::{parse, random_id, stream_id, text};

/// Messages published at once, when so many are due: a few hundred microseconds of a server's time.
const BATCH: usize = 512;
/// How long a sleep may be, so that `stop` is noticed.
const LONGEST_SLEEP_US: u64 = 50_000;
/// Timers of the kernel are this punctual for the pacing thread; the default is 50 µs.
const SLACK_NS: u64 = 1_000;

/// What stands in a template in the place of the id, the number, the intended moment and the eta.
const ID: &[u8] = b"00000000-0000-4000-8000-000000000000";
const NUMBER: &[u8] = b"\"fw-number\": \"0000000000\"";
const INTENDED: &[u8] = b"\"fw-intended\": 1000000000000000";
const ETA: &[u8] = b"\"eta\": \"2001-09-09T01:46:40.000001+00:00\"";
const TAG: &[u8] = b"\"delivery_tag\": \"";

const NUMBER_DIGITS: usize = 10;
const INTENDED_DIGITS: usize = 16;
const ETA_CHARS: usize = 32;

/// A message with holes.
struct Template {
    queue: String,
    priority: u8,
    message: Vec<u8>,
    ids: Vec<usize>,
    tag: usize,
    number: usize,
    intended: usize,
    eta: Option<usize>,
    /// Its intended moment is so much later than its publication.
    delay_us: u64,
}

impl Template {
    fn new(queue: String, priority: u8, message: Vec<u8>, delay_us: u64) -> Result<Template, String> {
        let find = |what: &[u8], digits: usize| {
            let at = memmem::find(&message, what).map(|at| at + what.len());
            let at = at.ok_or_else(|| format!("a template has no {}", String::from_utf8_lossy(what)))?;
            Ok::<usize, String>(at - digits)
        };
        // A number and an eta end with a quote.
        let number = find(NUMBER, NUMBER_DIGITS + 1)?;
        let intended = find(INTENDED, INTENDED_DIGITS)?;
        let eta = if delay_us > 0 { Some(find(ETA, ETA_CHARS + 1)?) } else { None };
        let tag = find(TAG, 0)?;
        if message.len() < tag + ID.len() {
            return Err("a template's delivery_tag is not 36 characters long".to_owned());
        }
        let ids: Vec<usize> = memmem::find_iter(&message, ID).collect();
        if ids.is_empty() {
            return Err(format!("a template has no id {}", String::from_utf8_lossy(ID)));
        }
        Ok(Template { queue, priority, ids, tag, number, intended, eta, delay_us, message })
    }

    fn filled(&self, seed: &[u8; 16], number: u32, tag: &[u8; 16], due_us: i64) -> Publish {
        let mut message = self.message.clone();
        let mut put = |at: usize, text: &str| message[at..at + text.len()].copy_from_slice(text.as_bytes());
        let id = text(&stream_id(seed, u64::from(number)));
        self.ids.iter().for_each(|at| put(*at, &id));
        put(self.tag, &text(tag));
        put(self.number, &format!("{number:0NUMBER_DIGITS$}"));
        let intended_us = due_us.saturating_add_unsigned(self.delay_us);
        put(self.intended, &format!("{intended_us:0INTENDED_DIGITS$}"));
        if let Some(at) = self.eta {
            // Without a fraction it would be shorter.
            let has_fraction = intended_us.rem_euclid(1_000_000) != 0;
            put(at, &iso_utc(if has_fraction { intended_us } else { intended_us + 1 }));
        }
        Publish { queue: self.queue.clone(), priority: self.priority, message: Bytes::from(message) }
    }
}

type Opened = Option<Box<dyn Client>>;

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Pacer {
    url: String,
    options: Vec<(String, String)>,
    client: Mutex<Opened>,
    templates: Vec<Template>,
    seed: [u8; 16],
    is_stopped: AtomicBool,
    sent: AtomicU64,
}

/// Why it ended before the end.
enum Trouble {
    Broker(Error),
    Python(PyErr),
}

impl Pacer {
    /// Publishes what is due: numbers and moments (Unix time, microseconds) by template.
    fn publish(&self, client: &mut dyn Client, due: &[(u32, usize, i64)]) -> Result<(), Trouble> {
        let mut batch = Vec::with_capacity(due.len());
        for (number, template, due_us) in due {
            let tag = random_id().map_err(Trouble::Python)?;
            batch.push(self.templates[*template].filled(&self.seed, *number, &tag, *due_us));
        }
        client.publish(&batch).map_err(Trouble::Broker)?;
        self.sent.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut dyn Client) -> Result<T, Trouble> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut client = self.client.lock().expect("no client operation panics");
            if client.is_none() {
                *client = Some(fastworker_broker::client(&self.url, &self.options).map_err(Trouble::Broker)?);
            }
            operation(client.as_mut().expect("it was just opened").as_mut())
        });
        done.map_err(|trouble| match trouble {
            Trouble::Broker(error) => broker_error(py, &error),
            Trouble::Python(error) => error,
        })
    }

    fn check(&self, picks: &[u32]) -> PyResult<()> {
        match picks.iter().find(|pick| **pick as usize >= self.templates.len()) {
            Some(pick) => {
                Err(PyValueError::new_err(format!("there is no template {pick} of {}", self.templates.len())))
            }
            None => Ok(()),
        }
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], what: &str, read: fn([u8; N]) -> T) -> PyResult<Vec<T>> {
    if !bytes.len().is_multiple_of(N) {
        return Err(PyValueError::new_err(format!("{what}: {} bytes are no array of {N}-byte numbers", bytes.len())));
    }
    Ok(bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("N bytes"))).collect())
}

fn sleep_until(at_us: u64) {
    let at = Timespec { tv_sec: (at_us / 1_000_000) as i64, tv_nsec: (at_us % 1_000_000 * 1_000) as _ };
    // Interrupted: the loop looks at the clock again.
    let _again = clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

#[pymethods]
impl Pacer {
    #[new]
    fn new(
        url: String,
        options: HashMap<String, String>,
        templates: Vec<(String, u8, Vec<u8>, u64)>,
        seed: &str,
    ) -> PyResult<Pacer> {
        let templates: Result<Vec<Template>, String> = templates
            .into_iter()
            .map(|(queue, priority, message, delay_us)| Template::new(queue, priority, message, delay_us))
            .collect();
        Ok(Pacer {
            url,
            options: options.into_iter().collect(),
            client: Mutex::new(None),
            templates: templates.map_err(PyValueError::new_err)?,
            seed: parse(seed)?,
            is_stopped: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        })
    }

    #[getter]
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn depth(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.with(py, |client| client.depth(queue).map_err(Trouble::Broker))
    }

    /// Publishes at the given moments.
    fn run(
        &self,
        py: Python<'_>,
        offsets_us: &[u8],
        picks: &[u8],
        began_us: i64,
        first: u32,
        stride: u32,
    ) -> PyResult<(Histogram, Histogram)> {
        let offsets_us = numbers(offsets_us, "offsets_us", u64::from_ne_bytes)?;
        let picks = numbers(picks, "picks", u32::from_ne_bytes)?;
        if offsets_us.len() != picks.len() {
            let text =
                format!("{} offsets and {} picks: expected one of each for a message", offsets_us.len(), picks.len());
            return Err(PyValueError::new_err(text));
        }
        self.check(&picks)?;
        let (late, confirmed) = self.with(py, |client| {
            // Refused: timers are less punctual, which is measured.
            let _less_punctual = set_current_timer_slack(NonZeroU64::new(SLACK_NS));
            let ahead_us = wall_us() - mono_us() as i64;
            let due_at = |index: usize| (began_us - ahead_us).saturating_add_unsigned(offsets_us[index]).max(0) as u64;
            let (mut late, mut confirmed) = (empty(), empty());
            let mut next = 0;
            let mut due = Vec::with_capacity(BATCH);
            while next < offsets_us.len() && !self.is_stopped.load(Ordering::Relaxed) {
                let now_us = mono_us();
                due.clear();
                let start = next;
                while next < offsets_us.len() && due.len() < BATCH && due_at(next) <= now_us {
                    let number = first + stride * next as u32;
                    due.push((number, picks[next] as usize, began_us.saturating_add_unsigned(offsets_us[next])));
                    next += 1;
                }
                if due.is_empty() {
                    sleep_until(due_at(next).min(now_us + LONGEST_SLEEP_US));
                    continue;
                }
                let handed_us = mono_us();
                self.publish(client, &due)?;
                let done_us = mono_us();
                for index in start..next {
                    late.record(handed_us.saturating_sub(due_at(index))).expect(GROWS);
                    confirmed.record(done_us.saturating_sub(due_at(index))).expect(GROWS);
                }
            }
            Ok((late, confirmed))
        })?;
        Ok((Histogram::of(late), Histogram::of(confirmed)))
    }

    /// Publishes as fast as it goes; each is meant to be published when its batch is.
    fn fill(&self, py: Python<'_>, picks: &[u8], first: u32) -> PyResult<Histogram> {
        let picks = numbers(picks, "picks", u32::from_ne_bytes)?;
        self.check(&picks)?;
        let confirmed = self.with(py, |client| {
            let mut confirmed = empty();
            for (batch, start) in picks.chunks(BATCH).zip((first..).step_by(BATCH)) {
                if self.is_stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (now_us, began_us) = (wall_us(), mono_us());
                let due: Vec<_> =
                    batch.iter().zip(start..).map(|(pick, number)| (number, *pick as usize, now_us)).collect();
                self.publish(client, &due)?;
                confirmed.record_n(mono_us().saturating_sub(began_us), due.len() as u64).expect(GROWS);
            }
            Ok(confirmed)
        })?;
        Ok(Histogram::of(confirmed))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| *self.client.lock().expect("no client operation panics") = None);
    }
}
