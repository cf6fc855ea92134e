//! A client's connection: blocking, in the caller's thread, with the frames of lapin's own codec.
//!
//! lapin itself runs a thread for each connection, and a client has none: it lives in other people's processes, which
//! fork. The connection is stamped with the pid that opened it; in a forked child it is forgotten, not closed, since the
//! descriptor is the parent's to use. It asks for no heartbeat: nobody would be there to send it between two calls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use lapin::BasicProperties;
use lapin::tcp::{HandshakeError, TcpStream};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPScheme, AMQPUri};

use super::failure::{late, replied};
use super::message::{Outgoing, short};
use super::options::AmqpOptions;
use super::steps::{Step, arguments, long};
use crate::Error;

/// The one channel that is used.
const CHANNEL: u16 = 1;
/// Class of messages with a body.
const BASIC: u16 = 60;
const READ_AT_ONCE: usize = 64 * 1024;

/// A message that came.
pub(super) struct Received {
    /// To acknowledge it.
    pub(super) tag: u64,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// Why something went wrong.
pub(super) enum Fault {
    /// The connection is gone.
    Gone(String),
    /// The time is over.
    Late,
    /// The server refused, and closed the channel or the connection.
    Replied(u16, String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Late,
            _ => Fault::Gone(error.to_string()),
        }
    }
}

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

/// An open connection with one channel, on which publishes are confirmed.
pub(super) struct Open {
    stream: TcpStream,
    pid: u32,
    deadline: Instant,
    /// What was read and is no whole frame yet.
    unread: Vec<u8>,
    /// What is to be written.
    out: Vec<u8>,
    frame_max: usize,
    /// Publishes so far: the server counts them too.
    published: u64,
    /// Those of them that are not confirmed.
    unconfirmed: HashSet<u64>,
    refused: HashSet<u64>,
    /// Names of what came back since nothing could be reached by it.
    returned: HashSet<String>,
    /// By consumer.
    delivered: HashMap<String, VecDeque<Received>>,
    /// What is known to be declared.
    declared: HashSet<String>,
    /// The channel is closed, though what was asked for has its answer.
    is_over: bool,
}

impl Open {
    fn connect(server: &AMQPUri, options: &AmqpOptions) -> Result<Open, Fault> {
        let address = (server.authority.host.as_str(), server.authority.port);
        let plain = TcpStream::connect_timeout(address, options.connect_timeout)?;
        plain.set_nodelay(true)?;
        plain.set_read_timeout(Some(options.connect_timeout))?;
        plain.set_write_timeout(Some(options.response_timeout))?;
        let stream = match server.scheme {
            AMQPScheme::AMQP => plain,
            AMQPScheme::AMQPS => {
                crate::tls::install_provider();
                encrypted(plain.into_tls(&server.authority.host, options.tls.as_ref()))?
            }
        };
        let mut open = Open {
            stream,
            pid: std::process::id(),
            deadline: Instant::now() + options.connect_timeout,
            unread: Vec::new(),
            out: Vec::new(),
            frame_max: 4096,
            published: 0,
            unconfirmed: HashSet::new(),
            refused: HashSet::new(),
            returned: HashSet::new(),
            delivered: HashMap::new(),
            declared: HashSet::new(),
            is_over: false,
        };
        open.shake_hands(server)?;
        Ok(open)
    }

    fn shake_hands(&mut self, server: &AMQPUri) -> Result<(), Fault> {
        use connection::AMQPMethod as Connection;
        self.put(&AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1()));
        self.send()?;
        self.reply(0, |method| matches!(method, AMQPClass::Connection(Connection::Start(_))).then_some(()))?;
        let user = &server.authority.userinfo;
        let response = format!("\0{}\0{}", user.username, user.password);
        let capabilities = arguments([
            ("authentication_failure_close", AMQPValue::Boolean(true)),
            ("publisher_confirms", AMQPValue::Boolean(true)),
            ("basic.nack", AMQPValue::Boolean(true)),
            ("consumer_cancel_notify", AMQPValue::Boolean(true)),
        ]);
        let client_properties = arguments([
            ("product", long("fastworker")),
            ("version", long(env!("CARGO_PKG_VERSION"))),
            ("capabilities", AMQPValue::FieldTable(capabilities)),
        ]);
        self.method(
            0,
            AMQPClass::Connection(Connection::StartOk(connection::StartOk {
                client_properties,
                mechanism: "PLAIN".into(),
                response: response.into(),
                locale: "en_US".into(),
            })),
        );
        self.send()?;
        let tune = self.reply(0, |method| match method {
            AMQPClass::Connection(Connection::Tune(tune)) => Some(tune),
            _ => None,
        })?;
        let frame_max = if tune.frame_max == 0 { 128 * 1024 } else { tune.frame_max };
        self.frame_max = frame_max as usize;
        self.method(
            0,
            AMQPClass::Connection(Connection::TuneOk(connection::TuneOk {
                channel_max: tune.channel_max,
                frame_max,
                heartbeat: 0,
            })),
        );
        self.method(
            0,
            AMQPClass::Connection(Connection::Open(connection::Open { virtual_host: short(&server.vhost) })),
        );
        self.send()?;
        self.reply(0, |method| matches!(method, AMQPClass::Connection(Connection::OpenOk(_))).then_some(()))?;
        self.call(AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})), |method| {
            matches!(method, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))).then_some(())
        })?;
        self.call(AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false })), |method| {
            matches!(method, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))).then_some(())
        })
    }

    /// Publishes all and waits until every one is confirmed. Returns the places of those that reach no queue.
    pub(super) fn publish(&mut self, exchange: &str, batch: &[(&str, Outgoing)]) -> Result<Vec<usize>, Fault> {
        self.returned.clear();
        for (place, (routing_key, outgoing)) in batch.iter().enumerate() {
            self.published += 1;
            self.unconfirmed.insert(self.published);
            let publish = basic::Publish {
                exchange: short(exchange),
                routing_key: short(routing_key),
                mandatory: true,
                immediate: false,
            };
            self.method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)));
            let named = outgoing.clone().named(&place.to_string());
            self.put(&AMQPFrame::Header(
                CHANNEL,
                AMQPContentHeader { class_id: BASIC, body_size: named.body.len() as u64, properties: named.properties },
            ));
            for chunk in named.body.chunks(self.frame_max - 8) {
                self.put(&AMQPFrame::Body(CHANNEL, chunk.to_vec()));
            }
            if self.out.len() > 1 << 20 {
                self.send()?;
            }
        }
        self.send()?;
        while !self.unconfirmed.is_empty() {
            self.read_frame()?;
        }
        if !self.refused.is_empty() {
            self.refused.clear();
            return Err(Fault::Replied(
                311,
                "the server did not take a message: a queue is full, or a disk".to_owned(),
            ));
        }
        Ok(self.returned.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Carries out declarations; what this connection has done already is left out.
    pub(super) fn declare(&mut self, steps: &[Step]) -> Result<(), Fault> {
        for step in steps {
            let name = format!("{step:?}");
            if self.declared.contains(&name) {
                continue;
            }
            let (method, is_ok): (AMQPClass, fn(&AMQPClass) -> bool) = match step {
                Step::Exchange { name, kind, is_durable, is_auto_delete } => (
                    AMQPClass::Exchange(exchange::AMQPMethod::Declare(exchange::Declare {
                        exchange: short(name),
                        kind: short(kind),
                        passive: false,
                        durable: *is_durable,
                        auto_delete: *is_auto_delete,
                        internal: false,
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(_))),
                ),
                Step::Queue { name, life, arguments } => {
                    let (durable, exclusive, auto_delete) = life.flags();
                    (
                        AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
                            queue: short(name),
                            passive: false,
                            durable,
                            exclusive,
                            auto_delete,
                            nowait: false,
                            arguments: arguments.clone(),
                        })),
                        |reply| matches!(reply, AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_))),
                    )
                }
                Step::Bind { queue, exchange, key } => (
                    AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
                        queue: short(queue),
                        exchange: short(exchange),
                        routing_key: short(key),
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Queue(queue::AMQPMethod::BindOk(_))),
                ),
                Step::BindExchange { destination, source, key } => (
                    AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
                        destination: short(destination),
                        source: short(source),
                        routing_key: short(key),
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Exchange(exchange::AMQPMethod::BindOk(_))),
                ),
            };
            self.call(method, |reply| is_ok(&reply).then_some(()))?;
            self.declared.insert(name);
        }
        Ok(())
    }

    /// How many messages wait in a queue; 0 where there is none of this name.
    pub(super) fn depth(&mut self, name: &str) -> Result<u64, Fault> {
        let declare = queue::Declare {
            queue: short(name),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let counted = self.call(AMQPClass::Queue(queue::AMQPMethod::Declare(declare)), |reply| match reply {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Some(u64::from(ok.message_count)),
            _ => None,
        });
        self.or_none(counted)
    }

    /// Removes what waits in a queue; how many that were.
    pub(super) fn purge(&mut self, name: &str) -> Result<u64, Fault> {
        let purge = queue::Purge { queue: short(name), nowait: false };
        let purged = self.call(AMQPClass::Queue(queue::AMQPMethod::Purge(purge)), |reply| match reply {
            AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok)) => Some(u64::from(ok.message_count)),
            _ => None,
        });
        self.or_none(purged)
    }

    /// A queue that is not there holds nothing. The server has closed the channel by that.
    fn or_none(&mut self, counted: Result<u64, Fault>) -> Result<u64, Fault> {
        match counted {
            Err(Fault::Replied(404, _)) => {
                self.is_over = true;
                Ok(0)
            }
            counted => counted,
        }
    }

    /// Removes a queue with what is in it.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), Fault> {
        let delete = queue::Delete { queue: short(name), if_unused: false, if_empty: false, nowait: false };
        self.call(AMQPClass::Queue(queue::AMQPMethod::Delete(delete)), |reply| {
            matches!(reply, AMQPClass::Queue(queue::AMQPMethod::DeleteOk(_))).then_some(())
        })
    }

    /// The next message of a queue, which is to be acknowledged or given back.
    pub(super) fn get(&mut self, name: &str) -> Result<Option<Received>, Fault> {
        let get = basic::Get { queue: short(name), no_ack: false };
        let ok = self.call(AMQPClass::Basic(basic::AMQPMethod::Get(get)), |reply| match reply {
            AMQPClass::Basic(basic::AMQPMethod::GetOk(ok)) => Some(Some(ok)),
            AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)) => Some(None),
            _ => None,
        })?;
        let Some(ok) = ok else { return Ok(None) };
        let (properties, body) = self.content()?;
        Ok(Some(Received {
            tag: ok.delivery_tag,
            exchange: ok.exchange.to_string(),
            routing_key: ok.routing_key.to_string(),
            properties,
            body,
        }))
    }

    /// Ends what `get` brought: true acknowledges it, false gives it back.
    pub(super) fn end(&mut self, tag: u64, is_done: bool) -> Result<(), Fault> {
        let method = if is_done {
            basic::AMQPMethod::Ack(basic::Ack { delivery_tag: tag, multiple: false })
        } else {
            basic::AMQPMethod::Nack(basic::Nack { delivery_tag: tag, multiple: false, requeue: true })
        };
        self.method(CHANNEL, AMQPClass::Basic(method));
        self.send()
    }

    /// Waits until the server has done all that was asked for so far.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        let qos = basic::Qos { prefetch_count: 0, global: false };
        self.call(AMQPClass::Basic(basic::AMQPMethod::Qos(qos)), |reply| {
            matches!(reply, AMQPClass::Basic(basic::AMQPMethod::QosOk(_))).then_some(())
        })
    }

    /// Has the messages of a queue sent to us, acknowledged by that.
    pub(super) fn consume(&mut self, name: &str) -> Result<(), Fault> {
        let consume = basic::Consume {
            queue: short(name),
            consumer_tag: short(name),
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.delivered.entry(name.to_owned()).or_default();
        self.call(AMQPClass::Basic(basic::AMQPMethod::Consume(consume)), |reply| {
            matches!(reply, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(_))).then_some(())
        })
    }

    /// The next message for a consumer, or `None` when `timeout` is over.
    pub(super) fn next(&mut self, consumer: &str, timeout: Duration) -> Result<Option<Received>, Fault> {
        let far = Duration::from_secs(365 * 86_400);
        self.deadline = Instant::now() + timeout.min(far);
        loop {
            let Some(mine) = self.delivered.get_mut(consumer) else {
                return Err(Fault::Gone("the connection was lost, and the mailbox with it".to_owned()));
            };
            if let Some(received) = mine.pop_front() {
                return Ok(Some(received));
            }
            match self.read_frame() {
                Ok(()) => {}
                Err(Fault::Late) => return Ok(None),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Forgets a consumer, and that its queue was declared.
    pub(super) fn forget(&mut self, consumer: &str, steps: &[Step]) {
        self.delivered.remove(consumer);
        for step in steps {
            self.declared.remove(&format!("{step:?}"));
        }
    }

    /// Sends a method, and reads until its answer has come.
    fn call<T>(&mut self, method: AMQPClass, answer: impl Fn(AMQPClass) -> Option<T>) -> Result<T, Fault> {
        self.method(CHANNEL, method);
        self.send()?;
        self.reply(CHANNEL, answer)
    }

    fn reply<T>(&mut self, on: u16, answer: impl Fn(AMQPClass) -> Option<T>) -> Result<T, Fault> {
        loop {
            if let Some(method) = self.next_method(on)?
                && let Some(found) = answer(method)
            {
                return Ok(found);
            }
        }
    }

    /// Reads one frame and does what it asks for; nobody waits for an answer.
    fn read_frame(&mut self) -> Result<(), Fault> {
        self.next_method(CHANNEL).map(drop)
    }

    /// Reads one frame. What comes without being asked for is put where it belongs.
    fn next_method(&mut self, on: u16) -> Result<Option<AMQPClass>, Fault> {
        let AMQPFrame::Method(channel, method) = self.frame()? else { return Ok(None) };
        match method {
            AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
                self.method(0, AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {})));
                let _gone = self.send();
                Err(Fault::Replied(close.reply_code, close.reply_text.to_string()))
            }
            AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
                Err(Fault::Replied(close.reply_code, close.reply_text.to_string()))
            }
            AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) => {
                self.confirmed(ack.delivery_tag, ack.multiple);
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Nack(nack)) => {
                self.refused.insert(nack.delivery_tag);
                self.confirmed(nack.delivery_tag, nack.multiple);
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Return(_)) => {
                let (properties, _body) = self.content()?;
                self.returned.extend(properties.message_id().as_ref().map(ToString::to_string));
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)) => {
                let (properties, body) = self.content()?;
                if let Some(mine) = self.delivered.get_mut(deliver.consumer_tag.as_str()) {
                    mine.push_back(Received {
                        tag: deliver.delivery_tag,
                        exchange: deliver.exchange.to_string(),
                        routing_key: deliver.routing_key.to_string(),
                        properties,
                        body,
                    });
                }
                Ok(None)
            }
            method => Ok((channel == on).then_some(method)),
        }
    }

    fn confirmed(&mut self, tag: u64, is_multiple: bool) {
        if is_multiple {
            self.unconfirmed.retain(|published| *published > tag);
        } else {
            self.unconfirmed.remove(&tag);
        }
    }

    /// Header and body that follow a method.
    fn content(&mut self) -> Result<(BasicProperties, Vec<u8>), Fault> {
        let AMQPFrame::Header(_, header) = self.frame()? else {
            return Err(Fault::Gone("a message without its header".to_owned()));
        };
        let size = usize::try_from(header.body_size).unwrap_or(usize::MAX);
        let mut body = Vec::new();
        while body.len() < size {
            match self.frame()? {
                AMQPFrame::Body(_, chunk) => body.extend(chunk),
                _ => return Err(Fault::Gone("a message without its body".to_owned())),
            }
        }
        Ok((header.properties, body))
    }

    /// The next frame that is no heartbeat.
    fn frame(&mut self) -> Result<AMQPFrame, Fault> {
        loop {
            let parsed = match parse_frame(self.unread.as_slice()) {
                Ok((rest, frame)) => Some((self.unread.len() - rest.len(), frame)),
                Err(error) if error.is_incomplete() => None,
                Err(error) => return Err(Fault::Gone(format!("it is not AMQP: {error:?}"))),
            };
            match parsed {
                Some((used, frame)) => {
                    self.unread.drain(..used);
                    if frame != AMQPFrame::Heartbeat {
                        return Ok(frame);
                    }
                }
                None => self.read()?,
            }
        }
    }

    fn read(&mut self) -> Result<(), Fault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::Late);
        }
        self.stream.set_read_timeout(Some(left))?;
        let start = self.unread.len();
        self.unread.resize(start + READ_AT_ONCE, 0);
        let read = self.stream.read(&mut self.unread[start..]);
        self.unread.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Fault::Gone("the server closed the connection".to_owned())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn method(&mut self, channel: u16, method: AMQPClass) {
        self.put(&AMQPFrame::Method(channel, method));
    }

    fn put(&mut self, frame: &AMQPFrame) {
        let out = std::mem::take(&mut self.out);
        let written = gen_frame(frame)(WriteContext { write: out, position: 0 });
        self.out = written.expect("memory takes all that is written").write;
    }

    fn send(&mut self) -> Result<(), Fault> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out)?;
        Ok(self.stream.flush()?)
    }
}

fn encrypted(mut handshake: Result<TcpStream, HandshakeError>) -> Result<TcpStream, Fault> {
    loop {
        match handshake {
            Ok(stream) => return Ok(stream),
            Err(HandshakeError::WouldBlock(unfinished)) => handshake = unfinished.handshake(),
            Err(HandshakeError::Failure(error)) => return Err(error.into()),
        }
    }
}
