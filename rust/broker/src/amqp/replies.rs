//! Results of `rpc://` as a client sees them: messages in a queue of its own, which the worker that ran the task sends there.
//!
//! A process has one *desk* for each such queue, whatever the number of its threads and of their handles: whoever waits
//! reads from the one connection, for all who wait, and hands the turn on when it leaves. What has come is kept at the desk,
//! so that a state can be asked for more than once, and by another thread than the one that published. No thread of its own.
//!
//! Nobody else can ask for it: other processes know nothing of these tasks. Source: celery/backends/rpc.py.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::blocking::Blocking;
use super::failure::missing;
use super::options::AmqpOptions;
use super::steps::{Life, Step, arguments, number};
use super::wire::{Fault, Open, Received};
use crate::{ChordClient, Error, ResultClient, ResultDoc};

/// Documents that are kept of tasks nobody has forgotten. Beyond that the oldest go.
const KEPT: usize = 100_000;
/// A turn of reading; whoever has the turn looks up in between.
const TURN: Duration = Duration::from_millis(500);
/// A socket is not looked at in no time at all.
const GLANCE: Duration = Duration::from_millis(1);

/// The desks of this process.
static DESKS: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// A desk that there is as long as somebody uses it.
struct Known {
    pid: u32,
    masked: String,
    queue: String,
    desk: Weak<Desk>,
}

/// One thread's way to the results.
pub struct AmqpReplies {
    desk: Arc<Desk>,
    number: u64,
}

/// Where replies to one client come in.
struct Desk {
    queue: String,
    declared: Step,
    masked: String,
    connection: Mutex<Blocking>,
    state: Mutex<State>,
    /// Something has come, or nobody reads any more.
    changed: Condvar,
    handles: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The latest of each task.
    docs: HashMap<String, Bytes>,
    /// By age of their first document.
    order: VecDeque<String>,
    is_read: bool,
    /// By handle: what it watches, and what came of that.
    watches: HashMap<u64, Watch>,
}

#[derive(Default)]
struct Watch {
    task_ids: HashSet<String>,
    news: Vec<(String, Bytes)>,
}

impl AmqpReplies {
    /// Nothing is opened yet. `options` name the queue.
    ///
    /// # Errors
    /// [`Error::Url`]: they name none, so this is no store of results.
    pub fn new(options: AmqpOptions) -> Result<AmqpReplies, Error> {
        let Some(queue) = options.reply_queue.clone() else {
            return Err(Error::Url(
                "RabbitMQ keeps no results: name another store as result_backend, such as redis://localhost:6379/0 or \
                 sqlite:///results.db, or rpc:// for replies to the client that asked"
                    .to_owned(),
            ));
        };
        let desk = Desk::of(queue, options);
        let number = desk.handles.fetch_add(1, Ordering::Relaxed);
        Ok(AmqpReplies { desk, number })
    }

    fn refuse<T>(&self, what: &'static str) -> Result<T, Error> {
        let cause = "rpc:// results are messages to one client: nothing is kept for others, so that there are neither chords \
                     nor saved groups; name another result_backend, such as redis://localhost:6379/0";
        Err(missing(what, &self.desk.masked, cause))
    }
}

impl Drop for AmqpReplies {
    fn drop(&mut self) {
        self.desk.state().watches.remove(&self.number);
    }
}

impl Desk {
    fn of(queue: String, options: AmqpOptions) -> Arc<Desk> {
        let mut desks = DESKS.lock().expect("nothing panics while it holds the list");
        desks.retain(|known| known.desk.strong_count() > 0);
        let pid = std::process::id();
        let is_it = |known: &&Known| known.pid == pid && known.masked == options.masked && known.queue == queue;
        if let Some(desk) = desks.iter().find(is_it).and_then(|known| known.desk.upgrade()) {
            return desk;
        }
        let expires = options.reply_expires_ms.map(|ms| arguments([("x-expires", number(ms))])).unwrap_or_default();
        // Source: celery-contract 5.1, the row of the rpc reply queue.
        let life = Life::Own { is_durable: true, is_auto_delete: true };
        let desk = Arc::new(Desk {
            declared: Step::Queue { name: queue.clone(), life, arguments: expires },
            masked: options.masked.clone(),
            queue: queue.clone(),
            connection: Mutex::new(Blocking::new(options)),
            state: Mutex::default(),
            changed: Condvar::new(),
            handles: AtomicU64::new(0),
        });
        desks.push(Known { pid, masked: desk.masked.clone(), queue, desk: Arc::downgrade(&desk) });
        desk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    fn with<T>(&self, act: impl FnMut(&mut Open) -> Result<T, Fault>) -> Result<T, Error> {
        self.connection.lock().expect("as above").with("wait for replies", act)
    }

    /// Makes sure that replies have a queue to come to.
    fn declare(&self) -> Result<(), Error> {
        self.with(|open| open.declare(std::slice::from_ref(&self.declared)))
    }

    /// Waits until `look` finds something, at most `timeout`; reads meanwhile, if nobody else does.
    fn wait<T>(&self, timeout: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<Option<T>, Error> {
        let begun = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(Some(found));
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if state.is_read {
                if left.is_zero() {
                    return Ok(None);
                }
                state = self.changed.wait_timeout(state, left).expect("as above").0;
                continue;
            }
            state.is_read = true;
            drop(state);
            let came = self.with(|open| {
                self.attach(open)?;
                let first = open.next(&self.queue, left.clamp(GLANCE, TURN))?;
                Ok(first.into_iter().chain(open.received(&self.queue)).collect())
            });
            state = self.took(came)?;
            if left.is_zero() {
                return Ok(look(&mut state));
            }
        }
    }

    /// Takes in all that the server has for us by now, unless somebody reads anyway.
    fn catch_up(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        if state.is_read {
            return Ok(state);
        }
        state.is_read = true;
        drop(state);
        let came = self.with(|open| {
            self.attach(open)?;
            // The queue answers behind all that it had to send, and the channel behind all that it has passed on.
            open.depth(&self.queue)?;
            open.sync()?;
            Ok(open.received(&self.queue).collect())
        });
        self.took(came)
    }

    /// On a connection that is new, consumes anew.
    fn attach(&self, open: &mut Open) -> Result<(), Fault> {
        if open.consumes(&self.queue) {
            return Ok(());
        }
        open.declare(std::slice::from_ref(&self.declared))?;
        open.consume(&self.queue)
    }

    /// The turn of reading is over.
    fn took(&self, came: Result<Vec<Received>, Error>) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        state.is_read = false;
        self.changed.notify_all();
        for received in came? {
            let Some(task_id) = received.properties.correlation_id().as_ref().map(ToString::to_string) else {
                tracing::warn!(queue = self.queue, "a reply that does not say to what: dropped");
                continue;
            };
            state.keep(task_id, received.body.into());
        }
        Ok(state)
    }
}

impl State {
    fn keep(&mut self, task_id: String, doc: Bytes) {
        for watch in self.watches.values_mut().filter(|watch| watch.task_ids.contains(&task_id)) {
            watch.news.push((task_id.clone(), doc.clone()));
        }
        if self.docs.insert(task_id.clone(), doc).is_some() {
            return;
        }
        self.order.push_back(task_id);
        while self.docs.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.docs.remove(&oldest);
        }
    }

    fn forget(&mut self, task_ids: &[&str]) {
        for task_id in task_ids {
            self.docs.remove(*task_id);
        }
        if self.order.len() > 2 * self.docs.len() + 1_000 {
            let docs = &self.docs;
            self.order.retain(|task_id| docs.contains_key(task_id));
        }
    }
}

impl ResultClient for AmqpReplies {
    fn prepare(&mut self) -> Result<(), Error> {
        self.desk.declare()
    }

    fn get(&mut self, task_id: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.desk.catch_up()?.docs.get(task_id).cloned())
    }

    fn get_many(&mut self, task_ids: &[&str]) -> Result<Vec<Option<Bytes>>, Error> {
        let state = self.desk.catch_up()?;
        Ok(task_ids.iter().map(|task_id| state.docs.get(*task_id).cloned()).collect())
    }

    fn wait(&mut self, task_id: &str, seen: Option<&[u8]>, timeout: Duration) -> Result<Option<Bytes>, Error> {
        self.desk.wait(timeout, |state| state.docs.get(task_id).filter(|doc| seen != Some(&doc[..])).cloned())
    }

    fn watch(&mut self, task_ids: &[&str]) {
        let mut state = self.desk.state();
        let known: Vec<(String, Bytes)> = task_ids
            .iter()
            .filter_map(|task_id| Some(((*task_id).to_owned(), state.docs.get(*task_id)?.clone())))
            .collect();
        let watch = state.watches.entry(self.number).or_default();
        watch.task_ids.extend(task_ids.iter().map(|task_id| (*task_id).to_owned()));
        watch.news.extend(known);
    }

    fn unwatch(&mut self, task_ids: &[&str]) {
        if let Some(watch) = self.desk.state().watches.get_mut(&self.number) {
            for task_id in task_ids {
                watch.task_ids.remove(*task_id);
            }
        }
    }

    fn news(&mut self, timeout: Duration) -> Result<Vec<(String, Bytes)>, Error> {
        let number = self.number;
        if self.desk.state().watches.get(&number).is_none_or(|watch| watch.task_ids.is_empty()) {
            return Ok(Vec::new());
        }
        let news = self.desk.wait(timeout, |state| {
            let watch = state.watches.get_mut(&number)?;
            Some(std::mem::take(&mut watch.news)).filter(|news| !news.is_empty())
        })?;
        Ok(news.unwrap_or_default())
    }

    /// For this process: there is nobody to send it to.
    fn store(&mut self, batch: &[ResultDoc]) -> Result<(), Error> {
        let mut state = self.desk.state();
        for doc in batch {
            state.keep(doc.task_id.clone(), doc.doc.clone());
        }
        self.desk.changed.notify_all();
        Ok(())
    }

    fn replace(&mut self, _seen: Option<&[u8]>, _doc: &ResultDoc) -> Result<bool, Error> {
        Ok(false)
    }

    fn forget(&mut self, task_ids: &[&str]) -> Result<(), Error> {
        self.desk.state().forget(task_ids);
        Ok(())
    }
}

impl ChordClient for AmqpReplies {
    fn begin_chord(&mut self, _: &str, _: Option<u64>, _: Option<u64>, _: Option<&str>) -> Result<(), Error> {
        self.refuse("begin a chord")
    }

    fn set_chord_size(&mut self, _: &str, _: u64, _: Option<u64>) -> Result<(), Error> {
        self.refuse("begin a chord")
    }

    fn add_to_chord(&mut self, _: &str, _: Option<u64>, _: Option<&str>) -> Result<(), Error> {
        self.refuse("add to a chord")
    }

    fn save_group(&mut self, _: &str, _: &[u8], _: Option<u64>) -> Result<(), Error> {
        self.refuse("save a group")
    }

    fn group(&mut self, _: &str) -> Result<Option<Bytes>, Error> {
        self.refuse("restore a group")
    }

    fn delete_group(&mut self, _: &str) -> Result<(), Error> {
        self.refuse("delete a group")
    }

    fn keep(&mut self, _: &str, _: &[&[u8]], _: Option<u64>) -> Result<(), Error> {
        self.refuse("keep documents")
    }

    fn kept(&mut self, _: &str, _: u64, _: u64, _: Option<u64>) -> Result<Vec<Bytes>, Error> {
        self.refuse("read documents")
    }
}
