//! Events are told to nobody: there is nothing that a program could listen to.

use std::time::Duration;

use bytes::Bytes;

use super::client::SqliteClient;
use crate::{Error, EventClient, EventMessage, EventQueue};

impl EventClient for SqliteClient {
    fn send_event(&mut self, _exchange: &str, _event: &EventMessage) -> Result<(), Error> {
        Ok(())
    }

    fn listen_to_events(&mut self, _queue: &EventQueue) -> Result<(), Error> {
        Err(crate::event::nobody_listens("sqlite"))
    }

    fn next_event(&mut self, _queue: &EventQueue, _timeout: Duration) -> Result<Option<Bytes>, Error> {
        Err(crate::event::nobody_listens("sqlite"))
    }
}
