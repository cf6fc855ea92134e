//! One blocking connection of a client process, shared by its threads: opened at first use, closed on demand.

use std::collections::HashMap;
use std::sync::Mutex;

use fastworker_broker::Error;
use pyo3::prelude::*;

use crate::errors::broker_error;

type Options = Vec<(String, String)>;

/// How a client is made from a URL and options; nothing is sent yet.
pub(crate) type Open<C> = fn(&str, &[(String, String)]) -> Result<Box<C>, Error>;

/// A client of either kind (`dyn Client`, `dyn ResultClient`) and how to make it again.
pub(crate) struct Connection<C: ?Sized> {
    url: String,
    options: Options,
    open: Open<C>,
    client: Mutex<Option<Box<C>>>,
}

impl<C: ?Sized + Send> Connection<C> {
    /// Checks URL and options.
    pub(crate) fn new(py: Python<'_>, url: &str, options: HashMap<String, String>, open: Open<C>) -> PyResult<Self> {
        let options: Options = options.into_iter().collect();
        let client = open(url, &options).map_err(|error| broker_error(py, &error))?;
        Ok(Connection { url: url.to_owned(), options, open, client: Mutex::new(Some(client)) })
    }

    /// Runs one blocking operation without the interpreter.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut C) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut client = self.client.lock().expect("no client operation panics");
            let client = match client.as_mut() {
                Some(client) => client,
                None => client.insert((self.open)(&self.url, &self.options)?),
            };
            operation(client.as_mut())
        });
        done.map_err(|error| broker_error(py, &error))
    }

    /// Closes it; the next operation opens another.
    pub(crate) fn close(&self, py: Python<'_>) {
        py.detach(|| *self.client.lock().expect("no client operation panics") = None);
    }
}
