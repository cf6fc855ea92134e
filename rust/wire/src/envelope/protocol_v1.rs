//! Protocol 1: no headers, and everything that decides is in the body's mapping.

use std::borrow::Cow;

use super::field::{field_index, field_retries, field_text, field_time, field_timelimit, wrong};
use crate::Error;
use crate::json::{Scanner, write_float, write_int, write_text};

/// What a protocol-1 body says of its task. Still produced with `task_protocol=1`, by Celery 3.1 and by clients in
/// other languages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskV1<'a> {
    /// The registered task name.
    pub task: Cow<'a, str>,
    /// The task id.
    pub id: Option<Cow<'a, str>>,
    /// The group's id: `taskset`, the old name, wins over `group` as in Celery.
    pub group: Option<Cow<'a, str>>,
    /// Its place in the group.
    pub group_index: Option<u32>,
    /// Not before: ISO-8601 text.
    pub eta: Option<Cow<'a, str>>,
    /// Not after: ISO-8601 text.
    pub expires: Option<Cow<'a, str>>,
    /// Whether a naive `eta` or `expires` is UTC; otherwise it is in `conf.timezone`. True when missing.
    pub is_utc: bool,
    /// (hard, soft) in seconds; `None` leaves it to the task's own limit.
    pub timelimit: (Option<f64>, Option<f64>),
    /// How many tries went before.
    pub retries: u32,
    /// The arguments, JSON.
    pub args_json: &'a [u8],
    /// The keyword arguments, JSON.
    pub kwargs_json: &'a [u8],
}

impl TaskV1<'_> {
    /// The headers that protocol 2 would have, with those that the message came with: the latter win.
    ///
    /// # Arguments
    /// `own`: a JSON object.
    pub fn headers_with(&self, own: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + own.len());
        out.extend_from_slice(br#"{"task": "#);
        write_text(&self.task, &mut out);
        for (name, text) in [("id", &self.id), ("group", &self.group), ("eta", &self.eta), ("expires", &self.expires)] {
            if let Some(text) = text {
                write_name(name, &mut out);
                write_text(text, &mut out);
            }
        }
        if let Some(index) = self.group_index {
            write_name("group_index", &mut out);
            write_int(index.into(), &mut out);
        }
        write_name("retries", &mut out);
        write_int(self.retries.into(), &mut out);
        write_name("timelimit", &mut out);
        out.push(b'[');
        write_limit(self.timelimit.0, &mut out);
        out.extend_from_slice(b", ");
        write_limit(self.timelimit.1, &mut out);
        out.push(b']');
        let rest = own.trim_ascii().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
        if !rest.is_empty() && rest != b"}" {
            out.extend_from_slice(b", ");
            out.extend_from_slice(rest);
        } else {
            out.push(b'}');
        }
        out
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b", ");
    write_text(name, out);
    out.extend_from_slice(b": ");
}

fn write_limit(limit: Option<f64>, out: &mut Vec<u8>) {
    match limit {
        Some(seconds) => write_float(seconds, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Reads the fields that decide from a JSON body, already decoded from base64 and uncompressed.
///
/// # Errors
/// [`Error::Json`] or [`Error::TooDeep`] when the body is not a JSON object; [`Error::Field`] when it names no task or
/// a field holds what Celery never writes. Either way nobody knows what to run: Celery calls it an unknown message.
pub fn parse_v1(body: &[u8]) -> Result<TaskV1<'_>, Error> {
    let mut found = TaskV1 { is_utc: true, args_json: b"[]", kwargs_json: b"{}", ..TaskV1::default() };
    let mut task = None;
    let mut taskset = None;
    let mut scanner = Scanner::new(body);
    scanner.peek();
    let at_body = scanner.clone();
    scanner.object(|key, scanner| {
        match &*key.bytes() {
            b"task" => task = field_text(scanner, "body.task")?,
            b"id" => found.id = field_text(scanner, "body.id")?,
            b"group" => found.group = field_text(scanner, "body.group")?,
            b"group_index" => found.group_index = field_index(scanner, "body.group_index")?,
            b"args" => found.args_json = scanner.value()?,
            b"kwargs" => found.kwargs_json = scanner.value()?,
            b"taskset" => taskset = field_text(scanner, "body.taskset")?,
            b"eta" => found.eta = field_time(scanner, "body.eta")?,
            b"expires" => found.expires = field_time(scanner, "body.expires")?,
            b"utc" => found.is_utc = !matches!(scanner.value()?, b"false" | b"null" | b"0"),
            b"timelimit" => found.timelimit = field_timelimit(scanner, "body.timelimit")?,
            b"retries" => found.retries = field_retries(scanner, "body.retries")?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    scanner.end()?;
    found.group = taskset.or(found.group);
    found.task = task.ok_or_else(|| wrong(&at_body, "body.task", "the task's name"))?;
    Ok(found)
}
