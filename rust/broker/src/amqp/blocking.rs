//! A client's connection as it is between calls: opened at the first one, and again when it was lost.
//!
//! It is stamped with the pid that opened it; in a forked child it is forgotten, not closed, since the descriptor is the
//! parent's to use.

use std::time::Instant;

use super::failure::{blocked, late, replied};
use super::options::AmqpOptions;
use super::wire::{Fault, Open};
use crate::Error;

/// A connection that opens itself when it is needed.
pub(super) struct Blocking {
    pub(super) options: AmqpOptions,
    open: Option<Open>,
    /// Which server to try first.
    first: usize,
}

impl Blocking {
    pub(super) fn new(options: AmqpOptions) -> Blocking {
        Blocking { options, open: None, first: 0 }
    }

    /// Does something on the connection. One that was idle may have died unnoticed; then it is opened again, and all is done
    /// once more.
    pub(super) fn with<T>(
        &mut self,
        what: &'static str,
        mut act: impl FnMut(&mut Open) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let was_open = self.is_open();
        let mut done = self.attempt(what, &mut act)?;
        if was_open && matches!(done, Err(Fault::Gone(_) | Fault::Replied(320, _))) {
            self.open = None;
            done = self.attempt(what, &mut act)?;
        }
        done.map_err(|fault| {
            // What is still to come belongs to nobody.
            self.open = None;
            let (whom, within) = (&self.options.masked, self.options.response_timeout);
            match fault {
                Fault::Gone(cause) => Error::Connection { what, whom: whom.clone(), cause },
                Fault::Late => late(what, whom, within),
                Fault::Blocked(reason) => blocked(what, whom, &reason, within),
                Fault::Replied(code, text) => replied(what, whom, code, &text),
            }
        })
    }

    fn attempt<T>(
        &mut self,
        what: &'static str,
        act: &mut impl FnMut(&mut Open) -> Result<T, Fault>,
    ) -> Result<Result<T, Fault>, Error> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let opened = self.connect(what)?;
                self.open.insert(opened)
            }
        };
        open.deadline = Instant::now() + self.options.response_timeout;
        let done = act(open);
        if open.is_over {
            self.open = None;
        }
        Ok(done)
    }

    /// The first server that can be reached; the one that was reached last is tried first.
    fn connect(&mut self, what: &'static str) -> Result<Open, Error> {
        let mut last = None;
        for step in 0..self.options.servers.len() {
            let at = (self.first + step) % self.options.servers.len();
            match Open::connect(&self.options.servers[at], &self.options) {
                Ok(open) => {
                    self.first = at;
                    return Ok(open);
                }
                Err(fault) => last = Some(fault),
            }
        }
        let whom = &self.options.masked;
        Err(match last.expect("at least one server is named") {
            Fault::Gone(cause) => Error::Connection { what, whom: whom.clone(), cause },
            Fault::Late => late(what, whom, self.options.connect_timeout),
            Fault::Blocked(reason) => blocked(what, whom, &reason, self.options.connect_timeout),
            Fault::Replied(code, text) => replied(what, whom, code, &text),
        })
    }

    /// Whether there is a connection of this very process.
    fn is_open(&mut self) -> bool {
        match &self.open {
            Some(open) if open.pid == std::process::id() => true,
            Some(_) => {
                std::mem::forget(self.open.take());
                false
            }
            None => false,
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.is_open();
    }
}
