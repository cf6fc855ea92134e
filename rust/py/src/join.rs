//! `Member`, `Lost` and `Join`: what the main thread answers to what the worker tells it of ends and of chords.

use std::sync::Mutex;

use fastworker_worker::{Command, DONE_S, Handle, Joined, MemberPart, Remains, ResultDoc};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

use crate::publisher::batch_of;

/// A part as Python gives it: task id, group, index, part, record, failures borne.
pub(crate) type PartTuple = (String, String, Option<i64>, Vec<u8>, Vec<u8>, Option<u64>);

fn members(parts: Vec<PartTuple>) -> Vec<MemberPart> {
    let member =
        |(task_id, group_id, index, doc, record, bears)| MemberPart { task_id, group_id, index, bears, doc, record };
    parts.into_iter().map(member).collect()
}

/// The end of a member of a group, before the worker settles it.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Member {
    commands: UnboundedSender<Command>,
    handle: Handle,
    number: u64,
}

impl Member {
    pub(crate) fn new(commands: &UnboundedSender<Command>, handle: Handle, number: u64) -> Member {
        Member { commands: commands.clone(), handle, number }
    }
}

#[pymethods]
impl Member {
    fn count(&self, parts: Vec<PartTuple>) {
        for part in members(parts) {
            // A worker that has ended settles nothing.
            let _ended = self.commands.send(Command::Count { handle: self.handle, number: self.number, part });
        }
    }
}

/// A task whose process died, before the worker settles it.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Lost {
    commands: UnboundedSender<Command>,
    handle: Handle,
    number: u64,
}

impl Lost {
    pub(crate) fn new(commands: &UnboundedSender<Command>, handle: Handle, number: u64) -> Lost {
        Lost { commands: commands.clone(), handle, number }
    }
}

#[pymethods]
impl Lost {
    #[pyo3(signature = (doc, messages))]
    fn run_again(&self, doc: Option<Vec<u8>>, messages: Vec<(String, u8, Vec<u8>)>) {
        let messages = batch_of(messages);
        // A worker that has ended settles nothing.
        let _ended = self.commands.send(Command::RunAgain { handle: self.handle, number: self.number, doc, messages });
    }
}

/// A chord whose members have all ended.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Join {
    commands: UnboundedSender<Command>,
    join: Mutex<Option<fastworker_worker::Join>>,
}

impl Join {
    pub(crate) fn new(commands: &UnboundedSender<Command>, join: fastworker_worker::Join) -> Join {
        Join { commands: commands.clone(), join: Mutex::new(Some(join)) }
    }
}

#[pymethods]
impl Join {
    #[getter]
    fn kept_name(&self) -> PyResult<String> {
        let join = self.join.lock().expect("nothing panics while it holds this");
        let join = join.as_ref().ok_or_else(|| PyRuntimeError::new_err("this join was finished before"))?;
        Ok(join.kept_name())
    }

    #[pyo3(signature = (messages, results, parts, remembered_s=None, kept_s=None))]
    fn finish(
        &self,
        messages: Vec<(String, u8, Vec<u8>)>,
        results: Vec<(String, Vec<u8>, bool, Option<u64>)>,
        parts: Vec<PartTuple>,
        remembered_s: Option<u64>,
        kept_s: Option<u64>,
    ) -> PyResult<()> {
        let join = self.join.lock().expect("nothing panics while it holds this").take();
        let join = join.ok_or_else(|| PyRuntimeError::new_err("this join was finished before"))?;
        let stored = |(task_id, doc, is_success, ttl_s): (String, Vec<u8>, bool, Option<u64>)| ResultDoc {
            task_id,
            doc: doc.into(),
            is_success,
            ttl_s,
            reply: None,
        };
        let results = results.into_iter().map(stored).collect();
        // A worker that has ended leaves it to another.
        let remains = Remains { remembered_s: remembered_s.unwrap_or(DONE_S).max(DONE_S), parts_s: kept_s };
        let joined = Joined { join, messages: batch_of(messages), results, remains };
        let _ended = self.commands.send(Command::Joined(joined, members(parts)));
        Ok(())
    }
}
