//! A blocking connection for other people's processes: no thread, no runtime, safe across a fork.
//!
//! The connection is stamped with the pid that opened it. In a forked child it is forgotten, not closed: closing would
//! say goodbye in the parent's name on TLS, and the descriptor is the parent's to use.

use std::time::Duration;

use redis::{Connection, RedisError, RedisResult, Value};

use super::failure::Call;
use super::resp;
use super::script::Script;
use super::server::Server;
use crate::Error;

/// A buffer that grew beyond this for one big message is given back.
const BUFFER_KEPT: usize = 1 << 20;

pub(super) struct Blocking {
    server: Server,
    open: Option<Open>,
    /// The commands being written; used again by every call.
    pub(super) out: Vec<u8>,
    /// Counts connections, so that a caller can tell that what it did on the last one is gone.
    opened: u64,
}

struct Open {
    connection: Connection,
    pid: u32,
}

impl Blocking {
    pub(super) fn new(server: Server) -> Self {
        Self { server, open: None, out: Vec::new(), opened: 0 }
    }

    /// The server that it leads to.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn call(&self, what: &'static str) -> Call<'_> {
        Call { what, whom: &self.server.masked }
    }

    /// Sends what stands in `out` and reads `replies` replies; refusals are among them.
    ///
    /// A connection that was idle may have died unnoticed; then it is opened again and everything is sent once more.
    /// So a command may be carried out twice, never silently not at all. The same where an answer did not come in time and
    /// `retry_on_timeout` is set.
    pub(super) fn exchange(&mut self, what: &'static str, replies: usize) -> Result<Vec<Value>, Error> {
        let out = std::mem::take(&mut self.out);
        let result = self.exchange_bytes(what, &out, replies);
        self.out = out;
        self.out.clear();
        if self.out.capacity() > BUFFER_KEPT {
            self.out = Vec::new();
        }
        result
    }

    fn exchange_bytes(&mut self, what: &'static str, out: &[u8], replies: usize) -> Result<Vec<Value>, Error> {
        let was_open = self.is_open();
        let first = self.try_exchange(out, replies);
        let result = match first {
            Err(error)
                if was_open && error.is_connection_dropped() || self.server.retry_on_timeout && error.is_timeout() =>
            {
                self.open = None;
                self.try_exchange(out, replies)
            }
            first => first,
        };
        result.map_err(|error| {
            // Replies may still be on their way; the next call must not take them for its own.
            self.open = None;
            self.call(what).failed(&error)
        })
    }

    fn try_exchange(&mut self, out: &[u8], replies: usize) -> RedisResult<Vec<Value>> {
        let connection = self.connection()?;
        connection.send_packed_command(out)?;
        (0..replies).map(|_| connection.recv_response()).collect()
    }

    /// Calls a script with keys and arguments, loading it when the server does not know it.
    pub(super) fn script(
        &mut self,
        what: &'static str,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, Error> {
        for is_second_try in [false, true] {
            if is_second_try {
                resp::words(&mut self.out, &[b"SCRIPT", b"LOAD", script.source.as_bytes()]);
            }
            resp::command(&mut self.out, 3 + keys.len() + args.len());
            resp::word(&mut self.out, b"EVALSHA");
            resp::word(&mut self.out, script.sha.as_bytes());
            resp::word(&mut self.out, keys.len().to_string().as_bytes());
            keys.iter().chain(args).for_each(|each| resp::word(&mut self.out, each));
            let reply = self.exchange(what, 1 + usize::from(is_second_try))?.pop().unwrap_or(Value::Nil);
            match &reply {
                Value::ServerError(error) if error.code() == "NOSCRIPT" && !is_second_try => {}
                _ => return self.call(what).value(reply),
            }
        }
        Err(self.call(what).lost("the server forgets its scripts at once".to_owned()))
    }

    /// The open connection, or a new one.
    pub(super) fn connection(&mut self) -> RedisResult<&mut Connection> {
        if !self.is_open() {
            self.open = Some(self.connect()?);
            self.opened += 1;
        }
        Ok(&mut self.open.as_mut().expect("opened above").connection)
    }

    /// Puts the usual time limit back after a caller has set another.
    pub(super) fn reset_timeouts(&mut self) -> RedisResult<()> {
        match &self.open {
            Some(open) => set_timeouts(&open.connection, self.server.response_timeout),
            None => Ok(()),
        }
    }

    /// Changes whenever a new connection has been opened.
    pub(super) fn number(&self) -> u64 {
        self.opened
    }

    /// Closes, so that the next call opens anew.
    pub(super) fn close(&mut self) {
        self.is_open();
        self.open = None;
    }

    /// Whether there is a connection of this very process.
    pub(super) fn is_open(&mut self) -> bool {
        match &self.open {
            Some(open) if open.pid == std::process::id() => true,
            Some(_) => {
                std::mem::forget(self.open.take());
                false
            }
            None => false,
        }
    }

    fn connect(&self) -> RedisResult<Open> {
        let server = &self.server;
        let client = redis::Client::open(server.info.clone())?;
        let mut connection = client.get_connection_with_timeout(server.connect_timeout)?;
        set_timeouts(&connection, server.response_timeout)?;
        if let Some(name) = &server.client_name {
            redis::cmd("CLIENT").arg("SETNAME").arg(name).exec(&mut connection)?;
        }
        Ok(Open { connection, pid: std::process::id() })
    }
}

fn set_timeouts(connection: &Connection, timeout: Duration) -> Result<(), RedisError> {
    connection.set_read_timeout(Some(timeout))?;
    connection.set_write_timeout(Some(timeout))
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // A forked child forgets the parent's connection here too.
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// A server that knows one answer, and tells by the end of a connection that it was closed.
    fn listener() -> (TcpListener, Blocking) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        (listener, Blocking::new(Server::parse(&url, &[]).unwrap().0))
    }

    fn answer_all(listener: &TcpListener) -> std::net::TcpStream {
        let (stream, _) = listener.accept().unwrap();
        let mut answering = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = answering.read(&mut buffer) {
                let commands = buffer[..read].iter().filter(|byte| **byte == b'*').count();
                std::io::Write::write_all(&mut answering, &b"+OK\r\n".repeat(commands)).unwrap();
            }
        });
        stream
    }

    #[test]
    fn a_forked_child_opens_its_own_connection_and_leaves_its_parents_alone() {
        let (listener, mut blocking) = listener();
        let accepting = std::thread::spawn(move || {
            let parents = answer_all(&listener);
            (parents, answer_all(&listener))
        });
        resp::words(&mut blocking.out, &[b"PING"]);
        blocking.exchange("ping", 1).unwrap();
        blocking.open.as_mut().unwrap().pid = u32::MAX;
        resp::words(&mut blocking.out, &[b"PING"]);
        blocking.exchange("ping", 1).unwrap();
        assert_eq!(blocking.number(), 2);
        let (parents, _childs) = accepting.join().unwrap();
        parents.set_nonblocking(true).unwrap();
        let closed = parents.peek(&mut [0]);
        assert_eq!(closed.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "still open, and silent");
    }
}
