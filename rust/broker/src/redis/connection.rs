//! One asynchronous connection that comes back by itself.
//!
//! A call that fails for the connection's sake drops it; the next call opens a new one. Nothing is retried here: the
//! caller knows what may be repeated. Each connection has a number, so that who reasons about time ("absent for a full
//! lease life") can tell that its view was interrupted.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, ProtocolVersion, PushInfo, RedisError, Value};

use super::failure::Call;
use super::script::Script;
use super::server::Server;
use super::wake::Wake;
use crate::Error;

/// Concurrent calls that may queue up before a caller waits; the default of 50 is less than one busy turn.
const QUEUED_CALLS: usize = 1024;

pub(super) struct Link {
    server: Server,
    response_timeout: Option<Duration>,
    /// Given: this connection is tracked, and wakes the worker.
    wake: Option<Arc<Wake>>,
    open: RefCell<Option<Rc<Open>>>,
    opening: tokio::sync::Mutex<()>,
    opened: Cell<u64>,
}

struct Open {
    connection: MultiplexedConnection,
    number: u64,
    /// Scripts that this connection has loaded.
    loaded: RefCell<HashSet<&'static str>>,
}

impl Link {
    /// A connection for everything that is answered at once.
    pub(super) fn new(server: Server) -> Self {
        let response_timeout = Some(server.response_timeout);
        Self::with(server, response_timeout, None)
    }

    /// The connection that fetches: no response time-out (a given-up fetch would still take messages), and tracked.
    pub(super) fn for_fetches(server: Server, wake: Arc<Wake>) -> Self {
        Self::with(server, None, Some(wake))
    }

    fn with(server: Server, response_timeout: Option<Duration>, wake: Option<Arc<Wake>>) -> Self {
        let (open, opening, opened) = (RefCell::default(), tokio::sync::Mutex::default(), Cell::new(0));
        Self { server, response_timeout, wake, open, opening, opened }
    }

    /// Where it leads.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// For error messages.
    pub(super) fn call(&self, what: &'static str) -> Call<'_> {
        Call { what, whom: &self.server.masked }
    }

    /// How many connections were opened so far. Unchanged around an observation: it was not interrupted.
    pub(super) fn number(&self) -> u64 {
        if self.open.borrow().is_some() { self.opened.get() } else { self.opened.get() + 1 }
    }

    /// Connects, if there is no connection.
    pub(super) async fn ensure(&self, what: &'static str) -> Result<(), Error> {
        self.open(what).await.map(drop)
    }

    /// Sends all commands in one write and returns their replies in order; refusals are among the values.
    pub(super) async fn run(&self, what: &'static str, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.open(what).await?;
        self.run_on(&open, what, pipeline).await
    }

    /// Sends one command; a refusal is an error.
    pub(super) async fn one(&self, what: &'static str, command: Cmd) -> Result<Value, Error> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let mut values = self.run(what, &pipeline).await?;
        let value = values.pop().unwrap_or(Value::Nil);
        self.call(what).value(value)
    }

    /// Calls a script; `fill` adds what follows its name (number of keys, keys, arguments).
    pub(super) async fn script(
        &self,
        what: &'static str,
        script: &'static Script,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, Error> {
        let build = |pipeline: &mut Pipeline| {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&script.sha);
            fill(&mut command);
            pipeline.add_command(command);
        };
        let mut values = self.run_scripts(what, script, build).await?;
        let value = values.pop().unwrap_or(Value::Nil);
        self.call(what).value(value)
    }

    /// Sends what `build` adds (any number of calls of `script` among it) in one write, loading the script in the same
    /// write when this connection has not yet done so. When the server has forgotten it (SCRIPT FLUSH), the first
    /// call's refusal is returned like any other, and the next try loads it again.
    pub(super) async fn run_scripts(
        &self,
        what: &'static str,
        script: &'static Script,
        build: impl Fn(&mut Pipeline),
    ) -> Result<Vec<Value>, Error> {
        let mut is_second_try = false;
        loop {
            let open = self.open(what).await?;
            let is_loaded = open.loaded.borrow().contains(script.sha.as_str());
            let mut pipeline = Pipeline::new();
            if !is_loaded {
                pipeline.cmd("SCRIPT").arg("LOAD").arg(&script.source);
            }
            build(&mut pipeline);
            let mut values = self.run_on(&open, what, &pipeline).await?;
            if !is_loaded {
                self.call(what).value(values.remove(0))?;
                open.loaded.borrow_mut().insert(&script.sha);
            }
            let is_forgotten = values.iter().all(is_no_script) && !values.is_empty();
            if values.iter().any(is_no_script) {
                open.loaded.borrow_mut().clear();
            }
            if !is_forgotten || is_second_try {
                return Ok(values);
            }
            is_second_try = true;
        }
    }

    async fn run_on(&self, open: &Rc<Open>, what: &'static str, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        let mut connection = open.connection.clone();
        match connection.send_packed_commands(pipeline, 0, pipeline.len()).await {
            Ok(values) => {
                // A former master that became a replica: a new connection may be led to the new master.
                if values.iter().any(|value| matches!(value, Value::ServerError(error) if error.code() == "READONLY")) {
                    self.drop_connection(open.number);
                }
                Ok(values)
            }
            Err(error) => {
                // Whatever the cause, the replies are no longer known to match the commands.
                self.drop_connection(open.number);
                Err(self.call(what).failed(&error))
            }
        }
    }

    fn drop_connection(&self, number: u64) {
        let mut open = self.open.borrow_mut();
        if open.as_ref().is_some_and(|open| open.number == number) {
            *open = None;
        }
    }

    async fn open(&self, what: &'static str) -> Result<Rc<Open>, Error> {
        if let Some(open) = &*self.open.borrow() {
            return Ok(open.clone());
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(open) = &*self.open.borrow() {
            return Ok(open.clone());
        }
        let connection = self.connect().await.map_err(|error| self.call(what).failed(&error))?;
        let number = self.opened.get() + 1;
        self.opened.set(number);
        let open = Rc::new(Open { connection, number, loaded: RefCell::default() });
        *self.open.borrow_mut() = Some(open.clone());
        Ok(open)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let Some(wake) = &self.wake else { return self.connect_with(ProtocolVersion::RESP2).await };
        match self.connect_with(ProtocolVersion::RESP3).await {
            Ok(mut connection) => {
                let mut tracking = Pipeline::with_capacity(1);
                tracking.cmd("CLIENT").arg("TRACKING").arg("ON").arg("NOLOOP");
                let answer = connection.send_packed_commands(&tracking, 0, 1).await?;
                wake.connected(matches!(answer[..], [Value::Okay]));
                Ok(connection)
            }
            // A proxy or an old server: it is polled instead.
            Err(error) if is_resp2_only(&error) => {
                wake.connected(false);
                self.connect_with(ProtocolVersion::RESP2).await
            }
            Err(error) => Err(error),
        }
    }

    async fn connect_with(&self, protocol: ProtocolVersion) -> Result<MultiplexedConnection, RedisError> {
        let info = &self.server.info;
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.clone().set_redis_settings(settings))?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.server.connect_timeout))
            .set_response_timeout(self.response_timeout)
            .set_pipeline_buffer_size(QUEUED_CALLS);
        if let (Some(wake), ProtocolVersion::RESP3) = (&self.wake, protocol) {
            let wake = wake.clone();
            config = config.set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                wake.pushed(&push);
                Ok(())
            });
        }
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        if let Some(name) = &self.server.client_name {
            let mut set_name = Pipeline::with_capacity(1);
            set_name.cmd("CLIENT").arg("SETNAME").arg(name);
            connection.send_packed_commands(&set_name, 0, 1).await?;
        }
        Ok(connection)
    }
}

/// HELLO is unknown there, or forbidden; a wrong password has codes of its own.
fn is_resp2_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::RESP3NotSupported || matches!(error.code(), Some("ERR" | "NOPROTO" | "NOPERM"))
}

fn is_no_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}
